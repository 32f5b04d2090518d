//! Firmware and device rings made by hand.

use std::cell::Cell;

use object::Endianness;
use object::elf;
use object::write::elf::{FileHeader, SectionHeader, Sym, Writer};
use ttlog_core::device::frame::{
    Begin, FRAME_DATA_MAX, FRAME_LEN_MAX, Frame, FrameContent, FrameKind, LINE_LEN_MAX, TEXT_BEGIN, TEXT_END,
};
use ttlog_core::device::{
    CallsiteAt, CallsiteBytes, DeviceClock, DeviceRecorder, RingDump, RingDumpOptions, SessionStart,
};
use ttlog_core::event::{Cons, Field, JoinedFields, Literal, Metadata, Nil};
use ttlog_core::record::Type;
use ttlog_core::ring::RingConfig;
use ttlog_core::table::callsite_text::{encode, encoded_len};
use ttlog_core::{Level, Word};

/// Build id of the firmware of most tests.
pub const BUILD_ID: [u8; 20] = *b"\xA1firmware one 0001\x00\x01";
/// Address of the texts.
pub const TEXT_ADDRESS: u32 = 0x0001_0000;
/// Start of RAM.
pub const RAM: u64 = 0x2000_0000;

/// A section of an ELF file.
pub struct Section {
    pub name: &'static str,
    pub address: u64,
    pub kind: u32,
    pub data: Vec<u8>,
}

/// Creates an ELF file for a 32-bit device, with a symbol (name, address, length) for each of `symbols`.
pub fn elf_file(sections: &[Section], symbols: &[(&str, u64, u64)]) -> Vec<u8> {
    let symbols: Vec<_> = symbols.iter().map(|&(name, address, len)| (name, address, len, None)).collect();
    elf_file_with(sections, &symbols)
}

/// Like `elf_file`, with the name of the section for each symbol that is in one.
pub fn elf_file_with(sections: &[Section], symbols: &[(&str, u64, u64, Option<&str>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Writer::new(Endianness::Little, false, &mut bytes);
    out.reserve_file_header();
    let (mut places, mut indexes) = (Vec::new(), Vec::new());
    for section in sections {
        let name = out.add_section_name(section.name.as_bytes());
        let index = out.reserve_section_index();
        places.push((name, out.reserve(section.data.len(), 4)));
        indexes.push((section.name, index));
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
    for (name, &(_, st_value, st_size, within)) in names.into_iter().zip(symbols) {
        let section = indexes.iter().find(|(name, _)| within == Some(*name)).map(|(_, index)| *index);
        let (st_info, st_shndx) = (elf::STB_GLOBAL << 4 | elf::STT_OBJECT, elf::SHN_ABS);
        out.write_symbol(&Sym { name: Some(name), section, st_info, st_other: 0, st_shndx, st_value, st_size });
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

/// Returns the section of a build id.
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
pub struct FirmwareCallsite {
    pub text: Vec<u8>,
    pub tags: Vec<u8>,
}

impl FirmwareCallsite {
    pub fn new<const N: usize>(metadata: &Metadata, types: &[Type]) -> Self {
        let mut tags = Vec::new();
        for kind in types {
            let mut room = [0; 64];
            let len = kind.describe(&mut room).expect("a short type");
            tags.extend(&room[..len]);
        }
        FirmwareCallsite { text: encode::<N>(metadata).to_vec(), tags }
    }
}

/// Creates the sections of callsites, with ids from 1 on.
pub fn callsite_sections(callsites: &[FirmwareCallsite]) -> [Section; 2] {
    let (mut entries, mut texts) = (Vec::new(), Vec::new());
    for (index, callsite) in callsites.iter().enumerate() {
        let address = TEXT_ADDRESS + texts.len() as u32;
        entries.extend((index as u32 + 1).to_le_bytes());
        entries.extend(address.to_le_bytes());
        let mut tags = [0; 64];
        tags[..callsite.tags.len()].copy_from_slice(&callsite.tags);
        entries.extend(tags);
        texts.extend(&callsite.text);
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

/// Ids of the callsites of [`motor_callsites`].
pub mod id {
    pub const BOOTED: u16 = 1;
    pub const TURNED: u16 = 2;
    pub const STALLED: u16 = 3;
}

/// Returns the callsites of the firmware of most tests.
pub fn motor_callsites() -> Vec<FirmwareCallsite> {
    vec![
        FirmwareCallsite::new::<{ encoded_len(&BOOTED) }>(&BOOTED, &[]),
        FirmwareCallsite::new::<{ encoded_len(&TURNED) }>(&TURNED, &[Type::I16, Type::Option(&Type::U8)]),
        FirmwareCallsite::new::<{ encoded_len(&STALLED) }>(&STALLED, &[Type::Str, Type::U32]),
    ]
}

/// Returns the ELF file of the firmware of most tests.
pub fn motor_elf(build_id: &[u8]) -> Vec<u8> {
    let [entries, texts] = callsite_sections(&motor_callsites());
    elf_file(&[build_id_note(build_id), entries, texts], &[("_TTLOG_RING", RAM + 0x100, 8192)])
}

thread_local! {
    /// Current clock reading of this thread's devices, in ticks.
    static TICKS: Cell<u64> = const { Cell::new(0) };
}

/// Ticks per second on devices.
pub const RATE: u32 = 1_000_000;

/// A device: its RAM, which survives resets, and the running firmware.
pub struct Device {
    words: &'static [Word],
    recorder: &'static DeviceRecorder,
}

impl Device {
    /// A device with so many segments of 256 bytes, without a firmware.
    pub fn new(segments: usize) -> Self {
        let len = Self::config().overhead_len() + segments * 256;
        let words = Vec::leak((0..len / 8).map(|_| Word::new(0)).collect());
        Device { words, recorder: Box::leak(Box::default()) }
    }

    fn config() -> RingConfig {
        RingConfig {
            ring_id: 0,
            segment_len: 256,
            table_len: 0,
            anchor_count: 0,
            session_count: 4,
            ..RingConfig::PLAIN
        }
    }

    /// Starts a firmware: after a reset, or for the first time. Its clock starts anew.
    pub fn boot(&mut self, build_id: [u8; 20], reset_reason: u32) {
        self.boot_with(build_id, reset_reason, RATE);
    }

    /// Like `boot`, with the rate of the clock.
    pub fn boot_with(&mut self, build_id: [u8; 20], reset_reason: u32, ticks_per_second: u32) {
        TICKS.set(0);
        self.recorder = Box::leak(Box::default());
        let clock = DeviceClock::new(|| TICKS.get() as u32, Some(|| TICKS.get()), ticks_per_second);
        let start = SessionStart { clock, build_id, reset_reason, embedded_metadata: false };
        self.recorder.start(self.words, &Self::config(), &start).expect("started once").expect("it fits");
    }

    /// Records an event so many ticks after the last.
    pub fn event(&self, after: u64, id: u16, fields: &dyn JoinedFields) {
        TICKS.set(TICKS.get() + after);
        self.recorder.append_any(id, fields);
    }

    pub fn turned(&self, after: u64, angle: i16) {
        self.event(after, id::TURNED, &Cons(angle, Cons(Some(angle.unsigned_abs() as u8), Nil)));
    }

    pub fn stalled(&self, after: u64, why: &str) {
        self.event(after, id::STALLED, &Cons(why, Cons(1234_u32, Nil)));
    }

    /// Returns the bytes of its ring.
    pub fn ring(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.load().to_le_bytes()).collect()
    }

    /// Returns the bytes of RAM from [`RAM`] on, with the ring at 0x100.
    pub fn ram(&self) -> Vec<u8> {
        let mut ram = vec![0xCC; 0x100];
        ram.extend(self.ring());
        ram.extend([0x55; 300]);
        ram
    }
}

/// Returns the device of most tests: two sessions of one firmware, the first with a longer life.
pub fn motor() -> Device {
    let mut device = Device::new(8);
    device.boot(BUILD_ID, 0);
    device.event(1000, id::BOOTED, &Nil);
    for n in 0..3 {
        device.turned(500_000, n * 100 - 100);
    }
    device.stalled(1, "over\x1b[31mload");
    device.boot(BUILD_ID, 0x24);
    device.event(1234, id::BOOTED, &Nil);
    device.turned(1, 7);
    device
}

/// Returns the frames of a dump of a ring.
pub fn dump_frames(number: u8, ring: &[u8], build_id: [u8; 20]) -> Vec<Vec<u8>> {
    dump_pieces(ring, build_id)
        .iter()
        .enumerate()
        .map(|(at, piece)| frame(number, at, piece).encode(&mut [0; FRAME_LEN_MAX]).to_vec())
        .collect()
}

/// Returns the lines of such a dump.
pub fn dump_lines(number: u8, ring: &[u8], build_id: [u8; 20]) -> String {
    let mut lines = format!("{TEXT_BEGIN}\r\n");
    for (at, piece) in dump_pieces(ring, build_id).iter().enumerate() {
        let mut room = [0; LINE_LEN_MAX];
        lines.push_str(std::str::from_utf8(frame(number, at, piece).encode_line(&mut room)).expect("it is text"));
        lines.push_str("\r\n");
    }
    lines + TEXT_END + "\r\n"
}

type Piece = (FrameKind, u32, Vec<u8>);

fn frame(dump: u8, at: usize, (kind, offset, data): &Piece) -> Frame<'_> {
    Frame { kind: *kind, dump, number: at as u16, offset: *offset, data }
}

fn dump_pieces(ring: &[u8], build_id: [u8; 20]) -> Vec<Piece> {
    let begin = Begin { version: 1, ring_len: ring.len() as u32, ring_id: 7, boot: 2, build_id, ..Begin::default() };
    let mut pieces = vec![(FrameKind::Begin, 0, begin.encode().to_vec())];
    for (index, chunk) in ring.chunks(FRAME_DATA_MAX).enumerate() {
        pieces.push((FrameKind::Ring, (index * FRAME_DATA_MAX) as u32, chunk.to_vec()));
    }
    pieces.push((FrameKind::End, 0, (pieces.len() as u32).to_le_bytes().to_vec()));
    pieces
}

/// Creates an ELF core file with one range of memory.
pub fn elf_core(address: u64, memory: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Writer::new(Endianness::Little, false, &mut bytes);
    out.reserve_file_header();
    out.reserve_program_headers(1);
    let offset = out.reserve(memory.len(), 4) as u64;
    let (e_type, e_machine) = (elf::ET_CORE, elf::EM_RISCV);
    out.write_file_header(&FileHeader { os_abi: 0, abi_version: 0, e_type, e_machine, e_entry: 0, e_flags: 0 })
        .expect("the header was reserved");
    let len = memory.len() as u64;
    out.write_program_header(&object::write::elf::ProgramHeader {
        p_type: elf::PT_LOAD,
        p_flags: elf::PF_R | elf::PF_W,
        p_offset: offset,
        p_vaddr: address,
        p_paddr: address,
        p_filesz: len,
        p_memsz: len,
        p_align: 4,
    });
    out.write_align(4);
    out.write(memory);
    bytes
}

pub static FRAME: Metadata = Metadata {
    level: Level::Info,
    target: "defmt",
    message: "defmt frame",
    file: "",
    line: 0,
    fields: &[Field::dynamic("frame")],
};

/// Indexes of the format strings of [`defmt_elf`].
pub mod defmt_index {
    pub const PLAIN: u16 = 1;
    pub const SPEED: u16 = 2;
    pub const NESTED: u16 = 3;
    pub const POINT: u16 = 4;
    pub const STATE: u16 = 5;
    pub const ITSELF: u16 = 6;
    pub const EMPTY: u16 = 7;
    pub const LIST: u16 = 8;
}

/// Returns the ELF file of the firmware of most tests, with callsite 4 for defmt frames and these format strings.
pub fn defmt_elf(build_id: &[u8], timestamp: bool) -> Vec<u8> {
    let mut callsites = motor_callsites();
    callsites.push(FirmwareCallsite::new::<{ encoded_len(&FRAME) }>(&FRAME, &[Type::Bytes]));
    let [entries, texts] = callsite_sections(&callsites);
    let symbol = |tag: &str, data: &str| {
        format!(
            "{{\"package\":\"motor\",\"tag\":\"defmt_{tag}\",\"data\":\"{data}\",\"disambiguator\":\"{data}\",\"crate_name\":\"motor\"}}"
        )
    };
    let mut formats = vec![
        (symbol("warn", "{{stalled}}"), defmt_index::PLAIN),
        (symbol("info", "speed {=u16} of {=str}, {=[u8]:02x}"), defmt_index::SPEED),
        (symbol("error", "at {} in {}"), defmt_index::NESTED),
        (symbol("derived", "Point {{ x: {=i8}, y: {=i8} }}"), defmt_index::POINT),
        (symbol("derived", "Idle|Running({=u8})"), defmt_index::STATE),
        (symbol("derived", "{}"), defmt_index::ITSELF),
        (symbol("derived", "()"), defmt_index::EMPTY),
        (symbol("debug", "{=[?]}"), defmt_index::LIST),
    ];
    if timestamp {
        formats.push((symbol("timestamp", "{=u32:us}"), 100));
    }
    let mut symbols: Vec<_> =
        formats.iter().map(|(name, index)| (name.as_str(), u64::from(*index), 1, Some(".defmt"))).collect();
    symbols.push(("_defmt_version_ = 4", 0, 0, None));
    symbols.push(("_defmt_encoding_ = raw", 0, 0, None));
    symbols.push(("_TTLOG_RING", RAM + 0x100, 8192, None));
    let defmt = Section { name: ".defmt", address: 0, kind: elf::SHT_PROGBITS, data: vec![0; 128] };
    elf_file_with(&[build_id_note(build_id), entries, texts, defmt], &symbols)
}

impl Device {
    /// Records a defmt frame.
    pub fn frame(&self, after: u64, frame: &[u8]) {
        self.event(after, 4, &Cons(ttlog_core::Bytes(frame), Nil));
    }
}

thread_local! {
    /// Callsites in the flash of this thread's devices.
    static SITES: std::cell::RefCell<Vec<CallsiteBytes>> = const { std::cell::RefCell::new(Vec::new()) };
}

impl Device {
    /// Returns the frames of a dump as sent by a device, with the names of its callsites if there are any.
    pub fn sent(&self, number: u8, callsites: &[FirmwareCallsite]) -> Vec<Vec<u8>> {
        SITES.set(
            (1..)
                .zip(callsites)
                .map(|(id, callsite)| {
                    let mut tags = Box::new([0; 64]);
                    tags[..callsite.tags.len()].copy_from_slice(&callsite.tags);
                    CallsiteBytes { id, tags: Box::leak(tags), text: callsite.text.clone().leak() }
                })
                .collect(),
        );
        let site_at: CallsiteAt = |index| SITES.with_borrow(|callsites| callsites.get(index).copied());
        let options = RingDumpOptions {
            number,
            boot: self.recorder.boot(),
            build_id: BUILD_ID,
            first_index: 0,
            callsites: (!callsites.is_empty()).then_some(site_at),
            scratch: None,
        };
        let mut dump = RingDump::new(self.recorder.ring().expect("it was started"), options);
        let (mut frames, mut content) = (Vec::new(), FrameContent::new());
        while dump.next_frame(&mut content) {
            frames.push(content.encode(&mut [0; FRAME_LEN_MAX]).to_vec());
        }
        frames
    }
}
