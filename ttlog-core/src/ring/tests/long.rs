//! What only a ring with a long header has: the kept class, the end block, the control block.

use core::cell::Cell;

use super::*;
use crate::ring::layout::header_word;

const LONG: RingConfig = RingConfig { control: true, ..CONFIG };
const KEPT: RingConfig = RingConfig { kept_segment_count: 2, ..LONG };

fn memory_of(config: &RingConfig, segment_count: usize) -> Vec<Word> {
    words(config.overhead_len() + segment_count * config.segment_len as usize)
}

impl Event {
    fn append_kept(&self, ring: &Ring<'_>, told: &Cell<u64>) -> Outcome {
        let fields = Cons(self.id, Cons(self.text.as_str(), Nil));
        ring.append_kept(self.ticks, &who(self.context), Some(told), self.callsite, &fields, DropReason::NoSegment)
    }
}

#[test]
fn kept_events_outlive_a_flood_of_others() {
    let memory = memory_of(&KEPT, 6);
    let ring = Ring::create(&memory, &KEPT).unwrap();
    let (cursor, told) = (Cursor::new(), Cell::new(0));
    for id in 0..4 {
        assert_eq!(Event::new(id, 4, id, 1).append_kept(&ring, &told), Outcome::Recorded);
    }
    for id in 4..rounds(1_000).max(60) as u64 {
        Event::new(id, 4, id, 1).append(&ring, &cursor);
        Event::new(1_000_000 + id, 4, id, 1).append_shared(&ring);
    }
    let found = read_ring(&ring);
    assert!((0..4).all(|id| found.events[&id] == Event::new(id, 4, id, 1)));
    assert!(ring.complete_from() > 4 && ring.loss().overwritten > 0);
    assert_eq!((ring.kept_complete_from(), ring.loss().kept_overwritten), (0, 0));
}

#[test]
fn kept_class_replaces_its_own_segments_only() {
    let memory = memory_of(&KEPT, 4);
    let ring = Ring::create(&memory, &KEPT).unwrap();
    let told = Cell::new(0);
    Event::new(0, 4, 1, 1).append_shared(&ring);
    for id in 1..100 {
        assert_eq!(Event::new(id, 4, id, 1).append_kept(&ring, &told), Outcome::Recorded);
        let found = read_ring(&ring);
        assert_eq!(found.events.len() as u64 + found.overwritten, id + 1);
        let retained = found.events.len() as u64 - 1;
        assert!(found.events.keys().copied().skip(1).eq(id + 1 - retained..=id), "the newest, without a gap");
        assert_eq!(ring.loss().kept_overwritten, found.overwritten);
        assert_eq!(ring.kept_complete_from() == 0, found.overwritten == 0);
        assert!(ring.kept_complete_from() <= id - retained);
    }
    assert_eq!((ring.complete_from(), read_ring(&ring).events.contains_key(&0)), (0, true));
    assert_eq!(ring.header(header_word::NEXT_SEQUENCE).load(), 2);
}

#[test]
fn context_tells_once_per_kept_segment_who_it_is() {
    let memory = memory_of(&KEPT, 4);
    let ring = Ring::create(&memory, &KEPT).unwrap();
    let told = [Cell::new(0), Cell::new(0)];
    for id in 0..40 {
        let context = (id % 2) as usize;
        Event::new(id, 4, id, 1 + context as u32).append_kept(&ring, &told[context]);
    }
    let image = image_of(&ring);
    let image = RingImage::parse(&image).unwrap();
    for index in 2..4 {
        let SegmentState::Valid(segment) = image.segment(index) else { panic!("{index}") };
        assert!(segment.header.is_kept() && segment.header.mode == Mode::SharedContexts);
        let (mut names, mut known) = (0, Vec::new());
        for item in segment.items() {
            match item {
                Item::Context(told) => {
                    assert_eq!((told.name, told.os_thread_id), ("a thread", 1000 + u64::from(told.context)));
                    known.push(told.context);
                    names += 1;
                }
                Item::Event(record) => assert!(known.contains(&record.context), "told before its first event"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(names, 2, "once for each context");
        assert_eq!(segment.header.count, segment.header.done);
    }
}

#[test]
fn ring_without_a_kept_class_takes_warnings_as_others() {
    for config in [CONFIG, LONG] {
        let memory = memory_of(&config, 3);
        let ring = Ring::create(&memory, &config).unwrap();
        let told = Cell::new(0);
        Event::new(1, 4, 1, 1).append_kept(&ring, &told);
        assert_eq!((read_ring(&ring).events.len(), told.get()), (1, 0));
        assert_eq!((ring.kept_segment_count(), ring.kept_complete_from()), (0, 0));
    }
}

#[test]
fn kept_class_needs_the_long_header_and_leaves_a_segment() {
    let memory = memory_of(&KEPT, 4);
    let config = RingConfig { control: false, ..KEPT };
    assert_eq!(Ring::create(&memory, &config).unwrap_err(), RingError::BadConfig);
    let config = RingConfig { kept_segment_count: 4, ..KEPT };
    let needed_bytes = config.overhead_len() + 5 * 256;
    assert_eq!(Ring::create(&memory, &config).unwrap_err(), RingError::TooSmall { needed_bytes });
    let config = RingConfig { kept_segment_count: 3, ..KEPT };
    assert_eq!(Ring::create(&memory, &config).unwrap().kept_segment_count(), 3);
    let config = RingConfig { kept_segment_count: u32::MAX, segment_len: 65_536, ..KEPT };
    assert!(matches!(Ring::create(&memory, &config), Err(RingError::TooSmall { .. })));
}

fn an_end() -> ProcessEnd {
    ProcessEnd {
        kind: EndKind::Signal,
        signal: 11,
        code: -6,
        address: 0xDEAD_BEEF,
        ticks: 77,
        unix_ns: -5,
        os_thread_id: 4711,
        context: 3,
        sender_pid: 1,
        sender_uid: 1000,
    }
}

#[test]
fn first_end_is_the_one_that_is_told() {
    let memory = memory_of(&LONG, 1);
    let ring = Ring::create(&memory, &LONG).unwrap();
    assert_eq!(ring.end(), None);
    assert!(ring.stamp_end(&an_end()));
    assert!(!ring.stamp_end(&ProcessEnd::of(EndKind::Exit)));
    assert_eq!(ring.end(), Some(an_end()));
    assert_eq!(ring.header_now().end, Some(an_end()));
    let image = image_of(&ring);
    assert_eq!(RingImage::parse(&image).unwrap().end(), Some(an_end()));
}

#[test]
fn short_header_has_no_end_and_no_control() {
    let memory = memory(1);
    let ring = Ring::create(&memory, &CONFIG).unwrap();
    let before = image_of(&ring);
    assert!(!ring.stamp_end(&an_end()));
    ring.count_panic(1, 2);
    ring.beat(1);
    ring.set_min_age_ns(1);
    ring.set_filter_text("info");
    ring.answer_request(1, ControlResult::Done, "info");
    assert_eq!(ring.pending_request(&mut [0; CONTROL_TEXT_MAX]), None);
    assert_eq!((image_of(&ring), ring.end(), ring.panics()), (before.clone(), None, Panics::default()));
    assert_eq!(RingImage::parse(&before).unwrap().control(), None);
}

#[test]
fn request_is_seen_done_and_answered() {
    let memory = memory_of(&LONG, 1);
    let ring = Ring::create(&memory, &LONG).unwrap();
    let mut buffer = [0; CONTROL_TEXT_MAX];
    ring.set_filter_text("info");
    for (n, directives) in ["debug", "net=trace,info", "off"].into_iter().enumerate() {
        assert_eq!(ring.pending_request(&mut buffer), None);
        let mut image = image_of(&ring);
        let control = RingImage::parse(&image).unwrap().control().unwrap();
        let request = control.request(42, &ControlCommand::Level(directives).to_string()).unwrap();
        assert_ne!(control.answer_to(&request), ControlAnswer::Waiting, "not written yet");
        for (offset, bytes) in request.writes() {
            // As the requester's writes into the file reach the mapping.
            for (index, chunk) in bytes.chunks_exact(8).enumerate() {
                let value = u64::from_le_bytes(chunk.try_into().unwrap());
                ring.header(offset as usize / 8 + index).store(value);
            }
        }
        image = image_of(&ring);
        let control = RingImage::parse(&image).unwrap().control().unwrap();
        assert_eq!(control.answer_to(&request), ControlAnswer::Waiting);
        let pending = ring.pending_request(&mut buffer).expect("it was written");
        assert_eq!((pending.number, pending.requester_pid), (n as u64 + 1, 42));
        assert_eq!(ControlCommand::parse(pending.text.unwrap()), Some(ControlCommand::Level(directives)));
        let number = pending.number;
        let result = if directives == "off" { ControlResult::UnknownCommand } else { ControlResult::Done };
        ring.answer_request(number, result, directives);
        image = image_of(&ring);
        let control = RingImage::parse(&image).unwrap().control().unwrap();
        assert_eq!(control.answer_to(&request), ControlAnswer::Answered(result));
        assert_eq!((control.filter, ring.filter_text(&mut buffer)), (Some(directives), Some(directives)));
    }
}
