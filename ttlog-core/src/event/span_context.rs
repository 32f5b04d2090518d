//! A span as its children see it: its id, and the trace that it belongs to.

/// Identity of a span: what its children, other threads and other processes need of it. Can be copied and sent.
///
/// [`NONE`](SpanContext::NONE) stands for no span: there is none, or it is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    pub(crate) id: SpanNumber,
    /// The trace. On devices, spans have none.
    #[cfg(not(ttlog_device_callsites))]
    pub(crate) trace: TraceOf,
}

/// The id of a span in records; 0: none. Devices have few spans, and u32 is what they compute with.
#[cfg(not(ttlog_device_callsites))]
pub(crate) type SpanNumber = u64;
/// The id of a span in records; 0: none.
#[cfg(ttlog_device_callsites)]
pub(crate) type SpanNumber = u32;

/// The trace of a span.
#[cfg(not(ttlog_device_callsites))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceOf {
    /// Upper half of the trace id; 0 if `is_own`.
    pub(crate) high: u64,
    /// Lower half of the trace id; if `is_own`, the id of the outermost span.
    pub(crate) low: u64,
    /// Flags of the trace, as received.
    pub(crate) flags: u8,
    /// Whether the trace began in this process: its id follows from that of the outermost span, and is made when it is
    /// asked for.
    pub(crate) is_own: bool,
}

impl SpanContext {
    /// No span.
    pub const NONE: SpanContext = SpanContext {
        id: 0,
        #[cfg(not(ttlog_device_callsites))]
        trace: TraceOf { high: 0, low: 0, flags: 0, is_own: true },
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
        SpanContext { id, trace: TraceOf { high: 0, low: id, flags: 0, is_own: true } }
    }

    /// Creates the context of a span in the trace of this one. For recorders.
    #[inline(always)]
    #[must_use]
    pub const fn child(&self, id: u64) -> Self {
        if self.id == 0 { SpanContext::outermost(id) } else { SpanContext { id, trace: self.trace } }
    }
}
