//! Callsites of `log`: records have no static callsite, so they are told apart by their contents.

use ttlog_core::Level;
use ttlog_core::event::{Field, Role};

use super::callsite::{BridgedCallsite, Origin};
use super::intern::{Hasher, InternTable};
use super::level::is_recorded;

/// Number of callsites, at most. Programs have fewer; but a target can be any text, made up at run time.
const SITES_MAX: usize = 1 << 12;

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
    /// One that it shares with others, because there are too many: its values are span, message, target, file, line.
    Shared(&'static BridgedCallsite),
}

static OWN: InternTable<BridgedCallsite, SITES_MAX> = InternTable::new();
static SHARED: InternTable<BridgedCallsite, 8> = InternTable::new();

/// Fields in front of the key-values.
const LEADING_FIELDS: usize = 2;

/// Returns the callsite for a record, allocating it if it is new; `None` if the recorder's filter does not select it.
pub(crate) fn enabled_site(source: &RecordSource<'_>) -> Option<LogSite> {
    let own = OWN.find_or_add(source.hash(), |site| source.is_of(site), || source.leak());
    match own {
        Some(own) => own.is_enabled().then_some(LogSite::Own(own)),
        None => {
            is_recorded(source.level, source.target).then(|| shared_site(source.level)).flatten().map(LogSite::Shared)
        }
    }
}

#[cold]
fn shared_site(level: Level) -> Option<&'static BridgedCallsite> {
    SHARED.find_or_add(
        level as u64,
        |site| site.metadata().level == level,
        || {
            let fields = leading_fields().chain(["log.target", "log.file", "log.line"].map(Field::dynamic)).collect();
            BridgedCallsite::leak(Origin { level, target: "log", file: "", line: 0 }, "{message}", fields)
        },
    )
}

fn leading_fields() -> impl Iterator<Item = Field> {
    [Field::id("span", Role::Span), Field::dynamic("message")].into_iter()
}

impl RecordSource<'_> {
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
