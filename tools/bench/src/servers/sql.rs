//! Clients of databases: the database's own command-line client as a child, which reads statements from a pipe.

use super::{
    Place,
    visit::{CLIENTS_LOG, log},
};
use anyhow::{Context, Result, bail};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// What the client prints when it is done with its statements.
const DONE: &str = "-- done --";

/// A client with one connection; it ends with this value.
pub struct Client {
    child: Child,
    /// Nothing once the client is to end.
    statements: Option<ChildStdin>,
    rows: BufReader<ChildStdout>,
}

impl Client {
    /// Starts the client; fails where the server does not answer.
    pub fn start(command: &mut Command, place: &Place) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log(place, CLIENTS_LOG)?);
        let mut child = command.spawn().context("the client cannot be started")?;
        let statements = child.stdin.take();
        let rows = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut client = Self { child, statements, rows };
        client.run("")?;
        Ok(client)
    }

    /// Hands statements to the server and does not wait for them.
    pub fn send(&mut self, statements: &str) -> Result<()> {
        let pipe = self.statements.as_mut().expect("the client has not been told to end");
        writeln!(pipe, "{statements}\nselect '{DONE}';").and_then(|()| pipe.flush()).context("the client has ended")
    }

    /// Waits until all that was sent is done.
    pub fn finish(&mut self) -> Result<()> {
        read_until_done(&mut self.rows)
    }

    /// Has the server carry out statements.
    pub fn run(&mut self, statements: &str) -> Result<()> {
        self.send(statements)?;
        self.finish()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The end of its statements ends the client.
        self.statements = None;
        // It has been waited for, or there is nothing to wait for.
        let _ = self.child.wait();
    }
}

fn read_until_done(rows: &mut impl BufRead) -> Result<()> {
    let mut row = String::new();
    loop {
        row.clear();
        // Clients end at the first statement that fails.
        if rows.read_line(&mut row).context("the client says nothing")? == 0 {
            bail!("the client has ended: a statement failed, or the server does not answer");
        }
        if row.trim_end() == DONE {
            return Ok(());
        }
    }
}

/// Runs a program that prepares something.
pub fn prepare_by(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{} cannot be started", command.get_program().display()))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}", command.get_program().display(), errors.lines().last().unwrap_or("failed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_end_with_the_word_for_done_and_a_client_that_ends_before_has_failed() {
        let mut rows = &b"1\nabc\n-- done --\n2\n"[..];
        read_until_done(&mut rows).unwrap();
        assert!(read_until_done(&mut rows).unwrap_err().to_string().contains("the client has ended"));
    }

    #[test]
    fn what_cannot_be_prepared_says_why() {
        let error =
            prepare_by(Command::new("sh").args(["-c", "echo first >&2; echo no room >&2; exit 1"])).unwrap_err();
        assert_eq!(error.to_string(), "sh: no room");
    }
}
