//! Dumps over the serial port from a task while another task records: on request (`d`), and every 20 ms of a clock that
//! the executor advances. `q` ends the program.
#![no_std]
#![no_main]

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::{Context, Poll, Waker};

use embassy_time::Duration;
use support::uart;
use transports::Port;
use ttlog_embedded::task::{DumpSchedule, dump_task, request_dump};
use ttlog_embedded::{Clock, Config, info};

ttlog_embedded::recorder!(static RECORDER: 4096);

support::entry!(main);

static TICKS: AtomicU32 = AtomicU32::new(0);

/// The driver of embassy-time. It wakes nothing, because all tasks are polled in turn.
struct Ticks;

impl embassy_time_driver::Driver for Ticks {
    fn now(&self) -> u64 {
        TICKS.load(Ordering::Relaxed).into()
    }

    fn schedule_wake(&self, _at: u64, _waker: &Waker) {}
}

embassy_time_driver::time_driver_impl!(static DRIVER: Ticks = Ticks);

async fn work() -> ! {
    let mut round = 0_u32;
    loop {
        match uart::receive() {
            Some(b'd') => request_dump(),
            Some(b'q') => support::succeed(),
            _ => {}
        }
        if round.is_multiple_of(64) {
            info!("working", round);
        }
        round += 1;
        let mut waited = false;
        poll_fn(|_| if core::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

fn main() -> ! {
    uart::start();
    RECORDER.start(Config { clock: Clock::embassy(), ..Config::DEFAULT });
    info!("up");
    uart::send_all(b"ready\n");
    let schedule = if support::argument(0) > 0 {
        DumpSchedule::every(Duration::from_millis(20))
    } else {
        DumpSchedule::ON_REQUEST
    };
    let mut dumps = pin!(dump_task(Port, schedule));
    let mut work = pin!(work());
    let mut context = Context::from_waker(Waker::noop());
    loop {
        let Poll::Pending = dumps.as_mut().poll(&mut context);
        let Poll::Pending = work.as_mut().poll(&mut context);
        TICKS.store(TICKS.load(Ordering::Relaxed) + 100, Ordering::Relaxed);
    }
}
