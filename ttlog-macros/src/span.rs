//! `span!` and its like: syntax and code.
//!
//! ```text
//! span     := "[" root "]" "[" level? "]" "[" kind "]" user                    from the front end
//! user     := labels (level "," labels)? name ("," argument)* ","?             kind "span" or "scope"
//!           | span ("," argument)* ","?                                        kind "record"
//! labels   := (("target" | "parent") ":" expression ",")*
//! name     := string literal
//! ```
//!
//! A span becomes
//!
//! ```text
//! {
//!     …                                                          metadata and callsite, as for an event
//!     if level_enabled(…) && Callsite::is_enabled(&__TTLOG_CALLSITE) {
//!         let __ttlog_span = match (contextual(), hold the first operand, …) {
//!             (ref __ttlog_start, ref __ttlog_0, …) => {
//!                 start(__ttlog_start, &__TTLOG_CALLSITE, Cons(id, Cons(parent, Cons(…, Nil))));
//!                 span_of(__ttlog_start)                          or `scope(…)`
//!             }
//!         };
//!         __ttlog_span
//!     } else {
//!         Span::none()
//!     }
//! }
//! ```
//!
//! A device records the parent only if it is named: readers know the span that the context is in. It records a start
//! like any event.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens as _, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::{Error, Expr, LitStr, Result, Token, bracketed};

use crate::args::{
    Argument, Capture, Labels, Level, next_is_labeled, next_is_missing, parse_comma, parse_level, place,
};
use crate::expand::{Call, Held, Items, Target, field_item};
use crate::fields::Fields;
use crate::literal;

/// Everything in the parentheses of a macro of spans.
pub(crate) struct SpanMacro {
    /// `$crate` of the front end.
    root: TokenStream,
    kind: Kind,
    arguments: Vec<Argument>,
}

/// Effect of the macro.
enum Kind {
    /// Starts a span.
    Span(Start),
    /// Starts a span and enters it.
    Scope(Start),
    /// Records values of the span that the expression returns.
    Record(Box<Expr>),
}

/// The start of a span.
struct Start {
    level: Level,
    target: Option<Expr>,
    parent: Option<Expr>,
    name: LitStr,
}

impl Parse for SpanMacro {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let header;
        bracketed!(header in input);
        let root: TokenStream = header.parse()?;
        let header;
        bracketed!(header in input);
        let fixed_level: Option<Ident> = header.parse()?;
        let header;
        bracketed!(header in input);
        let kind: Ident = header.parse()?;
        let kind = match kind.to_string().as_str() {
            "record" => Kind::Record(Box::new(parse_span(input)?)),
            "scope" => Kind::Scope(Start::parse(input, fixed_level)?),
            _ => Kind::Span(Start::parse(input, fixed_level)?),
        };
        let mut arguments = Vec::new();
        while !input.is_empty() {
            parse_comma(input)?;
            if next_is_labeled(input) {
                return Err(input.error("`target:` and `parent:` come before the name of the span"));
            }
            if !input.is_empty() {
                arguments.push(input.parse()?);
            }
        }
        arguments.iter().try_for_each(require_name)?;
        if arguments.is_empty() && matches!(kind, Kind::Record(_)) {
            return Err(Error::new(Span::call_site(), "no field: write one, as in `record!(span, status = 200)`"));
        }
        Ok(SpanMacro { root, kind, arguments })
    }
}

impl Start {
    fn parse(input: ParseStream<'_>, fixed_level: Option<Ident>) -> Result<Self> {
        let unknown =
            |label: &Ident| Error::new_spanned(label, "a span has a `target:`, a `parent:`, a name and fields");
        let mut labels = Labels::default();
        labels.parse(input, unknown)?;
        let level = match fixed_level {
            Some(level) => Level::Fixed(level),
            None => parse_level(input)?,
        };
        labels.parse(input, unknown)?;
        let name = match input.parse::<LitStr>() {
            Ok(name) if input.is_empty() || input.peek(Token![,]) => name,
            _ => return Err(input.error("expected the name of the span, a string literal: `info_span!(\"request\")`")),
        };
        if name.value().is_empty() {
            return Err(Error::new_spanned(name, "the name of a span cannot be empty"));
        }
        Ok(Start { level, target: labels.target, parent: labels.parent, name })
    }
}

fn parse_span(input: ParseStream<'_>) -> Result<Expr> {
    if next_is_missing(input) {
        return Err(input.error("expected a span: `record!(span, status = 200)`"));
    }
    input.parse()
}

/// Requires that an argument is a field.
fn require_name(argument: &Argument) -> Result<()> {
    if argument.name.is_some() || place(&argument.expr).is_some() {
        return Ok(());
    }
    let is_text = literal::as_str(&argument.expr).is_some() && argument.capture == Capture::Plain;
    let text = if is_text {
        "a span has one name, before its fields; to record this text, give it a name: `name = …`"
    } else {
        "this field needs a name: `name = …`"
    };
    Err(Error::new_spanned(&argument.expr, text))
}

/// Generates the expression of a macro of spans.
pub(crate) fn expand(input: SpanMacro, on: Target) -> Result<TokenStream> {
    let SpanMacro { root, kind, arguments } = input;
    let fields = Fields::resolve(arguments)?;
    Ok(match kind {
        Kind::Span(start) => expand_start(&root, &start, false, &fields, on),
        Kind::Scope(start) => expand_start(&root, &start, true, &fields, on),
        Kind::Record(span) => expand_record(&root, &span, &fields, on),
    })
}

fn expand_start(root: &TokenStream, start: &Start, enters: bool, fields: &Fields, on: Target) -> TokenStream {
    let site = Span::mixed_site();
    let private = quote_spanned!(site=> __ttlog);
    let (level_item, level) = match &start.level {
        Level::Fixed(variant) => {
            let variant = Ident::new(&variant.to_string(), site);
            (None, quote_spanned!(site=> #private::Level::#variant))
        }
        Level::Constant(expr) => (
            Some(quote_spanned!(site=> const __TTLOG_LEVEL: #private::Level = #expr;)),
            quote_spanned!(site=> __TTLOG_LEVEL),
        ),
    };
    let target = match &start.target {
        Some(target) => quote_spanned!(site=> #target),
        None => quote_spanned!(site=> ::core::module_path!()),
    };
    // The name is a template without placeholders.
    let name = LitStr::new(&start.name.value().replace('{', "{{").replace('}', "}}"), start.name.span());
    let has_parent = on == Target::Server || start.parent.is_some();
    let parent_item = has_parent.then(|| quote_spanned!(site=> #private::Field::id("parent", #private::Role::Parent),));
    let (role, none, handle) = if enters { ("Begin", "Scope", "scope") } else { ("Start", "Span", "span_of") };
    let [role, none, handle] = [role, none, handle].map(|name| Ident::new(name, site));
    let field_items = fields.fields.iter().map(|field| field_item(&private, field, &fields.operands));
    let metadata = quote_spanned! {site=>
        #private::Metadata {
            level: #level,
            target: #target,
            message: #name,
            file: ::core::file!(),
            line: ::core::line!(),
            fields: &[#private::Field::id("span", #private::Role::#role), #parent_item #(#field_items),*],
        }
    };
    let Items { items, is_on } = Items::new(&private, on, &level, &metadata);
    let begin = match &start.parent {
        None => quote_spanned!(site=> #private::contextual()),
        Some(Expr::Path(path)) if path.path.is_ident("None") => quote_spanned!(site=> #private::root()),
        Some(parent) => {
            let at = site.located_at(syn::spanned::Spanned::span(parent));
            quote_spanned!(at=> #private::under(&(#parent)))
        }
    };
    let Held { imports, holders, variables, mut values } = Held::new(&private, &fields.fields, &fields.operands);
    let variable = quote_spanned!(site=> __ttlog_start);
    if has_parent {
        values = quote_spanned!(site=> #private::Cons(#private::SpanStart::parent_value(#variable), #values));
    }
    let values = quote_spanned!(site=> #private::Cons(#private::SpanStart::id_value(#variable), #values));
    let record = match on {
        Target::Server => quote_spanned!(site=> #private::start(#variable, &__TTLOG_CALLSITE, #values)),
        Target::Device => quote_spanned!(site=> #private::record_callsite!(__TTLOG_TEXT, #values)),
    };
    quote_spanned! {site=>
        {
            use #root::__private as __ttlog;
            #level_item
            #items
            if #private::level_enabled(#level) && #is_on {
                #imports
                let __ttlog_span = match (#begin, #(#holders,)*) {
                    (ref #variable, #(ref #variables,)*) => {
                        if #private::SpanStart::id(#variable) != 0 {
                            #record;
                        }
                        #private::#handle(#variable)
                    }
                };
                __ttlog_span
            } else {
                #private::#none::none()
            }
        }
    }
}

fn expand_record(root: &TokenStream, span: &Expr, fields: &Fields, on: Target) -> TokenStream {
    let site = Span::mixed_site();
    let private = quote_spanned!(site=> __ttlog);
    let field_items = fields.fields.iter().map(|field| field_item(&private, field, &fields.operands));
    let metadata = quote_spanned! {site=>
        #private::Metadata {
            level: #private::Level::Trace,
            target: ::core::module_path!(),
            message: "record",
            file: ::core::file!(),
            line: ::core::line!(),
            fields: &[#private::Field::id("span", #private::Role::Update), #(#field_items),*],
        }
    };
    let Items { items, .. } = Items::new(&private, on, &quote_spanned!(site=> #private::Level::Trace), &metadata);
    let Held { imports, holders, variables, values } = Held::new(&private, &fields.fields, &fields.operands);
    let Call { before, first } = Call::new(&private, on, quote_spanned!(site=> false));
    let at = site.located_at(syn::spanned::Spanned::span(span));
    let span = span.to_token_stream();
    let updated = quote_spanned!(at=> #private::updated(&(#span)));
    quote_spanned! {site=>
        {
            use #root::__private as __ttlog;
            #items
            match #updated {
                0 => {}
                __ttlog_span => {
                    #imports
                    match (#(#holders,)*) {
                        (#(ref #variables,)*) => #before(#first, #private::Cons(__ttlog_span, #values)),
                    };
                }
            };
        }
    }
}
