//! News between the parts of a node, and later between nodes.
//!
//! INVARIANT: losing a message must not lose safety. Whoever subscribes treats a gap ([`Received::Lagged`]) as
//! "everything may have changed" and reads the store again.

use std::sync::Arc;

use model::{Id, SessionRow};
use tokio::sync::broadcast;

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Managed objects changed; the installation's revision is now this.
    Changed(i64),
    /// A session's owner should act.
    Control(Id<SessionRow>, Command),
}

/// What can be asked of a live session from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// End it; the name of who asked is shown to the person.
    Kill(String),
    /// Ignore the person's input.
    Lock(String),
    /// Take input again.
    Unlock,
    /// Show a line.
    Say(String),
    /// The node will stop in so many seconds.
    Draining(u64),
}

/// What a subscriber gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// News.
    News(News),
    /// Some were missed.
    Lagged,
    /// The bus is gone: the process is ending.
    Closed,
}

/// Carries [`News`]. In-process by default; Redis for several nodes.
pub trait Bus: Send + Sync {
    /// Tells everybody, without waiting.
    fn publish(&self, news: News);
    /// From now on.
    fn subscribe(&self) -> Subscription;
}

/// A place in the stream of news.
pub struct Subscription(broadcast::Receiver<News>);

impl Subscription {
    /// The next piece.
    pub async fn next(&mut self) -> Received {
        match self.0.recv().await {
            Ok(news) => Received::News(news),
            Err(broadcast::error::RecvError::Lagged(_)) => Received::Lagged,
            Err(broadcast::error::RecvError::Closed) => Received::Closed,
        }
    }
}

/// The bus of a single node.
#[derive(Clone)]
pub struct LocalBus(Arc<broadcast::Sender<News>>);

impl Default for LocalBus {
    fn default() -> Self {
        Self(Arc::new(broadcast::channel(1024).0))
    }
}

impl Bus for LocalBus {
    fn publish(&self, news: News) {
        // No subscriber is fine: nobody has anything to forget.
        let _ = self.0.send(news);
    }
    fn subscribe(&self) -> Subscription {
        Subscription(self.0.subscribe())
    }
}
