//! The fast path that is read off the disassembly is the one that runs: a call is stepped through and compared with it.
//!
//! # Safety
//! Calls functions of the C API of a library that stays loaded, with arguments they are made for.

use std::fs;
use std::path::Path;

use hakmem_rules::code::Code;
use hakmem_rules::entries::{Argument, ENTRIES, Entry, library};
use hakmem_rules::golden::Golden;
use hakmem_rules::path::{Jumps, fast_path};
use hakmem_rules::trace::{Function, Library, instructions};
use hakmem_rules::tree;

/// Calls made before the one that is traced: the first ones of a thread fill its bins.
const WARM_UP: usize = 100;

/// The offsets from the function's start that one call executes in a thread that has been at work.
fn executed(library: &Library, entry: &Entry) -> Result<Vec<u64>, String> {
    let find = |name| library.function(name).map_err(|problem| problem.to_string());
    let (function, malloc, free) = (find(entry.symbol)?, find("malloc")?, find("free")?);
    let prepare = || {
        for _ in 0..WARM_UP {
            // SAFETY: malloc takes any size; free is given what malloc returned.
            unsafe { free.call(malloc.call(64, 0), 0) };
        }
        entry.arguments.each_ref().map(|argument| value(*argument, malloc)).into()
    };
    let addresses = instructions(function, prepare).map_err(|problem| format!("{}: {problem}", entry.symbol))?;
    Ok(addresses.into_iter().map(|address| address.wrapping_sub(function.address())).collect())
}

fn value(argument: Argument, malloc: Function) -> usize {
    match argument {
        Argument::Number(number) => number,
        // SAFETY: malloc takes any size.
        Argument::Block => unsafe { malloc.call(64, 0) },
    }
}

/// The offsets from the function's start of the fast path as the golden file was made from it.
fn predicted(code: &Code, entry: &Entry) -> Result<Vec<u64>, String> {
    let golden = fs::read_to_string(tree::root().join("tests/golden").join(entry.symbol).with_extension("txt"));
    let jumps = match golden.ok().map(|text| Golden::parse(&text)) {
        Some(golden) => golden?.jumps,
        None => Jumps::Found,
    };
    let start = code.export(entry.symbol).ok_or_else(|| format!("the library does not export {}", entry.symbol))?;
    let way = fast_path(code, start, &jumps, entry.wanted).ok_or_else(|| format!("no way through {}", entry.symbol))?;
    Ok(way.iter().map(|step| step.address.wrapping_sub(start)).collect())
}

fn problem(code: &Code, library: &Library, entry: &Entry) -> Result<(), String> {
    let (executed, predicted) = (executed(library, entry)?, predicted(code, entry)?);
    if executed == predicted {
        return Ok(());
    }
    let same = executed.iter().zip(&predicted).take_while(|(now, golden)| now == golden).count();
    Err(format!(
        "{}: {} instructions run, {} are on the fast path; they part after instruction {same}, at offset {:#x}",
        entry.symbol,
        executed.len(),
        predicted.len(),
        executed[same.saturating_sub(1)],
    ))
}

#[test]
fn a_warm_call_runs_exactly_its_fast_path() {
    let path = library().unwrap_or_else(|problem| panic!("{problem}"));
    let (code, library) = open(&path).unwrap_or_else(|problem| panic!("{problem}"));
    let problems: Vec<String> = ENTRIES.iter().filter_map(|entry| problem(&code, &library, entry).err()).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn open(path: &Path) -> Result<(Code, Library), String> {
    Ok((Code::read(path)?, Library::load(path).map_err(|problem| problem.to_string())?))
}
