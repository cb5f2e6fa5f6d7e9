//! Prints the statistics: as a table for people, as JSON for programs.

use super::{Big, Row, RowKind, rows, totals};
use core::fmt::{self, Write};
use hakmem_os::process;

impl fmt::Display for RowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RowKind::Block(size) => size.fmt(f),
            RowKind::Big(Big::Medium) => f.pad("medium"),
            RowKind::Big(Big::Large) => f.pad("large"),
        }
    }
}

/// A number of bytes with a unit, printed in eleven columns.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, shift) = match self.0 {
            0..10_240 => return write!(f, "{:>9} B", self.0),
            10_240..10_485_760 => ("KiB", 10),
            10_485_760..10_737_418_240 => ("MiB", 20),
            _ => ("GiB", 30),
        };
        write!(f, "{:>5}.{} {unit}", self.0 >> shift, ((self.0 & ((1 << shift) - 1)) * 10) >> shift)
    }
}

/// The counts of a row, with their names in JSON.
fn counts(row: &Row) -> [(&'static str, u64); 9] {
    [
        ("allocations", row.allocations),
        ("frees", row.frees),
        ("from_list", row.from_list),
        ("from_bump", row.from_bump),
        ("refills", row.refills),
        ("spans_taken", row.spans_taken),
        ("spans_retired", row.spans_retired),
        ("remote_sent", row.remote_sent),
        ("remote_received", row.remote_received),
    ]
}

/// Writes the statistics to `out` as a table.
pub fn table(out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "HAKMEM {} statistics of process {}", env!("CARGO_PKG_VERSION"), process::id())?;
    for (name, value, meaning) in totals().entries() {
        if name.ends_with("_bytes") {
            writeln!(out, "  {name:<18}{}   {meaning}", Bytes(value))?;
        } else {
            writeln!(out, "  {name:<18}{value:>11}   {meaning}")?;
        }
    }
    writeln!(
        out,
        "  {:>7} {:>12} {:>12} {:>11} {:>11} {:>9} {:>7} {:>7} {:>9} {:>9} {:>11}",
        "size",
        "allocated",
        "freed",
        "from list",
        "from bump",
        "refills",
        "spans",
        "retired",
        "sent",
        "received",
        "live"
    )?;
    for (kind, row) in rows().filter(|(_, row)| row.allocations != 0) {
        writeln!(
            out,
            "  {kind:>7} {:>12} {:>12} {:>11} {:>11} {:>9} {:>7} {:>7} {:>9} {:>9} {}",
            row.allocations,
            row.frees,
            row.from_list,
            row.from_bump,
            row.refills,
            row.spans_taken,
            row.spans_retired,
            row.remote_sent,
            row.remote_received,
            Bytes(row.live_bytes),
        )?;
    }
    Ok(())
}

/// Writes the statistics to `out` as one line of JSON.
pub fn json(out: &mut dyn Write) -> fmt::Result {
    write!(out, "{{\"version\":\"{}\",\"pid\":{},\"totals\":{{", env!("CARGO_PKG_VERSION"), process::id())?;
    for (at, (name, value, _)) in totals().entries().enumerate() {
        write!(out, "{}\"{name}\":{value}", if at == 0 { "" } else { "," })?;
    }
    write!(out, "}},\"classes\":[")?;
    for (at, (kind, row)) in rows().filter(|(_, row)| row.allocations != 0).enumerate() {
        let quote = if matches!(kind, RowKind::Big(_)) { "\"" } else { "" };
        write!(out, "{}{{\"size\":{quote}{kind}{quote}", if at == 0 { "" } else { "," })?;
        for (name, value) in counts(&row) {
            write!(out, ",\"{name}\":{value}")?;
        }
        write!(out, ",\"live\":{}}}", row.allocations.wrapping_sub(row.frees))?;
    }
    writeln!(out, "]}}")
}
