//! Literals as arguments: `env = "prod"`, `port = 8080`. Their values go into the callsite at compile time, so they
//! cost nothing per event.
//!
//! String, integer, float, bool, char and byte literals are folded, with or without suffix, minus sign and parentheses.
//! Byte strings and C strings are not.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Error, Expr, ExprLit, ExprUnary, Lit, LitInt, LitStr, UnOp};

/// The value of a literal argument.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Folded {
    Bool(bool),
    U64(u64),
    I64(i64),
    U128(u128),
    I128(i128),
    F64(f64),
    Char(char),
    Str(String),
}

/// Returns the value of `expr` if it is a literal that can be folded.
///
/// # Errors
/// If the literal does not fit its suffix, because rustc does not see a folded literal.
pub(crate) fn fold(expr: &Expr) -> Result<Option<Folded>, Error> {
    match expr {
        Expr::Group(group) => fold(&group.expr),
        Expr::Paren(paren) if paren.attrs.is_empty() => fold(&paren.expr),
        Expr::Lit(ExprLit { lit, .. }) => fold_lit(lit, false),
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => match peel(expr) {
            Expr::Lit(ExprLit { lit: lit @ (Lit::Int(_) | Lit::Float(_)), .. }) => fold_lit(lit, true),
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

/// Returns the literal if `expr` is a string literal and nothing else.
pub(crate) fn as_str(expr: &Expr) -> Option<&LitStr> {
    match peel(expr) {
        Expr::Lit(ExprLit { lit: Lit::Str(literal), .. }) => Some(literal),
        _ => None,
    }
}

/// Looks through the invisible groups around fragments of `macro_rules!`.
pub(crate) fn peel(expr: &Expr) -> &Expr {
    match expr {
        Expr::Group(group) => peel(&group.expr),
        other => other,
    }
}

fn fold_lit(lit: &Lit, negative: bool) -> Result<Option<Folded>, Error> {
    Ok(Some(match lit {
        Lit::Str(literal) => Folded::Str(literal.value()),
        Lit::Bool(literal) => Folded::Bool(literal.value),
        Lit::Char(literal) => Folded::Char(literal.value()),
        Lit::Byte(literal) => Folded::U64(literal.value().into()),
        Lit::Int(literal) => fold_int(literal, negative)?,
        Lit::Float(literal) => fold_float(literal.span(), literal.base10_digits(), literal.suffix(), negative)?,
        _ => return Ok(None),
    }))
}

fn fold_int(literal: &LitInt, negative: bool) -> Result<Folded, Error> {
    let suffix = literal.suffix();
    if matches!(suffix, "f32" | "f64") {
        return fold_float(literal.span(), literal.base10_digits(), suffix, negative);
    }
    let shown = if negative { format!("-{literal}") } else { literal.to_string() };
    let out_of_range =
        |range: &str| Error::new(literal.span(), format!("literal `{shown}` is out of range for `{range}`"));
    let magnitude: u128 = literal.base10_digits().parse().map_err(|_| out_of_range("u128"))?;
    // None: below i128::MIN or above i128::MAX.
    let signed = match (negative, i128::try_from(magnitude)) {
        (false, value) => value.ok(),
        (true, Ok(value)) => Some(-value),
        (true, Err(_)) => (magnitude == 1 << 127).then_some(i128::MIN),
    };
    let bounded =
        |min: i128, max: i128| signed.filter(|value| (min..=max).contains(value)).ok_or_else(|| out_of_range(suffix));
    let to_i64 = |value: i128| Folded::I64(value.try_into().expect("the bounds lie within i64"));
    let to_u64 = |value: i128| Folded::U64(value.try_into().expect("the bounds lie within u64"));
    match suffix {
        "" => match signed {
            Some(value) => Ok(i64::try_from(value)
                .map(Folded::I64)
                .or_else(|_| u64::try_from(value).map(Folded::U64))
                .unwrap_or(Folded::I128(value))),
            None if negative => Err(out_of_range("i128")),
            None => Ok(Folded::U128(magnitude)),
        },
        "i8" => bounded(i8::MIN.into(), i8::MAX.into()).map(to_i64),
        "i16" => bounded(i16::MIN.into(), i16::MAX.into()).map(to_i64),
        "i32" => bounded(i32::MIN.into(), i32::MAX.into()).map(to_i64),
        "i64" | "isize" => bounded(i64::MIN.into(), i64::MAX.into()).map(to_i64),
        "i128" => bounded(i128::MIN, i128::MAX).map(Folded::I128),
        _ if negative && suffix.starts_with('u') => {
            Err(Error::new(literal.span(), format!("`{shown}`: `{suffix}` has no negative values")))
        }
        "u8" => bounded(0, u8::MAX.into()).map(to_u64),
        "u16" => bounded(0, u16::MAX.into()).map(to_u64),
        "u32" => bounded(0, u32::MAX.into()).map(to_u64),
        "u64" | "usize" => bounded(0, u64::MAX.into()).map(to_u64),
        "u128" => Ok(Folded::U128(magnitude)),
        _ => Err(Error::new(literal.span(), format!("unknown suffix `{suffix}` of an integer literal"))),
    }
}

fn fold_float(span: Span, digits: &str, suffix: &str, negative: bool) -> Result<Folded, Error> {
    if !matches!(suffix, "" | "f32" | "f64") {
        return Err(Error::new(span, format!("unknown suffix `{suffix}` of a float literal")));
    }
    let fits_f32 = suffix != "f32" || digits.parse::<f32>().is_ok_and(f32::is_finite);
    match digits.parse::<f64>() {
        // As written, not rounded to f32 first: readers show and search 0.1f32 as 0.1.
        Ok(value) if value.is_finite() && fits_f32 => Ok(Folded::F64(if negative { -value } else { value })),
        _ => {
            let range = if suffix.is_empty() { "f64" } else { suffix };
            Err(Error::new(span, format!("literal `{digits}` is out of range for `{range}`")))
        }
    }
}

/// Writes the variant of the run-time enum `Literal` with its value, without a path.
impl ToTokens for Folded {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(match self {
            Self::Bool(value) => quote!(Bool(#value)),
            Self::U64(value) => quote!(U64(#value)),
            Self::I64(value) => quote!(I64(#value)),
            Self::U128(value) => quote!(U128(#value)),
            Self::I128(value) => quote!(I128(#value)),
            Self::F64(value) => {
                let magnitude = Literal::f64_suffixed(value.abs());
                let sign = value.is_sign_negative().then(|| quote!(-));
                quote!(F64(#sign #magnitude))
            }
            Self::Char(value) => quote!(Char(#value)),
            Self::Str(value) => quote!(Str(#value)),
        });
    }
}

#[cfg(test)]
mod tests;
