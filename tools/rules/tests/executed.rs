//! The fast path that is read off the disassembly is the one that runs: a call is stepped through and compared with it.
//!
//! # Safety
//! Calls functions of the C API of a library that stays loaded, with arguments they are made for.

use std::fs;
use std::ops::Range;
use std::path::Path;

use hakmem_rules::code::Code;
use hakmem_rules::entries::{Argument, ENTRIES, Entry, LIBRARY};
use hakmem_rules::golden::{Golden, print_jumps};
use hakmem_rules::path::{Jumps, fast_path, sides_taken};
use hakmem_rules::trace::{Function, Library, instructions};
use hakmem_rules::tree;

/// Calls made before the one that is traced: the first ones of a thread fill its bins.
const WARM_UP: usize = 100;

/// The addresses, as in the library's file, that one call executes in a thread that has been at work.
fn executed(code: &Code, library: &Library, entry: &Entry) -> Result<Vec<u64>, String> {
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
    let moved = function.address().wrapping_sub(start(code, entry)?);
    Ok(addresses.into_iter().map(|address| address.wrapping_sub(moved)).collect())
}

fn start(code: &Code, entry: &Entry) -> Result<u64, String> {
    code.symbol(entry.symbol).ok_or_else(|| format!("the library has no function {}", entry.symbol))
}

fn value(argument: Argument, malloc: Function) -> usize {
    match argument {
        Argument::Number(number) => number,
        // SAFETY: malloc takes any size.
        Argument::Block => unsafe { malloc.call(64, 0) },
    }
}

/// The addresses of the fast path that the golden file was made from.
fn predicted(code: &Code, entry: &Entry) -> Result<Vec<u64>, String> {
    let golden = fs::read_to_string(tree::root().join("tests/golden").join(entry.symbol).with_extension("txt"));
    let jumps = match golden.ok().map(|text| Golden::parse(&text)) {
        Some(golden) => golden?.jumps,
        None => Jumps::Found,
    };
    let way = fast_path(code, start(code, entry)?, &jumps, entry.goal);
    Ok(way.ok_or_else(|| format!("no way through {}", entry.symbol))?.iter().map(|step| step.address).collect())
}

fn problem(code: &Code, library: &Library, entry: &Entry) -> Result<(), String> {
    let (mut executed, predicted) = (executed(code, library, entry)?, predicted(code, entry)?);
    // What a called function does is its own affair; that there is a call the golden file says.
    let functions: Vec<Range<u64>> = predicted.iter().map(|address| code.function(*address)).collect();
    executed.retain(|address| functions.iter().any(|function| function.contains(address)));
    if executed == predicted {
        return Ok(());
    }
    let same = executed.iter().zip(&predicted).take_while(|(run, walked)| run == walked).count();
    Err(format!(
        "{}: {} instructions run, the golden file has {}; they part after {same}. The call that ran took jumps: {}",
        entry.symbol,
        executed.len(),
        predicted.len(),
        print_jumps(&sides_taken(code, &executed)),
    ))
}

#[test]
fn a_warm_call_runs_exactly_its_fast_path() {
    let path = LIBRARY.path().unwrap_or_else(|problem| panic!("{problem}"));
    let (code, library) = open(&path).unwrap_or_else(|problem| panic!("{problem}"));
    let problems: Vec<String> = ENTRIES.iter().filter_map(|entry| problem(&code, &library, entry).err()).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn open(path: &Path) -> Result<(Code, Library), String> {
    Ok((Code::read(path)?, Library::load(path).map_err(|problem| problem.to_string())?))
}
