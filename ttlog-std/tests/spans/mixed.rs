//! Native spans and those of `tracing`, in each other.

use ttlog_std::{info, info_scope, info_span};

use super::tree::Tree;
use super::{Case, tree_of};

pub const CASES: &[Case] = &[("mixed-layer", with_layer), ("mixed-subscriber", with_subscriber)];

fn with_layer() {
    use tracing_subscriber::prelude::*;
    let recorder = super::install();
    tracing_subscriber::registry().with(recorder.layer()).init();
    work();
}

fn with_subscriber() {
    let _recorder = super::install();
    tracing::subscriber::set_global_default(ttlog_std::tracing::subscriber()).unwrap();
    work();
}

fn work() {
    let _native = info_scope!("native");
    let foreign = tracing::info_span!("foreign");
    foreign.in_scope(|| {
        info!("native event in foreign");
        let inner = info_span!("native in foreign");
        inner.in_scope(|| {
            tracing::info!("foreign event");
            let deepest = tracing::info_span!("foreign in native in foreign");
            let in_deepest = deepest.enter();
            info!("native event, deepest");
            // `tracing` itself knows only its own.
            assert_eq!(tracing::Span::current().id(), deepest.id());
            drop(in_deepest);
            assert_eq!(tracing::Span::current().id(), foreign.id());
        });
    });
    info!("native event");
    // A span of `tracing` that ended while its guard lives on, which only its id can do.
    let kept = foreign.clone();
    drop(foreign);
    let _in_kept = kept.enter();
    let _last = info_span!("last");
}

#[test]
fn native_spans_and_those_of_tracing_nest() {
    for case in ["mixed-layer", "mixed-subscriber"] {
        let tree: Tree = tree_of(case);
        tree.assert_whole();
        let names = ["native", "foreign", "native in foreign", "foreign in native in foreign", "last"];
        let parents = ["-", "native", "foreign", "native in foreign", "foreign"];
        assert_eq!(names.map(|name| tree.parent(name)), parents, "{case}");
        assert_eq!(tree.span_of("native event in foreign"), "foreign");
        assert_eq!(tree.span_of("native event, deepest"), "foreign in native in foreign");
        assert_eq!(tree.span_of("native event"), "native");
        let foreign = tree
            .events_inside()
            .find(|(_, event)| event.target.contains("mixed") && event.fields.contains_key("message"));
        let (span, event) = foreign.unwrap();
        assert_eq!((tree.name(span), event.value("message")), ("native in foreign", "display foreign event"));
    }
}
