//! An answer that waits for the one who reads it, so that a test of streaming needs no clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// A forgotten hold ends by itself.
const LIMIT: Duration = Duration::from_secs(30);

/// Holds one answer back halfway ([`Behaviour::HoldBody`](crate::Behaviour::HoldBody)). Its clones are the same hold.
#[derive(Debug, Clone)]
pub struct Hold(Arc<Semaphore>);

impl Default for Hold {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Hold {
    /// Lets the rest of the answer go. `false` where it had gone already: nobody let it go within 30 seconds.
    pub fn let_go(&self) -> bool {
        self.0.add_permits(1);
        !self.0.is_closed()
    }

    /// Ends when it is let go, after 30 seconds at the latest.
    pub(crate) async fn over(self) {
        if tokio::time::timeout(LIMIT, self.0.acquire()).await.is_err() {
            self.0.close();
        }
    }
}
