//! Asset permissions (jb §1.11).

use std::{fmt, ops};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Asset, Id, Meta, Node, Org, Time, User, UserGroup};

/// One thing a rule can allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum Action {
    /// Open a session.
    Connect = 1,
    /// Send files.
    Upload = 2,
    /// Fetch files.
    Download = 4,
    /// Clipboard from the target.
    Copy = 8,
    /// Clipboard to the target.
    Paste = 16,
    /// Remove files.
    Delete = 32,
    /// Create a share link.
    Share = 64,
}

impl Action {
    /// All of them, in wire order.
    pub const ALL: [Action; 7] = [Action::Connect, Action::Upload, Action::Download, Action::Copy, Action::Paste, Action::Delete, Action::Share];
    /// The wire word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Action::Connect => "connect",
            Action::Upload => "upload",
            Action::Download => "download",
            Action::Copy => "copy",
            Action::Paste => "paste",
            Action::Delete => "delete",
            Action::Share => "share",
        }
    }
    /// Reads the wire word.
    pub fn parse(s: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.as_str() == s)
    }
}

/// A set of [`Action`]s. Serialises as a list of words.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Actions(u16);

impl Actions {
    /// Nothing.
    pub const NONE: Actions = Actions(0);
    /// Every action there is.
    pub const ALL: Actions = Actions(127);
    /// From stored bits; unknown bits are dropped.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & Self::ALL.0)
    }
    /// To stored bits.
    pub const fn bits(self) -> u16 {
        self.0
    }
    /// Whether `a` is in it.
    pub const fn has(self, a: Action) -> bool {
        self.0 & a as u16 != 0
    }
    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// The actions of `self` that are not in `other` (AND-NOT).
    #[must_use]
    pub const fn without(self, other: Actions) -> Self {
        Self(self.0 & !other.0)
    }
    /// Its members.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(move |a| self.has(*a))
    }
}

impl ops::BitOr for Actions {
    type Output = Actions;
    fn bitor(self, o: Actions) -> Actions {
        Actions(self.0 | o.0)
    }
}
impl ops::BitAnd for Actions {
    type Output = Actions;
    fn bitand(self, o: Actions) -> Actions {
        Actions(self.0 & o.0)
    }
}
impl From<Action> for Actions {
    fn from(a: Action) -> Self {
        Actions(a as u16)
    }
}
impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(i: I) -> Self {
        i.into_iter().fold(Actions::NONE, |s, a| s | a.into())
    }
}
impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Action::as_str)).finish()
    }
}
impl Serialize for Actions {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.iter().map(Action::as_str))
    }
}
impl<'de> Deserialize<'de> for Actions {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(d)?;
        words.iter().map(|w| Action::parse(w).ok_or_else(|| serde::de::Error::custom(format!("unknown action `{w}`")))).collect()
    }
}

/// How a rule names accounts (jb §1.8).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccountAlias {
    /// `@ALL`: every active account of the asset.
    All,
    /// `@SPEC`: marker of the user interface, grants nothing.
    Spec,
    /// `@INPUT`: the person types user name and secret.
    Input,
    /// `@USER`: the account named like the person's login.
    User,
    /// `@ANON`: no credential.
    Anon,
    /// `!name`: takes the rule's actions away from that user name.
    Except(String),
    /// A user name.
    Named(String),
    /// Another `@word`: reserved, grants nothing.
    Unknown(String),
}

impl AccountAlias {
    /// Reads the wire form.
    pub fn parse(s: &str) -> Self {
        match s {
            "@ALL" => Self::All,
            "@SPEC" => Self::Spec,
            "@INPUT" => Self::Input,
            "@USER" => Self::User,
            "@ANON" => Self::Anon,
            _ if s.starts_with('@') => Self::Unknown(s.to_owned()),
            _ => match s.strip_prefix('!') {
                Some(name) => Self::Except(name.to_owned()),
                None => Self::Named(s.to_owned()),
            },
        }
    }
}

/// A rule that grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetPermission {
    /// Id.
    pub id: Id<AssetPermission>,
    /// Owner.
    pub org: Id<Org>,
    /// Unique in the organization.
    pub name: String,
    /// People named directly.
    pub users: Vec<Id<User>>,
    /// Groups of people.
    pub user_groups: Vec<Id<UserGroup>>,
    /// Assets named directly.
    pub assets: Vec<Id<Asset>>,
    /// Folders; everything in and below them.
    pub nodes: Vec<Id<Node>>,
    /// User names and aliases, see [`AccountAlias`].
    pub accounts: Vec<String>,
    /// Protocols; `all` means every protocol of the asset.
    pub protocols: Vec<String>,
    /// What is allowed.
    pub actions: Actions,
    /// In force from.
    pub date_start: Time,
    /// In force until (exclusive).
    pub date_expired: Time,
    /// Switched on.
    pub is_active: bool,
    /// Free text.
    pub comment: String,
    /// Bookkeeping.
    pub meta: Meta,
}

impl AssetPermission {
    /// Active and inside its dates: start ≤ now < expiry.
    pub fn is_valid(&self, now: Time) -> bool {
        self.is_active && self.date_start <= now && now < self.date_expired
    }
}
