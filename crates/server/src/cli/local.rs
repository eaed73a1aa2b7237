//! The files of a node, opened directly: for checks and copies that must work whether or not the node runs.

use std::path::{Path, PathBuf};

use audit::NodeKey;
use policy::Authority;
use recording::Signer as _;
use store::Store;

use super::{Failure, env, say};
use crate::config::{self, Config, Secrets};

/// Public keys that signed this node's evidence before its present key, one a line.
pub const TRUSTED: &str = "keys/audit.trusted";

/// A data directory with its database.
pub struct Local {
    /// The directory.
    pub data: PathBuf,
    /// Keys from the environment.
    pub secrets: Secrets,
    /// The database.
    pub store: Store,
    /// The right of the node.
    pub authority: Authority,
}

/// The configuration of a data directory.
///
/// # Errors
/// All mistakes.
pub fn configuration(data: &Path) -> Result<(Config, Secrets), Failure> {
    let file = env("RAMPART_CONFIG").map(PathBuf::from);
    config::load(file.as_deref(), Some(data), &config::process_env).map_err(Failure::usage)
}

impl Local {
    /// Opens the database beside a running node, or without one.
    ///
    /// # Errors
    /// There is no database, or it cannot be opened.
    pub async fn open(data: &Path) -> Result<Self, Failure> {
        crate::serve::private_from_now_on();
        let (config, secrets) = configuration(data)?;
        let file = sqlite_file(&config);
        if file.as_ref().is_some_and(|f| !f.is_file()) {
            return Err(Failure::says("cli.no_data_dir", &[("dir", &data.display().to_string())]));
        }
        let node_id = std::fs::read_to_string(data.join("keys/node.id")).unwrap_or_default();
        let options = if node_id.trim().is_empty() { store_sql::Options::default() } else { store_sql::Options::for_node(node_id.trim()) };
        let store = store_sql::open(&config.database_url, options).await.map_err(|e| Failure::says("cli.no_database", &[("detail", &e.to_string())]))?;
        Ok(Self { data: data.to_path_buf(), secrets, store, authority: Authority::of_this_node() })
    }

    /// The node's own view of the store.
    pub fn node(&self) -> &dyn store::Backend {
        self.store.node(self.authority)
    }

    /// Whose signatures count when nothing else is said: this node's own keys, unless others wrote into the same database.
    ///
    /// # Errors
    /// The database failed.
    pub async fn trusted(&self) -> Result<Vec<String>, Failure> {
        let nodes = self.node().chain_nodes().await.map_err(|e| Failure::failed(e.to_string()))?;
        if nodes.len() > 1 {
            return Ok(Vec::new());
        }
        Ok(own_keys(&self.data))
    }

    /// Closes the database.
    pub async fn close(self) {
        self.node().close().await;
    }
}

/// Public keys of a node: the present one and those before.
pub fn own_keys(data: &Path) -> Vec<String> {
    let Ok(key) = NodeKey::load(&data.join("keys/audit.key")) else { return Vec::new() };
    let before = std::fs::read_to_string(data.join(TRUSTED)).unwrap_or_default();
    let mut keys = vec![key.public_key().to_owned()];
    keys.extend(before.lines().map(str::trim).filter(|l| is_key(l)).map(str::to_owned));
    keys
}

/// 64 hexadecimal digits.
pub fn is_key(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The file of a SQLite database.
pub fn sqlite_file(config: &Config) -> Option<PathBuf> {
    config.database_url.strip_prefix("sqlite://").map(PathBuf::from)
}

/// A number of bytes for people.
pub fn bytes(n: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{n} {name}") } else { format!("{value:.1} {name}") }
}

/// Asks for a sentence with a number.
pub fn count(code: &str, n: impl ToString) -> String {
    say(code, &[("count", &n.to_string())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
    }

    #[test]
    fn keys_are_told_from_other_text() {
        assert!(is_key(&"ab".repeat(32)));
        assert!(!is_key("zz"));
        assert!(!is_key(&"zz".repeat(32)));
    }
}
