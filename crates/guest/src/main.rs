//! `xenios-init`: the first process of a guest.
//!
//! It assembles the root filesystem, runs the one command of the guest, reports
//! how that ended and powers the domain off. It is no service manager: no
//! restarts, no units, no shell.

mod init;

fn main() {
    init::main();
}
