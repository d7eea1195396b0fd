//! One task for each guest, which runs its steps until there is nothing left to do.
//!
//! What a step is, and when to try again, is decided in `xenios_core`; a step blocks,
//! so it runs on a blocking thread. Here is only: one at a time for each guest, a
//! bounded number for the host, and waking up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use xenios_core::{GuestId, Next, Pace};

use crate::stop::{Stop, Stopper};

#[cfg(test)]
mod tests;

/// Steps of each kind, quick and slow, that run at the same time on the host.
pub const DEFAULT_CONCURRENCY: usize = 8;

/// A guest that waits for an event looks again after this long: an event may be lost.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// After a step that panicked, which is a bug, the guest rests this long.
const REST_AFTER_PANIC: Duration = Duration::from_mins(1);

/// Runs one step of a guest, and says when to come back. Called on blocking threads.
pub type Steps = Box<dyn FnMut(Pace) -> Next + Send>;

/// Makes the steps of a guest, from nothing but its record.
pub type MakeSteps = dyn Fn(GuestId) -> Steps + Send + Sync;

/// Keeps a worker task for each guest that needs one.
#[derive(Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

struct Shared {
    steps: Box<MakeSteps>,
    quick: Semaphore,
    /// Pulls and builds: as many as these may be stuck, and every other guest still
    /// ends, is seen to end, and has its console read.
    slow: Semaphore,
    stopper: Stopper,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    bells: HashMap<GuestId, Arc<Notify>>,
    running: JoinSet<()>,
}

impl Supervisor {
    /// Runs the steps of each guest: at the same time at most `concurrency` that are
    /// over soon, and as many that may take long.
    #[must_use]
    pub fn new(steps: Box<MakeSteps>, concurrency: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                steps,
                quick: Semaphore::new(concurrency),
                slow: Semaphore::new(concurrency),
                stopper: Stopper::default(),
                tasks: Mutex::default(),
            }),
        }
    }

    /// Has the guest looked at now; starts its task when it has none.
    pub fn wake(&self, guest: GuestId) {
        let mut tasks = self.shared.tasks();
        if self.shared.stopper.watch().is_given() {
            return;
        }
        if let Some(bell) = tasks.bells.get(&guest) {
            bell.notify_one();
            return;
        }
        let bell = Arc::new(Notify::new());
        tasks.bells.insert(guest, Arc::clone(&bell));
        while tasks.running.try_join_next().is_some() {}
        let shared = Arc::clone(&self.shared);
        tasks.running.spawn(shared.tend(guest, bell));
    }

    /// Wakes only a guest that has a task: for events about domains that may not be ours.
    pub fn notify(&self, guest: GuestId) {
        if let Some(bell) = self.shared.tasks().bells.get(&guest) {
            bell.notify_one();
        }
    }

    /// Ends every task after the step that it is in; no guest is touched.
    pub async fn stop(&self) {
        self.shared.stopper.stop();
        let mut running = std::mem::take(&mut self.shared.tasks().running);
        while running.join_next().await.is_some() {}
    }
}

impl Shared {
    fn tasks(&self) -> std::sync::MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tend(self: Arc<Self>, guest: GuestId, bell: Arc<Notify>) {
        let mut stop = self.stopper.watch();
        let mut steps = None;
        loop {
            let Some(next) = self.turn(guest, &mut steps, &bell, &mut stop).await else {
                break;
            };
            let pause = match next {
                Next::Done if self.retire(guest, &bell) => break,
                // Done, but rung since: look again.
                Next::Again | Next::Slow | Next::Done => continue,
                Next::WaitForEvent => LOOK_AGAIN,
                Next::LookAgain(delay) => delay,
                Next::RetryAfter { delay, cause } => {
                    let cause = anyhow::Error::new(cause);
                    tracing::warn!(%guest, ?delay, "a step failed and will be repeated: {cause:#}");
                    delay
                }
            };
            tokio::select! {
                biased;
                () = stop.given() => break,
                () = bell.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One step, quick or slow; nothing when the daemon stops.
    async fn turn(
        &self,
        guest: GuestId,
        steps: &mut Option<Steps>,
        bell: &Notify,
        stop: &mut Stop,
    ) -> Option<Next> {
        let permit = tokio::select! {
            biased;
            () = stop.given() => return None,
            permit = self.quick.acquire() => permit,
        };
        let next = self.run(guest, steps, Pace::Quick).await;
        drop(permit);
        if !matches!(next, Next::Slow) {
            return Some(next);
        }
        let _permit = tokio::select! {
            biased;
            () = stop.given() => return None,
            // It may be deleted while it waits, which is quick.
            () = bell.notified() => return Some(Next::Again),
            permit = self.slow.acquire() => permit,
        };
        Some(self.run(guest, steps, Pace::Any).await)
    }

    /// One step on a blocking thread. A worker that panicked is made anew.
    async fn run(&self, guest: GuestId, steps: &mut Option<Steps>, pace: Pace) -> Next {
        let mut taken = steps.take().unwrap_or_else(|| (self.steps)(guest));
        let step = tokio::task::spawn_blocking(move || {
            let next = taken(pace);
            (taken, next)
        });
        match step.await {
            Ok((taken, next)) => {
                *steps = Some(taken);
                next
            }
            Err(error) => {
                tracing::error!(%guest, %error, "a step of this guest panicked");
                Next::LookAgain(REST_AFTER_PANIC)
            }
        }
    }

    /// Removes a finished guest's bell, unless it was rung since the last step.
    fn retire(&self, guest: GuestId, bell: &Notify) -> bool {
        let mut tasks = self.tasks();
        let rung = std::pin::pin!(bell.notified()).enable();
        if !rung {
            tasks.bells.remove(&guest);
        }
        !rung
    }
}
