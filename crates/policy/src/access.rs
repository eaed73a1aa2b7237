//! Asset permissions evaluated (jb §1.11), as pure functions that explain themselves.
//!
//! Differences from the reference, on purpose (jb appendix B): an exclusion takes away exactly the actions its rule
//! names (AND-NOT, never arithmetic), and "all actions" is the explicit set.

use std::collections::BTreeMap;

use model::{Account, AccountAlias, Actions, Asset, AssetPermission, Id, MessagePair, NodeKey, Time, User, UserGroup};
use serde::Serialize;

use crate::action::{ConnectTarget, TargetAccount};

/// Everything one decision looks at. Assembled by the store; `rules` may hold rules that do not apply.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The person.
    pub user: &'a User,
    /// Groups the person is in.
    pub groups: &'a [Id<UserGroup>],
    /// The target.
    pub asset: &'a Asset,
    /// Keys of the nodes the asset lies in.
    pub asset_nodes: &'a [NodeKey],
    /// Accounts of the asset.
    pub accounts: &'a [Account],
    /// Candidate rules, each with the keys of the nodes it names.
    pub rules: &'a [(AssetPermission, Vec<NodeKey>)],
}

/// Which of the asset's protocols are open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Protocols {
    /// A rule says `all`.
    All,
    /// The union of the rules' lists.
    Only(Vec<String>),
}

impl Protocols {
    /// Whether `name` is open. `sftp` is not implied by `ssh`.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Protocols::All => true,
            Protocols::Only(v) => v.iter().any(|p| p == name),
        }
    }
}

/// One account a person may use, real or virtual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountAccess {
    /// As whom.
    pub account: TargetAccount,
    /// What is allowed.
    pub actions: Actions,
    /// Latest expiry of the contributing rules.
    pub expires: Time,
}

/// What a person may do on one asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Open protocols.
    pub protocols: Protocols,
    /// Usable accounts, real ones first, each sorted by user name.
    pub accounts: Vec<AccountAccess>,
    /// Which rules did what.
    pub why: Explanation,
}

/// What one rule did to one decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleEffect {
    /// Names the person and the asset and is in force.
    Applies,
    /// Does not name the person.
    OtherPeople,
    /// Does not cover the asset.
    OtherAssets,
    /// Switched off.
    Inactive,
    /// Starts later.
    NotYet,
    /// Is over.
    Expired,
}

/// The explanation of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Explanation {
    /// Every rule that names the person or the asset, with its effect.
    pub rules: Vec<RuleNote>,
    /// Per account alias as written in rules: what was given, what was taken, by which rules.
    pub accounts: BTreeMap<String, AccountNote>,
}

/// A rule in an explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleNote {
    /// Id of the rule.
    pub id: Id<AssetPermission>,
    /// Its name.
    pub name: String,
    /// What it did.
    pub effect: RuleEffect,
}

/// An account in an explanation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AccountNote {
    /// Actions given.
    pub granted: Actions,
    /// Rules that gave them.
    pub granted_by: Vec<String>,
    /// Actions taken away by `!name`.
    pub withheld: Actions,
    /// Rules that took them.
    pub withheld_by: Vec<String>,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DenialReason {
    /// The person is inactive or expired.
    UserInactive,
    /// The asset is switched off.
    AssetInactive,
    /// The account is switched off.
    AccountInactive,
    /// No rule covers person and asset.
    NoPermission,
    /// Rules would, but none has started.
    NotYetValid,
    /// Rules would, but all are over.
    Expired,
    /// The asset does not speak the protocol or the rules do not open it.
    Protocol,
    /// The account is excluded by `!name`.
    AccountExcluded,
    /// The account is not among those granted.
    Account,
    /// The account is granted without `connect`.
    Action,
}

impl DenialReason {
    /// Stable code of the message for people.
    pub const fn code(self) -> &'static str {
        match self {
            DenialReason::UserInactive => "access.user_inactive",
            DenialReason::AssetInactive => "access.asset_inactive",
            DenialReason::AccountInactive => "access.account_inactive",
            DenialReason::NoPermission => "access.no_permission",
            DenialReason::NotYetValid => "access.not_yet_valid",
            DenialReason::Expired => "access.expired",
            DenialReason::Protocol => "access.protocol",
            DenialReason::AccountExcluded => "access.account_excluded",
            DenialReason::Account => "access.account_not_granted",
            DenialReason::Action => "access.connect_not_granted",
        }
    }
}

/// A refusal that explains itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub reason: DenialReason,
    /// Which rules were looked at.
    pub why: Explanation,
}

impl Denial {
    /// The sentence for the person and the detail for the log.
    pub fn message(&self) -> MessagePair {
        let rules: Vec<String> = self.why.rules.iter().map(|r| format!("{}: {:?}", r.name, r.effect)).collect();
        MessagePair::new(self.reason.code(), format!("{:?}; rules looked at: [{}]", self.reason, rules.join(", ")))
    }
}

/// A positive decision about one connection.
pub(crate) struct Allowed {
    pub(crate) actions: Actions,
    pub(crate) expires: Option<Time>,
    pub(crate) why: Explanation,
}

fn effect(user: Id<User>, f: &Facts<'_>, rule: &AssetPermission, rule_nodes: &[NodeKey], now: Time) -> RuleEffect {
    let names_person = rule.users.contains(&user) || rule.user_groups.iter().any(|g| f.groups.contains(g));
    let covers_asset = rule.org == f.asset.org
        && (rule.assets.contains(&f.asset.id) || rule_nodes.iter().any(|rn| f.asset_nodes.iter().any(|an| rn.covers(an))));
    match () {
        () if !names_person => RuleEffect::OtherPeople,
        () if !covers_asset => RuleEffect::OtherAssets,
        () if !rule.is_active => RuleEffect::Inactive,
        () if now < rule.date_start => RuleEffect::NotYet,
        () if now >= rule.date_expired => RuleEffect::Expired,
        () => RuleEffect::Applies,
    }
}

/// What the person of `facts` may do on the asset of `facts`. Steps are those of jb §1.11.
pub fn evaluate(facts: &Facts<'_>, now: Time) -> Access {
    let mut why = Explanation::default();
    let mut applying: Vec<&AssetPermission> = Vec::new();
    for (rule, nodes) in facts.rules {
        let effect = effect(facts.user.id, facts, rule, nodes, now);
        if effect == RuleEffect::Applies {
            applying.push(rule);
        }
        if effect != RuleEffect::OtherPeople {
            why.rules.push(RuleNote { id: rule.id, name: rule.name.clone(), effect });
        }
    }

    let mut protocols = Protocols::Only(Vec::new());
    for p in applying.iter().flat_map(|r| &r.protocols) {
        match &mut protocols {
            Protocols::All => {}
            _ if p == "all" => protocols = Protocols::All,
            Protocols::Only(v) if !v.contains(p) => v.push(p.clone()),
            Protocols::Only(_) => {}
        }
    }

    let accounts = accounts_of(facts, &applying, &mut why);
    Access { protocols, accounts, why }
}

/// What was granted to one user name or virtual account so far.
#[derive(Clone)]
struct Sum {
    actions: Actions,
    expires: Time,
}

fn accounts_of(facts: &Facts<'_>, rules: &[&AssetPermission], why: &mut Explanation) -> Vec<AccountAccess> {
    let mut given: BTreeMap<String, Sum> = BTreeMap::new();
    let mut taken: BTreeMap<String, Actions> = BTreeMap::new();
    for rule in rules {
        for written in &rule.accounts {
            let mut give = |name: &str| {
                let sum = given.entry(name.to_owned()).or_insert(Sum { actions: Actions::NONE, expires: rule.date_expired });
                sum.actions = sum.actions | rule.actions;
                sum.expires = sum.expires.max(rule.date_expired);
                let note = why.accounts.entry(name.to_owned()).or_default();
                note.granted = note.granted | rule.actions;
                note.granted_by.push(rule.name.clone());
            };
            match AccountAlias::parse(written) {
                AccountAlias::All => {
                    let mut names: Vec<&str> = facts.accounts.iter().filter(|a| a.is_active).map(|a| a.username.as_str()).collect();
                    names.sort_unstable();
                    names.dedup();
                    names.into_iter().for_each(&mut give);
                }
                AccountAlias::Input | AccountAlias::User | AccountAlias::Anon => give(written),
                AccountAlias::Named(name) => give(&name),
                AccountAlias::Except(name) => {
                    let sum = taken.entry(name.clone()).or_default();
                    *sum = *sum | rule.actions;
                    let note = why.accounts.entry(name).or_default();
                    note.withheld = note.withheld | rule.actions;
                    note.withheld_by.push(rule.name.clone());
                }
                AccountAlias::Spec | AccountAlias::Unknown(_) => {}
            }
        }
    }
    for (name, minus) in &taken {
        if let Some(sum) = given.get_mut(name) {
            sum.actions = sum.actions.without(*minus);
        }
    }
    given.retain(|_, sum| !sum.actions.is_empty());

    let mut real = Vec::new();
    let mut virtuals = Vec::new();
    for (name, Sum { actions, expires }) in given {
        let access = |account| AccountAccess { account, actions, expires };
        match AccountAlias::parse(&name) {
            AccountAlias::Input => virtuals.push(access(TargetAccount::Input { username: String::new() })),
            AccountAlias::User => {
                let username = facts.user.username.clone();
                let excluded = taken.get(&username).copied().unwrap_or_default();
                let actions = actions.without(excluded);
                let stored = facts.accounts.iter().find(|a| a.is_active && a.username == username).cloned();
                if !actions.is_empty() {
                    virtuals.push(AccountAccess { account: TargetAccount::SameName { username, stored }, actions, expires });
                }
            }
            AccountAlias::Anon => virtuals.push(access(TargetAccount::Anonymous)),
            _ => real.extend(facts.accounts.iter().filter(|a| a.is_active && a.username == name).cloned().map(|a| access(TargetAccount::Real(a)))),
        }
    }
    real.extend(virtuals);
    real
}

/// Decides one connection over the evaluation.
pub(crate) fn allow(who: Id<User>, facts: &Facts<'_>, target: &ConnectTarget, now: Time) -> Result<Allowed, Denial> {
    let access = evaluate(facts, now);
    let deny = |reason| Err(Denial { reason, why: access.why.clone() });
    if who != facts.user.id || target.asset.id != facts.asset.id {
        return deny(DenialReason::NoPermission);
    }
    if !facts.user.is_valid(now) {
        return deny(DenialReason::UserInactive);
    }
    let effects = || access.why.rules.iter().map(|r| r.effect);
    if !effects().any(|e| e == RuleEffect::Applies) {
        return deny(match () {
            () if effects().any(|e| e == RuleEffect::NotYet) => DenialReason::NotYetValid,
            () if effects().any(|e| e == RuleEffect::Expired) => DenialReason::Expired,
            () => DenialReason::NoPermission,
        });
    }
    if !facts.asset.is_active {
        return deny(DenialReason::AssetInactive);
    }
    if facts.asset.port(&target.protocol).is_none() || !access.protocols.has(&target.protocol) {
        return deny(DenialReason::Protocol);
    }
    if let TargetAccount::Real(a) = &target.account {
        if facts.accounts.iter().any(|x| x.id == a.id && !x.is_active) {
            return deny(DenialReason::AccountInactive);
        }
    }
    let alias = target.account.alias();
    let Some(found) = access.accounts.iter().find(|a| a.account.alias() == alias) else {
        let note = access.why.accounts.get(target.account.username());
        return deny(if note.is_some_and(|n| !n.withheld.is_empty()) { DenialReason::AccountExcluded } else { DenialReason::Account });
    };
    // INVARIANT: typing the name of an excluded account at @INPUT does not bring it back.
    if let TargetAccount::Input { username } = &target.account {
        if access.why.accounts.get(username).is_some_and(|n| n.withheld.has(model::Action::Connect)) {
            return deny(DenialReason::AccountExcluded);
        }
    }
    if !found.actions.has(model::Action::Connect) {
        return deny(DenialReason::Action);
    }
    Ok(Allowed { actions: found.actions, expires: Some(found.expires), why: access.why })
}
