//! The macros in a module with strict lints: no warning, no clippy lint, nothing that a `forbid` refuses, no name from
//! the prelude.
//!
//! The test is mostly that this file compiles; `cargo clippy --all-targets` adds clippy's lints.

#[allow(clippy::pedantic, clippy::nursery, clippy::restriction, clippy::cargo)] // not what is tested here
mod support;
pub use support::__private;

#[forbid(
    warnings,
    missing_docs,
    missing_debug_implementations,
    unsafe_code,
    unused_imports,
    unused_parens,
    unused_braces
)]
#[forbid(nonstandard_style, unused_qualifications, trivial_casts, trivial_numeric_casts, let_underscore_drop)]
#[forbid(clippy::all, clippy::pedantic, clippy::nursery)]
#[forbid(
    clippy::missing_docs_in_private_items,
    clippy::pattern_type_mismatch,
    clippy::ref_patterns,
    clippy::default_numeric_fallback,
    clippy::absolute_paths,
    clippy::unseparated_literal_suffix,
    clippy::arbitrary_source_item_ordering,
    clippy::semicolon_inside_block,
    clippy::shadow_reuse,
    clippy::shadow_unrelated,
    clippy::let_underscore_untyped,
    clippy::multiple_unsafe_ops_per_block,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::unused_trait_names,
    clippy::string_slice,
    clippy::float_arithmetic
)]
mod strict {
    #![no_implicit_prelude]

    use ::core::option::Option;

    use crate::__private::Level;
    use crate::support;

    /// A type with fields to log.
    #[derive(Debug)]
    struct Request {
        /// A number.
        id: u64,
        /// Maybe a text.
        name: Option<&'static str>,
    }

    /// Logs in every form.
    fn every_form(req: &Request, milliseconds: f64) {
        let user = 7_u32;
        crate::info!("message");
        crate::info!("message", user, req.id, ?req.name, code = 200);
        crate::warn!(user, key = user + 1, env = "production", ratio = -0.5, "message last",);
        crate::debug!("user {user} took {milliseconds:.1} ms, {} {:?}", req.id, req.name);
        crate::error!(target: "audit", "{req.id:#x}", sum = (user + 1), text = ?"text");
        crate::event!(Level::Warn, "message", r#type = true, letter = 'x', "any text" = 5_u8);
        crate::trace!(user);
        match user {
            0 => crate::info!("zero"),
            other => crate::info!("{other}", key = { other + 1 }),
        }
    }

    #[::core::prelude::v1::test]
    fn every_form_is_recorded() {
        let request = Request { id: 5, name: Option::Some("ann") };
        let events = support::record_of(|| every_form(&request, 1.25));
        ::core::assert_eq!(
            events[1],
            "Info \"message\" user=u32 7 req.id=u64 5 req.name=?debug Some(\"ann\") code=I64(200)"
        );
        ::core::assert_eq!(events.len(), 7, "{events:#?}");
    }
}
