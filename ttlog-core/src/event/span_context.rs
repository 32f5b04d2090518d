//! A span as its children see it: its id, and the trace that it belongs to.

/// Identity of a span: what its children, other threads and other processes need of it. Can be copied and sent.
///
/// [`NONE`](SpanContext::NONE) stands for no span: there is none, or it is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)] // four words on servers, which are copied as such
pub struct SpanContext {
    pub(crate) id: SpanNumber,
    /// Upper half of the id of the trace; 0 if that is the process's own. On devices, spans have no trace.
    #[cfg(not(ttlog_device_callsites))]
    pub(crate) trace_high: u64,
    /// Lower half of the id of the trace; if that is the process's own, the id of the outermost span.
    #[cfg(not(ttlog_device_callsites))]
    pub(crate) trace_low: u64,
    /// Lower half: place where the recorder keeps the start of the span, from 1; 0: none. Next byte: flags of the
    /// trace, as received. Bit 40: the trace came from another process. One that began in this process has an id that
    /// follows from that of the outermost span, and is made when it is asked for.
    #[cfg(not(ttlog_device_callsites))]
    pub(crate) rest: u64,
}

#[cfg(not(ttlog_device_callsites))]
const FLAGS_SHIFT: u32 = 32;
#[cfg(not(ttlog_device_callsites))]
const IS_FOREIGN: u64 = 1 << 40;

/// The id of a span in records; 0: none. Devices have few spans, and u32 is what they compute with.
#[cfg(not(ttlog_device_callsites))]
pub(crate) type SpanNumber = u64;
/// The id of a span in records; 0: none.
#[cfg(ttlog_device_callsites)]
pub(crate) type SpanNumber = u32;

impl SpanContext {
    /// No span.
    pub const NONE: SpanContext = SpanContext {
        id: 0,
        #[cfg(not(ttlog_device_callsites))]
        trace_high: 0,
        #[cfg(not(ttlog_device_callsites))]
        trace_low: 0,
        #[cfg(not(ttlog_device_callsites))]
        rest: 0,
    };

    /// Returns whether there is no span.
    #[inline(always)]
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.id == 0
    }

    /// Returns the id of the span in its recording; 0: none.
    #[inline(always)]
    #[must_use]
    #[allow(clippy::unnecessary_cast, reason = "devices have shorter ids")]
    pub const fn id(&self) -> u64 {
        self.id as u64
    }
}

#[cfg(not(ttlog_device_callsites))]
impl SpanContext {
    /// Creates the context of a span without a parent, whose trace begins with it. For recorders.
    #[inline(always)]
    #[must_use]
    pub const fn outermost(id: u64) -> Self {
        SpanContext { id, trace_high: 0, trace_low: id, rest: 0 }
    }

    /// Creates the context of a span in the trace of this one. For recorders.
    #[inline(always)]
    #[must_use]
    pub const fn child(&self, id: u64) -> Self {
        if self.id == 0 {
            return SpanContext::outermost(id);
        }
        SpanContext { id, rest: self.rest & !0xFFFF_FFFF, ..*self }
    }

    /// Returns the same span, whose start is kept at this place, from 1. For recorders.
    #[inline(always)]
    #[must_use]
    pub const fn kept_at(self, place: u32) -> Self {
        SpanContext { rest: self.rest & !0xFFFF_FFFF | place as u64, ..self }
    }

    /// Returns the place where the start of the span is kept; 0: none. For recorders.
    #[inline(always)]
    #[must_use]
    pub const fn place(&self) -> u32 {
        self.rest as u32
    }

    /// Creates the context of a span in a trace of another process.
    pub(crate) const fn of_foreign(id: u64, trace: u128, flags: u8) -> Self {
        let rest = (flags as u64) << FLAGS_SHIFT | IS_FOREIGN;
        SpanContext { id, trace_high: (trace >> 64) as u64, trace_low: trace as u64, rest }
    }

    /// Returns the id of the trace and its flags; `None` if the trace began in this process.
    pub(crate) const fn foreign_trace(&self) -> Option<(u128, u8)> {
        if self.rest & IS_FOREIGN == 0 {
            return None;
        }
        Some(((self.trace_high as u128) << 64 | self.trace_low as u128, (self.rest >> FLAGS_SHIFT) as u8))
    }
}
