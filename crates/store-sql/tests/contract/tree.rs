use model::{Filter, Node, NodeKey, Org, Query};
use store::StoreError;
use testkit::fixtures::*;

use super::world::*;

pub async fn keys_and_paths_follow_the_tree(place: &Place) {
    let store = place.open().await;
    let top = root(&store, Org::DEFAULT).await;
    let mut web = node(&top, 1, "Web");
    web.full_value = "/made/up".into();
    let db = node(&web, 4, "DB");
    insert(&store, [web.clone().into(), db.clone().into()]).await.unwrap();

    assert_eq!(again(&store, &db).await.full_value, "/Default/Web/DB");
    assert_eq!(again(&store, &web).await.child_mark, 4);
    assert_eq!(again(&store, &top).await.child_mark, 1);

    let mut renamed = again(&store, &web).await;
    (renamed.value, renamed.child_mark) = ("Front".into(), 0);
    update(&store, renamed).await.unwrap();
    assert_eq!(again(&store, &web).await.child_mark, 4, "numbers are never handed out twice");
    assert_eq!(again(&store, &db).await.full_value, "/Default/Front/DB");

    let bad = |r: store::Result<i64>, what: &str| assert!(r.is_err(), "{what}");
    bad(insert(&store, [node(&top, 2, "a/b").into()]).await, "slash");
    bad(insert(&store, [node(&top, 2, "").into()]).await, "empty");
    bad(insert(&store, [node(&top, 2, "Front").into()]).await, "sibling of the same label");
    bad(insert(&store, [node(&top, 1, "Else").into()]).await, "key is taken");
    let mut orphan = node(&top, 2, "x");
    orphan.key = NodeKey::parse("1:77:1").unwrap();
    assert!(matches!(insert(&store, [orphan.into()]).await, Err(StoreError::Reference(_))));
    let mut second_root = node(&top, 2, "x");
    second_root.key = NodeKey::root(50);
    bad(insert(&store, [second_root.into()]).await, "second root");
    let mut foreign = node(&top, 2, "x");
    foreign.org = Org::SYSTEM;
    assert!(matches!(insert(&store, [foreign.into()]).await, Err(StoreError::Reference(_))));
}

pub async fn moving_a_folder_takes_its_subtree_along(place: &Place) {
    let store = place.open().await;
    let top = root(&store, Org::DEFAULT).await;
    let (a, b) = (node(&top, 1, "A"), node(&top, 2, "B"));
    let a1 = node(&a, 1, "A1");
    let a11 = node(&a1, 1, "A11");
    let near_miss = node(&top, 11, "Eleven");
    let server = asset(Org::DEFAULT, "s", "h", &[a11.id]);
    insert(&store, [&a, &b, &a1, &a11, &near_miss].map(|n| n.clone().into())).await.unwrap();
    insert(&store, [server.clone().into()]).await.unwrap();

    let mut moved = again(&store, &a).await;
    moved.key = b.key.child(1);
    update(&store, moved).await.unwrap();

    let place_of = |n: Node| (n.key.to_string(), n.full_value);
    assert_eq!(place_of(again(&store, &a).await), ("1:2:1".into(), "/Default/B/A".into()));
    assert_eq!(place_of(again(&store, &a1).await), ("1:2:1:1".into(), "/Default/B/A/A1".into()));
    assert_eq!(place_of(again(&store, &a11).await), ("1:2:1:1:1".into(), "/Default/B/A/A1/A11".into()));
    assert_eq!(place_of(again(&store, &near_miss).await), ("1:11".into(), "/Default/Eleven".into()));
    assert_eq!(again(&store, &b).await.child_mark, 1);
    let here = store.read(us().org(Org::DEFAULT));
    assert_eq!(here.list::<model::Asset>(&Query::filter(Filter::eq("node", b.id))).await.unwrap().count, 1);
    assert_eq!(here.list::<Node>(&Query::filter(Filter::eq("parent", b.id))).await.unwrap().rows[0].id, a.id);

    let mut into_itself = again(&store, &a).await;
    into_itself.key = again(&store, &a11).await.key.child(1);
    assert!(matches!(update(&store, into_itself).await, Err(StoreError::InUse(..))));
    let mut onto = again(&store, &a).await;
    onto.key = near_miss.key.clone();
    assert!(matches!(update(&store, onto).await, Err(StoreError::Duplicate { field: "key", .. })));
    let mut root_moved = again(&store, &top).await;
    root_moved.key = b.key.child(9);
    assert!(matches!(update(&store, root_moved).await, Err(StoreError::InUse(..))));
}

pub async fn only_empty_folders_are_deleted(place: &Place) {
    let store = place.open().await;
    let top = root(&store, Org::DEFAULT).await;
    let a = node(&top, 1, "A");
    let a1 = node(&a, 1, "A1");
    let server = asset(Org::DEFAULT, "s", "h", &[a1.id]);
    insert(&store, [a.clone().into(), a1.clone().into(), server.clone().into()]).await.unwrap();

    assert!(matches!(delete(&store, a.clone()).await, Err(StoreError::InUse(..))));
    assert!(matches!(delete(&store, top.clone()).await, Err(StoreError::InUse(..))));
    let mut moved = again(&store, &server).await;
    moved.nodes = vec![];
    update(&store, moved).await.unwrap();
    assert_eq!(again(&store, &server).await.nodes, [top.id], "without a folder it lies in the root");
    delete(&store, a.clone()).await.unwrap();

    assert!(!there(&store, &a).await);
    assert!(!there(&store, &a1).await);
}

pub async fn a_new_organization_has_a_root_folder(place: &Place) {
    let store = place.open().await;
    let acme = org("Acme/East");
    insert(&store, [acme.clone().into()]).await.unwrap();
    let top = root(&store, acme.id).await;
    assert_eq!((top.key.as_str(), top.value.as_str()), ("3", "Acme-East"));

    let web = node(&top, 1, "Web");
    insert(&store, [web.clone().into()]).await.unwrap();
    let mut renamed = again(&store, &acme).await;
    renamed.name = "Zenith".into();
    update(&store, renamed).await.unwrap();

    assert_eq!(again(&store, &web).await.full_value, "/Zenith/Web");
    let mut circle = again(&store, &acme).await;
    circle.parent = Some(acme.id);
    assert!(matches!(update(&store, circle).await, Err(StoreError::Reference(_))));
}
