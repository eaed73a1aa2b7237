//! Organizations, roles and role bindings (jb §1.1, §1.2).

use serde::{Deserialize, Serialize};

use crate::{Id, Meta, Time, User};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Org {
    /// Id; built-ins end in …0000 (GLOBAL), …0002 (DEFAULT), …0004 (SYSTEM).
    pub id: Id<Org>,
    /// Unique name.
    pub name: String,
    /// The organization above it; `None` at the top.
    pub parent: Option<Id<Org>>,
    /// Built-in organizations cannot be deleted or renamed.
    pub builtin: bool,
    /// Free text.
    pub comment: String,
    /// Bookkeeping.
    pub meta: Meta,
}

impl Org {
    /// The view over all organizations. Never the owner of a row.
    pub const GLOBAL: Id<Org> = Id::builtin(0);
    /// The organization of a fresh installation.
    pub const DEFAULT: Id<Org> = Id::builtin(2);
    /// Owns Rampart's own infrastructure assets.
    pub const SYSTEM: Id<Org> = Id::builtin(4);

    /// The organizations that exist from the first start. GLOBAL is a view, so it has no row.
    pub fn builtins(now: Time) -> Vec<Org> {
        [(Self::DEFAULT, "Default"), (Self::SYSTEM, "System")]
            .into_iter()
            .map(|(id, name)| Org { id, name: name.into(), parent: None, builtin: true, comment: String::new(), meta: Meta::new("System", now) })
            .collect()
    }
}

/// Where a role applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleScope {
    /// In every organization.
    System,
    /// In the organization of the binding.
    Org,
}

/// A named set of permission codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Id; built-ins are …0001 to …0007.
    pub id: Id<Role>,
    /// Unique together with the scope.
    pub name: String,
    /// Where it applies.
    pub scope: RoleScope,
    /// Permission codes, `<app>.<verb>_<resource>`; `*` and `<app>.*`/`<app>.<verb>_*` are wildcards.
    pub permissions: Vec<String>,
    /// Built-in roles cannot be changed.
    pub builtin: bool,
    /// Free text.
    pub comment: String,
    /// Bookkeeping.
    pub meta: Meta,
}

impl Role {
    /// Everything, everywhere.
    pub const SYSTEM_ADMIN: Id<Role> = Id::builtin(1);
    /// Reads every log and recording.
    pub const SYSTEM_AUDITOR: Id<Role> = Id::builtin(2);
    /// Uses what was granted.
    pub const SYSTEM_USER: Id<Role> = Id::builtin(3);
    /// Machine identity of a gateway.
    pub const SYSTEM_COMPONENT: Id<Role> = Id::builtin(4);
    /// Everything inside one organization.
    pub const ORG_ADMIN: Id<Role> = Id::builtin(5);
    /// Reads the logs and recordings of one organization.
    pub const ORG_AUDITOR: Id<Role> = Id::builtin(6);
    /// Member of one organization.
    pub const ORG_USER: Id<Role> = Id::builtin(7);
}

/// What an auditor may do, in every scope.
const AUDITOR: &[&str] = &[
    "rbac.view_audit", "assets.view_asset", "assets.view_node", "assets.view_platform", "users.view_user", "users.view_usergroup", "audits.view_*",
    "audits.export_*", "terminal.view_session", "terminal.view_command", "terminal.view_sessionreplay", "terminal.download_sessionreplay",
    "terminal.monitor_session",
];
/// What every person may do with his own things.
const USER: &[&str] = &[
    "rbac.view_workbench", "rbac.view_webterminal", "perms.view_myassets", "perms.connect_myassets", "users.view_profile", "users.change_profile",
    "authentication.view_sshkey", "authentication.add_sshkey", "authentication.delete_sshkey", "authentication.view_mytoken", "authentication.add_mytoken",
    "authentication.delete_mytoken", "terminal.view_mysession",
];

/// The seven built-in roles (jb §1.2).
pub fn builtin_roles(now: Time) -> Vec<Role> {
    let role = |id, name: &str, scope, sets: &[&[&str]]| Role {
        id,
        name: name.into(),
        scope,
        permissions: sets.iter().flat_map(|s| s.iter().map(|p| (*p).to_owned())).collect(),
        builtin: true,
        comment: String::new(),
        meta: Meta::new("System", now),
    };
    vec![
        role(Role::SYSTEM_ADMIN, "SystemAdmin", RoleScope::System, &[&["*"]]),
        role(Role::SYSTEM_AUDITOR, "SystemAuditor", RoleScope::System, &[USER, AUDITOR, &["orgs.view_rootorg", "orgs.view_organization"]]),
        role(Role::SYSTEM_USER, "SystemUser", RoleScope::System, &[USER, &["orgs.view_alljoinedorg"]]),
        role(Role::SYSTEM_COMPONENT, "SystemComponent", RoleScope::System, &[&["terminal.*", "assets.view_*", "accounts.view_account", "audits.add_*"]]),
        role(
            Role::ORG_ADMIN,
            "OrgAdmin",
            RoleScope::Org,
            &[
                USER,
                AUDITOR,
                &[
                    "rbac.view_console", "assets.view_*", "assets.add_asset", "assets.change_asset", "assets.delete_asset", "assets.add_node",
                    "assets.change_node", "assets.delete_node", "assets.test_assetconnectivity", "assets.change_hostkey", "accounts.*", "perms.*",
                    "users.view_*", "users.add_user", "users.change_user", "users.invite_user", "users.remove_user", "users.add_usergroup",
                    "users.change_usergroup", "users.delete_usergroup", "users.match_user", "rbac.view_role", "rbac.view_rolebinding", "rbac.add_rolebinding",
                    "rbac.delete_rolebinding", "terminal.terminate_session", "terminal.lock_session", "authentication.view_*", "orgs.view_organization",
                    "state.apply", "state.export",
                ],
            ],
        ),
        role(Role::ORG_AUDITOR, "OrgAuditor", RoleScope::Org, &[USER, AUDITOR]),
        role(Role::ORG_USER, "OrgUser", RoleScope::Org, &[USER]),
    ]
}

/// Gives a person a role, everywhere (`org` is `None`) or in one organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleBinding {
    /// Id.
    pub id: Id<RoleBinding>,
    /// Who.
    pub user: Id<User>,
    /// What.
    pub role: Id<Role>,
    /// Where; always set for roles of scope `org`, never for roles of scope `system`.
    pub organization: Option<Id<Org>>,
    /// Bookkeeping.
    pub meta: Meta,
}
