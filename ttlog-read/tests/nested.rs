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
use ttlog_core::{Value, info, info_scope};
use ttlog_read::query::{Key, Selected, UnknownField};
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
fn names_of_secrets_can_be_paths() {
    #[derive(Value)]
    struct Buyer {
        id: u8,
        card: Plan,
    }
    #[derive(Value)]
    struct Sale {
        buyers: Vec<Option<Buyer>>,
        place: Place,
    }
    let buyer = |id| Buyer { id, card: Plan::Paid { card: Card::Other, months: id } };
    let snapshot = snapshot_of(|| {
        info!("x", sale = Sale { buyers: vec![Some(buyer(1)), None, Some(buyer(2))], place: Place(0.5, 2.0) });
        info!("x", buyer = buyer(3), pair = (OrderId(4), buyer(5)));
    });
    let seen = |keys: &[&str], conditions: &[&str]| {
        let secrets = Secrets::new(keys.iter().map(|&key| key.to_owned()).collect(), false);
        seen("secret-paths", &snapshot, &secrets, conditions)
    };
    let all = |keys: &[&str]| seen(keys, &[]).into_iter().flat_map(|(_, fields)| fields).collect::<Vec<_>>().join(" ");
    let paid = |months: &str| format!("Paid {{card: <withheld>, months: {months}}}");
    let expected = |ids: [&str; 4], months: [&str; 4], place: &str| {
        let buyer = |index: usize| format!("{{id: {}, card: {}}}", ids[index], paid(months[index]));
        let (first, second, alone, paired) = (buyer(0), buyer(1), buyer(2), buyer(3));
        format!("sale={{buyers: [{first}, None, {second}], place: {place}}} buyer={alone} pair=(4, {paired})")
    };
    const W: &str = "<withheld>";
    let (ids, place) = (["1", "2", "3", "5"], "(0.5, 2.0)");
    for (key, wanted) in [
        ("months.id", expected(ids, ids, place)),
        ("id", expected([W; 4], ids, place)),
        ("sale.buyers.id", expected([W, W, "3", "5"], ids, place)),
        ("buyers.id", expected([W, W, "3", "5"], ids, place)),
        ("buyer.id", expected(["1", "2", W, "5"], ids, place)),
        ("pair.1.id", expected(["1", "2", "3", W], ids, place)),
        ("card.months", expected(ids, [W; 4], place)),
        ("buyer.card.PAID.months", expected(ids, ["1", "2", W, "5"], place)),
        ("buyer.card.Free.months", expected(ids, ids, place)),
        ("place.1", expected(ids, ids, "(0.5, <withheld>)")),
        ("sale.place", expected(ids, ids, W)),
    ] {
        assert_eq!(all(&[key]), wanted, "{key}");
    }
    // What is hidden cannot be found out by a filter.
    let count = |key, condition| seen(&[key], &[condition]).len();
    assert_eq!((count("buyers.id", "sale.buyers.id=1"), count("buyer.id", "sale.buyers.id=1")), (0, 1));
    assert_eq!((count("sale.place", "sale.place.0=0.5"), count("buyer.id", "buyer.id!=3")), (0, 2));
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

/// Records events in and outside of spans whose fields have members.
fn orders_in_spans() -> Vec<u8> {
    #[derive(Value)]
    struct Line {
        sku: &'static str,
        count: u32,
    }
    #[derive(Value)]
    struct Sale {
        customer: Customer,
        lines: Vec<Line>,
        phase: Phase,
    }
    let customer = |id| Customer { id, name: format!("c{id}"), vip: None, balance: -5 };
    let sale = |id, lines, phase| Sale { customer: customer(id), lines, phase };
    snapshot_of(|| {
        let lines = vec![Line { sku: "a", count: 1 }, Line { sku: "b", count: 9 }];
        let outer = info_scope!("checkout", order = sale(7, lines, Phase::Open), order.shop = 5_u8);
        info!("1", code = 1_u8);
        let failed = Phase::Failed { code: 404, why: None, at: (0, 0.0) };
        let _inner = info_scope!(parent: outer.context(), "pay", order = sale(8, vec![], failed));
        info!("2");
        let _other = info_scope!(parent: None, "checkout", order = sale(9, vec![], Phase::Retry(4)));
        info!("3", user = customer(3));
    })
}

#[test]
fn conditions_look_inside_fields_of_spans() {
    let snapshot = orders_in_spans();
    let found = |condition: &str| {
        let events = seen("span-paths", &snapshot, &Secrets::default(), &[condition]);
        events.into_iter().map(|(message, _)| message).collect::<Vec<_>>().concat()
    };
    for (condition, expected) in [
        ("span.order.customer.id=7", "12"), // of any span around it
        ("span.order.customer.id=8", "2"),
        ("span.order.customer.id>=8", "23"),
        ("span.order.customer.id!=7", "3"),
        ("span.fields.order.customer.name~=c9", "3"),
        ("span.order.customer.vip=None", "123"),
        ("span.order.lines.sku=b", "12"),
        ("span.order.lines[1].sku=b", "12"),
        ("span.order.lines[0].sku=b", ""),
        ("span.order.phase=Failed", "2"),
        ("span.order.phase.code>=400", "2"),
        ("span.order.phase.Retry.0=4", "3"),
        ("span.order.shop=5", "12"), // a field with a dot
        ("span.order.shop!=5", "3"),
        ("span.order.nothing=1", ""),
        ("span.order.nothing!=1", "123"),
    ] {
        assert_eq!(found(condition), expected, "{condition}");
    }
    // Spans that are selected themselves are so by their own fields.
    let count = |condition: &str| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("nested-span-paths.bin");
        let inputs = ttlog_read::open(&[path.to_str().expect("a path in UTF-8")]);
        let sources = inputs.sources(&Secrets::default()).expect("good sources");
        let query = Query { filter: condition.parse().expect("a filter"), ..Query::default() };
        Timeline::read(&sources, &Query::default(), &mut ()).span_tree(&query).matched
    };
    assert_eq!((count("order.customer.id=7"), count("order.customer.id!=7"), count("order.lines.count>8")), (1, 2, 1));
    assert_eq!((count("span.order.customer.id=7"), count("order.phase.code=404")), (2, 1));
}

#[test]
fn fields_that_nothing_has_are_reported_with_similar_ones() {
    let snapshot = orders_in_spans();
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("nested-unknown.bin");
    std::fs::write(&path, snapshot).expect("the file can be written");
    let inputs = ttlog_read::open(&[path.to_str().expect("a path in UTF-8")]);
    let sources = inputs.sources(&Secrets::default()).expect("good sources");
    let reported = |names: &[&str], selected: Selected| {
        let keys: Vec<_> = names.iter().map(|name| Key::from_name(name)).collect();
        let unknown = UnknownField::find(&keys, &sources, selected);
        unknown.iter().map(UnknownField::sentence).collect::<Vec<_>>().join("\n")
    };
    for known in [
        "code",
        "fields.code",
        "user.customer_is_not_needed_here",
        "user.id",
        "user.vip",
        "level",
        "span",
        "trace_id",
        "span.name",
        "span.order",
        "span.order.shop",
        "span.order.customer.id",
        "span.fields.order.customer.id",
        "span.order.lines",
        "span.order.lines[3]",
        "span.order.lines[3].sku",
        "span.order.phase.0",
        "span.order.phase.Failed.code",
        "span.order.phase.code",
        "span.order.phase.at.1",
    ] {
        let is_known = known != "user.customer_is_not_needed_here";
        assert_eq!(reported(&[known], Selected::Events).is_empty(), is_known, "{known}");
    }
    for (typed, sentence) in [
        ("cod", "no event has a field `cod`; similar: `code`"),
        ("cdoe", "no event has a field `cdoe`; similar: `code`"),
        ("lexel", "no event has a field `lexel`; similar: `level`"),
        ("user.nqme", "no event has a field `user.nqme`; similar: `user.name`"),
        ("balance", "no event has a field `balance`; similar: `user.balance`"),
        ("user[0]", "no event has a field `user[0]`; similar: `user`"),
        ("unlike", "no event has a field `unlike`"),
        ("x\u{1b}[31m", "no event has a field `x\\u{1b}[31m`"),
        ("order.customer.id", "no event has a field `order.customer.id`; similar: `span.order.customer.id`"),
        ("span.code", "no span has a field `code`; similar: `code`"),
        ("span.order.kustomer.id", "no span has a field `order.kustomer.id`; similar: `span.order.customer.id`"),
        ("span.order.shop[0]", "no span has a field `order.shop[0]`; similar: `span.order.shop`"),
        ("span.order.phase.Open.code", "no span has a field `order.phase.Open.code`"),
        ("span.customer.id", "no span has a field `customer.id`; similar: `span.order.customer.id`"),
    ] {
        assert_eq!(reported(&[typed, typed], Selected::Events), sentence, "{typed}");
    }
    let several = "no event has a field `user.ip`; similar: `user.id` and `user.vip`";
    assert_eq!(
        reported(&["user.ip", "user."], Selected::Events),
        format!("{several}\nno event has a field `user.`; similar: `user`")
    );
    let own = "no span has a field `order.kustomer.id`; similar: `order.customer.id`";
    assert_eq!(reported(&["order.kustomer.id", "order.shop"], Selected::Spans), own);
    assert_eq!(reported(&["order.customer.id"], Selected::Records), "", "records of spans have it");
    assert_eq!(UnknownField::find(&[Key::from_name("x")], &[], Selected::Events), [], "nothing is known");
}
