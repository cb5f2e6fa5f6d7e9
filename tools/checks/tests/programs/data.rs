//! Programs that keep data: sqlite3 and redis.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use hakmem_checks::HANGS_AFTER;

use crate::presence::input;
use crate::scene::{Background, Scene, Step, compare};

#[test]
fn sqlite() {
    compare("sqlite", &["sqlite3"], |scene| {
        let script = input("sqlite/work.sql");
        scene.run(Step::new("sqlite3").args("-batch -bail base.db").stdin(&script));
        scene.keep("base.db");
        scene.run(Step::new("sqlite3").args("-batch -bail base.db .dump"));
        scene.run(Step::new("sqlite3").args("-batch -bail :memory:").stdin(&script));
    });
}

const REDIS_PROGRAMS: [&str; 3] = ["redis-server", "redis-cli", "redis-benchmark"];

/// The socket's name is short on purpose: it is a path of at most 107 bytes, and so is relative to the work folder.
const SERVER: &str = "--port 0 --unixsocket socket --save --daemonize no --enable-debug-command local --databases 2 \
                      --hash-max-listpack-entries 64 --io-threads 2";

#[test]
fn redis() {
    compare("redis", &REDIS_PROGRAMS, |scene| {
        scene.write("commands", commands());
        let server = start_server(scene);
        // What is sent here is the same each time; the benchmark below, in database 1, draws its keys at random.
        scene.run(client("--pipe").stdin("commands"));
        scene.run(client("dbsize"));
        scene.run(client("debug digest"));
        let tests = "set,get,incr,lpush,rpop,sadd,hset,zadd,spop,lrange_100,mset";
        let benchmark = "-s socket --dbnum 1 -n 12000 -c 20 -P 8 -r 5000 -d 200 -q -t";
        scene.run(Step::new("redis-benchmark").args(benchmark).arg(tests).output_varies());
        scene.run(client("-n 1 flushdb"));
        save_in_background(scene);
        scene.run(client("eval").arg(SCRIPT).arg("0"));
        scene.run(client("memory doctor").output_varies());
        scene.run(client("dbsize"));
        scene.run(client("shutdown nosave"));
        scene.finish(server);

        // What was saved comes back, in a new process.
        let server = start_server(scene);
        scene.run(client("dbsize"));
        scene.run(client("debug digest"));
        scene.run(client("flushall"));
        scene.run(client("shutdown nosave"));
        scene.finish(server);
    });
}

/// A server that stays awake: its event loop allocates some ten times a second, all of it on the fast paths, so the thread is never idle.
/// What it frees in random order goes back all the same.
#[test]
fn redis_gives_back_what_it_has_flushed() {
    compare("redis-flush", &REDIS_PROGRAMS, |scene| {
        let mut server = start_server(scene);
        let before = server.resident_bytes();
        scene.run(client("eval").arg(MANY_KEYS).arg("0"));
        scene.run(client("dbsize"));
        scene.run(client("flushall"));
        if scene.is_preloaded() {
            until("the memory of 400,000 keys goes back, but for 8 MiB", || {
                server.expect_alive();
                server.resident_bytes() < before + (8 << 20)
            });
        }
        scene.run(client("shutdown nosave"));
        scene.finish(server);
    });
}

const MANY_KEYS: &str =
    "for i = 1, 400000 do redis.call('set', 'key:' .. i, string.rep('x', 100 + i * 7919 % 201)) end";

/// Lua inside of the server: its memory comes from the same allocator.
const SCRIPT: &str = "local t = {} for i = 1, 50000 do t[i] = 'v' .. i end \
                      redis.call('rpush', 'from-lua', unpack(t, 1, 2000)) return #table.concat(t)";

fn client(arguments: &str) -> Step {
    Step::new("redis-cli").args("-s socket").args(arguments)
}

fn start_server(scene: &mut Scene) -> Background {
    let mut server = scene.start(Step::new("redis-server").args(SERVER).output_varies());
    until("redis-server answers", || {
        server.expect_alive();
        answers(&scene.work().join("socket"))
    });
    server
}

/// True if a server listens and says PONG.
fn answers(socket: &Path) -> bool {
    // A relative path, for the reason given above; tests share one current folder, so it goes through /proc.
    let folder = std::fs::File::open(socket.parent().expect("a socket lies in a folder")).expect("the folder is there");
    let short = format!("/proc/self/fd/{}/socket", std::os::fd::AsRawFd::as_raw_fd(&folder));
    let Ok(mut stream) = UnixStream::connect(short) else { return false };
    let mut answer = [0; 7];
    stream.write_all(b"PING\r\n").is_ok() && stream.read_exact(&mut answer).is_ok() && &answer == b"+PONG\r\n"
}

fn save_in_background(scene: &mut Scene) {
    scene.run(client("bgsave"));
    until("the snapshot is written", || {
        let state = scene.run(client("info persistence").output_varies());
        state.contains("rdb_bgsave_in_progress:0") && state.contains("rdb_last_bgsave_status:ok")
    });
    assert!(scene.work().join("dump.rdb").exists(), "redis saved no dump.rdb");
}

/// Waits until something becomes true.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + HANGS_AFTER;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// About 60,000 commands over all types of values, deletions among them, in redis' inline form.
fn commands() -> String {
    let mut text = String::new();
    for i in 0..10_000usize {
        let value = "v".repeat(i % 250 + 1);
        text += &format!("set string:{i} {value}\r\nhset hash:{} field{i} {value}\r\n", i % 200);
        text += &format!("rpush list:{} {value}\r\nsadd set:{} {i} {value}\r\n", i % 50, i % 70);
        text += &format!("zadd sorted:{} {} member{i}\r\nappend string:{} more\r\n", i % 30, i * 7919 % 1000, i / 2);
        if i % 3 == 0 {
            text += &format!("del string:{}\r\nlpop list:{}\r\n", i / 3, i % 50);
        }
    }
    text
}
