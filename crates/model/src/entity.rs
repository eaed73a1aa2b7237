//! What every managed object has in common.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Account, Asset, AssetPermission, Id, Node, Org, Platform, PublicKey, Role, RoleBinding, Time, User, UserGroup};

/// Who made an object, when, and which revision of it this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Grows by one with each change; carried as ETag, compared on update.
    pub revision: i64,
    /// Display name of the creator, kept even when the person is gone.
    pub created_by: String,
    /// Display name of the last editor.
    pub updated_by: String,
    /// When it was made.
    pub date_created: Time,
    /// When it was last changed.
    pub date_updated: Time,
}

impl Meta {
    /// The meta data of an object made now by `who`.
    pub fn new(who: &str, now: Time) -> Self {
        Self { revision: 0, created_by: who.to_owned(), updated_by: who.to_owned(), date_created: now, date_updated: now }
    }
}

/// The kinds of managed objects. Order is the order in which references point: later kinds refer to earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// [`Org`]
    Org,
    /// [`Role`]
    Role,
    /// [`Platform`]
    Platform,
    /// [`User`]
    User,
    /// [`PublicKey`]
    PublicKey,
    /// [`RoleBinding`]
    RoleBinding,
    /// [`UserGroup`]
    UserGroup,
    /// [`Node`]
    Node,
    /// [`Asset`]
    Asset,
    /// [`Account`]
    Account,
    /// [`AssetPermission`]
    AssetPermission,
}

impl Kind {
    /// Every kind, referred-to kinds first.
    pub const ALL: [Kind; 11] = [
        Kind::Org,
        Kind::Role,
        Kind::Platform,
        Kind::User,
        Kind::PublicKey,
        Kind::RoleBinding,
        Kind::UserGroup,
        Kind::Node,
        Kind::Asset,
        Kind::Account,
        Kind::AssetPermission,
    ];
    /// The Django-style resource name in permission codes and logs, for example `userpublickey`.
    pub const fn resource(self) -> &'static str {
        match self {
            Kind::Org => "organization",
            Kind::Role => "role",
            Kind::Platform => "platform",
            Kind::User => "user",
            Kind::PublicKey => "sshkey",
            Kind::RoleBinding => "rolebinding",
            Kind::UserGroup => "usergroup",
            Kind::Node => "node",
            Kind::Asset => "asset",
            Kind::Account => "account",
            Kind::AssetPermission => "assetpermission",
        }
    }
    /// The app part of permission codes.
    pub const fn app(self) -> &'static str {
        match self {
            Kind::Org => "orgs",
            Kind::Role | Kind::RoleBinding => "rbac",
            Kind::Platform | Kind::Node | Kind::Asset => "assets",
            Kind::User | Kind::UserGroup => "users",
            Kind::PublicKey => "authentication",
            Kind::Account => "accounts",
            Kind::AssetPermission => "perms",
        }
    }
    /// Global kinds belong to the installation, the others to one organization.
    pub const fn is_global(self) -> bool {
        matches!(self, Kind::Org | Kind::Role | Kind::Platform | Kind::User | Kind::PublicKey | Kind::RoleBinding)
    }
}

/// A managed object.
pub trait Entity: Clone + Send + Sync + Serialize + DeserializeOwned + Into<Record> + TryFrom<Record, Error = Record> + 'static {
    /// Which kind this is.
    const KIND: Kind;
    /// Its id.
    fn id(&self) -> Id<Self>;
    /// The organization that owns it; `None` for global kinds.
    fn org(&self) -> Option<Id<Org>>;
    /// What people call it.
    fn name(&self) -> &str;
    /// Bookkeeping.
    fn meta(&self) -> &Meta;
    /// Bookkeeping, to change.
    fn meta_mut(&mut self) -> &mut Meta;
}

macro_rules! records {
    ($($name:ident, org = $org:expr, label = $label:expr;)*) => {
        /// Any managed object: the currency of the unit of work.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        #[allow(clippy::large_enum_variant)]
        pub enum Record { $(#[doc = concat!("A [`", stringify!($name), "`]")] $name($name)),* }

        $(impl From<$name> for Record { fn from(e: $name) -> Self { Record::$name(e) } }
        impl TryFrom<Record> for $name {
            type Error = Record;
            fn try_from(r: Record) -> Result<Self, Record> { if let Record::$name(e) = r { Ok(e) } else { Err(r) } }
        }
        impl Entity for $name {
            const KIND: Kind = Kind::$name;
            fn id(&self) -> Id<Self> { self.id }
            fn org(&self) -> Option<Id<Org>> { let f: fn(&$name) -> Option<Id<Org>> = $org; f(self) }
            fn name(&self) -> &str { let f: fn(&$name) -> &str = $label; f(self) }
            fn meta(&self) -> &Meta { &self.meta }
            fn meta_mut(&mut self) -> &mut Meta { &mut self.meta }
        })*

        impl Record {
            /// Its kind.
            pub fn kind(&self) -> Kind { match self { $(Record::$name(_) => Kind::$name),* } }
            /// Its id, without the type.
            pub fn uuid(&self) -> uuid::Uuid { match self { $(Record::$name(e) => e.id.uuid()),* } }
            /// The organization that owns it; `None` for global kinds.
            pub fn org(&self) -> Option<Id<Org>> { match self { $(Record::$name(e) => e.org()),* } }
            /// What people call it.
            pub fn name(&self) -> &str { match self { $(Record::$name(e) => e.name()),* } }
            /// Bookkeeping.
            pub fn meta(&self) -> &Meta { match self { $(Record::$name(e) => &e.meta),* } }
            /// Bookkeeping, to change.
            pub fn meta_mut(&mut self) -> &mut Meta { match self { $(Record::$name(e) => &mut e.meta),* } }
        }
    };
}

records! {
    Org, org = |_| None, label = |e| &e.name;
    Role, org = |_| None, label = |e| &e.name;
    Platform, org = |_| None, label = |e| &e.name;
    User, org = |_| None, label = |e| &e.username;
    PublicKey, org = |_| None, label = |e| &e.name;
    RoleBinding, org = |_| None, label = |_| "";
    UserGroup, org = |e| Some(e.org), label = |e| &e.name;
    Node, org = |e| Some(e.org), label = |e| &e.full_value;
    Asset, org = |e| Some(e.org), label = |e| &e.name;
    Account, org = |e| Some(e.org), label = |e| &e.name;
    AssetPermission, org = |e| Some(e.org), label = |e| &e.name;
}
