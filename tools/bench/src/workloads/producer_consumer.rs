//! producer_consumer: every block is freed by another thread than the one that allocated it.
//!
//! Blocks travel in batches over bounded channels, one for each consumer; producers serve the consumers in turn.
//!
//! Parameters: `steps` (blocks altogether), `producers`, `consumers`, `low` and `high` (sizes in bytes), `seed`.

use super::prelude::*;
use std::sync::mpsc::{self, Receiver, SyncSender};

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "producer_consumer",
    "messages between threads",
    &[
        Row::quick("1:1 16-256", "steps=6000000 producers=1 consumers=1 low=16 high=256 seed=1"),
        Row::new("3:1 16-256", "steps=6000000 producers=3 consumers=1 low=16 high=256 seed=1"),
        Row::new("1:3 16-256", "steps=6000000 producers=1 consumers=3 low=16 high=256 seed=1"),
        Row::new("1:1 1-8 KiB", "steps=1500000 producers=1 consumers=1 low=1024 high=8192 seed=1"),
    ],
    run,
);

/// Blocks that travel together.
pub type Batch = [Option<Block<Malloc>>; BATCH];

/// How many blocks travel together: enough that the channel costs little beside them.
pub const BATCH: usize = 64;

/// How many batches may be under way to one consumer.
pub const UNDER_WAY: usize = 16;

enum Part {
    Producer(Vec<SyncSender<Batch>>, Random),
    Consumer(Receiver<Batch>),
}

fn run(parameters: &Parameters, meter: &mut Meter) {
    let producers = parameters.get("producers");
    let batches = (parameters.get("steps") / BATCH as u64 / producers).max(1);
    let sizes = parameters.sizes();
    let channels = (0..parameters.get("consumers")).map(|_| mpsc::sync_channel::<Batch>(UNDER_WAY));
    let (senders, receivers): (Vec<_>, Vec<_>) = channels.unzip();
    let mut parts: Vec<Part> = receivers.into_iter().map(Part::Consumer).collect();
    for index in 0..producers {
        parts.push(Part::Producer(senders.clone(), Random::new(parameters.get("seed") + index)));
    }
    // What remains of the senders is the producers' own: consumers end when those have.
    drop(senders);

    run_together(meter, batches * producers * BATCH as u64, parts, |part| match part {
        Part::Producer(senders, mut random) => {
            for sender in senders.iter().cycle().take(batches as usize) {
                let batch = std::array::from_fn(|_| Some(Block::allocate(sizes.draw(&mut random))));
                sender.send(batch).expect("consumers outlive the producers");
            }
        }
        Part::Consumer(receiver) => {
            for batch in receiver {
                batch.into_iter().flatten().for_each(Block::release);
            }
        }
    });
}
