use super::*;

const MS: u64 = 1_000_000;
/// Three ticks a nanosecond.
const RATE: u64 = 3_000_000_000;
const START_UNIX_NS: i64 = 1_700_000_000_000_000_000;
const START_TICKS: u64 = 1 << 40;

/// Clocks that are read every 100 ms while various things happen to them.
struct Machine {
    now: Reading,
    watch: StepWatch,
}

impl Machine {
    fn new() -> Self {
        let now = Reading {
            ticks: START_TICKS,
            width_ticks: 300,
            unix_ns: START_UNIX_NS,
            monotonic_ns: 70_000 * MS,
            raw_ns: 69_000 * MS,
            boot_ns: 90_000 * MS,
        };
        Machine { now, watch: StepWatch::new(now, RATE) }
    }

    /// Advances all clocks, the recording clock at `ppm` from its rate, the slewed ones at `slewed_ppm` from theirs.
    fn pass(&mut self, ms: u64, ppm: i64, slewed_ppm: i64) {
        let off = |value: u64, ppm: i64| value.checked_add_signed(value as i64 / 1_000_000 * ppm).unwrap();
        let slewed_ns = off(ms * MS, slewed_ppm);
        self.now.ticks += off(ms * MS * 3, ppm);
        self.now.unix_ns += slewed_ns as i64;
        self.now.monotonic_ns += slewed_ns;
        self.now.raw_ns += ms * MS;
        self.now.boot_ns += slewed_ns;
    }

    /// Advances the clocks by 100 ms and reads them.
    fn look(&mut self) -> Finding {
        self.pass(100, 0, 0);
        self.watch.look(self.now, true)
    }
}

fn anchor(ticks: u64, unix_ns: i64) -> Anchor {
    Anchor { ticks, unix_ns }
}

#[test]
fn quiet_clocks_are_steady() {
    let mut machine = Machine::new();
    for _ in 0..1000 {
        assert_eq!(machine.look(), Finding::Steady);
    }
}

#[test]
fn clock_set_forth_and_back_is_a_step_once() {
    for step_ns in [3_600_000_000_000_i64, -3_600_000_000_000, 2_000_000, -2_000_000] {
        let mut machine = Machine::new();
        machine.look();
        machine.now.unix_ns += step_ns;
        let finding = machine.look();
        let (ticks, unix_ns) = (START_TICKS + 600 * MS, START_UNIX_NS + 200_000_000);
        assert_eq!(
            finding,
            Finding::Step { before: anchor(ticks - 1, unix_ns), after: anchor(ticks, unix_ns + step_ns) },
            "by {step_ns} ns"
        );
        assert_eq!(machine.look(), Finding::Steady);
    }
}

#[test]
fn slewing_is_no_step() {
    // As the kernel slews, and as fast as chrony does; the measured rate is also off by 100 ppm.
    for slewed_ppm in [500, -500, 83_333, -83_333] {
        let mut machine = Machine::new();
        for _ in 0..100 {
            machine.pass(100, 100, slewed_ppm);
            assert_eq!(machine.watch.look(machine.now, true), Finding::Steady, "{slewed_ppm} ppm");
        }
    }
    // The watch did not run for ten minutes.
    let mut machine = Machine::new();
    machine.pass(600_000, -100, 500);
    assert_eq!(machine.watch.look(machine.now, true), Finding::Steady);
}

#[test]
fn less_than_a_millisecond_is_left_to_interpolation() {
    let mut machine = Machine::new();
    machine.now.unix_ns += 900_000;
    assert_eq!(machine.look(), Finding::Steady);
}

#[test]
fn sleep_with_a_counter_that_goes_on_is_steady() {
    let mut machine = Machine::new();
    let hour_ns = 3_600_000 * MS;
    machine.now.ticks += 3 * hour_ns;
    machine.now.boot_ns += hour_ns;
    machine.now.unix_ns += hour_ns as i64;
    assert_eq!(machine.look(), Finding::Steady);
    assert_eq!(machine.look(), Finding::Steady);
}

#[test]
fn sleep_with_a_counter_that_stands_is_a_step() {
    for from_counter in [true, false] {
        let mut machine = Machine::new();
        let hour_ns = 3_600_000 * MS;
        machine.now.boot_ns += hour_ns;
        machine.now.unix_ns += hour_ns as i64;
        machine.pass(100, 0, 0);
        let (ticks, unix_ns) = (START_TICKS + 300 * MS, START_UNIX_NS + 100_000_000);
        assert_eq!(
            machine.watch.look(machine.now, from_counter),
            Finding::Step { before: anchor(ticks - 1, unix_ns), after: anchor(ticks, unix_ns + hour_ns as i64) }
        );
        assert_eq!(machine.look(), Finding::Steady);
    }
}

#[test]
fn sleep_in_which_the_clock_is_set_too_is_a_step() {
    let mut machine = Machine::new();
    let hour_ns = 3_600_000 * MS;
    machine.now.ticks += 3 * hour_ns;
    machine.now.boot_ns += hour_ns;
    machine.now.unix_ns += hour_ns as i64 + 5_000_000_000;
    match machine.look() {
        Finding::Step { before, after } => assert_eq!(after.unix_ns - before.unix_ns, 5_000_000_000),
        other => panic!("{other:?}"),
    }
}

#[test]
fn counter_that_stands_goes_back_or_jumps_is_wrong() {
    let last_good = anchor(START_TICKS + 300 * MS, START_UNIX_NS + 100_000_000);
    let expected = START_TICKS + 600 * MS;
    let cases: [(&str, i64, u64); 5] = [
        ("stands", -300 * MS as i64, expected),
        ("starts anew after sleep", -(START_TICKS as i64), expected),
        ("goes back a little", -310 * MS as i64, expected),
        ("falls behind", -30 * MS as i64, expected),
        ("jumps forward", 3_000_000 * MS as i64, expected + 3_000_000 * MS),
    ];
    for (what, off_ticks, goes_on_from) in cases {
        let mut machine = Machine::new();
        assert_eq!(machine.look(), Finding::Steady);
        machine.now.ticks = machine.now.ticks.checked_add_signed(off_ticks).unwrap();
        let found = machine.look();
        assert_eq!(found, Finding::CounterWrong { ticks: goes_on_from, last_good }, "{what}");
        // The stand-in continues from there.
        machine.now.ticks = goes_on_from + 300 * MS;
        machine.now.unix_ns += 100_000_000;
        machine.now.monotonic_ns += 100 * MS;
        machine.now.raw_ns += 100 * MS;
        machine.now.boot_ns += 100 * MS;
        assert_eq!(machine.watch.look(machine.now, false), Finding::Steady, "{what}");
    }
}

#[test]
fn counter_of_another_rate_is_wrong() {
    // Moved to a machine whose counter is 10 % slower.
    let mut machine = Machine::new();
    machine.pass(100, -100_000, 0);
    assert!(matches!(machine.watch.look(machine.now, true), Finding::CounterWrong { .. }));
}

#[test]
fn the_system_clock_is_never_called_wrong() {
    let mut machine = Machine::new();
    machine.now.raw_ns += 50_000 * MS;
    machine.pass(100, 0, 0);
    assert_eq!(machine.watch.look(machine.now, false), Finding::Steady);
}

#[test]
fn reading_that_took_long_is_believed_less() {
    let mut machine = Machine::new();
    // The thread lost its processor for 20 ms, between the two readings of the counter and before all others.
    machine.now.width_ticks = 60 * MS;
    machine.now.ticks -= 30 * MS;
    assert_eq!(machine.look(), Finding::Steady);
    // The next reading was not interrupted.
    machine.now.width_ticks = 300;
    machine.now.ticks += 30 * MS;
    assert_eq!(machine.look(), Finding::Steady);
    machine.now.ticks -= 30 * MS;
    assert!(matches!(machine.look(), Finding::CounterWrong { .. }), "the same without a doubt");
}

#[test]
fn absurd_readings_do_no_harm() {
    let wild = |n: u64, unix_ns| Reading { ticks: n, width_ticks: n, unix_ns, monotonic_ns: n, raw_ns: n, boot_ns: n };
    for rate in [0, 1, RATE] {
        for a in [wild(0, i64::MIN), wild(u64::MAX, i64::MAX), wild(1, 0)] {
            for b in [wild(0, i64::MAX), wild(u64::MAX, i64::MIN), wild(2, 0)] {
                for from_counter in [false, true] {
                    let _ = StepWatch::new(a, rate).look(b, from_counter); // does not panic
                }
            }
        }
    }
}
