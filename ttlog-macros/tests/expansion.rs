//! The expansion, seen from the run-time side: names, types, literals, order and number of evaluations.

mod support;
pub use support::__private;

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use __private::Level;
use support::{Failure, OnlyDebug, OnlyDisplay, OnlyValue, record_of, record_of_disabled};

/// Asserts how one event is recorded.
macro_rules! assert_event {
    ($event:expr, $expected:expr) => {
        assert_eq!(record_of(|| $event), [$expected])
    };
}

struct User {
    id: u64,
    name: &'static str,
    r#type: u8,
}

impl User {
    fn log(&self) {
        info!("user {self.id}", self.name);
    }
}

struct Request {
    user: User,
    pair: (u8, (i32, bool)),
}

const REQUEST: Request = Request { user: User { id: 7, name: "ann", r#type: 3 }, pair: (1, (-2, true)) };

#[test]
fn levels() {
    assert_event!(debug!("m"), "Debug \"m\"");
    assert_event!(info!("m"), "Info \"m\"");
    assert_event!(warn!("m"), "Warn \"m\"");
    assert_event!(error!("m"), "Error \"m\"");
    assert_event!(event!(Level::Warn, "m"), "Warn \"m\"");
}

#[test]
fn level_from_a_constant() {
    const LEVEL: Level = Level::Error;
    const fn level() -> Level {
        Level::Debug
    }
    assert_event!(event!(LEVEL, "m"), "Error \"m\"");
    assert_event!(event!(level(), "m"), "Debug \"m\"");
    assert_event!(event!(if cfg!(test) { Level::Info } else { Level::Warn }, "m"), "Info \"m\"");
}

#[test]
fn targets() {
    const TARGET: &str = "audit";
    assert_event!(info!(target: "net", "m"), "Info [net] \"m\"");
    assert_event!(info!(target: TARGET, x = 1), "Info [audit] \"\" x=I64(1)");
    assert_event!(info!(target: concat!("a", "::", "b"), "m",), "Info [a::b] \"m\"");
    assert_event!(event!(Level::Info, target: "net", "m"), "Info [net] \"m\"");
    assert_event!(event!(target: "net", Level::Info, "m"), "Info [net] \"m\"");
    let target = 5;
    assert_event!(info!("m", target), "Info \"m\" target=i32 5");
    assert_event!(info!("m", target = "x"), "Info \"m\" target=Str(\"x\")");
}

#[test]
fn parents() {
    let span = 7;
    assert_event!(info!(parent: span, "m"), "Info \"m\" in(7)");
    assert_event!(info!(parent: Some(span + 1), x = 1), "Info \"\" in(Some(8)) x=I64(1)");
    assert_event!(warn!(parent: None, "m"), "Warn \"m\" in()");
    assert_event!(info!(target: "net", parent: span, "m {}", 5), "Info [net] \"m {arg0}\" in(7) arg0=I64(5)");
    assert_event!(event!(parent: span, Level::Error, target: "net", "m"), "Error [net] \"m\" in(7)");
    let parent = 5;
    assert_event!(warn!("m", parent), "Warn \"m\" parent=i32 5");
}

#[test]
fn message_first_last_between_and_none() {
    let x = 5_u32;
    assert_event!(info!("m", x), "Info \"m\" x=u32 5");
    assert_event!(info!(x, "m"), "Info \"m\" x=u32 5");
    assert_event!(info!(x, "m", y = 1), "Info \"m\" x=u32 5 y=I64(1)");
    assert_event!(info!(x), "Info \"\" x=u32 5");
    assert_event!(info!(x,), "Info \"\" x=u32 5");
    assert_event!(info!("m", x,), "Info \"m\" x=u32 5");
    assert_event!(info!(r#"a "raw" one"#), "Info \"a \\\"raw\\\" one\"");
    assert_event!(info!("{{}}"), "Info \"{{}}\"");
    info! { "braces" }
    info!["brackets"];
}

#[test]
fn fields() {
    let x = 5_u32;
    let y = 'y';
    let r#type = "t";
    assert_event!(
        info!("m", x, %y, k = x, display = %x, debug = ?"q", a.b.c = x, "any text" = x, r#type, if = x + 1),
        "Info \"m\" x=u32 5 y=%display y k=u32 5 display=%u32 5 debug=?str \"q\" a.b.c=u32 5 any text=u32 5 \
         type=str \"t\" if=u32 6"
    );
    assert_event!(info!(?r#type, "m"), "Info \"m\" type=?str \"t\"");
}

#[test]
fn places() {
    let req = REQUEST;
    assert_event!(
        info!("m", req.user.id, req.user.r#type, req.pair.0, %req.pair.1.0, ?req.pair.1.1),
        "Info \"m\" req.user.id=u64 7 req.user.type=u8 3 req.pair.0=u8 1 req.pair.1.0=%display -2 \
         req.pair.1.1=?debug true"
    );
    assert_event!(req.user.log(), "Info \"user {self.id}\" self.id=u64 7 self.name=str \"ann\"");
}

#[test]
fn literals() {
    assert_event!(
        info!(
            "m",
            a = "s",
            b = 1,
            c = -1,
            d = 1u8,
            e = 2.5,
            f = true,
            g = 'g',
            h = u64::MAX,
            i = 0x10_u128,
            j = -5i128,
            k = -0.5f32
        ),
        "Info \"m\" a=Str(\"s\") b=I64(1) c=I64(-1) d=U64(1) e=F64(2.5) f=Bool(true) g=Char('g') \
         h=u64 18446744073709551615 \
         i=U128(16) j=I128(-5) k=F64(-0.5)"
    );
    assert_event!(
        info!(
            "m",
            a = -9223372036854775808,
            b = 18446744073709551615,
            c = b'a',
            d = 340282366920938463463374607431768211455
        ),
        "Info \"m\" a=I64(-9223372036854775808) b=U64(18446744073709551615) c=U64(97) \
         d=U128(340282366920938463463374607431768211455)"
    );
    assert_event!(info!("{} of {total}", 3, total = 10), "Info \"{arg0} of {total}\" arg0=I64(3) total=I64(10)");
}

#[test]
fn templates() {
    let (id, ms, path) = (7_u64, 12.34, "/x");
    assert_event!(
        info!("user {id} took {ms:.1} ms", path),
        "Info \"user {id} took {ms:.1} ms\" id=u64 7 ms=f64 12.34 path=str \"/x\""
    );
    assert_event!(
        info!("{} {:?} {}", id, path, id + 1),
        "Info \"{id} {path:?} {arg2}\" id=u64 7 path=str \"/x\" arg2=u64 8"
    );
    assert_event!(info!("{1} {0}", id, path), "Info \"{path} {id}\" path=str \"/x\" id=u64 7");
    assert_event!(info!("{n:>5}", n = id * 2), "Info \"{n:>5}\" n=u64 14");
    assert_event!(info!("{REQUEST.user.id}"), "Info \"{REQUEST.user.id}\" REQUEST.user.id=u64 7");
    let r#fn = 5_u8;
    assert_event!(info!("{fn:#x}"), "Info \"{fn:#x}\" fn=u8 5");
    assert_event!(info!(r"raw {id}"), "Info \"raw {id}\" id=u64 7");
    assert_event!(info!("tab\t{id}\u{e9}"), "Info \"tab\\t{id}é\" id=u64 7");
}

#[test]
fn value_before_error_before_nothing() {
    let value = OnlyValue;
    let error = Failure;
    let boxed: Box<dyn std::error::Error> = Box::new(Failure);
    assert_event!(
        info!("m", value, error, boxed),
        "Info \"m\" value=value OnlyValue error=error failed boxed=boxed error failed"
    );
    let value = &&value;
    assert_event!(info!(value), "Info \"\" value=value OnlyValue");
}

#[test]
fn placeholders_ask_for_value_then_display_or_debug() {
    let value = OnlyValue;
    let display = OnlyDisplay("d");
    let debug = OnlyDebug;
    assert_event!(
        info!("{value} {value:?} {display} {debug:?}"),
        "Info \"{value} {value:?} {display} {debug:?}\" value=value OnlyValue display=display d debug=debug OnlyDebug"
    );
    assert_event!(
        info!("{} {:?}", display, debug),
        "Info \"{display} {debug:?}\" display=display d debug=debug OnlyDebug"
    );
    assert_event!(info!("{shown}", shown = display), "Info \"{shown}\" shown=display d");
    assert_event!(info!("{error}", error = Failure), "Info \"{error}\" error=display failed");
    let unsized_text: &str = "s";
    assert_event!(
        info!("{} {:?}", *unsized_text, *unsized_text),
        "Info \"{unsized_text} {arg1:?}\" unsized_text=str \"s\" arg1=str \"s\""
    );
}

#[test]
fn operators_bind_inside_arguments() {
    let (a, b) = (2_u8, 3_u8);
    assert_event!(
        info!("{} {}", a + b, -1 - 1, k = a as char, not = !(a == b || b == 5), range = ?a..b, r = &a, c = a == b),
        "Info \"{arg0} {arg1}\" arg0=u8 5 arg1=i32 -2 k=char '\\u{2}' not=bool true range=?debug 2..3 \
         r=u8 2 c=bool false"
    );
}

#[test]
fn evaluated_once_in_source_order() {
    let log = std::cell::RefCell::new(String::new());
    let note = |name: &str, value: u32| {
        log.borrow_mut().push_str(name);
        value
    };
    assert_event!(
        info!(z = note("z", 0), "{b} {a} {} {a}", note("p", 1), a = %note("a", 2), b = ?note("b", 3), c = note("c", 4)),
        "Info \"{b} {a} {arg0} {a}\" z=u32 0 b=?u32 3 a=%u32 2 arg0=u32 1 c=u32 4"
    );
    assert_eq!(log.into_inner(), "zpabc");
}

#[test]
fn not_evaluated_when_off() {
    let calls = Cell::new(0);
    let call = || {
        calls.set(calls.get() + 1);
        1_u32
    };
    let events = || {
        info!("{} {n}", call(), n = call(), d = %call(), g = ?call());
        event!(Level::Error, "m", k = call());
    };
    assert_eq!(record_of_disabled(events), [""; 0]);
    assert_eq!(record_of(|| trace!("m", k = call())), [""; 0], "above the ceiling");
    assert_eq!(record_of(|| event!(Level::Trace, "m", k = call())), [""; 0]);
    assert_eq!(calls.get(), 0);
    assert_eq!(record_of(events).len(), 2);
    assert_eq!(calls.get(), 5);
}

#[test]
fn arguments_are_borrowed_not_moved() {
    let text = String::from("t");
    assert_event!(info!("{text} {}", text), "Info \"{text} {arg0}\" text=String \"t\" arg0=String \"t\"");
    assert_eq!(text, "t");
    let mut count = 1_u32;
    let by = &mut count;
    *by += 1;
    info!("m", k = *by);
    *by += 1;
    assert_eq!(count, 3);
}

#[test]
fn expression_of_type_unit_in_every_place() {
    fn in_match(n: u32) {
        match n {
            0 => info!("zero"),
            1 if n > 5 => {}
            n => warn!("{n}"),
        }
    }
    let closure = |n: u32| info!("closure", n);
    let unit: () = info!("let");
    assert_eq!(unit, ());
    assert_eq!(
        record_of(|| {
            in_match(0);
            in_match(2);
            closure(3);
            if let Some(n) = Some(4_u8) {
                info!("if", n);
            } else {
                info!("else");
            }
            let [(), ()] = [info!("a"), info!("b")];
            (info!("nested {}", {
                info!("inner");
                5_u8
            }));
        }),
        [
            "Info \"zero\"",
            "Warn \"{n}\" n=u32 2",
            "Info \"closure\" n=u32 3",
            "Info \"if\" n=u8 4",
            "Info \"a\"",
            "Info \"b\"",
            "Info \"inner\"",
            "Info \"nested {arg0}\" arg0=u8 5",
        ]
    );
}

#[test]
fn control_flow_out_of_arguments() {
    fn question(text: &str) -> Result<(), std::num::ParseIntError> {
        info!("{}", text.parse::<u32>()?);
        Ok(())
    }
    fn early(stop: bool) -> u8 {
        info!("m", k = if stop { return 1 } else { 2_u8 });
        0
    }
    assert_eq!(record_of(|| assert!(question("5").is_ok())), ["Info \"{arg0}\" arg0=u32 5"]);
    assert_eq!(record_of(|| assert!(question("x").is_err())), [""; 0]);
    assert_eq!(record_of(|| assert_eq!(early(true), 1)), [""; 0]);
    assert_eq!(record_of(|| assert_eq!(early(false), 0)), ["Info \"m\" k=u8 2"]);
}

#[test]
fn generic_functions() {
    fn generic<T: __private::Value + ?Sized, const N: usize>(value: &T) {
        info!("{value}", n = N, bare = value);
    }
    struct Holder<T>(T);
    impl<T: std::fmt::Debug> Holder<T> {
        fn log(&self) {
            info!("{:?}", self.0, plain = ?self.0);
        }
    }
    assert_event!(generic::<str, 3>("s"), "Info \"{value}\" value=str \"s\" n=usize 3 bare=str \"s\"");
    assert_event!(Holder(OnlyDebug).log(), "Info \"{arg0:?}\" arg0=debug OnlyDebug plain=?debug OnlyDebug");
}

/// A future that is ready the second time.
struct Yield(bool);

impl Future for Yield {
    type Output = u8;
    fn poll(mut self: std::pin::Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<u8> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(1) } else { Poll::Pending }
    }
}

#[test]
fn async_functions_stay_send() {
    async fn task() {
        info!("before", k = *std::rc::Rc::new(2_u32));
        Yield(false).await;
        info!("after", got = Yield(true).await);
    }
    /// The temporaries of an event are gone before the await in the same expression.
    async fn same_expression() {
        let _both = (info!("{}", *std::rc::Rc::new(1_u32), d = %std::rc::Rc::new(2)), Yield(true).await);
    }
    fn assert_send<T: Send>(task: T) -> T {
        task
    }
    drop(assert_send(same_expression()));
    let events = record_of(|| {
        let mut task = pin!(assert_send(task()));
        let mut context = Context::from_waker(Waker::noop());
        assert!(task.as_mut().poll(&mut context).is_pending());
        assert!(task.as_mut().poll(&mut context).is_ready());
    });
    assert_eq!(events, ["Info \"before\" k=u32 2", "Info \"after\" got=u8 1"]);
}

/// Has methods that would be found before ours if ours were called by method syntax.
trait Everywhere: Sized {
    #[allow(clippy::wrong_self_convention)] // by value on purpose: method lookup tries that first
    fn is_enabled(self) -> u8 {
        5
    }
    fn native(self) -> u8 {
        5
    }
}

impl<T> Everywhere for T {}

#[test]
fn names_of_the_user_do_not_clash() {
    #[allow(non_snake_case)]
    fn shadowing(Level: u32, Callsite: u32, __ttlog_0: u32, record: u32, __TTLOG_CALLSITE: u32, Value: u32, Cons: u32) {
        info!("{Level} {}", Callsite, __ttlog_0, record, a = __ttlog_0 + Value, Cons);
        let _ = __TTLOG_CALLSITE;
    }
    assert_event!(
        shadowing(1, 2, 3, 4, 5, 6, 7),
        "Info \"{Level} {Callsite}\" Level=u32 1 Callsite=u32 2 __ttlog_0=u32 3 record=u32 4 a=u32 9 Cons=u32 7"
    );
    assert_eq!(5_u8.is_enabled() + 5_u8.native(), 10);
    let five = 5_u8;
    assert_event!(info!("m", five), "Info \"m\" five=u8 5");
    mod core {}
    mod std {}
    assert_event!(info!("m"), "Info \"m\"");
}

#[test]
fn inside_macros_of_the_user() {
    macro_rules! log_all {
        ($message:literal, $($name:ident = $value:expr),* ; $shown:expr, $place:expr) => {
            info!($message, $($name = $value,)* shown = $shown, k = ?$place)
        };
    }
    let x = 1_u8;
    assert_event!(
        log_all!("m {x}", a = 1, b = x + 1; 2 * 3, x),
        "Info \"m {x}\" x=u8 1 a=I64(1) b=u8 2 shown=i32 6 k=?debug 1"
    );

    /// The `x` of the macro and the `x` of its caller are two variables.
    macro_rules! hygienic {
        ($message:literal) => {{
            let x = 2_u8;
            info!($message, mine = x, inner = "i");
            info!("{x}");
        }};
    }
    assert_eq!(
        record_of(|| hygienic!("{x}")),
        ["Info \"{x}\" x=u8 1 mine=u8 2 inner=Str(\"i\")", "Info \"{x}\" x=u8 2"]
    );

    macro_rules! forward {
        ($($event:tt)*) => { warn!(target: "forwarded", $($event)*) };
    }
    assert_event!(forward!("m", x, y = %x), "Warn [forwarded] \"m\" x=u8 1 y=%display 1");
}

#[test]
fn thirty_fields() {
    let v = 1_u8;
    assert_event!(
        info!(
            "m",
            a = v,
            b = v,
            c = v,
            d = v,
            e = v,
            f = v,
            g = v,
            h = v,
            i = v,
            j = v,
            k = v,
            l = v,
            m = v,
            n = v,
            o = v,
            p = v,
            q = v,
            r = v,
            s = v,
            t = v,
            u = v,
            v,
            w = v,
            x = v,
            y = v,
            z = v,
            aa = v,
            ab = v,
            ac = v,
            ad = v
        ),
        "Info \"m\" a=u8 1 b=u8 1 c=u8 1 d=u8 1 e=u8 1 f=u8 1 g=u8 1 h=u8 1 i=u8 1 j=u8 1 k=u8 1 l=u8 1 m=u8 1 n=u8 1 \
         o=u8 1 \
         p=u8 1 q=u8 1 r=u8 1 s=u8 1 t=u8 1 u=u8 1 v=u8 1 w=u8 1 x=u8 1 y=u8 1 z=u8 1 aa=u8 1 ab=u8 1 ac=u8 1 ad=u8 1"
    );
}

#[test]
fn secret() {
    let (user, token, secret) = (7_u8, 8_u8, 9_u8);
    assert_event!(
        info!("user {user} token {token}", user, secret token, secret pin = 1234, secret k = %user, secret ?secret),
        "Info \"user {user} token {token}\" user=u8 7 secret token=u8 8 secret pin=I64(1234) secret k=%display 7 \
         secret secret=?debug 9"
    );
    assert_event!(info!("{}", secret token), "Info \"{token}\" secret token=u8 8");
    assert_event!(info!("x", secret), "Info \"x\" secret=u8 9");
    assert_event!(info!("x", secret = 5), "Info \"x\" secret=I64(5)");
    assert_event!(info!("{} {secret}", secret % 2), "Info \"{arg0} {secret}\" arg0=u8 1 secret=u8 9");
}
