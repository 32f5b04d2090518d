//! A callsite with its fields and template already parsed.

use ttlog_core::error::FormatError;
use ttlog_core::event::Role;
use ttlog_core::record::ValueRef;
use ttlog_core::table::{CallsiteInfo, FieldInfo, values_of};

use crate::event::path::find_field;
use crate::event::secrets::{Hidden, Secrets};
use crate::event::template::Template;
use crate::event::value::FieldValue;
use crate::span::RolesOf;

/// A callsite of a source.
#[derive(Clone, Debug)]
pub struct SourceCallsite<'a> {
    /// Entry in the table.
    pub info: CallsiteInfo<'a>,
    /// Fields in source order.
    pub fields: Vec<FieldInfo<'a>>,
    /// Whether each field is withheld.
    withheld: Vec<bool>,
    /// Members of each field that are withheld.
    hidden: Vec<Hidden>,
    /// Whether any recorded value, or a member of one, is withheld.
    withholds_any: bool,
    /// Parsed message.
    pub template: Template,
    /// The place of the ids of spans among the fields, if there are any.
    pub(crate) roles: Option<RolesOf>,
}

impl<'a> SourceCallsite<'a> {
    /// Parses a callsite.
    #[must_use]
    pub fn new(info: CallsiteInfo<'a>, secrets: &Secrets) -> Self {
        let fields: Vec<_> = info.fields().collect();
        // The ids of spans have names that a field of the program can have too.
        let names: Vec<_> = fields.iter().map(|field| if is_value(field) { field.name } else { "\0" }).collect();
        let withheld: Vec<_> = fields.iter().map(|field| secrets.withhold(field)).collect();
        let hidden: Vec<_> = fields.iter().map(|field| secrets.hidden_members(field)).collect();
        let is_withheld = |index: usize| withheld[index] || hidden[index].any();
        let withholds_any =
            fields.iter().enumerate().any(|(index, field)| is_withheld(index) && field.literal.is_none());
        let (template, roles) = (Template::parse(info.message, &names), RolesOf::find(&fields));
        SourceCallsite { info, template, withheld, hidden, withholds_any, fields, roles }
    }

    /// Returns whether the callsite has fields whose recorded values, or members of them, are withheld.
    #[must_use]
    pub fn withholds_any(&self) -> bool {
        self.withholds_any
    }

    /// Returns whether a snapshot's writer withheld the whole payload because it did not decode (docs/format.md §6.5).
    fn is_wholly_withheld(&self, payload: &[u8]) -> bool {
        !payload.is_empty()
            && payload.iter().all(|&byte| byte == 0xFF)
            && self
                .fields
                .iter()
                .zip(&self.hidden)
                .any(|(field, hidden)| field.withheld && field.literal.is_none() || hidden.any_absent())
    }

    /// Returns whether the value of a field is withheld.
    pub(crate) fn withholds(&self, index: usize) -> bool {
        self.withheld.get(index).copied().unwrap_or(false)
    }

    /// Returns the values of a record's fields in field order, `None` for those that the event does not have. From the
    /// first unreadable one on they are missing, and the error is the reason. If any field is secret, all recorded
    /// values are then withheld, because the secret can be anywhere.
    #[must_use]
    pub fn values<'p>(&self, payload: &'p [u8]) -> (Vec<Option<FieldValue<'p>>>, Option<FormatError>)
    where
        'a: 'p,
    {
        let fields: &[FieldInfo<'p>] = &self.fields;
        if self.is_wholly_withheld(payload) {
            return (self.withhold_all(), None);
        }
        let mut values = Vec::with_capacity(self.fields.len());
        let mut damage = None;
        for (index, read) in values_of(fields, payload).enumerate() {
            match read {
                Ok(ValueRef::Absent) => values.push(None),
                Ok(_) if self.withheld[index] => values.push(Some(FieldValue::Withheld)),
                Ok(value) => values.push(self.present(index, value)),
                Err(error) => damage = Some(error),
            }
        }
        if damage.is_some() && self.withholds_any() {
            return (self.withhold_all(), damage);
        }
        values.resize(self.fields.len(), None);
        (values, damage)
    }

    /// Returns the values of a record of which only the literals can be shown.
    fn withhold_all<'p>(&self) -> Vec<Option<FieldValue<'p>>>
    where
        'a: 'p,
    {
        let value = |(field, &withheld): (&FieldInfo<'a>, &bool)| match field.literal {
            Some(literal) if !withheld => Some(FieldValue::of(literal.to_value(), field, &Hidden::default())),
            _ => Some(FieldValue::Withheld),
        };
        self.fields.iter().zip(&self.withheld).map(value).collect()
    }

    /// Returns the value of one field, if it can be read and is not withheld.
    pub(crate) fn value<'p>(&self, index: usize, payload: &'p [u8]) -> Option<FieldValue<'p>>
    where
        'a: 'p,
    {
        let fields: &[FieldInfo<'p>] = &self.fields;
        let mut values = values_of(fields, payload);
        if !self.withholds_any() {
            let value = values.nth(index)?.ok()?;
            return self.present(index, value);
        }
        if self.withheld[index] || self.is_wholly_withheld(payload) {
            return None;
        }
        let value = values.by_ref().nth(index)?.ok()?;
        // If a value cannot be read, a secret can be anywhere in the payload.
        if values.any(|value| value.is_err()) {
            return None;
        }
        self.present(index, value)
    }

    /// Returns the value with its type, unless the event does not have the field.
    fn present<'p>(&self, index: usize, value: ValueRef<'p>) -> Option<FieldValue<'p>> {
        (value != ValueRef::Absent).then(|| FieldValue::of(value, &self.fields[index], &self.hidden[index]))
    }

    /// Returns the index of the field with this name.
    pub(crate) fn field_index(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name && is_value(field))
    }

    /// Returns the index of the field with this name, or of the one whose name the path to a value inside of it begins
    /// with, and the rest of the path (see [`FieldValue::visit`]).
    #[must_use]
    pub fn find_field<'p>(&self, path: &'p str) -> Option<(usize, &'p str)> {
        find_field(self.fields.iter().map(|field| if is_value(field) { field.name } else { "\0" }), path)
    }

    /// Returns whether a field is a value of the program; otherwise it is the id of a span.
    #[must_use]
    pub fn is_value(&self, index: usize) -> bool {
        self.fields.get(index).is_some_and(is_value)
    }

    /// Returns whether its events are records of spans: they start one, enter it, end it, and so on.
    #[must_use]
    pub fn records_spans(&self) -> bool {
        self.roles.is_some_and(|roles| !roles.is_event())
    }

    /// Returns the names and values of the fields, without ids of spans and values that are missing.
    pub(crate) fn named_values<'s, 'p>(
        &'s self,
        payload: &'p [u8],
    ) -> impl Iterator<Item = (&'a str, FieldValue<'p>)> + use<'a, 's, 'p>
    where
        'a: 'p,
    {
        let values = self.fields.iter().zip(self.values(payload).0);
        values.filter_map(|(field, value)| is_value(field).then_some((field.name, value?)))
    }
}

fn is_value(field: &FieldInfo<'_>) -> bool {
    field.role == Role::Value
}
