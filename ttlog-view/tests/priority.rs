//! Rings with priority segments for warnings and errors: one timeline, and the losses of each class.

mod support;

use std::cell::Cell;

use serde_json::Value as Json;
use ttlog_core::ring::PriorityCursor;
use ttlog_core::snapshot::Codec;
use ttlog_read::text::number::grouped;

use support::{Recording, SECOND, SHOP, Thread, directory, view, write};

/// Returns a ring with `ticks` events of one thread, an error after each tenth, and `kept` segments for errors.
fn recording(kept: u32, ticks: u32) -> Recording {
    let recording = Recording::on_a_server(5, 8 + kept as usize, kept, 512, &SHOP);
    let (thread, told) = (Thread::new(1, "worker"), Cell::new(0));
    for n in 0..ticks {
        recording.tick(&thread, SECOND + u64::from(n) * 1000, n);
        if n % 10 == 0 {
            recording.priority_refused(&thread, &told, SECOND + u64::from(n) * 1000 + 500, n.into());
        }
    }
    recording
}

/// Returns the order of the events shown: ticks by their number, errors by theirs plus a half.
fn shown(text: &str) -> Vec<f64> {
    let tick = |line: &str| line.split_once("tick  n=")?.1.parse().ok();
    let error = |line: &str| Some(line.split_once(": order ")?.1.split_once(' ')?.0.parse::<f64>().ok()? + 0.5);
    text.lines().filter_map(|line| tick(line).or_else(|| error(line))).collect()
}

#[test]
fn errors_outlive_a_flood_and_stand_where_they_happened() {
    let dir = directory("kept");
    let recording = recording(8, 400);
    write(&dir, "ring", &recording.image());
    write(&dir, "made.bin", &recording.snapshot("manual", 10 * SECOND, Codec::Lz4));
    let loss = recording.ring.loss();
    assert!(loss.overwritten > 100 && loss.priority_overwritten == 0, "{loss:?}");
    for name in ["ring", "made.bin"] {
        let run = view(&dir, &[name]);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
        let events = shown(&run.out);
        assert!(events.is_sorted(), "{events:?}");
        let errors: Vec<_> = events.iter().copied().filter(|n| n.fract() != 0.0).collect();
        assert_eq!(errors, (0..40).map(|n| f64::from(n) * 10.0 + 0.5).collect::<Vec<_>>(), "all are there");
        assert_eq!(events.len() as u64 + loss.overwritten, 440, "each is shown or counted");
        let lines: Vec<_> = run.out.lines().filter(|line| line.starts_with("──── ")).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("──── complete from 2026-01-31 02:59:01.000"), "{lines:?}");
        let why =
            format!(": events below WARN before this line may be missing ({} overwritten)", grouped(loss.overwritten));
        assert!(lines[0].contains(&why), "{lines:?}");
        // From that line on every event is there.
        let after = shown(run.out.split_once("──── ").expect("the line").1);
        let ticks: Vec<_> = after.into_iter().filter(|n| n.fract() == 0.0).collect();
        assert!(ticks.windows(2).all(|pair| pair[0] + 1.0 == pair[1]) && ticks.last() == Some(&399.0), "{ticks:?}");
        assert!(!run.out.contains('…'), "no gap where errors were kept elsewhere: {}", run.out);
        assert_eq!(view(&dir, &["verify", name]).code, Some(0));
    }
    // Segments of both classes that two files hold are shown once.
    let both = view(&dir, &["ring", "made.bin"]);
    assert_eq!(shown(&both.out).len() as u64 + loss.overwritten, 440);
}

#[test]
fn errors_in_a_threads_own_segments_and_in_shared_ones_stand_where_they_happened() {
    let dir = directory("own");
    let recording = Recording::on_a_server(6, 24, 16, 512, &SHOP);
    let (thread, cursor) = (Thread::new(1, "worker"), PriorityCursor::new(0));
    for n in 0..400 {
        recording.tick(&thread, SECOND + u64::from(n) * 1000, n);
        if n % 10 == 0 {
            let is_shared = n % 50 == 0;
            recording.refused_by(&thread, &cursor, is_shared, SECOND + u64::from(n) * 1000 + 500, n.into());
        }
    }
    write(&dir, "ring", &recording.image());
    write(&dir, "made.bin", &recording.snapshot("manual", 10 * SECOND, Codec::Lz4));
    let loss = recording.ring.loss();
    assert!(loss.overwritten > 100 && loss.priority_overwritten == 0, "{loss:?}");
    for name in ["ring", "made.bin"] {
        let run = view(&dir, &[name]);
        let events = shown(&run.out);
        assert!(events.is_sorted(), "{events:?}");
        let errors: Vec<_> = events.iter().copied().filter(|n| n.fract() != 0.0).collect();
        assert_eq!(errors, (0..40).map(|n| f64::from(n) * 10.0 + 0.5).collect::<Vec<_>>(), "all are there");
        assert_eq!(events.len() as u64 + loss.overwritten, 440, "each is shown or counted");
        assert!(!run.out.contains('…'), "no gap: errors have no part in the numbers of the others: {}", run.out);
        assert_eq!(view(&dir, &["verify", name]).code, Some(0));
        // Each error has its own time.
        let json = view(&dir, &[name, "--format", "json", "--level", "error"]).out;
        let times: Vec<_> = json.lines().filter_map(|line| line.split_once("\"time\"")?.1.get(..40)).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    }
}

#[test]
fn both_classes_say_from_when_they_are_complete() {
    let dir = directory("priority_overwritten");
    let recording = recording(2, 2000);
    let loss = recording.ring.loss();
    assert!(loss.priority_overwritten > 50, "{loss:?}");
    write(&dir, "ring", &recording.image());
    write(&dir, "made.bin", &recording.snapshot("manual", 10 * SECOND, Codec::Lz4));
    for name in ["ring", "made.bin"] {
        let run = view(&dir, &[name]);
        let lines: Vec<_> = run.out.lines().filter(|line| line.starts_with("──── ")).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        let kept = format!("some before this line may be missing ({} overwritten)", grouped(loss.priority_overwritten));
        assert!(lines.iter().any(|line| line.contains("warnings and errors complete from") && line.contains(&kept)));
        let main = format!(
            "events below WARN before this line may be missing ({} overwritten)",
            grouped(loss.overwritten - loss.priority_overwritten)
        );
        assert!(lines.iter().any(|line| line.contains(&main)), "{lines:?}");
        let losses = format!(
            "   {} overwritten ({} of them warnings and errors)",
            grouped(loss.overwritten),
            grouped(loss.priority_overwritten)
        );
        assert!(run.out.contains(&losses), "{}", run.out);
        let verify = view(&dir, &["verify", name]).out;
        assert!(
            verify.contains("\n  complete from: ") && verify.contains("\n  warnings and errors complete from: "),
            "{verify}"
        );
        let json = view(&dir, &[name, "--stats", "--format", "json"]).out;
        let json: Json = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["sources"][0]["priority_overwritten"], loss.priority_overwritten);
        assert!(json["sources"][0]["priority_complete_from"].is_string());
    }
}
