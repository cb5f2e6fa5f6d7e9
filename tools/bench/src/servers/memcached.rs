//! memcached: its text protocol, and a load with many connections.

use super::{Load, Place, Server, nothing, text};
use crate::random::Random;
use anyhow::{Context, Result, bail};
use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    process::Command,
};

/// A cache that fills up and is flushed, asked by many.
pub const SERVER: Server = Server {
    name: "memcached",
    stands_for: "150,000 items of 100 to 1,000 bytes, 400 connections that ask for 100 items each; flush_all (its pages of items stay by design)",
    program: "memcached",
    needs: &[],
    remedy: "Debian's package memcached",
    brings_allocator: false,
    prepare: nothing,
    arguments,
    connect: |place| {
        let (items, readers) = (place.count(150_000), place.count(400));
        Ok(Box::new(Cache { place: place.clone(), control: Memcached::connect(place)?, items, readers }))
    },
};

fn arguments(command: &mut Command, place: &Place) {
    // Root must name a user.
    command.args(["-u", "root", "-m", "1024", "-c", "2000", "-s"]).arg(place.socket());
}

/// Items that are sent before an answer is waited for, and those that one reader asks for.
const AT_ONCE: usize = 100;

struct Memcached(BufReader<UnixStream>);

impl Memcached {
    fn connect(place: &Place) -> Result<Self> {
        let mut memcached = Self(BufReader::new(UnixStream::connect(place.socket())?));
        memcached.ask("version\r\n")?;
        Ok(memcached)
    }

    /// Sends a request, and reads one line.
    fn ask(&mut self, request: &str) -> Result<String> {
        self.0.get_mut().write_all(request.as_bytes())?;
        read_line(&mut self.0)
    }

    /// Sends a request, and reads lines to the end of the answer.
    fn ask_for_lines(&mut self, request: &str) -> Result<Vec<String>> {
        self.0.get_mut().write_all(request.as_bytes())?;
        read_to_end(&mut self.0)
    }
}

fn read_line(stream: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).context("memcached does not answer")?;
    match line.strip_suffix("\r\n") {
        None => bail!("memcached ended the connection"),
        Some(line) if line.contains("ERROR") => bail!("memcached answered `{line}`"),
        Some(line) => Ok(line.to_owned()),
    }
}

fn read_to_end(stream: &mut impl BufRead) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        match read_line(stream)? {
            end if end == "END" => return Ok(lines),
            line => lines.push(line),
        }
    }
}

/// The number in a line of statistics.
fn statistic(lines: &[String], name: &str) -> Option<u64> {
    lines.iter().find_map(|line| line.strip_prefix("STAT ")?.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

struct Cache {
    place: Place,
    control: Memcached,
    items: usize,
    readers: usize,
}

impl Load for Cache {
    fn fill(&mut self) -> Result<()> {
        let mut random = Random::new(1);
        let mut request = String::new();
        for item in 0..self.items {
            let length = random.between(100, 1000);
            request += &format!("set {item} 0 0 {length} noreply\r\n{}\r\n", text(&mut random, length));
            if item % AT_ONCE == 0 || item + 1 == self.items {
                self.control.ask(&(request + "version\r\n"))?;
                request = String::new();
            }
        }
        let mut readers: Vec<Memcached> =
            (0..self.readers).map(|_| Memcached::connect(&self.place)).collect::<Result<_>>()?;
        // All ask before the first answer is read, so that the server has buffers for all of them.
        for reader in &mut readers {
            let keys: Vec<String> = (0..AT_ONCE).map(|_| random.below(self.items).to_string()).collect();
            reader.0.get_mut().write_all(format!("get {}\r\n", keys.join(" ")).as_bytes())?;
        }
        readers.iter_mut().try_for_each(|reader| read_to_end(&mut reader.0).map(drop))
    }

    fn empty(&mut self) -> Result<()> {
        self.control.ask("flush_all\r\n").map(drop)
    }

    fn live(&mut self) -> Result<u64> {
        let lines = self.control.ask_for_lines("stats slabs\r\n")?;
        statistic(&lines, "total_malloced").context("memcached does not say how much memory it uses")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_with_its_last_line_and_an_error_is_one() {
        let mut answer = &b"STAT active_slabs 2\r\nSTAT total_malloced 1048576\r\nEND\r\nCLIENT_ERROR bad\r\n"[..];
        let lines = read_to_end(&mut answer).unwrap();
        assert_eq!(statistic(&lines, "total_malloced"), Some(1_048_576));
        assert_eq!(statistic(&lines, "total"), None);
        assert!(read_line(&mut answer).unwrap_err().to_string().contains("CLIENT_ERROR bad"));
        assert!(read_line(&mut answer).unwrap_err().to_string().contains("ended the connection"));
    }
}
