extern crate std;

use core::convert::Infallible;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Waker};
use std::cell::RefCell;
use std::rc::Rc;
use std::vec::Vec;

use embassy_time::MockDriver;
use embedded_io::{ErrorKind, ErrorType};

use super::*;
use crate::output::testing::{Received, record};

const CALLSITE: u16 = 2;

/// A serial line that takes some bytes at a time and then makes its user wait.
#[derive(Default)]
struct Line {
    taken: Vec<u8>,
    /// Bytes after which it fails, once.
    fails_after: Option<usize>,
    /// Writes so far; every second one waits first.
    writes: usize,
}

#[derive(Clone, Default)]
struct Port(Rc<RefCell<Line>>);

impl ErrorType for Port {
    type Error = ErrorKind;
}

impl Write for Port {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let must_wait = {
            let mut line = self.0.borrow_mut();
            line.writes += 1;
            line.writes.is_multiple_of(2)
        };
        if must_wait {
            Timer::after_millis(10).await;
        }
        let mut line = self.0.borrow_mut();
        if line.fails_after.is_some_and(|most| line.taken.len() >= most) {
            line.fails_after = None;
            return Err(ErrorKind::BrokenPipe);
        }
        let len = bytes.len().min(100);
        line.taken.extend(&bytes[..len]);
        Ok(len)
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl Port {
    fn received(&self) -> Received {
        Received::read(&self.0.borrow().taken)
    }
}

/// Runs the task for `millis` of the mock clock, and `meanwhile` every 10 ms.
fn run(mut task: core::pin::Pin<&mut impl Future<Output = Infallible>>, millis: u64, mut meanwhile: impl FnMut()) {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..millis / 10 {
        // Several times, because the task also yields without waiting for the clock.
        for _ in 0..4 {
            assert!(task.as_mut().poll(&mut context).is_pending());
        }
        meanwhile();
        MockDriver::get().advance(Duration::from_millis(10));
    }
}

/// One test, because there is one clock and one count of requests.
#[test]
fn task_dumps_on_request_and_at_intervals_while_events_are_recorded() {
    record(CALLSITE, 0..20);
    let port = Port::default();
    let writer = port.clone();
    let mut task = pin!(async { match dump_task(writer, DumpSchedule::ON_REQUEST).await {} });
    run(task.as_mut(), 1000, || {});
    assert_eq!(port.received().begun, 0, "nobody asked");

    request_dump();
    request_dump();
    let mut next = 20;
    run(task.as_mut(), 1000, || {
        record(CALLSITE, next..next + 1);
        next += 1;
    });
    let received = port.received();
    assert_eq!((received.begun, received.ended), (1, 1), "both requests are one");
    let numbers = received.numbers(CALLSITE);
    assert!(numbers.starts_with(&(0..20).collect::<Vec<_>>()), "{numbers:?}");
    assert!(next == 120 && numbers.len() < 120, "recorded meanwhile: {next}");

    // A dump requested during another one has the events from before the request.
    request_dump();
    run(task.as_mut(), 120, || {});
    assert_eq!((port.received().begun, port.received().ended), (2, 1), "it is under way");
    record(CALLSITE, next..next + 1);
    request_dump();
    run(task.as_mut(), 1000, || {});
    let received = port.received();
    assert_eq!((received.begun, received.ended), (3, 3));
    assert!(received.numbers(CALLSITE).contains(&next));

    // A failure in the middle: the dump starts again until it is whole.
    let so_far = port.0.borrow().taken.len();
    port.0.borrow_mut().fails_after = Some(so_far + 500);
    request_dump();
    run(task.as_mut(), 1000, || {});
    let received = port.received();
    assert_eq!((received.begun, received.ended), (5, 4));
    run(task.as_mut(), 1000, || {});
    assert_eq!(port.received().begun, 5, "and then it is quiet");

    // Another task, at intervals; it serves earlier requests at once.
    let port = Port::default();
    let writer = port.clone();
    let schedule = DumpSchedule::every(Duration::from_secs(2));
    let mut task = pin!(async { match dump_task(writer, schedule).await {} });
    run(task.as_mut(), 1000, || {});
    assert_eq!((port.received().begun, port.received().ended), (1, 1));
    run(task.as_mut(), 6500, || {});
    assert_eq!((port.received().begun, port.received().ended), (4, 4));
}
