//! Tests of the meaning and the errors of directives, and of random ones against a naive model.

use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use super::*;

fn filter(text: &str) -> Filter<'_> {
    Filter::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// Returns the lowest level that is on for a target; `None` if none is.
fn lowest(text: &str, target: &str) -> Option<Level> {
    let filter = filter(text);
    let lowest = Level::ALL.into_iter().find(|level| filter.is_on(*level, target));
    for level in Level::ALL {
        assert_eq!(
            filter.is_on(level, target),
            lowest.is_some_and(|lowest| level >= lowest),
            "{text} {target} {level}"
        );
    }
    lowest
}

#[test]
fn every_level_alone() {
    for level in Level::ALL {
        assert_eq!(lowest(level.as_str(), "any::target"), Some(level));
        assert_eq!(lowest(&level.as_str().to_ascii_lowercase(), ""), Some(level));
        assert_eq!(filter(level.as_str()).default_level(), Some(level));
    }
    assert_eq!(lowest("OFF", "any"), None);
    assert_eq!(filter("off").default_level(), None);
}

#[test]
fn target_and_what_is_below_it() {
    let text = "info,my_crate::net=debug,other=off";
    for (target, expected) in [
        ("my_crate::net", Some(Level::Debug)),
        ("my_crate::net::tcp", Some(Level::Debug)),
        ("my_crate::network", Some(Level::Info)),
        ("my_crate::net:", Some(Level::Info)),
        ("my_crate", Some(Level::Info)),
        ("my_crate::", Some(Level::Info)),
        ("x::my_crate::net", Some(Level::Info)),
        ("other", None),
        ("other::deep", None),
        ("others", Some(Level::Info)),
        ("", Some(Level::Info)),
    ] {
        assert_eq!(lowest(text, target), expected, "{target}");
    }
}

#[test]
fn packages_are_named_as_cargo_spells_them() {
    let text = "warn,my-crate=debug,my-crate::net-io=trace";
    for (target, expected) in [
        ("my_crate", Level::Debug),
        ("my_crate::disk", Level::Debug),
        ("my_crate::net_io::tcp", Level::Trace),
        ("my-crate", Level::Debug),
        ("my_crates", Level::Warn),
        ("my::crate", Level::Warn),
        ("mycrate", Level::Warn),
        ("my_", Level::Warn),
    ] {
        assert_eq!(lowest(text, target), Some(expected), "{target}");
    }
    // An underscore is not a dash.
    assert_eq!(lowest("warn,my_crate=debug", "my-crate"), Some(Level::Warn));
    // If both are named, each target follows its own spelling, whichever is last.
    for text in ["my-crate=info,my_crate=off", "my_crate=off,my-crate=info"] {
        assert_eq!(lowest(text, "my_crate::net"), None, "{text}");
        assert_eq!(lowest(text, "my-crate::net"), Some(Level::Info), "{text}");
    }
    assert_eq!(lowest("my-crate=info,my_crate=off,my-crate=warn", "my-crate"), Some(Level::Warn));
}

#[test]
fn longest_target_wins_wherever_it_stands() {
    for text in [
        "a=off,a::b=info,a::b::c=trace,warn",
        "warn,a::b::c=trace,a::b=info,a=off",
        "a::b=info,warn,a::b::c=trace,a=off",
    ] {
        assert_eq!(lowest(text, "a"), None);
        assert_eq!(lowest(text, "a::x"), None);
        assert_eq!(lowest(text, "a::b"), Some(Level::Info));
        assert_eq!(lowest(text, "a::b::x"), Some(Level::Info));
        assert_eq!(lowest(text, "a::b::c::d"), Some(Level::Trace));
        assert_eq!(lowest(text, "b"), Some(Level::Warn));
    }
}

#[test]
fn later_wins_a_tie() {
    assert_eq!(lowest("info,debug", "a"), Some(Level::Debug));
    assert_eq!(filter("info,x=off,warn").default_level(), Some(Level::Warn));
    assert_eq!(lowest("a=info,a=off", "a"), None);
    assert_eq!(lowest("a=off,off,a=info", "a"), Some(Level::Info));
}

#[test]
fn rest_is_recorded_without_a_bare_level() {
    assert_eq!(lowest("other=off", "mine"), Some(Level::Trace));
    assert_eq!(filter("other=off").default_level(), Some(Level::Trace));
}

#[test]
fn blanks_do_not_matter() {
    assert_eq!(lowest(" info , my crate = debug ", "my crate"), Some(Level::Debug));
    assert_eq!(lowest(" info , my crate = debug ", "my"), Some(Level::Info));
}

#[test]
fn targets_may_be_any_text() {
    assert_eq!(lowest("a=b=warn", "a=b"), Some(Level::Warn));
    assert_eq!(lowest("größe=warn", "größe::x"), Some(Level::Warn));
    assert_eq!(lowest("größe=warn", "gr"), Some(Level::Trace));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    use FilterErrorKind::{NoDirective, NoTarget, TooLong, UnknownLevel};
    let long = "x".repeat(FILTER_LEN_MAX + 1);
    for (text, offset, kind) in [
        ("", 0, NoDirective),
        ("   ", 3, NoDirective),
        ("info,", 5, NoDirective),
        (",info", 0, NoDirective),
        ("info,,warn", 5, NoDirective),
        ("loud", 0, UnknownLevel),
        ("info,  loud", 7, UnknownLevel),
        ("info,a=", 7, UnknownLevel),
        ("info,a= loud", 8, UnknownLevel),
        ("größe=loud", 8, UnknownLevel),
        ("info,my_crate", 5, UnknownLevel),
        ("a=3", 2, UnknownLevel),
        ("=info", 0, NoTarget),
        ("warn, =info", 6, NoTarget),
        ("=", 0, NoTarget),
        (&long, FILTER_LEN_MAX, TooLong),
    ] {
        assert_eq!(Filter::parse(text), Err(FilterError { offset, kind }), "{text:?}");
    }
    let told = Filter::parse("info,a=loud").unwrap_err().to_string();
    assert!(told.starts_with("offset 7: unknown level, expected one of trace, debug"), "{told}");
}

#[test]
fn longest_text() {
    let text = format!("{}=off", "x".repeat(FILTER_LEN_MAX - 4));
    assert_eq!(lowest(&text, &"x".repeat(FILTER_LEN_MAX - 4)), None);
}

#[test]
fn what_is_no_directive_is_passed_over_when_evaluated() {
    let garbled = Filter::trusted("in,=,a=off,,b=loud,warn");
    assert!(!garbled.is_on(Level::Error, "a"));
    assert!(garbled.is_on(Level::Warn, "b") && !garbled.is_on(Level::Info, "b"));
}

/// Model: directives as lists of parts and thresholds, where the winner is found by comparing parts.
fn model(directives: &[(Vec<&str>, u8)], target: &str) -> u8 {
    let parts: Vec<&str> = target.split("::").collect();
    let (mut longest, mut threshold) = (0, 1);
    for (prefix, level) in directives {
        if parts.starts_with(prefix) && prefix.len() >= longest {
            (longest, threshold) = (prefix.len(), *level);
        }
    }
    threshold
}

#[test]
#[cfg_attr(miri, ignore = "safe code, and slow there")]
fn random_directives_against_a_model() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    const NAMES: [&str; 4] = ["a", "ab", "b", "a_b"];
    const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "off"];
    let path = |random: &mut fastrand::Rng, min: usize| -> Vec<&'static str> {
        (0..random.usize(min..4)).map(|_| NAMES[random.usize(..4)]).collect()
    };
    for _ in 0..20_000 {
        let directives: Vec<(Vec<&str>, u8)> =
            (0..random.usize(1..6)).map(|_| (path(&mut random, 0), random.u8(1..7))).collect();
        let texts: Vec<String> = directives
            .iter()
            .map(|(target, level)| match &target[..] {
                [] => LEVELS[*level as usize - 1].to_string(),
                parts => format!("{}={}", parts.join("::"), LEVELS[*level as usize - 1]),
            })
            .collect();
        let text = texts.join(",");
        for _ in 0..4 {
            let target = path(&mut random, 1).join("::");
            let expected = model(&directives, &target);
            for level in Level::ALL {
                let is_on = filter(&text).is_on(level, &target);
                assert_eq!(is_on, level as u8 >= expected, "seed {seed}: {text} {target} {level}");
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "safe code, and slow there")]
fn any_text_is_refused_or_evaluated_without_a_panic() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let pieces = ["info", "off", "=", ",", "::", " ", "ü", "\u{0}", "a"];
    for _ in 0..20_000 {
        let text: String = (0..random.usize(0..12)).map(|_| pieces[random.usize(..pieces.len())]).collect();
        if let Err(error) = Filter::parse(&text) {
            assert!(error.offset <= text.len() && text.is_char_boundary(error.offset), "seed {seed}: {text:?} {error}");
        }
        let _ = Filter::trusted(&text).is_on(Level::Info, "a::ü"); // tests that this ends
    }
}

#[test]
fn lowest_level_of_any_target() {
    for (text, expected) in [
        ("info", Some(Level::Info)),
        ("off", None),
        ("info,a=debug,b=off", Some(Level::Debug)),
        ("off,a=error,b=warn", Some(Level::Warn)),
        // Targets that no directive covers are recorded.
        ("a=error", Some(Level::Trace)),
        // The last of the same target counts, for the rest too.
        ("trace,warn", Some(Level::Warn)),
        ("off,a=off", None),
    ] {
        assert_eq!(filter(text).lowest_level(), expected, "{text}");
    }
}
