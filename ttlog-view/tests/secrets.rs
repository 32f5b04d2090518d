//! Secrets: not shown, exported, matched by a filter or copied into a snapshot, unless requested.

mod support;

use std::path::Path;

use serde_json::{Value as Json, json};
use ttlog_core::event::{Cons, Field, Literal, Metadata, Nil};
use ttlog_core::ring::RingImage;
use ttlog_core::snapshot::{Codec, Sink, SnapshotMeta, SnapshotOptions, write_snapshot_of_image};
use ttlog_core::{Level, ProcessInfo};

use support::{Recording, SECOND, SHOP, Thread, directory, view, write};

const TOKEN: &str = "T0K3N-T0K3N";
const PASSWORD: &str = "PASSW0RD";
const LITERAL: &str = "L1T3RAL";
const IBAN: &str = "DE75512108001245126199";

static LOGIN: Metadata = Metadata {
    level: Level::Info,
    target: "shop::auth",
    message: "user {user} has {ticket:>20}",
    file: "src/auth.rs",
    line: 7,
    fields: &[
        Field::dynamic("user"),
        Field::dynamic("ticket").secret(),
        Field::dynamic("db.password"),
        Field::literal("pin", Literal::Str(LITERAL)),
        Field::dynamic("iban"),
    ],
};

fn recording() -> Recording {
    // The process is long gone: nobody locks its ring.
    let recording = Recording::of(1, 8, 1024, &ProcessInfo { pid: 4_000_000_000, ..SHOP });
    let fields = |user: u64| Cons(user, Cons(TOKEN, Cons(Some(PASSWORD), Cons(IBAN, Nil))));
    recording.callsite(1, &LOGIN, fields(0));
    let thread = Thread::new(1, "main");
    for user in 1..=3 {
        recording.event(&thread, user * SECOND, 1, fields(user));
    }
    recording
}

struct Bytes(Vec<u8>);

impl Sink for Bytes {
    type Error = std::convert::Infallible;
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Returns a snapshot as written by a recorder.
fn withheld_snapshot(ring: &[u8]) -> Vec<u8> {
    let image = RingImage::parse(ring).expect("a ring");
    let options = SnapshotOptions::new(Codec::None);
    let meta = SnapshotMeta { reason: "manual", created_unix_ns: support::START, ticks: 4 * SECOND };
    let mut sink = Bytes(Vec::new());
    let mut scratch = vec![0; options.scratch_len(1024)];
    write_snapshot_of_image(&image, &meta, options, &mut scratch, &mut sink).expect("nothing can fail");
    sink.0
}

fn holds(text: &[u8], needle: &str) -> bool {
    text.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// Returns everything that the program prints for these arguments.
fn shown(dir: &Path, arguments: &[&str]) -> String {
    let run = view(dir, arguments);
    run.out + &run.err
}

#[test]
fn every_form_of_output() {
    let dir = directory("secrets_output");
    let ring = recording().image();
    write(&dir, "ring", &ring);
    write(&dir, "snapshot.bin", &withheld_snapshot(&ring));
    for file in ["ring", "snapshot.bin"] {
        for arguments in [
            &[file][..],
            &[file, "--verbose"],
            &[file, "--raw", "--quiet"],
            &[file, "--format", "json"],
            &[file, "--format", "ndjson"],
            &[file, "--stats", "--group-by", "ticket,db.password,pin,message"],
            &[file, "--stats", "--group-by", "ticket,pin", "--format", "json"],
            &["verify", file],
        ] {
            let out = shown(&dir, arguments);
            for secret in [TOKEN, PASSWORD, LITERAL, "*****"] {
                assert!(!out.contains(secret), "{secret} for {arguments:?}:\n{out}");
            }
        }
        let text = shown(&dir, &[file, "--quiet", "--time", "ticks"]);
        let expected = "user 2 has <withheld>  db.password=<withheld> pin=<withheld> iban=\"DE75512108001245126199\"";
        assert!(text.contains(expected), "{text}");
        let line = shown(&dir, &[file, "--format", "ndjson", "--head", "1"]);
        let event: Json = serde_json::from_str(&line).expect("JSON");
        let withheld = json!({"withheld": true});
        assert_eq!(
            event["fields"],
            json!({"user": 1, "ticket": withheld, "db.password": withheld, "pin": withheld, "iban": IBAN})
        );
        assert_eq!(event["message"], "user 1 has <withheld>");
        // Additional names, as an option or in the environment.
        let out = shown(&dir, &[file, "--secret-key", "iban", "--secret-key", "user", "--verbose"]);
        assert!(!out.contains(IBAN) && out.contains("user <withheld> has <withheld>"), "{out}");
    }
}

#[test]
fn shown_on_demand_as_far_as_it_is_there() {
    let dir = directory("secrets_shown");
    let recording = recording();
    write(&dir, "ring", &recording.image());
    write(&dir, "open.bin", &recording.snapshot("manual", 4 * SECOND, Codec::Lz4));
    write(&dir, "snapshot.bin", &withheld_snapshot(&recording.image()));
    for file in ["ring", "open.bin"] {
        let out = shown(&dir, &[file, "--show-secrets", "--verbose"]);
        assert!([TOKEN, PASSWORD, LITERAL].iter().all(|secret| out.contains(secret)), "{out}");
        assert!(!out.contains("withheld"), "{out}");
        let out = shown(&dir, &[file]);
        assert!([TOKEN, PASSWORD, LITERAL].iter().all(|secret| !out.contains(secret)), "{out}");
    }
    let open = shown(&dir, &["snapshot.bin", "--show-secrets"]);
    assert_eq!(open, shown(&dir, &["snapshot.bin"]), "what is not there cannot be shown");
}

/// A correct guess gets the same answer as a wrong one.
#[test]
fn filters_tell_nothing() {
    let dir = directory("secrets_filters");
    let ring = recording().image();
    write(&dir, "ring", &ring);
    write(&dir, "snapshot.bin", &withheld_snapshot(&ring));
    let count = |file: &str, filter: &str| {
        let run = view(&dir, &[file, "--format", "ndjson", "--filter", filter]);
        run.out.lines().count()
    };
    for file in ["ring", "snapshot.bin"] {
        for (key, secret) in [("ticket", TOKEN), ("db.password", PASSWORD), ("pin", LITERAL), ("message", TOKEN)] {
            for guess in [secret, &secret[..1], "***********", "", "zzz"] {
                if key == "message" && guess.len() < 3 {
                    continue; // the rest of the message may hold it
                }
                for operator in ["=", "~=", ">", ">=", "<", "<="] {
                    if key == "message" && !matches!(operator, "=" | "~=") {
                        continue;
                    }
                    assert_eq!(count(file, &format!("{key}{operator}{guess}")), 0, "{file}: {key}{operator}{guess}");
                }
                assert_eq!(count(file, &format!("{key}!={guess}")), 3, "{file}: {key}!={guess}");
            }
        }
        assert_eq!(count(file, "user=2"), 1);
        assert_eq!(count(file, &format!("iban={IBAN}")), 3);
    }
    let run = view(&dir, &["ring", "--show-secrets", "--format", "ndjson", "--filter", &format!("ticket={TOKEN}")]);
    assert_eq!(run.out.lines().count(), 3);
}

/// If the table has lost the callsite, or a payload cannot be read, the location of secrets is unknown.
#[test]
fn bytes_that_cannot_be_read() {
    let dir = directory("secrets_damage");
    let mut lost = recording().image();
    let at = lost.windows(10).position(|window| window == b"shop::auth").expect("the callsite");
    lost[at] ^= 4;
    write(&dir, "lost", &lost);
    let recording = Recording::new(1, 8, 1024);
    // The program says one thing and does another.
    recording.callsite(1, &LOGIN, Cons(1_u64, Cons(2_u64, Cons(true, Cons("", Nil)))));
    recording.event(&Thread::new(1, "main"), SECOND, 1, Cons(TOKEN, Cons(PASSWORD, Cons(TOKEN, Nil))));
    write(&dir, "other", &recording.image());
    for (file, what) in [("lost", "is not in the table"), ("other", "payload, offset")] {
        write(&dir, "snapshot.bin", &withheld_snapshot(&std::fs::read(dir.join(file)).expect("just written")));
        let hex = TOKEN.bytes().take(6).map(|byte| format!("{byte:02x}")).collect::<String>();
        for name in [file, "snapshot.bin"] {
            for format in ["text", "ndjson"] {
                let out = shown(&dir, &[name, "--format", format]);
                assert!(!out.contains(TOKEN) && !out.contains(&hex), "{name}: {out}");
                assert!(out.contains("withheld"), "{name}: {out}");
            }
        }
        let out = shown(&dir, &[file, "--show-secrets", "--format", "ndjson"]);
        assert!(out.contains(&hex) && out.contains(what), "{out}");
    }
    // In the snapshot the payload was withheld entirely, which is not damage.
    let run = view(&dir, &["snapshot.bin", "--quiet", "--time", "ticks"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.out.contains("user <withheld> has <withheld>"), "{}", run.out);
    let run = view(&dir, &["snapshot.bin", "--format", "ndjson", "--filter", "user!=1"]);
    assert_eq!(run.out.lines().count(), 1);
    assert_eq!(view(&dir, &["snapshot.bin", "--format", "ndjson", "--filter", "user>0"]).out, "");
}

#[test]
#[cfg(unix)]
fn snapshots_made_by_the_viewer() {
    let dir = directory("secrets_commands");
    for arguments in [&["snapshot", "./rings/a.ring"][..], &["recover", "rings"]] {
        for (options, expected) in
            [(&[][..], [false, false, true]), (&["--secret-key", "iban"], [false; 3]), (&["--show-secrets"], [true; 3])]
        {
            let _ = std::fs::remove_dir_all(dir.join("out")); // of the round before, if there was one
            std::fs::create_dir_all(dir.join("rings")).expect("a directory");
            std::fs::create_dir_all(dir.join("out")).expect("a directory");
            write(&dir.join("rings"), "a.ring", &recording().image());
            let arguments = [arguments, &["--output", "out"], options].concat();
            let run = view(&dir, &arguments);
            assert_eq!(run.code, Some(0), "{arguments:?}: {} {}", run.out, run.err);
            let mut files = std::fs::read_dir(dir.join("out")).expect("the directory");
            let path = files.next().expect("a snapshot").expect("its name").path();
            let bytes = std::fs::read(&path).expect("the snapshot");
            let name = path.to_str().expect("a plain name").to_owned();
            let text = shown(&dir, &[&name, "--show-secrets", "--verbose"]);
            let found = [LITERAL, TOKEN, IBAN].map(|secret| text.contains(secret) || holds(&bytes, secret));
            assert_eq!(found, expected, "{arguments:?}: {text}");
        }
    }
}
