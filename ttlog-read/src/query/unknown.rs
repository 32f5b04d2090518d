//! Fields that conditions ask for and no callsite has: probably misspelled.

use std::collections::BTreeSet;

use ttlog_core::record::{MemberPath, visit_members};

use super::key::Key;
use crate::event::path::{has_elements, leads_to};
use crate::source::{Source, SourceCallsite};
use crate::text::escape::escaped;

/// Most names that are compared with an unknown one.
const NAMES_MAX: usize = 4096;
/// Longest names that are, in bytes.
const NAME_LEN_MAX: usize = 200;
/// Most similar names that are reported.
const SIMILAR_MAX: usize = 3;

/// A field, or a value inside of one, that a key refers to and no callsite has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField {
    /// Its name, as in the key.
    pub name: String,
    /// Whether it is a field of spans.
    pub of_span: bool,
    /// Keys of the most similar names.
    pub similar: Vec<String>,
}

/// The kind of thing that keys select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selected {
    /// Events.
    Events,
    /// Events and records of spans.
    Records,
    /// Spans, by their own fields.
    Spans,
}

impl UnknownField {
    /// Returns the fields that keys refer to and that no callsite of the sources has, in the order of the keys. There
    /// are none if the sources have no callsites.
    #[must_use]
    pub fn find<'k>(
        keys: impl IntoIterator<Item = &'k Key>,
        sources: &[Source<'_>],
        selected: Selected,
    ) -> Vec<UnknownField> {
        let search = Search { sources, selected };
        let mut unknown: Vec<UnknownField> = Vec::new();
        if sources.iter().all(|source| source.callsites.iter().next().is_none()) {
            return unknown;
        }
        for key in keys {
            let (name, of_span) = match key {
                Key::Field(name) => (name.as_str(), selected == Selected::Spans),
                key => match key.span_field() {
                    Some(name) => (name, true),
                    None => continue,
                },
            };
            let is_new = unknown.iter().all(|known| (known.name.as_str(), known.of_span) != (name, of_span));
            if is_new && !search.knows(name, of_span) {
                unknown.push(UnknownField { name: name.to_owned(), of_span, similar: search.similar(name, of_span) });
            }
        }
        unknown
    }

    /// Returns a sentence for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let who = if self.of_span { "span" } else { "event" };
        let similar: Vec<_> = self.similar.iter().map(|name| format!("`{}`", escaped(name))).collect();
        let hint = match &*similar {
            [] => String::new(),
            [one] => format!("; similar: {one}"),
            [before @ .., last] => format!("; similar: {} and {last}", before.join(", ")),
        };
        format!("no {who} has a field `{}`{hint}", escaped(&self.name))
    }
}

/// The callsites of some sources, and what is selected of them.
struct Search<'s, 'a> {
    sources: &'s [Source<'a>],
    selected: Selected,
}

impl<'s, 'a> Search<'s, 'a> {
    /// Returns the callsites of spans, or those that a plain key selects.
    fn callsites(&self, of_span: bool) -> impl Iterator<Item = &'s SourceCallsite<'a>> {
        let takes_all = !of_span && self.selected == Selected::Records;
        let all = self.sources.iter().flat_map(|source| source.callsites.iter());
        all.filter(move |callsite| takes_all || callsite.records_spans() == of_span)
    }

    /// Returns whether any callsite has a field that `path` leads to or into.
    fn knows(&self, path: &str, of_span: bool) -> bool {
        self.callsites(of_span).any(|callsite| {
            let Some((index, path)) = callsite.find_field(path) else { return false };
            let field = callsite.fields[index];
            let mut is_found = path.is_empty() || has_elements(field.type_tags, path);
            visit_members(field.name, field.type_tags, &mut |_, member| is_found |= leads_to(member.steps(), path));
            is_found
        })
    }

    /// Returns keys that refer to something similar: the same name among the fields of spans instead of events or the
    /// other way round, or names with a few other letters, or those of which `name` is the end.
    fn similar(&self, name: &str, of_span: bool) -> Vec<String> {
        // Spans that are selected are so by their own fields, without a prefix.
        let are_spans = self.selected == Selected::Spans;
        let prefix = if of_span && !are_spans { "span." } else { "" };
        if !are_spans && self.knows(name, !of_span) {
            return vec![if of_span { name.to_owned() } else { format!("span.{name}") }];
        }
        let fields = self.names(of_span).into_iter().map(|known| (format!("{prefix}{known}"), known));
        let keys = Key::NAMES.into_iter().filter(|_| prefix.is_empty()).map(|key| (key.to_owned(), key.to_owned()));
        let mut similar: Vec<_> =
            fields.chain(keys).filter_map(|(key, known)| Some((distance(name, &known)?, key))).collect();
        similar.sort_unstable();
        similar.dedup();
        let least = similar.first().map(|(distance, _)| *distance);
        similar.retain(|(distance, _)| Some(*distance) == least);
        similar.truncate(SIMILAR_MAX);
        similar.into_iter().map(|(_, key)| key).collect()
    }

    /// Returns the names of the fields and the paths to the values inside of them.
    fn names(&self, of_span: bool) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let mut add = |name: String| {
            if names.len() < NAMES_MAX && name.len() <= NAME_LEN_MAX {
                names.insert(name);
            }
        };
        for callsite in self.callsites(of_span) {
            let values = callsite.fields.iter().enumerate().filter(|(index, _)| callsite.is_value(*index));
            for (_, field) in values {
                add(field.name.to_owned());
                visit_members(field.name, field.type_tags, &mut |_, member| add(name_of(member)));
            }
        }
        names
    }
}

/// Returns the path to a member as a key has it, without the names of variants.
fn name_of(member: &MemberPath<'_>) -> String {
    let mut name = member.field().to_owned();
    for step in member.steps() {
        name.push('.');
        match step.name {
            "" => name.push_str(&step.position.to_string()),
            step => name.push_str(step),
        }
    }
    name
}

/// Returns in how many letters a known name differs from the typed one, whatever their case; 0 if it only has more
/// before it. `None`: they are not similar.
fn distance(typed: &str, known: &str) -> Option<usize> {
    let (typed, known) = (without_indexes(typed).to_lowercase(), known.to_lowercase());
    if known.strip_suffix(&typed).is_some_and(|before| before.ends_with('.')) {
        return Some(0);
    }
    let most = typed.chars().count().div_ceil(4).min(4);
    // A letter has at most 4 bytes.
    let can_be_similar = typed.len() <= NAME_LEN_MAX && known.len().abs_diff(typed.len()) <= 4 * most;
    can_be_similar.then(|| strsim::osa_distance(&known, &typed)).filter(|distance| *distance <= most)
}

/// Returns a path without the indexes of elements: `order.lines.sku` for `order.lines[0].sku`.
fn without_indexes(path: &str) -> String {
    let parts = path.split('[').enumerate();
    parts
        .map(|(index, part)| if index == 0 { part } else { part.split_once(']').map_or(part, |(_, rest)| rest) })
        .collect()
}
