//! Packs one image: `pack [--plain-http] [--allow-private] [--boot] REFERENCE CACHE_DIR`.
//!
//! Prints what the image is and where its filesystem is. The registry that the
//! reference names is allowed, since whoever runs this chose it.

use std::error::Error;
use std::process::ExitCode;

use xenios_packer::{Limits, Packer, PackerConfig, Reference, Registry};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (flags, values): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    let [reference, cache_dir] = &values[..] else {
        return Err(
            "usage: pack [--plain-http] [--allow-private] [--boot] REFERENCE CACHE_DIR".into(),
        );
    };
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let reference: Reference = reference.parse()?;
    let packer = Packer::new(PackerConfig {
        cache_dir: cache_dir.into(),
        registries: vec![Registry {
            authority: reference.registry().to_owned(),
            plain_http: has("--plain-http"),
            allow_private: has("--allow-private"),
            ca_pem: None,
            credentials: None,
        }],
        limits: Limits::default(),
    })?;
    let facts = packer.facts(&reference)?;
    println!("image     {}", facts.reference);
    println!("platform  {}", facts.platform);
    for layer in &facts.layers {
        println!("layer     {} {} bytes", layer.digest, layer.size_bytes);
    }
    println!("runs      {:?}", facts.config);
    if has("--boot") {
        println!("boot      {:?}", packer.boot_files(&facts.reference)?);
        return Ok(());
    }
    let rootfs = packer.rootfs(&facts.reference)?;
    println!("rootfs    {}", rootfs.path.display());
    println!("cached    {}", rootfs.cached);
    println!("pull      {} ms", rootfs.pull.as_millis());
    println!("pack      {} ms", rootfs.pack.as_millis());
    Ok(())
}
