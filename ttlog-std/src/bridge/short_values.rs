//! Values of an open span in short, to be kept beside the ring.

use std::error::Error;
use std::fmt::Debug;

use tracing_core::field::{Field, Visit};
use ttlog_core::event::dynamic::DynamicValues;

use crate::span::kept_start::{KEPT_WORDS, SHORT_ROOM};

/// Encodes ids and the values of `count` fields in short: texts are cut, and values are absent that would have to be
/// formatted once more. Of very many fields, all are absent. Returns the number of words.
pub(crate) fn encode_short(out: &mut [u64], ids: &[u64], count: usize, visit: impl Fn(&mut dyn Visit)) -> usize {
    let is_room = (ids.len() + count) * VALUE_LEN_MIN <= KEPT_WORDS * 8;
    // One more for the padding.
    let len = if is_room { KEPT_WORDS + 1 } else { SHORT_ROOM };
    let mut values = DynamicValues::new(out.get_mut(..len).unwrap_or_default(), ids.len() + count);
    ids.iter().for_each(|id| values.id(*id));
    let mut short = Short { values, next: 0 };
    if is_room {
        visit(&mut short);
    }
    short.values.finish().len()
}

/// Bytes that any value can take, if only as a note that it was cut.
const VALUE_LEN_MIN: usize = 10;

/// Encodes values that are visited in the order of the fields; others are absent.
struct Short<'b> {
    values: DynamicValues<'b>,
    /// Index of the next field.
    next: usize,
}

impl<'b> Short<'b> {
    fn encode(&mut self, field: &Field, encode: impl FnOnce(&mut DynamicValues<'b>)) {
        if field.index() < self.next {
            return;
        }
        for _ in self.next..field.index() {
            self.values.absent();
        }
        self.next = field.index() + 1;
        encode(&mut self.values);
    }
}

impl Visit for Short<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.encode(field, |values| values.f64(value));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.encode(field, |values| values.i64(value));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.encode(field, |values| values.u64(value));
    }
    fn record_i128(&mut self, field: &Field, value: i128) {
        self.encode(field, |values| values.i128(value));
    }
    fn record_u128(&mut self, field: &Field, value: u128) {
        self.encode(field, |values| values.u128(value));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.encode(field, |values| values.bool(value));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.encode(field, |values| values.str(value));
    }
    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.encode(field, |values| values.blob(value));
    }
    fn record_error(&mut self, _: &Field, _: &(dyn Error + 'static)) {}
    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}
