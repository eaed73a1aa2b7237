//! One change request as a unit of work: rows are drafted, looked up among the drafts, compared with what is stored,
//! and committed together with their operate rows and audit entries, or not at all.

use std::collections::HashMap;

use audit::By;
use model::{AccountSecret, AuditEvent, Entity, Filter, Id, Kind, MessagePair, Org, PasswordChangeLog, Query, Record, Time, User, UserSecrets};
use policy::{GlobalScope, OrgScope};
use serde_json::{Map, Value};
use store::{Change, Committed, UnitOfWork};
use uuid::Uuid;

use crate::{
    fail::Fail,
    guard::{Caller, Place},
    input::Named,
    labels::Labels,
};

/// What is to happen to one object.
pub(crate) struct Draft {
    /// As stored; `None` = new.
    pub(crate) before: Option<Record>,
    /// As it shall be; `None` = gone.
    pub(crate) after: Option<Record>,
    /// Secret fields that change too.
    pub(crate) secrets: Vec<&'static str>,
}

impl Draft {
    /// The object, on whichever side there is one.
    pub(crate) fn record(&self) -> Option<&Record> {
        self.after.as_ref().or(self.before.as_ref())
    }
    /// Whether anything differs from what is stored.
    pub(crate) fn changes(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(b), Some(a)) => !self.secrets.is_empty() || !same(b, a),
            (None, None) => false,
            _ => true,
        }
    }
}

/// Drafts by kind and a text.
type Places = HashMap<(Kind, String), Vec<usize>>;

fn note(map: &mut Places, key: (Kind, String), at: usize) {
    let places = map.entry(key).or_default();
    if !places.contains(&at) {
        places.push(at);
    }
}

/// How a name is compared.
fn key_name(kind: Kind, name: &str) -> String {
    if kind == Kind::User { User::canonical(name) } else { name.to_owned() }
}

/// What an object belongs to, for finding drafts: the asset of an account, the folder above a folder, the person of a
/// key or binding.
fn belongs(record: &Record) -> Option<String> {
    match record {
        Record::Account(a) => Some(a.asset.to_string()),
        Record::Node(n) => Some(n.key.parent().map(|k| k.as_str().to_owned()).unwrap_or_default()),
        Record::PublicKey(k) => Some(k.user.to_string()),
        Record::RoleBinding(b) => Some(b.user.to_string()),
        _ => None,
    }
}

/// Equal but for the bookkeeping.
fn same(a: &Record, b: &Record) -> bool {
    let mut a = a.clone();
    *a.meta_mut() = b.meta().clone();
    a == *b
}

/// Where the change may write.
#[derive(Clone, Copy)]
enum Right {
    Org(OrgScope),
    Global(GlobalScope),
}

/// A change in the making.
pub(crate) struct Edit {
    pub(crate) caller: Caller,
    pub(crate) now: Time,
    right: Right,
    drafts: Vec<Draft>,
    index: HashMap<(Kind, Uuid), usize>,
    /// Drafts that carry or carried a name; see [`key_name`].
    names: Places,
    /// Drafts by what they belong to; see [`belongs`].
    near: Places,
    account_secrets: Vec<AccountSecret>,
    user_secrets: Vec<(Id<User>, UserSecrets)>,
    passwords: Vec<PasswordChangeLog>,
    /// Entries beyond those of the drafts.
    pub(crate) audit: Vec<AuditEvent>,
    /// People whose credentials end with the change.
    pub(crate) log_out: Vec<Id<User>>,
}

impl Edit {
    /// A change inside the caller's organization.
    pub(crate) fn in_org(caller: &Caller) -> Result<Self, Fail> {
        Ok(Self::with(caller, Right::Org(caller.scope()?)))
    }
    /// A change of global objects, or across organizations.
    pub(crate) fn global(caller: &Caller, scope: GlobalScope) -> Self {
        Self::with(caller, Right::Global(scope))
    }
    /// With the widest right that `permission` gives: everywhere for holders of a system-wide role, else here.
    pub(crate) fn widest(caller: &Caller, permission: &str) -> Result<Self, Fail> {
        match caller.global(permission) {
            Some(scope) => Ok(Self::global(caller, scope)),
            None => Self::in_org(caller),
        }
    }
    fn with(caller: &Caller, right: Right) -> Self {
        Self {
            caller: caller.clone(),
            now: caller.app.now(),
            right,
            drafts: Vec::new(),
            index: HashMap::new(),
            names: HashMap::new(),
            near: HashMap::new(),
            account_secrets: Vec::new(),
            user_secrets: Vec::new(),
            passwords: Vec::new(),
            audit: Vec::new(),
            log_out: Vec::new(),
        }
    }
    /// Whether it may write anywhere.
    pub(crate) fn is_global(&self) -> bool {
        matches!(self.right, Right::Global(_))
    }
    /// Who does it, for the logs.
    pub(crate) fn by(&self) -> By {
        self.caller.by()
    }
    /// Bookkeeping of a new row.
    pub(crate) fn meta(&self) -> model::Meta {
        model::Meta::new(self.caller.who.display(), self.now)
    }
    /// What is to happen so far.
    pub(crate) fn drafts(&self) -> &[Draft] {
        &self.drafts
    }

    /// Drafts a row: new, or over the stored one.
    pub(crate) fn put<E: Entity>(&mut self, row: E, stored: Option<&E>) {
        let key = (E::KIND, row.id().uuid());
        let name = key_name(E::KIND, row.name());
        let after: Record = row.into();
        let owner = belongs(&after);
        let at = match self.index.get(&key) {
            Some(at) => *at,
            None => {
                self.index.insert(key, self.drafts.len());
                self.drafts.push(Draft { before: stored.cloned().map(Into::into), after: None, secrets: Vec::new() });
                self.drafts.len() - 1
            }
        };
        if let Some(draft) = self.drafts.get_mut(at) {
            draft.after = Some(after);
        }
        note(&mut self.names, (E::KIND, name), at);
        if let Some(owner) = owner {
            note(&mut self.near, (E::KIND, owner), at);
        }
    }
    /// Drafts a removal.
    pub(crate) fn remove<E: Entity>(&mut self, row: &E) {
        let key = (E::KIND, row.id().uuid());
        match self.index.get(&key).and_then(|i| self.drafts.get_mut(*i)) {
            Some(draft) => draft.after = None,
            None => {
                self.index.insert(key, self.drafts.len());
                self.drafts.push(Draft { before: Some(row.clone().into()), after: None, secrets: Vec::new() });
            }
        }
    }
    fn draft<E: Entity>(&self, id: Id<E>) -> Option<&Draft> {
        self.index.get(&(E::KIND, id.uuid())).and_then(|i| self.drafts.get(*i))
    }
    fn drafted<E: Entity>(&self) -> impl Iterator<Item = E> + '_ {
        self.drafts.iter().filter_map(|d| d.after.clone()).filter(|r| r.kind() == E::KIND).filter_map(|r| E::try_from(r).ok())
    }
    /// The bare row before any draft, as stored.
    pub(crate) fn stored<E: Entity>(&self, id: Id<E>) -> Option<E> {
        self.draft(id).and_then(|d| d.before.clone()).and_then(|r| E::try_from(r).ok())
    }
    /// A secret of an account comes with the change.
    pub(crate) fn account_secret(&mut self, secret: AccountSecret, fields: &[&'static str]) {
        self.mark(Kind::Account, secret.account.uuid(), fields);
        self.account_secrets.push(secret);
    }
    /// What verifies a person comes with the change.
    pub(crate) fn person_secret(&mut self, user: Id<User>, secrets: UserSecrets, field: &'static str) {
        self.mark(Kind::User, user.uuid(), &[field]);
        self.user_secrets.retain(|(u, _)| *u != user);
        self.user_secrets.push((user, secrets));
    }
    /// A row for the password log.
    pub(crate) fn password_log(&mut self, user: &User) {
        self.passwords.push(PasswordChangeLog {
            id: Id::generate(),
            user: format!("{}({})", user.name, user.username),
            change_by: self.caller.who.display().to_owned(),
            remote_addr: self.caller.addr.clone(),
            datetime: self.now,
        });
    }
    fn mark(&mut self, kind: Kind, id: Uuid, fields: &[&'static str]) {
        if let Some(draft) = self.index.get(&(kind, id)).and_then(|i| self.drafts.get_mut(*i)) {
            draft.secrets.extend(fields);
        }
    }

    // -- looking up, drafts first

    /// The scope of an organization the caller may act in.
    fn scope_of(&self, org: Id<Org>) -> Result<OrgScope, Fail> {
        match self.caller.place {
            Place::One(scope) if scope.id() == org => Ok(scope),
            _ => self.caller.enter(org).ok_or_else(Fail::missing),
        }
    }
    /// A row by id, as drafted or as stored.
    pub(crate) async fn get<E: Entity>(&self, org: Id<Org>, id: Id<E>) -> Result<Option<E>, Fail> {
        if let Some(draft) = self.draft(id) {
            return Ok(draft.after.clone().and_then(|r| E::try_from(r).ok()));
        }
        self.read(org, Query::filter(Filter::eq("id", id)).page(0, 1)).await.map(|rows| rows.into_iter().next())
    }
    /// Stored rows of a kind as the organization sees them. Global kinds other than people are the same everywhere.
    pub(crate) async fn read<E: Entity>(&self, org: Id<Org>, query: Query) -> Result<Vec<E>, Fail> {
        let store = self.caller.app.store();
        let rows = match E::KIND {
            Kind::Org | Kind::Role | Kind::Platform => store.read(self.caller.app.authority().every_org()).list(&query).await?.rows,
            Kind::User | Kind::RoleBinding | Kind::PublicKey if self.is_global() => match self.right {
                Right::Global(scope) => store.read(scope).list(&query).await?.rows,
                Right::Org(scope) => store.read(scope).list(&query).await?.rows,
            },
            // an organization that is made by this very change has no rows yet
            _ if self.draft(org).is_some_and(|d| d.before.is_none()) => Vec::new(),
            _ => store.read(self.scope_of(org)?).list(&query).await?.rows,
        };
        Ok(rows)
    }
    /// Rows of a kind as they will be: stored ones that meet `query`, with the drafts laid over, that pass `keep`.
    pub(crate) async fn all<E: Entity>(&self, org: Id<Org>, query: Query, keep: impl Fn(&E) -> bool) -> Result<Vec<E>, Fail> {
        let mut rows: Vec<E> = self.read::<E>(org, query).await?.into_iter().filter(|r| self.draft(r.id()).is_none() && keep(r)).collect();
        rows.extend(self.drafted::<E>().filter(|r| r.org().is_none_or(|o| o == org) && keep(r)));
        Ok(rows)
    }
    /// Rows that belong to a person (bindings, keys), wherever they are, as they will be. The person was found before.
    pub(crate) async fn of_person<E: Entity>(&self, user: Id<User>, keep: impl Fn(&E) -> bool) -> Result<Vec<E>, Fail> {
        let every = self.caller.app.authority().every_org();
        let stored = self.caller.app.store().read(every).list::<E>(&Query::filter(Filter::eq("user", user))).await?.rows;
        let mut rows: Vec<E> = stored.into_iter().filter(|r| self.draft(r.id()).is_none() && keep(r)).collect();
        let places = self.near.get(&(E::KIND, user.to_string())).into_iter().flatten();
        let drafted = places.filter_map(|at| self.drafts.get(*at)).filter_map(|d| d.after.clone()).filter_map(|r| E::try_from(r).ok());
        rows.extend(drafted.filter(|r| keep(r)));
        Ok(rows)
    }
    /// As [`Self::all`] for rows that [`belongs`] files under `owner`, without looking at the other drafts.
    pub(crate) async fn all_near<E: Entity>(&self, org: Id<Org>, owner: &str, query: Query, keep: impl Fn(&E) -> bool) -> Result<Vec<E>, Fail> {
        let mut rows: Vec<E> = self.read::<E>(org, query).await?.into_iter().filter(|r| self.draft(r.id()).is_none() && keep(r)).collect();
        let places = self.near.get(&(E::KIND, owner.to_owned())).into_iter().flatten();
        let drafted = places.filter_map(|at| self.drafts.get(*at)).filter_map(|d| d.after.clone()).filter_map(|r| E::try_from(r).ok());
        rows.extend(drafted.filter(|r| r.org().is_none_or(|o| o == org) && keep(r)));
        Ok(rows)
    }
    /// A draft by the field that names its kind.
    pub(crate) fn drafted_name<E: Entity>(&self, name: &str) -> Option<E> {
        self.drafted_named(name, |_| true)
    }
    fn drafted_named<E: Entity>(&self, name: &str, keep: impl Fn(&E) -> bool) -> Option<E> {
        let wanted = key_name(E::KIND, name);
        let places = self.names.get(&(E::KIND, wanted.clone())).into_iter().flatten();
        let mut rows = places.filter_map(|at| self.drafts.get(*at)).filter_map(|d| d.after.clone()).filter_map(|r| E::try_from(r).ok());
        rows.find(|r| key_name(E::KIND, r.name()) == wanted && keep(r))
    }
    /// A row by the field that names its kind.
    pub(crate) async fn find<E: Entity>(&self, org: Id<Org>, name: &str) -> Result<Option<E>, Fail> {
        if let Some(row) = self.drafted_named(name, |r: &E| r.org().is_none_or(|o| o == org)) {
            return Ok(Some(row));
        }
        let field = match E::KIND {
            Kind::User => "username",
            Kind::Node => "full_value",
            _ => "name",
        };
        let wanted = key_name(E::KIND, name);
        let rows = self.read::<E>(org, Query::filter(Filter::eq(field, &wanted))).await?;
        Ok(rows.into_iter().find(|r| self.draft(r.id()).is_none() && key_name(E::KIND, r.name()) == wanted))
    }
    /// The draft of an object.
    pub(crate) fn draft_of(&self, kind: Kind, id: Uuid) -> Option<&Draft> {
        self.index.get(&(kind, id)).and_then(|at| self.drafts.get(*at))
    }
    /// A row that a client named.
    pub(crate) async fn resolve<E: Entity>(&self, org: Id<Org>, named: &Named) -> Result<Option<E>, Fail> {
        match named {
            Named::Id(id) => self.get(org, Id::<E>::new(*id)).await,
            Named::Name(name) => self.find(org, name).await,
        }
    }
    /// The message for a reference to nothing.
    pub(crate) fn unknown(named: &Named) -> MessagePair {
        MessagePair::new("api.unknown_reference", "").with("name", named.shown())
    }

    // -- committing

    /// Applies everything. Rows that did not change are left alone.
    pub(crate) async fn commit(self) -> Result<Option<Committed>, Fail> {
        let by = self.by();
        let mut work = match self.right {
            Right::Org(scope) => UnitOfWork::in_org(scope),
            Right::Global(scope) => UnitOfWork::global(scope),
        };
        let display = self.caller.who.display().to_owned();
        let (mut puts, mut removals): (Vec<&Draft>, Vec<&Draft>) = self.drafts.iter().filter(|d| d.changes()).partition(|d| d.after.is_some());
        puts.sort_by_key(|d| d.after.as_ref().map(write_order));
        removals.sort_by_key(|d| std::cmp::Reverse(d.before.as_ref().map(write_order)));
        for draft in puts.into_iter().chain(removals) {
            let mut after = draft.after.clone();
            if let Some(row) = &mut after {
                let meta = row.meta_mut();
                meta.updated_by.clone_from(&display);
                meta.date_updated = self.now;
            }
            if let Some((mut event, mut row)) = audit::events::object_changed(&by, draft.before.as_ref(), after.as_ref(), self.now) {
                add_secrets(&draft.secrets, &mut event, &mut row);
                work.audit.push(event);
                work.operate.push(row);
            }
            work.changes.push(match (&draft.before, after) {
                (None, Some(row)) => Change::Insert(Box::new(row)),
                (Some(_), Some(row)) => Change::Update(Box::new(row)),
                (Some(row), None) => Change::Delete(Box::new(row.clone())),
                (None, None) => continue,
            });
        }
        work.changes.extend(self.account_secrets.into_iter().map(|s| Change::AddAccountSecret(Box::new(s))));
        work.changes.extend(self.user_secrets.into_iter().map(|(u, s)| Change::SetUserSecrets(u, Box::new(s))));
        work.password = self.passwords;
        work.audit.extend(self.audit);
        if work.changes.is_empty() && work.audit.is_empty() {
            return Ok(None);
        }
        let done = self.caller.app.committer().commit(work).await?;
        for user in self.log_out {
            self.caller.app.authn().end_credentials(user).await?;
        }
        Ok(Some(done))
    }

    /// Fields that differ, for people: names instead of ids, secrets as `******`.
    pub(crate) fn differences(draft: &Draft, labels: &Labels) -> Vec<api::state::FieldChange> {
        let (before, after) = audit::diff(draft.before.as_ref(), draft.after.as_ref());
        let empty = Map::new();
        let (before, after) = (before.as_object().unwrap_or(&empty), after.as_object().unwrap_or(&empty));
        let mut fields: Vec<&String> = before.keys().chain(after.keys()).collect();
        fields.sort();
        fields.dedup();
        let boring = |f: &str| matches!(f, "id" | "org" | "version" | "child_mark" | "key" | "date_change_secret" | "builtin");
        let value = |m: &Map<String, Value>, f: &str| m.get(f).map_or(Value::Null, |v| labels.named(f, v));
        let mut out: Vec<api::state::FieldChange> = fields
            .into_iter()
            .filter(|f| !boring(f))
            .map(|f| api::state::FieldChange { field: f.clone(), before: value(before, f), after: value(after, f) })
            .filter(|c| !(draft.before.is_none() && is_empty(&c.after)))
            .collect();
        out.extend(draft.secrets.iter().map(|f| api::state::FieldChange {
            field: (*f).to_owned(),
            before: if draft.before.is_some() { audit::MASK.into() } else { Value::Null },
            after: audit::MASK.into(),
        }));
        out
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        _ => false,
    }
}

/// Referred-to kinds first; among nodes parents first; accounts that others switch from first.
fn write_order(record: &Record) -> (Kind, usize) {
    let depth = match record {
        Record::Node(n) => n.key.as_str().split(':').count(),
        Record::Account(a) => usize::from(a.su_from.is_some()),
        _ => 0,
    };
    (record.kind(), depth)
}

fn add_secrets(fields: &[&'static str], event: &mut AuditEvent, row: &mut model::OperateLog) {
    for field in fields {
        for side in ["before", "after"] {
            if let Some(o) = event.data.get_mut(side).and_then(Value::as_object_mut) {
                o.insert((*field).to_owned(), audit::MASK.into());
            }
        }
        for value in [&mut row.before, &mut row.after] {
            if let Some(o) = value.as_object_mut() {
                o.insert((*field).to_owned(), audit::MASK.into());
            }
        }
    }
}
