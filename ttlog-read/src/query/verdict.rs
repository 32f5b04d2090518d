//! Verdict of a query on the events of one callsite, decided once as far as the callsite determines it.

use super::compare::Match;
use super::condition::Condition;
use super::filter::{Filter, Holds, Node};
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
    /// Outcomes of the conditions on the spans that it is in; `None`: not known yet, so that what depends on them is
    /// selected.
    pub spans: Option<&'e SpanOutcomes>,
}

/// Outcomes of the conditions on spans, which are the same for all events of one span; by condition. `None`: there is
/// nothing to compare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanOutcomes(Vec<Option<Match>>);

impl SpanOutcomes {
    /// Evaluates the conditions on spans for the events in a span; `path` is its ancestors and itself.
    #[must_use]
    pub fn new(filter: &Filter, path: &[SpanRef<'_, '_>]) -> Self {
        let outcome = |condition: &Condition| match condition.key.concerns_spans() {
            true => condition.match_spans(path),
            false => None,
        };
        SpanOutcomes(filter.conditions().iter().map(outcome).collect())
    }
}

/// Verdict of the filter on the events of one callsite, as far as the callsite determines it.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Rest to evaluate for each event, or the outcome for all of them.
    rest: Result<Holds, Node>,
    /// By condition.
    by_condition: Vec<ForCallsite>,
}

/// A condition for the events of one callsite.
#[derive(Clone, Copy, Debug, PartialEq)]
struct ForCallsite {
    /// The outcome, if it is the same for all of them.
    known: Option<Match>,
    /// Index of the field that it is on, if it is on one, and where in the key the path to a value inside of it begins.
    field: Option<(usize, usize)>,
}

impl Verdict {
    /// Evaluates the conditions that are the same for all events of the callsite. `None`: the callsite is not in the
    /// table.
    #[must_use]
    pub fn new(filter: &Filter, source: &Source<'_>, callsite: Option<&SourceCallsite<'_>>) -> Self {
        let conditions = filter.conditions();
        let for_callsite = |condition: &Condition| ForCallsite {
            known: decide_for_all(condition, source, callsite),
            field: place_of(condition, callsite),
        };
        let by_condition: Vec<_> = conditions.iter().map(for_callsite).collect();
        let holds = |index: usize| by_condition[index].known.map_or(Holds::Open, Holds::of);
        let rest = filter.root().reduced(&holds, &|index| cost(&conditions[index]));
        Verdict { rest, by_condition }
    }

    /// Evaluates the remaining conditions for an event. Counts it in `mismatches` if it depends on values that do not
    /// compare.
    #[inline]
    #[must_use]
    pub fn decide(&self, filter: &Filter, subject: &Subject<'_, '_>, mismatches: &mut Mismatches) -> bool {
        let rest = match &self.rest {
            Ok(holds) => return *holds == Holds::Yes,
            Err(rest) => rest,
        };
        let outcome = |index: usize| {
            let ForCallsite { known, field } = self.by_condition[index];
            known.or_else(|| decide_for_one(index, field, &filter.conditions()[index], subject))
        };
        let mut is_later = false;
        let mut incomparable = Vec::new();
        let holds = rest.holds(&mut |index| {
            let outcome = outcome(index);
            is_later |= outcome.is_none();
            if let Some(Match::Incomparable(mismatch)) = outcome {
                incomparable.push((index, mismatch));
            }
            outcome.map_or(Holds::Open, Holds::of)
        });
        match holds {
            Holds::Yes => true,
            Holds::No => false,
            Holds::Open if is_later => true,
            Holds::Open => {
                incomparable.iter().for_each(|&(index, mismatch)| mismatches.count(index, mismatch));
                // Conditions without influence on the outcome need no value.
                filter.selects(&mut |index| outcome(index).unwrap_or(Match::No))
            }
        }
    }
}

/// Returns how much work a condition is, relative to others.
fn cost(condition: &Condition) -> u32 {
    match condition.key {
        Key::Context => 1,
        Key::Field(_) => 2,
        Key::Thread | Key::Span | Key::SpanName | Key::SpanField(_) | Key::TraceId => 3,
        Key::Message => 20, // is made from all fields
        // Decided for the callsite.
        _ => 0,
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
                    return Some(condition.match_unknown());
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

/// Returns `None` if the outcome is not known yet. `field` is where the field is that the condition is on.
fn decide_for_one(
    index: usize,
    field: Option<(usize, usize)>,
    condition: &Condition,
    subject: &Subject<'_, '_>,
) -> Option<Match> {
    let &Subject { callsite, payload, context, thread, spans } = subject;
    Some(match (&condition.key, callsite) {
        (Key::Thread, _) => condition.match_text(thread),
        (Key::Context, _) => condition.match_number(context.into()),
        (Key::Message, Some(callsite)) => {
            let mut message = String::new();
            callsite.template.render(&callsite.values(payload).0, &mut message);
            condition.match_text(&message)
        }
        (Key::Field(name), Some(callsite)) => match field {
            None => condition.match_nothing(),
            Some((index, at)) => match callsite.value(index, payload) {
                None => condition.match_unknown(),
                Some(value) => condition.match_path(&value, name.get(at..).unwrap_or_default()),
            },
        },
        (key, _) if key.concerns_spans() => {
            let SpanOutcomes(outcomes) = spans?;
            let of_spans = outcomes.get(index).copied().flatten();
            condition.match_own_trace(of_spans, || own_trace_id(callsite, payload))
        }
        // All other conditions were evaluated for the callsite.
        _ => condition.match_nothing(),
    })
}

/// Returns whether the filter selects a span: conditions on fields apply to its own, with their last values; `thread`
/// is the name of the thread that it was in last.
pub(crate) fn selects_span(filter: &Filter, span: &SpanRef<'_, '_>, thread: &str, mismatches: &mut Mismatches) -> bool {
    let conditions = filter.conditions();
    let outcomes: Vec<_> = conditions.iter().map(|condition| match_span(condition, span, thread)).collect();
    match filter.root().holds(&mut |index| Holds::of(outcomes[index])) {
        Holds::Yes => true,
        Holds::No => false,
        Holds::Open => {
            for (index, outcome) in outcomes.iter().enumerate() {
                if let Match::Incomparable(mismatch) = outcome {
                    mismatches.count(index, *mismatch);
                }
            }
            filter.selects(&mut |index| outcomes[index])
        }
    }
}

fn match_span(condition: &Condition, span: &SpanRef<'_, '_>, thread: &str) -> Match {
    let nothing = condition.match_nothing();
    match &condition.key {
        Key::Thread => condition.match_text(thread),
        Key::Context => condition.match_number(span.life().last_context.into()),
        Key::Message => span.name().map_or(nothing, |name| condition.match_text(name)),
        Key::Field(name) => span.find_field(name).map_or(nothing, |(value, path)| condition.match_path(&value, path)),
        key if key.concerns_spans() => condition.match_spans(&span.path()).unwrap_or(nothing),
        _ => span.source().and_then(|source| decide_for_all(condition, source, span.callsite())).unwrap_or(nothing),
    }
}

/// Returns the field of an event with the id of its trace.
fn own_trace_id<'p, 'a: 'p>(callsite: Option<&SourceCallsite<'a>>, payload: &'p [u8]) -> Option<FieldValue<'p>> {
    callsite?.value(callsite?.field_index(Key::TraceId.name())?, payload)
}
