//! Everything a gateway may ask of the rest of Rampart: one trait, so that a gateway runs the same inside the core
//! and on an access node that reaches the core only over HTTPS.

use std::{net::IpAddr, time::Duration};

use async_trait::async_trait;
use model::{Asset, EndReason, Fault, Id, LoginFrom, LoginType, MessagePair, Page, SessionKind, SessionRow};
use policy::{
    Connect, Granted, Identity,
    login::{Factor, Step},
};
use vault::Secret;

/// Who knocks.
#[derive(Debug, Clone)]
pub struct LoginStart {
    /// As typed.
    pub username: String,
    /// Address of the client, from the socket or a trusted proxy.
    pub client: IpAddr,
    /// Door.
    pub via: LoginType,
    /// Client program, for the log; cut to 256 characters.
    pub user_agent: String,
}

/// A login in progress.
#[async_trait]
pub trait Login: Send {
    /// Whether a key is worth asking the client to sign with. Never a factor, and the same answer time for unknown users.
    async fn offers_key(&mut self, openssh: &str) -> bool;
    /// One factor.
    async fn step(&mut self, factor: Factor) -> Step;
}

/// A target as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The asset.
    pub asset: Asset,
    /// Platform name.
    pub platform: String,
    /// Organization name.
    pub org: String,
    /// Paths of the folders it lies in.
    pub nodes: Vec<String>,
}

/// Which targets to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetQuery {
    /// Words in name, address or comment.
    pub search: String,
    /// Only assets in or below the folder of this path.
    pub node: Option<String>,
    /// Only assets that speak it.
    pub protocol: Option<String>,
    /// Rows to skip.
    pub offset: u64,
    /// Most rows.
    pub limit: u64,
}

/// An account as a person may pick it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountChoice {
    /// What to ask for: [`AccountAsk::Id`] or an alias.
    pub ask: AccountAsk,
    /// Display name.
    pub name: String,
    /// Login name on the target; empty when it is typed.
    pub username: String,
    /// The person must type the secret.
    pub types_secret: bool,
}

/// How a connection names its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountAsk {
    /// A stored account.
    Id(Id<model::Account>),
    /// As written in the SSH user name: a user name, an account name, or `@USER` / `@INPUT`. A user name that is not stored
    /// means `@INPUT` with that name, if that is granted.
    Written(String),
    /// `@INPUT` with this user name.
    Input(String),
    /// `@USER`.
    SameName,
    /// Whatever is unambiguous.
    Only,
}

/// What a person wants to connect to.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Which asset.
    pub asset: Id<Asset>,
    /// As whom.
    pub account: AccountAsk,
    /// `ssh`, …
    pub protocol: String,
    /// For the audit entry of a refusal.
    pub client: IpAddr,
}

/// What the row of a new session says beyond the grant.
#[derive(Debug, Clone)]
pub struct Opening {
    /// What it does.
    pub kind: SessionKind,
    /// Which door.
    pub login_from: LoginFrom,
    /// The client's address.
    pub remote_addr: String,
    /// Groups the channels of one client connection.
    pub connection_id: String,
}

/// The secret for one connection.
pub enum TargetSecret {
    /// A password, also used for keyboard-interactive.
    Password(Secret<String>),
    /// A private key in a text format (OpenSSH, PKCS#1, PKCS#8, PPK), with its passphrase.
    Key {
        /// The key.
        key: Secret<String>,
        /// Its passphrase.
        passphrase: Option<Secret<String>>,
    },
    /// None is stored: the person has to type one.
    Typed,
}

/// A host key as a target showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenHostKey {
    /// `host:port`.
    pub address: String,
    /// `ssh-ed25519`, …
    pub algorithm: String,
    /// The OpenSSH line without comment.
    pub public_key: String,
    /// `SHA256:…`
    pub fingerprint: String,
}

/// Whether a host key may be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKeyVerdict {
    /// Known.
    Known,
    /// First use: recorded, goes on.
    Recorded,
    /// Differs from the known one: stop.
    Changed,
}

/// Totals at the end of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes from the person.
    pub bytes_in: u64,
    /// Bytes from the target.
    pub bytes_out: u64,
    /// Recognised commands.
    pub commands: u64,
    /// Exit code of the command or shell.
    pub exit_code: Option<i64>,
    /// Commands that were not stored yet; they become safe together with the closed row.
    pub unstored: Vec<model::Command>,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub reason: EndReason,
    /// Whose fault, if anybody's.
    pub fault: Option<Fault>,
    /// For the log.
    pub detail: String,
}

impl End {
    /// A normal end.
    pub fn of(reason: EndReason) -> Self {
        Self { reason, fault: None, detail: String::new() }
    }
    /// Something broke.
    pub fn failed(fault: Fault, detail: impl Into<String>) -> Self {
        Self { reason: EndReason::Failed, fault: Some(fault), detail: detail.into() }
    }
}

/// Limits that apply to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest time without input.
    pub idle: Duration,
    /// Longest session.
    pub max: Duration,
    /// How long before either the person is warned.
    pub warn: Duration,
}

/// The rest of Rampart, as a gateway sees it. Errors are words for the person; the log has the detail already.
#[async_trait]
pub trait ControlPlane: Send + Sync {
    /// Begins a login.
    async fn login(&self, start: LoginStart) -> Box<dyn Login>;

    /// Targets that rules in force give this person, ordered by name.
    async fn targets(&self, who: &Identity, query: &TargetQuery) -> Result<Page<Target>, MessagePair>;
    /// Folder paths of [`Self::targets`] with the number of targets in and below each, ordered by path.
    async fn folders(&self, who: &Identity) -> Result<Vec<(String, u64)>, MessagePair>;
    /// The one target that `written` (name, address or start of the id) means for this person.
    /// Not found and ambiguous are refusals with an audit entry.
    async fn resolve(&self, who: &Identity, client: IpAddr, written: &str) -> Result<Target, MessagePair>;
    /// Accounts this person may use on a target over a protocol.
    async fn accounts(&self, who: &Identity, asset: Id<Asset>, protocol: &str) -> Result<Vec<AccountChoice>, MessagePair>;

    /// The decision. A refusal has left an audit entry when this returns.
    async fn authorize(&self, who: &Identity, ask: &Ask) -> Result<Granted<Connect>, MessagePair>;
    /// Something on a granted connection was refused by the gateway itself (a side channel, a limit): leaves an audit entry.
    async fn refused(&self, who: &Identity, target: &str, what: &str, client: IpAddr);

    /// The session row and its audit entry; both are safe when this returns. Fails closed.
    async fn open(&self, granted: &Granted<Connect>, opening: &Opening) -> Result<SessionRow, MessagePair>;
    /// The stored secret of the granted account.
    async fn secret(&self, granted: &Granted<Connect>) -> Result<TargetSecret, MessagePair>;
    /// Checks a target's host key; first use is recorded, a change leaves an audit entry.
    async fn check_host_key(&self, granted: &Granted<Connect>, seen: &SeenHostKey) -> Result<HostKeyVerdict, MessagePair>;
    /// The session reached its next state (connected, running). `row` carries the new values.
    async fn advance(&self, row: &SessionRow) -> Result<(), MessagePair>;
    /// Recognised commands, safe when this returns.
    async fn commands(&self, commands: Vec<model::Command>) -> Result<(), MessagePair>;
    /// The session is over: row closed, audit entry with totals.
    async fn close(&self, row: SessionRow, end: &End, totals: &Totals);

    /// Limits for sessions of this person.
    fn limits(&self, granted: &Granted<Connect>) -> Limits;
    /// Live sessions of this node.
    fn registry(&self) -> &crate::Registry;
    /// Where recordings are spooled.
    fn spool(&self) -> &recording::Spool;
    /// The clock.
    fn clock(&self) -> &dyn model::Clock;
}
