//! The syntax and meaning of a type with `#[derive(Value)]`:
//!
//! ```text
//! type    := #[value(transparent, rename = "…", crate = path)]        of the struct or the enum
//! variant := #[value(rename = "…")]
//! field   := #[value(skip, secret, rename = "…", display, debug)]
//! ```

use std::collections::HashSet;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens as _;
use syn::ext::IdentExt as _;
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{Attribute, Error, Fields, Generics, Ident, Item, LitStr, Member, Path, Result, Token, Type};

/// Maximum number of members that the description of a type has room for.
const MEMBERS_MAX: usize = 255;
/// Maximum number of variants that the description of a type has room for.
const VARIANTS_MAX: usize = 254;
/// Maximum length of a name in the description of a type, in bytes.
const NAME_LEN_MAX: usize = 255;

/// A type with `#[derive(Value)]`.
pub(super) struct Input {
    /// Crate whose `__private::derive` the expansion uses.
    pub(super) root: Option<Path>,
    pub(super) ident: Ident,
    pub(super) generics: Generics,
    /// Name as recorded.
    pub(super) name: String,
    pub(super) shape: Shape,
}

/// Parts of a type.
pub(super) enum Shape {
    /// Recorded as its only member.
    Transparent(Field),
    Struct(Vec<Field>),
    Enum(Vec<Variant>),
}

/// A variant of an enum.
pub(super) struct Variant {
    pub(super) ident: Ident,
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
}

/// A field that is recorded.
pub(super) struct Field {
    pub(super) member: Member,
    /// Name as recorded; empty: none.
    pub(super) name: String,
    pub(super) secret: bool,
    pub(super) capture: Capture,
    pub(super) of: Type,
}

/// How a field is recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Capture {
    Native,
    Display,
    Debug,
}

enum Body {
    Struct(Fields),
    Enum(Punctuated<syn::Variant, Token![,]>),
}

#[derive(Default)]
struct TypeAttributes {
    transparent: Option<Span>,
    rename: Option<LitStr>,
    root: Option<Path>,
}

#[derive(Default)]
struct FieldAttributes {
    skip: Option<Span>,
    secret: Option<Span>,
    rename: Option<LitStr>,
    capture: Option<(Capture, Span)>,
}

impl Input {
    pub(super) fn parse(item: Item) -> Result<Self> {
        let (attributes, ident, generics, body) = match item {
            Item::Struct(item) => (item.attrs, item.ident, item.generics, Body::Struct(item.fields)),
            Item::Enum(item) => (item.attrs, item.ident, item.generics, Body::Enum(item.variants)),
            Item::Union(item) => {
                return Err(Error::new_spanned(
                    item.union_token,
                    "`Value` cannot be derived for a union: which of its fields holds the value is unknown",
                ));
            }
            other => return Err(Error::new_spanned(other, "`Value` is derived for structs and enums")),
        };
        let attributes = TypeAttributes::parse(&attributes)?;
        let name = recorded_name(attributes.rename.as_ref(), &ident)?;
        let shape = match body {
            Body::Struct(fields) => struct_shape(&attributes, &ident, fields)?,
            Body::Enum(variants) => enum_shape(&attributes, &ident, variants)?,
        };
        let input = Input { root: attributes.root, ident, generics, name, shape };
        input.fields().try_for_each(|field| refuse_itself(field, &input.ident))?;
        Ok(input)
    }

    /// Iterates over the recorded fields of all variants.
    pub(super) fn fields(&self) -> impl Iterator<Item = &Field> {
        let (fields, variants) = match &self.shape {
            Shape::Transparent(field) => (std::slice::from_ref(field), &[][..]),
            Shape::Struct(fields) => (&fields[..], &[][..]),
            Shape::Enum(variants) => (&[][..], &variants[..]),
        };
        fields.iter().chain(variants.iter().flat_map(|variant| &variant.fields))
    }
}

fn struct_shape(attributes: &TypeAttributes, ident: &Ident, fields: Fields) -> Result<Shape> {
    let is_newtype = matches!(&fields, Fields::Unnamed(fields) if fields.unnamed.len() == 1);
    let mut recorded = recorded_fields(fields)?;
    if let Some(at) = attributes.transparent {
        return match <[Field; 1]>::try_from(recorded) {
            Ok([field]) if field.secret => Err(Error::new(
                at,
                "a transparent type has no members, so none of them can be secret: mark the field that has this type",
            )),
            Ok([field]) => Ok(Shape::Transparent(field)),
            Err(others) => Err(Error::new(
                at,
                format!("a transparent type has one field that is not skipped, and `{ident}` has {}", others.len()),
            )),
        };
    }
    // A mark needs a member to be on.
    match recorded.pop() {
        Some(field) if is_newtype && !field.secret => Ok(Shape::Transparent(field)),
        last => {
            recorded.extend(last);
            Ok(Shape::Struct(recorded))
        }
    }
}

fn enum_shape(
    attributes: &TypeAttributes,
    ident: &Ident,
    variants: Punctuated<syn::Variant, Token![,]>,
) -> Result<Shape> {
    if let Some(at) = attributes.transparent {
        return Err(Error::new(at, "an enum cannot be transparent: its value is which variant it is"));
    }
    if variants.is_empty() {
        return Err(Error::new_spanned(ident, format!("`{ident}` has no variants, so there is no value to record")));
    }
    if variants.len() > VARIANTS_MAX {
        let text = format!("`{ident}` has {} variants; at most {VARIANTS_MAX} can be recorded", variants.len());
        return Err(Error::new_spanned(ident, text));
    }
    let mut names = HashSet::new();
    let read = |variant: syn::Variant| {
        let attributes = FieldAttributes::parse(&variant.attrs)?;
        let misplaced = attributes.skip.or(attributes.secret).or(attributes.capture.map(|(_, at)| at));
        if let Some(at) = misplaced {
            return Err(Error::new(at, "a variant can only have `rename`; the other attributes are for its fields"));
        }
        let name = recorded_name(attributes.rename.as_ref(), &variant.ident)?;
        if !names.insert(name.clone()) {
            return Err(Error::new_spanned(&variant.ident, format!("two variants have the name `{name}`")));
        }
        Ok(Variant { ident: variant.ident, name, fields: recorded_fields(variant.fields)? })
    };
    Ok(Shape::Enum(variants.into_iter().map(read).collect::<Result<_>>()?))
}

/// Reads the fields of a struct or a variant, without those that are skipped.
fn recorded_fields(fields: Fields) -> Result<Vec<Field>> {
    let mut recorded = Vec::new();
    let members: Vec<Member> = fields.members().collect();
    let at = fields.span();
    let mut names = HashSet::new();
    for (field, member) in fields.into_iter().zip(members) {
        let attributes = FieldAttributes::parse(&field.attrs)?;
        if attributes.skip.is_some() {
            continue;
        }
        let name = match (&field.ident, &attributes.rename) {
            (None, Some(rename)) => {
                return Err(Error::new_spanned(rename, "a field without a name cannot be renamed"));
            }
            (None, None) => String::new(),
            (Some(ident), rename) => recorded_name(rename.as_ref(), ident)?,
        };
        if !name.is_empty() && !names.insert(name.clone()) {
            return Err(Error::new_spanned(&field.ident, format!("two fields have the name `{name}`")));
        }
        recorded.push(Field {
            member,
            name,
            secret: attributes.secret.is_some(),
            capture: attributes.capture.map_or(Capture::Native, |(capture, _)| capture),
            of: field.ty,
        });
    }
    if recorded.len() > MEMBERS_MAX {
        let text = format!("{} fields; at most {MEMBERS_MAX} can be recorded", recorded.len());
        return Err(Error::new(at, text));
    }
    Ok(recorded)
}

fn recorded_name(rename: Option<&LitStr>, ident: &Ident) -> Result<String> {
    let name = rename.map_or_else(|| ident.unraw().to_string(), LitStr::value);
    let at = rename.map_or_else(|| ident.span(), LitStr::span);
    if name.is_empty() {
        return Err(Error::new(at, "the name cannot be empty"));
    }
    if name.len() > NAME_LEN_MAX {
        return Err(Error::new(at, format!("the name is longer than {NAME_LEN_MAX} bytes")));
    }
    Ok(name)
}

/// Refuses a field whose type mentions the type that it is in: its description would have no end.
fn refuse_itself(field: &Field, ident: &Ident) -> Result<()> {
    if field.capture == Capture::Native
        && mentions(field.of.to_token_stream(), &|found| found == ident || found == "Self")
    {
        return Err(Error::new(
            field.of.span(),
            format!(
                "`{ident}` contains itself, so the description of its type would have no end: mark this field \
                 `#[value(skip)]`, `#[value(debug)]` or `#[value(display)]`"
            ),
        ));
    }
    Ok(())
}

/// Returns whether the tokens have an identifier that is wanted.
pub(super) fn mentions(tokens: TokenStream, wanted: &dyn Fn(&Ident) -> bool) -> bool {
    tokens.into_iter().any(|token| match token {
        proc_macro2::TokenTree::Ident(ident) => wanted(&ident),
        proc_macro2::TokenTree::Group(group) => mentions(group.stream(), wanted),
        _ => false,
    })
}

impl TypeAttributes {
    fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut found = TypeAttributes::default();
        parse_each(attributes, |meta| {
            let is_new = match name_of(&meta).as_str() {
                "transparent" => found.transparent.replace(meta.path.span()).is_none(),
                "rename" => found.rename.replace(meta.value()?.parse()?).is_none(),
                "crate" => found.root.replace(meta.value()?.call(Path::parse_mod_style)?).is_none(),
                other => return Err(unknown(&meta, other, "`transparent`, `rename = \"…\"` or `crate = …`")),
            };
            once(&meta, is_new)
        })?;
        Ok(found)
    }
}

impl FieldAttributes {
    fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut found = FieldAttributes::default();
        parse_each(attributes, |meta| {
            let at = meta.path.span();
            let mut capture = |capture| {
                let before = found.capture.replace((capture, at));
                if before.is_some_and(|(before, _)| before != capture) {
                    return Err(meta.error("a field has `display` or `debug`, not both"));
                }
                Ok(before.is_none())
            };
            let is_new = match name_of(&meta).as_str() {
                "skip" => found.skip.replace(at).is_none(),
                "secret" => found.secret.replace(at).is_none(),
                "display" => capture(Capture::Display)?,
                "debug" => capture(Capture::Debug)?,
                "rename" => found.rename.replace(meta.value()?.parse()?).is_none(),
                other => {
                    let expected = "`skip`, `secret`, `rename = \"…\"`, `display` or `debug`";
                    return Err(unknown(&meta, other, expected));
                }
            };
            once(&meta, is_new)
        })?;
        let others = found.secret.is_some() || found.rename.is_some() || found.capture.is_some();
        match found.skip {
            Some(at) if others => Err(Error::new(at, "a field that is skipped has no other attributes")),
            _ => Ok(found),
        }
    }
}

fn parse_each(attributes: &[Attribute], mut each: impl FnMut(ParseNestedMeta<'_>) -> Result<()>) -> Result<()> {
    let own = attributes.iter().filter(|attribute| attribute.path().is_ident("value"));
    own.into_iter().try_for_each(|attribute| attribute.parse_nested_meta(&mut each))
}

fn name_of(meta: &ParseNestedMeta<'_>) -> String {
    meta.path.to_token_stream().to_string()
}

fn unknown(meta: &ParseNestedMeta<'_>, name: &str, expected: &str) -> Error {
    meta.error(format!("unknown attribute `{name}`: expected {expected}"))
}

fn once(meta: &ParseNestedMeta<'_>, is_new: bool) -> Result<()> {
    if is_new { Ok(()) } else { Err(meta.error(format!("duplicate `{}`", name_of(meta)))) }
}
