//! Functions with `#[instrument]`.

use std::future::Future;
use std::pin::Pin;

use ttlog_std::{info, instrument};

use super::tasks::block_on;
use super::{Case, install, tree_of};

pub const CASES: &[Case] = &[("functions", functions)];

/// Has neither a native form nor `Debug`.
struct Opaque;

/// Has no native form.
#[derive(Debug)]
struct Point(#[allow(dead_code, reason = "shown by Debug")] i32);

#[instrument]
fn plain(number: u64, text: &str, point: &Point, (left, _): (i8, u8)) -> u64 {
    info!("in plain");
    if number > 0 { number + u64::from(left.unsigned_abs()) } else { 0 }
}

#[instrument(
    level = "debug",
    name = "named",
    target = "elsewhere",
    skip(opaque, y),
    fields(twice = x * 2, y = y + 1, env = "test")
)]
fn with_options(x: u32, y: u32, opaque: Opaque) -> u32 {
    let Opaque = opaque;
    x + y
}

#[instrument(skip_all, err, ret)]
fn fallible(fails: bool) -> Result<u8, std::num::ParseIntError> {
    let number = if fails { "x" } else { "7" }.parse()?;
    Ok(number)
}

#[instrument(err(Debug))]
fn generic<T, const N: usize>(value: T, _rest: [u8; N]) -> Result<u64, Point>
where
    T: std::fmt::Debug + Into<u64> + Copy,
{
    if N == 0 { Err(Point(1)) } else { Ok(value.into()) }
}

#[instrument(ret(Debug))]
fn with_impl(words: impl Iterator<Item = &'static str> + std::fmt::Debug) -> impl std::fmt::Debug {
    words.count()
}

struct Server {
    port: u16,
}

impl Server {
    #[instrument(fields(self.port))]
    fn serve(&mut self, requests: u32) -> &mut Self {
        self.port += u16::try_from(requests).unwrap();
        self
    }

    #[instrument(parent = None, ret)]
    async fn accept(self, count: u32) -> Option<u32> {
        let twice = helper(count).await?;
        info!("in accept");
        Some(twice + u32::from(self.port))
    }
}

#[instrument(level = ttlog_std::Level::WARN, ret)]
async fn helper(n: u32) -> Option<u32> {
    n.checked_mul(2)
}

#[instrument]
async unsafe fn borrows<'a>(text: &'a mut String) -> &'a str {
    text.push('!');
    text
}

trait Handler {
    fn handle<'a>(&'a self, n: u8) -> Pin<Box<dyn Future<Output = Result<u8, String>> + 'a>>;
}

impl Handler for Server {
    // As `async-trait` writes it.
    #[instrument(err)]
    fn handle<'a>(&'a self, n: u8) -> Pin<Box<dyn Future<Output = Result<u8, String>> + 'a>> {
        Box::pin(async move {
            let n = n;
            if n == 0 {
                return Err("no zero".into());
            }
            info!("in handle", self.port);
            Ok(n)
        })
    }
}

#[instrument]
fn returns_early(x: i32) {
    if x < 0 {
        return;
    }
    info!("not early");
}

fn functions() {
    let _recorder = install();
    assert_eq!(plain(5, "text", &Point(3), (-2, 0)), 7);
    assert_eq!(with_options(1, 2, Opaque), 3);
    assert_eq!(fallible(false), Ok(7));
    assert!(fallible(true).is_err());
    assert!(generic(7_u32, [0; 0]).is_err() && generic(7_u32, [0; 1]).is_ok());
    assert_eq!(format!("{:?}", with_impl(["a", "b"].into_iter())), "2");
    let mut server = Server { port: 80 };
    assert_eq!(server.serve(2).serve(3).port, 85);
    assert_eq!(block_on(server.handle(3)), Ok(3));
    assert_eq!(block_on(server.handle(0)), Err("no zero".into()));
    let _outer = ttlog_std::info_scope!("outer");
    assert_eq!(block_on(server.accept(4)), Some(93));
    let mut text = "hi".to_owned();
    // SAFETY: it does nothing unsafe.
    assert_eq!(block_on(unsafe { borrows(&mut text) }), "hi!");
    returns_early(-1);
    returns_early(1);
}

#[test]
fn functions_run_in_spans_of_their_own() {
    let tree = tree_of("functions");
    tree.assert_whole();
    let values = |name: &str| -> Vec<String> {
        let spans: Vec<_> = tree.spans.values().filter(|span| span.name == name).collect();
        spans
            .iter()
            .map(|span| span.values.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" "))
            .collect()
    };
    assert_eq!(values("plain"), ["left=i64 -2 number=u64 5 point=debug Point(3) text=str text"]);
    assert_eq!(values("named"), ["env=str test twice=u64 2 x=u64 1 y=u64 3"]);
    assert_eq!(values("fallible"), ["", ""]);
    assert!(values("generic")[0].contains("value=debug 7"), "{:?}", values("generic"));
    assert_eq!(values("serve"), ["requests=u64 2 self.port=u64 80", "requests=u64 3 self.port=u64 82"]);
    assert_eq!(values("handle"), ["n=u64 3", "n=u64 0"]);
    assert_eq!(values("accept"), ["count=u64 4"]);
    assert_eq!(values("borrows"), ["text=str hi"]);
    assert_eq!(values("returns_early"), ["x=i64 -1", "x=i64 1"]);
    assert_eq!(["accept", "helper", "borrows"].map(|name| tree.parent(name)), ["-", "accept", "outer"]);
    let of = ["in plain", "in accept", "in handle", "not early"];
    assert_eq!(of.map(|message| tree.span_of(message)), ["plain", "accept", "handle", "returns_early"]);
    let results: Vec<_> = tree
        .events_inside()
        .filter(|(_, event)| ["returned", "failed"].contains(&&*event.message))
        .map(|(span, event)| {
            let values = event.values.iter().filter(|(_, role, _)| *role == ttlog_core::event::Role::Value);
            let value = values.map(|(name, _, value)| format!("{name}={value}")).collect::<String>();
            format!("{} {} {value}", tree.name(span), event.level)
        })
        .collect();
    let expected = [
        "fallible INFO value=u64 7",
        "fallible ERROR error=display invalid digit found in string",
        "generic ERROR error=debug Point(1)",
        "with_impl INFO value=u64 2",
        "handle ERROR error=str no zero",
        "helper WARN value=u64 8",
        "accept INFO value=u64 93",
    ];
    assert_eq!(results, expected);
}
