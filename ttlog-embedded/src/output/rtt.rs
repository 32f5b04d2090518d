//! Dumps over RTT: through a buffer in RAM that a debug probe empties while the firmware runs.
//!
//! The channel is one of the crate rtt-target, in the firmware's own table of channels:
//!
//! ```ignore
//! let channels = rtt_target::rtt_init! {
//!     up: {
//!         0: { size: 1024, name: "Terminal" }
//!         1: { size: 512, mode: rtt_target::ChannelMode::NoBlockSkip, name: "TTLog" }
//!     }
//! };
//! let mut channel = channels.up.1;
//!
//! let mut dump = RttDump::new(DumpOptions::DEFAULT);
//! loop {
//!     if dump.pump(&mut channel) == Progress::Done { /* … */ }
//!     // whatever else the firmware does
//! }
//! ```
//!
//! **Never blocks**, whatever mode the channel is in: hosts switch channels to blocking ones. A frame that does not fit whole into what is free is
//! kept, and sent when [`pump`](RttDump::pump) is called again. So a probe that is slow or not there costs a look at the channel, and what is
//! sent is never cut. The buffer must have room for a frame, that is 257 bytes; the larger it is, the fewer calls it takes.
//!
//! On the host, write what comes through the channel to a file or a TCP port, and give that to `ttlog-view serial`. No other output
//! should go through the same channel, though `ttlog-view` finds the frames among it.
//!
//! rtt-target needs an implementation of the crate critical-section in the firmware, for its own initialization only.

use core::fmt;

use rtt_target::{ChannelMode, UpChannel};

use crate::FRAME_LEN_MAX;
use crate::output::dump;
use crate::output::dump::{Dump, DumpOptions};

/// Bytes that a channel's buffer must have at least: one is always free.
pub const BUFFER_LEN_MIN: usize = FRAME_LEN_MAX + 1;

/// How far a dump came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Progress {
    /// All of it is in the channel's buffer.
    Done,
    /// The buffer is full. More can be sent when the host has read some of it.
    Full,
    /// The buffer is empty and a frame does not fit all the same: it is shorter than [`BUFFER_LEN_MIN`]. The dump does not go on.
    BufferTooShort,
}

/// A dump on its way through an RTT channel.
pub struct RttDump<'s> {
    dump: Dump<'s>,
    /// The frame that is to be sent next.
    room: [u8; FRAME_LEN_MAX],
    /// Its length; 0: none.
    len: usize,
}

impl<'s> RttDump<'s> {
    /// Begins a dump. Nothing is sent yet.
    #[must_use]
    pub fn new(options: DumpOptions<'s>) -> Self {
        RttDump { dump: Dump::new(options), room: [0; FRAME_LEN_MAX], len: 0 }
    }

    /// Puts as many frames into the channel as it has room for, which takes a time in proportion to them. Does not block.
    pub fn pump(&mut self, channel: &mut UpChannel) -> Progress {
        loop {
            if self.len == 0 {
                let Some(frame) = self.dump.next_frame(&mut self.room) else { return Progress::Done };
                self.len = frame.len();
            }
            // Else what was not there a moment ago may be read meanwhile, and a short buffer look like a full one.
            let was_empty = channel.is_empty();
            if !send_whole(channel, &self.room[..self.len]) {
                return if was_empty { Progress::BufferTooShort } else { Progress::Full };
            }
            self.len = 0;
        }
    }
}

impl fmt::Debug for RttDump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RttDump").field("dump", &self.dump).field("held_len", &self.len).finish()
    }
}

/// Sends a dump and waits for room, looking for it again and again; `false`: nobody read anything for `patience` looks, or the buffer is too short. For
/// panic handlers and the like, where nothing else is to be done.
pub fn dump_to_rtt(channel: &mut UpChannel, patience: u32) -> bool {
    let mut waits = 0;
    dump::dump_with(DumpOptions::DEFAULT, |frame| {
        waits = 0;
        while !send_whole(channel, frame) {
            waits += 1;
            if waits > patience {
                return Err(());
            }
            core::hint::spin_loop();
        }
        Ok(())
    })
    .is_ok()
}

/// Sends all of the bytes, or nothing.
fn send_whole(channel: &mut UpChannel, bytes: &[u8]) -> bool {
    let mode = channel.mode();
    // What the host wants: it may have switched to blocking, or to cutting.
    channel.set_mode(ChannelMode::NoBlockSkip);
    let sent = channel.write(bytes);
    channel.set_mode(mode);
    // In this mode a write that does not fit is taken back, and the bytes that it says it wrote are less than all.
    sent == bytes.len()
}

#[cfg(test)]
mod tests;
