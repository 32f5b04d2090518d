//! Dumps from an async program: once with [`dump_to_async`], or by a task on request and at intervals.
//!
//! ```ignore
//! #[embassy_executor::task]
//! async fn dumps(port: BufferedUarteTx<'static>) -> ! {
//!     ttlog_embedded::task::dump_task(port, DumpSchedule::every(Duration::from_secs(3600))).await
//! }
//!
//! // from anywhere, such as an interrupt
//! ttlog_embedded::task::request_dump();
//! ```
//!
//! Other tasks run between any two frames, even if the writer never waits. Logging continues meanwhile.

use core::future::poll_fn;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Poll;

#[cfg(feature = "embassy-time")]
use embassy_time::{Duration, Instant, Timer};
use embedded_io_async::Write;

use crate::FRAME_LEN_MAX;
use crate::output::dump::{Dump, DumpOptions};

/// Requests so far. A count, not a flag, because a request during a dump gets a dump of its own.
static REQUESTED: AtomicU32 = AtomicU32::new(0);

/// Asks [`dump_task`] for a dump. Several requests before it starts count as one. A load and a store; callable
/// anywhere, also in interrupts and fault handlers.
pub fn request_dump() {
    // Of two at the same moment one may be lost; the other stands for both.
    REQUESTED.store(REQUESTED.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// As [`dump_to`](crate::dump_to), without blocking the executor. Takes less than 1 KiB in the task's future.
///
/// # Errors
/// Those of the writer. The dump ends there, and is readable up to there.
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
    /// From the start of one dump to that of the next, with or without requests in between; `None`: on request only.
    pub interval: Option<Duration>,
    /// Time between two looks for requests, and the pause after a failure. 100 ms by default.
    pub poll_interval: Duration,
}

#[cfg(feature = "embassy-time")]
impl DumpSchedule {
    /// On request only.
    pub const ON_REQUEST: Self = DumpSchedule { interval: None, poll_interval: Duration::from_millis(100) };

    /// On request, and every `interval`.
    #[must_use]
    pub const fn every(interval: Duration) -> Self {
        DumpSchedule { interval: Some(interval), ..Self::ON_REQUEST }
    }
}

/// Dumps forever, on [request](request_dump) and at intervals.
///
/// If the writer fails, the dump starts again after a pause, until it succeeds: a receiver that was cut off or connects
/// later gets a whole one. Requests are polled, not signaled, so that they can be made where no executor can be woken.
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
                continue; // the dump may have taken as long as an interval
            }
        }
        // A dump that is due but failed waits for the next poll.
        let rest = schedule.interval.and_then(|interval| interval.checked_sub(last.elapsed()));
        let rest = rest.filter(|rest| rest.as_ticks() > 0).unwrap_or(schedule.poll_interval);
        Timer::after(rest.min(schedule.poll_interval)).await;
    }
}

#[cfg(all(test, feature = "embassy-time"))]
mod tests;
