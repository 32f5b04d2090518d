//! Seccomp filters, as sandboxes install them.

/// Consequence of a system call that a filter forbids.
#[derive(Clone, Copy, Debug)]
pub enum Forbidden {
    /// The kernel ends the process, as if by SIGSYS, without calling a handler.
    Kills,
    /// The thread gets SIGSYS.
    Traps,
}

impl Forbidden {
    fn action(self) -> u32 {
        match self {
            Forbidden::Kills => libc::SECCOMP_RET_KILL_PROCESS,
            Forbidden::Traps => libc::SECCOMP_RET_TRAP,
        }
    }
}

/// System calls that open a file.
#[cfg(target_arch = "x86_64")]
pub const OPENING: &[libc::c_long] = &[libc::SYS_openat, libc::SYS_openat2, libc::SYS_open, libc::SYS_creat];
/// System calls that open a file.
#[cfg(not(target_arch = "x86_64"))]
pub const OPENING: &[libc::c_long] = &[libc::SYS_openat, libc::SYS_openat2];

/// Forbids these system calls to this thread and to those that it makes.
pub fn forbid(calls: &[libc::c_long], forbidden: Forbidden) {
    install(calls, forbidden.action(), libc::SECCOMP_RET_ALLOW);
}

/// Forbids all other system calls to this thread and to those that it makes. The clock should be among those allowed:
/// not every machine lets a process read it without a call.
pub fn allow_only(calls: &[libc::c_long], forbidden: Forbidden) {
    install(calls, libc::SECCOMP_RET_ALLOW, forbidden.action());
}

/// Installs a filter: `of_listed` for the calls in the list, `of_others` for all others.
fn install(calls: &[libc::c_long], of_listed: u32, of_others: u32) {
    let statement = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut filter = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
    for call in calls {
        filter.push(statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, *call as u32));
        filter.push(statement(libc::BPF_RET | libc::BPF_K, 0, 0, of_listed));
    }
    filter.push(statement(libc::BPF_RET | libc::BPF_K, 0, 0, of_others));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: a valid filter, copied by the call.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
    // The memory of the filter is not freed here: that might need a system call which is forbidden now.
    std::mem::forget(filter);
}
