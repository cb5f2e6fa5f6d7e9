//! The threads that carry out steps: the thread that runs the program, and others that are started when they are
//! needed.

use crate::program::{Step, WORKERS};
use crate::world::World;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

type Answer = Result<(), Box<dyn Any + Send>>;

struct Worker {
    orders: Sender<Step>,
    answers: Receiver<Answer>,
    thread: JoinHandle<()>,
    /// Steps that were given and are not answered yet.
    waiting: usize,
}

/// The workers of one program.
pub struct Crew {
    world: Arc<World>,
    others: [Option<Worker>; WORKERS - 1],
}

impl Crew {
    pub fn new(world: &Arc<World>) -> Crew {
        Crew { world: world.clone(), others: [const { None }; WORKERS - 1] }
    }

    /// Gives a step to its worker; with `wait` it is carried out when this returns.
    pub fn give(&mut self, step: &Step, wait: bool) {
        let Some(place) = step.worker.checked_sub(1) else { return self.world.perform(step) };
        let worker = self.others[place].get_or_insert_with(|| Worker::start(&self.world));
        worker.orders.send(*step).expect("the worker lives");
        worker.waiting += 1;
        if wait {
            worker.wait();
        }
    }

    /// Waits until all steps that were given are carried out.
    pub fn wait_for_all(&mut self) {
        self.others.iter_mut().flatten().for_each(Worker::wait);
    }

    /// Ends a worker's thread.
    pub fn dismiss(&mut self, worker: usize) {
        if let Some(worker) = worker.checked_sub(1).and_then(|place| self.others[place].take()) {
            worker.end();
        }
    }

    /// Ends all threads.
    pub fn dismiss_all(&mut self) {
        (0..WORKERS).for_each(|worker| self.dismiss(worker));
    }
}

impl Worker {
    fn start(world: &Arc<World>) -> Worker {
        let (orders, received) = channel::<Step>();
        let (answer, answers) = channel();
        let world = world.clone();
        let thread = thread::spawn(move || {
            for step in received {
                // A panic is sent as an answer, so that no thread waits for an answer that never comes.
                let done = catch_unwind(AssertUnwindSafe(|| world.perform(&step)));
                answer.send(done).expect("somebody listens");
            }
        });
        Worker { orders, answers, thread, waiting: 0 }
    }

    fn wait(&mut self) {
        while self.waiting != 0 {
            self.waiting -= 1;
            if let Err(panic) = self.answers.recv().expect("the worker answers") {
                resume_unwind(panic);
            }
        }
    }

    fn end(mut self) {
        self.wait();
        drop(self.orders);
        // Only this waits for the thread's last destructors, which put its heap back into the pool.
        self.thread.join().expect("the worker ends");
    }
}
