//! The life of a guest, in order: kernel filesystems, console, modules, config,
//! root filesystem, command, exit, power off.
//!
//! Whatever goes wrong on the way is said on the console and in the exit node,
//! and the domain still powers off: a guest never hangs in its init.

mod command;
mod console;
mod error;
mod modules;
mod mounts;
mod network;
mod rootfs;
mod supervise;
mod sys;
mod users;
mod xenbus;

use std::fs::File;
use std::io::Read;
use std::panic;
use std::process;
use std::time::Duration;

use rustix::process::{Pid, Signal, getpid, kill_process};
use rustix::system::{RebootCommand, reboot, sethostname};
use xenios_guest::{
    EXIT_NODE, Exit, LAUNCH_PATH, LaunchConfig, MAX_LAUNCH_BYTES, STARTED_NODE, STARTED_VALUE,
};

use console::Console;
use error::{InitError, chain};

/// How long xenstore may take to confirm a node.
const XENBUS_DEADLINE: Duration = Duration::from_secs(10);

/// The names under which the kernel calls this program when the host asks the
/// guest to stop (`control/shutdown`): see [`rootfs::enter`].
const STOP_NAMES: [&str; 3] = ["poweroff", "reboot", "halt"];

/// Never returns when it runs as the first process.
pub(crate) fn main() {
    let name = std::env::args().next().unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default();
    if getpid() != Pid::INIT {
        if STOP_NAMES.contains(&name) && kill_process(Pid::INIT, Signal::TERM).is_ok() {
            return;
        }
        eprintln!("xenios-init is the first process of a Xenios guest; it cannot run otherwise");
        process::exit(1);
    }
    panic::set_hook(Box::new(|info| {
        finish(
            &Console::open(),
            &Exit::Failed(format!("init panicked: {info}")),
        );
    }));
    if let Err(error) = mounts::kernel_filesystems() {
        // Nothing is mounted, so this message has the kernel log at best.
        finish(&Console::open(), &Exit::Failed(chain(&error)));
    }
    let console = Console::open();
    let exit = run(&console).unwrap_or_else(|error| Exit::Failed(chain(&error)));
    finish(&console, &exit);
}

/// Everything between a mounted `/dev` and the end of the command.
fn run(console: &Console) -> Result<Exit, InitError> {
    sys::block_signals();
    modules::load(console);
    let config = read_config()?;
    sethostname(config.hostname.as_bytes()).map_err(InitError::at("set the host name", ""))?;
    if let Err(error) = network::raise_loopback() {
        console.say(&chain(&error));
    }
    rootfs::assemble(&config)?;
    rootfs::enter(console)?;
    rootfs::complete(&config.hostname, console);

    let user = users::resolve(&config.user)?;
    let env = command::environment(&config, &user);
    rootfs::enter_working_dir(&config.working_dir)?;
    let program = match command::find(&config.argv[0], command::path_of(&env)) {
        Ok(program) => program,
        Err(problem) => {
            console.say(&format!("cannot run {:?}: {problem}", config.argv[0]));
            return Ok(Exit::Code(problem.exit_code()));
        }
    };
    if let Err(error) = xenbus::write(STARTED_NODE, STARTED_VALUE, XENBUS_DEADLINE) {
        // The command runs all the same: the guest is of use without its host
        // knowing, and the host sees the domain.
        console.say(&format!("cannot report the start: {}", chain(&error)));
    }
    let launch = sys::Launch {
        program: &program,
        argv: &config.argv,
        env: &env,
        user: &user,
        stdio: console.stdio(user.uid)?,
    };
    match sys::spawn(launch) {
        Ok(child) => Ok(supervise::until_end(child)),
        Err(error) => {
            let reason = command::reason_of(&error);
            console.say(&format!("cannot run {:?}: {reason}", config.argv[0]));
            Ok(Exit::Code(command::exit_code_of(&error)))
        }
    }
}

fn read_config() -> Result<LaunchConfig, InitError> {
    let mut text = Vec::new();
    let limit = u64::try_from(MAX_LAUNCH_BYTES).expect("a few MiB fit") + 1;
    File::open(LAUNCH_PATH)
        .and_then(|file| file.take(limit).read_to_end(&mut text))
        .map_err(InitError::io("read", LAUNCH_PATH))?;
    Ok(LaunchConfig::from_json(&text)?)
}

/// Reports the exit and powers the domain off.
fn finish(console: &Console, exit: &Exit) -> ! {
    if let Exit::Failed(message) = exit {
        console.say(&format!("the guest could not start: {message}"));
    }
    supervise::end_everything();
    if let Err(error) = xenbus::write(EXIT_NODE, &exit.to_node(), XENBUS_DEADLINE) {
        console.say(&format!("cannot report the exit: {}", chain(&error)));
    }
    console.drain();
    rustix::fs::sync();
    let refused = reboot(RebootCommand::PowerOff);
    // The kernel panics when its first process ends, which Xen reports as a
    // crash: better than a domain that looks alive.
    console.say(&format!("cannot power off: {refused:?}"));
    process::exit(1);
}
