//! Environment variables: one for every option, so that a program is configured without a rebuild.
//!
//! [`VARIABLES`] is the only list: each variable's name, its possible values, and the option it sets. A test ensures
//! that the table in the crate's documentation matches it.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use ttlog_core::{Filter, Level};

use super::error::BadVariable;
use super::settings::{
    CAPACITY_BYTES_MAX, CAPACITY_BYTES_MIN, CHANNEL_CAPACITY_MAX, CHILDREN_BYTES_MAX, FILLED_MAX, FILLED_MIN,
    FREE_PERCENT_MAX, FatalSignals, INTERVAL_MAX, RingFileChoice, SEGMENT_BYTES_MIN, Settings, SnapshotSignal,
    TABLE_BYTES_MAX, TABLE_BYTES_MIN,
};
use super::value::{bytes, interval, number, on_off, or_none, percent, put, size, time, word};

/// The variable that turns the recorder off entirely.
pub(crate) const SWITCH: &str = "TTLOG";
/// Values of [`SWITCH`].
const SWITCH_EXPECTED: &str = "`off` or `on`";

/// Variables that have another name.
const OTHER_NAMES: [(&str, &str); 2] =
    [("TTLOG_FILTER", "TTLOG_LEVEL"), ("TTLOG_CHILD_CAPACITY_BYTES", "TTLOG_CHILD_CAPACITY")];

/// An environment variable that sets an option: `TTLOG_` and the name of the option in capitals, except for the two
/// directories.
#[cfg_attr(not(test), allow(dead_code, reason = "some of it is for the table in the documentation alone"))]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: &'static str,
    /// The method of the builder.
    pub(crate) option: &'static str,
    /// Its possible values, as worded in the error and the documentation.
    pub(crate) expected: &'static str,
    /// Its default value.
    pub(crate) default: &'static str,
    set: Set,
}

/// Applies its value to the settings; returns `None` if the value is invalid, and then nothing was changed.
enum Set {
    Text(fn(&mut Settings, &str) -> Option<()>),
    Path(fn(&mut Settings, PathBuf)),
    Filter,
}

/// All variables, in the order of the documentation.
pub(crate) const VARIABLES: &[Variable] = &[
    Variable {
        name: "TTLOG_SERVICE",
        option: "service",
        expected: "any text",
        default: "the executable's name",
        set: Set::Text(|s, text| {
            s.service = Some(text.to_owned());
            Some(())
        }),
    },
    Variable {
        name: "TTLOG_CAPACITY_BYTES",
        option: "capacity_bytes",
        expected: "bytes, 16K to 1G",
        default: "16M, or less where there is little memory",
        set: Set::Text(|s, text| {
            put(&mut s.capacity_bytes, size(text, CAPACITY_BYTES_MIN, CAPACITY_BYTES_MAX).map(Some))
        }),
    },
    Variable {
        name: "TTLOG_CHILD_CAPACITY_BYTES",
        option: "child_capacity_bytes",
        expected: "bytes, 16K to 1G",
        default: "that of the parent, or less where there is little memory",
        set: Set::Text(|s, text| {
            put(&mut s.child_capacity_bytes, size(text, CAPACITY_BYTES_MIN, CAPACITY_BYTES_MAX).map(Some))
        }),
    },
    Variable {
        name: "TTLOG_CHILDREN_BYTES",
        option: "children_bytes",
        expected: "bytes, 0 or more",
        default: "a 16th of the memory and a quarter of the file system",
        set: Set::Text(|s, text| put(&mut s.children_bytes, size(text, 0, CHILDREN_BYTES_MAX).map(Some))),
    },
    Variable {
        name: "TTLOG_PRIORITY_BYTES",
        option: "priority_bytes",
        expected: "bytes, 0 to half of the capacity",
        default: "an eighth of the capacity",
        set: Set::Text(|s, text| put(&mut s.priority_bytes, size(text, 0, CAPACITY_BYTES_MAX / 2).map(Some))),
    },
    Variable {
        name: "TTLOG_SEGMENT_BYTES",
        option: "segment_bytes",
        expected: "bytes, 512 to 64K and at most a quarter of the capacity",
        default: "a 256th of the capacity, 4K to 64K",
        set: Set::Text(|s, text| put(&mut s.segment_bytes, size(text, SEGMENT_BYTES_MIN, 65_536).map(Some))),
    },
    Variable {
        name: "TTLOG_TABLE_BYTES",
        option: "table_bytes",
        expected: "bytes, 4K to 64M",
        default: "a 16th of the capacity, 64K to 4M",
        set: Set::Text(|s, text| put(&mut s.table_bytes, size(text, TABLE_BYTES_MIN, TABLE_BYTES_MAX).map(Some))),
    },
    Variable {
        name: "TTLOG_CHANNEL_CAPACITY",
        option: "channel_capacity",
        expected: "a number, 1 to 1048576",
        default: "64",
        set: Set::Text(|s, text| put(&mut s.channel_capacity, number(text, 1, CHANNEL_CAPACITY_MAX))),
    },
    Variable {
        name: "TTLOG_DIR",
        option: "directory",
        expected: "a directory",
        default: "`/dev/shm/ttlog-<uid>`, else `ttlog-<uid>` in the temp directory",
        set: Set::Path(|s, path| s.directory = Some(path)),
    },
    Variable {
        name: "TTLOG_SNAPSHOT_DIR",
        option: "snapshot_directory",
        expected: "a directory",
        default: "the temp directory",
        set: Set::Path(|s, path| s.snapshot_directory = Some(path)),
    },
    Variable {
        name: "TTLOG_FILTER",
        option: "filter",
        expected: "directives such as `info,my_crate::net=debug,other=off`",
        default: "`trace`: everything",
        set: Set::Filter,
    },
    Variable {
        name: "TTLOG_COARSE_CLOCK",
        option: "coarse_clock",
        expected: ON_OFF,
        default: "`off`",
        set: Set::Text(|s, text| put(&mut s.coarse_clock, on_off(text))),
    },
    Variable {
        name: "TTLOG_THREAD_RENAMES",
        option: "thread_renames",
        expected: ON_OFF,
        default: "`on`",
        set: Set::Text(|s, text| put(&mut s.thread_renames, on_off(text))),
    },
    Variable {
        name: "TTLOG_PANIC_HOOK",
        option: "panic_hook",
        expected: ON_OFF,
        default: "`on`",
        set: Set::Text(|s, text| put(&mut s.panic_hook, on_off(text))),
    },
    Variable {
        name: "TTLOG_PANIC_BACKTRACE",
        option: "panic_backtrace",
        expected: ON_OFF,
        default: "`on`",
        set: Set::Text(|s, text| put(&mut s.panic_backtrace, on_off(text))),
    },
    Variable {
        name: "TTLOG_RECOVER_ORPHANS",
        option: "recover_orphans",
        expected: ON_OFF,
        default: "`on`",
        set: Set::Text(|s, text| put(&mut s.recover_orphans, on_off(text))),
    },
    Variable {
        name: "TTLOG_FAULT_HANDLER",
        option: "fault_handler",
        expected: ON_OFF,
        default: "`on`",
        set: Set::Text(|s, text| put(&mut s.fault_handler, on_off(text))),
    },
    Variable {
        name: "TTLOG_FATAL_SIGNALS",
        option: "fatal_signals",
        expected: "`off`, `faults` or `all`",
        default: "`all`",
        set: Set::Text(|s, text| {
            let choices = [("off", FatalSignals::Off), ("faults", FatalSignals::Faults), ("all", FatalSignals::All)];
            put(&mut s.fatal_signals, word(text, &choices))
        }),
    },
    Variable {
        name: "TTLOG_RING_FILE",
        option: "ring_file",
        expected: "`preferred`, `required` or `none`",
        default: "`preferred`",
        set: Set::Text(|s, text| {
            let choices = [
                ("preferred", RingFileChoice::Preferred),
                ("required", RingFileChoice::Required),
                ("none", RingFileChoice::None),
            ];
            put(&mut s.ring_file, word(text, &choices))
        }),
    },
    Variable {
        name: "TTLOG_MIN_AGE",
        option: "min_age",
        expected: INTERVAL_OR_NONE,
        default: "`none`",
        set: Set::Text(|s, text| put(&mut s.min_age, or_none(text, interval))),
    },
    Variable {
        name: "TTLOG_SNAPSHOT_EVERY",
        option: "snapshot_every",
        expected: INTERVAL_OR_NONE,
        default: "`none`",
        set: Set::Text(|s, text| put(&mut s.snapshot_every, or_none(text, interval))),
    },
    Variable {
        name: "TTLOG_SNAPSHOT_ON_LEVEL",
        option: "snapshot_on_level",
        expected: "`warn`, `error` or `none`",
        default: "`none`",
        set: Set::Text(|s, text| {
            let choices = [("warn", Some(Level::Warn)), ("error", Some(Level::Error)), ("none", None)];
            put(&mut s.snapshot_on_level, word(text, &choices))
        }),
    },
    Variable {
        name: "TTLOG_SNAPSHOT_ON_SIGNAL",
        option: "snapshot_on_signal",
        expected: "`on` (which is `usr1`), `usr1`, `usr2` or `none`",
        default: "`none`",
        set: Set::Text(|s, text| {
            let choices = [
                ("on", Some(SnapshotSignal::default())),
                ("usr1", Some(SnapshotSignal::Usr1)),
                ("usr2", Some(SnapshotSignal::Usr2)),
                ("none", None),
            ];
            put(&mut s.snapshot_on_signal, word(text, &choices))
        }),
    },
    Variable {
        name: "TTLOG_SNAPSHOT_WHEN_FILLED",
        option: "snapshot_when_filled",
        expected: "a share of the ring, `10%` to `100%`, or `none`",
        default: "`none`",
        set: Set::Text(|s, text| {
            let share = |text: &str| {
                let share = f64::from(percent(text)?) / 100.0;
                (FILLED_MIN..=FILLED_MAX).contains(&share).then_some(share)
            };
            put(&mut s.snapshot_when_filled, or_none(text, share))
        }),
    },
    Variable {
        name: "TTLOG_SNAPSHOT_THROTTLE",
        option: "snapshot_throttle",
        expected: "a time such as `250ms`, `10s`, `5m` or `1h`, at most 366 days, or `none`",
        default: "`1s`",
        set: Set::Text(|s, text| {
            let throttle = or_none(text, |text| time(text).filter(|time| *time <= INTERVAL_MAX));
            put(&mut s.snapshot_throttle, throttle.map(Option::unwrap_or_default))
        }),
    },
    Variable {
        name: "TTLOG_RETAIN_COUNT",
        option: "retain_count",
        expected: "a number, 1 or more",
        default: "32",
        set: Set::Text(|s, text| put(&mut s.retain_count, number(text, 1, usize::MAX))),
    },
    Variable {
        name: "TTLOG_RETAIN_BYTES",
        option: "retain_bytes",
        expected: "bytes, such as 100000, 64K, 16M or 1G",
        default: "1G",
        set: Set::Text(|s, text| put(&mut s.retain_bytes, bytes(text))),
    },
    Variable {
        name: "TTLOG_RETAIN_AGE",
        option: "retain_age",
        expected: INTERVAL_OR_NONE,
        default: "`none`",
        set: Set::Text(|s, text| put(&mut s.retain_age, or_none(text, interval))),
    },
    Variable {
        name: "TTLOG_RETAIN_FREE_PERCENT",
        option: "retain_free_percent",
        expected: "a share of the disk, `0%` to `90%`",
        default: "`15%`",
        set: Set::Text(|s, text| {
            put(&mut s.retain_free_percent, percent(text).filter(|percent| *percent <= FREE_PERCENT_MAX))
        }),
    },
    Variable {
        name: "TTLOG_SECRET_KEYS",
        option: "secret_keys",
        expected: "names, separated by commas",
        default: "none but the built-in ones",
        set: Set::Text(|s, text| {
            let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty());
            s.secret_keys.extend(keys.map(str::to_owned));
            Some(())
        }),
    },
    Variable {
        name: "TTLOG_WITHHOLD_SECRETS",
        option: "withhold_secrets",
        expected: ON_OFF,
        default: "`on`",
        set: Set::Text(|s, text| put(&mut s.withhold_secrets, on_off(text))),
    },
];

const ON_OFF: &str = "`on` or `off`";
const INTERVAL_OR_NONE: &str = "a time such as `250ms`, `10s`, `5m` or `1h`, 100 ms to 366 days, or `none`";

impl Variable {
    /// Returns the name under which it is set, and its value. An empty value counts as unset.
    ///
    /// # Errors
    /// [`BadVariable`] if it is set under two names to different values.
    fn read(&self, read: impl Fn(&str) -> Option<OsString>) -> Result<Option<(&'static str, OsString)>, BadVariable> {
        let set = |name| read(name).filter(|value| !value.is_empty()).map(|value| (name, value));
        let own = set(self.name);
        let other = OTHER_NAMES.into_iter().find(|(name, _)| *name == self.name).and_then(|(_, other)| set(other));
        match (own, other) {
            (Some((_, own)), Some((name, other))) if own != other => {
                let own = own.to_string_lossy();
                Err(bad(name, &other, format!("the value of {}, its other name, which is {own:?}", self.name)))
            }
            (own, other) => Ok(own.or(other)),
        }
    }

    /// Applies the value that it has under `name`.
    ///
    /// # Errors
    /// [`BadVariable`]; then nothing was changed.
    fn apply(&self, settings: &mut Settings, name: &'static str, value: OsString) -> Result<(), BadVariable> {
        let text = || value.to_str().map(str::trim);
        let taken = match self.set {
            Set::Path(set) => {
                set(settings, PathBuf::from(&value));
                Some(())
            }
            Set::Text(set) => text().and_then(|text| set(settings, text)),
            Set::Filter => match text().map(|text| (text, Filter::parse(text))) {
                Some((_, Err(error))) => {
                    return Err(bad(name, &value, format!("{} ({error})", self.expected)));
                }
                Some((text, Ok(_))) => {
                    text.clone_into(&mut settings.filter);
                    Some(())
                }
                None => None,
            },
        };
        taken.ok_or_else(|| bad(name, &value, self.expected))
    }
}

fn bad(variable: &'static str, value: &OsStr, expected: impl Into<String>) -> BadVariable {
    BadVariable { variable, value: value.to_string_lossy().into_owned(), expected: expected.into() }
}

/// Applies all variables that are set; an empty one counts as unset. `read` returns the value of a variable. `on_bad`
/// is called for each invalid one, and can stop with an error.
///
/// # Errors
/// The error of `on_bad`.
pub(crate) fn apply<E>(
    settings: &mut Settings,
    read: impl Fn(&str) -> Option<OsString>,
    mut on_bad: impl FnMut(BadVariable) -> Result<(), E>,
) -> Result<(), E> {
    for variable in VARIABLES {
        let applied = match variable.read(&read) {
            Ok(None) => continue,
            Ok(Some((name, value))) => variable.apply(settings, name, value),
            Err(error) => Err(error),
        };
        if let Err(error) = applied {
            on_bad(error)?;
        }
    }
    Ok(())
}

/// Returns whether the recorder is turned off.
///
/// # Errors
/// [`BadVariable`] if the variable is neither on nor off.
pub(crate) fn is_switched_off(read: impl Fn(&str) -> Option<OsString>) -> Result<bool, BadVariable> {
    let Some(value) = read(SWITCH).filter(|value| !value.is_empty()) else { return Ok(false) };
    let is_on = value.to_str().and_then(|text| on_off(text.trim()));
    is_on.map(|is_on| !is_on).ok_or_else(|| bad(SWITCH, &value, SWITCH_EXPECTED))
}

/// Returns unknown names that are probably misspelled variables, each with the variable that was meant.
pub(crate) fn misspelled(names: impl Iterator<Item = OsString>) -> Vec<(String, &'static str)> {
    let pair = |name: OsString| {
        let name = name.into_string().ok()?;
        let our = meant(&name)?;
        Some((name, our))
    };
    names.filter_map(pair).collect()
}

/// Returns the variable that is meant by an unknown name: one from which it differs by a letter or two, or by words
/// missing at its end or beginning.
fn meant(name: &str) -> Option<&'static str> {
    let others = OTHER_NAMES.map(|(_, other)| other);
    let ours = || VARIABLES.iter().map(|variable| variable.name).chain([SWITCH]).chain(others);
    let words = name.strip_prefix("TTLOG_").filter(|words| !words.is_empty())?;
    let (distance, nearest) = ours().map(|our| (distance(name, our), our)).min()?;
    if distance <= TYPOS_MAX {
        return (distance > 0).then_some(nearest);
    }
    let lacks_end = |our: &&str| our.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'));
    let lacks_beginning = |our: &&str| our.strip_suffix(words).is_some_and(|rest| rest.ends_with('_'));
    ours().find(lacks_end).or_else(|| ours().find(lacks_beginning))
}

/// Largest edit distance, in letters, between a name and the variable it is taken for.
const TYPOS_MAX: usize = 2;

/// Returns the edit distance of two texts, in letters changed, added or removed.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
