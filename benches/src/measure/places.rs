//! Compares the same event with the ring in a file in memory, in a file on a disk, and on the heap.
//!
//! Each round starts one process per place in turn, so that other load on the machine affects all alike. The floor is
//! measured in memory of the same kind.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Result, ensure};
use crate::harness::child;
use crate::harness::child::arguments;
use crate::harness::report;
use crate::harness::stats::{median, rounded};
use crate::measure::cost::CostLine;
use crate::workload::cases::standard;

/// A line of the report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlaceLine {
    /// Where the ring was.
    pub name: String,
    /// Nanoseconds per event: median over the rounds.
    pub ns_per_event: f64,
    /// Nanoseconds of the floor.
    pub floor_ns: f64,
    /// `ns_per_event` divided by `floor_ns`.
    pub ratio: f64,
    /// `ns_per_event` divided by that of the first place.
    pub to_first: f64,
    /// Fastest and slowest round.
    pub ns_min_max: [f64; 2],
    /// Events read back from the ring after the last round.
    pub retained: u64,
    /// Measured rounds.
    pub rounds: u64,
    /// Events per round.
    pub events: u64,
}

/// A place for the ring.
struct Place {
    name: String,
    /// `None` for the heap.
    directory: Option<PathBuf>,
}

/// Measures `rounds` rounds in each place and prints the figures.
///
/// # Errors
/// If something cannot be measured, or `disk` is not on a disk.
pub fn run(disk: &Path, rounds: u64, events: u64, json: bool) -> Result<()> {
    let unique = format!("ttlog-benches-{}", std::process::id());
    let file_system = file_system_of(disk)?;
    ensure!(file_system != "tmpfs", "{disk:?} is in memory; name a directory on a disk with --disk");
    let places = [
        Place { name: "file in /dev/shm".to_owned(), directory: Some(Path::new("/dev/shm").join(&unique)) },
        Place { name: format!("file on a disk ({file_system})"), directory: Some(disk.join(&unique)) },
        Place { name: "heap".to_owned(), directory: None },
    ];
    let result = measure(&places, rounds, events);
    for directory in places.iter().filter_map(|place| place.directory.as_ref()) {
        // Empty, or never created.
        let _ = std::fs::remove_dir(directory);
    }
    let lines = result?;
    if json {
        return lines.iter().try_for_each(report::json);
    }
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            vec![
                line.name.clone(),
                format!("{:.2}", line.ns_per_event),
                format!("{:.2}", line.floor_ns),
                format!("{:.2}", line.ratio),
                format!("{:.2}", line.to_first),
                format!("{:.2} to {:.2}", line.ns_min_max[0], line.ns_min_max[1]),
                report::grouped(line.retained),
            ]
        })
        .collect();
    report::table(&["ring", "ns/event", "floor ns", "ratio", "to the first", "rounds from to", "retained"], &rows);
    println!("\nmedian of {rounds} rounds of {} standard events", report::grouped(events));
    Ok(())
}

fn measure(places: &[Place], rounds: u64, events: u64) -> Result<Vec<PlaceLine>> {
    let mut measured: Vec<Vec<CostLine>> = places.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (place, measured) in places.iter().zip(&mut measured) {
            let mut arguments = arguments!["cost-case", standard().name, "--rounds", 1, "--events", events].to_vec();
            arguments.extend(place.directory.is_none().then(|| "--heap".to_owned()));
            let directory = place.directory.as_ref().map(|directory| ("TTLOG_DIR", directory.as_os_str()));
            measured.push(child::run_with(&arguments, directory.as_slice())?);
        }
    }
    let mut lines: Vec<PlaceLine> = Vec::new();
    for (place, measured) in places.iter().zip(&measured) {
        let of = |figure: fn(&CostLine) -> f64| measured.iter().map(figure).collect::<Vec<_>>();
        let times = of(|line| line.ns_per_event);
        let (ns, floor_ns) = (median(&times), median(&of(|line| line.floor_ns)));
        lines.push(PlaceLine {
            name: place.name.clone(),
            ns_per_event: rounded(ns),
            floor_ns: rounded(floor_ns),
            ratio: rounded(ns / floor_ns),
            to_first: rounded(ns / lines.first().map_or(ns, |first| first.ns_per_event)),
            ns_min_max: [
                times.iter().copied().fold(f64::INFINITY, f64::min),
                times.iter().copied().fold(0.0, f64::max),
            ]
            .map(rounded),
            retained: measured.last().map_or(0, |line| line.retained),
            rounds,
            events,
        });
    }
    Ok(lines)
}

/// Returns the type of a directory's file system, as in /proc/mounts.
fn file_system_of(directory: &Path) -> Result<String> {
    let directory = directory.canonicalize().map_err(|error| format!("{directory:?}: {error}"))?;
    let mounts = std::fs::read_to_string("/proc/mounts").map_err(|error| format!("/proc/mounts: {error}"))?;
    let found = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?, words.next()?))
        })
        .filter(|(point, _)| directory.starts_with(point))
        .max_by_key(|(point, _)| point.len());
    Ok(found.map_or("unknown", |(_, file_system)| file_system).to_owned())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_told_apart() {
        assert_eq!(file_system_of(Path::new("/dev/shm")).unwrap(), "tmpfs");
        assert_eq!(file_system_of(Path::new("/proc/self")).unwrap(), "proc");
        assert!(file_system_of(Path::new("/nonsense")).is_err());
    }
}
