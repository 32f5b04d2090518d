//! Verdict of a query on the events of one callsite, decided once as far as the callsite determines it.

use super::compare::{Match, Mismatch};
use super::condition::Condition;
use super::key::Key;
use super::mismatches::Mismatches;
use crate::event::secrets::Hidden;
use crate::event::value::FieldValue;
use crate::source::{Source, SourceCallsite, SpanRef};

/// An event to decide on.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'e, 'a> {
    /// Callsite; `None` if the table has lost it, or contradicts itself.
    pub callsite: Option<&'e SourceCallsite<'a>>,
    /// Payload.
    pub payload: &'e [u8],
    /// Context; 0: unknown.
    pub context: u32,
    /// Name of the thread at that time.
    pub thread: &'e str,
    /// Outcomes of the conditions on the spans that it is in; `None`: not known yet, so that these conditions hold.
    pub spans: Option<&'e SpanOutcomes>,
}

/// Outcomes of the conditions on spans, which are the same for all events of one span; by condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanOutcomes(Vec<Option<Match>>);

impl SpanOutcomes {
    /// Evaluates the conditions on spans for the events in a span; `path` is its ancestors and itself.
    #[must_use]
    pub fn new(conditions: &[Condition], path: &[SpanRef<'_, '_>]) -> Self {
        let outcome = |condition: &Condition| condition.key.concerns_spans().then(|| condition.match_spans(path));
        SpanOutcomes(conditions.iter().map(outcome).collect())
    }
}

/// Verdict of the filter on the events of one callsite, as far as the callsite determines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    rejected: bool,
    /// Conditions that none of the events can be compared with, by index.
    incomparable: Vec<(usize, Mismatch)>,
    /// The conditions to evaluate for each event.
    open: Vec<Open>,
}

/// A condition to evaluate for each event of a callsite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    /// Index of the condition.
    condition: usize,
    /// Index of the field that it is on, if it is on one, and where in the key the path to a value inside of it begins.
    field: Option<(usize, usize)>,
}

impl Verdict {
    /// Evaluates the conditions that are the same for all events of the callsite. `None`: the callsite is not in the
    /// table.
    #[must_use]
    pub fn new(conditions: &[Condition], source: &Source<'_>, callsite: Option<&SourceCallsite<'_>>) -> Self {
        let mut verdict = Verdict { rejected: false, incomparable: Vec::new(), open: Vec::new() };
        for (index, condition) in conditions.iter().enumerate() {
            match decide_for_all(condition, source, callsite) {
                Some(Match::Incomparable(mismatch)) => verdict.incomparable.push((index, mismatch)),
                Some(outcome) => verdict.rejected |= !condition.selects(outcome),
                None => verdict.open.push(Open { condition: index, field: place_of(condition, callsite) }),
            }
        }
        verdict
    }

    /// Evaluates the remaining conditions for an event. Counts it in `mismatches` if all of those that can be compared
    /// hold.
    #[inline]
    #[must_use]
    pub fn decide(&self, conditions: &[Condition], subject: &Subject<'_, '_>, mismatches: &mut Mismatches) -> bool {
        if self.rejected {
            return false;
        }
        let mut incomparable = Vec::new();
        for &open in &self.open {
            let index = open.condition;
            match decide_for_one(open, &conditions[index], subject) {
                Match::Incomparable(mismatch) => incomparable.push((index, mismatch)),
                outcome if conditions[index].selects(outcome) => {}
                _ => return false,
            }
        }
        incomparable.iter().chain(&self.incomparable).fold(true, |selected, &(index, mismatch)| {
            mismatches.count(index, mismatch);
            selected && conditions[index].selects(Match::Incomparable(mismatch))
        })
    }
}

fn decide_for_all(condition: &Condition, source: &Source<'_>, callsite: Option<&SourceCallsite<'_>>) -> Option<Match> {
    let process = source.process.unwrap_or_default();
    let info = callsite.map(|callsite| callsite.info);
    let number =
        |number: Option<u64>| Some(number.map_or(condition.match_nothing(), |number| condition.match_number(number)));
    let text = |text: Option<&str>| Some(text.map_or(condition.match_nothing(), |text| condition.match_text(text)));
    match &condition.key {
        Key::Level => Some(condition.match_level(info.map(|info| info.level))),
        Key::Target => Some(info.map_or(condition.match_nothing(), |info| condition.match_target(info.target))),
        Key::Template => text(info.map(|info| info.message)),
        Key::File => text(info.map(|info| info.file)),
        Key::Line => number(info.map(|info| info.line.into())),
        Key::Callsite => number(info.map(|info| info.id.into())),
        Key::Service => text(Some(process.service)),
        Key::Host => text(Some(process.host)),
        Key::Pid => number(Some(process.pid)),
        Key::Boot => number(source.session.map(|session| session.boot.into())),
        Key::Thread | Key::Context => None,
        Key::Span | Key::SpanName | Key::SpanField(_) | Key::TraceId => None,
        Key::Message => match callsite {
            Some(callsite) => callsite.template.constant().map(|message| condition.match_text(message)),
            None => Some(condition.match_nothing()),
        },
        Key::Field(name) => match callsite.and_then(|callsite| Some((callsite, callsite.find_field(name)?))) {
            None => Some(condition.match_nothing()),
            Some((callsite, (index, path))) => {
                let field = &callsite.fields[index];
                if callsite.withholds(index) {
                    return Some(condition.match_nothing());
                }
                let literal = field.literal?;
                Some(condition.match_path(&FieldValue::of(literal.to_value(), field, &Hidden::default()), path))
            }
        },
    }
}

/// Returns the field that a condition is on: its index, and where in the key the path inside of it begins.
fn place_of(condition: &Condition, callsite: Option<&SourceCallsite<'_>>) -> Option<(usize, usize)> {
    let Key::Field(name) = &condition.key else { return None };
    callsite?.find_field(name).map(|(index, path)| (index, name.len() - path.len()))
}

fn decide_for_one(open: Open, condition: &Condition, subject: &Subject<'_, '_>) -> Match {
    let &Subject { callsite, payload, context, thread, spans } = subject;
    match (&condition.key, callsite) {
        (Key::Thread, _) => condition.match_text(thread),
        (Key::Context, _) => condition.match_number(context.into()),
        (Key::Message, Some(callsite)) => {
            let mut message = String::new();
            callsite.template.render(&callsite.values(payload).0, &mut message);
            condition.match_text(&message)
        }
        (Key::Field(name), Some(callsite)) => {
            let value = open.field.and_then(|(index, at)| Some((callsite.value(index, payload)?, name.get(at..)?)));
            value.map_or(condition.match_nothing(), |(value, path)| condition.match_path(&value, path))
        }
        (key, _) if key.concerns_spans() => match spans {
            Some(SpanOutcomes(outcomes)) => {
                let of_spans = outcomes.get(open.condition).copied().flatten().unwrap_or(condition.match_nothing());
                condition.match_own_trace(of_spans, || own_trace_id(callsite, payload))
            }
            None => Match::from_bool(true),
        },
        // All other conditions were evaluated for the callsite.
        _ => condition.match_nothing(),
    }
}

/// Returns whether the conditions hold for a span: those on fields for its own, with their last values; `thread` is the
/// name of the thread that it was in last.
pub(crate) fn selects_span(
    conditions: &[Condition],
    span: &SpanRef<'_, '_>,
    thread: &str,
    mismatches: &mut Mismatches,
) -> bool {
    let mut is_selected = true;
    let mut incomparable = Vec::new();
    for (index, condition) in conditions.iter().enumerate() {
        match match_span(condition, span, thread) {
            Match::Incomparable(mismatch) => incomparable.push((index, mismatch)),
            outcome => is_selected &= condition.selects(outcome),
        }
    }
    if is_selected {
        for (index, mismatch) in incomparable {
            mismatches.count(index, mismatch);
            is_selected &= conditions[index].selects(Match::Incomparable(mismatch));
        }
    }
    is_selected
}

fn match_span(condition: &Condition, span: &SpanRef<'_, '_>, thread: &str) -> Match {
    let nothing = condition.match_nothing();
    match &condition.key {
        Key::Thread => condition.match_text(thread),
        Key::Context => condition.match_number(span.life().last_context.into()),
        Key::Message => span.name().map_or(nothing, |name| condition.match_text(name)),
        Key::Field(name) => span.find_field(name).map_or(nothing, |(value, path)| condition.match_path(&value, path)),
        key if key.concerns_spans() => condition.match_spans(&span.path()),
        _ => span.source().and_then(|source| decide_for_all(condition, source, span.callsite())).unwrap_or(nothing),
    }
}

/// Returns the field of an event with the id of its trace.
fn own_trace_id<'p, 'a: 'p>(callsite: Option<&SourceCallsite<'a>>, payload: &'p [u8]) -> Option<FieldValue<'p>> {
    callsite?.value(callsite?.field_index(Key::TraceId.name())?, payload)
}
