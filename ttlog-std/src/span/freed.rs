//! Slots of the table of open spans that a thread has freed: its next spans take them again.

use std::cell::Cell;

/// Number of slots that are remembered, the latest ones.
const COUNT: usize = 16;

thread_local! {
    static FREED: Freed = const { Freed { slots: [const { Cell::new(NONE) }; COUNT], next: Cell::new(0) } };
}

/// In place of a slot.
const NONE: u32 = u32::MAX;

/// A stack whose oldest entries are overwritten. They are hints, so a signal handler that interrupts a change does no
/// harm.
struct Freed {
    slots: [Cell<u32>; COUNT],
    /// Index of the next entry.
    next: Cell<u8>,
}

/// Remembers a slot.
#[inline]
pub(crate) fn put(slot: u32) {
    FREED.with(|freed| {
        let next = freed.next.get();
        freed.slots[usize::from(next) % COUNT].set(slot);
        freed.next.set(next.wrapping_add(1));
    });
}

/// Returns the slot that was freed last and was not taken again.
#[inline]
pub(crate) fn take() -> Option<u32> {
    FREED.with(|freed| {
        let last = freed.next.get().wrapping_sub(1);
        let slot = freed.slots[usize::from(last) % COUNT].replace(NONE);
        if slot == NONE {
            return None;
        }
        freed.next.set(last);
        Some(slot)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_slots_come_back_latest_first() {
        assert_eq!(take(), None);
        (0..COUNT as u32 + 3).for_each(put);
        let all: Vec<_> = std::iter::from_fn(take).collect();
        assert_eq!(all, (3..COUNT as u32 + 3).rev().collect::<Vec<_>>());
        put(7);
        assert_eq!((take(), take()), (Some(7), None));
    }
}
