//! The syntax of the log macros, without its meaning:
//!
//! ```text
//! event    := "[" root "]" "[" level? "]" user            from the front end: `$crate`, and the level if it is fixed
//! user     := labels (level ",")? labels (argument ("," argument)* ","?)?                 level only if not fixed
//! labels   := (("target" | "parent") ":" expression ",")*
//! argument := "secret"? name "=" capture? expression  |  "secret"? capture? expression
//! name     := identifier ("." identifier)*  |  string literal
//! capture  := "%" | "?"
//! ```
//!
//! A `secret` that is itself the variable, the name, or the start of an expression is no mark; see [`parse_secret`].
//!
//! `fields` decides which argument is the message, a positional argument or a shorthand field.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens as _;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Expr, ExprField, Ident, Lit, LitStr, Member, Result, Token, bracketed};

use crate::literal;

/// Everything in the parentheses of a log macro.
pub(crate) struct Event {
    /// `$crate` of the front end: the crate whose `__private` module the expansion uses.
    pub(crate) root: TokenStream,
    pub(crate) level: Level,
    pub(crate) labels: Labels,
    pub(crate) arguments: Vec<Argument>,
}

/// The level of an event.
pub(crate) enum Level {
    /// A variant of `Level`, from `info!` and its like.
    Fixed(Ident),
    /// A constant expression, from `event!`.
    Constant(Box<Expr>),
}

/// One comma-separated part.
pub(crate) struct Argument {
    /// Whether `secret` stands before it.
    pub(crate) secret: bool,
    pub(crate) name: Option<Name>,
    pub(crate) capture: Capture,
    pub(crate) expr: Expr,
}

/// The name before a `=`.
pub(crate) struct Name {
    /// Without `r#`; segments joined by dots.
    pub(crate) text: String,
    /// As written, for errors.
    pub(crate) tokens: TokenStream,
}

/// How the value of an argument is captured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Capture {
    /// As it is, with its type.
    Plain,
    /// `%`: shown as by `Display`.
    Display,
    /// `?`: shown as by `Debug`.
    Debug,
    /// `~`, from `#[instrument]` alone: as it is if it has a native form, else as text by `Debug`.
    Argument,
}

impl Parse for Event {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let header;
        bracketed!(header in input);
        let root: TokenStream = header.parse()?;
        let header;
        bracketed!(header in input);
        let fixed_level: Option<Ident> = header.parse()?;

        let mut labels = Labels::default();
        labels.parse(input, unknown_label)?;
        let level = match fixed_level {
            Some(level) => Level::Fixed(level),
            None => parse_level(input)?,
        };
        labels.parse(input, unknown_label)?;
        let mut arguments = Vec::new();
        while !input.is_empty() {
            arguments.push(input.parse()?);
            if !input.is_empty() {
                parse_comma(input)?;
            }
        }
        if arguments.is_empty() {
            return Err(Error::new(
                Span::call_site(),
                "this event is empty: write a message, as in `info!(\"started\")`, or at least one field",
            ));
        }
        Ok(Self { root, level, labels, arguments })
    }
}

/// Arguments with labels, which stand in front.
#[derive(Default)]
pub(crate) struct Labels {
    pub(crate) target: Option<Expr>,
    pub(crate) parent: Option<Expr>,
}

impl Labels {
    /// Parses those that come next; `unknown` is the error for another label.
    pub(crate) fn parse(&mut self, input: ParseStream<'_>, unknown: impl Fn(&Ident) -> Error) -> Result<()> {
        while next_is_labeled(input) {
            let label: Ident = input.call(Ident::parse_any)?;
            let place = match label.to_string().as_str() {
                "target" => &mut self.target,
                "parent" => &mut self.parent,
                _ => return Err(unknown(&label)),
            };
            let colon: Token![:] = input.parse()?;
            if next_is_missing(input) {
                return Err(Error::new_spanned(colon, format!("missing value of `{label}:`")));
            }
            if place.is_some() {
                return Err(Error::new_spanned(&label, format!("duplicate `{label}:`")));
            }
            *place = Some(input.parse()?);
            if !input.is_empty() {
                parse_comma(input)?;
            }
        }
        Ok(())
    }
}

pub(crate) fn parse_level(input: ParseStream<'_>) -> Result<Level> {
    const EXPECTED: &str = "expected a level, as in `event!(Level::Info, \"started\")`";
    if next_is_missing(input)
        || next_is_labeled(input)
        || next_is_named(input)
        || input.peek(Token![%])
        || input.peek(Token![?])
    {
        return Err(Error::new(input.span(), EXPECTED));
    }
    let level: Expr = input.parse()?;
    if matches!(literal::peel(&level), Expr::Lit(_)) {
        return Err(Error::new_spanned(level, EXPECTED));
    }
    if !input.is_empty() {
        parse_comma(input)?;
    }
    Ok(Level::Constant(Box::new(level)))
}

pub(crate) fn parse_comma(input: ParseStream<'_>) -> Result<()> {
    if input.peek(Token![,]) {
        input.parse::<Token![,]>()?;
        return Ok(());
    }
    Err(input.error("expected `,` before this"))
}

impl Parse for Argument {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if next_is_labeled(input) {
            let label: Ident = input.call(Ident::parse_any)?;
            return Err(if label == "target" || label == "parent" {
                Error::new_spanned(&label, format!("`{label}:` must come first"))
            } else {
                unknown_label(&label)
            });
        }
        if next_is_missing(input) {
            return Err(input.error("expected a field, an argument or the message"));
        }
        let secret = parse_secret(input)?;
        let name = if next_is_named(input) { Some(parse_name(input)?) } else { None };
        let mut before_value = None;
        if let Some(name) = &name {
            let equals: Token![=] = input.parse()?;
            if name.text.is_empty() {
                return Err(Error::new_spanned(&name.tokens, "the name of a field cannot be empty"));
            }
            before_value = Some((equals.into_token_stream(), format!("missing value of field `{}`", name.text)));
        }
        if name.is_some() {
            refuse_late_secret(input, "the name")?;
        }
        let capture = if input.peek(Token![%]) {
            let sigil: Token![%] = input.parse()?;
            before_value = Some((sigil.into_token_stream(), "missing value after `%`".to_owned()));
            Capture::Display
        } else if input.peek(Token![?]) {
            let sigil: Token![?] = input.parse()?;
            before_value = Some((sigil.into_token_stream(), "missing value after `?`".to_owned()));
            Capture::Debug
        } else if input.peek(Token![~]) {
            input.parse::<Token![~]>()?;
            Capture::Argument
        } else {
            Capture::Plain
        };
        if let Some((tokens, text)) = before_value.filter(|_| next_is_missing(input)) {
            return Err(Error::new_spanned(tokens, text));
        }
        match capture {
            Capture::Plain | Capture::Argument => {}
            Capture::Display => refuse_late_secret(input, "`%`")?,
            Capture::Debug => refuse_late_secret(input, "`?`")?,
        }
        let expr: Expr = input.parse()?;
        if let Expr::Assign(assign) = &expr {
            return Err(if name.is_some() {
                Error::new(assign.eq_token.spans[0], "unexpected `=` in a value: write `==` to compare")
            } else {
                Error::new_spanned(
                    &assign.left,
                    "the name of a field is an identifier, identifiers with dots between them, or a string literal",
                )
            });
        }
        Ok(Self { secret, name, capture, expr })
    }
}

/// Parses the mark `secret`, if one comes next: `secret x`, `secret name = …`, `secret %x`, `secret ?x`.
///
/// Every expression that begins with a variable `secret` stays an expression, such as `secret`, `secret.x`, `secret ==
/// 1`, `secret as u64`, `secret?.x` or `secret % 2`. The exception is `secret % x`, which needs parentheses.
fn parse_secret(input: ParseStream<'_>) -> Result<bool> {
    if !next_is_secret(input) {
        return Ok(false);
    }
    input.call(Ident::parse_any)?;
    if next_is_secret(input) {
        return Err(input.error("duplicate `secret`"));
    }
    Ok(true)
}

fn next_is_secret(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    if !ahead.call(Ident::parse_any).is_ok_and(|ident| ident == "secret") {
        return false;
    }
    if ahead.peek(Token![%]) && !ahead.peek(Token![%=]) {
        return !ahead.peek2(Lit);
    }
    if ahead.peek(Token![?]) {
        return ahead.peek2(Ident::peek_any) && !ahead.peek2(Token![as]);
    }
    ahead.peek(Lit) || ahead.peek(Ident::peek_any) && !ahead.peek(Token![as])
}

/// Refuses the mark if it comes next, after `what`, and says where it belongs.
fn refuse_late_secret(input: ParseStream<'_>, what: &str) -> Result<()> {
    if next_is_secret(input) {
        return Err(
            input.error(format!("`secret` comes before {what}, as in `secret name = value` or `secret %value`"))
        );
    }
    Ok(())
}

/// Whether `identifier:` comes next, with which no expression begins.
pub(crate) fn next_is_labeled(input: ParseStream<'_>) -> bool {
    input.peek(Ident::peek_any) && input.peek2(Token![:]) && !input.peek2(Token![::])
}

pub(crate) fn next_is_missing(input: ParseStream<'_>) -> bool {
    input.is_empty() || input.peek(Token![,])
}

fn next_is_named(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    parse_name(&ahead).is_ok() && ahead.peek(Token![=]) && !ahead.peek(Token![==]) && !ahead.peek(Token![=>])
}

fn parse_name(input: ParseStream<'_>) -> Result<Name> {
    if input.peek(LitStr) {
        let literal: LitStr = input.parse()?;
        return Ok(Name { text: literal.value(), tokens: literal.into_token_stream() });
    }
    let mut text = String::new();
    let mut tokens = TokenStream::new();
    loop {
        let segment: Ident = input.call(Ident::parse_any)?;
        if segment == "_" {
            return Err(Error::new_spanned(segment, "`_` is not the name of a field"));
        }
        text.push_str(&segment.unraw().to_string());
        segment.to_tokens(&mut tokens);
        if !input.peek(Token![.]) {
            return Ok(Name { text, tokens });
        }
        let dot: Token![.] = input.parse()?;
        text.push('.');
        dot.to_tokens(&mut tokens);
    }
}

fn unknown_label(label: &Ident) -> Error {
    let text = match label.to_string().as_str() {
        "name" => format!("`{label}:` is not supported: an event has a `target:`, a `parent:` and fields"),
        _ => format!("write a field as `{label} = value`"),
    };
    Error::new_spanned(label, text)
}

/// Returns the segments of `expr` if it is a variable or a path of fields such as `self.user.id`, which need no name.
pub(crate) fn place(expr: &Expr) -> Option<Vec<String>> {
    match literal::peel(expr) {
        Expr::Path(path) if path.attrs.is_empty() && path.qself.is_none() => {
            path.path.get_ident().map(|ident| vec![ident.unraw().to_string()])
        }
        Expr::Field(ExprField { attrs, base, member, .. }) if attrs.is_empty() => {
            let mut segments = place(base)?;
            segments.push(match member {
                Member::Named(ident) => ident.unraw().to_string(),
                Member::Unnamed(index) => index.index.to_string(),
            });
            Some(segments)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
