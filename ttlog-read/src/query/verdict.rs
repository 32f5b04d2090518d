//! Verdict of a query on the events of one callsite, decided once as far as the callsite determines it.

use super::condition::Condition;
use super::key::Key;
use crate::event::value::FieldValue;
use crate::source::{Source, SourceCallsite};

/// Verdict of the filter on the events of one callsite, as far as the callsite determines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    rejected: bool,
    /// Indexes of the conditions to evaluate for each event.
    open: Vec<usize>,
}

impl Verdict {
    /// Evaluates the conditions that are the same for all events of the callsite. `None`: the callsite is not in the
    /// table.
    #[must_use]
    pub fn new(conditions: &[Condition], source: &Source<'_>, callsite: Option<&SourceCallsite<'_>>) -> Self {
        let mut verdict = Verdict { rejected: false, open: Vec::new() };
        for (index, condition) in conditions.iter().enumerate() {
            match decide_for_all(condition, source, callsite) {
                Some(accepted) => verdict.rejected |= !accepted,
                None => verdict.open.push(index),
            }
        }
        verdict
    }

    /// Evaluates the remaining conditions for an event.
    #[inline]
    #[must_use]
    pub fn decide(
        &self,
        conditions: &[Condition],
        callsite: Option<&SourceCallsite<'_>>,
        payload: &[u8],
        context: u32,
        thread: &str,
    ) -> bool {
        !self.rejected
            && self.open.iter().all(|&index| decide_for_one(&conditions[index], callsite, payload, context, thread))
    }
}

fn decide_for_all(condition: &Condition, source: &Source<'_>, callsite: Option<&SourceCallsite<'_>>) -> Option<bool> {
    let process = source.process.unwrap_or_default();
    let info = callsite.map(|callsite| callsite.info);
    let number = |number: Option<u64>| {
        Some(number.map_or(condition.accepts_nothing(), |number| condition.accepts_number(number)))
    };
    let text = |text: Option<&str>| Some(text.map_or(condition.accepts_nothing(), |text| condition.accepts_text(text)));
    match &condition.key {
        Key::Level => Some(condition.accepts_level(info.map(|info| info.level))),
        Key::Target => Some(info.map_or(condition.accepts_nothing(), |info| condition.accepts_target(info.target))),
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
            Some(callsite) => callsite.template.constant().map(|message| condition.accepts_text(message)),
            None => Some(condition.accepts_nothing()),
        },
        Key::Field(name) => match callsite.and_then(|callsite| Some((callsite, callsite.field_index(name)?))) {
            None => Some(condition.accepts_nothing()),
            Some((callsite, index)) => {
                let field = &callsite.fields[index];
                if callsite.withholds(index) {
                    return Some(condition.accepts_nothing());
                }
                let literal = field.literal?;
                Some(condition.accepts_value(&FieldValue::new(literal.to_value(), field.type_tags)))
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
) -> bool {
    match (&condition.key, callsite) {
        (Key::Thread, _) => condition.accepts_text(thread),
        (Key::Context, _) => condition.accepts_number(context.into()),
        (Key::Message, Some(callsite)) => {
            let mut message = String::new();
            callsite.template.render(&callsite.values(payload).0, &mut message);
            condition.accepts_text(&message)
        }
        (Key::Field(name), Some(callsite)) => {
            let value = callsite.field_index(name).and_then(|index| callsite.value(index, payload));
            value.map_or(condition.accepts_nothing(), |value| condition.accepts_value(&value))
        }
        // All other conditions were evaluated for the callsite.
        _ => condition.accepts_nothing(),
    }
}
