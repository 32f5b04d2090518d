//! Emits one kind of event or span of `tracing` or `log` COUNT times, for the clock and for callgrind.
//!
//! `facades WAY CASE COUNT`. Only the functions named `measured` are counted. Without callgrind, it prints the time of
//! one event, or of the life of one span: COUNT of them nine times. `ci/checks/facades` runs all that are of interest.

#[path = "../benches/support/facades.rs"]
mod cases;

use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt as _;
use ttlog_benches::Result;
use ttlog_benches::check::readback::read_ring;
use ttlog_benches::harness::recorder::{MeasuredRecorder, Setup};

/// Creates a module with a function `measured` for each case.
macro_rules! measured {
    ($($name:ident($n:ident) => $body:expr;)*) => {$(
        mod $name {
            #[inline(never)]
            pub(super) fn measured(count: u64) {
                for $n in 0..count {
                    $body;
                }
            }
        }
    )*};
}

measured! {
    event(n) => crate::cases::event(n);
    formatted(n) => crate::cases::formatted(n);
    span(n) => crate::cases::span(n);
    off(n) => crate::cases::off(n);
    record(n) => crate::cases::record(n);
    bare_loop(n) => std::hint::black_box((n, n as f64 / 4.0));
}

/// A taker of the events.
struct Way {
    dispatch: Dispatch,
    /// Whether it records into the ring.
    records: bool,
    /// Lives until the last event, and finishes the output.
    _guard: Option<Box<dyn std::any::Any>>,
}

fn way(name: &str, recorder: &MeasuredRecorder, file: &std::path::Path) -> Result<Way> {
    let registry = tracing_subscriber::registry;
    let create = || std::fs::File::create(file);
    let (dispatch, guard): (Dispatch, Option<Box<dyn std::any::Any>>) = match name {
        "none" | "log" => (Dispatch::none(), None),
        "visiting" => (cases::visiting(), None),
        "layer" => (cases::layer(recorder.handle()), None),
        "subscriber" => (cases::subscriber(), None),
        "perfetto" => {
            let (layer, guard) = tracing_perfetto_file::PerfettoLayer::builder(create()?)
                .with_debug_annotations()
                .with_source_locations()
                .build();
            (Dispatch::new(registry().with(layer)), Some(Box::new(guard)))
        }
        "fmt" => {
            let (writer, guard) = tracing_appender::non_blocking(create()?);
            (Dispatch::new(tracing_subscriber::fmt().with_writer(writer).finish()), Some(Box::new(guard)))
        }
        _ => return Err(format!("no such way: {name}").into()),
    };
    Ok(Way { dispatch, records: matches!(name, "layer" | "subscriber" | "log"), _guard: guard })
}

const USAGE: &str = "usage: facades WAY CASE COUNT";
/// Number of times that COUNT events are emitted.
const ROUNDS: u64 = 9;

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [name, case, count] = &arguments[..] else { return Err(USAGE.into()) };
    let count: u64 = count.parse().map_err(|_| USAGE)?;
    let recorder = MeasuredRecorder::start(Setup::default())?;
    let file = std::env::temp_dir().join(format!("ttlog-facades-{}", std::process::id()));
    let way = match name.as_str() {
        "env_logger" => {
            let target = env_logger::Target::Pipe(Box::new(std::fs::File::create(&file)?));
            env_logger::Builder::new().filter_level(log::LevelFilter::Trace).target(target).init();
            Way { dispatch: Dispatch::none(), records: false, _guard: None }
        }
        name => way(name, &recorder, &file)?,
    };
    if name == "log" {
        recorder.handle().logger().install()?;
    }
    let (measured, records): (fn(u64), u64) = match case.as_str() {
        "event" => (event::measured, 1),
        "formatted" => (formatted::measured, 1),
        "span" => (span::measured, 4),
        "record" => (record::measured, 1),
        "off" => (off::measured, 0),
        "bare_loop" => (bare_loop::measured, 0),
        _ => return Err(format!("no such case: {case}").into()),
    };
    if case == "off" {
        recorder.handle().set_level(ttlog_std::Level::Warn);
    }
    let dispatch = way.dispatch.clone();
    tracing::dispatcher::set_global_default(dispatch)?;
    // What the recorder does within a tenth of a second after a change of the level.
    tracing::callsite::rebuild_interest_cache();
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let start = std::time::Instant::now();
            measured(count);
            start.elapsed().as_secs_f64() * 1e9 / count as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{name}-{case}: {:.1} ns (median; {:.1} least)", times[ROUNDS as usize / 2], times[0]);
    let counted = read_ring(&recorder.image()?, |_| Ok(()))?;
    counted.must_account_for(if way.records { records * count * ROUNDS } else { 0 })?;
    drop(way);
    // The ways that write no file have not made it.
    let _ = std::fs::remove_file(file);
    recorder.end()
}
