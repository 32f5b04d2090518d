//! Where events go: text, JSON, counts, and whatever form comes next.

use std::io;

use ttlog_read::timeline::{Entry, Event, Mark, Timeline};

/// Takes what a timeline holds, in order: its sources, then its events with the marks between them, then the end.
pub trait EventSink {
    /// Takes the source of this index.
    ///
    /// # Errors
    /// Returns an error if writing fails.
    fn source(&mut self, timeline: &Timeline<'_, '_>, index: usize) -> io::Result<()> {
        let _ = (timeline, index); // most forms have no place for it
        Ok(())
    }

    /// Takes what is to be said before the next event.
    ///
    /// # Errors
    /// Returns an error if writing fails.
    fn mark(&mut self, timeline: &Timeline<'_, '_>, mark: &Mark) -> io::Result<()> {
        let _ = (timeline, mark); // most forms have no place for it
        Ok(())
    }

    /// Takes note that no more marks come before the next event.
    fn before_event(&mut self, timeline: &Timeline<'_, '_>) {
        let _ = timeline; // most forms have nothing to say there
    }

    /// Takes an event without its values, if those are not needed, and returns whether it did.
    fn takes_unread(&mut self, timeline: &Timeline<'_, '_>, entry: &Entry) -> bool {
        let _ = (timeline, entry); // most forms need the values
        false
    }

    /// Takes an event.
    ///
    /// # Errors
    /// Returns an error if writing fails.
    fn event(&mut self, event: &Event<'_, '_>) -> io::Result<()>;

    /// Ends the output.
    ///
    /// # Errors
    /// Returns an error if writing fails.
    fn end(&mut self, timeline: &Timeline<'_, '_>) -> io::Result<()>;
}
