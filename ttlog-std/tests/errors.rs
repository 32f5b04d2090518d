//! Errors as fields: those of the libraries that programs use, with their sources, through each way into the ring.
#![cfg(target_os = "linux")]

mod common;

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use common::ring::RingContents;
use common::{Event, Place};
use ttlog_std::{Recorder, info};

/// Not a test: entry point of the children.
#[test]
#[ignore = "run by the other tests in a child process"]
fn child() {
    let Some(case) = common::case() else { return };
    let _recorder = Recorder::builder().build().unwrap();
    match case.as_str() {
        "libraries" => libraries(),
        "standard" => standard(),
        "options" => options(),
        "text" => text(),
        "backtrace" => backtrace(),
        "long" => long(),
        "circular" => info!("error", error = Circular),
        #[cfg(feature = "tracing")]
        "tracing" => through_tracing(),
        #[cfg(feature = "log")]
        "log" => through_log(),
        other => panic!("no case {other}"),
    }
}

fn events_of(case: &str) -> Vec<Event> {
    let place = Place::new(&format!("errors-{case}"));
    place.run(case);
    let ring = RingContents::read(&place.ring_files()[0]);
    assert_eq!(ring.loss.dropped_total(), 0);
    ring.events.into_iter().map(|event| event.event).collect()
}

#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error("no configuration in {path}")]
    Config {
        path: &'static str,
        #[source]
        source: ParseError,
    },
    #[error(transparent)]
    Transparent(#[from] ParseError),
}

#[derive(Debug, thiserror::Error)]
enum ParseError {
    #[error("line {line} is no number")]
    Number { line: u32, source: std::num::ParseIntError },
}

fn parse() -> Result<u16, ParseError> {
    "x".parse().map_err(|source| ParseError::Number { line: 3, source })
}

fn load() -> Result<u16, LoadError> {
    parse().map_err(|source| LoadError::Config { path: "a.toml", source })
}

/// The texts of `load`'s error.
const LOAD: &str = "no configuration in a.toml <- line 3 is no number <- invalid digit found in string";

fn libraries() {
    let anyhow = anyhow::Error::new(load().unwrap_err()).context("cannot start");
    info!("anyhow", anyhow, err = anyhow, named = &anyhow);
    let by_reference = &anyhow;
    info!("by reference", by_reference);
    info!("made of a text", err = anyhow::anyhow!("port {} is taken", 80));
    color_eyre::install().unwrap();
    let eyre = eyre::Report::new(load().unwrap_err()).wrap_err("cannot start");
    info!("eyre", eyre, named = &eyre, again = { eyre.wrap_err("again") });
    info!("thiserror", err = load().unwrap_err(), transparent = LoadError::from(parse().unwrap_err()));
}

#[test]
fn errors_of_libraries_have_their_sources() {
    let events = events_of("libraries");
    let wrapped = format!("error cannot start <- {LOAD}");
    let [anyhow, by_reference, made, eyre, thiserror] = &events[..] else { panic!("{events:#?}") };
    for name in ["anyhow", "err", "named"] {
        assert_eq!(anyhow.value(name), wrapped, "{name}");
    }
    assert_eq!(by_reference.value("by_reference"), wrapped);
    assert_eq!(made.value("err"), "error port 80 is taken");
    assert_eq!((eyre.value("eyre"), eyre.value("named")), (&*wrapped, &*wrapped));
    assert_eq!(eyre.value("again"), format!("error again <- cannot start <- {LOAD}"));
    assert_eq!(thiserror.value("err"), format!("error {LOAD}"));
    // Its own text and sources are those of the error in it.
    assert_eq!(thiserror.value("transparent"), "error line 3 is no number <- invalid digit found in string");
}

fn standard() {
    let boxed: Box<dyn Error> = load().unwrap_err().into();
    let shared: Arc<dyn Error> = Arc::new(load().unwrap_err());
    let counted: Rc<dyn Error> = Rc::new(load().unwrap_err());
    let of_thread: Box<dyn Error + Send> = Box::new(load().unwrap_err());
    let of_all: Box<dyn Error + Send + Sync> = Box::new(load().unwrap_err());
    let strange: Box<dyn Error + Send + std::panic::UnwindSafe> = Box::new(fmt::Error);
    info!("boxed", boxed, shared, counted, of_thread, of_all, strange, named = &boxed, inner = *boxed, r = &*shared);
    let cell = RefCell::new(load().unwrap_err());
    info!("guard", err = cell.borrow());
    let io = std::io::Error::other(load().unwrap_err());
    // The text is that of the error inside, which is not a source of its own.
    info!("io", io, os = std::io::Error::from_raw_os_error(2));
}

#[test]
fn errors_of_the_standard_library_have_their_sources() {
    let events = events_of("standard");
    let [boxed, guard, io] = &events[..] else { panic!("{events:#?}") };
    let expected = format!("error {LOAD}");
    for name in ["boxed", "shared", "counted", "of_thread", "of_all", "named", "inner", "r"] {
        assert_eq!(boxed.value(name), expected, "{name}");
    }
    assert!(boxed.value("strange").starts_with("error an error occurred when formatting"), "{boxed:?}");
    assert_eq!(guard.value("err"), expected);
    assert_eq!(io.value("io"), expected);
    assert_eq!(io.value("os"), "error No such file or directory (os error 2)");
}

fn options() {
    let (failed, fine): (Result<u16, LoadError>, Result<u16, LoadError>) = (load(), Ok(1));
    info!("done", failed = failed.as_ref().err(), fine = fine.as_ref().err(), owned = fine.err());
    let failed: anyhow::Result<u16> = load().map_err(Into::into);
    info!("done", failed = failed.as_ref().err(), owned = failed.err());
    info!("done", failed = load().err(), boxed = load().map_err(Box::<dyn Error>::from).err());
}

#[test]
fn options_of_errors_are_none_or_the_error() {
    let events = events_of("options");
    let [own, anyhow, owned] = &events[..] else { panic!("{events:#?}") };
    let expected = format!("error {LOAD}");
    assert_eq!((own.value("failed"), own.value("fine"), own.value("owned")), (&*expected, "None", "None"));
    assert_eq!((anyhow.value("failed"), anyhow.value("owned")), (&*expected, &*expected));
    assert_eq!((owned.value("failed"), owned.value("boxed")), (&*expected, &*expected));
}

fn text() {
    let err = anyhow::Error::new(load().unwrap_err()).context("cannot start");
    info!("shown", %err, alternate = format_args!("{err:#}").to_string());
    info!("failed: {err}");
    info!("failed: {err:?}");
}

#[test]
fn percent_and_templates_are_the_text_of_display() {
    let events = events_of("text");
    let [shown, template, debug] = &events[..] else { panic!("{events:#?}") };
    assert_eq!(shown.value("err"), "display cannot start");
    assert_eq!(template.value("err"), "display cannot start");
    // Longer, and thus cut, if the environment asks for backtraces.
    let text = debug.value("err");
    assert!(text.starts_with("debug ") && text.contains("cannot start\n\nCaused by:"), "{debug:?}");
}

fn backtrace() {
    let err = anyhow::Error::new(load().unwrap_err());
    assert_eq!(err.backtrace().status(), std::backtrace::BacktraceStatus::Captured);
    info!("failed", err);
}

#[test]
fn backtraces_of_errors_are_not_recorded() {
    let place = Place::new("errors-backtrace");
    let mut child = place.child("backtrace");
    let output = common::finish({
        child.env("RUST_BACKTRACE", "1");
        child
    });
    assert!(output.status.success(), "{}", common::stderr(&output));
    let events = RingContents::read(&place.ring_files()[0]).events;
    assert_eq!(events[0].event.value("err"), format!("error {LOAD}"));
}

/// A long error with many sources.
#[derive(Debug)]
struct Long {
    len: usize,
    source: Option<Box<Long>>,
}

impl fmt::Display for Long {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&"ä".repeat(self.len))?;
        f.write_str("end")
    }
}

impl Error for Long {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

/// Its own source.
#[derive(Debug)]
struct Circular;

impl fmt::Display for Circular {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("round")
    }
}

impl Error for Circular {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self)
    }
}

fn chain_of(lens: &[usize]) -> Long {
    let (&len, rest) = lens.split_first().unwrap();
    Long { len, source: (!rest.is_empty()).then(|| Box::new(chain_of(rest))) }
}

fn long() {
    info!("first is long", err = chain_of(&[5000, 2, 1]));
    info!("many", err = chain_of(&[0; 20]));
    info!("all are long", err = chain_of(&[5000; 8]), after = 1_u8);
}

#[test]
fn long_errors_leave_room_for_their_sources() {
    let events = events_of("long");
    let [first, many, all] = &events[..] else { panic!("{events:#?}") };
    let texts: Vec<_> = first.value("err").strip_prefix("error ").unwrap().split(" <- ").collect();
    assert_eq!(texts[1..], ["ääend", "äend"]);
    assert!(texts[0].len() > 500 && texts[0].chars().all(|letter| letter == 'ä'), "{texts:?}");
    assert_eq!(many.value("err"), format!("error of 20 {}", ["end"; 8].join(" <- ")));
    let texts: Vec<_> = all.value("err").strip_prefix("error ").unwrap().split(" <- ").collect();
    assert!(texts.len() == 8 && texts.iter().all(|text| text.len() >= 60), "{texts:?}");
    assert_eq!(all.value("after"), "u64 1");
}

#[test]
fn circular_chains_end() {
    assert_eq!(events_of("circular")[0].value("error"), format!("error of 1000 {}", ["round"; 8].join(" <- ")));
}

#[cfg(feature = "tracing")]
fn through_tracing() {
    use tracing_subscriber::prelude::*;
    tracing_subscriber::registry().with(ttlog_std::tracing::layer()).init();
    let err = load().unwrap_err();
    tracing::info!(error = &err as &dyn Error, "own");
    tracing::info!(error = &err as &(dyn Error + Send + Sync), "of all threads");
    let err = anyhow::Error::new(err).context("cannot start");
    tracing::info!(error = AsRef::<dyn Error>::as_ref(&err), "anyhow");
    tracing::info!(error = %err, "shown");
    let err = eyre::Report::new(load().unwrap_err()).wrap_err("cannot start");
    tracing::info!(error = AsRef::<dyn Error>::as_ref(&err), "eyre");
    tracing::info!(error = &chain_of(&[50_000, 20]) as &dyn Error, after = 1, "long");
    tracing::info!(error = &Circular as &dyn Error, "circular");
}

#[cfg(feature = "tracing")]
#[test]
fn errors_of_tracing_have_their_sources() {
    let events = events_of("tracing");
    let error_of = |message: &str| {
        let is_it = |event: &&Event| event.value("message").ends_with(message);
        events.iter().find(is_it).unwrap_or_else(|| panic!("{message} in {events:#?}")).value("error")
    };
    let (own, wrapped) = (format!("error {LOAD}"), format!("error cannot start <- {LOAD}"));
    assert_eq!((error_of("own"), error_of("of all threads")), (&*own, &*own));
    assert_eq!((error_of("anyhow"), error_of("eyre")), (&*wrapped, &*wrapped));
    // `tracing` hands over what `%` shows as `Debug`.
    assert_eq!(error_of("shown"), "debug cannot start");
    let source = format!(" <- {}end", "ä".repeat(20));
    assert!(error_of("long").len() > 4000 && error_of("long").ends_with(&source), "{}", error_of("long"));
    assert_eq!(error_of("circular"), format!("error of 1000 {}", ["round"; 8].join(" <- ")));
}

#[cfg(feature = "log")]
fn through_log() {
    ttlog_std::log::logger().install().unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let err = load().unwrap_err();
    log::info!(error:err = err; "own");
    let err = anyhow::Error::new(err).context("cannot start");
    log::info!(error = log::kv::Value::from_dyn_error(err.as_ref()); "anyhow");
    log::info!(error:% = err; "shown");
    let err = eyre::Report::new(load().unwrap_err()).wrap_err("cannot start");
    log::info!(error = log::kv::Value::from_dyn_error(err.as_ref()); "eyre");
}

#[cfg(feature = "log")]
#[test]
fn errors_of_log_have_their_sources() {
    let events = events_of("log");
    let (own, wrapped) = (format!("error {LOAD}"), format!("error cannot start <- {LOAD}"));
    let errors: Vec<_> = events.iter().map(|event| event.value("error")).collect();
    assert_eq!(errors, [&*own, &*wrapped, "display cannot start", &*wrapped]);
}
