//! The programs of docs/migrating.md are in `src/bin`, each before and after. Tests run them, and compare them with
//! the document.
