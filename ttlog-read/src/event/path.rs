//! Paths to values inside of fields: `order.customer.id`, `order.lines[0].sku`.
//!
//! A field can have a name with dots itself; a field of exactly the wanted name comes first, then the one with the
//! longest name that the path begins with.

use ttlog_core::record::PathStep;

use crate::event::value::{FieldValue, Nested};

const TAG_ANY: u8 = 21;
const TAG_OPTION: u8 = 32;
const TAG_SEQUENCE: u8 = 33;

/// Returns the index of the field that `path` begins with, and the rest of the path.
pub(crate) fn find_field(names: impl Iterator<Item = impl AsRef<str>>, path: &str) -> Option<(usize, &str)> {
    let found = names.enumerate().filter_map(|(index, name)| Some((index, after(path, name.as_ref())?)));
    // Of several of the same name, the first.
    found.min_by_key(|(_, rest)| rest.len())
}

impl<'a> Nested<'a> {
    /// Calls `visit` with the values that `path` leads to, see [`FieldValue::visit`]. The path begins with a dot, and
    /// then the name or the position of a member. The name of the variant may stand between them.
    fn visit(&self, path: &str, visit: &mut dyn FnMut(&FieldValue<'a>)) -> bool {
        let Some(path) = path.strip_prefix('.') else { return false };
        let mut found = false;
        for (index, (name, value)) in self.members.iter().enumerate() {
            let rest = if name.is_empty() { after(path, &index.to_string()) } else { after(path, name) };
            if let Some(rest) = rest {
                found |= value.visit(rest, visit);
            }
        }
        match self.variant.and_then(|variant| after(path, variant)) {
            Some(rest) if !found && !rest.is_empty() => self.visit(rest, visit),
            _ => found,
        }
    }
}

impl<'a> FieldValue<'a> {
    /// Calls `visit` with each value inside this one that `path` leads to, and returns whether there are any. `.id`
    /// leads to a member, `.0` to one without a name, `[2]` to an element, and each can be followed by more. All
    /// elements of a sequence are visited if no index is given. A value that is withheld stands for all values in it.
    pub fn visit(&self, path: &str, visit: &mut dyn FnMut(&FieldValue<'a>)) -> bool {
        match self {
            _ if path.is_empty() => visit(self),
            FieldValue::Withheld => visit(self),
            FieldValue::Some(value) | FieldValue::Shown(value, _) => return value.visit(path, visit),
            FieldValue::Nested(nested) => return nested.visit(path, visit),
            FieldValue::Sequence(elements, _) if path.starts_with('[') => {
                let Some((index, rest)) = path[1..].split_once(']') else { return false };
                let element = index.parse().ok().and_then(|index: usize| elements.get(index));
                return element.is_some_and(|element| element.visit(rest, visit));
            }
            FieldValue::Sequence(elements, _) => {
                return elements.iter().fold(false, |found, element| element.visit(path, visit) | found);
            }
            _ => return false,
        }
        true
    }
}

/// Returns whether `path` can lead to the member at the end of `steps`, as [`FieldValue::visit`] finds it.
pub(crate) fn leads_to<'t>(mut steps: impl Iterator<Item = PathStep<'t>> + Clone, path: &str) -> bool {
    let path = without_indexes(path);
    let Some(step) = steps.next() else { return path.is_empty() };
    let Some(path) = path.strip_prefix('.') else { return false };
    let position = step.position.to_string();
    let name = if step.name.is_empty() { &position } else { step.name };
    let in_variant = || after(path, step.variant?)?.strip_prefix('.').and_then(|path| after(path, name));
    let is_in_variant = in_variant().is_some_and(|path| leads_to(steps.clone(), path));
    is_in_variant || after(path, name).is_some_and(|path| leads_to(steps, path))
}

/// Returns whether `path` can lead to an element of a value of this type.
pub(crate) fn has_elements(type_tags: &[u8], path: &str) -> bool {
    let outer = type_tags.iter().find(|tag| **tag != TAG_OPTION);
    without_indexes(path).is_empty() && outer.is_some_and(|tag| [TAG_SEQUENCE, TAG_ANY].contains(tag))
}

/// Returns a path without the indexes of elements at its front.
fn without_indexes(mut path: &str) -> &str {
    while let Some((index, rest)) = path.strip_prefix('[').and_then(|path| path.split_once(']')) {
        if index.parse::<usize>().is_err() {
            break;
        }
        path = rest;
    }
    path
}

/// Returns what follows `name` at the front of `path`, if the name ends there.
fn after<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    path.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
