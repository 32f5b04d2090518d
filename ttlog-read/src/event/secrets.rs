//! Secrets: values that are not shown, not exported, and not copied into snapshots.
//!
//! A field is secret if the program marked it as such, or if its name is that of a secret (`ttlog_core::event::secret`
//! has the names, and others can be added). Snapshots seldom contain such values, because their writers withhold them
//! too; rings contain them all. A withheld value is shown as withheld, and no filter matches it: otherwise it could be
//! guessed.

use ttlog_core::event::secret::SecretKeys;
use ttlog_core::record::{MemberPath, MemberRef, visit_members};
use ttlog_core::snapshot::{Codec, SnapshotOptions, Withhold};
use ttlog_core::table::FieldInfo;

/// Placeholder for a withheld value in text.
pub const WITHHELD: &str = "<withheld>";

/// The set of fields to withhold.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Names in addition to the built-in ones.
    keys: Vec<String>,
    /// Whether values that are present are shown.
    show: bool,
}

impl Secrets {
    /// Withholds fields with these names in addition to the built-in ones. With `show`, withholds none.
    #[must_use]
    pub fn new(keys: Vec<String>, show: bool) -> Self {
        Secrets { keys, show }
    }

    /// Returns whether secrets are shown.
    #[must_use]
    pub fn are_shown(&self) -> bool {
        self.show
    }

    /// Returns whether the value of a field is withheld, here or by the writer of the snapshot.
    #[must_use]
    pub fn withhold(&self, field: &FieldInfo<'_>) -> bool {
        field.withheld || !self.show && self.with_policy(|policy| policy.is_secret(field))
    }

    /// Returns which members of a field's value are withheld.
    #[must_use]
    pub fn hidden_members(&self, field: &FieldInfo<'_>) -> Hidden {
        let mut hidden = Hidden { marked: !self.show, ..Hidden::default() };
        self.with_policy(|policy| {
            visit_members(field.name, field.type_tags, &mut |member, path| {
                let by_name = !self.show && policy.keys.contains_path(path);
                hidden.absent |= member.withheld;
                hidden.any |= member.withheld || hidden.marked && member.secret || by_name;
                if by_name {
                    hidden.named.push(Place::of(path));
                }
            });
        });
        hidden
    }

    /// Runs `write` with the options for writing snapshots.
    pub fn with_options<T>(&self, write: impl FnOnce(SnapshotOptions<'_>) -> T) -> T {
        self.with_policy(|policy| {
            let withhold = (!self.show).then_some(policy);
            write(SnapshotOptions { withhold, ..SnapshotOptions::new(Codec::Lz4) })
        })
    }

    fn with_policy<T>(&self, run: impl FnOnce(Withhold<'_>) -> T) -> T {
        let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
        run(Withhold::new(SecretKeys::with(&keys)))
    }
}

/// Members of a field's value that are withheld.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hidden {
    /// Whether members that the program marks as secret are.
    marked: bool,
    /// Members that are because of their names.
    named: Vec<Place>,
    /// Whether there is any such member, or one that the snapshot does not have.
    any: bool,
    /// Whether there is one that the snapshot does not have.
    absent: bool,
}

/// Place of a member in a field's value: for each step the variant that has the member, and the position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place(Vec<(Option<String>, usize)>);

impl Place {
    fn of(path: &MemberPath<'_>) -> Self {
        let steps = path.steps();
        Place(steps.map(|step| (step.variant.map(str::to_owned), step.position.into())).collect())
    }

    /// Steps into a member, until `leave`.
    pub(super) fn enter(&mut self, variant: Option<&str>, position: usize) {
        self.0.push((variant.map(str::to_owned), position));
    }

    /// Steps out of a member.
    pub(super) fn leave(&mut self) {
        self.0.pop();
    }
}

impl Hidden {
    /// Returns whether the type has a member that is withheld.
    #[must_use]
    pub fn any(&self) -> bool {
        self.any
    }

    /// Returns whether the type has a member that the snapshot does not have.
    pub(crate) fn any_absent(&self) -> bool {
        self.absent
    }

    /// Returns whether any member is withheld because of its name, so that places matter.
    pub(super) fn any_named(&self) -> bool {
        !self.named.is_empty()
    }

    /// Returns whether the value of the member at this place is withheld.
    pub(super) fn hides(&self, member: &MemberRef<'_>, place: &Place) -> bool {
        member.withheld || self.marked && member.secret || self.named.contains(place)
    }
}
