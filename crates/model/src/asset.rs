//! The asset tree, platforms and assets (jb §1.4–§1.6).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Id, Meta, Org, SecretType, Time};

/// Place in the tree: `1`, `1:2`, `1:2:7`. Integers joined by colons; a descendant has its ancestor's key as a
/// prefix up to a colon.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeKey(String);

impl NodeKey {
    /// Parses `1:2:7`; at most 32 levels.
    pub fn parse(s: &str) -> Option<Self> {
        let ok = !s.is_empty() && s.split(':').count() <= 32 && s.split(':').all(|p| !p.is_empty() && p.len() <= 10 && p.bytes().all(|b| b.is_ascii_digit()));
        ok.then(|| Self(s.to_owned()))
    }
    /// The key of the `n`-th organization root.
    pub fn root(n: i64) -> Self {
        Self(n.to_string())
    }
    /// The key of a child.
    pub fn child(&self, n: i64) -> Self {
        Self(format!("{}:{n}", self.0))
    }
    /// As stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The key above, `None` for a root.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once(':').map(|(p, _)| Self(p.to_owned()))
    }
    /// Whether `other` is this node or lies below it.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    }
    /// This key and those of all ancestors, nearest first.
    pub fn lineage(&self) -> impl Iterator<Item = NodeKey> + '_ {
        std::iter::successors(Some(self.clone()), NodeKey::parent)
    }
}

impl fmt::Display for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A folder in the asset tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Id.
    pub id: Id<Node>,
    /// Owner.
    pub org: Id<Org>,
    /// Place; never reused.
    pub key: NodeKey,
    /// Label, unique among siblings. Holds no `/`.
    pub value: String,
    /// Path of labels, `/Default/Web`.
    pub full_value: String,
    /// Highest child number ever handed out.
    pub child_mark: i64,
    /// Bookkeeping.
    pub meta: Meta,
}

/// The broad family of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Servers.
    Host,
    /// Network devices.
    Device,
    /// Databases.
    Database,
    /// Clouds and clusters.
    Cloud,
    /// Web applications.
    Web,
    /// Directory services.
    Ds,
    /// Customer-defined.
    Custom,
}

impl Category {
    /// The wire word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Category::Host => "host",
            Category::Device => "device",
            Category::Database => "database",
            Category::Cloud => "cloud",
            Category::Web => "web",
            Category::Ds => "ds",
            Category::Custom => "custom",
        }
    }
}

/// A protocol that assets of a platform may speak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformProtocol {
    /// `ssh`, `sftp`, …
    pub name: String,
    /// Default port.
    pub port: u16,
    /// The one that identifies the asset.
    pub primary: bool,
    /// Every asset must have it.
    pub required: bool,
    /// New assets get it.
    pub default: bool,
    /// Shown to users.
    pub public: bool,
    /// Settings of the protocol, by its schema.
    pub setting: serde_json::Value,
}

/// How to become another user on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuMethod {
    /// `sudo su - user`
    Sudo,
    /// `su - user`
    Su,
    /// `sudo su user`
    OnlySudo,
    /// `su user`
    OnlySu,
    /// Cisco `enable`.
    Enable,
    /// Huawei `super 15`.
    Super,
    /// H3C `super level-15`.
    SuperLevel,
}

/// The schema of an asset (jb §1.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Id.
    pub id: Id<Platform>,
    /// Unique name.
    pub name: String,
    /// Family.
    pub category: Category,
    /// Type inside the family: `linux`, `cisco`, `mysql`, …
    pub kind: String,
    /// `utf-8` or `gbk`.
    pub charset: String,
    /// Whether assets may lie in a zone and be reached through its hops.
    pub gateway_enabled: bool,
    /// Whether switching users is allowed.
    pub su_enabled: bool,
    /// How.
    pub su_method: Option<SuMethod>,
    /// Protocols in the order they are offered.
    pub protocols: Vec<PlatformProtocol>,
    /// Built-in platforms are read-only.
    pub builtin: bool,
    /// Free text.
    pub comment: String,
    /// Bookkeeping.
    pub meta: Meta,
}

/// Built-in platforms of the host category; ids are stable (built-in range 0x1000…).
pub fn builtin_platforms(now: Time) -> Vec<Platform> {
    let proto = |name: &str, port, primary| PlatformProtocol {
        name: name.into(),
        port,
        primary,
        required: primary,
        default: true,
        public: name != "winrm",
        setting: serde_json::json!({}),
    };
    let platform = |n: u128, name: &str, kind: &str, su: bool, protocols: Vec<PlatformProtocol>| Platform {
        id: Id::builtin(0x1000 + n),
        name: name.into(),
        category: Category::Host,
        kind: kind.into(),
        charset: "utf-8".into(),
        gateway_enabled: true,
        su_enabled: su,
        su_method: su.then_some(SuMethod::Sudo),
        protocols,
        builtin: true,
        comment: String::new(),
        meta: Meta::new("System", now),
    };
    let unixish = || vec![proto("ssh", 22, true), proto("sftp", 22, false), proto("telnet", 23, false), proto("vnc", 5900, false), proto("rdp", 3389, false)];
    let windows = || vec![proto("rdp", 3389, true), proto("ssh", 22, false), proto("sftp", 22, false), proto("vnc", 5900, false), proto("winrm", 5985, false)];
    vec![
        platform(1, "Linux", "linux", true, unixish()),
        platform(2, "Unix", "unix", true, unixish()),
        platform(3, "macOS", "macos", true, unixish()),
        platform(4, "BSD", "unix", true, unixish()),
        platform(5, "AIX", "unix", true, unixish()),
        platform(6, "Windows", "windows", false, windows()),
        platform(7, "Gateway", "linux", false, vec![proto("ssh", 22, true)]),
        platform(8, "RemoteAppHost", "windows", false, windows()),
        platform(9, "Other", "other", false, unixish()),
    ]
}

/// A protocol of one asset and the port it listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolPort {
    /// `ssh`, `sftp`, …
    pub name: String,
    /// TCP port.
    pub port: u16,
}

/// What the last test of reachability or of a credential found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Connectivity {
    /// Never tested.
    #[default]
    Unknown,
    /// Cannot be tested.
    Na,
    /// Worked.
    Ok,
    /// Failed.
    Err,
}

/// A target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// Id.
    pub id: Id<Asset>,
    /// Owner.
    pub org: Id<Org>,
    /// Unique in the organization.
    pub name: String,
    /// IP address, host name or URL, at most 767 characters.
    pub address: String,
    /// Its schema.
    pub platform: Id<Platform>,
    /// Copied from the platform, for filters.
    pub category: Category,
    /// Folders it lies in; never empty (the organization root if nothing else).
    pub nodes: Vec<Id<Node>>,
    /// What it speaks.
    pub protocols: Vec<ProtocolPort>,
    /// Inactive assets cannot be reached.
    pub is_active: bool,
    /// Result of the last test.
    pub connectivity: Connectivity,
    /// When it was last tested.
    pub date_verified: Option<Time>,
    /// Free text.
    pub comment: String,
    /// Bookkeeping.
    pub meta: Meta,
}

impl Asset {
    /// The port of one of its protocols. `sftp` is carried by `ssh` when it has no port of its own.
    pub fn port(&self, protocol: &str) -> Option<u16> {
        self.protocols.iter().find(|p| p.name == protocol).map(|p| p.port)
    }
}

/// What is known of a target's SSH host key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostKey {
    /// Owner of the asset.
    pub org: Id<Org>,
    /// Whose key.
    pub asset: Id<Asset>,
    /// Address and port it was seen at.
    pub address: String,
    /// `ssh-ed25519`, `rsa-sha2-512`, …
    pub algorithm: String,
    /// The OpenSSH line without comment.
    pub public_key: String,
    /// `SHA256:…`
    pub fingerprint: String,
    /// First connection that saw it.
    pub first_seen: Time,
    /// Set by an administrator rather than on first use.
    pub pinned: bool,
}

impl Platform {
    /// Secret types that make sense for a protocol (jb §1.5).
    pub fn secret_types(protocol: &str) -> &'static [SecretType] {
        match protocol {
            "ssh" | "sftp" => &[SecretType::Password, SecretType::SshKey],
            "k8s" => &[SecretType::Token],
            _ => &[SecretType::Password],
        }
    }
}
