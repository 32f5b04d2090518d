//! Traces of several processes: the ids that W3C Trace Context puts into headers.
//!
//! # Format
//! <https://www.w3.org/TR/trace-context-2/>, section 3.2: `00-TRACE_ID-PARENT_ID-FLAGS`, in lower-case hexadecimal
//! digits. The header `tracestate` is the caller's to pass on.

use core::fmt;
use core::str::FromStr;

#[cfg(not(ttlog_device_callsites))]
use crate::event::span_context::SpanContext;

/// Identity of a trace: the spans of all processes that serve one request. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(u128);

impl TraceId {
    /// Returns the trace with this id. `None` if it is 0.
    #[must_use]
    pub const fn new(id: u128) -> Option<Self> {
        if id == 0 { None } else { Some(TraceId(id)) }
    }

    /// Returns the id as a number, whose 32 hexadecimal digits are its text.
    #[must_use]
    pub const fn to_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The header `traceparent`: a span as it is known to other processes.
///
/// ```
/// use ttlog_core::{Traceparent, info_span};
///
/// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let parent = Traceparent::parse(header).ok(); // an invalid header counts as none
/// let span = info_span!(parent: parent, "request", method = "GET");
/// if let Some(next) = span.traceparent() {
///     // For the requests that this one causes.
///     assert!(next.to_string().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Traceparent {
    trace_id: TraceId,
    /// Not 0.
    span_id: u64,
    /// Of the bits that this version knows.
    flags: u8,
}

impl Traceparent {
    /// Flag: the caller may have recorded the trace.
    pub const SAMPLED: u8 = 1;
    /// Flag: the lower 7 bytes of the trace id are random.
    pub const RANDOM: u8 = 2;
    /// Length of the header of version 00.
    const LEN: usize = 55;

    /// Joins the parts. `None` if `span_id` is 0. Flags of later versions are cleared.
    #[must_use]
    pub const fn new(trace_id: TraceId, span_id: u64, flags: u8) -> Option<Self> {
        let flags = flags & (Self::SAMPLED | Self::RANDOM);
        if span_id == 0 { None } else { Some(Traceparent { trace_id, span_id, flags }) }
    }

    /// Reads a header: of version 00 exactly, of later versions the part that 00 has too.
    ///
    /// # Errors
    /// [`TraceparentError`]: the specification says to go on as if there were no header.
    pub fn parse(header: &str) -> Result<Self, TraceparentError> {
        Self::parse_bytes(header.as_bytes()).ok_or(TraceparentError)
    }

    fn parse_bytes(header: &[u8]) -> Option<Self> {
        let (header, rest) = header.split_at_checked(Self::LEN)?;
        let version = hex(header.get(..2)?)?;
        let is_of_known_length =
            if version == 0 { rest.is_empty() } else { rest.first().is_none_or(|byte| *byte == b'-') };
        let has_dashes = [2, 35, 52].iter().all(|&at| header[at] == b'-');
        if version == 0xFF || !is_of_known_length || !has_dashes {
            return None;
        }
        let trace_id = TraceId::new(hex(&header[3..35])?)?;
        Self::new(trace_id, hex(&header[36..52])? as u64, hex(&header[53..])? as u8)
    }

    /// Returns the trace.
    #[must_use]
    pub const fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// Returns the id of the span in the trace: the parent of whoever receives the header. Never 0.
    #[must_use]
    pub const fn span_id(&self) -> u64 {
        self.span_id
    }

    /// Returns the flags [`SAMPLED`](Self::SAMPLED) and [`RANDOM`](Self::RANDOM).
    #[must_use]
    pub const fn flags(&self) -> u8 {
        self.flags
    }

    /// Returns the context of a child in this process.
    #[cfg(not(ttlog_device_callsites))]
    pub(crate) const fn child(&self, id: u64) -> SpanContext {
        SpanContext::of_foreign(id, self.trace_id.to_u128(), self.flags)
    }
}

/// Returns the number of lower-case hexadecimal digits, at most 32.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| match digit {
        b'0'..=b'9' => Some(number << 4 | u128::from(digit - b'0')),
        b'a'..=b'f' => Some(number << 4 | u128::from(digit - b'a' + 10)),
        _ => None,
    })
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl FromStr for Traceparent {
    type Err = TraceparentError;

    fn from_str(header: &str) -> Result<Self, TraceparentError> {
        Self::parse(header)
    }
}

/// Error for a text that is no valid header `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceparentError;

impl fmt::Display for TraceparentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid traceparent, expected 00-<32 digits>-<16 digits>-<2 digits> in lower-case hexadecimal")
    }
}

impl core::error::Error for TraceparentError {}

#[cfg(test)]
mod tests;
