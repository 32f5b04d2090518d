//! Payloads of every layout of version 4 (heads and tails, joined values of devices, values in each other and values
//! that carry their type, ids of spans) with any bit flipped and cut off anywhere: nothing panics, and of the other
//! values only those change that cannot be found any more.
#![cfg(feature = "lz4")] // the saved files have both codecs

use std::collections::BTreeMap;

use ttlog_core::ValueRef;
use ttlog_core::ring::Item;
use ttlog_core::snapshot::{SnapshotItem, SnapshotReader, unpack_len};
use ttlog_core::table::{CallsiteInfo, TableItem};

/// Most values, at any depth, that a damaged payload of the saved files can hold.
const VALUES_MAX: usize = 10_000;

/// A callsite with different payloads of its records.
type Payloads<'a> = (CallsiteInfo<'a>, Vec<Vec<u8>>);

/// Returns the callsites of a saved file, each with payloads.
fn payloads(bytes: &[u8]) -> Vec<Payloads<'_>> {
    let mut callsites: BTreeMap<(u16, bool), Payloads<'_>> = BTreeMap::new();
    let mut scratch = vec![0; unpack_len(65_536)];
    let mut table = BTreeMap::new();
    for item in SnapshotReader::new(bytes).items() {
        match item {
            SnapshotItem::Entry(entry) => {
                if let TableItem::Callsite(info) = TableItem::decode(entry.bytes).expect("an item") {
                    table.insert(info.id, info);
                }
            }
            SnapshotItem::Segment(packed) => {
                for item in packed.unpack(&mut scratch).expect("intact").items() {
                    let Item::Event(record) = item else { continue };
                    let info = table[&record.callsite];
                    let withholds = info.fields().any(|field| field.withheld);
                    let (_, known) = callsites.entry((info.id, withholds)).or_insert((info, Vec::new()));
                    if known.len() < 4 && !known.iter().any(|known| known == record.payload) {
                        known.push(record.payload.to_vec());
                    }
                }
            }
            _ => {}
        }
    }
    callsites.into_values().collect()
}

/// Counts a value and those in it.
fn count(value: &ValueRef<'_>) -> usize {
    1 + match value {
        ValueRef::Sequence(elements) => elements.clone().map(|element| count(&element)).sum(),
        ValueRef::Composite(members) => members.clone().map(|member| count(&member.value)).sum(),
        ValueRef::Error(texts) => texts.clone().count(),
        ValueRef::Any(any) => count(&any.value()),
        _ => 0,
    }
}

/// Returns the values as text, up to the first that cannot be read, and whether each is of a fixed length.
fn read(info: &CallsiteInfo<'_>, payload: &[u8]) -> Vec<(bool, String)> {
    let mut values = Vec::new();
    for value in info.values(payload) {
        let Ok((field, value)) = value else { break };
        assert!(count(&value) < VALUES_MAX, "{value:?}");
        let is_fixed = matches!(field.type_tags, [1..=4 | 6..=9 | 11..=14]) || field.literal.is_some();
        values.push((is_fixed, format!("{value:?}")));
    }
    values
}

/// Checks that values with a flipped bit differ only where they may. If the first is of a fixed length, it alone
/// changes; otherwise those after it do as well, except that in a split payload no head has moved.
fn check(before: &[(bool, String)], after: &[(bool, String)], is_split: bool, what: &str) {
    let differs = |index: &usize| before[*index].1 != after[*index].1;
    let changed: Vec<_> = (0..before.len().min(after.len())).filter(differs).collect();
    let Some((&first, others)) = changed.split_first() else { return };
    let is_right = match before[first].0 {
        true => others.is_empty(),
        false => !is_split || others.iter().all(|index| !before[*index].0),
    };
    assert!(is_right, "{what}: {changed:?} changed: {before:?} {after:?}");
}

fn damage(file: &str) -> (usize, usize) {
    let bytes = std::fs::read(format!("{}/tests/data/{file}", env!("CARGO_MANIFEST_DIR"))).expect("the saved file");
    let (mut split, mut joined) = (0, 0);
    for (info, payloads) in payloads(&bytes) {
        *(if info.split { &mut split } else { &mut joined }) += 1;
        for payload in payloads {
            let whole = read(&info, &payload);
            assert_eq!(whole.len(), info.fields().count(), "callsite {}", info.id);
            for bit in 0..payload.len() * 8 {
                let mut flipped = payload.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                check(&whole, &read(&info, &flipped), info.split, &format!("callsite {}, bit {bit}", info.id));
            }
            for len in 0..payload.len() {
                let found = read(&info, &payload[..len]);
                let same = whole.iter().zip(&found).all(|(whole, found)| whole.1 == found.1);
                assert!(same && found.len() <= whole.len(), "callsite {} cut off at {len}: {found:?}", info.id);
            }
            for fill in [0, 1, 2, 7, 0x7F, 0x80, 249, 250, 251, 254, 255] {
                read(&info, &vec![fill; payload.len().max(64)]);
            }
        }
    }
    (split, joined)
}

#[test]
#[cfg_attr(miri, ignore = "safe code, and slow there")]
fn values_of_servers_with_any_bit_flipped_and_cut_off_anywhere() {
    let (split, joined) = damage("v4.ttlog.bin");
    assert!(split > 40 && joined > 0, "{split} {joined}");
}

#[test]
#[cfg_attr(miri, ignore = "safe code, and slow there")]
fn values_of_devices_with_any_bit_flipped_and_cut_off_anywhere() {
    let (split, joined) = damage("v4-device.ttlog.bin");
    assert_eq!((split, joined), (0, 13));
}
