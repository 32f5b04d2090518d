//! Dumps over RTT, a buffer in RAM that a debug probe reads while the firmware runs.
//!
//! The channel is one of the crate rtt-target, from the firmware's own table of channels:
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
//!     // the other work of the firmware
//! }
//! ```
//!
//! **Never blocks**, whatever the mode of the channel (hosts switch channels to blocking). A frame that does not fit
//! into the free space is held back until the next call of [`pump`](RttDump::pump). So a slow or absent probe costs one
//! look at the channel, and no frame is ever cut. The buffer needs at least 257 bytes, room for a frame; a larger one
//! takes fewer calls.
//!
//! On the host, write the channel's output to a file or a TCP port and pass that to `ttlog-view serial`. Keep other
//! output out of the channel, although `ttlog-view` finds the frames among it.
//!
//! rtt-target needs an implementation of the crate critical-section in the firmware, for its initialization only.

use core::fmt;

use rtt_target::{ChannelMode, UpChannel};

use crate::FRAME_LEN_MAX;
use crate::output::dump;
use crate::output::dump::{Dump, DumpOptions};

/// Least size of a channel's buffer, in bytes: a frame, and one byte that always stays free.
pub const BUFFER_LEN_MIN: usize = FRAME_LEN_MAX + 1;

/// How far a dump has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Progress {
    /// The whole dump has been put into the channel's buffer.
    Done,
    /// The buffer is full. Continue when the host has read some of it.
    Full,
    /// The buffer is shorter than [`BUFFER_LEN_MIN`]: it is empty, but a frame does not fit. The dump cannot continue.
    BufferTooShort,
}

/// A dump in progress through an RTT channel.
pub struct RttDump<'s> {
    dump: Dump<'s>,
    /// The next frame to send.
    room: [u8; FRAME_LEN_MAX],
    /// Its length; 0 if there is none.
    len: usize,
}

impl<'s> RttDump<'s> {
    /// Starts a dump. Nothing is sent yet.
    #[must_use]
    pub fn new(options: DumpOptions<'s>) -> Self {
        RttDump { dump: Dump::new(options), room: [0; FRAME_LEN_MAX], len: 0 }
    }

    /// Puts as many frames into the channel as fit, in time proportional to them. Does not block.
    pub fn pump(&mut self, channel: &mut UpChannel) -> Progress {
        loop {
            if self.len == 0 {
                let Some(frame) = self.dump.next_frame(&mut self.room) else { return Progress::Done };
                self.len = frame.len();
            }
            // Asked first: the host may empty a full buffer in between, which would then look like one that is too
            // short.
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

/// Sends a dump and polls for room. Returns whether it was sent: `false` if the host read nothing for `patience` polls,
/// or the buffer is too short. For panic handlers and similar places, where nothing else is left to do.
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

/// Sends all bytes or none, and returns whether it did.
fn send_whole(channel: &mut UpChannel, bytes: &[u8]) -> bool {
    let mode = channel.mode();
    // The host may have switched the channel to blocking, or to trimming.
    channel.set_mode(ChannelMode::NoBlockSkip);
    let sent = channel.write(bytes);
    channel.set_mode(mode);
    // In this mode a write that does not fit is undone, and reported as shorter.
    sent == bytes.len()
}

#[cfg(test)]
mod tests;
