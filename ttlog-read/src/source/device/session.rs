//! One session of a device: the data about its firmware, and the snapshot that is made of it.

use std::collections::BTreeMap;
use std::path::Path;

#[cfg(feature = "defmt")]
use ttlog_core::Record;
use ttlog_core::ring::{BUILD_ID_LEN, Mode, RingImage, SegmentState, Session};
use ttlog_core::snapshot::{
    Codec, SessionImage, Sink, SnapshotMeta, SnapshotOptions, SnapshotStats, WriteError, session_scratch_len,
    write_session,
};
use ttlog_core::table::{ProcessInfo, encode_process};

#[cfg(feature = "defmt")]
use super::defmt::Frames;
use super::firmware::{Firmware, VecSink};

/// Room for a process item.
const PROCESS_ROOM_LEN: usize = 1024;

/// A session, with the data about its firmware.
#[derive(Debug)]
pub struct SessionRecording {
    session: Session,
    service: String,
    /// Complete build id, if known.
    build_id: Vec<u8>,
    callsites: Vec<Vec<u8>>,
    /// Replacement of defmt frames.
    #[cfg(feature = "defmt")]
    frames: Option<Frames>,
}

impl SessionRecording {
    #[cfg_attr(not(feature = "defmt"), allow(unused_variables))]
    pub(super) fn new(image: &RingImage<'_>, session: Session, firmware: Option<&Firmware>) -> Self {
        let len = session.build_id.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let mut known = SessionRecording {
            session,
            service: String::new(),
            build_id: session.build_id[..len].to_vec(),
            callsites: Vec::new(),
            #[cfg(feature = "defmt")]
            frames: None,
        };
        if let Some(firmware) = firmware {
            let stem = Path::new(&firmware.path).file_stem().unwrap_or_default();
            known.service = stem.to_string_lossy().into_owned();
            known.build_id.clone_from(&firmware.build_id);
            known.callsites.clone_from(&firmware.callsites);
            #[cfg(feature = "defmt")]
            {
                known.frames = firmware
                    .defmt
                    .as_ref()
                    .and_then(|defmt| Frames::of_session(image, session.boot, defmt, &firmware.callsites));
                known.callsites.extend(known.frames.iter().flat_map(|frames| frames.callsites.iter().cloned()));
            }
        }
        known
    }

    /// Returns the number of the session.
    #[must_use]
    pub fn boot(&self) -> u32 {
        self.session.boot
    }

    /// Returns the name of the firmware; empty: unknown.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Returns whether its events have names.
    pub(super) fn has_names(&self) -> bool {
        !self.callsites.is_empty()
    }

    /// Returns whether records are replaced by their decoded form.
    fn replaces(&self) -> bool {
        #[cfg(feature = "defmt")]
        return self.frames.is_some();
        #[cfg(not(feature = "defmt"))]
        return false;
    }

    /// Calls `write` with the ring, the session, and the replacement of its records.
    fn with_image<T>(&self, image: &RingImage<'_>, write: impl FnOnce(&SessionImage<'_, '_>) -> T) -> T {
        let session = &self.session;
        #[cfg(feature = "defmt")]
        if let Some(frames) = &self.frames {
            let replace = |record: &Record<'_>, room: &mut [u8]| frames.replace(record, room);
            return write(&SessionImage { image, session, replace: Some(&replace) });
        }
        write(&SessionImage { image, session, replace: None })
    }

    fn process(&self) -> ProcessInfo<'_> {
        ProcessInfo {
            service: &self.service,
            build_id: &self.build_id,
            ticks_per_second: self.session.ticks_per_second.into(),
            ..ProcessInfo::default()
        }
    }

    /// Encodes the process item, leaving out names that are too long for it.
    fn process_item(&self) -> Vec<u8> {
        let mut room = [0; PROCESS_ROOM_LEN];
        let process = self.process();
        let len = encode_process(&process, &mut room)
            .or_else(|| encode_process(&ProcessInfo { service: "", ..process }, &mut room))
            .unwrap_or(0);
        room[..len].to_vec()
    }

    /// Creates a complete snapshot, to be read by this program.
    pub(super) fn snapshot(&self, image: &RingImage<'_>, reason: &str) -> Vec<u8> {
        let mut sink = VecSink::default();
        let meta = SnapshotMeta { reason, created_unix_ns: 0, ticks: 0 };
        let mut scratch = vec![0; self.scratch_len(image, &Codec::None.into())];
        // The sink cannot fail, and the scratch buffer is long enough.
        let _ = self.write(image, &meta, Codec::None.into(), &mut scratch, &mut sink);
        sink.0
    }

    /// Returns the number of scratch bytes that [`write`](Self::write) needs.
    #[must_use]
    pub fn scratch_len(&self, image: &RingImage<'_>, options: &SnapshotOptions<'_>) -> usize {
        session_scratch_len(options, image.header().segment_len as usize, self.replaces())
    }

    /// Writes a snapshot of the session to a sink. `image` is the ring that contains it.
    ///
    /// # Errors
    /// Errors of the sink, and an error if `scratch` is too short.
    pub fn write<S: Sink>(
        &self,
        image: &RingImage<'_>,
        meta: &SnapshotMeta<'_>,
        options: SnapshotOptions<'_>,
        scratch: &mut [u8],
        sink: &mut S,
    ) -> Result<SnapshotStats, WriteError<S::Error>> {
        let process = self.process_item();
        let entries = std::iter::once(process.as_slice()).chain(self.callsites.iter().map(Vec::as_slice));
        self.with_image(image, |recording| write_session(recording, entries, meta, options, scratch, sink))
    }
}

/// Returns the sessions in the order of their numbers: those in the ring's header, and those of which only segments
/// exist.
pub(super) fn sessions_of(image: &RingImage<'_>) -> Vec<Session> {
    let mut sessions: BTreeMap<u32, Session> = image.sessions().map(|session| (session.boot, session)).collect();
    let mut tags: BTreeMap<u32, u32> = BTreeMap::new();
    for index in 0..image.present_segments() {
        let SegmentState::Valid(segment) = image.segment(index) else { continue };
        let header = segment.header;
        if header.mode == Mode::Device {
            // A segment that was being opened at the reset can lack a tag.
            let tag = tags.entry(header.context).or_default();
            *tag = if *tag == 0 { header.done } else { *tag };
        }
    }
    for (boot, tag) in tags {
        // For older sessions only the first bytes of the build id are known.
        let mut build_id = [0; BUILD_ID_LEN];
        build_id[..4].copy_from_slice(&tag.to_le_bytes());
        let same_build = sessions.values().find(|session| session.build_id[..4] == build_id[..4]).copied();
        sessions.entry(boot).or_insert_with(|| {
            // The same build has the same clock.
            let like = same_build.unwrap_or(Session { build_id, ..Session::default() });
            Session { boot, reset_reason: 0, first_sequence: 0, ..like }
        });
    }
    sessions.into_values().collect()
}
