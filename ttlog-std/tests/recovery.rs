//! Rings of killed processes, and their recovery at the next start.
#![cfg(target_os = "linux")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use common::{Place, Snapshot, stderr, warnings};
use ttlog_std::{Recorder, info};

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    let builder = Recorder::builder().service(&case).capacity_bytes(1 << 20).recover_orphans(case != "hands off");
    let recorder = builder.build().unwrap();
    match case.as_str() {
        "worker" => {
            for n in 0..1000_u64 {
                info!("step", n);
            }
            println!("READY");
            loop {
                info!("more");
            }
        }
        "idle" => {
            info!("idle");
            println!("READY");
            // Runs until the test closes the pipe.
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).unwrap();
            info!("still here");
            let snapshot = Snapshot::read(&recorder.request_snapshot("mine").wait().unwrap());
            assert_eq!(snapshot.with_message("still here").len(), 1);
            assert!(recorder.shutdown());
        }
        // Ends once it has searched the directory, because orphans are recovered before the shutdown.
        "next" | "hands off" => {
            std::thread::sleep(std::time::Duration::from_millis(500));
            assert!(recorder.shutdown());
        }
        "exits" => {
            info!("done");
            std::process::exit(0);
        }
        other => panic!("unknown case {other}"),
    }
}

/// Starts a case and waits until it prints that it is ready.
fn start(place: &Place, case: &str) -> Child {
    let mut child = place.child(case).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    // The harness of the child writes the name of its test in the same line.
    assert!(lines.any(|line| line.unwrap().ends_with("READY")));
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn recovered(place: &Place) -> Vec<Snapshot> {
    let is_recovered = |path: &&std::path::PathBuf| path.to_str().unwrap().ends_with("-recovered.bin");
    place.snapshot_files().iter().filter(is_recovered).map(|path| Snapshot::read(path)).collect()
}

#[test]
fn killed_process_is_recovered_by_the_next() {
    let place = Place::new("killed");
    kill(start(&place, "worker"));
    assert_eq!(place.ring_files().len(), 1);
    let output = place.run("next");
    let [snapshot] = &recovered(&place)[..] else { panic!("{}", stderr(&output)) };
    assert_eq!((snapshot.reason.as_str(), snapshot.service.as_str()), ("recovered", "worker"));
    let (steps, more) = (snapshot.with_message("step").len() as u64, snapshot.with_message("more").len());
    assert!(more > 0 || steps > 0);
    if snapshot.overwritten == 0 {
        assert_eq!(steps, 1000);
    }
    assert_eq!(place.ring_files().len(), 0, "the orphan is gone, and the second process ended in good order");
    let [warning] = &warnings(&output)[..] else { panic!("{}", stderr(&output)) };
    assert!(warning.contains("recovered.bin"), "{warning}");
}

#[test]
fn exit_without_shutdown_is_recovered_too() {
    let place = Place::new("exits");
    place.run("exits");
    place.run("next");
    assert_eq!(recovered(&place)[0].with_message("done").len(), 1);
}

#[test]
fn living_process_is_left_alone() {
    let place = Place::new("living");
    let mut living = start(&place, "idle");
    let output = place.run("next");
    assert_eq!(warnings(&output), Vec::<String>::new());
    assert_eq!(recovered(&place).len(), 0);
    assert_eq!(place.ring_files().len(), 1);
    drop(living.stdin.take());
    assert!(living.wait().unwrap().success());
    assert_eq!(place.ring_files().len(), 0);
}

#[test]
fn of_many_starts_at_once_one_recovers() {
    let place = Place::new("race");
    for _ in 0..3 {
        kill(start(&place, "worker"));
    }
    let starters: Vec<_> = (0..6).map(|_| place.child("next").stdout(Stdio::null()).spawn().unwrap()).collect();
    for mut starter in starters {
        assert!(starter.wait().unwrap().success());
    }
    assert_eq!(recovered(&place).len(), 3);
    assert_eq!(place.ring_files().len(), 0);
}

#[test]
fn recovery_can_be_switched_off() {
    let place = Place::new("handsoff");
    kill(start(&place, "worker"));
    place.run("hands off");
    assert_eq!((recovered(&place).len(), place.ring_files().len()), (0, 1));
}

#[test]
fn noise_in_the_directory_harms_nobody() {
    let place = Place::new("noise");
    kill(start(&place, "worker"));
    let rings = place.rings();
    std::fs::write(rings.join("ttlog-empty.ring"), "").unwrap();
    std::fs::write(rings.join("ttlog-noise.ring"), [0x5A; 5000]).unwrap();
    std::fs::write(rings.join("something else"), "not ours").unwrap();
    cut(&place.ring_files().into_iter().find(|path| path.to_str().unwrap().contains("-worker-")).unwrap());
    let output = place.run("next");
    assert_eq!(recovered(&place).len(), 1);
    let warnings = warnings(&output);
    assert_eq!(warnings.len(), 2, "one for all that cannot be read, one for what was recovered: {warnings:?}");
    let left: Vec<_> =
        place.ring_files().iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(left, ["something else", "ttlog-empty.ring.damaged", "ttlog-noise.ring.damaged"]);
}

/// Cuts off the last quarter, as an interrupted copy would.
fn cut(path: &Path) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 4 * 3).unwrap();
}

#[test]
fn ring_stays_until_its_snapshot_is_safe() {
    let place = Place::new("stays");
    kill(start(&place, "worker"));
    std::fs::write(place.snapshots(), "in the way").unwrap();
    let output = place.run("next");
    assert_eq!(place.ring_files().len(), 1);
    assert_eq!(warnings(&output).len(), 1, "{}", stderr(&output));
    std::fs::remove_file(place.snapshots()).unwrap();
    place.run("next");
    assert_eq!((recovered(&place).len(), place.ring_files().len()), (1, 0));
}
