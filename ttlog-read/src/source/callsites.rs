//! The callsites of a source, by id.

use super::callsite::SourceCallsite;

/// Ids per page.
const PAGE_LEN: usize = 256;

/// The callsites of a source, by id. Takes memory for the callsites that are there, whatever their ids.
#[derive(Debug, Default)]
pub struct Callsites<'a> {
    /// The callsites in the order of the table; `None` for one with contradicting definitions.
    list: Vec<Option<SourceCallsite<'a>>>,
    /// Place + 1 in `list` of each id, in pages; 0: there is none.
    pages: Vec<Option<Box<[u16; PAGE_LEN]>>>,
}

impl<'a> Callsites<'a> {
    /// Returns the callsite with this id, if the table defines it, and only in one way.
    #[must_use]
    pub fn get(&self, id: u16) -> Option<&SourceCallsite<'a>> {
        self.list.get(self.place(id)?)?.as_ref()
    }

    /// Returns whether the table defines this id in several ways.
    #[must_use]
    pub fn is_contradictory(&self, id: u16) -> bool {
        self.place(id).is_some_and(|place| self.list[place].is_none())
    }

    /// Returns an iterator over the callsites.
    pub fn iter(&self) -> impl Iterator<Item = &SourceCallsite<'a>> {
        self.list.iter().flatten()
    }

    /// Adds a callsite. If the id is already defined in another way, neither definition counts, and the result is
    /// `false`.
    pub(super) fn define(&mut self, callsite: SourceCallsite<'a>) -> bool {
        let id = callsite.info.id;
        if let Some(place) = self.place(id) {
            let is_same = self.list[place].as_ref().is_some_and(|known| known.info == callsite.info);
            if !is_same {
                self.list[place] = None;
            }
            return is_same;
        }
        let (page, slot) = (usize::from(id) / PAGE_LEN, usize::from(id) % PAGE_LEN);
        if self.pages.len() <= page {
            self.pages.resize(page + 1, None);
        }
        self.list.push(Some(callsite));
        // Ids are of 16 bits, and 0 is none of them.
        self.pages[page].get_or_insert_with(|| Box::new([0; PAGE_LEN]))[slot] = self.list.len() as u16;
        true
    }

    /// Returns the place of an id among [`places`](Self::places), if the table defines it.
    #[inline]
    pub(crate) fn place(&self, id: u16) -> Option<usize> {
        let page = self.pages.get(usize::from(id) / PAGE_LEN)?.as_ref()?;
        usize::from(page[usize::from(id) % PAGE_LEN]).checked_sub(1)
    }

    /// Returns an iterator over the callsites in their places; `None` for one with contradicting definitions.
    pub(crate) fn places(&self) -> impl Iterator<Item = Option<&SourceCallsite<'a>>> {
        self.list.iter().map(Option::as_ref)
    }
}
