//! Spans: what each was doing, for how long, and which were open at the end.
//!
//! A span is a few events with roles ([`Role`](ttlog_core::event::Role)): it starts, is entered and left, perhaps by
//! several contexts and many times, gets more values, and ends. [`Spans`] folds them, in order of time, into one
//! [`Span`] for each id. What was overwritten is missing here too: a span whose start is lost has no name, and its
//! parent is unknown. It is still listed, even if only an event or a child refers to it.
//!
//! An event belongs to the span whose id it has. If it has none, it belongs to the innermost span that its context was
//! in then ([`Spans::current_at`]).
//!
//! | file | content |
//! | --- | --- |
//! | `record` | reading the role and the ids of an event |
//! | `fold` | from records to spans |
//! | `history` | the innermost span of a context, over time |
//! | `tree` | paths, children, and the order in which spans are listed |

mod fold;
mod history;
mod record;
mod tree;

pub use fold::{Span, Spans, State};
pub use record::{Action, RolesOf, SpanRecord, TraceIds};
pub use tree::{Node, PATH_LEN_MAX};

#[cfg(test)]
mod tests;
