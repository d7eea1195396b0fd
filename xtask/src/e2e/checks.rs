//! The list of checks, in the order in which they run. Each asserts one
//! promise; none measures time.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Check, World, crash, host, soak};
use crate::site::{Config, DAEMON, FORCED_ENV, Site};

/// A guest's life under emulation, on a busy machine.
pub(super) const GUEST: Duration = Duration::from_mins(5);
/// Exit codes of `xenios`.
pub(super) const NOT_FOUND: i32 = 3;
const INVALID: i32 = 4;
const REFUSED: i32 = 6;
const POLICY_ERROR: i32 = 7;

/// Every check.
pub(super) const ALL: &[Check] = &[
    (
        "the console and the exit code of a guest come back",
        exit_code_and_console,
    ),
    ("a policy's rewrite is what the guest sees", rewritten_env),
    ("both policies' reasons are given at once", both_refusals),
    ("a plan records nothing", plan_records_nothing),
    (
        "every bad field of a spec is named at once",
        every_bad_field,
    ),
    ("another tenant's guest does not exist", other_tenant),
    (
        "user, directory and signal are as asked for",
        user_and_signal,
    ),
    ("images that cannot be had are refused", unknown_images),
    ("hostile images give one clear error", hostile_images),
    (
        "a daemon killed at any step goes on where it was",
        crash::killed_at_every_step,
    ),
    ("the Unix socket knows its caller", host::unix_socket),
    ("policies that misbehave refuse", hostile_policies),
    (
        "a kernel from an image is pinned and boots",
        kernel_from_image,
    ),
    ("a kernel that is none fails its guest", kernel_of_text),
    (
        "the toolstack keeps its contract with Xen",
        host::toolstack_contract,
    ),
    (
        "after dom0 restarts no record says running",
        crash::restarts_of_dom0,
    ),
    (
        "a configuration with an unknown key is refused",
        broken_configuration,
    ),
    ("Xen and dom0 complained of nothing", console_is_clean),
];

/// Those of `--long`.
pub(super) const LONG: &[Check] = &[(
    "thirty guests leave nothing that grows",
    soak::nothing_grows,
)];

fn exit_code_and_console(world: &mut World) -> Result<()> {
    let image = world.image("demo/busybox:1");
    let answer = world.alice().call(&[
        "run",
        &image,
        "--name",
        "exits",
        "--",
        "/bin/sh",
        "-c",
        "echo from inside; exit 42",
    ])?;
    let answer = answer.expect(42)?;
    ensure!(
        answer.stdout.contains("from inside"),
        "the console lacks the guest's words: {}",
        answer.stdout
    );
    let guest = world.alice().guest("exits")?;
    ensure!(
        guest["status"]["phase"] == "exited" && guest["status"]["exit"]["code"] == 42,
        "{}",
        guest["status"]
    );
    Ok(())
}

fn rewritten_env(world: &mut World) -> Result<()> {
    let image = world.image("demo/busybox:1");
    let (name, forced) = FORCED_ENV;
    let given = format!("{name}=trace");
    let answer = world
        .alice()
        .call(&["run", &image, "-e", &given, "--", "/bin/env"])?
        .expect(0)?;
    ensure!(
        answer.stdout.contains(&format!("{name}={forced}")),
        "{}",
        answer.stdout
    );
    ensure!(
        !answer.stdout.contains(&given),
        "the tenant's value survived"
    );
    Ok(())
}

fn both_refusals(world: &mut World) -> Result<()> {
    let (image, kernel) = (
        world.image("demo/busybox:1"),
        world.image("kernels/unlisted:1"),
    );
    let answer = world
        .alice()
        .call(&["create", &image, "--vcpus", "64", "--kernel", &kernel])?
        .expect(REFUSED)?;
    let said = format!("{}{}", answer.stdout, answer.stderr);
    for policy in ["size-limits", "allowed-kernels"] {
        ensure!(said.contains(policy), "{policy} is missing: {said}");
    }
    Ok(())
}

fn plan_records_nothing(world: &mut World) -> Result<()> {
    let image = world.image("demo/busybox:1");
    world
        .alice()
        .call(&["plan", &image, "--name", "planned"])?
        .expect(0)?;
    world.alice().call(&["get", "planned"])?.expect(NOT_FOUND)?;
    Ok(())
}

fn every_bad_field(world: &mut World) -> Result<()> {
    let image = world.image("demo/busybox:1");
    let answer = world
        .alice()
        .call(&[
            "create",
            &image,
            "--name",
            "No Good",
            "--vcpus",
            "4096",
            "--memory",
            "1",
            "--workdir",
            "relative",
        ])?
        .expect(INVALID)?;
    let said = format!("{}{}", answer.stdout, answer.stderr);
    for field in ["name", "vcpus", "memory_mib", "working_dir"] {
        ensure!(said.contains(field), "{field} is not named: {said}");
    }
    Ok(())
}

fn other_tenant(world: &mut World) -> Result<()> {
    let image = world.image("demo/busybox:1");
    world
        .alice()
        .call(&[
            "create",
            &image,
            "--name",
            "private",
            "--",
            "/bin/sleep",
            "1000",
        ])?
        .expect(0)?;
    let id = world.alice().guest("private")?["id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    for guest in ["private", id.as_str()] {
        for call in [
            &["get", guest][..],
            &["logs", guest],
            &["rm", guest],
            &["watch", guest],
        ] {
            let answer = world.bob().call(call)?;
            ensure!(
                answer.code == NOT_FOUND,
                "bob's {call:?} gave {}",
                answer.code
            );
        }
    }
    let listed = world.bob().call(&["ls", "-o", "json"])?.expect(0)?;
    ensure!(!listed.stdout.contains(&id), "bob sees alice's guest");
    world.alice().guest("private").map(drop)
}

fn hostile_images(world: &mut World) -> Result<()> {
    for name in ["tampered", "dotdot", "absolute", "links"] {
        let image = world.image(&format!("hostile/{name}:1"));
        let answer = world.alice().call(&["create", &image, "--name", name])?;
        if answer.code == 0 {
            let guest =
                world
                    .alice()
                    .wait_for_phase(name, &["failed", "running", "exited"], GUEST)?;
            let status = &guest["status"];
            ensure!(status["phase"] == "failed", "{name} was accepted: {status}");
            ensure!(
                status["error"]
                    .as_str()
                    .is_some_and(|error| !error.is_empty()),
                "{name} failed without a word"
            );
        } else {
            // Not the policies: they see no layer.
            ensure!(
                ![REFUSED, POLICY_ERROR].contains(&answer.code) && !answer.stderr.trim().is_empty(),
                "{name}: exit code {}: {}",
                answer.code,
                answer.stderr
            );
        }
    }
    Ok(())
}

fn user_and_signal(world: &mut World) -> Result<()> {
    let image = world.image("demo/busybox:1");
    let script = "echo \"$(id -un) in $(pwd)\"; kill -KILL $$";
    let call = [
        "run",
        &image,
        "--name",
        "killed",
        "--user",
        "app",
        "--workdir",
        "/tmp",
        "--",
        "/bin/sh",
        "-c",
        script,
    ];
    // A shell's convention: 128 and the signal's number.
    let answer = world.alice().call(&call)?.expect(128 + 9)?;
    ensure!(answer.stdout.contains("app in /tmp"), "{}", answer.stdout);
    let guest = world.alice().guest("killed")?;
    ensure!(
        guest["status"]["exit"]["signal"] == 9,
        "{}",
        guest["status"]
    );
    Ok(())
}

fn unknown_images(world: &mut World) -> Result<()> {
    for (image, code) in [
        (world.image("demo/nothing:1"), NOT_FOUND),
        ("192.0.2.1:5000/demo/busybox:1".to_owned(), INVALID),
    ] {
        let answer = world.alice().call(&["create", &image])?.expect(code)?;
        ensure!(answer.stderr.contains("image"), "{}", answer.stderr);
    }
    Ok(())
}

/// Each guest's name says how the only policy misbehaves.
fn hostile_policies(world: &mut World) -> Result<()> {
    Site::kill_daemon(&mut world.bed)?;
    world.site.start_daemon(&mut world.bed, Config::Hostile)?;
    let image = world.image("demo/busybox:1");
    let mut wrong = Vec::new();
    for name in [
        "loop",
        "panic",
        "recurse",
        "grow",
        "output-garbage",
        "output-nowhere",
        "output-huge",
    ] {
        let answer = world.alice().call(&["create", &image, "--name", name])?;
        if answer.code != POLICY_ERROR || answer.stderr.trim().is_empty() {
            wrong.push(format!(
                "{name}: exit code {}: {}",
                answer.code, answer.stderr
            ));
        }
    }
    Site::kill_daemon(&mut world.bed)?;
    world.site.start_daemon(&mut world.bed, Config::Product)?;
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}

fn kernel_from_image(world: &mut World) -> Result<()> {
    let (image, kernel) = (
        world.image("demo/busybox:1"),
        world.image("kernels/debian-cloud:1"),
    );
    let call = [
        "run",
        &image,
        "--name",
        "own-kernel",
        "--virtualization",
        "pvh",
        "--kernel",
        &kernel,
        "--",
        "/bin/true",
    ];
    world.alice().call(&call)?.expect(0)?;
    let guest = world.alice().guest("own-kernel")?;
    let pinned = guest["spec"]["kernel"].as_str().unwrap_or_default();
    ensure!(
        pinned.ends_with(&world.pushed.kernel),
        "the kernel is {pinned}, not {}",
        world.pushed.kernel
    );
    Ok(())
}

fn kernel_of_text(world: &mut World) -> Result<()> {
    let (image, kernel) = (
        world.image("demo/busybox:1"),
        world.image("hostile/kernel-text:1"),
    );
    let answer =
        world
            .alice()
            .call(&["create", &image, "--name", "no-kernel", "--kernel", &kernel])?;
    if answer.code == 0 {
        let guest =
            world
                .alice()
                .wait_for_phase("no-kernel", &["failed", "running", "exited"], GUEST)?;
        ensure!(guest["status"]["phase"] == "failed", "{}", guest["status"]);
    }
    Ok(())
}

fn broken_configuration(world: &mut World) -> Result<()> {
    let path = "/run/broken.toml";
    world
        .bed
        .push(path, 0o600, b"host = \"bed\"\nsurprise = 1\n")?;
    let output = world.bed.exec(
        &format!("{DAEMON} --config {path} check"),
        Duration::from_mins(1),
    )?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.code != 0 && said.contains("surprise"),
        "exit code {}: {said}",
        output.code
    );
    Ok(())
}

fn console_is_clean(world: &mut World) -> Result<()> {
    let console = world.bed.console_log()?;
    let complaints = ["BUG:", "Oops:", "Call Trace:", "Kernel panic", "FATAL"];
    let lines: Vec<&str> = console
        .lines()
        .filter(|line| complaints.iter().any(|complaint| line.contains(complaint)))
        .collect();
    ensure!(lines.is_empty(), "{}", lines.join("\n"));
    Ok(())
}
