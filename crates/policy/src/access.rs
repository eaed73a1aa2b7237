//! Asset permissions evaluated (jb §1.11), as pure functions that explain themselves.
//!
//! Differences from the reference, on purpose (jb appendix B): an exclusion takes away exactly the actions its rule
//! names (AND-NOT, never arithmetic), and "all actions" is the explicit set. An exclusion also reaches a user name that
//! is typed (`@INPUT`) or that is the person's own (`@USER`).

use std::collections::BTreeMap;

use model::{Account, AccountAlias, Action, Actions, Asset, AssetPermission, Id, MessagePair, NodeKey, Time, User, UserGroup};
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
    /// The account as the facts have it, never as the caller wrote it.
    pub(crate) account: TargetAccount,
    pub(crate) actions: Actions,
    pub(crate) expires: Option<Time>,
    pub(crate) why: Explanation,
}

fn effect(user: Id<User>, f: &Facts<'_>, rule: &AssetPermission, rule_nodes: &[NodeKey], now: Time) -> RuleEffect {
    let names_person = rule.users.contains(&user) || rule.user_groups.iter().any(|g| f.groups.contains(g));
    let covers_asset =
        rule.org == f.asset.org && (rule.assets.contains(&f.asset.id) || rule_nodes.iter().any(|rn| f.asset_nodes.iter().any(|an| rn.covers(an))));
    match () {
        () if !names_person => RuleEffect::OtherPeople,
        () if !covers_asset => RuleEffect::OtherAssets,
        () if !rule.is_active => RuleEffect::Inactive,
        () if now < rule.date_start => RuleEffect::NotYet,
        () if now >= rule.date_expired => RuleEffect::Expired,
        () => RuleEffect::Applies,
    }
}

/// What the person of `facts` may do on the asset of `facts`. Whether person and asset are active is not looked at.
pub fn evaluate(facts: &Facts<'_>, now: Time) -> Access {
    weigh(facts, now).0
}

/// The evaluation with its intermediate sums. Steps are those of jb §1.11.
fn weigh(facts: &Facts<'_>, now: Time) -> (Access, Tally, Vec<(AccountAccess, Sum)>) {
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

    let tally = Tally::of(facts, &applying, &mut why);
    let usable = accounts_of(facts, &tally);
    let accounts = usable.iter().map(|(a, _)| a.clone()).collect();
    (Access { protocols, accounts, why }, tally, usable)
}

/// What rules can give something to. A user name that looks like an alias stays a user name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Name(String),
    Input,
    User,
    Anon,
}

/// What was granted to one user name or virtual account so far.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    actions: Actions,
    expires: Option<Time>,
    /// Latest expiry of the rules that give `connect`.
    connect_until: Option<Time>,
}

impl Sum {
    fn add(&mut self, rule: &AssetPermission) {
        // a rule that gives nothing does not lengthen what others give
        if rule.actions.is_empty() {
            return;
        }
        self.actions = self.actions | rule.actions;
        self.expires = self.expires.max(Some(rule.date_expired));
        if rule.actions.has(Action::Connect) {
            self.connect_until = self.connect_until.max(Some(rule.date_expired));
        }
    }
    fn and(mut self, other: Sum) -> Self {
        self.actions = self.actions | other.actions;
        self.expires = self.expires.max(other.expires);
        self.connect_until = self.connect_until.max(other.connect_until);
        self
    }
    fn without(mut self, minus: Actions) -> Self {
        self.actions = self.actions.without(minus);
        self
    }
}

/// Steps 5 to 7: what the rules give and take, before it meets the stored accounts.
#[derive(Default)]
struct Tally {
    given: BTreeMap<Key, Sum>,
    taken: BTreeMap<String, Actions>,
}

impl Tally {
    fn of(facts: &Facts<'_>, rules: &[&AssetPermission], why: &mut Explanation) -> Self {
        let mut tally = Self::default();
        for rule in rules {
            for written in &rule.accounts {
                match AccountAlias::parse(written) {
                    AccountAlias::All => {
                        for account in facts.accounts.iter().filter(|a| a.is_active) {
                            tally.give(Key::Name(account.username.clone()), &account.username, rule, why);
                        }
                    }
                    AccountAlias::Input => tally.give(Key::Input, written, rule, why),
                    AccountAlias::User => tally.give(Key::User, written, rule, why),
                    AccountAlias::Anon => tally.give(Key::Anon, written, rule, why),
                    AccountAlias::Named(name) => tally.give(Key::Name(name.clone()), &name, rule, why),
                    AccountAlias::Except(name) => tally.take(name, rule, why),
                    AccountAlias::Spec | AccountAlias::Unknown(_) => {}
                }
            }
        }
        tally
    }

    fn give(&mut self, key: Key, written: &str, rule: &AssetPermission, why: &mut Explanation) {
        self.given.entry(key).or_default().add(rule);
        let note = why.accounts.entry(written.to_owned()).or_default();
        note.granted = note.granted | rule.actions;
        name_once(&mut note.granted_by, &rule.name);
    }

    fn take(&mut self, name: String, rule: &AssetPermission, why: &mut Explanation) {
        let note = why.accounts.entry(name.clone()).or_default();
        note.withheld = note.withheld | rule.actions;
        name_once(&mut note.withheld_by, &rule.name);
        let sum = self.taken.entry(name).or_default();
        *sum = *sum | rule.actions;
    }

    fn given(&self, key: &Key) -> Sum {
        self.given.get(key).copied().unwrap_or_default()
    }

    fn taken(&self, name: &str) -> Actions {
        self.taken.get(name).copied().unwrap_or_default()
    }

    /// What is left for a user name, `@USER` counted in when it is the person's own.
    fn for_name(&self, name: &str, person: &User) -> Sum {
        let own = if name == person.username { self.given(&Key::User) } else { Sum::default() };
        self.given(&Key::Name(name.to_owned())).and(own).without(self.taken(name))
    }
}

fn name_once(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|n| n == name) {
        names.push(name.to_owned());
    }
}

/// Step 8: real accounts, sorted by user name, then virtual ones.
fn accounts_of(facts: &Facts<'_>, tally: &Tally) -> Vec<(AccountAccess, Sum)> {
    let access = |account, sum: Sum| {
        let expires = sum.expires.filter(|_| !sum.actions.is_empty())?;
        Some((AccountAccess { account, actions: sum.actions, expires }, sum))
    };
    let mut stored: Vec<&Account> = facts.accounts.iter().filter(|a| a.is_active).collect();
    stored.sort_by(|a, b| (&a.username, a.secret_type, a.id).cmp(&(&b.username, b.secret_type, b.id)));
    let own_is_stored = stored.iter().any(|a| a.username == facts.user.username);

    let mut all: Vec<_> = stored.into_iter().filter_map(|a| access(TargetAccount::Real(a.clone()), tally.for_name(&a.username, facts.user))).collect();
    all.extend(access(TargetAccount::Input { username: String::new() }, tally.given(&Key::Input)));
    if !own_is_stored {
        let username = facts.user.username.clone();
        let sum = tally.given(&Key::User).without(tally.taken(&username));
        all.extend(access(TargetAccount::SameName { username, stored: None }, sum));
    }
    all.extend(access(TargetAccount::Anonymous, tally.given(&Key::Anon)));
    all
}

/// The usable account that a question means. A person's own name is `@USER`, stored or not, however it is asked for.
fn find<'a>(usable: &'a [(AccountAccess, Sum)], asked: &TargetAccount, person: &User) -> Option<&'a (AccountAccess, Sum)> {
    let real = |id| usable.iter().find(|(u, _)| matches!(&u.account, TargetAccount::Real(a) if a.id == id));
    let own = || usable.iter().find(|(u, _)| matches!(&u.account, TargetAccount::SameName { .. }));
    match asked {
        TargetAccount::Real(a) => real(a.id),
        TargetAccount::Anonymous => usable.iter().find(|(u, _)| u.account == TargetAccount::Anonymous),
        TargetAccount::Input { username } => {
            let typed = usable.iter().find(|(u, _)| matches!(&u.account, TargetAccount::Input { .. }));
            typed.or_else(|| own().filter(|_| *username == person.username))
        }
        TargetAccount::SameName { stored, .. } => {
            let named = stored.as_ref().and_then(|a| real(a.id)).filter(|(u, _)| u.account.username() == person.username);
            let any = || usable.iter().find(|(u, _)| matches!(&u.account, TargetAccount::Real(a) if a.username == person.username));
            named.or_else(any).or_else(own)
        }
    }
}

/// Decides one connection over the evaluation.
pub(crate) fn allow(who: Id<User>, facts: &Facts<'_>, target: &ConnectTarget, now: Time) -> Result<Allowed, Denial> {
    let (access, tally, usable) = weigh(facts, now);
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
    if let TargetAccount::Real(a) = &target.account
        && facts.accounts.iter().any(|x| x.id == a.id && !x.is_active)
    {
        return deny(DenialReason::AccountInactive);
    }
    // INVARIANT: typing the name of an excluded account at @INPUT does not bring it back.
    let name = match &target.account {
        TargetAccount::SameName { .. } => &facts.user.username,
        other => other.username(),
    };
    let taken = tally.taken(name);
    let Some((found, sum)) = find(&usable, &target.account, facts.user) else {
        return deny(if taken.is_empty() { DenialReason::Account } else { DenialReason::AccountExcluded });
    };
    let actions = found.actions.without(taken);
    if !actions.has(Action::Connect) {
        return deny(if taken.has(Action::Connect) { DenialReason::AccountExcluded } else { DenialReason::Action });
    }
    let account = match (&found.account, &target.account) {
        (TargetAccount::Input { .. }, TargetAccount::Input { username }) => TargetAccount::Input { username: username.clone() },
        (stored, _) => stored.clone(),
    };
    let until = [sum.connect_until, facts.user.date_expired].into_iter().flatten().min();
    Ok(Allowed { account, actions, expires: until, why: access.why })
}
