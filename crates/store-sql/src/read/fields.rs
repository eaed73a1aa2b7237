//! The closed sets: which fields of which list may be filtered and ordered by, and what that means in SQL.

use model::Kind;

use How::{Col, Rel};
use Ty::{Bool, Canonical, Int, Text, Time, Uuid};

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ty {
    /// Text, compared exactly.
    Text,
    /// Text, compared trimmed and in lower case.
    Canonical,
    /// A UUID.
    Uuid,
    /// `true` or `false`.
    Bool,
    /// An integer.
    Int,
    /// RFC 3339.
    Time,
}

/// How a field is asked for in SQL.
#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    /// A column of the row.
    Col(&'static str, Ty),
    /// A condition about other rows; `{}` is replaced by placeholders. Cannot be ordered by.
    Rel(&'static str, Ty),
}

/// A field of a list.
pub(crate) type Field = (&'static str, How);

const ID: Field = ("id", Col("t.id", Uuid));
const ORG: Field = ("org", Col("t.org_id", Uuid));
const ORG_ID: Field = ("org_id", Col("t.org_id", Uuid));
const NAME: Field = ("name", Col("t.name", Text));
const COMMENT: Field = ("comment", Col("t.comment", Text));
const BUILTIN: Field = ("builtin", Col("t.builtin", Bool));
const IS_ACTIVE: Field = ("is_active", Col("t.is_active", Bool));
const CREATED_BY: Field = ("created_by", Col("t.created_by", Text));
const UPDATED_BY: Field = ("updated_by", Col("t.updated_by", Text));
const DATE_CREATED: Field = ("date_created", Col("t.date_created", Time));
const DATE_UPDATED: Field = ("date_updated", Col("t.date_updated", Time));
const REMOTE_ADDR: Field = ("remote_addr", Col("t.remote_addr", Text));
const HAPPENED: Field = ("datetime", Col("t.happened_at", Time));

/// Assets in or below the nodes `{}`.
const IN_NODE: &str = "t.id IN (SELECT an.asset_id FROM nodes f JOIN nodes n ON n.org_id = f.org_id AND (n.node_key = f.node_key OR n.node_key LIKE f.node_key || ':%') JOIN asset_nodes an ON an.node_id = n.id WHERE f.id IN ({}))";
/// Nodes in or below the nodes `{}`.
const UNDER: &str = "t.id IN (SELECT n.id FROM nodes f JOIN nodes n ON n.org_id = f.org_id AND (n.node_key = f.node_key OR n.node_key LIKE f.node_key || ':%') WHERE f.id IN ({}))";

static ORGS: &[Field] = &[
    ID,
    NAME,
    COMMENT,
    BUILTIN,
    CREATED_BY,
    UPDATED_BY,
    DATE_CREATED,
    DATE_UPDATED,
    ("parent", Col("t.parent_id", Uuid)),
    ("user", Rel("t.id IN (SELECT org_id FROM role_bindings WHERE user_id IN ({}))", Uuid)),
];
static ROLES: &[Field] = &[ID, NAME, COMMENT, BUILTIN, CREATED_BY, UPDATED_BY, DATE_CREATED, DATE_UPDATED, ("scope", Col("t.scope", Text))];
static PLATFORMS: &[Field] = &[
    ID,
    NAME,
    COMMENT,
    BUILTIN,
    CREATED_BY,
    UPDATED_BY,
    DATE_CREATED,
    DATE_UPDATED,
    ("category", Col("t.category", Text)),
    ("type", Col("t.kind", Text)),
    ("kind", Col("t.kind", Text)),
    ("charset", Col("t.charset", Text)),
    ("gateway_enabled", Col("t.gateway_enabled", Bool)),
    ("su_enabled", Col("t.su_enabled", Bool)),
];
static USERS: &[Field] = &[
    ID,
    NAME,
    COMMENT,
    IS_ACTIVE,
    CREATED_BY,
    UPDATED_BY,
    DATE_CREATED,
    DATE_UPDATED,
    ("username", Col("t.username_key", Canonical)),
    ("email", Col("t.email_key", Canonical)),
    ("phone", Col("t.phone", Text)),
    ("source", Col("t.source", Text)),
    ("mfa_level", Col("t.mfa_level", Text)),
    ("date_expired", Col("t.date_expired", Time)),
    ("last_login", Col("t.last_login", Time)),
    ("need_update_password", Col("t.need_update_password", Bool)),
    ("is_service_account", Col("t.is_service_account", Bool)),
    ("lang", Col("t.lang", Text)),
    ("group", Rel("t.id IN (SELECT user_id FROM group_members WHERE group_id IN ({}))", Uuid)),
    ("groups", Rel("t.id IN (SELECT user_id FROM group_members WHERE group_id IN ({}))", Uuid)),
    ("org", Rel("t.id IN (SELECT user_id FROM role_bindings WHERE org_id IN ({}))", Uuid)),
    ("role", Rel("t.id IN (SELECT user_id FROM role_bindings WHERE role_id IN ({}))", Uuid)),
];
static PUBLIC_KEYS: &[Field] = &[
    ID,
    NAME,
    IS_ACTIVE,
    CREATED_BY,
    UPDATED_BY,
    DATE_CREATED,
    DATE_UPDATED,
    ("user", Col("t.user_id", Uuid)),
    ("fingerprint", Col("t.fingerprint", Text)),
    ("date_last_used", Col("t.date_last_used", Time)),
];
static ROLE_BINDINGS: &[Field] = &[
    ID,
    CREATED_BY,
    UPDATED_BY,
    DATE_CREATED,
    DATE_UPDATED,
    ("user", Col("t.user_id", Uuid)),
    ("role", Col("t.role_id", Uuid)),
    ("org", Col("t.org_id", Uuid)),
    ("organization", Col("t.org_id", Uuid)),
    ("scope", Rel("t.role_id IN (SELECT id FROM roles WHERE scope IN ({}))", Text)),
];
static USER_GROUPS: &[Field] = &[
    ID,
    ORG,
    ORG_ID,
    NAME,
    COMMENT,
    CREATED_BY,
    UPDATED_BY,
    DATE_CREATED,
    DATE_UPDATED,
    ("user", Rel("t.id IN (SELECT group_id FROM group_members WHERE user_id IN ({}))", Uuid)),
    ("users", Rel("t.id IN (SELECT group_id FROM group_members WHERE user_id IN ({}))", Uuid)),
];
static NODES: &[Field] = &[
    ID,
    ORG,
    ORG_ID,
    CREATED_BY,
    UPDATED_BY,
    DATE_CREATED,
    DATE_UPDATED,
    ("key", Col("t.node_key", Text)),
    ("parent_key", Col("t.parent_key", Text)),
    ("value", Col("t.value", Text)),
    ("name", Col("t.value", Text)),
    ("full_value", Col("t.full_value", Text)),
    ("parent", Rel("t.parent_key IN (SELECT node_key FROM nodes WHERE id IN ({}))", Uuid)),
    ("under", Rel(UNDER, Uuid)),
    ("asset", Rel("t.id IN (SELECT node_id FROM asset_nodes WHERE asset_id IN ({}))", Uuid)),
];
static ASSETS: &[Field] = &[
    ID,
    ORG,
    ORG_ID,
    NAME,
    COMMENT,
    IS_ACTIVE,
    CREATED_BY,
    UPDATED_BY,
    DATE_CREATED,
    DATE_UPDATED,
    ("address", Col("t.address", Text)),
    ("platform", Col("t.platform_id", Uuid)),
    ("category", Col("t.category", Text)),
    ("connectivity", Col("t.connectivity", Text)),
    ("date_verified", Col("t.date_verified", Time)),
    ("type", Rel("t.platform_id IN (SELECT id FROM platforms WHERE kind IN ({}))", Text)),
    ("node", Rel(IN_NODE, Uuid)),
    ("nodes", Rel(IN_NODE, Uuid)),
    ("node_only", Rel("t.id IN (SELECT asset_id FROM asset_nodes WHERE node_id IN ({}))", Uuid)),
    ("account_username", Rel("t.id IN (SELECT asset_id FROM accounts WHERE username IN ({}))", Text)),
];
static ACCOUNTS: &[Field] = &[
    ID,
    ORG,
    ORG_ID,
    NAME,
    COMMENT,
    IS_ACTIVE,
    CREATED_BY,
    UPDATED_BY,
    DATE_CREATED,
    DATE_UPDATED,
    ("asset", Col("t.asset_id", Uuid)),
    ("asset_id", Col("t.asset_id", Uuid)),
    ("username", Col("t.username", Text)),
    ("secret_type", Col("t.secret_type", Text)),
    ("has_secret", Col("t.has_secret", Bool)),
    ("privileged", Col("t.privileged", Bool)),
    ("secret_reset", Col("t.secret_reset", Bool)),
    ("su_from", Col("t.su_from", Uuid)),
    ("source", Col("t.source", Text)),
    ("connectivity", Col("t.connectivity", Text)),
    ("version", Col("t.version", Int)),
    ("date_verified", Col("t.date_verified", Time)),
    ("date_change_secret", Col("t.date_change_secret", Time)),
    ("asset_name", Rel("t.asset_id IN (SELECT id FROM assets WHERE name IN ({}))", Text)),
    ("address", Rel("t.asset_id IN (SELECT id FROM assets WHERE address IN ({}))", Text)),
    ("platform", Rel("t.asset_id IN (SELECT id FROM assets WHERE platform_id IN ({}))", Uuid)),
    ("category", Rel("t.asset_id IN (SELECT id FROM assets WHERE category IN ({}))", Text)),
    (
        "node",
        Rel(
            "t.asset_id IN (SELECT an.asset_id FROM nodes f JOIN nodes n ON n.org_id = f.org_id AND (n.node_key = f.node_key OR n.node_key LIKE f.node_key || ':%') JOIN asset_nodes an ON an.node_id = n.id WHERE f.id IN ({}))",
            Uuid,
        ),
    ),
];
static PERMISSIONS: &[Field] = &[
    ID,
    ORG,
    ORG_ID,
    NAME,
    COMMENT,
    IS_ACTIVE,
    CREATED_BY,
    UPDATED_BY,
    DATE_CREATED,
    DATE_UPDATED,
    ("date_start", Col("t.date_start", Time)),
    ("date_expired", Col("t.date_expired", Time)),
    ("actions", Col("t.actions", Int)),
    ("user", Rel("t.id IN (SELECT permission_id FROM permission_users WHERE user_id IN ({}))", Uuid)),
    ("users", Rel("t.id IN (SELECT permission_id FROM permission_users WHERE user_id IN ({}))", Uuid)),
    ("user_group", Rel("t.id IN (SELECT permission_id FROM permission_groups WHERE group_id IN ({}))", Uuid)),
    ("user_groups", Rel("t.id IN (SELECT permission_id FROM permission_groups WHERE group_id IN ({}))", Uuid)),
    ("group", Rel("t.id IN (SELECT permission_id FROM permission_groups WHERE group_id IN ({}))", Uuid)),
    ("asset", Rel("t.id IN (SELECT permission_id FROM permission_assets WHERE asset_id IN ({}))", Uuid)),
    ("assets", Rel("t.id IN (SELECT permission_id FROM permission_assets WHERE asset_id IN ({}))", Uuid)),
    ("node", Rel("t.id IN (SELECT permission_id FROM permission_nodes WHERE node_id IN ({}))", Uuid)),
    ("nodes", Rel("t.id IN (SELECT permission_id FROM permission_nodes WHERE node_id IN ({}))", Uuid)),
];

static SESSIONS: &[Field] = &[
    ID,
    ORG,
    ORG_ID,
    COMMENT,
    REMOTE_ADDR,
    ("user_id", Col("t.user_id", Uuid)),
    ("user", Col("t.user_name", Text)),
    ("asset_id", Col("t.asset_id", Uuid)),
    ("asset", Col("t.asset_name", Text)),
    ("account_id", Col("t.account_id", Uuid)),
    ("account", Col("t.account_name", Text)),
    ("protocol", Col("t.protocol", Text)),
    ("kind", Col("t.kind", Text)),
    ("type", Col("t.kind", Text)),
    ("login_from", Col("t.login_from", Text)),
    ("node_id", Col("t.node_id", Text)),
    ("decision_id", Col("t.decision_id", Text)),
    ("connection_id", Col("t.connection_id", Text)),
    ("state", Col("t.state", Text)),
    ("is_success", Col("t.is_success", Bool)),
    ("is_finished", Col("t.is_finished", Bool)),
    ("end_reason", Col("t.end_reason", Text)),
    ("end_fault", Col("t.end_fault", Text)),
    ("exit_code", Col("t.exit_code", Int)),
    ("command_amount", Col("t.command_amount", Int)),
    ("recording_size", Col("t.recording_size", Int)),
    ("bytes_in", Col("t.bytes_in", Int)),
    ("bytes_out", Col("t.bytes_out", Int)),
    ("date_start", Col("t.date_start", Time)),
    ("date_end", Col("t.date_end", Time)),
    ("date_alive", Col("t.date_alive", Time)),
];
static COMMANDS: &[Field] = &[
    ID,
    ORG,
    ORG_ID,
    REMOTE_ADDR,
    ("session", Col("t.session_id", Uuid)),
    ("session_id", Col("t.session_id", Uuid)),
    ("user", Col("t.user_name", Text)),
    ("asset", Col("t.asset_name", Text)),
    ("account", Col("t.account_name", Text)),
    ("input", Col("t.input", Text)),
    ("output", Col("t.output", Text)),
    ("risk_level", Col("t.risk_level", Int)),
    ("timestamp", Col("t.happened_at", Time)),
    ("offset_ms", Col("t.offset_ms", Int)),
    ("duration_ms", Col("t.duration_ms", Int)),
    ("user_id", Rel("t.session_id IN (SELECT id FROM sessions WHERE user_id IN ({}))", Uuid)),
    ("asset_id", Rel("t.session_id IN (SELECT id FROM sessions WHERE asset_id IN ({}))", Uuid)),
];
static LOGINS: &[Field] = &[
    ID,
    HAPPENED,
    ("username", Col("t.username", Text)),
    ("user_id", Col("t.user_id", Uuid)),
    ("type", Col("t.login_type", Text)),
    ("login_type", Col("t.login_type", Text)),
    ("ip", Col("t.ip", Text)),
    ("user_agent", Col("t.user_agent", Text)),
    ("mfa", Col("t.mfa", Text)),
    ("backend", Col("t.backend", Text)),
    ("reason", Col("t.reason", Text)),
    ("status", Col("t.status", Bool)),
];
static OPERATES: &[Field] = &[
    ID,
    ORG,
    ORG_ID,
    HAPPENED,
    REMOTE_ADDR,
    ("user", Col("t.user_name", Text)),
    ("action", Col("t.action", Text)),
    ("resource_type", Col("t.resource_type", Text)),
    ("resource", Col("t.resource", Text)),
    ("resource_id", Col("t.resource_id", Text)),
];
static PASSWORDS: &[Field] =
    &[ID, HAPPENED, REMOTE_ADDR, ("user", Col("t.user_name", Text)), ("user_id", Col("t.user_id", Uuid)), ("change_by", Col("t.change_by", Text))];
static AUDITS: &[Field] = &[
    ORG,
    ORG_ID,
    REMOTE_ADDR,
    ("node_id", Col("t.node_id", Text)),
    ("seq", Col("t.seq", Int)),
    ("kind", Col("t.kind", Text)),
    ("actor", Col("t.actor", Text)),
    ("actor_id", Col("t.actor_id", Uuid)),
    ("target", Col("t.target", Text)),
    ("target_id", Col("t.target_id", Text)),
    ("session", Col("t.session_id", Uuid)),
    ("session_id", Col("t.session_id", Uuid)),
    ("at", Col("t.happened_at", Time)),
    ("datetime", Col("t.happened_at", Time)),
    ("hash", Col("t.hash", Text)),
];

/// Fields of a kind's list.
pub(crate) fn of_kind(kind: Kind) -> &'static [Field] {
    match kind {
        Kind::Org => ORGS,
        Kind::Role => ROLES,
        Kind::Platform => PLATFORMS,
        Kind::User => USERS,
        Kind::PublicKey => PUBLIC_KEYS,
        Kind::RoleBinding => ROLE_BINDINGS,
        Kind::UserGroup => USER_GROUPS,
        Kind::Node => NODES,
        Kind::Asset => ASSETS,
        Kind::Account => ACCOUNTS,
        Kind::AssetPermission => PERMISSIONS,
    }
}

/// Fields of a log, and the columns that a free text search looks at.
pub(crate) fn of_log(table: &str) -> (&'static [Field], &'static [&'static str]) {
    match table {
        "sessions" => (SESSIONS, &["t.user_name", "t.asset_name", "t.account_name", "t.remote_addr", "t.protocol"]),
        "commands" => (COMMANDS, &["t.input", "t.user_name", "t.asset_name", "t.account_name"]),
        "login_logs" => (LOGINS, &["t.username", "t.ip", "t.user_agent"]),
        "operate_logs" => (OPERATES, &["t.user_name", "t.resource", "t.resource_type", "t.action"]),
        "password_change_logs" => (PASSWORDS, &["t.user_name", "t.change_by"]),
        "audit_entries" => (AUDITS, &["t.kind", "t.actor", "t.target"]),
        _ => (&[], &[]),
    }
}
