//! A callsite of ours for one of another facade: created at run time, and never freed.

use ttlog_core::event::dynamic::DynamicFields;
use ttlog_core::event::{Field, Role};
use ttlog_core::{Callsite, DropReason, Level, Metadata, Type, TypeList};

use super::buffer::with_buffer;
use crate::event::record::{append_words, belongs_to_priority, record_slow};
use crate::state;

/// Bytes that any value can take, if only as a note that it was cut.
const VALUE_LEN_MIN: usize = 10;

/// A callsite whose values carry their types.
#[derive(Debug)]
pub(crate) struct BridgedCallsite {
    callsite: Callsite,
    types: TypeList,
    types_hash: u32,
    /// Whether its events belong to the priority class.
    is_priority: bool,
    /// Length of a buffer in which all values have room, if only as a note that they were cut, in words.
    words_min: usize,
}

/// Source of a callsite.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) level: Level,
    pub(crate) target: &'static str,
    pub(crate) file: &'static str,
    pub(crate) line: u32,
}

impl BridgedCallsite {
    /// Creates the callsite; leaks a few hundred bytes.
    pub(crate) fn leak(origin: Origin, message: &'static str, fields: Vec<Field>) -> Self {
        let Origin { level, target, file, line } = origin;
        let fields: &'static [Field] = fields.leak();
        let metadata = Metadata { level, target, message, file, line, fields };
        let types = fields
            .iter()
            .rev()
            .fold(TypeList::Nil, |rest, field| TypeList::Cons(type_of(field), Box::leak(Box::new(rest))));
        BridgedCallsite {
            callsite: Callsite::new(Box::leak(Box::new(metadata))),
            types,
            types_hash: types.hash(),
            is_priority: belongs_to_priority(&metadata),
            // One more for the padding.
            words_min: (fields.len() * VALUE_LEN_MIN).div_ceil(8) + 1,
        }
    }

    /// Returns whether the recorder's filter selects its events.
    #[inline]
    pub(crate) fn is_enabled(&self) -> bool {
        self.callsite.is_enabled()
    }

    /// Returns the compile-time metadata.
    pub(crate) fn metadata(&self) -> &'static Metadata {
        self.callsite.metadata()
    }

    /// Records an event whose values `encode` encodes, in the order of the fields.
    ///
    /// `encode` is called once, with room for all fields. Anything it calls can record events itself.
    #[inline(always)]
    pub(crate) fn record(&'static self, encode: impl FnOnce(&mut [u64]) -> &[u64]) {
        self.record_if(|buffer| Some(encode(buffer)));
    }

    /// Like [`record`](Self::record), unless `encode` returns `None`. Returns `false` in that case.
    #[inline(always)]
    pub(crate) fn record_if(&'static self, encode: impl FnOnce(&mut [u64]) -> Option<&[u64]>) -> bool {
        with_buffer(|buffer| {
            if buffer.len() < self.words_min {
                count_too_large();
                return true;
            }
            let Some(payload) = encode(buffer) else { return false };
            match self.callsite.id_for(self.types_hash) {
                Some(id) if append_words(&self.callsite, id, self.is_priority, payload) => {}
                _ => self.record_other(payload),
            }
            true
        })
    }

    #[cold]
    #[inline(never)]
    fn record_other(&'static self, payload: &[u64]) {
        record_slow(&self.callsite, &DynamicFields::new(self.types, self.types_hash, payload));
    }
}

impl BridgedCallsite {
    /// Records an event whose values are encoded already.
    #[cfg(feature = "tracing")]
    pub(crate) fn record_payload(&'static self, payload: &[u64]) {
        self.record_other(payload);
    }
}

/// Counts an event whose fields do not fit into a segment, even with all values cut to nothing.
#[cold]
fn count_too_large() {
    if let Some(state) = state::current() {
        state.ring.count_dropped(DropReason::TooLarge, 1);
    }
}

fn type_of(field: &Field) -> Type {
    if field.role == Role::Value { Type::Any } else { Type::U64 }
}

/// Returns the text as a message without placeholders: braces are doubled.
#[cfg(feature = "tracing")]
pub(crate) fn literal_message(text: &str) -> &'static str {
    text.replace('{', "{{").replace('}', "}}").leak()
}
