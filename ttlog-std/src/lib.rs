//! TTLog for servers: a flight recorder whose events outlive the process.
//!
//! A program logs structured events through macros. They go into a ring of fixed size in a mapped file, and stay readable
//! whatever ends the process: a panic, an abort, a segmentation fault, `kill -9`.
//!
//! ```
//! use ttlog_std::{Recorder, error, info};
//!
//! let recorder = Recorder::init(100_000, 100, "shop");
//! let (symbol, price) = ("ACME", 150.25);
//! info!("order executed", symbol, quantity = 1000_u64, price, side = "buy");
//! error!("order {id} rejected", id = 12_345_u64, reason = "insufficient funds");
//! # recorder.shutdown();
//! ```
//!
//! # What is bounded, what blocks, what is lost
//!
//! - **An event** costs a test of its level, a reading of the clock, and a few stores into memory that is the thread's own at that
//!   moment. It takes no lock, allocates nothing, makes no system call and never waits. (The first event of a thread and the
//!   first of a callsite do a little more: they take a segment and a number, still without locks, and ask the operating system
//!   for the thread's number. The first event of a thread may also allocate, for its name and for what happens at its end; so a
//!   thread whose signal handlers log, and may interrupt the allocator, should have logged before.) An event whose level is off
//!   does not evaluate its arguments.
//! - **Memory** is what was asked for at the start: the ring ([`Builder::capacity_bytes`], 16 MiB by default), its table of
//!   callsites, the memory for one snapshot (below 1 MiB). It does not grow with threads, callsites or time.
//! - **When the ring is full** the oldest events are overwritten and counted, a segment at a time. Nothing waits, nothing else
//!   is lost. An event that cannot be recorded (longer than a segment; more threads inside log calls than segments; a full
//!   table of callsites) is dropped and counted by cause. [`Recorder::loss`] gives the counts, and snapshots carry them.
//! - **When the process ends**, however it does, every event whose macro had returned is in the ring's file, unless it was overwritten
//!   before. The next start of any recorder of the same user finds the file, makes a snapshot with reason `recovered` of it,
//!   and removes it. The end of the *machine* is another matter: the file lives in memory (`/dev/shm`) or in the page cache,
//!   so only snapshots survive it.
//! - **Without a place for the file** (no directory, a full disk, a system other than Linux) the ring is on the heap, which is told
//!   on stderr once: events then end with the process, and snapshots are all that remains.
//! - **A snapshot** ([`Recorder::request_snapshot`], or [by itself](#snapshots-by-themselves)) is written by a thread of the recorder while
//!   writers go on. The file appears whole or not at all. Asking never waits: when [`Builder::channel_capacity`] requests are
//!   waiting, the next one fails.
//! - **A panic** is recorded as an event of level error with target `panic`: its message, its place, its backtrace. The panicking thread
//!   writes a snapshot (it waits at most 5 s for one that is under way), then the panic hook that was there before runs. When that of
//!   another panic was less than [`Builder::snapshot_throttle`] ago the recorder's thread writes one later, for all panics until then;
//!   should the process end before, the ring has them. (A ring on the heap has not, so there each panic has its snapshot at once.) A
//!   panic *inside* the formatting of another panic's message ends the process before any hook runs; the ring has the rest.
//! - **The clock** is the processor's counter where the processor and the kernel vouch for it, else the operating system's. Events carry
//!   its ticks; readers convert them by pairs with the wall clock, one a second, to within a microsecond. When the wall clock is set, or
//!   the machine sleeps, order and durations stay right and readers mark the step, which is known to 100 ms. A counter that stands, goes
//!   back or jumps while the process runs is replaced within 100 ms, and that is told on stderr.
//!   [`Builder::coarse_clock`] trades a millisecond of exactness for about half of an event's cost.
//! - **What blocks**: [`Builder::build`] (a few milliseconds), [`SnapshotTicket::wait`], [`Recorder::shutdown`] (10 s at most), and the
//!   panic hook. Nothing else does.
//! - **The recorder never panics** and never ends the process: trouble makes it do less, and is told on stderr once.
//! - **All levels are recorded** unless [`Builder::filter`] or [`Recorder::set_filter`] says otherwise: a ring that holds the last
//!   moments of a process is worth most when it holds everything.
//!
//! # Where things are
//!
//! | what | where | mode |
//! | --- | --- | --- |
//! | ring | `ttlog-<service>-<pid>-<start>-<random>.ring` in `$TTLOG_DIR`, else `/dev/shm/ttlog-<uid>`, else `ttlog-<uid>` in the temp directory | 0600 in a directory of mode 0700 |
//! | snapshots | `ttlog-<service>-<pid>-<utc time>-<reason>.bin` in `$TTLOG_SNAPSHOT_DIR`, else the temp directory | 0600 |
//!
//! A directory that was named, by the program or by the environment, is the only one that is tried. Deleting the ring's file is
//! harmless to the process.
//!
//! When somebody cuts the ring's file short while the process runs, which the modes above leave to the user and to root, the
//! process goes on: a handler of SIGBUS replaces the lost part by memory ([`Builder::fault_handler`]). What that part held is
//! lost and not counted, and from then on the ring does not outlive the process as a whole ([`Recorder::ring_path`]).
//!
//! # When the process ends
//!
//! The events are in the ring's file already, so at the end nothing has to be saved. What is added, where it can be, is how it ended;
//! `ttlog-view` shows it in a sentence, and the snapshot that the next start makes of the ring carries it:
//!
//! | end | what the ring says |
//! | --- | --- |
//! | SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT (`abort`), SIGSYS, SIGTRAP | signal, code, address of a fault, thread, time |
//! | SIGTERM, SIGINT, SIGHUP, SIGQUIT, where the program had no handler at the start | the same, and which process of which user has sent it |
//! | stack overflow | SIGSEGV and the address; in a thread that std has not started, from its first event on |
//! | `exit`, the return from `main` | the status (with the GNU C library), thread, time |
//! | panic | how many there were; thread and time of the last. The event and the snapshot are the panic hook's |
//! | SIGKILL, the out-of-memory killer, `_exit`, `exec`, loss of power | nothing, and from that the viewer concludes that it was one of these |
//! | [`Recorder::shutdown`] | that recording ended in good order; the file goes with it |
//!
//! **What the parent sees does not change**: the handler stores a few words, on an alternate stack, without locks or memory from the
//! allocator, and hands the signal on to the handler that was there before with the same arguments and mask, or to the default action.
//! Wait status, core dump and std's message of a stack overflow are as without it. The first end counts; a stamp whose signal is
//! survived, because a handler from before has mended the fault or returned, is taken back.
//!
//! [`Builder::fatal_signals`] says which signals have a handler: all of the above by default, [`FatalSignals::Faults`] only those of
//! faults, [`FatalSignals::Off`] none; exits and panics are noted in any case. **Left alone** are: signals that are ignored at
//! the start; SIGTERM and the like in process 1, which the kernel protects as long as it has no handler; a handler that the program
//! installs later. If that hands on what it gets, as libraries for several handlers do, faults are still stamped, but SIGTERM and the like
//! are not, for then the end is the program's to choose.
//!
//! Two things to know. A handler from before that leaves by `longjmp` leaves the stamp behind; the events after it show that the process
//! went on. And a thread that has no alternate stack for signals gets one at its first event (of some 50 KiB, given back when it ends);
//! a thread that has one keeps its own.
//!
//! # Snapshots by themselves
//!
//! | a snapshot is taken | when asked for with | its reason |
//! | --- | --- | --- |
//! | after a panic | [`Builder::panic_hook`], on by default | `panic` |
//! | at an interval, if anything was recorded since the last one | [`Builder::snapshot_every`] | `periodic` |
//! | after an event of level warn or error | [`Builder::snapshot_on_level`] | `level` |
//! | when a share of the ring was written since the last one | [`Builder::snapshot_when_filled`] | `filled` |
//! | on SIGUSR1, or SIGUSR2 | [`Builder::snapshot_on_signal`] | `signal` |
//! | on request | [`Recorder::request_snapshot`] | what the program says |
//! | of the ring of a process that died | [`Builder::recover_orphans`], on by default | `recovered` |
//! | from outside, without the process taking part | `ttlog-view snapshot PID` | what its user says |
//!
//! Threads and signal handlers only set a flag; the recorder's thread looks at the flags each 100 ms. One snapshot begins a second
//! ([`Builder::snapshot_throttle`]), the first at once, and it is for all who want one when it begins: their reasons are joined by `+`. So
//! a storm of errors costs one snapshot a second, and a request may have to wait for most of a second until its snapshot begins. Two do
//! not wait: the first after a panic, and the last before the end of [`Recorder::shutdown`].
//!
//! The handler of the signal hands it on to the one that the program had installed before; without one the signal does nothing else
//! any more. A handler that is installed later takes the signal away, unless it hands it on in its turn.
//!
//! # Which snapshots are kept
//!
//! After each snapshot, and at the start, the oldest ones of the same service and user go from the snapshot directory, those of
//! earlier runs and of other processes too, until there are at most 32 ([`Builder::retain_count`]) with at most 1 GiB
//! ([`Builder::retain_bytes`]), none is older than [`Builder::retain_age`], if that was asked for, and 15 % of the disk are free
//! ([`Builder::retain_free_percent`]). The newest stays in any case. Of other services, whose rings this process may recover, only
//! recovered ones are counted and removed. Whatever else lies there is left alone: files with other names, of other users, with
//! several names, symbolic links, directories.
//!
//! When less of the disk is free in spite of that, or would be with it, no snapshot is written ([`SnapshotError::DiskAlmostFull`]), so
//! that the recorder does not take from its host what it has left; only after a panic, or of a process that died, down to 2 %. Files are dated by their time
//! of modification. One from the future, written before the clock was set back, counts as old. Unfinished files that a dead process
//! left are removed a minute later.
//!
//! # How far back the ring reaches
//!
//! That depends on how much is logged, and [`Recorder::window`] tells it: the time for which nothing was overwritten, for warnings and
//! errors and for the rest. With [`Builder::min_age`] the recorder warns once on stderr when the ring reaches less far back than that, and
//! its snapshots leave out what is older, except warnings and errors; what is left out is counted in them.
//!
//! # Configuration without building the program again
//!
//! Every option of the [`Builder`] has an environment variable. **The environment wins** over what the program says, unless the
//! program says [`ignore_environment`](Builder::ignore_environment). It is read once, at the start. A variable that is empty
//! counts as not set. One whose value makes no sense is an error of [`Builder::build`] ([`InitError::Environment`] names the
//! variable, its value and what is expected); [`Recorder::init`] says so on stderr and goes on without it. A name that is one of these but
//! for a letter or two is told on stderr.
//!
//! `TTLOG=off` switches the recorder off as a whole: there is no ring, no thread and no handler, every event costs what a disabled
//! one costs, and the handle that the program gets does nothing.
//!
//! | option | variable | value | default |
//! | --- | --- | --- | --- |
//! | [`service`](Builder::service) | `TTLOG_SERVICE` | any text | the executable's name |
//! | [`capacity_bytes`](Builder::capacity_bytes) | `TTLOG_CAPACITY` | bytes, 16K to 1G | 16M |
//! | [`kept_bytes`](Builder::kept_bytes) | `TTLOG_KEPT` | bytes, 0 to half of the capacity | an eighth of the capacity |
//! | [`segment_bytes`](Builder::segment_bytes) | `TTLOG_SEGMENT` | bytes, 512 to 64K and at most a quarter of the capacity | a 256th of the capacity, 4K to 64K |
//! | [`table_bytes`](Builder::table_bytes) | `TTLOG_TABLE` | bytes, 4K to 64M | a 16th of the capacity, 64K to 4M |
//! | [`channel_capacity`](Builder::channel_capacity) | `TTLOG_CHANNEL_CAPACITY` | a number, 1 to 1048576 | 64 |
//! | [`directory`](Builder::directory) | `TTLOG_DIR` | a directory | `/dev/shm/ttlog-<uid>`, else `ttlog-<uid>` in the temp directory |
//! | [`snapshot_directory`](Builder::snapshot_directory) | `TTLOG_SNAPSHOT_DIR` | a directory | the temp directory |
//! | [`filter`](Builder::filter) | `TTLOG_LEVEL` | directives such as `info,my_crate::net=debug,other=off` | `trace`: everything |
//! | [`coarse_clock`](Builder::coarse_clock) | `TTLOG_CLOCK` | `precise` or `coarse` | `precise` |
//! | [`panic_hook`](Builder::panic_hook) | `TTLOG_PANIC_HOOK` | `on` or `off` | `on` |
//! | [`panic_backtrace`](Builder::panic_backtrace) | `TTLOG_PANIC_BACKTRACE` | `on` or `off` | `on` |
//! | [`recover_orphans`](Builder::recover_orphans) | `TTLOG_RECOVER` | `on` or `off` | `on` |
//! | [`fault_handler`](Builder::fault_handler) | `TTLOG_FAULT_HANDLER` | `on` or `off` | `on` |
//! | [`fatal_signals`](Builder::fatal_signals) | `TTLOG_FATAL_SIGNALS` | `off`, `faults` or `all` | `all` |
//! | [`ring_file`](Builder::ring_file) | `TTLOG_RING_FILE` | `preferred`, `required` or `none` | `preferred` |
//! | [`min_age`](Builder::min_age) | `TTLOG_MIN_AGE` | a time such as `250ms`, `10s`, `5m` or `1h`, 100 ms to 366 days, or `none` | `none` |
//! | [`snapshot_every`](Builder::snapshot_every) | `TTLOG_SNAPSHOT_EVERY` | a time such as `250ms`, `10s`, `5m` or `1h`, 100 ms to 366 days, or `none` | `none` |
//! | [`snapshot_on_level`](Builder::snapshot_on_level) | `TTLOG_SNAPSHOT_ON_LEVEL` | `warn`, `error` or `none` | `none` |
//! | [`snapshot_on_signal`](Builder::snapshot_on_signal) | `TTLOG_SNAPSHOT_ON_SIGNAL` | `on` (which is `usr1`), `usr1`, `usr2` or `none` | `none` |
//! | [`snapshot_when_filled`](Builder::snapshot_when_filled) | `TTLOG_SNAPSHOT_WHEN_FILLED` | a share of the ring, `10%` to `100%`, or `none` | `none` |
//! | [`snapshot_throttle`](Builder::snapshot_throttle) | `TTLOG_SNAPSHOT_THROTTLE` | a time such as `250ms`, `10s`, `5m` or `1h`, at most 366 days, or `none` | `1s` |
//! | [`retain_count`](Builder::retain_count) | `TTLOG_RETAIN_COUNT` | a number, 1 or more | 32 |
//! | [`retain_bytes`](Builder::retain_bytes) | `TTLOG_RETAIN_BYTES` | bytes, such as 100000, 64K, 16M or 1G | 1G |
//! | [`retain_age`](Builder::retain_age) | `TTLOG_RETAIN_AGE` | a time such as `250ms`, `10s`, `5m` or `1h`, 100 ms to 366 days, or `none` | `none` |
//! | [`retain_free_percent`](Builder::retain_free_percent) | `TTLOG_RETAIN_FREE` | a share of the disk, `0%` to `90%` | `15%` |
//! | [`secret_keys`](Builder::secret_keys) | `TTLOG_SECRET_KEYS` | names, separated by commas | none but the built-in ones |
//! | [`withhold_secrets`](Builder::withhold_secrets) | `TTLOG_WITHHOLD_SECRETS` | `on` or `off` | `on` |
//!
//! Bytes are a number, or one with `K`, `M` or `G` (powers of 1024); times a number with `ms`, `s`, `m`, `h` or `d`. Case does
//! not matter. `none` takes back what the program asked for. Keys of `TTLOG_SECRET_KEYS` are added to those of the program.
//!
//! # Levels
//!
//! [`Recorder::set_filter`] changes which events are recorded: the change is in force at every callsite's next event, in every thread,
//! without a lock or a list of callsites. `ttlog-view level PID DIRECTIVES` does the same from outside, through the ring's file: in
//! at most 100 ms, or when the snapshot that is being written is done. Whoever may write that file may ask, which its mode leaves
//! to this user and to root.
//!
//! # Warnings and errors
//!
//! They go to a part of the ring that is theirs ([`Builder::kept_bytes`]): a flood of other events does not overwrite them. An event
//! there costs four to five times what another does, as all threads share the place and each event reserves its own room in it.
//!
//! # Secrets
//!
//! Values of secret fields are in the ring and nowhere else: they are withheld when a snapshot is written, on request, on panic, by itself
//! or after death, and `ttlog-view` neither shows nor exports them. Secret are fields that a log macro marks
//! ([`secret token`](crate::info#secrets)), and fields whose name, or its end after a separator, is one of these, in any case, with `-` for `_`
//! or without: `password` `passwd` `passphrase` `pwd` `secret` `token` `authorization` `cookie` `set_cookie` `api_key` `apikey` `access_key`
//! `private_key` `secret_key` `credential` `credentials` `auth_token` `access_token` `refresh_token` `session_id` `jwt` `pin` `otp` `ssn`
//! `cvv` `card_number`. [`Builder::secret_keys`] adds names, [`Builder::withhold_secrets`] switches all of it off.
//!
//! ```
//! # let recorder = ttlog_std::Recorder::init(1000, 10, "secrets");
//! let (user, code, token) = ("ann", 4711, "t0k3n");
//! ttlog_std::info!("login", user, secret code, token, db.password = "hunter2");
//! // in a snapshot:  login  user="ann" code=<withheld> token=<withheld> db.password=<withheld>
//! # recorder.shutdown();
//! ```
//!
//! What a snapshot has of such a value: that it was there, its type, for an option whether it was `None`, the lengths of texts and of lists, and
//! how many bytes a number took. Where it cannot be told which bytes are secret (a record that does not decode, damage, a callsite that
//! the table has lost) a snapshot has none of them.
//!
//! **In clear in the ring's file** is everything that was logged: all values of all fields, secret or not, until their segment is
//! overwritten and its words are used again, which takes as long as the ring reaches back and can be longer at the end of a segment; the
//! literals of log macros and all names and messages (also in the program itself); host, executable, process id and names of threads;
//! the filter. The file has mode 0600 in a directory of mode 0700, so this user and root can read it. It lies in memory (`/dev/shm`) or
//! on disk, is not wiped when it is removed, and goes along in a core dump as the process's memory does. What must not be there must not
//! be logged.
//!
//! **In clear in snapshots too** is what nobody could know to be secret: a message that was put together from values before it was logged, the text of
//! an error or of a panic, a `?value` whose `Debug` shows a password, names of threads, the reason of the snapshot. A field that two
//! callsites name differently is secret in one place only. Numbers, texts and lists *inside* another value are withheld only with it.
//!
//! # Forks
//!
//! A child of `fork` has a recorder of its own that goes on as its parent's was set up. Its first event, or its first use of [`Recorder`],
//! makes its ring: a file of its own beside the parent's, of the same size, with the child's process id, clock anchors and counters; in
//! memory, with a line on stderr, if there is no room for the file. That takes some milliseconds for 16 MiB. It allocates nothing and
//! takes no lock, so a child may log from its first instruction on, whatever the parent's other threads were doing, and in the
//! signal handler that has called `fork`. Events that other threads of the child emit while the ring is being made, or that it
//! emits before a log call has returned which `fork` has interrupted, are counted as dropped. The parent's ring stays as it is.
//!
//! - Snapshots (but those of panics and `ttlog-view snapshot`), changes of the level from outside and exact times need the service thread,
//!   which a child starts at its first use of [`Recorder`] ([`Recorder::current`] is one) or at a panic. Until then its events have an anchor
//!   each second in which a segment is begun.
//! - The coarse clock's thread stays behind: a child reads the precise clock.
//! - [`Recorder::shutdown`] in a child ends the child's recording. A child that ends without it leaves its ring to be recovered, as any
//!   process does; so does one that calls `exec`, which ends the lock on its ring's file.
//! - Children that are made past the C library's `fork` (`vfork`, `_Fork`, `posix_spawn`, a bare `clone`) must not log before they `exec`.
//! - On systems other than Linux a child has a copy of its parent's recorder in memory, without a service thread.
//!
//! # Plugins
//!
//! A library of type `cdylib` that is loaded at run time has copies of its own of all statics, so it does not see the program's recorder
//! by itself. The program hands it [`Recorder::plugin_handle`], and the library attaches itself with it ([`attach`](ttlog_core::plugin::attach), with an
//! example): its events, through the macros of this crate or those of ttlog-core, then go to the program's ring, and the program's filter
//! holds for them. It must detach before it is unloaded; afterwards nothing points into it. Program and library must be built from
//! the same version of ttlog-core by the same compiler, else attaching is refused. Panics in the library are its own affair, for
//! it also has a panic hook of its own.
//!
//! # Other systems
//!
//! Linux is where this is used and tested (x86_64; aarch64 is compiled). macOS and Windows are compiled with each change and not
//! run; what is missing there is missing on purpose, rather than there without having been tried:
//!
//! | | Linux | macOS | Windows |
//! | --- | --- | --- | --- |
//! | log macros, levels, filter, secrets, environment variables | yes | yes | yes |
//! | where the ring is | a mapped file | the heap, told once on stderr | the heap, told once on stderr |
//! | events outlive `kill -9`, `abort`, a crash | yes | no: those since the last snapshot are gone | as macOS |
//! | snapshots on request, on panic, periodic, by level, when filled | yes | yes | yes |
//! | snapshot on a signal | yes | no: `build` says so on stderr | as macOS |
//! | recovery of rings of dead processes at the start | yes | there are none | there are none |
//! | mark of what ended the process: a signal, `exit` | yes | no | no |
//! | child of `fork` with a ring of its own | yes | no: a copy in memory | there is no `fork` |
//! | snapshot files private whatever the umask, never through a symbolic link | yes | yes | as the directory's permissions say |
//! | retention by count, bytes and age | yes | yes | yes |
//! | retention by free room on the disk | yes | yes | no: the room is unknown |
//! | clock, where the processor vouches for its counter | TSC (if the kernel uses it, too), CNTVCT | TSC, CNTVCT | TSC, CNTVCT |
//! | clock else | CLOCK_MONOTONIC | CLOCK_MONOTONIC | QueryPerformanceCounter |
//! | the operating system's number of a thread | yes | 0 | 0 |
//! | `ttlog-view` of snapshots | yes | yes | yes |
//! | `ttlog-view snapshot`, `level` and `doctor` of a running process | yes | no: there is no ring file | as macOS |
//!
//! # Features
//!
//! `max_level_off`, `max_level_error`, `max_level_warn`, `max_level_info` and `max_level_debug` compile events below that level out.

extern crate self as ttlog_std;

mod clock;
mod config;
mod death;
mod event;
mod fork;
mod macros;
mod memory;
mod recorder;
mod service;
mod snapshot;
mod start;
mod state;
mod sys;

pub use config::error::InitError;
pub use config::settings::{
    CAPACITY_BYTES_DEFAULT, CAPACITY_BYTES_MAX, CAPACITY_BYTES_MIN, CHANNEL_CAPACITY_MAX, FatalSignals, RingFileChoice,
    SnapshotSignal,
};
pub use recorder::Recorder;
#[doc(no_inline)]
pub use recorder::Recorder as Trace;
pub use snapshot::error::SnapshotError;
pub use snapshot::ticket::SnapshotTicket;
pub use start::builder::Builder;
pub use state::window::Window;
pub use ttlog_core::filter::FilterErrorKind;
pub use ttlog_core::plugin::PluginHandle;
pub use ttlog_core::{FilterError, Level, Loss, Value};

/// What the macros expand to. Not for use by hand; may change in any version.
#[doc(hidden)]
pub mod __private {
    pub use crate::event::record::record;
    pub use ttlog_core::__private::{
        Bare, Callsite, Cons, Field, Level, Literal, Metadata, Nil, Templ, TemplDebug, Value, ViaBoxedError, ViaDebug,
        ViaDisplay, ViaError, ViaNothing, ViaValue, debug, display, event, is_kept, level_enabled,
    };
}

/// Compiles the example of the repository's README with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
