//! The one signal that the daemon is ending.

use tokio::sync::watch;

/// Gives the signal.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Sees the signal.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Default for Stopper {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stopper {
    /// Gives the signal, once and for all.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// One more that sees it.
    #[must_use]
    pub fn watch(&self) -> Stop {
        Stop(self.0.subscribe())
    }
}

impl Stop {
    /// Returns when the signal was given, or can no longer be given.
    pub async fn given(&mut self) {
        // An error means that the stopper is gone: the daemon is ending, too.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether the signal was given.
    #[must_use]
    pub fn is_given(&self) -> bool {
        *self.0.borrow()
    }
}
