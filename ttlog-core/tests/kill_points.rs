//! Death at every kill point of the ring's protocols, in all combinations of two contexts, and of nested events.
//!
//! A context that passes a kill point calls back into the test (`ttlog_core::kill`). The test examines the ring as a
//! process that died there would leave it, lets another context run, or ends this context for good. This is
//! deterministic: all contexts of a scene run on one thread, each called at a kill point of the previous one, and death
//! is an unwinding that no code on the way reacts to. The ring is compared with an exact ledger
//! (`kill_points/world.rs`): each event is retained or overwritten, dropped, pending, or absent, according to the last
//! kill point it passed.
//!
//! Built with `--cfg ttlog_kill_points` only, see `ci/checks/kill-points`; other builds contain none of this.
#![cfg(ttlog_kill_points)]

mod snapshot_support;
#[path = "kill_points/world.rs"]
mod world;

use std::cell::{Cell, RefCell};
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ttlog_core::Word;
use ttlog_core::kill::{KillPoint, set_callback};
use ttlog_core::ring::{Cursor, PriorityCursor};
use world::{Beginning, Checker, Context, Op, Size, World, memory, nested, never_passed};

/// Operations of a context in a scene.
#[derive(Clone, Copy, Debug)]
struct Script {
    name: &'static str,
    /// Number of events recorded before the scene, in its own segment.
    before: usize,
    ops: &'static [Op],
}

const EVENT: Op = Op::Event(3);
const SHARED: Op = Op::Shared(3);
const PRIORITY: Op = Op::Priority(3);
const WARNING: Op = Op::Warning(3);

/// All operations of a context on the ring, from events of the hot path to the ends of threads.
const SCRIPTS: [Script; 19] = [
    Script { name: "a small event in its segment", before: 1, ops: &[EVENT] },
    Script { name: "a longer event in its segment", before: 1, ops: &[Op::Event(20)] },
    Script { name: "an event after a long pause", before: 1, ops: &[Op::Late(2)] },
    Script { name: "events that fill its segment and the next", before: 3, ops: &[EVENT, EVENT, EVENT] },
    Script { name: "the first event of a thread", before: 0, ops: &[EVENT] },
    Script { name: "the first and last event of a thread", before: 0, ops: &[EVENT, Op::Detach] },
    Script { name: "the end of a thread", before: 2, ops: &[Op::Detach] },
    Script { name: "a shared event", before: 0, ops: &[SHARED] },
    Script { name: "shared events that fill a segment", before: 0, ops: &[SHARED, SHARED, SHARED] },
    Script { name: "an event whose text is capped", before: 1, ops: &[Op::Event(200)] },
    Script { name: "an event that fits no segment", before: 0, ops: &[Op::TooLarge] },
    Script { name: "a warning", before: 1, ops: &[PRIORITY] },
    Script { name: "warnings that fill a segment", before: 0, ops: &[PRIORITY, PRIORITY, PRIORITY] },
    Script { name: "a first warning in a segment of its own", before: 0, ops: &[WARNING] },
    Script {
        name: "warnings that fill segments of their own",
        before: 0,
        ops: &[WARNING, Op::Rename, WARNING, Op::Warning(20), WARNING],
    },
    Script { name: "the end of a thread that warned", before: 0, ops: &[WARNING, Op::Detach] },
    Script { name: "an entry", before: 0, ops: &[Op::Entry] },
    Script { name: "an anchor and an answer", before: 0, ops: &[Op::Anchor, Op::Answer] },
    Script { name: "a panic and an end", before: 0, ops: &[Op::Panic, Op::End] },
];

/// Operations on the ring before a scene.
type History = (&'static str, &'static [Op]);
const NOTHING: History = ("nothing", &[]);
const ROOM_LEFT: History = ("a thread that left a segment with room", &[EVENT, EVENT, Op::Detach]);
const FULL_SHARED: History = ("a full shared segment", &[EVENT, SHARED, SHARED, EVENT, Op::Detach]);
const LAPS: History = (
    "several laps, and shared segments with room",
    &[
        EVENT,
        EVENT,
        EVENT,
        EVENT,
        EVENT,
        SHARED,
        EVENT,
        EVENT,
        EVENT,
        SHARED,
        EVENT,
        EVENT,
        EVENT,
        EVENT,
        EVENT,
        PRIORITY,
        EVENT,
        EVENT,
        EVENT,
        EVENT,
        EVENT,
        PRIORITY,
        PRIORITY,
        EVENT,
        EVENT,
        EVENT,
        EVENT,
        SHARED,
        SHARED,
        PRIORITY,
        PRIORITY,
        EVENT,
        EVENT,
        SHARED,
        PRIORITY,
        Op::Anchor,
        Op::Anchor,
        Op::Anchor,
        Op::Answer,
        Op::Panic,
        Op::Detach,
    ],
);

const WARNED: History = (
    "laps of the priority class, and threads that left segments of their own",
    &[WARNING, PRIORITY, WARNING, WARNING, WARNING, WARNING, PRIORITY, PRIORITY, WARNING, WARNING, EVENT, Op::Detach],
);

/// Rings of all scenes.
const RINGS: [(Size, History); 11] = [
    (Size { main: 1, kept: 0 }, NOTHING),
    (Size { main: 1, kept: 0 }, LAPS),
    (Size { main: 2, kept: 0 }, ROOM_LEFT),
    (Size { main: 2, kept: 0 }, FULL_SHARED),
    (Size { main: 3, kept: 0 }, LAPS),
    (Size { main: 5, kept: 0 }, LAPS),
    (Size { main: 1, kept: 1 }, LAPS),
    (Size { main: 2, kept: 2 }, ROOM_LEFT),
    (Size { main: 3, kept: 2 }, LAPS),
    (Size { main: 2, kept: 3 }, WARNED),
    (Size { main: 1, kept: 4 }, WARNED),
];

/// Events of other contexts after the deaths of a scene: the process continues with the remaining segments.
const LATER: [Op; 20] = [
    SHARED, PRIORITY, EVENT, WARNING, EVENT, SHARED, SHARED, PRIORITY, PRIORITY, WARNING, EVENT, EVENT, EVENT, EVENT,
    EVENT, SHARED, PRIORITY, EVENT, EVENT, EVENT,
];

/// Panic payload that unwinds a dying context.
struct Death;

/// A context that runs within a step of another.
#[derive(Clone, Copy, Debug)]
struct Interloper {
    script: Script,
    /// Index of its cursor; its number is one more.
    context: usize,
    /// Kill point of the previous context, counted from 1, at which it is called.
    called_at: u64,
    /// Kill point, counted from 1, at which it dies: it is suspended there forever while the others continue. 0: none.
    dies_at: u64,
}

/// One run of a scene: contexts that are called at each other's steps.
struct Run {
    world: World,
    /// The first context, the second, and one that comes after them. A fourth recorded the history of the ring.
    cursors: [(Cursor<'static>, PriorityCursor<'static>); 3],
    interlopers: Vec<Interloper>,
    /// Kill points passed by the first context, and by each active interloper. Empty: the scene has not begun.
    passes: RefCell<Vec<u64>>,
    /// Number of interlopers started.
    started: Cell<usize>,
    has_died: Cell<bool>,
    checker: RefCell<Checker>,
    checks: Cell<u64>,
    /// First failure, and its position.
    failure: RefCell<Option<String>>,
}

thread_local! {
    static RUN: RefCell<Option<Rc<Run>>> = const { RefCell::new(None) };
}

/// Callback of all kill points.
fn pass(point: KillPoint) {
    if let Some(run) = RUN.with_borrow(Clone::clone) {
        run.pass(point);
    }
}

impl Run {
    /// Makes this the run of all further kill points on this thread.
    fn start(world: World, interlopers: &[Interloper], checker: Checker) -> Rc<Self> {
        let run = Rc::new(Run {
            world,
            cursors: [const { (Cursor::new(), PriorityCursor::new(0)) }; 3],
            interlopers: interlopers.to_vec(),
            passes: RefCell::default(),
            started: Cell::new(0),
            has_died: Cell::new(false),
            checker: RefCell::new(checker),
            checks: Cell::new(0),
            failure: RefCell::default(),
        });
        RUN.set(Some(run.clone()));
        run
    }

    fn context(&self, index: usize) -> Context<'_> {
        let (cursor, priority) = &self.cursors[index];
        Context { number: index as u32 + 1, cursor, priority }
    }

    fn pass(&self, point: KillPoint) {
        self.world.pass(point);
        let (depth, passed) = {
            let mut passes = self.passes.borrow_mut();
            let depth = passes.len();
            let Some(last) = passes.last_mut() else { return };
            *last += 1;
            (depth - 1, *last)
        };
        let deepest = self.interlopers.len();
        if depth == self.started.get() && self.interlopers.get(depth).is_some_and(|next| next.called_at == passed) {
            self.call(depth);
        }
        let dies_at = depth.checked_sub(1).map_or(0, |index| self.interlopers[index].dies_at);
        // Other runs cover the other steps of a dying interloper; its caller covers the step where it dies.
        if self.started.get() == deepest && (depth < deepest || dies_at == 0) {
            self.check(&format_args!("{point:?}"));
        }
        if dies_at == passed {
            self.has_died.set(true);
            resume_unwind(Box::new(Death));
        }
    }

    fn check(&self, place: &dyn std::fmt::Debug) {
        self.checks.set(self.checks.get() + 1);
        if let Err(error) = self.world.check(&mut self.checker.borrow_mut()) {
            let steps = self.passes.borrow().clone();
            let mut failure = self.failure.borrow_mut();
            failure.get_or_insert_with(|| format!("{error}\n  at {place:?}, steps {steps:?}"));
        }
    }

    /// Runs the interloper that is called at the context at `depth`.
    fn call(&self, depth: usize) {
        let Interloper { script, context, .. } = self.interlopers[depth];
        self.started.set(depth + 1);
        self.passes.borrow_mut().push(0);
        let work = || nested(|| self.world.run(&self.context(context), script.ops));
        let end = catch_unwind(AssertUnwindSafe(work));
        self.passes.borrow_mut().truncate(depth + 1);
        if let Err(payload) = end {
            if !payload.is::<Death>() {
                resume_unwind(payload);
            }
        }
    }
}

/// End of the last interloper in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The contexts before it had fewer steps.
    NotCalled,
    Died,
    Ended,
}

/// Counts of explored cases.
#[derive(Clone, Copy, Debug, Default)]
struct Tried {
    runs: u64,
    /// Number of images of the ring, each for another combination of steps.
    combinations: u64,
    /// Number of distinct images, of which snapshots were taken.
    images: u64,
}

impl Tried {
    /// Prints the counts, which ci/checks/kill-points adds up.
    fn print(&self, what: &str) {
        let Tried { runs, combinations, images } = self;
        println!("{what}: {combinations} combinations in {runs} runs, snapshots of {images} images");
        assert!(*combinations > 1000, "next to nothing was tried");
    }
}

/// A ring with a history, and the context that runs in it first.
struct Scene {
    memory: &'static [Word],
    size: Size,
    history: History,
    beginning: Beginning,
    first: Script,
    checker: RefCell<Checker>,
    tried: Cell<Tried>,
}

impl Scene {
    /// Runs the scene once.
    fn run(&self, interlopers: &[Interloper]) -> End {
        let world = World::again(self.memory, &self.beginning);
        let run = Run::start(world, interlopers, self.checker.take());
        self.prepare(&run);
        run.passes.borrow_mut().push(0);
        nested(|| run.world.run(&run.context(0), self.first.ops));
        run.passes.borrow_mut().clear();
        let was_called = run.started.get() == interlopers.len();
        if was_called && run.has_died.get() {
            nested(|| run.world.run(&run.context(2), &LATER));
            run.check(&"the end");
        }
        RUN.set(None);
        if let Some(failure) = run.failure.take() {
            let (size, history, first) = (self.size, self.history.0, self.first.name);
            panic!("{failure}\n  {size:?} after {history}\n  first: {first}\n  then: {interlopers:#?}");
        }
        self.checker.replace(run.checker.take());
        let mut tried = self.tried.get();
        tried.runs += 1;
        tried.combinations += run.checks.get();
        self.tried.set(tried);
        match (was_called, run.has_died.get()) {
            (false, _) => End::NotCalled,
            (true, true) => End::Died,
            (true, false) => End::Ended,
        }
    }

    /// Records the history of the contexts in the scene.
    fn prepare(&self, run: &Run) {
        nested(|| {
            run.world.run(&run.context(0), &vec![EVENT; self.first.before]);
            if let Some(other) = run.interlopers.iter().find(|other| other.context != 0) {
                run.world.run(&run.context(other.context), &vec![EVENT; other.script.before]);
            }
        });
    }
}

/// Creates a ring with a history.
fn begin(memory: &'static [Word], size: Size, history: &[Op]) -> Beginning {
    let run = Run::start(World::new(memory, size), &[], Checker::default());
    let (cursor, priority) = (Cursor::new(), PriorityCursor::new(0));
    nested(|| run.world.run(&Context { number: 4, cursor: &cursor, priority: &priority }, history));
    RUN.set(None);
    run.world.keep()
}

/// Returns whether two scripts make a scene that no other covers.
fn is_new(size: Size, first: Script, second: Script) -> bool {
    let all = || first.ops.iter().chain(second.ops);
    // Without priority segments, a warning is a shared event; without the long header, there is no end.
    let is_special = |op: &Op| matches!(op, Op::Priority(_) | Op::Warning(_) | Op::Panic);
    // With one or two priority segments, nobody has one alone.
    let has_own = |op: &Op| matches!(op, Op::Warning(_));
    let alone = |ops: &[Op]| ops.contains(&Op::Anchor);
    all().any(is_special) == (size.kept > 0)
        && all().any(has_own) == (size.kept > 2)
        && !(alone(first.ops) && alone(second.ops))
}

/// Explores all scenes, each with all scripts as the second, with one thread per processor.
fn for_each_scene(explore: impl Fn(&Scene, Script) + Sync) -> Tried {
    set_callback(pass);
    /// Stops the other threads when one finds a failure.
    struct Stop<'a>(&'a AtomicUsize);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.store(usize::MAX / 2, Ordering::Relaxed);
            }
        }
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let _stop = Stop(&next);
        let (memory, mut tried) = (memory(), Tried::default());
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(&(size, history)) = RINGS.get(index / SCRIPTS.len()) else { return tried };
            let first = SCRIPTS[index % SCRIPTS.len()];
            let beginning = begin(memory, size, history.1);
            let (checker, tried_here) = (RefCell::default(), Cell::default());
            let scene = Scene { memory, size, history, beginning, first, checker, tried: tried_here };
            SCRIPTS
                .into_iter()
                .filter(|second| is_new(size, first, *second))
                .for_each(|second| explore(&scene, second));
            tried.runs += scene.tried.get().runs;
            tried.combinations += scene.tried.get().combinations;
            tried.images += scene.checker.borrow().image_count();
        }
    };
    std::thread::scope(|scope| {
        let count = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        let all = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|payload| resume_unwind(payload)));
        all.fold(Tried::default(), |sum, tried| Tried {
            runs: sum.runs + tried.runs,
            combinations: sum.combinations + tried.combinations,
            images: sum.images + tried.images,
        })
    })
}

/// The first context stops at each of its steps i. There the second runs, and dies at each of its steps j, or ends.
/// Then the first continues, and the process dies at each of its further steps, or continues without the dead contexts.
/// The roles are swapped, so each is the first once.
/// change, so each is the first of the two once.
#[test]
fn two_contexts_die_anywhere() {
    let tried = for_each_scene(|scene, script| {
        for called_at in 1.. {
            let second = |dies_at| [Interloper { script, context: 1, called_at, dies_at }];
            let end = (1..).map(|dies_at| scene.run(&second(dies_at))).find(|end| *end != End::Died);
            if end == Some(End::NotCalled) {
                break;
            }
        }
    });
    tried.print("two contexts");
    assert_eq!(never_passed(), [], "a kill point that no scene passes shows nothing");
}

/// Like a signal handler that interrupts a log call and logs itself; a second handler interrupts the first.
#[test]
fn nested_events_die_anywhere() {
    let tried = for_each_scene(|scene, script| {
        if script.before == 0 && script.ops.contains(&EVENT) || script.ops.contains(&Op::Detach) {
            return; // a thread begins and ends outside of its handlers
        }
        let handler = |called_at| Interloper { script, context: 0, called_at, dies_at: 0 };
        for first_at in 1.. {
            if scene.run(&[handler(first_at)]) == End::NotCalled {
                break;
            }
            if script.ops.len() == 1 && scene.history.0 == LAPS.0 {
                let twice = |second_at| scene.run(&[handler(first_at), handler(second_at)]);
                let _ = (1..).map(twice).find(|end| *end == End::NotCalled);
            }
        }
    });
    tried.print("nested events");
}
