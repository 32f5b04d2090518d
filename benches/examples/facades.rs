//! Emits one kind of event or span of `tracing` or `log` COUNT times: the program that `ci/checks/instructions` runs
//! under callgrind.
//!
//! `facades CASE COUNT`. Only the functions named `measured` are counted.

use std::fmt::Debug;
use std::hint::black_box;

use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use ttlog_benches::Result;
use ttlog_benches::check::readback::read_ring;
use ttlog_benches::harness::recorder::{MeasuredRecorder, Setup};

/// A layer that visits the values of events and spans, and does nothing else.
struct Visiting;

struct Ignore;

impl Visit for Ignore {
    fn record_u64(&mut self, _: &Field, value: u64) {
        black_box(value);
    }
    fn record_f64(&mut self, _: &Field, value: f64) {
        black_box(value);
    }
    fn record_str(&mut self, _: &Field, value: &str) {
        black_box(value);
    }
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        black_box(value);
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Visiting {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Ignore);
    }
    fn on_new_span(&self, attributes: &tracing::span::Attributes<'_>, _: &tracing::Id, _: Context<'_, S>) {
        attributes.record(&mut Ignore);
    }
}

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
    event(n) => tracing::info!(symbol = "ACME", quantity = n, price = n as f64 / 4.0, "order executed");
    formatted(n) => tracing::info!("order {n} executed");
    span(n) => tracing::info_span!("order", n).in_scope(|| ());
    record(n) => log::info!(symbol = "ACME", quantity = n; "order executed");
    bare_loop(n) => std::hint::black_box((n, n as f64 / 4.0));
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let case = arguments.next().ok_or("usage: facades CASE COUNT")?;
    let count = arguments.next().and_then(|count| count.parse().ok()).ok_or("usage: facades CASE COUNT")?;
    let recorder = MeasuredRecorder::start(Setup::default())?;
    let handle = recorder.handle();
    let (way, what) = case.split_once('-').unwrap_or(("", &case));
    let dispatch = match way {
        "visiting" => Dispatch::new(tracing_subscriber::registry().with(Visiting)),
        "layer" => Dispatch::new(tracing_subscriber::registry().with(handle.layer())),
        "subscriber" => Dispatch::new(ttlog_std::tracing::subscriber()),
        _ => Dispatch::none(),
    };
    let (measured, records): (fn(u64), u64) = match what {
        "event" => (event::measured, 1),
        "formatted" => (formatted::measured, 1),
        "span" => (span::measured, 4),
        "record" => {
            handle.logger().install()?;
            (record::measured, 1)
        }
        "bare_loop" => (bare_loop::measured, 0),
        _ => return Err(format!("no such case: {case}").into()),
    };
    tracing::dispatcher::set_global_default(dispatch)?;
    const ROUNDS: u64 = 9;
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let start = std::time::Instant::now();
            measured(count);
            start.elapsed().as_secs_f64() * 1e9 / count as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{case}: {:.1} ns (median; {:.1} least)", times[ROUNDS as usize / 2], times[0]);
    let counted = read_ring(&recorder.image()?, |_| Ok(()))?;
    counted.must_account_for(if way == "visiting" { 0 } else { records * count * ROUNDS })?;
    recorder.end()
}
