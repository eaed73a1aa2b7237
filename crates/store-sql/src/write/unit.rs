//! A unit of work, applied.

use model::{AccountSecret, Entity, HostKey, Record, Role, RoleBinding, RoleScope, User};
use store::{Change, Committed, Result, StoreError, UnitOfWork};

use super::{Tx, evidence, guard::Guard, nodes, small};
use crate::{
    db::{Link, Val, args},
    read,
    rows::{META, Table, meta_values, search_text, store_relations},
};

/// Calls a function with the object inside a record.
macro_rules! inside {
    ($record:expr, $e:ident => $do:expr) => {
        match $record {
            Record::Org($e) => $do,
            Record::Role($e) => $do,
            Record::Platform($e) => $do,
            Record::User($e) => $do,
            Record::PublicKey($e) => $do,
            Record::RoleBinding($e) => $do,
            Record::UserGroup($e) => $do,
            Record::Node($e) => $do,
            Record::Asset($e) => $do,
            Record::Account($e) => $do,
            Record::AssetPermission($e) => $do,
        }
    };
}

/// How errors name an object.
pub(super) fn label<T: Entity>(e: &T) -> String {
    let name: String = e.name().chars().take(80).collect();
    if name.is_empty() { format!("{} {}", T::KIND.resource(), e.id()) } else { format!("{} `{name}`", T::KIND.resource()) }
}

/// Applies everything in it.
pub(super) async fn apply(tx: &mut Tx, work: &UnitOfWork) -> Result<Committed> {
    work.check_scope()?;
    // what verifies people is never kept by anybody, so it needs no revision
    if work.changes.iter().any(|c| !matches!(c, Change::SetUserSecrets(..))) {
        // First of all: on a shared database this row's lock makes units of work of all nodes follow one another, so
        // that what the checks below find true stays true until the end of the transaction.
        tx.link.exec("UPDATE counters SET value = value + 1 WHERE name = 'revision'", Vec::new()).await?;
    }
    let guard = Guard::before(&mut tx.link, work).await?;
    for change in &work.changes {
        match change {
            Change::Insert(r) => insert(&mut tx.link, r).await?,
            Change::Update(r) => update(&mut tx.link, r).await?,
            Change::Delete(r) => delete(&mut tx.link, r).await?,
            Change::AddAccountSecret(s) => add_secret(&mut tx.link, s).await?,
            Change::ResealAccountSecret(s) => reseal(&mut tx.link, s).await?,
            Change::SetUserSecrets(user, s) => small::user_secrets(&mut tx.link, *user, s).await?,
            Change::PutHostKey(k) => put_host_key(&mut tx.link, k).await?,
            Change::ForgetHostKeys(asset) => guard.forget_host_keys(&mut tx.link, *asset).await?,
        }
    }
    guard.after(&mut tx.link).await?;
    evidence::operate_rows(&mut tx.link, &work.operate).await?;
    evidence::password_rows(&mut tx.link, &work.password).await?;
    let audit = evidence::chain(tx, work.audit.clone()).await?;
    Ok(Committed { revision: read::revision(&mut tx.link).await?, audit })
}

async fn insert(link: &mut Link, record: &Record) -> Result<()> {
    if let Record::Node(n) = record
        && n.key.parent().is_none()
    {
        return nodes::adopt_root(link, n).await;
    }
    let mut record = record.clone();
    record.meta_mut().revision = 1;
    match &mut record {
        // only bootstrap makes built-in objects
        Record::Org(o) => o.builtin = false,
        Record::Role(r) => r.builtin = false,
        Record::Platform(p) => p.builtin = false,
        Record::RoleBinding(b) => check_binding(link, b).await?,
        Record::Node(n) => nodes::prepare_insert(link, n).await?,
        _ => {}
    }
    insert_record(link, &record).await?;
    match &record {
        Record::Org(o) => nodes::make_root(link, o).await,
        Record::Node(n) => nodes::note_child(link, n).await,
        _ => Ok(()),
    }
}

/// Writes a new object with its lists.
async fn insert_record(link: &mut Link, record: &Record) -> Result<()> {
    inside!(record, e => insert_row(link, e).await)?;
    store_relations(link, record).await.map_err(|e| named_reference(e, record))?;
    if let Record::User(u) = record {
        link.insert_many("user_secrets", "user_id,password_history,otp_last_step", vec![args![u.id, "[]", 0_i64]]).await?;
    }
    Ok(())
}

fn named_reference(e: StoreError, record: &Record) -> StoreError {
    match e {
        StoreError::Reference(_) => StoreError::Reference(inside!(record, e => label(e))),
        e => e,
    }
}

/// Writes a new row as it is.
pub(crate) async fn insert_row<T: Table>(link: &mut Link, e: &T) -> Result<()> {
    if link.number(&format!("SELECT count(*) FROM {} WHERE id = ?", T::NAME), args![e.id()]).await? > 0 {
        return Err(StoreError::Conflict(format!("{} {}", T::KIND.resource(), e.id())));
    }
    unique(link, e).await?;
    let columns: Vec<&str> = T::COLUMNS.iter().chain(T::EXTRA).chain(&META).copied().chain(["search_text"]).collect();
    let mut values = e.values();
    values.extend(meta_values(e.meta()));
    values.push(search_text(e));
    link.insert_many(T::NAME, &columns.join(","), vec![values]).await.map_err(|err| match err {
        StoreError::Reference(_) => StoreError::Reference(label(e)),
        StoreError::Conflict(_) => StoreError::Conflict(label(e)),
        other => other,
    })
}

/// Longest name, in bytes: index entries of PostgreSQL end at 2704.
const MAX_NAME: usize = 1024;

/// Names the field that another row has already.
async fn unique<T: Table>(link: &mut Link, e: &T) -> Result<()> {
    for u in e.uniques() {
        if u.args.iter().any(|a| matches!(a, Val::Text(Some(t)) if t.len() > MAX_NAME)) {
            return Err(StoreError::BadValue(u.field.to_owned()));
        }
        let mut args = u.args;
        args.push(Val::from(e.id()));
        if link.number(&format!("SELECT count(*) FROM {} WHERE {} AND id <> ?", T::NAME, u.sql), args).await? > 0 {
            return Err(StoreError::Duplicate { kind: T::KIND.resource(), field: u.field, value: u.shown });
        }
    }
    Ok(())
}

async fn update(link: &mut Link, record: &Record) -> Result<()> {
    let mut record = record.clone();
    match &mut record {
        Record::Org(o) => nodes::prepare_org(link, o).await?,
        Record::RoleBinding(b) => check_binding(link, b).await?,
        Record::User(u) if u.id == User::ADMIN && (!u.is_active || u.date_expired.is_some()) => {
            return Err(StoreError::InUse(label(u), "the first administrator can neither be switched off nor expire".to_owned()));
        }
        Record::Role(r) => refuse_builtin(link, r, "changed").await?,
        Record::Platform(p) => refuse_builtin(link, p, "changed").await?,
        // checked before anything below it moves
        Record::Node(n) => {
            check_revision(link, n).await?;
            nodes::prepare_update(link, n).await?;
        }
        _ => {}
    }
    inside!(&record, e => update_row(link, e).await)?;
    store_relations(link, &record).await.map_err(|e| named_reference(e, &record))
}

/// Why an object with that revision is not there to be changed, if so.
async fn check_revision<T: Table>(link: &mut Link, e: &T) -> Result<()> {
    let (sql, args) = mine(e);
    let Some(mut row) = link.first(&format!("SELECT revision FROM {} WHERE {sql}", T::NAME), args).await? else {
        return Err(StoreError::Missing(label(e)));
    };
    if row.int()? == e.meta().revision { Ok(()) } else { Err(StoreError::Stale(label(e))) }
}

/// The condition that finds the stored row of an object. INVARIANT: it includes the owner, so that an object that
/// claims another organization than the stored one does not exist.
fn mine<T: Table>(e: &T) -> (String, Vec<Val>) {
    let mut sql = "id = ?".to_owned();
    let mut args = args![e.id()];
    for (column, value) in e.owner() {
        sql.push_str(&format!(" AND {column} = ?"));
        args.push(value);
    }
    (sql, args)
}

async fn update_row<T: Table>(link: &mut Link, e: &T) -> Result<()> {
    check_revision(link, e).await?;
    unique(link, e).await?;
    let mut set = Vec::new();
    let mut args = Vec::new();
    for (column, value) in T::COLUMNS.iter().chain(T::EXTRA).zip(e.values()) {
        if *column != "id" && !T::FROZEN.contains(column) {
            set.push(format!("{column} = ?"));
            args.push(value);
        }
    }
    let meta = e.meta();
    set.push("updated_by = ?, date_updated = ?, search_text = ?, revision = revision + 1".to_owned());
    args.extend(args![&meta.updated_by, meta.date_updated]);
    args.push(search_text(e));
    let (sql, owner) = mine(e);
    args.extend(owner);
    args.push(Val::from(meta.revision));
    let n = link.exec(&format!("UPDATE {} SET {} WHERE {sql} AND revision = ?", T::NAME, set.join(", ")), args).await.map_err(|err| match err {
        StoreError::Reference(_) => StoreError::Reference(label(e)),
        StoreError::Conflict(_) => StoreError::Conflict(label(e)),
        other => other,
    })?;
    if n == 0 { Err(StoreError::Stale(label(e))) } else { Ok(()) }
}

async fn delete(link: &mut Link, record: &Record) -> Result<()> {
    match record {
        Record::Org(o) => nodes::prepare_org_delete(link, o).await?,
        Record::Role(r) => refuse_builtin(link, r, "deleted").await?,
        Record::Platform(p) => refuse_builtin(link, p, "deleted").await?,
        Record::User(u) if u.id == User::ADMIN => {
            return Err(StoreError::InUse(label(u), "the first administrator cannot be deleted".to_owned()));
        }
        Record::Node(n) => return nodes::delete(link, n).await,
        _ => {}
    }
    inside!(record, e => delete_row(link, e).await)
}

pub(super) async fn delete_row<T: Table>(link: &mut Link, e: &T) -> Result<()> {
    let (sql, args) = mine(e);
    let n = link.exec(&format!("DELETE FROM {} WHERE {sql}", T::NAME), args).await.map_err(|err| match err {
        StoreError::Reference(_) => StoreError::InUse(label(e), "others refer to it".to_owned()),
        other => other,
    })?;
    if n == 0 { Err(StoreError::Missing(label(e))) } else { Ok(()) }
}

async fn refuse_builtin<T: Table>(link: &mut Link, e: &T, what: &str) -> Result<()> {
    let builtin = link.number(&format!("SELECT count(*) FROM {} WHERE id = ? AND builtin = ?", T::NAME), args![e.id(), true]).await? > 0;
    if builtin { Err(StoreError::InUse(label(e), format!("it is built in and cannot be {what}"))) } else { Ok(()) }
}

/// A role of scope `org` needs an organization, a role of scope `system` has none.
async fn check_binding(link: &mut Link, b: &RoleBinding) -> Result<()> {
    let role = read::get(link, policy::OrgFilter::All, model::Kind::Role, b.role.uuid()).await?.and_then(|r| Role::try_from(r).ok());
    let role = role.ok_or_else(|| StoreError::Reference(label(b)))?;
    if (role.scope == RoleScope::Org) == b.organization.is_some() {
        Ok(())
    } else {
        Err(StoreError::Scope(format!("role `{}` with the wrong kind of binding", role.name)))
    }
}

const SECRET: &str = "account_id,version,org_id,secret_type,secret,passphrase,created_by,date_created";

async fn add_secret(link: &mut Link, s: &AccountSecret) -> Result<()> {
    let sealed = |v: &Option<model::Sealed>| v.as_ref().map(|s| s.0.clone());
    let row = args![s.account, s.version, s.org, s.secret_type.as_str(), sealed(&s.secret), sealed(&s.passphrase), &s.created_by, s.date_created];
    link.insert_many("account_secrets", SECRET, vec![row]).await.map_err(|e| match e {
        StoreError::Reference(_) => StoreError::Reference("account secret".to_owned()),
        StoreError::Conflict(_) => StoreError::Stale(format!("secret of account {}", s.account)),
        e => e,
    })
}

async fn reseal(link: &mut Link, s: &AccountSecret) -> Result<()> {
    let sealed = |v: &Option<model::Sealed>| v.as_ref().map(|s| s.0.clone());
    let sql = "UPDATE account_secrets SET secret = ?, passphrase = ? WHERE account_id = ? AND version = ? AND org_id = ?";
    let n = link.exec(sql, args![sealed(&s.secret), sealed(&s.passphrase), s.account, s.version, s.org]).await?;
    if n == 0 { Err(StoreError::Missing(format!("secret of account {}", s.account))) } else { Ok(()) }
}

async fn put_host_key(link: &mut Link, k: &HostKey) -> Result<()> {
    let sql = "DELETE FROM host_keys WHERE asset_id = ? AND address = ? AND algorithm = ? AND org_id = ?";
    link.exec(sql, args![k.asset, &k.address, &k.algorithm, k.org]).await?;
    let row = args![k.asset, &k.address, &k.algorithm, k.org, &k.public_key, &k.fingerprint, k.first_seen, k.pinned];
    link.insert_many("host_keys", "asset_id,address,algorithm,org_id,public_key,fingerprint,first_seen,pinned", vec![row]).await.map_err(|e| match e {
        StoreError::Reference(_) => StoreError::Reference("host key".to_owned()),
        e => e,
    })
}
