//! The target's leg: dial, check the host key, log in as the granted account, open the channel.

mod auth;
mod dial;

use std::sync::Arc;

use async_trait::async_trait;
use model::{Fault, MessagePair};
use parking_lot::Mutex;
use policy::{Connect, ConnectTarget, Granted};
use russh::{Channel, client};
use session::{ConnectError, Connector, ControlPlane};

pub use dial::{Dialing, Transport};

use crate::console::Console;

/// A connected target with an open session channel.
pub struct TargetLink {
    /// The connection; dropping it ends it.
    pub transport: Transport,
    /// The channel a shell or command will run in.
    pub channel: Channel<client::Msg>,
}

/// Connects one session.
pub struct TargetConnector {
    /// A connection that was begun before the session was opened.
    dialing: Mutex<Option<Dialing>>,
    /// The person's terminal, if he has one, for secrets that are typed.
    console: tokio::sync::Mutex<Option<Console>>,
}

impl TargetConnector {
    /// With what is at hand.
    pub fn new(dialing: Option<Dialing>, console: Option<Console>) -> Self {
        Self { dialing: Mutex::new(dialing), console: tokio::sync::Mutex::new(console) }
    }
    /// What was typed beyond the secret.
    pub fn typed_ahead(self) -> Option<bytes::Bytes> {
        self.console.into_inner().map(|mut c| c.take_unread())
    }
}

#[async_trait]
impl Connector for TargetConnector {
    type Link = TargetLink;
    async fn connect(&self, control: &dyn ControlPlane, granted: &Granted<Connect>) -> Result<TargetLink, ConnectError> {
        let started = self.dialing.lock().take().filter(Dialing::is_fresh);
        let dialing = match started {
            Some(d) => d,
            None => Dialing::start(granted.on())?,
        };
        // The secret is opened while the key exchange runs.
        let (transport, secret) = tokio::join!(dialing.finish(control, granted), control.secret(granted));
        let (mut transport, secret) = (transport?, secret.map_err(|m| ConnectError { message: m, fault: Fault::Rampart })?);
        let mut console = self.console.lock().await;
        auth::log_in(&mut transport, control, granted, secret, console.as_mut()).await?;
        let channel = transport.open_channel(granted.on()).await?;
        Ok(TargetLink { transport, channel })
    }
}

/// A failure on the target's side, in words.
fn failed(code: &'static str, on: &ConnectTarget, detail: impl Into<String>) -> ConnectError {
    let message =
        MessagePair::new(code, detail).with("asset", on.asset.name.clone()).with("account", on.account.display()).with("address", on.asset.address.clone());
    ConnectError { message, fault: Fault::Target }
}

/// Settings of the client side of the library, the same for every target.
fn client_config() -> Arc<client::Config> {
    static CONFIG: std::sync::LazyLock<Arc<client::Config>> = std::sync::LazyLock::new(|| {
        Arc::new(client::Config {
            client_id: russh::SshId::Standard("SSH-2.0-Rampart".into()),
            window_size: crate::backlog::WINDOW,
            maximum_packet_size: 64 * 1024 - 1,
            channel_buffer_size: 32,
            preferred: crate::algorithms::for_targets(),
            inactivity_timeout: None,
            keepalive_interval: Some(std::time::Duration::from_secs(30)),
            keepalive_max: 3,
            nodelay: true,
            ..client::Config::default()
        })
    });
    CONFIG.clone()
}
