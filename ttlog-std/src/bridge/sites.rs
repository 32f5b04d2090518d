//! Callsites of `tracing`, and ours for each of them.

use tracing_core::field::FieldSet;
use ttlog_core::event::{Field, Role};

use super::callsite::{BridgedCallsite, Origin, literal_message};
use super::intern::InternTable;
use super::level::from_tracing;
use super::values::Shape;

/// Number of callsites in the table, at most.
const SITES_MAX: usize = 1 << 15;

/// A callsite of `tracing`. Its address identifies it.
type Metadata = tracing_core::Metadata<'static>;

/// A callsite of `tracing`, and ours for its records.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) metadata: &'static Metadata,
    /// Callsite of its events, or of the starts of its spans.
    pub(crate) main: BridgedCallsite,
    /// Callsite of the values that spans get later. `None` for events.
    pub(crate) update: Option<BridgedCallsite>,
    /// Callsite of starts that are recorded again. `None` for events.
    pub(crate) again: Option<BridgedCallsite>,
    /// Its fields in `tracing`.
    pub(crate) shape: Shape,
    /// Whether its events are records of `log`, which came through `tracing-log`.
    pub(crate) is_log: bool,
}

static SITES: InternTable<Site, SITES_MAX> = InternTable::new();

/// Returns what belongs to a callsite, allocating it if the callsite is new; `None` if there are too many.
#[inline]
pub(crate) fn site(metadata: &'static Metadata) -> Option<&'static Site> {
    let hash = hash(metadata);
    match SITES.find(hash, |site| std::ptr::eq(site.metadata, metadata)) {
        None => SITES.find_or_add(hash, |site| std::ptr::eq(site.metadata, metadata), || Site::new(metadata)),
        found => found,
    }
}

/// Returns what belongs to a callsite that was met before. Metadata that are not static are never found, since no
/// static is at their address.
#[inline]
pub(crate) fn known_site(metadata: &tracing_core::Metadata<'_>) -> Option<&'static Site> {
    let place = std::ptr::from_ref(metadata).addr();
    SITES.find(hash(metadata), |site| std::ptr::from_ref(site.metadata).addr() == place)
}

/// One multiplication: its upper bits depend on all bits of the address.
#[inline]
fn hash(metadata: &tracing_core::Metadata<'_>) -> u64 {
    (std::ptr::from_ref(metadata).addr() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40
}

impl Site {
    #[cold]
    fn new(metadata: &'static Metadata) -> Self {
        let origin = Origin {
            level: from_tracing(metadata.level()),
            target: metadata.target(),
            file: metadata.file().unwrap_or_default(),
            line: metadata.line().unwrap_or_default(),
        };
        let own = || metadata.fields().iter().map(|field| Field::dynamic(field.name()));
        let name = || literal_message(metadata.name());
        let (main, update, again) = if metadata.is_span() {
            let ids = [Field::id("span", Role::Start), Field::id("parent", Role::Parent)];
            let main = BridgedCallsite::leak(origin, name(), ids.into_iter().chain(own()).collect());
            let ids = [Field::id("span", Role::Update)];
            let update = BridgedCallsite::leak(origin, name(), ids.into_iter().chain(own()).collect());
            let ids = [Field::id("span", Role::Update), Field::id("parent", Role::Parent)];
            let again = BridgedCallsite::leak(origin, name(), ids.into_iter().chain(own()).collect());
            (main, Some(update), Some(again))
        } else {
            let has_message = metadata.fields().iter().any(|field| field.name() == "message");
            let message = match has_message {
                true => "{message}",
                false if has_default_name(metadata) => "",
                false => name(),
            };
            let ids = [Field::id("span", Role::Span)];
            (BridgedCallsite::leak(origin, message, ids.into_iter().chain(own()).collect()), None, None)
        };
        let shape = Shape::of(metadata.fields());
        Site { metadata, main, update, again, shape, is_log: is_log(metadata.target(), metadata.fields()) }
    }
}

/// Returns whether an event has the name that the macros of `tracing` make of its place, which the callsite has anyway.
fn has_default_name(metadata: &Metadata) -> bool {
    let (Some(file), Some(line)) = (metadata.file(), metadata.line()) else { return false };
    let place = metadata.name().strip_prefix("event ").and_then(|place| place.strip_prefix(file));
    place.and_then(|rest| rest.strip_prefix(':')).is_some_and(|rest| rest.parse() == Ok(line))
}

/// Returns whether these are events that `tracing-log` makes of records of `log`.
fn is_log(target: &str, fields: &FieldSet) -> bool {
    target == "log" && ["message", "log.target", "log.file", "log.line"].iter().all(|name| fields.field(name).is_some())
}
