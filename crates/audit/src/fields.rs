//! Classes of fields. A field that is not listed here is secret: whoever adds one has to decide.

use model::Kind;

/// How far a field's value may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldClass {
    /// Anywhere, also to log servers of others.
    Public,
    /// Personal or revealing: inside Rampart, for those who may see the object.
    Sensitive,
    /// Nowhere.
    Secret,
}

use FieldClass::{Public, Secret, Sensitive};

/// The class of a field of an object. Fields of lists of objects are named `list.field`.
pub fn class(kind: Kind, field: &str) -> FieldClass {
    let (public, sensitive): (&[&str], &[&str]) = match kind {
        Kind::Org => (&["id", "name", "parent", "builtin", "comment"], &[]),
        Kind::Role => (&["id", "name", "scope", "permissions", "builtin", "comment"], &[]),
        Kind::Platform => (
            &[
                "id", "name", "category", "kind", "charset", "gateway_enabled", "su_enabled", "su_method", "builtin", "comment", "protocols", "protocols.name",
                "protocols.port", "protocols.primary", "protocols.required", "protocols.default", "protocols.public",
            ],
            &[],
        ),
        Kind::User => (
            &["id", "username", "name", "source", "is_active", "date_expired", "mfa_level", "need_update_password", "is_service_account", "lang", "comment"],
            &["email", "phone", "last_login"],
        ),
        Kind::PublicKey => (&["id", "user", "name", "fingerprint", "is_active", "date_last_used", "public_key"], &[]),
        Kind::RoleBinding => (&["id", "user", "role", "organization"], &[]),
        Kind::UserGroup => (&["id", "org", "name", "users", "comment"], &[]),
        Kind::Node => (&["id", "org", "key", "value", "full_value", "child_mark"], &[]),
        Kind::Asset => (
            &[
                "id", "org", "name", "address", "platform", "category", "nodes", "is_active", "connectivity", "date_verified", "comment", "protocols",
                "protocols.name", "protocols.port",
            ],
            &[],
        ),
        Kind::Account => (
            &[
                "id", "org", "asset", "name", "username", "secret_type", "has_secret", "privileged", "is_active", "secret_reset", "su_from", "source",
                "version", "connectivity", "date_verified", "date_change_secret", "comment",
            ],
            &[],
        ),
        Kind::AssetPermission => (
            &[
                "id", "org", "name", "users", "user_groups", "assets", "nodes", "accounts", "protocols", "actions", "date_start", "date_expired", "is_active",
                "comment",
            ],
            &[],
        ),
    };
    if public.contains(&field) {
        Public
    } else if sensitive.contains(&field) {
        Sensitive
    } else {
        Secret
    }
}
