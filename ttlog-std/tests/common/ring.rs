//! Reads a ring file as the process left it.

use std::collections::BTreeMap;
use std::path::Path;

use ttlog_core::{Anchor, Item, Loss, RingImage, SegmentState, TableItem};

use super::Event;

/// Content of a ring.
#[derive(Debug)]
pub struct RingContents {
    pub ring_id: u64,
    pub pid: u64,
    pub process_start: u64,
    pub start_unix_ns: i64,
    pub service: String,
    pub clock: String,
    pub ticks_per_second: u64,
    pub anchors: Vec<Anchor>,
    pub events: Vec<RingEvent>,
    pub loss: Loss,
    /// Number of uncommitted reservations.
    pub pending: u64,
    /// Latest name and system id of each context that has told them.
    pub threads: BTreeMap<u32, (String, u64)>,
    /// Ids of the callsites in the table, with duplicates.
    pub callsite_ids: Vec<u16>,
}

/// An event with its metadata in the ring.
#[derive(Debug)]
pub struct RingEvent {
    pub event: Event,
    pub ticks: u64,
    pub context: u32,
    /// Name that its thread has told before; empty if none.
    pub thread: String,
}

impl RingContents {
    /// Reads a ring; panics if anything in it is damaged.
    pub fn read(path: &Path) -> RingContents {
        Self::parse(&std::fs::read(path).unwrap_or_else(|error| panic!("{path:?}: {error}")))
    }

    /// Like `read`, from bytes.
    pub fn parse(bytes: &[u8]) -> RingContents {
        let image = RingImage::parse(bytes).unwrap();
        let mut contents = RingContents {
            ring_id: image.header().ring_id,
            pid: 0,
            process_start: 0,
            start_unix_ns: 0,
            service: String::new(),
            clock: String::new(),
            ticks_per_second: 0,
            anchors: image.anchors().collect(),
            events: Vec::new(),
            loss: image.loss(),
            pending: 0,
            threads: BTreeMap::new(),
            callsite_ids: Vec::new(),
        };
        let mut callsites = BTreeMap::new();
        let mut process_count = 0;
        for entry in image.entries() {
            match TableItem::decode(entry.bytes).unwrap() {
                TableItem::Process(process) => {
                    process_count += 1;
                    contents.pid = process.pid;
                    contents.process_start = process.process_start;
                    contents.start_unix_ns = process.start_unix_ns;
                    contents.service = process.service.to_owned();
                    contents.clock = process.clock.to_owned();
                    contents.ticks_per_second = process.ticks_per_second;
                }
                TableItem::Callsite(callsite) => {
                    contents.callsite_ids.push(callsite.id);
                    callsites.insert(callsite.id, callsite);
                }
                TableItem::Unknown(kind) => panic!("table item of kind {kind}"),
            }
        }
        assert_eq!(process_count, 1, "one process owns a ring");
        let mut segments: Vec<_> = (0..image.header().segment_count)
            .filter_map(|index| match image.segment(index) {
                SegmentState::Valid(segment) => Some(segment),
                SegmentState::Damaged(error) => panic!("segment {index}: {error}"),
                _ => None,
            })
            .collect();
        segments.sort_by_key(|segment| segment.header.sequence);
        for segment in segments {
            for item in segment.items() {
                match item {
                    Item::Event(record) => {
                        let callsite = &callsites[&record.callsite];
                        let event = Event::new(callsite, record.payload);
                        let thread = contents.threads.get(&record.context).map_or("", |(name, _)| name).to_owned();
                        contents.events.push(RingEvent { event, ticks: record.ticks, context: record.context, thread });
                    }
                    Item::Context(who) => {
                        contents.threads.insert(who.context, (who.name.to_owned(), who.os_thread_id));
                    }
                    Item::Pending { .. } => contents.pending += 1,
                    Item::Damaged { offset, len_bytes } => panic!("{len_bytes} bytes damaged at {offset}"),
                }
            }
        }
        contents
    }

    /// Returns the values of a field of the events with this message.
    pub fn values(&self, message: &str, field: &str) -> Vec<&str> {
        let with_message = self.events.iter().filter(|event| event.event.message == message);
        with_message.map(|event| event.event.fields[field].as_str()).collect()
    }

    /// Returns the number of events with this message.
    pub fn count(&self, message: &str) -> usize {
        self.events.iter().filter(|event| event.event.message == message).count()
    }

    /// Returns the sum of retained, overwritten and dropped events.
    pub fn accounted(&self) -> u64 {
        self.events.len() as u64 + self.loss.overwritten + self.loss.dropped_total()
    }
}
