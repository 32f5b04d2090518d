//! Futures for tests.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// Polls a future until it is ready.
pub fn block_on_future<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// A future that is ready at its nth poll.
pub struct PollN(usize);

impl PollN {
    pub fn new_ok(polls: usize) -> Self {
        PollN(polls)
    }
}

impl Future for PollN {
    type Output = Result<(), ()>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        self.0 = self.0.saturating_sub(1);
        if self.0 == 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}
