//! The clock of deadlines: a thread that counts wasmtime's epoch up while calls run,
//! and sleeps while none does, so that an idle daemon never wakes for it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Length of an epoch: a deadline is kept to about this much.
pub(crate) const TICK: Duration = Duration::from_millis(2);

#[derive(Default)]
struct State {
    running: usize,
    stopped: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and the state is whole at any time.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ticks while at least one [`Ticking`] lives.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Calls `tick` every [`TICK`] while calls run.
    pub(crate) fn start(tick: impl Fn() + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("policy-epochs".to_owned())
            .spawn(move || {
                while wait_for_calls(&theirs) {
                    std::thread::sleep(TICK);
                    tick();
                }
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// A call begins; it ends when the guard is dropped.
    pub(crate) fn ticking(&self) -> Ticking<'_> {
        let mut state = self.shared.lock();
        state.running += 1;
        if state.running == 1 {
            self.shared.changed.notify_one();
        }
        Ticking {
            shared: &self.shared,
        }
    }
}

/// Blocks until a call runs. False when the ticker is dropped.
fn wait_for_calls(shared: &Shared) -> bool {
    let idle = |state: &mut State| state.running == 0 && !state.stopped;
    let state = shared
        .changed
        .wait_while(shared.lock(), idle)
        .unwrap_or_else(PoisonError::into_inner);
    !state.stopped
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked with anything worth passing on.
            drop(thread.join());
        }
    }
}

/// A call that runs.
pub(crate) struct Ticking<'a> {
    shared: &'a Shared,
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.shared.lock().running -= 1;
    }
}

#[cfg(test)]
mod tests;
