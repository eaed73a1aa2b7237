//! Single cases of asset permissions, each one behaviour (jb §1.11, appendix B).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use chrono::TimeDelta;
use model::{
    Account, Action, Actions, Asset, AssetPermission, Category, Connectivity, Id, Meta, NodeKey, Org, ProtocolPort, SecretType, Time, User, builtin_platforms,
};
use policy::{Authority, Connect, ConnectTarget, Decider, Denial, DenialReason, Facts, Granted, OpensSecret, TargetAccount, access};

struct Case {
    now: Time,
    user: User,
    asset: Asset,
    nodes: Vec<NodeKey>,
    accounts: Vec<Account>,
    rules: Vec<(AssetPermission, Vec<NodeKey>)>,
}

fn key(s: &str) -> NodeKey {
    NodeKey::parse(s).unwrap()
}

impl Case {
    /// alice, a host in node 1:2:7 with the accounts root (password and key) and web, and no rule.
    fn new() -> Self {
        let now: Time = "2026-06-01T12:00:00Z".parse().unwrap();
        let meta = Meta::new("test", now);
        let user = User {
            id: Id::builtin(0x100),
            username: "alice".into(),
            name: "Alice".into(),
            email: String::new(),
            phone: String::new(),
            source: model::UserSource::Local,
            is_active: true,
            date_expired: None,
            mfa_level: model::MfaLevel::Off,
            need_update_password: false,
            is_service_account: false,
            lang: String::new(),
            last_login: None,
            comment: String::new(),
            meta: meta.clone(),
        };
        let asset = Asset {
            id: Id::builtin(0x200),
            org: Org::DEFAULT,
            name: "web1".into(),
            address: "192.0.2.1".into(),
            platform: builtin_platforms(now)[0].id,
            category: Category::Host,
            nodes: vec![Id::builtin(0x300)],
            protocols: vec![ProtocolPort { name: "ssh".into(), port: 22 }],
            is_active: true,
            connectivity: Connectivity::Unknown,
            date_verified: None,
            comment: String::new(),
            meta,
        };
        let mut case = Self { now, user, asset, nodes: vec![key("1:2:7")], accounts: vec![], rules: vec![] };
        case.account("root", SecretType::Password);
        case.account("root", SecretType::SshKey);
        case.account("web", SecretType::Password);
        case
    }
    fn account(&mut self, username: &str, secret_type: SecretType) -> &mut Account {
        let id = Id::builtin(0x400 + self.accounts.len() as u128);
        self.accounts.push(Account {
            id,
            org: Org::DEFAULT,
            asset: self.asset.id,
            name: format!("{username} {}", secret_type.as_str()),
            username: username.into(),
            secret_type,
            has_secret: true,
            privileged: false,
            is_active: true,
            secret_reset: true,
            su_from: None,
            source: "local".into(),
            version: 1,
            connectivity: Connectivity::Unknown,
            date_verified: None,
            date_change_secret: None,
            comment: String::new(),
            meta: Meta::new("test", self.now),
        });
        self.accounts.last_mut().unwrap()
    }
    /// A rule in force that names alice and the asset.
    fn rule(&mut self, accounts: &[&str], actions: &[Action]) -> &mut AssetPermission {
        let rule = AssetPermission {
            id: Id::builtin(0x500 + self.rules.len() as u128),
            org: Org::DEFAULT,
            name: format!("rule {}", self.rules.len() + 1),
            users: vec![self.user.id],
            user_groups: vec![],
            assets: vec![self.asset.id],
            nodes: vec![],
            accounts: accounts.iter().map(|a| (*a).to_owned()).collect(),
            protocols: vec!["all".into()],
            actions: actions.iter().copied().collect(),
            date_start: self.now - TimeDelta::days(1),
            date_expired: self.now + TimeDelta::days(1),
            is_active: true,
            comment: String::new(),
            meta: Meta::new("test", self.now),
        };
        self.rules.push((rule, vec![]));
        &mut self.rules.last_mut().unwrap().0
    }
    fn facts(&self) -> Facts<'_> {
        Facts { user: &self.user, groups: &[], asset: &self.asset, asset_nodes: &self.nodes, accounts: &self.accounts, rules: &self.rules }
    }
    fn connect(&self, account: TargetAccount) -> Result<Granted<Connect>, Denial> {
        let who = Authority::of_this_node().credential_holder(&self.user, "192.0.2.9", false);
        let target = ConnectTarget { asset: self.asset.clone(), platform: builtin_platforms(self.now)[0].clone(), account, protocol: "ssh".into() };
        Decider.connect(&who, &self.facts(), target, self.now).map(|(g, _)| g)
    }
    fn real(&self, n: usize) -> TargetAccount {
        TargetAccount::Real(self.accounts[n].clone())
    }
    fn refusal(&self, account: TargetAccount) -> DenialReason {
        self.connect(account).map(|_| ()).unwrap_err().reason
    }
    fn usable(&self) -> Vec<(String, Actions)> {
        access::evaluate(&self.facts(), self.now).accounts.iter().map(|a| (a.account.display(), a.actions)).collect()
    }
}

fn input(name: &str) -> TargetAccount {
    TargetAccount::Input { username: name.into() }
}
fn own(stored: Option<Account>) -> TargetAccount {
    TargetAccount::SameName { username: "alice".into(), stored }
}

use Action::{Connect as C, Download as D, Upload as U};

#[test]
fn a_rule_is_in_force_from_its_start_until_just_before_its_expiry() {
    let mut case = Case::new();
    case.rule(&["root"], &[C]);

    let (start, end) = (case.now, case.now + TimeDelta::hours(1));
    case.rules[0].0.date_start = start;
    case.rules[0].0.date_expired = end;
    assert!(case.connect(case.real(0)).is_ok());
    case.now = start - TimeDelta::microseconds(1);
    assert_eq!(case.refusal(case.real(0)), DenialReason::NotYetValid);
    case.now = end - TimeDelta::microseconds(1);
    assert!(case.connect(case.real(0)).is_ok());
    case.now = end;
    assert_eq!(case.refusal(case.real(0)), DenialReason::Expired);
}

#[test]
fn rights_flow_down_the_tree_and_not_up_or_sideways() {
    for (node, granted) in [("1", true), ("1:2", true), ("1:2:7", true), ("1:2:7:1", false), ("1:2:70", false), ("1:20", false), ("1:3", false), ("2", false)] {
        let mut case = Case::new();
        case.rule(&["root"], &[C]).assets.clear();
        case.rules[0].1 = vec![key(node)];

        assert_eq!(case.connect(case.real(0)).is_ok(), granted, "{node}");
        if !granted {
            assert_eq!(case.refusal(case.real(0)), DenialReason::NoPermission, "{node}");
        }
    }
}

#[test]
fn one_user_name_with_two_secret_types_is_two_accounts() {
    let mut case = Case::new();
    case.rule(&["root"], &[C]);

    assert_eq!(case.usable(), [("root password(root)".to_owned(), C.into()), ("root ssh_key(root)".to_owned(), C.into())]);
}

#[test]
fn an_exclusion_takes_exactly_the_actions_of_its_rule() {
    let mut case = Case::new();
    case.rule(&["@ALL"], &[C, U, D]);
    case.rule(&["!root"], &[U]);

    let granted = case.connect(case.real(0)).unwrap();
    assert_eq!(granted.actions(), [C, D].into_iter().collect());
    assert_eq!(case.connect(case.real(2)).unwrap().actions(), [C, U, D].into_iter().collect());
    let why = granted.why().unwrap().accounts["root"].clone();
    assert_eq!((why.granted_by, why.withheld_by), (vec!["rule 1".to_owned()], vec!["rule 2".to_owned()]));
}

#[test]
fn an_excluded_account_is_refused_however_it_is_asked_for() {
    let mut case = Case::new();
    case.rule(&["@ALL", "@INPUT", "@USER", "!root", "!alice"], &[C]);

    assert_eq!(case.refusal(case.real(0)), DenialReason::AccountExcluded);
    assert_eq!(case.refusal(input("root")), DenialReason::AccountExcluded);
    assert_eq!(case.refusal(input("alice")), DenialReason::AccountExcluded);
    assert_eq!(case.refusal(own(None)), DenialReason::AccountExcluded);
    assert!(case.connect(case.real(2)).is_ok());
    assert!(case.connect(input("www")).is_ok());
}

#[test]
fn an_exclusion_of_one_action_follows_the_name_to_input() {
    let mut case = Case::new();
    case.rule(&["@INPUT"], &[C, U]);
    case.rule(&["!root"], &[U]);

    assert_eq!(case.connect(input("root")).unwrap().actions(), C.into());
    assert_eq!(case.connect(input("web")).unwrap().actions(), [C, U].into_iter().collect());
}

#[test]
fn an_exclusion_of_an_account_that_keeps_other_actions_is_still_an_exclusion() {
    let mut case = Case::new();
    case.rule(&["@ALL"], &[C, U]);
    case.rule(&["!root"], &[C]);

    assert_eq!(case.refusal(case.real(0)), DenialReason::AccountExcluded);
}

#[test]
fn user_alias_means_the_stored_account_of_that_name_if_there_is_one() {
    let mut case = Case::new();
    case.rule(&["@USER"], &[C]);
    assert_eq!(case.usable(), [("@USER(alice)".to_owned(), C.into())]);
    assert_eq!(case.connect(own(None)).unwrap().on().account.stored(), None);
    assert!(case.connect(input("alice")).is_ok(), "typing one's own name is the same");
    assert_eq!(case.refusal(input("bob")), DenialReason::Account);

    case.account("alice", SecretType::Password);
    assert_eq!(case.usable(), [("alice password(alice)".to_owned(), C.into())]);
    for asked in [own(None), own(Some(case.accounts[3].clone())), case.real(3)] {
        assert_eq!(case.connect(asked).unwrap().on().account.stored(), Some(&case.accounts[3]));
    }

    case.accounts[3].is_active = false;
    assert_eq!(case.connect(own(None)).unwrap().on().account.stored(), None);
}

#[test]
fn a_grant_never_names_an_account_that_the_caller_slipped_in() {
    let mut case = Case::new();
    case.rule(&["@USER"], &[C]);

    let granted = case.connect(own(Some(case.accounts[0].clone()))).unwrap();

    assert!(Connect::account(granted.on()).is_none(), "root's secret must not open for @USER");
}

#[test]
fn the_asset_in_a_grant_is_the_one_that_was_decided_about() {
    let mut case = Case::new();
    case.rule(&["root"], &[C]);
    let who = Authority::of_this_node().credential_holder(&case.user, "192.0.2.9", false);
    let elsewhere = Asset { address: "198.51.100.66".into(), ..case.asset.clone() };
    let target = ConnectTarget { asset: elsewhere, platform: builtin_platforms(case.now)[0].clone(), account: case.real(0), protocol: "ssh".into() };

    let (granted, _) = Decider.connect(&who, &case.facts(), target, case.now).unwrap();

    assert_eq!(granted.on().asset.address, "192.0.2.1");
}

#[test]
fn somebody_else_cannot_use_the_facts_of_a_person() {
    let mut case = Case::new();
    case.rule(&["root"], &[C]);
    let other = User { id: Id::builtin(0x999), ..case.user.clone() };
    let who = Authority::of_this_node().credential_holder(&other, "192.0.2.9", false);
    let target = ConnectTarget { asset: case.asset.clone(), platform: builtin_platforms(case.now)[0].clone(), account: case.real(0), protocol: "ssh".into() };

    assert!(Decider.connect(&who, &case.facts(), target, case.now).is_err());
}

#[test]
fn an_inactive_account_is_out_even_if_it_is_named() {
    let mut case = Case::new();
    case.rule(&["@ALL", "web"], &[C]);
    case.accounts[2].is_active = false;

    assert_eq!(case.refusal(case.real(2)), DenialReason::AccountInactive);
    assert!(!case.usable().iter().any(|(name, _)| name.contains("web")));
}

#[test]
fn inactive_person_asset_and_rule_each_say_so() {
    let mut case = Case::new();
    case.rule(&["root"], &[C]);
    case.user.is_active = false;
    assert_eq!(case.refusal(case.real(0)), DenialReason::UserInactive);
    case.user.is_active = true;
    case.user.date_expired = Some(case.now);
    assert_eq!(case.refusal(case.real(0)), DenialReason::UserInactive);
    case.user.date_expired = None;
    case.asset.is_active = false;
    assert_eq!(case.refusal(case.real(0)), DenialReason::AssetInactive);
    case.asset.is_active = true;
    case.rules[0].0.is_active = false;
    assert_eq!(case.refusal(case.real(0)), DenialReason::NoPermission);
}

#[test]
fn a_stored_user_name_that_looks_like_an_alias_gives_no_virtual_account() {
    let mut case = Case::new();
    for name in ["@INPUT", "@USER", "@ANON", "!root"] {
        case.account(name, SecretType::Password);
    }
    case.rule(&["@ALL"], &[C]);

    assert_eq!(case.refusal(input("root")), DenialReason::Account);
    assert_eq!(case.refusal(TargetAccount::Anonymous), DenialReason::Account);
    assert!(case.connect(case.real(0)).is_ok());
    assert!(case.connect(case.real(3)).is_ok());
}

#[test]
fn markers_and_unknown_aliases_grant_nothing() {
    let mut case = Case::new();
    case.rule(&["@SPEC", "@SOMETHING", "@", "nobody"], &[C]);

    assert_eq!(case.usable(), []);
    assert_eq!(case.refusal(case.real(0)), DenialReason::Account);
}

#[test]
fn protocols_are_the_union_and_the_asset_must_speak_them() {
    let mut case = Case::new();
    case.rule(&["root"], &[C]).protocols = vec!["telnet".into()];
    assert_eq!(case.refusal(case.real(0)), DenialReason::Protocol);
    case.rule(&["web"], &[C]).protocols = vec!["ssh".into()];
    assert!(case.connect(case.real(0)).is_ok());
    case.asset.protocols.clear();
    assert_eq!(case.refusal(case.real(0)), DenialReason::Protocol);
}

#[test]
fn a_grant_ends_when_the_last_rule_that_gives_connect_does() {
    let mut case = Case::new();
    let end = case.now + TimeDelta::hours(2);
    case.rule(&["root"], &[C]).date_expired = end;
    case.rule(&["root"], &[U]).date_expired = end + TimeDelta::days(9);

    assert_eq!(case.connect(case.real(0)).unwrap().expires(), Some(end));
    case.user.date_expired = Some(case.now + TimeDelta::hours(1));
    assert_eq!(case.connect(case.real(0)).unwrap().expires(), case.user.date_expired);
}

#[test]
fn without_connect_the_other_actions_open_no_session() {
    let mut case = Case::new();
    case.rule(&["root"], &[U, D]);

    assert_eq!(case.refusal(case.real(0)), DenialReason::Action);
}

#[test]
fn a_rule_of_another_organization_covers_nothing_here() {
    let mut case = Case::new();
    case.rule(&["root"], &[C]).org = Org::SYSTEM;

    assert_eq!(case.refusal(case.real(0)), DenialReason::NoPermission);
}
