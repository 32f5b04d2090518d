//! Writes a snapshot to a sink, item by item.

use minicbor::Encoder;
use minicbor::encode::write::Cursor;

#[cfg(feature = "lz4")]
use super::columns::{columns_len_max, encode_columns};
use super::header::{About, encode_header, sort_anchors};
use super::item::{ITEM_OVERHEAD_LEN, ItemWriter, KIND_END, KIND_ENTRY, KIND_HEADER, KIND_SEGMENT};
#[cfg(feature = "lz4")]
use super::options::Codec;
use super::options::{SnapshotMeta, SnapshotOptions};
use super::result::{SnapshotStats, WriteError};
#[cfg(feature = "lz4")]
use super::segment::{CODEC_COLUMNS, CODEC_LZ4};
use super::segment::{CODEC_NONE, segment_head};
use super::sink::Sink;
use super::walk::{Walked, counts_of_header, walk};
use super::withhold::{WITHHOLD_LEN, Withheld, Withholder, readable};
use crate::clock::Anchor;
use crate::memory::word::Word;
use crate::ring::{Mode, Ring, RingHeader, SegmentHeader};
use crate::table::{TableItem, encode_withheld};

/// Maximum number of unfinished entries that are examined again. Few threads meet new callsites at once.
const UNFINISHED_MAX: usize = 16;

/// A snapshot that is being written to a sink.
pub(super) struct Output<'s, 'o, 'w, S: Sink> {
    sink: Counted<'s, S>,
    pub(super) options: SnapshotOptions<'o>,
    /// Present if something is withheld.
    pub(super) withholder: Option<Withholder<'o, 'w>>,
    pub(super) stats: SnapshotStats,
    /// Number of items of kind 2, including those without records.
    segment_items: u64,
    /// Positions of entries that were still being written when they were met.
    unfinished: [Option<usize>; UNFINISHED_MAX],
}

impl<'s, 'o, 'w, S: Sink> Output<'s, 'o, 'w, S> {
    pub(super) fn new(sink: &'s mut S, options: SnapshotOptions<'o>, withholder: Option<Withholder<'o, 'w>>) -> Self {
        let sink = Counted { sink, written_bytes: 0 };
        Output {
            sink,
            options,
            withholder,
            stats: SnapshotStats::default(),
            segment_items: 0,
            unfinished: [None; UNFINISHED_MAX],
        }
    }

    /// Returns whether a segment is left out because of its age. Segments that a writer holds and priority segments
    /// never are.
    pub(super) fn leaves_out(&self, ring: &RingHeader, segment: &SegmentHeader) -> bool {
        let is_old = (1..self.options.left_out_before_ticks).contains(&segment.close_ticks);
        is_old && !segment.owned && segment.index < ring.main_segment_count()
    }

    /// Writes an item that consists of several parts.
    fn item(&mut self, kind: u8, parts: &[&[u8]]) -> Result<(), WriteError<S::Error>> {
        let len = parts.iter().map(|part| part.len()).sum::<usize>() as u32;
        let mut item = ItemWriter::begin(&mut self.sink, kind, len).map_err(WriteError::Sink)?;
        for part in parts {
            item.body(part).map_err(WriteError::Sink)?;
        }
        item.end(true).map_err(WriteError::Sink)
    }

    /// Writes an item whose body is encoded twice, once for its length and once for its bytes, because there might be
    /// no room for all of them.
    fn encoded_item(
        &mut self,
        kind: u8,
        encode: impl Fn(&mut Encoder<&mut dyn CborOut>) -> Result<(), minicbor::encode::Error<()>>,
    ) -> Result<(), WriteError<S::Error>> {
        let mut length = Length(0);
        if encode(&mut Encoder::new(&mut length)).is_err() {
            return Ok(()); // unreachable: counting does not fail
        }
        let mut item = ItemWriter::begin(&mut self.sink, kind, length.0).map_err(WriteError::Sink)?;
        let mut body = Body { item: &mut item, error: None };
        if encode(&mut Encoder::new(&mut body)).is_err() {
            if let Some(error) = body.error {
                return Err(WriteError::Sink(error));
            }
        }
        item.end(true).map_err(WriteError::Sink)
    }

    pub(super) fn header(
        &mut self,
        about: &About<'_>,
        anchors: impl Iterator<Item = Anchor>,
        meta: &SnapshotMeta<'_>,
        filter: Option<&str>,
        scratch: &mut [u8],
    ) -> Result<(), WriteError<S::Error>> {
        let anchors = sort_anchors(anchors, scratch);
        let options = self.options;
        self.encoded_item(KIND_HEADER, |encoder| encode_header(encoder, about, &options, anchors, meta, filter))
    }

    /// Writes an entry of the table, without the literals that are withheld. An entry that cannot be decoded is not
    /// written.
    pub(super) fn entry(&mut self, bytes: &[u8]) -> Result<(), WriteError<S::Error>> {
        let withheld = match (&mut self.withholder, readable(bytes)) {
            (None, _) | (Some(_), Some(TableItem::Process(_))) => None,
            (Some(_), None | Some(TableItem::Unknown(_))) => return Ok(()),
            (Some(withholder), Some(TableItem::Callsite(callsite))) => match withholder.note(&callsite) {
                Withheld::Nothing => None,
                what => Some((callsite, what)),
            },
        };
        self.stats.entry_count += 1;
        let Some((callsite, what)) = withheld else { return self.item(KIND_ENTRY, &[bytes]) };
        // Taken while `self` writes, and put back.
        let Some(withholder) = self.withholder.take() else { return Ok(()) };
        let result = self.encoded_item(KIND_ENTRY, |encoder| {
            encode_withheld(encoder, &callsite, |field, tags| withholder.withhold(field, what, tags))
        });
        self.withholder = Some(withholder);
        result
    }

    /// Writes the entries of the table from word `at` on, and the earlier ones that were still being written when they
    /// were passed.
    pub(super) fn live_entries(
        &mut self,
        ring: Ring<'_>,
        at: &mut usize,
        scratch: &mut [u8],
    ) -> Result<(), WriteError<S::Error>> {
        for n in 0..UNFINISHED_MAX {
            let Some(mut place) = self.unfinished[n] else { continue };
            let mut is_unfinished = false;
            // The entry after this one does not matter here.
            let entry = ring.next_entry(&mut place, |_| is_unfinished = true).filter(|_| !is_unfinished);
            if let Some((len, words)) = entry {
                self.unfinished[n] = None;
                self.live_entry(len, words, scratch)?;
            }
        }
        loop {
            let unfinished = &mut self.unfinished;
            let entry = ring.next_entry(at, |place| {
                if let Some(free) = unfinished.iter_mut().find(|slot| slot.is_none()) {
                    *free = Some(place);
                }
            });
            match entry {
                Some((len, words)) => self.live_entry(len, words, scratch)?,
                None => return Ok(()),
            }
        }
    }

    fn live_entry(&mut self, len: usize, words: &[Word], scratch: &mut [u8]) -> Result<(), WriteError<S::Error>> {
        if self.withholder.is_some() {
            // An entry too long for the scratch buffer is left out, and its records are withheld completely.
            return match words.len() * 8 <= scratch.len() {
                true => self.entry(&load_words(words, scratch)[..len]),
                false => Ok(()),
            };
        }
        let mut item = ItemWriter::begin(&mut self.sink, KIND_ENTRY, len as u32).map_err(WriteError::Sink)?;
        let mut rest = len;
        for words in words.chunks(scratch.len() / 8) {
            let bytes = load_words(words, scratch);
            let used = bytes.len().min(rest);
            item.body(&bytes[..used]).map_err(WriteError::Sink)?;
            rest -= used;
        }
        item.end(true).map_err(WriteError::Sink)?;
        self.stats.entry_count += 1;
        Ok(())
    }

    /// Writes a segment directly from the ring.
    pub(super) fn live_segment(
        &mut self,
        ring: Ring<'_>,
        index: u32,
        scratch: &mut [u8],
    ) -> Result<(), WriteError<S::Error>> {
        let Some(peek) = ring.peek_segment(index).filter(|peek| !peek.records.is_empty()) else {
            return self.lost(index, ring.segment_loss(index));
        };
        let len = peek.records.len() * 8;
        let walked = counts_of_header(&peek.header, len);
        let (head, head_len) = segment_head(&peek.header, &walked, CODEC_NONE, len, len);
        let mut item =
            ItemWriter::begin(&mut self.sink, KIND_SEGMENT, (head_len + len) as u32).map_err(WriteError::Sink)?;
        item.body(&head[..head_len]).map_err(WriteError::Sink)?;
        for words in peek.records.chunks(scratch.len() / 8) {
            item.body(load_words(words, scratch)).map_err(WriteError::Sink)?;
        }
        let good = peek.is_unchanged();
        item.end(good).map_err(WriteError::Sink)?;
        if good {
            self.count_segment(walked.count);
            return Ok(());
        }
        self.stats.void_count += 1;
        self.lost(index, ring.segment_loss(index))
    }

    /// Writes a segment whose records are in `records`. According to its header, `used` bytes of them hold records; if
    /// the header is damaged, bytes after them can too. `rest` is the scratch buffer after the copy.
    pub(super) fn packed_segment(
        &mut self,
        header: &SegmentHeader,
        used: usize,
        records: &mut [u8],
        rest: &mut [u8],
    ) -> Result<(), WriteError<S::Error>> {
        if used == 0 && (header.count == 0 || header.mode != Mode::Exclusive) {
            return self.lost(header.index, header.lost);
        }
        // The pending records of a device can only be counted by a walk, and can include records with a valid check.
        let mut walked =
            (header.mode == Mode::Device).then(|| walk(header, used, records)).filter(|walked| walked.pending > 0);
        if let Some(withholder) = &mut self.withholder {
            if !withholder.mask(header, used, records, rest) {
                // Damage is only visible in the original records.
                walked = Some(walk(header, used, &rest[..records.len()]));
            }
            self.stats.withheld_count = withholder.masked_count;
        }
        #[cfg(feature = "lz4")]
        if self.options.codec == Codec::Lz4 {
            return self.compressed_segment(header, used, walked, records, rest);
        }
        self.plain_segment(header, used, walked, records)
    }

    /// Writes a segment without compressing it. `walked` holds the counts of its records, if known.
    pub(super) fn plain_segment(
        &mut self,
        header: &SegmentHeader,
        used: usize,
        walked: Option<Walked>,
        records: &[u8],
    ) -> Result<(), WriteError<S::Error>> {
        let walked = walked.unwrap_or_else(|| walk(header, used, records));
        let records = &records[..walked.used];
        if records.is_empty() {
            return self.lost(header.index, header.lost);
        }
        self.segment(header, &walked, CODEC_NONE, records.len(), records)
    }

    #[cfg(feature = "lz4")]
    fn compressed_segment(
        &mut self,
        header: &SegmentHeader,
        used: usize,
        walked: Option<Walked>,
        records: &mut [u8],
        rest: &mut [u8],
    ) -> Result<(), WriteError<S::Error>> {
        let (columns, compressed) = rest.split_at_mut(columns_len_max(records.len()));
        // Only records that are all valid fit into columns.
        let encoded = match walked {
            None => encode_columns(&mut records[..used], header.lap, header.count, columns),
            Some(_) => None,
        };
        if let Some(len) = encoded {
            let walked = Walked { count: header.count, pending: header.busy.into(), damaged: 0, used };
            return match lz4_flex::block::compress_into(&columns[..len], compressed) {
                Ok(len) => self.segment(header, &walked, CODEC_COLUMNS, used, &compressed[..len]),
                // Unreachable, as there is room for the worst case; counted as lost rather than ignored.
                Err(_) => self.lost(header.index, header.lost + u64::from(header.count)),
            };
        }
        let walked = walked.unwrap_or_else(|| walk(header, used, records));
        let records = &records[..walked.used];
        let (codec, data) = match lz4_flex::block::compress_into(records, compressed) {
            Ok(len) => (CODEC_LZ4, &compressed[..len]),
            Err(_) => (CODEC_NONE, records),
        };
        self.segment(header, &walked, codec, records.len(), data)
    }

    fn segment(
        &mut self,
        header: &SegmentHeader,
        walked: &Walked,
        codec: u64,
        raw_len: usize,
        data: &[u8],
    ) -> Result<(), WriteError<S::Error>> {
        let (head, head_len) = segment_head(header, walked, codec, raw_len, data.len());
        self.item(KIND_SEGMENT, &[&head[..head_len], data])?;
        self.count_segment(walked.count);
        Ok(())
    }

    fn count_segment(&mut self, count: u32) {
        self.segment_items += 1;
        self.stats.segment_count += 1;
        self.stats.event_count += u64::from(count);
    }

    /// Writes the number of events lost in a segment without records.
    pub(super) fn lost(&mut self, index: u32, lost: u64) -> Result<(), WriteError<S::Error>> {
        if lost == 0 { Ok(()) } else { self.without_records(index, lost, 0) }
    }

    /// Writes the number of events left out of a segment.
    pub(super) fn left_out(&mut self, header: &SegmentHeader) -> Result<(), WriteError<S::Error>> {
        let left_out = counts_of_header(header, 0).count;
        self.stats.left_out_count += u64::from(left_out);
        self.without_records(header.index, header.lost, left_out)
    }

    fn without_records(&mut self, index: u32, lost: u64, left_out: u32) -> Result<(), WriteError<S::Error>> {
        let header = SegmentHeader {
            index,
            sequence: 0,
            lap: 0,
            mode: Mode::Exclusive,
            context: 0,
            base_ticks: 0,
            lost,
            offset_words: 0,
            count: 0,
            done: 0,
            owned: false,
            busy: false,
            closed: false,
            close_ticks: 0,
        };
        let (head, head_len) = segment_head(&header, &Walked::default(), CODEC_NONE, 0, 0);
        let mut more = [0; 8];
        let mut encoder = Encoder::new(Cursor::new(&mut more[..]));
        // Only if there are some: for a reader, a missing element means that there are none.
        let encoded = if left_out > 0 { encoder.u32(left_out).map(|_| ()) } else { Ok(()) };
        debug_assert!(encoded.is_ok(), "a header of at most 5 bytes");
        let more_len = encoder.writer().position();
        let mut head = head;
        head[0] += u8::from(left_out > 0); // the length of the array
        self.item(KIND_SEGMENT, &[&head[..head_len], &more[..more_len]])?;
        self.segment_items += 1;
        Ok(())
    }

    pub(super) fn end(mut self) -> Result<SnapshotStats, WriteError<S::Error>> {
        let mut body = [0; 24];
        let mut encoder = Encoder::new(Cursor::new(&mut body[..]));
        let counts = (self.stats.entry_count, self.segment_items);
        let encoded = encoder.array(2).and_then(|encoder| encoder.u64(counts.0)?.u64(counts.1)?.ok());
        debug_assert!(encoded.is_ok(), "three headers of at most 9 bytes");
        let len = encoder.writer().position();
        self.item(KIND_END, &[&body[..len]])?;
        self.stats.written_bytes = self.sink.written_bytes;
        Ok(self.stats)
    }
}

/// Divides the scratch buffer into a part for the codec and a part for withholding.
pub(super) fn split_scratch<'o, 's, E>(
    options: &SnapshotOptions<'o>,
    segment_len: usize,
    scratch: &'s mut [u8],
) -> Result<(&'s mut [u8], Option<Withholder<'o, 's>>), WriteError<E>> {
    let needed_bytes = options.scratch_len(segment_len);
    if scratch.len() < needed_bytes {
        return Err(WriteError::ScratchTooSmall { needed_bytes });
    }
    let Some(policy) = options.withhold else { return Ok((scratch, None)) };
    let (withholding, work) = scratch.split_at_mut(WITHHOLD_LEN);
    Ok((work, Some(Withholder::new(policy, withholding))))
}

/// Loads words into `scratch`, which has room for them, and returns their bytes.
fn load_words<'b>(words: &[Word], scratch: &'b mut [u8]) -> &'b [u8] {
    for (word, bytes) in words.iter().zip(scratch.chunks_exact_mut(8)) {
        // Acquire: in a shared segment a header word publishes the words after it.
        bytes.copy_from_slice(&word.load_acquire().to_le_bytes());
    }
    &scratch[..words.len() * 8]
}

/// Destination of CBOR: a trait object, so that the encoders are compiled once.
trait CborOut {
    fn put(&mut self, bytes: &[u8]) -> Result<(), ()>;
}

impl minicbor::encode::Write for &mut dyn CborOut {
    type Error = ();

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.put(bytes)
    }
}

/// Counts bytes.
struct Length(u32);

impl CborOut for Length {
    fn put(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.0 += bytes.len() as u32;
        Ok(())
    }
}

/// Adapter that encodes CBOR into the body of an item, and stores the sink's error.
struct Body<'i, 's, S: Sink> {
    item: &'i mut ItemWriter<'s, S>,
    error: Option<S::Error>,
}

impl<S: Sink> CborOut for Body<'_, '_, S> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.item.body(bytes).map_err(|error| self.error = Some(error))
    }
}

/// Sink adapter that counts bytes.
struct Counted<'s, S: Sink> {
    sink: &'s mut S,
    written_bytes: u64,
}

impl<S: Sink> Sink for Counted<'_, S> {
    type Error = S::Error;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), S::Error> {
        self.written_bytes += bytes.len() as u64;
        self.sink.write_all(bytes)
    }
}

/// The overhead of the frame is the same for every item.
const _: () = assert!(ITEM_OVERHEAD_LEN == 20);
