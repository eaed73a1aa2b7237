//! Server addresses and query strings.

use std::{fmt, net::IpAddr};

use super::super::{Failure, say};

/// The address of a server, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// HTTPS.
    pub secure: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path in front of `/api`, without a slash at its end.
    pub prefix: String,
}

impl Base {
    /// From `https://host[:port][/path]`; a bare host means HTTPS. Plain HTTP is taken for this machine only: a token would
    /// travel in the open.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let bad = || Failure::usage(say("cli.bad_url", &[("url", text)]));
        let (secure, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            None => (true, text),
            Some(_) => return Err(bad()),
        };
        let (authority, prefix) = rest.split_once('/').map_or((rest, ""), |(a, p)| (a, p.trim_end_matches('/')));
        let parsed: http::uri::Authority = authority.parse().map_err(|_| bad())?;
        let host = parsed.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let plain = prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/".contains(&b));
        if host.is_empty() || authority.contains('@') || !plain {
            return Err(bad());
        }
        let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if !secure && !local {
            return Err(Failure::usage(say("cli.plain_http", &[("url", text)])));
        }
        let port = parsed.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        Ok(Self { secure, host, port, prefix })
    }

    /// For the `Host` header.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == if self.secure { 443 } else { 80 } { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.secure { "https" } else { "http" }, self.authority(), self.prefix)
    }
}

/// Percent-encodes everything but unreserved characters (RFC 3986 §2.3).
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// A path with a query.
pub fn query(path: &str, pairs: &[(&str, String)]) -> String {
    let joined: Vec<String> = pairs.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect();
    if joined.is_empty() { path.to_owned() } else { format!("{path}?{}", joined.join("&")) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart_and_put_together() {
        for (text, shown) in [
            ("https://r.example.org", "https://r.example.org"),
            ("r.example.org:8443", "https://r.example.org:8443"),
            ("https://[::1]:8443/x/", "https://[::1]:8443/x"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ] {
            assert_eq!(Base::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn a_token_never_travels_in_the_open() {
        assert!(Base::parse("http://r.example.org").is_err());
        assert!(Base::parse("http://127.0.0.1.example.org").is_err());
        assert!(Base::parse("ftp://x").is_err());
        assert!(Base::parse("https://user@x").is_err());
        assert!(Base::parse("").is_err());
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(query("/a/", &[("search", "a b&c=数".into())]), "/a/?search=a%20b%26c%3D%E6%95%B0");
    }
}
