//! Counts and checks the events of a ring from its bytes alone, as a viewer reads them.

use std::collections::BTreeMap;

use ttlog_core::event::Role;
use ttlog_core::ring::{Mode, SEGMENT_LEN_MAX};
use ttlog_core::snapshot::{Content, SnapshotItem, SnapshotReader, content_of, unpack_len};
use ttlog_core::{CallsiteInfo, Item, Record, RingImage, Segment, SegmentState, TableItem, ValueRef};

use crate::error::{Result, ensure};
use crate::workload::cases::{Case, expected};
use crate::workload::inputs::{INPUT_COUNT, Inputs};

/// An event found in a ring.
#[derive(Debug)]
pub struct Event<'a> {
    /// Its callsite.
    pub callsite: &'a CallsiteInfo<'a>,
    /// The name of the thread; empty if unknown.
    pub thread: &'a str,
    /// The record.
    pub record: Record<'a>,
}

impl Event<'_> {
    /// Decodes the values, with the names of their fields.
    ///
    /// # Errors
    /// If a value cannot be decoded.
    pub fn values(&self) -> Result<Vec<(&str, ValueRef<'_>)>> {
        // Warnings have the id of their span, too.
        self.callsite
            .values(self.record.payload)
            .filter(|value| value.as_ref().is_ok_and(|(field, _)| field.role == Role::Value) || value.is_err())
            .map(|value| value.map(|(field, value)| (field.name, value)).map_err(|error| error.to_string().into()))
            .collect()
    }
}

/// The events of a ring or snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    /// Events in the ring.
    pub retained: u64,
    /// Events replaced by newer ones.
    pub overwritten: u64,
    /// Events refused.
    pub dropped: u64,
    /// Segments that their writer filled and closed.
    pub full_segments: u64,
    /// Events in these.
    pub full_events: u64,
    /// Bytes of records in these.
    pub full_bytes: u64,
    /// Bytes of a segment, its header included.
    pub segment_len: u64,
}

impl Counted {
    /// Returns the bytes of records per event in full segments; 0 if there are none.
    #[must_use]
    pub fn bytes_per_event(&self) -> f64 {
        if self.full_events == 0 { 0.0 } else { self.full_bytes as f64 / self.full_events as f64 }
    }

    /// Returns the bytes of ring per event, including headers and unused ends of segments.
    #[must_use]
    pub fn segment_bytes_per_event(&self) -> f64 {
        if self.full_events == 0 {
            0.0
        } else {
            (self.full_segments * self.segment_len) as f64 / self.full_events as f64
        }
    }

    /// Checks that every emitted event is there or counted as lost.
    ///
    /// # Errors
    /// With the figures, if they do not add up.
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

/// Reads the segments of a ring or a snapshot in the order in which they were opened, passes each event to `each`, and
/// counts.
///
/// # Errors
/// If anything is damaged or pending (nobody writes meanwhile, and nobody died), and the errors of `each`.
pub fn read(bytes: &[u8], each: impl FnMut(&Event<'_>) -> Result<()>) -> Result<Counted> {
    if content_of(bytes) == Content::Ring { read_ring(bytes, each) } else { read_snapshot(bytes, each) }
}

/// As [`read`], of a ring.
///
/// # Errors
/// As [`read`].
pub fn read_ring<'a>(bytes: &'a [u8], mut each: impl FnMut(&Event<'_>) -> Result<()>) -> Result<Counted> {
    let image = RingImage::parse(bytes)?;
    let mut walk = Walk::new(u64::from(image.header().segment_len));
    for entry in image.entries() {
        walk.entry(entry.bytes)?;
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
    walk.counted.overwritten = image.loss().overwritten;
    walk.counted.dropped = image.loss().dropped_total();
    for segment in segments {
        walk.segment(&segment, &mut each)?;
    }
    Ok(walk.counted)
}

/// As [`read`], of a snapshot.
///
/// # Errors
/// As [`read`], and if the snapshot is cut off.
fn read_snapshot(bytes: &[u8], mut each: impl FnMut(&Event<'_>) -> Result<()>) -> Result<Counted> {
    let mut walk = Walk::new(0);
    let (mut segments, mut ended) = (Vec::new(), false);
    for item in SnapshotReader::new(bytes).items() {
        match item {
            SnapshotItem::Header(header) => {
                walk.counted.dropped = header.dropped.iter().sum();
                walk.counted.segment_len = u64::from(header.segment_len);
            }
            SnapshotItem::Entry(entry) => walk.entry(entry.bytes)?,
            SnapshotItem::Segment(segment) => {
                walk.counted.overwritten += segment.lost;
                segments.push(segment);
            }
            SnapshotItem::End { .. } => ended = true,
            other => return Err(format!("the snapshot holds {other:?}").into()),
        }
    }
    ensure!(ended, "the snapshot was cut off");
    segments.sort_by_key(|segment| segment.sequence);
    let mut room = vec![0; unpack_len(SEGMENT_LEN_MAX as usize)];
    for packed in segments.iter().filter(|packed| packed.sequence != 0) {
        walk.segment(&packed.unpack(&mut room)?, &mut each)?;
    }
    Ok(walk.counted)
}

/// Reads segments in order.
struct Walk<'a> {
    callsites: Vec<Option<CallsiteInfo<'a>>>,
    threads: BTreeMap<u32, String>,
    counted: Counted,
}

impl<'a> Walk<'a> {
    fn new(segment_len: u64) -> Self {
        let counted = Counted { segment_len, ..Counted::default() };
        Walk { callsites: vec![None; 1 << 16], threads: BTreeMap::new(), counted }
    }

    fn entry(&mut self, bytes: &'a [u8]) -> Result<()> {
        if let TableItem::Callsite(callsite) = TableItem::decode(bytes)? {
            self.callsites[usize::from(callsite.id)] = Some(callsite);
        }
        Ok(())
    }

    fn segment(&mut self, segment: &Segment<'_>, each: &mut impl FnMut(&Event<'_>) -> Result<()>) -> Result<()> {
        let header = &segment.header;
        let mut events = 0;
        for item in segment.items() {
            match item {
                Item::Event(record) => {
                    let callsite = self.callsites[usize::from(record.callsite)].as_ref();
                    let callsite = callsite.ok_or_else(|| format!("callsite {} is unknown", record.callsite))?;
                    let thread = self.threads.get(&record.context).map_or("", String::as_str);
                    each(&Event { callsite, thread, record })?;
                    events += 1;
                }
                Item::Context(context) => {
                    self.threads.insert(context.context, context.name.to_owned());
                }
                other => return Err(format!("segment {}: {other:?}", header.index).into()),
            }
        }
        let exclusive = header.mode == Mode::Exclusive;
        ensure!(
            !exclusive || events == u64::from(header.count),
            "segment {} says it holds {} events, and holds {events}",
            header.index,
            header.count
        );
        self.counted.retained += events;
        if if exclusive { !header.owned } else { header.closed } {
            self.counted.full_segments += 1;
            self.counted.full_events += events;
            self.counted.full_bytes += u64::from(header.offset_words) * 8;
        }
        Ok(())
    }
}

/// Checks that an event has the values of event number `index` of its thread and case.
///
/// # Errors
/// With both, if they differ.
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

/// Checks a ring, or a snapshot of it, in which one thread logged `case` `emitted` times. Every event must be accounted
/// for, those retained must be the last ones without a gap, and each of the last `checked_count` must have the logged
/// values.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_single(case: Case, inputs: &Inputs, bytes: &[u8], emitted: u64, checked_count: u64) -> Result<Counted> {
    check_events(case.kept, bytes, emitted, checked_count, |index, event| check_values(case, inputs, index, event))
}

/// As [`check_single`], with `check` for the values of an event and its index. `kept` is whether the events are in the
/// segments kept for warnings.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_events(
    kept: bool,
    bytes: &[u8],
    emitted: u64,
    checked_count: u64,
    check: impl Fn(u64, &Event<'_>) -> Result<()>,
) -> Result<Counted> {
    let mut next = None;
    // Kept events have no index: only their order is known, and how many are missing.
    let mut kept_index = if kept { RingImage::parse(bytes)?.loss().overwritten } else { 0 };
    let counted = read(bytes, |event| {
        let index = if kept { kept_index } else { event.record.index.ok_or("an event has no index")? };
        kept_index += 1;
        ensure!(next.is_none_or(|next| next == index), "event {index} follows event {:?}", next.map(|next| next - 1));
        next = Some(index + 1);
        if index.saturating_add(checked_count) >= emitted {
            check(index, event)?;
        }
        Ok(())
    })?;
    ensure!(next.unwrap_or(0) == emitted, "the last event is number {:?} of {emitted}", next);
    counted.must_account_for(emitted)?;
    Ok(counted)
}
