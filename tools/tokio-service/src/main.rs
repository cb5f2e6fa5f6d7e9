//! Keeps JSON documents: a service on tokio, on whatever allocator is preloaded.
//!
//! `tools/bench/src/servers/service.rs` has the protocol.

use serde_json::Value;
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    runtime::Builder,
    time::interval,
};

/// How often the service wakes up when nobody asks it.
const TICK: Duration = Duration::from_millis(100);

type Documents = Arc<Mutex<HashMap<u64, Value>>>;

fn main() -> io::Result<()> {
    // As many threads everywhere, so that figures of two machines can be set side by side.
    Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(serve())
}

async fn serve() -> io::Result<()> {
    let documents = Documents::default();
    let listener = UnixListener::bind("socket")?;
    tokio::spawn(async {
        let mut ticks = interval(TICK);
        loop {
            ticks.tick().await;
            drop(serde_json::json!({ "alive": true }).to_string());
        }
    });
    loop {
        let (stream, _) = listener.accept().await?;
        // A client that goes away in the middle is no concern of the others.
        tokio::spawn(converse(stream, documents.clone()));
    }
}

async fn converse(stream: UnixStream, documents: Documents) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = answer(&line, &documents).unwrap_or_else(|| "what?".to_owned());
        writer.write_all(format!("{answer}\n").as_bytes()).await?;
    }
    Ok(())
}

/// The answer to a request; nothing if it is none.
fn answer(line: &str, documents: &Documents) -> Option<String> {
    let (request, rest) = line.split_once(' ').unwrap_or((line, ""));
    let lock = || documents.lock().expect("no task panics with the documents");
    match request {
        "put" => {
            let (key, text) = rest.split_once(' ')?;
            let document: Value = serde_json::from_str(text).ok()?;
            let written = document.to_string();
            lock().insert(key.parse().ok()?, document);
            return Some(written.len().to_string());
        }
        "drop" => drop(lock().remove(&rest.parse().ok()?)),
        "collect" => {}
        _ => return None,
    }
    Some(lock().len().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_kept_until_they_are_dropped() {
        let documents = Documents::default();
        let ask = |line| answer(line, &documents);
        assert_eq!(ask("put 7 {\"a\": [1, 2]}").as_deref(), Some("11"));
        assert_eq!(ask("put 8 []").as_deref(), Some("2"));
        assert_eq!(ask("put 7 {}").as_deref(), Some("2"));
        assert_eq!(ask("drop 7").as_deref(), Some("1"));
        assert_eq!(ask("drop 8").as_deref(), Some("0"));
        assert_eq!(ask("collect").as_deref(), Some("0"));
        for wrong in ["put 7", "put x {}", "put 7 {", "drop", "else"] {
            assert_eq!(ask(wrong), None, "{wrong}");
        }
    }
}
