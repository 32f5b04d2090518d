//! Working memory for snapshots, allocated once, at the start of the recorder: the panic hook must depend on the
//! allocator as little as possible.

use std::fmt;
use std::time::Duration;

use ttlog_core::event::secret::SecretKeys;
use ttlog_core::snapshot::{Codec, SnapshotOptions, Withhold};

use crate::config::settings::Settings;

/// Number of bytes gathered before they are written.
const BUFFER_LEN: usize = 64 * 1024;
/// Bytes of working memory for a snapshot without compression, unless it needs more.
const SPARE_WORK_LEN_MIN: usize = 512;
/// Number of bytes gathered in that case before they are written.
const SPARE_BUFFER_LEN: usize = 8 * 1024;

/// Returns the settings with which this recorder writes its snapshots. The extra names of secrets are never freed, like
/// the recorder.
pub(crate) fn options(settings: &Settings) -> SnapshotOptions<'static> {
    let keys = || -> &'static [&'static str] {
        settings.secret_keys.iter().map(|key| &*key.clone().leak()).collect::<Vec<_>>().leak()
    };
    let withhold = settings.withhold_secrets.then(|| Withhold::new(SecretKeys::with(keys())));
    SnapshotOptions { withhold, ..SnapshotOptions::new(Codec::Lz4) }
}

/// Working memory for one snapshot at a time, and the settings for writing it.
pub(crate) struct Scratch {
    options: SnapshotOptions<'static>,
    /// For the core's encoder.
    work: Box<[u8]>,
    /// Buffer between the encoder and the file.
    buffer: Box<[u8]>,
}

impl Scratch {
    /// Allocates the memory for a ring with segments of `segment_len` bytes.
    pub(crate) fn new(options: SnapshotOptions<'static>, segment_len: usize) -> Self {
        Scratch { options, work: vec![0; options.scratch_len(segment_len)].into(), buffer: vec![0; BUFFER_LEN].into() }
    }

    /// Allocates less memory, for when the other one is in use and cannot be waited for. Snapshots made with it are not
    /// compressed. The memory is not touched, and so not taken from the system, before it is used.
    pub(crate) fn spare(options: SnapshotOptions<'static>, segment_len: usize) -> Self {
        let options = SnapshotOptions { codec: Codec::None, ..options };
        let work_len = options.scratch_len(segment_len).max(SPARE_WORK_LEN_MIN);
        Scratch { options, work: vec![0; work_len].into(), buffer: vec![0; SPARE_BUFFER_LEN].into() }
    }

    /// Creates one without memory, to be replaced before use. Allocates nothing.
    #[cfg(target_os = "linux")]
    pub(crate) fn empty(options: SnapshotOptions<'static>) -> Self {
        Scratch { options, work: Box::default(), buffer: Box::default() }
    }

    /// Lends the memory.
    pub(crate) fn borrow(&mut self) -> BorrowedScratch<'_> {
        BorrowedScratch { options: self.options, work: &mut self.work, buffer: &mut self.buffer }
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").field("work_len", &self.work.len()).finish_non_exhaustive()
    }
}

/// Working memory, whoever owns it.
pub(crate) struct BorrowedScratch<'a> {
    pub(super) options: SnapshotOptions<'static>,
    pub(super) work: &'a mut [u8],
    pub(super) buffer: &'a mut [u8],
}

impl BorrowedScratch<'_> {
    /// Leaves out events older than `age` at `ticks`, except warnings and errors.
    pub(crate) fn leaving_out_before(mut self, ticks: u64, ticks_per_second: u64, age: Duration) -> Self {
        let age_ticks = age.as_nanos().saturating_mul(ticks_per_second.into()) / 1_000_000_000;
        let age_ticks = u64::try_from(age_ticks).unwrap_or(u64::MAX);
        self.options.left_out_before_ticks = ticks.saturating_sub(age_ticks);
        self.options.min_age_ns = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        self
    }
}
