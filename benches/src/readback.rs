//! Counting and checking what a ring holds, from its bytes alone, as a viewer reads them.

use std::collections::BTreeMap;

use ttlog_core::ring::Mode;
use ttlog_core::{CallsiteInfo, Item, Record, RingImage, Segment, SegmentState, TableItem, ValueRef};

use crate::cases::{Case, expected};
use crate::inputs::{INPUT_COUNT, Inputs};
use crate::{Result, ensure};

/// An event found in a ring.
#[derive(Debug)]
pub struct Event<'a> {
    /// Its callsite.
    pub callsite: &'a CallsiteInfo<'a>,
    /// The name of the thread, where it is known.
    pub thread: &'a str,
    /// The record.
    pub record: Record<'a>,
}

impl Event<'_> {
    /// Decodes the values, with their fields' names.
    ///
    /// # Errors
    /// When one cannot be decoded.
    pub fn values(&self) -> Result<Vec<(&str, ValueRef<'_>)>> {
        self.callsite
            .values(self.record.payload)
            .map(|value| value.map(|(field, value)| (field.name, value)).map_err(|error| error.to_string().into()))
            .collect()
    }
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    /// Events in the ring.
    pub retained: u64,
    /// Events replaced by newer ones.
    pub overwritten: u64,
    /// Events refused.
    pub dropped: u64,
    /// Segments that their writer filled and left.
    pub full_segments: u64,
    /// Events in these.
    pub full_events: u64,
    /// Bytes of records in these.
    pub full_bytes: u64,
    /// Bytes of a segment, its header included.
    pub segment_len: u64,
}

impl Counted {
    /// Gives the bytes of records per event, over the segments that are full; 0 if there is none.
    #[must_use]
    pub fn bytes_per_event(&self) -> f64 {
        if self.full_events == 0 { 0.0 } else { self.full_bytes as f64 / self.full_events as f64 }
    }

    /// Gives the bytes of ring per event, headers and unused ends of segments included.
    #[must_use]
    pub fn segment_bytes_per_event(&self) -> f64 {
        if self.full_events == 0 {
            0.0
        } else {
            (self.full_segments * self.segment_len) as f64 / self.full_events as f64
        }
    }

    /// Checks that what was emitted is all there or counted as lost.
    ///
    /// # Errors
    /// With the figures, when it does not add up.
    pub fn must_account_for(&self, emitted: u64) -> Result<()> {
        let Counted { retained, overwritten, dropped, .. } = *self;
        ensure!(
            emitted == retained + overwritten + dropped,
            "emitted {emitted} != retained {retained} + overwritten {overwritten} + dropped {dropped} = {}",
            retained + overwritten + dropped
        );
        Ok(())
    }
}

/// Walks the ring's segments in the order in which they were opened, hands each event to `each`, and counts.
///
/// # Errors
/// When anything is damaged or pending: nobody writes while this reads, and nobody died. And what `each` says.
pub fn read_ring<'a>(bytes: &'a [u8], mut each: impl FnMut(&Event<'_>) -> Result<()>) -> Result<Counted> {
    let image = RingImage::parse(bytes)?;
    let mut callsites: Vec<Option<CallsiteInfo<'a>>> = vec![None; 1 << 16];
    for entry in image.entries() {
        if let TableItem::Callsite(callsite) = TableItem::decode(entry.bytes)? {
            callsites[usize::from(callsite.id)] = Some(callsite);
        }
    }
    let mut segments: Vec<Segment<'a>> = Vec::new();
    for index in 0..image.header().segment_count {
        match image.segment(index) {
            SegmentState::Unused => {}
            SegmentState::Valid(segment) => segments.push(segment),
            other => return Err(format!("segment {index} is {other:?}").into()),
        }
    }
    segments.sort_by_key(|segment| segment.header.sequence);

    let mut counted = Counted {
        overwritten: image.loss().overwritten,
        dropped: image.loss().dropped_total(),
        segment_len: u64::from(image.header().segment_len),
        ..Counted::default()
    };
    let mut threads: BTreeMap<u32, &str> = BTreeMap::new();
    for segment in segments {
        let header = &segment.header;
        let before = counted.retained;
        for item in segment.items() {
            match item {
                Item::Event(record) => {
                    let callsite = callsites[usize::from(record.callsite)].as_ref();
                    let callsite = callsite.ok_or_else(|| format!("callsite {} is unknown", record.callsite))?;
                    let thread = threads.get(&record.context).copied().unwrap_or_default();
                    each(&Event { callsite, thread, record })?;
                    counted.retained += 1;
                }
                Item::Context(context) => {
                    threads.insert(context.context, context.name);
                }
                other => return Err(format!("segment {}: {other:?}", header.index).into()),
            }
        }
        let events = counted.retained - before;
        ensure!(
            header.mode != Mode::Exclusive || events == u64::from(header.count),
            "segment {} says it holds {} events, and holds {events}",
            header.index,
            header.count
        );
        if header.mode == Mode::Exclusive && !header.owned {
            counted.full_segments += 1;
            counted.full_events += events;
            counted.full_bytes += u64::from(header.offset_words) * 8;
        }
    }
    Ok(counted)
}

/// Checks that the values of an event are those that its case logs as its thread's event number `index`.
///
/// # Errors
/// With both, when they differ.
pub fn check_values(case: Case, inputs: &Inputs, index: u64, event: &Event<'_>) -> Result<()> {
    let input = &inputs[index as usize % INPUT_COUNT];
    let values = event.values()?;
    let right = values.len() == case.fields.len()
        && case.fields.iter().zip(&values).all(|(field, (name, value))| {
            field == name && expected(field, input).is_some_and(|expected| expected == *value)
        });
    ensure!(right, "{}: event {index} holds {values:?}, and was made from {input:?}", case.name);
    Ok(())
}

/// Reads a ring in which the only thread logged `case` so many times: everything must be accounted for, the events must be the
/// last ones without a gap, and each of the last `checked_count` must hold what was logged.
///
/// # Errors
/// What is wrong.
pub fn check_single(case: Case, inputs: &Inputs, bytes: &[u8], emitted: u64, checked_count: u64) -> Result<Counted> {
    let mut next = None;
    let counted = read_ring(bytes, |event| {
        let index = event.record.index.ok_or("an event has no index")?;
        ensure!(next.is_none_or(|next| next == index), "event {index} follows event {:?}", next.map(|next| next - 1));
        next = Some(index + 1);
        if index.saturating_add(checked_count) >= emitted {
            check_values(case, inputs, index, event)?;
        }
        Ok(())
    })?;
    ensure!(next.unwrap_or(0) == emitted, "the last event is number {:?} of {emitted}", next);
    counted.must_account_for(emitted)?;
    Ok(counted)
}
