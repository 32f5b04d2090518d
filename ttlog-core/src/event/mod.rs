//! Events: callsites with their compile-time metadata, fields, and filters.
//!
//! | module | content |
//! | --- | --- |
//! | this one | callsites and their metadata, levels, fields, epochs |
//! | [`capture`] | conversion of a log macro's arguments to values |
//! | [`dynamic`] | fields whose types are known only at run time |
//! | [`filter`] | directives such as `info,my_crate::net=debug` |
//! | [`secret`] | fields that are withheld from snapshots and exports |

pub(crate) mod callsite;
pub mod capture;
pub mod dynamic;
pub(crate) mod epoch;
pub mod error_chain;
pub(crate) mod fields;
pub mod filter;
pub(crate) mod level;
pub(crate) mod literal;
pub(crate) mod metadata;
pub mod nested;
pub mod secret;
pub mod shown;
pub(crate) mod span_context;
pub mod walk;

pub use callsite::Callsite;
pub use epoch::{epoch, start_epoch};
pub use fields::{AnyFields, Cons, Fields, JoinedFields, Nil, TypeList};
pub use level::{Level, STATIC_LEVEL_FLOOR, UnknownLevel, is_priority, level_enabled};
pub use literal::LiteralRef;
pub use metadata::{Field, Literal, Metadata, Role, Shown};
pub use span_context::SpanContext;
