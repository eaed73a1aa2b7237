//! Roles to permissions (jb §1.2).

use std::collections::{BTreeSet, HashMap};

use model::{Id, Org, Role};

/// A set of permission codes with wildcards: `*`, `<app>.*`, `<app>.<verb>_*`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PermissionSet(BTreeSet<String>);

impl PermissionSet {
    /// Whether `code` is in it.
    pub fn allows(&self, code: &str) -> bool {
        if self.0.contains("*") || self.0.contains(code) {
            return true;
        }
        let Some((app, action)) = code.split_once('.') else { return false };
        if self.0.contains(&format!("{app}.*")) {
            return true;
        }
        action.split_once('_').is_some_and(|(verb, _)| self.0.contains(&format!("{app}.{verb}_*")))
    }
    /// Adds codes.
    pub fn extend<'a>(&mut self, codes: impl IntoIterator<Item = &'a String>) {
        self.0.extend(codes.into_iter().cloned());
    }
    /// As listed.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// A person's roles, resolved.
#[derive(Debug, Clone, Default)]
pub struct Memberships {
    system: PermissionSet,
    orgs: HashMap<Id<Org>, PermissionSet>,
}

impl Memberships {
    /// From the person's bindings: each role with its organization (`None` = everywhere).
    pub fn new(bindings: impl IntoIterator<Item = (Role, Option<Id<Org>>)>) -> Self {
        let mut m = Self::default();
        for (role, org) in bindings {
            match org {
                None => m.system.extend(&role.permissions),
                Some(o) => m.orgs.entry(o).or_default().extend(&role.permissions),
            }
        }
        m
    }
    /// What system-wide roles give.
    pub fn system(&self) -> &PermissionSet {
        &self.system
    }
    /// What counts inside one organization: system-wide roles and the roles there.
    pub fn in_org(&self, org: Id<Org>) -> PermissionSet {
        let mut all = self.system.clone();
        if let Some(p) = self.orgs.get(&org) {
            all.extend(&p.0);
        }
        all
    }
    /// Organizations with a binding of their own.
    pub fn joined(&self) -> impl Iterator<Item = Id<Org>> + '_ {
        self.orgs.keys().copied()
    }
    /// Members may enter, and so may holders of a system role that looks beyond its own things.
    pub fn may_enter(&self, org: Id<Org>) -> bool {
        self.orgs.contains_key(&org) || self.system.allows("orgs.view_rootorg")
    }
}
