//! The ELF file of a firmware, as far as TTLog uses it: ids and texts of callsites, the build id, the ring's symbol.
//!
//! | section | what it holds |
//! | --- | --- |
//! | `.ttlog.entry` | per callsite id: the id, the address of its text, the types of its run-time fields (docs/format.md §3.3) |
//! | `.ttlog.text` | the texts |
//! | `.ttlog.build_id` | the note with the build id; a section of type note, such as `.note.gnu.build-id`, takes precedence |
//!
//! The bytes are hostile: each address is looked up in the sections, and an invalid entry affects only itself.

use object::read::elf::ElfFile;
use object::{Endianness, Object as _, ObjectSection as _, ObjectSymbol as _};
use ttlog_core::table::callsite_text::CallsiteText;
use ttlog_core::table::encode_callsite_text;

use super::firmware::{CALLSITES_MAX, Firmware};

/// Bytes of an entry.
const ENTRY_LEN: usize = 72;
/// Room for a callsite item: a text has at most 65,535 bytes, and CBOR adds a few to each of its parts.
const ITEM_ROOM_LEN: usize = 96 << 10;
/// Longest item that tables and snapshots hold.
const ITEM_LEN_MAX: usize = 65_535;
/// Symbol of the end of the entries if they are in flash; otherwise its value is 0.
const ENTRIES_END_SYMBOL: &str = "__ttlog_entries_end";
/// Symbols of the ring, by the way the recorder was made: with its own memory, in a region, or by defmt's logger. The
/// first one present counts: a firmware with its own recorder can also contain that of the logger, which is then
/// unused.
const RING_SYMBOLS: [&str; 3] = ["_TTLOG_RING", "__ttlog_ring_start", "_TTLOG_DEFMT_RING"];
/// Most bytes of callsite items: a file can name one long text for each id.
const ITEMS_LEN_MAX: usize = 64 << 20;

/// Returns whether the bytes are those of an ELF file.
#[must_use]
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(&object::elf::ELFMAG)
}

/// Reads the file.
///
/// # Errors
/// A description of why this is not an ELF file of a firmware with TTLog.
pub fn read(bytes: &[u8]) -> Result<Firmware, String> {
    let firmware = match bytes.get(4) {
        Some(2) => ElfFile::<object::elf::FileHeader64<Endianness>>::parse(bytes).map(|file| read_file(&file)),
        _ => ElfFile::<object::elf::FileHeader32<Endianness>>::parse(bytes).map(|file| read_file(&file)),
    };
    #[cfg_attr(not(feature = "defmt"), allow(unused_mut))]
    let mut firmware = firmware.map_err(|error| format!("damaged ELF file: {error}"))??;
    #[cfg(feature = "defmt")]
    match super::defmt::Defmt::read(bytes) {
        Ok(defmt) => firmware.defmt = defmt.map(std::sync::Arc::new),
        Err(error) => firmware.problem(&format_args!("defmt: {error}")),
    }
    Ok(firmware)
}

fn read_file<'a, E>(file: &ElfFile<'a, E>) -> Result<Firmware, String>
where
    E: object::read::elf::FileHeader<Endian = Endianness>,
{
    if file.endianness() != Endianness::Little {
        return Err("big-endian, and rings are little-endian".to_owned());
    }
    let mut firmware = Firmware {
        build_id: build_id(file).unwrap_or_default().to_vec(),
        ring: RING_SYMBOLS.iter().find_map(|name| symbol(file, name)),
        ..Firmware::default()
    };
    let Some(entries) = file.section_by_name(".ttlog.entry") else {
        if firmware.ring.is_none() {
            return Err("no TTLog in this ELF file: neither the section .ttlog.entry nor the symbol _TTLOG_RING \
                        (is it linked with -Tttlog.x, and not stripped?)"
                .to_owned());
        }
        firmware.problem(&"no section .ttlog.entry: link with -Tttlog.x, or events have no names");
        return Ok(firmware);
    };
    if firmware.build_id.is_empty() {
        firmware.problem(&"no build id: link with --build-id, or records cannot be matched to their firmware");
    }
    let texts = Texts::of(file);
    let data = entries.data().map_err(|error| format!("section .ttlog.entry: {error}"))?;
    // In flash, the texts follow the entries in the same section.
    let end = symbol(file, ENTRIES_END_SYMBOL).and_then(|(end, _)| end.checked_sub(entries.address()));
    let end = end.and_then(|len| usize::try_from(len).ok()).filter(|&len| len > 0);
    let entries = &data[..end.unwrap_or(data.len()).min(data.len())];
    read_entries(&mut firmware, entries, &texts);
    Ok(firmware)
}

/// Returns the build id.
fn build_id<'a, E>(file: &ElfFile<'a, E>) -> Option<&'a [u8]>
where
    E: object::read::elf::FileHeader<Endian = Endianness>,
{
    if let Ok(Some(build_id)) = file.build_id() {
        return Some(build_id);
    }
    // `ttlog.x` makes the note program data, which flashing tools do not leave out.
    let note = file.section_by_name(".ttlog.build_id")?.data().ok()?;
    let len = usize::try_from(half(note, 4)?).ok()?;
    let is_build_id = half(note, 0)? == 4 && half(note, 8)? == object::elf::NT_GNU_BUILD_ID;
    note.get(12..)?.strip_prefix(b"GNU\0")?.get(..len).filter(|_| is_build_id)
}

/// Returns the address and length of a symbol.
fn symbol<E>(file: &ElfFile<'_, E>, name: &str) -> Option<(u64, u64)>
where
    E: object::read::elf::FileHeader<Endian = Endianness>,
{
    let found = file.symbols().find(|symbol| symbol.name() == Ok(name) && !symbol.is_undefined())?;
    Some((found.address(), found.size()))
}

fn read_entries(firmware: &mut Firmware, entries: &[u8], texts: &Texts<'_>) {
    let mut room = vec![0; ITEM_ROOM_LEN];
    let mut found: Vec<(u16, Vec<u8>)> = Vec::new();
    let mut items_len = 0;
    for (index, entry) in entries.chunks(ENTRY_LEN).take(CALLSITES_MAX).enumerate() {
        match read_entry(entry, texts, &mut room) {
            Ok(item) if items_len + item.1.len() <= ITEMS_LEN_MAX => {
                items_len += item.1.len();
                found.push(item);
            }
            Ok(_) => {
                firmware.problem(&"section .ttlog.entry: its texts exceed 64 MiB");
                break;
            }
            Err(reason) => firmware.problem(&format_args!("section .ttlog.entry, entry {index}: {reason}")),
        }
    }
    found.sort_by_key(|(id, _)| *id);
    let before = found.len();
    found.dedup_by_key(|(id, _)| *id);
    if found.len() < before {
        firmware.problem(&format_args!("section .ttlog.entry: {} ids occur twice", before - found.len()));
    }
    firmware.callsites = found.into_iter().map(|(_, item)| item).collect();
}

/// Encodes the callsite item of an entry.
fn read_entry(entry: &[u8], texts: &Texts<'_>, room: &mut [u8]) -> Result<(u16, Vec<u8>), String> {
    let (Some(id), Some(address), Some(tags)) = (half(entry, 0), half(entry, 4), entry.get(8..ENTRY_LEN)) else {
        return Err("cut off".to_owned());
    };
    let short_id = u16::try_from(id).map_err(|_| format!("id {id} is above 65,534"))?;
    let text = texts.at(address.into()).ok_or_else(|| format!("no section contains its text, address {address:#x}"))?;
    let text = CallsiteText::decode(text).map_err(|error| format!("text at {address:#x}: {error}"))?;
    let len = encode_callsite_text(short_id, &text, tags, room)
        .ok_or_else(|| format!("id {id}, or the types of its fields, are invalid"))?;
    if len > ITEM_LEN_MAX {
        return Err(format!("the texts of callsite {id} are too long"));
    }
    Ok((short_id, room[..len].to_vec()))
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Sections that can contain texts; the text section is first.
struct Texts<'a>(Vec<(u64, &'a [u8])>);

impl<'a> Texts<'a> {
    fn of<E>(file: &ElfFile<'a, E>) -> Self
    where
        E: object::read::elf::FileHeader<Endian = Endianness>,
    {
        // Sections that are not loaded can have any address, so the text section goes first. Texts in flash can be in
        // a section of another name.
        let own = file.section_by_name(".ttlog.text");
        let others = file.sections().filter(|section| section.address() != 0);
        let data = |section: object::read::elf::ElfSection<'a, '_, E>| Some((section.address(), section.data().ok()?));
        Texts(own.into_iter().chain(others).filter_map(data).collect())
    }

    /// Returns the bytes from an address to the end of the section.
    fn at(&self, address: u64) -> Option<&'a [u8]> {
        self.0.iter().find_map(|(start, data)| {
            let offset = usize::try_from(address.checked_sub(*start)?).ok()?;
            data.get(offset..).filter(|rest| !rest.is_empty())
        })
    }
}
