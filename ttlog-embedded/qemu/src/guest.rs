//! Runs a program in QEMU.

use std::fmt::Write as _;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::build::{Variant, program};
use crate::machine::Machine;
use crate::qmp::Qmp;

/// A program to run on a machine.
#[derive(Debug)]
pub struct Run {
    machine: &'static Machine,
    elf: PathBuf,
    arguments: String,
    time_out: Duration,
    has_serial: bool,
    has_qmp: bool,
}

/// The result of a run.
#[derive(Debug)]
pub struct Output {
    /// Exit status of QEMU: 0 if the program succeeded, 1 if it failed or panicked.
    pub status: ExitStatus,
    /// Output of the program through semihosting.
    pub text: String,
    /// Messages of QEMU itself.
    pub errors: String,
}

impl Run {
    /// Prepares a run of a program, built as usual.
    ///
    /// # Panics
    /// If the program cannot be built.
    #[must_use]
    pub fn new(machine: &'static Machine, name: &str) -> Self {
        Self::of_variant(machine, Variant::Usual, name)
    }

    /// Prepares a run of a variant of a program.
    ///
    /// # Panics
    /// If the program cannot be built.
    #[must_use]
    pub fn of_variant(machine: &'static Machine, variant: Variant, name: &str) -> Self {
        Run {
            machine,
            elf: program(machine, variant, name),
            arguments: String::new(),
            time_out: Duration::from_secs(60),
            has_serial: false,
            has_qmp: false,
        }
    }

    /// Adds an argument for the program.
    #[must_use]
    pub fn argument(mut self, value: u32) -> Self {
        let _ = write!(self.arguments, ",arg={value}"); // writing to a string does not fail
        self
    }

    /// Ends the run as a failure if it takes longer; 60 seconds by default.
    #[must_use]
    pub fn time_out(mut self, time_out: Duration) -> Self {
        self.time_out = time_out;
        self
    }

    /// Connects the first serial port; see [`Guest::serial`].
    #[must_use]
    pub fn serial(mut self) -> Self {
        self.has_serial = true;
        self
    }

    /// Opens QEMU's control channel; see [`Guest::qmp`].
    #[must_use]
    pub fn qmp(mut self) -> Self {
        self.has_qmp = true;
        self
    }

    /// Runs the program to its end.
    ///
    /// # Panics
    /// If QEMU cannot be run, or the run takes too long.
    #[must_use]
    pub fn finish(self) -> Output {
        self.start().finish()
    }

    /// Starts the program.
    ///
    /// # Panics
    /// If QEMU cannot be run.
    #[must_use]
    pub fn start(self) -> Guest {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Short, because names of sockets are limited to 107 bytes.
        let socket = |kind| std::env::temp_dir().join(format!("ttlog-qemu-{}-{number}.{kind}", std::process::id()));
        let (serial_path, qmp_path) = (socket("serial"), socket("qmp"));

        let (emulator, machine_arguments) = self.machine.emulator.split_first().expect("a machine has an emulator");
        let mut qemu = Command::new(emulator);
        qemu.args(machine_arguments);
        // An instruction takes a nanosecond, and a guest does not wait for timers in real time, so runs are repeatable.
        qemu.args(["-icount", "shift=0,sleep=off", "-display", "none", "-monitor", "none"]);
        qemu.arg("-semihosting-config").arg(format!("enable=on,target=native,arg=program{}", self.arguments));
        if self.has_serial {
            qemu.arg("-chardev").arg(format!("socket,id=port,path={},server=on,wait=on", serial_path.display()));
            qemu.args(["-serial", "chardev:port"]);
        } else {
            qemu.args(["-serial", "none"]);
        }
        if self.has_qmp {
            qemu.arg("-qmp").arg(format!("unix:{},server=on,wait=off", qmp_path.display()));
        }
        if self.machine.flash.1 > 0 {
            let flash = self.elf.with_extension("flash");
            qemu.arg("-drive").arg(format!("if=pflash,unit=0,format=raw,readonly=on,file={}", flash.display()));
        } else {
            qemu.arg("-kernel").arg(&self.elf);
        }
        qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            qemu.spawn().unwrap_or_else(|error| panic!("cannot run {emulator} (see ci/checks/qemu): {error}"));
        let text = collect(child.stdout.take().expect("stdout is piped"));
        let errors = collect(child.stderr.take().expect("stderr is piped"));
        let mut guest = Guest {
            machine: self.machine,
            child,
            deadline: Instant::now() + self.time_out,
            text: Some(text),
            errors: Some(errors),
            serial: None,
            qmp: None,
            sockets: [serial_path, qmp_path],
        };
        if self.has_serial {
            guest.serial = Some(guest.connect(&guest.sockets[0].clone()));
        }
        if self.has_qmp {
            let stream = guest.connect(&guest.sockets[1].clone());
            guest.qmp = Some(Qmp::new(stream).unwrap_or_else(|error| panic!("QEMU's control channel: {error}")));
        }
        guest
    }
}

/// A running program. Dropping it ends the program.
#[derive(Debug)]
pub struct Guest {
    machine: &'static Machine,
    child: Child,
    deadline: Instant,
    text: Option<JoinHandle<String>>,
    errors: Option<JoinHandle<String>>,
    serial: Option<UnixStream>,
    qmp: Option<Qmp>,
    sockets: [PathBuf; 2],
}

impl Guest {
    /// Returns the other end of the guest's serial port. Reads fail after 10 seconds.
    ///
    /// # Panics
    /// If the run was started without [`Run::serial`].
    pub fn serial(&mut self) -> &mut UnixStream {
        self.serial.as_mut().expect("the run has a serial port")
    }

    /// Returns QEMU's control channel.
    ///
    /// # Panics
    /// If the run was started without [`Run::qmp`].
    pub fn qmp(&mut self) -> &mut Qmp {
        self.qmp.as_mut().expect("the run has a control channel")
    }

    /// Returns the first [`Machine::ram_len`] bytes of RAM, while the guest runs.
    ///
    /// # Panics
    /// If QEMU refuses.
    #[must_use]
    pub fn ram_image(&mut self) -> Vec<u8> {
        let path = self.sockets[1].with_extension("ram");
        let (base, len) = (self.machine.ram_base, self.machine.ram_len);
        // The memory of these chips is behind their core, not on the machine's bus.
        let as_core = ["microbit", "mps2-an505"].contains(&self.machine.name);
        let saved = self.qmp().save_memory(base, len, as_core, &path).and_then(|()| std::fs::read(&path));
        let _ = std::fs::remove_file(&path); // in the folder of temporary files; nothing depends on it
        saved.unwrap_or_else(|error| panic!("cannot read the RAM of {}: {error}", self.machine.name))
    }

    /// Waits for the end of the program.
    ///
    /// # Panics
    /// If the run takes too long.
    #[must_use]
    pub fn finish(mut self) -> Output {
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < self.deadline => thread::sleep(Duration::from_millis(2)),
                Ok(None) => {
                    let _ = self.child.kill(); // it may have just ended
                    let (text, errors) = self.collected();
                    panic!("a program on {} took too long; its output:\n{text}{errors}", self.machine.name);
                }
                Err(error) => panic!("cannot wait for QEMU: {error}"),
            }
        };
        let (text, errors) = self.collected();
        Output { status, text, errors }
    }

    fn collected(&mut self) -> (String, String) {
        let join = |thread: &mut Option<JoinHandle<String>>| {
            thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
        };
        (join(&mut self.text), join(&mut self.errors))
    }

    /// Connects to a socket that QEMU is about to create.
    fn connect(&mut self, path: &PathBuf) -> UnixStream {
        loop {
            match UnixStream::connect(path) {
                Ok(stream) => {
                    let limit = Some(Duration::from_secs(10));
                    stream.set_read_timeout(limit).expect("the limit is not zero");
                    return stream;
                }
                Err(error) => {
                    let is_over = Instant::now() >= self.deadline || !matches!(self.child.try_wait(), Ok(None));
                    if is_over {
                        let _ = self.child.kill(); // it may have ended
                        panic!("cannot connect to {}: {error}\n{}", path.display(), self.collected().1);
                    }
                    thread::sleep(Duration::from_millis(2));
                }
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // The program may have ended, and the sockets may not exist: nothing must stay behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for socket in &self.sockets {
            let _ = std::fs::remove_file(socket);
        }
    }
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes); // what came before an error is the output
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

impl Output {
    /// Checks that the program succeeded, and returns its output.
    ///
    /// # Panics
    /// If it failed.
    #[must_use]
    pub fn expect_success(self) -> String {
        assert!(self.status.success(), "the program failed ({}):\n{}{}", self.status, self.text, self.errors);
        self.text
    }
}
