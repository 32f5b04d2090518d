//! `#[derive(Value)]`. For a struct it generates
//!
//! ```text
//! const _: () = {
//!     use ::ttlog_core::__private::derive as __ttlog;
//!     impl Value for Order {
//!         type Native<'n> = Nested<'n, Self, NoTexts>;             by reference; `Texts` if something can be formatted
//!         fn native(&self) -> … { Nested::new(self) }
//!     }
//!     unsafe impl Element for Order {
//!         const TYPE: Type = Type::Struct(&StructType { name: "Order", members: &[Member { name: "id", … }, …] });
//!         const IS_FORMATTED: bool = <u64 as Element>::IS_FORMATTED || …;
//!         fn walk<W: Walk>(&self, walk: &mut W) {
//!             match self { Self { id: m0, … } => { Element::walk(m0, walk); … } }
//!         }
//!     }
//! };
//! ```
//!
//! The types of fields appear only in bodies and constants, not in the native type: it would be an error if a type that
//! is private appeared there in the impl for a public one.
//!
//! The `unsafe` keyword is ours: the duties of `Element` follow from the form of `walk`, whatever the fields are. Spans
//! are `mixed_site`, so that a `forbid(unsafe_code)` in the user's crate is about the user's code.

mod input;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens as _, format_ident, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{GenericArgument, Item, PathArguments, Result, Type};

use input::{Capture, Field, Input, Shape, mentions};

/// Generates the impls for a type; `root` is the crate that they use unless the type names another one.
pub(crate) fn expand(item: Item, root: TokenStream) -> Result<TokenStream> {
    let input = Input::parse(item)?;
    let site = Span::mixed_site();
    let root = input.root.as_ref().map_or(root, |path| path.to_token_stream());
    let ident = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    let bounds = where_clause(&input, bounds);
    let room = Ident::new(if input.fields().any(can_be_formatted) { "Texts" } else { "NoTexts" }, site);
    let description = description(&input);
    let formatted = input.fields().map(|field| {
        let of = &field.of;
        match field.capture {
            Capture::Native => quote_spanned!(at(of)=> <#of as __ttlog::Element>::IS_FORMATTED),
            Capture::Display | Capture::Debug => quote_spanned!(site=> true),
        }
    });
    let arms = arms(&input);
    Ok(quote_spanned! {site=>
        const _: () = {
            use #root::__private::derive as __ttlog;

            impl #generics __ttlog::Value for #ident #arguments #bounds {
                type Native<'__ttlog> = __ttlog::Nested<'__ttlog, Self, __ttlog::#room>
                where
                    Self: '__ttlog;
                #[inline(always)]
                fn native(&self) -> Self::Native<'_> {
                    __ttlog::Nested::new(self)
                }
            }

            // SAFETY: each member is visited once, in the order of the description.
            unsafe impl #generics __ttlog::Element for #ident #arguments #bounds {
                const TYPE: __ttlog::Type = #description;
                const IS_FORMATTED: bool = false #(|| #formatted)*;
                #[inline(always)]
                fn walk<__TtlogWalk: __ttlog::Walk>(&self, __ttlog_walk: &mut __TtlogWalk) {
                    match self {
                        #(#arms)*
                    }
                }
            }
        };
    })
}

/// Returns a span that resolves names as our code does and lets errors about a type point at it.
fn at(of: &Type) -> Span {
    Span::mixed_site().located_at(of.span())
}

/// Adds what the types of fields must implement, if that depends on type parameters.
fn where_clause(input: &Input, bounds: Option<&syn::WhereClause>) -> TokenStream {
    let site = Span::mixed_site();
    let is_parameter = |ident: &Ident| input.generics.type_params().any(|parameter| parameter.ident == *ident);
    let generic = input.fields().filter(|field| mentions(field.of.to_token_stream(), &is_parameter));
    let own = generic.map(|field| {
        let of = &field.of;
        match field.capture {
            Capture::Native => quote_spanned!(at(of)=> #of: __ttlog::Element),
            Capture::Display => quote_spanned!(at(of)=> #of: ::core::fmt::Display),
            Capture::Debug => quote_spanned!(at(of)=> #of: ::core::fmt::Debug),
        }
    });
    let users = bounds.map(|bounds| bounds.predicates.iter()).into_iter().flatten();
    let all: Vec<TokenStream> = users.map(|bound| bound.to_token_stream()).chain(own).collect();
    if all.is_empty() { TokenStream::new() } else { quote_spanned!(site=> where #(#all),*) }
}

/// Generates the constant of the type.
fn description(input: &Input) -> TokenStream {
    let site = Span::mixed_site();
    let name = &input.name;
    match &input.shape {
        Shape::Transparent(field) => type_of(field),
        Shape::Struct(fields) => {
            let of = struct_type(name, fields);
            quote_spanned!(site=> __ttlog::Type::Struct(&#of))
        }
        Shape::Enum(variants) => {
            let variants = variants.iter().map(|variant| struct_type(&variant.name, &variant.fields));
            quote_spanned! {site=>
                __ttlog::Type::Enum(&__ttlog::EnumType { name: #name, variants: &[#(#variants),*] })
            }
        }
    }
}

fn struct_type(name: &str, fields: &[Field]) -> TokenStream {
    let site = Span::mixed_site();
    let members = fields.iter().map(|field| {
        let (name, secret, of) = (&field.name, field.secret, type_of(field));
        quote_spanned!(site=> __ttlog::Member { name: #name, secret: #secret, of: #of })
    });
    quote_spanned!(site=> __ttlog::StructType { name: #name, members: &[#(#members),*] })
}

fn type_of(field: &Field) -> TokenStream {
    let of = &field.of;
    match field.capture {
        Capture::Native => quote_spanned!(at(of)=> <#of as __ttlog::Element>::TYPE),
        Capture::Display => quote_spanned!(at(of)=> __ttlog::Type::Display),
        Capture::Debug => quote_spanned!(at(of)=> __ttlog::Type::Debug),
    }
}

/// Generates the arms that visit the members of each variant, or of the struct.
fn arms(input: &Input) -> Vec<TokenStream> {
    let site = Span::mixed_site();
    let arm = |pattern: TokenStream, index: Option<u8>, fields: &[Field]| {
        let variables: Vec<Ident> = (0..fields.len()).map(|n| format_ident!("__ttlog_{n}", span = site)).collect();
        let members = fields.iter().map(|field| &field.member);
        let visits = fields.iter().zip(&variables).map(|(field, variable)| {
            let of = &field.of;
            match field.capture {
                Capture::Native => {
                    quote_spanned!(at(of)=> <#of as __ttlog::Element>::walk(#variable, __ttlog_walk);)
                }
                Capture::Display => {
                    quote_spanned!(at(of)=> __ttlog::Walk::display(__ttlog_walk, __ttlog::as_display(#variable));)
                }
                Capture::Debug => {
                    quote_spanned!(at(of)=> __ttlog::Walk::debug(__ttlog_walk, __ttlog::as_debug(#variable));)
                }
            }
        });
        let index = index.map(|index| quote_spanned!(site=> __ttlog::Walk::variant(__ttlog_walk, #index);));
        quote_spanned! {site=>
            #pattern { #(#members: #variables,)* .. } => {
                #index
                #(#visits)*
            }
        }
    };
    match &input.shape {
        Shape::Transparent(field) => vec![arm(quote_spanned!(site=> Self), None, std::slice::from_ref(field))],
        Shape::Struct(fields) => vec![arm(quote_spanned!(site=> Self), None, fields)],
        Shape::Enum(variants) => {
            let arm = |(index, variant): (usize, &input::Variant)| {
                let ident = &variant.ident;
                arm(quote_spanned!(site=> Self::#ident), u8::try_from(index).ok(), &variant.fields)
            };
            variants.iter().enumerate().map(arm).collect()
        }
    }
}

/// Returns whether a field is formatted, or might have members that are.
fn can_be_formatted(field: &Field) -> bool {
    field.capture != Capture::Native || !is_known(&field.of)
}

/// Returns whether a type looks like one that certainly has no formatted members. If it is another one of the same
/// name, and has some, that is an error when it is compiled.
fn is_known(of: &Type) -> bool {
    const LEAVES: [&str; 18] = [
        "bool", "char", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32",
        "f64", "str", "String",
    ];
    const AROUND: [&str; 4] = ["Option", "Box", "Arc", "Rc"];
    match of {
        Type::Reference(reference) => is_known(&reference.elem),
        Type::Paren(inner) => is_known(&inner.elem),
        Type::Tuple(tuple) => tuple.elems.iter().all(is_known),
        // Elements of sequences are never formatted.
        Type::Slice(_) | Type::Array(_) => true,
        Type::Path(path) => path.path.segments.last().is_some_and(|last| {
            let name = last.ident.to_string();
            match &last.arguments {
                PathArguments::None => LEAVES.contains(&name.as_str()),
                PathArguments::AngleBracketed(arguments) => {
                    name == "Vec"
                        || AROUND.contains(&name.as_str())
                            && arguments
                                .args
                                .iter()
                                .all(|argument| matches!(argument, GenericArgument::Type(of) if is_known(of)))
                }
                PathArguments::Parenthesized(_) => false,
            }
        }),
        _ => false,
    }
}
