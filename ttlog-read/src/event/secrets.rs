//! Secrets: values that are not shown, not exported, and not copied into snapshots.
//!
//! A field is secret if the program marked it as such, or if its name is that of a secret (`ttlog_core::event::secret`
//! has the names, and others can be added). Snapshots seldom contain such values, because their writers withhold them
//! too; rings contain them all. A withheld value is shown as withheld, and no filter matches it: otherwise it could be
//! guessed.

use ttlog_core::event::secret::SecretKeys;
use ttlog_core::record::{MemberRef, visit_members};
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
    pub fn hidden_members<'a>(&self, field: &FieldInfo<'a>) -> Hidden<'a> {
        let mut hidden = Hidden { marked: !self.show, ..Hidden::default() };
        self.with_policy(|policy| {
            visit_members(field.type_tags, &mut |member| {
                let by_name = !self.show && policy.keys.contains(member.name);
                hidden.absent |= member.withheld;
                hidden.any |= member.withheld || hidden.marked && member.secret || by_name;
                if by_name && !hidden.names.contains(&member.name) {
                    hidden.names.push(member.name);
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

/// Members of a field's value that are withheld, in addition to those that a snapshot does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hidden<'a> {
    /// Whether members that the program marks as secret are.
    marked: bool,
    /// Names of members that are.
    names: Vec<&'a str>,
    /// Whether there is any such member, or one that the snapshot does not have.
    any: bool,
    /// Whether there is one that the snapshot does not have.
    absent: bool,
}

impl Hidden<'_> {
    /// Returns whether the type has a member that is withheld.
    #[must_use]
    pub fn any(&self) -> bool {
        self.any
    }

    /// Returns whether the type has a member that the snapshot does not have.
    pub(crate) fn any_absent(&self) -> bool {
        self.absent
    }

    /// Returns whether the value of a member is withheld.
    pub(super) fn hides(&self, member: &MemberRef<'_>) -> bool {
        member.withheld || self.marked && member.secret || self.names.contains(&member.name)
    }
}
