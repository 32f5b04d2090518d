//! Callsites of `log`: records have no static callsite, so they are told apart by their contents: target, file,
//! line, level and keys. Of a text that the program contains, the address is enough.

#[cfg(feature = "log")]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicUsize, Ordering};

use ttlog_core::Level;
use ttlog_core::event::{Field, Role};

use super::callsite::{BridgedCallsite, Origin};
use super::intern::{Hasher, InternTable};
use super::level::is_recorded;
use crate::state;

/// Number of callsites, at most. Programs have fewer; but a target can be any text, made up at run time.
const SITES_MAX: usize = 1 << 12;
/// Longest texts of a record with a callsite of its own, in bytes: target, file and keys together.
const TEXTS_LEN_MAX: usize = 1024;
/// Bytes that a callsite takes in the table of a ring, without its texts.
const ENTRY_LEN: usize = 64;
/// Bytes that they take for each key, without the key.
const FIELD_LEN: usize = 6;
/// Bytes for callsites while there is no ring.
const TABLE_LEN_MIN: usize = 64 * 1024;

/// Source of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordSource<'a, K> {
    pub(crate) level: Level,
    pub(crate) target: Text<'a>,
    pub(crate) file: Text<'a>,
    pub(crate) line: u32,
    /// Keys of the key-values, in their order.
    pub(crate) keys: K,
}

/// A text of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Text<'a> {
    /// One that the program contains: its address identifies it.
    #[cfg(feature = "log")]
    Static(&'static str),
    Other(&'a str),
}

/// Keys of a record, which are compared with those of a callsite far more often than they are copied.
pub(crate) trait Keys {
    /// Returns whether these are the names of the fields.
    fn are_names_of(&self, fields: &[Field]) -> bool;
    /// Returns the keys.
    fn to_vec(&self) -> Vec<&str>;
}

/// Callsite for a record.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LogSite {
    /// The record's own: its values are span, message, and the key-values.
    Own(&'static BridgedCallsite),
    /// One that it shares with others, because there are too many: its values are span, message, target, file, line,
    /// and the key-values as one text.
    Shared(&'static BridgedCallsite),
}

/// A callsite in the table.
#[derive(Debug)]
pub(crate) struct OwnSite {
    callsite: BridgedCallsite,
    /// Whether records of the same place had other keys. Set in the first one of the place alone.
    #[cfg(feature = "log")]
    has_others: AtomicBool,
}

static OWN: InternTable<OwnSite, SITES_MAX> = InternTable::new();
static SHARED: InternTable<BridgedCallsite, 8> = InternTable::new();
/// Bytes that the callsites in `OWN` take in the table of a ring, roughly.
static OWN_LEN: AtomicUsize = AtomicUsize::new(0);

/// Fields in front of the key-values.
const LEADING_FIELDS: usize = 2;

/// Returns the first callsite of the place of a record, if all records of the place have had the same keys so far. It
/// is not known whether this record has them, too: that is best seen when its values are encoded.
#[cfg(feature = "log")]
#[inline]
pub(crate) fn only_site_at(source: &RecordSource<'_, impl Keys>, hash: u64) -> Option<&'static OwnSite> {
    OWN.find(hash, |own| source.is_at(&own.callsite)).filter(|own| !own.has_others.load(Ordering::Relaxed))
}

#[cfg(feature = "log")]
impl OwnSite {
    pub(crate) fn callsite(&'static self) -> &'static BridgedCallsite {
        &self.callsite
    }

    /// Notes that a record of the same place has other keys.
    #[cold]
    pub(crate) fn has_others(&self) {
        self.has_others.store(true, Ordering::Relaxed);
    }
}

/// Returns the callsite for a record, allocating it if it is new; `None` if the recorder's filter does not select it.
///
/// `hash` is that of the source.
pub(crate) fn enabled_site(source: &RecordSource<'_, impl Keys>, hash: u64) -> Option<LogSite> {
    match OWN.find(hash, |own| source.is_of(&own.callsite)) {
        Some(own) => own.callsite.is_enabled().then_some(LogSite::Own(&own.callsite)),
        // Records that are off, such as those for a logger beside ours alone, take no room.
        None if is_recorded(source.level, source.target.get()) => new_site(source, hash),
        None => None,
    }
}

/// Allocates a callsite for a record, or returns the shared one: if the texts are too long, and if the callsites of
/// made-up targets take so much of the ring's table that there would be no room for those of the program.
#[cold]
#[inline(never)]
fn new_site(source: &RecordSource<'_, impl Keys>, hash: u64) -> Option<LogSite> {
    let keys = source.keys.to_vec();
    let texts = [source.target.get(), source.file.get()];
    let len = texts.iter().chain(&keys).map(|text| text.len()).sum::<usize>();
    if len <= TEXTS_LEN_MAX && OWN_LEN.load(Ordering::Relaxed) + len <= own_len_max() {
        let add = || {
            OWN_LEN.fetch_add(len + ENTRY_LEN + FIELD_LEN * keys.len(), Ordering::Relaxed);
            OwnSite {
                callsite: source.leak(&keys),
                #[cfg(feature = "log")]
                has_others: AtomicBool::new(false),
            }
        };
        if let Some(own) = OWN.find_or_add(hash, |own| source.is_of(&own.callsite), add) {
            return own.callsite.is_enabled().then_some(LogSite::Own(&own.callsite));
        }
    }
    shared_site(source.level).map(LogSite::Shared)
}

/// Returns the bytes of a ring's table for callsites in `OWN`: half of it.
fn own_len_max() -> usize {
    state::current().map_or(TABLE_LEN_MIN, |state| state.ring.table_len()) / 2
}

#[cold]
fn shared_site(level: Level) -> Option<&'static BridgedCallsite> {
    SHARED.find_or_add(
        level as u64,
        |site| site.metadata().level == level,
        || {
            let fields = leading_fields()
                .chain(["log.target", "log.file", "log.line", "log.key_values"].map(Field::dynamic))
                .collect();
            BridgedCallsite::leak(Origin { level, target: "log", file: "", line: 0 }, "{message}", fields)
        },
    )
}

fn leading_fields() -> impl Iterator<Item = Field> {
    [Field::id("span", Role::Span), Field::dynamic("message")].into_iter()
}

/// Returns the fields for the keys of a callsite's records.
pub(crate) fn key_fields(site: &BridgedCallsite) -> &'static [Field] {
    site.metadata().fields.get(LEADING_FIELDS..).unwrap_or_default()
}

impl<K: Keys> RecordSource<'_, K> {
    /// Hashes the place. The keys hardly ever differ between records of the same place.
    #[inline]
    pub(crate) fn hash(&self) -> u64 {
        let mut hasher = Hasher::new();
        hasher.number(u64::from(self.line) << 8 | self.level as u64);
        self.target.hash(&mut hasher);
        self.file.hash(&mut hasher);
        hasher.finish()
    }

    #[inline]
    fn is_at(&self, site: &BridgedCallsite) -> bool {
        let metadata = site.metadata();
        self.line == metadata.line
            && self.level == metadata.level
            && self.target.is(metadata.target)
            && self.file.is(metadata.file)
    }

    fn is_of(&self, site: &BridgedCallsite) -> bool {
        self.is_at(site) && self.keys.are_names_of(key_fields(site))
    }

    #[cold]
    fn leak(&self, keys: &[&str]) -> BridgedCallsite {
        let keys = keys.iter().map(|key| Field::dynamic(leak(key)));
        let fields = leading_fields().chain(keys).collect();
        let origin = Origin { level: self.level, target: self.target.leak(), file: self.file.leak(), line: self.line };
        BridgedCallsite::leak(origin, "{message}", fields)
    }
}

impl<'a> Text<'a> {
    #[inline]
    pub(crate) fn get(self) -> &'a str {
        match self {
            #[cfg(feature = "log")]
            Text::Static(text) => text,
            Text::Other(text) => text,
        }
    }

    #[inline]
    fn hash(self, hasher: &mut Hasher) {
        match self {
            #[cfg(feature = "log")]
            Text::Static(text) => hasher.number(text.as_ptr().addr() as u64),
            Text::Other(text) => hasher.text(text),
        }
    }

    /// Returns whether it is the same as one that lives forever. If that is at the same place, it is.
    #[inline]
    fn is(self, text: &'static str) -> bool {
        std::ptr::eq(self.get(), text) || self.get() == text
    }

    fn leak(self) -> &'static str {
        match self {
            #[cfg(feature = "log")]
            Text::Static(text) => text,
            Text::Other(text) => leak(text),
        }
    }
}

fn leak(text: &str) -> &'static str {
    text.to_owned().leak()
}

/// No keys.
impl Keys for () {
    fn are_names_of(&self, fields: &[Field]) -> bool {
        fields.is_empty()
    }

    fn to_vec(&self) -> Vec<&str> {
        Vec::new()
    }
}
