//! PostgreSQL: a process for each connection.

use super::{
    Load, Place, Server,
    sql::{Client, prepare_by},
};
use anyhow::{Context, Result};
use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

/// Connections that sort, and then wait.
pub const SERVER: Server = Server {
    name: "postgresql",
    stands_for: "16 connections that sort 60,000 rows, group them and build JSON; their transactions end, the connections stay",
    program: "postgres",
    needs: &["psql"],
    remedy: "Debian's package postgresql",
    brings_allocator: false,
    prepare,
    arguments,
    connect: |place| {
        let clients = (0..place.count(16)).map(|_| client(place)).collect::<Result<_>>()?;
        Ok(Box::new(Backends { clients, rows: place.count(60_000) }))
    },
};

/// The user whom Debian's package makes. PostgreSQL does not run as root.
const USER: &str = "postgres";

/// A program of PostgreSQL's that lies in the folder of its newest version.
pub fn find(program: &str) -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path());
    let files = versions.map(|version| version.join("bin").join(program)).filter(|file| file.is_file());
    files.max_by_key(|file| version(file))
}

/// The version in the path of a program, as a number: 9 is older than 15.
fn version(file: &Path) -> u32 {
    let folder = file.ancestors().nth(2).and_then(Path::file_name);
    folder.and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0)
}

/// The user and group that the server runs as, where that is another than the caller.
fn other_user() -> Option<(u32, u32)> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if is_root { user_in(&fs::read_to_string("/etc/passwd").ok()?, USER) } else { None }
}

/// The numbers of a user and of its group in a file of users.
fn user_in(users: &str, name: &str) -> Option<(u32, u32)> {
    let fields: Vec<&str> =
        users.lines().map(|line| line.split(':').collect()).find(|user: &Vec<_>| user[0] == name)?;
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
}

fn as_server_user(command: &mut Command) {
    if let Some((user, group)) = other_user() {
        command.uid(user).gid(group);
    }
}

fn prepare(place: &Place) -> Result<()> {
    if let Some((user, group)) = other_user() {
        chown(&place.folder, Some(user), Some(group)).context("the folder cannot be given to the server's user")?;
        // That user must pass through the folder of all input.
        let above = place.folder.parent().context("the folder lies in none")?;
        fs::set_permissions(above, fs::Permissions::from_mode(0o711)).context("the folder cannot be opened")?;
    }
    let mut command = Command::new(find("initdb").context("initdb is not installed")?);
    command.args(["--no-sync", "--no-instructions", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", USER, "-D"]);
    command.arg(place.folder.join("data")).current_dir(&place.folder);
    as_server_user(&mut command);
    prepare_by(&mut command)
}

fn arguments(command: &mut Command, place: &Place) {
    command.arg("-D").arg(place.folder.join("data")).arg("-k").arg(&place.folder);
    for setting in ["listen_addresses=", "fsync=off", "jit=off", "autovacuum=off", "shared_buffers=16MB"] {
        command.args(["-c", setting]);
    }
    as_server_user(command);
}

/// Its clients find the socket by the name of its folder.
fn client(place: &Place) -> Result<Client> {
    let mut command = Command::new("psql");
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", USER, "-d", "postgres", "-h"]);
    Client::start(command.arg(&place.folder), place)
}

struct Backends {
    clients: Vec<Client>,
    rows: usize,
}

impl Load for Backends {
    fn fill(&mut self) -> Result<()> {
        // A cursor keeps what was sorted in memory until its transaction ends.
        let statements = format!(
            "set work_mem = '256MB';\n\
             select count(*) from (select md5((i % 9973)::text), count(*) from generate_series(1, {0}) i group by 1) g;\n\
             select length(jsonb_agg(jsonb_build_object('id', i, 'name', md5(i::text)))::text) \
             from generate_series(1, {0} / 10) i;\n\
             begin;\n\
             declare c cursor for select md5(i::text) || md5((i * 7)::text) h, i from generate_series(1, {0}) i order by 1;\n\
             fetch 1 from c;",
            self.rows
        );
        self.clients.iter_mut().try_for_each(|client| client.send(&statements))?;
        self.clients.iter_mut().try_for_each(Client::finish)
    }

    fn empty(&mut self) -> Result<()> {
        self.clients.iter_mut().try_for_each(|client| client.run("commit;\ndiscard all;"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let users = "postgres2:x:1:2::/:/bin/sh\n\npostgres:x:101:104:PostgreSQL:/var:/bin/bash\nshort:x\n";
        assert_eq!(user_in(users, "postgres"), Some((101, 104)));
        assert_eq!(user_in(users, "short"), None);
        assert_eq!(user_in(users, "nobody"), None);
    }

    #[test]
    fn version_15_is_newer_than_9() {
        let [new, old] =
            ["15", "9"].map(|number| version(Path::new("/usr/lib/postgresql").join(number).join("bin/x").as_path()));
        assert!(new > old);
    }
}
