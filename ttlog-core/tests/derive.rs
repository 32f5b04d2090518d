//! `#[derive(Value)]` and tuples: the description of the type and the recorded bytes.
#![forbid(unsafe_code)]

use ttlog_core::Value;

#[derive(Value)]
struct Customer {
    id: u64,
    name: String,
}
#[derive(Value)]
struct Price(f64);
#[derive(Value)]
enum State {
    Open,
    Retry(u8),
    Failed {
        code: u16,
        #[value(display)]
        why: std::fmt::Error,
    },
}
#[derive(Value)]
pub struct Order<'a, T> {
    customer: Customer,
    #[value(rename = "sku", secret)]
    item: &'a str,
    lines: Vec<(u8, Price)>,
    state: Option<State>,
    other: T,
    #[value(skip)]
    _skipped: std::cell::Cell<u8>,
}

#[test]
fn it() {
    let order = Order {
        customer: Customer { id: 7, name: "x".into() },
        item: "i",
        lines: vec![(1, Price(2.0))],
        state: Some(State::Failed { code: 4, why: std::fmt::Error }),
        other: 5_u8,
        _skipped: Default::default(),
    };
    ttlog_core::info!("x", order, t = (1_u16, 7_u64), s = State::Open, r = State::Retry(4));
}
