//! Links the programs that log with defmt as such, at the level trace.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for program in ["defmt_events", "defmt_only"] {
        println!("cargo::rustc-link-arg-bin={program}=-Tdefmt.x");
    }
    println!("cargo::rustc-env=DEFMT_LOG=trace");
}
