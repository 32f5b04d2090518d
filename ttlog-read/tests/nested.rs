//! Tuples and types with `#[derive(Value)]`: recorded natively, and read back as they were logged.
#![forbid(unsafe_code)] // that of the derive is not the program's

#[path = "support/emitted.rs"]
mod emitted;
#[path = "support/recording.rs"]
mod recording;

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use emitted::snapshot_of;
use ttlog_core::{Value, info};
use ttlog_read::{FieldValue, Query, Secrets, Timeline};

/// An event as read: its message, and its fields as text output shows them.
type Seen = (String, Vec<String>);

/// Returns what a reader sees of the events of a snapshot that fulfill the conditions.
fn seen(name: &str, snapshot: &[u8], secrets: &Secrets, conditions: &[&str]) -> Vec<Seen> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("nested-{name}.bin"));
    std::fs::write(&path, snapshot).expect("the file can be written");
    let inputs = ttlog_read::open(&[path.to_str().expect("a path in UTF-8")]);
    let sources = inputs.sources(secrets).expect("good sources");
    let filter = conditions.iter().map(|text| text.parse::<ttlog_read::Filter>().expect("a condition")).collect();
    let mut timeline = Timeline::read(&sources, &Query { filter, ..Query::default() }, &mut ());
    let mut events = timeline.events();
    let mut all = Vec::new();
    while let Some(event) = events.next_event() {
        assert_eq!(event.damage, None);
        let show = |(name, value): (&str, &FieldValue<'_>)| format!("{name}={value}");
        all.push((event.message(), event.fields().map(show).collect()));
    }
    all
}

/// Runs `events` and returns the fields of all of them.
fn fields_of(name: &str, events: impl FnOnce()) -> Vec<String> {
    seen(name, &snapshot_of(events), &Secrets::default(), &[]).into_iter().flat_map(|(_, fields)| fields).collect()
}

// ----------------------------------------------------------------------------------------------------------------
// values whose derived `Debug` is what a reader shows with `{:?}`

#[derive(Value, Clone, Debug)]
struct Customer {
    id: u64,
    name: String,
    vip: Option<bool>,
    balance: i64,
}

#[derive(Value, Clone, Debug)]
enum Phase {
    Open,
    Retry(u8),
    Move(i16, f64, char),
    Failed { code: u16, why: Option<String>, at: (i128, f32) },
    Within(Box<Place>),
}

#[derive(Value, Clone, Debug)]
struct Place(f32, f32);

#[derive(Value, Clone, Debug)]
struct Nothing;

/// Public, with members of private types.
#[derive(Value, Clone, Debug)]
pub struct Page<'p, T, const N: usize>
where
    T: Clone,
{
    items: Vec<T>,
    first: &'p T,
    title: Cow<'p, str>,
    grid: [[u16; N]; 3],
    nothing: Nothing,
    r#type: Arc<Phase>,
}

#[derive(Value, Clone, Debug)]
struct Order<'p> {
    customer: Customer,
    phase: Phase,
    corner: Option<Place>,
    pages: Option<Page<'p, Customer, 2>>,
    pairs: Vec<Option<(u8, String)>>,
    deep: Option<Option<Vec<Vec<i8>>>>,
    wide: u128,
    ratio: f64,
}

fn text(random: &mut fastrand::Rng) -> String {
    let len = if random.u8(..10) == 0 { random.usize(200..600) } else { random.usize(..20) };
    std::iter::repeat_with(|| random.char(..)).take(len).collect()
}

fn number(random: &mut fastrand::Rng) -> u64 {
    random.u64(..) >> random.u32(..64)
}

fn customer(random: &mut fastrand::Rng) -> Customer {
    let balance = number(random).cast_signed() * if random.bool() { 1 } else { -1 };
    let vip = [None, Some(true), Some(false)][random.usize(..3)];
    Customer { id: number(random), name: text(random), vip, balance }
}

fn phase(random: &mut fastrand::Rng) -> Phase {
    match random.u8(..5) {
        0 => Phase::Open,
        1 => Phase::Retry(random.u8(..)),
        2 => Phase::Move(random.i16(..), random.f64() * 1e9, random.char(..)),
        3 => {
            let why = if random.bool() { Some(text(random)) } else { None };
            Phase::Failed { code: random.u16(..), why, at: (random.i128(..), random.f32()) }
        }
        _ => Phase::Within(Box::new(Place(random.f32(), -random.f32()))),
    }
}

fn order<'p>(random: &mut fastrand::Rng, first: &'p Customer) -> Order<'p> {
    let page = |random: &mut fastrand::Rng| Page {
        items: (0..random.usize(..4)).map(|_| customer(random)).collect(),
        first,
        title: text(random).into(),
        grid: [[random.u16(..); 2], [0, 1], [random.u16(..), 2]],
        nothing: Nothing,
        r#type: Arc::new(phase(random)),
    };
    let pair = |random: &mut fastrand::Rng| (random.u8(..) > 100).then(|| (random.u8(..), text(random)));
    Order {
        customer: customer(random),
        phase: phase(random),
        corner: random.bool().then(|| Place(random.f32(), random.f32())),
        pages: if random.bool() { Some(page(random)) } else { None },
        pairs: (0..random.usize(..300) / 80).map(|_| pair(random)).collect(),
        deep: [None, Some(None), Some(Some(vec![vec![1, -2], vec![]]))][random.usize(..3)].clone(),
        wide: random.u128(..) >> random.u32(..128),
        ratio: random.f64(),
    }
}

/// The text of the derived `Debug`, with the names of raw identifiers as they are recorded.
fn debug(value: &impl fmt::Debug) -> String {
    format!("{value:?}").replace("r#type: ", "type: ")
}

#[test]
fn random_values_come_back() {
    let mut random = fastrand::Rng::with_seed(11);
    let firsts: Vec<_> = (0..20).map(|_| customer(&mut random)).collect();
    for (round, first) in firsts.iter().enumerate() {
        let orders: Vec<_> = (0..20).map(|_| order(&mut random, first)).collect();
        let snapshot = snapshot_of(|| {
            for order in &orders {
                let (head, tail) = (order.wide as u16, order.customer.id);
                info!(
                    "{order:?}\u{1}{pair:?}\u{1}{places:?}",
                    head,
                    order,
                    pair = (tail, head, &order.customer.name),
                    tail,
                    places = [order.corner.clone(), None]
                );
            }
        });
        let events = seen(&format!("random-{round}"), &snapshot, &Secrets::default(), &[]);
        assert_eq!(events.len(), orders.len());
        for (order, (message, fields)) in orders.iter().zip(events) {
            let (head, tail) = (order.wide as u16, order.customer.id);
            let pair = (tail, head, &order.customer.name);
            let places = [order.corner.clone(), None];
            assert_eq!(message, format!("{}\u{1}{pair:?}\u{1}{places:?}", debug(order)));
            let around = [format!("head={head}"), format!("tail={tail}")];
            assert!(around.iter().all(|field| fields.contains(field)), "what stands before and behind");
        }
    }
}

#[test]
fn pretty_debug_is_that_of_the_derive() {
    let mut random = fastrand::Rng::with_seed(12);
    let first = Customer { id: 1, name: "a".into(), vip: None, balance: 0 };
    for round in 0..10 {
        let order = order(&mut random, &first);
        let snapshot = snapshot_of(|| info!("{order:#?}"));
        let events = seen(&format!("pretty-{round}"), &snapshot, &Secrets::default(), &[]);
        assert_eq!(events[0].0, format!("{order:#?}").replace("r#type: ", "type: "));
    }
}

#[test]
fn a_tuple_behind_a_question_mark_is_recorded_natively() {
    let pair = (1_u16, 70_000_u64);
    let snapshot = snapshot_of(|| info!("x", ?pair, one = ?(Some("a"),), nested = ?[((), 'b', [1.5_f32])]));
    let all = || seen("marked", &snapshot, &Secrets::default(), &[]);
    assert_eq!(all()[0].1, ["pair=(1, 70000)", "one=(Some(\"a\"),)", "nested=[((), 'b', [1.5])]"]);
    let count = |condition| seen("marked", &snapshot, &Secrets::default(), &[condition]).len();
    // Numbers compare as numbers only if they were recorded as such.
    assert_eq!((count("pair.1>9999"), count("pair.1<9999"), count("nested[0].1=b")), (1, 0, 1));
}

// ----------------------------------------------------------------------------------------------------------------
// attributes

#[derive(Value)]
struct OrderId(u64);

#[derive(Value)]
#[value(transparent)]
struct Wrapped<T> {
    inner: T,
    #[value(skip)]
    _cache: std::cell::Cell<u8>,
}

#[derive(Value)]
struct Token(#[value(secret)] String);

#[derive(Value)]
#[value(rename = "Login")]
struct Signin {
    user: OrderId,
    #[value(rename = "as")]
    role: Plan,
    #[value(secret)]
    code: u32,
    password: String,
    #[value(display)]
    address: std::net::Ipv4Addr,
    #[value(debug)]
    state: Result<u8, ()>,
    #[value(skip)]
    _handle: std::cell::RefCell<u8>,
}

#[derive(Value)]
enum Plan {
    #[value(rename = "free-of-charge")]
    Free,
    Paid {
        #[value(secret)]
        card: Card,
        months: u8,
    },
}

#[derive(Value)]
enum Card {
    Visa(u64),
    Other,
}

fn signin(role: Plan) -> Signin {
    Signin {
        user: OrderId(7),
        role,
        code: 1234,
        password: "hunter2".into(),
        address: std::net::Ipv4Addr::LOCALHOST,
        state: Err(()),
        _handle: std::cell::RefCell::new(0),
    }
}

#[test]
fn newtypes_are_what_they_hold() {
    let fields = fields_of("newtypes", || {
        let wrapped = |inner| Wrapped { inner, _cache: std::cell::Cell::new(0) };
        // Those that are fields themselves have the encoding of what they hold, in two parts or in whole words.
        info!("x", id = OrderId(300), wide = wrapped(1.5), text = Wrapped { inner: "abc", _cache: Default::default() });
        info!(
            "x",
            list = [OrderId(1), OrderId(70_000)],
            maybe = Some(wrapped(-2.5)),
            big = Wrapped { inner: u128::MAX, _cache: Default::default() }
        );
        info!("x", pair = (OrderId(1), wrapped(0.5)), last = 5_u16);
    });
    let expected = [
        "id=300",
        "wide=1.5",
        "text=\"abc\"",
        "list=[1, 70000]",
        "maybe=-2.5",
        "big=340282366920938463463374607431768211455",
        "pair=(1, 0.5)",
        "last=5",
    ];
    assert_eq!(fields, expected);
}

#[test]
fn attributes_are_obeyed() {
    let snapshot = snapshot_of(|| {
        info!("{login:?}", login = signin(Plan::Free));
        info!(
            "paid",
            login = Some(signin(Plan::Paid { card: Card::Visa(4_111), months: 3 })),
            held = Token("t".into())
        );
        info!("paid", login = [Plan::Paid { card: Card::Other, months: 4 }], secret all = Card::Visa(17));
    });
    let withheld = seen("attributes", &snapshot, &Secrets::default(), &[]);
    let login = |role: &str| {
        format!(
            "login={{user: 7, as: {role}, code: <withheld>, password: <withheld>, address: 127.0.0.1, state: Err(())}}"
        )
    };
    assert_eq!(withheld[0].1, [login("free-of-charge")]);
    let message = "Login { user: 7, as: free-of-charge, code: <withheld>, password: <withheld>, address: 127.0.0.1, \
                   state: Err(()) }";
    assert_eq!(withheld[0].0, message);
    assert_eq!(withheld[1].1, [login("Paid {card: <withheld>, months: 3}"), "held=(<withheld>)".to_owned()]);
    assert_eq!(withheld[2].1, ["login=[Paid {card: <withheld>, months: 4}]", "all=<withheld>"]);
    let shown = seen("attributes", &snapshot, &Secrets::new(vec![], true), &[]);
    assert!(shown[0].1[0].contains("code: 1234, password: \"hunter2\""), "{:?}", shown[0]);
    assert_eq!(shown[2].1, ["login=[Paid {card: Other, months: 4}]", "all=Visa(17)"]);
    // A filter must not reveal them either, nor the name of a member that is secret for this reader alone.
    let count = |condition, keys: &[&str]| {
        let secrets = Secrets::new(keys.iter().map(|&key| key.to_owned()).collect(), false);
        seen("attributes", &snapshot, &secrets, &[condition]).len()
    };
    assert_eq!((count("login.code=1234", &[]), count("login.code>1", &[]), count("login.code!=5", &[])), (0, 0, 3));
    assert_eq!((count("login.Paid.card.Visa=4111", &[]), count("login.card=Visa", &[])), (0, 0));
    assert_eq!((count("login.user=7", &[]), count("login.user=7", &["user"])), (2, 0));
}

#[test]
fn formatted_members_are_captured_at_any_depth_and_cut_to_their_room() {
    #[derive(Value)]
    struct Inner {
        #[value(display)]
        short: u8,
        #[value(display)]
        long: String,
        after: u16,
        #[value(debug)]
        lost: &'static str,
    }
    #[derive(Value)]
    struct Outer {
        inner: Option<Inner>,
        pair: (u8, Inner),
    }
    let inner = |long: &str| Inner { short: 5, long: long.into(), after: 6, lost: "x" };
    let outer = Outer { inner: Some(inner("a\"b")), pair: (1, inner(&"é".repeat(500))) };
    let fields = fields_of("formatted", || info!("x", outer, alone = inner("y")));
    let start =
        "outer={inner: {short: 5, long: \"a\\\"b\", after: 6, lost: \"\\\"x\\\"\"}, pair: (1, {short: 5, long: ééé";
    assert!(fields[0].starts_with(start), "{}", fields[0]);
    assert!(fields[0].contains("of 1000 bytes), after: 6, lost: "), "{}", fields[0]);
    assert_eq!(fields[1], "alone={short: 5, long: y, after: 6, lost: \"\\\"x\\\"\"}");
}

// ----------------------------------------------------------------------------------------------------------------
// paths

#[test]
fn conditions_look_inside() {
    #[derive(Value)]
    struct Line {
        sku: &'static str,
        count: u32,
    }
    #[derive(Value)]
    struct Shop {
        customer: Customer,
        lines: Vec<Line>,
        phase: Phase,
        place: Place,
        note: Option<(u8, &'static str)>,
    }
    let customer = |id| Customer { id, name: format!("c{id}"), vip: None, balance: -5 };
    let shop = |id, lines, phase, note| Shop { customer: customer(id), lines, phase, place: Place(0.5, 2.0), note };
    let snapshot = snapshot_of(|| {
        let lines = vec![Line { sku: "a", count: 1 }, Line { sku: "b", count: 9 }];
        info!("1", order = shop(7, lines, Phase::Open, Some((3, "x"))));
        info!("2", order = shop(8, vec![], Phase::Failed { code: 404, why: None, at: (0, 0.0) }, None));
        info!("3", order.customer.id = 7_u64, order = 1_u8);
        info!(
            "4",
            order = shop(9, vec![Line { sku: "c", count: 2 }], Phase::Retry(4), None),
            order.customer.id = "flat"
        );
    });
    let found = |condition: &str| {
        let events = seen("paths", &snapshot, &Secrets::default(), &[condition]);
        events.into_iter().map(|(message, _)| message).collect::<Vec<_>>().concat()
    };
    for (condition, expected) in [
        ("order.customer.id=7", "13"),
        ("order.customer.id=flat", "4"), // the flat field wins
        ("order.customer.id=9", ""),
        ("fields.order.customer.id=7", "13"),
        ("order.customer.balance<0", "124"),
        ("order.customer.vip=None", "124"),
        ("order.customer.name~=c8", "2"),
        ("order.lines[0].sku=a", "1"),
        ("order.lines[1].sku=a", ""),
        ("order.lines[2].sku=a", ""),
        ("order.lines.sku=b", "1"),
        ("order.lines.count>1", "14"),
        ("order.lines.sku!=b", "234"), // no element does, or there is none
        ("order.phase=Open", "1"),
        ("order.phase=Failed", "2"),
        ("order.phase!=Failed", "134"),
        ("order.phase.code>=400", "2"),
        ("order.phase.Failed.code=404", "2"),
        ("order.phase.Retry.code=404", ""),
        ("order.phase.Retry.0=4", "4"),
        ("order.phase.0=4", "4"),
        ("order.phase.at.0=0", "2"),
        ("order.place.1=2", "124"),
        ("order.place.2=2", ""),
        ("order.note.1=x", "1"),
        ("order.nothing=1", ""),
        ("order.nothing!=1", "1234"),
        ("order.lines[=1", ""),
        ("order.lines[99999999999999999999]=1", ""),
        ("order.=1", ""),
    ] {
        assert_eq!(found(condition), expected, "{condition}");
    }
}
