//! Compilers and related tools: gcc and g++ on large files, cmake with ninja, gdb.

use std::fmt::Write;

use crate::presence::input;
use crate::scene::{Step, compare};

#[test]
fn gcc() {
    compare("gcc", &["gcc"], |scene| {
        scene.write("large.c", large_c(1600));
        scene.run(Step::new("gcc").args("-c -O1 -g -Wall -o large.o large.c"));
        scene.keep("large.o");
        scene.run(Step::new("gcc").args("-o large large.o"));
        scene.run(Step::new(scene.work().join("large")));
    });
}

/// A C program of `functions` functions with loops, switches, tables and calls of each other.
pub fn large_c(functions: usize) -> String {
    let mut text = String::from("#include <stdio.h>\n#include <string.h>\n\n");
    for n in 0..functions {
        let (a, b, c) = (n * 31 % 251 + 1, n * 17 % 127 + 2, n * 7 % 13 + 3);
        let callee = n.checked_sub(n % 7 + 1).map_or("x".into(), |earlier| format!("function_{earlier}(x / {b})"));
        write!(
            text,
            "struct data_{n} {{ int values[{c}]; char name[{b}]; const struct data_{n} *next; }};\n\
             static const unsigned table_{n}[] = {{ {a}u, {b}u, {c}u, {n}u }};\n\
             unsigned function_{n}(unsigned x)\n{{\n\
             \x20   struct data_{n} data = {{ {{ {a} }}, \"name\", 0 }};\n\
             \x20   for (unsigned i = 0; i < {c}; i++)\n\
             \x20       data.values[i] = (int)(x * {a}u + table_{n}[i % 4] + i);\n\
             \x20   switch (x % {c}u) {{\n\
             \x20   case 0: return (unsigned)data.values[x % {c}u];\n\
             \x20   case 1: return x > {b}u ? {callee} : {a}u;\n\
             \x20   case 2: return (unsigned)strlen(data.name) + x;\n\
             \x20   default: return x ^ (unsigned)data.values[{c} - 1];\n\
             \x20   }}\n}}\n\n"
        )
        .expect("a text takes all");
    }
    text += "int main(void)\n{\n    unsigned sum = 0;\n";
    for n in (0..functions).step_by(5) {
        writeln!(text, "    sum += function_{n}({n}u + sum % 10);").expect("a text takes all");
    }
    text + "    printf(\"%u\\n\", sum);\n    return 0;\n}\n"
}

#[test]
fn gxx() {
    compare("gxx", &["g++"], |scene| {
        scene.write("templates.cc", templates(20));
        scene.run(Step::new("g++").args("-c -std=c++17 -O1 -frandom-seed=1 -o templates.o templates.cc"));
        scene.keep("templates.o");
        scene.run(Step::new("g++").args("-o templates templates.o"));
        scene.run(Step::new(scene.work().join("templates")));
    });
}

/// A C++ program heavy with templates: recursion over types, and containers of `kinds` types of its own.
fn templates(kinds: usize) -> String {
    let mut text = String::from(
        "#include <algorithm>\n#include <functional>\n#include <iostream>\n#include <map>\n#include <memory>\n\
         #include <regex>\n#include <set>\n#include <string>\n#include <tuple>\n#include <unordered_map>\n\
         #include <variant>\n#include <vector>\n\n\
         template <int N> struct Tower { using type = std::tuple<int, typename Tower<N - 1>::type>; };\n\
         template <> struct Tower<0> { using type = std::tuple<char>; };\n\
         template <int N, int M> struct Ackermann { static constexpr long value = (Ackermann<N - 1, M>::value * 3 +\n\
         Ackermann<N, M - 1>::value) % 1000003; };\n\
         template <int N> struct Ackermann<N, 0> { static constexpr long value = N; };\n\
         template <int M> struct Ackermann<0, M> { static constexpr long value = M; };\n\
         template <> struct Ackermann<0, 0> { static constexpr long value = 1; };\n\
         template <class Key> long use(Key key)\n{\n\
         \x20   std::map<Key, std::vector<std::string>> map;\n    std::unordered_map<std::string, std::set<Key>> back;\n\
         \x20   for (int i = 0; i < 20; i++) {\n        Key k{key.number + i};\n\
         \x20       map[k].push_back(std::to_string(i));\n        back[map[k].front()].insert(k);\n    }\n\
         \x20   std::variant<int, std::string, Key> either = key;\n\
         \x20   std::function<long(const Key &)> get = [&](const Key &k) { return long(map[k].size()); };\n\
         \x20   auto shared = std::make_shared<std::pair<Key, std::string>>(key, \"text\");\n\
         \x20   long sum = std::visit([](auto &&v) { return long(sizeof v); }, either) + get(key);\n\
         \x20   for (auto &[name, keys] : back) sum += long(name.size() * keys.size());\n\
         \x20   return sum + long(shared->second.size());\n}\n\n",
    );
    for kind in 0..kinds {
        writeln!(
            text,
            "struct Key{kind} {{ int number; bool operator<(const Key{kind} &other) const \
             {{ return number * {} % 31 < other.number * {} % 31; }} }};",
            kind + 1,
            kind + 1
        )
        .expect("a text takes all");
    }
    text += "\nint main()\n{\n    long sum = Ackermann<60, 60>::value + long(sizeof(Tower<150>::type));\n";
    text += "    sum += std::regex_match(\"abc123\", std::regex(\"[a-z]+([0-9]+)\"));\n";
    for kind in 0..kinds {
        writeln!(text, "    sum += use(Key{kind}{{{kind}}});").expect("a text takes all");
    }
    text + "    std::cout << sum << '\\n';\n}\n"
}

#[test]
fn cmake_with_ninja() {
    compare("cmake_with_ninja", &["cmake", "ninja", "ctest", "gcc", "g++"], |scene| {
        const FILES: usize = 30;
        let sources: Vec<String> = (0..FILES).map(|file| format!("part{file}.cc")).collect();
        scene.write(
            "CMakeLists.txt",
            format!(
                "cmake_minimum_required(VERSION 3.13)\nproject(parts CXX)\nset(CMAKE_CXX_STANDARD 17)\nenable_testing()\n\
                 add_library(parts STATIC {})\nadd_executable(parts-test main.cc)\n\
                 target_link_libraries(parts-test parts)\nadd_test(NAME parts COMMAND parts-test)\n",
                sources.join(" ")
            ),
        );
        let mut main = String::from("#include <iostream>\n");
        for (file, source) in sources.iter().enumerate() {
            scene.write(
                source,
                format!(
                    "#include <string>\n#include <vector>\nint part{file}(int n)\n{{\n    std::vector<std::string> texts;\n\
                     \x20   for (int i = 0; i < n; i++)\n        texts.push_back(std::to_string(i * {file}));\n\
                     \x20   return int(texts.back().size()) + {file};\n}}\n"
                ),
            );
            writeln!(main, "int part{file}(int);").expect("a text takes all");
        }
        main += "int main()\n{\n    int sum = 0;\n";
        for file in 0..FILES {
            writeln!(main, "    sum += part{file}({});", file + 5).expect("a text takes all");
        }
        scene.write("main.cc", main + "    std::cout << sum << '\\n';\n}\n");

        scene.run(Step::new("cmake").args("-G Ninja -S . -B build -DCMAKE_BUILD_TYPE=Release").output_varies());
        scene.run(Step::new("ninja").args("-C build -j 2").output_varies());
        for file in 0..FILES {
            scene.keep(&format!("build/CMakeFiles/parts.dir/part{file}.cc.o"));
        }
        scene.keep("build/parts-test");
        scene.run(Step::new(scene.work().join("build/parts-test")));
        scene.run(Step::new("ctest").args("--test-dir build --output-on-failure").output_varies());
    });
}

#[test]
fn gdb() {
    compare("gdb", &["gdb", "gcc"], |scene| {
        scene.prepare(Step::new("gcc").args("-g -O0 -pthread -o program").arg(input("gdb/program.c")));
        // With some processors gdb cannot write the registers and so call functions, whatever the program's allocator.
        let probe = scene.prepare(Step::new("gdb").args("-nx -batch -x").arg(input("gdb/probe.gdb")).arg("program"));
        let (calls, by_calls): (_, &[&str]) =
            if probe.contains("calls work") { ("1", &["renamed", "\"hello\""]) } else { ("0", &[]) };
        let calls = format!("set $calls = {calls}");
        let gdb = Step::new("gdb").args("-nx -batch -ex").arg(calls).arg("-x").arg(input("gdb/commands.gdb"));
        let output = scene.run(gdb.arg("program"));
        for seen in ["walk_list (n=0", "#13 main ()", "from the other thread"].iter().chain(by_calls) {
            assert!(output.contains(seen), "gdb did not show {seen}:\n{output}");
        }
    });
}
