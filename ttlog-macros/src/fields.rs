//! The meaning of the arguments: which one is the message, which ones fill its placeholders, and how each field is
//! named.
//!
//! Rules:
//! - The first string literal that stands alone is the message. Arguments before it are fields.
//! - After it, the first arguments without a name are positional, as many as its placeholders ask for; the rest are
//!   fields.
//! - `{name}` shows the listed field of that name, or else a variable (or path of fields) in scope, which becomes a
//!   field.
//! - Fields are in order of first appearance, also in a placeholder; expressions are evaluated in the order of the
//!   source.
//! - A positional argument is named after the variable or the last field it names (references and parentheses do not
//!   count), or `arg0`, `arg1`, … where it names none or the name is taken. Readers see names only.
//! - `secret` marks the field of the argument after it, wherever that field is shown.
//! - A plain argument shown by a placeholder need only implement what the placeholder asks for (`Display` or `Debug`).

use std::collections::HashMap;

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens as _, quote};
use syn::ext::IdentExt as _;
use syn::parse::Parser as _;
use syn::spanned::Spanned as _;
use syn::{Error, Expr, LitStr, Result};

use crate::args::{Argument, Capture, place};
use crate::error::span_within;
use crate::literal::{self, Folded};
use crate::template::{Placeholder, Reference, Template};

/// The meaning of an event's arguments.
pub(crate) struct Fields {
    /// The message for readers: every placeholder holds the name of a field. Empty if there is no message.
    pub(crate) message: String,
    /// In order of first appearance.
    pub(crate) fields: Vec<Field>,
    /// The expressions to evaluate, in the order of the source.
    pub(crate) operands: Vec<Operand>,
}

/// A field of the event.
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) source: FieldSource,
    /// Whether it is marked as secret.
    pub(crate) secret: bool,
}

/// Where the value of a field comes from.
pub(crate) enum FieldSource {
    /// The callsite.
    Folded(Folded),
    /// The operand of this index.
    Operand(usize),
}

/// An expression evaluated when the event happens.
pub(crate) struct Operand {
    pub(crate) expr: TokenStream,
    /// Where errors about its type point.
    pub(crate) span: Span,
    pub(crate) hold: Hold,
}

/// Traits of which the value of an operand must implement one, in order of preference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Hold {
    /// `Value`, `Error`.
    Bare,
    /// `Value`, `Display`.
    Template,
    /// `Value`, `Debug`.
    TemplateDebug,
    /// `Value` of a type whose `Display` readers know, `Display`.
    Display,
    /// `Value` of a type whose `Debug` readers know, `Debug`.
    Debug,
}

/// The arguments by their roles.
struct Parts<'a> {
    /// Index of the message among the arguments, the literal, and its template.
    message: Option<(usize, &'a LitStr, Template)>,
    /// Indices of the positional arguments.
    positional: Vec<usize>,
    /// Names of the arguments that are not positional; empty for the message and for positional ones.
    listed: Vec<String>,
}

impl Fields {
    pub(crate) fn resolve(arguments: Vec<Argument>) -> Result<Self> {
        let parts = Parts::find(&arguments)?;
        let mut names = Names::of(&parts, &arguments)?;
        let placeholder_names: Vec<String> = match &parts.message {
            Some((_, _, template)) => names.of_placeholders(template),
            None => Vec::new(),
        };

        // How a placeholder asks for a field; the first one that shows it decides.
        let mut shown: HashMap<&str, Hold> = HashMap::new();
        if let Some((_, _, template)) = &parts.message {
            for (placeholder, name) in template.placeholders().zip(&placeholder_names) {
                let hold = if placeholder.is_debug { Hold::TemplateDebug } else { Hold::Template };
                shown.entry(name).or_insert(hold);
            }
        }

        let mut order = Order::default();
        let mut operands = Vec::new();
        for (index, argument) in arguments.iter().enumerate() {
            match &parts.message {
                Some((message_index, literal, template)) if *message_index == index => {
                    for (placeholder, name) in template.placeholders().zip(&placeholder_names) {
                        let slot = order.slot(name);
                        if let (Reference::Name(path), None) = (&placeholder.reference, names.listed.get(name.as_str()))
                        {
                            if order.sources[slot].is_none() {
                                order.sources[slot] = Some(FieldSource::Operand(operands.len()));
                                operands.push(captured(path, literal, placeholder, shown[name.as_str()])?);
                            }
                        }
                    }
                }
                _ => {
                    let name = names.of_argument(index);
                    let slot = order.slot(name);
                    order.secret[slot] = argument.secret;
                    let folded = match argument.capture {
                        Capture::Plain => literal::fold(&argument.expr)?,
                        Capture::Display | Capture::Debug | Capture::Argument => None,
                    };
                    order.sources[slot] = Some(match folded {
                        Some(value) => FieldSource::Folded(value),
                        None => {
                            let hold = match argument.capture {
                                Capture::Plain => shown.get(name).copied().unwrap_or(Hold::Bare),
                                Capture::Display => Hold::Display,
                                Capture::Debug => Hold::Debug,
                                Capture::Argument => Hold::TemplateDebug,
                            };
                            let expr = argument.expr.to_token_stream();
                            operands.push(Operand { expr, span: argument.expr.span(), hold });
                            FieldSource::Operand(operands.len() - 1)
                        }
                    });
                }
            }
        }

        let message = match &parts.message {
            Some((_, _, template)) => template.with_names(placeholder_names.iter().map(String::as_str)),
            None => String::new(),
        };
        Ok(Self { message, fields: order.into_fields(), operands })
    }
}

impl<'a> Parts<'a> {
    fn find(arguments: &'a [Argument]) -> Result<Self> {
        let is_bare = |argument: &Argument| argument.name.is_none() && argument.capture == Capture::Plain;
        let message = arguments.iter().enumerate().find_map(|(index, argument)| {
            literal::as_str(&argument.expr).filter(|_| is_bare(argument)).map(|literal| (index, literal))
        });
        if let Some((_, literal)) = message.filter(|(index, _)| arguments[*index].secret) {
            let text = "a message cannot be secret: mark the fields that it shows, as in \
                        `info!(\"token {token}\", secret token)`";
            return Err(Error::new_spanned(literal, text));
        }
        let message = match message {
            None => None,
            Some((index, literal)) => {
                let template = Template::parse(&literal.value())
                    .map_err(|error| Error::new(span_within(literal, error.range), error.text))?;
                Some((index, literal, template))
            }
        };
        let positional = match &message {
            Some((index, literal, template)) => find_positional(arguments, *index, literal, template)?,
            None => Vec::new(),
        };
        let mut listed = Vec::with_capacity(arguments.len());
        for (index, argument) in arguments.iter().enumerate() {
            let is_message = matches!(&message, Some((message_index, ..)) if *message_index == index);
            listed.push(match &argument.name {
                _ if is_message || positional.contains(&index) => String::new(),
                Some(name) => name.text.clone(),
                None => match place(&argument.expr) {
                    Some(segments) => segments.join("."),
                    None => return Err(nameless(argument, message.as_ref().map(|(at, ..)| *at < index))),
                },
            });
        }
        Ok(Self { message, positional, listed })
    }
}

/// Returns the error for an argument that lacks a name. `after_message` is `None` if there is no message.
fn nameless(argument: &Argument, after_message: Option<bool>) -> Error {
    let expr = &argument.expr;
    let text = match after_message {
        Some(true) if literal::as_str(expr).is_some() && argument.capture == Capture::Plain => {
            "an event has one message; this is the second string that stands alone, and the first has no `{}` for it"
                .to_owned()
        }
        Some(true) => {
            "the message has no `{}` for this argument; to record it as a field, give it a name: `name = …`".to_owned()
        }
        Some(false) => "this field needs a name: `name = …`".to_owned(),
        None if argument.capture == Capture::Plain => {
            "the message must be a string literal; to record this as a field, give it a name: `name = …`".to_owned()
        }
        None => "this field needs a name, as in `name = %value`".to_owned(),
    };
    Error::new_spanned(expr, text)
}

fn find_positional(
    arguments: &[Argument],
    message: usize,
    literal: &LitStr,
    template: &Template,
) -> Result<Vec<usize>> {
    let mut available = (message + 1..arguments.len()).filter(|&index| arguments[index].name.is_none());
    let mut positional = Vec::new();
    let mut is_shown = Vec::new();
    let mut next = 0;
    for placeholder in template.placeholders() {
        let wanted = match placeholder.reference {
            Reference::Next => {
                next += 1;
                next - 1
            }
            Reference::Index(index) => index,
            Reference::Name(_) => continue,
        };
        while positional.len() <= wanted {
            match available.next() {
                Some(index) => positional.push(index),
                None => return Err(missing_positional(literal, placeholder, wanted, positional.len())),
            }
        }
        is_shown.resize(positional.len(), false);
        is_shown[wanted] = true;
    }
    match is_shown.iter().position(|shown| !shown) {
        Some(unused) => Err(Error::new_spanned(
            &arguments[positional[unused]].expr,
            format!("positional argument {unused} is not shown: the message has no `{{{unused}}}`"),
        )),
        None => Ok(positional),
    }
}

fn missing_positional(literal: &LitStr, placeholder: &Placeholder, wanted: usize, count: usize) -> Error {
    let shown = &literal.value()[placeholder.range.clone()];
    let found = match count {
        0 => "there is none".to_owned(),
        1 => "there is only index 0".to_owned(),
        _ => format!("the last one has index {}", count - 1),
    };
    let text = format!("`{shown}` needs a positional argument with index {wanted} after the message, but {found}");
    Error::new(span_within(literal, placeholder.range.clone()), text)
}

/// The names of all fields.
struct Names<'a> {
    parts: &'a Parts<'a>,
    /// Names of arguments that are not positional, with the argument's index.
    listed: HashMap<&'a str, usize>,
    /// By position.
    positional: Vec<String>,
}

impl<'a> Names<'a> {
    fn of(parts: &'a Parts<'a>, arguments: &[Argument]) -> Result<Self> {
        let mut listed = HashMap::new();
        for (index, name) in parts.listed.iter().enumerate() {
            if !name.is_empty() && listed.insert(name.as_str(), index).is_some() {
                let text = format!("this event has a field `{name}` already");
                return Err(match &arguments[index].name {
                    Some(written) => Error::new_spanned(&written.tokens, text),
                    None => Error::new_spanned(&arguments[index].expr, text),
                });
            }
        }
        let captured: Vec<&str> = match &parts.message {
            Some((_, _, template)) => template
                .placeholders()
                .filter_map(|placeholder| match &placeholder.reference {
                    Reference::Name(name) => Some(name.as_str()),
                    Reference::Next | Reference::Index(_) => None,
                })
                .collect(),
            None => Vec::new(),
        };
        let mut positional: Vec<String> = Vec::new();
        for (position, &index) in parts.positional.iter().enumerate() {
            let is_free = |name: &String| {
                !listed.contains_key(name.as_str()) && !captured.contains(&name.as_str()) && !positional.contains(name)
            };
            let name = named_after(&arguments[index].expr).filter(is_free).unwrap_or_else(|| {
                let mut name = format!("arg{position}");
                while !is_free(&name) {
                    name.push('_');
                }
                name
            });
            positional.push(name);
        }
        Ok(Self { parts, listed, positional })
    }

    /// Returns the names that the placeholders show, in the order of the text.
    fn of_placeholders(&mut self, template: &Template) -> Vec<String> {
        let mut next = self.positional.iter();
        template
            .placeholders()
            .map(|placeholder| match &placeholder.reference {
                Reference::Next => next.next().expect("every `{}` has an argument").clone(),
                Reference::Index(index) => self.positional[*index].clone(),
                Reference::Name(name) => name.clone(),
            })
            .collect()
    }

    fn of_argument(&self, index: usize) -> &str {
        match self.parts.positional.iter().position(|&positional| positional == index) {
            Some(position) => &self.positional[position],
            None => &self.parts.listed[index],
        }
    }
}

/// Fields in order of first appearance.
#[derive(Default)]
struct Order {
    names: Vec<String>,
    sources: Vec<Option<FieldSource>>,
    secret: Vec<bool>,
}

impl Order {
    fn slot(&mut self, name: &str) -> usize {
        if let Some(slot) = self.names.iter().position(|known| known == name) {
            return slot;
        }
        self.names.push(name.to_owned());
        self.sources.push(None);
        self.secret.push(false);
        self.names.len() - 1
    }

    fn into_fields(self) -> Vec<Field> {
        self.names
            .into_iter()
            .zip(self.sources)
            .zip(self.secret)
            .map(|((name, source), secret)| Field {
                name,
                source: source.expect("every name stands for an argument or a capture"),
                secret,
            })
            .collect()
    }
}

/// Returns the name for a positional argument, if its expression has one.
fn named_after(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Group(inner) => named_after(&inner.expr),
        Expr::Paren(inner) => named_after(&inner.expr),
        Expr::Reference(inner) => named_after(&inner.expr),
        Expr::Unary(inner) if matches!(inner.op, syn::UnOp::Deref(_)) => named_after(&inner.expr),
        Expr::Path(path) if path.qself.is_none() => {
            path.path.segments.last().map(|segment| segment.ident.unraw().to_string())
        }
        // The index of a tuple's element is no name: `{0}` would mean something else.
        other => place(other)?.pop().filter(|name| !name.starts_with(|c: char| c.is_ascii_digit())),
    }
}

/// Builds the expression of a placeholder that names something in scope.
fn captured(path: &str, literal: &LitStr, placeholder: &Placeholder, hold: Hold) -> Result<Operand> {
    let span = span_within(literal, placeholder.range.clone());
    let mut expr = TokenStream::new();
    for (index, segment) in path.split('.').enumerate() {
        if index > 0 {
            expr.extend(quote!(.));
        }
        match segment.parse::<usize>() {
            Ok(member) => expr.extend([Literal::usize_unsuffixed(member)]),
            Err(_) => {
                let mut ident = identifier(segment, index == 0).ok_or_else(|| {
                    Error::new(span, format!("`{segment}` in `{{{path}}}` is not the name of a variable or field"))
                })?;
                ident.set_span(span);
                expr.extend([ident]);
            }
        }
    }
    Ok(Operand { expr, span, hold })
}

/// Returns `name` as an identifier, raw if it is a keyword; none if it can be neither. `self` is one only where
/// `first`.
fn identifier(name: &str, first: bool) -> Option<Ident> {
    match name {
        "self" if first => Some(Ident::new("self", Span::call_site())),
        "self" | "Self" | "super" | "crate" => None,
        _ => Ident::parse_any.parse_str(name).ok().map(|ident| {
            if syn::parse_str::<Ident>(name).is_ok() { ident } else { Ident::new_raw(name, Span::call_site()) }
        }),
    }
}

#[cfg(test)]
mod tests;
