//! Plugins: libraries that are loaded, log into the program's recorder, and are unloaded, again and again.
#![cfg(target_os = "linux")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use common::{Place, Snapshot, finish, stderr};
use ttlog_core::{Item, RingImage, SegmentState, TableItem};
use ttlog_std::{PluginHandle, Recorder, debug, info};

/// Builds the plugin in the same way as this test, and returns its path.
fn plugin() -> &'static Path {
    static PLUGIN: OnceLock<PathBuf> = OnceLock::new();
    PLUGIN.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--offline", "--message-format=json", "--package", "ttlog-std", "--example", "plugin"])
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let output = cargo.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let messages = String::from_utf8(output.stdout).unwrap();
        let end = "libplugin.so";
        let at = messages.find(&format!("{end}\"")).unwrap_or_else(|| panic!("no plugin in {messages}"));
        let start = messages[..at].rfind('"').unwrap() + 1;
        PathBuf::from(&messages[start..at + end.len()])
    })
}

/// Makes a plugin that differs from the built one only in the texts of its events, so that its callsites and texts have
/// the same addresses if it is loaded at the same address.
fn other_plugin(path: &Path) {
    let mut bytes = std::fs::read(plugin()).unwrap();
    let (from, to) = (b"plugin one", b"plugin two");
    let mut changed = 0;
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
            changed += 1;
        }
    }
    assert!(changed >= 5, "the texts of {changed} events");
    std::fs::write(path, bytes).unwrap();
}

/// A plugin, unloaded when dropped.
struct Plugin(*mut c_void);

// SAFETY: its functions can be called from any thread.
unsafe impl Sync for Plugin {}

impl Plugin {
    fn load(path: &Path) -> Plugin {
        let path = CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: a path that ends with a zero; loading the library only runs the initializers of Rust's runtime.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!library.is_null(), "{}", dl_error());
        Plugin(library)
    }

    fn symbol(&self, name: &CStr) -> *mut c_void {
        // SAFETY: the library is loaded, and the name ends with a zero.
        let symbol = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!symbol.is_null(), "{}", dl_error());
        symbol
    }

    /// Returns the load address.
    fn base(&self) -> usize {
        // SAFETY: zero is a valid value of pointers.
        let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
        // SAFETY: `info` is writable.
        assert_ne!(unsafe { libc::dladdr(self.symbol(c"plugin_work"), &raw mut info) }, 0);
        info.dli_fbase.addr()
    }

    fn start(&self, handle: PluginHandle) -> u32 {
        // SAFETY: the function has this type.
        let start: unsafe extern "C" fn(PluginHandle) -> u32 =
            unsafe { std::mem::transmute(self.symbol(c"plugin_start")) };
        // SAFETY: the handle is of this process, and each test stops the plugin before it drops it.
        unsafe { start(handle) }
    }

    fn work(&self, count: u32) {
        // SAFETY: the function has this type.
        let work: extern "C" fn(u32) = unsafe { std::mem::transmute(self.symbol(c"plugin_work")) };
        work(count);
    }

    fn stop(&self) {
        // SAFETY: the function has this type.
        let stop: extern "C" fn() = unsafe { std::mem::transmute(self.symbol(c"plugin_stop")) };
        stop();
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        // SAFETY: it was loaded once per value, and nothing uses it anymore.
        assert_eq!(unsafe { libc::dlclose(self.0) }, 0, "{}", dl_error());
    }
}

fn dl_error() -> String {
    // SAFETY: null, or a text that is valid until the next call, which comes after it was copied.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "no error".to_owned();
    }
    // SAFETY: as above.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Returns whether a library is mapped.
fn is_mapped(path: &Path) -> bool {
    std::fs::read_to_string("/proc/self/maps").unwrap().contains(path.to_str().unwrap())
}

/// Maps a page, so that nothing is loaded there from now on.
fn occupy(address: usize) {
    let (flags, wanted) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, std::ptr::without_provenance_mut(address));
    // SAFETY: a new mapping, which does not replace another.
    let page = unsafe { libc::mmap(wanted, 4096, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(page, libc::MAP_FAILED);
}

/// Returns the number of events of each message.
fn counts(recorder: &Recorder) -> BTreeMap<String, usize> {
    let path = recorder.request_snapshot("plugins").wait().unwrap();
    let mut counts = BTreeMap::new();
    for event in Snapshot::read(&path).events {
        *counts.entry(event.message).or_insert(0) += 1;
    }
    std::fs::remove_file(path).unwrap();
    counts
}

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    let recorder =
        Recorder::builder().capacity_bytes(8 << 20).snapshot_throttle(std::time::Duration::ZERO).build().unwrap();
    let paths = std::env::var("TTLOG_TEST_PLUGINS").unwrap();
    let [one, two] = *paths.split('|').map(Path::new).collect::<Vec<_>>() else { panic!("{paths}") };
    match case.as_str() {
        "levels" => {
            let plugin = Plugin::load(one);
            plugin.work(1);
            assert_eq!(plugin.start(recorder.plugin_handle()), 0);
            let mut expected = BTreeMap::new();
            let mut work = |filter: &str, on: &[(&str, usize)]| {
                recorder.set_filter(filter).unwrap();
                plugin.work(10);
                for (message, per_round) in on {
                    *expected.entry((*message).to_owned()).or_insert(0) += per_round * 10;
                }
            };
            let all = [
                ("plugin one debug", 1),
                ("plugin one info", 1),
                ("plugin one core", 1),
                ("plugin one error", 1),
                ("plugin one generic", 2),
            ];
            work("trace", &all);
            work("info", &all[1..]);
            work("error", &[("plugin one error", 1)]);
            work("trace,plugin=off", &[]);
            work("off,plugin=info", &all[1..]);
            work("trace", &all);
            assert_eq!(plugin.start(recorder.plugin_handle()), 2);
            plugin.stop();
            work("trace", &[]);
            assert_eq!(plugin.start(recorder.plugin_handle()), 0);
            work("debug", &all);
            plugin.stop();
            assert_eq!(counts(&recorder), expected);
        }
        "threads" => {
            let plugin = Plugin::load(one);
            assert_eq!(plugin.start(recorder.plugin_handle()), 0);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for number in 0..100 {
                            info!("host", number);
                            plugin.work(1);
                        }
                    });
                }
            });
            plugin.stop();
            let counts = counts(&recorder);
            assert_eq!(counts["host"], 400);
            assert_eq!((counts["plugin one info"], counts["plugin one generic"]), (400, 800));
            println!("RING {}", recorder.ring_path().unwrap().display());
        }
        "cycles" => {
            let mut bases = [BTreeSet::new(), BTreeSet::new()];
            let mut loaded_elsewhere = 0;
            for cycle in 0..100 {
                let which = cycle % 2;
                let plugin = Plugin::load([one, two][which]);
                let base = plugin.base();
                loaded_elsewhere += usize::from(bases[which].insert(base));
                assert_eq!(plugin.start(recorder.plugin_handle()), 0);
                plugin.work(5);
                debug!("between", cycle);
                plugin.stop();
                drop(plugin);
                assert!(!is_mapped([one, two][which]), "it was really unloaded");
                // A pointer into the plugin would now cause a fault.
                recorder.set_filter(["trace", "debug"][which]).unwrap();
                if cycle % 20 == 19 {
                    occupy(base);
                }
            }
            assert!(loaded_elsewhere >= 4, "always at the same address, so this shows too little");
            assert!(!bases[0].is_disjoint(&bases[1]), "one was never where the other had been, so this shows nothing");
            let counts = counts(&recorder);
            for name in ["one", "two"] {
                for (message, per_round) in [("debug", 1), ("info", 1), ("core", 1), ("error", 1), ("generic", 2)] {
                    assert_eq!(counts[&format!("plugin {name} {message}")], 50 * 5 * per_round, "{name} {message}");
                }
            }
            assert_eq!(counts["between"], 100);
            println!("RING {}", recorder.ring_path().unwrap().display());
        }
        "refused" => {
            let plugin = Plugin::load(two);
            let good = recorder.plugin_handle();
            for word in 0..2 {
                // SAFETY: the handle is three words, the last of which is not changed.
                let mut words: [u64; 3] = unsafe { std::mem::transmute(good) };
                words[word] ^= 1 << 40;
                // SAFETY: as above.
                assert_eq!(plugin.start(unsafe { std::mem::transmute::<[u64; 3], PluginHandle>(words) }), 1);
                plugin.work(1);
            }
            assert_eq!(counts(&recorder), BTreeMap::new());
            plugin.stop();
        }
        "ended" => {
            let plugin = Plugin::load(one);
            assert_eq!(plugin.start(recorder.plugin_handle()), 0);
            plugin.work(1);
            assert!(recorder.shutdown());
            plugin.work(1);
            plugin.stop();
        }
        other => panic!("unknown case {other}"),
    }
    assert_eq!(recorder.loss().dropped_total(), 0, "{:?}", recorder.loss());
}

fn run(test: &str, case: &str) -> (Place, String) {
    let place = Place::new(&format!("plugins-{test}"));
    let other = place.path().join("libother.so");
    other_plugin(&other);
    let mut command = place.child(case);
    command.env("TTLOG_TEST_PLUGINS", format!("{}|{}", plugin().display(), other.display()));
    let output = finish(command);
    assert!(output.status.success(), "{case}: {:?}\n{}", output.status, stderr(&output));
    (place, stderr(&output))
}

#[test]
fn levels_of_the_program_hold_in_a_plugin() {
    run("levels", "levels");
}

#[test]
fn threads_have_one_number_in_program_and_plugin() {
    let (place, _) = run("threads", "threads");
    let bytes = std::fs::read(&place.ring_files()[0]).unwrap();
    let image = RingImage::parse(&bytes).unwrap();
    let mut contexts = BTreeMap::new();
    for index in 0..image.header().segment_count {
        let SegmentState::Valid(segment) = image.segment(index) else { continue };
        for item in segment.items() {
            if let Item::Context(who) = item {
                let known = *contexts.entry(who.context).or_insert(who.os_thread_id);
                assert_eq!(known, who.os_thread_id, "context {} stands for two threads", who.context);
            }
        }
    }
    let threads: BTreeSet<_> = contexts.values().collect();
    assert_eq!((contexts.len(), threads.len()), (4, 4), "{contexts:?}");
}

#[test]
fn plugins_loaded_and_unloaded_a_hundred_times() {
    let (place, _) = run("cycles", "cycles");
    let bytes = std::fs::read(&place.ring_files()[0]).unwrap();
    let image = RingImage::parse(&bytes).unwrap();
    let callsites =
        image.entries().filter(|entry| matches!(TableItem::decode(entry.bytes), Ok(TableItem::Callsite(_))));
    // Five callsites of each plugin, one of them with two lists of types; one of the program, and two of panics.
    assert_eq!(callsites.count(), 15, "each is in the table once");
}

#[test]
fn handles_of_another_build_are_refused() {
    let (_, told) = run("refused", "refused");
    assert!(
        told.contains("plugin: not a plugin handle") && told.contains("plugin: program and plugin were built"),
        "{told}"
    );
}

#[test]
fn plugin_outlives_the_end_of_recording() {
    run("ended", "ended");
}
