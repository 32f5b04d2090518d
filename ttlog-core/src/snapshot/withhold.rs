//! Withholding: removes secret values from the data of a snapshot, and marks this in the callsites.
//!
//! A callsite with secrets is written with the flag *withheld* on their fields and without their literals. In the copy
//! of a segment, the values of these fields are masked in place, so that records keep their length: texts become
//! asterisks, numbers become zeros, and the check is recomputed. Data of unknown meaning is not copied: a payload that
//! does not decode, or whose callsite is not in the table, is overwritten completely; bytes that are not valid records
//! are blanked.
//!
//! All callsites of a segment's records are known before it is masked: the writer reads the table of a live ring after
//! it has copied the segment, and a callsite is in the table before its id is in any record.
//!
//! # Format
//! docs/format.md §3.2 (flags), §6.5 (masked values).

use crate::event::secret::SecretKeys;
use crate::record::mask::{mask_packed, mask_split};
use crate::record::members::{MemberPath, mark_members};
use crate::record::packed::Unpacker;
use crate::record::types::{MEMBER_SECRET, MEMBER_WITHHELD, TYPE_LEN_MAX, Type, has_members};
use crate::record::value::{decode_packed, decode_split, head_len, wide_words};
use crate::record::{
    CALLSITE_MAX, CONTROL, KIND_CONTEXT, KIND_REBASE, RESERVED, decode_record, device_reservation, encode_header,
    reseal_record,
};
use crate::ring::{Item, Mode, Segment, SegmentHeader};
use crate::table::{CallsiteInfo, FieldInfo, TableItem};

/// Rule for withholding: the values of fields that are marked as secret, and of those whose name is in `keys`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Withhold<'a> {
    /// Names of secret fields.
    pub keys: SecretKeys<'a>,
}

impl<'a> Withhold<'a> {
    /// Withholds marked fields and those with a name in the built-in list.
    pub const DEFAULT: Withhold<'static> = Withhold { keys: SecretKeys::BUILT_IN };

    /// Creates a rule that withholds marked fields and those with a name in `keys`.
    #[must_use]
    pub const fn new(keys: SecretKeys<'a>) -> Self {
        Withhold { keys }
    }

    /// Returns whether the value of this field is secret. A unit has no value.
    #[must_use]
    pub fn is_secret(&self, field: &FieldInfo<'_>) -> bool {
        let has_value = field.literal.is_some() || field.type_tags != [Type::Unit.tag()];
        has_value && (field.secret || field.withheld || self.keys.contains(field.name))
    }

    /// Marks the secret members in the type of a field (docs/format.md §4.2) as withheld: members of structs and of
    /// variants that are marked as secret, are withheld already, or have a name or a path in the list. Returns whether
    /// there are any.
    pub fn withhold_members(&self, field: &str, type_tags: &mut [u8]) -> bool {
        let mut found = false;
        let mut mark = |flags: &mut u8, path: &MemberPath<'_>| {
            let is_secret = *flags & (MEMBER_SECRET | MEMBER_WITHHELD) != 0 || self.keys.contains_path(path);
            if is_secret {
                *flags |= MEMBER_WITHHELD;
                found = true;
            }
            !is_secret
        };
        has_members(type_tags) && mark_members(field, type_tags, &mut mark).is_some() && found
    }

    /// Returns whether a field is secret or has secret members.
    fn has_secrets(&self, field: &FieldInfo<'_>) -> bool {
        self.is_secret(field) || has_members(field.type_tags) && self.has_secret_members(field)
    }

    #[inline(never)] // the copy of the type takes stack
    fn has_secret_members(&self, field: &FieldInfo<'_>) -> bool {
        let mut copy = [0; TYPE_LEN_MAX];
        copy.get_mut(..field.type_tags.len()).is_some_and(|copy| {
            copy.copy_from_slice(field.type_tags);
            self.withhold_members(field.name, copy)
        })
    }
}

/// Length in bytes of the index, which has an entry for each callsite.
const INDEX_LEN: usize = 4 * (CALLSITE_MAX as usize + 1);
/// Length in bytes of the plans for callsites with secrets: enough for about two thousand.
const PLANS_LEN: usize = 64 * 1024;
/// Number of bytes of scratch that withholding needs.
pub(super) const WITHHOLD_LEN: usize = INDEX_LEN + PLANS_LEN;

/// Index entry: the callsite is not in the table.
const UNKNOWN: u32 = 0;
/// Index entry: the callsite has no secrets.
const PLAIN: u32 = 1;
/// Index entry: there is no plan, and records are masked completely.
const WHOLLY: u32 = 2;
/// Index entry, from here on: the position of the callsite's plan plus this value.
const PLANNED: u32 = 3;

/// Plan flag: the value is secret.
const SECRET: u8 = 1;
/// Plan flag: the value is in the wide part.
const WIDE: u8 = 2;
/// Plan flag: the value is split into head and tail.
const SPLIT: u8 = 4;

/// Fill byte of a payload that is masked completely. No other payload of a callsite with secrets consists of it: masked
/// values have other bytes.
const FILL: u8 = 0xFF;

/// Fields of a callsite that are withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Withheld {
    /// No fields: the entry can be copied.
    Nothing,
    /// Secret fields.
    Secrets,
    /// All fields that have a value in the records.
    All,
}

/// State of withholding: the rule, and the callsites met so far.
#[derive(Debug)]
pub(super) struct Withholder<'p, 's> {
    policy: Withhold<'p>,
    /// 4 bytes for each callsite; only those below `known_len` are valid.
    index: &'s mut [u8],
    known_len: usize,
    /// Plans, each with its length (2 bytes) and, for each field with a value in the records, its flags, the length of
    /// its type (2 bytes), and its type, in which secret members are marked.
    plans: &'s mut [u8],
    plans_len: usize,
    /// Number of records with withheld values.
    pub(super) masked_count: u64,
}

impl<'p, 's> Withholder<'p, 's> {
    /// Creates a state without known callsites. `scratch` has [`WITHHOLD_LEN`] bytes.
    pub(super) fn new(policy: Withhold<'p>, scratch: &'s mut [u8]) -> Self {
        let (index, plans) = scratch.split_at_mut(INDEX_LEN.min(scratch.len()));
        Withholder { policy, index, known_len: 0, plans, plans_len: 0, masked_count: 0 }
    }

    /// Registers a callsite before its records are masked, and returns which of its fields are withheld.
    pub(super) fn note(&mut self, callsite: &CallsiteInfo<'_>) -> Withheld {
        let secret = callsite.fields().any(|field| self.policy.has_secrets(&field));
        let known = self.known(callsite.id);
        let plan = match (known, secret) {
            (UNKNOWN | PLAIN, false) => PLAIN,
            (UNKNOWN, true) => self.plan(callsite).map_or(WHOLLY, |at| PLANNED + at),
            // Two callsites have the same id, so the callsite of a record is ambiguous.
            _ => WHOLLY,
        };
        self.remember(callsite.id, plan);
        match plan {
            PLAIN => Withheld::Nothing,
            WHOLLY => Withheld::All,
            _ => Withheld::Secrets,
        }
    }

    /// Returns whether a field is withheld, and marks withheld members in its type.
    pub(super) fn withhold(&self, field: &FieldInfo<'_>, what: Withheld, type_tags: &mut [u8]) -> bool {
        if what != Withheld::Nothing {
            self.policy.withhold_members(field.name, type_tags);
        }
        match what {
            Withheld::Nothing => false,
            Withheld::Secrets => self.policy.is_secret(field),
            Withheld::All => {
                self.policy.is_secret(field) || field.literal.is_none() && field.type_tags != [Type::Unit.tag()]
            }
        }
    }

    fn known(&self, id: u16) -> u32 {
        let at = usize::from(id) * 4;
        let known = self.index[..self.known_len].get(at..).and_then(|rest| rest.first_chunk());
        known.map_or(UNKNOWN, |bytes| u32::from_le_bytes(*bytes))
    }

    fn remember(&mut self, id: u16, known: u32) {
        let at = usize::from(id) * 4;
        if at >= self.known_len {
            self.index[self.known_len..at].fill(0);
            self.known_len = at + 4;
        }
        self.index[at..at + 4].copy_from_slice(&known.to_le_bytes());
    }

    /// Writes the plan of a callsite and returns its position; `None` if there is no room, or a type cannot be decoded.
    fn plan(&mut self, callsite: &CallsiteInfo<'_>) -> Option<u32> {
        let start = self.plans_len;
        let mut end = start + 2;
        for field in callsite.fields().filter(|field| field.literal.is_none()) {
            if field.type_tags.len() > TYPE_LEN_MAX {
                return None;
            }
            let secret = if self.policy.is_secret(&field) { SECRET } else { 0 };
            let place = match wide_words(field.type_tags) {
                0 if field.split => SPLIT,
                0 => 0,
                _ => WIDE,
            };
            let room = self.plans.get_mut(end..end + 3 + field.type_tags.len())?;
            end += room.len();
            let (head, tags) = room.split_at_mut(3);
            head[0] = secret | place;
            head[1..].copy_from_slice(&(tags.len() as u16).to_le_bytes());
            tags.copy_from_slice(field.type_tags);
            self.policy.withhold_members(field.name, tags);
        }
        let len = u16::try_from(end - start - 2).ok()?;
        self.plans.get_mut(start..start + 2)?.copy_from_slice(&len.to_le_bytes());
        self.plans_len = end;
        u32::try_from(start).ok()
    }

    /// Masks all secrets in a copy of a segment's records, and blanks data of unknown meaning. According to the header,
    /// `used` bytes of `records` hold records; if the header is damaged, bytes after them can too. `pristine` has room
    /// for another copy.
    ///
    /// Valid records stay valid and in place. Returns `false` if some were not valid; in that case, counting the
    /// records of `pristine` gives the same result as for the original `records`.
    pub(super) fn mask(
        &mut self,
        header: &SegmentHeader,
        used: usize,
        records: &mut [u8],
        pristine: &mut [u8],
    ) -> bool {
        let masked_before = self.masked_count;
        let (mut at, mut events) = (0, 0);
        while at < used {
            let Some(record) = decode_record(records, at, header.seal()) else { break };
            if record.header.callsite == RESERVED {
                break;
            }
            events += u32::from(record.header.callsite != CONTROL);
            at += self.mask_record(header, records, at);
        }
        if at == used && events >= header.count {
            return true;
        }
        // Something is pending, damaged, or not covered by the header. Masking twice has no further effect.
        self.masked_count = masked_before;
        let pristine = &mut pristine[..records.len()];
        pristine.copy_from_slice(records);
        let mut done = 0;
        for item in (Segment { header: *header, records: pristine }).items() {
            match item {
                Item::Event(record) => {
                    self.mask_controls(header, records, done, record.offset);
                    done = record.offset + self.mask_record(header, records, record.offset);
                }
                Item::Pending { offset, len_bytes } => {
                    self.mask_controls(header, records, done, offset);
                    done = offset + len_bytes;
                    // The header of a reservation has its length. The meaning of its words so far is unknown.
                    let is_reserved = decode_record(pristine, offset, header.seal()).is_some();
                    records[(offset + if is_reserved { 8 } else { 0 }).min(done)..done].fill(0);
                }
                Item::Damaged { offset, len_bytes } => {
                    self.mask_controls(header, records, done, offset);
                    done = offset + len_bytes;
                    records[offset..done].fill(0);
                    if header.mode != Mode::Exclusive {
                        // Zeros would be reservations of unknown length. With a length, readers continue at the same
                        // place as this loop.
                        let words = ((len_bytes / 8).max(1) - 1) as u32;
                        let reserved = match header.mode {
                            Mode::Device => device_reservation(words as u8).into(), // a segment has less than 255
                            _ => encode_header(RESERVED, 0, words, u64::from(header.lap)),
                        };
                        records[offset..offset + 8].copy_from_slice(&reserved.to_le_bytes());
                    }
                }
                Item::Context(_) => {}
            }
        }
        self.mask_controls(header, records, done, used.max(done));
        records[used.max(done)..].fill(0);
        false
    }

    /// Skips the control records in a range that holds no events, and blanks everything else.
    fn mask_controls(&mut self, header: &SegmentHeader, records: &mut [u8], from: usize, to: usize) {
        let mut at = from;
        while at < to {
            match decode_record(records, at, header.seal()) {
                Some(record) if record.header.callsite == CONTROL => at += self.mask_record(header, records, at),
                _ => {
                    records[at..(at + 8).min(to)].fill(0);
                    at += 8;
                }
            }
        }
    }

    /// Masks the valid record at `at` and returns its length in bytes.
    fn mask_record(&mut self, header: &SegmentHeader, records: &mut [u8], at: usize) -> usize {
        let Some(record) = decode_record(records, at, header.seal()) else { return 8 };
        let (callsite, kind, len) = (record.header.callsite, record.header.delta, record.len_bytes);
        let payload_len = record.payload.len();
        let known = match callsite {
            CONTROL if matches!(kind, KIND_REBASE | KIND_CONTEXT) => PLAIN,
            CONTROL => WHOLLY,
            callsite => self.known(callsite),
        };
        if known == PLAIN {
            return len;
        }
        let mut payload = &mut records[at + len - payload_len..at + len];
        if header.mode == Mode::SharedContexts && callsite != CONTROL {
            // The context, and the upper bits of the time.
            payload = payload.get_mut(8..).unwrap_or_default();
        }
        let plan = known.checked_sub(PLANNED).and_then(|at| {
            let (len, rest) = self.plans.get(at as usize..)?.split_first_chunk()?;
            rest.get(..usize::from(u16::from_le_bytes(*len)))
        });
        if !plan.is_some_and(|plan| mask_payload(plan, payload)) {
            payload.fill(FILL);
        }
        self.masked_count += u64::from(callsite != CONTROL);
        reseal_record(&mut records[at..at + len], header.lap);
        len
    }
}

/// Returns an iterator over the fields of a plan: flags and tags.
fn plan_fields(mut plan: &[u8]) -> impl Iterator<Item = (u8, &[u8])> + Clone {
    core::iter::from_fn(move || {
        let (&[flags, low, high], rest) = plan.split_first_chunk()?;
        let (tags, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
        plan = rest;
        Some((flags, tags))
    })
}

/// Masks the secret values of a payload. Returns `false`, without a change, if it does not match the plan.
fn mask_payload(plan: &[u8], payload: &mut [u8]) -> bool {
    let fields = plan_fields(plan);
    let len_of = |place: u8, len: fn(&[u8]) -> usize| -> usize {
        fields.clone().filter(|(flags, _)| flags & place != 0).map(|(_, tags)| len(tags)).sum()
    };
    let wide_len = len_of(WIDE, |tags| wide_words(tags) * 8);
    let heads_len = len_of(SPLIT, head_len);
    let Some((wide, packed)) = payload.split_at_mut_checked(wide_len) else { return false };
    let Some((heads, tails)) = packed.split_at_mut_checked(heads_len) else { return false };
    // All values are read before any is changed. After the last value, less than a word of zeros follows.
    let (mut heads_from, mut from) = (Unpacker::new(heads), Unpacker::new(tails));
    let is_unreadable = |(flags, tags): (u8, _)| {
        let value = match flags & SPLIT {
            0 => decode_packed(tags, &mut from),
            _ => decode_split(tags, &mut heads_from, &mut from),
        };
        value.is_err()
    };
    if fields.clone().filter(|(flags, _)| flags & WIDE == 0).any(is_unreadable)
        || from.rest().len() >= 8
        || from.rest().iter().any(|&byte| byte != 0)
    {
        return false;
    }
    let (mut wide_at, mut head_at, mut tail_at) = (0, 0, 0);
    for (flags, tags) in fields {
        let is_secret = flags & SECRET != 0;
        if flags & WIDE != 0 {
            let len = wide_words(tags) * 8;
            if is_secret {
                wide[wide_at..wide_at + len].fill(0);
            }
            wide_at += len;
            continue;
        }
        let lens = match flags & SPLIT {
            0 => mask_packed(tags, &mut tails[tail_at..], is_secret).map(|len| (0, len)),
            _ => mask_split(tags, &mut heads[head_at..], &mut tails[tail_at..], is_secret),
        };
        let Some((head_len, tail_len)) = lens else {
            debug_assert!(false, "what was read just now can be masked");
            return false; // the caller masks all of it
        };
        head_at += head_len;
        tail_at += tail_len;
    }
    true
}

/// Decodes an entry of the table for withholding; `None` if its meaning is unknown.
pub(super) fn readable(bytes: &[u8]) -> Option<TableItem<'_>> {
    TableItem::decode(bytes).ok().filter(|item| !matches!(item, TableItem::Unknown(_)))
}
