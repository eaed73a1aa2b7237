//! The evaluation of asset permissions held against the definition of jb §1.11, on random worlds.
//!
//! The definition is written down here anew, per single question "may this person do this one action as this account on
//! this asset", over the tree as parent pointers; nothing of the evaluator's algorithm or of `NodeKey` is used.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use chrono::TimeDelta;
use model::{
    Account, Action, Actions, Asset, AssetPermission, Category, Connectivity, Id, Meta, Node, NodeKey, Org, Platform, ProtocolPort, SecretType, Time, User,
    UserGroup, builtin_platforms,
};
use policy::{Access, Authority, ConnectTarget, Decider, Facts, Identity, RuleEffect, TargetAccount, access};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

const USERS: [&str; 3] = ["alice", "bob", "root"];
const ACCOUNTS: [&str; 7] = ["root", "alice", "web", "bob", "", "@INPUT", "!root"];
const ALIASES: [&str; 15] =
    ["@ALL", "@ALL", "@SPEC", "@INPUT", "@USER", "@USER", "@ANON", "root", "alice", "web", "!root", "!alice", "!web", "@LATER", "nobody"];
const TYPED: [&str; 5] = ["root", "alice", "web", "bob", "stranger"];
const PROTOCOLS: [&str; 4] = ["all", "ssh", "sftp", "telnet"];

// -- the world as random numbers

#[derive(Debug, Clone)]
struct RuleSpec {
    people: (u8, u8),
    places: (u8, u8),
    accounts: Vec<usize>,
    protocols: Vec<usize>,
    actions: u16,
    start: i64,
    end: i64,
    active: bool,
    foreign: bool,
}

#[derive(Debug, Clone)]
struct AssetSpec {
    nodes: u8,
    accounts: Vec<(usize, bool, bool)>,
    active: bool,
}

#[derive(Debug, Clone)]
struct Spec {
    parents: Vec<usize>,
    groups: [u8; 3],
    users: [(bool, Option<i64>); 3],
    assets: Vec<AssetSpec>,
    rules: Vec<RuleSpec>,
}

fn rules() -> impl Strategy<Value = RuleSpec> {
    // sparse masks: rules that meet everybody everywhere would hide mistakes
    let mask = || prop_oneof![1 => Just(0u8), 4 => any::<u8>(), 2 => (0u32..8).prop_map(|n| 1u8 << n)];
    let offsets = || prop_oneof![Just(-1_000_000i64), Just(-1), Just(0), Just(1), Just(1_000_000)];
    let actions = prop_oneof![2 => Just(1u16), 2 => Just(127), 1 => Just(2), 3 => 0u16..128];
    (
        ((mask(), mask()), (mask(), mask())),
        prop::collection::vec(0..ALIASES.len(), 0..5),
        prop::collection::vec(0..PROTOCOLS.len(), 0..4),
        (actions, prop_oneof![6 => Just(-5i64), 1 => offsets()], prop_oneof![6 => Just(5i64), 1 => offsets()]),
        (prop::bool::weighted(0.9), prop::bool::weighted(0.05)),
    )
        .prop_map(|((people, places), accounts, protocols, (actions, start, end), (active, foreign))| RuleSpec {
            people,
            places,
            accounts,
            protocols,
            actions,
            start,
            end,
            active,
            foreign,
        })
}

fn specs() -> impl Strategy<Value = Spec> {
    let account = (0..ACCOUNTS.len(), any::<bool>(), prop::bool::weighted(0.8));
    let asset = (any::<u8>(), prop::collection::vec(account, 1..6), prop::bool::weighted(0.9)).prop_map(|(nodes, accounts, active)| AssetSpec {
        nodes,
        accounts,
        active,
    });
    let user = || (prop::bool::weighted(0.9), prop::option::weighted(0.2, -2i64..3));
    (prop::collection::vec(0usize..8, 7), any::<[u8; 3]>(), (user(), user(), user()), prop::collection::vec(asset, 1..3), prop::collection::vec(rules(), 0..9))
        .prop_map(|(parents, groups, users, assets, rules)| Spec { parents, groups, users: [users.0, users.1, users.2], assets, rules })
}

// -- the world as objects

struct World {
    now: Time,
    nodes: Vec<Id<Node>>,
    keys: Vec<NodeKey>,
    /// `parent[n] < n`; the root is its own parent.
    parent: Vec<usize>,
    users: Vec<User>,
    groups: Vec<UserGroup>,
    assets: Vec<(Asset, Vec<usize>, Vec<Account>)>,
    rules: Vec<AssetPermission>,
}

fn build(spec: &Spec) -> World {
    let now: Time = "2026-06-01T12:00:00Z".parse().unwrap();
    let meta = Meta::new("test", now);
    let mut n = 0u128;
    let mut uuid = || {
        n += 1;
        0x7000_0000 + n
    };

    let (mut keys, mut parent, mut depth) = (vec![NodeKey::root(1)], vec![0], vec![0]);
    for (i, wanted) in spec.parents.iter().enumerate() {
        let mut p = wanted % keys.len();
        while depth[p] >= 4 {
            p = parent[p];
        }
        // numbers such as 1 and 11 under the same parent catch a comparison that forgets the colon
        keys.push(keys[p].child(if i % 2 == 0 { i as i64 + 1 } else { (i as i64) * 11 }));
        parent.push(p);
        depth.push(depth[p] + 1);
    }
    let nodes: Vec<Id<Node>> = keys.iter().map(|_| Id::builtin(uuid())).collect();

    let users: Vec<User> = USERS
        .iter()
        .zip(spec.users)
        .map(|(name, (is_active, expires))| User {
            id: Id::builtin(uuid()),
            username: (*name).into(),
            name: (*name).into(),
            email: String::new(),
            phone: String::new(),
            source: model::UserSource::Local,
            is_active,
            date_expired: expires.map(|d| now + TimeDelta::days(d)),
            mfa_level: model::MfaLevel::Off,
            need_update_password: false,
            is_service_account: false,
            lang: String::new(),
            last_login: None,
            comment: String::new(),
            meta: meta.clone(),
        })
        .collect();
    let members = |mask: u8| users.iter().enumerate().filter(move |(i, _)| mask >> i & 1 == 1).map(|(_, u)| u.id).collect::<Vec<_>>();
    let groups: Vec<UserGroup> = spec
        .groups
        .iter()
        .map(|mask| UserGroup {
            id: Id::builtin(uuid()),
            org: Org::DEFAULT,
            name: "g".into(),
            users: members(*mask),
            comment: String::new(),
            meta: meta.clone(),
        })
        .collect();

    let platform = builtin_platforms(now)[0].id;
    let assets: Vec<(Asset, Vec<usize>, Vec<Account>)> = spec
        .assets
        .iter()
        .map(|a| {
            let mut place: Vec<usize> = (0..nodes.len()).filter(|i| a.nodes >> i & 1 == 1).collect();
            if place.is_empty() {
                place.push(0);
            }
            let asset = Asset {
                id: Id::builtin(uuid()),
                org: Org::DEFAULT,
                name: "asset".into(),
                address: "192.0.2.1".into(),
                platform,
                category: Category::Host,
                nodes: place.iter().map(|i| nodes[*i]).collect(),
                protocols: [("ssh", 22), ("sftp", 22)].map(|(name, port)| ProtocolPort { name: name.into(), port }).into(),
                is_active: a.active,
                connectivity: Connectivity::Unknown,
                date_verified: None,
                comment: String::new(),
                meta: meta.clone(),
            };
            let mut accounts: Vec<Account> = Vec::new();
            for (name, key, is_active) in &a.accounts {
                let secret_type = if *key { SecretType::SshKey } else { SecretType::Password };
                if accounts.iter().any(|x| x.username == ACCOUNTS[*name] && x.secret_type == secret_type) {
                    continue;
                }
                accounts.push(account(Id::builtin(uuid()), asset.id, ACCOUNTS[*name], secret_type, *is_active, &meta));
            }
            (asset, place, accounts)
        })
        .collect();

    let rules = spec
        .rules
        .iter()
        .enumerate()
        .map(|(i, r)| AssetPermission {
            id: Id::builtin(uuid()),
            org: if r.foreign { Org::SYSTEM } else { Org::DEFAULT },
            name: format!("rule-{i}"),
            users: members(r.people.0 & 0b111),
            user_groups: groups.iter().enumerate().filter(|(i, _)| r.people.1 >> i & 1 == 1).map(|(_, g)| g.id).collect(),
            assets: assets.iter().enumerate().filter(|(i, _)| r.places.0 >> i & 1 == 1).map(|(_, a)| a.0.id).collect(),
            nodes: nodes.iter().enumerate().filter(|(i, _)| r.places.1 >> i & 1 == 1).map(|(_, n)| *n).collect(),
            accounts: r.accounts.iter().map(|a| ALIASES[*a].to_owned()).collect(),
            protocols: r.protocols.iter().map(|p| PROTOCOLS[*p].to_owned()).collect(),
            actions: Actions::from_bits(r.actions),
            date_start: now + TimeDelta::microseconds(r.start),
            date_expired: now + TimeDelta::microseconds(r.end),
            is_active: r.active,
            comment: String::new(),
            meta: meta.clone(),
        })
        .collect();
    World { now, nodes, keys, parent, users, groups, assets, rules }
}

fn account(id: Id<Account>, asset: Id<Asset>, username: &str, secret_type: SecretType, is_active: bool, meta: &Meta) -> Account {
    Account {
        id,
        org: Org::DEFAULT,
        asset,
        name: username.into(),
        username: username.into(),
        secret_type,
        has_secret: true,
        privileged: false,
        is_active,
        secret_reset: true,
        su_from: None,
        source: "local".into(),
        version: 1,
        connectivity: Connectivity::Unknown,
        date_verified: None,
        date_change_secret: None,
        comment: String::new(),
        meta: meta.clone(),
    }
}

// -- the definition

impl World {
    fn names(&self, rule: &AssetPermission, user: &User) -> bool {
        rule.users.contains(&user.id) || self.groups.iter().any(|g| rule.user_groups.contains(&g.id) && g.users.contains(&user.id))
    }
    fn covers(&self, rule: &AssetPermission, asset: &Asset, place: &[usize]) -> bool {
        let under = |mut n: usize| loop {
            if rule.nodes.contains(&self.nodes[n]) {
                return true;
            }
            if n == 0 {
                return false;
            }
            n = self.parent[n];
        };
        rule.org == asset.org && (rule.assets.contains(&asset.id) || place.iter().any(|n| under(*n)))
    }
    fn in_force(&self, rule: &AssetPermission) -> bool {
        rule.is_active && rule.date_start <= self.now && rule.date_expired > self.now
    }
    fn applies(&self, rule: &AssetPermission, user: &User, asset: &Asset, place: &[usize]) -> bool {
        self.names(rule, user) && self.covers(rule, asset, place) && self.in_force(rule)
    }
}

/// The rules that apply to one person and asset, and the questions about them.
struct Truth<'a> {
    user: &'a User,
    accounts: &'a [Account],
    rules: Vec<&'a AssetPermission>,
}

impl Truth<'_> {
    fn some_rule(&self, action: Action, says: impl Fn(&str) -> bool) -> bool {
        self.rules.iter().any(|r| r.actions.has(action) && r.accounts.iter().any(|a| says(a)))
    }
    fn excluded(&self, action: Action, username: &str) -> bool {
        self.some_rule(action, |a| a == format!("!{username}"))
    }
    fn real(&self, account: &Account, action: Action) -> bool {
        let name = account.username.as_str();
        let plain = !name.starts_with(['@', '!']);
        account.is_active
            && self.some_rule(action, |a| a == "@ALL" || (plain && a == name) || (a == "@USER" && name == self.user.username))
            && !self.excluded(action, name)
    }
    fn own_is_stored(&self) -> bool {
        self.accounts.iter().any(|a| a.is_active && a.username == self.user.username)
    }
    fn same_name(&self, action: Action) -> bool {
        !self.own_is_stored() && self.some_rule(action, |a| a == "@USER") && !self.excluded(action, &self.user.username)
    }
    fn virtual_one(&self, alias: &str, action: Action) -> bool {
        self.some_rule(action, |a| a == alias)
    }
    /// Typing a name: `@INPUT` gives it, unless it is excluded; a person's own name is also `@USER`.
    fn typed(&self, name: &str, action: Action) -> bool {
        let input = Action::ALL.into_iter().any(|x| self.virtual_one("@INPUT", x));
        match input {
            true => self.virtual_one("@INPUT", action) && !self.excluded(action, name),
            false => name == self.user.username && self.same_name(action),
        }
    }
    fn protocol(&self, name: &str) -> bool {
        self.rules.iter().any(|r| r.protocols.iter().any(|p| p == "all" || p == name))
    }
}

fn actions(f: impl Fn(Action) -> bool) -> Actions {
    Action::ALL.into_iter().filter(|a| f(*a)).collect()
}

// -- the comparison

/// Compares everything; answers how many connections were granted.
fn check(world: &World) -> Result<u32, TestCaseError> {
    let mut grants = 0;
    let platform = builtin_platforms(world.now)[0].clone();
    for user in &world.users {
        let groups: Vec<Id<UserGroup>> = world.groups.iter().filter(|g| g.users.contains(&user.id)).map(|g| g.id).collect();
        let who = Authority::of_this_node().credential_holder(user, "192.0.2.7", false);
        for (asset, place, accounts) in &world.assets {
            let rules: Vec<(AssetPermission, Vec<NodeKey>)> = world
                .rules
                .iter()
                .map(|r| (r.clone(), (0..world.nodes.len()).filter(|i| r.nodes.contains(&world.nodes[*i])).map(|i| world.keys[i].clone()).collect()))
                .collect();
            let asset_nodes: Vec<NodeKey> = place.iter().map(|i| world.keys[*i].clone()).collect();
            let facts = Facts { user, groups: &groups, asset, asset_nodes: &asset_nodes, accounts, rules: &rules };
            let applying = world.rules.iter().filter(|r| world.applies(r, user, asset, place)).collect();
            let truth = Truth { user, accounts, rules: applying };

            let access = access::evaluate(&facts, world.now);

            compare(&access, &truth)?;
            explained(&access, &truth, world, asset, place)?;
            grants += connects(&who, &facts, &truth, &platform, world.now)?;
        }
    }
    Ok(grants)
}

fn compare(access: &Access, truth: &Truth<'_>) -> Result<(), TestCaseError> {
    let of = |want: &dyn Fn(&TargetAccount) -> bool| {
        let found: Vec<_> = access.accounts.iter().filter(|a| want(&a.account)).collect();
        assert!(found.len() <= 1, "an account is listed twice");
        found.first().map_or(Actions::NONE, |a| a.actions)
    };
    for account in truth.accounts {
        let got = of(&|a| matches!(a, TargetAccount::Real(x) if x.id == account.id));
        prop_assert_eq!(got, actions(|x| truth.real(account, x)), "account {:?} active={}", &account.username, account.is_active);
    }
    prop_assert_eq!(of(&|a| matches!(a, TargetAccount::Input { .. })), actions(|x| truth.virtual_one("@INPUT", x)), "@INPUT");
    prop_assert_eq!(of(&|a| matches!(a, TargetAccount::SameName { .. })), actions(|x| truth.same_name(x)), "@USER");
    prop_assert_eq!(of(&|a| *a == TargetAccount::Anonymous), actions(|x| truth.virtual_one("@ANON", x)), "@ANON");
    for p in ["ssh", "sftp", "telnet", "rdp"] {
        prop_assert_eq!(access.protocols.has(p), truth.protocol(p), "{}", p);
    }
    prop_assert!(access.accounts.iter().all(|a| !a.actions.is_empty()));
    Ok(())
}

fn explained(access: &Access, truth: &Truth<'_>, world: &World, asset: &Asset, place: &[usize]) -> Result<(), TestCaseError> {
    for note in &access.why.rules {
        let rule = world.rules.iter().find(|r| r.id == note.id).unwrap();
        let expected = match () {
            () if !world.covers(rule, asset, place) => RuleEffect::OtherAssets,
            () if !rule.is_active => RuleEffect::Inactive,
            () if rule.date_start > world.now => RuleEffect::NotYet,
            () if rule.date_expired <= world.now => RuleEffect::Expired,
            () => RuleEffect::Applies,
        };
        prop_assert_eq!(note.effect, expected);
        prop_assert!(world.names(rule, truth.user));
    }
    let named = world.rules.iter().filter(|r| world.names(r, truth.user)).count();
    prop_assert_eq!(access.why.rules.len(), named, "every rule that names the person is explained");

    let rule_named = |name: &String| truth.rules.iter().find(|r| r.name == *name);
    for note in access.why.accounts.values() {
        for (sum, by) in [(note.granted, &note.granted_by), (note.withheld, &note.withheld_by)] {
            let mut union = Actions::NONE;
            for name in by {
                let rule = rule_named(name);
                prop_assert!(rule.is_some(), "{} does not apply", name);
                union = union | rule.unwrap().actions;
            }
            prop_assert_eq!(union, sum);
            prop_assert_eq!(by.iter().collect::<std::collections::BTreeSet<_>>().len(), by.len(), "a rule is named twice");
        }
    }
    for usable in &access.accounts {
        let mut names = vec![match &usable.account {
            TargetAccount::Real(a) => a.username.clone(),
            other => other.alias(),
        }];
        if usable.account.username() == truth.user.username {
            names.push("@USER".into());
        }
        let notes = || names.iter().filter_map(|n| access.why.accounts.get(n));
        let granted = notes().fold(Actions::NONE, |sum, n| sum | n.granted);
        prop_assert!(usable.actions.without(granted).is_empty(), "granted without explanation: {:?}", usable);
        prop_assert!(notes().any(|n| !n.granted_by.is_empty()));
        // a stored user name that reads like an alias shares its note with the alias, so its rules cannot be told apart here
        if !usable.account.username().starts_with('@') && !(truth.accounts.iter().any(|a| a.username == usable.account.alias())) {
            let giving = notes().flat_map(|n| &n.granted_by).filter_map(rule_named).filter(|r| !r.actions.is_empty());
            prop_assert_eq!(Some(usable.expires), giving.map(|r| r.date_expired).max());
        }
    }
    for name in TYPED {
        let taken = actions(|x| truth.excluded(x, name));
        prop_assert_eq!(access.why.accounts.get(name).map_or(Actions::NONE, |n| n.withheld), taken, "withheld from {}", name);
    }
    Ok(())
}

fn connects(who: &Identity, facts: &Facts<'_>, truth: &Truth<'_>, platform: &Platform, now: Time) -> Result<u32, TestCaseError> {
    let mut grants = 0;
    let valid = truth.user.is_active && truth.user.date_expired.is_none_or(|e| e > now) && facts.asset.is_active;
    let ask = |account: TargetAccount, protocol: &str| {
        let target = ConnectTarget { asset: facts.asset.clone(), platform: platform.clone(), account, protocol: protocol.into() };
        Decider.connect(who, facts, target, now).map(|(granted, _)| granted)
    };
    let open = |p: &str| valid && truth.protocol(p) && matches!(p, "ssh" | "sftp");
    for protocol in ["ssh", "telnet"] {
        for account in truth.accounts {
            let granted = ask(TargetAccount::Real(account.clone()), protocol);
            prop_assert_eq!(granted.is_ok(), open(protocol) && truth.real(account, Action::Connect));
            if let Ok(granted) = granted {
                prop_assert_eq!(granted.actions(), actions(|x| truth.real(account, x)));
                prop_assert!(granted.expires().is_some_and(|e| e > now));
                prop_assert_eq!(granted.on().account.stored(), Some(account));
                grants += 1;
            }
        }
        for name in TYPED {
            let granted = ask(TargetAccount::Input { username: name.into() }, protocol);
            prop_assert_eq!(granted.is_ok(), open(protocol) && truth.typed(name, Action::Connect), "typed {}", name);
            if let Ok(granted) = granted {
                prop_assert_eq!(granted.actions(), actions(|x| truth.typed(name, x)));
                prop_assert_eq!(granted.on().account.username(), name);
                prop_assert!(granted.on().account.stored().is_none());
            }
        }
        let own = TargetAccount::SameName { username: truth.user.username.clone(), stored: None };
        let granted = ask(own, protocol);
        let by_store = truth.accounts.iter().any(|a| a.username == truth.user.username && truth.real(a, Action::Connect));
        prop_assert_eq!(granted.is_ok(), open(protocol) && (by_store || truth.same_name(Action::Connect)), "@USER");
    }
    Ok(grants)
}

#[test]
fn the_evaluation_is_the_definition_in_ten_thousand_worlds() {
    let granted = std::cell::Cell::new(0u32);
    let mut runner = TestRunner::new(Config { cases: 10_000, failure_persistence: None, ..Config::default() });

    let outcome = runner.run(&specs(), |spec| {
        granted.set(granted.get() + check(&build(&spec))?);
        Ok(())
    });

    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    assert!(granted.get() > 10_000, "the worlds must not be all refusals: {} grants", granted.get());
}
