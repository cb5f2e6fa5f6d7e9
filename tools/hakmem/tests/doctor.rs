//! `hakmem doctor` tells which programs run on HAKMEM, and why the others do not.

mod common;

use common::{HAKMEM, compile, hakmem, library, run, scratch, stdout};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

const EMPTY: &str = "int main(void) { return 0; }\n";
const OWN_MALLOC: &str = "void *malloc(unsigned long size) { (void)size; return 0; }\n";

/// Asserts that the doctor's report on `program` has a line that starts with `verdict` and `subject` and contains
/// `text`, and that the exit status fits: success unless there is a problem.
#[track_caller]
fn expect(program: &Path, verdict: &str, subject: &str, text: &str) {
    let output = run(hakmem("doctor").arg(program));
    let report = stdout(&output);
    let mut words = report.lines().map(|line| (line.split_whitespace().next(), line));
    let found = words
        .clone()
        .any(|(first, line)| first == Some(verdict) && line[9..].starts_with(subject) && line.contains(text));
    assert!(found, "no line `{verdict} {subject} ... {text}` in\n{report}");
    let healthy = !words.any(|(first, _)| first == Some("problem"));
    assert_eq!(output.status.code(), Some(if healthy { 0 } else { 1 }), "{report}");
    assert_eq!(verdict == "problem", !healthy, "{report}");
}

#[test]
fn a_plain_program_is_healthy_and_the_proof_names_the_library() {
    let program = compile(&scratch("plain"), "plain", EMPTY, &[]);
    expect(&program, "ok", "linking", library().to_str().unwrap());
    expect(&program, "ok", "allocator", "");
    expect(&program, "ok", "proof", library().to_str().unwrap());
}

#[test]
fn the_machine_alone_can_be_checked() {
    let output = run(&mut hakmem("doctor"));
    let report = stdout(&output);
    for subject in ["page size", "huge pages", "overcommit", "mappings", "RLIMIT_AS", "RLIMIT_DATA", "cgroup", "proof"]
    {
        assert_eq!(
            report.lines().filter(|line| line.get(9..).is_some_and(|rest| rest.starts_with(subject))).count(),
            1
        );
    }
    assert_eq!(output.status.code(), Some(0), "{report}");
}

#[test]
fn limits_are_reported() {
    let line = format!("ulimit -v 900000; exec {HAKMEM} doctor --library {}", library().display());
    let report = stdout(&run(std::process::Command::new("sh").arg("-c").arg(line)));
    assert!(report.contains("note     RLIMIT_AS      878 MiB"), "{report}");
}

#[test]
fn a_setting_that_the_library_would_ignore_is_noted() {
    let report = stdout(&run(hakmem("doctor").env("HAKMEM_DECAY_SM", "5")));
    assert!(report.contains("HAKMEM_DECAY_SM is ignored") && report.contains("did you mean `decay_ms`?"), "{report}");
}

#[test]
fn a_library_that_is_none_fails_the_proof() {
    let fake = scratch("fake").join("libhakmem.so");
    fs::write(&fake, "not a library").unwrap();
    let output = run(common::plain(HAKMEM, "doctor").arg("--library").arg(&fake));
    assert_eq!(output.status.code(), Some(1));
    let report = stdout(&output);
    assert!(report.contains("problem  proof") && report.contains("cannot be preloaded"), "{report}");
}

#[test]
fn a_static_program() {
    expect(&compile(&scratch("static"), "program", EMPTY, &["-static"]), "problem", "linking", "static");
}

#[test]
fn a_static_program_with_hakmem_inside() {
    let archive = library().with_extension("a");
    let source = "#include <stdlib.h>\nint main(int count, char **words) { free(malloc(count)); return words == 0; }\n";
    let directory = scratch("static-hakmem");
    for (name, flags) in [("plain", &["-static"][..]), ("stripped", &["-static", "-s"])] {
        let flags = [&[archive.to_str().unwrap()], flags].concat();
        let program = compile(&directory, name, source, &flags);
        expect(&program, "ok", "linking", "HAKMEM inside");
        assert!(run(&mut std::process::Command::new(program)).status.success());
    }
}

#[test]
fn a_set_user_id_bit() {
    let program = compile(&scratch("set-user-id"), "program", EMPTY, &[]);
    fs::set_permissions(&program, Permissions::from_mode(0o4755)).unwrap();
    // The file is our own, so that we gain nothing by it; for others it is the reason.
    expect(&program, "note", "privileges", "set-user-id");
}

#[test]
fn a_script_is_followed_to_its_interpreter() {
    let directory = scratch("script");
    let program = compile(&directory, "interpreter", EMPTY, &["-static"]);
    let script = |name: &str, line: &str| {
        let path = directory.join(name);
        fs::write(&path, format!("#!{line}\necho\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    };
    expect(&script("shell", "/bin/sh"), "note", "program", "is run by /bin/sh");
    expect(&script("env", "/usr/bin/env -S A=b sh -e"), "note", "program", "/sh;");
    let inner = script("inner", program.to_str().unwrap());
    expect(&script("outer", inner.to_str().unwrap()), "problem", "linking", "static");
    expect(&script("orphan", "/nonesuch/sh"), "problem", "program", "/nonesuch/sh");
    let circle = directory.join("circle");
    expect(&script("circle", circle.to_str().unwrap()), "problem", "program", "interpreters");
}

#[test]
fn a_malloc_of_its_own() {
    let source = format!("{EMPTY}{OWN_MALLOC}");
    let directory = scratch("own-malloc");
    expect(&compile(&directory, "exported", &source, &["-rdynamic"]), "problem", "allocator", "malloc");
    let hidden = source.replace("void *malloc", "__attribute__((visibility(\"hidden\"))) void *malloc");
    expect(&compile(&directory, "hidden", &hidden, &[]), "problem", "allocator", "malloc");
    let named = source.replace("malloc", "mi_malloc");
    expect(&compile(&directory, "named", &named, &[]), "problem", "allocator", "mimalloc");
    let stripped =
        format!("{EMPTY}const char message[] = \"<jemalloc>: no\";\nconst char *used(void) {{ return message; }}\n");
    expect(&compile(&directory, "stripped", &stripped, &["-s"]), "problem", "allocator", "jemalloc");
}

#[test]
fn an_allocator_among_its_libraries() {
    let directory = scratch("other-allocator");
    let other =
        format!("{OWN_MALLOC} void *mallocx(unsigned long size, int flags) {{ (void)flags; return malloc(size); }}\n");
    let object = compile(&directory, "libother.so.2", &other, &["-shared", "-fPIC", "-Wl,-soname,libother.so.2"]);
    let flags = [object.to_str().unwrap(), "-Wl,--no-as-needed", "-Wl,-rpath,$ORIGIN"];
    let loads = compile(&directory, "loads", EMPTY, &[&flags[1..2], &flags[..1], &flags[2..]].concat());
    expect(&loads, "note", "library", "libother.so.2 has jemalloc inside");
    let link = scratch("other-allocator-link").join("loads");
    symlink(&loads, &link).unwrap();
    expect(&link, "note", "library", "libother.so.2");

    let source = "void *mallocx(unsigned long, int); int main(void) { return mallocx(1, 0) != 0; }\n";
    expect(&compile(&directory, "calls", source, &flags), "problem", "allocator", "jemalloc by its own names");
    fs::remove_file(&object).unwrap();
    expect(&loads, "problem", "linking", "libother.so.2");
}

#[test]
fn a_sanitizer() {
    let source = format!("{EMPTY} void __asan_init(void) {{}}\n");
    expect(&compile(&scratch("sanitizer"), "program", &source, &[]), "problem", "sanitizer", "AddressSanitizer");
}

#[test]
fn pools_beside_malloc() {
    let source = format!("{EMPTY} void *PyObject_Malloc(unsigned long size) {{ (void)size; return 0; }}\n");
    expect(&compile(&scratch("pools"), "program", &source, &[]), "note", "pools", "PYTHONMALLOC=malloc");
}

#[test]
fn another_c_library_or_machine() {
    let directory = scratch("foreign");
    let musl = compile(&directory, "musl", EMPTY, &["-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"]);
    expect(&musl, "problem", "linking", "musl");
    let strange = compile(&directory, "strange", EMPTY, &["-Wl,--dynamic-linker=/lib/ld-strange.so"]);
    expect(&strange, "problem", "linking", "/lib/ld-strange.so");

    let patched = |name: &str, offset: usize, byte: u8| {
        let mut program = fs::read(compile(&directory, name, EMPTY, &[])).unwrap();
        program[offset] = byte;
        let path = directory.join(name);
        fs::write(&path, program).unwrap();
        path
    };
    // In the ELF header, byte 18 is the machine (183: AArch64) and byte 4 the class (1: 32 bits).
    expect(&patched("arm", 18, 183), "problem", "format", "Aarch64");
    expect(&patched("narrow", 4, 1), "problem", "format", "32-bit");
}

#[test]
fn what_is_no_program() {
    let directory = scratch("no-program");
    let text = directory.join("text");
    fs::write(&text, "neither\n").unwrap();
    expect(&text, "problem", "program", "chmod +x");
    fs::set_permissions(&text, Permissions::from_mode(0o755)).unwrap();
    expect(&text, "problem", "format", "#!");
    expect(Path::new("/nonesuch/program"), "problem", "program", "no such file");
    expect(Path::new("hakmem-nonesuch"), "problem", "program", "PATH");
}
