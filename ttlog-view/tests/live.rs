//! Rings that are written, replaced and truncated while the viewer reads them.
#![cfg(unix)]

mod support;

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap};
use ttlog_core::event::{Cons, Nil};
use ttlog_core::{Anchor, Ring, RingConfig, Word, encode_callsite};
use ttlog_read::source::{Input, open, read};

use support::{SECOND, Thread, directory, id, view};

/// Creates a ring in a shared mapping of a new file of `len` bytes. The mapping stays for the life of the test.
fn mapped_ring(path: &std::path::Path, len: usize, segment_len: u32) -> Ring<'static> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).expect("a new file");
    file.set_len(len as u64).expect("room on the disk");
    // SAFETY: nothing else is mapped where the kernel chooses, and the result is checked by `expect`.
    let start = unsafe {
        mmap(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, &file, 0)
            .expect("a mapping")
    };
    // SAFETY: the mapping has `len` bytes, is aligned to a page and never unmapped; a word is 8 bytes of any content,
    // and all access to it is atomic.
    let words: &'static [Word] = unsafe { std::slice::from_raw_parts(start.cast(), len / 8) };
    let config = RingConfig { ring_id: 77, segment_len, table_len: 2048, anchor_count: 4, ..RingConfig::PLAIN };
    let ring = Ring::create(words, &config).expect("the configuration is good");
    ring.write_anchor(Anchor { ticks: 0, unix_ns: support::START });
    ring.write_anchor(Anchor { ticks: SECOND, unix_ns: support::START + SECOND as i64 });
    let mut bytes = [0; 512];
    let types = <Cons<u32, Nil> as ttlog_core::event::Fields>::SPLIT_TYPES;
    let len = encode_callsite(id::TICK, &support::TICK, types, &mut bytes).expect("room enough");
    ring.append_entry(&bytes[..len]).expect("room in the table");
    ring
}

#[test]
fn a_ring_being_written_is_complete_from_where_the_viewer_says() {
    const NAMES: [&str; 3] = ["w1", "w2", "w3"];
    let dir = directory("live");
    let ring = mapped_ring(&dir.join("ring"), 1 << 18, 1024);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (index, name) in NAMES.into_iter().enumerate() {
            let (ring, stop) = (&ring, &stop);
            scope.spawn(move || {
                let thread = Thread::new(index as u32 + 1, name);
                let mut n = 0u32;
                while !stop.load(Ordering::Relaxed) {
                    support::append(ring, &thread, u64::from(n) * 100, id::TICK, Cons(n, Nil));
                    n += 1;
                    // Alternates between slow enough to be read undisturbed and so fast that segments are replaced
                    // while they are read.
                    if n.is_multiple_of(64) && n % 16_384 < 8_192 {
                        std::thread::sleep(std::time::Duration::from_millis(1));
                    }
                }
            });
        }
        let result = std::panic::catch_unwind(|| {
            for _ in 0..40 {
                let run = view(&dir, &["ring", "--time", "ticks"]);
                assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
                check_live(&run.out);
            }
        });
        stop.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Checks that each thread's events are in order, have the ticks they were recorded with, and are complete after the
/// line that says so.
fn check_live(text: &str) {
    let mut complete = !text.contains("──── complete from");
    let mut last: HashMap<&str, u64> = HashMap::new();
    for line in text.lines() {
        if line.starts_with("────") {
            complete = true;
        }
        let Some((head, n)) = line.split_once(" shop::timer: tick  n=") else {
            assert!(!complete || !line.starts_with('…'), "a gap after the line: {line}\n{text}");
            continue;
        };
        let n: u64 = n.parse().expect("a number");
        let mut words = head.split_ascii_whitespace();
        assert_eq!(words.next().and_then(|ticks| ticks.parse().ok()), Some(n * 100), "{line}");
        let name = words.nth(1).expect("a thread");
        if let Some(before) = last.insert(name, n) {
            assert!(before < n, "{line} after {before}");
            assert!(!complete || before + 1 == n, "{line} after {before}");
        }
    }
}

#[test]
fn a_ring_cut_while_it_is_open_is_read_up_to_there() {
    let dir = directory("cut");
    let path = dir.join("ring");
    std::fs::write(&path, support::shop(1).image()).expect("the file can be written");
    let opened = open(&path).expect("it is there");
    let whole = read(&opened).expect("it can be read").data.len();
    for len in [whole - 1, whole / 2, 100, 0] {
        OpenOptions::new().write(true).open(&path).expect("it is there").set_len(len as u64).expect("it can be cut");
        // Through the file opened before, as when it is truncated between opening and reading.
        let data = read(&opened).expect("what is left can be read").data;
        assert_eq!(data.len(), len);
        let input = Input::new("ring".to_owned(), data.into());
        let source = ttlog_read::source::Source::new(&input);
        assert_eq!(source.is_ok(), len > 200);
        assert!(source.is_ok_and(|source| !source.damage.is_empty()) || len <= 200);
    }
}
