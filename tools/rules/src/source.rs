//! A Rust source file as a flat list of tokens, each with its line, its module, and whether it is checked code only.
//!
//! Comments and the insides of strings are gone, macro bodies are tokens like any other: a rule is a pattern over
//! neighbouring tokens.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// One token.
#[derive(Clone, Debug)]
pub struct Token {
    /// As written; `::` is one token.
    pub text: String,
    /// The line, from 1.
    pub line: usize,
    /// The module it is in, from the crate's root.
    pub module: Rc<[String]>,
    /// Compiled for tests or the model checker only.
    pub test: bool,
    /// Evaluated by the compiler: the value of a `const` or `static`, or a `const` block.
    pub constant: bool,
}

/// One line of documentation about the file itself (`//!`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doc {
    /// The text after `//!`, trimmed.
    pub text: String,
    /// The line, from 1.
    pub line: usize,
}

/// One source file.
#[derive(Debug)]
pub struct Source {
    /// Relative to the workspace's root.
    pub path: PathBuf,
    /// Where the file hangs in its crate.
    pub module: Vec<String>,
    /// Compiled for tests or the model checker only.
    pub test: bool,
    /// Its tokens in order.
    pub tokens: Vec<Token>,
    /// Its module documentation.
    pub docs: Vec<Doc>,
    /// `mod name;` declarations.
    files: Vec<Submodule>,
}

#[derive(Clone, Debug)]
struct Submodule {
    module: Vec<String>,
    test: bool,
    line: usize,
}

/// Where a token stands.
#[derive(Clone)]
struct Place {
    module: Rc<[String]>,
    test: bool,
    constant: bool,
}

impl Source {
    /// Reads one file, seen as the root of a crate.
    pub fn read(root: &Path, path: &Path) -> Source {
        Source::read_module(root, path, &[], false)
    }

    /// Reads a crate: the file at `path` and every module file it declares, directly or not.
    pub fn read_crate(root: &Path, path: &Path) -> Vec<Source> {
        let mut sources = vec![Source::read(root, path)];
        let folder = path.parent().expect("a file in a folder");
        let mut next = 0;
        while let Some(source) = sources.get(next) {
            let found: Vec<_> = source.files.iter().map(|child| child.read(root, folder, &source.path)).collect();
            sources.extend(found);
            next += 1;
        }
        sources
    }

    fn read_module(root: &Path, path: &Path, module: &[String], test: bool) -> Source {
        let text = fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Source::parse(path, &text, module, test)
    }

    /// Takes `text` apart. `module` is where the file hangs in its crate.
    pub fn parse(path: &Path, text: &str, module: &[String], test: bool) -> Source {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut source = Source {
            path: path.to_path_buf(),
            module: module.to_vec(),
            test,
            tokens: Vec::new(),
            docs: Vec::new(),
            files: Vec::new(),
        };
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        source.docs = file_docs(&trees);
        source.add(&trees, &Place { module: module.into(), test, constant: false });
        source
    }

    /// The modules that are files of their own and ship, as they are declared here.
    pub fn children(&self) -> Vec<String> {
        let shipped = self.files.iter().filter(|child| !child.test && child.module.len() == self.module.len() + 1);
        shipped.filter_map(|child| child.module.last().cloned()).collect()
    }

    /// The tokens that end up in the shipped library.
    pub fn shipped(&self) -> Vec<&Token> {
        self.tokens.iter().filter(|token| !token.test).collect()
    }

    fn add(&mut self, trees: &[TokenTree], place: &Place) {
        let mut place = place.clone();
        let mut at = 0;
        while at < trees.len() {
            let end = match trees {
                _ if is_doc(trees, at) => at + doc_length(trees, at),
                _ if is_test_only(trees, at) && is_inner(trees, at) => {
                    place.test = true;
                    at + 3
                }
                _ if is_test_only(trees, at) && !place.test => {
                    let end = item_end(trees, at);
                    self.add(&trees[at..end], &Place { test: true, ..place.clone() });
                    end
                }
                _ if !place.constant && is_constant(trees, at) => {
                    let end = constant_end(trees, at);
                    self.add(&trees[at..end], &Place { constant: true, ..place.clone() });
                    end
                }
                _ if is_ident(trees.get(at), "mod") => self.add_module(trees, at, &place),
                _ => self.add_one(trees, at, &place),
            };
            at = end;
        }
    }

    fn add_module(&mut self, trees: &[TokenTree], at: usize, place: &Place) -> usize {
        let (Some(TokenTree::Ident(name)), Some(body)) = (trees.get(at + 1), trees.get(at + 2)) else {
            return self.add_one(trees, at, place);
        };
        let module: Vec<String> = place.module.iter().cloned().chain([name.to_string()]).collect();
        match body {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let body: Vec<TokenTree> = group.stream().into_iter().collect();
                self.add(&body, &Place { module: module.into(), ..place.clone() });
            }
            TokenTree::Punct(_) => {
                let line = name.span().start().line;
                self.files.push(Submodule { module, test: place.test, line });
            }
            _ => {}
        }
        at + 3
    }

    /// Adds the tree at `at` and says where the next one is.
    fn add_one(&mut self, trees: &[TokenTree], at: usize, place: &Place) -> usize {
        let tree = &trees[at];
        let mut token = Token {
            text: String::new(),
            line: tree.span().start().line,
            module: place.module.clone(),
            test: place.test,
            constant: place.constant,
        };
        let mut length = 1;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                self.tokens.push(Token { text: open.into(), ..token.clone() });
                let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                self.add(&inside, place);
                token.text = close.into();
                token.line = group.span_close().start().line;
            }
            TokenTree::Punct(punct)
                if punct.as_char() == ':' && punct.spacing() == Spacing::Joint && is_punct(trees.get(at + 1), ':') =>
            {
                token.text = "::".into();
                length = 2;
            }
            other => token.text = other.to_string(),
        }
        self.tokens.push(token);
        at + length
    }
}

impl Submodule {
    /// Reads the file of this module, `x.rs` or `x/mod.rs` below `folder`.
    fn read(&self, root: &Path, folder: &Path, parent: &Path) -> Source {
        let base: PathBuf = folder.join(self.module.iter().collect::<PathBuf>());
        let candidates = [base.with_extension("rs"), base.join("mod.rs")];
        let file = candidates.iter().find(|file| root.join(file).is_file()).unwrap_or_else(|| {
            let [flat, nested] = &candidates;
            let (flat, nested) = (flat.display(), nested.display());
            panic!("{}:{}: the module has no file, neither {flat} nor {nested}", parent.display(), self.line)
        });
        Source::read_module(root, file, &self.module, self.test)
    }
}

/// The texts of `tokens`, to match patterns against.
pub fn texts<'a>(tokens: &[&'a Token]) -> Vec<&'a str> {
    tokens.iter().map(|token| token.text.as_str()).collect()
}

/// The documentation lines of the file: `#![doc = "..."]` once the tokenizer has seen them.
fn file_docs(trees: &[TokenTree]) -> Vec<Doc> {
    let inner = (0..trees.len()).filter(|&at| is_doc(trees, at) && is_inner(trees, at));
    let mut docs = Vec::new();
    for at in inner {
        let Some(TokenTree::Group(group)) = trees.get(at + 2) else { continue };
        let Some(TokenTree::Literal(literal)) = group.stream().into_iter().nth(2) else { continue };
        // The tokenizer escapes what a string needs; of those only quotes and backslashes occur in prose.
        let text = literal.to_string().replace("\\\"", "\"").replace("\\'", "'").replace("\\\\", "\\");
        let line = group.span().start().line;
        docs.push(Doc { text: text.trim_matches('"').trim().to_string(), line });
    }
    docs
}

fn is_ident(tree: Option<&TokenTree>, text: &str) -> bool {
    matches!(tree, Some(TokenTree::Ident(ident)) if ident == text)
}

fn is_punct(tree: Option<&TokenTree>, character: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}

fn is_brace(tree: Option<&TokenTree>) -> bool {
    matches!(tree, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace)
}

/// Whether an inner attribute (`#![...]`) starts at `at`.
fn is_inner(trees: &[TokenTree], at: usize) -> bool {
    is_punct(trees.get(at), '#') && is_punct(trees.get(at + 1), '!')
}

/// What is inside the brackets of the attribute at `at`.
fn attribute(trees: &[TokenTree], at: usize) -> Option<TokenStream> {
    if !is_punct(trees.get(at), '#') {
        return None;
    }
    match trees.get(at + 1 + usize::from(is_inner(trees, at))) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => Some(group.stream()),
        _ => None,
    }
}

fn is_doc(trees: &[TokenTree], at: usize) -> bool {
    attribute(trees, at).is_some_and(|inside| is_ident(inside.into_iter().next().as_ref(), "doc"))
}

fn doc_length(trees: &[TokenTree], at: usize) -> usize {
    2 + usize::from(is_inner(trees, at))
}

/// Whether the attribute at `at` keeps what follows out of the shipped library: `cfg(test)`, `cfg(loom)`, or an `all`
/// with one of them.
fn is_test_only(trees: &[TokenTree], at: usize) -> bool {
    let Some(inside) = attribute(trees, at) else { return false };
    let inside: Vec<TokenTree> = inside.into_iter().collect();
    let [name, TokenTree::Group(condition)] = inside.as_slice() else { return false };
    is_ident(Some(name), "cfg") && requires_test(condition.stream())
}

fn requires_test(condition: TokenStream) -> bool {
    let words: Vec<TokenTree> = condition.into_iter().collect();
    words.iter().enumerate().any(|(at, word)| match word {
        TokenTree::Ident(ident) if *ident == "all" => {
            matches!(words.get(at + 1), Some(TokenTree::Group(inside)) if requires_test(inside.stream()))
        }
        TokenTree::Ident(ident) => *ident == "test" || *ident == "loom",
        _ => false,
    })
}

/// Where the thing ends whose attributes start at `at`.
fn item_end(trees: &[TokenTree], at: usize) -> usize {
    const ITEMS: [&str; 14] = [
        "async",
        "const",
        "enum",
        "extern",
        "fn",
        "impl",
        "let",
        "macro_rules",
        "mod",
        "static",
        "struct",
        "trait",
        "type",
        "use",
    ];
    let mut at = at;
    while attribute(trees, at).is_some() {
        at += 2;
    }
    if is_ident(trees.get(at), "pub") {
        at += 1 + usize::from(matches!(trees.get(at + 1), Some(TokenTree::Group(_))));
    }
    let is_item = ITEMS.iter().chain(&["unsafe", "union"]).any(|word| is_ident(trees.get(at), word));
    // A field, a variant, an arm or a statement ends at its comma as well.
    let ends =
        |tree: &TokenTree| is_punct(Some(tree), ';') || is_brace(Some(tree)) || (!is_item && is_punct(Some(tree), ','));
    trees[at..].iter().position(ends).map_or(trees.len(), |length| at + length + 1)
}

/// Whether a constant starts at `at`: `const NAME: ...`, `static NAME: ...` or `const { ... }`.
fn is_constant(trees: &[TokenTree], at: usize) -> bool {
    let keyword = is_ident(trees.get(at), "const") || is_ident(trees.get(at), "static");
    let before = at.checked_sub(1).and_then(|before| trees.get(before));
    // `*const T`, `&'static T`, `&raw const x`, `<const N: usize>`, `<T, const N: usize>`.
    let within = "*'<,".chars().any(|character| is_punct(before, character)) || is_ident(before, "raw");
    if !keyword || within {
        return false;
    }
    let mut name = at + 1;
    while is_ident(trees.get(name), "mut") || is_punct(trees.get(name), '$') {
        name += 1;
    }
    is_brace(trees.get(name)) || is_punct(trees.get(name + 1), ':')
}

fn constant_end(trees: &[TokenTree], at: usize) -> usize {
    if is_brace(trees.get(at + 1)) {
        return at + 2;
    }
    let length = trees[at..].iter().position(|tree| is_punct(Some(tree), ';'));
    length.map_or(trees.len(), |length| at + length + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Source {
        Source::parse(Path::new("a.rs"), text, &[], false)
    }

    fn words(text: &str, keep: fn(&Token) -> bool) -> String {
        let source = parse(text);
        let kept: Vec<&str> =
            source.tokens.iter().filter(|token| keep(token)).map(|token| token.text.as_str()).collect();
        kept.join(" ")
    }

    #[test]
    fn comments_and_strings_are_no_tokens() {
        assert_eq!(words("// unsafe\n/* panic!() */ fn f() { \"unsafe\" }", |_| true), "fn f ( ) { \"unsafe\" }");
    }

    #[test]
    fn test_code_is_told_from_shipped_code() {
        let text = "use a::b; #[cfg(test)] extern crate std; #[cfg(all(test, not(loom)))] mod tests { fn t() {} } fn f() {}
            #[cfg(not(test))] fn g() {} struct S { #[cfg(test)] seen: u8, kept: u8 } #[cfg(test)] #[inline] fn t(a: A) {} fn h() {}";
        let shipped = words(text, |token| !token.test);
        for gone in ["std", "tests", "seen", " t "] {
            assert!(!shipped.contains(gone), "{gone} in: {shipped}");
        }
        for there in ["use a :: b", "fn f", "fn g", "kept : u8", "fn h"] {
            assert!(shipped.contains(there), "no {there} in: {shipped}");
        }
    }

    #[test]
    fn a_file_that_is_compiled_for_tests_only_ships_nothing() {
        assert_eq!(words("#![cfg(test)]\nfn f() {}", |token| !token.test), "");
    }

    #[test]
    fn constants_are_told_from_what_looks_like_them() {
        let text = "const A: u8 = one(); const _: () = { two() }; static B: u8 = three(); fn f<const N: usize>(p: *const u8, s: &'static str) {
            const { four() }; five(&raw const s) } const fn g() { six() }";
        let constant = words(text, |token| token.constant);
        for inside in ["one", "two", "three", "four"] {
            assert!(constant.contains(inside), "no {inside} in: {constant}");
        }
        for outside in ["five", "six", "fn"] {
            assert!(!constant.contains(outside), "{outside} in: {constant}");
        }
    }

    #[test]
    fn tokens_know_their_module_and_line() {
        let source = parse("fn f() {}\nmod a {\n    mod b {\n        fn g() {}\n    }\n}");
        let g = source.tokens.iter().find(|token| token.text == "g").expect("g");
        assert_eq!((g.module.join("::").as_str(), g.line), ("a::b", 4));
    }

    #[test]
    fn module_documentation_is_kept_with_its_lines() {
        let source = parse("//! A title.\n//!\n//! # Safety\nfn f() {}");
        let expected = [("A title.", 1), ("", 2), ("# Safety", 3)];
        let expected = expected.map(|(text, line)| Doc { text: text.into(), line });
        assert_eq!(source.docs, expected);
    }
}
