//! Plain look-ups: people, tokens, keys, evidence.

use model::{
    Account, AccountSecret, AuditEntry, ChainHead, Checkpoint, HostKey, Id, Org, PublicKey, Role, Sealed, SessionRow, Time, Token, TokenKind, User, UserSecrets,
};
use policy::OrgFilter;
use serde_json::Value;
use store::{AttemptKey, KeyMaterial, Result, StoreError};

use crate::{
    db::{Cells, Link, Val, args, word},
    rows::{LogTable, Table, audit_entry, select_list, session},
};

const SECRET: &str = "account_id,org_id,version,secret_type,secret,passphrase,created_by,date_created";

fn account_secret(c: &mut Cells) -> Result<AccountSecret> {
    Ok(AccountSecret {
        account: c.id()?,
        org: c.id()?,
        version: c.int()?,
        secret_type: c.word()?,
        secret: c.opt_text()?.map(Sealed),
        passphrase: c.opt_text()?.map(Sealed),
        created_by: c.text()?,
        date_created: c.time()?,
    })
}

fn all<T>(rows: Vec<Cells>, read: impl Fn(&mut Cells) -> Result<T>) -> Result<Vec<T>> {
    rows.into_iter().map(|mut c| read(&mut c)).collect()
}

/// The condition of a reach for tables with `org_id`, after `WHERE … `.
fn and_org(reach: OrgFilter, args: &mut Vec<Val>) -> &'static str {
    match reach {
        OrgFilter::All => "",
        OrgFilter::One(org) => {
            args.push(org.into());
            " AND org_id = ?"
        }
    }
}

pub(crate) async fn account_secrets(link: &mut Link, reach: OrgFilter, account: Id<Account>) -> Result<Vec<AccountSecret>> {
    let mut args = args![account];
    let org = and_org(reach, &mut args);
    all(link.rows(&format!("SELECT {SECRET} FROM account_secrets WHERE account_id = ?{org} ORDER BY version DESC"), args).await?, account_secret)
}

pub(crate) async fn all_account_secrets(link: &mut Link, offset: u64, limit: u64) -> Result<Vec<AccountSecret>> {
    let sql = format!("SELECT {SECRET} FROM account_secrets ORDER BY account_id, version LIMIT ? OFFSET ?");
    all(link.rows(&sql, args![limit.min(10_000), offset]).await?, account_secret)
}

pub(crate) async fn host_keys(link: &mut Link, reach: OrgFilter, asset: Id<model::Asset>) -> Result<Vec<HostKey>> {
    let mut args = args![asset];
    let org = and_org(reach, &mut args);
    let sql = format!(
        "SELECT org_id,asset_id,address,algorithm,public_key,fingerprint,first_seen,pinned FROM host_keys WHERE asset_id = ?{org} ORDER BY address, algorithm"
    );
    all(link.rows(&sql, args).await?, |c| {
        Ok(HostKey {
            org: c.id()?,
            asset: c.id()?,
            address: c.text()?,
            algorithm: c.text()?,
            public_key: c.text()?,
            fingerprint: c.text()?,
            first_seen: c.time()?,
            pinned: c.bool()?,
        })
    })
}

async fn one_of<T: Table>(link: &mut Link, condition: &str, args: Vec<Val>) -> Result<Option<T>> {
    link.first(&format!("SELECT {} FROM {} t WHERE {condition}", select_list::<T>(), T::NAME), args).await?.map(|mut c| T::read(&mut c)).transpose()
}

pub(crate) async fn user_by_username(link: &mut Link, username: &str) -> Result<Option<User>> {
    one_of(link, "t.username_key = ?", args![User::canonical(username)]).await
}

pub(crate) async fn user_by_setup_token(link: &mut Link, hash: &str) -> Result<Option<User>> {
    one_of(link, "t.id IN (SELECT user_id FROM user_secrets WHERE setup_token_hash = ?)", args![hash]).await
}

pub(crate) async fn user_secrets(link: &mut Link, user: Id<User>) -> Result<UserSecrets> {
    let sql = "SELECT password_hash,password_history,password_set,otp,otp_last_step,setup_token_hash FROM user_secrets WHERE user_id = ?";
    let Some(mut c) = link.first(sql, args![user]).await? else { return Err(StoreError::Missing("user".to_owned())) };
    Ok(UserSecrets {
        password_hash: c.opt_text()?,
        password_history: c.json()?,
        password_set: c.opt_time()?,
        otp: c.opt_text()?.map(Sealed),
        otp_last_step: c.int()?,
        setup_token_hash: c.opt_text()?,
    })
}

pub(crate) async fn public_keys(link: &mut Link, user: Id<User>) -> Result<Vec<PublicKey>> {
    let sql = format!("SELECT {} FROM public_keys t WHERE t.user_id = ? ORDER BY t.date_created, t.id", select_list::<PublicKey>());
    all(link.rows(&sql, args![user]).await?, PublicKey::read)
}

pub(crate) async fn memberships(link: &mut Link, user: Id<User>) -> Result<Vec<(Role, Option<Id<Org>>)>> {
    let sql = format!(
        "SELECT {}, b.org_id FROM role_bindings b JOIN roles t ON t.id = b.role_id WHERE b.user_id = ? ORDER BY b.org_key, t.id",
        select_list::<Role>()
    );
    all(link.rows(&sql, args![user]).await?, |c| Ok((Role::read(c)?, c.opt_id()?)))
}

pub(crate) async fn token(link: &mut Link, kind: TokenKind, hash: &str, now: Time) -> Result<Option<Token>> {
    let sql =
        "SELECT id,user_id,kind,hash,csrf_hash,date_created,date_expired,client,date_confirmed FROM tokens WHERE kind = ? AND hash = ? AND date_expired > ?";
    let row = link.first(sql, args![word(&kind), hash, now]).await?;
    row.map(|mut c| {
        Ok(Token {
            id: c.id()?,
            user: c.id()?,
            kind: c.word()?,
            hash: c.text()?,
            csrf_hash: c.text()?,
            date_created: c.time()?,
            date_expired: c.time()?,
            client: c.text()?,
            date_confirmed: c.opt_time()?,
        })
    })
    .transpose()
}

/// The key as it is stored: what somebody typed as a user name may be of any length, an index entry may not.
pub(crate) fn bounded(key: &AttemptKey) -> AttemptKey {
    AttemptKey { scope: key.scope, value: key.value.chars().take(256).collect() }
}

/// Failures within the window that ends now.
pub(crate) async fn failures(link: &mut Link, key: &AttemptKey, now: Time, window_s: i64) -> Result<u32> {
    let key = bounded(key);
    let since = now.timestamp_micros().saturating_sub(window_s.saturating_mul(1_000_000));
    let n = link.number("SELECT count(*) FROM attempts WHERE scope = ? AND value = ? AND happened_at > ?", args![key.scope, &key.value, since]).await?;
    Ok(u32::try_from(n).unwrap_or(u32::MAX))
}

pub(crate) async fn chain_head(link: &mut Link, node_id: &str) -> Result<ChainHead> {
    let row = link.first("SELECT seq, hash FROM audit_entries WHERE node_id = ? ORDER BY seq DESC LIMIT 1", args![node_id]).await?;
    row.map_or_else(|| Ok(ChainHead::empty(node_id)), |mut c| Ok(ChainHead { node_id: node_id.to_owned(), seq: c.int()?, hash: c.text()? }))
}

pub(crate) async fn chain_nodes(link: &mut Link) -> Result<Vec<String>> {
    all(link.rows("SELECT DISTINCT node_id FROM audit_entries ORDER BY node_id", Vec::new()).await?, Cells::text)
}

pub(crate) async fn chain(link: &mut Link, node_id: &str, after: i64, limit: u64) -> Result<Vec<AuditEntry>> {
    let sql = format!("SELECT {} FROM audit_entries WHERE node_id = ? AND seq > ? ORDER BY seq LIMIT ?", LogTable::AUDIT);
    all(link.rows(&sql, args![node_id, after, limit.min(100_000)]).await?, audit_entry)
}

pub(crate) async fn checkpoints(link: &mut Link, node_id: &str) -> Result<Vec<Checkpoint>> {
    let sql = "SELECT node_id,seq,hash,signed_at,public_key,signature FROM checkpoints WHERE node_id = ? ORDER BY signed_at, seq";
    all(link.rows(sql, args![node_id]).await?, |c| {
        Ok(Checkpoint { head: ChainHead { node_id: c.text()?, seq: c.int()?, hash: c.text()? }, at: c.time()?, key: c.text()?, signature: c.text()? })
    })
}

pub(crate) async fn open_sessions(link: &mut Link, node_id: Option<&str>) -> Result<Vec<SessionRow>> {
    let mut args = args![false];
    let node = node_id.map_or("", |n| {
        args.push(n.into());
        " AND node_id = ?"
    });
    all(link.rows(&format!("SELECT {} FROM sessions WHERE is_finished = ?{node} ORDER BY date_start, id", LogTable::SESSION), args).await?, session)
}

pub(crate) async fn key_material(link: &mut Link) -> Result<Vec<KeyMaterial>> {
    all(link.rows("SELECT id,wrapped,algorithm,active,date_created FROM key_material ORDER BY id", Vec::new()).await?, |c| {
        Ok(KeyMaterial { id: c.int()?, wrapped: c.text()?, algorithm: c.text()?, active: c.bool()?, date_created: c.time()? })
    })
}

pub(crate) async fn setting(link: &mut Link, name: &str) -> Result<Option<Value>> {
    link.first("SELECT value FROM settings WHERE name = ?", args![name]).await?.map(|mut c| c.json()).transpose()
}

/// The number of the next organization's root folder. Numbers of deleted organizations are not used again.
pub(crate) async fn next_root(link: &mut Link) -> Result<i64> {
    let mut last = link.number("SELECT value FROM counters WHERE name = 'root'", Vec::new()).await?;
    for mut row in link.rows("SELECT node_key FROM nodes WHERE parent_key = ''", Vec::new()).await? {
        last = last.max(row.text()?.parse::<i64>().unwrap_or_default());
    }
    Ok(last + 1)
}

pub(crate) async fn revision(link: &mut Link) -> Result<i64> {
    link.number("SELECT value FROM counters WHERE name = 'revision'", Vec::new()).await
}
