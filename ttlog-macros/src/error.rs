//! Compile errors at the smallest span that the compiler offers.

use std::ops::Range;

use proc_macro2::Span;
use syn::LitStr;

/// Returns the span of `range` (bytes of the literal's value) inside `literal`.
///
/// It is the span of the whole literal if the compiler offers no sub-spans, or if the literal has escapes (so that
/// bytes of value and source differ). Messages therefore quote the part that they are about.
pub(crate) fn span_within(literal: &LitStr, range: Range<usize>) -> Span {
    let token = literal.token();
    let source = token.to_string();
    let opening_len = match source.find('"') {
        Some(quote) => quote + 1,
        None => return literal.span(),
    };
    let value = literal.value();
    let verbatim = source.get(opening_len..opening_len + value.len()) == Some(value.as_str());
    if !verbatim {
        return literal.span();
    }
    token.subspan(opening_len + range.start..opening_len + range.end).unwrap_or_else(|| literal.span())
}
