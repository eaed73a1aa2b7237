//! Listening, admitting and serving connections.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use ipnet::IpNet;
use russh::{MethodKind, MethodSet, SshId, server};
use session::ControlPlane;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admission::{Admission, Room},
    algorithms,
    backlog::WINDOW,
    conn::Conn,
    handler::Handler,
    hostkeys,
    lanes::{Lanes, Place},
    login::Logins,
    proxy::client_address,
    socket::{Killer, Socket},
};

/// Packets of this size from clients (OpenSSH sends no larger ones).
const MAX_PACKET: u32 = 32 * 1024;
const BACKLOG: u32 = 1024;
/// Connections that were accepted and not taken up yet.
const MAX_FRESH: usize = 64;

/// How the gateway listens and what it puts up with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Where the host keys are kept; they are made at the first start.
    pub host_key_dir: PathBuf,
    /// Proxies whose PROXY header is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Time to log in.
    pub grace: Duration,
    /// Failed attempts of one connection.
    pub max_tries: usize,
    /// Connections that have not logged in, in total.
    pub max_waiting: usize,
    /// Connections that have not logged in, from one address.
    pub max_waiting_per_address: usize,
    /// Channels of one connection.
    pub max_channels: usize,
    /// Silence of a client before it is asked for a sign of life; three unanswered ones end it.
    pub keep_alive: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            host_key_dir: PathBuf::from("keys"),
            trusted_proxies: Vec::new(),
            grace: Duration::from_secs(60),
            max_tries: 6,
            max_waiting: 1024,
            max_waiting_per_address: 512,
            max_channels: 64,
            keep_alive: Duration::from_secs(30),
        }
    }
}

/// A bound gateway. Binding and running are apart, so that a port that is taken is known before anything starts.
pub struct Gateway {
    listeners: Vec<TcpListener>,
    shared: Shared,
}

#[derive(Clone)]
struct Shared {
    config: Arc<Config>,
    ssh: Arc<server::Config>,
    control: Arc<dyn ControlPlane>,
    admission: Admission,
    tasks: TaskTracker,
    /// Cancelled when every connection must end.
    end: CancellationToken,
}

/// Opens a listener. IPv6 sockets do not take IPv4, so that both can be opened side by side.
///
/// # Errors
/// The address cannot be bound. Must be called inside a runtime.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    if addr.is_ipv6() {
        rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

impl Gateway {
    /// Loads the host keys and opens the ports. Must be called inside a runtime.
    ///
    /// # Errors
    /// A port is taken, a key cannot be read or written; the sentence names it.
    pub fn bind(config: Config, control: Arc<dyn ControlPlane>) -> io::Result<Self> {
        let keys = hostkeys::load_or_create(&config.host_key_dir)?;
        let listeners = config.listen.iter().map(|a| listen(*a).map_err(|e| io::Error::new(e.kind(), format!("{a}: {e}")))).collect::<io::Result<Vec<_>>>()?;
        let ssh = server::Config {
            server_id: SshId::Standard("SSH-2.0-Rampart".into()),
            methods: MethodSet::from(&[MethodKind::PublicKey, MethodKind::KeyboardInteractive, MethodKind::Password][..]),
            // Offered keys are answered at once; wrong secrets are slowed down where they are judged.
            auth_rejection_time: Duration::ZERO,
            auth_rejection_time_initial: Some(Duration::ZERO),
            keys,
            window_size: WINDOW,
            maximum_packet_size: MAX_PACKET,
            channel_buffer_size: 32,
            event_buffer_size: 16,
            preferred: algorithms::for_people(),
            // The first question of every client ("none") counts in the library.
            max_auth_attempts: config.max_tries + 1,
            inactivity_timeout: None,
            keepalive_interval: Some(config.keep_alive),
            keepalive_max: 3,
            nodelay: true,
            ..server::Config::default()
        };
        let room = Room { total: config.max_waiting, per_address: config.max_waiting_per_address };
        let shared = Shared {
            config: Arc::new(config),
            ssh: Arc::new(ssh),
            control,
            admission: Admission::new(room),
            tasks: TaskTracker::new(),
            end: CancellationToken::new(),
        };
        Ok(Self { listeners, shared })
    }

    /// The addresses it really listens on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|l| l.local_addr().ok()).collect()
    }

    /// Serves until `shutdown`: then takes no more connections, and ends the ones it has when the registry is cut.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { listeners, shared } = self;
        let lanes_end = CancellationToken::new();
        let lanes = match Lanes::start(&lanes_end) {
            Ok(lanes) => Arc::new(lanes),
            Err(e) => return tracing::error!(error = %e, "cannot start the threads of the SSH gateway"),
        };
        for listener in listeners {
            shared.tasks.spawn(accept(shared.clone(), lanes.clone(), listener, shutdown.clone()));
        }
        shutdown.cancelled().await;
        shared.control.registry().drain_token().cancelled().await;
        // Sessions say their last words before the connections go.
        tokio::time::sleep(Duration::from_secs(1)).await;
        shared.end.cancel();
        shared.tasks.close();
        shared.tasks.wait().await;
        lanes_end.cancel();
    }
}

async fn accept(shared: Shared, lanes: Arc<Lanes>, listener: TcpListener, shutdown: CancellationToken) {
    // A burst waits in the kernel, in its order, until the lanes have taken up who came before: nobody is counted as old
    // and silent whose first words were only not read yet.
    let fresh = Arc::new(Semaphore::new(MAX_FRESH));
    loop {
        let Ok(taken_up) = fresh.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            a = listener.accept() => a,
        };
        match accepted {
            Ok((tcp, peer)) => {
                let here = shared.clone();
                let served = lanes.assign(tcp, move |tcp, place| {
                    let tasks = here.tasks.clone();
                    tasks.spawn(connection(here, tcp, peer, (place, taken_up)));
                });
                if let Err(e) = served {
                    tracing::warn!(error = %e, "cannot serve an SSH connection");
                }
            }
            Err(e) => {
                // Out of file descriptors, usually: give others a moment to close theirs.
                tracing::warn!(error = %e, "cannot accept an SSH connection");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// Counts a connection while it lives.
struct Counted;
impl Counted {
    fn new() -> Self {
        metrics::counter!("rampart_ssh_connections_total").increment(1);
        metrics::gauge!("rampart_ssh_connections").increment(1.0);
        Self
    }
}
impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("rampart_ssh_connections").decrement(1.0);
    }
}

async fn connection(shared: Shared, mut tcp: TcpStream, peer: SocketAddr, (_on_lane, taken_up): (Place, OwnedSemaphorePermit)) {
    let _counted = Counted::new();
    // A proxy may take its time with the header; that must not hold up who comes after it.
    let taken_up = Some(taken_up).filter(|_| !shared.config.trusted_proxies.iter().any(|net| net.contains(&peer.ip())));
    let client = match client_address(&mut tcp, peer, &shared.config.trusted_proxies).await {
        Ok(address) => address.ip(),
        Err(e) => return tracing::debug!(%peer, error = %e, "bad PROXY header"),
    };
    let conn = Arc::new(Conn::new(shared.control.clone(), client, shared.tasks.clone()));
    let (socket, killer, ident) = Socket::new(tcp, conn.throttle.clone());
    let place = shared.admission.enter(client, killer.clone());
    drop(taken_up);
    let logins = Logins::new(shared.control.clone(), client, ident);
    let logged_in = CancellationToken::new();
    let handler = Handler::new(conn.clone(), logins, place, shared.config.max_channels, logged_in.clone());
    let guard = tokio::spawn(guard(killer, shared.config.grace, logged_in, shared.end.clone()));
    match server::run_stream(shared.ssh.clone(), socket, handler).await {
        Ok(running) => {
            let _ = conn.handle.set(running.handle());
            drop(conn);
            if let Err(e) = running.await {
                tracing::debug!(%client, error = %e, "connection ended");
            }
        }
        Err(e) => tracing::debug!(%client, error = %e, "no SSH client"),
    }
    guard.abort();
}

/// Ends a connection that does not log in in time, and every one when the node stops.
async fn guard(killer: Killer, grace: Duration, logged_in: CancellationToken, end: CancellationToken) {
    tokio::select! {
        () = end.cancelled() => return killer.kill(),
        () = tokio::time::sleep(grace) => return killer.kill(),
        () = logged_in.cancelled() => {}
    }
    end.cancelled().await;
    killer.kill();
}
