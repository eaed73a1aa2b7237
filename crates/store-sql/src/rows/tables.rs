//! Tables of the managed objects.

use model::{Account, Actions, Asset, AssetPermission, Node, NodeKey, Org, Platform, PublicKey, Role, RoleBinding, User, UserGroup};
use store::{Result, StoreError};

use super::{Table, Unique, read_meta};
use crate::db::{Cells, Val, args, json, word};

fn unique(field: &'static str, sql: &'static str, args: Vec<Val>, shown: &str) -> Unique {
    Unique { field, sql, args, shown: shown.chars().take(80).collect() }
}

impl Table for Org {
    const NAME: &'static str = "orgs";
    const COLUMNS: &'static [&'static str] = &["id", "name", "parent_id", "builtin", "comment"];
    const FROZEN: &'static [&'static str] = &["builtin"];
    fn owner(&self) -> Vec<(&'static str, Val)> {
        Vec::new()
    }
    fn values(&self) -> Vec<Val> {
        args![self.id, &self.name, self.parent, self.builtin, &self.comment]
    }
    fn read(c: &mut Cells) -> Result<Self> {
        Ok(Org { id: c.id()?, name: c.text()?, parent: c.opt_id()?, builtin: c.bool()?, comment: c.text()?, meta: read_meta(c)? })
    }
    fn uniques(&self) -> Vec<Unique> {
        vec![unique("name", "name = ?", args![&self.name], &self.name)]
    }
    fn search(&self) -> Vec<&str> {
        vec![&self.name, &self.comment]
    }
}

impl Table for Role {
    const NAME: &'static str = "roles";
    const COLUMNS: &'static [&'static str] = &["id", "name", "scope", "permissions", "builtin", "comment"];
    const FROZEN: &'static [&'static str] = &["builtin"];
    fn owner(&self) -> Vec<(&'static str, Val)> {
        Vec::new()
    }
    fn values(&self) -> Vec<Val> {
        args![self.id, &self.name, word(&self.scope), json(&self.permissions), self.builtin, &self.comment]
    }
    fn read(c: &mut Cells) -> Result<Self> {
        Ok(Role { id: c.id()?, name: c.text()?, scope: c.word()?, permissions: c.json()?, builtin: c.bool()?, comment: c.text()?, meta: read_meta(c)? })
    }
    fn uniques(&self) -> Vec<Unique> {
        vec![unique("name", "name = ? AND scope = ?", args![&self.name, word(&self.scope)], &self.name)]
    }
    fn search(&self) -> Vec<&str> {
        vec![&self.name, &self.comment]
    }
}

impl Table for Platform {
    const NAME: &'static str = "platforms";
    const COLUMNS: &'static [&'static str] =
        &["id", "name", "category", "kind", "charset", "gateway_enabled", "su_enabled", "su_method", "protocols", "builtin", "comment"];
    const FROZEN: &'static [&'static str] = &["builtin"];
    fn owner(&self) -> Vec<(&'static str, Val)> {
        Vec::new()
    }
    fn values(&self) -> Vec<Val> {
        args![
            self.id,
            &self.name,
            self.category.as_str(),
            &self.kind,
            &self.charset,
            self.gateway_enabled,
            self.su_enabled,
            self.su_method.as_ref().map(word),
            json(&self.protocols),
            self.builtin,
            &self.comment
        ]
    }
    fn read(c: &mut Cells) -> Result<Self> {
        Ok(Platform {
            id: c.id()?,
            name: c.text()?,
            category: c.word()?,
            kind: c.text()?,
            charset: c.text()?,
            gateway_enabled: c.bool()?,
            su_enabled: c.bool()?,
            su_method: c.opt_word()?,
            protocols: c.json()?,
            builtin: c.bool()?,
            comment: c.text()?,
            meta: read_meta(c)?,
        })
    }
    fn uniques(&self) -> Vec<Unique> {
        vec![unique("name", "name = ?", args![&self.name], &self.name)]
    }
    fn search(&self) -> Vec<&str> {
        vec![&self.name, &self.kind, &self.comment]
    }
}

impl Table for User {
    const NAME: &'static str = "users";
    const COLUMNS: &'static [&'static str] = &[
        "id", "username", "name", "email", "phone", "source", "is_active", "date_expired", "mfa_level", "need_update_password", "is_service_account", "lang",
        "last_login", "comment",
    ];
    const EXTRA: &'static [&'static str] = &["username_key", "email_key"];
    const FROZEN: &'static [&'static str] = &["last_login"];
    fn owner(&self) -> Vec<(&'static str, Val)> {
        Vec::new()
    }
    fn values(&self) -> Vec<Val> {
        let email = self.email.trim().to_lowercase();
        args![
            self.id,
            &self.username,
            &self.name,
            &self.email,
            &self.phone,
            word(&self.source),
            self.is_active,
            self.date_expired,
            word(&self.mfa_level),
            self.need_update_password,
            self.is_service_account,
            &self.lang,
            self.last_login,
            &self.comment,
            User::canonical(&self.username),
            (!email.is_empty()).then_some(email)
        ]
    }
    fn read(c: &mut Cells) -> Result<Self> {
        Ok(User {
            id: c.id()?,
            username: c.text()?,
            name: c.text()?,
            email: c.text()?,
            phone: c.text()?,
            source: c.word()?,
            is_active: c.bool()?,
            date_expired: c.opt_time()?,
            mfa_level: c.word()?,
            need_update_password: c.bool()?,
            is_service_account: c.bool()?,
            lang: c.text()?,
            last_login: c.opt_time()?,
            comment: c.text()?,
            meta: read_meta(c)?,
        })
    }
    fn uniques(&self) -> Vec<Unique> {
        vec![
            unique("username", "username_key = ?", args![User::canonical(&self.username)], &self.username),
            // an empty address equals no stored one: those are kept as NULL
            unique("email", "email_key = ?", args![self.email.trim().to_lowercase()], &self.email),
        ]
    }
    fn search(&self) -> Vec<&str> {
        vec![&self.username, &self.name, &self.email, &self.comment]
    }
}

impl Table for PublicKey {
    const NAME: &'static str = "public_keys";
    const COLUMNS: &'static [&'static str] = &["id", "user_id", "name", "public_key", "fingerprint", "is_active", "date_last_used"];
    const FROZEN: &'static [&'static str] = &["user_id", "date_last_used"];
    fn owner(&self) -> Vec<(&'static str, Val)> {
        vec![("user_id", self.user.into())]
    }
    fn values(&self) -> Vec<Val> {
        args![self.id, self.user, &self.name, &self.public_key, &self.fingerprint, self.is_active, self.date_last_used]
    }
    fn read(c: &mut Cells) -> Result<Self> {
        Ok(PublicKey {
            id: c.id()?,
            user: c.id()?,
            name: c.text()?,
            public_key: c.text()?,
            fingerprint: c.text()?,
            is_active: c.bool()?,
            date_last_used: c.opt_time()?,
            meta: read_meta(c)?,
        })
    }
    fn uniques(&self) -> Vec<Unique> {
        vec![unique("public_key", "user_id = ? AND fingerprint = ?", args![self.user, &self.fingerprint], &self.fingerprint)]
    }
    fn search(&self) -> Vec<&str> {
        vec![&self.name, &self.fingerprint]
    }
}

impl Table for RoleBinding {
    const NAME: &'static str = "role_bindings";
    const COLUMNS: &'static [&'static str] = &["id", "user_id", "role_id", "org_id"];
    const EXTRA: &'static [&'static str] = &["org_key"];
    const FROZEN: &'static [&'static str] = &["org_id", "org_key"];
    fn owner(&self) -> Vec<(&'static str, Val)> {
        vec![("org_key", org_key(self).into())]
    }
    fn values(&self) -> Vec<Val> {
        args![self.id, self.user, self.role, self.organization, org_key(self)]
    }
    fn read(c: &mut Cells) -> Result<Self> {
        Ok(RoleBinding { id: c.id()?, user: c.id()?, role: c.id()?, organization: c.opt_id()?, meta: read_meta(c)? })
    }
    fn uniques(&self) -> Vec<Unique> {
        vec![unique("role", "user_id = ? AND role_id = ? AND org_key = ?", args![self.user, self.role, org_key(self)], &self.role.to_string())]
    }
    fn search(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// The organization of a binding, or empty: NULLs would be distinct in a unique index.
fn org_key(b: &RoleBinding) -> String {
    b.organization.map(|o| o.to_string()).unwrap_or_default()
}

impl Table for UserGroup {
    const NAME: &'static str = "user_groups";
    const COLUMNS: &'static [&'static str] = &["id", "org_id", "name", "comment"];
    const FROZEN: &'static [&'static str] = &["org_id"];
    fn owner(&self) -> Vec<(&'static str, Val)> {
        vec![("org_id", self.org.into())]
    }
    fn values(&self) -> Vec<Val> {
        args![self.id, self.org, &self.name, &self.comment]
    }
    fn read(c: &mut Cells) -> Result<Self> {
        Ok(UserGroup { id: c.id()?, org: c.id()?, name: c.text()?, users: Vec::new(), comment: c.text()?, meta: read_meta(c)? })
    }
    fn uniques(&self) -> Vec<Unique> {
        vec![unique("name", "org_id = ? AND name = ?", args![self.org, &self.name], &self.name)]
    }
    fn search(&self) -> Vec<&str> {
        vec![&self.name, &self.comment]
    }
}

impl Table for Node {
    const NAME: &'static str = "nodes";
    const COLUMNS: &'static [&'static str] = &["id", "org_id", "node_key", "value", "full_value", "child_mark"];
    const EXTRA: &'static [&'static str] = &["parent_key"];
    const FROZEN: &'static [&'static str] = &["org_id"];
    fn owner(&self) -> Vec<(&'static str, Val)> {
        vec![("org_id", self.org.into())]
    }
    fn values(&self) -> Vec<Val> {
        args![self.id, self.org, self.key.as_str(), &self.value, &self.full_value, self.child_mark, parent_key(&self.key)]
    }
    fn read(c: &mut Cells) -> Result<Self> {
        let (id, org, key) = (c.id()?, c.id()?, c.text()?);
        let key = NodeKey::parse(&key).ok_or_else(|| StoreError::Corrupt("node key".to_owned()))?;
        Ok(Node { id, org, key, value: c.text()?, full_value: c.text()?, child_mark: c.int()?, meta: read_meta(c)? })
    }
    fn uniques(&self) -> Vec<Unique> {
        vec![
            unique("key", "node_key = ?", args![self.key.as_str()], self.key.as_str()),
            unique("value", "org_id = ? AND parent_key = ? AND value = ?", args![self.org, parent_key(&self.key), &self.value], &self.value),
        ]
    }
    fn search(&self) -> Vec<&str> {
        vec![&self.value, &self.full_value]
    }
}

fn parent_key(key: &NodeKey) -> String {
    key.parent().map(|p| p.as_str().to_owned()).unwrap_or_default()
}

impl Table for Asset {
    const NAME: &'static str = "assets";
    const COLUMNS: &'static [&'static str] =
        &["id", "org_id", "name", "address", "platform_id", "category", "protocols", "is_active", "connectivity", "date_verified", "comment"];
    const FROZEN: &'static [&'static str] = &["org_id"];
    fn owner(&self) -> Vec<(&'static str, Val)> {
        vec![("org_id", self.org.into())]
    }
    fn values(&self) -> Vec<Val> {
        args![
            self.id,
            self.org,
            &self.name,
            &self.address,
            self.platform,
            self.category.as_str(),
            json(&self.protocols),
            self.is_active,
            word(&self.connectivity),
            self.date_verified,
            &self.comment
        ]
    }
    fn read(c: &mut Cells) -> Result<Self> {
        Ok(Asset {
            id: c.id()?,
            org: c.id()?,
            name: c.text()?,
            address: c.text()?,
            platform: c.id()?,
            category: c.word()?,
            nodes: Vec::new(),
            protocols: c.json()?,
            is_active: c.bool()?,
            connectivity: c.word()?,
            date_verified: c.opt_time()?,
            comment: c.text()?,
            meta: read_meta(c)?,
        })
    }
    fn uniques(&self) -> Vec<Unique> {
        vec![unique("name", "org_id = ? AND name = ?", args![self.org, &self.name], &self.name)]
    }
    fn search(&self) -> Vec<&str> {
        vec![&self.name, &self.address, &self.comment]
    }
}

impl Table for Account {
    const NAME: &'static str = "accounts";
    const COLUMNS: &'static [&'static str] = &[
        "id", "org_id", "asset_id", "name", "username", "secret_type", "has_secret", "privileged", "is_active", "secret_reset", "su_from", "source", "version",
        "connectivity", "date_verified", "date_change_secret", "comment",
    ];
    // an account does not move: its secrets and logs are those of its asset
    const FROZEN: &'static [&'static str] = &["org_id", "asset_id"];
    fn owner(&self) -> Vec<(&'static str, Val)> {
        vec![("org_id", self.org.into()), ("asset_id", self.asset.into())]
    }
    fn values(&self) -> Vec<Val> {
        args![
            self.id,
            self.org,
            self.asset,
            &self.name,
            &self.username,
            self.secret_type.as_str(),
            self.has_secret,
            self.privileged,
            self.is_active,
            self.secret_reset,
            self.su_from,
            &self.source,
            self.version,
            word(&self.connectivity),
            self.date_verified,
            self.date_change_secret,
            &self.comment
        ]
    }
    fn read(c: &mut Cells) -> Result<Self> {
        Ok(Account {
            id: c.id()?,
            org: c.id()?,
            asset: c.id()?,
            name: c.text()?,
            username: c.text()?,
            secret_type: c.word()?,
            has_secret: c.bool()?,
            privileged: c.bool()?,
            is_active: c.bool()?,
            secret_reset: c.bool()?,
            su_from: c.opt_id()?,
            source: c.text()?,
            version: c.int()?,
            connectivity: c.word()?,
            date_verified: c.opt_time()?,
            date_change_secret: c.opt_time()?,
            comment: c.text()?,
            meta: read_meta(c)?,
        })
    }
    fn uniques(&self) -> Vec<Unique> {
        vec![
            unique("name", "asset_id = ? AND name = ?", args![self.asset, &self.name], &self.name),
            unique(
                "username",
                "asset_id = ? AND username = ? AND secret_type = ?",
                args![self.asset, &self.username, self.secret_type.as_str()],
                &self.username,
            ),
        ]
    }
    fn search(&self) -> Vec<&str> {
        vec![&self.name, &self.username, &self.comment]
    }
}

impl Table for AssetPermission {
    const NAME: &'static str = "asset_permissions";
    const COLUMNS: &'static [&'static str] =
        &["id", "org_id", "name", "accounts", "protocols", "actions", "date_start", "date_expired", "is_active", "comment"];
    const FROZEN: &'static [&'static str] = &["org_id"];
    fn owner(&self) -> Vec<(&'static str, Val)> {
        vec![("org_id", self.org.into())]
    }
    fn values(&self) -> Vec<Val> {
        args![
            self.id,
            self.org,
            &self.name,
            json(&self.accounts),
            json(&self.protocols),
            i64::from(self.actions.bits()),
            self.date_start,
            self.date_expired,
            self.is_active,
            &self.comment
        ]
    }
    fn read(c: &mut Cells) -> Result<Self> {
        let actions = |bits: i64| u16::try_from(bits).map(Actions::from_bits).map_err(|e| StoreError::Corrupt(e.to_string()));
        Ok(AssetPermission {
            id: c.id()?,
            org: c.id()?,
            name: c.text()?,
            users: Vec::new(),
            user_groups: Vec::new(),
            assets: Vec::new(),
            nodes: Vec::new(),
            accounts: c.json()?,
            protocols: c.json()?,
            actions: actions(c.int()?)?,
            date_start: c.time()?,
            date_expired: c.time()?,
            is_active: c.bool()?,
            comment: c.text()?,
            meta: read_meta(c)?,
        })
    }
    fn uniques(&self) -> Vec<Unique> {
        vec![unique("name", "org_id = ? AND name = ?", args![self.org, &self.name], &self.name)]
    }
    fn search(&self) -> Vec<&str> {
        vec![&self.name, &self.comment]
    }
}
