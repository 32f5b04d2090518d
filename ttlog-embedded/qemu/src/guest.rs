//! Running a program in QEMU.

use std::fmt::Write as _;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::{Machine, Qmp, Variant, program};

/// A program that is to be run on a machine.
#[derive(Debug)]
pub struct Run {
    machine: &'static Machine,
    elf: PathBuf,
    arguments: String,
    time_out: Duration,
    has_serial: bool,
    has_qmp: bool,
}

/// What a run left.
#[derive(Debug)]
pub struct Output {
    /// How QEMU ended: 0 if the program said that all is well, 1 if it said otherwise or panicked.
    pub status: ExitStatus,
    /// What the program printed through semihosting.
    pub text: String,
    /// What QEMU itself said.
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

    /// Gives the program one more argument.
    #[must_use]
    pub fn argument(mut self, value: u32) -> Self {
        let _ = write!(self.arguments, ",arg={value}"); // a string takes everything
        self
    }

    /// Ends the run, as a failure, if it takes longer; by default 60 seconds.
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
    /// If QEMU cannot be run, or the time is over.
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
        // Short, for the names of sockets are limited to 107 bytes.
        let socket = |kind| std::env::temp_dir().join(format!("ttlog-qemu-{}-{number}.{kind}", std::process::id()));
        let (serial_path, qmp_path) = (socket("serial"), socket("qmp"));

        let (emulator, machine_arguments) = self.machine.emulator.split_first().expect("a machine has an emulator");
        let mut qemu = Command::new(emulator);
        qemu.args(machine_arguments);
        // One instruction is one nanosecond, and a guest that waits for a timer does not wait in real time: runs are repeatable.
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

/// A program that runs. It is ended when this is dropped.
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
    /// Gives the other end of the guest's serial port. Reads fail when they take 10 seconds.
    ///
    /// # Panics
    /// If the run was started without [`Run::serial`].
    pub fn serial(&mut self) -> &mut UnixStream {
        self.serial.as_mut().expect("the run has a serial port")
    }

    /// Gives QEMU's control channel.
    ///
    /// # Panics
    /// If the run was started without [`Run::qmp`].
    pub fn qmp(&mut self) -> &mut Qmp {
        self.qmp.as_mut().expect("the run has a control channel")
    }

    /// Gives the bytes of RAM, as far as [`Machine::ram_len`] says, while the guest goes on.
    ///
    /// # Panics
    /// If QEMU does not give them.
    #[must_use]
    pub fn ram_image(&mut self) -> Vec<u8> {
        let path = self.sockets[1].with_extension("ram");
        let (base, len) = (self.machine.ram_base, self.machine.ram_len);
        // The memory of these chips is behind their core, and nothing of it on the machine's bus.
        let as_core = ["microbit", "mps2-an505"].contains(&self.machine.name);
        let saved = self.qmp().save_memory(base, len, as_core, &path).and_then(|()| std::fs::read(&path));
        let _ = std::fs::remove_file(&path); // in the folder of temporary files; nothing depends on it
        saved.unwrap_or_else(|error| panic!("cannot read the RAM of {}: {error}", self.machine.name))
    }

    /// Waits for the end of the program.
    ///
    /// # Panics
    /// If the time is over.
    #[must_use]
    pub fn finish(mut self) -> Output {
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < self.deadline => thread::sleep(Duration::from_millis(2)),
                Ok(None) => {
                    let _ = self.child.kill(); // it may just have ended by itself
                    let (text, errors) = self.collected();
                    panic!("the time is over for a program on {}; it said:\n{text}{errors}", self.machine.name);
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

    /// Connects to a socket that QEMU is about to make.
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
                        let _ = self.child.kill(); // it may have ended by itself
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
        // It may have ended, and sockets may not have been made: what matters is that nothing stays behind.
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
        let _ = from.read_to_end(&mut bytes); // what came before an error is what there is
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

impl Output {
    /// Checks that the program said that all is well, and gives what it printed.
    ///
    /// # Panics
    /// If it did not.
    #[must_use]
    pub fn expect_success(self) -> String {
        assert!(self.status.success(), "the program failed ({}):\n{}{}", self.status, self.text, self.errors);
        self.text
    }
}
