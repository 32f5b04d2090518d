//! Records of defmt in a ring: frames of bytes that can be decoded only with the ELF file of their firmware.
//!
//! TTLog's logger for defmt records each frame as an event of a callsite with the target `defmt` and the message
//! `defmt frame`, whose only field is the frame. In the snapshot that is made of the session, each frame becomes an
//! event with level, module, place and text. So everything else handles it like any other event, and what is saved can
//! be read without the ELF file. Frames that cannot be decoded stay unchanged.
//!
//! The bytes are hostile, and the library that decodes them trusts lengths in them. So each frame is first walked
//! through: values nested too deeply, or too many values, are refused. If the library still panics, the panic is
//! caught.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};

use defmt_decoder::{Locations, Table};
use defmt_parser::{Fragment, Parameter, ParserMode, Type};
use object::Object;
use ttlog_core::record::packed::{Unpacker, encode_text};
use ttlog_core::ring::{RingImage, SegmentState};
use ttlog_core::table::{EntryStart, TableItem, TextCallsite, encode_text_callsite};
use ttlog_core::{Item, Level, Record};

/// Target and message of the callsite whose events are frames.
const FRAME_CALLSITE: (&str, &str) = ("defmt", "defmt frame");
/// The field that holds the text of a message.
const TEXT_FIELD: &str = "text";
/// Deepest nesting of values that is accepted.
const DEPTH_MAX: u32 = 32;
/// Most values in a frame; elements of sequences can take no bytes.
const VALUES_MAX: u32 = 4096;
/// Longest text of a message.
const TEXT_LEN_MAX: usize = 1000;
/// Room for all records of a segment in a snapshot, with a margin.
const SEGMENT_ROOM: usize = 65_000;
/// Bytes of a record in addition to its text.
const RECORD_OVERHEAD: usize = 32;
/// Room for a callsite item.
const ITEM_ROOM_LEN: usize = 96 << 10;

/// Decoder for the frames of a firmware.
pub struct Defmt {
    table: Table,
    locations: Locations,
    /// Format strings by index, with their callsites.
    formats: HashMap<usize, Format>,
    timestamp: Option<String>,
}

struct Format {
    text: String,
    crate_name: String,
}

/// A decoded frame.
#[derive(Debug)]
struct Message {
    index: u64,
    level: Level,
    text: String,
    /// Whether all messages of this index have this text.
    is_constant: bool,
}

impl Defmt {
    /// Reads the defmt data of an ELF file. Returns `None` if the firmware does not use defmt.
    ///
    /// # Errors
    /// A description of what is wrong with the data.
    pub fn read(elf: &[u8]) -> Result<Option<Self>, String> {
        // Without defmt's linker script a firmware does not log with it, although it can contain the library and its
        // symbols.
        let has_section = object::File::parse(elf).is_ok_and(|file| file.section_by_name(".defmt").is_some());
        if !has_section {
            return Ok(None);
        }
        let read = quietly(|| {
            let Some(table) = Table::parse(elf).map_err(|error| error.to_string())? else { return Ok(None) };
            // Without debug information there are no source locations.
            let locations = table.get_locations(elf).unwrap_or_default();
            Ok(Some((table, locations)))
        });
        let read = read.unwrap_or_else(|| Err("the symbols of defmt are invalid".to_owned()))?;
        let Some((table, locations)) = read else { return Ok(None) };
        let entries = serde_json::to_value(&table).map_err(|error| error.to_string())?;
        let text_of = |entry: &serde_json::Value| entry["string"]["string"].as_str().map(str::to_owned);
        let mut formats = HashMap::new();
        for (index, entry) in entries["entries"].as_object().into_iter().flatten() {
            let (Ok(index), Some(text)) = (index.parse(), text_of(entry)) else { continue };
            let symbol = entry["raw_symbol"].as_str().unwrap_or_default();
            let symbol: serde_json::Value = serde_json::from_str(symbol).unwrap_or_default();
            let crate_name = symbol["crate_name"].as_str().or(symbol["package"].as_str()).unwrap_or("defmt").to_owned();
            formats.insert(index, Format { text, crate_name });
        }
        let timestamp = text_of(&entries["timestamp"]);
        Ok(Some(Defmt { table, locations, formats, timestamp }))
    }

    /// Decodes a frame.
    fn decode(&self, frame: &[u8]) -> Option<Message> {
        let mut walk = Walk { formats: &self.formats, rest: frame, values: VALUES_MAX };
        let index = usize::from(walk.half()?);
        if let Some(timestamp) = &self.timestamp {
            walk.format(timestamp, DEPTH_MAX)?;
        }
        let values_before = walk.values;
        walk.format(&self.formats.get(&index)?.text, DEPTH_MAX)?;
        if !walk.rest.is_empty() {
            return None;
        }
        let is_constant = walk.values == values_before;
        quietly(|| {
            let (decoded, _) = self.table.decode(frame).ok()?;
            let level = match decoded.level() {
                Some(defmt_parser::Level::Trace) => Level::Trace,
                Some(defmt_parser::Level::Debug) => Level::Debug,
                Some(defmt_parser::Level::Warn) => Level::Warn,
                Some(defmt_parser::Level::Error) => Level::Error,
                // `println!` has no level.
                Some(defmt_parser::Level::Info) | None => Level::Info,
            };
            let text = decoded.display_message().to_string();
            Some(Message { index: decoded.index(), level, text, is_constant })
        })
        .flatten()
    }

    /// Encodes the callsite for the messages of an index.
    fn callsite(&self, id: u16, message: &Message) -> Option<Vec<u8>> {
        let location = self.locations.get(&message.index);
        let format = usize::try_from(message.index).ok().and_then(|index| self.formats.get(&index));
        let file = location.map(|location| location.file.to_string_lossy().into_owned()).unwrap_or_default();
        let target = match location {
            Some(location) if !location.module.is_empty() => location.module.as_str(),
            _ => format.map_or("defmt", |format| format.crate_name.as_str()),
        };
        let text = if message.is_constant {
            message.text.replace('{', "{{").replace('}', "}}")
        } else {
            format!("{{{TEXT_FIELD}}}")
        };
        let callsite = TextCallsite {
            id,
            level: message.level,
            target,
            message: &text,
            file: &file,
            line: location.and_then(|location| u32::try_from(location.line).ok()).unwrap_or(0),
            field: (!message.is_constant).then_some(TEXT_FIELD),
        };
        let mut room = vec![0; ITEM_ROOM_LEN];
        let len = encode_text_callsite(&callsite, &mut room)?;
        room.truncate(len);
        Some(room)
    }
}

impl fmt::Debug for Defmt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Defmt").field("formats", &self.formats.len()).finish_non_exhaustive()
    }
}

/// Replacement of the frames of a session.
#[derive(Debug)]
pub struct Frames {
    defmt: Arc<Defmt>,
    /// Callsites whose events are frames.
    frame_ids: HashSet<u16>,
    /// Replacement callsite of each index.
    ids: HashMap<u64, u16>,
    /// Items of the replacement callsites.
    pub callsites: Vec<Vec<u8>>,
    /// Longest text that fits.
    text_len_max: usize,
}

impl Frames {
    /// Examines all frames of a session of a firmware with these callsite items. Returns `None` if none can be
    /// decoded.
    #[must_use]
    pub fn of_session(image: &RingImage<'_>, boot: u32, defmt: &Arc<Defmt>, callsites: &[Vec<u8>]) -> Option<Self> {
        let defmt = defmt.clone();
        let frame_ids: HashSet<u16> = callsites.iter().filter_map(|item| frame_callsite(item)).collect();
        if frame_ids.is_empty() {
            return None;
        }
        let used = callsites.iter().filter_map(|item| match EntryStart::decode(item) {
            EntryStart::Callsite(id) => u16::try_from(id).ok(),
            _ => None,
        });
        let used: HashSet<u16> = used.collect();
        let mut free = (1..=ttlog_core::record::CALLSITE_MAX).rev().filter(|id| !used.contains(id));
        let mut frames =
            Frames { defmt, frame_ids, ids: HashMap::new(), callsites: Vec::new(), text_len_max: TEXT_LEN_MAX };
        // Ordered by index, so that the same frames always result in the same callsites.
        let mut first_of: BTreeMap<u64, Message> = BTreeMap::new();
        for index in 0..image.present_segments() {
            let SegmentState::Valid(segment) = image.segment(index) else { continue };
            if segment.header.context != boot {
                continue;
            }
            let mut count = 0;
            for item in segment.items() {
                let Item::Event(record) = item else { continue };
                count += 1;
                if let Some(message) = frames.message(&record) {
                    first_of.entry(message.index).or_insert(message);
                }
            }
            let room = (SEGMENT_ROOM / count.max(1)).saturating_sub(RECORD_OVERHEAD);
            frames.text_len_max = frames.text_len_max.min(room);
        }
        for (index, message) in &first_of {
            let Some(id) = free.next() else { break };
            if let Some(item) = frames.defmt.callsite(id, message) {
                frames.ids.insert(*index, id);
                frames.callsites.push(item);
            }
        }
        (!frames.ids.is_empty()).then_some(frames)
    }

    fn message(&self, record: &Record<'_>) -> Option<Message> {
        if !self.frame_ids.contains(&record.callsite) {
            return None;
        }
        let mut from = Unpacker::new(record.payload);
        let length = from.length()?;
        // If a frame was cut, it is unknown what is missing.
        if length.full.is_some() {
            return None;
        }
        self.defmt.decode(from.bytes(length.kept)?)
    }

    /// Writes the record that replaces a frame.
    #[must_use]
    pub fn replace(&self, record: &Record<'_>, room: &mut [u8]) -> Option<(u16, usize)> {
        let message = self.message(record)?;
        let id = *self.ids.get(&message.index)?;
        if message.is_constant {
            return Some((id, 0));
        }
        let text = &message.text;
        let mut end = text.len().min(self.text_len_max);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let full_len = (end < text.len()).then_some(u32::try_from(text.len()).unwrap_or(u32::MAX));
        Some((id, encode_text(&text[..end], full_len, room)?))
    }
}

/// Returns the id of a callsite item if its events are frames.
fn frame_callsite(item: &[u8]) -> Option<u16> {
    match TableItem::decode(item) {
        Ok(TableItem::Callsite(info)) if (info.target, info.message) == FRAME_CALLSITE => Some(info.id),
        _ => None,
    }
}

/// A walk through the values of a frame, in the decoder's order but without decoding them.
struct Walk<'w> {
    formats: &'w HashMap<usize, Format>,
    rest: &'w [u8],
    /// Number of values still accepted.
    values: u32,
}

impl<'w> Walk<'w> {
    fn skip(&mut self, len: usize) -> Option<()> {
        self.rest = self.rest.get(len..)?;
        Some(())
    }

    fn half(&mut self) -> Option<u16> {
        let (first, rest) = self.rest.split_first_chunk::<2>()?;
        self.rest = rest;
        Some(u16::from_le_bytes(*first))
    }

    fn word(&mut self) -> Option<usize> {
        let (first, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        usize::try_from(u32::from_le_bytes(*first)).ok()
    }

    fn named_format(&mut self) -> Option<&'w str> {
        let index = usize::from(self.half()?);
        self.formats.get(&index).map(|format| format.text.as_str())
    }

    /// Skips the values of a format string.
    fn format(&mut self, format: &str, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        for parameter in parameters(format)? {
            self.values = self.values.checked_sub(1)?;
            match parameter {
                Type::Bool | Type::I8 | Type::U8 => self.skip(1)?,
                Type::I16 | Type::U16 | Type::IStr => self.skip(2)?,
                Type::I32 | Type::U32 | Type::Isize | Type::Usize | Type::F32 | Type::Char => self.skip(4)?,
                Type::I64 | Type::U64 | Type::F64 => self.skip(8)?,
                Type::I128 | Type::U128 => self.skip(16)?,
                Type::Str | Type::U8Slice => {
                    let len = self.word()?;
                    self.skip(len)?;
                }
                Type::U8Array(len) => self.skip(len)?,
                Type::Debug | Type::Display => {
                    let end = self.rest.iter().position(|&byte| byte == 0xFF)?;
                    self.skip(end + 1)?;
                }
                Type::BitField(range) => {
                    let bytes =
                        usize::from(range.end.checked_sub(1)? / 8).checked_sub(usize::from(range.start / 8))? + 1;
                    self.skip(bytes.next_power_of_two())?;
                }
                Type::Format => {
                    let format = self.named_format()?;
                    self.one(format, depth)?;
                }
                Type::FormatSlice => {
                    let count = self.word()?;
                    self.several(count, depth)?;
                }
                Type::FormatArray(count) => self.several(count, depth)?,
                Type::FormatSequence => loop {
                    let index = usize::from(self.half()?);
                    if index == 0 {
                        break;
                    }
                    let format = self.formats.get(&index)?;
                    self.values = self.values.checked_sub(1)?;
                    self.format(&format.text, depth)?;
                },
            }
        }
        Some(())
    }

    /// Skips a value of a format, which can have variants.
    fn one(&mut self, format: &str, depth: u32) -> Option<()> {
        let variants = format.matches('|').count();
        if variants == 0 {
            return self.format(format, depth);
        }
        // The decoder takes as many bytes as the number of the last variant needs.
        let bytes = if u8::try_from(variants).is_ok() { 1 } else { 2 };
        let (number, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        let number = number.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte));
        self.format(format.split('|').nth(number)?, depth)
    }

    fn several(&mut self, count: usize, depth: u32) -> Option<()> {
        let format = self.named_format()?;
        for _ in 0..count {
            self.values = self.values.checked_sub(1)?;
            self.one(format, depth)?;
        }
        Some(())
    }
}

/// Returns the types of a format's values in the order in which they occur in a frame; bit fields of one value count
/// once.
fn parameters(format: &str) -> Option<Vec<Type>> {
    let fragments = defmt_parser::parse(format, ParserMode::ForwardsCompatible).ok()?;
    let mut by_index: BTreeMap<usize, Type> = BTreeMap::new();
    for fragment in fragments {
        let Fragment::Parameter(Parameter { index, ty, .. }) = fragment else { continue };
        match (by_index.get_mut(&index), ty) {
            (Some(Type::BitField(all)), Type::BitField(more)) => {
                *all = all.start.min(more.start)..all.end.max(more.end);
            }
            (Some(_), _) => {}
            (None, ty) => _ = by_index.insert(index, ty),
        }
    }
    Some(by_index.into_values().collect())
}

thread_local! {
    /// Whether panics of this thread are caught, and must not be printed.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs a function that can panic. Returns `None` if it did.
fn quietly<T>(run: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                hook(info);
            }
        }));
    });
    IS_QUIET.set(true);
    // The borrowed values are not used after a panic, or not changed by the function.
    let result = catch_unwind(AssertUnwindSafe(run));
    IS_QUIET.set(false);
    result.ok()
}
