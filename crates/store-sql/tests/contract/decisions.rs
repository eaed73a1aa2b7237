use std::collections::BTreeSet;

use model::{Asset, AssetPermission, Id, Node, Org, Query, Record, User, UserGroup};
use policy::OrgFilter;
use testkit::fixtures::*;

use super::world::*;

pub async fn facts_hold_what_decides(place: &Place) {
    let store = place.open().await;
    let top = root(&store, Org::DEFAULT).await;
    let (alice, bob) = (user("alice"), user("bob"));
    let (staff, crew) = (group(Org::DEFAULT, "staff", &[alice.id]), group(Org::DEFAULT, "crew", &[bob.id]));
    let web = node(&top, 1, "Web");
    let deep = node(&web, 1, "Deep");
    let server = asset(Org::DEFAULT, "s", "h", &[deep.id]);
    let other = asset(Org::DEFAULT, "other", "h", &[]);
    let (login, mut off) = (account(&server, "root"), account(&server, "off"));
    off.is_active = false;
    let named = |name: &str, f: &dyn Fn(&mut AssetPermission)| {
        let mut r = rule(Org::DEFAULT, name);
        f(&mut r);
        Record::from(r)
    };
    let rules = vec![
        named("1 direct", &|r| (r.users, r.assets) = (vec![bob.id, alice.id], vec![other.id, server.id])),
        named("2 group and node", &|r| (r.user_groups, r.nodes) = (vec![staff.id, crew.id], vec![web.id])),
        named("3 expired", &|r| (r.users, r.nodes, r.date_expired) = (vec![alice.id], vec![top.id], start())),
        named("4 other asset", &|r| (r.users, r.assets) = (vec![alice.id], vec![other.id])),
        named("5 other person", &|r| (r.users, r.assets) = (vec![bob.id], vec![server.id])),
        named("6 off", &|r| (r.user_groups, r.assets, r.is_active) = (vec![staff.id], vec![server.id], false)),
    ];
    let mut all: Vec<Record> = vec![
        alice.clone().into(),
        bob.clone().into(),
        staff.clone().into(),
        crew.into(),
        web.clone().into(),
        deep.clone().into(),
        server.clone().into(),
        other.into(),
        login.into(),
        off.into(),
    ];
    all.extend(rules);
    insert(&store, all).await.unwrap();

    let facts = raw(&store).connect_facts(OrgFilter::One(Org::DEFAULT), alice.id, server.id).await.unwrap().unwrap();

    assert_eq!((facts.user.id, facts.asset.id, facts.platform.name.as_str()), (alice.id, server.id, "Linux"));
    assert_eq!(facts.groups, [staff.id]);
    assert_eq!(facts.asset_nodes, [deep.key]);
    assert_eq!(facts.accounts.iter().map(|a| a.username.as_str()).collect::<Vec<_>>(), ["off", "root"]);
    assert_eq!(facts.rules.iter().map(|(r, _)| r.name.as_str()).collect::<Vec<_>>(), ["1 direct", "2 group and node", "3 expired", "4 other asset", "6 off"]);
    assert_eq!(facts.rules[1].1, [web.key]);
    let access = policy::access::evaluate(&facts.facts(), at(1));
    let effects: Vec<_> = access.why.rules.iter().map(|n| n.effect).collect();
    use policy::RuleEffect::{Applies, Expired, Inactive, OtherAssets};
    assert_eq!(effects, [Applies, Applies, Expired, OtherAssets, Inactive]);
    assert_eq!(access.accounts.len(), 1);
    assert!(raw(&store).connect_facts(OrgFilter::One(Org::SYSTEM), alice.id, server.id).await.unwrap().is_none());
    assert!(raw(&store).connect_facts(OrgFilter::All, Id::generate(), server.id).await.unwrap().is_none());
    assert!(raw(&store).connect_facts(OrgFilter::All, alice.id, Id::generate()).await.unwrap().is_none());
}

pub async fn granted_assets_are_those_of_rules_in_force(place: &Place) {
    let store = place.open().await;
    let acme = org("Acme");
    let alice = user("alice");
    let top = root(&store, Org::DEFAULT).await;
    let web = node(&top, 1, "Web");
    let direct = asset(Org::DEFAULT, "direct", "10.0.0.1", &[top.id]);
    let below = asset(Org::DEFAULT, "below", "10.0.0.2", &[web.id]);
    let far = asset(acme.id, "far", "10.1.0.1", &[]);
    let mut off = asset(Org::DEFAULT, "off", "10.0.0.3", &[web.id]);
    off.is_active = false;
    let (mut now, mut later, mut there) = (rule(Org::DEFAULT, "now"), rule(Org::DEFAULT, "later"), rule(acme.id, "there"));
    (now.users, now.nodes) = (vec![alice.id], vec![web.id]);
    (later.users, later.assets, later.date_start) = (vec![alice.id], vec![direct.id], at(100));
    (there.users, there.assets) = (vec![alice.id], vec![far.id]);
    let all: Vec<Record> =
        vec![acme.into(), alice.clone().into(), web.into(), direct.into(), below.into(), far.into(), off.into(), now.into(), later.into(), there.into()];
    insert(&store, all).await.unwrap();

    let seen =
        async |now: i64, q: Query| raw(&store).granted_assets(alice.id, at(now), &q).await.unwrap().rows.into_iter().map(|g| g.asset.name).collect::<Vec<_>>();
    assert_eq!(seen(1, Query::all()).await, ["below", "far"]);
    assert_eq!(seen(100, Query::all()).await, ["below", "direct", "far"]);
    assert_eq!(seen(31_536_000, Query::all()).await, Vec::<String>::new());
    assert_eq!(seen(1, Query::all().search("10.1")).await, ["far"]);
    assert_eq!(seen(1, Query::all().page(1, 1)).await, ["far"]);
    let page = raw(&store).granted_assets(alice.id, at(1), &Query::all().page(0, 1)).await.unwrap();
    let first = &page.rows[0];
    assert_eq!(
        (page.count, first.platform.as_str(), first.org.as_str(), first.nodes.as_slice()),
        (2, "Linux", "Default", ["/Default/Web".to_owned()].as_slice())
    );
    assert!(raw(&store).granted_assets(User::ADMIN, at(1), &Query::all()).await.unwrap().rows.is_empty());
}

pub async fn named_assets_include_what_is_refused(place: &Place) {
    let store = place.open().await;
    let alice = user("alice");
    let mut off = asset(Org::DEFAULT, "off", "10.0.0.3", &[]);
    off.is_active = false;
    let mut hidden = asset(Org::DEFAULT, "hidden", "10.0.0.3", &[]);
    hidden.id = Id::new(uuid::Uuid::from_u128(0xabcdef12_0000_0000_0000_000000000001));
    let mut old = rule(Org::DEFAULT, "old");
    (old.users, old.assets, old.date_expired) = (vec![alice.id], vec![off.id], start());
    insert(&store, [alice.clone().into(), off.clone().into(), hidden.clone().into(), old.into()]).await.unwrap();

    let named = async |who: Id<User>, text: &str| raw(&store).named_assets(who, text).await.unwrap().into_iter().map(|g| g.asset.name).collect::<Vec<_>>();
    let id = off.id.to_string();
    for text in ["off", "10.0.0.3", &id, &id[..20]] {
        assert_eq!(named(alice.id, text).await, ["off"], "{text}");
    }
    for text in ["of", "OFF%", "hidden", "%", &hidden.id.to_string(), ""] {
        assert!(named(alice.id, text).await.is_empty(), "{text}");
    }
    assert!(named(User::ADMIN, "off").await.is_empty());
}

/// Small and reproducible: the tests of `policy` do the big numbers.
struct Dice(u64);
impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
    fn some<T: Copy>(&mut self, of: &[T]) -> Vec<T> {
        of.iter().copied().filter(|_| self.roll(4) == 0).collect()
    }
}

pub async fn facts_agree_with_lists_in_random_worlds(place: &Place) {
    let store = place.open().await;
    let top = root(&store, Org::DEFAULT).await;
    let mut dice = Dice(7);
    let people: Vec<User> = (0..4).map(|n| user(&format!("u{n}"))).collect();
    let ids: Vec<Id<User>> = people.iter().map(|u| u.id).collect();
    let groups: Vec<UserGroup> = (0..3).map(|n| group(Org::DEFAULT, &format!("g{n}"), &dice.some(&ids))).collect();
    let mut nodes: Vec<Node> = vec![top];
    for n in 1..12 {
        let above = nodes[dice.roll(nodes.len() as u64) as usize].clone();
        nodes.push(node(&above, n, &format!("n{n}")));
    }
    let node_ids: Vec<Id<Node>> = nodes.iter().map(|n| n.id).collect();
    let assets: Vec<Asset> = (0..20).map(|n| asset(Org::DEFAULT, &format!("a{n:02}"), "h", &dice.some(&node_ids))).collect();
    let asset_ids: Vec<Id<Asset>> = assets.iter().map(|a| a.id).collect();
    let group_ids: Vec<Id<UserGroup>> = groups.iter().map(|g| g.id).collect();
    let rules = (0..12).map(|n| {
        let mut r = rule(Org::DEFAULT, &format!("r{n}"));
        (r.users, r.user_groups) = (dice.some(&ids), dice.some(&group_ids));
        r.assets = dice.some(&asset_ids).into_iter().take(2).collect();
        r.nodes = dice.some(&node_ids).into_iter().skip(1).take(1).collect();
        r.is_active = dice.roll(5) > 0;
        r.date_start = at(dice.roll(3) as i64 - 1);
        Record::from(r)
    });
    let rules: Vec<Record> = rules.collect();
    let mut all: Vec<Record> = people.iter().cloned().map(Record::from).collect();
    all.extend(groups.into_iter().map(Record::from));
    all.extend(nodes.into_iter().skip(1).map(Record::from));
    all.extend(assets.iter().cloned().map(Record::from));
    all.extend(rules);
    insert(&store, all).await.unwrap();

    for person in &people {
        let listed: BTreeSet<Id<Asset>> =
            raw(&store).granted_assets(person.id, start(), &Query::all()).await.unwrap().rows.into_iter().map(|g| g.asset.id).collect();
        let mut decided = BTreeSet::new();
        for asset in &assets {
            let facts = raw(&store).connect_facts(OrgFilter::All, person.id, asset.id).await.unwrap().unwrap();
            let access = policy::access::evaluate(&facts.facts(), start());
            if access.why.rules.iter().any(|r| r.effect == policy::RuleEffect::Applies) {
                decided.insert(asset.id);
            }
        }
        assert_eq!(listed, decided);
    }
}

/// Facts are kept between questions; whoever changes an object, on whatever node, is seen by the next question.
pub async fn facts_follow_every_change(place: &Place) {
    let store = place.open().await;
    let elsewhere = store_sql::open(&place.url, store_sql::Options::for_node("elsewhere")).await.unwrap();
    let top = root(&store, Org::DEFAULT).await;
    let alice = user("alice");
    let staff = group(Org::DEFAULT, "staff", &[]);
    let (web, attic) = (node(&top, 1, "Web"), node(&top, 2, "Attic"));
    let server = asset(Org::DEFAULT, "server", "h", &[web.id]);
    let login = account(&server, "root");
    let mut allow = rule(Org::DEFAULT, "allow");
    (allow.user_groups, allow.nodes) = (vec![staff.id], vec![attic.id]);
    let all: Vec<Record> = vec![alice.clone().into(), staff.clone().into(), web.into(), attic.clone().into(), server.clone().into(), login.clone().into()];
    insert(&store, all).await.unwrap();
    insert(&store, [allow.clone().into()]).await.unwrap();

    let seen = async || {
        let truth = place.open().await;
        let (mut kept, mut fresh) = (String::new(), String::new());
        for (from, into) in [(&store, &mut kept), (&truth, &mut fresh)] {
            let facts = raw(from).connect_facts(OrgFilter::All, alice.id, server.id).await.unwrap();
            let names = [raw(from).named_assets(alice.id, "server").await.unwrap(), raw(from).named_assets(alice.id, "renamed").await.unwrap()];
            *into = format!("{facts:?} {names:?}");
        }
        assert_eq!(kept, fresh);
        kept
    };
    let mut states = vec![seen().await];
    let mut change = async |record: Record| {
        let mut work = unit();
        match record {
            Record::UserGroup(g) => work.update(UserGroup { users: vec![alice.id], ..again(&store, &g).await }),
            Record::Asset(a) => work.update(Asset { name: "renamed".to_owned(), nodes: vec![attic.id], ..again(&store, &a).await }),
            Record::Account(a) => work.update(model::Account { is_active: false, ..again(&store, &a).await }),
            Record::AssetPermission(p) => work.update(AssetPermission { date_expired: start(), ..again(&store, &p).await }),
            Record::User(u) => work.update(User { is_active: false, ..again(&store, &u).await }),
            other => panic!("{other:?}"),
        };
        elsewhere.commit(work).await.unwrap();
        states.push(seen().await);
    };
    for record in [Record::from(staff.clone()), server.clone().into(), login.into(), allow.clone().into(), alice.clone().into()] {
        change(record).await;
    }
    let mut gone = unit();
    gone.delete(again(&store, &allow).await);
    elsewhere.commit(gone).await.unwrap();
    states.push(seen().await);
    let different: BTreeSet<&String> = states.iter().collect();
    assert_eq!(different.len(), 7, "each change is a different answer");
}
