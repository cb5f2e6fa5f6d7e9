//! Bytes as operations on the allocator: the interpreter behind the fuzz target, and behind the test that replays its
//! corpus.
//!
//! Any string of bytes is a [`Program`]. [`run`] carries it out with a few threads and checks that blocks do not
//! overlap, that they are aligned, long enough and zero where that was asked for, that they keep their contents, that a
//! call returns null only where memory may be used up, and that `errno` says so. Whenever no thread is in the
//! allocator, the validator, the census and the statistics must agree. At the end of each program nothing may be left.
//!
//! The kernel is a fake that passes calls on to the real one. Programs turn its clock and make calls fail.

mod blocks;
mod calls;
mod crew;
mod fake;
mod program;
mod settings;
mod world;

pub use program::{Program, Step};

use crew::Crew;
use program::Op;
use std::sync::{Arc, Mutex};
use world::World;

/// The process has one allocator, so one program runs at a time. After a program failed, its remains would make every
/// later one fail.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs a program. Panics where the allocator breaks a rule. `before` is called with each step before it is carried
/// out.
pub fn run_telling(program: &Program, before: impl Fn(&Step)) {
    let _alone = ONE_AT_A_TIME.lock().expect("the program before this one ended well");
    let world = Arc::new(World::new(program.free_running));
    let mut crew = Crew::new(&world);
    for step in &program.steps {
        before(step);
        match step.op {
            Op::Check => {
                crew.wait_for_all();
                world.check();
            }
            Op::Leave => crew.dismiss(step.worker),
            _ => crew.give(step, !program.free_running),
        }
    }
    crew.wait_for_all();
    world.check();
    crew.dismiss_all();
    world.finish();
}

/// Runs a program. Panics where the allocator breaks a rule.
pub fn run(program: &Program) {
    run_telling(program, |_| {});
}
