//! Callsites of `log`: records have no static callsite, so they are told apart by their contents.

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
pub(crate) struct RecordSource<'a> {
    pub(crate) level: Level,
    pub(crate) target: &'a str,
    pub(crate) file: &'a str,
    pub(crate) line: u32,
    /// Keys of the key-values, in their order.
    pub(crate) keys: &'a [&'a str],
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

static OWN: InternTable<BridgedCallsite, SITES_MAX> = InternTable::new();
static SHARED: InternTable<BridgedCallsite, 8> = InternTable::new();
/// Bytes that the callsites in `OWN` take in the table of a ring, roughly.
static OWN_LEN: AtomicUsize = AtomicUsize::new(0);

/// Fields in front of the key-values.
const LEADING_FIELDS: usize = 2;

/// Returns the callsite for a record, allocating it if it is new; `None` if the recorder's filter does not select it.
pub(crate) fn enabled_site(source: &RecordSource<'_>) -> Option<LogSite> {
    let hash = source.hash();
    match OWN.find(hash, |site| source.is_of(site)) {
        Some(own) => own.is_enabled().then_some(LogSite::Own(own)),
        // Records that are off, such as those for a logger beside ours alone, take no room.
        None if is_recorded(source.level, source.target) => new_site(source, hash),
        None => None,
    }
}

/// Allocates a callsite for a record, or returns the shared one: if the texts are too long, and if the callsites of
/// made-up targets take so much of the ring's table that there would be no room for those of the program.
#[cold]
#[inline(never)]
fn new_site(source: &RecordSource<'_>, hash: u64) -> Option<LogSite> {
    let len = source.texts_len();
    if len <= TEXTS_LEN_MAX && OWN_LEN.load(Ordering::Relaxed) + len <= own_len_max() {
        let add = || {
            OWN_LEN.fetch_add(len + ENTRY_LEN + FIELD_LEN * source.keys.len(), Ordering::Relaxed);
            source.leak()
        };
        if let Some(own) = OWN.find_or_add(hash, |site| source.is_of(site), add) {
            return own.is_enabled().then_some(LogSite::Own(own));
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

impl RecordSource<'_> {
    fn texts_len(&self) -> usize {
        self.target.len() + self.file.len() + self.keys.iter().map(|key| key.len()).sum::<usize>()
    }

    fn hash(&self) -> u64 {
        let mut hasher = Hasher::new();
        hasher.number(u64::from(self.line) << 8 | self.level as u64);
        hasher.text(self.target);
        hasher.text(self.file);
        self.keys.iter().for_each(|key| hasher.text(key));
        hasher.finish()
    }

    fn is_of(&self, site: &BridgedCallsite) -> bool {
        let metadata = site.metadata();
        let keys = metadata.fields.get(LEADING_FIELDS..).unwrap_or_default();
        self.line == metadata.line
            && self.level == metadata.level
            && self.target == metadata.target
            && self.file == metadata.file
            && self.keys.len() == keys.len()
            && keys.iter().zip(self.keys).all(|(field, key)| field.name == *key)
    }

    #[cold]
    fn leak(&self) -> BridgedCallsite {
        let leak = |text: &str| -> &'static str { text.to_owned().leak() };
        let keys = self.keys.iter().map(|key| Field::dynamic(leak(key)));
        let fields = leading_fields().chain(keys).collect();
        let origin = Origin { level: self.level, target: leak(self.target), file: leak(self.file), line: self.line };
        BridgedCallsite::leak(origin, "{message}", fields)
    }
}
