//! The shell and the tools around it: bash, git, tar and xz.

use crate::presence::input;
use crate::scene::{Scene, Step, compare};

#[test]
fn bash() {
    compare("bash", &["bash"], |scene| {
        scene.run(Step::new("bash").arg(input("bash/work.sh")).status(7));
    });
}

#[test]
fn git() {
    compare("git", &["git"], |scene| {
        scene.write("history", history(400));
        scene.run(git_step("init -q -b main source"));
        scene.run(git_step("-C source fast-import --quiet").stdin("history"));
        scene.run(git_step("-C source checkout -q main"));
        for change in 0..12 {
            scene.write(&format!("source/by-hand/{change}.txt"), format!("changed by hand, {change}\n").repeat(100));
            scene.run(git_step("-C source add -A"));
            scene.run(git_step(&format!("-C source commit -q -m change-{change}")));
        }
        scene.run(git_step("clone -q --no-local source copy"));
        scene.run(git_step("-C copy gc -q --aggressive --prune=now"));
        scene.run(git_step("-C copy fsck --full --strict --no-progress"));
        scene.run(git_step("-C copy log --stat --graph --format=%H%n%an%n%s"));
        scene.run(git_step("-C copy log -S changed -p --format=%H -- folder3"));
        scene.run(git_step("-C copy blame folder1/file1.txt"));
        scene.run(git_step("-C copy grep -n -c line"));
        scene.run(git_step("-C copy rev-list --all --objects"));
        scene.run(git_step("-C copy switch -q -c side HEAD~200"));
        scene.write("copy/side.txt", "a file of the side branch\n");
        scene.run(git_step("-C copy add side.txt"));
        scene.run(git_step("-C copy commit -q -m side"));
        scene.run(git_step("-C copy merge -q -m merge main"));
        scene.run(git_step("-C copy archive --format=tar -o ../merged.tar HEAD"));
        scene.keep("merged.tar");
    });
}

/// A git command by an author and at a time that are the same in every run, so that the object names are too.
fn git_step(arguments: &str) -> Step {
    let mut step = Step::new("git").args(arguments);
    for role in ["AUTHOR", "COMMITTER"] {
        step = step
            .env(&format!("GIT_{role}_NAME"), "A Person")
            .env(&format!("GIT_{role}_EMAIL"), "person@example.org")
            .env(&format!("GIT_{role}_DATE"), "1700001000 +0000");
    }
    step.env("GIT_CONFIG_NOSYSTEM", "1")
}

/// A history for git fast-import: `commits` commits, each of which changes some of 48 files.
fn history(commits: usize) -> String {
    let mut stream = String::new();
    for commit in 1..=commits {
        let time = 1_600_000_000 + commit * 600;
        let message = format!("commit number {commit}");
        stream += "commit refs/heads/main\n";
        stream += &format!("committer A Person <person@example.org> {time} +0000\ndata {}\n{message}\n", message.len());
        for change in 0..3 {
            let file = (commit * 7 + change * 5) % 48;
            let text: String = (0..commit % 90 + 20)
                .map(|line| format!("line {line} of file {file}, changed in {}\n", commit + line % 4))
                .collect();
            stream += &format!("M 100644 inline folder{}/file{}.txt\n", file % 6, file / 6);
            stream += &format!("data {}\n{text}\n", text.len());
        }
    }
    stream
}

#[test]
fn tar_with_xz() {
    compare("tar_with_xz", &["tar", "xz"], |scene| {
        make_tree(scene);
        let fixed = "--sort=name --mtime=@1600000000 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX";
        scene.run(Step::new("tar").args(fixed).args("-cf tree.tar tree"));
        scene.run(Step::new("xz").args("-T2 --block-size=1MiB -6 --keep tree.tar"));
        scene.keep("tree.tar.xz");
        scene.run(Step::new("xz").args("-T2 --test --verbose --verbose tree.tar.xz"));
        std::fs::create_dir(scene.work().join("back")).expect("folders can be made");
        scene.run(Step::new("tar").arg("--use-compress-program=xz -T2").args("-xf tree.tar.xz -C back"));
        // tar itself says what differs between the archive and the tree that came out of it.
        scene.run(Step::new("tar").args("-df tree.tar -C back"));
        scene.run(Step::new("tar").args("-tvf tree.tar"));
    });
}

/// A tree of 300 files, 8 MB in all: text that packs well, noise that does not.
fn make_tree(scene: &Scene) {
    let mut noise = 88172645463325252u64;
    for file in 0..300usize {
        let mut contents = Vec::new();
        while contents.len() < file * 180 {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            match file % 3 {
                0 => contents.extend(noise.to_le_bytes()),
                _ => contents.extend(format!("{} and {};\n", noise % 1000, file).bytes()),
            }
        }
        scene.write(&format!("tree/folder{}/sub{}/file{file}", file % 7, file % 3), contents);
    }
}
