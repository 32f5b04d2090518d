//! Members of structs, enums and tuples in the description of a type: visiting and marking them, and the paths that
//! lead to them.
//!
//! # Format
//! docs/format.md §4.2.

use super::types::{
    MEMBER_SECRET, MEMBER_WITHHELD, TAG_ENUM, TAG_OPTION, TAG_SEQUENCE, TAG_STRUCT, TAG_TUPLE, TYPE_DEPTH_MAX,
    split_type,
};

/// A member in the description of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberInfo {
    /// Whether the source marks it as secret.
    pub secret: bool,
    /// Whether its value was withheld when the snapshot was written.
    pub withheld: bool,
}

/// Path to a field or to a member of its value: `order`, `order.customer.id`. Options and sequences on the way are no
/// part of it.
#[derive(Clone, Copy, Debug)]
pub struct MemberPath<'t> {
    field: &'t str,
    tags: &'t [u8],
    steps: &'t [Step],
}

/// One step of a path, from a value to a member of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathStep<'t> {
    /// Name of the variant that has the member, if it is one of an enum.
    pub variant: Option<&'t str>,
    /// Name; empty: the member has only a position.
    pub name: &'t str,
    /// Position among the members, from 0.
    pub position: u8,
}

/// Place of a name in a description: its offset and its length.
#[derive(Clone, Copy, Debug, Default)]
struct Name {
    at: usize,
    len: u8,
}

/// One step of a path, by its names' places.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    variant: Option<Name>,
    name: Name,
    position: u8,
}

impl<'t> MemberPath<'t> {
    /// Creates the path to a field.
    #[must_use]
    pub const fn of_field(field: &'t str) -> Self {
        MemberPath { field, tags: &[], steps: &[] }
    }

    /// Returns the name of the field.
    #[must_use]
    pub const fn field(&self) -> &'t str {
        self.field
    }

    /// Returns the steps from the field to the member, outermost first.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = PathStep<'t>> + ExactSizeIterator + Clone + use<'t> {
        let tags = self.tags;
        let text = move |name: Name| {
            let bytes = tags.get(name.at..name.at + usize::from(name.len)).unwrap_or_default();
            core::str::from_utf8(bytes).unwrap_or("")
        };
        self.steps.iter().map(move |step| PathStep {
            variant: step.variant.map(text),
            name: text(step.name),
            position: step.position,
        })
    }
}

/// Calls `visit` with each member of the structs, enums and tuples in the description of a field's type
/// (docs/format.md §4.2), at any depth, each before those in it. An invalid description has none.
pub fn visit_members(field: &str, type_tags: &[u8], visit: &mut dyn FnMut(MemberInfo, &MemberPath<'_>)) {
    if split_type(type_tags).is_some() {
        let mut mark = |flags: &mut u8, path: &MemberPath<'_>| {
            let (secret, withheld) = (*flags & MEMBER_SECRET != 0, *flags & MEMBER_WITHHELD != 0);
            visit(MemberInfo { secret, withheld }, path);
            true
        };
        Walk::new(field, type_tags, &mut mark).walk_type(true);
    }
}

/// Calls `mark` with the flags and the path of each member in the description of a field's type, to change the flags;
/// members of tuples have none. Members of what `mark` returns `false` for are not visited. Returns `None` if the
/// description is invalid.
pub(crate) fn mark_members(
    field: &str,
    tags: &mut [u8],
    mark: &mut dyn FnMut(&mut u8, &MemberPath<'_>) -> bool,
) -> Option<()> {
    split_type(tags)?;
    Walk::new(field, tags, mark).walk_type(true)
}

/// A description that a walk goes over.
trait Description {
    fn bytes(&self) -> &[u8];
    /// Stores the flags of a member, if they can be changed.
    fn set(&mut self, at: usize, flags: u8);
}

impl Description for &[u8] {
    fn bytes(&self) -> &[u8] {
        self
    }
    fn set(&mut self, _at: usize, _flags: u8) {}
}

impl Description for &mut [u8] {
    fn bytes(&self) -> &[u8] {
        self
    }
    fn set(&mut self, at: usize, flags: u8) {
        if let Some(place) = self.get_mut(at) {
            *place = flags;
        }
    }
}

struct Walk<'w, D> {
    field: &'w str,
    tags: D,
    at: usize,
    /// The steps to the current member; the first `depth` are valid.
    steps: [Step; TYPE_DEPTH_MAX],
    depth: usize,
    mark: &'w mut dyn FnMut(&mut u8, &MemberPath<'_>) -> bool,
}

impl<'w, D: Description> Walk<'w, D> {
    fn new(field: &'w str, tags: D, mark: &'w mut dyn FnMut(&mut u8, &MemberPath<'_>) -> bool) -> Self {
        Walk { field, tags, at: 0, steps: [Step::default(); TYPE_DEPTH_MAX], depth: 0, mark }
    }

    fn byte(&mut self) -> Option<u8> {
        self.at += 1;
        self.tags.bytes().get(self.at - 1).copied()
    }

    fn name(&mut self) -> Option<Name> {
        let len = self.byte()?;
        let name = Name { at: self.at, len };
        self.at += usize::from(len);
        Some(name)
    }

    fn walk_type(&mut self, visits: bool) -> Option<()> {
        match self.byte()? {
            TAG_OPTION | TAG_SEQUENCE => self.walk_type(visits)?,
            TAG_TUPLE => {
                for position in 0..self.byte()? {
                    self.walk_member(Step { position, ..Step::default() }, None, visits)?;
                }
            }
            TAG_STRUCT => {
                self.name()?;
                self.walk_members(None, visits)?;
            }
            TAG_ENUM => {
                self.name()?;
                for _ in 0..self.byte()? {
                    let variant = self.name()?;
                    self.walk_members(Some(variant), visits)?;
                }
            }
            _ => {}
        }
        Some(())
    }

    /// Walks over the members of a struct or a variant, from their number on.
    fn walk_members(&mut self, variant: Option<Name>, visits: bool) -> Option<()> {
        for position in 0..self.byte()? {
            let flags_at = self.at;
            self.at += 1;
            let name = self.name()?;
            self.walk_member(Step { variant, name, position }, Some(flags_at), visits)?;
        }
        Some(())
    }

    /// Walks over a member, from its type on, and what is in it.
    fn walk_member(&mut self, step: Step, flags_at: Option<usize>, visits: bool) -> Option<()> {
        *self.steps.get_mut(self.depth)? = step;
        self.depth += 1;
        let mut visits_inside = visits;
        if visits {
            let mut flags = flags_at.map_or(Some(0), |at| self.tags.bytes().get(at).copied())?;
            let path = MemberPath { field: self.field, tags: self.tags.bytes(), steps: self.steps.get(..self.depth)? };
            visits_inside = (self.mark)(&mut flags, &path);
            if let Some(at) = flags_at {
                self.tags.set(at, flags);
            }
        }
        self.walk_type(visits_inside)?;
        self.depth -= 1;
        Some(())
    }
}
