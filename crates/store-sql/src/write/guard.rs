//! What a unit of work must not do, whoever sends it.

use std::collections::BTreeSet;

use model::{Asset, Id, Org, Record, Role, User};
use store::{Change, Result, StoreError, UnitOfWork, WorkScope};

use crate::db::{Link, Val, args};

/// Checks around a unit of work.
pub(super) struct Guard {
    scope: WorkScope,
    /// People that the unit makes; they must be members of its organization at the end.
    made: BTreeSet<Id<User>>,
    /// Whether somebody had the system administrator's role before; `None` = not touched.
    administered: Option<bool>,
    /// Memberships that the unit takes away.
    left: BTreeSet<(Id<Org>, Id<User>)>,
}

impl Guard {
    /// Looks at the unit before anything is changed.
    pub(super) async fn before(link: &mut Link, work: &UnitOfWork) -> Result<Self> {
        let mut made = BTreeSet::new();
        let mut touched = BTreeSet::new();
        let mut deleted = BTreeSet::new();
        let mut left = BTreeSet::new();
        let mut admins = false;
        for change in &work.changes {
            match change {
                Change::Insert(r) => match &**r {
                    Record::User(u) => drop(made.insert(u.id)),
                    Record::PublicKey(k) => drop(touched.insert(k.user)),
                    _ => {}
                },
                Change::Update(r) | Change::Delete(r) => {
                    admins |= matches!(&**r, Record::User(_) | Record::RoleBinding(_));
                    match &**r {
                        Record::User(u) => drop(touched.insert(u.id)),
                        Record::PublicKey(k) => drop(touched.insert(k.user)),
                        // whose membership it is says the stored row
                        Record::RoleBinding(b) => left.extend(stored_binding(link, b.id).await?),
                        _ => {}
                    }
                    if let (Change::Delete(_), Record::User(u)) = (change, &**r) {
                        deleted.insert(u.id);
                    }
                }
                Change::SetUserSecrets(user, _) => drop(touched.insert(*user)),
                _ => {}
            }
        }
        if let WorkScope::Org(org) = work.scope() {
            // INVARIANT: inviting somebody gives no right over him: who is not made here must be a member already
            for user in touched.difference(&made) {
                member(link, org, *user).await?;
            }
            for user in deleted {
                let elsewhere = link.number("SELECT count(*) FROM role_bindings WHERE user_id = ? AND org_id <> ?", args![user, org]).await?;
                if elsewhere > 0 {
                    return Err(StoreError::Scope(format!("user {user} is a member of other organizations")));
                }
            }
        }
        let administered = if admins { Some(administrators(link).await? > 0) } else { None };
        Ok(Self { scope: work.scope(), made, administered, left })
    }

    /// Looks at the result, and lets go of what ended memberships gave.
    pub(super) async fn after(&self, link: &mut Link) -> Result<()> {
        if let WorkScope::Org(org) = self.scope {
            for user in &self.made {
                member(link, org, *user).await?;
            }
        }
        if self.administered == Some(true) && administrators(link).await? == 0 {
            return Err(StoreError::InUse("system administrator".to_owned(), "the last one cannot be removed or switched off".to_owned()));
        }
        for (org, user) in &self.left {
            if link.number("SELECT count(*) FROM role_bindings WHERE user_id = ? AND org_id = ?", args![*user, *org]).await? == 0 {
                link.exec("DELETE FROM group_members WHERE user_id = ? AND org_id = ?", args![*user, *org]).await?;
                link.exec("DELETE FROM permission_users WHERE user_id = ? AND org_id = ?", args![*user, *org]).await?;
            }
        }
        Ok(())
    }

    /// Forgets host keys, below the scope.
    pub(super) async fn forget_host_keys(&self, link: &mut Link, asset: Id<Asset>) -> Result<()> {
        let (more, args): (&str, Vec<Val>) = match self.scope {
            WorkScope::Global => ("", args![asset]),
            WorkScope::Org(org) => (" AND org_id = ?", args![asset, org]),
        };
        link.exec(&format!("DELETE FROM host_keys WHERE asset_id = ?{more}"), args).await.map(drop)
    }
}

async fn member(link: &mut Link, org: Id<Org>, user: Id<User>) -> Result<()> {
    let n = link.number("SELECT count(*) FROM role_bindings WHERE user_id = ? AND org_id = ?", args![user, org]).await?;
    if n > 0 { Ok(()) } else { Err(StoreError::Scope(format!("user {user} is not a member of the organization"))) }
}

async fn stored_binding(link: &mut Link, id: Id<model::RoleBinding>) -> Result<Option<(Id<Org>, Id<User>)>> {
    let Some(mut row) = link.first("SELECT org_id, user_id FROM role_bindings WHERE id = ?", args![id]).await? else { return Ok(None) };
    let (org, user) = (row.opt_id()?, row.id()?);
    Ok(org.map(|o| (o, user)))
}

/// People who are switched on and hold the system administrator's role.
async fn administrators(link: &mut Link) -> Result<i64> {
    let sql = "SELECT count(DISTINCT u.id) FROM role_bindings b JOIN users u ON u.id = b.user_id \
               WHERE b.role_id = ? AND b.org_id IS NULL AND u.is_active = ? AND u.is_service_account = ?";
    link.number(sql, args![Role::SYSTEM_ADMIN, true, false]).await
}
