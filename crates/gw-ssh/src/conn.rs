//! One client connection: who it is, where it goes, and the connection to the target that is begun ahead.

use std::{
    net::IpAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use model::MessagePair;
use parking_lot::Mutex;
use policy::{Connect, Granted};
use russh::server;
use session::{AccountAsk, AccountChoice, Ask, ControlPlane, Target};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::{backlog::Throttle, leg::Dialing, login::LoggedIn, username::Destination};

/// The protocol of this gateway's sessions.
pub const PROTOCOL: &str = "ssh";

/// What all parts of a connection share.
pub struct Conn {
    /// The rest of Rampart.
    pub control: Arc<dyn ControlPlane>,
    /// Address of the person.
    pub client: IpAddr,
    /// Groups its channels.
    pub id: String,
    /// Set once the login succeeded.
    pub login: OnceLock<LoggedIn>,
    /// Set once the library's loop runs.
    pub handle: OnceLock<server::Handle>,
    /// Where its tasks run.
    pub tasks: TaskTracker,
    /// Holds the client back while a channel has too much waiting.
    pub throttle: Arc<Throttle>,
    channels: AtomicUsize,
    ahead: Mutex<Option<JoinHandle<Result<Prepared, MessagePair>>>>,
}

/// A place among the channels of a connection.
pub struct ChannelPlace(Arc<Conn>);

impl Drop for ChannelPlace {
    fn drop(&mut self) {
        self.0.channels.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A decision, ready for a session.
pub struct Ready {
    /// The grant.
    pub granted: Granted<Connect>,
    /// The connection that was begun meanwhile.
    pub dialing: Option<Dialing>,
}

/// What came of a destination.
pub enum Prepared {
    /// Allowed.
    Ready(Box<Ready>),
    /// Somebody has to choose, or to type the user name.
    Choose(Box<Target>, Vec<AccountChoice>),
}

impl Drop for Conn {
    fn drop(&mut self) {
        if let Some(ahead) = self.ahead.get_mut().take() {
            ahead.abort();
        }
    }
}

impl Conn {
    /// A new connection.
    pub fn new(control: Arc<dyn ControlPlane>, client: IpAddr, tasks: TaskTracker) -> Self {
        Self {
            control,
            client,
            id: uuid::Uuid::new_v4().to_string(),
            login: OnceLock::new(),
            handle: OnceLock::new(),
            tasks,
            throttle: Arc::default(),
            channels: AtomicUsize::new(0),
            ahead: Mutex::new(None),
        }
    }

    /// A place for one more channel, if there is one.
    pub fn channel(self: &Arc<Self>, most: usize) -> Option<ChannelPlace> {
        let taken = self.channels.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < most).then_some(n + 1));
        taken.ok().map(|_| ChannelPlace(self.clone()))
    }

    /// Starts to decide and to dial as soon as the person is known and said where to, so that this runs while the client
    /// opens its channel. Nothing of the target is logged in to and no host key is accepted before a session exists.
    pub fn prepare_ahead(self: &Arc<Self>) {
        let Some(LoggedIn { destination: Destination::Direct { account, asset }, .. }) = self.login.get() else { return };
        let (conn, account, asset) = (Arc::downgrade(self), account.clone(), asset.clone());
        let task = self.tasks.spawn(async move {
            let Some(conn) = conn.upgrade() else { return Err(MessagePair::new("system.unavailable", "the connection is gone")) };
            conn.prepare(account.as_deref(), &asset).await
        });
        *self.ahead.lock() = Some(task);
    }

    /// The decision for a channel of this connection: the one made ahead for the first, a new one for every other.
    pub async fn prepared(&self, account: Option<&str>, asset: &str) -> Result<Prepared, MessagePair> {
        let ahead = self.ahead.lock().take();
        match ahead {
            Some(task) => match task.await {
                Ok(result) => result,
                Err(e) => Err(MessagePair::new("system.unavailable", e.to_string())),
            },
            None => self.prepare(account, asset).await,
        }
    }

    async fn prepare(&self, account: Option<&str>, asset: &str) -> Result<Prepared, MessagePair> {
        let Some(login) = self.login.get() else { return Err(MessagePair::new("system.unavailable", "not logged in")) };
        let target = self.control.resolve(&login.who, self.client, asset).await?;
        let ask = match account {
            Some(written) => AccountAsk::Written(written.to_owned()),
            None => {
                let choices = self.control.accounts(&login.who, target.asset.id, PROTOCOL).await?;
                match choices.as_slice() {
                    [] => AccountAsk::Only,
                    [one] if !matches!(one.ask, AccountAsk::Input(_)) => one.ask.clone(),
                    _ => return Ok(Prepared::Choose(Box::new(target), choices)),
                }
            }
        };
        self.authorize(&target, ask).await.map(|ready| Prepared::Ready(Box::new(ready)))
    }

    /// Asks for one account on one target and begins to dial if it is granted.
    pub async fn authorize(&self, target: &Target, account: AccountAsk) -> Result<Ready, MessagePair> {
        let Some(login) = self.login.get() else { return Err(MessagePair::new("system.unavailable", "not logged in")) };
        let ask = Ask { asset: target.asset.id, account, protocol: PROTOCOL.into(), client: self.client };
        let granted = self.control.authorize(&login.who, &ask).await?;
        let dialing = Dialing::start(granted.on()).ok();
        Ok(Ready { granted, dialing })
    }

    /// Leaves an audit entry for something this gateway refused.
    pub fn audit_refused(self: &Arc<Self>, what: impl Into<String>) {
        let (conn, what) = (self.clone(), what.into());
        self.tasks.spawn(async move {
            let Some(login) = conn.login.get() else { return };
            let target = match &login.destination {
                Destination::Direct { asset, .. } => asset.as_str(),
                Destination::Menu | Destination::Token => "",
            };
            metrics::counter!("rampart_ssh_refused_total").increment(1);
            conn.control.refused(&login.who, target, &what, conn.client).await;
        });
    }
}
