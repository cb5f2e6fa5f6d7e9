//! What memory is held, given back and told of.

use crate::limits::with_header;
use crate::on_hakmem;
use hakmem_checks::{Program, Run, library};

#[test]
fn memory_given_back() {
    let program = Program::build("c/memory_given_back.c");
    for who in ["alone", "exited", "others"] {
        on_hakmem(&program.preloaded().arg(who));
    }
}

#[test]
fn memory_gaps() {
    let program = Program::build("c/memory_gaps.c");
    for when in ["trim", "idle"] {
        on_hakmem(&program.preloaded().arg(when));
    }
}

#[test]
fn memory_new_sizes() {
    let program = Program::build("c/memory_new_sizes.c");
    for huge_from in ["0", "32M"] {
        // Nothing goes back by the clock.
        let run = program.preloaded().env("HAKMEM_DECAY_MS", "3600000").env("HAKMEM_SCAVENGER", "0");
        on_hakmem(&run.env("HAKMEM_HUGE_FROM", huge_from));
    }
}

#[test]
fn idle_process_gives_back() {
    let program = Program::build("c/idle_process_gives_back.c");
    for who in ["owner", "other", "main"] {
        on_hakmem(&program.preloaded().arg(who));
    }
    // The test can tell: without the scavenger nothing goes back.
    on_hakmem(&program.preloaded().arg("kept").env("HAKMEM_SCAVENGER", "0"));
}

#[test]
fn idle_threads_come_back() {
    let program = Program::build("c/idle_threads_come_back.c");
    program.plain().arg("between").succeed();
    for place in ["between", "handler", "undeferred"] {
        on_hakmem(&program.preloaded().arg(place));
    }
}

/// Passes come often, so the threads are looked at all the time.
#[test]
fn descriptors_of_the_program() {
    let program = Program::build("c/descriptors_of_the_program.c");
    program.plain().succeed();
    on_hakmem(&program.preloaded().env("HAKMEM_DECAY_MS", "50"));
}

#[test]
fn idle_threads_with_handlers() {
    on_hakmem(&Program::build("c/idle_threads_with_handlers.c").preloaded());
}

#[test]
fn idle_in_handlers() {
    let program = Program::build("c/idle_in_handlers.c");
    for handler in ["plain", "once", "undeferred", "systemv", "itself", "unblocks", "alternate", "nested"] {
        on_hakmem(&program.preloaded().env("HAKMEM_DECAY_MS", "100").arg(handler).arg("100"));
    }
}

/// A heap that the scavenger must find takes part once enough is mapped for one.
#[test]
fn threads_late_heaps() {
    let program = Program::build_with("c/threads_late_heaps.c", &[&library().archive]);
    for end in ["hook", "raw"] {
        on_hakmem(&program.plain().arg(end));
    }
}

#[test]
fn threads_detached() {
    on_hakmem(&with_header("c/threads_detached.c").preloaded());
}

#[test]
fn idle_in_a_sandbox() {
    let program = Program::build("c/idle_in_a_sandbox.c");
    for when in ["early", "late"] {
        on_hakmem(&program.preloaded().arg(when));
    }
}

#[test]
fn memory_numbers() {
    let program = Program::build_with("c/memory_numbers.c", &[&library().archive]);
    // Nothing may change between two of its readings.
    on_hakmem(&program.plain().env("HAKMEM_SCAVENGER", "0"));
}

#[test]
fn memory_no_thrash() {
    let program = Program::build_with("c/memory_no_thrash.c", &[&library().archive]);
    let by_its_own_clock = |what| program.plain().env("HAKMEM_SCAVENGER", "0").arg(what);
    for what in ["medium", "large", "used", "small", "mixed"] {
        on_hakmem(&by_its_own_clock(what));
    }
    on_hakmem(&program.plain().arg("scavenged"));
    // The test can tell: without a decay every free of a large block is a call.
    let thrashing = by_its_own_clock("large").env("HAKMEM_DECAY_MS", "0").finish();
    assert!(thrashing.stderr.contains("kernel calls in"), "{thrashing}");
}

#[test]
fn memory_new_peak() {
    let program = Program::build_with("c/memory_new_peak.c", &[&library().archive]);
    on_hakmem(&program.plain().env("HAKMEM_DECAY_MS", "3600000").env("HAKMEM_SCAVENGER", "0"));
}

/// What a trivial program costs more than on the C library's malloc. The kernel maps a library's pages in groups whose bounds
/// differ from run to run with the library's place, by a tenth of the whole: so the mean of many runs counts.
#[test]
fn memory_small_start() {
    const RUNS: i64 = 60;
    let program = Program::build("c/memory_small_start.c");
    let kilobytes = |run: Run| {
        let runs = (0..RUNS).map(|_| {
            let outcome = on_hakmem(&run);
            let numbers = outcome.stdout.lines().last().expect("two lines").split_whitespace();
            let numbers = numbers.map(|number| number.parse::<i64>().expect("a number"));
            <[i64; 2]>::try_from(numbers.collect::<Vec<_>>()).expect("two numbers")
        });
        runs.fold([0, 0], |sums, run| [sums[0] + run[0], sums[1] + run[1]]).map(|sum| sum / RUNS)
    };
    // Mapped at the start or not until later: what is reserved counts for limits that the program sets on itself.
    for limit in ["true", "ulimit -v 200000"] {
        let [resident, size] = kilobytes(program.plain().after(limit));
        let [our_resident, our_size] = kilobytes(program.preloaded().after(limit));
        assert!(
            our_resident <= resident + 300,
            "{limit}: {our_resident} KB resident, {resident} KB on the C library's malloc"
        );
        assert!(our_size <= size + 40_000, "{limit}: {our_size} KB mapped, {size} KB on the C library's malloc");
    }
}

#[test]
fn worth_moving() {
    let program = Program::build_with("c/worth_moving.c", &[&library().archive]);
    for (size, order) in
        [("64", "in-order"), ("64", "shuffled"), ("2000", "shuffled"), ("0", "shuffled"), ("0", "of-another")]
    {
        on_hakmem(&program.plain().arg(size).arg(order));
    }
    // The scavenger at work on the same heap all the time changes no answer.
    on_hakmem(&program.plain().arg("0").arg("of-another").env("HAKMEM_DECAY_MS", "20"));
}
