//! Golden files: the fast path of one function as it was when somebody last looked and found it good.

use std::fmt::Write;

use crate::path::{Jumps, Step, Way};

/// Most instructions that allocate a small block.
pub const TO_ALLOCATE: usize = 15;
/// Most instructions that free one. It is five more than a page map in one piece would need, for the second level: such a map
/// is a reservation of 16.5 GiB, which counts where a program limits itself and is filled where it locks its memory.
pub const TO_FREE: usize = 21;
/// Most instructions that free one whose size is said. They compare it with the sizes that the block's class is for, since an object
/// that is deleted as one of another class of objects is the misuse of C++ that no other check would see.
pub const TO_FREE_SIZED: usize = TO_FREE + 5;
/// How many more they may be where they notice misuse.
pub const MISUSE_CHECKS: usize = 2;

/// How to write the golden files anew.
pub const BLESS: &str = "BLESS=1 cargo test -p hakmem-rules --test fast_path";

/// One golden file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Golden {
    /// The library checks for misuse on the fast path, and may spend `MISUSE_CHECKS` on it.
    pub misuse_checks: bool,
    /// Offences this path is known to commit.
    pub allows: Vec<String>,
    /// Which way to walk.
    pub jumps: Jumps,
    /// The instructions, from entry to return.
    pub instructions: Vec<String>,
}

impl Default for Golden {
    fn default() -> Golden {
        Golden { misuse_checks: false, allows: Vec::new(), jumps: Jumps::Found, instructions: Vec::new() }
    }
}

impl Golden {
    /// Reads a golden file.
    pub fn parse(text: &str) -> Result<Golden, String> {
        let mut golden = Golden::default();
        let mut count: Option<usize> = None;
        for (line, number) in text.lines().zip(1..) {
            let problem = |right: &str| format!("line {number}: `{line}`: {right}");
            if line.starts_with('#') || line.is_empty() {
                continue;
            } else if let Some(instruction) = line.strip_prefix("    ") {
                golden.instructions.push(instruction.to_string());
                continue;
            }
            let (key, value) =
                line.split_once(": ").ok_or_else(|| problem("neither `key: value` nor an instruction"))?;
            match (key, value) {
                ("misuse-checks", "yes" | "no") => golden.misuse_checks = value == "yes",
                ("misuse-checks", _) => return Err(problem("misuse-checks is yes or no")),
                ("allows", _) => golden.allows = value.split(", ").map(String::from).collect(),
                ("jumps", _) => golden.jumps = parse_jumps(value).ok_or_else(|| problem(JUMPS))?,
                ("instructions", _) => count = value.parse().ok(),
                _ => return Err(problem("the keys are misuse-checks, allows, jumps and instructions")),
            }
        }
        match count {
            Some(count) if count == golden.instructions.len() => Ok(golden),
            _ => {
                Err(format!("`instructions:` does not say {}, the number of lines below it", golden.instructions.len()))
            }
        }
    }

    /// The text of the golden file of `symbol`.
    pub fn print(&self, symbol: &str) -> String {
        let mut text =
            format!("# The fast path of {symbol}, entry to return, in the library as built.\n# Written by: {BLESS}\n");
        let checks = if self.misuse_checks { "yes" } else { "no" };
        let _ = writeln!(text, "misuse-checks: {checks}");
        if !self.allows.is_empty() {
            let _ = writeln!(text, "allows: {}", self.allows.join(", "));
        }
        let _ = writeln!(text, "jumps: {}\ninstructions: {}", print_jumps(&self.jumps), self.instructions.len());
        for instruction in &self.instructions {
            let _ = writeln!(text, "    {instruction}");
        }
        text
    }

    /// Most instructions there may be, where there may be `without_checks` in a library that does not check for misuse.
    pub fn limit(&self, without_checks: usize) -> usize {
        without_checks + if self.misuse_checks { MISUSE_CHECKS } else { 0 }
    }

    /// This file with the instructions of `way`.
    pub fn with(&self, way: &Way) -> Golden {
        Golden { instructions: way.iter().map(|step| step.text.clone()).collect(), ..self.clone() }
    }

    /// What is wrong with `way`, if anything: forbidden instructions, growth, or more than `limit` instructions. Where
    /// there is a limit, nothing forbidden is allowed either.
    pub fn problem(&self, symbol: &str, way: &Way, limit: Option<usize>) -> Option<String> {
        let count = way.len();
        let allowed = |offence: &&str| limit.is_none() && self.allows.iter().any(|allowed| allowed == offence);
        let mut offences: Vec<&str> = way.iter().filter_map(|step| step.offence).filter(|one| !allowed(one)).collect();
        offences.dedup();
        let complaint = match limit {
            _ if !offences.is_empty() => format!("has {}", offences.join(", ")),
            Some(limit) if count > limit => format!("takes {count} instructions, at most {limit} are allowed"),
            _ if count > self.instructions.len() => {
                let before = self.instructions.len();
                format!("has grown from {before} to {count} instructions; if that is meant, run: {BLESS}")
            }
            _ => return None,
        };
        Some(format!("the fast path of {symbol} {complaint}\n{}", self.side_by_side(way)))
    }

    /// The golden and the present instructions in two columns.
    fn side_by_side(&self, way: &Way) -> String {
        let mut text = format!("  {:3} {:34} {:34}\n", "", "golden", "now");
        for at in 0..way.len().max(self.instructions.len()) {
            let golden = self.instructions.get(at).map_or("", String::as_str);
            let now = way.get(at).map_or("", |step: &Step| step.text.as_str());
            let offence =
                way.get(at).and_then(|step| step.offence).map_or(String::new(), |what| format!("  <- {what}"));
            let _ = writeln!(text, "  {:3} {golden:34} {now:34}{offence}", at + 1);
        }
        text
    }
}

const JUMPS: &str = "jumps is `found`, or one letter for each conditional jump: t taken, f falls through";

/// As in a golden file: `found`, or the sides to take.
pub fn print_jumps(jumps: &Jumps) -> String {
    match jumps {
        Jumps::Found => "found".to_string(),
        Jumps::Given(sides) => sides.iter().map(|taken| if *taken { "t" } else { "f" }).collect::<Vec<_>>().join(" "),
    }
}

fn parse_jumps(value: &str) -> Option<Jumps> {
    if value == "found" {
        return Some(Jumps::Found);
    }
    let side = |letter| match letter {
        "t" => Some(true),
        "f" => Some(false),
        _ => None,
    };
    value.split_whitespace().map(side).collect::<Option<Vec<bool>>>().map(Jumps::Given)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(texts: &[&str]) -> Way {
        texts.iter().map(|text| Step { address: 0, text: text.to_string(), offence: None }).collect()
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for jumps in [Jumps::Found, Jumps::Given(vec![true, false])] {
            let allows = vec!["a call".into(), "a stack frame".into()];
            let golden =
                Golden { misuse_checks: true, allows, jumps, instructions: vec!["mov r64, imm".into(), "ret".into()] };
            assert_eq!(Golden::parse(&golden.print("malloc")), Ok(golden));
        }
    }

    #[test]
    fn bad_files_are_refused_with_the_line() {
        for (text, part) in [
            ("instructions: 2\n    ret\n", "does not say 1"),
            ("misuse-checks: maybe\n", "line 1"),
            ("# x\njumps: t n\n", "line 2"),
            ("colour: red\n", "keys are"),
            ("ret\n", "neither"),
        ] {
            let problem = Golden::parse(text).expect_err(text);
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }

    #[test]
    fn growth_is_a_problem_and_shrinking_is_not() {
        let golden = Golden { instructions: vec!["nop".into(), "ret".into()], ..Golden::default() };
        assert_eq!(golden.problem("malloc", &way(&["ret"]), Some(TO_ALLOCATE)), None);
        assert_eq!(golden.problem("malloc", &way(&["inc r64", "ret"]), Some(TO_ALLOCATE)), None);
        let problem = golden.problem("malloc", &way(&["nop", "nop", "ret"]), None).expect("grown");
        assert!(problem.contains("from 2 to 3") && problem.contains(BLESS), "{problem}");
    }

    #[test]
    fn the_limit_holds_even_for_a_blessed_file_and_is_wider_with_checks() {
        let long = way(&["nop"; TO_FREE + MISUSE_CHECKS]);
        let golden = Golden::default().with(&long);
        assert!(golden.problem("free", &long, Some(golden.limit(TO_FREE))).is_some());
        let checked = Golden { misuse_checks: true, ..golden };
        assert_eq!(checked.problem("free", &long, Some(checked.limit(TO_FREE))), None);
        assert!(checked.problem("malloc", &long, Some(checked.limit(TO_ALLOCATE))).is_some());
    }

    #[test]
    fn a_forbidden_instruction_is_a_problem_even_when_blessed() {
        let mut bad = way(&["call label", "ret"]);
        bad[0].offence = Some("a call");
        let problem = Golden::default().with(&bad).problem("malloc", &bad, None).expect("a call");
        assert!(problem.contains("has a call") && problem.contains("<- a call"), "{problem}");
        let lenient = Golden { allows: vec!["a call".into()], ..Golden::default().with(&bad) };
        assert_eq!(lenient.problem("realloc", &bad, None), None);
        assert!(lenient.problem("malloc", &bad, Some(TO_ALLOCATE)).is_some());
    }
}
