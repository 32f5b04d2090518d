//! Paths to values inside of fields: `order.customer.id`, `order.lines[0].sku`.
//!
//! A field can have a name with dots itself; a field of exactly the wanted name comes first, then the one with the
//! longest name that the path begins with.

use crate::event::value::{FieldValue, Nested};

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

/// Returns what follows `name` at the front of `path`, if the name ends there.
fn after<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    path.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
