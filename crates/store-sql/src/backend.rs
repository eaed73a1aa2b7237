//! The contract of `store`, kept: reads go to a pool, writes to the writer.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use model::{
    Account, AccountSecret, Asset, AuditEntry, ChainHead, Checkpoint, HostKey, Id, Kind, Org, Page, PublicKey, Query, Record, Role, Sealed, SessionRow, Time,
    Token, TokenKind, User, UserSecrets,
};
use policy::OrgFilter;
use serde_json::Value;
use store::{AttemptKey, Backend, Committed, ConnectFacts, GrantedAsset, KeyMaterial, LogBatch, Result, StoreError, UnitOfWork};
use uuid::Uuid;

use crate::{
    db::{Db, sqlite::at_once},
    migrate, read,
    recent::{Blameless, Known, Recent},
    write::{Done, Job, Small, Writer},
};

/// A SQL database.
pub(crate) struct SqlBackend {
    db: Db,
    writer: Writer,
    known: Option<Arc<Known>>,
    /// Facts of recent decisions.
    facts: Recent<(OrgFilter, Id<User>, Id<Asset>), Option<ConnectFacts>>,
    /// What names meant lately.
    named: Recent<(Id<User>, String), Vec<GrantedAsset>>,
    /// People by login name. Their last login may be older than the stored one.
    people: Recent<String, Option<User>>,
    /// Keys of people. Their last use may be older than the stored one.
    keys: Recent<Id<User>, Vec<PublicKey>>,
    host_keys: Recent<(OrgFilter, Id<Asset>), Vec<HostKey>>,
    blameless: Blameless,
}

/// Answers the question from `$kept`, or reads it in a snapshot and keeps the answer.
macro_rules! kept {
    ($self:ident . $kept:ident, $key:expr, $read:ident ( $($arg:expr),* )) => {{
        let key = $key;
        if let Some(answer) = $self.$kept.find(&$self.db, $self.known.as_deref(), &key).await? {
            return Ok(answer);
        }
        let mut link = $self.db.snapshot().await?;
        let revision = read::revision(&mut link).await?;
        let answer = read::$read(&mut link, $($arg),*).await?;
        $self.$kept.keep(revision, key, answer.clone());
        Ok(answer)
    }};
}

impl SqlBackend {
    pub(crate) fn new(db: Db, writer: Writer, known: Option<Arc<Known>>) -> Self {
        Self {
            db,
            writer,
            known,
            facts: Recent::default(),
            named: Recent::default(),
            people: Recent::default(),
            keys: Recent::default(),
            host_keys: Recent::default(),
            blameless: Blameless::default(),
        }
    }
    async fn small(&self, small: Small) -> Result<u32> {
        match self.writer.ask(Job::Small(small)).await? {
            Done::Count(n) => Ok(n),
            Done::Committed(_) | Done::Logged(_) => Err(StoreError::Corrupt("unexpected answer of the writer".to_owned())),
        }
    }
}

/// Runs a read that may take long: on SQLite on a thread where that keeps nobody waiting.
macro_rules! scanning {
    ($self:ident, [$($owned:ident),*] $read:ident ( $($arg:expr),* )) => {
        match &$self.db {
            Db::Sqlite(file) => {
                $(let $owned = $owned.to_owned();)*
                file.scan(move |link| {
                    $(let $owned = &$owned;)*
                    at_once(read::$read(link, $($arg),*))
                })
                .await
            }
            Db::Postgres(..) => reading!($self, $read($($arg),*)),
        }
    };
}

/// Runs a read on a pooled connection.
macro_rules! reading {
    ($self:ident, $read:ident ( $($arg:expr),* )) => {{
        let mut link = $self.db.read().await?;
        read::$read(&mut link, $($arg),*).await
    }};
}

#[async_trait]
impl Backend for SqlBackend {
    async fn get(&self, reach: OrgFilter, kind: Kind, id: Uuid) -> Result<Option<Record>> {
        reading!(self, get(reach, kind, id))
    }
    async fn list(&self, reach: OrgFilter, kind: Kind, query: &Query) -> Result<Page<Record>> {
        scanning!(self, [query] list(reach, kind, query))
    }
    async fn logs(&self, reach: OrgFilter, table: &'static str, query: &Query) -> Result<Page<Value>> {
        scanning!(self, [query] logs(reach, table, query))
    }
    async fn commit(&self, work: UnitOfWork) -> Result<Committed> {
        match self.writer.ask(Job::Commit(Box::new(work))).await? {
            Done::Committed(c) => Ok(c),
            Done::Count(_) | Done::Logged(_) => Err(StoreError::Corrupt("unexpected answer of the writer".to_owned())),
        }
    }
    async fn log(&self, batch: LogBatch) -> Result<Vec<AuditEntry>> {
        match self.writer.ask(Job::Log(Box::new(batch))).await? {
            Done::Logged(entries) => Ok(entries),
            Done::Count(_) | Done::Committed(_) => Err(StoreError::Corrupt("unexpected answer of the writer".to_owned())),
        }
    }
    async fn revision(&self) -> Result<i64> {
        reading!(self, revision())
    }
    async fn next_root(&self) -> Result<i64> {
        reading!(self, next_root())
    }

    async fn account_secrets(&self, reach: OrgFilter, account: Id<Account>) -> Result<Vec<AccountSecret>> {
        reading!(self, account_secrets(reach, account))
    }
    async fn all_account_secrets(&self, offset: u64, limit: u64) -> Result<Vec<AccountSecret>> {
        scanning!(self, [] all_account_secrets(offset, limit))
    }
    async fn host_keys(&self, reach: OrgFilter, asset: Id<Asset>) -> Result<Vec<HostKey>> {
        kept!(self.host_keys, (reach, asset), host_keys(reach, asset))
    }

    async fn connect_facts(&self, reach: OrgFilter, user: Id<User>, asset: Id<Asset>) -> Result<Option<ConnectFacts>> {
        kept!(self.facts, (reach, user, asset), connect_facts(reach, user, asset))
    }
    async fn granted_assets(&self, user: Id<User>, now: Time, query: &Query) -> Result<Page<GrantedAsset>> {
        scanning!(self, [query] granted(user, now, query))
    }
    async fn named_assets(&self, user: Id<User>, text: &str) -> Result<Vec<GrantedAsset>> {
        kept!(self.named, (user, text.to_owned()), named(user, text))
    }

    async fn user_by_username(&self, username: &str) -> Result<Option<User>> {
        kept!(self.people, username.to_owned(), user_by_username(username))
    }
    async fn user_secrets(&self, user: Id<User>) -> Result<UserSecrets> {
        reading!(self, user_secrets(user))
    }
    async fn set_user_secrets(&self, user: Id<User>, secrets: UserSecrets) -> Result<()> {
        self.small(Small::UserSecrets(user, Box::new(secrets))).await.map(drop)
    }
    async fn claim_otp_step(&self, user: Id<User>, step: i64) -> Result<bool> {
        Ok(self.small(Small::OtpStep(user, step)).await? > 0)
    }
    async fn reseal_otp(&self, user: Id<User>, old: &Sealed, new: Sealed) -> Result<bool> {
        Ok(self.small(Small::ResealOtp(user, old.clone(), new)).await? > 0)
    }
    async fn public_keys(&self, user: Id<User>) -> Result<Vec<PublicKey>> {
        kept!(self.keys, user, public_keys(user))
    }
    async fn touch_login(&self, user: Id<User>, key: Option<Id<PublicKey>>, at: Time) -> Result<()> {
        self.small(Small::Login(user, key, at)).await.map(drop)
    }
    async fn memberships(&self, user: Id<User>) -> Result<Vec<(Role, Option<Id<Org>>)>> {
        reading!(self, memberships(user))
    }
    async fn user_by_setup_token(&self, hash: &str) -> Result<Option<User>> {
        reading!(self, user_by_setup_token(hash))
    }

    async fn put_token(&self, token: Token) -> Result<()> {
        self.small(Small::PutToken(Box::new(token))).await.map(drop)
    }
    async fn token(&self, kind: TokenKind, hash: &str, now: Time) -> Result<Option<Token>> {
        reading!(self, token(kind, hash, now))
    }
    async fn delete_token(&self, id: Id<Token>) -> Result<()> {
        self.small(Small::DeleteToken(id)).await.map(drop)
    }
    async fn delete_tokens_of(&self, user: Id<User>) -> Result<()> {
        self.small(Small::DeleteTokensOf(user)).await.map(drop)
    }

    async fn count_failure(&self, key: &AttemptKey, now: Time, window_s: i64) -> Result<u32> {
        self.small(Small::Failure(key.clone(), now, window_s)).await
    }
    async fn failures(&self, key: &AttemptKey, now: Time, window_s: i64) -> Result<u32> {
        let Some(known) = self.known.as_deref() else { return reading!(self, failures(key, now, window_s)) };
        let asked = (key.clone(), window_s);
        if self.blameless.is(known, &asked) {
            return Ok(0);
        }
        let since = Blameless::now(known);
        let count = reading!(self, failures(key, now, window_s))?;
        if count == 0 {
            self.blameless.keep(since, asked);
        }
        Ok(count)
    }
    async fn clear_failures(&self, key: &AttemptKey) -> Result<bool> {
        Ok(self.small(Small::Clear(key.clone())).await? > 0)
    }

    async fn chain_head(&self, node_id: &str) -> Result<ChainHead> {
        reading!(self, chain_head(node_id))
    }
    async fn chain_nodes(&self) -> Result<Vec<String>> {
        reading!(self, chain_nodes())
    }
    async fn chain(&self, node_id: &str, after: i64, limit: u64) -> Result<Vec<AuditEntry>> {
        scanning!(self, [node_id] chain(node_id, after, limit))
    }
    async fn put_checkpoint(&self, c: Checkpoint) -> Result<()> {
        self.small(Small::Checkpoint(Box::new(c))).await.map(drop)
    }
    async fn checkpoints(&self, node_id: &str) -> Result<Vec<Checkpoint>> {
        scanning!(self, [node_id] checkpoints(node_id))
    }
    async fn open_sessions(&self, node_id: Option<&str>) -> Result<Vec<SessionRow>> {
        reading!(self, open_sessions(node_id))
    }

    async fn key_material(&self) -> Result<Vec<KeyMaterial>> {
        reading!(self, key_material())
    }
    async fn put_key_material(&self, key: KeyMaterial) -> Result<()> {
        self.small(Small::Key(Box::new(key))).await.map(drop)
    }
    async fn setting(&self, name: &str) -> Result<Option<Value>> {
        reading!(self, setting(name))
    }
    async fn put_setting(&self, name: &str, value: Value) -> Result<()> {
        self.small(Small::Setting(name.to_owned(), value)).await.map(drop)
    }

    async fn backup(&self, to: &Path) -> Result<()> {
        let Db::Sqlite(file) = &self.db else { return Err(StoreError::BadValue("backup: use `pg_dump` for a PostgreSQL database".to_owned())) };
        let to = to.to_owned();
        file.apart(move |link| at_once(migrate::backup(link, &to))).await
    }
    async fn check(&self) -> Result<Vec<String>> {
        match &self.db {
            Db::Sqlite(file) => file.apart(|link| at_once(migrate::check(link))).await,
            Db::Postgres(..) => self.ping().await.map(|()| Vec::new()),
        }
    }
    async fn ping(&self) -> Result<()> {
        reading!(self, revision()).map(drop)
    }
    async fn close(&self) {
        self.writer.close().await;
        self.db.close().await;
    }
}
