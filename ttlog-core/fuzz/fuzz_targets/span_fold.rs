//! Folds arbitrary records into spans: ids that recur, circles, ends before starts, leaves without enters, times that
//! are equal or far apart. The result is that of a second, naive fold. The same records in a ring, with callsites whose
//! fields have arbitrary roles, are read as a file; nothing panics, and each span is listed once.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use ttlog_core_fuzz::{span_ring, spans};
use ttlog_read::span::{Action, SpanRecord};

/// Most records of an input; the naive fold takes the square of it per span.
const RECORDS_MAX: usize = 96;

#[derive(Arbitrary, Debug)]
struct Input {
    complete_from: Time,
    records: Vec<(Time, u8, Id, What, Id)>,
    /// Roles of the fields of callsites of their own.
    roles: Vec<[u8; 3]>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Time {
    Small(u8),
    Any(i64),
}

/// Few ids, so that they meet.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Id {
    Small(u8),
    Any(u64),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum What {
    Start,
    StartInCurrent,
    Begin,
    BeginInCurrent,
    Enter,
    Leave,
    End,
    Repeat,
    Finish,
    Update,
    Mention,
    /// The enter as often as a deep recursion has it.
    EnterOften,
}

impl Time {
    fn ns(self) -> i64 {
        match self {
            Time::Small(ns) => i64::from(ns),
            Time::Any(ns) => ns,
        }
    }
}

impl Id {
    fn number(self) -> u64 {
        match self {
            Id::Small(number) => u64::from(number % 8),
            Id::Any(number) => number,
        }
    }
}

fuzz_target!(|input: Input| {
    let mut records = Vec::new();
    for &(at, context, span, what, other) in input.records.iter().take(RECORDS_MAX) {
        let other = other.number();
        let action = match what {
            What::Start => Action::Start { parent: Some(other) },
            What::StartInCurrent => Action::Start { parent: None },
            What::Begin => Action::Begin { parent: Some(other) },
            What::BeginInCurrent => Action::Begin { parent: None },
            What::Enter | What::EnterOften => Action::Enter,
            What::Leave => Action::Leave,
            What::End => Action::End,
            What::Repeat => Action::Repeat { parent: other },
            What::Finish => Action::Finish,
            What::Update => Action::Update { follows: other },
            What::Mention => Action::Mention,
        };
        let (at, span, context) = (at.ns(), span.number(), u32::from(context % 4));
        let record = SpanRecord { at, order: 0, ticks: at as u64, context, span, action, entry: 0 };
        records.extend(std::iter::repeat_n(record, if matches!(what, What::EnterOften) { 40 } else { 1 }));
    }
    records.truncate(2 * RECORDS_MAX);
    span_ring::read(&records, &input.roles);
    records.sort_by_key(|record| record.at);
    for (index, record) in records.iter_mut().enumerate() {
        (record.order, record.entry) = (index as u64, index);
    }
    spans::assert_fold(&records, input.complete_from.ns());
});
