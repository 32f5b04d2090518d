//! Signals that both the recorder and others handle: every handler sees what it would see without the recorder, and the
//! ring records an end only if there was one.
#![cfg(target_os = "linux")]

mod common;

use std::os::unix::process::ExitStatusExt as _;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{Place, finish, stderr};
use ttlog_core::RingImage;
use ttlog_core::ring::{EndKind, ProcessEnd};
use ttlog_std::{Recorder, info};

/// A handler with the kernel's arguments.
type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// Previous action when a handler of this test was installed.
static BEFORE: std::sync::OnceLock<libc::sigaction> = std::sync::OnceLock::new();
/// Page that a handler makes writable.
static PAGE: AtomicUsize = AtomicUsize::new(0);
static ASKED_TO_END: AtomicBool = AtomicBool::new(false);

/// Installs a handler and returns the previous one.
fn install(signal: libc::c_int, handler: usize, flags: libc::c_int) -> libc::sigaction {
    // SAFETY: the actions are complete; the handlers are this test's own, for signals that arrive where anything is
    // allowed.
    unsafe {
        let (mut action, mut before): (libc::sigaction, libc::sigaction) = (std::mem::zeroed(), std::mem::zeroed());
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(signal, &raw const action, &raw mut before), 0);
        before
    }
}

fn address_of(handler: Handler) -> usize {
    handler as usize
}

/// Returns whether a signal is blocked in this thread.
fn is_blocked(signal: libc::c_int) -> bool {
    // SAFETY: the set is written before it is read.
    unsafe {
        let mut mask = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut mask);
        libc::sigismember(&raw const mask, signal) == 1
    }
}

extern "C" fn tell(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel's arguments, or those that another handler passed on.
    let (code, address, value) =
        unsafe { ((*info).si_code, (*info).si_addr() as usize, (*info).si_value().sival_ptr as usize) };
    let (blocked, context) = (is_blocked(signal), !context.is_null());
    let what = if code > 0 { format!("address {address:#x}") } else { format!("value {value:#x}") };
    println!("HANDLER signal {signal} code {code} {what} blocked {blocked} context {context}");
}

extern "C" fn tell_and_end(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    tell(signal, info, context);
    // SAFETY: ends the process.
    unsafe { libc::_exit(7) };
}

extern "C" fn tell_plainly(signal: libc::c_int) {
    println!("HANDLER signal {signal} blocked {}", is_blocked(signal));
    // SAFETY: ends the process.
    unsafe { libc::_exit(8) };
}

/// Prints a line, and makes the accessed page writable.
extern "C" fn mend(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    tell(signal, info, context);
    let page = PAGE.load(Ordering::Relaxed) as *mut libc::c_void;
    // SAFETY: a page that was mapped for this.
    assert_eq!(unsafe { libc::mprotect(page, 4096, libc::PROT_READ | libc::PROT_WRITE) }, 0);
}

/// Passes everything on to the previous handler, and then does its own work, as libraries do.
extern "C" fn hand_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let before = BEFORE.get().unwrap().sa_sigaction;
    if before != libc::SIG_DFL && before != libc::SIG_IGN {
        // SAFETY: neither SIG_DFL nor SIG_IGN, so it is a handler; the recorder's and this test's have these
        // parameters.
        let before: Handler = unsafe { std::mem::transmute(before) };
        before(signal, info, context);
    }
    println!("HANDLER signal {signal}");
    ASKED_TO_END.store(true, Ordering::Relaxed);
}

/// Writes into a read-only page, and returns its content afterwards.
fn write_protected() -> u8 {
    // SAFETY: a mapping of this function's own. The handler makes it writable, or the process ends.
    unsafe {
        let page =
            libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
        assert_ne!(page, libc::MAP_FAILED);
        PAGE.store(page as usize, Ordering::Relaxed);
        println!("ACCESS {:#x}", page as usize + 40);
        let byte = page.cast::<u8>().add(40);
        byte.write_volatile(77);
        byte.read_volatile()
    }
}

/// Sends a signal to this thread.
fn send_with_value(signal: libc::c_int, value: usize) {
    unsafe extern "C" {
        fn pthread_sigqueue(thread: libc::pthread_t, signal: libc::c_int, value: libc::sigval) -> libc::c_int;
    }
    let value = libc::sigval { sival_ptr: std::ptr::without_provenance_mut(value) };
    // SAFETY: this thread is alive.
    assert_eq!(unsafe { pthread_sigqueue(libc::pthread_self(), signal, value) }, 0);
}

fn raise(signal: libc::c_int) {
    // SAFETY: touches nothing.
    unsafe { libc::raise(signal) };
}

/// Makes the system call `getppid` raise SIGSYS.
fn trap_getppid() {
    let statement = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_getppid as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_TRAP),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: a valid filter, copied by the call.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

/// Returns the address of this thread's alternate stack, or 0 if it has none.
fn alternate_stack() -> usize {
    // SAFETY: the stack is written before it is read.
    unsafe {
        let mut stack: libc::stack_t = std::mem::zeroed();
        libc::sigaltstack(std::ptr::null(), &raw mut stack);
        if stack.ss_flags & libc::SS_DISABLE == 0 { stack.ss_sp as usize } else { 0 }
    }
}

fn set_alternate_stack() -> usize {
    let room = vec![0_u8; 64 << 10].leak();
    let stack = libc::stack_t { ss_sp: room.as_mut_ptr().cast(), ss_flags: 0, ss_size: room.len() };
    // SAFETY: memory that is never freed.
    assert_eq!(unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) }, 0);
    room.as_ptr() as usize
}

/// Runs a function in a thread that std did not start, which has no alternate stack.
fn on_pthread(work: extern "C" fn(*mut libc::c_void) -> *mut libc::c_void) {
    let mut thread = 0;
    // SAFETY: valid arguments, and a thread that nothing else joins.
    unsafe {
        assert_eq!(libc::pthread_create(&raw mut thread, std::ptr::null(), work, std::ptr::null_mut()), 0);
        assert_eq!(libc::pthread_join(thread, std::ptr::null_mut()), 0);
    }
}

extern "C" fn with_a_stack_of_its_own(_: *mut libc::c_void) -> *mut libc::c_void {
    let own = set_alternate_stack();
    info!("first");
    assert_eq!(alternate_stack(), own);
    std::ptr::null_mut()
}

extern "C" fn with_a_stack_of_its_own_later(_: *mut libc::c_void) -> *mut libc::c_void {
    assert_eq!(alternate_stack(), 0);
    info!("first");
    assert_ne!(alternate_stack(), 0);
    let own = set_alternate_stack();
    info!("second");
    assert_eq!(alternate_stack(), own);
    std::ptr::null_mut()
}

fn wait_to_be_asked() {
    println!("READY");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !ASKED_TO_END.load(Ordering::Relaxed) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    // SAFETY: only disables core files.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 }) };
    let plain = tell_plainly as extern "C" fn(libc::c_int) as usize;
    let before: &[(libc::c_int, usize, libc::c_int)] = match case.as_str() {
        "same information" => &[(libc::SIGSEGV, address_of(tell_and_end), libc::SA_SIGINFO)],
        "plain handler" => &[(libc::SIGSEGV, plain, 0)],
        "handler of abort that returns" => &[(libc::SIGABRT, address_of(tell), libc::SA_SIGINFO)],
        "sent with a value" => &[(libc::SIGSEGV, address_of(tell), libc::SA_SIGINFO)],
        "unblocked while handled" => &[(libc::SIGSEGV, address_of(tell), libc::SA_SIGINFO | libc::SA_NODEFER)],
        "once only" | "once only, sent" => &[(libc::SIGSEGV, address_of(tell), libc::SA_SIGINFO | libc::SA_RESETHAND)],
        "mended" => &[(libc::SIGSEGV, address_of(mend), libc::SA_SIGINFO)],
        "ignored" => {
            &[(libc::SIGTERM, libc::SIG_IGN, 0), (libc::SIGSEGV, libc::SIG_IGN, 0), (libc::SIGHUP, libc::SIG_IGN, 0)]
        }
        "ignored fault" => &[(libc::SIGSEGV, libc::SIG_IGN, 0)],
        _ => &[],
    };
    for (signal, handler, flags) in before {
        install(*signal, *handler, *flags);
    }
    let recorder = Recorder::builder().service("signals").capacity_bytes(256 << 10).build().unwrap();
    info!("before");
    match case.as_str() {
        "handed on" => {
            let before = install(libc::SIGTERM, address_of(hand_on), libc::SA_SIGINFO | libc::SA_RESTART);
            assert!(BEFORE.set(before).is_ok());
        }
        "fault handed on" => {
            let before = install(libc::SIGSEGV, address_of(hand_on), libc::SA_SIGINFO | libc::SA_ONSTACK);
            assert!(BEFORE.set(before).is_ok());
        }
        _ => {}
    }
    match case.as_str() {
        "same information" | "plain handler" | "once only" | "fault handed on" | "ignored fault" => {
            write_protected();
        }
        "handler of abort that returns" => std::process::abort(),
        "sent with a value" | "unblocked while handled" | "once only, sent" => {
            send_with_value(libc::SIGSEGV, 0x1234);
            assert!(!is_blocked(libc::SIGSEGV));
            info!("after");
        }
        "sent to std" => {
            // std's handler restores the default, and returns.
            raise(libc::SIGSEGV);
            info!("after");
        }
        "mended" => {
            assert_eq!(write_protected(), 77);
            info!("after");
        }
        "ignored" => {
            [libc::SIGTERM, libc::SIGSEGV, libc::SIGHUP].into_iter().for_each(raise);
            info!("after");
        }
        "handed on" => {
            raise(libc::SIGTERM);
            wait_to_be_asked();
            info!("after");
        }
        "breakpoint" => {
            // SAFETY: a breakpoint without a debugger is SIGTRAP.
            #[cfg(target_arch = "x86_64")]
            unsafe {
                std::arch::asm!("int3");
            };
            #[cfg(not(target_arch = "x86_64"))]
            raise(libc::SIGTRAP);
        }
        "raised SIGSYS" => raise(libc::SIGSYS),
        "trapped system call" => {
            trap_getppid();
            // SAFETY: takes no arguments.
            unsafe { libc::getppid() };
        }
        "alternate stacks" => {
            on_pthread(with_a_stack_of_its_own);
            on_pthread(with_a_stack_of_its_own_later);
        }
        "stopped" => {
            println!("READY");
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).unwrap();
            info!("after");
            let path = recorder.request_snapshot("after").wait().unwrap();
            assert_eq!(common::Snapshot::read(&path).events.len(), 2);
            assert_eq!(recorder.loss().dropped_total(), 0);
        }
        other => panic!("unknown case {other}"),
    }
    std::process::exit(0);
}

/// Runs a case with and without a recorder, requires that the process ends in the same way and its handlers print the
/// same, and returns the end that the ring records.
fn run(case: &str) -> (Output, Option<ProcessEnd>, Vec<String>) {
    let place = Place::new("signals");
    let output = finish(place.child(case));
    let mut without = place.child(case);
    without.env("TTLOG", "off");
    let without = finish(without);
    let said = |output: &Output| -> Vec<String> {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().filter_map(|line| line.find("HANDLER").map(|start| line[start..].to_owned())).collect()
    };
    // The page has another address each time.
    let pages_apart = |said: &[String]| -> Vec<String> {
        said.iter().map(|line| line.split(' ').filter(|word| !word.starts_with("0x7")).collect()).collect()
    };
    assert_eq!(output.status, without.status, "{case}: {} without: {}", stderr(&output), stderr(&without));
    assert_eq!(pages_apart(&said(&output)), pages_apart(&said(&without)), "{case}");
    let rings = place.ring_files();
    assert_eq!(rings.len(), 1, "{case}");
    let bytes = std::fs::read(&rings[0]).unwrap();
    let said = said(&output);
    (output, RingImage::parse(&bytes).unwrap().end(), said)
}

/// Returns the address that the child accessed.
fn accessed(output: &Output) -> u64 {
    let text = String::from_utf8_lossy(&output.stdout);
    let (_, address) = text.split_once("ACCESS 0x").unwrap();
    u64::from_str_radix(address.split_whitespace().next().unwrap(), 16).unwrap()
}

fn assert_signal(end: Option<ProcessEnd>, signal: libc::c_int, code: libc::c_int) {
    let end = end.expect("the ring says how the process ended");
    assert_eq!((end.kind, i32::from(end.signal), end.code), (EndKind::Signal, signal, code), "{end:?}");
}

fn assert_exit(end: Option<ProcessEnd>) {
    let end = end.expect("the ring says how the process ended");
    assert_eq!((end.kind, end.signal, end.code), (EndKind::Exit, 0, 0), "{end:?}");
}

#[test]
fn handlers_from_before_get_what_the_kernel_said() {
    let (output, end, said) = run("same information");
    assert_eq!(output.status.code(), Some(7));
    let address = accessed(&output);
    let expected = format!("HANDLER signal 11 code 2 address {address:#x} blocked true context true");
    assert_eq!(said, [expected]);
    assert_signal(end, libc::SIGSEGV, 2);
    assert_eq!(end.unwrap().address, address);

    let (output, end, said) = run("plain handler");
    assert_eq!((output.status.code(), said.as_slice()), (Some(8), &["HANDLER signal 11 blocked true".to_owned()][..]));
    assert_signal(end, libc::SIGSEGV, 2);
}

#[test]
fn signal_that_was_sent_and_is_survived_is_no_end() {
    let (_, end, said) = run("sent with a value");
    assert_eq!(said, ["HANDLER signal 11 code -1 value 0x1234 blocked true context true"]);
    assert_exit(end);
    let (_, end, said) = run("unblocked while handled");
    assert_eq!(said, ["HANDLER signal 11 code -1 value 0x1234 blocked false context true"]);
    assert_exit(end);
    let (_, end, said) = run("once only, sent");
    assert_eq!(said.len(), 1);
    assert_exit(end);
    let (output, end, _) = run("sent to std");
    assert_eq!(output.status.code(), Some(0));
    assert_exit(end);
}

#[test]
fn handler_that_is_for_one_time_is_called_one_time() {
    let (output, end, said) = run("once only");
    assert_eq!((output.status.signal(), said.len()), (Some(libc::SIGSEGV), 1));
    assert_signal(end, libc::SIGSEGV, 2);
}

#[test]
fn fault_that_is_mended_is_no_end() {
    let (output, end, said) = run("mended");
    assert_eq!((output.status.code(), said.len()), (Some(0), 1), "{}", stderr(&output));
    assert_exit(end);
}

#[test]
fn abort_ends_the_process_though_its_handler_returns() {
    let (output, end, said) = run("handler of abort that returns");
    assert_eq!((output.status.signal(), said.len()), (Some(libc::SIGABRT), 1));
    assert_signal(end, libc::SIGABRT, -6);
}

#[test]
fn ignored_signals_stay_ignored() {
    let (output, end, _) = run("ignored");
    assert_eq!(output.status.code(), Some(0));
    assert_exit(end);
    // A fault cannot be ignored, and the ring does not record it.
    let (output, end, _) = run("ignored fault");
    assert_eq!((output.status.signal(), end), (Some(libc::SIGSEGV), None));
}

#[test]
fn handler_that_is_installed_later_and_hands_everything_on() {
    let (output, end, said) = run("handed on");
    assert_eq!((output.status.code(), said.len()), (Some(0), 1), "{}", stderr(&output));
    assert_exit(end);
    let (output, end, _) = run("fault handed on");
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV));
    assert_signal(end, libc::SIGSEGV, 2);
}

#[test]
fn traps_end_the_process() {
    let (output, end, _) = run("breakpoint");
    assert_eq!(output.status.signal(), Some(libc::SIGTRAP));
    assert_signal(end, libc::SIGTRAP, if cfg!(target_arch = "x86_64") { 0x80 } else { -6 });
    let (output, end, _) = run("raised SIGSYS");
    assert_eq!(output.status.signal(), Some(libc::SIGSYS));
    assert_signal(end, libc::SIGSYS, -6);
    let (output, end, _) = run("trapped system call");
    assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{}", stderr(&output));
    assert_signal(end, libc::SIGSYS, 1);
}

#[test]
fn alternate_stacks_of_the_program_are_its_own() {
    let place = Place::new("stacks");
    place.run("alternate stacks");
}

#[test]
fn process_that_was_stopped_goes_on() {
    use std::io::{BufRead as _, BufReader, Write as _};
    let place = Place::new("stopped");
    let mut command = place.child("stopped");
    let mut child = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("READY")));
    let pid = child.id() as libc::pid_t;
    let mut status = 0;
    // SAFETY: our own child, which was not waited for yet, and a valid pointer to its status.
    unsafe {
        assert_eq!(libc::kill(pid, libc::SIGSTOP), 0);
        assert_eq!(libc::waitpid(pid, &raw mut status, libc::WUNTRACED), pid);
        assert!(libc::WIFSTOPPED(status));
        let bytes = std::fs::read(&place.ring_files()[0]).unwrap();
        assert_eq!(RingImage::parse(&bytes).unwrap().end(), None);
        assert_eq!(libc::kill(pid, libc::SIGCONT), 0);
    }
    child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    assert!(child.wait().unwrap().success());
}
