//! Reading that blocks a thread, ended when nobody waits for it any more.

use super::{MetricsError, QueryError};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Tells work on another thread that its answer is no longer wanted. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether to go on is in vain.
    pub(super) fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Stops it when it is dropped.
struct Wanted(Stop);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}

/// Runs `read` on a thread for work that blocks; dropping the future stops it, as soon as it looks at its [`Stop`].
pub(super) async fn run<T: Send + 'static>(
    read: impl FnOnce(&Stop) -> Result<T, QueryError> + Send + 'static,
) -> Result<T, QueryError> {
    let wanted = Wanted(Stop::default());
    let stop = wanted.0.clone();
    let result = tokio::task::spawn_blocking(move || {
        if stop.is_stopped() { Err(MetricsError("nobody waits for it".to_owned()).into()) } else { read(&stop) }
    });
    result.await.map_err(|error| MetricsError(error.to_string()))?
}
