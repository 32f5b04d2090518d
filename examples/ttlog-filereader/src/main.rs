//! Prints the warnings and errors in the files that the command line names: `ttlog-filereader crash.bin`.

use ttlog_read::text::escape::escaped;
use ttlog_read::{Query, Secrets, Timeline};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let inputs = ttlog_read::open(&names);
    for line in inputs.errors.iter().chain(&inputs.remarks) {
        eprintln!("{line}");
    }
    let sources = inputs.sources(&Secrets::default())?;
    let query = Query { filter: "level>=WARN".parse()?, ..Query::default() };
    let mut timeline = Timeline::read(&sources, &query, &mut ());
    let mut events = timeline.events();
    while let Some(event) = events.next_event() {
        let level = event.level().map_or("?", |level| level.as_str());
        println!("{level} {}", escaped(&event.message()));
        for (name, value) in event.fields() {
            println!("  {} = {value}", escaped(name));
        }
    }
    Ok(())
}
