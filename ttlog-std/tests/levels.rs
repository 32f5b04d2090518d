//! Filter changes from outside: valid and invalid requests, written into the ring's file while the process runs.
#![cfg(target_os = "linux")]

mod common;

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use common::{Place, Snapshot, wait_until};
use ttlog_core::RingImage;
use ttlog_core::ring::{ControlAnswer, ControlResult};
use ttlog_std::{Recorder, debug, error, info};

/// Returns the path of the file that requests a batch of events from the child, or confirms that it was logged.
fn mark(place: &Path, what: &str, batch: usize) -> PathBuf {
    place.join(format!("{what}-{batch}"))
}

/// Not a test: entry point of the child of the test below.
#[test]
#[ignore = "run by the other test in a child process"]
fn child() {
    if common::case().is_none() {
        return;
    }
    let place = PathBuf::from(std::env::var_os("TTLOG_TEST_PLACE").unwrap());
    let batches: usize = std::env::var("TTLOG_TEST_BATCHES").unwrap().parse().unwrap();
    let recorder = Recorder::builder().filter("info").build().unwrap();
    // Another thread, which takes no part in this.
    std::thread::spawn(|| {
        loop {
            debug!("background");
            std::thread::sleep(std::time::Duration::from_micros(100));
        }
    });
    for batch in 0..batches {
        wait_until("the parent wants a batch", || mark(&place, "wanted", batch).exists());
        debug!(target: "one", "batch", batch, event = "debug one");
        debug!(target: "two::deep", "batch", batch, event = "debug two");
        info!(target: "one", "batch", batch, event = "info one");
        ttlog_core::info!(target: "two", "batch", batch, event = "info two");
        error!("batch", batch, event = "error");
        std::fs::write(mark(&place, "logged", batch), recorder.filter()).unwrap();
    }
    recorder.request_snapshot("levels").wait().unwrap();
}

/// A child that is also ended when an assertion fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Both fail if the child has been waited for, which is the usual case.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes a request and waits for the answer. Returns the answer, and the filter that the ring then reports. `spoil` can
/// change the bytes of the request.
fn ask(ring: &Path, text: &str, spoil: impl Fn(usize, &mut Vec<u8>)) -> (ControlResult, String) {
    let file = std::fs::File::options().read(true).write(true).open(ring).unwrap();
    let bytes = std::fs::read(ring).unwrap();
    let control = RingImage::parse(&bytes).unwrap().control().unwrap();
    let request = control.request(std::process::id(), text).unwrap();
    for (index, (offset, bytes)) in request.writes().into_iter().enumerate() {
        let mut bytes = bytes.to_vec();
        spoil(index, &mut bytes);
        file.write_all_at(&bytes, offset).unwrap();
    }
    let acknowledged = control.acknowledged;
    let mut answer = None;
    wait_until("an answer", || {
        let bytes = std::fs::read(ring).unwrap();
        let control = RingImage::parse(&bytes).unwrap().control().unwrap();
        if control.acknowledged != acknowledged {
            answer = Some((control.result, control.filter.unwrap_or_default().to_owned(), control.answer_to(&request)));
        }
        answer.is_some()
    });
    let (result, filter, seen) = answer.unwrap();
    // A spoiled request differs from the one that was made.
    assert!(seen == ControlAnswer::Answered(result) || seen == ControlAnswer::Replaced, "{seen:?}");
    (result, filter)
}

#[test]
fn requests_from_outside_change_the_filter_or_are_refused() {
    use ControlResult::{BadText, Done, UnknownCommand};
    let long = format!("level info,{}=off", "x".repeat(480));
    // Request, answer, filter afterwards, and events of a batch.
    let steps: [(&str, ControlResult, &str, &[&str]); 8] = [
        ("level debug", Done, "debug", &["debug one", "debug two", "info one", "info two", "error"]),
        ("level loud", BadText, "debug", &["debug one", "debug two", "info one", "info two", "error"]),
        ("dance", UnknownCommand, "debug", &["debug one", "debug two", "info one", "info two", "error"]),
        ("level info,two=debug", Done, "info,two=debug", &["debug two", "info one", "info two", "error"]),
        ("level  warn ", Done, "warn", &["error"]),
        ("level", BadText, "warn", &["error"]),
        (&long, Done, &long[6..], &["info one", "info two", "error"]),
        ("level off,one=info", Done, "off,one=info", &["info one"]),
    ];
    let place = Place::new("levels");
    let mut command = place.child("levels");
    command.env("TTLOG_TEST_PLACE", place.path()).env("TTLOG_TEST_BATCHES", (steps.len() + 2).to_string());
    let mut child = Killed(command.stdout(Stdio::null()).spawn().unwrap());
    let batch = |number: usize| {
        std::fs::write(mark(place.path(), "wanted", number), "").unwrap();
        let logged = mark(place.path(), "logged", number);
        wait_until("a batch", || std::fs::read(&logged).is_ok_and(|text| !text.is_empty()));
        std::fs::read_to_string(logged).unwrap()
    };

    assert_eq!(batch(0), "info");
    let ring = place.ring_files()[0].clone();
    let mut expected = vec![("0".to_owned(), "info one"), ("0".to_owned(), "info two"), ("0".to_owned(), "error")];
    for (index, (text, result, filter, events)) in steps.into_iter().enumerate() {
        assert_eq!(ask(&ring, text, |_, _| {}), (result, filter.to_owned()), "{text}");
        assert_eq!(batch(index + 1), filter, "{text}");
        expected.extend(events.iter().map(|event| ((index + 1).to_string(), *event)));
    }
    // A text with a changed byte is refused, whatever it says.
    let flipped = ask(&ring, "level trace", |write, bytes| {
        if write == 0 {
            bytes[20] ^= 1;
        }
    });
    assert_eq!(flipped, (BadText, "off,one=info".to_owned()));
    assert_eq!(batch(steps.len() + 1), "off,one=info");
    expected.push(((steps.len() + 1).to_string(), "info one"));

    let mut status = None;
    wait_until("the child's end", || {
        status = child.0.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.unwrap().success());
    let snapshot = Snapshot::read(&place.snapshot_files()[0]);
    let events = snapshot.with_message("batch");
    let mut seen: Vec<_> =
        events.iter().map(|event| (event.fields["batch"].clone(), event.fields["event"].as_str())).collect();
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected);
}
