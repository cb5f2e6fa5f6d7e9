//! Spans: one to eight slabs cut into blocks of one class, or the slabs of one medium block.

mod link;
mod index;
mod pages;
mod marks;
mod descriptor;
mod list;
mod holes;

pub use descriptor::{Chain, Refusal, Span};
pub use index::{index_in, may_begin_at};
pub use link::{next_of, set_next};
pub use list::SpanList;
pub use pages::{Pages, runs};
