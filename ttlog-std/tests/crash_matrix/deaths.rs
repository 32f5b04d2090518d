//! The child: some threads log as fast as they can, and count each event elsewhere once its macro has returned. Then
//! the process ends in one of many ways.

use std::fmt;
use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use ttlog_std::{Recorder, error, info};

use crate::numbers::{ADDRESS, HANDLED, MOMENT, Numbers, OTHER, READY, THREAD};

/// Number of events that the writers log together before the end: more than the ring holds.
const EVENTS_MIN: usize = 5000;

static NUMBERS: OnceLock<Numbers> = OnceLock::new();
static TRACE: OnceLock<Recorder> = OnceLock::new();
/// Whether the main thread is to return from `main`.
static ASKED_TO_END: AtomicBool = AtomicBool::new(false);

fn numbers() -> Numbers {
    *NUMBERS.get().unwrap()
}

/// Runs a case, which has the name of a death and the number of threads that log meanwhile.
pub(crate) fn run(case: &str) {
    let (death, threads) = case.split_once(" x ").unwrap();
    // SAFETY: requests to be killed with the parent, and no core file; touches no memory except the limit.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 });
    }
    assert!(NUMBERS.set(Numbers::map()).is_ok());
    // Background jobs of a shell ignore these, and so do their children. An ignored signal does not end the process.
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTERM] {
        // SAFETY: the default action, before anything else runs in this process.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    if death == "SIGTERM, handled" || death == "SIGINT, handled" {
        install_handler(if death.starts_with("SIGTERM") { libc::SIGTERM } else { libc::SIGINT });
    }
    let recorder = Recorder::builder().service("crash").capacity_bytes(64 << 10).segment_bytes(1024).build().unwrap();
    assert!(TRACE.set(recorder).is_ok());
    if death == "SIGTERM, handled by a later handler" {
        install_handler(libc::SIGTERM);
    }
    let threads: usize = threads.parse().unwrap();
    for writer in 0..threads {
        std::thread::Builder::new().name(format!("writer {writer}")).spawn(move || write(writer)).unwrap();
    }
    while (0..threads).any(|writer| numbers().get(writer) < (EVENTS_MIN / threads) as u64) {
        std::thread::sleep(Duration::from_millis(1));
    }
    die(death);
}

fn write(writer: usize) {
    for index in 0_u64.. {
        info!("tick", writer, index);
        numbers().set(writer, index + 1);
    }
}

/// Logs the last event, and records the thread that ends the process and the time. The end follows.
fn last_words() {
    error!("last words");
    numbers().add(OTHER);
    // SAFETY: takes nothing.
    numbers().set(THREAD, unsafe { libc::gettid() } as u64);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    numbers().set(MOMENT, now.as_nanos() as u64);
}

fn die(death: &str) {
    match death {
        "panic in a thread" => assert!(in_thread(|| panic!("on purpose"))),
        "panic in main" => {
            last_words();
            panic!("on purpose");
        }
        "nested panic" => assert!(in_thread(|| {
            let _bomb = PanicsInDrop;
            panic!("the first");
        })),
        "panic while logging" => assert!(in_thread(|| log(Panics))),
        "panic while logging, in main" => {
            last_words();
            log(Panics);
        }
        "abort" => {
            last_words();
            std::process::abort();
        }
        "abort in a thread" => assert!(in_thread(|| std::process::abort())),
        "SIGSEGV" => {
            last_words();
            access(PROTECTED);
        }
        "SIGSEGV in a thread" => assert!(in_thread(|| access(0))),
        "SIGSEGV inside a log call" => assert!(in_thread(|| log(Faults))),
        "SIGBUS" => {
            let address = past_the_end_of_a_file();
            last_words();
            access(address);
        }
        "SIGILL" => assert!(in_thread(illegal_instruction)),
        "SIGFPE" => assert!(in_thread(divide_by_zero)),
        "stack overflow in main" => {
            last_words();
            overflow(0);
        }
        "stack overflow in a thread" => assert!(in_thread(|| assert_eq!(overflow(0), 0))),
        "stack overflow in a pthread" => on_pthread(overflows),
        "stack overflow in a pthread without events" => on_pthread(overflows_silently),
        "exit" => {
            last_words();
            std::process::exit(3);
        }
        "exit in a thread" => assert!(in_thread(|| std::process::exit(4))),
        "_exit" => {
            last_words();
            // SAFETY: ends the process.
            unsafe { libc::_exit(5) };
        }
        "return from main" => last_words(),
        "raise(SIGTERM)" => {
            last_words();
            // SAFETY: touches nothing.
            unsafe { libc::raise(libc::SIGTERM) };
        }
        "SIGKILL" | "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGQUIT" => wait_for_signal(),
        "SIGTERM, handled" | "SIGTERM, handled by a later handler" | "SIGINT, handled" => wait_for_signal(),
        "SIGKILL inside a log call" => assert!(in_thread(|| log(Waits))),
        "RLIMIT_AS" => {
            last_words();
            let limit = libc::rlimit { rlim_cur: address_space() + (16 << 20), rlim_max: libc::RLIM_INFINITY };
            // SAFETY: a valid limit.
            unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
            use_memory();
        }
        "memory cgroup" => {
            enter_cgroup();
            last_words();
            use_memory();
        }
        "pthread_exit inside a log call" => on_pthread(exits_inside),
        "pthread_cancel inside a log call" => cancelled_inside(),
        other => panic!("no such death: {other}"),
    }
}

/// Logs a value that acts when it is formatted. Without a recorder only this function formats it.
fn log(value: impl fmt::Display) {
    if TRACE.get().unwrap().is_recording() {
        info!("never recorded", value = %value);
    } else {
        black_box(value.to_string());
    }
}

/// Runs a function in a thread after the last words, and returns whether it panicked.
fn in_thread(work: impl FnOnce() + Send + 'static) -> bool {
    let work = || {
        last_words();
        work();
    };
    std::thread::Builder::new().name("dying".into()).spawn(work).unwrap().join().is_err()
}

fn on_pthread(work: extern "C-unwind" fn(*mut libc::c_void) -> *mut libc::c_void) {
    let thread = start_pthread(work);
    // SAFETY: a thread that nothing else joins.
    assert_eq!(unsafe { libc::pthread_join(thread, std::ptr::null_mut()) }, 0);
}

fn start_pthread(work: extern "C-unwind" fn(*mut libc::c_void) -> *mut libc::c_void) -> libc::pthread_t {
    let mut thread = 0;
    // SAFETY: the two kinds of function are called in the same way. Only the C library enters the one that unwinds, and
    // it can end a thread so. The other arguments are valid.
    let result = unsafe {
        let work: extern "C" fn(*mut libc::c_void) -> *mut libc::c_void = std::mem::transmute(work);
        libc::pthread_create(&raw mut thread, std::ptr::null(), work, std::ptr::null_mut())
    };
    assert_eq!(result, 0);
    thread
}

extern "C-unwind" fn overflows(_: *mut libc::c_void) -> *mut libc::c_void {
    last_words();
    overflow(0);
    std::ptr::null_mut()
}

extern "C-unwind" fn overflows_silently(_: *mut libc::c_void) -> *mut libc::c_void {
    overflow(0);
    std::ptr::null_mut()
}

extern "C-unwind" fn exits_inside(_: *mut libc::c_void) -> *mut libc::c_void {
    last_words();
    log(EndsThread);
    std::ptr::null_mut()
}

extern "C-unwind" fn waits_inside(_: *mut libc::c_void) -> *mut libc::c_void {
    last_words();
    log(Waits);
    std::ptr::null_mut()
}

fn cancelled_inside() {
    let thread = start_pthread(waits_inside);
    wait_until(|| numbers().get(READY) == 1);
    numbers().set(READY, 0);
    // SAFETY: a running thread that nothing else joins.
    unsafe {
        assert_eq!(libc::pthread_cancel(thread), 0);
        assert_eq!(libc::pthread_join(thread, std::ptr::null_mut()), 0);
    }
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(50);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn wait_for_signal() {
    last_words();
    numbers().set(READY, 1);
    wait_until(|| ASKED_TO_END.load(Ordering::Relaxed));
}

/// Installs a handler that ends the process in good order.
fn install_handler(signal: libc::c_int) {
    extern "C" fn handle(_: libc::c_int) {
        numbers().add(HANDLED);
        ASKED_TO_END.store(true, Ordering::Relaxed);
    }
    // SAFETY: the handler stores into atomics only.
    unsafe { libc::signal(signal, handle as extern "C" fn(libc::c_int) as libc::sighandler_t) };
}

/// Placeholder for the address of an inaccessible page.
const PROTECTED: usize = usize::MAX;

/// Writes to memory that is not writable.
fn access(address: usize) {
    let address = if address == PROTECTED { map(4096, libc::PROT_NONE, -1) + 24 } else { address };
    numbers().set(ADDRESS, address as u64);
    // SAFETY: none: the fault is the purpose. In assembly, so that the compiler cannot change it.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("mov byte ptr [{}], 1", in(reg) address);
        #[cfg(not(target_arch = "x86_64"))]
        std::ptr::without_provenance_mut::<u8>(address).write_volatile(1);
    }
}

fn map(len: usize, protection: libc::c_int, fd: libc::c_int) -> usize {
    let kind = if fd < 0 { libc::MAP_PRIVATE | libc::MAP_ANONYMOUS } else { libc::MAP_SHARED };
    // SAFETY: a new mapping that nothing else uses.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, kind, fd, 0) };
    assert_ne!(start, libc::MAP_FAILED);
    start as usize
}

fn past_the_end_of_a_file() -> usize {
    // SAFETY: a valid name.
    let fd = unsafe { libc::memfd_create(c"empty".as_ptr(), 0) };
    map(4096, libc::PROT_READ | libc::PROT_WRITE, fd) + 8
}

fn illegal_instruction() {
    // SAFETY: none: the fault is the purpose.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("ud2");
        #[cfg(not(target_arch = "x86_64"))]
        libc::raise(libc::SIGILL);
    }
}

fn divide_by_zero() {
    // SAFETY: none: the fault is the purpose.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("div {}", in(reg) 0_u64, inout("rax") 1_u64 => _, inout("rdx") 0_u64 => _);
        #[cfg(not(target_arch = "x86_64"))]
        libc::raise(libc::SIGFPE);
    }
}

#[expect(unconditional_recursion, reason = "it must use the stack up")]
fn overflow(depth: u64) -> u64 {
    let room = black_box([depth; 64]);
    overflow(depth + 1) + black_box(room[0])
}

fn use_memory() {
    let mut blocks = Vec::new();
    loop {
        blocks.push(vec![1_u8; 1 << 20]);
        black_box(&mut blocks);
    }
}

/// Returns the bytes of address space in use.
fn address_space() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
}

/// Limits the memory of this process, by the group that the parent made.
fn enter_cgroup() {
    let group = std::path::PathBuf::from(std::env::var_os("TTLOG_TEST_CGROUP").unwrap());
    std::fs::write(group.join("cgroup.procs"), std::process::id().to_string()).unwrap();
}

/// A value that panics when it is dropped in an unwinding.
struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("while unwinding");
    }
}

/// A value that panics when it is formatted.
struct Panics;

impl fmt::Display for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("inside a log call");
    }
}

/// A value that faults when it is formatted.
struct Faults;

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half")?;
        access(16);
        Ok(())
    }
}

/// A value that ends its thread when it is formatted.
struct EndsThread;

impl fmt::Display for EndsThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half")?;
        unsafe extern "C-unwind" {
            fn pthread_exit(value: *mut libc::c_void) -> !;
        }
        // SAFETY: the thread was made by pthread_create, and the frames between here and there can be skipped.
        unsafe { pthread_exit(std::ptr::null_mut()) }
    }
}

/// A value that waits for an end from outside when it is formatted.
struct Waits;

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half")?;
        unsafe extern "C-unwind" {
            fn sleep(seconds: libc::c_uint) -> libc::c_uint;
        }
        numbers().set(READY, 1);
        // SAFETY: touches nothing. The thread can be canceled in it.
        unsafe { sleep(60) };
        Ok(())
    }
}
