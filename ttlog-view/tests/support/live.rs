//! Processes that record with `ttlog-std` while a test examines them: the test binary itself, started again, which
//! obeys commands line by line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use ttlog_std::Trace;

/// Environment variable set in children.
const CHILD: &str = "TTLOG_VIEW_TEST_CHILD";
/// Start of a child's answers, which are mixed with the output of the test harness.
const ANSWER: &str = "answer: ";

/// A process that records.
pub struct Recorder {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    directory: PathBuf,
}

impl Recorder {
    /// Starts a recorder with its ring in `rings` and its snapshots in `snapshots` below `directory`, and these
    /// environment variables.
    pub fn start(directory: &Path, variables: &[(&str, &str)]) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        Self::start_as(Command::new(program), directory, variables)
    }

    /// Starts a recorder as the first process of its own pid namespace; `pid` is that of its parent there.
    pub fn start_in_namespace(directory: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = in_namespace();
        command.arg(std::env::current_exe().expect("this program has a path"));
        Self::start_as(command, directory, variables)
    }

    /// Starts a recorder in its own pid namespace, below a shell, which is the first process there. (A first process is
    /// not ended by signals.)
    pub fn start_below_a_shell(directory: &Path) -> Self {
        let mut command = in_namespace();
        command.args(["sh", "-c", "\"$@\"; exit $?", "sh"]);
        command.arg(std::env::current_exe().expect("this program has a path"));
        Self::start_as(command, directory, &[])
    }

    /// Starts a recorder as the first process of a host with this name.
    pub fn start_on_host(name: &str, directory: &Path) -> Self {
        let mut command = in_namespace();
        command.args(["--uts", "sh", "-c", &format!("hostname {name} && exec \"$@\""), "sh"]);
        command.arg(std::env::current_exe().expect("this program has a path"));
        Self::start_as(command, directory, &[])
    }

    fn start_as(mut command: Command, directory: &Path, variables: &[(&str, &str)]) -> Self {
        command
            .args(["child", "--exact", "--nocapture", "--ignored", "--test-threads=1"])
            .env(CHILD, "1")
            .env("TTLOG_DIR", directory.join("rings"))
            .env("TTLOG_SNAPSHOT_DIR", directory.join("snapshots"))
            // Makes tests independent of the free space on this machine's disk.
            .env("TTLOG_RETAIN_FREE_PERCENT", "0")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("the test binary can be started");
        let commands = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let mut recorder = Recorder { child, commands, answers, directory: directory.to_path_buf() };
        assert_eq!(recorder.answer(), "started");
        recorder
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the path of its ring, if its id is that in its own pid namespace.
    pub fn ring(&self) -> PathBuf {
        let rings = std::fs::read_dir(self.directory.join("rings")).expect("a directory with rings");
        let part = format!("-{}-", self.pid());
        let mut own = rings.map(|entry| entry.expect("an entry").path()).filter(|path| {
            path.extension().is_some_and(|extension| extension == "ring") && path.to_string_lossy().contains(&part)
        });
        own.next().expect("its ring")
    }

    /// Returns the paths of all rings in a directory.
    pub fn rings_in(directory: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(directory).expect("a directory with rings");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    /// Sends a command and returns the answer.
    pub fn tell(&mut self, command: &str) -> String {
        writeln!(self.commands, "{command}").expect("it listens");
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.answers.read_line(&mut line).expect("lines of text"), 0, "it ended without an answer");
            // The harness can have begun the line.
            if let Some((_, answer)) = line.split_once(ANSWER) {
                return answer.trim_end().to_owned();
            }
        }
    }

    /// Waits for the process, which must be about to end, and returns its exit status.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("a child")
    }

    /// Sends a command that ends the process, and returns its exit status.
    pub fn end(&mut self, command: &str) -> ExitStatus {
        writeln!(self.commands, "{command}").expect("it listens");
        self.child.wait().expect("a child")
    }
}

/// Returns a command that runs its argument as the first process of a new pid namespace with its own `/proc`.
pub fn in_namespace() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    command
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // A failure means that it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a child. A test binary that starts recorders has an ignored test `child` that calls this.
pub fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let mut trace = Some(Trace::builder().service("shop").build().expect("a recorder"));
    println!("{ANSWER}started");
    for line in std::io::stdin().lines() {
        let line = line.expect("lines of text");
        let (command, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let number = argument.parse::<u32>().unwrap_or(0);
        match command {
            "debug" => (0..number).for_each(|n| ttlog_std::debug!("looked", n)),
            "crate" => (0..number).for_each(|n| ttlog_std::debug!(target: "my_crate::net", "dialed", n)),
            "info" => (0..number).for_each(|n| ttlog_std::info!("worked", n)),
            "error" => (0..number).for_each(|n| ttlog_std::error!("failed", n)),
            "large" => ttlog_std::info!("large", text = "x".repeat(1 << 20)),
            "panic" => {
                let worker = std::thread::Builder::new().name("worker".into()).spawn(|| panic!("on purpose"));
                assert!(worker.expect("a thread").join().is_err());
            }
            "exit" => std::process::exit(number as i32),
            "abort" => std::process::abort(),
            // SAFETY: not at all: nothing is there, and that is what it is for.
            "segv" => unsafe { std::ptr::without_provenance_mut::<u8>(16).write_volatile(1) },
            #[cfg(unix)]
            "hand_over" => trace.as_ref().expect("a recorder").hand_over(number, number).expect("we are root"),
            "file" => {
                println!("{ANSWER}{}", trace.as_ref().is_some_and(|trace| trace.ring_path().is_some()));
                continue;
            }
            "shutdown" => drop(trace.take().map(|trace| trace.shutdown())),
            "exec" => {
                use std::os::unix::process::CommandExt as _;
                println!("{ANSWER}ok");
                panic!("{}", Command::new("sleep").arg("600").exec());
            }
            other => panic!("no command: {other}"),
        }
        println!("{ANSWER}ok");
    }
    // The test is over.
    std::process::exit(0);
}
