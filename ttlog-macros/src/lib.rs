//! The procedural macros of `ttlog-core`, `ttlog-std` and `ttlog-embedded`: the one behind `trace! debug! info! warn!
//! error! event!`, and `#[derive(Value)]`.
//!
//! Not for direct use: write `ttlog_std::info!` or `ttlog_core::info!`. These `macro_rules!` front ends pass their
//! `$crate`, and the level if it is fixed, to [`event!`]. So the expansion finds the run-time parts
//! (`$crate::__private`) under whatever name the user's crate has for them:
//!
//! ```text
//! info!(tokens…)            →  $crate::__private::event!([$crate] [Info] tokens…)
//! event!(level, tokens…)    →  $crate::__private::event!([$crate] [] level, tokens…)
//! ```
//!
//! The stages are `args` (syntax) → `fields` (meaning; with `template` and `literal`) → `expand` (code). An error in
//! any of them becomes a `compile_error!` at the span that it is about. `span` and `instrument` do the same for spans.

mod args;
mod derive;
mod error;
mod expand;
mod fields;
mod instrument;
mod literal;
mod span;
mod template;

use proc_macro::TokenStream;
use quote::quote;

use expand::Target;

/// Expands to a block of type `()` that records one event. docs/log-macros.md describes the syntax.
///
/// The input begins with two bracketed groups from the front end, `[$crate]` and `[Level]` or `[]`.
#[proc_macro]
pub fn event(input: TokenStream) -> TokenStream {
    expand_for(Target::Server, input)
}

/// As [`event!`], for devices: the callsite is text in a section that is not loaded, and has no state.
#[proc_macro]
pub fn device_event(input: TokenStream) -> TokenStream {
    expand_for(Target::Device, input)
}

/// Derives `ttlog_core::Value`. The docs of that trait describe it.
#[proc_macro_derive(Value, attributes(value))]
pub fn derive_value(input: TokenStream) -> TokenStream {
    derive_for(quote!(::ttlog_core), input)
}

/// As `Value`, for `ttlog-std`, which exports it under that name.
#[proc_macro_derive(ValueOfStd, attributes(value))]
pub fn derive_value_of_std(input: TokenStream) -> TokenStream {
    derive_for(quote!(::ttlog_std), input)
}

/// As `Value`, for `ttlog-embedded`, which exports it under that name.
#[proc_macro_derive(ValueOfEmbedded, attributes(value))]
pub fn derive_value_of_embedded(input: TokenStream) -> TokenStream {
    derive_for(quote!(::ttlog_embedded), input)
}

fn derive_for(root: proc_macro2::TokenStream, input: TokenStream) -> TokenStream {
    match syn::parse(input).and_then(|item| derive::expand(item, root)) {
        Ok(expansion) => expansion.into(),
        Err(error) => error.into_compile_error().into(),
    }
}

/// Expands to an expression that starts a span, or starts and enters it, or records values of one. docs/spans.md
/// describes the syntax.
///
/// The input begins with three bracketed groups from the front end: `[$crate]`, `[Level]` or `[]`, and `[span]`,
/// `[scope]` or `[record]`.
#[proc_macro]
pub fn span(input: TokenStream) -> TokenStream {
    expand_span_for(Target::Server, input)
}

/// As [`span!`], for devices.
#[proc_macro]
pub fn device_span(input: TokenStream) -> TokenStream {
    expand_span_for(Target::Device, input)
}

/// Runs a function in a span of its own; `ttlog_core::instrument`. docs/spans.md describes it.
#[proc_macro_attribute]
pub fn instrument_core(arguments: TokenStream, function: TokenStream) -> TokenStream {
    instrument_for("ttlog_core", arguments, function)
}

/// As [`macro@instrument_core`], for `ttlog_std::instrument`.
#[proc_macro_attribute]
pub fn instrument_std(arguments: TokenStream, function: TokenStream) -> TokenStream {
    instrument_for("ttlog_std", arguments, function)
}

/// As [`macro@instrument_core`], for `ttlog_embedded::instrument`.
#[proc_macro_attribute]
pub fn instrument_embedded(arguments: TokenStream, function: TokenStream) -> TokenStream {
    instrument_for("ttlog_embedded", arguments, function)
}

fn instrument_for(root: &str, arguments: TokenStream, function: TokenStream) -> TokenStream {
    let unchanged = proc_macro2::TokenStream::from(function.clone());
    match instrument::expand(root, arguments.into(), function.into()) {
        Ok(expansion) => expansion.into(),
        Err(error) => {
            // The function stays, so that the error is the only one.
            let mut tokens = error.into_compile_error();
            tokens.extend(unchanged);
            tokens.into()
        }
    }
}

fn expand_span_for(target: Target, input: TokenStream) -> TokenStream {
    match syn::parse(input).and_then(|span| span::expand(span, target)) {
        Ok(expansion) => expansion.into(),
        Err(error) => error.into_compile_error().into(),
    }
}

fn expand_for(target: Target, input: TokenStream) -> TokenStream {
    match syn::parse(input).and_then(|event| expand::expand(event, target)) {
        Ok(expansion) => expansion.into(),
        Err(error) => error.into_compile_error().into(),
    }
}
