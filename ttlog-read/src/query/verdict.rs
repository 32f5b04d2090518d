//! Verdict of a query on the events of one callsite, decided once as far as the callsite determines it.

use super::compare::{Match, Mismatch};
use super::condition::Condition;
use super::key::Key;
use super::mismatches::Mismatches;
use crate::event::secrets::Hidden;
use crate::event::value::FieldValue;
use crate::source::{Source, SourceCallsite};

/// Verdict of the filter on the events of one callsite, as far as the callsite determines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    rejected: bool,
    /// Conditions that none of the events can be compared with, by index.
    incomparable: Vec<(usize, Mismatch)>,
    /// Indexes of the conditions to evaluate for each event.
    open: Vec<usize>,
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
                None => verdict.open.push(index),
            }
        }
        verdict
    }

    /// Evaluates the remaining conditions for an event. Counts it in `mismatches` if all of those that can be compared
    /// hold.
    #[inline]
    #[must_use]
    pub fn decide(
        &self,
        conditions: &[Condition],
        callsite: Option<&SourceCallsite<'_>>,
        payload: &[u8],
        context: u32,
        thread: &str,
        mismatches: &mut Mismatches,
    ) -> bool {
        if self.rejected {
            return false;
        }
        let mut incomparable = Vec::new();
        for &index in &self.open {
            match decide_for_one(&conditions[index], callsite, payload, context, thread) {
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

fn decide_for_one(
    condition: &Condition,
    callsite: Option<&SourceCallsite<'_>>,
    payload: &[u8],
    context: u32,
    thread: &str,
) -> Match {
    match (&condition.key, callsite) {
        (Key::Thread, _) => condition.match_text(thread),
        (Key::Context, _) => condition.match_number(context.into()),
        (Key::Message, Some(callsite)) => {
            let mut message = String::new();
            callsite.template.render(&callsite.values(payload).0, &mut message);
            condition.match_text(&message)
        }
        (Key::Field(name), Some(callsite)) => {
            let found = callsite.find_field(name);
            let value = found.and_then(|(index, path)| Some((callsite.value(index, payload)?, path)));
            value.map_or(condition.match_nothing(), |(value, path)| condition.match_path(&value, path))
        }
        // All other conditions were evaluated for the callsite.
        _ => condition.match_nothing(),
    }
}
