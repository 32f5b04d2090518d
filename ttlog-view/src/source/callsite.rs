//! A callsite as the viewer uses it: fields and template read once, and what the filter says of it.

use ttlog_core::error::FormatError;
use ttlog_core::table::{CallsiteInfo, FieldInfo, values_of};

use super::Source;
use crate::event::secrets::Secrets;
use crate::event::template::Template;
use crate::event::value::Value;
use crate::query::condition::{Condition, Key};

/// A callsite of a source.
#[derive(Clone, Debug)]
pub struct Callsite<'a> {
    /// What the table says.
    pub info: CallsiteInfo<'a>,
    /// Its fields in source order.
    pub fields: Vec<FieldInfo<'a>>,
    /// Which of them are withheld.
    withheld: Vec<bool>,
    /// Its message, parsed.
    pub template: Template,
}

impl<'a> Callsite<'a> {
    /// Reads a callsite.
    #[must_use]
    pub fn new(info: CallsiteInfo<'a>, secrets: &Secrets) -> Self {
        let fields: Vec<_> = info.fields().collect();
        let names: Vec<_> = fields.iter().map(|field| field.name).collect();
        let withheld = fields.iter().map(|field| secrets.withhold(field)).collect();
        Callsite { info, template: Template::parse(info.message, &names), withheld, fields }
    }

    /// Tells whether records hold values that are withheld.
    #[must_use]
    pub fn withholds_any(&self) -> bool {
        self.fields.iter().zip(&self.withheld).any(|(field, &withheld)| withheld && field.literal.is_none())
    }

    /// Tells whether a snapshot's writer withheld the whole payload, because it did not decode (docs/format.md §6.5).
    fn is_wholly_withheld(&self, payload: &[u8]) -> bool {
        !payload.is_empty()
            && payload.iter().all(|&byte| byte == 0xFF)
            && self.fields.iter().any(|field| field.withheld && field.literal.is_none())
    }

    /// Gives the values of a record's fields in field order. From the first that cannot be read on they are missing, and the error
    /// says why. If any of them is secret, then all that the record holds are withheld: nobody knows where it is.
    #[must_use]
    pub fn values<'p>(&self, payload: &'p [u8]) -> (Vec<Option<Value<'p>>>, Option<FormatError>)
    where
        'a: 'p,
    {
        let fields: &[FieldInfo<'p>] = &self.fields;
        if self.is_wholly_withheld(payload) {
            return (self.withhold_all(), None);
        }
        let mut values = Vec::with_capacity(self.fields.len());
        let mut damage = None;
        for ((field, &withheld), read) in fields.iter().zip(&self.withheld).zip(values_of(fields, payload)) {
            match read {
                Ok(_) if withheld => values.push(Some(Value::Withheld)),
                Ok(value) => values.push(Some(Value::new(value, field.type_tags))),
                Err(error) => damage = Some(error),
            }
        }
        if damage.is_some() && self.withholds_any() {
            return (self.withhold_all(), damage);
        }
        values.resize(self.fields.len(), None);
        (values, damage)
    }

    /// Gives the values of a record of which only the literals can be shown.
    fn withhold_all<'p>(&self) -> Vec<Option<Value<'p>>>
    where
        'a: 'p,
    {
        let value = |(field, &withheld): (&FieldInfo<'a>, &bool)| match field.literal {
            Some(literal) if !withheld => Some(Value::new(literal.to_value(), field.type_tags)),
            _ => Some(Value::Withheld),
        };
        self.fields.iter().zip(&self.withheld).map(value).collect()
    }

    /// Gives the value of one field, if it can be read and is not withheld.
    fn value<'p>(&self, index: usize, payload: &'p [u8]) -> Option<Value<'p>>
    where
        'a: 'p,
    {
        let fields: &[FieldInfo<'p>] = &self.fields;
        let mut values = values_of(fields, payload);
        if !self.withholds_any() {
            let value = values.nth(index)?.ok()?;
            return Some(Value::new(value, fields[index].type_tags));
        }
        if self.withheld[index] || self.is_wholly_withheld(payload) {
            return None;
        }
        let value = values.by_ref().nth(index)?.ok()?;
        // One that cannot be read tells that a secret may be anywhere.
        if values.any(|value| value.is_err()) {
            return None;
        }
        Some(Value::new(value, fields[index].type_tags))
    }

    fn field_index(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}

/// What the filter says of the events of one callsite, as far as the callsite decides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    rejected: bool,
    /// Indexes of the conditions that each event decides anew.
    open: Vec<usize>,
}

impl Verdict {
    /// Decides the conditions that are the same for all events of the callsite. `None`: a callsite that is not in the table.
    #[must_use]
    pub fn new(conditions: &[Condition], source: &Source<'_>, callsite: Option<&Callsite<'_>>) -> Self {
        let mut verdict = Verdict { rejected: false, open: Vec::new() };
        for (index, condition) in conditions.iter().enumerate() {
            match decide_for_all(condition, source, callsite) {
                Some(accepted) => verdict.rejected |= !accepted,
                None => verdict.open.push(index),
            }
        }
        verdict
    }

    /// Decides an event.
    #[inline]
    #[must_use]
    pub fn decide(
        &self,
        conditions: &[Condition],
        callsite: Option<&Callsite<'_>>,
        payload: &[u8],
        context: u32,
        thread: &str,
    ) -> bool {
        !self.rejected
            && self.open.iter().all(|&index| decide_for_one(&conditions[index], callsite, payload, context, thread))
    }
}

fn decide_for_all(condition: &Condition, source: &Source<'_>, callsite: Option<&Callsite<'_>>) -> Option<bool> {
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
                if callsite.withheld[index] {
                    return Some(condition.accepts_nothing());
                }
                let literal = field.literal?;
                Some(condition.accepts_value(&Value::new(literal.to_value(), field.type_tags)))
            }
        },
    }
}

fn decide_for_one(
    condition: &Condition,
    callsite: Option<&Callsite<'_>>,
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
        // Everything else was decided for all events of the callsite.
        _ => condition.accepts_nothing(),
    }
}
