//! Services in Python, JavaScript, Ruby and Rust: one small protocol, four programs that speak it.
//!
//! A service keeps documents. Each request is one line, and so is each answer, at the socket of the place:
//!
//! | request | the service | answers |
//! |---|---|---|
//! | `put KEY JSON` | parses the document, keeps it under its key, and writes it as JSON again | how long that is |
//! | `drop KEY` | forgets the document | how many are left |
//! | `collect` | collects garbage, where its language has some | how many are left |
//!
//! It wakes up ten times a second besides and does next to nothing, like a service that looks after its timers.

use super::{Load, Place, Server, nothing, text};
use crate::random::Random;
use anyhow::{Context, Result, bail};
use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
};

/// What all four get to do.
const STANDS_FOR: [&str; 4] = [
    "asyncio; 20,000 JSON documents of 1 to 4 KB from 8 connections, half of them replaced, all dropped at random",
    "the same load; a Buffer beside each document",
    "the same load; a thread for each connection",
    "the same load; a runtime of two threads",
];

/// Python, with asyncio.
pub const PYTHON: Server = Server {
    arguments: |command, _| {
        command.arg("service.py");
    },
    prepare: |place| script(place, "service.py", include_str!("../../programs/service.py")),
    ..service("python3", STANDS_FOR[0], "python3", "Debian's package python3")
};

/// Node.
pub const NODE: Server = Server {
    arguments: |command, _| {
        command.args(["--expose-gc", "service.js"]);
    },
    prepare: |place| script(place, "service.js", include_str!("../../programs/service.js")),
    ..service("node", STANDS_FOR[1], "node", "Debian's package nodejs")
};

/// Ruby, with threads.
pub const RUBY: Server = Server {
    arguments: |command, _| {
        command.arg("service.rb");
    },
    prepare: |place| script(place, "service.rb", include_str!("../../programs/service.rb")),
    ..service("ruby", STANDS_FOR[2], "ruby", "Debian's package ruby")
};

/// Rust, on tokio.
pub const TOKIO: Server =
    service("tokio", STANDS_FOR[3], "hakmem-tokio-service", "`cargo build --release` makes it, beside this command");

const fn service(name: &'static str, stands_for: &'static str, program: &'static str, remedy: &'static str) -> Server {
    Server {
        name,
        stands_for,
        program,
        needs: &[],
        remedy,
        brings_allocator: false,
        prepare: nothing,
        arguments: |_, _| {},
        connect: |place| {
            let clients = (0..CLIENTS).map(|_| Client::connect(place)).collect::<Result<_>>()?;
            Ok(Box::new(Documents { clients, random: Random::new(1), count: place.count(20_000) }))
        },
    }
}

fn script(place: &Place, name: &str, text: &str) -> Result<()> {
    fs::write(place.folder.join(name), text).with_context(|| format!("{name} cannot be written"))
}

/// Connections to a service.
const CLIENTS: usize = 8;

/// Requests that a connection sends before it reads the answers.
const AT_ONCE: usize = 16;

struct Client {
    stream: BufReader<UnixStream>,
    requests: String,
    waiting: usize,
}

impl Client {
    fn connect(place: &Place) -> Result<Self> {
        let stream = BufReader::new(UnixStream::connect(place.socket())?);
        let mut client = Self { stream, requests: String::new(), waiting: 0 };
        client.send(format_args!("collect"))?;
        client.finish()?;
        Ok(client)
    }

    /// Sends a request with others.
    fn send(&mut self, request: std::fmt::Arguments) -> Result<()> {
        writeln!(self.requests, "{request}").expect("a String takes any text");
        self.waiting += 1;
        if self.waiting >= AT_ONCE { self.finish().map(drop) } else { Ok(()) }
    }

    /// Sends what is left, and returns the last answer.
    fn finish(&mut self) -> Result<u64> {
        self.stream.get_mut().write_all(self.requests.as_bytes())?;
        self.requests.clear();
        let mut last = 0;
        for _ in 0..std::mem::take(&mut self.waiting) {
            last = read_answer(&mut self.stream)?;
        }
        Ok(last)
    }
}

fn read_answer(stream: &mut impl BufRead) -> Result<u64> {
    let mut line = String::new();
    stream.read_line(&mut line).context("the service does not answer")?;
    if !line.ends_with('\n') {
        bail!("the service ended the connection");
    }
    line.trim_end().parse().with_context(|| format!("the service answered `{}`", line.trim_end()))
}

/// A document of 1 to 4 KB.
fn document(random: &mut Random, key: usize) -> String {
    let mut lines = String::new();
    for line in 0..random.between(8, 40) {
        let comma = if line == 0 { "" } else { "," };
        let (name, count) = (text(random, 16), random.below(1000));
        write!(lines, "{comma}{{\"name\":\"{name}\",\"count\":{count},\"price\":{count}.25}}")
            .expect("a String takes any text");
    }
    let note = random.between(600, 1600);
    format!("{{\"id\":{key},\"note\":\"{}\",\"lines\":[{lines}]}}", text(random, note))
}

struct Documents {
    clients: Vec<Client>,
    random: Random,
    count: usize,
}

impl Documents {
    fn put(&mut self, turn: usize, key: usize) -> Result<()> {
        let document = document(&mut self.random, key);
        self.clients[turn % CLIENTS].send(format_args!("put {key} {document}"))
    }

    fn finish(&mut self) -> Result<()> {
        self.clients.iter_mut().try_for_each(|client| client.finish().map(drop))
    }
}

impl Load for Documents {
    fn fill(&mut self) -> Result<()> {
        (0..self.count).try_for_each(|key| self.put(key, key))?;
        for turn in 0..self.count / 2 {
            let key = self.random.below(self.count);
            self.put(turn, key)?;
        }
        self.finish()
    }

    fn empty(&mut self) -> Result<()> {
        for (turn, key) in self.random.order(self.count).into_iter().enumerate() {
            self.clients[turn % CLIENTS].send(format_args!("drop {key}"))?;
        }
        self.finish()?;
        self.clients[0].send(format_args!("collect"))?;
        match self.clients[0].finish()? {
            0 => Ok(()),
            left => bail!("the service has {left} documents left"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_json_of_their_size() {
        let mut random = Random::new(5);
        for key in 0..200 {
            let text = document(&mut random, key);
            let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(parsed["id"], key);
            assert!((1000..4096).contains(&text.len()) && !text.contains('\n'), "{} bytes", text.len());
        }
    }

    #[test]
    fn an_answer_is_a_number_in_a_line_of_its_own() {
        let mut answers = &b"12\nno\n3"[..];
        assert_eq!(read_answer(&mut answers).unwrap(), 12);
        assert!(read_answer(&mut answers).unwrap_err().to_string().contains("answered `no`"));
        assert!(read_answer(&mut answers).unwrap_err().to_string().contains("ended the connection"));
    }
}
