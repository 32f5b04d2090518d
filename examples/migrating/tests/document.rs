//! The programs in docs/migrating.md are those that are compiled.

use std::collections::BTreeSet;
use std::path::Path;

/// Path of the document from the root of the repository.
const DOCUMENT: &str = "docs/migrating.md";
/// Folders of the programs.
const PROGRAMS: [&str; 2] = ["examples/migrating/src/bin", "examples/firmware/migrating/src/bin"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(Path::parent).unwrap()
}

/// Returns each block of Rust code with the path that the line before it names: `<!-- PATH -->`.
fn blocks(document: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut lines = document.lines();
    let mut above = "";
    while let Some(line) = lines.next() {
        if line.starts_with("```rust") {
            let path = above.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
            let path = path.unwrap_or_else(|| panic!("above a block there is no path: {above:?}"));
            blocks.push((
                path,
                lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect(),
            ));
        }
        above = line;
    }
    blocks
}

/// Returns a program without the comment at its top.
fn program(path: &str) -> String {
    let source = std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    source
        .lines()
        .skip_while(|line| line.starts_with("//!") || line.is_empty())
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn document_shows_the_programs_as_they_are() {
    let document = std::fs::read_to_string(root().join(DOCUMENT)).unwrap();
    let blocks = blocks(&document);
    for (path, shown) in &blocks {
        let compiled = program(path);
        assert_eq!(*shown, compiled, "{DOCUMENT} does not show {path}; put this there:\n{compiled}");
    }
    let shown: BTreeSet<_> = blocks.iter().map(|(path, _)| (*path).to_owned()).collect();
    let files = PROGRAMS.iter().flat_map(|folder| {
        let entries = std::fs::read_dir(root().join(folder)).unwrap();
        entries.map(move |entry| format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap()))
    });
    assert_eq!(shown, files.collect::<BTreeSet<_>>());
}
