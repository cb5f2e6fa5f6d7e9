//! Whole programs: what is run under each allocator, and the input that is generated for them.

use anyhow::{Context, Result, bail};
use std::{
    env,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// A program and its arguments; it runs in the folder of [`Inputs`].
pub struct Program {
    /// Its name in the results.
    pub name: &'static str,
    /// What it does there.
    pub stands_for: &'static str,
    /// The command.
    pub words: &'static [&'static str],
    /// Programs it needs beside the first word.
    needs: &'static [&'static str],
    /// Whether it hands the library in `BENCH_PRELOAD` on by itself, rather than being preloaded.
    pub preloads_itself: bool,
    /// Writes its input into a folder.
    prepare: fn(&Path) -> Result<()>,
}

/// The programs of a full comparison.
pub const PROGRAMS: &[Program] = &[
    script("python3", "JSON, dictionaries, sorting, syntax trees", &["python3", "work.py"], |folder| {
        write(folder, "work.py", include_str!("../programs/work.py"))
    }),
    script("perl", "hashes, strings, regular expressions", &["perl", "work.pl"], |folder| {
        write(folder, "work.pl", include_str!("../programs/work.pl"))
    }),
    script("lua5.4", "small tables and strings", &["lua5.4", "work.lua"], |folder| {
        write(folder, "work.lua", include_str!("../programs/work.lua"))
    }),
    script("sqlite3", "a database in memory", &["sqlite3", ":memory:", ".read work.sql"], |folder| {
        write(folder, "work.sql", include_str!("../programs/work.sql"))
    }),
    script("gcc", "-O2 on a large C file", &["gcc", "-O2", "-c", "work.c", "-o", "work.o"], |folder| {
        write(folder, "work.c", &c_source())
    }),
    script("g++", "code heavy with templates", &["g++", "-O1", "-c", "work.cc", "-o", "work.o"], |folder| {
        write(folder, "work.cc", &cxx_source())
    }),
    Program {
        name: "redis",
        stands_for: "a server of many small values (CPU time includes the client's)",
        words: &["sh", "redis.sh"],
        needs: &["redis-server", "redis-cli", "redis-benchmark"],
        preloads_itself: true,
        prepare: |folder| write(folder, "redis.sh", include_str!("../programs/redis.sh")),
    },
    script(
        "git",
        "gc --aggressive, two threads",
        &["git", "-C", "repository", "-c", "pack.threads=2", "gc", "--aggressive", "--prune=now", "--quiet"],
        git_repository,
    ),
    script("node", "buffers, strings, JSON", &["node", "work.js"], |folder| {
        write(folder, "work.js", include_str!("../programs/work.js"))
    }),
];

const fn script(
    name: &'static str,
    stands_for: &'static str,
    words: &'static [&'static str],
    prepare: fn(&Path) -> Result<()>,
) -> Program {
    Program { name, stands_for, words, needs: &[], preloads_itself: false, prepare }
}

/// A folder with the input of programs; it goes with this value.
pub struct Inputs(TempDir);

impl Inputs {
    /// An empty folder.
    pub fn new() -> Result<Self> {
        tempfile::Builder::new().prefix("hakmem-bench-").tempdir().map(Self).context("no folder for programs' input")
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Program {
    /// The programs it needs that are not installed.
    pub fn missing(&self) -> Vec<&'static str> {
        let needed = self.words.first().into_iter().chain(self.needs).copied();
        needed.filter(|program| find_program(program).is_none()).collect()
    }

    /// Writes its input.
    pub fn prepare(&self, inputs: &Inputs) -> Result<()> {
        (self.prepare)(inputs.path()).with_context(|| format!("the input of {} cannot be made", self.name))
    }
}

/// The file that a command of this name runs. Debian's own programs come first: wrappers that version managers put in
/// the way would be measured with them.
pub fn find_program(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return std::path::absolute(name).ok().filter(|file| file.is_file());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = ["/usr/bin", "/bin"].map(PathBuf::from).into_iter().chain(env::split_paths(&path));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    fs::write(folder.join(name), text).with_context(|| format!("{name} cannot be written"))
}

/// Functions with loops, branches and calls of each other.
fn c_source() -> String {
    let mut text =
        String::from("#include <stddef.h>\nunsigned f0(const unsigned *v, size_t n) { return n ? v[0] : 1; }\n");
    for index in 1..150 {
        let (previous, factor) = (index * 7 / 8, index * 2_654_435_761_u64 % 1000 + 3);
        writeln!(
            text,
            "unsigned f{index}(const unsigned *v, size_t n) {{\n  unsigned s = {index}, t[8] = {{0}};\n  \
             for (size_t i = 0; i < n; i++) {{\n    switch (v[i] % 5) {{ case 0: s += v[i] * {factor}u; break; \
             case 1: s ^= s >> 3; break; case 2: t[i % 8] += s; break; default: s -= t[v[i] % 8]; }}\n    \
             if (s > {factor}u * i) s = s / 3 + f{previous}(v, n / 2);\n  }}\n  \
             for (int k = 0; k < 8; k++) s += t[k] << k;\n  return s;\n}}"
        )
        .expect("a String takes any text");
    }
    text
}

/// Containers and algorithms of the standard library over many types.
fn cxx_source() -> String {
    let mut text = String::from(
        "#include <algorithm>\n#include <functional>\n#include <map>\n#include <memory>\n#include <string>\n\
         #include <tuple>\n#include <unordered_map>\n#include <variant>\n#include <vector>\n\
         template <int N> struct Tag { int value = N; bool operator<(const Tag &o) const { return value < o.value; } };\n\
         template <typename T> std::size_t use(T x) {\n  std::map<T, std::vector<std::tuple<T, std::string>>> m;\n  \
         m[x].emplace_back(x, \"x\");\n  std::vector<std::shared_ptr<T>> v{std::make_shared<T>(x)};\n  \
         std::sort(v.begin(), v.end(), [](auto &a, auto &b) { return *a < *b; });\n  \
         std::function<std::size_t()> f = [m, v] { return m.size() + v.size(); };\n  \
         std::variant<T, std::string, int> w = x;\n  return f() + w.index();\n}\nstd::size_t all() {\n  return 0\n",
    );
    for index in 0..8 {
        writeln!(text, "    + use(Tag<{index}>{{}})").expect("a String takes any text");
    }
    text + "  ;\n}\n"
}

/// A repository with a few hundred commits, fed to `git fast-import`.
fn git_repository(folder: &Path) -> Result<()> {
    let repository = folder.join("repository");
    let git = find_program("git").context("git is not installed")?;
    let made = Command::new(&git).args(["init", "--quiet", "--bare"]).arg(&repository).status();
    if !made.context("git cannot be started")?.success() {
        bail!("`git init` failed");
    }
    let mut import = Command::new(git)
        .arg("-C")
        .arg(&repository)
        .args(["fast-import", "--quiet"])
        .stdin(Stdio::piped())
        .spawn()
        .context("git cannot be started")?;
    let mut stream = String::new();
    let mut files: Vec<Vec<String>> =
        (0..40).map(|file| (0..200).map(|line| format!("file {file} line {line}\n")).collect()).collect();
    for commit in 0..400_usize {
        let message = format!("change {commit}");
        let time = 1_700_000_000 + commit * 60;
        writeln!(stream, "commit refs/heads/main\ncommitter A <a@example.org> {time} +0000\ndata {}", message.len())?;
        writeln!(stream, "{message}")?;
        for step in 0..4 {
            let file = (commit * 7 + step * 11) % files.len();
            let line = (commit * 31 + step * 17) % 200;
            files[file][line] = format!("file {file} line {line} of commit {commit}, {}\n", commit * commit);
            let content = files[file].concat();
            writeln!(stream, "M 100644 inline folder{}/file{file}.txt\ndata {}\n{content}", file % 5, content.len())?;
        }
    }
    let mut input = import.stdin.take().expect("stdin is piped");
    input.write_all(stream.as_bytes()).context("git fast-import does not read")?;
    drop(input);
    if !import.wait().context("git cannot be waited for")?.success() {
        bail!("`git fast-import` failed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_programs_are_found_and_others_are_not() {
        assert!(find_program("sh").is_some());
        assert_eq!(find_program("no-such-program"), None);
    }

    #[test]
    fn the_generated_sources_compile() {
        let inputs = Inputs::new().unwrap();
        for (compiler, file, text) in [("gcc", "work.c", c_source()), ("g++", "work.cc", cxx_source())] {
            let Some(compiler) = find_program(compiler) else { continue };
            write(inputs.path(), file, &text).unwrap();
            let checked = Command::new(compiler).arg("-fsyntax-only").arg(file).current_dir(inputs.path()).status();
            assert!(checked.unwrap().success(), "{file}");
        }
    }
}
