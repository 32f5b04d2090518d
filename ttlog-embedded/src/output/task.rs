//! Dumps from an async program: once with [`dump_to_async`], or by a task that dumps when it is asked to, and at intervals.
//!
//! ```ignore
//! #[embassy_executor::task]
//! async fn dumps(port: BufferedUarteTx<'static>) -> ! {
//!     ttlog_embedded::task::dump_task(port, DumpSchedule::every(Duration::from_secs(3600))).await
//! }
//!
//! // from anywhere, an interrupt for example
//! ttlog_embedded::task::request_dump();
//! ```
//!
//! Other tasks run between any two frames, also where the writer never waits. Logging goes on meanwhile.

use core::future::poll_fn;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Poll;

#[cfg(feature = "embassy-time")]
use embassy_time::{Duration, Instant, Timer};
use embedded_io_async::Write;

use crate::FRAME_LEN_MAX;
use crate::output::dump::{Dump, DumpOptions};

/// Requests made so far. Counted, not marked, for one that comes while a dump is under way is to have one of its own.
static REQUESTED: AtomicU32 = AtomicU32::new(0);

/// Asks [`dump_task`] for a dump. Several requests before it begins are one. A load and a store; callable anywhere, in interrupts and fault
/// handlers too.
pub fn request_dump() {
    // Of two at the same moment one may be lost, and the other stands for both.
    REQUESTED.store(REQUESTED.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Sends the ring, as [`dump_to`](crate::dump_to), without blocking the executor. Takes less than 1 KiB in the future of the task.
///
/// # Errors
/// Those of the writer; what it took before is a dump that was cut off, and readable up to there.
pub async fn dump_to_async<W: Write>(writer: &mut W) -> Result<(), W::Error> {
    let mut dump = Dump::new(DumpOptions::DEFAULT);
    let mut room = [0; FRAME_LEN_MAX];
    while let Some(frame) = dump.next_frame(&mut room) {
        writer.write_all(frame).await?;
        pause().await;
    }
    writer.flush().await
}

/// Lets other tasks run.
async fn pause() {
    let mut is_over = false;
    poll_fn(|context| {
        if is_over {
            return Poll::Ready(());
        }
        is_over = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// When [`dump_task`] dumps.
#[cfg(feature = "embassy-time")]
#[derive(Clone, Copy, Debug)]
pub struct DumpSchedule {
    /// From the begin of one dump to that of the next, whether or not something was asked for between; `None`: on request only.
    pub interval: Option<Duration>,
    /// How often it looks for requests, and how long it waits after a failure. By default 100 ms.
    pub poll_interval: Duration,
}

#[cfg(feature = "embassy-time")]
impl DumpSchedule {
    /// On request only.
    pub const ON_REQUEST: Self = DumpSchedule { interval: None, poll_interval: Duration::from_millis(100) };

    /// On request, and whenever `interval` has gone by.
    #[must_use]
    pub const fn every(interval: Duration) -> Self {
        DumpSchedule { interval: Some(interval), ..Self::ON_REQUEST }
    }
}

/// Dumps, for ever, on [request](request_dump) and at intervals.
///
/// A dump that the writer fails to take is begun again after a while, as often as it takes: who was cut off, or connects only then, gets
/// a whole one. The request is looked for at intervals, not signalled, so that it can be made where no executor may be woken.
#[cfg(feature = "embassy-time")]
pub async fn dump_task<W: Write>(mut writer: W, schedule: DumpSchedule) -> ! {
    let mut served = 0;
    let mut last = Instant::now();
    loop {
        let requested = REQUESTED.load(Ordering::Relaxed);
        let is_due = schedule.interval.is_some_and(|interval| last.elapsed() >= interval);
        if requested != served || is_due {
            let begun = Instant::now();
            if dump_to_async(&mut writer).await.is_ok() {
                served = requested;
                last = begun;
                continue; // it may have taken as long as an interval
            }
        }
        // What is due and failed waits for the next look.
        let rest = schedule.interval.and_then(|interval| interval.checked_sub(last.elapsed()));
        let rest = rest.filter(|rest| rest.as_ticks() > 0).unwrap_or(schedule.poll_interval);
        Timer::after(rest.min(schedule.poll_interval)).await;
    }
}

#[cfg(all(test, feature = "embassy-time"))]
mod tests;
