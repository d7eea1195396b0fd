//! What the checks need of dom0: guests to start, and what is left of them.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use uuid::Uuid;
use xenios_xen::kernel::{Kernel, Limits};
use xenios_xen::{
    Console, ConsoleRead, CreateError, Disk, DomId, DomainConfig, DomainState, Kind, Toolstack,
};

use crate::{Arguments, cpio, guest};

/// How long a guest may take for a step: beds without hardware virtualisation
/// are slow.
pub(crate) const PATIENCE: Duration = Duration::from_mins(4);
/// How often is looked.
const PAUSE: Duration = Duration::from_millis(100);
/// Output that is kept of a guest.
const OUTPUT_BYTES: usize = 256 << 10;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// An error with all its sources in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

/// The host with what guests are made of.
pub(crate) struct Host {
    pub(crate) toolstack: Toolstack,
    pub(crate) kernel: Kernel,
    initrd: Vec<u8>,
    overlay: Vec<u8>,
    pub(crate) rootfs: PathBuf,
}

/// A domain of one check; destroyed when the check is over, however it ends.
pub(crate) struct Domain<'a> {
    pub(crate) host: &'a Host,
    pub(crate) domid: DomId,
    pub(crate) uuid: Uuid,
    pub(crate) output: String,
    pub(crate) started: Instant,
}

/// What is asked for beyond the usual.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) uuid: Uuid,
    pub(crate) kind: Kind,
    pub(crate) vcpus: u32,
    pub(crate) memory_mib: u64,
    pub(crate) rootfs: &'a Path,
}

impl Host {
    pub(crate) fn open(arguments: &Arguments) -> Outcome<Self> {
        let mut initrd = fs::read(&arguments.initrd)?;
        initrd.resize(initrd.len().next_multiple_of(cpio::ALIGN), 0);
        Ok(Self {
            toolstack: Toolstack::open()?,
            kernel: Kernel::parse(&fs::read(&arguments.kernel)?, &Limits::default())?,
            initrd,
            overlay: cpio::archive("init", &fs::read("/proc/self/exe")?),
            rootfs: arguments.rootfs.clone(),
        })
    }

    pub(crate) fn wish(&self, kind: Kind) -> Wish<'_> {
        Wish {
            uuid: Uuid::new_v4(),
            kind,
            vcpus: 1,
            memory_mib: 192,
            rootfs: &self.rootfs,
        }
    }

    pub(crate) fn create(&self, wish: Wish<'_>) -> Result<DomId, CreateError> {
        self.toolstack.create_paused(&DomainConfig {
            uuid: wish.uuid,
            name: "contract",
            kind: wish.kind,
            vcpus: wish.vcpus,
            memory_mib: wish.memory_mib,
            kernel: &self.kernel,
            initrd: &[&self.initrd, &self.overlay],
            cmdline: "console=hvc0 quiet",
            disks: &[Disk {
                device: "xvda",
                path: wish.rootfs,
                read_only: true,
            }],
        })
    }

    /// Creates and starts.
    pub(crate) fn start(&self, wish: Wish<'_>) -> Outcome<Domain<'_>> {
        let started = Instant::now();
        let domid = self.create(wish)?;
        println!(
            "  created domain {domid} in {} ms",
            started.elapsed().as_millis()
        );
        let domain = Domain {
            host: self,
            domid,
            uuid: wish.uuid,
            output: String::new(),
            started: Instant::now(),
        };
        self.toolstack.unpause(domid, wish.uuid)?;
        Ok(domain)
    }
}

impl Domain<'_> {
    pub(crate) fn console(&self) -> Outcome<Console> {
        Ok(self.host.toolstack.console(self.domid, self.uuid)?)
    }

    /// Reads the console until a text is there.
    pub(crate) fn expect(&mut self, console: &Console, text: &str) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        while !self.output.contains(text) {
            self.drain(console, Duration::from_secs(1))?;
            if Instant::now() >= deadline || self.output.contains("failed") {
                let shown = self.output.escape_debug().to_string();
                let state = self.host.toolstack.domain(self.domid, self.uuid)?;
                return Err(format!("no {text:?} on the console: {shown} {state:?}").into());
            }
        }
        println!(
            "  {text:?} {} ms after the start",
            self.started.elapsed().as_millis()
        );
        Ok(())
    }

    /// Takes some output. A guest whose console nobody reads stops when its ring
    /// is full, in the middle of a crash too.
    fn drain(&mut self, console: &Console, timeout: Duration) -> Outcome {
        let mut buffer = [0; 1024];
        match console.read(&mut buffer, timeout)? {
            ConsoleRead::Data(count) if self.output.len() < OUTPUT_BYTES => {
                self.output
                    .push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
            ConsoleRead::Closed => return Err("the console was closed".into()),
            _ => {}
        }
        Ok(())
    }

    /// What the guest wrote into its node.
    pub(crate) fn node(&self) -> Outcome<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = self
                .host
                .toolstack
                .guest_node(self.domid, guest::NODE, 256)?
            {
                return Ok(String::from_utf8(value)?);
            }
            if Instant::now() >= deadline {
                return Err("the guest wrote no node".into());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until the domain is in a state, reading its console meanwhile.
    pub(crate) fn wait_for(&mut self, console: &Console, wanted: DomainState) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.drain(console, PAUSE)?;
            let state = self.state()?;
            if state == Some(wanted) {
                println!(
                    "  {wanted:?} {} ms after the start",
                    self.started.elapsed().as_millis()
                );
                return Ok(());
            }
            if Instant::now() >= deadline {
                let shown = self.output.escape_debug().to_string();
                return Err(format!("the domain is {state:?}, not {wanted:?}: {shown}").into());
            }
        }
    }

    pub(crate) fn state(&self) -> Outcome<Option<DomainState>> {
        Ok(self
            .host
            .toolstack
            .domain(self.domid, self.uuid)?
            .map(|domain| domain.state))
    }

    /// Destroys it, and looks whether anything is left.
    pub(crate) fn destroy(&self) -> Outcome {
        let started = Instant::now();
        self.host.toolstack.destroy(self.domid, self.uuid)?;
        println!(
            "  destroyed domain {} in {} ms",
            self.domid,
            started.elapsed().as_millis()
        );
        nothing_left(self.host, self.uuid, Some(self.domid))
    }
}

impl Drop for Domain<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.host.toolstack.destroy(self.domid, self.uuid) {
            println!("  domain {} stays: {}", self.domid, chain(&error));
        }
    }
}

/// Fails if any trace of a guest is found: out of band, as far as that goes.
pub(crate) fn nothing_left(host: &Host, uuid: Uuid, domid: Option<DomId>) -> Outcome {
    if host
        .toolstack
        .domains()?
        .iter()
        .any(|domain| domain.uuid == uuid)
    {
        return Err("the domain is still there".into());
    }
    let loops = attached_loops(&host.rootfs);
    if !loops.is_empty() {
        return Err(format!("{loops:?} still hold the root filesystem").into());
    }
    let backends: Vec<_> = names("/sys/bus/xen-backend/devices");
    if !backends.is_empty() {
        return Err(format!("the kernel still has the backends {backends:?}").into());
    }
    let Ok(listed) = Command::new("xenstore-ls").arg("-f").output() else {
        println!("  xenstore-ls cannot be run: nodes are not checked");
        return Ok(());
    };
    let tree = String::from_utf8_lossy(&listed.stdout).into_owned();
    let own = domid.map(|domid| format!("/local/domain/{domid}"));
    let vbd = domid.map(|domid| format!("/vbd/{domid}"));
    let (text, own, vbd) = (uuid.to_string(), own.as_deref(), vbd.as_deref());
    let left: Vec<_> = tree
        .lines()
        .filter(|line| {
            let path = line.split(" = ").next().unwrap_or_default();
            let below = |part: Option<&str>| {
                part.is_some_and(|part| path.ends_with(part) || path.contains(&format!("{part}/")))
            };
            line.contains(&text) || below(own) || below(vbd)
        })
        .collect();
    if left.is_empty() {
        Ok(())
    } else {
        Err(format!("xenstore still has {left:?}").into())
    }
}

fn attached_loops(file: &Path) -> Vec<String> {
    let holds = |name: &String| {
        let backing = fs::read_to_string(format!("/sys/block/{name}/loop/backing_file"));
        backing.is_ok_and(|backing| Path::new(backing.trim_end()) == file)
    };
    names("/sys/block").into_iter().filter(holds).collect()
}

fn names(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
