//! Message templates: the text of `info!("user {id} took {ms:.1} ms")`, split into literal text and placeholders.
//!
//! The grammar is that of `std::fmt` with these differences. A reader fills in the template and has only the fields, so
//! there is no width or precision from an argument (`width$`, `.precision$`, `.*`), and no `p`. A placeholder may name
//! a field path (`{req.id}`). Width and precision are at most 65,535.

use std::fmt::Write as _;
use std::ops::Range;

/// A parsed template.
#[derive(Debug, PartialEq)]
pub(crate) struct Template {
    /// In the order of the text.
    pub(crate) pieces: Vec<Piece>,
}

/// A part of a template.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    /// Literal text; braces are still doubled.
    Text(String),
    /// The place of a field's value.
    Placeholder(Placeholder),
}

/// A `{…}` of a template.
#[derive(Debug, PartialEq)]
pub(crate) struct Placeholder {
    /// The argument that it shows.
    pub(crate) reference: Reference,
    /// The text after the colon; empty if there is none.
    pub(crate) spec: String,
    /// Whether the spec asks for `Debug` (`?`, `x?`, `X?`).
    pub(crate) is_debug: bool,
    /// Bytes of the template, braces included.
    pub(crate) range: Range<usize>,
}

/// How a placeholder refers to an argument.
#[derive(Debug, PartialEq)]
pub(crate) enum Reference {
    /// `{}`: the next positional argument.
    Next,
    /// `{2}`: a positional argument by its 0-based index.
    Index(usize),
    /// `{name}` or `{dotted.name}`: a field of the event, or a variable in scope.
    Name(String),
}

/// An error in a template, with its place in bytes.
#[derive(Debug, PartialEq)]
pub(crate) struct TemplateError {
    /// The message to the user, which quotes the part that it is about.
    pub(crate) text: String,
    /// The part that it is about.
    pub(crate) range: Range<usize>,
}

/// Largest width or precision, as in `std::fmt`.
const MAX_NUMBER: u64 = u16::MAX as u64;

impl Template {
    /// Parses the value of a message literal.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut cursor = Cursor { text, at: 0 };
        let mut pieces = Vec::new();
        let mut literal = String::new();
        while let Some(next) = cursor.next() {
            match next {
                '{' if cursor.take('{') => literal.push_str("{{"),
                '}' if cursor.take('}') => literal.push_str("}}"),
                '}' => {
                    return Err(TemplateError {
                        text: "unmatched `}` in the message: write `}}` for a brace".to_owned(),
                        range: cursor.at - 1..cursor.at,
                    });
                }
                '{' => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut literal)));
                    }
                    pieces.push(Piece::Placeholder(cursor.placeholder()?));
                }
                other => literal.push(other),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self { pieces })
    }

    /// Iterates over the placeholders in the order of the text.
    pub(crate) fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Placeholder(placeholder) => Some(placeholder),
            Piece::Text(_) => None,
        })
    }

    /// Returns the template with `names[i]` as the name in the i-th placeholder.
    pub(crate) fn with_names<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> String {
        let mut names = names.into_iter();
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Placeholder(Placeholder { spec, .. }) => {
                    out.push('{');
                    out.push_str(names.next().expect("one name per placeholder"));
                    if !spec.is_empty() {
                        write!(out, ":{spec}").expect("writing to a String does not fail");
                    }
                    out.push('}');
                }
            }
        }
        out
    }
}

/// A position in the text.
struct Cursor<'a> {
    text: &'a str,
    /// In 0..=text.len(), on a character boundary.
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    fn skip_whitespace(&mut self) {
        self.take_while(char::is_whitespace);
    }

    /// Parses a placeholder whose `{` has been read.
    fn placeholder(&mut self) -> Result<Placeholder, TemplateError> {
        let start = self.at - 1;
        self.skip_whitespace();
        let name_start = self.at;
        let name = self.take_while(|c| is_name_char(c) || c == '.');
        let reference =
            parse_reference(name).map_err(|reason| TemplateError { text: reason, range: name_start..self.at })?;
        self.skip_whitespace();
        let (spec, is_debug) = if self.take(':') { self.spec(start)? } else { (String::new(), false) };
        self.skip_whitespace();
        if !self.take('}') {
            return Err(self.unclosed(start));
        }
        Ok(Placeholder { reference, spec, is_debug, range: start..self.at })
    }

    /// Returns the error for a placeholder that begins at `start` and does not end here.
    fn unclosed(&self, start: usize) -> TemplateError {
        let before = self.text[start..self.at].trim_end();
        match self.peek() {
            None => TemplateError {
                text: format!("unclosed `{before}` in the message: add `}}`, or write `{{{{` for a brace"),
                range: start..self.at,
            },
            Some('{') => TemplateError {
                text: format!("unclosed `{before}` before another `{{`: add `}}`, or write `{{{{` for a brace"),
                range: start..self.at,
            },
            Some(found) => TemplateError {
                text: format!(
                    "expected `}}` after `{before}`, found `{found}`: a placeholder holds a name and a format only; \
                     pass an expression as an argument, as in `\"{{name}}\", name = expression`"
                ),
                range: self.at..self.at + found.len_utf8(),
            },
        }
    }

    /// Parses a format spec after its colon; `start` is where the placeholder begins.
    ///
    /// Returns the spec as written, and whether it asks for `Debug`.
    fn spec(&mut self, start: usize) -> Result<(String, bool), TemplateError> {
        let spec_start = self.at;
        let mut ahead = self.rest().chars();
        let (first, second) = (ahead.next(), ahead.next());
        if let (Some(fill), Some('<' | '^' | '>')) = (first, second) {
            if matches!(fill, '{' | '}') {
                return Err(TemplateError {
                    text: format!("`{fill}` cannot be the fill character of a placeholder"),
                    range: self.at..self.at + 1,
                });
            }
            self.next();
            self.next();
        } else if matches!(first, Some('<' | '^' | '>')) {
            self.next();
        }
        if matches!(self.peek(), Some('+' | '-')) {
            self.next();
        }
        self.take('#');
        // A leading `0` is the flag, unless it is the argument of `0$`.
        if self.rest().starts_with('0') && !self.rest().starts_with("0$") {
            self.next();
        }
        self.number("width", "$", start)?;
        if self.take('.') {
            if self.take('*') {
                return Err(self.run_time_number(start, "`.*` takes the precision"));
            }
            if !self.number("precision", "$", start)? {
                return Err(TemplateError {
                    text: format!("missing precision after `{}`", &self.text[start..self.at]),
                    range: start..self.at,
                });
            }
        }
        let type_start = self.at;
        let name = self.take_while(|c| is_name_char(c) || c == '?');
        let is_debug = match name {
            "?" | "x?" | "X?" => true,
            "" | "x" | "X" | "o" | "b" | "e" | "E" => false,
            "p" => {
                return Err(TemplateError {
                    text: "pointers cannot be shown by a reader of the event: \
                           pass the formatted text, as in `\"{p}\", p = %format_args!(\"{:p}\", ptr)`"
                        .to_owned(),
                    range: type_start..self.at,
                });
            }
            unknown => {
                return Err(TemplateError {
                    text: format!(
                        "unknown format type `{unknown}`: \
                         expected nothing, `?`, `x?`, `X?`, `x`, `X`, `o`, `b`, `e` or `E`"
                    ),
                    range: type_start..self.at,
                });
            }
        };
        Ok((self.text[spec_start..self.at].to_owned(), is_debug))
    }

    /// Reads a number if there is one; `what` names it. A name or a number followed by `$` is refused.
    fn number(&mut self, what: &str, sigil: &str, start: usize) -> Result<bool, TemplateError> {
        let name_len = self.rest().find(|c| !is_name_char(c)).unwrap_or(self.rest().len());
        if name_len > 0 && self.rest()[name_len..].starts_with(sigil) {
            self.at += name_len + sigil.len();
            return Err(self.run_time_number(start, &format!("`{sigil}` takes the {what}")));
        }
        let number_start = self.at;
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.is_empty() {
            return Ok(false);
        }
        match digits.parse::<u64>() {
            Ok(0..=MAX_NUMBER) => Ok(true),
            _ => Err(TemplateError {
                text: format!("{what} `{digits}` is above {MAX_NUMBER}"),
                range: number_start..self.at,
            }),
        }
    }

    fn run_time_number(&self, start: usize, what: &str) -> TemplateError {
        TemplateError {
            text: format!(
                "in `{}`, {what} from an argument, which a reader of the event does not have: write it as a number",
                &self.text[start..self.at]
            ),
            range: start..self.at,
        }
    }
}

fn is_name_char(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Reads the part of a placeholder before the colon.
fn parse_reference(name: &str) -> Result<Reference, String> {
    if name.is_empty() {
        return Ok(Reference::Next);
    }
    if name.bytes().all(|b| b.is_ascii_digit()) {
        return name.parse().map(Reference::Index).map_err(|_| format!("argument index `{name}` is too large"));
    }
    for (index, segment) in name.split('.').enumerate() {
        let is_number = !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit());
        let is_identifier =
            segment != "_" && segment.chars().next().is_some_and(|c| is_name_char(c) && !c.is_numeric());
        if !(is_identifier || is_number && index > 0) {
            return Err(format!(
                "`{name}` is not a name: a placeholder holds an identifier, a path of fields as in `{{user.id}}`, \
                 or the index of an argument"
            ));
        }
    }
    Ok(Reference::Name(name.to_owned()))
}

#[cfg(test)]
mod tests;
