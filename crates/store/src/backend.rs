//! What a database has to do. Only `store-sql` implements it; everybody else goes through [`crate::Store`].

use async_trait::async_trait;
use model::{
    Account, AccountSecret, Asset, AssetPermission, AuditEntry, AuditEvent, ChainHead, Checkpoint, Command, HostKey, Id, Kind, LoginLog, NodeKey, Org, Page,
    Platform, PublicKey, Query, Record, Role, Sealed, SessionRow, Time, Token, TokenKind, User, UserGroup, UserSecrets,
};
use policy::{Facts, OrgFilter};
use serde_json::Value;
use uuid::Uuid;

use crate::{Committed, Result, UnitOfWork};

/// The facts of one connect decision, owned.
#[derive(Debug, Clone)]
pub struct ConnectFacts {
    /// The person.
    pub user: User,
    /// Groups the person is in.
    pub groups: Vec<Id<UserGroup>>,
    /// The target.
    pub asset: Asset,
    /// Its schema.
    pub platform: Platform,
    /// Keys of the nodes it lies in.
    pub asset_nodes: Vec<NodeKey>,
    /// Its accounts, inactive ones too.
    pub accounts: Vec<Account>,
    /// Rules of the asset's organization that name the person or one of the person's groups, with the keys of their nodes.
    pub rules: Vec<(AssetPermission, Vec<NodeKey>)>,
}

impl ConnectFacts {
    /// Borrowed, for the evaluation.
    pub fn facts(&self) -> Facts<'_> {
        Facts { user: &self.user, groups: &self.groups, asset: &self.asset, asset_nodes: &self.asset_nodes, accounts: &self.accounts, rules: &self.rules }
    }
}

/// An asset as the list of a person's targets shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedAsset {
    /// The asset.
    pub asset: Asset,
    /// Its platform's name.
    pub platform: String,
    /// Its organization's name.
    pub org: String,
    /// Paths of the nodes it lies in.
    pub nodes: Vec<String>,
}

/// What failed attempts are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AttemptKey {
    /// `user`, `address` or `mfa` count failures; `user_lock`, `address_lock` and `mfa_lock` hold one entry while locked.
    pub scope: &'static str,
    /// Canonical user name, or address.
    pub value: String,
}

/// Evidence without a change: applied in one transaction, group-committed with others.
#[derive(Debug, Clone, Default)]
pub struct LogBatch {
    /// Entries for the audit chain of this node.
    pub audit: Vec<AuditEvent>,
    /// Sign-in attempts.
    pub logins: Vec<LoginLog>,
    /// Operate rows (views, exports).
    pub operate: Vec<model::OperateLog>,
    /// Recognised commands.
    pub commands: Vec<Command>,
    /// New sessions.
    pub sessions_opened: Vec<SessionRow>,
    /// Sessions whose row changes (state, totals, end). Closed rows never change again.
    pub sessions_updated: Vec<SessionRow>,
}

/// Sealed data keys by id; what `vault` keeps in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyMaterial {
    /// Key id, from 1.
    pub id: i64,
    /// The data key, wrapped by the master key.
    pub wrapped: String,
    /// `aes-256-gcm` or `sm4-gcm`.
    pub algorithm: String,
    /// The key that seals new secrets.
    pub active: bool,
    /// When it was made.
    pub date_created: Time,
}

/// Where recognised commands go.
#[async_trait]
pub trait CommandSink: Send + Sync {
    /// Stores them; returns when they are safe.
    async fn put(&self, commands: Vec<Command>) -> Result<()>;
}

/// The database.
#[async_trait]
pub trait Backend: Send + Sync {
    // -- managed objects
    /// One object in reach.
    async fn get(&self, reach: OrgFilter, kind: Kind, id: Uuid) -> Result<Option<Record>>;
    /// A window of a list in reach. A user is in reach of an organization when he has a binding there.
    async fn list(&self, reach: OrgFilter, kind: Kind, query: &Query) -> Result<Page<Record>>;
    /// A window of a log in reach, rows in their JSON form, newest first by default. Tables are [`model::Listable::TABLE`];
    /// login and password rows are in reach of an organization when their user is a member.
    async fn logs(&self, reach: OrgFilter, table: &'static str, query: &Query) -> Result<Page<Value>>;
    /// Applies a unit of work, all or nothing.
    async fn commit(&self, work: UnitOfWork) -> Result<Committed>;
    /// Applies evidence, all or nothing.
    async fn log(&self, batch: LogBatch) -> Result<Vec<AuditEntry>>;
    /// Grows with each commit that changed managed objects.
    async fn revision(&self) -> Result<i64>;
    /// The number that the root folder of the next organization gets. A new organization gets its root folder by itself;
    /// a unit of work that also inserts the root folder, with this number, only chooses its id, so that it can put things
    /// into the folder at once.
    async fn next_root(&self) -> Result<i64>;

    // -- accounts and hosts
    /// Sealed secrets of an account, newest first.
    async fn account_secrets(&self, reach: OrgFilter, account: Id<Account>) -> Result<Vec<AccountSecret>>;
    /// Sealed secrets of all accounts, a window ordered by (account, version), for key rotation.
    async fn all_account_secrets(&self, offset: u64, limit: u64) -> Result<Vec<AccountSecret>>;
    /// Host keys of an asset.
    async fn host_keys(&self, reach: OrgFilter, asset: Id<Asset>) -> Result<Vec<HostKey>>;

    // -- decisions
    /// Facts of one decision; `None` if the user or the asset (in reach) does not exist.
    async fn connect_facts(&self, reach: OrgFilter, user: Id<User>, asset: Id<Asset>) -> Result<Option<ConnectFacts>>;
    /// See [`crate::Mine::assets`].
    async fn granted_assets(&self, user: Id<User>, now: Time, query: &Query) -> Result<Page<GrantedAsset>>;
    /// See [`crate::Mine::named`].
    async fn named_assets(&self, user: Id<User>, text: &str) -> Result<Vec<GrantedAsset>>;

    // -- people
    /// By canonical login name. `last_login` may be older than the stored one.
    async fn user_by_username(&self, username: &str) -> Result<Option<User>>;
    /// What verifies a person.
    async fn user_secrets(&self, user: Id<User>) -> Result<UserSecrets>;
    /// Replaces what verifies a person outside a unit of work (login bookkeeping: OTP step, last use). Here and in
    /// `Change::SetUserSecrets` the stored `otp_last_step` never goes down: a code that was used stays used.
    async fn set_user_secrets(&self, user: Id<User>, secrets: UserSecrets) -> Result<()>;
    /// Raises `otp_last_step` to `step` if it is higher; `false` = that step was used already. Atomic.
    async fn claim_otp_step(&self, user: Id<User>, step: i64) -> Result<bool>;
    /// Replaces the sealed TOTP seed if it still is `old`; `false` = it changed meanwhile. An implementation does this
    /// atomically; key rotation runs beside logins.
    async fn reseal_otp(&self, user: Id<User>, old: &Sealed, new: Sealed) -> Result<bool> {
        let mut secrets = self.user_secrets(user).await?;
        if secrets.otp.as_ref() != Some(old) {
            return Ok(false);
        }
        secrets.otp = Some(new);
        self.set_user_secrets(user, secrets).await?;
        Ok(true)
    }
    /// Keys of a person. `date_last_used` may be older than the stored one.
    async fn public_keys(&self, user: Id<User>) -> Result<Vec<PublicKey>>;
    /// Notes a login: the user's `last_login`, and the key's last use. No revision change.
    async fn touch_login(&self, user: Id<User>, key: Option<Id<PublicKey>>, at: Time) -> Result<()>;
    /// Roles of a person with the organization of each binding.
    async fn memberships(&self, user: Id<User>) -> Result<Vec<(Role, Option<Id<Org>>)>>;
    /// The user with an open setup link of that hash.
    async fn user_by_setup_token(&self, hash: &str) -> Result<Option<User>>;

    // -- tokens
    /// Keeps an issued token.
    async fn put_token(&self, token: Token) -> Result<()>;
    /// By hash and kind; expired ones are not found.
    async fn token(&self, kind: TokenKind, hash: &str, now: Time) -> Result<Option<Token>>;
    /// Removes one token.
    async fn delete_token(&self, id: Id<Token>) -> Result<()>;
    /// Removes all tokens of a person (password change, deactivation).
    async fn delete_tokens_of(&self, user: Id<User>) -> Result<()>;

    // -- attempts (lock-out)
    /// Counts a failure now and returns the failures within `window_s` seconds, this one included. Atomic.
    async fn count_failure(&self, key: &AttemptKey, now: Time, window_s: i64) -> Result<u32>;
    /// Failures within the window.
    async fn failures(&self, key: &AttemptKey, now: Time, window_s: i64) -> Result<u32>;
    /// Forgets failures; returns whether there were any.
    async fn clear_failures(&self, key: &AttemptKey) -> Result<bool>;

    // -- evidence
    /// The head of a node's chain.
    async fn chain_head(&self, node_id: &str) -> Result<ChainHead>;
    /// Nodes that have a chain.
    async fn chain_nodes(&self) -> Result<Vec<String>>;
    /// Entries of a node's chain with `seq > after`, in order, at most `limit`.
    async fn chain(&self, node_id: &str, after: i64, limit: u64) -> Result<Vec<AuditEntry>>;
    /// Keeps a signed checkpoint.
    async fn put_checkpoint(&self, c: Checkpoint) -> Result<()>;
    /// All checkpoints of a node, oldest first.
    async fn checkpoints(&self, node_id: &str) -> Result<Vec<Checkpoint>>;
    /// Sessions that are not closed and belong to `node_id` (all nodes if `None`).
    async fn open_sessions(&self, node_id: Option<&str>) -> Result<Vec<SessionRow>>;

    // -- keys and settings
    /// Sealed data keys.
    async fn key_material(&self) -> Result<Vec<KeyMaterial>>;
    /// Keeps a data key; if it is `active`, the others are not any more.
    async fn put_key_material(&self, key: KeyMaterial) -> Result<()>;
    /// A setting or a piece of node state as JSON.
    async fn setting(&self, name: &str) -> Result<Option<Value>>;
    /// Sets it.
    async fn put_setting(&self, name: &str, value: Value) -> Result<()>;

    // -- operation
    /// A consistent copy of the database into a file (SQLite) or an error that names the tool to use.
    async fn backup(&self, to: &std::path::Path) -> Result<()>;
    /// What is wrong with the database as a whole, read from end to end; empty = nothing. A server that checks itself (PostgreSQL)
    /// is only asked whether it answers.
    async fn check(&self) -> Result<Vec<String>> {
        self.ping().await.map(|()| Vec::new())
    }
    /// Whether the database answers.
    async fn ping(&self) -> Result<()>;
    /// Flushes and closes.
    async fn close(&self);
}
