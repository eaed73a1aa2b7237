//! The unit of work: what to change and the evidence for it, as data.

use model::{AccountSecret, AuditEntry, AuditEvent, HostKey, Id, OperateLog, Org, PasswordChangeLog, Record, Role, User, UserSecrets};
use policy::{GlobalScope, OrgScope};

use crate::StoreError;

/// One change.
#[derive(Debug, Clone)]
pub enum Change {
    /// A new object; its revision is ignored and becomes 1.
    Insert(Box<Record>),
    /// Replaces an object; the revision in it must be the stored one.
    Update(Box<Record>),
    /// Removes an object.
    Delete(Box<Record>),
    /// A new version of an account's secret; the account row's `version` is set by its own `Update`/`Insert`.
    AddAccountSecret(Box<AccountSecret>),
    /// Replaces sealed secrets in place (key rotation); version and dates stay.
    ResealAccountSecret(Box<AccountSecret>),
    /// Replaces what verifies a person. In an organization's scope the user must be a member of it. The secrets have no
    /// revision of their own: put an `Update` of the user's row, read before the secrets were, into the same unit.
    SetUserSecrets(Id<User>, Box<UserSecrets>),
    /// Remembers a target's host key; an existing one for (asset, address, algorithm) is replaced.
    PutHostKey(Box<HostKey>),
    /// Forgets all host keys of an asset.
    ForgetHostKeys(Id<model::Asset>),
}

/// Where a unit of work may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkScope {
    /// Rows of one organization, and users that are (or by this unit become) its members.
    Org(Id<Org>),
    /// Anything.
    Global,
}

/// Changes and evidence that belong together.
#[derive(Debug, Clone)]
pub struct UnitOfWork {
    pub(crate) scope: WorkScope,
    /// In the order they are applied.
    pub changes: Vec<Change>,
    /// Entries for the audit chain of this node.
    pub audit: Vec<AuditEvent>,
    /// Operate log rows.
    pub operate: Vec<OperateLog>,
    /// Password change rows.
    pub password: Vec<PasswordChangeLog>,
}

impl UnitOfWork {
    /// Changes inside one organization.
    pub fn in_org(scope: OrgScope) -> Self {
        Self { scope: WorkScope::Org(scope.id()), changes: Vec::new(), audit: Vec::new(), operate: Vec::new(), password: Vec::new() }
    }
    /// Changes to global objects, and anywhere.
    pub fn global(_: GlobalScope) -> Self {
        Self { scope: WorkScope::Global, changes: Vec::new(), audit: Vec::new(), operate: Vec::new(), password: Vec::new() }
    }
    /// Where it may write.
    pub fn scope(&self) -> WorkScope {
        self.scope
    }
    /// Adds an insert.
    pub fn insert(&mut self, r: impl Into<Record>) -> &mut Self {
        self.changes.push(Change::Insert(Box::new(r.into())));
        self
    }
    /// Adds an update.
    pub fn update(&mut self, r: impl Into<Record>) -> &mut Self {
        self.changes.push(Change::Update(Box::new(r.into())));
        self
    }
    /// Adds a delete.
    pub fn delete(&mut self, r: impl Into<Record>) -> &mut Self {
        self.changes.push(Change::Delete(Box::new(r.into())));
        self
    }
    /// Adds evidence.
    pub fn audit(&mut self, e: AuditEvent) -> &mut Self {
        self.audit.push(e);
        self
    }
    /// Refuses tenant rows of other organizations and global kinds outside a global scope. Users, their keys and
    /// bindings pass in an organization's scope; the backend checks membership.
    ///
    /// # Errors
    /// [`StoreError::Scope`] naming the object.
    pub fn check_scope(&self) -> Result<(), StoreError> {
        let WorkScope::Org(mine) = self.scope else { return Ok(()) };
        for change in &self.changes {
            let (Change::Insert(r) | Change::Update(r) | Change::Delete(r)) = change else {
                let org = match change {
                    Change::AddAccountSecret(s) | Change::ResealAccountSecret(s) => Some(s.org),
                    Change::PutHostKey(k) => Some(k.org),
                    _ => None,
                };
                if org.is_some_and(|o| o != mine) {
                    return Err(StoreError::Scope("secret of another organization".into()));
                }
                continue;
            };
            let ok = match (&**r, r.org()) {
                (_, Some(org)) => org == mine,
                // the role of every person is the one system-wide role that an organization may hand out
                (Record::RoleBinding(b), None) => b.organization == Some(mine) || (b.role == Role::SYSTEM_USER && matches!(change, Change::Insert(_))),
                (Record::User(_) | Record::PublicKey(_), None) => true,
                _ => false,
            };
            if !ok {
                return Err(StoreError::Scope(format!("{} {}", r.kind().resource(), r.name())));
            }
        }
        Ok(())
    }
}

/// What a commit did.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The installation's revision after it.
    pub revision: i64,
    /// The audit entries as chained.
    pub audit: Vec<AuditEntry>,
}
