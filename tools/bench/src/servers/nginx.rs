//! nginx: many connections at once, by plain HTTP.

use super::{Load, Place, Server, text};
use crate::random::Random;
use anyhow::{Context, Result, bail};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    process::Command,
};

/// A proxy in front of slow clients.
pub const SERVER: Server = Server {
    name: "nginx",
    stands_for: "3,000 connections, each halfway through a request with 21 KB of headers; all are answered and closed",
    program: "nginx",
    needs: &[],
    remedy: "Debian's package nginx",
    brings_allocator: false,
    prepare: |place| {
        fs::write(place.folder.join("nginx.conf"), configuration(place)).context("nginx.conf cannot be written")
    },
    arguments: |command: &mut Command, place: &Place| {
        command.arg("-p").arg(&place.folder).args(["-e", "stderr", "-c", "nginx.conf"]);
    },
    connect: |place| {
        let asking = ask(&mut connect(place)?, 0)?;
        Ok(Box::new(Connections { place: place.clone(), open: Vec::new(), count: place.count(3000), asking }))
    },
};

/// One process, so that none is left should this command be killed; a worker of several does the same.
fn configuration(place: &Place) -> String {
    let socket = place.socket();
    format!(
        "daemon off;\nmaster_process off;\nworker_rlimit_nofile 10000;\npid nginx.pid;\n\
         events {{ worker_connections 5000; }}\n\
         http {{\n  access_log off;\n  keepalive_timeout 600s;\n  client_header_timeout 600s;\n  \
         large_client_header_buffers 4 8k;\n  client_body_temp_path body;\n  proxy_temp_path proxy;\n  \
         fastcgi_temp_path fastcgi;\n  uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n  server {{\n    \
         listen unix:{} backlog=4096;\n    location / {{ return 200 \"{}\"; }}\n  }}\n}}\n",
        socket.display(),
        "answer ".repeat(100)
    )
}

struct Connections {
    place: Place,
    open: Vec<BufReader<UnixStream>>,
    count: usize,
    /// The length of an answer.
    asking: usize,
}

fn connect(place: &Place) -> Result<BufReader<UnixStream>> {
    Ok(BufReader::new(UnixStream::connect(place.socket())?))
}

/// The beginning of a request, with so many large headers.
fn beginning(headers: usize, random: &mut Random) -> String {
    let mut request = "GET / HTTP/1.1\r\nHost: localhost\r\n".to_owned();
    for header in 0..headers {
        request += &format!("X-Header-{header}: {}\r\n", text(random, 7000));
    }
    request
}

/// Sends a whole request; the length of the answer.
fn ask(stream: &mut BufReader<UnixStream>, headers: usize) -> Result<usize> {
    stream.get_mut().write_all((beginning(headers, &mut Random::new(1)) + "\r\n").as_bytes())?;
    read_answer(stream)
}

/// Reads an answer; the length of its body.
fn read_answer(stream: &mut impl BufRead) -> Result<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).context("nginx does not answer")?;
    if !line.starts_with("HTTP/1.1 200 ") {
        bail!("nginx answered `{}`", line.trim_end());
    }
    let mut length = 0;
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            bail!("nginx ended the connection in an answer");
        }
        if let Some(number) = line.strip_prefix("Content-Length: ") {
            length = number.trim().parse().context("nginx sends an answer without a length")?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).context("nginx ended the connection in an answer")?;
    Ok(length)
}

impl Load for Connections {
    fn fill(&mut self) -> Result<()> {
        let mut random = Random::new(1);
        let beginning = beginning(3, &mut random);
        for _ in 0..self.count {
            let mut stream = connect(&self.place)?;
            stream.get_mut().write_all(beginning.as_bytes())?;
            self.open.push(stream);
        }
        // nginx takes its events in turn: when it answers a new connection, it has read what the others sent before.
        ask(&mut connect(&self.place)?, 0).map(drop)
    }

    fn empty(&mut self) -> Result<()> {
        let mut open: Vec<_> = self.open.drain(..).map(Some).collect();
        for at in Random::new(2).order(open.len()) {
            let mut stream = open[at].take().expect("each number comes once");
            stream.get_mut().write_all(b"\r\n")?;
            if read_answer(&mut stream)? != self.asking {
                bail!("nginx sends an answer of another length");
            }
        }
        // The connections are closed; when this one is answered, nginx has seen it.
        ask(&mut connect(&self.place)?, 0).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_it_says() {
        let mut answers = &b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 400 Bad\r\n\r\n"[..];
        assert_eq!(read_answer(&mut answers).unwrap(), 3);
        assert!(read_answer(&mut answers).unwrap_err().to_string().contains("400 Bad"));
        assert!(read_answer(&mut &b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"[..]).is_err());
        assert!(read_answer(&mut &b"HTTP/1.1 200 OK\r\n"[..]).is_err());
    }
}
