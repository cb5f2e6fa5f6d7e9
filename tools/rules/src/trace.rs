//! The instructions a call really executes: a child makes it while its parent steps through.
//!
//! # Safety
//! The unsafe code calls libc and functions of the traced library. A [`Library`] is never closed, so its functions stay
//! where they are; [`Function`] is made only for functions of the C API, which take at most two arguments of one machine
//! word and return at most one. The child of the fork makes only such calls and system calls before it exits.

use std::ffi::{CStr, CString, c_int, c_void};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

/// A library loaded into this process beside the allocator the process uses itself.
pub struct Library {
    handle: *mut c_void,
}

/// A function of the C API; what it does not take it ignores.
#[derive(Clone, Copy)]
pub struct Function(unsafe extern "C" fn(usize, usize) -> usize);

/// Why there is no trace.
#[derive(Debug, PartialEq, Eq)]
pub enum Problem {
    /// The library cannot be loaded; why.
    NoLibrary(String),
    /// The library has no such function.
    NoFunction(String),
    /// The system forbids tracing a child.
    NotAllowed,
    /// The child ended before the call returned.
    Ended,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NoLibrary(reason) => write!(formatter, "the library cannot be loaded: {reason}"),
            Problem::NoFunction(name) => write!(formatter, "the library has no function `{name}`"),
            Problem::NotAllowed => {
                formatter.write_str("this system forbids ptrace of a child; allow it (seccomp, containers)")
            }
            Problem::Ended => formatter.write_str("the traced child ended inside the call"),
        }
    }
}

impl Library {
    /// Loads `path`, its names visible to nobody else.
    pub fn load(path: &Path) -> Result<Library, Problem> {
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| Problem::NoLibrary(error.to_string()))?;
        // SAFETY: the name is a C string. Loading an allocator runs its constructors, which are made for that.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            // SAFETY: after a failed dlopen this is a C string, which stays until the next call from this thread.
            let reason = unsafe { CStr::from_ptr(libc::dlerror()) };
            return Err(Problem::NoLibrary(reason.to_string_lossy().into_owned()));
        }
        Ok(Library { handle })
    }

    /// Finds a function of the C API.
    pub fn function(&self, name: &str) -> Result<Function, Problem> {
        let missing = || Problem::NoFunction(name.to_string());
        let symbol = CString::new(name).map_err(|_| missing())?;
        // SAFETY: the handle is open, the name is a C string.
        let address = unsafe { libc::dlsym(self.handle, symbol.as_ptr()) };
        if address.is_null() {
            return Err(missing());
        }
        // SAFETY: the caller names a function of the C API, and all of them fit this type (see the module's Safety).
        Ok(Function(unsafe {
            std::mem::transmute::<*mut c_void, unsafe extern "C" fn(usize, usize) -> usize>(address)
        }))
    }
}

impl Function {
    /// Where the function starts.
    pub fn address(self) -> u64 {
        self.0 as usize as u64
    }

    /// Calls it.
    ///
    /// # Safety
    /// As the function of the C API demands: a pointer to be freed is a live block of the same library.
    pub unsafe fn call(self, first: usize, second: usize) -> usize {
        // SAFETY: passed on to the caller.
        unsafe { (self.0)(first, second) }
    }
}

/// The addresses of the instructions that `traced` executes, entry to return, when a forked child runs `prepare` and then
/// calls it with the two values `prepare` returned.
pub fn instructions(traced: Function, prepare: impl FnOnce() -> (usize, usize)) -> Result<Vec<u64>, Problem> {
    // SAFETY: the child calls `prepare`, which makes calls of the C API, then only system calls, and never returns.
    match unsafe { libc::fork() } {
        -1 => Err(Problem::NotAllowed),
        0 => run_traced(traced, prepare),
        child => step_through(child, traced.address()),
    }
}

const REFUSED: c_int = 77;

fn run_traced(traced: Function, prepare: impl FnOnce() -> (usize, usize)) -> ! {
    let (first, second) = prepare();
    // SAFETY: PTRACE_TRACEME reads no other argument; the arguments of the call are what `prepare` made for it.
    unsafe {
        if libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) != 0 {
            libc::_exit(REFUSED);
        }
        libc::raise(libc::SIGSTOP);
        traced.call(first, second);
        libc::_exit(0)
    }
}

/// Steps the stopped child until the function at `entry` has returned.
fn step_through(child: libc::pid_t, entry: u64) -> Result<Vec<u64>, Problem> {
    let mut executed = Vec::new();
    let mut back_at = None;
    loop {
        let status = wait(child);
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            let refused = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == REFUSED;
            return Err(if refused { Problem::NotAllowed } else { Problem::Ended });
        }
        let registers = registers(child);
        if back_at == Some(registers.rip) {
            break;
        }
        if registers.rip == entry && back_at.is_none() {
            // SAFETY: at a function's entry the stack pointer shows the return address.
            let word = unsafe { libc::ptrace(libc::PTRACE_PEEKDATA, child, registers.rsp, 0) };
            back_at = Some(word as u64);
        }
        if back_at.is_some() {
            executed.push(registers.rip);
        }
        // SAFETY: the child is stopped; no signal is passed on, its own SIGSTOP least of all.
        unsafe { libc::ptrace(libc::PTRACE_SINGLESTEP, child, 0, 0) };
    }
    // SAFETY: the child is ours and not waited for yet.
    unsafe { libc::kill(child, libc::SIGKILL) };
    wait(child);
    Ok(executed)
}

fn wait(child: libc::pid_t) -> c_int {
    let mut status = 0;
    // SAFETY: the status is ours to write.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child, "the child can be waited for");
    status
}

fn registers(child: libc::pid_t) -> libc::user_regs_struct {
    // SAFETY: the struct is numbers only, for which zero is a value.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    // SAFETY: the child is stopped, and the struct is what this request writes.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETREGS, child, ptr::null_mut::<c_void>(), &raw mut registers) };
    assert_eq!(result, 0, "the registers of a stopped child can be read");
    registers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let problem = Library::load(Path::new("/nonexistent.so")).err().map(|problem| problem.to_string());
        assert!(problem.as_ref().is_some_and(|text| text.contains("/nonexistent.so")), "{problem:?}");
        let libc = Library::load(Path::new("libc.so.6")).expect("every process has libc");
        assert_eq!(libc.function("no_such_function").err(), Some(Problem::NoFunction("no_such_function".into())));
    }

    #[test]
    fn a_call_is_traced_from_its_first_instruction_on() {
        let libc = Library::load(Path::new("libc.so.6")).expect("every process has libc");
        let function = libc.function("labs").expect("labs");
        let executed = instructions(function, || (3, 0)).expect("a trace");
        assert_eq!(executed.first(), Some(&function.address()));
        assert!((2..20).contains(&executed.len()), "{executed:?}");
    }
}
