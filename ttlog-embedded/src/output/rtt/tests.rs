extern crate std;

use core::ptr::null;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use rtt_target::rtt::RttChannel;

use super::*;
use crate::output::testing::{Received, record};

const CALLSITE: u16 = 1;

/// A channel as the host sees it: RTT is a layout in memory.
#[repr(C)]
struct Host {
    name: *const u8,
    buffer: *mut u8,
    size: usize,
    write: AtomicUsize,
    read: AtomicUsize,
    flags: AtomicUsize,
}

impl Host {
    /// Creates a channel that is never freed.
    fn channel(size: usize, mode: ChannelMode) -> (&'static Host, UpChannel) {
        let buffer = Box::leak(vec![0_u8; size].into_boxed_slice());
        let flags = AtomicUsize::new(mode as usize);
        let (write, read) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let host =
            Box::into_raw(Box::new(Host { name: null(), buffer: buffer.as_mut_ptr(), size, write, read, flags }));
        // SAFETY: the layout is that of a channel, and both live forever.
        unsafe { (&*host, UpChannel::new(host.cast::<RttChannel>())) }
    }

    /// Reads at most `most` bytes.
    fn read(&self, most: usize, out: &mut Vec<u8>) {
        let (write, mut read) = (self.write.load(Ordering::SeqCst), self.read.load(Ordering::SeqCst));
        for _ in 0..most {
            if read == write {
                break;
            }
            // SAFETY: inside of the buffer; the writer has published the byte.
            out.push(unsafe { self.buffer.add(read).read_volatile() });
            read = (read + 1) % self.size;
        }
        self.read.store(read, Ordering::SeqCst);
    }
}

#[test]
fn dump_goes_through_at_any_pace_and_in_any_mode() {
    record(CALLSITE, 0..40);
    for size in [BUFFER_LEN_MIN, 300, 512, 4096] {
        for pace in [1, 37, 256, 5000] {
            for mode in [ChannelMode::NoBlockSkip, ChannelMode::NoBlockTrim, ChannelMode::BlockIfFull] {
                let flags = match mode {
                    ChannelMode::NoBlockSkip => 0,
                    ChannelMode::NoBlockTrim => 1,
                    ChannelMode::BlockIfFull => 2,
                };
                let (host, mut channel) = Host::channel(size, mode);
                let mut dump = RttDump::new(DumpOptions::DEFAULT);
                let mut stream = Vec::new();
                let mut calls = 0;
                while dump.pump(&mut channel) == Progress::Full {
                    host.read(pace, &mut stream);
                    calls += 1;
                    assert!(calls < 20_000, "it does not end");
                }
                host.read(size, &mut stream);
                let received = Received::read(&stream);
                assert_eq!((received.begun, received.ended), (1, 1), "size {size}, pace {pace}");
                assert_eq!(received.numbers(CALLSITE), (0..40).collect::<Vec<_>>(), "size {size}, pace {pace}");
                assert_eq!(host.flags.load(Ordering::SeqCst), flags, "the mode is the host's");
                assert_eq!(dump.pump(&mut channel), Progress::Done, "and stays done");
            }
        }
    }
}

#[test]
fn nobody_reads() {
    record(CALLSITE, 0..0);
    let (host, mut channel) = Host::channel(600, ChannelMode::BlockIfFull);
    let mut dump = RttDump::new(DumpOptions::DEFAULT);
    for _ in 0..10 {
        assert_eq!(dump.pump(&mut channel), Progress::Full);
    }
    let mut stream = Vec::new();
    host.read(600, &mut stream);
    assert_eq!(stream.last(), Some(&0), "only whole frames");
    assert!(!dump_to_rtt(&mut Host::channel(600, ChannelMode::NoBlockSkip).1, 100));
    let (host, mut channel) = Host::channel(1 << 16, ChannelMode::NoBlockSkip);
    assert!(dump_to_rtt(&mut channel, 0));
    stream.clear();
    host.read(1 << 16, &mut stream);
    assert_eq!(Received::read(&stream).ended, 1);
}

#[test]
fn buffer_is_too_short() {
    record(CALLSITE, 0..0);
    let (host, mut channel) = Host::channel(BUFFER_LEN_MIN - 1, ChannelMode::NoBlockSkip);
    let mut dump = RttDump::new(DumpOptions::DEFAULT);
    let mut stream = Vec::new();
    for _ in 0..100 {
        host.read(BUFFER_LEN_MIN, &mut stream);
        match dump.pump(&mut channel) {
            Progress::BufferTooShort => return,
            progress => assert_eq!(progress, Progress::Full),
        }
    }
    panic!("some frame of the ring's header is of the longest kind");
}
