use super::*;

/// Records of spans in a short form: time, context, span, action.
fn fold(records: &[(i64, u32, u64, Action)]) -> Spans<usize> {
    fold_complete_from(i64::MIN, records)
}

fn fold_complete_from(complete_from: i64, records: &[(i64, u32, u64, Action)]) -> Spans<usize> {
    let record = |(entry, &(at, context, span, action)): (usize, _)| {
        let order = entry as u64;
        SpanRecord { at, order, ticks: at as u64, context, span, action, entry }
    };
    Spans::fold(records.iter().enumerate().map(record), complete_from)
}

fn start(parent: u64) -> Action {
    Action::Start { parent: Some(parent) }
}

fn ids<'s>(spans: impl IntoIterator<Item = &'s Span<usize>>) -> Vec<u64> {
    spans.into_iter().map(|span| span.id).collect()
}

use Action::{Begin, End, Enter, Finish, Leave, Mention, Repeat, Update};

#[test]
fn a_life_in_two_records() {
    let spans = fold(&[
        (100, 1, 7, Begin { parent: None }),
        (110, 1, 8, Begin { parent: None }),
        (115, 1, 9, Action::Start { parent: None }),
        (120, 2, 10, Begin { parent: None }),
        (125, 1, 11, Begin { parent: Some(0) }),
        (130, 1, 11, Finish),
        (140, 1, 8, Finish),
        (190, 1, 7, Finish),
    ]);
    let of = |id| spans.get(id).unwrap();
    assert_eq!((of(8).total_ns(1000), of(8).busy_ns(1000), of(8).ended), (30, 30, Some(140)));
    assert_eq!((of(7).busy_ns(1000), of(7).entered_count, of(7).last_left), (90, 1, Some(190)));
    assert_eq!([7, 8, 9, 10, 11].map(|id| of(id).parent), [0, 7, 8, 0, 0], "the span that the context was in");
    assert!(of(9).is_open() && of(10).is_open());
    assert_eq!(spans.innermost().map(|(context, span)| (context, span.id)).collect::<Vec<_>>(), [(2, 10)]);
}

#[test]
fn start_after_its_repetition_at_the_same_time() {
    let spans = fold(&[(1, 2, 7, Repeat { parent: 0 }), (1, 1, 7, start(0)), (2, 1, 7, Enter), (3, 1, 7, Leave)]);
    let span = spans.get(7).unwrap();
    assert_eq!((span.start, span.start_is_lost(), span.busy_ns(3)), (Some(1), false, 1));
}

#[test]
fn a_life_from_start_to_end() {
    let spans = fold(&[
        (100, 1, 7, start(0)),
        (110, 1, 7, Enter),
        (120, 1, 8, start(7)),
        (130, 1, 8, Enter),
        (140, 1, 8, Update { follows: 0 }),
        (150, 1, 8, Leave),
        (160, 1, 8, End),
        (170, 1, 7, Leave),
        (190, 1, 7, End),
    ]);
    let (outer, inner) = (spans.get(7).unwrap(), spans.get(8).unwrap());
    assert_eq!((outer.total_ns(1000), outer.busy_ns(1000), outer.entered_count), (90, 60, 1));
    assert_eq!((inner.total_ns(1000), inner.busy_ns(1000), inner.parent), (40, 20, 7));
    assert_eq!((inner.updates.as_slice(), inner.start), (&[4][..], Some(2)));
    assert_eq!((outer.last_left, outer.ended, outer.is_open()), (Some(170), Some(190), false));
    assert_eq!(ids(spans.path(8)), [7, 8]);
    assert_eq!(spans.innermost().count(), 0);
}

#[test]
fn innermost_open_span_of_each_context() {
    let spans = fold(&[
        (1, 1, 1, start(0)),
        (2, 1, 1, Enter),
        (3, 1, 2, start(1)),
        (4, 1, 2, Enter),
        (5, 2, 3, start(0)),
        (6, 2, 3, Enter),
        (7, 3, 4, start(0)),
        (8, 3, 4, Enter),
        (9, 3, 4, Leave),
    ]);
    let found: Vec<_> = spans.innermost().map(|(context, span)| (context, span.id)).collect();
    assert_eq!(found, [(1, 2), (2, 3)]);
    assert!(spans.get(4).unwrap().is_open(), "left, but not ended");
    assert_eq!(spans.get(4).unwrap().last_left, Some(9));
}

#[test]
fn several_contexts_are_in_one_span() {
    let spans = fold(&[
        (0, 1, 1, start(0)),
        (10, 1, 1, Enter),
        (20, 2, 1, Enter),
        (30, 1, 1, Leave),
        (50, 2, 1, Leave),
        (60, 1, 1, Enter),
        (65, 1, 1, Enter),
        (70, 1, 1, Leave),
        (80, 1, 1, Leave),
        (90, 1, 1, End),
    ]);
    let span = spans.get(1).unwrap();
    assert_eq!((span.busy_ns(1000), span.entered_count, span.inside.len()), (60, 4, 0));
}

#[test]
fn guards_dropped_in_another_order_or_elsewhere() {
    let spans = fold(&[
        (0, 1, 1, start(0)),
        (0, 1, 2, start(0)),
        (10, 1, 1, Enter),
        (20, 1, 2, Enter),
        (30, 1, 1, Leave),
        (40, 9, 2, Leave),
        (50, 1, 1, End),
        (60, 1, 2, End),
    ]);
    assert_eq!(spans.innermost().count(), 0);
    assert_eq!((spans.get(1).unwrap().busy_ns(99), spans.get(2).unwrap().busy_ns(99)), (20, 20));
    assert!(!spans.get(2).unwrap().busy_is_partial);
}

#[test]
fn what_was_overwritten_is_unknown() {
    let spans = fold(&[(10, 1, 5, Leave), (20, 1, 6, start(4)), (30, 1, 6, Enter)]);
    let lost = spans.get(5).unwrap();
    assert!(lost.busy_is_partial && lost.start.is_none() && lost.is_open());
    assert_eq!(ids(spans.path(6)), [4, 6], "its parent is known by its id only");
    assert_eq!(
        spans.tree().iter().map(|node| (node.span.id, node.depth)).collect::<Vec<_>>(),
        [(5, 0), (4, 0), (6, 1)]
    );
}

#[test]
fn repeated_start_stands_for_an_overwritten_one() {
    let spans = fold_complete_from(
        15,
        &[
            (5, 1, 5, Enter),
            (10, 9, 5, Repeat { parent: 3 }),
            (16, 9, 3, Repeat { parent: 0 }),
            (20, 1, 5, Update { follows: 0 }),
            (21, 9, 5, Repeat { parent: 3 }),
            (30, 1, 6, start(5)),
            (31, 9, 6, Repeat { parent: 5 }),
            (32, 1, 5, Leave),
        ],
    );
    let of = |id| spans.get(id).unwrap();
    assert_eq!((of(5).start, of(5).updates.as_slice(), of(5).start_is_lost()), (Some(1), &[3][..], true));
    assert_eq!((of(6).start, of(6).start_is_lost(), of(6).updates.len()), (Some(5), false, 0));
    assert_eq!(ids(spans.path(6)), [3, 5, 6]);
    assert_eq!((of(5).state(), of(5).busy_ns(100), of(5).entered_count), (State::Open, 27, 1));
    assert_eq!((of(3).state(), of(3).last_context), (State::Open, 0));
}

#[test]
fn an_end_can_be_overwritten_only_before_all_is_complete() {
    let spans = fold_complete_from(
        15,
        &[(1, 1, 1, start(0)), (2, 1, 2, start(0)), (3, 1, 3, start(0)), (20, 2, 2, Mention), (21, 2, 3, End)],
    );
    let states: Vec<_> = spans.all().iter().map(Span::state).collect();
    assert_eq!(states, [State::Unknown, State::Open, State::Ended]);
    assert_eq!((spans.get(1).unwrap().total_ns(100), spans.get(2).unwrap().total_ns(100)), (0, 98));
    assert_eq!(spans.tree()[0].span.id, 2, "what is certainly open comes first");
}

#[test]
fn the_current_span_follows_the_context() {
    let spans = fold(&[
        (10, 1, 1, start(0)),
        (10, 1, 1, Enter),
        (20, 1, 2, start(1)),
        (30, 1, 2, Enter),
        (35, 2, 1, Enter),
        (40, 1, 1, Leave),
        (50, 1, 2, Leave),
    ]);
    // The order in the record at 10 is 1.
    let at = |context, at, order| spans.current_at(context, at, order);
    assert_eq!([at(1, 9, 9), at(1, 10, 0), at(1, 10, 1), at(1, 29, 0), at(1, 30, 9)], [0, 0, 1, 1, 2]);
    assert_eq!([at(1, 45, 0), at(1, 50, 9), at(2, 34, 0), at(2, 99, 0), at(3, 99, 0)], [2, 0, 0, 1, 0]);
}

#[test]
fn a_span_that_is_left_had_been_entered() {
    let spans =
        fold(&[(10, 1, 5, Leave), (20, 1, 4, Leave), (30, 1, 6, start(0)), (31, 1, 6, Enter), (40, 1, 6, Leave)]);
    let at: Vec<_> = [9, 10, 19, 20, 30, 31, 40].map(|at| spans.current_at(1, at, 99)).into();
    assert_eq!(at, [5, 4, 4, 0, 0, 6, 0]);
}

#[test]
fn a_span_that_has_ended_is_not_the_innermost() {
    let records = [(1, 1, 1, start(0)), (2, 1, 1, Enter), (3, 1, 2, start(1)), (4, 1, 2, Enter), (5, 9, 2, End)];
    let spans = fold(&records);
    let innermost: Vec<_> = spans.innermost().map(|(context, span)| (context, span.id)).collect();
    assert_eq!(innermost, [(1, 1)]);
}

#[test]
fn tree_with_open_ones_first() {
    let spans = fold(&[
        (1, 1, 1, start(0)),
        (2, 1, 2, start(1)),
        (3, 1, 2, End),
        (4, 1, 1, End),
        (5, 1, 3, start(0)),
        (6, 1, 4, start(3)),
        (7, 1, 4, End),
        (8, 1, 5, start(3)),
        (9, 1, 6, start(0)),
        (10, 1, 6, End),
    ]);
    let shown: Vec<_> = spans.tree().iter().map(|node| (node.span.id, node.depth)).collect();
    assert_eq!(shown, [(3, 0), (5, 1), (4, 1), (1, 0), (2, 1), (6, 0)]);
}

#[test]
fn circles_and_nonsense_end() {
    let spans = fold(&[
        (1, 1, 1, start(2)),
        (2, 1, 2, start(1)),
        (3, 1, 3, start(3)),
        (4, 1, 3, start(1)),
        (5, 1, 0, start(1)),
        (6, 1, 1, End),
        (2, 1, 1, End),
        (7, 1, 1, Leave),
    ]);
    assert_eq!(spans.all().len(), 3);
    assert_eq!(spans.path(1).len(), PATH_LEN_MAX);
    assert_eq!(spans.tree().len(), 3);
    assert_eq!(spans.get(1).unwrap().ended, Some(6), "the first end counts");
    assert_eq!(spans.get(3).unwrap().parent, 3, "the first start counts");
    let spans = fold(&[(1, 1, 1, Repeat { parent: 2 }), (2, 1, 2, Repeat { parent: 1 }), (3, 1, 3, start(2))]);
    assert_eq!(ids(spans.tree().iter().map(|node| node.span)), [1, 2, 3]);
}

#[test]
fn a_long_path_costs_no_stack() {
    let records: Vec<_> = (1..200_000u64).map(|id| (id as i64, 1, id, start(id - 1))).collect();
    let spans = fold(&records);
    assert_eq!(spans.tree().last().unwrap().depth, 199_998);
    assert_eq!(spans.path(199_999).len(), PATH_LEN_MAX);
}

#[test]
fn any_records_in_any_order_keep_times_sane() {
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..2000 {
        let records: Vec<_> = (0..random.usize(0..60))
            .map(|_| {
                let action = match random.u8(0..6) {
                    5 => Repeat { parent: random.u64(0..6) },
                    0 => start(random.u64(0..6)),
                    1 => Enter,
                    2 => Leave,
                    3 => End,
                    _ => Update { follows: random.u64(0..3) },
                };
                (random.i64(0..100), random.u32(0..3), random.u64(0..6), action)
            })
            .collect();
        let spans = fold(&records);
        for span in spans.all() {
            let (total, busy) = (span.total_ns(100), span.busy_ns(100));
            assert!(0 <= busy && busy <= total, "{span:?}");
        }
        assert_eq!(spans.tree().len(), spans.all().len());
        for (_, span) in spans.innermost() {
            assert!(!span.inside.is_empty(), "{span:?}");
        }
    }
}
