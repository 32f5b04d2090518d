//! Creating the ring: its shape and its location.

use std::path::{Path, PathBuf};

use ttlog_core::ring::SEGMENT_LEN_MAX;
use ttlog_core::ring::file_name::RingStem;
use ttlog_core::{Ring, RingConfig, RingError, Word};

use super::sizes::{Memory, Room};
use crate::config::error::InitError;
use crate::config::settings::{
    CAPACITY_BYTES_DEFAULT, CAPACITY_BYTES_MAX, CAPACITY_BYTES_MIN, RingFileChoice, SEGMENT_BYTES_MIN, Settings,
    TABLE_BYTES_MAX, TABLE_BYTES_MIN, in_range, priority_segment_count,
};
use crate::memory::directory::{MappingError, candidate_directories};
use crate::memory::ring_file::{self, RingFile};
use crate::memory::{heap, process_item};
use crate::sys::{self, report};

/// Smallest number of segments of a ring: two for threads, one for nested events, one to be opened next.
const SEGMENT_COUNT_MIN: usize = 4;
/// Size of the table in small rings, in bytes; the core makes it larger in large ones.
const TABLE_BYTES_DEFAULT_MIN: u32 = 64 * 1024;

/// The shape of the ring to be created.
pub(super) struct Layout {
    config: RingConfig,
    len_words: usize,
}

impl Layout {
    /// Rounds the capacity up to whole segments and adds the parts that precede them.
    fn of(config: RingConfig, capacity: usize) -> Self {
        let segments = capacity.next_multiple_of(config.segment_len as usize);
        Layout { config, len_words: (config.overhead_len() + segments) / 8 }
    }
}

/// A ring that was laid out.
pub(super) struct MadeRing {
    pub(super) words: &'static [Word],
    /// The file behind it; `None` for the heap.
    pub(super) file: Option<RingFile>,
    pub(super) ring: Ring<'static>,
    pub(super) config: RingConfig,
    /// The directory of its file.
    pub(super) directory: Option<PathBuf>,
    /// Its place, whose size limits the rings of children.
    pub(super) room: Room,
}

/// Checks the sizes that are set, as far as they do not depend on the place of the ring. With `clamp`, they are moved
/// into their range.
///
/// # Errors
/// [`InitError::OutOfRange`], unless `clamp`.
pub(super) fn check_sizes(settings: &mut Settings, clamp: bool) -> Result<(), InitError> {
    for (option, value) in
        [("capacity_bytes", &mut settings.capacity_bytes), ("child_capacity_bytes", &mut settings.child_capacity_bytes)]
    {
        if let Some(value) = value {
            *value = in_range(clamp, option, *value, CAPACITY_BYTES_MIN, CAPACITY_BYTES_MAX)?;
        }
    }
    if clamp {
        // They are moved when the ring is made, with one warning.
        return Ok(());
    }
    layout(settings, settings.capacity_bytes.unwrap_or(CAPACITY_BYTES_DEFAULT), clamp).map(drop)
}

/// Returns the shape of a ring of this capacity as the options request it. With `clamp`, sizes out of range are moved
/// into it.
///
/// # Errors
/// [`InitError::OutOfRange`], unless `clamp`.
fn layout(settings: &Settings, capacity: usize, clamp: bool) -> Result<Layout, InitError> {
    let mut config = RingConfig::for_capacity(capacity, sys::random());
    config.table_len = config.table_len.max(TABLE_BYTES_DEFAULT_MIN);
    let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    if let Some(bytes) = settings.segment_bytes {
        let max = (SEGMENT_LEN_MAX as usize).min(capacity / SEGMENT_COUNT_MIN);
        config.segment_len = narrow(in_range(clamp, "segment_bytes", bytes, SEGMENT_BYTES_MIN, max)?) / 8 * 8;
    }
    if let Some(bytes) = settings.table_bytes {
        config.table_len = narrow(in_range(clamp, "table_bytes", bytes, TABLE_BYTES_MIN, TABLE_BYTES_MAX)?) / 8 * 8;
    }
    let segment_len = config.segment_len as usize;
    let priority_bytes = settings.priority_bytes;
    let priority_bytes =
        priority_bytes.map(|bytes| in_range(clamp, "priority_bytes", bytes, 0, capacity / 2)).transpose()?;
    config.priority_segment_count = priority_segment_count(priority_bytes, capacity.div_ceil(segment_len), segment_len);
    Ok(Layout::of(config, capacity))
}

/// Creates the ring: in a file, on the heap, or, if there is no memory at all, in the last resort.
pub(super) fn make_ring(
    settings: &Settings,
    clamp: bool,
    service: &str,
    memory: &Memory,
    prepare: impl Fn(&'static [Word], &RingConfig) -> Result<Ring<'static>, RingError>,
) -> Result<MadeRing, InitError> {
    if settings.ring_file != RingFileChoice::None {
        let stem =
            RingStem { service, pid: std::process::id(), start: process_item::start_time(), random: sys::random() }
                .to_string();
        let mut failures: Vec<MappingError> = Vec::new();
        let with_room = |directory: PathBuf| (Room::of(&directory), directory);
        let mut places: Vec<_> =
            candidate_directories(settings.directory.as_deref()).into_iter().map(with_room).collect();
        places.sort_by_key(|(room, _)| !room.is_good(settings, memory));
        for (room, directory) in places {
            let layout = layout(settings, room.capacity(settings, memory), true)?;
            let made = ring_file::create_ring_file(&directory, &stem, layout.len_words, |words| {
                prepare(words, &layout.config)
            });
            match made {
                Ok((words, file, ring)) => {
                    let directory = file.path.parent().map(Path::to_path_buf);
                    return Ok(MadeRing { words, file: Some(file), ring, config: layout.config, directory, room });
                }
                Err(error) => failures.push(error),
            }
        }
        if settings.ring_file == RingFileChoice::Required {
            return Err(failures.pop().map_or(InitError::OutOfMemory, InitError::from));
        }
        let causes: Vec<_> = failures.iter().map(ToString::to_string).collect();
        report::warn(format_args!(
            "events are kept in memory only and will not outlive this process: {}",
            causes.join("; ")
        ));
    }
    let room = Room::HEAP;
    let layout = layout(settings, room.capacity(settings, memory), true)?;
    let on_heap = heap::heap(layout.len_words).and_then(|words| {
        let ring = prepare(words, &layout.config).ok()?;
        Some(MadeRing { words, file: None, ring, config: layout.config, directory: None, room })
    });
    if let Some(made) = on_heap {
        return Ok(made);
    }
    if !clamp {
        return Err(InitError::OutOfMemory);
    }
    report::warn(format_args!("no memory for the ring, only {} bytes are used", heap::EMERGENCY_BYTES));
    let config = RingConfig {
        ring_id: layout.config.ring_id,
        segment_len: 1024,
        table_len: 8192,
        anchor_count: 16,
        ..RingConfig::PLAIN
    };
    let words = heap::emergency().ok_or(InitError::OutOfMemory)?;
    let ring = prepare(words, &config).map_err(|_| InitError::OutOfMemory)?;
    Ok(MadeRing { words, file: None, ring, config, directory: None, room })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;

    fn layout(builder: &Builder) -> Result<Layout, InitError> {
        let mut settings = builder.settings.clone();
        check_sizes(&mut settings, builder.clamp)?;
        super::layout(&settings, settings.capacity_bytes.unwrap_or(CAPACITY_BYTES_DEFAULT), builder.clamp)
    }

    #[test]
    fn layout_holds_what_was_asked_for() {
        for capacity in [CAPACITY_BYTES_MIN, 100_000, CAPACITY_BYTES_DEFAULT, CAPACITY_BYTES_MAX] {
            let layout = layout(&Builder::new().capacity_bytes(capacity)).unwrap();
            let segments = layout.len_words * 8 - layout.config.overhead_len();
            assert!(segments >= capacity && segments - capacity < layout.config.segment_len as usize);
            assert_eq!(segments % layout.config.segment_len as usize, 0);
            assert!(segments / layout.config.segment_len as usize >= SEGMENT_COUNT_MIN);
        }
    }

    #[test]
    fn sizes_out_of_range_are_refused_or_moved() {
        for (option, builder) in [
            ("capacity_bytes", Builder::new().event_capacity(0)),
            ("capacity_bytes", Builder::new().event_capacity(usize::MAX)),
            ("child_capacity_bytes", Builder::new().child_capacity_bytes(0)),
            ("segment_bytes", Builder::new().segment_bytes(0)),
            ("segment_bytes", Builder::new().capacity_bytes(CAPACITY_BYTES_MIN).segment_bytes(65_536)),
            ("table_bytes", Builder::new().table_bytes(usize::MAX)),
        ] {
            let error = layout(&builder).map(drop).unwrap_err();
            assert!(error.to_string().starts_with(option), "{error}");
            let layout = layout(&builder.clamped()).unwrap();
            assert!(layout.len_words * 8 <= CAPACITY_BYTES_MAX + TABLE_BYTES_MAX + 65_536);
        }
    }

    #[test]
    fn room_for_warnings_and_errors_is_within_the_capacity() {
        let small = || Builder::new().capacity_bytes(64 << 10).segment_bytes(1024);
        let with = layout(&small().priority_bytes(8192)).unwrap();
        assert_eq!((with.config.priority_segment_count, with.len_words), (8, layout(&small()).unwrap().len_words));
        assert_eq!(layout(&small().priority_bytes(32 << 10)).unwrap().config.priority_segment_count, 32);
        let error = layout(&small().priority_bytes((32 << 10) + 1)).map(drop).unwrap_err();
        assert_eq!(error.to_string(), "priority_bytes 32769 is not in 0 to 32768");
    }

    #[test]
    fn odd_segment_and_table_sizes_are_rounded() {
        let layout = layout(&Builder::new().segment_bytes(1001).table_bytes(5001)).unwrap();
        assert_eq!((layout.config.segment_len, layout.config.table_len), (1000, 5000));
    }
}
