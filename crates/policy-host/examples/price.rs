//! What a policy costs: loads it and asks it a thousand times.
//!
//! ```console
//! $ cargo run -p xenios-policy-host --example price -- \
//!       target/policies/size-limits.wasm '{ "max_vcpus": 4 }' /tmp/artifacts
//! ```

use std::error::Error;
use std::time::{Duration, Instant};

use xenios_policy_host::{
    Artifacts, BootFile, EngineConfig, Fault, GuestSpec, ImageConfig, ImageFacts, Kind, Operation,
    Pinned, PinnedReference, Policy, PolicyEngine, PolicySource, Request, Usage, Virtualization,
};

const CALLS: usize = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, settings, folder] = arguments.as_slice() else {
        return Err("usage: price COMPONENT SETTINGS ARTIFACTS".into());
    };
    let engine = PolicyEngine::new(&EngineConfig {
        deadline: Duration::from_secs(10),
        ..EngineConfig::default()
    })?;
    let source = PolicySource {
        name: file,
        component: &std::fs::read(file)?,
        settings,
    };
    let start = Instant::now();
    let policy = Policy::load(&engine, &source, Some(&Artifacts::open(folder)?))?;
    println!("load     {:?} ({:?})", start.elapsed(), policy.prepared());

    let request = request(policy.kind());
    println!("fuel     {}", ask(&policy, &request)?);
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let start = Instant::now();
        ask(&policy, &request)?;
        times.push(start.elapsed());
    }
    times.sort();
    println!("median   {:?}", times[CALLS / 2]);
    println!("99 of 100 {:?}", times[CALLS * 99 / 100]);
    Ok(())
}

fn ask(policy: &Policy, request: &Request) -> Result<u64, Fault> {
    match policy.kind() {
        Kind::Validating => policy.validate(request).map(|answer| answer.fuel),
        Kind::Mutating => policy.mutate(request).map(|answer| answer.fuel),
    }
}

/// 20 env entries and 6 labels; with facts for a validator.
fn request(kind: Kind) -> Request {
    let pairs = |count: usize| {
        (0..count)
            .map(|n| (format!("NAME_{n:02}"), format!("value {n}")))
            .collect()
    };
    Request {
        tenant: "acme".to_owned(),
        user: "alice".to_owned(),
        operation: Operation::Create,
        dry_run: true,
        now_ms: 0,
        usage: Usage::default(),
        spec: GuestSpec {
            name: "web".to_owned(),
            image: "registry.example.com/web:1".to_owned(),
            kernel: None,
            initrd: None,
            vcpus: 1,
            memory_mib: 128,
            env: pairs(20),
            entrypoint: Vec::new(),
            command: Vec::new(),
            working_dir: None,
            user: None,
            labels: pairs(6),
            virtualization: Virtualization::Pvh,
        },
        pinned: (kind == Kind::Validating).then(pinned),
        extra: Vec::new(),
    }
}

fn pinned() -> Pinned {
    let digest = format!("sha256:{}", "0".repeat(64));
    let host_file = |name: &str| BootFile::HostDefault {
        name: name.to_owned(),
        digest: digest.clone(),
    };
    Pinned {
        image: ImageFacts {
            reference: PinnedReference {
                registry: "registry.example.com".to_owned(),
                repository: "web".to_owned(),
                tag: Some("1".to_owned()),
                digest: digest.clone(),
            },
            platform: "linux/amd64".to_owned(),
            layers: Vec::new(),
            config: ImageConfig::default(),
            annotations: Vec::new(),
        },
        kernel: host_file("vmlinuz"),
        initrd: host_file("initrd"),
    }
}
