//! Runs the program on a recording: warnings and errors are printed with their fields, and a missing file is reported.

use std::path::Path;
use std::process::{Command, Output};

use ttlog_core::event::{Cons, Field, Fields, Metadata, Nil};
use ttlog_core::ring::Cursor;
use ttlog_core::{Anchor, ContextInfo, Level, Ring, RingConfig, Word, encode_callsite};

static STARTED: Metadata =
    Metadata { level: Level::Info, target: "shop", message: "started", file: "main.rs", line: 1, fields: &[] };
static SLOW: Metadata = Metadata {
    level: Level::Warn,
    target: "shop",
    message: "request {id} was slow",
    file: "main.rs",
    line: 2,
    fields: &[Field::dynamic("id"), Field::dynamic("took_ms")],
};

fn know<F: Fields>(ring: &Ring<'static>, id: u16, metadata: &Metadata, _fields: F) {
    let mut room = [0; 512];
    let len = encode_callsite(id, metadata, F::SPLIT_TYPES, &mut room).expect("room enough");
    ring.append_entry(&room[..len]).expect("room in the table");
}

/// Returns the bytes of a ring with one event of each callsite.
fn ring() -> Vec<u8> {
    let config = RingConfig { ring_id: 7, segment_len: 512, table_len: 1024, anchor_count: 4, ..RingConfig::PLAIN };
    let len = config.overhead_len() + 2 * 512;
    let words: &'static [Word] = Vec::leak((0..len / 8).map(|_| Word::new(0)).collect());
    let ring = Ring::create(words, &config).expect("the configuration is good");
    ring.write_anchor(Anchor { ticks: 0, unix_ns: 1_769_828_340_000_000_000 });
    let slow = Cons(17_u64, Cons(250_u32, Nil));
    know(&ring, 1, &STARTED, Nil);
    know(&ring, 2, &SLOW, slow);
    let (cursor, who) = (Cursor::new(), ContextInfo { context: 1, os_thread_id: 1, next_index: 0, name: "main" });
    cursor.append_slow(&ring, &|| 1, &who, 1, &Nil);
    cursor.append_slow(&ring, &|| 2, &who, 2, &slow);
    let mut bytes = vec![0; ring.len_bytes()];
    ring.copy_image(&mut bytes);
    bytes
}

fn run(argument: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ttlog-filereader")).arg(argument).output().expect("the program runs")
}

#[test]
fn warnings_come_out_with_their_fields() {
    let path = std::env::temp_dir().join(format!("ttlog-filereader-{}.ring", std::process::id()));
    std::fs::write(&path, ring()).expect("the file can be written");
    let output = run(&path);
    let _ = std::fs::remove_file(&path); // a leftover in the temporary directory is harmless
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "WARN request 17 was slow\n  id = 17\n  took_ms = 250\n");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = run(Path::new("/no/such/file.bin"));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("/no/such/file.bin: "), "{output:?}");
    assert!(output.stdout.is_empty());
}
