//! Sessions of a device: a snapshot in memory for each, so that all that can be done with snapshots can be done with them.
//!
//! A ring tells of each session which build of the firmware recorded; names are those of this build only. A session whose firmware is not among
//! those that were named is shown without names, and said to be.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
#[cfg(feature = "defmt")]
use ttlog_core::Record;
use ttlog_core::record::encode_header;
use ttlog_core::ring::{BUILD_ID_LEN, Mode, RingImage, SEGMENT_HEADER_LEN, SegmentState, Session};
use ttlog_core::snapshot::{Codec, SessionImage, SnapshotMeta, SnapshotOptions, session_scratch_len, write_session};
use ttlog_core::table::{ProcessInfo, encode_process};

use crate::command::cli::DeviceArgs;
use crate::command::show::{Seen, show};
use crate::event::secrets::Secrets;
use crate::source::device::firmware::{Firmware, Firmwares, VecSink, build_id_text};
use crate::source::device::memory::{Memory, RingCopy, find_rings};
use crate::source::device::receiver::Dump;
use crate::source::{Bytes, Damage, Input, Inputs};
use crate::terminal::{Outcome, complain};
use crate::text::escape::escaped;
use crate::write::snapshot_file;

/// Most places of damage that are listed.
const DAMAGE_MAX: usize = 64;
/// Room for a process item.
const PROCESS_ROOM_LEN: usize = 1024;

/// The sessions of rings, as snapshots.
#[derive(Debug, Default)]
pub struct Recordings {
    /// A snapshot for each session.
    pub inputs: Vec<Input>,
    /// What is to be said, a line each.
    pub complaints: Vec<String>,
    /// Where the rings are in memory.
    pub rings_at: Vec<u64>,
    /// Whether there is no ring, and all that was read of the memory is zero.
    pub only_zeros: bool,
    /// How good it is.
    outcome: Option<Outcome>,
    /// The rings, and what is to be written of them where they are to be kept.
    kept: Vec<Kept>,
}

/// A ring with the sessions in it.
#[derive(Debug)]
struct Kept {
    ring: RingCopy,
    sessions: Vec<Known>,
}

/// A session, and what is known of its firmware.
#[derive(Debug)]
struct Known {
    session: Session,
    service: String,
    /// The whole build id, where that is known.
    build_id: Vec<u8>,
    callsites: Vec<Vec<u8>>,
    /// What becomes of frames of defmt.
    #[cfg(feature = "defmt")]
    frames: Option<crate::source::device::defmt::Frames>,
}

impl Recordings {
    /// Finds the rings in a memory: at `places` (address and length, 0: unknown), else wherever they are.
    #[must_use]
    pub fn of_memory(
        name: &str,
        memory: &mut dyn Memory,
        places: &[(u64, u64)],
        firmwares: &Firmwares,
        reason: &str,
    ) -> Self {
        let mut recordings = Recordings::default();
        match find_rings(memory, places) {
            Ok(found) => {
                recordings.rings_at = found.rings.iter().map(|ring| ring.address).collect();
                recordings.only_zeros = found.only_zeros;
                for line in &found.remarks {
                    recordings.complain(name, line);
                }
                for ring in &found.rings {
                    let name =
                        if found.rings.len() > 1 { format!("{name}@{:#010x}", ring.address) } else { name.to_owned() };
                    recordings.add_ring(&name, ring, firmwares, None, Vec::new(), reason);
                }
                if found.rings.is_empty() {
                    let why = if found.only_zeros { "no ring: all that was read is zero" } else { "no ring in it" };
                    recordings.complain(name, &why);
                }
            }
            Err(error) => recordings.complain(name, &error),
        }
        recordings
    }

    /// Takes a dump.
    #[must_use]
    pub fn of_dump(name: &str, dump: &Dump, firmwares: &Firmwares) -> Self {
        let mut recordings = Recordings::default();
        let own = dump.begin.map(|begin| Firmware {
            build_id: begin.build_id.to_vec(),
            callsites: dump.callsites.clone(),
            ..Firmware::default()
        });
        let own = own.filter(|own| !own.callsites.is_empty());
        let missing = dump.missing.iter().map(|&(offset, len)| Damage {
            offset: offset as u64,
            len_bytes: len as u64,
            reason: "did not come".to_owned(),
        });
        let missing = missing.collect();
        let mut ring = dump.ring.clone();
        mark_missing(&mut ring.bytes, &dump.missing);
        recordings.add_ring(name, &ring, firmwares, own.as_ref(), missing, "dump");
        recordings
    }

    /// Takes a ring that is in a file, at its start.
    #[must_use]
    pub fn of_ring(name: &str, bytes: Vec<u8>, firmwares: &Firmwares) -> Self {
        let mut recordings = Recordings::default();
        let ring = RingCopy { address: 0, bytes, changed_segments: 0 };
        recordings.add_ring(name, &ring, firmwares, None, Vec::new(), "image");
        recordings
    }

    /// Takes note of something that is to be said.
    pub(crate) fn complain(&mut self, name: &str, line: &dyn std::fmt::Display) {
        self.complaints.push(format!("{}: {line}", escaped(name)));
        self.outcome = self.outcome.max(Some(Outcome::Partial));
    }

    /// Makes snapshots of the sessions of a ring. `own` is what it says of its latest firmware itself.
    fn add_ring(
        &mut self,
        name: &str,
        ring: &RingCopy,
        firmwares: &Firmwares,
        own: Option<&Firmware>,
        mut damage: Vec<Damage>,
        reason: &str,
    ) {
        let image = match RingImage::parse(&ring.bytes) {
            Ok(image) => image,
            Err(error) => {
                self.complain(name, &format_args!("the ring's header: {error}"));
                return;
            }
        };
        if !image.header().is_device() {
            // The ring of a process has all that is needed in it.
            let bytes = Bytes { changed_segments: ring.changed_segments, ..Bytes::from(ring.bytes.clone()) };
            self.inputs.push(Input { damage, ..Input::new(name.to_owned(), bytes) });
            return;
        }
        damage.extend(damaged_segments(&image));
        let more = damage.len().saturating_sub(DAMAGE_MAX);
        damage.truncate(DAMAGE_MAX);
        if more > 0 {
            damage.push(Damage { offset: 0, len_bytes: 0, reason: format!("and {more} more places") });
        }
        let sessions = sessions_of(&image);
        if sessions.is_empty() {
            self.complain(name, &"the ring holds no session: nothing was recorded in it");
        }
        let mut known = Vec::new();
        for session in sessions {
            let events = has_records(&image, session.boot);
            let firmware = own.filter(|own| own.short_build_id() == session.build_id);
            let firmware = firmware.or_else(|| self.firmware_of(name, &session, firmwares, events));
            known.push(Known::new(&image, session, firmware));
        }
        let latest = image.latest_boot();
        for known in &known {
            let boot = known.session.boot;
            let bytes = known.snapshot(&image, reason);
            // What is of no session is told with the latest.
            let changed_segments = if boot == latest { ring.changed_segments } else { 0 };
            let damage = if boot == latest { std::mem::take(&mut damage) } else { Vec::new() };
            let bytes = Bytes { changed_segments, ..Bytes::from(bytes) };
            self.inputs.push(Input { damage, ..Input::new(format!("{name} (boot {boot})"), bytes) });
        }
        self.kept.push(Kept { ring: ring.clone(), sessions: known });
    }

    /// Finds the firmware of a session, and says so if there is none.
    fn firmware_of<'f>(
        &mut self,
        name: &str,
        session: &Session,
        firmwares: &'f Firmwares,
        has_records: bool,
    ) -> Option<&'f Firmware> {
        if let Some(firmware) = firmwares.of_session(session) {
            self.outcome = self.outcome.max(Some(Outcome::Good));
            return Some(firmware);
        }
        let has_build_id = session.build_id.iter().any(|&byte| byte != 0);
        let nameless = firmwares.known.iter().filter(|firmware| firmware.build_id.is_empty());
        if let (false, Some(only), 1) = (has_build_id, nameless.clone().next(), nameless.count()) {
            let path = escaped(&only.path);
            self.complain(
                name,
                &format_args!("boot {}: taken to be of {path}; neither has a build id, so nobody knows", session.boot),
            );
            return Some(only);
        }
        if has_records {
            let id = build_id_text(&session.build_id);
            let given: Vec<_> = firmwares
                .known
                .iter()
                .map(|one| format!("{} of {}", build_id_text(&one.build_id), escaped(&one.path)))
                .collect();
            let boot = session.boot;
            if given.is_empty() {
                self.complain(
                    name,
                    &format_args!("boot {boot}: its events have no names without --elf, of build {id}"),
                );
            } else {
                self.complain(
                    name,
                    &format_args!(
                        "boot {boot}: its events have no names: the firmware is build {id}, and given is {}",
                        given.join(", ")
                    ),
                );
            }
        }
        None
    }

    /// Tells how good it is. Where a firmware was named, and nothing is of it, it is of no use.
    #[must_use]
    pub fn outcome(&self, firmware_was_named: bool) -> Outcome {
        let mut sessions = self.kept.iter().flat_map(|kept| &kept.sessions).peekable();
        let is_wrong =
            firmware_was_named && sessions.peek().is_some() && sessions.all(|known| known.callsites.is_empty());
        if is_wrong { Outcome::Failed } else { self.outcome.unwrap_or(Outcome::Good) }
    }

    /// Shows the events, and keeps the sessions where that is asked for.
    ///
    /// # Errors
    /// Those of writing to `out`.
    pub fn show(self, options: &DeviceArgs, seen: Option<&mut Seen>, out: &mut dyn Write) -> io::Result<Outcome> {
        for line in &self.complaints {
            complain(line);
        }
        let mut outcome = self.outcome(!options.show.firmware.is_empty());
        if let Some(directory) = &options.save {
            outcome = outcome.max(self.save(directory, &Secrets::new(&options.show.secrets), out)?);
        }
        if self.inputs.is_empty() {
            return Ok(Outcome::Failed);
        }
        let inputs = Inputs { read: self.inputs, errors: Vec::new() };
        Ok(outcome.max(show(inputs, &options.show, seen, out)?))
    }

    /// Writes each session to a file of its own.
    fn save(&self, directory: &Path, secrets: &Secrets, out: &mut dyn Write) -> io::Result<Outcome> {
        let mut outcome = Outcome::Good;
        for kept in &self.kept {
            let Ok(image) = RingImage::parse(&kept.ring.bytes) else { continue }; // it was read before
            for known in &kept.sessions {
                match known.save(&image, directory, secrets) {
                    Ok(written) => complain(&format!("saved {}", escaped(&written.path.to_string_lossy()))),
                    Err(line) => {
                        complain(&line);
                        outcome = Outcome::Partial;
                    }
                }
            }
        }
        out.flush()?;
        Ok(outcome)
    }
}

impl Known {
    #[cfg_attr(not(feature = "defmt"), allow(unused_variables))]
    fn new(image: &RingImage<'_>, session: Session, firmware: Option<&Firmware>) -> Self {
        let len = session.build_id.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let mut known = Known {
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
                known.frames = crate::source::device::defmt::Frames::of_session(image, session.boot, firmware);
                known.callsites.extend(known.frames.iter().flat_map(|frames| frames.callsites.iter().cloned()));
            }
        }
        known
    }

    /// Gives what else there is to do to the records of the session: `write` is called with it.
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

    /// Encodes the process item; names that are too long for it are left out.
    fn process_item(&self) -> Vec<u8> {
        let mut room = [0; PROCESS_ROOM_LEN];
        let process = self.process();
        let len = encode_process(&process, &mut room)
            .or_else(|| encode_process(&ProcessInfo { service: "", ..process }, &mut room))
            .unwrap_or(0);
        room[..len].to_vec()
    }

    /// Makes a snapshot with everything in it, to be shown by this program.
    fn snapshot(&self, image: &RingImage<'_>, reason: &str) -> Vec<u8> {
        let mut sink = VecSink::default();
        let process = self.process_item();
        let entries = std::iter::once(process.as_slice()).chain(self.callsites.iter().map(Vec::as_slice));
        let meta = SnapshotMeta { reason, created_unix_ns: 0, ticks: 0 };
        self.with_image(image, |recording| {
            let segment_len = image.header().segment_len as usize;
            let mut scratch =
                vec![0; session_scratch_len(&Codec::None.into(), segment_len, recording.replace.is_some())];
            // Neither can the sink fail nor is the scratch too short.
            let _ = write_session(recording, entries, &meta, Codec::None, &mut scratch, &mut sink);
        });
        sink.0
    }

    fn save(
        &self,
        image: &RingImage<'_>,
        directory: &Path,
        secrets: &Secrets,
    ) -> Result<snapshot_file::Written, String> {
        let process = self.process_item();
        let entries = std::iter::once(process.as_slice()).chain(self.callsites.iter().map(Vec::as_slice));
        let service = if self.service.is_empty() { "device" } else { &self.service };
        let segment_len = image.header().segment_len as usize;
        let boot = self.session.boot.into();
        let created_unix_ns = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
        let meta = SnapshotMeta { reason: "device", created_unix_ns, ticks: 0 };
        self.with_image(image, |recording| {
            let replaces = recording.replace.is_some();
            let scratch_len = |options: &SnapshotOptions<'_>| session_scratch_len(options, segment_len, replaces);
            snapshot_file::write_with(
                service,
                boot,
                "device",
                scratch_len,
                secrets,
                directory,
                |options, scratch, sink| write_session(recording, entries, &meta, options, scratch, sink),
            )
        })
    }
}

/// Puts words that are no records where records are missing, so that they count as damaged: zeros would be records that were being written.
fn mark_missing(bytes: &mut [u8], missing: &[(usize, usize)]) {
    let Ok(image) = RingImage::parse(bytes) else { return };
    let header = *image.header();
    let mut marks = Vec::new();
    for &(offset, len) in missing {
        for at in (offset..offset + len).step_by(8) {
            let Some(index) =
                (at as u64).checked_sub(header.segments_offset).map(|at| at / u64::from(header.segment_len))
            else {
                continue;
            };
            let SegmentState::Valid(segment) = image.segment(u32::try_from(index).unwrap_or(u32::MAX)) else {
                continue;
            };
            let start = header.segments_offset + index * u64::from(header.segment_len) + SEGMENT_HEADER_LEN as u64;
            if at as u64 >= start {
                // The check of a record without payload, with a bit of it flipped.
                let word = encode_header(1, 0, 0, segment.header.lap.into()) ^ 1 << 63;
                marks.push((at, word));
            }
        }
    }
    for (at, word) in marks {
        if let Some(place) = bytes.get_mut(at..at + 8) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }
}

/// Gives the sessions in the order of their numbers: those that the ring's header tells of, and those of which there are only segments.
fn sessions_of(image: &RingImage<'_>) -> Vec<Session> {
    let mut sessions: BTreeMap<u32, Session> = image.sessions().map(|session| (session.boot, session)).collect();
    let mut tags: BTreeMap<u32, u32> = BTreeMap::new();
    for index in 0..image.present_segments() {
        let SegmentState::Valid(segment) = image.segment(index) else { continue };
        let header = segment.header;
        if header.mode == Mode::Device {
            // A segment that was being opened when the reset came may have none yet.
            let tag = tags.entry(header.context).or_default();
            *tag = if *tag == 0 { header.done } else { *tag };
        }
    }
    for (boot, tag) in tags {
        // Of older ones only the first bytes of the build id are known.
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

fn has_records(image: &RingImage<'_>, boot: u32) -> bool {
    (0..image.present_segments()).any(|index| match image.segment(index) {
        SegmentState::Valid(segment) => segment.header.context == boot && segment.header.offset_words > 0,
        _ => false,
    })
}

/// Finds the segments of which not even the header can be read.
fn damaged_segments(image: &RingImage<'_>) -> Vec<Damage> {
    let segment_len = image.header().segment_len;
    let damaged = (0..image.present_segments()).filter_map(|index| match image.segment(index) {
        SegmentState::Damaged(error) => Some(Damage {
            offset: error.offset,
            len_bytes: segment_len.into(),
            reason: format!("segment {index}: header: {}", error.kind),
        }),
        _ => None,
    });
    let missing = (image.missing_bytes() > 0).then(|| Damage {
        offset: image.header().region_len() - image.missing_bytes(),
        len_bytes: image.missing_bytes(),
        reason: "cut off: memory ends before the ring does".to_owned(),
    });
    damaged.chain(missing).collect()
}
