//! Time from a full ring to a file on disk.

use std::io::Write as _;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use ttlog_core::RingImage;
use ttlog_core::snapshot::{Codec, Sink, SnapshotMeta, scratch_len, write_snapshot_of_image};

use crate::error::{Result, ensure};
use crate::harness::child;
use crate::harness::child::arguments;
use crate::harness::recorder::{MeasuredRecorder, Setup};
use crate::harness::report;
use crate::harness::stats::{median, rounded};
use crate::measure::memory::{FILL, check_snapshot, different_inputs, log_different};
use crate::workload::inputs::Texts;

/// Target, in milliseconds.
const REACH_MS: f64 = 50.0;

/// The report: medians over the rounds, in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SnapshotLine {
    /// From the request of the snapshot until its file is durable.
    pub total_ms: f64,
    /// Encoding and compressing the same ring into memory.
    pub encode_ms: f64,
    /// Writing the same bytes to another file and making it durable.
    pub write_ms: f64,
    /// The slowest total.
    pub total_max_ms: f64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Events in it.
    pub events: u64,
    /// Rounds.
    pub rounds: u64,
}

/// Measures in a process of its own, and prints.
///
/// # Errors
/// If something cannot be measured, or a snapshot does not hold what it should.
pub fn run(rounds: u64, json: bool) -> Result<()> {
    let line: SnapshotLine = child::run(&arguments!["snapshot-case", "--rounds", rounds])?;
    if json {
        return report::json(&line);
    }
    let ms = |value: f64| format!("{value:.1}");
    report::table(
        &["16 MiB ring to file, ms", "total", "slowest", "encode", "write+fsync", "file bytes", "events"],
        &[vec![
            format!("median of {rounds}"),
            ms(line.total_ms),
            ms(line.total_max_ms),
            ms(line.encode_ms),
            ms(line.write_ms),
            report::grouped(line.file_bytes),
            report::grouped(line.events),
        ]],
    );
    println!("target: {REACH_MS} ms, {}", report::verdict(line.total_ms <= REACH_MS));
    Ok(())
}

/// Measures in this process, with a recorder of its own.
///
/// # Errors
/// If a snapshot cannot be written or does not hold what it should.
pub fn measure(rounds: u64) -> Result<SnapshotLine> {
    let recorder = MeasuredRecorder::start(Setup::default())?;
    let inputs = different_inputs(Texts::Symbols);
    log_different(inputs, 0, FILL);
    let (mut totals, mut encodes, mut writes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut file_bytes, mut events) = (0, 0);
    let image = recorder.image()?;
    let image = RingImage::parse(&image)?;
    let mut scratch = vec![0; scratch_len(image.header().segment_len as usize)];
    let mut encoded = Gather(Vec::with_capacity(64 << 20));
    for _ in 0..rounds {
        let start = Instant::now();
        let path = recorder.snapshot()?;
        totals.push(start.elapsed().as_secs_f64() * 1e3);
        let bytes = std::fs::read(&path)?;
        events = check_snapshot(&bytes, inputs, FILL)?;
        file_bytes = bytes.len() as u64;

        encoded.0.clear();
        let meta = SnapshotMeta { reason: "bench", created_unix_ns: 0, ticks: 0 };
        let start = Instant::now();
        let stats = write_snapshot_of_image(&image, &meta, Codec::Lz4, &mut scratch, &mut encoded)
            .map_err(|error| error.to_string())?;
        encodes.push(start.elapsed().as_secs_f64() * 1e3);
        ensure!(stats.event_count == events, "encoded {} events, the file holds {events}", stats.event_count);

        let beside = path.with_extension("tmp");
        let start = Instant::now();
        let mut file = std::fs::File::create_new(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        writes.push(start.elapsed().as_secs_f64() * 1e3);
        std::fs::remove_file(&beside)?;
        std::fs::remove_file(&path)?;
    }
    recorder.end()?;
    Ok(SnapshotLine {
        total_ms: rounded(median(&totals)),
        encode_ms: rounded(median(&encodes)),
        write_ms: rounded(median(&writes)),
        total_max_ms: rounded(totals.iter().copied().fold(0.0, f64::max)),
        file_bytes,
        events,
        rounds,
    })
}

/// A sink in memory.
struct Gather(Vec<u8>);

impl Sink for Gather {
    type Error = std::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> std::result::Result<(), Self::Error> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}
