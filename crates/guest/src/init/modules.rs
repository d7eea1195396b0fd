//! Loads the kernel modules that the base initrd lists.

use std::fs::{self, File};
use std::io;

use rustix::io::Errno;
use rustix::system::finit_module;
use xenios_guest::MODULES_PATH;

use super::console::Console;

/// Loads every listed module in order. A module that cannot be loaded is said on
/// the console and skipped: what the guest misses for it fails by itself later.
pub(crate) fn load(console: &Console) {
    let list = match fs::read_to_string(MODULES_PATH) {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => return console.say(&format!("cannot read {MODULES_PATH}: {error}")),
    };
    for path in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Err(error) = load_one(path) {
            console.say(&format!("cannot load the module {path}: {error}"));
        }
    }
}

fn load_one(path: &str) -> io::Result<()> {
    let file = File::open(path)?;
    match finit_module(&file, c"", 0) {
        // Built in, or loaded already.
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        // The file was opened, so it is not the file that does not exist.
        Err(Errno::NOENT) => Err(io::Error::other("it needs a symbol of another module")),
        Err(errno) => Err(errno.into()),
    }
}
