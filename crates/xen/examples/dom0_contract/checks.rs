//! The checks, one after the other; each leaves the host as it found it.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;
use xenios_xen::kernel::{Kernel, Limits};
use xenios_xen::{
    BuildError, ConsoleRead, CreateError, DestroyError, DomainEvent, DomainState, Kind, Shutdown,
};

use crate::Arguments;
use crate::guest::PROMPT;
use crate::host::{Domain, Host, Outcome, PATIENCE, Wish, chain, nothing_left};

/// More than any host has, less than what a plan refuses.
const TOO_MUCH_MIB: u64 = 1 << 19;

/// A check of one kind of guest.
type Check = fn(&Host, Kind) -> Outcome;

/// How the checks went.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
}

impl Tally {
    fn check(&mut self, name: &str, check: impl FnOnce() -> Outcome) {
        let started = Instant::now();
        let outcome = check();
        let seconds = started.elapsed().as_secs_f32();
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("PASS {name} ({seconds:.1} s)");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL {name} ({seconds:.1} s): {}", chain(error.as_ref()));
            }
        }
    }
}

/// Runs all of them.
pub(crate) fn run(arguments: &Arguments) -> Outcome<Tally> {
    let host = Host::open(arguments)?;
    println!("domctl interface {:#x}", host.toolstack.interface_version());
    let mut tally = Tally::default();
    for kind in &arguments.kinds {
        let checks: [(&str, Check); 7] = [
            (
                "boots with its disk, two vCPUs and a console; is told to power off",
                life,
            ),
            ("a crash is noticed", crash),
            (
                "a paused domain is destroyed, and again; nothing is left",
                destroy_twice,
            ),
            (
                "a guest larger than the host is refused, nothing is left",
                too_large,
            ),
            (
                "a guest too small for its kernel is refused before it exists",
                too_small,
            ),
            ("a disk without file is refused, nothing is left", no_file),
            (
                "a disk that is a directory is refused, nothing is left",
                directory,
            ),
        ];
        for (text, check) in checks {
            tally.check(&format!("{}: {text}", name(*kind)), || check(&host, *kind));
        }
    }
    tally.check("a kernel that is none is refused", bad_kernel);
    tally.check("another UUID's domain is not destroyed", || {
        wrong_uuid(&host)
    });
    tally.check("guests are made and destroyed at the same time", || {
        at_once(&host)
    });
    tally.check("an unknown domain has no console", || no_console(&host));
    Ok(tally)
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Pv => "PV",
        Kind::Pvh => "PVH",
    }
}

/// The whole life of a guest in one boot, because boots are slow here.
fn life(host: &Host, kind: Kind) -> Outcome {
    let mut events = host.toolstack.events()?;
    let mut domain = host.start(Wish {
        vcpus: 2,
        ..host.wish(kind)
    })?;
    let console = domain.console()?;
    domain.expect(&console, &format!("{PROMPT} mounted"))?;
    let node = domain.node()?;
    let uuid = format!("uuid={}", domain.uuid);
    for part in ["cpus=0-1", &uuid, &format!("kind={} ", name(kind))] {
        if !node.contains(part) {
            return Err(format!("the guest says {node:?}, not {part:?}").into());
        }
    }
    // What Linux says only where it may write; else it complains on the console.
    let feature = host
        .toolstack
        .guest_node(domain.domid, "control/feature-poweroff", 8)?;
    if feature.as_deref() != Some(b"1") || domain.output.contains("writing feature-") {
        return Err("the guest could not say that it can be powered off".into());
    }
    if host.toolstack.console(domain.domid, domain.uuid).is_ok() {
        return Err("the console could be attached twice".into());
    }
    // A restart of the daemon is a console that is dropped.
    drop(console);
    let console = domain.console()?;
    console.write(b"again\n")?;
    domain.expect(&console, &format!("{PROMPT} heard again"))?;
    if host
        .toolstack
        .guest_node(domain.domid, crate::guest::NODE, 4)
        .is_ok()
    {
        return Err("a node beyond the limit was read".into());
    }
    console.write(b"poweroff\n")?;
    domain.wait_for(&console, DomainState::Shutdown(Shutdown::Poweroff))?;
    expect_release(&mut events)?;
    domain.destroy()?;
    match console.read(&mut [0; 16], Duration::from_secs(1))? {
        ConsoleRead::Closed => Ok(()),
        other => Err(format!("the console of a destroyed domain is {other:?}").into()),
    }
}

fn expect_release(events: &mut xenios_xen::DomainEvents) -> Outcome {
    let mut waited = Duration::ZERO;
    while waited < PATIENCE {
        let step = Duration::from_secs(1);
        if events.recv_timeout(step)? == Some(DomainEvent::Released) {
            return Ok(());
        }
        waited += step;
    }
    Err("no event said that the domain stopped".into())
}

fn crash(host: &Host, kind: Kind) -> Outcome {
    let mut domain = host.start(host.wish(kind))?;
    let console = domain.console()?;
    domain.expect(&console, &format!("{PROMPT} mounted"))?;
    console.write(b"crash\n")?;
    domain.wait_for(&console, DomainState::Shutdown(Shutdown::Crash))?;
    domain.destroy()
}

fn destroy_twice(host: &Host, kind: Kind) -> Outcome {
    let wish = host.wish(kind);
    let domid = host.create(wish)?;
    let domain = Domain {
        host,
        domid,
        uuid: wish.uuid,
        output: String::new(),
        started: Instant::now(),
    };
    if !matches!(host.create(wish), Err(CreateError::Exists { .. })) {
        return Err("a second domain of the same UUID was created".into());
    }
    if domain.state()? != Some(DomainState::Paused) {
        return Err("it is not paused".into());
    }
    domain.destroy()?;
    domain.destroy()
}

/// Creation must fail as `expected`, and leave nothing.
fn refused(host: &Host, wish: Wish<'_>, expected: impl Fn(&CreateError) -> bool) -> Outcome {
    match host.create(wish) {
        Err(error) if expected(&error) => nothing_left(host, wish.uuid, None),
        Err(error) => Err(format!("it failed otherwise: {}", chain(&error)).into()),
        Ok(domid) => {
            host.toolstack.destroy(domid, wish.uuid)?;
            Err("it was created".into())
        }
    }
}

fn too_large(host: &Host, kind: Kind) -> Outcome {
    let wish = Wish {
        memory_mib: TOO_MUCH_MIB,
        ..host.wish(kind)
    };
    refused(host, wish, |error| {
        error.is_exhausted() && matches!(error, CreateError::Build(BuildError::OutOfMemory { .. }))
    })
}

fn too_small(host: &Host, kind: Kind) -> Outcome {
    let wish = Wish {
        memory_mib: 16,
        ..host.wish(kind)
    };
    refused(host, wish, |error| {
        error.is_permanent() && matches!(error, CreateError::Plan(_))
    })
}

fn no_file(host: &Host, kind: Kind) -> Outcome {
    let wish = Wish {
        rootfs: Path::new("/nonexistent/rootfs"),
        ..host.wish(kind)
    };
    refused(host, wish, |error| {
        matches!(error, CreateError::Attach { .. })
    })
}

/// A directory opens, but is no file for a loop device.
fn directory(host: &Host, kind: Kind) -> Outcome {
    let wish = Wish {
        rootfs: Path::new("/proc"),
        ..host.wish(kind)
    };
    refused(host, wish, |error| {
        matches!(error, CreateError::Attach { .. })
    })
}

fn bad_kernel() -> Outcome {
    match Kernel::parse(&[0x5A; 4096], &Limits::default()) {
        Err(_) => Ok(()),
        Ok(_) => Err("noise was taken for a kernel".into()),
    }
}

fn wrong_uuid(host: &Host) -> Outcome {
    let wish = host.wish(Kind::Pv);
    let domid = host.create(wish)?;
    let domain = Domain {
        host,
        domid,
        uuid: wish.uuid,
        output: String::new(),
        started: Instant::now(),
    };
    let other = Uuid::new_v4();
    if !matches!(
        host.toolstack.destroy(domid, other),
        Err(DestroyError::Mismatch { .. })
    ) {
        return Err("it was not refused".into());
    }
    if host.toolstack.unpause(domid, other).is_ok() {
        return Err("it was unpaused".into());
    }
    if domain.state()? != Some(DomainState::Paused) {
        return Err("it is not paused".into());
    }
    domain.destroy()
}

fn at_once(host: &Host) -> Outcome {
    let one = || {
        let wish = host.wish(Kind::Pv);
        let domid = host.create(wish).map_err(|error| chain(&error))?;
        let destroyed = host.toolstack.destroy(domid, wish.uuid);
        destroyed.map_err(|error| chain(&error)).map(|()| wish.uuid)
    };
    let made: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(one)).collect();
        threads
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect()
    });
    for outcome in made {
        let uuid = outcome.map_err(|_| "a thread panicked")??;
        nothing_left(host, uuid, None)?;
    }
    Ok(())
}

fn no_console(host: &Host) -> Outcome {
    let domain = host.toolstack.domains()?.first().map(|domain| domain.domid);
    let domid = domain.ok_or("not even dom0 is listed")?;
    if host.toolstack.console(domid, Uuid::new_v4()).is_ok() {
        return Err("it has".into());
    }
    Ok(())
}
