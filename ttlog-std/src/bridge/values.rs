//! Values of `tracing` as values that carry their types.

use std::error::Error;
use std::fmt::Debug;

use tracing_core::field::{Field, FieldSet, Visit};
use ttlog_core::event::dynamic::DynamicValues;

/// Fields of a callsite of `tracing`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) count: usize,
    /// Index of the field `message`; if there is none, no index.
    pub(crate) message: usize,
}

impl Shape {
    pub(crate) fn of(fields: &FieldSet) -> Self {
        let message = fields.iter().position(|field| field.name() == "message");
        Shape { count: fields.len(), message: message.unwrap_or(usize::MAX) }
    }
}

/// Encodes ids and then the values of the fields into `out`, and returns the payload.
///
/// `visit` visits the values, in any order: it is called once if that is the order of the fields, otherwise once more
/// per field, so `Debug` impls can be called twice. Fields that are not visited are absent; of a field that is visited
/// more than once, the first value counts.
#[inline]
pub(crate) fn encode<'b>(out: &'b mut [u64], ids: &[u64], shape: Shape, visit: impl Fn(&mut dyn Visit)) -> &'b [u64] {
    let mut in_order =
        InOrder { values: begin(out, ids, shape.count), message: shape.message, count: shape.count, is_in_order: true };
    visit(&mut in_order);
    if in_order.is_in_order {
        return in_order.values.finish();
    }
    encode_one_by_one(in_order.values.again(ids.len() + shape.count), ids, shape, visit)
}

#[cold]
#[inline(never)]
fn encode_one_by_one<'b>(
    mut values: DynamicValues<'b>,
    ids: &[u64],
    shape: Shape,
    visit: impl Fn(&mut dyn Visit),
) -> &'b [u64] {
    ids.iter().for_each(|id| values.id(*id));
    for wanted in 0..shape.count {
        let mut one = One { values, message: shape.message, wanted, is_found: false };
        visit(&mut one);
        if !one.is_found {
            one.values.absent();
        }
        values = one.values;
    }
    values.finish()
}

#[inline(always)]
fn begin<'b>(out: &'b mut [u64], ids: &[u64], count: usize) -> DynamicValues<'b> {
    let mut values = DynamicValues::new(out, ids.len() + count);
    for id in ids {
        values.id(*id);
    }
    values
}

/// Encodes values that are visited in the order of the fields.
struct InOrder<'b> {
    values: DynamicValues<'b>,
    message: usize,
    /// Number of fields.
    count: usize,
    /// Whether no field was visited after a later one.
    is_in_order: bool,
}

/// Encodes the first value of one field.
struct One<'b> {
    values: DynamicValues<'b>,
    message: usize,
    /// Index of the field.
    wanted: usize,
    is_found: bool,
}

/// Decides which of the visited values are encoded.
trait Place<'b> {
    /// Returns where the value of the field is encoded, if it is.
    fn place(&mut self, field: &Field) -> Option<&mut DynamicValues<'b>>;
}

impl<'b> Place<'b> for InOrder<'b> {
    #[inline(always)]
    fn place(&mut self, field: &Field) -> Option<&mut DynamicValues<'b>> {
        let is_next = field.index() + self.values.left() == self.count;
        (is_next || self.skip_to(field.index())).then_some(&mut self.values)
    }
}

impl InOrder<'_> {
    /// Encodes that the fields before one are absent. Returns `false` if it is not behind the last one.
    #[cold]
    #[inline(never)]
    fn skip_to(&mut self, index: usize) -> bool {
        self.is_in_order &= index + self.values.left() >= self.count;
        while self.is_in_order && index + self.values.left() > self.count {
            self.values.absent();
        }
        self.is_in_order
    }
}

impl<'b> Place<'b> for One<'b> {
    fn place(&mut self, field: &Field) -> Option<&mut DynamicValues<'b>> {
        let is_it = field.index() == self.wanted && !self.is_found;
        self.is_found |= is_it;
        is_it.then_some(&mut self.values)
    }
}

macro_rules! impl_visit {
    ($visitor:ident) => {
        impl Visit for $visitor<'_> {
            #[inline]
            fn record_f64(&mut self, field: &Field, value: f64) {
                if let Some(values) = self.place(field) {
                    values.f64(value);
                }
            }
            #[inline]
            fn record_i64(&mut self, field: &Field, value: i64) {
                if let Some(values) = self.place(field) {
                    values.i64(value);
                }
            }
            #[inline]
            fn record_u64(&mut self, field: &Field, value: u64) {
                if let Some(values) = self.place(field) {
                    values.u64(value);
                }
            }
            fn record_i128(&mut self, field: &Field, value: i128) {
                if let Some(values) = self.place(field) {
                    values.i128(value);
                }
            }
            fn record_u128(&mut self, field: &Field, value: u128) {
                if let Some(values) = self.place(field) {
                    values.u128(value);
                }
            }
            #[inline]
            fn record_bool(&mut self, field: &Field, value: bool) {
                if let Some(values) = self.place(field) {
                    values.bool(value);
                }
            }
            #[inline]
            fn record_str(&mut self, field: &Field, value: &str) {
                if let Some(values) = self.place(field) {
                    values.str(value);
                }
            }
            fn record_bytes(&mut self, field: &Field, value: &[u8]) {
                if let Some(values) = self.place(field) {
                    values.blob(value);
                }
            }
            fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
                if let Some(values) = self.place(field) {
                    values.error(value);
                }
            }
            #[cfg(all(tracing_unstable, feature = "valuable"))]
            fn record_value(&mut self, field: &Field, value: valuable::Value<'_>) {
                if let Some(values) = self.place(field) {
                    valuable_value(values, value);
                }
            }
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                let is_message = field.index() == self.message;
                if let Some(values) = self.place(field) {
                    // A message is text, of which the quotes of `Debug` are no part.
                    if is_message { values.message(value) } else { values.debug(value) }
                }
            }
        }
    };
}
impl_visit!(InOrder);
impl_visit!(One);

/// Encodes a value of `valuable`: plain ones with their types, lists and structs as `Debug` text.
#[cfg(all(tracing_unstable, feature = "valuable"))]
fn valuable_value(values: &mut DynamicValues<'_>, value: valuable::Value<'_>) {
    use valuable::Value;
    match value {
        Value::Bool(value) => values.bool(value),
        Value::Char(value) => values.char(value),
        Value::F32(value) => values.f64(f64::from(value)),
        Value::F64(value) => values.f64(value),
        Value::I8(value) => values.i64(value.into()),
        Value::I16(value) => values.i64(value.into()),
        Value::I32(value) => values.i64(value.into()),
        Value::I64(value) => values.i64(value),
        Value::I128(value) => values.i128(value),
        Value::Isize(value) => values.i64(value as i64),
        Value::String(value) => values.str(value),
        Value::U8(value) => values.u64(value.into()),
        Value::U16(value) => values.u64(value.into()),
        Value::U32(value) => values.u64(value.into()),
        Value::U64(value) => values.u64(value),
        Value::U128(value) => values.u128(value),
        Value::Usize(value) => values.u64(value as u64),
        Value::Error(value) => values.error(value),
        Value::Unit => values.unit(),
        other => values.debug(&other),
    }
}
