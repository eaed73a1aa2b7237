//! The client's address, from the socket or, behind a trusted proxy only, from a PROXY protocol header
//! (HAProxy PROXY protocol, versions 1 and 2).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use tokio::{io::AsyncReadExt as _, net::TcpStream};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Longest version 1 line.
const MAX_V1: usize = 107;
/// Longest version 2 payload that is read; real ones with TLVs are a few hundred bytes.
const MAX_V2: usize = 2048;
const PATIENCE: Duration = Duration::from_secs(5);

/// Address of the client behind `peer`. The header is looked for only when `peer` is a trusted proxy; a trusted proxy
/// that sends none (a health check, a direct login from its machine) stands for itself. Anybody else's header is left in
/// the stream, where it is a protocol error.
///
/// # Errors
/// A header that makes no sense, or none of it in five seconds.
pub async fn client_address(stream: &mut TcpStream, peer: SocketAddr, trusted: &[IpNet]) -> io::Result<SocketAddr> {
    let ip = peer.ip().to_canonical();
    let peer = SocketAddr::new(ip, peer.port());
    if !trusted.iter().any(|net| net.contains(&ip)) {
        return Ok(peer);
    }
    tokio::time::timeout(PATIENCE, read_header(stream, peer)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn read_header(stream: &mut TcpStream, peer: SocketAddr) -> io::Result<SocketAddr> {
    let mut head = [0u8; 12];
    // Until a difference to both headers is seen, wait for more.
    loop {
        let n = stream.peek(&mut head).await?;
        let seen = head.get(..n).unwrap_or_default();
        let v1 = b"PROXY ".iter().zip(seen).all(|(a, b)| a == b);
        let v2 = SIGNATURE.iter().zip(seen).all(|(a, b)| a == b);
        if n == 0 || !(v1 || v2) {
            return Ok(peer);
        }
        if v1 && n >= 6 {
            return read_v1(stream, peer).await;
        }
        if v2 && n >= 12 {
            return read_v2(stream, peer).await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn read_v1(stream: &mut TcpStream, peer: SocketAddr) -> io::Result<SocketAddr> {
    let mut line = Vec::with_capacity(MAX_V1);
    loop {
        let b = stream.read_u8().await?;
        line.push(b);
        if b == b'\n' {
            break;
        }
        if line.len() >= MAX_V1 {
            return Err(bad());
        }
    }
    parse_v1(&line, peer).ok_or_else(bad)
}

async fn read_v2(stream: &mut TcpStream, peer: SocketAddr) -> io::Result<SocketAddr> {
    let mut head = [0u8; 16];
    stream.read_exact(&mut head).await?;
    let [.., version, family, high, low] = head;
    let len = usize::from(u16::from_be_bytes([high, low]));
    if len > MAX_V2 {
        return Err(bad());
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await?;
    parse_v2(version, family, &body, peer).ok_or_else(bad)
}

/// One version 1 line with its line end.
pub fn parse_v1(line: &[u8], peer: SocketAddr) -> Option<SocketAddr> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let mut words = text.split(' ');
    if words.next()? != "PROXY" {
        return None;
    }
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(peer);
    }
    let ip: IpAddr = words.next()?.parse().ok()?;
    let _to: IpAddr = words.next()?.parse().ok()?;
    let port = words.next()?.parse().ok()?;
    let _to: u16 = words.next()?.parse().ok()?;
    let fits = matches!((family, ip), ("TCP4", IpAddr::V4(_)) | ("TCP6", IpAddr::V6(_)));
    (fits && words.next().is_none()).then(|| SocketAddr::new(ip.to_canonical(), port))
}

/// Version and family bytes and the payload of a version 2 header.
pub fn parse_v2(version: u8, family: u8, body: &[u8], peer: SocketAddr) -> Option<SocketAddr> {
    match (version, family) {
        // LOCAL: the proxy speaks for itself.
        (0x20, _) => Some(peer),
        (0x21, 0x11) => {
            let ip: [u8; 4] = body.get(..4)?.try_into().ok()?;
            let port: [u8; 2] = body.get(8..10)?.try_into().ok()?;
            Some(SocketAddr::new(Ipv4Addr::from(ip).into(), u16::from_be_bytes(port)))
        }
        (0x21, 0x21) => {
            let ip: [u8; 16] = body.get(..16)?.try_into().ok()?;
            let port: [u8; 2] = body.get(32..34)?.try_into().ok()?;
            Some(SocketAddr::new(IpAddr::from(Ipv6Addr::from(ip)).to_canonical(), u16::from_be_bytes(port)))
        }
        (0x21, _) => Some(peer),
        _ => None,
    }
}

fn bad() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the PROXY header makes no sense")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;

    const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 9, 8, 7)), 1);

    #[test]
    fn version_one_is_read_strictly() {
        assert_eq!(parse_v1(b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 22\r\n", PEER), Some("192.0.2.1:5000".parse().unwrap()));
        assert_eq!(parse_v1(b"PROXY TCP6 2001:db8::1 ::1 5000 22\r\n", PEER), Some("[2001:db8::1]:5000".parse().unwrap()));
        assert_eq!(parse_v1(b"PROXY UNKNOWN\r\n", PEER), Some(PEER));
        assert_eq!(parse_v1(b"PROXY TCP4 2001:db8::1 ::1 5000 22\r\n", PEER), None);
        assert_eq!(parse_v1(b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 22 x\r\n", PEER), None);
        assert_eq!(parse_v1(b"PROXY TCP4 192.0.2.1\n", PEER), None);
    }

    proptest! {
        #[test]
        fn version_two_never_panics(version: u8, family: u8, body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse_v2(version, family, &body, PEER);
        }
    }

    async fn behind(trusted: &str, sent: &[u8]) -> io::Result<(SocketAddr, Vec<u8>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut near = TcpStream::connect(listener.local_addr()?).await?;
        near.write_all(sent).await?;
        near.shutdown().await?;
        let (mut far, peer) = listener.accept().await?;
        let nets: Vec<IpNet> = trusted.split_whitespace().map(|n| n.parse().unwrap()).collect();
        let at = client_address(&mut far, peer, &nets).await?;
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await?;
        Ok((at, rest))
    }

    #[tokio::test]
    async fn only_a_trusted_proxy_is_believed() {
        let line = b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 22\r\nSSH-2.0-x\r\n";

        let (at, rest) = behind("127.0.0.0/8", line).await.unwrap();
        assert_eq!((at, rest.as_slice()), ("192.0.2.1:5000".parse().unwrap(), &b"SSH-2.0-x\r\n"[..]));

        let (at, rest) = behind("10.0.0.0/8", line).await.unwrap();
        assert_eq!((at.ip(), rest.as_slice()), ("127.0.0.1".parse().unwrap(), &line[..]));

        let (at, rest) = behind("127.0.0.0/8", b"SSH-2.0-x\r\n").await.unwrap();
        assert_eq!((at.ip(), rest.as_slice()), ("127.0.0.1".parse().unwrap(), &b"SSH-2.0-x\r\n"[..]));
    }

    #[tokio::test]
    async fn version_two_is_cut_off_exactly() {
        let mut header = SIGNATURE.to_vec();
        header.extend([0x21, 0x11, 0, 15, 192, 0, 2, 7, 127, 0, 0, 1, 0x13, 0x88, 0, 22, 9, 9, 9]);
        header.extend(b"SSH");

        let (at, rest) = behind("127.0.0.1/32", &header).await.unwrap();

        assert_eq!((at, rest.as_slice()), ("192.0.2.7:5000".parse().unwrap(), &b"SSH"[..]));
    }
}
