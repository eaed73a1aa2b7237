//! The logins that `rampart login` keeps: tokens only, in a file that only its owner can read.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::super::{Failure, env, say};

/// Most that is read.
const MAX_FILE: u64 = 1 << 20;

/// A kept login.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Login {
    /// Address of the server.
    pub server: String,
    /// User name.
    pub user: String,
    /// Bearer token.
    pub token: String,
    /// When it ends, as the server said.
    pub expires: String,
    /// Authority to trust.
    pub ca: Option<PathBuf>,
    /// Certificate to trust.
    pub pin: Option<String>,
    /// `host:port` of the SSH door.
    pub ssh: Option<String>,
}

// The token is as good as the password.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("server", &self.server).field("user", &self.user).finish_non_exhaustive()
    }
}

/// All kept logins, the last used one first.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Logins {
    logins: Vec<Login>,
}

fn path() -> Result<PathBuf, Failure> {
    let base = env("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| env("HOME").map(|h| PathBuf::from(h).join(".config")));
    base.filter(|b| b.is_absolute()).map(|b| b.join("rampart/logins.json")).ok_or_else(|| Failure::says("cli.no_home", &[]))
}

impl Logins {
    /// Reads them; none is fine.
    ///
    /// # Errors
    /// The file cannot be read, is open to others, or holds something else.
    pub fn load() -> Result<Self, Failure> {
        let path = path()?;
        let meta = match fs::metadata(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            other => other?,
        };
        let shown = path.display().to_string();
        if meta.mode() & 0o077 != 0 {
            return Err(Failure::says("cli.logins_open", &[("file", &shown)]));
        }
        if meta.len() > MAX_FILE {
            return Err(Failure::says("cli.logins_damaged", &[("file", &shown)]));
        }
        serde_json::from_slice(&fs::read(&path)?).map_err(|_| Failure::says("cli.logins_damaged", &[("file", &shown)]))
    }

    /// The login of a server, or the last one.
    pub fn of(&self, server: Option<&str>) -> Option<&Login> {
        match server.map(|s| s.trim_end_matches('/')) {
            Some(server) => {
                let wanted = super::Base::parse(server).ok();
                self.logins.iter().find(|l| super::Base::parse(&l.server).ok() == wanted)
            }
            None => self.logins.first(),
        }
    }

    /// Keeps one, in front.
    pub fn keep(&mut self, login: Login) {
        self.logins.retain(|l| l.server != login.server);
        self.logins.insert(0, login);
        self.logins.truncate(64);
    }

    /// Takes out the login of a server, or all.
    pub fn forget(&mut self, server: Option<&str>) -> Vec<Login> {
        let server = server.map(|s| super::Base::parse(s).map(|b| b.to_string()).unwrap_or_default());
        let (gone, kept) = std::mem::take(&mut self.logins).into_iter().partition(|l| server.as_ref().is_none_or(|s| *s == l.server));
        self.logins = kept;
        gone
    }

    /// Writes them: a new file with mode 0600 takes the place of the old one at once.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self) -> Result<(), Failure> {
        let path = path()?;
        let dir = path.parent().map(PathBuf::from).unwrap_or_default();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let fresh = dir.join(format!(".logins.{}", std::process::id()));
        let _ = fs::remove_file(&fresh);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        let written = serde_json::to_vec_pretty(self).map_err(|e| Failure::failed(e.to_string()))?;
        file.write_all(&written)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        Ok(())
    }

    /// The path of the file, for messages.
    pub fn place() -> String {
        path().map(|p| p.display().to_string()).unwrap_or_else(|_| say("cli.no_home", &[]))
    }
}
