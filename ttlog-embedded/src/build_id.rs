//! The build id of the firmware. With it a reader finds the ELF file of a ring, and refuses any other.
//!
//! # Format
//! The note `NT_GNU_BUILD_ID`, which linkers write with `--build-id`: three words (length of the name, length of the
//! id, type 3), the name `GNU`, the id (System V ABI, gABI 4.1, "Note Section").

use ttlog_core::ring::BUILD_ID_LEN;

#[cfg(target_os = "none")]
unsafe extern "C" {
    static __ttlog_build_id_start: u8;
    static __ttlog_build_id_end: u8;
}

/// An empty static of the type of program data, which makes the linker give that type to all of `.ttlog.build_id`.
/// Tools that make flash images for Espressif's chips leave out sections of type note, loaded or not.
#[cfg(target_os = "none")]
#[used]
#[unsafe(link_section = ".ttlog.build_id.type")]
static SECTION_TYPE: [u8; 0] = [];

/// Bytes of the note before the id: three words and the name with its zero.
const NOTE_HEAD_LEN: usize = 16;

/// Returns the build id of this firmware, cut or padded with zeros to 20 bytes; all zero on a host.
#[must_use]
pub fn build_id() -> [u8; BUILD_ID_LEN] {
    #[cfg(target_os = "none")]
    {
        let (start, end) = (&raw const __ttlog_build_id_start, &raw const __ttlog_build_id_end);
        // SAFETY: the linker script (`ttlog.x`) puts both symbols around the note, in memory that is never written.
        let note = unsafe { core::slice::from_raw_parts(start, end as usize - start as usize) };
        id_in(note)
    }
    #[cfg(not(target_os = "none"))]
    id_in(&[])
}

/// Extracts the id from the note.
fn id_in(note: &[u8]) -> [u8; BUILD_ID_LEN] {
    let mut id = [0; BUILD_ID_LEN];
    let len = note.get(4..8).and_then(|len| Some(u32::from_le_bytes(len.try_into().ok()?) as usize)).unwrap_or(0);
    for (out, byte) in id.iter_mut().zip(note.get(NOTE_HEAD_LEN..).unwrap_or_default()).take(len) {
        *out = *byte;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_cut_or_filled_up() {
        let note = |id: &[u8]| {
            let mut note = [0; 64];
            note[0] = 4;
            note[4] = id.len() as u8;
            note[8] = 3;
            note[12..16].copy_from_slice(b"GNU\0");
            note[16..16 + id.len()].copy_from_slice(id);
            note
        };
        assert_eq!(id_in(&note(&[7; 8]))[..9], [7, 7, 7, 7, 7, 7, 7, 7, 0]);
        assert_eq!(id_in(&note(&[9; 32])), [9; BUILD_ID_LEN]);
        assert_eq!(id_in(&note(&[9; 32])[..20])[..5], [9, 9, 9, 9, 0]);
        assert_eq!(id_in(&[]), [0; BUILD_ID_LEN]);
    }
}
