//! Writes the seeds of `snapshot_reader`, `ring_recovery`, `device_boot`, `frames` and `span_fold`: a small ring with a
//! few callsites, events of several kinds and a shared segment, and its snapshots; the memory of a device after a few
//! sessions, and frames of it. Run `cargo run --example seeds` in ttlog-core/fuzz; the files are committed.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use ttlog_core::device::frame::{FRAME_LEN_MAX, Frame, FrameKind, LINE_LEN_MAX};
use ttlog_core::device::{DeviceClock, DeviceRecorder, SessionStart};
use ttlog_core::event::{Cons, Field, Nil};
use ttlog_core::ring::{Cursor, EndKind, ProcessEnd};
use ttlog_core::snapshot::{Codec, Sink, SnapshotMeta, scratch_len, write_snapshot_of_ring};
use ttlog_core::{
    Anchor, AnyFields, ContextInfo, DropReason, Fields, Level, Metadata, ProcessInfo, Ring, RingConfig, Value, Word,
    encode_callsite, encode_process,
};

const TRIED: Metadata = Metadata {
    level: Level::Info,
    target: "seed",
    message: "user {name} took {ms:.1} ms",
    file: "seeds.rs",
    line: 9,
    fields: &[Field::dynamic("name"), Field::dynamic("ms"), Field::dynamic("tries")],
};
const NOTE: Metadata = Metadata { level: Level::Warn, message: "", fields: &[], ..TRIED };

struct Bytes(Vec<u8>);

impl Sink for Bytes {
    type Error = std::convert::Infallible;
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn fields<'a>(name: &'a str, ms: f64, tries: &'a Option<u64>) -> impl Fields + 'a {
    Cons(name.native(), Cons(ms, Cons(tries.native(), Nil)))
}

const SHORT: RingConfig = RingConfig {
    ring_id: 0x0123_4567_89ab_cdef,
    segment_len: 256,
    table_len: 512,
    anchor_count: 2,
    ..RingConfig::PLAIN
};
const LONG: RingConfig = RingConfig { priority_segment_count: 2, control: true, ..SHORT };

/// Returns a ring after `events` events.
fn ring<'m>(words: &'m [Word], config: &RingConfig, events: u64) -> Ring<'m> {
    let ring = Ring::create(words, config).expect("room for a ring");
    let mut entry = [0; 256];
    let process =
        ProcessInfo { service: "seed", pid: 7, ticks_per_second: 1_000, clock: "made-up", ..ProcessInfo::default() };
    let len = encode_process(&process, &mut entry).expect("room");
    ring.append_entry(&entry[..len]).expect("room");
    let tries = Some(3);
    for (id, metadata, types) in [(1, &TRIED, fields("", 0.0, &tries).types()), (2, &NOTE, Nil.types())] {
        let len = encode_callsite(id, metadata, types, &mut entry).expect("room");
        ring.append_entry(&entry[..len]).expect("room");
    }
    ring.write_anchor(Anchor { ticks: 100, unix_ns: 1_700_000_000_000_000_000 });
    let (cursor, told) = (Cursor::new(), Cell::new(0));
    let who = ContextInfo { context: 1, os_thread_id: 77, next_index: 0, name: "main" };
    for event in 0..events {
        let ticks = 100 + event * 10 + if event > 12 { 1 << 34 } else { 0 };
        let name = ["ann", "bob", "a name of more than eight bytes"][event as usize % 3];
        let tries = (event % 2 == 0).then_some(event << (event % 60));
        let fields = fields(name, event as f64 / 4.0, &tries);
        match event % 5 {
            4 => ring.append_shared(ticks, 2, 1, &fields, DropReason::NoSegment),
            2 => ring.append_priority(ticks, &who, Some(&told), 1, &fields, DropReason::NoSegment),
            3 => cursor.append_slow(&ring, &|| ticks, &who, 2, &Nil),
            _ => cursor.append_slow(&ring, &|| ticks, &who, 1, &fields),
        };
    }
    ring.set_filter_text("info,seed=debug");
    ring.count_panic(4_000, 77);
    ring.stamp_end(&ProcessEnd { signal: 11, code: 1, ticks: 4_500, ..ProcessEnd::of(EndKind::Signal) });
    ring.write_anchor(Anchor { ticks: 5_000, unix_ns: 1_700_000_005_000_000_000 });
    ring
}

fn main() -> std::io::Result<()> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let write = |target: &str, name: &str, first: u8, bytes: &[u8]| {
        fs::create_dir_all(seeds.join(target))?;
        fs::write(seeds.join(target).join(name), [&[first], bytes].concat())
    };
    for (name, config, events) in [
        ("empty", SHORT, 0),
        ("one", SHORT, 1),
        ("some", SHORT, 12),
        ("wrapped", SHORT, 60),
        ("long", LONG, 12),
        ("long-wrapped", LONG, 60),
    ] {
        let words: Vec<Word> = (0..(config.overhead_len() + 5 * 256) / 8).map(|_| Word::new(0)).collect();
        let ring = ring(&words, &config, events);
        let mut image = vec![0; ring.len_bytes()];
        ring.copy_image(&mut image);
        write("ring_recovery", name, 0, &image)?;
        write("ring_recovery", &format!("{name}-mended"), 15, &image)?;
        let meta = SnapshotMeta { reason: "seed", created_unix_ns: 1_700_000_006_000_000_000, ticks: 6_000 };
        for (codec_name, codec) in [("none", Codec::None), ("lz4", Codec::Lz4)] {
            let mut out = Bytes(Vec::new());
            let mut scratch = vec![0; scratch_len(256)];
            write_snapshot_of_ring(ring, &meta, codec, &mut scratch, &mut out).expect("nothing can fail here");
            write("snapshot_reader", &format!("{name}-{codec_name}"), 0, &out.0)?;
            write("snapshot_reader", &format!("{name}-{codec_name}-mended"), 1, &out.0)?;
        }
    }
    for (name, sessions) in [("device", 1), ("device-reset", 3), ("device-wrapped", 8)] {
        let image = device(sessions);
        write("ring_recovery", name, 0, &image)?;
        write("ring_recovery", &format!("{name}-mended"), 31, &image)?;
        write("device_boot", name, 0, &image)?;
        write("device_boot", &format!("{name}-mended"), 31, &image)?;
        let mut frames = Vec::new();
        for (number, data) in image.chunks(160).enumerate() {
            let offset = number as u32 * 160;
            let frame = Frame { kind: FrameKind::Ring, dump: 1, number: number as u16, offset, data };
            frames.extend_from_slice(frame.encode(&mut [0; FRAME_LEN_MAX]));
            frames.extend_from_slice(frame.encode_line(&mut [0; LINE_LEN_MAX]));
            frames.push(b'\n');
        }
        write("frames", name, 0, &frames)?;
    }
    for (seed, len) in [(1, 400), (2, 1200), (3, 2400)] {
        fs::create_dir_all(seeds.join("span_fold"))?;
        fs::write(seeds.join("span_fold").join(format!("random-{seed}")), random(seed, len))?;
    }
    Ok(())
}

/// Returns bytes that look random, the same for each seed: any bytes are records of spans to `span_fold`.
fn random(seed: u64, len: usize) -> Vec<u8> {
    let next = |last: &u64| last.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let numbers = std::iter::successors(Some(next(&seed)), |last| Some(next(last)));
    numbers.map(|number| (number >> 33) as u8).take(len).collect()
}

/// Returns the memory of a device after `sessions` sessions, with a record that a reset cut off.
fn device(sessions: u8) -> Vec<u8> {
    let config = RingConfig { ring_id: 9, segment_len: 256, session_count: 2, ..RingConfig::PLAIN };
    let words: &'static [Word] = Vec::leak((0..DEVICE_LEN / 8).map(|_| Word::new(0)).collect());
    for boot in 1..=sessions {
        let recorder = DeviceRecorder::new();
        let clock = DeviceClock::new(|| 1_000, Some(|| 1_000), 32_768);
        let session = SessionStart { clock, build_id: [boot; 20], reset_reason: 4, embedded_metadata: false };
        recorder.start(words, &config, &session).expect("started once").expect("it fits");
        for n in 0..12_u64 {
            recorder.append_words(3, &[n][..(n % 2) as usize]);
            recorder.append_any(1, &fields("a name of more than eight bytes", 0.25, &Some(n)));
        }
        // The first record of the ring is a reservation that was cut off.
        words[config.overhead_len() / 8 + 6].store(0xFFFF | 1 << 16);
    }
    words.iter().flat_map(|word| word.load().to_le_bytes()).collect()
}

/// Length in bytes of the memory that `device_boot` boots.
const DEVICE_LEN: usize = 2048;
