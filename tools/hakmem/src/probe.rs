//! The hidden subcommand that `hakmem doctor` runs under the preload: says which file its own `malloc` is in.
//!
//! # Safety
//! `malloc` is named with its unsafe type, and never called.

use anyhow::{Context, Result};
use std::fs;
use std::process::ExitCode;

/// The subcommand's name.
pub const NAME: &str = "malloc-is-in";

/// Prints the path of the file that `malloc` resolved to.
pub fn run() -> Result<ExitCode> {
    let malloc: unsafe extern "C" fn(usize) -> *mut libc::c_void = libc::malloc;
    let address = malloc as usize as u64;
    let maps = fs::read_to_string("/proc/self/maps").context("/proc/self/maps")?;
    let file = maps.lines().find_map(|line| file_at(line, address)).context("malloc is in no mapped file")?;
    println!("{file}");
    Ok(ExitCode::SUCCESS)
}

/// The file of one line of the map (`start-end permissions offset device inode path`) if the line holds `address`.
fn file_at(line: &str, address: u64) -> Option<&str> {
    let (start, rest) = line.split_once('-')?;
    let (end, _) = rest.split_once(' ')?;
    let range = u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?;
    range.contains(&address).then(|| line.find('/').map(|path| &line[path..]))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_map_gives_its_file_for_addresses_inside_only() {
        let line = "7f00-7f80 r-xp 00002000 08:01 1234                       /usr/lib/a b.so";
        assert_eq!(file_at(line, 0x7f00), Some("/usr/lib/a b.so"));
        assert_eq!(file_at(line, 0x7f80), None);
        assert_eq!(file_at("7f00-7f80 rw-p 00000000 00:00 0 ", 0x7f10), None);
    }
}
