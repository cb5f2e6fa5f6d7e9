//! What code may not say where, as far as neither the compiler nor its lints see it: each rule is a pattern over neighbouring
//! tokens.
//!
//! The compiler refuses `std`, `alloc` and printing in the crates inside malloc: they are `no_std`, and a library with a panic
//! handler of its own takes no second one and no allocator. The lints of scripts/inside-malloc refuse what panics by design,
//! except assertions in the methods of a trait, and calls that lead back into malloc. The lint `unsafe_code` cannot be opened for one
//! file: what `mod.rs` allows it allows the whole folder.

use crate::Breach;
use crate::source::{Source, Token, texts};

/// Places that go to the CPU without asking hakmem-os.
pub fn platform(source: &Source) -> Vec<Breach> {
    find(source, &source.tokens.iter().collect::<Vec<_>>(), |words, at| match words[at..] {
        ["asm" | "global_asm" | "naked_asm", "!", ..] => Some("assembly belongs in hakmem-os".into()),
        ["core" | "std", "::", "arch", ..] => Some("CPU intrinsics belong in hakmem-os".into()),
        [word, ..] if is_target(word) => Some(format!("`{word}`: code for one platform belongs in hakmem-os")),
        _ => None,
    })
}

fn is_target(word: &str) -> bool {
    const KEYS: [&str; 10] =
        ["abi", "arch", "endian", "env", "family", "feature", "has_atomic", "os", "pointer_width", "vendor"];
    word.strip_prefix("target_").is_some_and(|key| KEYS.contains(&key))
}

/// Assertions outside of tests and constants.
pub fn assertions(source: &Source) -> Vec<Breach> {
    const MACROS: [&str; 3] = ["assert", "assert_eq", "assert_ne"];
    let tokens: Vec<&Token> = source.shipped().into_iter().filter(|token| !token.constant).collect();
    find(source, &tokens, |words, at| match words[at..] {
        [name, "!", ..] if MACROS.contains(&name) => {
            Some(format!("`{name}!` panics; use `debug_assert!`, a `const` proof, or return a value that says so"))
        }
        _ => None,
    })
}

/// Foreign functions declared beside hakmem-os.
pub fn foreign_blocks(source: &Source) -> Vec<Breach> {
    find(source, &source.tokens.iter().collect::<Vec<_>>(), |words, at| match words[at..] {
        ["extern", abi, "{", ..] if abi.starts_with('"') => {
            Some("foreign functions are declared in hakmem-os; call that crate".into())
        }
        _ => None,
    })
}

/// Unsafe code in a file that may have none.
pub fn no_unsafe(source: &Source) -> Vec<Breach> {
    find(source, &source.tokens.iter().collect::<Vec<_>>(), |words, at| {
        (words[at] == "unsafe").then(|| "no unsafe here: policy is data and pure functions".into())
    })
}

/// Unsafe code in a file that does not say so at its top.
pub fn announced_unsafe(source: &Source) -> Option<Breach> {
    let first = source.tokens.iter().find(|token| token.text == "unsafe")?;
    let announced = source.docs.iter().any(|doc| doc.text == "# Safety");
    (!announced).then(|| Breach {
        file: source.path.clone(),
        line: first.line,
        message: "unsafe code in a file without a `//! # Safety` heading at its top that says what makes it sound"
            .into(),
    })
}

/// Runs `rule` at every token.
fn find(source: &Source, tokens: &[&Token], rule: impl Fn(&[&str], usize) -> Option<String>) -> Vec<Breach> {
    let words = texts(tokens);
    let all = (0..words.len()).filter_map(|at| {
        let message = rule(&words, at)?;
        Some(Breach { file: source.path.clone(), line: tokens[at].line, message })
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn parse(text: &str) -> Source {
        Source::parse(Path::new("a.rs"), text, &[], false)
    }

    /// The lines that `rule` complains about.
    fn lines(rule: impl Fn(&Source) -> Vec<Breach>, text: &str) -> Vec<usize> {
        rule(&parse(text)).iter().map(|breach| breach.line).collect()
    }

    #[test]
    fn every_way_to_the_platform_is_found() {
        let text =
            "use core::arch::asm;\nfn f() { asm!(\"ret\") }\n#[cfg(target_os = \"linux\")]\nfn g() { libc::abort() }\n
            #[target_feature(enable = \"avx\")] fn h() { let target = 1; }";
        assert_eq!(lines(platform, text), [1, 2, 3, 6]);
    }

    #[test]
    fn assertions_are_found_where_they_ship_and_run() {
        let text = "impl Drop for A { fn drop(&mut self) {\nassert!(x);\nassert_eq!(x, y)\n} }\nmacro_rules! m { () => { assert_ne!(x, y) } }";
        assert_eq!(lines(assertions, text), [2, 3, 5]);
        let text = "const _: () = assert!(A < B); #[cfg(test)] fn t() { assert!(x) } fn f() { debug_assert!(x); const { assert!(x) } }";
        assert_eq!(lines(assertions, text), [0; 0]);
    }

    #[test]
    fn foreign_blocks_are_told_from_foreign_functions() {
        assert_eq!(lines(foreign_blocks, "extern \"C\" fn f() {}\nunsafe extern \"C\" { fn g(); }"), [2]);
    }

    #[test]
    fn unsafe_code_has_to_be_announced() {
        assert_eq!(lines(no_unsafe, "fn f() {}\nunsafe fn g() {}"), [2]);
        assert_eq!(announced_unsafe(&parse("//! A file.\nunsafe fn f() {}")).map(|breach| breach.line), Some(2));
        assert_eq!(announced_unsafe(&parse("//! A file.\n//!\n//! # Safety\n//! Sound.\nunsafe fn f() {}")), None);
        assert_eq!(announced_unsafe(&parse("#![deny(unsafe_op_in_unsafe_fn)]\n// unsafe\nfn f() {}")), None);
    }
}
