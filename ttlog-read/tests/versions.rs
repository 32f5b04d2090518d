//! The saved files of all format versions: everything in them is read, and with any bit of a payload flipped nothing
//! panics.

use std::collections::{BTreeSet, HashMap};

use ttlog_read::span::Action;
use ttlog_read::{FieldValue, Query, Secrets, Timeline};

/// The saved files, with the number of records in all of their snapshots.
const FILES: [(&str, usize); 8] = [
    ("v1.ttlog.bin", 224),
    ("v2.ttlog.bin", 376),
    ("v3.ttlog.bin", 376),
    ("v4.ttlog.bin", 1978),
    ("v3-device.ttlog.bin", 24),
    ("v3-device.ring", 12),
    ("v4-device.ttlog.bin", 52),
    ("v4-device.ring", 26),
];

/// Runs `check` on the timeline of a saved file, with the records of spans.
fn timeline_of(file: &str, check: impl FnOnce(&mut Timeline<'_, '_>)) {
    let path = format!("{}/../ttlog-core/tests/data/{file}", env!("CARGO_MANIFEST_DIR"));
    let inputs = ttlog_read::open(&[path.as_str()]);
    let sources = inputs.sources(&Secrets::new(Vec::new(), true)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let query = Query { span_records: true, duplicates: true, ..Query::default() };
    check(&mut Timeline::read(&sources, &query, &mut ()));
}

/// Adds the names of the kinds of a value and of the values in it.
fn add_kinds(value: &FieldValue<'_>, kinds: &mut BTreeSet<String>) {
    let name = format!("{value:?}");
    kinds.insert(name.split(['(', ' ']).next().unwrap_or_default().to_owned());
    match value {
        FieldValue::Some(value) | FieldValue::Shown(value, _) => add_kinds(value, kinds),
        FieldValue::Sequence(elements, _) => elements.iter().for_each(|element| add_kinds(element, kinds)),
        FieldValue::Nested(nested) => {
            let kind = if nested.variant.is_some() {
                "variant"
            } else if nested.name.is_empty() {
                "tuple"
            } else {
                "struct"
            };
            kinds.insert(kind.to_owned());
            nested.members.iter().for_each(|(_, value)| add_kinds(value, kinds));
        }
        _ => {}
    }
}

#[test]
fn everything_of_every_version_is_read() {
    for (file, expected) in FILES {
        timeline_of(file, |timeline| {
            assert!(timeline.sources.iter().all(|source| source.damage.is_empty()), "{file}");
            let mut events = timeline.events();
            let mut count = 0;
            while let Some(event) = events.next_event() {
                // The memory of a device alone has no names.
                assert!(event.damage.is_none() || file.ends_with(".ring"), "{file}: {:?}", event.damage);
                count += 1;
            }
            assert_eq!(count, expected, "{file}");
        });
    }
}

#[test]
fn the_file_of_version_4_has_every_kind_of_value_and_of_record() {
    let (mut kinds, mut actions) = (BTreeSet::new(), BTreeSet::new());
    let mut traces = BTreeSet::new();
    timeline_of("v4.ttlog.bin", |timeline| {
        let mut events = timeline.events();
        while let Some(event) = events.next_event() {
            event.fields().for_each(|(_, value)| add_kinds(value, &mut kinds));
            let action = event.span_action().map(|action| match action {
                Action::Update { follows } if follows != 0 => "Follows".to_owned(),
                action => format!("{action:?}").split(' ').next().unwrap_or_default().to_owned(),
            });
            actions.extend(action.or_else(|| (event.span_id != 0).then(|| "Mention".to_owned())));
            traces.extend(event.trace_id());
        }
        let tree = timeline.span_tree(&Query::default());
        assert!(tree.total >= 3 && tree.nodes.iter().any(|node| node.depth == 1));
    });
    let expected = "Bool Bytes Char Debug Display Duration Error F32 F64 I128 Ip Nested None Sequence Shown Signed \
                    Socket Some Str Time U128 Unit Unsigned Uuid Withheld struct tuple variant";
    assert_eq!(kinds.into_iter().collect::<Vec<_>>().join(" "), expected);
    let expected = "Begin End Enter Finish Follows Leave Mention Repeat Start Update";
    assert_eq!(actions.into_iter().collect::<Vec<_>>().join(" "), expected);
    assert_eq!(traces.into_iter().collect::<Vec<_>>(), ["0af7651916cd43dd8448eb211c80319c"]);
}

/// Values and messages of payloads that no check protects any more.
#[test]
fn payloads_with_any_bit_flipped_and_cut_off_anywhere_are_survived() {
    for (file, least) in [("v4.ttlog.bin", 80), ("v4-device.ttlog.bin", 20)] {
        timeline_of(file, |timeline| {
            let mut payloads: HashMap<(usize, u16), Vec<u8>> = HashMap::new();
            let (mut scratch, mut payload) = (Vec::new(), Vec::new());
            for entry in timeline.entries.clone() {
                timeline.payload(&entry, &mut scratch, &mut payload);
                let source = timeline.parts[entry.part as usize].source as usize;
                if source != 0 && source + 1 != timeline.sources.len() {
                    continue; // the same in another form
                }
                payloads.entry((source, entry.callsite)).or_insert_with(|| payload.clone());
            }
            assert!(payloads.len() >= least, "{file}: {}", payloads.len());
            for ((source, id), payload) in payloads {
                let callsite = timeline.sources[source].callsite(id).expect("it is in the table");
                let read = |payload: &[u8]| {
                    let (values, damage) = callsite.values(payload);
                    let mut text = String::new();
                    callsite.template.render(&values, &mut text);
                    values.iter().flatten().for_each(|value| text += &value.to_string());
                    (text, damage)
                };
                assert_eq!(read(&payload).1, None);
                for bit in 0..payload.len() * 8 {
                    let mut flipped = payload.clone();
                    flipped[bit / 8] ^= 1 << (bit % 8);
                    read(&flipped);
                }
                (0..payload.len()).for_each(|len| _ = read(&payload[..len]));
            }
        });
    }
}
