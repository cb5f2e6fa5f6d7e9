//! The examples are built and run, by the commands that their README gives.

use hakmem_checks::{Run, library, source_tree};
use std::fs;
use std::path::Path;

/// Where the README says that the library is.
const LIBRARY: &str = "lib=target/release ";

/// The commands of the README: its blocks of shell, one behind the other.
fn commands(text: &str) -> String {
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```"));
    blocks.map(|(block, _)| block).collect()
}

#[test]
fn every_example_is_run_and_does_what_it_says() {
    let text = fs::read_to_string(source_tree().join("examples/README.md")).expect("a README");
    let commands = commands(&text);
    assert!(commands.contains(LIBRARY), "the README no longer says where the library is: {commands}");
    let built = library().shared.parent().expect("a directory");
    let commands = commands.replace(LIBRARY, &format!("lib='{}' ", built.display()));

    let scratch = tempfile::tempdir().expect("a temporary directory");
    let run = Run::new(Path::new("/bin/sh")).arg("-euxc").arg(&commands).current_dir(source_tree());
    let outcome = run.env("TMPDIR", scratch.path()).succeed();
    for said in ["allocations", "blocks allocated, ", "entries", "100 MB refused", "digits", "bytes live at the end"] {
        assert!(outcome.stdout.contains(said), "nothing says \"{said}\": {outcome}");
    }

    for folder in ["examples", "crates/hakmem-alloc/examples"] {
        for entry in fs::read_dir(source_tree().join(folder)).expect("the examples") {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            assert!(name == "README" || commands.contains(&name), "{} is run by no command", path.display());
        }
    }
}
