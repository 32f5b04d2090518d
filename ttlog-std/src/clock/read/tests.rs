use std::process::Command;
use std::time::Instant;

use ttlog_core::TimeScale;

use super::super::choose;
use super::*;

#[test]
fn stated_rate_is_the_true_one() {
    let start = Instant::now();
    let clock = choose(false);
    assert!(start.elapsed() < Duration::from_millis(500), "calibration took {:?}", start.elapsed());
    let (_, ticks_0, time_0) = bracket(|| clock.precise_now(), Instant::now);
    std::thread::sleep(Duration::from_millis(50));
    let (_, ticks_1, time_1) = bracket(|| clock.precise_now(), Instant::now);
    let expected = (time_1 - time_0).as_secs_f64() * clock.ticks_per_second as f64;
    let error = ((ticks_1 - ticks_0) as f64 / expected - 1.0).abs();
    assert!(error < 1e-3, "{clock:?} is off by {error}");
}

#[test]
fn anchors_pair_with_the_wall_clock() {
    let clock = choose(false);
    let before = unix_ns_now();
    let anchor = clock.anchor();
    assert!((before..=unix_ns_now()).contains(&anchor.unix_ns));
    assert!(anchor.ticks <= clock.precise_now());
}

/// A reading between anchors a second apart is converted to within a microsecond of CLOCK_REALTIME.
#[test]
fn converted_time_is_the_wall_clock_to_a_microsecond_a_second() {
    let clock = choose(false);
    let (mut anchors, mut readings) = (vec![clock.anchor()], Vec::new());
    for second in 1..=3 {
        let end = Instant::now() + Duration::from_secs(1);
        while Instant::now() < end {
            readings.push((second, clock.reading()));
            std::thread::sleep(Duration::from_millis(2));
        }
        if second < 3 {
            anchors.push(clock.anchor());
        }
    }
    let scale = TimeScale::<64>::new(&anchors, clock.ticks_per_second);
    assert_eq!(scale.steps().count(), 0, "{anchors:?}");
    for (name, seconds) in [("between anchors", 1..=2), ("in the second after the last", 3..=3)] {
        let mut errors: Vec<u64> = readings
            .iter()
            .filter(|(second, _)| seconds.contains(second))
            .map(|(_, reading)| scale.unix_ns(reading.ticks).abs_diff(reading.unix_ns))
            .collect();
        errors.sort_unstable();
        let (count, at) = (errors.len(), |share: f64| errors[((errors.len() - 1) as f64 * share) as usize]);
        println!("{name}: {count} readings, error median {} ns, 90 % {} ns, most {} ns", at(0.5), at(0.9), at(1.0));
        assert!(count >= 50, "only {count} readings");
        // Readings that were interrupted between the two clocks are off by the interruption; most are not.
        assert!(at(0.5) <= 1000, "{name}: {errors:?}");
    }
}

#[test]
fn coarse_clock_goes_on_by_itself() {
    let clock = choose(true);
    assert_eq!(clock.name, "coarse");
    let before = COARSE.0.load(Ordering::Relaxed);
    assert!(before <= clock.precise_now());
    let deadline = Instant::now() + Duration::from_secs(5);
    while COARSE.0.load(Ordering::Relaxed) == before {
        assert!(Instant::now() < deadline, "the coarse clock stands");
        std::thread::sleep(Duration::from_millis(1));
    }
    stop_coarse();
}

#[test]
fn system_clock_stands_in_at_the_counter_s_rate() {
    let system = SystemTicks::new();
    assert_eq!(system.at(123), 123, "nanoseconds at first");
    system.stand_in(1_000_000, 500, 3_000_000_000);
    assert_eq!(system.at(500), 1_000_000);
    assert_eq!(system.at(1_500), 1_003_000);
    assert_eq!(system.at(400), 1_000_000, "never before the moment it began");
    assert_eq!(system.at(500 + 1_000_000_000_000), 1_000_000 + 3_000_000_000_000);
    system.stand_in(u64::MAX, 0, u64::MAX);
    let _ = system.at(u64::MAX); // does not panic
}

const CHILD: &str = "TTLOG_TEST_COUNTER_GIVEN_UP";

/// Runs itself in a new process, because a counter is given up permanently.
#[test]
fn counter_that_is_given_up_is_not_read_any_more() {
    if std::env::var_os(CHILD).is_none() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "clock::tests::counter_that_is_given_up_is_not_read_any_more"]).env(CHILD, "1");
        let output = child.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let clock = ClockInfo { name: "tsc", ticks_per_second: 2_000_000_000, from_counter: true };
    clock.activate();
    assert!(clock.reads_counter() && now_inline().is_some());
    // Far from whatever the counter shows.
    let ticks = u64::MAX / 2;
    give_counter_up(&clock, ticks, crate::sys::monotonic_ns());
    assert!(!clock.reads_counter() && now_inline().is_none());
    let (first, precise) = (now(), clock.precise_now());
    assert!((ticks..ticks + 120_000_000_000).contains(&first), "goes on from there: {first}");
    assert!(precise >= first);
    std::thread::sleep(Duration::from_millis(20));
    assert!(now() - first >= 40_000_000, "at the rate of the counter");
}

#[test]
fn tightest_try_wins() {
    let mut readings = [0, 100, 200, 204, 300, 400].into_iter().chain((5..).map(|n| n * 100));
    let mut n = 0;
    let found = bracket(
        || readings.next().unwrap(),
        || {
            n += 1;
            n
        },
    );
    assert_eq!(found, (4, 202, 2));
}
