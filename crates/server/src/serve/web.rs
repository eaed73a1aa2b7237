//! The web port and the local socket: accept, TLS, HTTP. Every wait is bounded, the accept loop never blocks on a peer.

use std::{net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{Router, body::Body, extract::ConnectInfo};
use http::Request;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

/// Connections at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4096;
/// For a TLS handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the listeners share.
#[derive(Clone)]
pub struct Web {
    /// What is served.
    pub router: Router,
    /// TLS, if on.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Networks that may send a PROXY header.
    pub trusted: Arc<Vec<ipnet::IpNet>>,
    /// Stops accepting; running requests may finish.
    pub stop: CancellationToken,
    /// Connections that are being served.
    pub tasks: TaskTracker,
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30)).max_concurrent_streams(128);
    builder
}

impl Web {
    /// Opens a TCP listener; IPv6 sockets do not take IPv4, so that both can be opened side by side.
    ///
    /// # Errors
    /// The address cannot be bound; the sentence names it.
    pub fn bind(addr: SocketAddr) -> anyhow::Result<TcpListener> {
        gw_ssh::listen(addr).with_context(|| format!("cannot listen on {addr}; is another server running, or is the port reserved?"))
    }

    /// Serves a TCP listener until stopped.
    pub async fn serve(self, listener: TcpListener) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                a = listener.accept() => a,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let web = self.clone();
                    self.tasks.spawn(async move {
                        web.connection(stream, peer).await;
                        drop(slot);
                    });
                }
                Err(e) => {
                    // Out of file descriptors, usually: give others a moment to close theirs.
                    tracing::warn!(error = %e, "cannot accept a web connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn connection(self, mut stream: TcpStream, peer: SocketAddr) {
        let _ = stream.set_nodelay(true);
        let begin = async {
            let peer = gw_ssh::client_address(&mut stream, peer, &self.trusted).await?;
            match self.tls.clone() {
                Some(tls) => TlsAcceptor::from(tls).accept(stream).await.map(|s| (peer, Either::Tls(Box::new(s)))),
                None => Ok((peer, Either::Plain(stream))),
            }
        };
        match tokio::time::timeout(PATIENCE, begin).await {
            Ok(Ok((peer, Either::Tls(s)))) => self.http(*s, Some(peer)).await,
            Ok(Ok((peer, Either::Plain(s)))) => self.http(s, Some(peer)).await,
            Ok(Err(e)) => tracing::debug!(%peer, error = %e, "web handshake failed"),
            Err(_) => tracing::debug!(%peer, "web handshake took too long"),
        }
    }

    /// Serves one connection; `peer` is `None` for the local administrator.
    async fn http<S>(&self, stream: S, peer: Option<SocketAddr>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = self.router.clone().map_request(move |r: Request<Incoming>| {
            let mut r = r.map(Body::new);
            match peer {
                Some(peer) => r.extensions_mut().insert(ConnectInfo(peer)).map(drop),
                None => r.extensions_mut().insert(rest::LocalAdmin).map(drop),
            };
            r
        });
        let builder = builder();
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service));
        tokio::pin!(connection);
        let result = tokio::select! {
            r = connection.as_mut() => r,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(e) = result {
            tracing::debug!(error = %e, "web connection ended");
        }
    }

    /// Serves `<data>/rampart.sock`: whoever the kernel says is root or the owner of the data directory is the local
    /// administrator; others are turned away.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn local(self, path: &Path, owner: u32) -> anyhow::Result<impl Future<Output = ()> + use<>> {
        // The lock on the data directory is held, so a socket that is there is a left-over.
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).with_context(|| format!("cannot replace {}", path.display())),
            _ => {}
        }
        let listener = UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(async move {
            loop {
                let accepted = tokio::select! {
                    () = self.stop.cancelled() => return,
                    a = listener.accept() => a,
                };
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                match stream.peer_cred() {
                    Ok(c) if c.uid() == 0 || c.uid() == owner => {
                        let web = self.clone();
                        self.tasks.spawn(async move { web.http(stream, None).await });
                    }
                    Ok(c) => tracing::warn!(uid = c.uid(), "local socket: neither root nor owner of the data directory"),
                    Err(e) => tracing::warn!(error = %e, "local socket: no peer credentials"),
                }
            }
        })
    }
}

enum Either {
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    Plain(TcpStream),
}
