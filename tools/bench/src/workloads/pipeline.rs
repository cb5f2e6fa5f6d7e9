//! pipeline: blocks pass through three threads; each stage frees what it got and allocates something of another size.
//!
//! Each thread frees other sizes than it allocates, and others free what it allocated: memory must flow back against
//! the direction of the data.
//!
//! Parameters: `steps` (blocks that enter), `first`, `second` and `third` (sizes in bytes that the stages allocate).

use super::prelude::*;
use super::producer_consumer::{BATCH, Batch, UNDER_WAY};
use std::sync::mpsc::{self, Receiver, SyncSender};

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "pipeline",
    "stages that read, parse and answer",
    &[
        Row::new("64>512>128", "steps=3000000 first=64 second=512 third=128"),
        Row::new("4096>48>1024", "steps=1000000 first=4096 second=48 third=1024"),
    ],
    run,
);

struct Stage {
    from: Option<Receiver<Batch>>,
    to: Option<SyncSender<Batch>>,
    size: usize,
}

fn run(parameters: &Parameters, meter: &mut Meter) {
    let batches = (parameters.get("steps") / BATCH as u64).max(1);
    let (to_second, from_first) = mpsc::sync_channel(UNDER_WAY);
    let (to_third, from_second) = mpsc::sync_channel(UNDER_WAY);
    let stages = vec![
        Stage { from: None, to: Some(to_second), size: parameters.size("first") },
        Stage { from: Some(from_first), to: Some(to_third), size: parameters.size("second") },
        Stage { from: Some(from_second), to: None, size: parameters.size("third") },
    ];
    run_together(meter, batches * BATCH as u64, stages, |stage| match stage.from {
        None => (0..batches).for_each(|_| pass(std::array::from_fn(|_| None), stage.size, stage.to.as_ref())),
        Some(from) => from.into_iter().for_each(|batch| pass(batch, stage.size, stage.to.as_ref())),
    });
}

/// Replaces the blocks of a batch by own ones and sends it on; the last stage frees them again.
fn pass(mut batch: Batch, size: usize, to: Option<&SyncSender<Batch>>) {
    for slot in &mut batch {
        let answer = Block::allocate(size);
        if let Some(block) = slot.replace(answer) {
            block.release();
        }
    }
    match to {
        Some(to) => to.send(batch).expect("a stage outlives the one before it"),
        None => batch.into_iter().flatten().for_each(Block::release),
    }
}
