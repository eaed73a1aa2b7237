use model::{Asset, Filter, Id, Kind, Node, Op, Order, Org, Query, User};
use policy::OrgFilter;
use store::StoreError;
use testkit::fixtures::*;

use super::world::*;

fn filter(field: &str, op: Op, values: &[&str]) -> Filter {
    Filter { field: field.into(), op, values: values.iter().map(|v| (*v).to_owned()).collect() }
}

const TABLES: [&str; 6] = ["sessions", "commands", "login_logs", "operate_logs", "password_change_logs", "audit_entries"];

pub async fn filters_are_a_closed_set(place: &Place) {
    let store = place.open().await;
    for name in ["password_hash", "t.id", "id; DROP TABLE users", "1=1) OR (1", "", "search_text"] {
        for kind in Kind::ALL {
            let q = Query::filter(Filter::eq(name, "x"));
            assert!(matches!(raw(&store).list(OrgFilter::All, kind, &q).await, Err(StoreError::UnknownField(_))), "{kind:?} {name}");
            let mut q = Query::all();
            q.order.push(Order { field: name.into(), desc: true });
            assert!(matches!(raw(&store).list(OrgFilter::All, kind, &q).await, Err(StoreError::UnknownField(_))), "{kind:?} {name}");
        }
        for table in TABLES {
            let q = Query::filter(Filter::eq(name, "x"));
            assert!(matches!(raw(&store).logs(OrgFilter::All, table, &q).await, Err(StoreError::UnknownField(_))), "{table} {name}");
        }
    }
    for (field, value) in [("id", "x"), ("date_created", "yesterday"), ("is_active", "maybe")] {
        let q = Query::filter(Filter::eq(field, value));
        assert!(matches!(raw(&store).list(OrgFilter::All, Kind::User, &q).await, Err(StoreError::BadValue(f)) if f == field));
    }
    // every list and log can be read, ordered, searched and filtered by id and date
    for kind in Kind::ALL {
        let mut q = Query::filter(filter("date_created", Op::Ge, &["2020-01-01T00:00:00Z"])).search("a,b");
        q.order.push(Order { field: "date_updated".into(), desc: true });
        raw(&store).list(OrgFilter::One(Org::DEFAULT), kind, &q).await.unwrap();
    }
    for table in TABLES {
        raw(&store).logs(OrgFilter::One(Org::DEFAULT), table, &Query::all().search("x")).await.unwrap();
        assert_eq!(raw(&store).logs(OrgFilter::All, table, &Query::all()).await.unwrap().count, 0);
    }
    assert!(raw(&store).logs(OrgFilter::All, "users", &Query::all()).await.is_err());
}

async fn three_assets(store: &store::Store) -> [Asset; 3] {
    let mut a = asset(Org::DEFAULT, "Alpha", "10.0.0.1", &[]);
    let mut b = asset(Org::DEFAULT, "beta_1", "10.0.0.2", &[]);
    let mut c = asset(Org::DEFAULT, "Ätna", "host%.example", &[]);
    a.meta.date_created = at(1);
    (b.meta.date_created, b.is_active) = (at(2), false);
    (c.meta.date_created, c.date_verified) = (at(3), Some(at(3)));
    insert(store, [a.clone().into(), b.clone().into(), c.clone().into()]).await.unwrap();
    [a, b, c]
}

pub async fn filters_compare_as_they_say(place: &Place) {
    let store = place.open().await;
    let [a, b, c] = three_assets(&store).await;
    let (ida, idc) = (a.id.to_string(), c.id.to_string());
    let cases: Vec<(Filter, &[&str])> = vec![
        (filter("name", Op::Eq, &["Alpha"]), &["Alpha"]),
        (filter("name", Op::Eq, &["alpha"]), &[]),
        (filter("name", Op::Ne, &["Alpha"]), &["beta_1", "Ätna"]),
        (filter("name", Op::Contains, &["A"]), &["Alpha", "beta_1", "Ätna"]),
        (filter("name", Op::Contains, &["_"]), &["beta_1"]),
        (filter("name", Op::Contains, &["Ät"]), &["Ätna"]),
        (filter("name", Op::StartsWith, &["BETA"]), &["beta_1"]),
        (filter("address", Op::Contains, &["%"]), &["Ätna"]),
        (filter("name", Op::In, &["Alpha", "Ätna"]), &["Alpha", "Ätna"]),
        (filter("name", Op::In, &[]), &[]),
        (filter("id", Op::In, &[&ida, &idc]), &["Alpha", "Ätna"]),
        (filter("is_active", Op::Eq, &["false"]), &["beta_1"]),
        (filter("is_active", Op::Ne, &["false"]), &["Alpha", "Ätna"]),
        (filter("date_created", Op::Ge, &["2026-01-01T00:00:02Z"]), &["beta_1", "Ätna"]),
        (filter("date_created", Op::Lt, &["2026-01-01T01:00:02+01:00"]), &["Alpha"]),
        (filter("date_verified", Op::Eq, &[""]), &["Alpha", "beta_1"]),
        (filter("date_verified", Op::Ne, &[""]), &["Ätna"]),
        (filter("platform", Op::Eq, &[&linux().to_string()]), &["Alpha", "beta_1", "Ätna"]),
        (filter("type", Op::Ne, &["linux"]), &[]),
        (filter("category", Op::Eq, &["host"]), &["Alpha", "beta_1", "Ätna"]),
    ];
    for (f, expected) in cases {
        assert_eq!(names(&store, OrgFilter::All, Kind::Asset, &Query::filter(f.clone())).await, expected, "{f:?}");
    }
    let both = Query::filter(filter("name", Op::Contains, &["a"])).and(Filter::eq("is_active", true)).search("alp,beta");
    assert_eq!(names(&store, OrgFilter::All, Kind::Asset, &both).await, ["Alpha"]);
    for bad in [
        filter("is_active", Op::Contains, &["t"]),
        filter("node", Op::Lt, &[&b.id.to_string()]),
        filter("name", Op::Eq, &[]),
        filter("name", Op::Eq, &["a", "b"]),
    ] {
        assert!(matches!(raw(&store).list(OrgFilter::All, Kind::Asset, &Query::filter(bad)).await, Err(StoreError::BadValue(_))));
    }
}

pub async fn search_is_literal_and_ignores_case(place: &Place) {
    let store = place.open().await;
    three_assets(&store).await;
    let cases: [(&str, &[&str]); 9] = [
        ("ALPHA", &["Alpha"]),
        ("ÄTNA", &["Ätna"]),
        ("ätn", &["Ätna"]),
        ("%", &["Ätna"]),
        ("_", &["beta_1"]),
        ("10.0.0.1", &["Alpha"]),
        ("!", &[]),
        ("alpha, beta", &["Alpha", "beta_1"]),
        ("' OR 1=1 --", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(names(&store, OrgFilter::All, Kind::Asset, &Query::all().search(text)).await, expected, "{text}");
    }
}

pub async fn what_is_too_large_is_refused(place: &Place) {
    let store = place.open().await;
    let ids: Vec<String> = (0..9_999).map(|_| Id::<Asset>::generate().to_string()).collect();
    let many = Filter::is_in("id", &ids);
    let endless = "x".repeat(100_000);
    let fine = Query::filter(many.clone());
    assert!(names(&store, OrgFilter::All, Kind::Asset, &fine).await.is_empty());
    for q in [
        Query::filter(many.clone()).and(many.clone()).and(many.clone()).and(many),
        Query::filter(filter("name", Op::Contains, &[&endless])),
        Query::all().search(&endless),
        Query { filters: vec![Filter::eq("name", "x"); 1000], ..Query::all() },
    ] {
        assert!(matches!(raw(&store).list(OrgFilter::All, Kind::Asset, &q).await, Err(StoreError::BadValue(_))));
    }
    let refused = insert(&store, [asset(Org::DEFAULT, &endless, "h", &[]).into()]).await;
    assert!(matches!(refused, Err(StoreError::BadValue(f)) if f == "name"));
    // random text does not compress: the index entry is too long for one dialect and fine for the other
    let address: String = ids.iter().take(400).cloned().collect();
    let outcome = insert(&store, [asset(Org::DEFAULT, "long", &address, &[]).into()]).await;
    assert!(matches!(outcome, Ok(_) | Err(StoreError::BadValue(_))), "{outcome:?}");
    insert(&store, [asset(Org::DEFAULT, "next", "h", &[]).into()]).await.unwrap();
}

pub async fn pages_never_overlap(place: &Place) {
    let store = place.open().await;
    let mut work = unit();
    for n in 0..25 {
        let mut a = asset(Org::DEFAULT, &format!("a{n:02}"), "same", &[]);
        a.comment = "same".into();
        work.insert(a);
    }
    store.commit(work).await.unwrap();

    let mut seen = Vec::new();
    for page in 0..4 {
        let mut q = Query::all().page(page * 7, 7);
        q.order.push(Order { field: "address".into(), desc: true });
        let got = raw(&store).list(OrgFilter::All, Kind::Asset, &q).await.unwrap();
        assert_eq!(got.count, 25);
        seen.extend(got.rows.iter().map(|r| r.uuid()));
    }
    assert_eq!(seen.len(), 25);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 25);
    let only_count = raw(&store).list(OrgFilter::All, Kind::Asset, &Query::all().page(0, 0)).await.unwrap();
    assert_eq!((only_count.count, only_count.rows.len()), (25, 0));
    let beyond = raw(&store).list(OrgFilter::All, Kind::Asset, &Query::all().page(1000, u64::MAX)).await.unwrap();
    assert_eq!((beyond.count, beyond.rows.len()), (25, 0));
    let mut by_name = Query::all().page(0, 2);
    by_name.order.push(Order { field: "name".into(), desc: true });
    assert_eq!(names(&store, OrgFilter::All, Kind::Asset, &by_name).await, ["a24", "a23"]);
}

pub async fn relations_can_be_filtered_by(place: &Place) {
    let store = place.open().await;
    let top = root(&store, Org::DEFAULT).await;
    let (alice, bob) = (user("alice"), user("bob"));
    let staff = group(Org::DEFAULT, "staff", &[alice.id]);
    let web = node(&top, 1, "Web");
    let deep = node(&web, 1, "Deep");
    let other = node(&top, 12, "Other");
    let (a, b) = (asset(Org::DEFAULT, "a", "h1", &[deep.id]), asset(Org::DEFAULT, "b", "h2", &[other.id]));
    let (login, key) = (account(&a, "root"), public_key(alice.id, "SHA256:k"));
    let mut grant = rule(Org::DEFAULT, "r");
    (grant.users, grant.user_groups, grant.assets, grant.nodes) = (vec![bob.id], vec![staff.id], vec![a.id], vec![web.id]);
    let all: Vec<model::Record> = vec![
        alice.clone().into(),
        bob.clone().into(),
        member(bob.id, Org::DEFAULT).into(),
        staff.clone().into(),
        web.clone().into(),
        deep.clone().into(),
        other.clone().into(),
        a.clone().into(),
        b.clone().into(),
        login.into(),
        key.into(),
        grant.into(),
        rule(Org::DEFAULT, "empty").into(),
    ];
    insert(&store, all).await.unwrap();

    let found = async |kind, field: &str, value: String| names(&store, OrgFilter::All, kind, &Query::filter(Filter::eq(field, value))).await;
    assert_eq!(found(Kind::User, "group", staff.id.to_string()).await, ["alice"]);
    assert_eq!(found(Kind::User, "org", Org::DEFAULT.to_string()).await, ["admin", "bob"]);
    assert_eq!(found(Kind::User, "username", " BOB ".into()).await, ["bob"]);
    assert_eq!(found(Kind::UserGroup, "user", alice.id.to_string()).await, ["staff"]);
    assert_eq!(found(Kind::Asset, "node", top.id.to_string()).await, ["a", "b"]);
    assert_eq!(found(Kind::Asset, "node", web.id.to_string()).await, ["a"]);
    assert_eq!(found(Kind::Asset, "node_only", web.id.to_string()).await, Vec::<String>::new());
    assert_eq!(found(Kind::Asset, "address", "h2".into()).await, ["b"]);
    assert_eq!(found(Kind::Account, "asset", a.id.to_string()).await, ["root"]);
    assert_eq!(found(Kind::Account, "node", web.id.to_string()).await, ["root"]);
    assert_eq!(found(Kind::PublicKey, "user", alice.id.to_string()).await, ["laptop"]);
    assert_eq!(found(Kind::Node, "under", web.id.to_string()).await, ["/Default/Web", "/Default/Web/Deep"]);
    for (field, id) in [("user", bob.id.uuid()), ("user_group", staff.id.uuid()), ("asset", a.id.uuid()), ("node", web.id.uuid())] {
        assert_eq!(found(Kind::AssetPermission, field, id.to_string()).await, ["r"], "{field}");
    }
    let not = Query::filter(filter("user", Op::Ne, &[&bob.id.to_string()]));
    assert_eq!(names(&store, OrgFilter::All, Kind::AssetPermission, &not).await, ["empty"]);
    let bindings =
        raw(&store).list(OrgFilter::All, Kind::RoleBinding, &Query::filter(Filter::eq("user", User::ADMIN)).and(Filter::eq("organization", ""))).await.unwrap();
    assert_eq!(bindings.count, 1);
    let system = raw(&store).list(OrgFilter::All, Kind::RoleBinding, &Query::filter(Filter::eq("scope", "system"))).await.unwrap();
    assert_eq!(system.count, 1);
}

pub async fn nothing_widens_the_reach(place: &Place) {
    let store = place.open().await;
    let acme = org("Acme");
    let (here, there) = (asset(acme.id, "here", "h", &[]), asset(Org::DEFAULT, "there", "h", &[]));
    insert(&store, [acme.clone().into(), here.into(), there.clone().into(), group(Org::DEFAULT, "g", &[]).into()]).await.unwrap();
    let reach = OrgFilter::One(acme.id);
    let queries = [
        Query::all(),
        Query::all().search("here,there"),
        Query::filter(filter("name", Op::Ne, &["x"])),
        Query::filter(filter("node", Op::Ne, &[&Id::<Node>::generate().to_string()])),
        Query::filter(filter("name", Op::In, &["here", "there"])),
        Query::filter(filter("address", Op::Contains, &["h"])),
    ];
    for q in queries {
        assert_eq!(names(&store, reach, Kind::Asset, &q).await, ["here"], "{q:?}");
        assert_eq!(raw(&store).list(reach, Kind::Asset, &q.page(0, 0)).await.unwrap().count, 1);
    }
    for q in [Query::filter(Filter::eq("org", Org::DEFAULT)), Query::filter(Filter::eq("id", there.id))] {
        assert!(names(&store, reach, Kind::Asset, &q).await.is_empty());
    }
    assert!(names(&store, reach, Kind::User, &Query::all()).await.is_empty());
    assert!(names(&store, reach, Kind::UserGroup, &Query::all()).await.is_empty());
    assert!(names(&store, reach, Kind::RoleBinding, &Query::all()).await.is_empty());
    assert_eq!(names(&store, reach, Kind::Org, &Query::all()).await, ["Acme"]);
    assert_eq!(names(&store, reach, Kind::Node, &Query::all()).await, ["/Acme"]);
}
