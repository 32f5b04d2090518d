//! Firmware and device rings made by hand.

use object::Endianness;
use object::elf;
use object::write::elf::{FileHeader, SectionHeader, Sym, Writer};
use ttlog_core::Level;
use ttlog_core::callsite::{Field, Literal, Metadata};
use ttlog_core::site_text::{encode, encoded_len};
use ttlog_core::value::Type;

/// Build id of the firmware of most tests.
pub const BUILD_ID: [u8; 20] = *b"\xA1firmware one 0001\x00\x01";
/// Where texts are said to be.
pub const TEXT_ADDRESS: u32 = 0x0001_0000;
/// Where RAM starts.
pub const RAM: u64 = 0x2000_0000;

/// A section of an ELF file.
pub struct Section {
    pub name: &'static str,
    pub address: u64,
    pub kind: u32,
    pub data: Vec<u8>,
}

/// Makes an ELF file for a 32-bit device, with a symbol (name, address, length) for each of `symbols`.
pub fn elf_file(sections: &[Section], symbols: &[(&str, u64, u64)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Writer::new(Endianness::Little, false, &mut bytes);
    out.reserve_file_header();
    let mut places = Vec::new();
    for section in sections {
        let name = out.add_section_name(section.name.as_bytes());
        out.reserve_section_index();
        places.push((name, out.reserve(section.data.len(), 4)));
    }
    let mut names = Vec::new();
    out.reserve_null_symbol_index();
    for (name, ..) in symbols {
        names.push(out.add_string(name.as_bytes()));
        out.reserve_symbol_index(None);
    }
    out.reserve_symtab_section_index();
    out.reserve_symtab();
    out.reserve_strtab_section_index();
    out.reserve_strtab();
    out.reserve_shstrtab_section_index();
    out.reserve_shstrtab();
    out.reserve_section_headers();
    let (e_type, e_machine) = (elf::ET_EXEC, elf::EM_ARM);
    out.write_file_header(&FileHeader { os_abi: 0, abi_version: 0, e_type, e_machine, e_entry: 0, e_flags: 0 })
        .expect("the header was reserved");
    for section in sections {
        out.write_align(4);
        out.write(&section.data);
    }
    out.write_null_symbol();
    for (name, (_, st_value, st_size)) in names.into_iter().zip(symbols.iter().copied()) {
        let (st_info, st_shndx) = (elf::STB_GLOBAL << 4 | elf::STT_OBJECT, elf::SHN_ABS);
        out.write_symbol(&Sym { name: Some(name), section: None, st_info, st_other: 0, st_shndx, st_value, st_size });
    }
    out.write_strtab();
    out.write_shstrtab();
    out.write_null_section_header();
    for (section, (name, offset)) in sections.iter().zip(places) {
        out.write_section_header(&SectionHeader {
            name: Some(name),
            sh_type: section.kind,
            sh_flags: 0,
            sh_addr: section.address,
            sh_offset: offset as u64,
            sh_size: section.data.len() as u64,
            sh_link: 0,
            sh_info: 0,
            sh_addralign: 4,
            sh_entsize: 0,
        });
    }
    out.write_symtab_section_header(1);
    out.write_strtab_section_header();
    out.write_shstrtab_section_header();
    bytes
}

/// The section of a build id.
pub fn build_id_note(build_id: &[u8]) -> Section {
    let mut data = Vec::new();
    for number in [4, build_id.len() as u32, elf::NT_GNU_BUILD_ID] {
        data.extend(number.to_le_bytes());
    }
    data.extend(b"GNU\0");
    data.extend(build_id);
    Section { name: ".note.gnu.build-id", address: 0x400, kind: elf::SHT_NOTE, data }
}

/// A callsite of a firmware: its text, and the types of its run-time fields.
pub struct Site {
    pub text: Vec<u8>,
    pub tags: Vec<u8>,
}

impl Site {
    pub fn new<const N: usize>(metadata: &Metadata, types: &[Type]) -> Self {
        let mut tags = Vec::new();
        for kind in types {
            let mut room = [0; ttlog_core::value::TYPE_DEPTH_MAX];
            let len = kind.encode_tags(&mut room);
            tags.extend(&room[..len]);
        }
        Site { text: encode::<N>(metadata).to_vec(), tags }
    }
}

/// Makes the sections of callsites, with ids from 1 on.
pub fn site_sections(sites: &[Site]) -> [Section; 2] {
    let (mut entries, mut texts) = (Vec::new(), Vec::new());
    for (index, site) in sites.iter().enumerate() {
        let address = TEXT_ADDRESS + texts.len() as u32;
        entries.extend((index as u32 + 1).to_le_bytes());
        entries.extend(address.to_le_bytes());
        let mut tags = [0; 64];
        tags[..site.tags.len()].copy_from_slice(&site.tags);
        entries.extend(tags);
        texts.extend(&site.text);
    }
    [
        Section { name: ".ttlog.entry", address: 0, kind: elf::SHT_PROGBITS, data: entries },
        Section { name: ".ttlog.text", address: TEXT_ADDRESS.into(), kind: elf::SHT_PROGBITS, data: texts },
    ]
}

pub static BOOTED: Metadata = Metadata {
    level: Level::Info,
    target: "motor",
    message: "booted",
    file: "src/main.rs",
    line: 11,
    fields: &[Field::literal("unit", Literal::Str("left"))],
};
pub static TURNED: Metadata = Metadata {
    level: Level::Debug,
    target: "motor::drive",
    message: "turned to {angle}",
    file: "src/drive.rs",
    line: 40,
    fields: &[Field::dynamic("angle"), Field::dynamic("force")],
};
pub static STALLED: Metadata = Metadata {
    level: Level::Error,
    target: "motor::drive",
    message: "stalled",
    file: "src/drive.rs",
    line: 55,
    fields: &[Field::dynamic("why"), Field::dynamic("pin").secret()],
};

/// Ids of the callsites of [`motor_sites`].
pub mod id {
    pub const BOOTED: u16 = 1;
    pub const TURNED: u16 = 2;
    pub const STALLED: u16 = 3;
}

/// The callsites of the firmware of most tests.
pub fn motor_sites() -> Vec<Site> {
    vec![
        Site::new::<{ encoded_len(&BOOTED) }>(&BOOTED, &[]),
        Site::new::<{ encoded_len(&TURNED) }>(&TURNED, &[Type::I16, Type::Option(&Type::U8)]),
        Site::new::<{ encoded_len(&STALLED) }>(&STALLED, &[Type::Str, Type::U32]),
    ]
}

/// The ELF file of the firmware of most tests.
pub fn motor_elf(build_id: &[u8]) -> Vec<u8> {
    let [entries, texts] = site_sections(&motor_sites());
    elf_file(&[build_id_note(build_id), entries, texts], &[("_TTLOG_RING", RAM + 0x100, 4096)])
}
