//! Code generation. An event becomes
//!
//! ```text
//! {
//!     use $crate::__private as __ttlog;
//!     static __TTLOG_METADATA: Metadata = …;                     all that is known now, with literals
//!     static __TTLOG_CALLSITE: Callsite = Callsite::new(&__TTLOG_METADATA);
//!     if level_enabled(…) && Callsite::is_enabled(&__TTLOG_CALLSITE) {
//!         match (hold the first operand, hold the second, …) {   evaluated once, in order, inside the `if`
//!             (ref __ttlog_0, ref __ttlog_1, …) =>
//!                 record::<is_priority(level), _>(&__TTLOG_CALLSITE, Cons(…, Cons(…, Nil))),
//!         };
//!     }
//! }
//! ```
//!
//! In front of the values of a warning or an error is the id of the span that it belongs to, see [`SpanOf`].
//!
//! On a device a callsite must not cost RAM or flash: the metadata is a constant, the static holds its text in a
//! section that is not loaded, and the level is compared with that of the recorder:
//!
//! ```text
//!     const __TTLOG_METADATA: Metadata = …;
//!     #[link_section = ".ttlog.text"]
//!     static __TTLOG_TEXT: CallsiteText<{ its length }> = CallsiteText::new(&__TTLOG_METADATA);
//!     if level_enabled(…) && is_level_on(…) {
//!         match … => record_callsite!(__TTLOG_TEXT, Cons(…, Cons(…, Nil))),
//! ```
//!
//! Reasons:
//! - `match`, not `let` or a closure: temporaries live until the event is recorded and no longer, and `?`, `return` and
//!   `.await` in an argument mean what they mean outside. The semicolon after it drops the temporaries before the block
//!   ends, so that none is held across an `.await` further on in the user's expression.
//! - Functions are called by path, so that no trait in the user's scope can catch a call. The one method, `ttlog_hold`,
//!   chooses by its type how to capture a value (autoref specialization), and needs its traits in scope.
//! - Spans are `mixed_site`, which hides our variables from the user's expressions and marks the code as ours for
//!   lints. So no `allow` attribute is needed, which a `forbid` in the user's crate would refuse.
//! - `__ttlog` stands for `$crate::__private` in all paths: `$crate` is a place in the front end, and an expression
//!   that begins there would draw errors about the user's types to the front end.
//! - Operands are in parentheses: `a as u64` and `a + b` stay one operand under the `&` before them.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote_spanned};
use syn::{Expr, Result};

use crate::args::{Event, Level};
use crate::fields::{Field, FieldSource, Fields, Hold, Operand};

/// Kind of system that the program with the event runs on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A system with files.
    Server,
    /// A microcontroller.
    Device,
}

/// Generates the block expression of an event.
pub(crate) fn expand(event: Event, on: Target) -> Result<TokenStream> {
    let Event { root, level, labels, arguments } = event;
    let Fields { message, fields, operands } = Fields::resolve(arguments)?;

    let site = Span::mixed_site();
    let private = quote_spanned!(site=> __ttlog);
    let span = SpanOf::new(&private, on, &level, labels.parent.as_ref());
    let (level_item, level) = match level {
        Level::Fixed(variant) => {
            let variant = Ident::new(&variant.to_string(), site);
            (None, quote_spanned!(site=> #private::Level::#variant))
        }
        Level::Constant(expr) => (
            Some(quote_spanned!(site=> const __TTLOG_LEVEL: #private::Level = #expr;)),
            quote_spanned!(site=> __TTLOG_LEVEL),
        ),
    };
    let target = match labels.target {
        Some(target) => quote_spanned!(site=> #target),
        None => quote_spanned!(site=> ::core::module_path!()),
    };
    let field_items = fields.iter().map(|field| field_item(&private, field, &operands));
    let call = Call::new(&private, on, quote_spanned!(site=> { #private::is_priority(#level) }));
    let record = record(&private, &call, &span, &fields, &operands);
    let span_item = span.item;
    let metadata = quote_spanned! {site=>
        #private::Metadata {
            level: #level,
            target: #target,
            message: #message,
            file: ::core::file!(),
            line: ::core::line!(),
            fields: &[#span_item #(#field_items),*],
        }
    };
    let Items { items, is_on } = Items::new(&private, on, &level, &metadata);
    Ok(quote_spanned! {site=>
        {
            use #root::__private as __ttlog;
            #level_item
            #items
            if #private::level_enabled(#level) && #is_on {
                #record
            }
        }
    })
}

/// Generates the metadata of a field.
pub(crate) fn field_item(private: &TokenStream, field: &Field, operands: &[Operand]) -> TokenStream {
    let site = Span::mixed_site();
    let Field { name, source, secret } = field;
    let mark = secret.then(|| quote_spanned!(site=> .secret()));
    match source {
        FieldSource::Folded(value) => {
            quote_spanned!(site=> #private::Field::literal(#name, #private::Literal::#value) #mark)
        }
        FieldSource::Operand(index) => {
            let shown = match operands[*index].hold {
                Hold::Display => Some(quote_spanned!(site=> .shown(#private::Shown::Display))),
                Hold::Debug => Some(quote_spanned!(site=> .shown(#private::Shown::Debug))),
                Hold::Bare | Hold::Template | Hold::TemplateDebug => None,
            };
            quote_spanned!(site=> #private::Field::dynamic(#name) #mark #shown)
        }
    }
}

/// The static items of a callsite, and the expression of whether it is on.
pub(crate) struct Items {
    pub(crate) items: TokenStream,
    pub(crate) is_on: TokenStream,
}

impl Items {
    pub(crate) fn new(private: &TokenStream, on: Target, level: &TokenStream, metadata: &TokenStream) -> Self {
        let site = Span::mixed_site();
        match on {
            Target::Server => Items {
                items: quote_spanned! {site=>
                    static __TTLOG_METADATA: #private::Metadata = #metadata;
                    static __TTLOG_CALLSITE: #private::Callsite = #private::Callsite::new(&__TTLOG_METADATA);
                },
                is_on: quote_spanned!(site=> #private::Callsite::is_enabled(&__TTLOG_CALLSITE)),
            },
            Target::Device => Items {
                items: quote_spanned! {site=>
                    const __TTLOG_METADATA: #private::Metadata = #metadata;
                    #[unsafe(link_section = ".ttlog.text")]
                    static __TTLOG_TEXT: #private::CallsiteText<{ #private::text_len(&__TTLOG_METADATA) }> =
                        #private::CallsiteText::new(&__TTLOG_METADATA);
                },
                is_on: quote_spanned!(site=> #private::is_level_on(#level)),
            },
        }
    }
}

/// The call that records the event.
pub(crate) struct Call {
    /// A function, or a macro with its exclamation mark.
    pub(crate) before: TokenStream,
    /// The argument before the values.
    pub(crate) first: TokenStream,
}

impl Call {
    /// `is_priority` is whether events of the callsite belong to the priority class, as a constant.
    pub(crate) fn new(private: &TokenStream, on: Target, is_priority: TokenStream) -> Self {
        let site = Span::mixed_site();
        match on {
            Target::Server => Call {
                before: quote_spanned!(site=> #private::record::<#is_priority, _>),
                first: quote_spanned!(site=> &__TTLOG_CALLSITE),
            },
            Target::Device => Call {
                before: quote_spanned!(site=> #private::record_callsite!),
                first: quote_spanned!(site=> __TTLOG_TEXT),
            },
        }
    }
}

/// The id of the span that an event belongs to, as its first field.
///
/// Readers know the span that the context of an event is in, as long as nothing was overwritten. So the field is there
/// only if the source names another span, and on servers if the event can be a warning or an error: these are kept for
/// longer than what says where their context was.
#[derive(Default)]
struct SpanOf {
    /// Metadata of the field, with a comma.
    item: Option<TokenStream>,
    /// Expression that is evaluated before the operands, with a comma.
    holder: Option<TokenStream>,
    /// Pattern for it, with a comma.
    variable: Option<TokenStream>,
    /// The id.
    value: Option<TokenStream>,
}

impl SpanOf {
    fn new(private: &TokenStream, on: Target, level: &Level, parent: Option<&Expr>) -> Self {
        let site = Span::mixed_site();
        let item = Some(quote_spanned!(site=> #private::Field::id("span", #private::Role::Span),));
        let can_be_priority = match level {
            Level::Fixed(variant) => variant == "Warn" || variant == "Error",
            Level::Constant(_) => true,
        };
        match parent {
            Some(parent) => {
                let at = site.located_at(syn::spanned::Spanned::span(parent));
                let id = match parent {
                    Expr::Path(path) if path.path.is_ident("None") => quote_spanned!(site=> #private::NO_SPAN),
                    parent => quote_spanned!(at=> #private::event_parent(&(#parent))),
                };
                let variable = quote_spanned!(site=> __ttlog_span);
                SpanOf {
                    item,
                    holder: Some(quote_spanned!(site=> #id,)),
                    variable: Some(quote_spanned!(site=> #variable,)),
                    value: Some(variable),
                }
            }
            None if can_be_priority && on == Target::Server => {
                SpanOf { item, value: Some(quote_spanned!(site=> #private::current_id())), ..SpanOf::default() }
            }
            None => SpanOf::default(),
        }
    }
}

/// Generates the code that runs if the event is enabled.
fn record(private: &TokenStream, call: &Call, span: &SpanOf, fields: &[Field], operands: &[Operand]) -> TokenStream {
    let site = Span::mixed_site();
    let Call { before, first } = call;
    let SpanOf { holder, variable, value, .. } = span;
    let with_span = |values: TokenStream| match value {
        Some(value) => quote_spanned!(site=> #private::Cons(#value, #values)),
        None => values,
    };
    if operands.is_empty() && holder.is_none() {
        let values = with_span(quote_spanned!(site=> #private::Nil));
        return quote_spanned!(site=> #before(#first, #values););
    }
    let Held { imports, holders, variables, values } = Held::new(private, fields, operands);
    let values = with_span(values);
    quote_spanned! {site=>
        #imports
        match (#holder #(#holders,)*) {
            (#variable #(ref #variables,)*) => #before(#first, #values),
        };
    }
}

/// The parts of the code that evaluates the operands and records the values.
pub(crate) struct Held {
    pub(crate) imports: Option<TokenStream>,
    /// Expressions that take each operand.
    pub(crate) holders: Vec<TokenStream>,
    /// Names for references to what they return.
    pub(crate) variables: Vec<Ident>,
    /// List of the values.
    pub(crate) values: TokenStream,
}

impl Held {
    pub(crate) fn new(private: &TokenStream, fields: &[Field], operands: &[Operand]) -> Self {
        let site = Span::mixed_site();
        let holders = operands.iter().map(|operand| hold(private, operand)).collect();
        let variables: Vec<Ident> =
            (0..operands.len()).map(|index| format_ident!("__ttlog_{index}", span = site)).collect();
        let values = fields.iter().rev().fold(quote_spanned!(site=> #private::Nil), |rest, field| match field.source {
            FieldSource::Folded(_) => rest,
            FieldSource::Operand(index) => {
                let variable = &variables[index];
                // The compiler reports here that a type is no `Value`, if nothing else could capture it either.
                let variable = Ident::new(&variable.to_string(), errors_at(&operands[index]));
                let native = quote_spanned!(errors_at(&operands[index])=> #private::Value::native(#variable));
                quote_spanned!(site=> #private::Cons(#native, #rest))
            }
        });
        Held { imports: imports(private, operands), holders, variables, values }
    }
}

/// Generates the expression that takes an operand by reference, as its capture and its type require.
fn hold(private: &TokenStream, operand: &Operand) -> TokenStream {
    let at = errors_at(operand);
    let expr = &operand.expr;
    let wrapper = match operand.hold {
        Hold::Bare => "Bare",
        Hold::Template => "Templ",
        Hold::TemplateDebug => "TemplDebug",
        Hold::Display => "AsDisplay",
        Hold::Debug => "AsDebug",
    };
    let wrapper = Ident::new(wrapper, at);
    // As many references as the first choice of the longest list has; method lookup removes them one by one.
    quote_spanned!(at=> (&&&&&&&&#private::#wrapper(&(#expr))).ttlog_hold())
}

/// Returns a span that resolves names as our code does and lets errors about the operand's type point at the operand.
fn errors_at(operand: &Operand) -> Span {
    Span::mixed_site().located_at(operand.span)
}

/// Generates the `use` of the traits that define `ttlog_hold`; exactly those that can be needed.
fn imports(private: &TokenStream, operands: &[Operand]) -> Option<TokenStream> {
    let site = Span::mixed_site();
    let any = |wanted: &[Hold]| operands.iter().any(|operand| wanted.contains(&operand.hold));
    let traits = [
        ("ViaValue", !operands.is_empty()),
        ("ViaError", any(&[Hold::Bare])),
        ("ViaNothing", any(&[Hold::Bare, Hold::Template, Hold::TemplateDebug])),
        ("ViaDisplay", any(&[Hold::Template])),
        ("ViaDebug", any(&[Hold::TemplateDebug])),
        ("ViaOwnDisplay", any(&[Hold::Display])),
        ("ViaOwnDebug", any(&[Hold::Debug])),
    ];
    let names: Vec<Ident> =
        traits.iter().filter(|(_, needed)| *needed).map(|(name, _)| Ident::new(name, site)).collect();
    (!names.is_empty()).then(|| quote_spanned!(site=> use #private::{#(#names as _),*};))
}
