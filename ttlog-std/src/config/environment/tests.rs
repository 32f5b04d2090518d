//! Every variable with valid and invalid values, and the table of the documentation.

use std::convert::Infallible;

use super::*;
use std::time::Duration;

fn applied(name: &str, value: &str) -> Result<Settings, BadVariable> {
    let mut settings = Settings::default();
    let variable = VARIABLES.iter().find(|variable| variable.name == name).unwrap();
    variable.apply(&mut settings, variable.name, value.into())?;
    Ok(settings)
}

/// A value for each variable, and the resulting settings.
const GOOD: &[(&str, &str, &str)] = &[
    ("TTLOG_SERVICE", "shop", "service: Some(\"shop\")"),
    ("TTLOG_CAPACITY_BYTES", "65536", "capacity_bytes: Some(65536)"),
    ("TTLOG_CAPACITY_BYTES", "64K", "capacity_bytes: Some(65536)"),
    ("TTLOG_CAPACITY_BYTES", " 32m ", "capacity_bytes: Some(33554432)"),
    ("TTLOG_CAPACITY_BYTES", "1 G", "capacity_bytes: Some(1073741824)"),
    ("TTLOG_CHILD_CAPACITY_BYTES", "256K", "child_capacity_bytes: Some(262144)"),
    ("TTLOG_CHILDREN_BYTES", "0", "children_bytes: Some(0)"),
    ("TTLOG_PRIORITY_BYTES", "0", "priority_bytes: Some(0)"),
    ("TTLOG_SEGMENT_BYTES", "4K", "segment_bytes: Some(4096)"),
    ("TTLOG_TABLE_BYTES", "64M", "table_bytes: Some(67108864)"),
    ("TTLOG_CHANNEL_CAPACITY", "1", "channel_capacity: 1"),
    ("TTLOG_DIR", "/a b", "directory: Some(\"/a b\")"),
    ("TTLOG_SNAPSHOT_DIR", "relative", "snapshot_directory: Some(\"relative\")"),
    ("TTLOG_FILTER", "Warn,a::b=off", "filter: \"Warn,a::b=off\""),
    ("TTLOG_COARSE_CLOCK", "on", "coarse_clock: true"),
    ("TTLOG_THREAD_RENAMES", "off", "thread_renames: false"),
    ("TTLOG_PANIC_HOOK", "off", "panic_hook: false"),
    ("TTLOG_PANIC_BACKTRACE", "OFF", "panic_backtrace: false"),
    ("TTLOG_RECOVER_ORPHANS", "off", "recover_orphans: false"),
    ("TTLOG_FAULT_HANDLER", "off", "fault_handler: false"),
    ("TTLOG_FATAL_SIGNALS", "faults", "fatal_signals: Faults"),
    ("TTLOG_RING_FILE", "none", "ring_file: None"),
    ("TTLOG_MIN_AGE", "250ms", "min_age: Some(250ms)"),
    ("TTLOG_SNAPSHOT_EVERY", "5m", "snapshot_every: Some(300s)"),
    ("TTLOG_SNAPSHOT_ON_LEVEL", "error", "snapshot_on_level: Some(Error)"),
    ("TTLOG_SNAPSHOT_ON_SIGNAL", "on", "snapshot_on_signal: Some(Usr1)"),
    ("TTLOG_SNAPSHOT_ON_SIGNAL", "usr2", "snapshot_on_signal: Some(Usr2)"),
    ("TTLOG_SNAPSHOT_WHEN_FILLED", "80%", "snapshot_when_filled: Some(0.8)"),
    ("TTLOG_SNAPSHOT_THROTTLE", "none", "snapshot_throttle: 0ns"),
    ("TTLOG_SNAPSHOT_THROTTLE", "1h", "snapshot_throttle: 3600s"),
    ("TTLOG_RETAIN_COUNT", "5", "retain_count: 5"),
    ("TTLOG_RETAIN_BYTES", "10G", "retain_bytes: 10737418240"),
    ("TTLOG_RETAIN_AGE", "7d", "retain_age: Some(604800s)"),
    ("TTLOG_RETAIN_FREE_PERCENT", "20", "retain_free_percent: 20"),
    ("TTLOG_SECRET_KEYS", "iban, tax_id,,", "secret_keys: [\"iban\", \"tax_id\"]"),
    ("TTLOG_WITHHOLD_SECRETS", "off", "withhold_secrets: false"),
];

#[test]
fn good_values_are_taken_over() {
    for (name, value, shown) in GOOD {
        let settings = format!("{:?}", applied(name, value).unwrap());
        assert!(settings.contains(shown), "{name}={value}: {settings}");
        assert!(!format!("{:?}", Settings::default()).contains(shown), "{name}: {shown} is the default");
    }
    for variable in VARIABLES {
        assert!(GOOD.iter().any(|(name, ..)| *name == variable.name), "{} is not tested", variable.name);
    }
}

#[test]
fn values_that_make_no_sense_are_refused_and_change_nothing() {
    let before = format!("{:?}", Settings::default());
    let bad: &[(&str, &[&str])] = &[
        (
            "TTLOG_CAPACITY_BYTES",
            &["16", "2G", "-1", "+64K", "64KB", "K", "18446744073709551615G", "1e6", "0x10000", "64K x"],
        ),
        ("TTLOG_CHILD_CAPACITY_BYTES", &["0", "2G"]),
        ("TTLOG_CHILDREN_BYTES", &["-1", "16E"]),
        ("TTLOG_PRIORITY_BYTES", &["-1", "1G", "none"]),
        ("TTLOG_SEGMENT_BYTES", &["511", "65537"]),
        ("TTLOG_TABLE_BYTES", &["4095", "64M1"]),
        ("TTLOG_CHANNEL_CAPACITY", &["0", "1048577", "ten"]),
        ("TTLOG_FILTER", &["loud", "3", "info,", "a=info,b"]),
        ("TTLOG_COARSE_CLOCK", &["coarse", "1"]),
        ("TTLOG_PANIC_HOOK", &["1", "true", "yes"]),
        ("TTLOG_FATAL_SIGNALS", &["on", "fault"]),
        ("TTLOG_RING_FILE", &["off"]),
        ("TTLOG_MIN_AGE", &["10", "0s", "99ms", "367d", "1w", "s", "1.5s", "99999999999999999999s"]),
        ("TTLOG_SNAPSHOT_ON_LEVEL", &["info", "4"]),
        ("TTLOG_SNAPSHOT_ON_SIGNAL", &["SIGUSR1", "10"]),
        ("TTLOG_SNAPSHOT_WHEN_FILLED", &["9%", "101%", "0.8", "%", "80 %%"]),
        ("TTLOG_SNAPSHOT_THROTTLE", &["1", "367d"]),
        ("TTLOG_RETAIN_COUNT", &["0", "", "99999999999999999999"]),
        ("TTLOG_RETAIN_BYTES", &["1T"]),
        ("TTLOG_RETAIN_FREE_PERCENT", &["91%", "256"]),
        ("TTLOG_WITHHOLD_SECRETS", &["no"]),
    ];
    for (name, values) in bad {
        for value in *values {
            let variable = VARIABLES.iter().find(|variable| variable.name == *name).unwrap();
            let mut settings = Settings::default();
            let error = variable.apply(&mut settings, variable.name, (*value).into()).unwrap_err();
            assert_eq!(format!("{settings:?}"), before, "{name}={value}");
            let told = error.to_string();
            assert!(told.contains(&format!("{name}={value:?}")) && told.contains(variable.expected), "{told}");
        }
    }
}

#[test]
fn place_of_a_bad_directive_is_told() {
    let told = applied("TTLOG_FILTER", "info,a=loud").unwrap_err().to_string();
    assert!(told.contains("(offset 7: unknown level"), "{told}");
}

#[test]
fn none_takes_back_what_the_program_asked_for() {
    let mut settings = Settings {
        min_age: Some(Duration::from_secs(1)),
        snapshot_every: Some(Duration::from_secs(1)),
        snapshot_on_level: Some(Level::Warn),
        snapshot_on_signal: Some(SnapshotSignal::Usr1),
        snapshot_when_filled: Some(0.5),
        retain_age: Some(Duration::from_secs(1)),
        ..Settings::default()
    };
    let optional = |name: &str| VARIABLES.iter().any(|v| v.name == name && v.expected.ends_with("or `none`"));
    let read = |name: &str| optional(name).then(|| "none".into());
    apply(&mut settings, read, Err::<(), _>).unwrap();
    settings.snapshot_throttle = Settings::default().snapshot_throttle;
    settings.ring_file = Settings::default().ring_file;
    assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()));
}

#[test]
fn text_that_is_not_utf8() {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt as _;
        let value = || OsString::from_vec(vec![b'/', 0xFF]);
        let read = |_: &str| Some(value());
        let (mut settings, mut bad) = (Settings::default(), Vec::new());
        let Ok(()) = apply(&mut settings, read, |error| {
            bad.push(error.variable);
            Ok::<(), Infallible>(())
        });
        assert_eq!(settings.directory.unwrap().into_os_string(), value());
        assert_eq!(bad.len(), VARIABLES.len() - 2, "all but the two directories: {bad:?}");
    }
}

#[test]
fn empty_counts_as_not_set() {
    let mut settings = Settings::default();
    apply(&mut settings, |_| Some(OsString::new()), Err::<(), _>).unwrap();
    assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()));
    assert_eq!(is_switched_off(|_| Some(OsString::new())), Ok(false));
}

#[test]
fn switch() {
    let with = |value: &'static str| is_switched_off(move |name| (name == "TTLOG").then(|| value.into()));
    assert_eq!(is_switched_off(|_| None), Ok(false));
    assert_eq!(with("off"), Ok(true));
    assert_eq!(with("On"), Ok(false));
    let error = with("0").unwrap_err().to_string();
    assert_eq!(error, "environment variable TTLOG=\"0\": expected `off` or `on`");
}

#[test]
fn misspelled_names() {
    let names = [
        "TTLOG_CAPCITY_BYTES",
        "TTLOG_LEVELS",
        "TTLOG_FILTRE",
        "TTLOG_SNAPSHOT_DIR",
        "TTLOG",
        "TTLOGS",
        "TTLOG_TEST_CASE",
        "PATH",
        "TTLOG_KILLS",
        "",
    ];
    let found = misspelled(names.iter().map(OsString::from));
    let expected = [
        ("TTLOG_CAPCITY_BYTES", "TTLOG_CAPACITY_BYTES"),
        ("TTLOG_LEVELS", "TTLOG_LEVEL"),
        ("TTLOG_FILTRE", "TTLOG_FILTER"),
    ];
    assert_eq!(found, expected.map(|(name, meant)| (name.to_owned(), meant)));
    assert_eq!((distance("", "abc"), distance("abc", "abc"), distance("kitten", "sitting")), (3, 0, 3));
}

#[test]
fn names_that_leave_out_words() {
    let words = |name: &str| misspelled([OsString::from(name)].into_iter()).pop().map(|(_, meant)| meant);
    for (name, meant) in [
        ("TTLOG_CAPACITY", "TTLOG_CAPACITY_BYTES"),
        ("TTLOG_SEGMENT", "TTLOG_SEGMENT_BYTES"),
        ("TTLOG_TABLE", "TTLOG_TABLE_BYTES"),
        ("TTLOG_CLOCK", "TTLOG_COARSE_CLOCK"),
        ("TTLOG_RECOVER", "TTLOG_RECOVER_ORPHANS"),
        ("TTLOG_RETAIN_FREE", "TTLOG_RETAIN_FREE_PERCENT"),
    ] {
        assert_eq!(words(name), Some(meant), "{name}");
    }
    for name in ["TTLOG_", "TTLOG_BENCH_DISK", "TTLOG_BYT", "TTLOG_CAPACITY_BYTES", "TTLOG_SKIP_FILE"] {
        assert_eq!(words(name), None, "{name}");
    }
}

#[test]
fn names_follow_from_the_options() {
    for Variable { name, option, .. } in VARIABLES {
        let derived = format!("TTLOG_{}", option.to_uppercase());
        let is_older = ["TTLOG_DIR", "TTLOG_SNAPSHOT_DIR", "TTLOG_PRIORITY_BYTES"].contains(name);
        assert!(is_older || *name == derived, "{name} of {option}");
    }
}

#[test]
fn filter_has_two_names_that_must_agree() {
    let with = |own: &'static str, other: &'static str| {
        let read = move |name: &str| match name {
            "TTLOG_FILTER" => Some(own.into()),
            "TTLOG_LEVEL" => Some(other.into()),
            _ => None,
        };
        let mut settings = Settings::default();
        apply(&mut settings, read, Err::<(), _>).map(|()| settings.filter).map_err(|error| error.to_string())
    };
    assert_eq!(with("", "warn"), Ok("warn".to_owned()));
    assert_eq!(with("warn", ""), Ok("warn".to_owned()));
    assert_eq!(with("warn", "warn"), Ok("warn".to_owned()));
    let told = with("info", "warn").unwrap_err();
    let expected = "TTLOG_LEVEL=\"warn\": expected the value of TTLOG_FILTER, its other name, which is \"info\"";
    assert_eq!(told, format!("environment variable {expected}"));
    assert!(with("", "loud").unwrap_err().contains("TTLOG_LEVEL=\"loud\""));
}

#[test]
fn documentation_has_this_table() {
    let mut table = String::from("| option | variable | value | default |\n| --- | --- | --- | --- |\n");
    for Variable { name, option, expected, default, .. } in VARIABLES {
        table.push_str(&format!("| [`{option}`](crate::Builder::{option}) | `{name}` | {expected} | {default} |\n"));
    }
    let chapter = include_str!("../../../docs/configuration.md");
    assert!(chapter.contains(&table), "the table in docs/configuration.md should be\n{table}");
}
