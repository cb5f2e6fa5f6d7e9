//! Whether starting a program gains privileges: then the dynamic linker ignores a preload that is named by a path.

use super::Finding;
use rustix::process::{getgid, getuid};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const SUBJECT: &str = "privileges";

/// The one finding about `file`.
pub fn examine(file: &Path) -> Finding {
    let Ok(metadata) = fs::metadata(file) else {
        return Finding::problem(SUBJECT, format!("{} cannot be looked at", file.display()));
    };
    let program = Program {
        mode: metadata.mode(),
        owner: metadata.uid(),
        group: metadata.gid(),
        capabilities: rustix::fs::getxattr(file, "security.capability", &mut [0_u8; 64]).is_ok(),
    };
    judge(&program, getuid().as_raw(), getgid().as_raw())
}

fn judge(program: &Program, user: u32, group: u32) -> Finding {
    let marks = program.marks();
    if marks.is_empty() {
        Finding::ok(SUBJECT, "starting it gains none")
    } else if program.raises(user, group) {
        Finding::problem(
            SUBJECT,
            format!(
                "{marks}, and so the dynamic linker ignores the preload; link it with -lhakmem, or run a copy without"
            ),
        )
    } else {
        Finding::note(
            SUBJECT,
            format!("{marks}; you gain nothing by that, but for users who do the preload is ignored"),
        )
    }
}

/// What of a file decides about privileges.
struct Program {
    mode: u32,
    owner: u32,
    group: u32,
    capabilities: bool,
}

impl Program {
    fn set_user(&self) -> bool {
        self.mode & 0o4000 != 0
    }

    /// Without the group's execute bit the bit means something else.
    fn set_group(&self) -> bool {
        self.mode & 0o2010 == 0o2010
    }

    fn marks(&self) -> String {
        let marks = [
            (self.set_user(), "set-user-id"),
            (self.set_group(), "set-group-id"),
            (self.capabilities, "file capabilities"),
        ];
        marks.iter().filter(|(set, _)| *set).map(|(_, mark)| *mark).collect::<Vec<_>>().join(", ")
    }

    /// As the kernel decides it, for a caller whose real ids these are.
    fn raises(&self, user: u32, group: u32) -> bool {
        (self.set_user() && self.owner != user)
            || (self.set_group() && self.group != group)
            || (self.capabilities && user != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn only_those_who_gain_privileges_lose_the_preload() {
        let verdict =
            |mode, capabilities, user| judge(&Program { mode, owner: 0, group: 0, capabilities }, user, user).verdict;
        assert_eq!(verdict(0o755, false, 1000), Verdict::Ok);
        assert_eq!(verdict(0o4755, false, 1000), Verdict::Problem);
        assert_eq!(verdict(0o4755, false, 0), Verdict::Note);
        assert_eq!(verdict(0o2755, false, 1000), Verdict::Problem);
        assert_eq!(verdict(0o2745, false, 1000), Verdict::Ok);
        assert_eq!(verdict(0o755, true, 1000), Verdict::Problem);
        assert_eq!(verdict(0o755, true, 0), Verdict::Note);
    }
}
