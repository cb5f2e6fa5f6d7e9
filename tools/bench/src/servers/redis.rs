//! redis: its protocol, and three loads.

use super::{Load, Place, Server, nothing, text};
use crate::random::Random;
use anyhow::{Context, Result, bail};
use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    process::Command,
    thread,
    time::Duration,
};

/// Many keys, then FLUSHALL.
pub const FLUSH: Server = server("redis set and flush", "400,000 values of 100 to 300 bytes; FLUSHALL", |place| {
    Ok(Box::new(Flush { redis: Redis::connect(place)?, keys: place.count(400_000) }))
});

/// Many keys, which the server finds expired.
pub const EXPIRY: Server = server(
    "redis active expiry",
    "300,000 values of 100 to 300 bytes, which expire within two seconds and which nobody asks for again",
    |place| Ok(Box::new(Expiry { redis: Redis::connect(place)?, keys: place.count(300_000) })),
);

/// Hashes and lists that are replaced piece by piece; most of them go.
pub const CHURN: Server = server(
    "redis hashes and lists",
    "10,000 hashes and lists of 40 values, replaced at random, one by one; nine in ten are deleted",
    |place| {
        let (things, steps) = (place.count(10_000), place.count(600_000));
        Ok(Box::new(Churn { redis: Redis::connect(place)?, random: Random::new(3), things, steps }))
    },
);

const fn server(name: &'static str, stands_for: &'static str, connect: fn(&Place) -> Result<Box<dyn Load>>) -> Server {
    Server {
        name,
        stands_for,
        program: "redis-server",
        needs: &[],
        remedy: "Debian's package redis-server",
        brings_allocator: true,
        prepare: nothing,
        arguments,
        connect,
    }
}

fn arguments(command: &mut Command, place: &Place) {
    command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(place.socket());
}

/// Commands that are sent before their replies are read.
const AT_ONCE: usize = 500;

/// A connection.
struct Redis {
    stream: BufReader<UnixStream>,
    commands: Vec<u8>,
    waiting: usize,
}

/// A reply of the kinds that the loads get.
#[derive(Debug, PartialEq)]
enum Reply {
    Number(i64),
    Text(Vec<u8>),
    Nothing,
}

impl Redis {
    fn connect(place: &Place) -> Result<Self> {
        let stream = BufReader::new(UnixStream::connect(place.socket())?);
        let mut redis = Self { stream, commands: Vec::new(), waiting: 0 };
        redis.ask(&["PING"])?;
        Ok(redis)
    }

    /// Sends a command with others, and reads the replies of all when there are many.
    fn send(&mut self, words: &[&str]) -> Result<()> {
        append(&mut self.commands, words);
        self.waiting += 1;
        if self.waiting >= AT_ONCE { self.finish().map(drop) } else { Ok(()) }
    }

    /// Sends what is left, and returns the last reply.
    fn finish(&mut self) -> Result<Reply> {
        self.stream.get_mut().write_all(&self.commands)?;
        self.commands.clear();
        let mut last = Reply::Nothing;
        for _ in 0..std::mem::take(&mut self.waiting) {
            last = read_reply(&mut self.stream)?;
        }
        Ok(last)
    }

    fn ask(&mut self, words: &[&str]) -> Result<Reply> {
        self.send(words)?;
        self.finish()
    }

    /// What the server has allocated and not freed, as it counts itself.
    fn used(&mut self) -> Result<u64> {
        let Reply::Text(text) = self.ask(&["INFO", "memory"])? else { bail!("redis says nothing about its memory") };
        used_memory(&String::from_utf8_lossy(&text)).context("redis does not say how much memory it uses")
    }

    /// Keys with values of 100 to 300 bytes.
    fn fill(&mut self, keys: usize) -> Result<()> {
        let mut random = Random::new(1);
        for key in 0..keys {
            let length = random.between(100, 300);
            self.send(&["SET", &key_name(key), &text(&mut random, length)])?;
        }
        self.finish().map(drop)
    }
}

fn key_name(key: usize) -> String {
    format!("key:{key}")
}

/// Adds a command in the protocol's form.
fn append(commands: &mut Vec<u8>, words: &[&str]) {
    commands.extend(format!("*{}\r\n", words.len()).bytes());
    for word in words {
        commands.extend(format!("${}\r\n{word}\r\n", word.len()).bytes());
    }
}

fn read_reply(stream: &mut impl BufRead) -> Result<Reply> {
    let mut line = String::new();
    stream.read_line(&mut line).context("redis does not answer")?;
    let Some(rest) = line.strip_suffix("\r\n").filter(|line| !line.is_empty()) else {
        bail!("redis ended the connection")
    };
    let (kind, rest) = rest.split_at(1);
    match (kind, rest.parse::<i64>()) {
        ("+", _) => Ok(Reply::Text(rest.as_bytes().to_owned())),
        (":", Ok(number)) => Ok(Reply::Number(number)),
        ("$", Ok(-1)) => Ok(Reply::Nothing),
        ("$", Ok(length)) => {
            let mut text = vec![0; usize::try_from(length)? + 2];
            stream.read_exact(&mut text).context("redis ended the connection in a reply")?;
            text.truncate(text.len() - 2);
            Ok(Reply::Text(text))
        }
        _ => bail!("redis answered `{}`", line.trim_end()),
    }
}

fn used_memory(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("used_memory:"))?.trim().parse().ok()
}

struct Flush {
    redis: Redis,
    keys: usize,
}

impl Load for Flush {
    fn fill(&mut self) -> Result<()> {
        self.redis.fill(self.keys)
    }

    fn empty(&mut self) -> Result<()> {
        self.redis.ask(&["FLUSHALL"]).map(drop)
    }

    fn live(&mut self) -> Result<u64> {
        self.redis.used()
    }
}

struct Expiry {
    redis: Redis,
    keys: usize,
}

impl Load for Expiry {
    fn fill(&mut self) -> Result<()> {
        self.redis.fill(self.keys)
    }

    fn empty(&mut self) -> Result<()> {
        let mut random = Random::new(2);
        for key in 0..self.keys {
            self.redis.send(&["PEXPIRE", &key_name(key), &random.between(1, 2000).to_string()])?;
        }
        self.redis.finish()?;
        while self.redis.ask(&["DBSIZE"])? != Reply::Number(0) {
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn live(&mut self) -> Result<u64> {
        self.redis.used()
    }
}

struct Churn {
    redis: Redis,
    random: Random,
    /// Half of them are hashes, the others are lists.
    things: usize,
    steps: usize,
}

/// Values in each hash and list.
const VALUES: usize = 40;

impl Churn {
    fn value(&mut self) -> String {
        // Above 64 bytes, a hash keeps each value as a block of its own.
        let length = self.random.between(80, 400);
        text(&mut self.random, length)
    }
}

impl Load for Churn {
    fn fill(&mut self) -> Result<()> {
        for step in 0..self.things * VALUES + self.steps {
            let fresh = step < self.things * VALUES;
            let (thing, field) =
                if fresh { (step / VALUES, step % VALUES) } else { (self.random.below(self.things), step % VALUES) };
            let (key, value) = (key_name(thing), self.value());
            if thing % 2 == 0 {
                self.redis.send(&["HSET", &key, &field.to_string(), &value])?;
            } else {
                self.redis.send(&["RPUSH", &key, &value])?;
                if !fresh {
                    self.redis.send(&["LPOP", &key])?;
                }
            }
        }
        self.redis.finish().map(drop)
    }

    fn empty(&mut self) -> Result<()> {
        for key in self.random.order(self.things).iter().skip(self.things / 10) {
            self.redis.send(&["DEL", &key_name(*key)])?;
        }
        self.redis.finish().map(drop)
    }

    fn live(&mut self) -> Result<u64> {
        self.redis.used()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_says_how_long_its_words_are() {
        let mut commands = Vec::new();
        append(&mut commands, &["SET", "k", ""]);
        assert_eq!(commands, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n");
    }

    #[test]
    fn replies_are_read_one_after_another_and_errors_are_errors() {
        let mut replies = &b"+OK\r\n:-7\r\n$4\r\na\r\nb\r\n$-1\r\n-ERR no\r\n"[..];
        let texts = [&b"OK"[..], b"a\r\nb"].map(|text| Reply::Text(text.to_owned()));
        let [ok, text] = texts;
        for reply in [ok, Reply::Number(-7), text, Reply::Nothing] {
            assert_eq!(read_reply(&mut replies).unwrap(), reply);
        }
        assert!(read_reply(&mut replies).unwrap_err().to_string().contains("-ERR no"));
        assert!(read_reply(&mut replies).unwrap_err().to_string().contains("ended the connection"));
        assert!(read_reply(&mut &b"$9\r\nab"[..]).is_err());
    }

    #[test]
    fn used_memory_is_not_the_memory_of_something_else() {
        let text = "# Memory\r\nused_memory_rss:9\r\nused_memory:1234\r\nused_memory_peak:5\r\n";
        assert_eq!(used_memory(text), Some(1234));
    }
}
