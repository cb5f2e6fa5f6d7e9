//! What code may not say where: each rule is a pattern over neighbouring tokens.

use crate::Breach;
use crate::source::{Source, Token, texts};

/// Places that go to the CPU, the kernel or libc without asking hakmem-os.
pub fn platform(source: &Source, libc_too: bool) -> Vec<Breach> {
    find(source, &source.tokens.iter().collect::<Vec<_>>(), |words, at| match words[at..] {
        ["asm" | "global_asm" | "naked_asm", "!", ..] => Some("assembly belongs in hakmem-os".into()),
        ["core" | "std", "::", "arch", ..] => Some("CPU intrinsics belong in hakmem-os".into()),
        ["libc", ..] if libc_too => Some("libc belongs in hakmem-os; call that crate".into()),
        [word, ..] if is_target(word) => Some(format!("`{word}`: code for one platform belongs in hakmem-os")),
        _ => None,
    })
}

fn is_target(word: &str) -> bool {
    const KEYS: [&str; 10] =
        ["abi", "arch", "endian", "env", "family", "feature", "has_atomic", "os", "pointer_width", "vendor"];
    word.strip_prefix("target_").is_some_and(|key| KEYS.contains(&key))
}

/// Places that would allocate, or bring in a library that does.
pub fn allocation(source: &Source) -> Vec<Breach> {
    find(source, &source.shipped(), |words, at| match words[at..] {
        ["extern", "crate", "alloc", ..] => Some("the allocator cannot use `alloc`: it would call itself".into()),
        ["std", ..] => Some("the allocator cannot use `std`: it would call itself; use `core`".into()),
        _ => None,
    })
}

/// Places that panic by design.
pub fn panics(source: &Source) -> Vec<Breach> {
    const ON_NOTHING: [&str; 4] = ["unwrap", "expect", "unwrap_err", "expect_err"];
    const MACROS: [&str; 7] = ["panic", "todo", "unimplemented", "unreachable", "assert", "assert_eq", "assert_ne"];
    let tokens: Vec<&Token> = source.shipped().into_iter().filter(|token| !token.constant).collect();
    find(source, &tokens, |words, at| match words[at..] {
        ["." | "::", name, ..] if ON_NOTHING.contains(&name) => {
            Some(format!("`{name}` panics; handle the other case, malloc has no caller that could catch it"))
        }
        [name, "!", ..] if MACROS.contains(&name) => {
            Some(format!("`{name}!` panics; use `debug_assert!`, a `const` proof, or return a value that says so"))
        }
        _ => None,
    })
}

/// Places that print or read the environment.
pub fn surroundings(source: &Source) -> Vec<Breach> {
    find(source, &source.shipped(), |words, at| match words[at..] {
        [name @ ("print" | "println" | "eprint" | "eprintln" | "dbg"), "!", ..] => {
            Some(format!("`{name}!` writes to a stream that may call malloc; use hakmem-os"))
        }
        [name @ ("getenv" | "secure_getenv" | "environ"), ..] => {
            Some(format!("`{name}`: the environment is read once, at start, by hakmem-os"))
        }
        _ => None,
    })
}

/// Calls of libc functions that the library itself exports, or that call one of those.
pub fn own_exports(source: &Source) -> Vec<Breach> {
    const EXPORTED: [&str; 12] = [
        "malloc",
        "calloc",
        "realloc",
        "free",
        "memalign",
        "aligned_alloc",
        "posix_memalign",
        "reallocarray",
        "malloc_usable_size",
        "strdup",
        "dlopen",
        "getline",
    ];
    find(source, &source.shipped(), |words, at| match words[at..] {
        ["libc", "::", name, ..] if EXPORTED.contains(&name) => {
            Some(format!("`libc::{name}` leads back into malloc; call the core's own function"))
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
        // A pattern may start at the dot that ends the line before.
        let line = tokens[if words[at] == "." { at + 1 } else { at }].line;
        Some(Breach { file: source.path.clone(), line, message })
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
        assert_eq!(lines(|source| platform(source, true), text), [1, 2, 3, 4, 6]);
        assert_eq!(lines(|source| platform(source, false), text), [1, 2, 3, 6]);
    }

    #[test]
    fn allocation_is_found_outside_tests() {
        assert_eq!(lines(allocation, "extern crate alloc;\nuse std::vec;\nfn f() { crate::heap::alloc::f() }"), [1, 2]);
        assert_eq!(
            lines(allocation, "#[cfg(test)]\nextern crate std;\n#[cfg(test)]\nmod tests { use std::vec; }"),
            [0; 0]
        );
    }

    #[test]
    fn every_designed_panic_is_found() {
        let text = "fn f() { a\n.unwrap();\nb.expect(\"\");\nc.map(Option::unwrap);\npanic!();\nassert!(x);\nunreachable!();\n}";
        assert_eq!(lines(panics, text), [2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn checked_code_and_constants_may_panic() {
        let text = "const _: () = assert!(A < B); #[cfg(test)] fn t() { a.unwrap() } fn f() { debug_assert!(x);
            a.unwrap_or(1); unsafe { a.unwrap_unchecked() } const { assert!(x) } #[expect(unused)] let b = 1; }";
        assert_eq!(lines(panics, text), [0; 0]);
    }

    #[test]
    fn a_panic_in_a_macro_body_is_found() {
        assert_eq!(lines(panics, "macro_rules! m {\n($a:expr) => { $a.unwrap() };\n}"), [2]);
    }

    #[test]
    fn printing_and_the_environment_are_found() {
        assert_eq!(lines(surroundings, "fn f() {\nprintln!();\nos::getenv(x);\nenvironment();\n}"), [2, 3]);
    }

    #[test]
    fn calls_that_lead_back_into_malloc_are_found() {
        assert_eq!(lines(own_exports, "fn f() {\nlibc::free(p);\nself.free(p);\nlibc::munmap(p, 1);\n}"), [2]);
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
