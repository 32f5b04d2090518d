//! Events as real services log them, drawn from stated distributions.
//!
//! Nothing here suits the encoder: texts and numbers have unpredictable lengths. Round `i` logs input [`input_of`]`(i)`
//! of 4,096, an order that has no period within a measurement, so a branch predictor cannot learn it.
//!
//! Each mix is a module with three loops that are not inlined: `measured` logs, `floor` copies the same values into a
//! [`Strip`], and `measured_loop` only fetches them (for callgrind, which counts in functions of that name alone).

use std::hint::black_box;

use ttlog_core::ValueRef;
use ttlog_std::{FatalSignals, Level};

use crate::error::{Result, ensure};
use crate::harness::recorder::Setup;
use crate::workload::inputs::Random;
use crate::workload::strip::{Plain, Strip};

/// Number of inputs of each mix.
pub const MIX_INPUT_COUNT: usize = 4096;

/// Returns the input of round `index`.
#[inline(always)]
#[must_use]
pub fn input_of(index: u64) -> usize {
    let mixed = index.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 52) as usize
}

/// Source of the values of a mix.
struct Draw(Random);

impl Draw {
    fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.0.below(most - least + 1)
    }

    /// A number with 0 to 64 significant bits, each as likely.
    fn log_uniform(&mut self) -> u64 {
        let bits = self.within(0, 64) as u32;
        let word = self.0.below(1 << 32) << 32 | self.0.below(1 << 32);
        if bits == 0 { 0 } else { word >> (64 - bits) | 1 << (bits - 1) }
    }

    fn text(&mut self, least: u64, most: u64, letters: &[u8]) -> &'static str {
        let len = self.within(least, most);
        let text: String = (0..len).map(|_| char::from(letters[self.0.below(letters.len() as u64) as usize])).collect();
        text.leak()
    }

    fn path(&mut self, least: u64, most: u64) -> &'static str {
        let rest = self.text(least - 1, most - 1, b"abcdefghijklmnopqrstuvwxyz0123456789-/");
        format!("/{rest}").leak()
    }

    fn id(&mut self) -> &'static [u8; 16] {
        Box::leak(Box::new(std::array::from_fn(|_| self.0.below(256) as u8)))
    }

    /// A price or a duration with two decimals.
    fn cents(&mut self, most: u64) -> f64 {
        self.within(1, most) as f64 / 100.0
    }
}

/// Compares a value read back with the one logged, however it was recorded.
trait Logged {
    fn is(&self, read: &ValueRef<'_>) -> bool;
}

macro_rules! logged {
    ($($rust:ty => |$value:ident, $read:ident| $same:expr;)*) => {$(
        impl Logged for $rust {
            fn is(&self, $read: &ValueRef<'_>) -> bool {
                let $value = *self;
                $same
            }
        }
    )*};
}
logged! {
    &'static str => |v, read| matches!(read, ValueRef::Str(text) if text.text == v && text.full_len.is_none());
    u16 => |v, read| *read == ValueRef::Unsigned(v.into());
    u32 => |v, read| *read == ValueRef::Unsigned(v.into());
    i32 => |v, read| *read == ValueRef::Signed(v.into());
    f64 => |v, read| matches!(read, ValueRef::F64(read) if read.to_bits() == v.to_bits());
    &'static [u8; 16] => |v, read| matches!(read, ValueRef::Sequence(read)
        if read.clone().eq(v.iter().map(|byte| ValueRef::Unsigned((*byte).into()))));
    (u16, u64) => |v, read| match read {
        ValueRef::Debug(text) => text.text == format!("{v:?}"),
        _ => true, // recorded natively: compared by the tests of that form
    };
}

impl Logged for u64 {
    fn is(&self, read: &ValueRef<'_>) -> bool {
        match read {
            ValueRef::Unsigned(read) => read == self,
            ValueRef::Display(text) => text.text == self.to_string(),
            _ => false,
        }
    }
}

/// Makes a value count as used, without an instruction.
trait Hold {
    fn hold(self);
}

macro_rules! hold {
    ($($rust:ty, $class:ident, $template:literal, |$value:ident| [$($part:expr),+];)*) => {$(
        impl Hold for $rust {
            #[inline(always)]
            fn hold(self) {
                let $value = self;
                #[cfg(target_arch = "x86_64")]
                // SAFETY: no instruction at all.
                unsafe {
                    $(core::arch::asm!($template, in($class) $part, options(readonly, nostack, preserves_flags));)+
                }
                #[cfg(not(target_arch = "x86_64"))]
                black_box($value);
            }
        }
    )*};
}
hold! {
    &'static str, reg, "/* {} */", |v| [v.as_ptr(), v.len()];
    &'static [u8; 16], reg, "/* {} */", |v| [v.as_ptr()];
    u16, reg, "/* {:x} */", |v| [v];
    u32, reg, "/* {:e} */", |v| [v];
    i32, reg, "/* {:e} */", |v| [v];
    u64, reg, "/* {} */", |v| [v];
    f64, xmm_reg, "/* {} */", |v| [v];
}

impl Hold for (u16, u64) {
    #[inline(always)]
    fn hold(self) {
        self.0.hold();
        self.1.hold();
    }
}

/// Declares the mixes: name, description, level and clock; the fields with their types and distributions; and the
/// macro call.
macro_rules! mixes {
    ($($name:ident, $what:literal, $level:ident, $coarse:literal,
        { $($field:ident: $type:ty = |$draw:ident| $drawn:expr),* }, $call:expr;)*) => {
        $(
            #[doc = $what]
            pub mod $name {
                #[allow(unused_imports, reason = "not every mix needs everything")]
                use super::*;

                /// The values of one event.
                #[derive(Clone, Copy, Debug)]
                pub struct Input {
                    $($field: $type,)*
                }

                type Inputs = [Input; MIX_INPUT_COUNT];

                fn inputs() -> &'static Inputs {
                    static INPUTS: std::sync::OnceLock<Vec<Input>> = std::sync::OnceLock::new();
                    let table = INPUTS.get_or_init(|| {
                        #[allow(unused_variables, unused_mut, reason = "a mix can have no values")]
                        let mut draw = Draw(Random::new(0x5DEE_CE66_D1CE_4E5B));
                        (0..MIX_INPUT_COUNT)
                            .map(|_| Input { $($field: { let $draw = &mut draw; $drawn },)* })
                            .collect()
                    });
                    let Some(table) = table.first_chunk() else { unreachable!("that many were drawn") };
                    black_box(table)
                }

                /// Logs `count` events, from round `first` on.
                #[inline(never)]
                fn measured(inputs: &Inputs, first: u64, count: u64) {
                    for index in first..first + count {
                        #[allow(unused_variables, reason = "a mix can have no values")]
                        let Input { $($field,)* } = &inputs[input_of(index)];
                        $(let $field = *$field;)*
                        $call;
                    }
                }

                /// Fetches the values of `count` events, and logs nothing.
                #[inline(never)]
                fn measured_loop(inputs: &Inputs, first: u64, count: u64) {
                    for index in first..first + count {
                        #[allow(unused_variables, reason = "a mix can have no values")]
                        let Input { $($field,)* } = &inputs[input_of(index)];
                        $((*$field).hold();)*
                    }
                }

                /// Copies the values of `count` events, each with a reading of the clock.
                #[inline(never)]
                fn floor(strip: &mut Strip, inputs: &Inputs, first: u64, count: u64) {
                    for index in first..first + count {
                        #[allow(unused_variables, reason = "a mix can have no values")]
                        let Input { $($field,)* } = &inputs[input_of(index)];
                        #[allow(unused_mut, reason = "a mix can have no values")]
                        let mut cell = strip.begin();
                        $($field.copy_to(&mut cell);)*
                        strip.end(cell);
                    }
                }

                fn check(index: u64, values: &[(&str, ValueRef<'_>)]) -> Result<()> {
                    let input = &inputs()[input_of(index)];
                    let expected: &[(&str, &dyn Logged)] = &[$((stringify!($field), &input.$field)),*];
                    let right = values.len() == expected.len()
                        && expected.iter().zip(values).all(|((field, logged), (name, read))| {
                            field == name && logged.is(read)
                        });
                    ensure!(right, "event {index} holds {values:?}, and was made from {input:?}");
                    Ok(())
                }

                /// The mix.
                pub const MIX: Mix = Mix {
                    name: stringify!($name),
                    what: $what,
                    setup: Setup {
                        coarse_clock: $coarse,
                        level: Level::Trace,
                        fatal_signals: FatalSignals::All,
                        heap: false,
                    },
                    kept: matches!(Level::$level, Level::Warn | Level::Error),
                    measured: |first, count| measured(inputs(), first, count),
                    measured_loop: |first, count| measured_loop(inputs(), first, count),
                    floor: |strip, first, count| floor(strip, inputs(), first, count),
                    check,
                };
            }
        )*

        /// All mixes, in the order of reports.
        pub const MIXES: &[Mix] = &[$($name::MIX),*];
    };
}

mixes! {
    order, "symbol of 2 to 10 letters, quantity of 1 to 100,000, price", Info, false, {
        symbol: &'static str = |draw| draw.text(2, 10, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        quantity: u64 = |draw| draw.within(1, 100_000),
        price: f64 = |draw| draw.cents(50_000)
    }, ttlog_std::info!("order executed", symbol, quantity, price);
    web, "method of 3 to 6, path of 8 to 47 bytes, user and bytes log-uniform, status, milliseconds", Info, false, {
        method: &'static str = |draw| draw.text(3, 6, b"GETPUSOLDH"),
        path: &'static str = |draw| draw.path(8, 47),
        user: u64 = |draw| draw.log_uniform(),
        status: u16 = |draw| draw.within(200, 599) as u16,
        bytes: u64 = |draw| draw.log_uniform(),
        ms: f64 = |draw| draw.cents(100_000)
    }, ttlog_std::info!("request", method, path, user, status, bytes, ms);
    path, "one path of 8 to 47 bytes", Info, false, {
        path: &'static str = |draw| draw.path(8, 47)
    }, ttlog_std::info!("opened", path);
    ids, "three log-uniform u64", Info, false, {
        first: u64 = |draw| draw.log_uniform(),
        second: u64 = |draw| draw.log_uniform(),
        third: u64 = |draw| draw.log_uniform()
    }, ttlog_std::info!("linked", first, second, third);
    bytes_16, "an id of 16 bytes", Info, false, {
        id: &'static [u8; 16] = |draw| draw.id()
    }, ttlog_std::info!("created", id);
    display_u64, "a log-uniform u64 behind %", Info, false, {
        user: u64 = |draw| draw.log_uniform()
    }, ttlog_std::info!("seen", %user);
    debug_pair, "a u16 and a log-uniform u64 in a tuple behind ?", Info, false, {
        pair: (u16, u64) = |draw| (draw.within(0, 65_535) as u16, draw.log_uniform())
    }, ttlog_std::info!("seen", ?pair);
    order_warn, "the order as a warning", Warn, false, {
        symbol: &'static str = |draw| draw.text(2, 10, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        quantity: u64 = |draw| draw.within(1, 100_000),
        price: f64 = |draw| draw.cents(50_000)
    }, ttlog_std::warn!("order executed", symbol, quantity, price);
    floats, "four f64", Info, false, {
        x: f64 = |draw| draw.cents(100_000),
        y: f64 = |draw| draw.cents(100_000),
        z: f64 = |draw| draw.cents(100_000),
        t: f64 = |draw| draw.cents(100_000_000)
    }, ttlog_std::info!("moved", x, y, z, t);
    small_ints, "u16 of 200 to 599, u32 of 0 to 9, i32 of -50 to 50", Info, false, {
        status: u16 = |draw| draw.within(200, 599) as u16,
        attempt: u32 = |draw| draw.within(0, 9) as u32,
        offset: i32 = |draw| draw.within(0, 100) as i32 - 50
    }, ttlog_std::info!("answered", status, attempt, offset);
    message, "message only", Info, false, {}, ttlog_std::info!("tick");
    order_coarse, "the order with the coarse clock", Info, true, {
        symbol: &'static str = |draw| draw.text(2, 10, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        quantity: u64 = |draw| draw.within(1, 100_000),
        price: f64 = |draw| draw.cents(50_000)
    }, ttlog_std::info!("order executed", symbol, quantity, price);
}

/// Compares the values of an event, with their names, to those of a round.
pub type Check = fn(u64, &[(&str, ValueRef<'_>)]) -> Result<()>;

/// A kind of event with its distributions.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Name on the command line and in reports.
    pub name: &'static str,
    /// The values and their distributions.
    pub what: &'static str,
    /// How the recorder is started.
    pub setup: Setup,
    /// Whether the events go to the segments kept for warnings, whose records have no index.
    pub kept: bool,
    /// Logs events: the first round, and their number.
    pub measured: fn(u64, u64),
    /// Fetches the values only.
    pub measured_loop: fn(u64, u64),
    /// Copies the values.
    pub floor: fn(&mut Strip, u64, u64),
    /// Checks that the values of an event, with their names, are those of round `index`.
    pub check: Check,
}

/// Returns the mix of a name.
#[must_use]
pub fn find(name: &str) -> Option<Mix> {
    MIXES.iter().copied().find(|mix| mix.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_drawn_in_an_order_without_a_short_period() {
        let order: Vec<usize> = (0..100_000).map(input_of).collect();
        assert!(order.iter().all(|&input| input < MIX_INPUT_COUNT));
        let mut drawn: Vec<usize> = order.clone();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), MIX_INPUT_COUNT);
        for period in 1..20_000 {
            let same = order.iter().zip(&order[period..]).take(1000).filter(|(a, b)| a == b).count();
            assert!(same < 50, "{same} of 1000 inputs repeat after {period}");
        }
    }

    #[test]
    fn log_uniform_numbers_have_all_lengths() {
        let mut draw = Draw(Random::new(7));
        let mut seen = [0; 65];
        for _ in 0..65_000 {
            seen[64 - draw.log_uniform().leading_zeros() as usize] += 1;
        }
        assert!(seen.iter().all(|count| (700..1300).contains(count)), "{seen:?}");
    }
}
