//! Span records in a ring, read as a file.

use ttlog_core::event::{Cons, Field, Nil, Role};
use ttlog_core::{
    AnyFields, DropReason, Level, Metadata, ProcessInfo, Ring, RingConfig, Word, encode_callsite, encode_process,
};
use ttlog_read::source::Inputs;
use ttlog_read::span::{Action, SpanRecord};
use ttlog_read::{Firmwares, Query, Secrets, Timeline};

const ROLES: [Role; 14] = [
    Role::Value,
    Role::Span,
    Role::Start,
    Role::Parent,
    Role::Enter,
    Role::Leave,
    Role::End,
    Role::Update,
    Role::Follows,
    Role::Begin,
    Role::Finish,
    Role::Trace,
    Role::RemoteParent,
    Role::KnownAs,
];

/// All fields of a callsite with three of them: the roles are the digits of the index, in base 14.
static FIELDS: [[Field; 3]; ROLES.len().pow(3)] = {
    let mut all = [[Field::dynamic("a"); 3]; ROLES.len().pow(3)];
    let mut index = 0;
    while index < all.len() {
        all[index] = [
            Field::id("a", ROLES[index % ROLES.len()]),
            Field::id("b", ROLES[index / ROLES.len() % ROLES.len()]),
            Field::id("c", ROLES[index / ROLES.len() / ROLES.len()]),
        ];
        index += 1;
    }
    all
};

/// Returns the fields with these roles.
fn fields(roles: [Role; 3]) -> &'static [Field] {
    let digits = roles.map(|role| ROLES.iter().position(|of| *of == role).expect("all roles are there"));
    &FIELDS[digits[0] + digits[1] * ROLES.len() + digits[2] * ROLES.len() * ROLES.len()]
}

/// Number of callsites with the roles that a recorder writes.
const USUAL: u16 = 11;

/// Returns the callsite of a record that a recorder writes, and its roles.
fn usual(action: Action) -> (u16, [Role; 3]) {
    use Role::{Begin, End, Enter, Finish, Follows, Leave, Parent, Start, Update, Value};
    match action {
        Action::Start { parent: Some(_) } => (0, [Start, Parent, Value]),
        Action::Start { parent: None } => (1, [Start, Value, Value]),
        Action::Begin { parent: Some(_) } => (2, [Begin, Parent, Value]),
        Action::Begin { parent: None } => (3, [Begin, Value, Value]),
        Action::Enter => (4, [Enter, Value, Value]),
        Action::Leave => (5, [Leave, Value, Value]),
        Action::End => (6, [End, Value, Value]),
        Action::Repeat { .. } => (7, [Update, Parent, Value]),
        Action::Finish => (8, [Finish, Value, Value]),
        Action::Update { .. } => (9, [Update, Follows, Value]),
        Action::Mention => (10, [Role::Span, Value, Value]),
    }
}

/// Writes records into a ring, those of the callsites that `roles` has among them, and reads it as a file.
pub fn read(records: &[SpanRecord<usize>], roles: &[[u8; 3]]) {
    let config = RingConfig { ring_id: 7, segment_len: 1024, table_len: 4096, anchor_count: 2, ..RingConfig::PLAIN };
    let words: Vec<Word> = (0..(config.overhead_len() + 6 * 1024) / 8).map(|_| Word::new(0)).collect();
    let ring = Ring::create(&words, &config).expect("room for a ring");
    let mut entry = [0; 512];
    let process =
        ProcessInfo { service: "fuzz", ticks_per_second: 1_000_000_000, clock: "made-up", ..Default::default() };
    let len = encode_process(&process, &mut entry).expect("room");
    ring.append_entry(&entry[..len]).expect("room");
    let roles = &roles[..roles.len().min(8)];
    let mut known = Vec::new();
    for record in records {
        let (of, roles) = usual(record.action);
        if !known.contains(&of) {
            known.push(of);
            know(&ring, of + 1, fields(roles));
        }
    }
    for (of, roles) in (0..).zip(roles) {
        know(&ring, USUAL + 1 + of, fields(roles.map(|role| ROLES[usize::from(role) % ROLES.len()])));
    }
    for (index, record) in records.iter().enumerate() {
        let other = match record.action {
            Action::Start { parent } | Action::Begin { parent } => parent.unwrap_or(index as u64),
            Action::Repeat { parent } => parent,
            Action::Update { follows } => follows,
            _ => index as u64,
        };
        let values = Cons(record.span, Cons(other, Cons(u128::from(record.ticks), Nil)));
        let own = (usual(record.action).0 + 1, record.ticks);
        let strange =
            (index % 3 == 0 && !roles.is_empty()).then(|| (USUAL + 1 + (index % roles.len().max(1)) as u16, own.1));
        for (callsite, ticks) in [Some(own), strange].into_iter().flatten() {
            ring.append_shared(ticks, record.context, callsite, &values, DropReason::NoSegment);
        }
    }
    let mut image = vec![0; ring.len_bytes()];
    ring.copy_image(&mut image);
    assert_readable(image);
}

fn know(ring: &Ring<'_>, id: u16, fields: &'static [Field]) {
    let metadata = Metadata { level: Level::Info, target: "fuzz", message: "name", file: "", line: 0, fields };
    let mut entry = [0; 256];
    let types = Cons(0_u64, Cons(0_u64, Cons(0_u128, Nil))).types();
    let len = encode_callsite(id, &metadata, types, &mut entry).expect("room");
    // A full table leaves the records of the callsite without a name.
    let _ = ring.append_entry(&entry[..len]);
}

/// Requires that a file with one recording can be read: its events with their spans, the tree, and the open ones.
fn assert_readable(image: Vec<u8>) {
    let inputs = Inputs::of_file("ring", image, &Firmwares::default());
    let sources = inputs.sources(&Secrets::default()).expect("a ring");
    let mut timeline = Timeline::read(&sources, &Query::default(), &mut ());
    let tree = timeline.span_tree(&Query::default());
    assert_eq!((tree.nodes.len(), tree.matched), (tree.total, tree.total), "each span once");
    for (index, node) in tree.nodes.iter().enumerate() {
        assert!(node.depth == 0 || tree.nodes[index - 1].depth + 1 >= node.depth);
        let _ = (node.span.name(), node.span.fields(), timeline.threads_inside(&node.span));
        assert!((0..=node.span.total_ns()).contains(&node.span.busy_ns()));
    }
    let open = timeline.open_spans(0);
    assert!(open.len() <= tree.total && open.iter().all(|open| open.since_ns >= 0 && open.span.life().is_open()));
    let mut events = timeline.events();
    while let Some(event) = events.next_event() {
        let spans = event.spans();
        assert!(spans.len() <= ttlog_read::span::PATH_LEN_MAX);
        let _ = (event.message(), event.trace_id(), event.span_action());
    }
}
