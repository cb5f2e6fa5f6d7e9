//! What the lints of scripts/inside-malloc have to see, and what they have to leave alone: a line that breaks a rule says so.
//!
//! # Safety
//! Nothing of it is ever run.
#![no_std]
#![allow(dead_code)]

const PROOF: () = assert!(size_of::<usize>() == 8);
const NUMBER: u32 = 1;

fn checked_in_tests_only(x: u8) {
    debug_assert!(x > 1);
    debug_assert_eq!(x, 2);
    const { assert!(NUMBER > 0) }
}

fn reads_what_may_be_missing(x: Option<u8>, y: Result<u8, u8>) -> u8 {
    x.unwrap_or(1) + y.unwrap_or_default()
}

fn method(x: Option<u8>) -> u8 { x.unwrap() } //~
fn with_message(x: Option<u8>) -> u8 { x.expect("something") } //~
fn of_a_result(x: Result<u8, u8>) -> u8 { x.unwrap() } //~
fn of_an_error(x: Result<u8, u8>) -> u8 { x.unwrap_err() } //~
fn of_an_error_with_message(x: Result<u8, u8>) -> u8 { x.expect_err("none") } //~
fn by_path(x: Option<Option<u8>>) -> Option<u8> { x.map(Option::unwrap) } //~
fn panics() { panic!("for a reason") } //~
fn cannot_be(x: u8) -> u8 { if x > 1 { unreachable!() } else { x } } //~
fn later() { todo!() } //~
fn never() { unimplemented!() } //~
fn asserts(x: u8) { assert!(x > 1) } //~
fn asserts_in_a_closure(x: u8) { let f = || assert_eq!(x, 1); f() } //~

macro_rules! from_a_macro { ($x:expr) => { $x.unwrap() }; } //~
fn uses_it(x: Option<u8>) -> u8 { from_a_macro!(x) } //~

fn calls_back() { unsafe { libc::free(core::ptr::null_mut()) } } //~
fn passes_on() -> unsafe extern "C" fn(usize) -> *mut u8 { libc::malloc } //~
fn opens() { unsafe { libc::dlopen() } } //~
fn asks() { unsafe { libc::getenv() } } //~
fn unmaps() { unsafe { libc::munmap() } }

fn widens(x: u32) -> u64 { x as u64 } //~
fn aligns(x: *const u8) -> *const u64 { x as *const u64 } //~
fn looses(x: u64) -> f64 { x as f64 } //~
