//! A ring of trades, for the benches that read.

use ttlog_benches::workload::inputs::{Input, Texts, prepare};
use ttlog_core::event::{Cons, Nil};
use ttlog_core::ring::Cursor;
use ttlog_core::{AnyFields, Callsite, ContextInfo, Fields, Level, Metadata, Ring, RingConfig, Word, encode_callsite};

/// Bytes of the ring.
pub(crate) const RING_LEN: usize = 1 << 20;
const CALLSITE: u16 = 1;

static TRADE: Callsite = Callsite::new(&Metadata {
    level: Level::Info,
    target: "ttlog_benches",
    message: "order executed",
    file: file!(),
    line: line!(),
    fields: &[
        ttlog_core::event::Field::dynamic("symbol"),
        ttlog_core::event::Field::dynamic("quantity"),
        ttlog_core::event::Field::dynamic("price"),
    ],
});

/// Allocates memory for a ring.
pub(crate) fn memory() -> Vec<Word> {
    (0..RING_LEN / 8).map(|_| Word::new(0)).collect()
}

/// Fills a ring about twice. Returns the ring, the number of its events, and the sum of their quantities.
pub(crate) fn full_ring(memory: &[Word]) -> (Ring<'_>, u64, u64) {
    let ring = Ring::create(memory, &RingConfig::for_capacity(RING_LEN, 1)).expect("a ring");
    let fields = |input: &Input| Cons(input.text, Cons(input.quantity, Cons(input.price, Nil)));
    let inputs = prepare(Texts::Symbols, 100_000);
    let mut item = vec![0; 512];
    let len = encode_callsite(CALLSITE, TRADE.metadata(), fields(&inputs[0]).types(), &mut item).expect("an item");
    ring.append_entry(&item[..len]).expect("room in the table");
    let cursor = Cursor::new();
    for (input, ticks) in inputs.iter().zip((0..).step_by(40)) {
        append(&ring, &cursor, ticks, fields(input));
    }
    let retained = inputs.len() as u64 - ring.loss().overwritten;
    let last = &inputs[inputs.len() - retained as usize..];
    (ring, retained, last.iter().map(|input| input.quantity).sum())
}

fn append<'m>(ring: &Ring<'m>, cursor: &Cursor<'m>, ticks: u64, fields: impl Fields) {
    if !cursor.append_small(CALLSITE, ticks, &fields) {
        let who = ContextInfo { context: 1, os_thread_id: 1, next_index: 0, name: "bench" };
        cursor.append_slow(ring, &|| ticks, &who, CALLSITE, &fields);
    }
}
