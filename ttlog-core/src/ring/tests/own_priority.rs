//! Priority segments that a context writes alone: who takes one and when, names, times, and the account of events.

use core::cell::Cell;

use super::*;
use crate::memory::kept::kept;
use crate::ring::PriorityCursor;

/// Returns a ring with two segments beside those of the priority class.
fn ring_with(priority_segment_count: u32) -> Ring<'static> {
    let config = RingConfig { priority_segment_count, control: true, ..CONFIG };
    let len = config.overhead_len() + (2 + priority_segment_count as usize) * config.segment_len as usize;
    Ring::create(kept(words(len)), &config).unwrap()
}

impl Event {
    /// Appends a warning as a recorder does.
    fn warn(&self, ring: &Ring<'static>, cursor: &PriorityCursor<'static>) -> AppendOutcome {
        let fields = Cons(self.id, Cons(self.text.as_str(), Nil));
        let own = cursor.own();
        if own.append_small(self.callsite, self.ticks, &fields) || own.append_plain(self.callsite, self.ticks, &fields)
        {
            return AppendOutcome::Recorded;
        }
        cursor.append_slow(ring, &|| self.ticks, &who(self.context), self.callsite, &fields)
    }
}

/// Ids of events, with their contexts.
type Ids = Vec<(u64, u32)>;

/// Returns the segments of the priority class in their order: the mode, the contexts with a name, and the events.
fn priority_segments(ring: &Ring<'_>) -> Vec<(Mode, Vec<u32>, Ids)> {
    let image = image_of(ring);
    let image = RingImage::parse(&image).unwrap();
    let mut segments: Vec<_> = (image.header().main_segment_count()..image.header().segment_count)
        .filter_map(|index| match image.segment(index) {
            SegmentState::Valid(segment) => Some(segment),
            SegmentState::Unused => None,
            other => panic!("{other:?}"),
        })
        .collect();
    segments.sort_by_key(|segment| segment.header.sequence);
    let content = |segment: &Segment<'_>| {
        assert!(segment.header.is_priority());
        let (mut named, mut events) = (Vec::new(), Vec::new());
        for item in segment.items() {
            match item {
                Item::Context(who) => named.push(who.context),
                Item::Event(record) => {
                    assert_eq!(record.index, None, "the events of a context are numbered outside of the class only");
                    events.push((Event::read(&record).unwrap().id, record.context));
                }
                other => panic!("{other:?}"),
            }
        }
        (segment.header.mode, named, events)
    };
    segments.iter().map(content).collect()
}

/// Returns the contexts that write a segment alone at the end.
fn owners(ring: &Ring<'_>) -> Vec<u32> {
    let owned = |index: &u32| {
        let word = ring.segment(*index)[segment_word::COMMIT].load() as u32;
        word & (commit::OWNED | commit::SHARED) == commit::OWNED
    };
    let owned = (ring.segment_count - ring.priority_segment_count..ring.segment_count).filter(owned);
    owned.map(|index| ring.segment(index)[segment_word::CONTEXT].load() as u32).collect()
}

#[test]
fn context_takes_a_segment_after_some_events_in_a_shared_one() {
    let ring = ring_with(8);
    let [often, rarely] = [(); 2].map(|()| PriorityCursor::new(2));
    for id in 0..8 {
        assert_eq!(Event::new(id, 0, id, 1).warn(&ring, &often), AppendOutcome::Recorded);
        if id == 1 {
            assert_eq!(Event::new(100, 0, id, 2).warn(&ring, &rarely), AppendOutcome::Recorded);
        }
    }
    let segments = priority_segments(&ring);
    let ids = |of: Mode| -> Ids {
        segments.iter().filter(|(mode, ..)| *mode == of).flat_map(|(.., events)| events.iter().copied()).collect()
    };
    assert_eq!(ids(Mode::Exclusive), (2..8).map(|id| (id, 1)).collect::<Vec<_>>());
    assert_eq!(ids(Mode::SharedContexts), [(0, 1), (1, 1), (100, 2)]);
    assert_eq!(owners(&ring), [1]);
}

#[test]
fn each_segment_names_its_contexts_once_even_when_all_earlier_ones_are_gone() {
    let ring = ring_with(6);
    let cursors = [(); 3].map(|()| PriorityCursor::new(1));
    for id in 0..200 {
        let context = id as usize % 3;
        assert_eq!(Event::new(id, 0, id, 1 + context as u32).warn(&ring, &cursors[context]), AppendOutcome::Recorded);
    }
    let segments = priority_segments(&ring);
    assert!(segments.iter().any(|(mode, ..)| *mode == Mode::Exclusive));
    for (_, mut named, events) in segments {
        let mut contexts: Vec<_> = events.iter().map(|(_, context)| *context).collect();
        contexts.sort_unstable();
        contexts.dedup();
        named.sort_unstable();
        assert_eq!(named, contexts);
    }
    assert!(ring.loss().priority_overwritten > 100);
}

#[test]
fn at_most_half_of_the_segments_are_held_and_two_are_left_to_the_others() {
    for (segments, most) in [(1, 0), (2, 0), (3, 1), (4, 2), (5, 2), (8, 4), (9, 4)] {
        let ring = ring_with(segments);
        let cursors: Vec<_> = (0..12).map(|_| PriorityCursor::new(0)).collect();
        for round in 0..5 {
            for (context, cursor) in (1..).zip(&cursors) {
                let id = u64::from(context) + round * 100;
                assert_eq!(Event::new(id, 0, id, context).warn(&ring, cursor), AppendOutcome::Recorded);
            }
        }
        assert_eq!(owners(&ring).len(), most, "of {segments} segments");
        assert_eq!(ring.header(header_word::PRIORITY_HOLDERS).load(), most as u64);
        let loss = ring.loss();
        assert_eq!(read_ring(&ring).events.len() as u64 + loss.overwritten, 60);
        assert_eq!(loss.dropped_total(), 0);
        // Those that leave make room for others.
        for cursor in &cursors {
            cursor.detach(&ring, 1000);
        }
        assert_eq!((owners(&ring), ring.header(header_word::PRIORITY_HOLDERS).load()), (vec![], 0));
    }
}

#[test]
fn other_name_comes_with_the_next_event() {
    let ring = ring_with(4);
    let cursor = PriorityCursor::new(0);
    Event::new(0, 0, 0, 1).warn(&ring, &cursor);
    cursor.rename();
    Event::new(1, 0, 1, 1).warn(&ring, &cursor);
    let segments = priority_segments(&ring);
    let named = segments.iter().map(|(_, named, _)| named.len()).sum::<usize>();
    assert_eq!(named, 2, "{segments:?}");
    // Without a rename there is no reason to tell it again.
    let before = named;
    Event::new(2, 0, 2, 1).warn(&ring, &cursor);
    let segments = priority_segments(&ring);
    let named = segments.iter().map(|(_, named, _)| named.len()).sum::<usize>();
    assert!(named == before || segments.len() > 1, "{segments:?}");
}

#[test]
fn nested_warning_goes_beside_the_interrupted_one() {
    let ring = ring_with(4);
    let cursor = PriorityCursor::new(0);
    Event::new(0, 0, 0, 1).warn(&ring, &cursor);
    assert!(cursor.own().under_way().is_none());
    // As an interrupted append leaves it.
    let place = &ring.segment(ring.segment_count - ring.priority_segment_count)[segment_word::COMMIT];
    let word = place.load();
    place.store(word | u64::from(commit::BUSY));
    assert!(cursor.own().under_way().is_some());
    assert_eq!(Event::new(1, 0, 1, 1).warn(&ring, &cursor), AppendOutcome::Recorded);
    place.store(word);
    assert_eq!(Event::new(2, 0, 2, 1).warn(&ring, &cursor), AppendOutcome::Recorded);
    let segments = priority_segments(&ring);
    let modes: Vec<_> = segments.iter().map(|(mode, _, events)| (*mode, events.len())).collect();
    assert_eq!(modes, [(Mode::Exclusive, 2), (Mode::SharedContexts, 1)]);
}

#[test]
fn random_warnings_of_threads_are_accounted_for() {
    for seed in 0..rounds(20) as u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let ring = ring_with(random.u32(1..9));
        let cursors: Vec<_> = (0..5).map(|_| PriorityCursor::new(random.u32(0..4))).collect();
        let left: Vec<_> = cursors.iter().map(|_| Cell::new(false)).collect();
        let count = random.u64(1..300);
        for id in 0..count {
            let context = random.usize(0..cursors.len());
            if random.u32(0..40) == 0 {
                cursors[context].detach(&ring, id);
                left[context].set(true);
            }
            if random.u32(0..20) == 0 {
                cursors[context].rename();
            }
            let event = Event::new(id, random.usize(0..20), id, 1 + context as u32);
            assert_eq!(event.warn(&ring, &cursors[context]), AppendOutcome::Recorded, "seed {seed}");
        }
        let (found, loss) = (read_ring(&ring), ring.loss());
        assert_eq!(found.events.len() as u64 + loss.overwritten, count, "seed {seed}");
        assert_eq!((found.pending, found.damaged, found.missing, loss.dropped_total()), (0, 0, 0, 0), "seed {seed}");
        for (id, event) in &found.events {
            assert_eq!((event.ticks, event.context > 0), (*id, true), "seed {seed}");
        }
        let complete_from = ring.priority_complete_from();
        assert!((0..count).all(|id| id <= complete_from || found.events.contains_key(&id)), "seed {seed}");
    }
}

#[test]
fn threads_that_warn_at_once_are_accounted_for() {
    for segments in [1, 3, 5, 9] {
        let ring = ring_with(segments);
        let per_thread = rounds(5_000) as u64;
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                scope.spawn(move || {
                    let cursor = PriorityCursor::new(3);
                    for n in 0..per_thread {
                        let id = thread * per_thread + n;
                        Event::new(id, (n % 12) as usize, n, thread as u32 + 1).warn(&ring, &cursor);
                    }
                    cursor.detach(&ring, per_thread);
                });
            }
        });
        let found = read_ring(&ring);
        assert_eq!((found.pending, found.damaged), (0, 0));
        assert_eq!(found.events.len() as u64 + found.overwritten + found.dropped, 4 * per_thread);
    }
}
