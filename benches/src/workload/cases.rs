//! The measured loops, each over one kind of event.
//!
//! Each is a function named `measured` that is not inlined, so that callgrind can count in it alone
//! (`ci/checks/instructions`). Round `i` logs input `i` of the table, modulo its length: so the index of an event in
//! the ring says which values it must have.

use ttlog_core::ValueRef;
use ttlog_core::record::Text;
use ttlog_std::{FatalSignals, Level};

use crate::harness::recorder::Setup;
use crate::workload::inputs::{INPUT_COUNT, Input, Inputs, Texts};

/// Creates a module with a function `measured` for each case.
macro_rules! measured {
    ($($(#[$doc:meta])* $name:ident($text:ident, $quantity:ident, $price:ident) => $body:expr;)*) => {$(
        $(#[$doc])*
        pub mod $name {
            #[allow(unused_imports, reason = "not every case needs everything")]
            use super::*;

            /// Runs `count` rounds, from input `first` on.
            #[inline(never)]
            #[allow(unused_variables, reason = "not every case logs every value")]
            pub fn measured(inputs: &Inputs, first: u64, count: u64) {
                for index in first..first + count {
                    let input = inputs[index as usize % INPUT_COUNT];
                    let Input { text: $text, quantity: $quantity, price: $price } = input;
                    $body;
                }
            }
        }
    )*};
}

measured! {
    /// An event that has only a message.
    event_0_fields(text, quantity, price) => ttlog_std::info!("tick");
    /// The standard event: a text, a u64 and an f64.
    event_3_fields(symbol, quantity, price) => ttlog_std::info!("order executed", symbol, quantity, price);
    /// The standard event as a warning, which goes to the segments kept for warnings.
    event_3_fields_warn(symbol, quantity, price) => ttlog_std::warn!("order executed", symbol, quantity, price);
    /// An event with one text of 64 bytes.
    event_string_64(line, quantity, price) => ttlog_std::info!("line read", line);
    /// The standard event with its fields in a template.
    event_template(symbol, quantity, price) => ttlog_std::info!("{quantity} of {symbol} at {price:.2}");
    /// The life of a span of two records: it starts and is entered, is left and ends.
    span_guard(text, quantity, price) => drop(ttlog_std::info_scope!("order"));
    /// The life of a span in its four steps.
    span_life(text, quantity, price) => drop(ttlog_std::info_span!("order").enter());
    /// The loop that fetches the values, without an event.
    bare_loop(text, quantity, price) => consume(text, quantity, price);
    /// A call of an empty function that is not inlined.
    empty_call(text, quantity, price) => nothing();
}

/// Makes the values count as used, without an instruction.
#[inline(always)]
fn consume(text: &str, quantity: u64, price: f64) {
    #[cfg(target_arch = "x86_64")]
    {
        let address = text.as_ptr().addr();
        // SAFETY: no instruction at all.
        unsafe {
            core::arch::asm!("/* {} {} {} {} */", in(reg) address, in(reg) text.len(), in(reg) quantity,
                in(xmm_reg) price, options(nomem, nostack, preserves_flags));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::hint::black_box((text, quantity, price));
}

/// The callee of [`empty_call`].
#[inline(never)]
fn nothing() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: no instruction at all; it only keeps the call from being removed.
    unsafe {
        core::arch::asm!("", options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::hint::black_box(());
}

/// A case: the loop, its values, its recorder, and what the ring must hold afterwards.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Name on the command line and in reports.
    pub name: &'static str,
    /// The loop.
    pub measured: fn(&Inputs, u64, u64),
    /// The logged texts.
    pub texts: Texts,
    /// How the recorder is started.
    pub setup: Setup,
    /// Whether the events go to the segments kept for warnings. These are shared, and their records have no index.
    pub kept: bool,
    /// Whether each round emits an event.
    pub emits: bool,
    /// Number of records that each round emits, if any. The values of those of spans are not checked.
    pub records: u64,
    /// Names of the event's fields, in order.
    pub fields: &'static [&'static str],
}

const TRADE: &[&str] = &["symbol", "quantity", "price"];

const SETUP: Setup = Setup { coarse_clock: false, level: Level::Trace, fatal_signals: FatalSignals::All, heap: false };

const STANDARD: Case = Case {
    name: "event_3_fields",
    measured: event_3_fields::measured,
    texts: Texts::Symbols,
    setup: SETUP,
    kept: false,
    emits: true,
    records: 1,
    fields: TRADE,
};

/// All cases.
pub const ALL: &[Case] = &[
    Case { name: "event_0_fields", measured: event_0_fields::measured, fields: &[], ..STANDARD },
    STANDARD,
    Case { name: "event_3_fields_coarse", setup: Setup { coarse_clock: true, ..SETUP }, ..STANDARD },
    Case { name: "event_3_fields_signals_off", setup: Setup { fatal_signals: FatalSignals::Off, ..SETUP }, ..STANDARD },
    Case { name: "event_3_fields_warn", measured: event_3_fields_warn::measured, kept: true, ..STANDARD },
    Case { name: "event_3_fields_longer", texts: Texts::LongerSymbols, ..STANDARD },
    Case { name: "event_3_fields_text_8", texts: Texts::Letters8, ..STANDARD },
    Case {
        name: "event_string_64",
        measured: event_string_64::measured,
        texts: Texts::Letters64,
        fields: &["line"],
        ..STANDARD
    },
    Case {
        name: "event_template",
        measured: event_template::measured,
        fields: &["quantity", "symbol", "price"],
        ..STANDARD
    },
    Case { name: "span_guard", measured: span_guard::measured, records: 2, fields: &[], ..STANDARD },
    Case { name: "span_life", measured: span_life::measured, records: 4, fields: &[], ..STANDARD },
    Case { name: "disabled", setup: Setup { level: Level::Warn, ..SETUP }, emits: false, ..STANDARD },
    Case { name: "bare_loop", measured: bare_loop::measured, emits: false, ..STANDARD },
    Case { name: "empty_call", measured: empty_call::measured, emits: false, ..STANDARD },
];

/// Returns the case of a name.
#[must_use]
pub fn find(name: &str) -> Option<Case> {
    ALL.iter().copied().find(|case| case.name == name)
}

/// Returns the case of the standard event.
#[must_use]
pub fn standard() -> Case {
    STANDARD
}

/// Returns the expected value of a field of an event made from `input`.
#[must_use]
pub fn expected(field: &str, input: &Input) -> Option<ValueRef<'static>> {
    match field {
        "symbol" | "line" => Some(ValueRef::Str(Text { text: input.text, full_len: None })),
        "quantity" => Some(ValueRef::Unsigned(input.quantity)),
        "price" => Some(ValueRef::F64(input.price)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_fields_known() {
        let input = crate::workload::inputs::table(Texts::Symbols)[0];
        for case in ALL {
            assert_eq!(ALL.iter().filter(|other| other.name == case.name).count(), 1, "{}", case.name);
            assert!(case.fields.iter().all(|field| expected(field, &input).is_some()), "{}", case.name);
        }
        assert!(find("nonsense").is_none());
    }
}
