//! Destinations of events: text, JSON, counts, and any future format.

use std::io;

use ttlog_read::timeline::{Entry, Event, Mark, Timeline};

/// Receives the contents of a timeline in order: its sources, then its events with the marks between them, then the
/// end.
pub trait EventSink {
    /// Receives the source with this index.
    ///
    /// # Errors
    /// Returns an error if writing fails.
    fn source(&mut self, timeline: &Timeline<'_, '_>, index: usize) -> io::Result<()> {
        let _ = (timeline, index); // most forms have no place for it
        Ok(())
    }

    /// Receives a mark that precedes the next event.
    ///
    /// # Errors
    /// Returns an error if writing fails.
    fn mark(&mut self, timeline: &Timeline<'_, '_>, mark: &Mark) -> io::Result<()> {
        let _ = (timeline, mark); // most forms have no place for it
        Ok(())
    }

    /// Notes that no more marks come before the next event.
    fn before_event(&mut self, timeline: &Timeline<'_, '_>) {
        let _ = timeline; // most forms have nothing to say there
    }

    /// Receives an event without its values and returns `true`; `false` if the values are needed.
    fn takes_unread(&mut self, timeline: &Timeline<'_, '_>, entry: &Entry) -> bool {
        let _ = (timeline, entry); // most forms need the values
        false
    }

    /// Receives an event.
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
