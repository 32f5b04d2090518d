//! Reads everything that can be read, and checks invariants.

use std::collections::HashMap;

use ttlog_core::record::visit_members;
use ttlog_core::{CallsiteInfo, FieldInfo, Item, Segment, TableItem, ValueRef};

/// Reads table entries, and returns the callsites.
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

/// Reads a segment: its items are inside it, one after the other, and its values do not extend beyond their payload.
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

/// Checks that withheld values are masked in every event of a segment; for callsites that are not known, all values.
pub fn withheld(segment: &Segment<'_>, callsites: &HashMap<u16, CallsiteInfo<'_>>) {
    for item in segment.items() {
        let Item::Event(record) = item else { continue };
        let wholly = record.payload.iter().all(|&byte| byte == 0xFF);
        let Some(callsite) = callsites.get(&record.callsite) else {
            assert!(wholly, "nobody knows what is in it");
            continue;
        };
        assert!(callsite.fields().all(|field| field.withheld || !field.secret || field.type_tags == [20]));
        if !wholly && callsite.fields().any(|field| field.literal.is_none() && withholds(&field)) {
            for value in callsite.values(record.payload) {
                let (field, value) = value.expect("what does not decode is withheld wholly");
                assert!(!field.withheld || is_masked(&value), "{}: {value:?}", field.name);
                members_withheld(&value);
            }
        }
    }
}

/// Returns whether a field or one of its members is withheld.
fn withholds(field: &FieldInfo<'_>) -> bool {
    let mut found = field.withheld;
    visit_members(field.name, field.type_tags, &mut |member, _| found |= member.withheld);
    found
}

/// Checks that members with the flag are masked.
fn members_withheld(value: &ValueRef<'_>) {
    match value {
        ValueRef::Sequence(elements) => elements.clone().for_each(|element| members_withheld(&element)),
        ValueRef::Composite(parts) => {
            for member in parts.clone() {
                assert!(!member.withheld || is_masked(&member.value), "{}: {:?}", member.name, member.value);
                members_withheld(&member.value);
            }
        }
        _ => {}
    }
}

fn is_masked(value: &ValueRef<'_>) -> bool {
    match value {
        ValueRef::Bool(value) => !value,
        ValueRef::Unsigned(value) => *value == 0,
        ValueRef::U128(value) => *value == 0,
        ValueRef::Signed(value) => *value == 0,
        ValueRef::I128(value) => *value == 0,
        ValueRef::F32(value) => value.to_bits() == 0,
        ValueRef::F64(value) => value.to_bits() == 0,
        ValueRef::Char(value) => *value == '\0',
        ValueRef::Str(text) | ValueRef::Display(text) | ValueRef::Debug(text) => {
            text.text.bytes().all(|byte| byte == b'*')
        }
        ValueRef::Bytes(blob) => blob.bytes.iter().all(|&byte| byte == b'*'),
        ValueRef::Error(elements) | ValueRef::Sequence(elements) => elements.clone().all(|element| is_masked(&element)),
        ValueRef::Any(any) => is_masked(&any.value()),
        // A variant is replaced as a whole, and nothing else has one.
        ValueRef::Composite(parts) => parts.variant.is_none() && parts.clone().all(|member| is_masked(&member.value)),
        ValueRef::Withheld => true,
        ValueRef::Uuid(bytes) => *bytes == [0; 16],
        ValueRef::Ip(address) => address.is_unspecified(),
        ValueRef::Socket(address) => address.ip().is_unspecified() && address.port() == 0,
        ValueRef::Duration(duration) => duration.is_zero(),
        ValueRef::Time(time) => time.as_nanos() == 0,
        ValueRef::Unit | ValueRef::None | ValueRef::SomeNone(_) | ValueRef::Absent => true,
    }
}

/// Reads a value to its end: a sequence has the number of elements that it states.
fn value(value: &ValueRef<'_>) {
    match value {
        ValueRef::Sequence(elements) | ValueRef::Error(elements) => {
            let len = elements.len();
            assert_eq!(elements.clone().inspect(self::value).count(), len);
        }
        ValueRef::Any(any) => self::value(&any.value()),
        ValueRef::Composite(parts) => {
            let len = parts.len();
            assert_eq!(parts.clone().inspect(|member| self::value(&member.value)).count(), len);
        }
        _ => {}
    }
}
