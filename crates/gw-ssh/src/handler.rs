//! What the SSH library tells about a client connection. Nothing here waits for a target: a channel gets its own task.

use std::{sync::Arc, time::Duration};

use russh::{
    Channel, ChannelId, ChannelOpenFailure, Disconnect, Pty,
    server::{self, Auth, ChannelOpenHandle, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey},
};
use tokio_util::sync::CancellationToken;

use crate::{admission::Place, channel, conn::Conn, environ, login::Logins};

/// See the module.
pub struct Handler {
    conn: Arc<Conn>,
    logins: Logins,
    place: Option<Place>,
    max_channels: usize,
    /// Cancelled when the login succeeded.
    logged_in: CancellationToken,
}

impl Handler {
    /// For one connection.
    pub fn new(conn: Arc<Conn>, logins: Logins, place: Place, max_channels: usize, logged_in: CancellationToken) -> Self {
        Self { conn, logins, place: Some(place), max_channels, logged_in }
    }

    fn begun(&self) {
        if let Some(place) = &self.place {
            place.begun();
        }
    }

    /// Looks at what the login machine said.
    fn judged(&mut self, auth: Auth) -> Auth {
        if matches!(auth, Auth::Accept) {
            match self.logins.take() {
                Some(login) if self.conn.login.get().is_none() => {
                    tracing::info!(connection = %self.conn.id, user = login.who.username(), client = %self.conn.client, "logged in");
                    let _ = self.conn.login.set(login);
                    self.place = None;
                    self.logged_in.cancel();
                    self.conn.prepare_ahead();
                }
                // INVARIANT: without an identity nobody is in.
                _ => return Auth::reject(),
            }
        }
        auth
    }

    /// Says goodbye to a refused client after its last question.
    fn farewell(&self) {
        let (Some(sentence), Some(handle)) = (self.logins.farewell(), self.conn.handle.get().cloned()) else { return };
        self.conn.tasks.spawn(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let _ = handle.disconnect(Disconnect::NoMoreAuthMethodsAvailable, sentence, "en".into()).await;
        });
    }
}

async fn refuse_open(conn: &Arc<Conn>, what: String, reply: ChannelOpenHandle) {
    conn.audit_refused(what);
    reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
}

fn openssh(key: &russh::keys::ssh_key::PublicKey) -> Option<String> {
    let mut bare = key.clone();
    bare.set_comment("");
    bare.to_openssh().ok()
}

impl server::Handler for Handler {
    type Error = russh::Error;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, Self::Error> {
        self.begun();
        Ok(Auth::reject())
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        self.begun();
        let auth = self.logins.password(user, password).await;
        Ok(self.judged(auth))
    }

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        self.begun();
        let Some(key) = openssh(offer.public_key) else { return Ok(Auth::reject()) };
        Ok(if self.logins.offered(user, &key).await { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let Some(key) = openssh(key.public_key) else { return Ok(Auth::reject()) };
        let auth = self.logins.key(user, key).await;
        Ok(self.judged(auth))
    }

    async fn auth_keyboard_interactive<'a>(&'a mut self, user: &str, _submethods: &str, response: Option<Response<'a>>) -> Result<Auth, Self::Error> {
        self.begun();
        let answered = response.is_some();
        let auth = self.logins.interactive(user, response).await;
        if answered && matches!(auth, Auth::Reject { .. }) {
            self.farewell();
        }
        Ok(self.judged(auth))
    }

    async fn channel_open_session(&mut self, channel: Channel<Msg>, reply: ChannelOpenHandle, _session: &mut Session) -> Result<(), Self::Error> {
        let Some(place) = self.conn.channel(self.max_channels) else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        reply.accept().await;
        self.conn.tasks.spawn(channel::serve(self.conn.clone(), place, channel));
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse_open(&self.conn, format!("port forwarding to {}:{port}", crate::person::visible(host)), reply).await;
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse_open(&self.conn, format!("socket forwarding to {}", crate::person::visible(path)), reply).await;
        Ok(())
    }

    async fn tcpip_forward(&mut self, address: &str, port: &mut u32, _session: &mut Session) -> Result<bool, Self::Error> {
        self.conn.audit_refused(format!("remote port forwarding from {}:{port}", crate::person::visible(address)));
        Ok(false)
    }

    async fn streamlocal_forward(&mut self, path: &str, _session: &mut Session) -> Result<bool, Self::Error> {
        self.conn.audit_refused(format!("remote socket forwarding from {}", crate::person::visible(path)));
        Ok(false)
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _cols: u32,
        _rows: u32,
        _wide: u32,
        _high: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn env_request(&mut self, channel: ChannelId, name: &str, value: &str, session: &mut Session) -> Result<(), Self::Error> {
        if environ::allowed(name, value) { session.channel_success(channel) } else { session.channel_failure(channel) }
    }

    fn adjust_window(&mut self, _channel: ChannelId, _current: u32) -> u32 {
        self.conn.throttle.window()
    }

    // The channel's task does what is asked; if it cannot, it says so on the channel, which a bare failure could not.
    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }
    async fn exec_request(&mut self, channel: ChannelId, _line: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }
    async fn subsystem_request(&mut self, channel: ChannelId, _name: &str, session: &mut Session) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.conn.audit_refused("X11 forwarding");
        session.channel_failure(channel)
    }

    async fn agent_request(&mut self, _channel: ChannelId, _session: &mut Session) -> Result<bool, Self::Error> {
        self.conn.audit_refused("agent forwarding");
        Ok(false)
    }
}
