//! The packer: registries and cache in, facts, filesystems and boot files out.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::boot::{self, BootFiles};
use crate::cache::Cache;
use crate::digest::Digest;
use crate::error::{ConfigError, Error, ImageFault, Part};
use crate::image::{Image, ImageFacts, check_sizes, too_big};
use crate::layer::{self, Merged};
use crate::limits::Limits;
use crate::manifest::{self, Descriptor, Document, Manifest};
use crate::reference::{DEFAULT_TAG, PinnedReference, Reference};
use crate::registry::{Registries, Registry, Repository, Shown};
use crate::squashfs;

/// Most layers that are fetched at once.
const PARALLEL_LAYERS: usize = 3;

/// Most blobs that are asked for at once, without their content.
const PARALLEL_CHECKS: usize = 8;

/// How a packer is set up.
#[derive(Clone, Debug)]
pub struct PackerConfig {
    /// A directory of this packer's own; made if it is not there.
    pub cache_dir: PathBuf,
    /// The registries that may be used, and no others.
    pub registries: Vec<Registry>,
    /// What one image may take.
    pub limits: Limits,
}

/// A packed image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedRootfs {
    /// The squashfs image, read-only by convention: every guest of the image has it.
    pub path: PathBuf,
    /// Of the manifest that it was made of.
    pub digest: Digest,
    /// Time spent on the registry.
    pub pull: Duration,
    /// Time spent on decompressing, merging and writing.
    pub pack: Duration,
    /// Whether it was there already.
    pub cached: bool,
}

/// Describes and packs images. Calls block and may come from many threads; two for
/// one image do the work once. None may come from within an async runtime's task.
#[derive(Debug)]
pub struct Packer {
    registries: Registries,
    cache: Cache,
    limits: Limits,
    /// What repositories have shown to have.
    shown: Shown,
    /// One thread for network I/O. `None` only while dropping.
    runtime: Option<Runtime>,
}

impl Drop for Packer {
    fn drop(&mut self) {
        // Dropping a runtime blocks, which panics within another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Whether a document may come from the cache.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The repository has to show that it has the manifest and all that it names: a
    /// name that policies trust must not vouch for what only another repository holds,
    /// and the cache must not give one tenant what only another one may read.
    Registry,
    /// The digest was admitted before; its bytes are the same from everywhere.
    Cache,
}

impl Packer {
    /// Opens the cache and checks the registries. Nothing is contacted.
    pub fn new(config: PackerConfig) -> Result<Self, ConfigError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("packer-net")
            .enable_all()
            .build()
            .map_err(ConfigError::Runtime)?;
        Ok(Self {
            registries: Registries::new(&config.registries, &config.limits)?,
            cache: Cache::open(&config.cache_dir)?,
            limits: config.limits,
            shown: Shown::default(),
            runtime: Some(runtime),
        })
    }

    /// Fixes `reference` to a digest and says what the image is. Fetches manifest
    /// and config from its registry, and no layer.
    pub fn facts(&self, reference: &Reference) -> Result<ImageFacts, Error> {
        let image = self.block_on(self.load(reference, Source::Registry))?;
        let pin = reference.digest().copied().unwrap_or(image.digest);
        Ok(image.facts(reference.pin(pin)))
    }

    /// The image as a squashfs file, packed unless it is there already. `pinned` is
    /// what [`Packer::facts`] gave.
    pub fn rootfs(&self, pinned: &PinnedReference) -> Result<PackedRootfs, Error> {
        let started = Instant::now();
        let reference = Reference::from(pinned);
        let image = self.block_on(self.load(&reference, Source::Cache))?;
        let digest = image.digest;
        let path = self.cache.rootfs(&digest);
        let mut packed = PackedRootfs {
            path: path.clone(),
            digest,
            pull: started.elapsed(),
            pack: Duration::ZERO,
            cached: true,
        };
        self.cache.alone(&format!("rootfs {digest}"), || {
            if path.is_file() {
                return Ok(packed);
            }
            packed.cached = false;
            let started = Instant::now();
            let (merged, pull) = self.merge(&reference, &image)?;
            packed.pull += pull;
            let staged = self.cache.stage()?;
            squashfs::write(&merged, &self.limits, &staged.file)?;
            staged.commit(&path)?;
            packed.pack = started.elapsed().saturating_sub(pull);
            Ok(packed)
        })
    }

    /// The kernel and the initrd in an image, as far as it has them: `kernel/image`,
    /// and `xenios/initrd` or else `krata/initrd`.
    pub fn boot_files(&self, pinned: &PinnedReference) -> Result<BootFiles, Error> {
        let reference = Reference::from(pinned);
        let image = self.block_on(self.load(&reference, Source::Cache))?;
        let path = self.cache.boot(&image.digest);
        self.cache.alone(&format!("boot {}", image.digest), || {
            if !path.is_dir() {
                let (merged, _) = self.merge(&reference, &image)?;
                let staged = self.cache.stage_directory()?;
                boot::extract(&merged, &self.limits, &staged)?;
                staged.commit(&path)?;
            }
            Ok(BootFiles::in_directory(&path))
        })
    }

    fn block_on<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.runtime
            .as_ref()
            .expect("the runtime lives until drop")
            .block_on(work)
    }

    /// Manifest and config of `reference`, checked.
    async fn load(&self, reference: &Reference, source: Source) -> Result<Image, Error> {
        let repository = self.registries.repository(reference)?;
        let work = async {
            let (digest, manifest) = self.manifest(&repository, reference, source).await?;
            check_sizes(&manifest, &self.limits)?;
            if source == Source::Registry {
                self.show(&repository, &manifest).await?;
            }
            let bytes = self.config(&repository, manifest.config).await?;
            let config = manifest::parse_config(&bytes, manifest.layers.len())?;
            Ok(Image {
                digest,
                manifest,
                config,
            })
        };
        repository.within_deadline(work).await
    }

    /// The manifest for our platform, and its digest.
    async fn manifest(
        &self,
        repository: &Repository<'_>,
        reference: &Reference,
        source: Source,
    ) -> Result<(Digest, Manifest), Error> {
        let (digest, bytes) = if let Some(&digest) = reference.digest() {
            let bytes = self
                .document(repository, digest, Part::Manifest, source)
                .await?;
            (digest, bytes)
        } else {
            let tag = reference.tag().unwrap_or(DEFAULT_TAG);
            let bytes = repository.manifest(tag, Part::Manifest).await?;
            let digest = Digest::of(&bytes);
            self.keep(&digest, &bytes)?;
            (digest, bytes)
        };
        let entry = match manifest::parse(&bytes, Part::Manifest)? {
            Document::Manifest(manifest) => return Ok((digest, manifest)),
            Document::Index(entry) => entry,
        };
        let bytes = self
            .document(repository, entry.digest, Part::Manifest, source)
            .await?;
        if bytes.len() as u64 != entry.size {
            return Err(Error::SizeMismatch {
                what: Part::Manifest,
            });
        }
        match manifest::parse(&bytes, Part::Manifest)? {
            Document::Manifest(manifest) => Ok((entry.digest, manifest)),
            Document::Index(_) => Err(Error::Image(ImageFault::Document {
                what: Part::Index,
                reason: "it leads to another index",
            })),
        }
    }

    /// The manifest or index of `digest`.
    async fn document(
        &self,
        repository: &Repository<'_>,
        digest: Digest,
        what: Part,
        source: Source,
    ) -> Result<Vec<u8>, Error> {
        if source == Source::Cache
            && let Some(bytes) = self.cache.document(&digest, self.limits.manifest_bytes)
        {
            return Ok(bytes);
        }
        let bytes = repository.manifest(&digest.to_string(), what).await?;
        if Digest::of(&bytes) != digest {
            return Err(Error::DigestMismatch { what });
        }
        self.keep(&digest, &bytes)?;
        Ok(bytes)
    }

    /// Makes sure that the repository has each blob of `manifest` itself. Registries
    /// look for them when a manifest is pushed, but not for layers that are declared
    /// not to be distributed; and this cache is one for all tenants.
    async fn show(&self, repository: &Repository<'_>, manifest: &Manifest) -> Result<(), Error> {
        let layers = manifest.layers.iter().copied().enumerate();
        let blobs: Vec<_> = std::iter::once((Part::Config, manifest.config))
            .chain(layers.map(|(number, layer)| (Part::Layer(number), layer)))
            .filter(|(_, blob)| !self.shown.contains(repository, blob.digest))
            .collect();
        for batch in blobs.chunks(PARALLEL_CHECKS) {
            let checks = batch.iter().map(|&(what, blob)| async move {
                repository.holds(blob, what).await?;
                self.shown.insert(repository, blob.digest);
                Ok::<(), Error>(())
            });
            // All are waited for, so that the error is always of the first that failed.
            let checked = futures_util::future::join_all(checks).await;
            checked.into_iter().collect::<Result<(), _>>()?;
        }
        Ok(())
    }

    async fn config(
        &self,
        repository: &Repository<'_>,
        config: Descriptor,
    ) -> Result<Vec<u8>, Error> {
        let limit = self.limits.config_bytes;
        if let Some(bytes) = self.cache.document(&config.digest, limit) {
            return Ok(bytes);
        }
        let path = self.cache.blob(&config.digest);
        repository
            .blob(config, Part::Config, &self.cache, &path)
            .await?;
        // Verified on its way to the disk, and once more here.
        self.cache
            .document(&config.digest, limit)
            .ok_or_else(|| too_big(Part::Config, limit))
    }

    /// The merged layers, fetched as far as the cache lacks them, and how long that
    /// took.
    fn merge(&self, reference: &Reference, image: &Image) -> Result<(Merged, Duration), Error> {
        let started = Instant::now();
        let missing = self.missing(&image.manifest);
        self.block_on(self.fetch(reference, &missing))?;
        let pull = started.elapsed();
        let merged = layer::merge(image, &self.cache, &self.limits);
        let some_cached = missing.len() < image.manifest.layers.len();
        let missing = self.missing(&image.manifest);
        if merged.is_ok() || !some_cached || missing.is_empty() {
            return merged.map(|merged| (merged, pull));
        }
        // A layer from the cache was damaged, and is gone from it. That is no fault of
        // the image.
        let started = Instant::now();
        self.block_on(self.fetch(reference, &missing))?;
        let pull = pull + started.elapsed();
        layer::merge(image, &self.cache, &self.limits).map(|merged| (merged, pull))
    }

    /// The layers that the cache lacks, with their numbers.
    fn missing(&self, manifest: &Manifest) -> Vec<(usize, Descriptor)> {
        let layers = manifest.layers.iter().copied().enumerate();
        layers
            .filter(|(_, layer)| !self.cache.blob(&layer.digest).is_file())
            .collect()
    }

    /// Fetches layers into the cache.
    async fn fetch(
        &self,
        reference: &Reference,
        layers: &[(usize, Descriptor)],
    ) -> Result<(), Error> {
        let repository = self.registries.repository(reference)?;
        let work = async {
            for batch in layers.chunks(PARALLEL_LAYERS) {
                let fetches = batch.iter().map(|&(number, layer)| {
                    let path = self.cache.blob(&layer.digest);
                    let repository = &repository;
                    async move {
                        repository
                            .blob(layer, Part::Layer(number), &self.cache, &path)
                            .await
                    }
                });
                futures_util::future::try_join_all(fetches).await?;
            }
            Ok(())
        };
        repository.within_deadline(work).await
    }

    fn keep(&self, digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
        use std::io::Write as _;

        // A damaged copy is replaced.
        if self
            .cache
            .document(digest, self.limits.manifest_bytes)
            .is_some()
        {
            return Ok(());
        }
        let path = self.cache.blob(digest);
        let mut staged = self.cache.stage()?;
        staged
            .file
            .write_all(bytes)
            .map_err(Error::host("store a manifest in its image cache"))?;
        staged.commit(&path)
    }
}
