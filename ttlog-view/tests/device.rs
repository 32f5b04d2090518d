//! Firmware, its dictionary, and rings in the memory of devices.

mod support;

use std::ops::Range;

use ttlog_core::table::TableItem;
use ttlog_core::{Level, RingImage, SegmentState};
use ttlog_read::source::device::elf;
use ttlog_read::source::device::memory::{Memory, MemoryError, find_rings};
use ttlog_read::source::device::ranges::Ranges;
use ttlog_read::source::device::{firmware::Firmware, load::is_dictionary};

use support::device::{
    BUILD_ID, FirmwareCallsite, Section, TEXT_ADDRESS, build_id_note, callsite_sections, elf_file, motor_callsites,
    motor_elf,
};
use support::{Recording, Thread, directory, view, write};

/// Name, type tags, and whether it is secret.
type Field = (String, Vec<u8>, bool);

fn items(firmware: &Firmware) -> Vec<(u16, Level, String, Vec<Field>)> {
    let read = |item: &Vec<u8>| match TableItem::decode(item) {
        Ok(TableItem::Callsite(info)) => {
            let fields = info.fields().map(|field| (field.name.to_owned(), field.type_tags.to_vec(), field.secret));
            (info.id, info.level, info.message.to_owned(), fields.collect())
        }
        other => panic!("no callsite: {other:?}"),
    };
    firmware.callsites.iter().map(read).collect()
}

#[test]
fn callsites_build_id_and_ring_of_an_elf_file() {
    let firmware = elf::read(&motor_elf(&BUILD_ID)).expect("a good ELF file");
    assert_eq!(firmware.problems, Vec::<String>::new());
    assert_eq!(firmware.build_id, BUILD_ID);
    assert_eq!(firmware.ring, Some((0x2000_0100, 8192)));
    let field = |name: &str, tags: &[u8], secret| (name.to_owned(), tags.to_vec(), secret);
    assert_eq!(
        items(&firmware),
        [
            (1, Level::Info, "booted".to_owned(), vec![field("unit", &[15], false)]),
            (
                2,
                Level::Debug,
                "turned to {angle}".to_owned(),
                vec![field("angle", &[8], false), field("force", &[32, 2], false)]
            ),
            (3, Level::Error, "stalled".to_owned(), vec![field("why", &[15], false), field("pin", &[4], true)]),
        ]
    );
}

#[test]
fn an_entry_that_makes_no_sense_costs_itself_only() {
    let mut callsites = motor_callsites();
    callsites.push(FirmwareCallsite { text: vec![0xFF; 30], tags: vec![] }); // no text
    // More types than fields.
    callsites.push(FirmwareCallsite { tags: vec![99, 99, 99], ..motor_callsites().remove(0) });
    let [mut entries, texts] = callsite_sections(&callsites);
    entries.data.extend(70_000_u32.to_le_bytes()); // an id that cannot be
    entries.data.extend([0; 68]);
    entries.data.extend(6_u32.to_le_bytes()); // a text that is nowhere
    entries.data.extend(0xFFFF_FFF0_u32.to_le_bytes());
    entries.data.extend([0; 64]);
    entries.data.extend([1; 40]); // cut off
    let firmware = elf::read(&elf_file(&[build_id_note(&BUILD_ID), entries, texts], &[])).expect("good enough");
    assert_eq!(items(&firmware).iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(firmware.problems.len(), 5, "{:?}", firmware.problems);
    assert_eq!(firmware.ring, None);
}

#[test]
fn build_id_in_program_data() {
    let section = |data: &[u8]| Section {
        name: ".ttlog.build_id",
        kind: object::elf::SHT_PROGBITS,
        data: data.to_vec(),
        ..build_id_note(&[])
    };
    let read = |data: &[u8]| {
        let [entries, texts] = callsite_sections(&motor_callsites());
        elf::read(&elf_file(&[section(data), entries, texts], &[])).expect("a good ELF file").build_id
    };
    let note = build_id_note(&BUILD_ID).data;
    assert_eq!(read(&note), BUILD_ID);
    for len in 0..note.len() {
        assert!(read(&note[..len]).is_empty(), "{len} bytes of the note");
    }
    let mut other = note.clone();
    other[8] = 1; // another type of note
    assert!(read(&other).is_empty());
}

#[test]
fn entries_and_texts_in_flash() {
    let [entries, texts] = callsite_sections(&motor_callsites());
    let start = u64::from(TEXT_ADDRESS) - entries.data.len() as u64;
    let end = u64::from(TEXT_ADDRESS);
    let both = Section { address: start, data: [entries.data, texts.data].concat(), ..entries };
    let symbols = [("__ttlog_entries_start", start, 0), ("__ttlog_entries_end", end, 0)];
    let firmware = elf::read(&elf_file(&[build_id_note(&BUILD_ID), both], &symbols)).expect("a good ELF file");
    assert_eq!(firmware.problems, Vec::<String>::new());
    assert_eq!(items(&firmware), items(&elf::read(&motor_elf(&BUILD_ID)).expect("a good ELF file")));
}

#[test]
fn other_elf_files_are_refused_with_a_reason() {
    let other = elf_file(&[Section { name: ".text", address: 0, kind: 1, data: vec![0; 8] }], &[]);
    let error = elf::read(&other).expect_err("there is no TTLog in it");
    assert!(error.contains("-Tttlog.x"), "{error}");
    assert!(elf::read(b"\x7fELF\x01").is_err());
    let mut swapped = motor_elf(&BUILD_ID);
    swapped[5] = 2;
    assert!(elf::read(&swapped).is_err());
}

#[test]
fn damaged_elf_files_do_no_harm() {
    let good = motor_elf(&BUILD_ID);
    for len in (0..good.len()).step_by(7) {
        let _ = elf::read(&good[..len]); // whatever it says
    }
    for bit in 0..good.len() * 8 {
        let mut damaged = good.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Ok(firmware) = elf::read(&damaged) {
            items(&firmware);
        }
    }
}

#[test]
fn a_text_named_by_all_ids_does_not_fill_memory() {
    let long: &'static str = Box::leak("x".repeat(60_000).into_boxed_str());
    let mut text = motor_callsites().remove(0).text;
    // The message of a callsite without fields, lengthened by hand: length, then level and line unchanged, then three
    // texts.
    text.truncate(8);
    for part in ["t", long, "f"] {
        text.extend((part.len() as u16).to_le_bytes());
        text.extend(part.as_bytes());
    }
    text.push(0);
    let len = text.len() as u16;
    text[..2].copy_from_slice(&len.to_le_bytes());
    let [entry, texts] = callsite_sections(&[FirmwareCallsite { text, tags: vec![] }]);
    let mut data = Vec::new();
    for id in 1..=65_534_u32 {
        data.extend(id.to_le_bytes());
        data.extend(&entry.data[4..]);
    }
    let firmware = elf::read(&elf_file(&[Section { data, ..entry }, texts], &[])).expect("good enough");
    let total: usize = firmware.callsites.iter().map(Vec::len).sum();
    assert!((1 << 20..=64 << 20).contains(&total), "{total} bytes");
    assert!(firmware.problems.iter().any(|problem| problem.contains("64 MiB")), "{:?}", firmware.problems);
}

#[test]
fn a_dictionary_says_what_the_elf_file_does() {
    let dir = directory("dictionary");
    write(&dir, "fw.elf", &motor_elf(&BUILD_ID));
    let run = view(&dir, &["dictionary", "fw.elf", "-o", "fw.dict"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert_eq!(run.out, "fw.dict: 3 callsites of build a16669726d77617265206f6e6520303030310001\n");
    let bytes = std::fs::read(dir.join("fw.dict")).expect("it was written");
    assert!(is_dictionary(&bytes));
    let from_elf = Firmware::load(&dir.join("fw.elf")).expect("a good ELF file");
    let from_dictionary = Firmware::load(&dir.join("fw.dict")).expect("a good dictionary");
    assert_eq!(from_dictionary.callsites, from_elf.callsites);
    assert_eq!(from_dictionary.build_id, from_elf.build_id);
    assert_eq!(from_dictionary.problems, Vec::<String>::new());
    // A dictionary of a dictionary is the same, and so is one written to a pipe.
    let again = view(&dir, &["dictionary", "fw.dict", "-o", "again.dict"]);
    assert_eq!(again.code, Some(0), "{}", again.err);
    assert_eq!(std::fs::read(dir.join("again.dict")).expect("it was written"), bytes);
    // Truncation is reported, and the rest is good.
    write(&dir, "cut.dict", &bytes[..bytes.len() - 10]);
    let cut = view(&dir, &["dictionary", "cut.dict", "-o", "rest.dict"]);
    assert_eq!(cut.code, Some(1));
    assert!(cut.out.contains("3 callsites") && cut.err.contains("cut off"), "{}{}", cut.out, cut.err);
    write(&dir, "other", b"something else");
    let none = view(&dir, &["dictionary", "other", "-o", "none.dict"]);
    assert_eq!(none.code, Some(2));
    assert!(none.err.contains("neither an ELF file nor a dictionary"), "{}", none.err);
    assert!(!dir.join("none.dict").exists());
}

/// Returns a ring with some events.
fn ring(ring_id: u64, events: u32) -> Recording {
    let recording = Recording::new(ring_id, 4, 256);
    recording.know_shop();
    let thread = Thread::new(1, "main");
    for n in 0..events {
        recording.tick(&thread, u64::from(n) + 1, n);
    }
    recording
}

/// Returns memory with a ring at an address, and noise around it.
fn ram_with(image: &[u8], offset: usize) -> Vec<u8> {
    let mut ram: Vec<u8> = (0..offset + image.len() + 1000).map(|at| (at * 7 % 251) as u8).collect();
    ram[offset..offset + image.len()].copy_from_slice(image);
    ram
}

#[test]
fn a_ring_is_found_by_its_symbol_or_by_searching() {
    let image = ring(5, 10).image();
    for offset in [0, 8, 0x3FF8, 0x4000, 0x1_0000] {
        let mut memory = Ranges::raw(0x2000_0000, ram_with(&image, offset));
        let address = 0x2000_0000 + offset as u64;
        for symbols in [&[(address, image.len() as u64)][..], &[], &[(0x2000_0018, 64)], &[(0x6000_0000, 64)]] {
            let found = find_rings(&mut memory, symbols).expect("the memory can be read");
            assert_eq!(found.rings.len(), 1, "offset {offset}");
            assert_eq!((found.rings[0].address, &found.rings[0].bytes), (address, &image), "offset {offset}");
            assert_eq!(found.remarks.is_empty(), symbols.first().is_none_or(|symbol| symbol.0 == address));
            assert!(!found.only_zeros);
        }
    }
}

#[test]
fn rings_that_are_cut_off_by_the_end_of_memory_are_read_as_far_as_they_are_there() {
    let image = ring(5, 10).image();
    for len in (8..image.len()).step_by(8) {
        let mut memory = Ranges::raw(0x2000_0000, [vec![0; 64], image[..len].to_vec()].concat());
        let found = find_rings(&mut memory, &[]).expect("the memory can be read");
        assert_eq!(found.rings.len(), usize::from(len >= 160), "{len} bytes");
        if let Some(ring) = found.rings.first() {
            assert_eq!(ring.bytes, image[..len], "{len} bytes");
        }
    }
}

#[test]
fn a_ring_may_lie_in_several_ranges_that_touch() {
    let image = ring(5, 10).image();
    let mut memory = Ranges::raw(0x2000_0000, image[..600].to_vec());
    memory.add(0x2000_0000 + 600, image[600..].to_vec());
    memory.add(0x3000_0000, vec![1; 8]);
    assert_eq!(memory.ram().len(), 2);
    assert_eq!(find_rings(&mut memory, &[]).expect("it can be read").rings[0].bytes, image);
}

#[test]
fn memory_without_a_ring_says_whether_it_is_all_zero() {
    let found = find_rings(&mut Ranges::raw(0, vec![0; 40_000]), &[(64, 64)]).expect("it can be read");
    assert!(found.only_zeros && found.rings.is_empty());
    let mut noise = vec![0; 40_000];
    noise[39_999] = 1;
    let found = find_rings(&mut Ranges::raw(0, noise), &[]).expect("it can be read");
    assert!(!found.only_zeros && found.rings.is_empty());
}

#[test]
fn hostile_headers_cost_no_memory_and_no_time() {
    let mut ram = Vec::new();
    // Many rings that claim the largest possible size, in a small RAM.
    let image = ring(5, 1).image();
    for _ in 0..200 {
        ram.extend(&image[..160]);
    }
    let found = find_rings(&mut Ranges::raw(0, ram), &[]).expect("it can be read");
    assert!((1..=16).contains(&found.rings.len()));
    // A header at the very end of the address space.
    let found = find_rings(&mut Ranges::raw(u64::MAX - 200, image[..200].to_vec()), &[]).expect("it can be read");
    assert_eq!(found.rings, []);
    // Flipped bits.
    for bit in 0..160 * 8 {
        let mut damaged = image.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let found = find_rings(&mut Ranges::raw(0x2000_0000, damaged), &[]).expect("it can be read");
        assert!(found.rings.len() <= 1);
    }
}

/// Memory whose ring is written while it is read.
struct Live {
    recording: Recording,
    thread: Thread,
    reads: u32,
    /// Events that are recorded before each read, once there were some reads.
    events: u32,
    quiet_reads: u32,
}

impl Memory for Live {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryError> {
        self.reads += 1;
        if self.reads > self.quiet_reads {
            for _ in 0..self.events {
                self.recording.tick(&self.thread, self.reads.into(), self.reads);
            }
        }
        Ranges::raw(0x2000_0000, self.recording.image()).read(address, out)
    }

    fn ram(&self) -> Vec<Range<u64>> {
        Ranges::raw(0x2000_0000, self.recording.image()).ram()
    }
}

#[test]
fn a_ring_that_is_written_meanwhile_is_copied_without_torn_segments() {
    for events in [1, 3, 20] {
        for quiet_reads in 0..20 {
            let recording = ring(5, 30);
            let thread = Thread::new(2, "other");
            let mut live = Live { recording, thread, reads: 0, events, quiet_reads };
            let found = find_rings(&mut live, &[(0x2000_0000, 0)]).expect("it can be read");
            let image = RingImage::parse(&found.rings[0].bytes).expect("a good ring");
            for index in 0..4 {
                if let SegmentState::Valid(segment) = image.segment(index) {
                    let damaged = segment.items().any(|item| matches!(item, ttlog_core::Item::Damaged { .. }));
                    assert!(!damaged, "{events} events a read, after {quiet_reads} reads, segment {index}");
                }
            }
        }
    }
}
