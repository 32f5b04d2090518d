//! Secrets are in the ring, and in no snapshot, however it is made. Also tests events that are left out for their age.
#![cfg(target_os = "linux")]

mod common;

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use common::{Place, Snapshot, finish, stderr};
use ttlog_core::TableItem;
use ttlog_core::snapshot::{SnapshotItem, SnapshotReader, unpack_len};
use ttlog_std::{Recorder, Value, error, info};

/// Secret parts of the values below, which no snapshot may contain.
const NEEDLES: [&str; 6] =
    ["TOKENTOKENTOKEN", "PASSWORDPASSWORD", "LITERALSECRET", "NESTEDSECRET", "DISPLAYSECRET", "PANICSECRET"];
const IBAN: &str = "IBANIBANIBAN";
/// Of a member that only its path makes secret.
const CARD: &str = "CARDCARDCARD";

#[derive(Value)]
struct Order {
    customers: Vec<Customer>,
}

#[derive(Value)]
struct Customer {
    id: u64,
    card: &'static str,
}

fn log() {
    let (user, token) = ("ann", "TOKENTOKENTOKEN");
    info!("login", user, secret token, secret pin = "LITERALSECRET");
    info!("user {user} has {token}", secret token);
    info!("paid", order = Order { customers: vec![Customer { id: 7, card: CARD }] });
    for n in 0..300_u64 {
        info!("request", n, user.password = "PASSWORDPASSWORD".to_owned().as_str(), payer.iban = IBAN);
        info!("items", secret items = &[Some("NESTEDSECRET"), None][..],
            secret text = %format!("DISPLAY{}", "SECRET"), n);
    }
}

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    match case.as_str() {
        "every way" => {
            let recorder = Recorder::builder().service("secrets").build().unwrap();
            log();
            recorder.request_snapshot("asked").wait().unwrap();
            let caught = std::panic::catch_unwind(|| {
                error!("about to", secret reason = "PANICSECRET".to_owned().as_str());
                panic!("on purpose");
            });
            assert!(caught.is_err());
            // The next start recovers this ring.
            std::process::abort();
        }
        "next" => {
            let recorder = Recorder::builder().service("next").build().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(500));
            assert!(recorder.shutdown());
        }
        "min age" => {
            let builder = Recorder::builder().service("age").capacity_bytes(1 << 20).segment_bytes(4096);
            let recorder = builder.min_age(std::time::Duration::from_millis(200)).build().unwrap();
            for n in 0..10_000_u64 {
                info!("old", n);
            }
            error!("old error");
            std::thread::sleep(std::time::Duration::from_millis(600));
            for n in 0..100_u64 {
                info!("new", n);
            }
            recorder.request_snapshot("asked").wait().unwrap();
            assert!(recorder.shutdown());
        }
        other => panic!("unknown case {other}"),
    }
}

/// Returns the unpacked content of a snapshot, and the number of its withheld fields.
fn content(path: &Path) -> (Vec<u8>, usize) {
    let bytes = std::fs::read(path).unwrap();
    let mut all = bytes.clone();
    let mut withheld = 0;
    for item in SnapshotReader::new(&bytes).items() {
        match item {
            SnapshotItem::Segment(packed) => {
                all.extend(packed.unpack(&mut vec![0; unpack_len(65_536)]).unwrap().records);
            }
            SnapshotItem::Entry(entry) => {
                if let TableItem::Callsite(callsite) = TableItem::decode(entry.bytes).unwrap() {
                    withheld += callsite.fields().filter(|field| field.withheld).count();
                }
            }
            _ => {}
        }
    }
    (all, withheld)
}

fn holds(bytes: &[u8], needle: &str) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// Runs the case that takes snapshots in every way, and the start after it, and returns the snapshots.
fn run(place: &Place, set: impl Fn(&mut Command)) -> Vec<std::path::PathBuf> {
    let mut command = place.child("every way");
    set(&mut command);
    let output = finish(command);
    assert!(output.status.signal().is_some(), "{}", stderr(&output));
    let ring = std::fs::read(&place.ring_files()[0]).unwrap();
    assert!(NEEDLES.iter().all(|needle| holds(&ring, needle)), "the ring has everything");
    let mut command = place.child("next");
    set(&mut command);
    assert!(finish(command).status.success());
    let paths = place.snapshot_files();
    for reason in ["-asked.bin", "-panic.bin", "-recovered.bin"] {
        assert!(paths.iter().any(|path| path.to_str().unwrap().ends_with(reason)), "{reason} in {paths:?}");
    }
    paths
}

#[test]
fn no_snapshot_holds_a_secret() {
    let place = Place::new("withheld");
    for path in run(&place, |command| _ = command.env("TTLOG_SECRET_KEYS", "iban,order.customers.card")) {
        let (bytes, withheld) = content(&path);
        for needle in NEEDLES.iter().chain([&IBAN, &CARD]) {
            assert!(!holds(&bytes, needle), "{needle} in {path:?}");
        }
        let panicked = !path.to_str().unwrap().ends_with("-asked.bin");
        assert_eq!(withheld, if panicked { 8 } else { 7 }, "{path:?}");
        let snapshot = Snapshot::read(&path);
        let requests = snapshot.with_message("request");
        assert_eq!(requests.len(), 300);
        assert!(requests.iter().enumerate().all(|(n, event)| event.fields["n"] == n.to_string()), "the rest is there");
        assert_eq!(snapshot.with_message("login")[0].fields["user"], "ann");
        assert_eq!(snapshot.with_message("items").len(), 300);
    }
}

/// The ring itself records which fields are secret, so that programs with other settings withhold the same values.
#[test]
fn names_of_ones_own_are_known_to_who_recovers() {
    let place = Place::new("known");
    let mut command = place.child("every way");
    command.env("TTLOG_SECRET_KEYS", "iban,customers.card");
    assert!(finish(command).status.signal().is_some());
    place.run("next");
    let is_recovered = |path: &&std::path::PathBuf| path.to_str().unwrap().ends_with("-recovered.bin");
    let paths = place.snapshot_files();
    let recovered = paths.iter().find(is_recovered).expect("the next start recovers it");
    assert!(!holds(&content(recovered).0, IBAN) && !holds(&content(recovered).0, CARD));
}

#[test]
fn names_of_ones_own_are_not_known_untold() {
    let place = Place::new("iban");
    let paths = run(&place, |_| {});
    assert!(paths.iter().all(|path| holds(&content(path).0, IBAN) && holds(&content(path).0, CARD)));
    assert!(paths.iter().all(|path| !holds(&content(path).0, "PASSWORDPASSWORD")));
}

#[test]
fn switched_off_on_demand() {
    let place = Place::new("shown");
    for path in run(&place, |command| _ = command.env("TTLOG_WITHHOLD_SECRETS", "off")) {
        let (bytes, withheld) = content(&path);
        assert_eq!(withheld, 0);
        assert!(NEEDLES[..5].iter().all(|needle| holds(&bytes, needle)), "{path:?}");
    }
}

#[test]
fn what_is_older_than_asked_for_is_left_out_and_counted() {
    let place = Place::new("age");
    place.run("min age");
    let path = &place.snapshot_files()[0];
    let bytes = std::fs::read(path).unwrap();
    let (mut lost, mut left_out) = (0, 0);
    for item in SnapshotReader::new(&bytes).items() {
        if let SnapshotItem::Segment(packed) = item {
            lost += packed.lost;
            left_out += u64::from(packed.left_out);
        }
    }
    let snapshot = Snapshot::read(path);
    assert_eq!(snapshot.events.len() as u64 + lost + left_out, 10_101);
    assert!(left_out > 5_000, "{left_out}");
    assert_eq!(snapshot.with_message("new").len(), 100);
    assert_eq!(snapshot.with_message("old error").len(), 1, "warnings and errors stay");
    let told = SnapshotReader::new(&bytes).header().unwrap().left_out.unwrap();
    assert_eq!((told.event_count, told.min_age_ns), (left_out, 200_000_000));
}
