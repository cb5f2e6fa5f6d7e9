//! The header, the exports of the library and their documentation agree, and the library's file is as small and as
//! self-contained as promised.

use hakmem_checks::{Program, library, source_tree};
use object::elf::{self, DynamicTag};
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, Object, ObjectSymbol, ObjectSymbolTable, RelocationTarget};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

type Names = BTreeSet<String>;

fn header() -> String {
    fs::read_to_string(library().include.join("hakmem.h")).expect("the header")
}

/// Functions that the header declares: a name with an opening parenthesis on a line that does not define a macro,
/// outside of comments.
fn declared() -> Names {
    let text = header();
    let comments = Regex::new(r"(?s)/\*.*?\*/").expect("a pattern");
    let code = comments.replace_all(&text, "");
    let names = Regex::new(r"\b(hak_\w+)\(").expect("a pattern");
    let lines = code.lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(|line| names.captures_iter(line).map(|found| found[1].to_owned())).collect()
}

/// Rows of the documentation that name a symbol, with the text of the row.
fn documented() -> BTreeMap<String, String> {
    let text = fs::read_to_string(source_tree().join("docs/c-api.md")).expect("the documentation");
    let rows = Regex::new(r"(?m)^\| `(\w+)` \| (.+) \|$").expect("a pattern");
    rows.captures_iter(&text).map(|row| (row[1].to_owned(), row[2].to_owned())).collect()
}

/// Reads the library's file and passes it to `look`.
fn with_library<R>(look: impl FnOnce(&ElfFile64<'_, Endianness>) -> R) -> R {
    let bytes = fs::read(&library().shared).expect("the library");
    look(&ElfFile64::parse(&*bytes).expect("an ELF file"))
}

fn exported() -> Names {
    with_library(|file| {
        let defined = file.dynamic_symbols().filter(|symbol| symbol.is_definition());
        defined.map(|symbol| symbol.name().expect("a name").to_owned()).collect()
    })
}

/// Values of the dynamic section with this tag.
fn dynamic(file: &ElfFile64<'_, Endianness>, tag: DynamicTag) -> Vec<u64> {
    let table = file.elf_dynamic_table().expect("a dynamic section");
    table.iter().filter(|entry| entry.tag == tag).map(|entry| entry.val).collect()
}

/// The strings that these values of the dynamic section point to.
fn dynamic_strings(file: &ElfFile64<'_, Endianness>, tag: DynamicTag) -> Vec<String> {
    let table = file.elf_dynamic_table().expect("a dynamic section");
    let strings = table.iter().filter(|entry| entry.tag == tag);
    strings.map(|entry| String::from_utf8_lossy(table.string(entry).expect("a string")).into_owned()).collect()
}

fn compile(compiler: &str, arguments: &[&str], code: &str) -> (bool, String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let extension = if compiler == "c++" { "cc" } else { "c" };
    let source = directory.path().join(format!("program.{extension}"));
    fs::write(&source, format!("#include <hakmem.h>\n{code}\n")).expect("the program");
    let output = Command::new(compiler)
        .args(["-pedantic", "-Wall", "-Wextra", "-Wundef", "-Werror", "-c", "-o", "/dev/null", "-I"])
        .arg(&library().include)
        .args(arguments)
        .arg(&source)
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

const USES_EVERYTHING: &str = "
int use(void);
int use(void) {
    void *block = hak_realloc(hak_malloc(1), 2);
    hak_stats_t stats;
    hak_stats_read(&stats);
    hak_free(block);
    hak_collect();
    hak_limits_t limits;
    hak_limits_read(&limits);
    if (hak_limits_set(limits.soft, limits.hard) != 0 || hak_on_pressure(0, 0) != 0) return 0;
    return HAKMEM_VERSION_NUMBER >= 100 && hak_version()[0] == HAKMEM_VERSION[0] && stats.heaps > 0;
}";

#[test]
fn header_compiles_in_every_standard() {
    for standard in ["c99", "c11", "c17", "c2x", "gnu99", "gnu17"] {
        let (compiles, said) = compile("cc", &[&format!("-std={standard}"), "-Wstrict-prototypes"], USES_EVERYTHING);
        assert!(compiles, "{standard}: {said}");
    }
    for standard in ["c++11", "c++14", "c++17", "c++20", "c++23"] {
        let (compiles, said) = compile("c++", &[&format!("-std={standard}"), "-Wold-style-cast"], USES_EVERYTHING);
        assert!(compiles, "{standard}: {said}");
    }
}

#[test]
fn header_lets_the_compiler_find_errors() {
    let errors = [
        ("a result that is not used", "void f(void); void f(void) { hak_malloc(1); }", "unused-result"),
        (
            "a write beyond the block",
            "char *f(void); char *f(void) { char *b = (char *)hak_malloc(4); b[8] = 1; return b; }",
            "array-bounds",
        ),
        ("a size that is negative", "void *f(void); void *f(void) { return hak_malloc((size_t)-5); }", "alloc-size"),
    ];
    for (what, code, warning) in errors {
        for (compiler, standard) in [("cc", "-std=c99"), ("c++", "-std=c++11"), ("c++", "-std=c++20")] {
            let (compiles, said) = compile(compiler, &[standard, "-O2"], code);
            assert!(!compiles && said.contains(warning), "{what}: {compiler} {standard} says {said:?}");
        }
    }
    let asks = "static_assert(noexcept(hak_malloc(1)) && noexcept(hak_free(nullptr)), \"nothing is thrown\");";
    let (compiles, said) = compile("c++", &["-std=c++11"], asks);
    assert!(compiles, "{said}");
}

#[test]
fn header_exports_and_documentation_agree() {
    let (exported, documented) = (exported(), documented().into_keys().collect::<Names>());
    assert_eq!(exported, documented, "exported and documented");
    let with_prefix: Names = exported.into_iter().filter(|name| name.starts_with("hak_")).collect();
    assert_eq!(declared(), with_prefix, "declared in the header and exported");
}

#[test]
fn header_documents_every_function() {
    let text = header();
    let lines: Vec<_> = text.lines().collect();
    for name in declared() {
        let is_declaration = |line: &&str| line.contains(&format!(" *{name}(")) || line.contains(&format!(" {name}("));
        let in_comment = |line: &&str| line.starts_with(" *") || line.starts_with('/');
        let at = lines.iter().position(|line| is_declaration(line) && !in_comment(line)).expect("a declaration");
        assert!(lines[at - 1].ends_with("*/"), "{name} has no comment right before it");
    }
}

#[test]
fn every_operator_is_exported_under_its_signature() {
    let operators: Vec<_> = documented().into_iter().filter(|(symbol, _)| symbol.starts_with("_Z")).collect();
    assert_eq!(operators.len(), 20, "eight of new and twelve of delete");
    for (symbol, signature) in operators {
        let output = Command::new("c++filt").arg(&symbol).output().expect("c++filt, which comes with the compiler");
        assert_eq!(format!("`{}`", String::from_utf8_lossy(&output.stdout).trim()), signature, "{symbol}");
    }
}

#[test]
fn header_version_is_the_library_s() {
    assert!(header().contains(&format!("#define HAKMEM_VERSION \"{}\"", env!("CARGO_PKG_VERSION"))));
    // That the numbers and hak_version() agree with it is checked by the program in c/link_header_family.c.
    let major = env!("CARGO_PKG_VERSION_MAJOR");
    with_library(|file| assert_eq!(dynamic_strings(file, elf::DT_SONAME), [format!("libhakmem.so.{major}")]));
}

#[test]
fn header_statistics_are_the_library_s() {
    let fields = Regex::new(r"uint64_t (\w+);\s+/\*\*< (.+) \*/").expect("a pattern");
    let text = header();
    let declared: Vec<_> =
        fields.captures_iter(&text).map(|field| (field[1].to_owned(), field[2].to_owned())).collect();
    let program = Program::build("c/quiet.c");
    let printed = program.preloaded().env("HAKMEM_STATS", "1").succeed();
    let rows = Regex::new(r"(?m)^  ([a-z_]+) +[0-9.]+(?: [KMG]?i?B)?   (.+)$").expect("a pattern");
    let listed: Vec<_> =
        rows.captures_iter(&printed.stderr).map(|row| (row[1].to_owned(), row[2].trim().to_owned())).collect();
    assert!(declared.len() > 10, "no fields found in {text}");
    assert_eq!(declared, listed, "fields of hak_stats_t, and what the library prints");
}

#[test]
fn library_needs_the_c_library_only() {
    with_library(|file| {
        let needed = dynamic_strings(file, elf::DT_NEEDED);
        let allowed = ["libc.so.6", "ld-linux-x86-64.so.2"];
        assert!(needed.iter().all(|name| allowed.contains(&name.as_str())), "needs {needed:?}");
    });
}

#[test]
fn library_is_never_unloaded_and_bound_at_once() {
    with_library(|file| {
        let flags = dynamic(file, elf::DT_FLAGS_1).into_iter().fold(0, |all, one| all | one);
        assert_ne!(flags & elf::DF_1_NODELETE.0, 0, "-z nodelete");
        assert_ne!(flags & elf::DF_1_NOW.0, 0, "-z now");
        assert!(dynamic(file, elf::DT_TEXTREL).is_empty(), "relocations in the code");
    });
}

/// Thread-local storage that the loader allocates on first use would make malloc call malloc; a library that is opened
/// late gets little of the other kind.
#[test]
fn library_has_little_thread_local_storage_and_all_of_it_static() {
    with_library(|file| {
        let imports: Vec<_> = file.dynamic_symbols().filter(|symbol| symbol.is_undefined()).collect();
        assert!(imports.iter().all(|symbol| symbol.name() != Ok("__tls_get_addr")), "__tls_get_addr is called");
        let endian = file.endian();
        let headers = file.elf_program_headers().iter();
        let sizes: Vec<_> = headers.filter(|header| header.p_type(endian) == elf::PT_TLS).collect();
        let bytes: u64 = sizes.iter().map(|header| header.p_memsz(endian)).sum();
        assert!((1..=64).contains(&bytes), "{bytes} bytes of thread-local storage");
    });
}

/// A program or a library loaded earlier may have a `malloc` of its own; a call by an exported name would reach
/// that one.
#[test]
fn library_calls_none_of_its_exported_names() {
    with_library(|file| {
        let relocations = file.dynamic_relocations().expect("relocations");
        let own: Vec<_> = relocations
            .filter_map(|(_, relocation)| match relocation.target() {
                RelocationTarget::Symbol(index) => file.dynamic_symbol_table()?.symbol_by_index(index).ok(),
                _ => None,
            })
            .filter(|symbol| symbol.is_definition())
            .map(|symbol| symbol.name().unwrap_or_default().to_owned())
            .collect();
        assert!(own.is_empty(), "reached by name: {own:?}");
    });
}

#[test]
fn library_is_small() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let stripped = directory.path().join("stripped.so");
    let status = Command::new("strip").arg("-o").arg(&stripped).arg(&library().shared).status().expect("strip");
    assert!(status.success(), "strip fails");
    let bytes = fs::metadata(&stripped).expect("the stripped library").len();
    assert!(bytes < 300 * 1024, "{bytes} bytes");
}
