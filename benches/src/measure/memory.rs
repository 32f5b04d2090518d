//! Bytes of the standard event in the ring, and in a snapshot of a full ring.
//!
//! Unlike in the measured loops, values do not repeat, because a snapshot of repeating values compresses too well. The
//! time between events matters too: a loop that only logs has nearly regular timestamps.

use serde::{Deserialize, Serialize};
use ttlog_core::ring::SEGMENT_LEN_MAX;
use ttlog_core::snapshot::{SnapshotItem, SnapshotReader, unpack_len};
use ttlog_core::{Item, TableItem};
use ttlog_std::info;

use crate::check::readback::{Counted, read_ring};
use crate::error::{Result, ensure};
use crate::harness::child;
use crate::harness::child::arguments;
use crate::harness::recorder::{MeasuredRecorder, Setup};
use crate::harness::report;
use crate::harness::stats::rounded;
use crate::workload::cases::expected;
use crate::workload::floor;
use crate::workload::inputs;
use crate::workload::inputs::{Input, Random, Texts};

/// Distinct inputs; a ring of 16 MiB holds about 700,000 events.
const INPUT_COUNT: usize = 1 << 20;
/// Events that fill the ring more than once.
pub const FILL: u64 = 2 * INPUT_COUNT as u64;
/// Longest pause between two events in the measurement with pauses, in ticks of the processor's counter.
const PAUSE_MAX_TICKS: u64 = 5_000;
/// Targets, in bytes.
const REACH_RING: f64 = 24.0;
const REACH_SNAPSHOT: f64 = 10.0;

/// A line of the report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MemoryLine {
    /// Whether events follow at once or after random pauses.
    pub name: String,
    /// Bytes of records per event.
    pub ring_bytes_per_event: f64,
    /// Bytes of segments per event, including headers and unused ends.
    pub segment_bytes_per_event: f64,
    /// Events in the ring when the snapshot was taken.
    pub retained: u64,
    /// Bytes of the snapshot's file.
    pub snapshot_bytes: u64,
    /// Events read from it.
    pub snapshot_events: u64,
    /// `snapshot_bytes` divided by `snapshot_events`.
    pub snapshot_bytes_per_event: f64,
}

/// Measures and prints.
///
/// # Errors
/// If something cannot be measured or an answer is wrong.
pub fn run(json: bool) -> Result<()> {
    let mut rows = Vec::new();
    for (pauses, longer) in [(false, false), (true, false), (true, true)] {
        let line: MemoryLine = child::run(&arguments!["memory-case", "--pauses", pauses, "--longer", longer])?;
        if json {
            report::json(&line)?;
        }
        rows.push(vec![
            line.name.clone(),
            format!("{:.2}", line.ring_bytes_per_event),
            format!("{:.2}", line.segment_bytes_per_event),
            report::verdict(line.segment_bytes_per_event <= REACH_RING).to_owned(),
            format!("{:.2}", line.snapshot_bytes_per_event),
            report::verdict(line.snapshot_bytes_per_event <= REACH_SNAPSHOT).to_owned(),
            report::grouped(line.snapshot_events),
        ]);
    }
    if !json {
        report::table(
            &["events follow", "record bytes", "segment bytes", "(reach 24)", "snapshot bytes", "(reach 10)", "events"],
            &rows,
        );
    }
    Ok(())
}

/// Logs the standard event with distinct inputs.
pub fn log_different(inputs: &[Input], first: u64, count: u64) {
    for index in first..first + count {
        let Input { text: symbol, quantity, price } = inputs[index as usize % inputs.len()];
        info!("order executed", symbol, quantity, price);
    }
}

fn log_with_pauses(inputs: &[Input], count: u64) {
    let mut random = Random::new(7);
    for index in 0..count {
        log_different(inputs, index, 1);
        let until = floor::ticks() + random.below(PAUSE_MAX_TICKS);
        while floor::ticks() < until {
            std::hint::spin_loop();
        }
    }
}

/// Creates distinct inputs.
#[must_use]
pub fn different_inputs(texts: Texts) -> &'static [Input] {
    inputs::prepare(texts, INPUT_COUNT)
}

/// Checks a snapshot of a ring to which one thread logged `emitted` events with [`log_different`]: it must be whole and
/// hold the last events without a gap, with the logged values. Returns how many it holds.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_snapshot(bytes: &[u8], inputs: &[Input], emitted: u64) -> Result<u64> {
    let mut segments = Vec::new();
    let mut callsite = None;
    let mut ended = false;
    for item in SnapshotReader::new(bytes).items() {
        match item {
            SnapshotItem::Header(_) => {}
            SnapshotItem::Entry(entry) => {
                if let TableItem::Callsite(found) = TableItem::decode(entry.bytes)? {
                    callsite = Some(found);
                }
            }
            SnapshotItem::Segment(segment) => segments.push(segment),
            SnapshotItem::End { .. } => ended = true,
            other => return Err(format!("the snapshot holds {other:?}").into()),
        }
    }
    ensure!(ended, "the snapshot was cut off");
    let callsite = callsite.ok_or("the snapshot has no callsite")?;
    segments.sort_by_key(|segment| segment.sequence);
    let mut room = vec![0; unpack_len(SEGMENT_LEN_MAX as usize)];
    let (mut count, mut next) = (0, None);
    for packed in segments {
        for item in packed.unpack(&mut room)?.items() {
            let Item::Event(record) = item else { continue };
            let index = record.index.ok_or("an event has no index")?;
            ensure!(next.is_none_or(|next| next == index), "event {index} is not what follows {next:?}");
            next = Some(index + 1);
            count += 1;
            let input = &inputs[index as usize % inputs.len()];
            let values: std::result::Result<Vec<_>, _> = callsite.values(record.payload).collect();
            let values = values.map_err(|error| error.to_string())?;
            let right = values.len() == 3
                && values.iter().all(|(field, value)| expected(field.name, input).as_ref() == Some(value));
            ensure!(right, "event {index} holds {values:?}, and was made from {input:?}");
        }
    }
    ensure!(next == Some(emitted), "the snapshot ends before event {next:?} of {emitted}");
    Ok(count)
}

/// Measures in this process, with a recorder of its own.
///
/// # Errors
/// If the ring or the snapshot does not hold what it should.
pub fn measure(pauses: bool, longer: bool) -> Result<MemoryLine> {
    let recorder = MeasuredRecorder::start(Setup::default())?;
    let inputs = different_inputs(if longer { Texts::LongerSymbols } else { Texts::Symbols });
    if pauses {
        log_with_pauses(inputs, FILL);
    } else {
        log_different(inputs, 0, FILL);
    }
    let counted: Counted = read_ring(&recorder.image()?, |_| Ok(()))?;
    counted.must_account_for(FILL)?;
    let path = recorder.snapshot()?;
    let bytes = std::fs::read(&path)?;
    std::fs::remove_file(&path)?;
    let snapshot_events = check_snapshot(&bytes, inputs, FILL)?;
    ensure!(
        snapshot_events == counted.retained,
        "the ring holds {} events, its snapshot {snapshot_events}",
        counted.retained
    );
    recorder.end()?;
    Ok(MemoryLine {
        name: if pauses { "after random pauses" } else { "at once" }.to_owned()
            + if longer { ", longer symbols and quantities" } else { "" },
        ring_bytes_per_event: rounded(counted.bytes_per_event()),
        segment_bytes_per_event: rounded(counted.segment_bytes_per_event()),
        retained: counted.retained,
        snapshot_bytes: bytes.len() as u64,
        snapshot_events,
        snapshot_bytes_per_event: rounded(bytes.len() as f64 / snapshot_events as f64),
    })
}
