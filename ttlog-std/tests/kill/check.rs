//! Checks the ring of a killed process.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ttlog_core::ring::Mode;
use ttlog_core::{CallsiteInfo, Item, Record, RingImage, SegmentState, TableItem, ValueRef};

use crate::worker::{Plan, check_of, option_of, real_of, shape_of, text_of, wide_of};

/// Counts of events.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) counted: u64,
    pub(crate) retained: u64,
    pub(crate) overwritten: u64,
    pub(crate) dropped: u64,
    /// Number of reservations that death left open.
    pub(crate) pending: u64,
    /// Number of segments that were half opened at death.
    pub(crate) opening: u64,
    /// Number of segments with a half-written record at death.
    pub(crate) busy: u64,
    /// Number of retained events since `complete_from`, where none may be missing.
    pub(crate) complete: u64,
    /// Number of events missing before that time, between retained events of the same thread.
    pub(crate) in_holes: u64,
}

impl Figures {
    pub(crate) fn add(&mut self, other: &Figures) {
        self.counted += other.counted;
        self.retained += other.retained;
        self.overwritten += other.overwritten;
        self.dropped += other.dropped;
        self.pending += other.pending;
        self.opening += other.opening;
        self.busy += other.busy;
        self.complete += other.complete;
        self.in_holes += other.in_holes;
    }

    fn accounted(&self) -> u64 {
        self.retained + self.overwritten + self.dropped
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { counted, retained, overwritten, dropped, pending, opening, busy, complete, in_holes } = self;
        let ahead = i128::from(self.accounted()) - i128::from(*counted);
        write!(f, "{counted} <= {retained} + {overwritten} + {dropped} = counted + {ahead}; complete {complete}, ")?;
        write!(f, "in holes before {in_holes}; cut off {busy} records, {pending} reservations, {opening} segments")
    }
}

/// Events of one writer that were read.
#[derive(Default)]
struct Seen {
    indexes: BTreeSet<u64>,
    /// Lowest index recorded since `complete_from`.
    first_complete: Option<u64>,
    /// Whether some events below the priority levels were in shared segments.
    shared: bool,
    /// Lowest index of a warning or error in a segment of the writer's own.
    first_own_priority: Option<u64>,
}

/// Reads a ring, and returns its figures and its faults.
pub(crate) fn check(plan: &Plan, ring: &[u8], counts: &[u64]) -> (Figures, Vec<String>) {
    let image = match RingImage::parse(ring) {
        Ok(image) => image,
        Err(error) => return (Figures::default(), vec![format!("no ring: {error}")]),
    };
    let loss = image.loss();
    let mut figures = Figures {
        counted: counts.iter().sum(),
        overwritten: loss.overwritten,
        dropped: loss.dropped_total(),
        ..Figures::default()
    };
    let mut faults = Vec::new();
    let mut callsites = BTreeMap::new();
    for entry in image.entries() {
        match TableItem::decode(entry.bytes) {
            Ok(TableItem::Callsite(callsite)) => drop(callsites.insert(callsite.id, callsite)),
            Ok(_) => {}
            Err(error) => faults.push(format!("table: {error}")),
        }
    }
    // Some of a writer's events are warnings, so the time must be past both.
    let complete_from = image.header().complete_from.max(image.header().priority_complete_from);
    let has_priority = image.header().priority_segment_count > 0;
    let mut seen: BTreeMap<u64, Seen> = BTreeMap::new();
    for index in 0..image.header().segment_count {
        let segment = match image.segment(index) {
            SegmentState::Unused => continue,
            SegmentState::Opening { .. } => {
                figures.opening += 1;
                continue;
            }
            SegmentState::Damaged(error) => {
                faults.push(format!("segment {index}: {error}"));
                continue;
            }
            SegmentState::Valid(segment) => segment,
        };
        figures.busy += u64::from(segment.header.busy);
        let mut items = segment.items();
        let mut events = 0;
        for item in items.by_ref() {
            let at = |offset| format!("segment {index}, byte {offset}");
            match item {
                Item::Event(record) => {
                    events += 1;
                    match event(&callsites, &record) {
                        Ok((writer, event_index)) => {
                            let seen = seen.entry(writer).or_default();
                            if !seen.indexes.insert(event_index) {
                                faults.push(format!("{}: writer {writer}'s {event_index} again", at(record.offset)));
                            }
                            if record.ticks > complete_from {
                                let first = seen.first_complete.map_or(event_index, |first| first.min(event_index));
                                seen.first_complete = Some(first);
                                figures.complete += 1;
                            }
                            if segment.header.mode == Mode::Exclusive && is_priority(writer, event_index) {
                                let first = seen.first_own_priority.unwrap_or(event_index).min(event_index);
                                seen.first_own_priority = Some(first);
                            }
                            seen.shared |= segment.header.mode != Mode::Exclusive && !is_priority(writer, event_index);
                        }
                        Err(fault) => faults.push(format!("{}: {fault}", at(record.offset))),
                    }
                }
                Item::Context(_) => {}
                Item::Pending { .. } if segment.header.mode != Mode::Exclusive => figures.pending += 1,
                Item::Pending { offset, .. } => faults.push(format!("{}: pending in an exclusive segment", at(offset))),
                Item::Damaged { offset, len_bytes } => faults.push(format!("{}: {len_bytes} damaged", at(offset))),
            }
        }
        figures.retained += events;
        if segment.header.mode == Mode::Exclusive && events != u64::from(segment.header.count) {
            faults.push(format!("segment {index}: {events} events, of which it counts {}", segment.header.count));
        }
    }

    let threads = plan.threads as u64;
    if figures.accounted() < figures.counted || figures.accounted() > figures.counted + threads {
        faults.push(format!("not accounted for: {figures}"));
    }
    if figures.pending > threads || figures.busy > threads || figures.opening > threads {
        faults.push(format!("more was cut off than there were threads: {figures}"));
    }
    for (writer, seen) in &seen {
        let Some(count) = counts.get(*writer as usize) else {
            faults.push(format!("there was no writer {writer}"));
            continue;
        };
        for kept in [false, true] {
            let is_of_class = |index: &u64| (has_priority && is_priority(*writer, *index)) == kept;
            // The segment that the first warnings shared can stay, because it is still open.
            let unbroken = if kept { seen.first_own_priority } else { Some(0) };
            let is_unbroken = |index: &u64| unbroken.is_some_and(|first| *index >= first);
            let class = Class { is_of: &is_of_class, is_unbroken: &is_unbroken };
            figures.in_holes += check_writer(plan, *writer, *count, seen, &class, figures.dropped, &mut faults);
        }
    }
    (figures, faults)
}

/// Events of a class, by their indexes.
struct Class<'a> {
    is_of: &'a dyn Fn(&u64) -> bool,
    /// Whether none can be missing before a retained one, if there is one thread.
    is_unbroken: &'a dyn Fn(&u64) -> bool,
}

/// Checks that no event of one class is missing where none may be missing. Returns the number of events missing
/// elsewhere, between the oldest retained event and the last counted one.
///
/// If a thread is suspended after it has chosen a segment and before it clears it, the old events in it stay, and other
/// threads overwrite newer ones. So holes are normal with several threads. The ring records the time up to which there
/// can be holes: `complete_from`.
fn check_writer(
    plan: &Plan,
    writer: u64,
    count: u64,
    seen: &Seen,
    class: &Class<'_>,
    dropped: u64,
    faults: &mut Vec<String>,
) -> u64 {
    let mut there = seen.indexes.iter().copied().filter(class.is_of);
    let Some(first) = there.next() else { return 0 };
    let last = there.next_back().unwrap_or(first);
    if last > count {
        faults.push(format!("writer {writer}'s event {last} is there, but it had counted {count}"));
    }
    let is_missing = |index: &u64| (class.is_of)(index) && !seen.indexes.contains(index);
    let missing_from = |first: u64| (first..count).filter(is_missing).count() as u64;
    let in_holes = missing_from(first);
    if let Some(first) = seen.first_complete {
        let missing = missing_from(first);
        // The writers of dropped events are unknown.
        if missing > dropped {
            faults.push(format!("writer {writer}: {missing} missing between {first} and {count}, after complete_from"));
        }
    }
    let broken = (first..count).filter(|index| (class.is_unbroken)(index) && is_missing(index)).count();
    if plan.is_exclusive() && plan.threads == 1 && broken > 0 {
        faults.push(format!("writer {writer}: {broken} missing between {first} and {count}, last is {last}"));
    }
    if plan.is_exclusive() && seen.shared {
        faults.push(format!("writer {writer} had to use a shared segment"));
    }
    in_holes
}

/// Returns whether an event is a warning or an error; see `worker::log`.
fn is_priority(writer: u64, index: u64) -> bool {
    matches!(shape_of(check_of(writer, index)), 6..=8 | 13..)
}

/// Reads an event, checks that its writer recorded it, and returns its writer and index.
fn event(callsites: &BTreeMap<u16, CallsiteInfo<'_>>, record: &Record<'_>) -> Result<(u64, u64), String> {
    let Some(callsite) = callsites.get(&record.callsite) else {
        return Err(format!("callsite {} is not in the table", record.callsite));
    };
    let mut fields = BTreeMap::new();
    for value in callsite.values(record.payload) {
        let (field, value) = value.map_err(|error| format!("values: {error}"))?;
        fields.insert(field.name, value);
    }
    let number = |name: &str| match fields.get(name) {
        Some(ValueRef::Unsigned(number)) => Ok(*number),
        other => Err(format!("{name} is {other:?}")),
    };
    let (writer, index, check) = (number("writer")?, number("index")?, number("check")?);
    if check != check_of(writer, index) {
        return Err(format!("writer {writer} never recorded {index} with {check:#x}"));
    }
    let text = |value: Option<&ValueRef<'_>>| match value {
        Some(ValueRef::Str(text) | ValueRef::Display(text)) if text.full_len.is_none() => text.text.to_owned(),
        other => format!("{other:?}"),
    };
    let message = match shape_of(check) {
        0..=2 => "small",
        3..=5 => "text",
        6..=8 => "long",
        9..=11 => "wide {wide}",
        12 => "formatted",
        _ => "nested",
    };
    let good = callsite.message == message
        && match message {
            "small" => fields.len() == 3,
            "text" => text(fields.get("text")) == text_of(check, 32),
            "long" => text(fields.get("text")) == text_of(check, 250) && number("small")? == check & 0xff,
            "formatted" => text(fields.get("text")) == text_of(check, 60),
            "nested" => {
                let none = match fields.get("none") {
                    Some(ValueRef::Signed(number)) => Some(*number),
                    Some(ValueRef::None) => None,
                    other => return Err(format!("none is {other:?}")),
                };
                let unsigned = |value| if let ValueRef::Unsigned(number) = value { Some(number) } else { None };
                let sequence = |name: &str| -> Option<Vec<u64>> {
                    match fields.get(name)? {
                        ValueRef::Sequence(sequence) => sequence.clone().map(unsigned).collect(),
                        _ => None,
                    }
                };
                let expected: Vec<u64> = text_of(check, 40).bytes().map(u64::from).collect();
                sequence("bytes") == Some(expected)
                    && sequence("numbers") == Some(vec![check; (check % 11) as usize])
                    && none == option_of(check)
            }
            _ => {
                fields.get("wide") == Some(&ValueRef::U128(wide_of(check)))
                    && fields.get("real") == Some(&ValueRef::F64(real_of(check)))
            }
        };
    if good {
        Ok((writer, index))
    } else {
        Err(format!("writer {writer}'s event {index}, shape {}, is false: {message} {fields:?}", shape_of(check)))
    }
}
