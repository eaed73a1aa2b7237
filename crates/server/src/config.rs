//! Configuration as written ([`File`] and environment) and as validated ([`Config`]). All mistakes are reported at once.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    time::Duration,
};

use policy::login::MfaPolicy;
use serde::Deserialize;
use vault::Secret;

/// `rampart.toml`. Every key is also an environment variable `RAMPART_<SECTION>_<KEY>`, which wins.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    data: Section,
    database: Section,
    web: Section,
    ssh: Section,
    log: Section,
    master: Section,
    session: Section,
    security: Section,
    trusted: Section,
}

type Section = BTreeMap<String, toml::Value>;

/// Every key there is: section, key, default (empty = none).
const KEYS: &[(&str, &str, &str)] = &[
    ("data", "dir", "./data"),
    ("database", "url", ""),
    ("web", "listen", "0.0.0.0:8443"),
    ("web", "tls", "auto"),
    ("web", "cert", ""),
    ("web", "key", ""),
    ("ssh", "listen", "0.0.0.0:2222"),
    ("log", "level", "info"),
    ("log", "format", "text"),
    ("master", "key", ""),
    ("master", "key_file", ""),
    ("session", "max_idle_minutes", "30"),
    ("session", "max_minutes", "1440"),
    ("session", "warn_seconds", "60"),
    ("session", "drain_seconds", "10"),
    ("session", "max_sessions", "20000"),
    ("security", "mfa", "off"),
    ("trusted", "proxies", ""),
];

/// How the web port speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebTls {
    /// Own certificate, made at the first start.
    Auto,
    /// PEM files.
    Files {
        /// Certificate chain.
        cert: PathBuf,
        /// Private key.
        key: PathBuf,
    },
    /// Plain HTTP, for a proxy on the same machine.
    Off,
}

/// The validated configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Everything that is kept.
    pub data_dir: PathBuf,
    /// `sqlite://…` or `postgres://…`.
    pub database_url: String,
    /// Web listeners; empty = off.
    pub web_listen: Vec<SocketAddr>,
    /// TLS of the web port.
    pub web_tls: WebTls,
    /// SSH listeners; empty = off.
    pub ssh_listen: Vec<SocketAddr>,
    /// Log filter.
    pub log: String,
    /// Log as JSON lines.
    pub log_json: bool,
    /// Networks whose PROXY headers and `Forwarded` are believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Limits of sessions.
    pub session: session::local::Settings,
    /// How long a stopping node waits for its sessions.
    pub drain: Duration,
    /// Whose second factor is asked for, beside what a person's row says.
    pub mfa: MfaPolicy,
}

/// What only the environment carries.
pub struct Secrets {
    /// Password of `admin` on the very first start.
    pub admin_password: Option<Secret<String>>,
    /// The master key as text.
    pub master_key: Option<Secret<String>>,
    /// A file that holds it.
    pub master_key_file: Option<PathBuf>,
}

/// Where variables come from; the process environment, or a test's map.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process environment.
#[allow(clippy::disallowed_methods)]
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Reads file and environment. `data` (from the command line) wins over both.
///
/// # Errors
/// All mistakes, one a line.
pub fn load(file: Option<&Path>, data: Option<&Path>, env: Env<'_>) -> Result<(Config, Secrets), String> {
    let mut problems = Vec::new();
    let written = match file {
        None => File::default(),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|e| format!("{}: {e}", path.display()))
            .and_then(|text| toml::from_str(&text).map_err(|e| format!("{}: {e}", path.display())))?,
    };
    let values = collect(&written, env, &mut problems);
    let get = |section: &str, key: &str| values.get(&(section.to_owned(), key.to_owned())).cloned().unwrap_or_default();
    let data_dir = data.map_or_else(|| PathBuf::from(get("data", "dir")), Path::to_path_buf);
    let number = |section: &str, key: &str, range: std::ops::RangeInclusive<u64>, problems: &mut Vec<String>| match get(section, key).parse::<u64>() {
        Ok(n) if range.contains(&n) => n,
        _ => {
            problems.push(format!("{section}.{key}: a whole number from {} to {} is needed, not `{}`", range.start(), range.end(), get(section, key)));
            *range.start()
        }
    };
    let database_url = match get("database", "url") {
        url if url.is_empty() => format!("sqlite://{}", data_dir.join("rampart.db").display()),
        url if url.starts_with("sqlite://") || url.starts_with("postgres://") || url.starts_with("postgresql://") => url,
        _ => {
            problems.push("database.url: must begin with sqlite:// or postgres://".into());
            String::new()
        }
    };
    let web_tls = match get("web", "tls").as_str() {
        "auto" => WebTls::Auto,
        "off" => WebTls::Off,
        "files" => WebTls::Files { cert: PathBuf::from(get("web", "cert")), key: PathBuf::from(get("web", "key")) },
        other => {
            problems.push(format!("web.tls: `auto`, `files` or `off`, not `{other}`"));
            WebTls::Auto
        }
    };
    if let WebTls::Files { cert, key } = &web_tls
        && (cert.as_os_str().is_empty() || key.as_os_str().is_empty())
    {
        problems.push("web.tls = files needs web.cert and web.key".into());
    }
    let mfa = match get("security", "mfa").as_str() {
        "off" => MfaPolicy::PerUser,
        "admins" => MfaPolicy::Admins,
        "all" => MfaPolicy::Everybody,
        other => {
            problems.push(format!("security.mfa: `off`, `admins` or `all`, not `{other}`"));
            MfaPolicy::Everybody
        }
    };
    let log_json = match get("log", "format").as_str() {
        "text" => false,
        "json" => true,
        other => {
            problems.push(format!("log.format: `text` or `json`, not `{other}`"));
            false
        }
    };
    let trusted_proxies = networks(&get("trusted", "proxies"), &mut problems);
    let web_listen = listen("web", &get("web", "listen"), &mut problems);
    let ssh_listen = listen("ssh", &get("ssh", "listen"), &mut problems);
    let session = session::local::Settings {
        max_idle: Duration::from_secs(60 * number("session", "max_idle_minutes", 1..=100_000, &mut problems)),
        max_session: Duration::from_secs(60 * number("session", "max_minutes", 1..=1_000_000, &mut problems)),
        warn: Duration::from_secs(number("session", "warn_seconds", 1..=3600, &mut problems)),
        max_sessions: usize::try_from(number("session", "max_sessions", 1..=1_000_000, &mut problems)).unwrap_or(20_000),
    };
    let drain = Duration::from_secs(number("session", "drain_seconds", 0..=86_400, &mut problems));
    let config = Config { data_dir, database_url, web_listen, web_tls, ssh_listen, log: get("log", "level"), log_json, trusted_proxies, session, drain, mfa };
    if !problems.is_empty() {
        return Err(problems.join("\n"));
    }
    let some = |v: String| (!v.is_empty()).then_some(v);
    let secrets = Secrets {
        admin_password: env("RAMPART_ADMIN_PASSWORD").and_then(some).map(Secret::new),
        master_key: some(get("master", "key")).map(Secret::new),
        master_key_file: some(get("master", "key_file")).map(PathBuf::from),
    };
    Ok((config, secrets))
}

fn collect(file: &File, env: Env<'_>, problems: &mut Vec<String>) -> BTreeMap<(String, String), String> {
    let sections: [(&str, &Section); 9] = [
        ("data", &file.data),
        ("database", &file.database),
        ("web", &file.web),
        ("ssh", &file.ssh),
        ("log", &file.log),
        ("master", &file.master),
        ("session", &file.session),
        ("security", &file.security),
        ("trusted", &file.trusted),
    ];
    let mut values: BTreeMap<(String, String), String> = KEYS.iter().map(|(s, k, d)| (((*s).into(), (*k).into()), (*d).into())).collect();
    for (name, section) in sections {
        for (key, value) in section {
            if !KEYS.iter().any(|(s, k, _)| *s == name && k == key) {
                problems.push(format!("{name}.{key}: there is no such key"));
                continue;
            }
            let text = match value {
                toml::Value::String(s) => s.clone(),
                toml::Value::Array(items) => items.iter().filter_map(|i| i.as_str()).collect::<Vec<_>>().join(","),
                toml::Value::Integer(n) => n.to_string(),
                toml::Value::Boolean(b) => b.to_string(),
                _ => {
                    problems.push(format!("{name}.{key}: a text, a number or a list is needed"));
                    continue;
                }
            };
            values.insert((name.into(), key.clone()), text);
        }
    }
    for (section, key, _) in KEYS {
        let name = match (*section, *key) {
            ("log", "level") => "RAMPART_LOG".to_owned(),
            _ => format!("RAMPART_{}_{}", section.to_uppercase(), key.to_uppercase()),
        };
        if let Some(v) = env(&name).filter(|v| !v.is_empty()) {
            values.insert(((*section).into(), (*key).into()), v);
        }
    }
    values
}

fn networks(text: &str, problems: &mut Vec<String>) -> Vec<ipnet::IpNet> {
    let mut nets = Vec::new();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        match part.parse::<ipnet::IpNet>().or_else(|e| part.parse::<std::net::IpAddr>().map(ipnet::IpNet::from).map_err(|_| e)) {
            Ok(net) => nets.push(net),
            Err(_) => problems.push(format!("trusted.proxies: `{part}` is not a network")),
        }
    }
    nets
}

/// `off`, or one or more `address:port`. The wildcard IPv4 address also opens IPv6.
fn listen(section: &str, text: &str, problems: &mut Vec<String>) -> Vec<SocketAddr> {
    if text == "off" {
        return Vec::new();
    }
    let mut all = Vec::new();
    for part in text.split(',').map(str::trim) {
        match part.to_socket_addrs() {
            Ok(found) => {
                for a in found {
                    all.push(a);
                    if a.ip() == std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED) {
                        all.push(SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), a.port()));
                    }
                }
            }
            Err(_) => problems.push(format!("{section}.listen: `{part}` is not `address:port` or `off`")),
        }
    }
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;

    fn none(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let (c, s) = load(None, None, &none).unwrap();
        assert_eq!(c.web_listen[0].to_string(), "0.0.0.0:8443");
        assert_eq!(c.ssh_listen[0].to_string(), "0.0.0.0:2222");
        assert_eq!(c.ssh_listen.len(), 2);
        assert_eq!(c.database_url, "sqlite://./data/rampart.db");
        assert_eq!(c.web_tls, WebTls::Auto);
        assert!(s.admin_password.is_none());
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rampart.toml");
        std::fs::write(&path, "[ssh]\nlisten = \"127.0.0.1:1\"\n[web]\nlisten = \"off\"\n[trusted]\nproxies = [\"10.0.0.0/8\", \"::1\"]\n").unwrap();
        let env = |n: &str| (n == "RAMPART_SSH_LISTEN").then(|| "127.0.0.1:2".to_owned());
        let (c, _) = load(Some(&path), None, &env).unwrap();
        assert_eq!(c.ssh_listen[0].to_string(), "127.0.0.1:2");
        assert!(c.web_listen.is_empty());
        assert_eq!(c.trusted_proxies.len(), 2);
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rampart.toml");
        std::fs::write(&path, "[web]\ntls = \"maybe\"\nport = 1\n[session]\nmax_minutes = \"soon\"\n[trusted]\nproxies = \"nowhere\"\n").unwrap();
        let e = load(Some(&path), None, &none).err().unwrap();
        for word in ["web.tls", "web.port", "session.max_minutes", "trusted.proxies"] {
            assert!(e.contains(word), "{word} missing in {e}");
        }
    }
}
