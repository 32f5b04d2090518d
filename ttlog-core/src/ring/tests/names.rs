//! Names of contexts: when a cursor asks for them, and what the ring holds of them.

use core::cell::{Cell, RefCell};

use super::*;

/// A context whose name gets a letter longer each time that it is asked for anew.
struct Growing {
    context: u32,
    name_len: Cell<usize>,
}

impl Identify for Growing {
    fn context(&self) -> u32 {
        self.context
    }

    fn known<'r>(&'r self, room: &'r mut NameRoom) -> ContextInfo<'r> {
        room.fill(b'n');
        let name = core::str::from_utf8(&room[..self.name_len.get()]).unwrap();
        ContextInfo { name, ..who(self.context) }
    }

    fn renewed<'r>(&'r self, room: &'r mut NameRoom) -> ContextInfo<'r> {
        self.name_len.set((self.name_len.get() + 1) % room.len());
        self.known(room)
    }
}

/// Returns the lengths of the names in the ring, in the order of its segments, and the number of events.
fn name_lens(ring: &Ring<'_>) -> (Vec<usize>, usize) {
    let image = image_of(ring);
    let image = RingImage::parse(&image).unwrap();
    let (mut lens, mut events) = (Vec::new(), 0);
    let mut segments: Vec<_> = (0..image.header().segment_count)
        .filter_map(|index| if let SegmentState::Valid(segment) = image.segment(index) { Some(segment) } else { None })
        .collect();
    segments.sort_by_key(|segment| segment.header.sequence);
    for item in segments.iter().flat_map(Segment::items) {
        match item {
            Item::Context(who) => lens.push(who.name.len()),
            Item::Event(_) => events += 1,
            other => panic!("{other:?}"),
        }
    }
    (lens, events)
}

#[test]
fn name_is_asked_for_once_per_segment() {
    let memory = memory(16);
    let ring = Ring::create(&memory, &CONFIG).unwrap();
    let (cursor, who) = (Cursor::new(), Growing { context: 1, name_len: Cell::new(0) });
    for id in 0..20 {
        let outcome = cursor.append_slow(&ring, &|| id, &who, 1, &Cons(id, Nil));
        assert_eq!(outcome, AppendOutcome::Recorded);
    }
    let (lens, events) = name_lens(&ring);
    assert_eq!(events, 20);
    assert_eq!(lens, (1..=who.name_len.get()).collect::<Vec<_>>());
}

#[test]
#[cfg_attr(miri, ignore = "too many rounds for it")]
fn event_that_fills_a_segment_fits_beside_any_name() {
    // Of all lengths: the name that is asked for can take more words than the one that was known.
    for len in 0..240 {
        for before in 0..24 {
            let memory = memory(4);
            let ring = Ring::create(&memory, &CONFIG).unwrap();
            let (cursor, who) = (Cursor::new(), Growing { context: 1, name_len: Cell::new(before) });
            let text = "t".repeat(len);
            let outcome = cursor.append_slow(&ring, &|| 1, &who, 1, &Cons(text.as_str(), Nil));
            assert_eq!(
                (outcome, name_lens(&ring)),
                (AppendOutcome::Recorded, (vec![before + 1], 1)),
                "{len}, {before}"
            );
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "too many rounds for it")]
fn priority_segment_has_the_name_of_its_time() {
    let config = RingConfig { control: true, priority_segment_count: 8, ..CONFIG };
    let memory = words(config.overhead_len() + 9 * config.segment_len as usize);
    let ring = Ring::create(&memory, &config).unwrap();
    let (told, who) = (Cell::new(0), Growing { context: 1, name_len: Cell::new(0) });
    let append = |len: usize| {
        let text = "t".repeat(len);
        ring.append_priority(1, &who, Some(&told), 1, &Cons(text.as_str(), Nil), DropReason::NoSegment)
    };
    assert_eq!([append(60), append(60), append(100)], [AppendOutcome::Recorded; 3]);
    assert_eq!(name_lens(&ring), (vec![1, 2], 3));
    for len in 0..240 {
        assert_eq!(append(len), AppendOutcome::Recorded, "{len}");
    }
}

#[test]
fn context_introduces_itself_without_an_event() {
    let memory = memory(2);
    let ring = Ring::create(&memory, &CONFIG).unwrap();
    let cursor = Cursor::new();
    assert_eq!(ring.append_shared(1, 7, 1, &Nil, DropReason::NoSegment), AppendOutcome::Recorded);
    cursor.introduce(&ring, &|| 2, &who(7));
    cursor.introduce(&ring, &|| 3, &who(8));
    assert_eq!(name_lens(&ring), (vec![who(7).name.len()], 1));
    assert_eq!(cursor.append_slow(&ring, &|| 4, &who(7), 1, &Nil), AppendOutcome::Recorded);
    assert_eq!(name_lens(&ring), (vec![who(7).name.len()], 2));
}

#[test]
fn introduction_inside_an_append_does_nothing() {
    /// Fields that introduce their context while they are recorded.
    struct Introduces<'a>(&'a RefCell<Option<usize>>, &'a dyn Fn());
    impl Sealed for Introduces<'_> {}
    impl AnyFields for Introduces<'_> {
        fn types(&self) -> TypeList {
            TypeList::Nil
        }
        fn types_hash(&self) -> u32 {
            TypeList::Nil.hash()
        }
        fn payload_words(&self, _cap: usize) -> usize {
            (self.1)();
            *self.0.borrow_mut().get_or_insert(0) += 1;
            0
        }
        fn put(&self, _packer: &mut Packer, _cap: usize) {
            (self.1)();
        }
    }
    let memory = memory(4);
    let ring = Ring::create(&memory, &CONFIG).unwrap();
    let (cursor, calls) = (Cursor::new(), RefCell::new(None));
    let introduce = || cursor.introduce(&ring, &|| 2, &who(1));
    let outcome = cursor.append_slow(&ring, &|| 1, &who(1), 1, &Introduces(&calls, &introduce));
    assert_eq!((outcome, name_lens(&ring)), (AppendOutcome::Recorded, (vec![who(1).name.len()], 1)));
    assert!(calls.into_inner().is_some());
}
