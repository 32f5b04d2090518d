//! Two processes that serve one request: spans in functions and futures, and a trace that joins both recordings.
//!
//! Run `cargo run -p ttlog-std --example spans`; then `ttlog-view --spans` with the two paths that it prints.

use std::future::Future;
use std::pin::pin;
use std::process::Command;
use std::task::{Context, Poll, Waker};

use ttlog_std::{InSpanExt as _, Recorder, Traceparent, info, info_scope, info_span, instrument, record};

fn main() {
    match std::env::args().nth(1) {
        None => front(),
        Some(header) => back(&header),
    }
}

/// The process that the user talks to.
fn front() {
    let recorder = Recorder::init(100_000, 100, "front");
    let request = info_span!("request", path = "/orders/7");
    let status = block_on(order(7).in_span(request));
    println!("answered with {status}");
    println!("{}", recorder.request_snapshot("end").wait().expect("a snapshot").display());
}

#[instrument(ret)]
async fn order(id: u64) -> u16 {
    info!("order accepted");
    let price = ask_for_price(id).await;
    if price.is_some() { 201 } else { 503 }
}

/// Asks the other process, in a span that it gets to know.
async fn ask_for_price(id: u64) -> Option<u64> {
    let span = info_span!("ask for price", id);
    let header = span.traceparent().map(|header| header.to_string()).unwrap_or_default();
    let output = span.in_scope(|| {
        let this = std::env::current_exe().ok()?;
        Command::new(this).arg(header).output().ok()
    });
    let text = String::from_utf8(output?.stdout).ok()?;
    let mut lines = text.lines();
    let price = lines.next()?.parse().ok()?;
    lines.for_each(|line| println!("{line}"));
    record!(span, price);
    Some(price)
}

/// The process that knows the prices.
fn back(header: &str) {
    let recorder = Recorder::init(100_000, 100, "back");
    let parent = Traceparent::parse(header).ok();
    let price = info_span!(parent: parent, "price").in_scope(|| look_up("book"));
    println!("{price}");
    println!("{}", recorder.request_snapshot("end").wait().expect("a snapshot").display());
}

#[instrument(err)]
fn parse(text: &str) -> Result<u64, std::num::ParseIntError> {
    text.parse()
}

fn look_up(item: &str) -> u64 {
    let _scope = info_scope!("look up", item);
    info!("found in the table");
    parse("1990").unwrap_or(parse("none").unwrap_or(0))
}

/// Polls a future until it is ready.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}
