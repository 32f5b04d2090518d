//! Turns: changes of the order of a word's bytes, so that more of its lowest ones are often the same.
//!
//! # Format
//! docs/format.md §6.3, forms 32 to 127.

/// First form of a column by dictionary after a turn.
pub(super) const FORM_TURNED: u8 = 32;
/// Last one.
pub(super) const FORM_TURNED_MAX: u8 = 127;

/// A change of the order of a word's bytes: some of the lowest are put above all others.
///
/// The heads of the numbers of an event are between the length of a text and the text, or before both. They differ from
/// event to event, where the text and its length often are those of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Index of the first byte that is moved, 0 to 3.
    pub(super) start: u8,
    /// Number of bytes that are moved, 1 to 3.
    pub(super) len: u8,
}

impl Turn {
    /// Returns the form by dictionary of the lower `prefix` bytes, 1 to 8, after this turn.
    pub(super) const fn form(self, prefix: u8) -> u8 {
        FORM_TURNED + 24 * self.start + 8 * (self.len - 1) + prefix - 1
    }

    /// Returns the turn and the prefix of a form; `None` if it is not one of these.
    pub(super) const fn of_form(form: u8) -> Option<(Self, u8)> {
        match form {
            FORM_TURNED..=FORM_TURNED_MAX => {
                let index = form - FORM_TURNED;
                Some((Turn { start: index / 24, len: index % 24 / 8 + 1 }, index % 8 + 1))
            }
            _ => None,
        }
    }

    /// Moves the bytes up.
    pub(super) const fn apply(self, word: u64) -> u64 {
        let (start, end) = (self.start as u32 * 8, (self.start + self.len) as u32 * 8);
        let below = word & !(u64::MAX << start);
        let moved = word >> start & !(u64::MAX << (end - start));
        below | word >> end << start | moved << (64 - (end - start))
    }

    /// Moves them back.
    pub(super) const fn undo(self, word: u64) -> u64 {
        let (start, len) = (self.start as u32 * 8, self.len as u32 * 8);
        let below = word & !(u64::MAX << start);
        let above = (word << len >> len) >> start;
        below | (word >> (64 - len)) << start | above << (start + len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turned_words_come_back() {
        for form in 0..=u8::MAX {
            let Some((turn, prefix)) = Turn::of_form(form) else {
                assert!(!(FORM_TURNED..=FORM_TURNED_MAX).contains(&form));
                continue;
            };
            assert_eq!(turn.form(prefix), form);
            assert!(turn.start <= 3 && (1..=3).contains(&turn.len) && (1..=8).contains(&prefix), "{turn:?}");
            for word in [0x0807_0605_0403_0201, u64::MAX, 0, 1, 1 << 63] {
                assert_eq!(turn.undo(turn.apply(word)), word, "{turn:?}");
                let (start, end) = (usize::from(turn.start), usize::from(turn.start + turn.len));
                let bytes = word.to_le_bytes();
                let moved = [&bytes[..start], &bytes[end..], &bytes[start..end]].concat();
                assert_eq!(turn.apply(word).to_le_bytes()[..], moved[..], "{turn:?}");
            }
        }
    }
}
