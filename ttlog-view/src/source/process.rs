//! Whether the process that a ring belongs to is still there.

/// What is known of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It runs.
    Running,
    /// It is gone, or its id belongs to another process now.
    Gone,
    /// Nothing is known: no process item, another host, or a system without `/proc`.
    Unknown,
}

/// Looks for the process with this id that started at `start` (docs/format.md §3.1, key 8; 0: unknown).
///
/// A ring from another host is not recognised as such by its id alone; where `host` is not this host, the answer is `Unknown`.
#[must_use]
pub fn liveness(pid: u64, start: u64, host: &str) -> Liveness {
    if pid == 0 || start == 0 || !cfg!(target_os = "linux") {
        return Liveness::Unknown;
    }
    let own_host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if !host.is_empty() && host != own_host.trim_end() {
        return Liveness::Unknown;
    }
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat)
            if start_and_state(&stat).is_some_and(|(found, state)| found == start && !matches!(state, "Z" | "X")) =>
        {
            Liveness::Running
        }
        _ => Liveness::Gone,
    }
}

/// Gives start time and state from a line of `/proc/PID/stat` (fields 22 and 3; field 2 may hold anything in parentheses).
fn start_and_state(stat: &str) -> Option<(u64, &str)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    Some((fields.nth(18)?.parse().ok()?, state))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn own_process_runs_and_another_start_does_not() {
        let stat = std::fs::read_to_string("/proc/self/stat").expect("this is Linux");
        let (start, _) = start_and_state(&stat).expect("the fields are there");
        let pid = u64::from(std::process::id());
        assert_eq!(liveness(pid, start, ""), Liveness::Running);
        assert_eq!(liveness(pid, start + 1, ""), Liveness::Gone);
        assert_eq!(liveness(pid, 0, ""), Liveness::Unknown);
        assert_eq!(liveness(pid, start, "another host"), Liveness::Unknown);
    }

    #[test]
    fn names_with_parentheses_do_not_confuse() {
        let stat = "7 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(start_and_state(stat), Some((4242, "R")));
    }
}
