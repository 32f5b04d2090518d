//! ttlog-std has its own copy of the front ends, because `$crate` in a `macro_rules!` is the crate that defines it. The
//! copies must differ only in the name of their crate.

use std::fs;
use std::path::Path;

#[test]
fn copies_agree() {
    let read = |name: &str| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../{name}/src/macros.rs"));
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    let core = read("ttlog-core");
    assert_eq!(core.matches("#[macro_export]").count(), 19);
    assert_eq!(core.replace("ttlog_core", "ttlog_std"), read("ttlog-std"));
}
