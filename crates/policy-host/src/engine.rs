//! The sandbox that all policies of a process share: the compiler, the pool of
//! memories, and the budget that every call gets.
//!
//! What one call does with its budget is in [`crate::call`].

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use wasmtime::component::Linker;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
};

use crate::artifact::OwnCode;
use crate::error::{EngineError, LoadError};
use crate::limits::{
    CallState, MAX_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES, link_log,
};
use crate::ticker::{TICK, Ticker};

/// Code is made for this target's baseline (SSE2) and not for the CPU at hand, so
/// that it can be compiled on one machine and loaded on another, an emulated one
/// included.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Longest deadline: above it, a looping policy holds a slot for a minute.
const MAX_DEADLINE: Duration = Duration::from_mins(1);

/// Most memory for one call: wasm32's address space.
const MAX_MEMORY: usize = 1 << 32;

/// Most slots. Each reserves [`MAX_MEMORIES`] times 4 GiB of address space, of which a
/// process has 128 TiB.
const MAX_SLOTS: u32 = 1024;

/// The budget of a call, and how many run at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// Calls that run at once; others wait. 1 to 1024. Each reserves 16 GiB of
    /// address space (not of memory), so the process must not have `RLIMIT_AS`.
    pub slots: u32,
    /// How long a call may wait for a slot.
    pub slot_wait: Duration,
    /// How long a call may run, instantiation and host calls included. At most a
    /// minute; kept to about 2 ms.
    pub deadline: Duration,
    /// Instructions that a call may run, about. A policy in Rust takes 20,000 to 110,000,
    /// one in JavaScript a million.
    pub fuel: u64,
    /// Bytes of linear memory that a call may have, in all memories together.
    pub memory_bytes: usize,
    /// Bytes of an answer.
    pub output_bytes: usize,
    /// Lines of log that a call may write.
    pub log_lines: u32,
    /// Bytes of log that a call may write.
    pub log_bytes: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            slots: 8,
            slot_wait: Duration::from_secs(5),
            deadline: Duration::from_millis(50),
            fuel: 50_000_000,
            memory_bytes: 64 << 20,
            output_bytes: 1 << 20,
            log_lines: 64,
            log_bytes: 16 << 10,
        }
    }
}

impl EngineConfig {
    fn check(&self) -> Result<(), EngineError> {
        let wrong = |what| Err(EngineError::Config(what));
        if self.slots == 0 || self.slots > MAX_SLOTS {
            return wrong("slots must be 1 to 1024");
        }
        if self.deadline.is_zero() || self.deadline > MAX_DEADLINE {
            return wrong("the deadline must be more than zero and at most 60 s");
        }
        if self.fuel == 0 {
            return wrong("fuel must be more than zero");
        }
        if self.memory_bytes == 0 || self.memory_bytes > MAX_MEMORY {
            return wrong("memory must be more than zero and at most 4 GiB");
        }
        if self.output_bytes == 0 {
            return wrong("output must be more than zero");
        }
        Ok(())
    }

    /// The deadline in epochs. One more, because the first one has already begun.
    pub(crate) fn deadline_ticks(&self) -> u64 {
        let ticks = self.deadline.as_nanos().div_ceil(TICK.as_nanos());
        u64::try_from(ticks).unwrap_or(u64::MAX - 1) + 1
    }
}

/// The sandbox. Cheap to clone; the clones are one.
#[derive(Clone)]
pub struct PolicyEngine {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    linker: Linker<CallState>,
    config: EngineConfig,
    ticker: Ticker,
    free: Mutex<u32>,
    freed: Condvar,
}

impl std::fmt::Debug for PolicyEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyEngine")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

impl PolicyEngine {
    /// A sandbox with this budget. Starts one thread, which sleeps while no policy
    /// runs.
    pub fn new(config: &EngineConfig) -> Result<Self, EngineError> {
        config.check()?;
        let runtime = |e: wasmtime::Error| EngineError::Runtime(e.into());
        let engine = Engine::new(&runtime_config(config).map_err(runtime)?).map_err(runtime)?;
        let mut linker = Linker::new(&engine);
        link_log(&mut linker).map_err(runtime)?;
        let weak = engine.weak();
        let ticker = Ticker::start(move || {
            if let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
            }
        })
        .map_err(EngineError::Ticker)?;
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                linker,
                config: config.clone(),
                ticker,
                free: Mutex::new(config.slots),
                freed: Condvar::new(),
            }),
        })
    }

    /// What every call gets.
    #[must_use]
    pub fn config(&self) -> &EngineConfig {
        &self.inner.config
    }

    pub(crate) fn wasmtime(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn linker(&self) -> &Linker<CallState> {
        &self.inner.linker
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.inner.ticker
    }

    /// Machine code for a component. The component is untrusted and the compiler is
    /// large, so that its crash is caught here; its time and memory are not bounded.
    pub(crate) fn compile(&self, component: &[u8]) -> Result<OwnCode, LoadError> {
        if is_core_module(component) {
            return Err(LoadError::CoreModule);
        }
        let compiled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            self.inner.engine.precompile_component(component)
        }));
        match compiled {
            Ok(Ok(code)) => Ok(OwnCode::compiled(code)),
            Ok(Err(e)) => Err(LoadError::Invalid(e.into())),
            Err(_) => Err(LoadError::CompilerPanic),
        }
    }

    /// What machine code depends on besides the component: wasmtime's version, the
    /// target, and the config.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = StableHasher(Sha256::new());
        std::hash::Hash::hash(
            &self.inner.engine.precompile_compatibility_hash(),
            &mut hasher,
        );
        hasher.0.finalize().into()
    }

    /// A slot to run in, or `None` when none became free in time.
    pub(crate) fn slot(&self) -> Option<Slot<'_>> {
        let free = self.inner.free.lock();
        let (mut free, timeout) = self
            .inner
            .freed
            .wait_timeout_while(
                free.unwrap_or_else(PoisonError::into_inner),
                self.inner.config.slot_wait,
                |free| *free == 0,
            )
            .unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return None;
        }
        *free -= 1;
        Some(Slot { engine: self })
    }
}

/// One of the calls that may run at once.
pub(crate) struct Slot<'a> {
    engine: &'a PolicyEngine,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let inner = &self.engine.inner;
        *inner.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        inner.freed.notify_one();
    }
}

/// `std`'s own hasher may change with the compiler; this one names files.
struct StableHasher(Sha256);

impl std::hash::Hasher for StableHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        digest
            .iter()
            .take(8)
            .fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
    }
}

/// A core module has the version field 1 in its preamble, with layer 0 (Component
/// Model, Binary.md, "preamble").
fn is_core_module(wasm: &[u8]) -> bool {
    wasm.starts_with(b"\0asm\x01\0\0\0")
}

fn runtime_config(config: &EngineConfig) -> wasmtime::Result<Config> {
    let mut runtime = Config::new();
    runtime
        .target(TARGET)?
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        // The same bits for the same input on every machine.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .relaxed_simd_deterministic(true)
        // Less compiler and less runtime for a hostile component to reach (threads are not
        // even compiled in). Policies
        // in Rust, C, JavaScript, Python and Go do without all of these.
        .wasm_gc(false)
        .wasm_function_references(false)
        .wasm_exceptions(false)
        .wasm_memory64(false)
        // The host's own stack is 2 MiB on a pool thread.
        .max_wasm_stack(512 << 10)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config)));
    Ok(runtime)
}

fn pool(config: &EngineConfig) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    // Totals are what a slot may take times the slots: a call that has a slot never
    // lacks room.
    pool.total_component_instances(config.slots)
        .total_core_instances(config.slots * MAX_INSTANCES)
        .total_memories(config.slots * MAX_MEMORIES)
        .total_tables(config.slots * MAX_TABLES)
        .total_gc_heaps(config.slots)
        .max_core_instances_per_component(MAX_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_memory_size(config.memory_bytes)
        .table_elements(MAX_TABLE_ELEMENTS)
        // Zeroing this much is cheaper than returning it to the kernel after each call.
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        // Finds what a call touched; older kernels than 6.7 do without.
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests;
