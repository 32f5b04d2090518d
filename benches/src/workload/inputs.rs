//! The logged values: prepared before the clock runs, and unknown to the compiler.
//!
//! They look like trades: a symbol, a quantity, and a price that wanders. They come from a generator with a fixed seed,
//! so every run on every machine logs the same values.

use std::hint::black_box;

/// The values of one event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Input {
    /// A symbol, or another text.
    pub text: &'static str,
    /// 1 to 8,000; 1 to 10,000 with longer symbols.
    pub quantity: u64,
    /// 10.00 to 500.00 at the start.
    pub price: f64,
}

/// Inputs that the measured loops cycle through.
pub const INPUT_COUNT: usize = 1024;

/// The table of a measured loop: 32 KiB, which stay in the cache.
pub type Inputs = [Input; INPUT_COUNT];

/// Kind of the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    /// 3 to 5 letters, like most stock symbols.
    Symbols,
    /// 3 to 6 letters, with quantities up to 10,000: one event in four needs one more word.
    LongerSymbols,
    /// 8 letters.
    Letters8,
    /// 64 letters.
    Letters64,
}

impl Texts {
    fn len(self, random: &mut Random) -> usize {
        match self {
            Texts::Symbols => 3 + random.below(3) as usize,
            Texts::LongerSymbols => 3 + random.below(4) as usize,
            Texts::Letters8 => 8,
            Texts::Letters64 => 64,
        }
    }
}

/// Largest quantity.
const QUANTITY_MAX: u64 = 8_000;
const LARGER_QUANTITY_MAX: u64 = 10_000;
/// Number of texts, each with a price of its own.
const SYMBOL_COUNT: usize = 64;

/// Creates `count` inputs, which are never freed.
#[must_use]
pub fn prepare(texts: Texts, count: usize) -> &'static [Input] {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut symbols: Vec<(&'static str, u64)> = (0..SYMBOL_COUNT)
        .map(|_| {
            let letters: String =
                (0..texts.len(&mut random)).map(|_| char::from(b'A' + random.below(26) as u8)).collect();
            (&*letters.leak(), 1_000 + random.below(49_000))
        })
        .collect();
    let quantity_max = if texts == Texts::LongerSymbols { LARGER_QUANTITY_MAX } else { QUANTITY_MAX };
    let inputs: Vec<Input> = (0..count)
        .map(|_| {
            let (text, cents) = &mut symbols[random.below(SYMBOL_COUNT as u64) as usize];
            *cents = (*cents + random.below(21)).saturating_sub(10).max(1);
            Input { text, quantity: 1 + random.below(quantity_max), price: *cents as f64 / 100.0 }
        })
        .collect();
    black_box(inputs.leak())
}

/// Creates the table for a measured loop.
#[must_use]
pub fn table(texts: Texts) -> &'static Inputs {
    let Some(table) = prepare(texts, INPUT_COUNT).first_chunk() else { unreachable!("that many were prepared") };
    black_box(table)
}

/// A pseudo-random generator (xorshift with a final multiplication).
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Random {
    /// Creates a generator; equal seeds yield equal numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Random(seed | 1)
    }

    /// Returns a number in `0..limit`; `limit` must not be 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_what_they_are_called() {
        for (texts, lens) in [
            (Texts::Symbols, 3..=5),
            (Texts::LongerSymbols, 3..=6),
            (Texts::Letters8, 8..=8),
            (Texts::Letters64, 64..=64),
        ] {
            let table = table(texts);
            assert!(table.iter().all(|input| lens.contains(&input.text.len()) && input.quantity > 0));
            assert!(table.iter().any(|input| input.text != table[0].text));
            assert!(table.iter().any(|input| input.price != table[0].price));
        }
        assert_eq!(table(Texts::Symbols), table(Texts::Symbols));
    }
}
