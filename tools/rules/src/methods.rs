//! The methods that a file defines, and those it calls: a call of a method names no module, but uses the one that defines it.
//!
//! Methods go by their names alone, since nothing here knows types.

use crate::source::{Source, Token, texts};

/// Methods of the standard library and of hakmem-os that bear the name of one of ours.
const OTHERS: [&str; 7] = ["is_empty", "iter", "len", "load", "store", "take", "try_lock"];

/// One call of a method in shipped code.
#[derive(Debug, PartialEq, Eq)]
pub struct Call {
    /// The method's name.
    pub name: String,
    /// The line, from 1.
    pub line: usize,
}

/// The names of the methods that a file defines in shipped code.
pub fn defined(source: &Source) -> Vec<String> {
    let tokens = source.shipped();
    let words = texts(&tokens);
    let is_method = |at: usize| {
        let opens = words[at..].iter().position(|word| *word == "(").map_or(words.len(), |open| at + open + 1);
        let first = words[opens..].iter().take_while(|word| !matches!(**word, ":" | "," | ")"));
        words[at] == "fn" && first.last() == Some(&"self")
    };
    let names = (0..words.len()).filter(|&at| words[at] == "fn" && is_method(at));
    let names = names.filter_map(|at| words.get(at + 1)).filter(|name| !OTHERS.contains(*name));
    names.map(|name| name.to_string()).collect()
}

/// The methods that a file calls in shipped code.
pub fn called(source: &Source) -> Vec<Call> {
    let tokens = source.shipped();
    let call = |three: &[&Token]| match three {
        [dot, name, after] if dot.text == "." && matches!(after.text.as_str(), "(" | "::") => {
            Some(Call { name: name.text.clone(), line: name.line })
        }
        _ => None,
    };
    tokens.windows(3).filter_map(call).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn parse(text: &str) -> Source {
        Source::parse(Path::new("a.rs"), text, &[], false)
    }

    #[test]
    fn methods_are_told_from_functions() {
        let text = "fn f(x: u8) {} impl A { fn new() -> A {} fn a(&self) {} fn b<T: C>(&'a mut self, x: u8) {} fn c(self: &Self) {}
            const fn d(mut self) {} fn len(&self) {} } #[cfg(test)] impl A { fn e(&self) {} } fn g(of: u8, other: fn(u8)) {}";
        assert_eq!(defined(&parse(text)), ["a", "b", "c", "d"]);
    }

    #[test]
    fn calls_are_found_with_their_lines() {
        let found =
            called(&parse("fn f() { x.a()\n.b::<C>(1); x.field; A::c(x); d() }\n#[cfg(test)] fn t() { x.e() }"));
        let found: Vec<_> = found.iter().map(|call| (call.name.as_str(), call.line)).collect();
        assert_eq!(found, [("a", 1), ("b", 2)]);
    }
}
