//! Data received in pieces: the ring, in words; callsites and compressed segments, in parts.

use std::collections::BTreeMap;

use ttlog_core::device::frame::Part;
use ttlog_core::ring::RingImage;

/// Bytes of the ring that are stored together.
const PAGE_LEN: usize = 4096;

/// An item received in parts.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) bytes: Vec<u8>,
    /// Whether each byte was received.
    came: Vec<bool>,
}

impl Whole {
    /// Adds a part. If the parts disagree on the length, starts over.
    pub(super) fn take(&mut self, part: &Part<'_>) {
        if self.bytes.len() != usize::from(part.total) {
            self.bytes = vec![0; part.total.into()];
            self.came = vec![false; part.total.into()];
        }
        let range = usize::from(part.position)..usize::from(part.position) + part.bytes.len();
        self.bytes[range.clone()].copy_from_slice(part.bytes);
        self.came[range].fill(true);
    }

    /// Returns the bytes if all were received.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        self.came.iter().all(|&came| came).then_some(&self.bytes)
    }
}

/// A page of a ring.
#[derive(Debug)]
struct Page {
    bytes: [u8; PAGE_LEN],
    /// Whether each word was received.
    came: [bool; PAGE_LEN / 8],
}

/// The received pages of a ring.
#[derive(Debug, Default)]
pub(super) struct Pages(BTreeMap<usize, Box<Page>>);

impl Pages {
    /// Stores bytes at their offset; both are whole words.
    pub(super) fn store(&mut self, offset: usize, data: &[u8]) {
        for (index, word) in data.chunks_exact(8).enumerate() {
            let at = offset + index * 8;
            let page = self
                .0
                .entry(at / PAGE_LEN)
                .or_insert_with(|| Box::new(Page { bytes: [0; PAGE_LEN], came: [false; PAGE_LEN / 8] }));
            let place = at % PAGE_LEN;
            page.bytes[place..place + 8].copy_from_slice(word);
            page.came[place / 8] = true;
        }
    }

    /// Discards the words that lie completely within a range.
    pub(super) fn forget(&mut self, start: usize, end: usize) {
        let (start, end) = (start.next_multiple_of(8), end / 8 * 8);
        for (index, page) in self.0.range_mut(start / PAGE_LEN..end.div_ceil(PAGE_LEN)) {
            let first = index * PAGE_LEN;
            let (from, to) = (start.max(first) - first, end.min(first + PAGE_LEN).saturating_sub(first));
            if from < to {
                page.bytes[from..to].fill(0);
                page.came[from / 8..to / 8].fill(false);
            }
        }
    }

    /// Returns the length of segments, if the ring's header was received.
    pub(super) fn segment_len(&self) -> Option<usize> {
        let first = self.0.get(&0)?;
        RingImage::parse(&first.bytes).ok().map(|image| image.header().segment_len as usize)
    }

    pub(super) fn came_words(&self) -> impl Iterator<Item = usize> {
        self.0.iter().flat_map(|(index, page)| {
            let came = page.came.iter().enumerate().filter(|(_, came)| **came);
            came.map(move |(word, _)| index * (PAGE_LEN / 8) + word)
        })
    }

    /// Returns the bytes up to `len`, or up to the last one received, and the missing ranges.
    pub(super) fn ring(&self, len: usize) -> (Vec<u8>, Vec<(usize, usize)>) {
        let mut missing = Vec::new();
        let mut end = 0;
        for word in self.came_words() {
            if word * 8 > end {
                missing.push((end, word * 8 - end));
            }
            end = word * 8 + 8;
        }
        if len > end {
            missing.push((end, len - end));
        }
        let mut bytes = vec![0; len.max(end)];
        for (index, page) in &self.0 {
            let rest = bytes.get_mut(index * PAGE_LEN..).unwrap_or_default();
            let len = rest.len().min(PAGE_LEN);
            rest[..len].copy_from_slice(&page.bytes[..len]);
        }
        (bytes, missing)
    }
}
