//! Reads everything that can be read, and checks what always holds of it.

use std::collections::HashMap;

use ttlog_core::{CallsiteInfo, Item, Segment, TableItem, ValueRef};

/// Reads table entries, and gives the callsites.
pub fn entries<'a>(entries: impl Iterator<Item = &'a [u8]>) -> HashMap<u16, CallsiteInfo<'a>> {
    let mut callsites = HashMap::new();
    for bytes in entries {
        match TableItem::decode(bytes) {
            Ok(TableItem::Callsite(callsite)) => {
                assert_ne!(callsite.id, 0);
                assert!(callsite.fields().count() <= bytes.len());
                callsites.insert(callsite.id, callsite);
            }
            Ok(TableItem::Process(_) | TableItem::Unknown(_)) => {}
            Err(error) => assert!(error.offset <= bytes.len() as u64, "{error} in {} bytes", bytes.len()),
        }
    }
    callsites
}

/// Reads a segment: its items lie in it, one after the other; its values do not read beyond their payload.
pub fn segment(segment: &Segment<'_>, callsites: &HashMap<u16, CallsiteInfo<'_>>) {
    let all = segment.records.as_ptr_range();
    let mut behind = 0;
    for item in segment.items() {
        match item {
            Item::Event(record) => {
                assert!(record.offset >= behind && record.offset % 8 == 0);
                let payload = record.payload.as_ptr_range();
                assert!(record.payload.is_empty() || all.start < payload.start && payload.end <= all.end);
                behind = record.offset + 8 + record.payload.len();
                if let Some(callsite) = callsites.get(&record.callsite) {
                    for value in callsite.values(record.payload) {
                        match value {
                            Ok((_, value)) => self::value(&value),
                            Err(error) => assert!(error.offset <= record.payload.len() as u64),
                        }
                    }
                }
            }
            Item::Context(_) => {}
            Item::Pending { offset, len_bytes } | Item::Damaged { offset, len_bytes } => {
                assert!(offset >= behind && len_bytes > 0);
                behind = offset + len_bytes;
                assert!(behind <= segment.records.len());
            }
        }
    }
}

/// Reads a value to its end: a sequence has as many elements as it says.
fn value(value: &ValueRef<'_>) {
    if let ValueRef::Sequence(elements) | ValueRef::Error(elements) = value {
        let len = elements.len();
        assert_eq!(elements.clone().inspect(self::value).count(), len);
    }
}
