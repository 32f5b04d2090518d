//! `#[instrument]`: a function whose body runs in a span of its own.
//!
//! A function becomes
//!
//! ```text
//! fn f(a: A) -> R {
//!     let __ttlog_scope = ::ttlog_std::scope!(Level::Info, "f", a = ~a);
//!     …
//! }
//! async fn f(a: A) -> R {
//!     let __ttlog_span = ::ttlog_std::span!(Level::Info, "f", a = ~a);
//!     ::ttlog_std::InSpan::new(async move { … }, __ttlog_span).await
//! }
//! ```
//!
//! With `err` or `ret` the body is called as a closure, or awaited as a block, so that its result can be looked at.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream, Parser as _};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{
    Block, Error, Expr, FnArg, ItemFn, LitStr, Pat, Result, ReturnType, Stmt, Token, Type, parenthesized, token,
};

use crate::args::Argument;

/// Arguments of the attribute.
#[derive(Default)]
struct Options {
    level: Option<Expr>,
    name: Option<LitStr>,
    target: Option<Expr>,
    parent: Option<Expr>,
    skipped: Vec<Ident>,
    skips_all: bool,
    fields: TokenStream,
    /// Names of `fields`.
    field_names: Vec<String>,
    /// How an error is recorded.
    err: Option<Form>,
    /// How a result is recorded.
    ret: Option<Form>,
}

/// Form of a recorded result.
#[derive(Clone, Copy)]
enum Form {
    /// Natively if it has such a form, else with `Debug`.
    Argument,
    Display,
    Debug,
}

impl Form {
    fn sigil(self) -> TokenStream {
        match self {
            Form::Argument => quote!(~),
            Form::Display => quote!(%),
            Form::Debug => quote!(?),
        }
    }
}

const OPTIONS: &str =
    "expected `level`, `name`, `target`, `parent`, `skip`, `skip_all`, `fields`, `err` or `ret`, with commas between";

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Options::default();
        let mut seen: Vec<String> = Vec::new();
        while !input.is_empty() {
            if input.peek(LitStr) && options.name.is_none() {
                options.name = Some(input.parse()?);
            } else {
                let option = input.call(Ident::parse_any).map_err(|error| Error::new(error.span(), OPTIONS))?;
                let text = option.to_string();
                if seen.contains(&text) || text == "name" && options.name.is_some() {
                    return Err(Error::new_spanned(&option, format!("duplicate `{option}`")));
                }
                options.parse_option(&option, input)?;
                seen.push(text);
            }
            if !input.is_empty() {
                input.parse::<Token![,]>().map_err(|error| Error::new(error.span(), OPTIONS))?;
            }
        }
        if options.skips_all && !options.skipped.is_empty() {
            return Err(Error::new_spanned(&options.skipped[0], "`skip_all` skips this already"));
        }
        Ok(options)
    }
}

impl Options {
    fn parse_option(&mut self, option: &Ident, input: ParseStream<'_>) -> Result<()> {
        match option.to_string().as_str() {
            "level" => self.level = Some(parse_value(option, input)?),
            "name" => {
                let name: Expr = parse_value(option, input)?;
                self.name = Some(
                    syn::parse2(name.to_token_stream())
                        .map_err(|_| Error::new_spanned(&name, "the name of a span is a string literal"))?,
                );
            }
            "target" => self.target = Some(parse_value(option, input)?),
            "parent" => self.parent = Some(parse_value(option, input)?),
            "skip" => {
                let names = parse_group(option, input, "skip(argument, argument)")?;
                self.skipped = Punctuated::<Ident, Token![,]>::parse_terminated_with_any(names)?;
            }
            "skip_all" => self.skips_all = true,
            "fields" => {
                self.fields = parse_group(option, input, "fields(name = value)")?;
                let fields = Punctuated::<Argument, Token![,]>::parse_terminated.parse2(self.fields.clone())?;
                self.field_names = fields.iter().filter_map(name_of).collect();
                if !self.fields.is_empty() && !fields.trailing_punct() {
                    self.fields.extend(quote!(,));
                }
            }
            "err" => self.err = Some(parse_form(input, Form::Display)?),
            "ret" => self.ret = Some(parse_form(input, Form::Argument)?),
            _ => return Err(Error::new_spanned(option, OPTIONS)),
        }
        Ok(())
    }
}

/// Parses lists of names, of which one can be `self`.
trait ParseNames {
    fn parse_terminated_with_any(tokens: TokenStream) -> Result<Vec<Ident>>;
}

impl ParseNames for Punctuated<Ident, Token![,]> {
    fn parse_terminated_with_any(tokens: TokenStream) -> Result<Vec<Ident>> {
        let parser = |input: ParseStream<'_>| Self::parse_terminated_with(input, Ident::parse_any);
        Ok(parser.parse2(tokens)?.into_iter().collect())
    }
}

fn name_of(field: &Argument) -> Option<String> {
    let place = || crate::args::place(&field.expr).map(|segments| segments.join("."));
    field.name.as_ref().map(|name| name.text.clone()).or_else(place)
}

fn parse_value(option: &Ident, input: ParseStream<'_>) -> Result<Expr> {
    if !input.peek(Token![=]) {
        return Err(Error::new_spanned(option, format!("expected a value: `{option} = …`")));
    }
    input.parse::<Token![=]>()?;
    input.parse()
}

fn parse_group(option: &Ident, input: ParseStream<'_>, example: &str) -> Result<TokenStream> {
    if !input.peek(token::Paren) {
        return Err(Error::new_spanned(option, format!("expected a list: `{example}`")));
    }
    let content;
    parenthesized!(content in input);
    content.parse()
}

/// Parses `(Debug)` or `(Display)`, if one comes next.
fn parse_form(input: ParseStream<'_>, default: Form) -> Result<Form> {
    if !input.peek(token::Paren) {
        return Ok(default);
    }
    let content;
    parenthesized!(content in input);
    let form: Ident = content.parse()?;
    match form.to_string().as_str() {
        "Debug" => Ok(Form::Debug),
        "Display" => Ok(Form::Display),
        _ => Err(Error::new_spanned(form, "expected `Debug` or `Display`")),
    }
}

/// Generates the function. `root` is the name of the crate that exports the macros.
pub(crate) fn expand(root: &str, arguments: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let options: Options = syn::parse2(arguments)?;
    let item: TokenStream = function;
    let mut function: ItemFn = syn::parse2(item)
        .map_err(|error| Error::new(error.span(), "`#[instrument]` stands before a function with a body"))?;
    if let Some(token) = &function.sig.constness {
        return Err(Error::new_spanned(token, "a `const fn` cannot be in a span"));
    }
    let root = Ident::new(root, Span::call_site());
    let start = start(&root, &options, &function)?;
    function.block = Box::new(match take_boxed_future(&mut function) {
        Some(Boxed { before, pin, future }) => {
            let future = in_span(&root, &options, &ReturnType::Default, &quote!(#future.await));
            syn::parse2(quote_spanned! {Span::mixed_site()=> {
                let __ttlog_span = ::#root::span!(#start);
                #(#before)*
                #pin(#future)
            }})?
        }
        None if function.sig.asyncness.is_some() => {
            let block = &function.block;
            let future = in_span(&root, &options, &function.sig.output, &block.to_token_stream());
            syn::parse2(quote_spanned! {Span::mixed_site()=> {
                let __ttlog_span = ::#root::span!(#start);
                #future.await
            }})?
        }
        None => sync_body(&root, &options, &function, &start)?,
    });
    Ok(function.into_token_stream())
}

/// Generates the arguments of the macro that starts the span.
fn start(root: &Ident, options: &Options, function: &ItemFn) -> Result<TokenStream> {
    let level = level(root, options)?;
    let target = options.target.as_ref().map(|target| quote!(target: #target,));
    let parent = options.parent.as_ref().map(|parent| quote!(parent: #parent,));
    let name = match &options.name {
        Some(name) => LitStr::new(&name.value(), name.span()),
        None => LitStr::new(&function.sig.ident.unraw().to_string(), function.sig.ident.span()),
    };
    let names = argument_names(function);
    for skipped in &options.skipped {
        if skipped != "self" && !names.contains(skipped) {
            return Err(Error::new_spanned(skipped, format!("the function has no argument `{skipped}`")));
        }
    }
    let recorded = names.iter().filter(|name| {
        let is_field = options.field_names.contains(&name.unraw().to_string());
        !options.skips_all && !is_field && !options.skipped.contains(name)
    });
    let recorded = recorded.map(|name| quote!(#name = ~#name,));
    let fields = &options.fields;
    Ok(quote!(#level, #target #parent #name, #(#recorded)* #fields))
}

fn level(root: &Ident, options: &Options) -> Result<TokenStream> {
    let Some(level) = &options.level else { return Ok(quote!(::#root::Level::Info)) };
    let Expr::Lit(syn::ExprLit { lit, .. }) = level else { return Ok(level.to_token_stream()) };
    const ERROR: &str = "expected a level: \"trace\", \"debug\", \"info\", \"warn\", \"error\", or a constant";
    let syn::Lit::Str(text) = lit else { return Err(Error::new_spanned(lit, ERROR)) };
    let variant = ["Trace", "Debug", "Info", "Warn", "Error"]
        .into_iter()
        .find(|variant| variant.eq_ignore_ascii_case(&text.value()))
        .ok_or_else(|| Error::new_spanned(lit, ERROR))?;
    let variant = Ident::new(variant, Span::call_site());
    Ok(quote!(::#root::Level::#variant))
}

/// Returns the variables that the arguments of a function bind, in order, without `self`.
fn argument_names(function: &ItemFn) -> Vec<Ident> {
    let mut names = Vec::new();
    for argument in &function.sig.inputs {
        if let FnArg::Typed(typed) = argument {
            collect_names(&typed.pat, &mut names);
        }
    }
    names
}

fn collect_names(pattern: &Pat, names: &mut Vec<Ident>) {
    match pattern {
        Pat::Ident(ident) => {
            names.push(ident.ident.clone());
            if let Some((_, inner)) = &ident.subpat {
                collect_names(inner, names);
            }
        }
        Pat::Reference(reference) => collect_names(&reference.pat, names),
        Pat::Paren(paren) => collect_names(&paren.pat, names),
        Pat::Type(typed) => collect_names(&typed.pat, names),
        Pat::Tuple(tuple) => tuple.elems.iter().for_each(|pattern| collect_names(pattern, names)),
        Pat::TupleStruct(tuple) => tuple.elems.iter().for_each(|pattern| collect_names(pattern, names)),
        Pat::Slice(slice) => slice.elems.iter().for_each(|pattern| collect_names(pattern, names)),
        Pat::Struct(fields) => fields.fields.iter().for_each(|field| collect_names(&field.pat, names)),
        _ => {}
    }
}

/// Takes the future and what is before it from the body of a function that returns `Box::pin(async move { … })` as its
/// last expression, as the functions of `async-trait` do.
fn take_boxed_future(function: &mut ItemFn) -> Option<Boxed> {
    if function.sig.asyncness.is_some() {
        return None;
    }
    let Some(Stmt::Expr(Expr::Call(call), None)) = function.block.stmts.last() else { return None };
    let Expr::Path(path) = &*call.func else { return None };
    let mut segments = path.path.segments.iter().rev();
    let is_box = segments.next()?.ident == "pin" && segments.next()?.ident == "Box";
    let is_future = call.args.len() == 1 && matches!(call.args.first(), Some(Expr::Async(_)));
    if !is_box || !is_future {
        return None;
    }
    let (pin, future) = (call.func.to_token_stream(), call.args.to_token_stream());
    function.block.stmts.pop();
    Some(Boxed { before: std::mem::take(&mut function.block.stmts), pin, future })
}

/// The body of a function that returns `Box::pin(async move { … })`.
struct Boxed {
    before: Vec<Stmt>,
    /// `Box::pin`, as written.
    pin: TokenStream,
    future: TokenStream,
}

/// Generates a future of `body`, the content of an `async` block, in `__ttlog_span`.
fn in_span(root: &Ident, options: &Options, output: &ReturnType, body: &TokenStream) -> TokenStream {
    let site = Span::mixed_site();
    let hint = hint(root, output);
    if options.err.is_none() && options.ret.is_none() {
        return quote_spanned!(site=> ::#root::InSpan::new(async move { #hint #body }, __ttlog_span));
    }
    let report = report(root, options);
    quote_spanned! {site=>
        ::#root::InSpan::new(
            async move {
                let __ttlog_result = async move { #hint #body }.await;
                #report
                __ttlog_result
            },
            __ttlog_span,
        )
    }
}

fn sync_body(root: &Ident, options: &Options, function: &ItemFn, start: &TokenStream) -> Result<Block> {
    let site = Span::mixed_site();
    let block = &function.block;
    if options.err.is_none() && options.ret.is_none() {
        let statements = &block.stmts;
        return syn::parse2(quote_spanned! {site=> {
            let __ttlog_scope = ::#root::scope!(#start);
            #(#statements)*
        }});
    }
    let hint = hint(root, &function.sig.output);
    let report = report(root, options);
    syn::parse2(quote_spanned! {site=> {
        let __ttlog_scope = ::#root::scope!(#start);
        let __ttlog_result = (move || { #hint #block })();
        #report
        __ttlog_result
    }})
}

/// Generates a statement from which the compiler learns the type of the result, so that `?` and `into()` in the body
/// mean what they mean without the attribute.
fn hint(root: &Ident, output: &ReturnType) -> Option<TokenStream> {
    let ReturnType::Type(_, output) = output else { return None };
    if has_impl(output.to_token_stream()) || matches!(**output, Type::Never(_)) {
        return None;
    }
    Some(quote_spanned! {Span::mixed_site().located_at(output.span())=>
        if false {
            return ::#root::__private::never::<#output>();
        }
    })
}

fn has_impl(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        proc_macro2::TokenTree::Ident(ident) => ident == "impl",
        proc_macro2::TokenTree::Group(group) => has_impl(group.stream()),
        _ => false,
    })
}

/// Generates the events of the result.
fn report(root: &Ident, options: &Options) -> TokenStream {
    let site = Span::mixed_site();
    let level = level(root, options).unwrap_or_default(); // an error was returned before
    let target = options.target.as_ref().map(|target| quote!(target: #target,));
    let value = format_ident!("__ttlog_value", span = site);
    let on_ok = options.ret.map(|form| {
        let sigil = form.sigil();
        quote_spanned!(site=> ::#root::event!(#level, #target "returned", value = #sigil #value))
    });
    let on_err = options.err.map(|form| {
        let sigil = form.sigil();
        quote_spanned!(site=> ::#root::error!(#target "failed", error = #sigil #value))
    });
    match (on_ok, on_err) {
        (Some(on_ok), None) => quote_spanned! {site=>
            match &__ttlog_result {
                #value => #on_ok,
            }
        },
        (on_ok, on_err) => {
            let on_ok = on_ok.map_or_else(
                || quote_spanned!(site=> ::core::result::Result::Ok(_) => {}),
                |on_ok| quote_spanned!(site=> ::core::result::Result::Ok(#value) => #on_ok,),
            );
            let on_err = on_err.map(|on_err| quote_spanned!(site=> ::core::result::Result::Err(#value) => #on_err,));
            quote_spanned! {site=>
                match &__ttlog_result {
                    #on_ok
                    #on_err
                }
            }
        }
    }
}
