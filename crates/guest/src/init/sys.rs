//! The few system calls that no safe library offers: signals, the step between
//! `fork` and `exec`, and one socket ioctl. Nothing is decided here.
#![expect(
    unsafe_code,
    reason = "raw system calls; each block says why it is sound"
)]

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::ptr;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, socket};
use rustix::process::{Pid, getpid, setpgid};
use rustix::stdio::stdin;
use rustix::termios::tcsetpgrp;
use rustix::thread::{
    UnshareFlags, set_thread_groups, set_thread_res_gid, set_thread_res_uid, unshare_unsafe,
};

use super::users::User;

/// What the first process is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A child changed its state.
    Child,
    /// The guest shall end.
    Stop,
}

/// Signals that are waited for instead of delivered.
const SIGNALS: [(libc::c_int, Event); 3] = [
    (libc::SIGCHLD, Event::Child),
    (libc::SIGTERM, Event::Stop),
    (libc::SIGPWR, Event::Stop),
];

/// Blocks the signals of [`next_event`]. To be called before any thread starts.
pub(crate) fn block_signals() {
    let set = signal_set();
    // SAFETY: `set` is initialised and outlives the call; no old set is asked for.
    let result = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) };
    assert_eq!(result, 0, "SIG_BLOCK with a valid set cannot fail");
}

/// Waits for the next signal, at most `timeout`.
pub(crate) fn next_event(timeout: Duration) -> Option<Event> {
    let set = signal_set();
    let timeout = libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // SAFETY: both structures are initialised and outlive the call; a null
    // `info` is allowed and means that nothing is stored.
    let signal = unsafe { libc::sigtimedwait(&raw const set, ptr::null_mut(), &raw const timeout) };
    SIGNALS
        .iter()
        .find(|(number, _)| *number == signal)
        .map(|(_, event)| *event)
}

fn signal_set() -> libc::sigset_t {
    set_of(&SIGNALS.map(|(number, _)| number))
}

fn set_of(numbers: &[libc::c_int]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `set` points to memory of the right size, which the call fills.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: `sigemptyset` initialised it; it only fails for a null pointer.
    let mut set = unsafe { set.assume_init() };
    for number in numbers {
        // SAFETY: `set` is initialised and the number is a valid signal.
        unsafe { libc::sigaddset(&raw mut set, *number) };
    }
    set
}

/// Gives this process a root and a working directory of its own.
pub(crate) fn unshare_root() -> io::Result<()> {
    // SAFETY: `CLONE_FS` alone concerns the root, the working directory and the
    // umask; no memory and no descriptor is unshared from another thread.
    unsafe { unshare_unsafe(UnshareFlags::FS) }.map_err(io::Error::from)
}

/// One command, resolved.
pub(crate) struct Launch<'a> {
    pub(crate) program: &'a Path,
    pub(crate) argv: &'a [String],
    pub(crate) env: &'a [(String, String)],
    pub(crate) user: &'a User,
    /// Becomes standard input, output and error.
    pub(crate) stdio: File,
}

/// Starts the command as the user, in the foreground of the console. The error
/// is that of `execve`, or of becoming the user.
///
/// The command leads no session of its own: when a leader ends, the kernel hangs
/// up its terminal and drops what was written last. The first process is the
/// leader and outlives the output.
pub(crate) fn spawn(launch: Launch<'_>) -> io::Result<Pid> {
    let Launch {
        program,
        argv,
        env,
        user,
        stdio,
    } = launch;
    let (uid, gid, groups) = (user.uid, user.gid, user.groups.clone());
    let mut command = Command::new(program);
    command
        .arg0(&argv[0])
        .args(&argv[1..])
        .env_clear()
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::from(stdio.try_clone()?))
        .stdout(Stdio::from(stdio.try_clone()?))
        .stderr(Stdio::from(stdio));
    let prepare = move || {
        setpgid(None, None)?;
        take_foreground();
        unblock_signals();
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        Ok(())
    };
    // SAFETY: between `fork` and `exec` the closure makes system calls only and
    // allocates nothing; what it owns was allocated before. No other
    // thread runs in the child.
    unsafe { command.pre_exec(prepare) };
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).expect("process ids are positive and small");
    Ok(Pid::from_raw(pid).expect("a child's id is never zero"))
}

/// Makes the calling process group the terminal's foreground group. There may be
/// no terminal, which is no error. Makes system calls only.
fn take_foreground() {
    // A background group that asks gets this signal, unless it is blocked.
    let set = set_of(&[libc::SIGTTOU]);
    // SAFETY: `set` is initialised and outlives the call; no old set is asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) };
    let _ = tcsetpgrp(stdin(), getpid());
}

/// Gives the command the signal mask of a fresh process. The standard library
/// leaves the mask alone. Makes system calls only.
fn unblock_signals() {
    let set = set_of(&[]);
    // SAFETY: `set` is initialised and outlives the call; no old set is asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut()) };
}

/// Sets an interface up; `name` is padded with NUL bytes.
pub(crate) fn raise_interface(name: [u8; libc::IFNAMSIZ]) -> io::Result<()> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let flags = libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING)
        .expect("both flags are in the low bits");
    let mut request = libc::ifreq {
        ifr_name: name.map(u8::cast_signed),
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: flags },
    };
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`, which is initialised (its unused
    // bytes are never read) and outlives the call; the descriptor is open.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
