//! Recordings of spans, for the tests of this crate and of ttlog-view.
#![allow(dead_code, unreachable_pub)] // each test binary is a crate of its own and uses a part

use ttlog_core::Level;
use ttlog_core::event::{Cons, Field, Metadata, Nil, Role};

use super::recording::{Recording, SECOND, Thread};

const MS: u64 = SECOND / 1000;

macro_rules! metadata {
    ($name:ident, $level:ident, $message:literal, $line:literal, [$($field:expr),* $(,)?]) => {
        pub static $name: Metadata = Metadata {
            level: Level::$level,
            target: "shop::web",
            message: $message,
            file: "src/web.rs",
            line: $line,
            fields: &[$($field),*],
        };
    };
}

metadata!(
    REQUEST,
    Info,
    "request",
    10,
    [Field::id("span", Role::Start), Field::id("parent", Role::Parent), Field::dynamic("id"), Field::dynamic("user"),]
);
metadata!(
    QUERY,
    Debug,
    "query",
    20,
    [Field::id("span", Role::Start), Field::id("parent", Role::Parent), Field::dynamic("table"),]
);
metadata!(ENTER, Trace, "enter", 0, [Field::id("span", Role::Enter)]);
metadata!(LEAVE, Trace, "leave", 0, [Field::id("span", Role::Leave)]);
metadata!(END, Trace, "end", 0, [Field::id("span", Role::End)]);
metadata!(REQUEST_UPDATE, Info, "request", 10, [Field::id("span", Role::Update), Field::dynamic("status")]);
metadata!(FOLLOWS, Trace, "follows", 0, [Field::id("span", Role::Update), Field::id("from", Role::Follows)]);
metadata!(
    LOADED,
    Info,
    "loaded {rows} rows",
    30,
    [Field::id("span", Role::Span), Field::dynamic("rows"), Field::dynamic("span"),]
);
metadata!(CHECKED, Info, "checked", 40, [Field::dynamic("n")]);
metadata!(
    LOGIN,
    Info,
    "login",
    50,
    [
        Field::id("span", Role::Start),
        Field::id("parent", Role::Parent),
        Field::dynamic("name"),
        Field::dynamic("password"),
        Field::dynamic("trace_id"),
    ]
);

mod id {
    pub const REQUEST: u16 = 11;
    pub const QUERY: u16 = 12;
    pub const ENTER: u16 = 13;
    pub const LEAVE: u16 = 14;
    pub const END: u16 = 15;
    pub const REQUEST_UPDATE: u16 = 16;
    pub const FOLLOWS: u16 = 17;
    pub const LOADED: u16 = 18;
    pub const CHECKED: u16 = 19;
    pub const LOGIN: u16 = 20;
}

impl Recording {
    pub fn know_spans(&self) {
        self.callsite(id::REQUEST, &REQUEST, Cons(0u64, Cons(0u64, Cons(0u32, Cons("", Nil)))));
        self.callsite(id::QUERY, &QUERY, Cons(0u64, Cons(0u64, Cons("", Nil))));
        self.callsite(id::ENTER, &ENTER, Cons(0u64, Nil));
        self.callsite(id::LEAVE, &LEAVE, Cons(0u64, Nil));
        self.callsite(id::END, &END, Cons(0u64, Nil));
        self.callsite(id::REQUEST_UPDATE, &REQUEST_UPDATE, Cons(0u64, Cons(0u16, Nil)));
        self.callsite(id::FOLLOWS, &FOLLOWS, Cons(0u64, Cons(0u64, Nil)));
        self.callsite(id::LOADED, &LOADED, Cons(0u64, Cons(0u32, Cons("", Nil))));
        self.callsite(id::CHECKED, &CHECKED, Cons(0u32, Nil));
        self.callsite(id::LOGIN, &LOGIN, Cons(0u64, Cons(0u64, Cons("", Cons("", Cons("", Nil))))));
    }

    pub fn request(&self, thread: &Thread, ticks: u64, span: u64, parent: u64, number: u32, user: &str) {
        self.event(thread, ticks, id::REQUEST, Cons(span, Cons(parent, Cons(number, Cons(user, Nil)))));
    }

    pub fn query(&self, thread: &Thread, ticks: u64, span: u64, parent: u64, table: &str) {
        self.event(thread, ticks, id::QUERY, Cons(span, Cons(parent, Cons(table, Nil))));
    }

    pub fn login(&self, thread: &Thread, ticks: u64, span: u64, name: &str, password: &str, trace: &str) {
        self.event(thread, ticks, id::LOGIN, Cons(span, Cons(0u64, Cons(name, Cons(password, Cons(trace, Nil))))));
    }

    pub fn enter(&self, thread: &Thread, ticks: u64, span: u64) {
        self.event(thread, ticks, id::ENTER, Cons(span, Nil));
    }

    pub fn leave(&self, thread: &Thread, ticks: u64, span: u64) {
        self.event(thread, ticks, id::LEAVE, Cons(span, Nil));
    }

    pub fn end(&self, thread: &Thread, ticks: u64, span: u64) {
        self.event(thread, ticks, id::END, Cons(span, Nil));
    }

    pub fn answer(&self, thread: &Thread, ticks: u64, span: u64, status: u16) {
        self.event(thread, ticks, id::REQUEST_UPDATE, Cons(span, Cons(status, Nil)));
    }

    pub fn follow(&self, thread: &Thread, ticks: u64, span: u64, from: u64) {
        self.event(thread, ticks, id::FOLLOWS, Cons(span, Cons(from, Nil)));
    }

    /// Records an event that names its span.
    pub fn loaded(&self, thread: &Thread, ticks: u64, span: u64, rows: u32, own: &str) {
        self.event(thread, ticks, id::LOADED, Cons(span, Cons(rows, Cons(own, Nil))));
    }

    /// Records an event that does not name its span.
    pub fn checked(&self, thread: &Thread, ticks: u64, n: u32) {
        self.event(thread, ticks, id::CHECKED, Cons(n, Nil));
    }
}

/// Returns a recording of a web server that dies in the middle of requests: one that was served, one whose query is
/// under way, one that waits.
pub fn web(ring_id: u64) -> Recording {
    let web = Recording::of_spans(ring_id, 8, 1024);
    web.know_spans();
    let (main, one, two) = (Thread::new(1, "main"), Thread::new(2, "worker-1"), Thread::new(3, "worker-2"));
    web.checked(&main, SECOND, 0);
    web.request(&one, 1100 * MS, 1, 0, 7, "ann");
    web.enter(&one, 1100 * MS, 1);
    web.query(&one, 1110 * MS, 2, 1, "orders");
    web.enter(&one, 1120 * MS, 2);
    web.loaded(&one, 1130 * MS, 2, 12, "inner");
    web.checked(&one, 1140 * MS, 1);
    web.leave(&one, 1150 * MS, 2);
    web.leave(&one, 1160 * MS, 1);
    web.end(&one, 1160 * MS, 2);
    // Its future is polled by another thread.
    web.enter(&two, 1200 * MS, 1);
    web.answer(&two, 1210 * MS, 1, 200);
    web.checked(&two, 1215 * MS, 2);
    web.leave(&two, 1220 * MS, 1);
    web.end(&two, 1220 * MS, 1);
    web.request(&two, 1300 * MS, 3, 0, 8, "bob");
    web.enter(&two, 1300 * MS, 3);
    web.leave(&two, 1310 * MS, 3);
    web.request(&one, 1400 * MS, 4, 0, 9, "eve\u{1b}[31m");
    web.follow(&one, 1400 * MS, 4, 1);
    web.enter(&one, 1400 * MS, 4);
    web.query(&one, 1405 * MS, 5, 4, "payments");
    web.enter(&one, 1410 * MS, 5);
    web.checked(&one, 1411 * MS, 3);
    web.checked(&main, 1450 * MS, 4);
    web
}
