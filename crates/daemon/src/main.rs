//! `xeniosd`: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    xenios_daemon::cli::run()
}
