//! Sessions of a device: a snapshot in memory for each, so that everything that works on snapshots works on them.
//!
//! For each session, a ring records which build of the firmware was running; names come from this build only. If the
//! firmware of a session was not given, the session is shown without names, and a remark is added.

use ttlog_core::record::encode_header;
use ttlog_core::ring::{RingImage, SEGMENT_HEADER_LEN, SegmentState, Session};

use super::firmware::{Firmware, build_id_text};
use super::load::Firmwares;
use super::memory::{Memory, RingCopy, find_rings};
use super::receiver::Dump;
use super::session::{SessionRecording, sessions_of};
use crate::source::file::Bytes;
use crate::source::input::{Damage, Input};
use crate::text::escape::escaped;

/// Most places of damage that are listed.
const DAMAGE_MAX: usize = 64;

/// The sessions of rings, as snapshots.
#[derive(Debug, Default)]
pub struct Recordings {
    /// A snapshot for each session.
    pub inputs: Vec<Input>,
    /// Remarks, one line each.
    pub complaints: Vec<String>,
    /// Addresses of the rings in memory.
    pub rings_at: Vec<u64>,
    /// Whether there is no ring, and all memory that was read is zero.
    pub only_zeros: bool,
    /// Usable share of the recording; `None`: unknown.
    usability: Option<Usability>,
    /// The rings of devices.
    rings: Vec<RingSessions>,
}

/// Usable share of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Usability {
    /// All of it.
    #[default]
    Whole,
    /// Some of it is missing, damaged or without names.
    Partial,
    /// Nothing: no session is of a firmware that was given.
    Useless,
}

/// A ring with its sessions.
#[derive(Debug)]
struct RingSessions {
    ring: RingCopy,
    sessions: Vec<SessionRecording>,
}

impl Recordings {
    /// Finds the rings in a memory: at `places` (address and length, 0: unknown), or otherwise anywhere.
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
                    let why = if found.only_zeros { "no ring: all bytes read are zero" } else { "no ring in it" };
                    recordings.complain(name, &why);
                }
            }
            Err(error) => recordings.complain(name, &error),
        }
        recordings
    }

    /// Reads the sessions of a dump.
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

    /// Reads the sessions of a ring.
    #[must_use]
    pub fn of_ring(name: &str, bytes: Vec<u8>, firmwares: &Firmwares) -> Self {
        let mut recordings = Recordings::default();
        let ring = RingCopy { address: 0, bytes, changed_segments: 0 };
        recordings.add_ring(name, &ring, firmwares, None, Vec::new(), "image");
        recordings
    }

    /// Adds a remark.
    pub fn complain(&mut self, name: &str, line: &dyn std::fmt::Display) {
        self.complaints.push(format!("{}: {line}", escaped(name)));
        self.usability = self.usability.max(Some(Usability::Partial));
    }

    /// Makes snapshots of the sessions of a ring. `own` is the data about its latest firmware that came with it.
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
            // The ring of a process is self-contained.
            let bytes = Bytes { changed_segments: ring.changed_segments, ..Bytes::from(ring.bytes.clone()) };
            self.inputs.push(Input::one(name.to_owned(), bytes, damage));
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
            known.push(SessionRecording::new(&image, session, firmware));
        }
        let latest = image.latest_boot();
        for known in &known {
            let boot = known.boot();
            let bytes = known.snapshot(&image, reason);
            // Counts that belong to no session are reported with the latest one.
            let changed_segments = if boot == latest { ring.changed_segments } else { 0 };
            let damage = if boot == latest { std::mem::take(&mut damage) } else { Vec::new() };
            let bytes = Bytes { changed_segments, ..Bytes::from(bytes) };
            self.inputs.push(Input::one(format!("{name} (boot {boot})"), bytes, damage));
        }
        self.rings.push(RingSessions { ring: ring.clone(), sessions: known });
    }

    /// Finds the firmware of a session, and adds a remark if there is none.
    fn firmware_of<'f>(
        &mut self,
        name: &str,
        session: &Session,
        firmwares: &'f Firmwares,
        has_records: bool,
    ) -> Option<&'f Firmware> {
        if let Some(firmware) = firmwares.of_session(session) {
            self.usability = self.usability.max(Some(Usability::Whole));
            return Some(firmware);
        }
        let has_build_id = session.build_id.iter().any(|&byte| byte != 0);
        let nameless = firmwares.known.iter().filter(|firmware| firmware.build_id.is_empty());
        if let (false, Some(only), 1) = (has_build_id, nameless.clone().next(), nameless.count()) {
            let path = escaped(&only.path);
            self.complain(
                name,
                &format_args!("boot {}: assumed to be of {path}; neither has a build id to verify this", session.boot),
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

    /// Returns the usable share. If a firmware was named but matches nothing, the result is `Useless`.
    #[must_use]
    pub fn usability(&self, firmware_was_named: bool) -> Usability {
        let mut sessions = self.rings.iter().flat_map(|ring| &ring.sessions).peekable();
        let is_wrong = firmware_was_named && sessions.peek().is_some() && sessions.all(|session| !session.has_names());
        if is_wrong { Usability::Useless } else { self.usability.unwrap_or_default() }
    }

    /// Calls `visit` with each session and the ring that contains it.
    pub fn for_each_session(&self, mut visit: impl FnMut(&RingImage<'_>, &SessionRecording)) {
        for ring in &self.rings {
            let Ok(image) = RingImage::parse(&ring.ring.bytes) else { continue }; // it was parsed before
            for session in &ring.sessions {
                visit(&image, session);
            }
        }
    }
}

/// Overwrites missing records with words that are not records, so that they count as damaged: zeros would be records
/// that were being written.
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
                // The check of a record without payload, with one bit flipped.
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

fn has_records(image: &RingImage<'_>, boot: u32) -> bool {
    (0..image.present_segments()).any(|index| match image.segment(index) {
        SegmentState::Valid(segment) => segment.header.context == boot && segment.header.offset_words > 0,
        _ => false,
    })
}

/// Finds the segments whose header cannot be read.
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
