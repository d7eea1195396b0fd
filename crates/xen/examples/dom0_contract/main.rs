//! The contract of this crate with a real Xen, as a program that runs in dom0.
//!
//! `dom0_contract --kernel FILE --initrd FILE --rootfs FILE [--only pv|pvh]`
//!
//! It starts guests from the given kernel and initrd, whose init it replaces by
//! itself (see [`guest`]), prints a line for each check and at last
//! `N passed, N failed`, and exits with 1 if any check failed. What is left
//! behind is not asked of the crate but looked for in sysfs and with
//! `xenstore-ls`.

mod checks;
mod cpio;
mod guest;
mod host;

use std::path::PathBuf;
use std::process::ExitCode;

use xenios_xen::Kind;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        guest::main();
    }
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!(
                "{message}\nusage: dom0_contract --kernel FILE --initrd FILE --rootfs FILE [--only pv|pvh]"
            );
            return ExitCode::from(2);
        }
    };
    match checks::run(&arguments) {
        Ok(tally) => {
            println!("{} passed, {} failed", tally.passed, tally.failed);
            if tally.failed == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            println!("FAIL cannot begin: {}", host::chain(error.as_ref()));
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

/// What is to be booted.
struct Arguments {
    kernel: PathBuf,
    initrd: PathBuf,
    rootfs: PathBuf,
    kinds: Vec<Kind>,
}

impl Arguments {
    fn parse(mut given: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut kernel, mut initrd, mut rootfs) = (None, None, None);
        let mut kinds = vec![Kind::Pv, Kind::Pvh];
        while let Some(name) = given.next() {
            let value = given.next().ok_or_else(|| format!("{name} has no value"))?;
            match (name.as_str(), value.as_str()) {
                ("--kernel", _) => kernel = Some(value.into()),
                ("--initrd", _) => initrd = Some(value.into()),
                ("--rootfs", _) => rootfs = Some(value.into()),
                ("--only", "pv") => kinds = vec![Kind::Pv],
                ("--only", "pvh") => kinds = vec![Kind::Pvh],
                _ => return Err(format!("{name} {value} is not understood")),
            }
        }
        Ok(Self {
            kernel: kernel.ok_or("--kernel is missing")?,
            initrd: initrd.ok_or("--initrd is missing")?,
            rootfs: rootfs.ok_or("--rootfs is missing")?,
            kinds,
        })
    }
}
