//! The lease, with `sleep` as the program.

use std::path::Path;
use std::time::Duration;

use super::Leased;
use crate::process::command;

/// Starts a program that writes its process id to a file, then sleeps.
fn start(folder: &Path) -> (Leased, String) {
    let mut program = command("sh");
    program
        .args(["-c", "echo $$ >pid.new; mv pid.new pid; exec sleep 600"])
        .current_dir(folder);
    let leased = Leased::start(&program, |_| Ok(())).unwrap();
    let file = folder.join("pid");
    while !file.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    (
        leased,
        std::fs::read_to_string(file).unwrap().trim().to_owned(),
    )
}

fn alive(pid: &str) -> bool {
    // A zombie is dead.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn wait_for_death(pid: &str) {
    for _ in 0..1000 {
        if !alive(pid) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("process {pid} is still there");
}

#[test]
fn dropping_kills_the_program() {
    let folder = crate::scratch::Folder::new("lease");
    let (leased, pid) = start(folder.path());
    assert!(alive(&pid));
    drop(leased);
    wait_for_death(&pid);
}

#[test]
fn the_death_of_the_shell_kills_the_program() {
    let folder = crate::scratch::Folder::new("lease");
    let (mut leased, pid) = start(folder.path());
    leased.keeper.kill().unwrap();
    wait_for_death(&pid);
}

#[test]
fn a_program_that_was_given_up_lives_on() {
    let folder = crate::scratch::Folder::new("lease");
    let (leased, pid) = start(folder.path());
    let keeper = leased.id();
    leased.give_up().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(alive(&pid));
    let keeper = rustix::process::Pid::from_raw(i32::try_from(keeper).unwrap()).unwrap();
    rustix::process::kill_process(keeper, rustix::process::Signal::KILL).unwrap();
    wait_for_death(&pid);
}

#[test]
fn the_exit_status_of_the_program_is_known() {
    let mut program = command("sh");
    program.args(["-c", "exit 7"]);
    let mut leased = Leased::start(&program, |_| Ok(())).unwrap();
    let status = leased.wait(Duration::from_mins(1)).unwrap().unwrap();
    assert_eq!(status.code(), Some(7));
}
