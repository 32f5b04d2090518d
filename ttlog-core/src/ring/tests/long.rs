//! Tests of the parts of a long header: the priority class, the end block, the control block.

use core::cell::Cell;

use super::*;
use crate::memory::crc::crc32;
use crate::ring::PriorityCursor;
use crate::ring::layout::header_word;

const LONG: RingConfig = RingConfig { control: true, ..CONFIG };
const PRIORITY: RingConfig = RingConfig { priority_segment_count: 2, ..LONG };

fn memory_of(config: &RingConfig, segment_count: usize) -> Vec<Word> {
    words(config.overhead_len() + segment_count * config.segment_len as usize)
}

impl Event {
    fn append_priority(&self, ring: &Ring<'_>, told: &Cell<u64>) -> AppendOutcome {
        let fields = Cons(self.id, Cons(self.text.as_str(), Nil));
        ring.append_priority(self.ticks, &who(self.context), Some(told), self.callsite, &fields, DropReason::NoSegment)
    }
}

#[test]
fn priority_events_outlive_a_flood_of_others() {
    let memory = memory_of(&PRIORITY, 6);
    let ring = Ring::create(&memory, &PRIORITY).unwrap();
    let (cursor, told) = (Cursor::new(), Cell::new(0));
    for id in 0..4 {
        assert_eq!(Event::new(id, 4, id, 1).append_priority(&ring, &told), AppendOutcome::Recorded);
    }
    for id in 4..rounds(1_000).max(60) as u64 {
        Event::new(id, 4, id, 1).append(&ring, &cursor);
        Event::new(1_000_000 + id, 4, id, 1).append_shared(&ring);
    }
    let found = read_ring(&ring);
    assert!((0..4).all(|id| found.events[&id] == Event::new(id, 4, id, 1)));
    assert!(ring.complete_from() > 4 && ring.loss().overwritten > 0);
    assert_eq!((ring.priority_complete_from(), ring.loss().priority_overwritten), (0, 0));
}

#[test]
fn priority_class_replaces_its_own_segments_only() {
    let memory = memory_of(&PRIORITY, 4);
    let ring = Ring::create(&memory, &PRIORITY).unwrap();
    let told = Cell::new(0);
    Event::new(0, 4, 1, 1).append_shared(&ring);
    for id in 1..if cfg!(miri) { 40 } else { 100 } {
        assert_eq!(Event::new(id, 4, id, 1).append_priority(&ring, &told), AppendOutcome::Recorded);
        let found = read_ring(&ring);
        assert_eq!(found.events.len() as u64 + found.overwritten, id + 1);
        let retained = found.events.len() as u64 - 1;
        assert!(found.events.keys().copied().skip(1).eq(id + 1 - retained..=id), "the newest, without a gap");
        assert_eq!(ring.loss().priority_overwritten, found.overwritten);
        assert_eq!(ring.priority_complete_from() == 0, found.overwritten == 0);
        assert!(ring.priority_complete_from() <= id - retained);
    }
    assert_eq!((ring.complete_from(), read_ring(&ring).events.contains_key(&0)), (0, true));
    assert_eq!(ring.header(header_word::NEXT_SEQUENCE).load(), 2);
}

#[test]
fn context_tells_once_per_priority_segment_who_it_is() {
    let memory = memory_of(&PRIORITY, 4);
    let ring = Ring::create(&memory, &PRIORITY).unwrap();
    let told = [Cell::new(0), Cell::new(0)];
    for id in 0..40 {
        let context = (id % 2) as usize;
        Event::new(id, 4, id, 1 + context as u32).append_priority(&ring, &told[context]);
    }
    let image = image_of(&ring);
    let image = RingImage::parse(&image).unwrap();
    for index in 2..4 {
        let SegmentState::Valid(segment) = image.segment(index) else { panic!("{index}") };
        assert!(segment.header.is_priority() && segment.header.mode == Mode::SharedContexts);
        let (mut names, mut known) = (0, Vec::new());
        for item in segment.items() {
            match item {
                Item::Context(told) => {
                    assert_eq!((told.name, told.os_thread_id), ("a thread", 1000 + u64::from(told.context)));
                    known.push(told.context);
                    names += 1;
                }
                Item::Event(record) => assert!(known.contains(&record.context), "recorded before its first event"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(names, 2, "once for each context");
        assert_eq!(segment.header.count, segment.header.done);
    }
}

#[test]
fn ring_without_a_priority_class_takes_warnings_as_others() {
    for config in [CONFIG, LONG] {
        let memory = memory_of(&config, 3);
        let ring = Ring::create(&memory, &config).unwrap();
        let told = Cell::new(0);
        Event::new(1, 4, 1, 1).append_priority(&ring, &told);
        assert_eq!((read_ring(&ring).events.len(), told.get()), (1, 0));
        assert_eq!((ring.priority_segment_count(), ring.priority_complete_from()), (0, 0));
    }
}

#[test]
fn priority_class_needs_the_long_header_and_leaves_a_segment() {
    let memory = memory_of(&PRIORITY, 4);
    let config = RingConfig { control: false, ..PRIORITY };
    assert_eq!(Ring::create(&memory, &config).unwrap_err(), RingError::BadConfig);
    let config = RingConfig { priority_segment_count: 4, ..PRIORITY };
    let needed_bytes = config.overhead_len() + 5 * 256;
    assert_eq!(Ring::create(&memory, &config).unwrap_err(), RingError::TooSmall { needed_bytes });
    let config = RingConfig { priority_segment_count: 3, ..PRIORITY };
    assert_eq!(Ring::create(&memory, &config).unwrap().priority_segment_count(), 3);
    let config = RingConfig { priority_segment_count: u32::MAX, segment_len: 65_536, ..PRIORITY };
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
fn thread_of_an_end_and_of_a_panic_can_be_told_later() {
    let memory = memory_of(&LONG, 1);
    let ring = Ring::create(&memory, &LONG).unwrap();
    assert!(ring.stamp_end(&ProcessEnd { os_thread_id: 0, ..an_end() }));
    ring.name_end_thread(&an_end());
    assert_eq!(ring.end(), Some(an_end()));
    ring.count_panic(5, 0);
    ring.name_panic_thread(4711);
    assert_eq!(ring.panics(), Panics { count: 1, last_ticks: 5, last_os_thread_id: 4711 });
}

#[test]
fn short_header_has_no_end_and_no_control() {
    let memory = memory(1);
    let ring = Ring::create(&memory, &CONFIG).unwrap();
    let before = image_of(&ring);
    assert!(!ring.stamp_end(&an_end()));
    ring.name_end_thread(&an_end());
    ring.count_panic(1, 2);
    ring.name_panic_thread(2);
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
            // As the requester's writes to the file reach the mapping.
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

/// Runs a closure while an event is packed: after its reservation, before its commit.
#[derive(Clone, Copy)]
struct Meanwhile<'a>(&'a dyn Fn());
impl Sealed for &Meanwhile<'_> {}
impl AnyFields for &Meanwhile<'_> {
    fn types(&self) -> TypeList {
        TypeList::Nil
    }
    fn types_hash(&self) -> u32 {
        1
    }
    fn payload_words(&self, _cap: usize) -> usize {
        1
    }
    fn put(&self, packer: &mut Packer, _cap: usize) {
        (self.0)();
        put_id_without_text(packer, 77);
    }
}

#[test]
fn priority_events_nest_and_a_death_among_them_costs_one() {
    let memory = memory_of(&PRIORITY, 6);
    let ring = Ring::create(&memory, &PRIORITY).unwrap();
    let told = Cell::new(0);
    let images = core::cell::RefCell::new(Vec::new());
    for id in 0..3 {
        Event::new(id, 3, id, 1).append_priority(&ring, &told);
    }
    let take = || {
        images.borrow_mut().push(image_of(&ring));
        // A signal handler of the same thread, and another, faster thread.
        Event::new(10, 3, 10, 1).append_priority(&ring, &told);
        Event::new(11, 3, 11, 2).append_priority(&ring, &Cell::new(0));
        images.borrow_mut().push(image_of(&ring));
    };
    let fields = &Meanwhile(&take);
    // In the segment where the context is recorded, and as the first event of a segment, which includes the context.
    for told in [&told, &Cell::new(0)] {
        ring.append_priority(5, &who(1), Some(told), 3, &fields, DropReason::NoSegment);
        for (image, nested) in images.take().iter().zip([0, 2]) {
            let found = read_image(&RingImage::parse(image).unwrap());
            let before = [0, 1, 2];
            assert!(before.iter().all(|id| found.events.contains_key(id)));
            assert_eq!((found.events.len(), found.pending, found.damaged), (3 + nested, 1, 0));
        }
        let found = read_ring(&ring);
        assert_eq!(found.events.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 10, 11, 77]);
        // The next round begins with the same three events.
        for word in &memory {
            word.store(0);
        }
        Ring::create(&memory, &PRIORITY).unwrap();
        for id in 0..3 {
            Event::new(id, 3, id, 1).append_priority(&ring, &Cell::new(0));
        }
    }
}

#[test]
fn priority_class_that_is_stuck_gives_way_to_the_others() {
    let memory = memory_of(&PRIORITY, 6);
    let ring = Ring::create(&memory, &PRIORITY).unwrap();
    let told = Cell::new(0);
    // A thread dies in each of the two priority segments.
    let kept = ring.priority_class().unwrap();
    let mut id = 0;
    for stuck in 0..2 {
        loop {
            assert!(id < 100, "segment {stuck} of the class is never written");
            Event::new(id, 3, id, 1).append_priority(&ring, &told);
            id += 1;
            let index = ring.header(kept.shared_segment).load() as u32 - 1;
            if index == 4 + stuck {
                let word = &ring.segment(index)[segment_word::COMMIT];
                let now = word.load() as u32;
                word.swap_low(now, now + commit::step(1, 1)).unwrap();
                break;
            }
        }
    }
    for id in id..id + 40 {
        assert_eq!(Event::new(id, 3, id, 1).append_priority(&ring, &told), AppendOutcome::Recorded);
    }
    let found = read_ring(&ring);
    assert_eq!((found.events.len() as u64 + found.overwritten, found.pending), (id + 40, 2));
    assert!(found.events.contains_key(&0), "stuck events are not lost");
    let first_after_loss = (0..id + 40).rev().take_while(|id| found.events.contains_key(id)).last().unwrap();
    assert!(
        found.overwritten > 0 && ring.priority_complete_from() >= first_after_loss - 1,
        "stray events are overwritten"
    );
    let strayed_until = id + 39;
    for id in id + 40..id + 140 {
        Event::new(id, 3, id, 1).append_shared(&ring);
    }
    assert!(ring.complete_from() > strayed_until);
    assert_eq!(ring.priority_complete_from(), strayed_until, "no warning is later than this");
}

#[test]
fn priority_event_that_fits_no_segment_is_dropped_and_counted() {
    let config = RingConfig { segment_len: 128, ..PRIORITY };
    let memory = memory_of(&config, 6);
    let ring = Ring::create(&memory, &config).unwrap();
    let wide = [1_u128; 5].map(Some);
    let fields = Cons(wide[0], Cons(wide[1], Cons(wide[2], Cons(wide[3], Cons(wide[4], Nil)))));
    let dropped = AppendOutcome::Dropped(DropReason::TooLarge);
    assert_eq!(ring.append_priority(1, &who(1), Some(&Cell::new(0)), 1, &fields, DropReason::NoSegment), dropped);
    assert_eq!(ring.loss().dropped, [1, 0, 0, 0]);
    // The name takes too much of such a small segment: it is not recorded, but the event is.
    let event = Event::new(1, 200, 1, 1);
    assert_eq!(event.append_priority(&ring, &Cell::new(0)), AppendOutcome::Recorded);
    let found = read_ring(&ring);
    assert!(found.events[&1].text.len() > 10 && event.text.starts_with(&found.events[&1].text));
}

/// Returns the numbers of events of each class that a ring holds and has overwritten: `[others, priority]`.
fn by_class(ring: &Ring<'_>) -> ([u64; 2], [u64; 2]) {
    let (mut retained, mut overwritten) = ([0; 2], [0; 2]);
    let mut scratch = vec![0; ring.segment_len()];
    for index in 0..ring.segment_count() {
        let class = usize::from(index >= ring.segment_count() - ring.priority_segment_count());
        match ring.copy_segment(index, &mut scratch) {
            SegmentState::Unused => {}
            SegmentState::Opening { lost } => overwritten[class] += lost,
            SegmentState::Damaged(error) => panic!("{error}"),
            SegmentState::Valid(segment) => {
                assert_eq!(segment.header.is_priority(), class == 1);
                overwritten[class] += segment.header.lost;
                retained[class] += segment.items().filter(|item| matches!(item, Item::Event(_))).count() as u64;
            }
        }
    }
    (retained, overwritten)
}

/// Performs random operations, and compares each class separately with a list of all events ever appended, after every
/// operation.
#[test]
fn random_operations_in_two_classes_agree_with_a_naive_model() {
    for seed in 0..rounds(100) as u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let priority_segment_count = random.u32(1..5);
        let config = RingConfig { priority_segment_count, ..LONG };
        let segment_count = priority_segment_count as usize + random.usize(1..6);
        let memory = memory_of(&config, segment_count);
        let ring = Ring::create(&memory, &config).unwrap();
        let mut contexts: Vec<_> = (1..=random.u32(1..6)).map(|n| (n, Cursor::new(), Cell::new(0))).collect();
        let (mut all, mut ticks, mut emitted) = (Vec::<(Event, usize)>::new(), random.u64(..), [0_u64; 2]);
        for _ in 0..rounds(400) {
            ticks = ticks.wrapping_add(if random.u32(0..50) == 0 { random.u64(..) } else { random.u64(0..100) });
            let which = random.usize(0..contexts.len());
            let next = contexts.len() as u32 * 1000 + all.len() as u32;
            let (context, cursor, told) = &mut contexts[which];
            let event = Event::new(all.len() as u64, random.usize(0..60), ticks, *context);
            let class = match random.u32(0..20) {
                0 => {
                    cursor.detach(&ring, ticks);
                    (*context, *cursor, *told) = (next, Cursor::new(), Cell::new(0));
                    continue;
                }
                1..=3 => {
                    event.append_shared(&ring);
                    0
                }
                4..=9 => {
                    assert_eq!(
                        event.append_priority(&ring, told),
                        AppendOutcome::Recorded,
                        "no context holds a priority segment"
                    );
                    1
                }
                _ => {
                    event.append(&ring, cursor);
                    0
                }
            };
            emitted[class] += 1;
            all.push((event, class));
            let (retained, overwritten) = by_class(&ring);
            let loss = ring.loss();
            assert_eq!(retained[1] + overwritten[1], emitted[1], "seed {seed}");
            assert_eq!(retained[0] + overwritten[0] + loss.dropped_total(), emitted[0], "seed {seed}");
            assert_eq!(
                (loss.priority_overwritten, loss.overwritten),
                (overwritten[1], overwritten[0] + overwritten[1])
            );
        }
        let found = read_ring(&ring);
        for (id, event) in &found.events {
            assert_eq!(*event, all[*id as usize].0, "seed {seed}");
        }
        // The class has one stream of events, so the newest of them are retained.
        let kept: Vec<_> = all.iter().filter(|(_, class)| *class == 1).map(|(event, _)| event.id).collect();
        let (there, gone): (Vec<_>, Vec<_>) = kept.iter().partition(|id| found.events.contains_key(id));
        assert!(gone.iter().all(|gone: &u64| there.first().is_none_or(|first| gone < first)), "seed {seed}");
        assert_eq!((found.pending, found.damaged, found.missing), (0, 0, 0), "seed {seed}");
        let image = image_of(&ring);
        let image = RingImage::parse(&image).unwrap();
        assert_eq!((read_image(&image).events, image.loss()), (found.events, ring.loss()), "seed {seed}");
    }
}

#[test]
fn threads_account_for_priority_events() {
    for priority_segment_count in [1, 2, 5] {
        let config = RingConfig { priority_segment_count, ..LONG };
        let memory = memory_of(&config, priority_segment_count as usize + 2);
        let ring = Ring::create(&memory, &config).unwrap();
        let per_thread = rounds(5_000) as u64;
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                scope.spawn(move || {
                    let (cursor, told) = (Cursor::new(), Cell::new(0));
                    for n in 0..per_thread {
                        let event = Event::new(thread * per_thread + n, (n % 12) as usize, n, thread as u32 + 1);
                        if n % 4 == 0 {
                            event.append(&ring, &cursor)
                        } else {
                            event.append_priority(&ring, &told)
                        };
                    }
                    cursor.detach(&ring, per_thread);
                });
            }
            for _ in 0..rounds(200) {
                let mut scratch = vec![0; ring.segment_len()];
                for index in 0..ring.segment_count() {
                    let SegmentState::Valid(segment) = ring.copy_segment(index, &mut scratch) else { continue };
                    for item in segment.items() {
                        match item {
                            Item::Event(record) => {
                                let event = Event::read(&record).expect("valid");
                                let whole = Event::new(event.id, event.text.len(), event.ticks, event.context);
                                assert_eq!(event, whole);
                            }
                            Item::Context(told) => assert_eq!(told.name, "a thread"),
                            Item::Damaged { .. } => panic!("{segment:?}"),
                            Item::Pending { .. } => {}
                        }
                    }
                }
            }
        });
        let found = read_ring(&ring);
        assert_eq!((found.pending, found.damaged), (0, 0));
        assert_eq!(found.events.len() as u64 + found.overwritten + found.dropped, 4 * per_thread);
    }
}

// -------------------------------------------------------------------------------------------------------------- damage

/// Returns a small ring with all parts of the long header, and with partly overwritten priority segments, of which a
/// context writes some alone.
fn small_long_ring_image() -> Vec<u8> {
    // A check holds by chance in 1 of 256 places that are not records. In these segments, none does.
    let config = RingConfig { priority_segment_count: 4, ..LONG };
    let memory = memory_of(&config, 6);
    let ring = Ring::create(&memory, &config).unwrap();
    let own = PriorityCursor::new(2);
    ring.append_entry(b"an entry of the table").unwrap();
    ring.write_anchor(Anchor { ticks: 1, unix_ns: 2 });
    let (cursor, told) = (Cursor::new(), [Cell::new(0), Cell::new(0)]);
    for n in 0..40 {
        Event::new(n, n as usize % 9, n, 1).append(&ring, &cursor);
        Event::new(100 + n, n as usize % 9, n, 1 + n as u32 % 2).append_priority(&ring, &told[n as usize % 2]);
        let alone = Event::new(200 + n, n as usize % 9, n, 3);
        let fields = Cons(alone.id, Cons(alone.text.as_str(), Nil));
        own.append_slow(&ring, &|| n, &who(3), alone.callsite, &fields);
    }
    let segments = (0..config.priority_segment_count).map(|index| ring.segment(2 + index));
    let modes = segments.map(|segment| segment[segment_word::COMMIT].load() as u32 & commit::SHARED != 0);
    assert_eq!(modes.collect::<std::collections::BTreeSet<_>>().len(), 2, "shared ones and others");
    ring.set_filter_text("info,net=debug");
    ring.count_panic(39, 4711);
    ring.beat(40);
    assert!(ring.stamp_end(&an_end()));
    image_of(&ring)
}

/// Maps the offset of each valid record's header in an image to the end of its segment's records and the seal of its
/// check.
fn record_headers(image: &RingImage<'_>) -> BTreeMap<usize, (usize, crate::record::Seal)> {
    let mut headers = BTreeMap::new();
    for index in 0..image.header().segment_count {
        let SegmentState::Valid(segment) = image.segment(index) else { continue };
        let start = image.header().segments_offset as usize + index as usize * CONFIG.segment_len as usize;
        let (first, len) = (start + SEGMENT_HEADER_LEN, segment.used().len());
        let mut at = 0;
        while let Some(record) = crate::record::decode_record(segment.used(), at, segment.header.seal()) {
            headers.insert(first + at, (first + len, segment.header.seal()));
            at += record.len_bytes;
        }
    }
    headers
}

#[test]
#[cfg_attr(miri, ignore = "safe code, and slow there")]
fn every_single_flipped_bit_of_a_long_ring_shows_nothing_false() {
    let whole = small_long_ring_image();
    let parsed = RingImage::parse(&whole).unwrap();
    let (original, control) = (read_image(&parsed), parsed.control().unwrap());
    assert!(original.events.len() > 30 && parsed.loss().priority_overwritten > 0 && original.damaged == 0);
    let headers = record_headers(&parsed);
    let mut passed_by_chance = 0;
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let image = RingImage::parse(&flipped).unwrap_or_else(|error| panic!("bit {bit}: {error}"));
        // A damaged length changes which words the check covers, and passes it in 1 of 256 cases.
        if let Some((end, seal)) = headers.get(&(bit / 64 * 8)).filter(|_| (16..24).contains(&(bit % 64))) {
            if crate::record::decode_record(&flipped[bit / 64 * 8..*end], 0, *seal).is_some() {
                passed_by_chance += 1;
                continue;
            }
        }
        let found = read_image(&image);
        for (id, event) in &found.events {
            let mut expected = original.events[id].clone();
            if found.timeless.contains(id) {
                expected.ticks = event.ticks;
            }
            if event.context == 0 {
                expected.context = 0; // unknown is not wrong
            }
            assert_eq!(*event, expected, "bit {bit}");
        }
        assert!(found.events.len() + 1 >= original.events.len(), "bit {bit} costs more than one event");
        let lost = original.events.len() - found.events.len();
        assert!(lost as u64 <= found.missing + found.damaged as u64, "bit {bit}: an unreported loss");
        assert_eq!(image.end(), Some(an_end()), "bit {bit}");
        let told = image.control().unwrap();
        assert!(told.filter.is_none_or(|filter| Some(filter) == control.filter), "bit {bit}");
        assert_eq!(told.request, None, "bit {bit}");
    }
    assert!(passed_by_chance * 64 < headers.len() * 8, "{passed_by_chance} of {} records", headers.len());
}

#[test]
#[cfg_attr(miri, ignore = "safe code, and slow there")]
fn flipped_bits_of_an_empty_end_block_are_no_end() {
    let memory = memory_of(&PRIORITY, 3);
    Ring::create(&memory, &PRIORITY).unwrap();
    let whole: Vec<u8> = memory.iter().flat_map(|word| word.load().to_le_bytes()).collect();
    for bit in HEADER_LEN * 8..LONG_HEADER_LEN * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let image = RingImage::parse(&flipped).unwrap();
        assert_eq!(image.end(), None, "bit {bit}");
        let control = image.control().unwrap();
        assert_eq!((control.request, control.filter), (None, None), "bit {bit}");
    }
}

#[test]
fn end_cut_short_anywhere_says_that_there_was_one() {
    let memory = memory_of(&LONG, 1);
    let ring = Ring::create(&memory, &LONG).unwrap();
    let empty = image_of(&ring);
    ring.stamp_end(&an_end());
    let whole = image_of(&ring);
    let mut image = empty;
    // Order of the stores: the claim, the words, their CRC, the end word.
    for word in [None, Some(25), Some(26), Some(27), Some(28), Some(29), Some(33)] {
        let (start, bytes) = match word {
            None => (24 * 8, &[0xFF; 4][..]),
            Some(word) => (word * 8, &whole[word * 8..][..8]),
        };
        image[start..start + bytes.len()].copy_from_slice(bytes);
        let end = RingImage::parse(&image).unwrap().end();
        assert_eq!(end, Some(ProcessEnd::of(EndKind::Unfinished)), "{word:?}");
    }
    image[24 * 8..][..8].copy_from_slice(&whole[24 * 8..][..8]);
    assert_eq!(RingImage::parse(&image).unwrap().end(), Some(an_end()));
}

#[test]
#[cfg_attr(miri, ignore = "safe code, and slow there")]
fn every_truncation_of_a_long_header_is_read() {
    let whole = small_long_ring_image();
    for len in HEADER_LEN..LONG_HEADER_LEN + 8 {
        let image = RingImage::parse(&whole[..len]).unwrap();
        let end = image.end();
        assert!(len < 34 * 8 || end == Some(an_end()), "length {len}");
        assert!(end.is_none_or(|end| end == an_end() || end.kind == EndKind::Unfinished), "length {len}");
        assert_eq!(image.control().is_some(), len >= LONG_HEADER_LEN);
        assert_eq!(image.missing_bytes(), (whole.len() - len) as u64);
    }
}

#[test]
#[cfg_attr(miri, ignore = "safe code, and slow there")]
fn random_long_headers_are_read_without_panic() {
    let whole = small_long_ring_image();
    let mut random = fastrand::Rng::with_seed(9);
    for _ in 0..3_000 {
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..300) {
            let at = random.usize(64..LONG_HEADER_LEN);
            bytes[at] = if random.bool() { random.u8(..) } else { random.choice([0, 1, 0xFF]).unwrap() };
        }
        // Lengths of the texts: short, at the limit, beyond it.
        for at in [44 * 8, 109 * 8] {
            let len = random.choice([0, 1, 511, 512, 513, 514, u32::MAX]).unwrap();
            bytes[at..at + 4].copy_from_slice(&len.to_le_bytes());
            let kept = bytes[at + 8..][..(len as usize).min(513)].to_vec();
            bytes[at + 4..at + 8].copy_from_slice(&crc32(&kept).to_le_bytes());
        }
        let image = RingImage::parse(&bytes).unwrap();
        let control = image.control().unwrap();
        for text in [control.request, control.filter].into_iter().flatten() {
            assert!((1..=CONTROL_TEXT_MAX).contains(&text.len()));
        }
        let _ = (image.end(), image.panics(), image.loss());
    }
}

/// Tests foreign writes into a mapped ring while its process uses it.
#[test]
fn scribbled_long_header_does_not_hurt_its_writer() {
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..if cfg!(miri) { 1 } else { 300 } {
        let memory = memory_of(&PRIORITY, 5);
        let ring = Ring::create(&memory, &PRIORITY).unwrap();
        let (cursor, told) = (Cursor::new(), Cell::new(0));
        let mut buffer = [0; CONTROL_TEXT_MAX];
        for id in 0..60 {
            let word = random.usize(HEADER_LEN / 8..LONG_HEADER_LEN / 8);
            let value = random.choice([0, 1, 2, 5, 6, 100, u64::from(u32::MAX), u64::MAX]).unwrap();
            memory[word].store(if random.bool() { value } else { random.u64(..) });
            Event::new(id, 3, id, 1).append_priority(&ring, &told);
            Event::new(id, 3, id, 1).append(&ring, &cursor);
            if let Some(request) = ring.pending_request(&mut buffer) {
                assert!(request.text.is_none_or(|text| text.len() <= CONTROL_TEXT_MAX));
                let number = request.number;
                ring.answer_request(number, ControlResult::BadText, "off");
                assert_eq!(ring.pending_request(&mut buffer), None);
            }
            let _ = (ring.loss(), ring.panics(), ring.filter_text(&mut buffer));
            // Trying to repair a damaged end block takes seconds in Miri, and is safe code.
            if !cfg!(miri) {
                let _ = (ring.end(), ring.header_now());
            }
        }
    }
}

#[test]
fn texts_of_the_control_block_at_their_limits() {
    let memory = memory_of(&LONG, 1);
    let ring = Ring::create(&memory, &LONG).unwrap();
    let mut buffer = [0; CONTROL_TEXT_MAX];
    for len in [0_usize, 1, 7, 8, 9, 511, 512, 513, 1000] {
        let text = "ä".repeat(len.div_ceil(2));
        ring.set_filter_text(&text);
        let told = ring.filter_text(&mut buffer);
        assert_eq!(told.is_none(), len == 0);
        assert!(told.is_none_or(|told| text.starts_with(told) && told.len() + 1 >= text.len().min(512)), "{len}");
        let image = image_of(&ring);
        let control = RingImage::parse(&image).unwrap().control().unwrap();
        assert_eq!(control.filter, told);
        assert_eq!(control.request(1, &text).is_ok(), (1..=512).contains(&text.len()));
    }
    assert_eq!(ControlCommand::parse("level"), Some(ControlCommand::Level("")));
    assert_eq!(ControlCommand::parse("level  a=debug "), Some(ControlCommand::Level("a=debug")));
    assert_eq!((ControlCommand::parse(""), ControlCommand::parse("levels a")), (None, None));
}

#[test]
fn request_that_another_wrote_over_is_told_as_replaced() {
    let memory = memory_of(&LONG, 1);
    let ring = Ring::create(&memory, &LONG).unwrap();
    let mut image = image_of(&ring);
    let control = RingImage::parse(&image).unwrap().control().unwrap();
    let (ours, theirs) = (control.request(1, "level a=off").unwrap(), control.request(2, "level b=off").unwrap());
    for (offset, bytes) in ours.writes().into_iter().chain(theirs.writes()) {
        image[offset as usize..][..bytes.len()].copy_from_slice(bytes);
    }
    let control = RingImage::parse(&image).unwrap().control().unwrap();
    assert_eq!(control.answer_to(&ours), ControlAnswer::Replaced);
    assert_eq!(control.answer_to(&theirs), ControlAnswer::Waiting);
}

#[test]
#[cfg_attr(miri, ignore = "safe code, and slow there")]
fn version_is_told_by_the_header_alone_and_one_bit_is_repaired() {
    // The CRC of a version 1 ring covers four bytes less.
    let memory = memory(2);
    let ring = Ring::create(&memory, &CONFIG).unwrap();
    Event::new(1, 4, 1, 1).append_shared(&ring);
    let mut older = image_of(&ring);
    older[8..12].copy_from_slice(&[1, 0, 1, 0]);
    let crc = crc32(&older[..56]);
    older[56..60].copy_from_slice(&crc.to_le_bytes());
    for bit in 0..64 * 8 {
        let mut flipped = older.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let image = RingImage::parse(&flipped).unwrap_or_else(|error| panic!("bit {bit}: {error}"));
        let header = image.header();
        assert_eq!((header.format_version, header.min_reader_version, header.priority_segment_count), (1, 1, 0));
        assert!(!header.is_long() && read_image(&image).events.len() == 1, "bit {bit}");
    }
}

#[test]
fn progress_counts_every_event_and_every_segment() {
    let memory = memory_of(&PRIORITY, 6);
    let ring = Ring::create(&memory, &PRIORITY).unwrap();
    let (cursor, told) = (Cursor::new(), Cell::new(0));
    assert_eq!((ring.recorded_count(), ring.opened_count()), (0, 0));
    let mut opened = 0;
    for id in 0..300_u64 {
        match id % 3 {
            0 => Event::new(id, 4, id + 1, 1).append_priority(&ring, &told),
            1 => Event::new(id, 4, id + 1, 1).append_shared(&ring),
            _ => Event::new(id, 4, id + 1, 1).append(&ring, &cursor),
        };
        assert_eq!(ring.recorded_count(), id + 1, "including overwritten events of either class");
        let now = ring.opened_count();
        // At most one per event; held segments are skipped.
        assert!((opened..=opened + 4).contains(&now), "{opened}, {now}");
        opened = now;
    }
    assert!(ring.loss().priority_overwritten > 0 && opened > u64::from(ring.segment_count()));
}
