//! MariaDB: a thread for each connection.

use super::{
    Load, Place, Server,
    sql::{Client, prepare_by},
};
use anyhow::Result;
use std::{fs, os::unix::fs::MetadataExt, process::Command};

/// Tables in memory that are filled, sorted and dropped.
pub const SERVER: Server = Server {
    name: "mariadb",
    stands_for: "8 connections that each fill a table in memory with 40,000 rows, sort and group it; the tables are dropped, the connections stay",
    program: "mariadbd",
    needs: &["mariadb", "mariadb-install-db"],
    remedy: "Debian's package mariadb-server",
    brings_allocator: false,
    prepare,
    arguments,
    connect: |place| {
        let mut clients: Vec<Client> = (0..place.count(8)).map(|_| client(place)).collect::<Result<_>>()?;
        clients[0].run("create database if not exists bench;")?;
        Ok(Box::new(Tables { clients, rows: place.count(40_000) }))
    },
};

/// The user that the server is told to run as: the caller.
fn as_caller(command: &mut Command) {
    if fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        command.arg("--user=root");
    }
}

fn prepare(place: &Place) -> Result<()> {
    let mut command = Command::new("mariadb-install-db");
    command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
    command.arg(format!("--datadir={}", place.folder.join("data").display()));
    as_caller(&mut command);
    prepare_by(&mut command)
}

fn arguments(command: &mut Command, place: &Place) {
    command.args(["--no-defaults", "--skip-networking", "--skip-grant-tables", "--skip-log-bin"]);
    command.args(["--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0", "--max-heap-table-size=1G"]);
    command.arg("--pid-file=pid").arg(format!("--datadir={}", place.folder.join("data").display()));
    command.arg(format!("--socket={}", place.socket().display()));
    as_caller(command);
}

fn client(place: &Place) -> Result<Client> {
    let mut command = Command::new("mariadb");
    // Without buffers, so that an answer is seen when it is there.
    command.args(["--no-defaults", "--batch", "--skip-column-names", "--unbuffered", "--socket"]);
    Client::start(command.arg(place.socket()), place)
}

struct Tables {
    clients: Vec<Client>,
    rows: usize,
}

impl Load for Tables {
    fn fill(&mut self) -> Result<()> {
        for (number, client) in self.clients.iter_mut().enumerate() {
            client.send(&format!(
                "use bench;\n\
                 create table t{number} (id int primary key, name varchar(64), note varchar(200), key (name)) engine=memory \
                 as select seq id, md5(seq) name, repeat(md5(seq), 4) note from seq_1_to_{};\n\
                 select count(*) from (select name, count(*) n from t{number} group by name order by n, name limit 9) g;\n\
                 delete from t{number} where id % 3 = 0;\n\
                 select length(group_concat(name order by name)) from t{number};",
                self.rows
            ))?;
        }
        self.clients.iter_mut().try_for_each(Client::finish)
    }

    fn empty(&mut self) -> Result<()> {
        let mut clients = self.clients.iter_mut().enumerate();
        clients.try_for_each(|(number, client)| client.run(&format!("drop table t{number};\nflush tables;")))
    }
}
