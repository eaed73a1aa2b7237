//! Who is at the other end of the connection (security.md 4).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::{extract::ConnectInfo, http::request::Parts};

use crate::App;

/// Set by the server for connections over its Unix socket whose peer is root or owns the data directory, and by the
/// command line when it works on a data directory directly.
#[derive(Debug, Clone, Copy)]
pub struct LocalAdmin;

/// The peer's socket address, set by the server for each connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The socket's peer; requests without one come from inside the process.
pub(crate) fn peer_of(parts: &Parts) -> Option<IpAddr> {
    let peer = parts.extensions.get::<Peer>().map(|p| p.0).or_else(|| parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|c| c.0));
    peer.map(|p| p.ip().to_canonical())
}

/// The client's address: the socket's, or what a trusted proxy says. Walks `X-Forwarded-For` from the right past
/// trusted proxies, so a client cannot put words in front.
pub(crate) fn client_of(parts: &Parts, app: &App) -> IpAddr {
    let Some(mut at) = peer_of(parts) else { return IpAddr::V4(Ipv4Addr::LOCALHOST) };
    if !app.is_trusted_proxy(at) {
        return at;
    }
    let hops: Vec<&str> = parts.headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).collect();
    for hop in hops.iter().rev().take(32) {
        let Ok(ip) = hop.trim().parse::<IpAddr>() else { return at };
        at = ip.to_canonical();
        if !app.is_trusted_proxy(at) {
            return at;
        }
    }
    at
}

/// Whether the request comes from this machine and through no proxy.
pub(crate) fn is_loopback(parts: &Parts) -> bool {
    peer_of(parts).is_none_or(|ip| ip.is_loopback()) && !parts.headers.contains_key("x-forwarded-for") && !parts.headers.contains_key("forwarded")
}
