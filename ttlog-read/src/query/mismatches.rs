//! Values that do not compare with what a condition wants: counted, and reported in a sentence.

use super::compare::{Mismatch, Operator};
use super::condition::Condition;
use super::scalar::Kind;
use crate::text::escape::escaped;
use crate::text::number::counted;

/// Events that a condition could not compare, by condition and kinds.
#[derive(Clone, Debug, Default)]
pub struct Mismatches {
    counts: Vec<(usize, Mismatch, u64)>,
}

impl Mismatches {
    /// Counts an event that the condition with this index could not compare.
    pub(crate) fn count(&mut self, condition: usize, mismatch: Mismatch) {
        match self.counts.iter_mut().find(|(index, kinds, _)| (*index, *kinds) == (condition, mismatch)) {
            Some((.., count)) => *count += 1,
            None => self.counts.push((condition, mismatch, 1)),
        }
    }

    /// Removes what `reported` has, and adds the rest to it.
    pub(crate) fn take_new(&mut self, reported: &mut Self) {
        let is_known = |index: usize, mismatch: Mismatch, known: &Self| {
            known.counts.iter().any(|(other, kinds, _)| (*other, *kinds) == (index, mismatch))
        };
        self.counts.retain(|(index, mismatch, _)| !is_known(*index, *mismatch, reported));
        reported.counts.extend_from_slice(&self.counts);
    }

    /// Returns a sentence for each condition and kind, in the order of the conditions.
    #[must_use]
    pub fn sentences(&self, conditions: &[Condition]) -> Vec<String> {
        let mut counts = self.counts.clone();
        counts.sort_by_key(|(index, mismatch, _)| (*index, mismatch.found));
        let sentence = |&(index, mismatch, count): &(usize, Mismatch, u64)| {
            conditions.get(index).map(|condition| sentence(condition, mismatch, count))
        };
        counts.iter().filter_map(sentence).collect()
    }
}

fn sentence(condition: &Condition, mismatch: Mismatch, count: u64) -> String {
    let (key, typed) = (escaped(condition.key.name()), escaped(&condition.wanted.text));
    let Mismatch { found, wanted } = mismatch;
    let one = count == 1;
    let has = if one { "has" } else { "have" };
    let events = counted(count, "event");
    let kinds = match (found, wanted) {
        (Kind::Text, wanted) => {
            format!("as text that is no {}", wanted.noun().trim_start_matches("a "))
        }
        (found, Kind::Text) => format!("as {}, and `{typed}` is none", found.noun()),
        (Kind::Number, wanted) => {
            format!("as a number without a unit, and `{typed}` is {}", wanted.noun())
        }
        (Kind::Duration | Kind::Size, Kind::Number) => format!("as {}, and `{typed}` has no unit", found.noun()),
        (found, wanted) => format!("as {}, and `{typed}` is {}", found.noun(), wanted.noun()),
    };
    let result = match (condition.operator, one) {
        (Operator::NotEqual, true) => "it counts as different",
        (Operator::NotEqual, false) => "they count as different",
        (_, true) => "it does not match",
        (_, false) => "they do not match",
    };
    format!("{events} {has} `{key}` {kinds}; {result}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_each_condition_is_reported_once_if_a_ring_is_read_again() {
        let text = Mismatch { found: Kind::Text, wanted: Kind::Number };
        let size = Mismatch { found: Kind::Size, wanted: Kind::Number };
        let filter: crate::query::Filter = "a>5 and b!=5".parse().expect("a filter");
        let mut reported = Mismatches::default();
        let mut read = |counts: &[(usize, Mismatch)]| {
            let mut mismatches = Mismatches::default();
            counts.iter().for_each(|&(condition, mismatch)| mismatches.count(condition, mismatch));
            mismatches.take_new(&mut reported);
            mismatches.sentences(filter.conditions())
        };
        let first = "2 events have `a` as text that is no number; they do not match";
        assert_eq!(read(&[(0, text), (0, text)]), [first]);
        let new = "1 event has `b` as a size, and `5` has no unit; it counts as different";
        assert_eq!(read(&[(1, size), (0, text), (0, text)]), [new]);
        assert_eq!(read(&[(1, size), (0, text)]), [""; 0]);
        assert_eq!(read(&[(1, text), (0, size)]).len(), 2);
    }
}
