//! tree_churn: build binary trees node by node, walk them, drop them; some live on while others come and go.
//!
//! Parameters: `steps` (trees), `depth`, `kept` (trees that live on, replaced in turn).
//!
//! # Safety
//! Nodes are placed in blocks of their size, and taken out once, when the block is freed.

use super::prelude::*;
use std::hint::black_box;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "tree_churn",
    "syntax trees and documents",
    &[Row::quick("depth 10", "steps=2000 depth=10 kept=50"), Row::new("depth 17", "steps=12 depth=17 kept=3")],
    run::<Malloc>,
)
.with_ceiling(run::<Ceiling>);

/// What lies in a block: the two subtrees and something to walk over.
struct Node<S: Source> {
    children: Option<(Block<S>, Block<S>)>,
    value: u64,
}

fn run<S: Source>(parameters: &Parameters, meter: &mut Meter) {
    let (trees, depth) = (parameters.get("steps"), parameters.get("depth"));
    let mut kept: Vec<Option<Block<S>>> = (0..parameters.get("kept")).map(|_| None).collect();

    meter.start();
    for (slot, _) in (0..kept.len()).cycle().zip(0..trees) {
        let tree = build::<S>(depth);
        black_box(sum(&tree));
        if let Some(old) = kept[slot].replace(tree) {
            drop_tree(old);
        }
    }
    kept.into_iter().flatten().for_each(drop_tree);
    meter.stop(trees * (2 << depth));
}

fn build<S: Source>(depth: u64) -> Block<S> {
    let node = Block::<S>::allocate(size_of::<Node<S>>());
    let children = (depth > 0).then(|| (build::<S>(depth - 1), build::<S>(depth - 1)));
    // SAFETY: the block has the size of a node, and allocators align such blocks to 16 bytes.
    unsafe { node.address().cast::<Node<S>>().write(Node { children, value: depth }) };
    node
}

fn sum<S: Source>(tree: &Block<S>) -> u64 {
    // SAFETY: `build` put a node there, which stays until `drop_tree`.
    let node = unsafe { tree.address().cast::<Node<S>>().as_ref() };
    node.value + node.children.as_ref().map_or(0, |(left, right)| sum(left) + sum(right))
}

fn drop_tree<S: Source>(tree: Block<S>) {
    // SAFETY: `build` put a node there; it is taken out once, because the block is consumed.
    let node = unsafe { tree.address().cast::<Node<S>>().read() };
    tree.release();
    if let Some((left, right)) = node.children {
        drop_tree(left);
        drop_tree(right);
    }
}
