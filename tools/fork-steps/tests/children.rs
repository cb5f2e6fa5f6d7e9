//! A child that is forked while another thread is anywhere in a slow path of the allocator has a sound heap, and so has one that is
//! forked in a signal handler there.
//!
//! The program in the release profile does the work: what is stepped through is compiled as it ships.
//! `HAKMEM_FORK_STEPS=every-time` tries an instruction that is met again and again each time, which takes some minutes.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn program() -> PathBuf {
    // A test program is at <target>/<profile>/deps/<name>.
    let test = env::current_exe().expect("the path of this test program");
    let target = test.ancestors().nth(3).expect("a test program lies three levels below the target directory");
    let program = target.join("release/hakmem-fork-steps");
    assert!(program.exists(), "{}: `cargo build --release --workspace` makes it", program.display());
    program
}

fn children_made_by(way: &[&str]) {
    let mut run = Command::new(program());
    run.args(way);
    match env::var("HAKMEM_FORK_STEPS").ok().as_deref() {
        None | Some("") => {}
        Some("every-time") => _ = run.arg("--every-time"),
        Some(other) => panic!("HAKMEM_FORK_STEPS={other}: `every-time` or nothing"),
    }
    let output = run.output().expect("the program runs");
    let (said, warned) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "children made by {way:?}:\n{said}{warned}");
}

#[test]
fn a_child_of_fork_has_a_sound_heap_wherever_the_other_threads_were() {
    children_made_by(&["fork"]);
}

#[test]
fn a_child_that_no_handler_was_called_for_has_one_too() {
    children_made_by(&["clone"]);
}

#[test]
fn a_child_that_a_signal_handler_forks_goes_on_with_what_was_interrupted() {
    children_made_by(&["fork", "--in-handler"]);
}

#[test]
fn so_does_one_that_no_handler_was_called_for() {
    children_made_by(&["clone", "--in-handler"]);
}
