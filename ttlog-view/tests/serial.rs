//! The command `serial` over ports and connections that vanish and return.
#![cfg(target_os = "linux")]

mod support;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use support::device::{BUILD_ID, Device, dump_frames, motor_elf};
use support::{directory, view, write};

/// Time for what happens at once.
const SOON: Duration = Duration::from_secs(20);

/// A running viewer, with the lines of its output and of its errors.
struct Viewer {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
    /// Lines of errors that were taken.
    said: Vec<String>,
}

impl Viewer {
    fn new(dir: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ttlog-view"))
            .args(arguments)
            .current_dir(dir)
            .env("TZ", "UTC")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let out = lines(child.stdout.take().expect("it is piped"));
        let err = lines(child.stderr.take().expect("it is piped"));
        Viewer { child, out, err, said: Vec::new() }
    }

    /// Waits for a line of errors that contains a text.
    fn says(&mut self, text: &str) {
        let start = Instant::now();
        loop {
            let line = self.err.recv_timeout(SOON.saturating_sub(start.elapsed()));
            let line = line.unwrap_or_else(|_| panic!("no {text:?} in {:#?}", self.said));
            self.said.push(line);
            if self.said.last().is_some_and(|line| line.contains(text)) {
                return;
            }
        }
    }

    /// Waits for an event with a text.
    fn shows(&self, text: &str) {
        while let Ok(line) = self.out.recv_timeout(SOON) {
            if line.contains(text) {
                return;
            }
        }
        panic!("no {text:?} was shown");
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it runs");
    }

    /// Waits for the end, and returns the exit code and all lines of errors.
    fn end(mut self) -> (Option<i32>, Vec<String>) {
        let start = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("it is ours") {
                Some(status) => break status,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
            assert!(start.elapsed() < SOON, "it does not end: {:#?}", self.err.try_iter().collect::<Vec<_>>());
        };
        self.said.extend(self.err.iter());
        (status.code(), std::mem::take(&mut self.said))
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    receiver
}

/// A port under a name that stays, as udev makes them in /dev/serial/by-id.
struct Port {
    line: File,
    link: PathBuf,
}

impl Port {
    /// Plugs a device in.
    fn plug(link: &Path) -> Self {
        let line = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pseudo-terminal");
        grantpt(&line).and_then(|()| unlockpt(&line)).expect("it is ours");
        let name = ptsname(&line, Vec::new()).expect("it has a name").into_string().expect("of letters");
        symlink(name, link).expect("nothing has this name");
        Port { line: line.into(), link: link.to_owned() }
    }

    /// Writes until the viewer, which may still be opening the port, has said something.
    fn greet(&mut self, viewer: &mut Viewer) {
        for n in 0..1000 {
            self.write(b"hello\n");
            std::thread::sleep(Duration::from_millis(20));
            if let Ok(line) = viewer.err.try_recv() {
                viewer.said.push(line);
                if viewer.said.last().is_some_and(|line| line == "hello") {
                    return;
                }
            }
            assert!(n < 999, "the port was not opened: {:#?}", viewer.said);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.line.write_all(bytes).expect("the line is open");
    }

    /// Resets the device: its port vanishes.
    fn unplug(self) {
        std::fs::remove_file(&self.link).expect("it was there");
    }
}

fn motor_directory(name: &str) -> PathBuf {
    let dir = directory(name);
    write(&dir, "motor.elf", &motor_elf(&BUILD_ID));
    dir
}

/// A device with one event per boot.
fn booted(device: &mut Device, angle: i16) -> Vec<u8> {
    device.boot(BUILD_ID, 0);
    device.turned(10, angle);
    dump_frames(0, &device.ring(), BUILD_ID).concat()
}

#[test]
fn a_port_that_vanishes_at_the_reset_is_taken_up_again() {
    let dir = motor_directory("serial_reset");
    let link = dir.join("by-id-motor");
    let mut device = Device::new(8);
    let mut port = Port::plug(&link);
    let mut viewer = Viewer::new(&dir, &["serial", "by-id-motor", "--elf", "motor.elf"]);
    port.greet(&mut viewer);
    port.write(&booted(&mut device, 111));
    viewer.shows("turned to 111");
    // The next reset comes in the middle of a dump, and of one of its frames.
    let cut = booted(&mut device, 222);
    port.write(&cut[..500]);
    std::thread::sleep(Duration::from_millis(300)); // a pseudo-terminal that is closed forgets what was not read
    port.unplug();
    viewer.says("its end is missing");
    viewer.says("ttlog-view: by-id-motor: gone (");
    // Meanwhile there are no more lines.
    std::thread::sleep(Duration::from_secs(1));
    assert!(viewer.err.try_recv().is_err());
    let mut port = Port::plug(&link);
    viewer.says("ttlog-view: by-id-motor: there again");
    port.write(&booted(&mut device, 333));
    viewer.shows("turned to 333");
    // Ctrl-C ends with the counts.
    viewer.signal(Signal::INT);
    let (code, said) = viewer.end();
    assert_eq!(code, Some(1), "{said:#?}");
    assert_eq!(said.last().map(String::as_str), Some("ttlog-view: stopped after 3 dumps"), "{said:#?}");
    assert_eq!(said.iter().filter(|line| line.contains("; waiting for it")).count(), 1, "{said:#?}");
    assert_eq!(said.iter().filter(|line| line.contains("its end is missing")).count(), 1, "{said:#?}");
}

#[test]
fn a_port_that_is_not_there_yet_is_waited_for() {
    let dir = motor_directory("serial_late");
    let link = dir.join("port");
    symlink("/dev/no-such-port", &link).expect("nothing has this name");
    let mut viewer = Viewer::new(&dir, &["serial", "port", "--elf", "motor.elf", "-q"]);
    viewer.says("; waiting for it");
    std::fs::remove_file(&link).expect("it is there");
    let mut port = Port::plug(&link);
    viewer.says("ttlog-view: port: there now");
    port.write(&booted(&mut Device::new(8), 7));
    viewer.shows("turned to 7");
    viewer.signal(Signal::TERM);
    let (code, said) = viewer.end();
    assert_eq!((code, said.len()), (Some(0), 3), "{said:#?}");
    // A file is not waited for; with --no-wait nothing is.
    for arguments in [&["serial", "file", "-q"][..], &["serial", "/dev/no-such-port", "--no-wait"]] {
        let run = view(&dir, arguments);
        assert_eq!(run.code, Some(2), "{}", run.err);
        assert!(run.err.contains("; serial ports here: ") && !run.err.contains("waiting"), "{}", run.err);
    }
}

#[test]
fn without_waiting_the_loss_of_the_port_is_the_end() {
    let dir = motor_directory("serial_no_wait");
    let mut port = Port::plug(&dir.join("port"));
    let mut viewer = Viewer::new(&dir, &["serial", "port", "--elf", "motor.elf", "--no-wait"]);
    port.greet(&mut viewer);
    port.write(&booted(&mut Device::new(8), 7));
    viewer.shows("turned to 7");
    port.unplug();
    let (code, said) = viewer.end();
    assert_eq!(code, Some(1), "{said:#?}");
}

#[test]
fn a_server_that_restarts_is_connected_to_again() {
    let dir = motor_directory("serial_tcp");
    let mut device = Device::new(8);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
    let address = listener.local_addr().expect("it has an address");
    drop(listener);
    let name = format!("tcp:{address}");
    let mut viewer = Viewer::new(&dir, &["serial", &name, "--elf", "motor.elf"]);
    viewer.says("; waiting for it");
    for (angle, said) in [(11, "there now"), (22, "there again"), (33, "there again")] {
        let listener = TcpListener::bind(address).expect("nobody else has the port");
        let (mut connection, _) = listener.accept().expect("the viewer connects");
        connection.write_all(&booted(&mut device, angle)).expect("the viewer reads");
        viewer.says(said);
        viewer.shows(&format!("turned to {angle}"));
        // Cut in a frame.
        connection.write_all(&booted(&mut device, 99)[..500]).expect("the viewer reads");
        drop((connection, listener));
        viewer.says("its end is missing");
        viewer.says("; waiting for it");
    }
    viewer.signal(Signal::INT);
    let (code, said) = viewer.end();
    assert_eq!(code, Some(1), "{said:#?}");
    assert_eq!(said.last().map(String::as_str), Some("ttlog-view: stopped after 6 dumps"), "{said:#?}");
    // A stream over a connection that ends once.
    let listener = TcpListener::bind(address).expect("nobody else has the port");
    let dump = booted(&mut device, 44);
    let server =
        std::thread::spawn(move || listener.accept().and_then(|(mut connection, _)| connection.write_all(&dump)));
    let run = view(&dir, &["serial", &name, "--elf", "motor.elf", "-q", "--no-wait"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    server.join().expect("it ends").expect("the viewer reads");
}
