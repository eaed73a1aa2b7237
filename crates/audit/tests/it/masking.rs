//! Secrets never enter a diff.

use audit::{By, FieldClass, MASK, diff, events, mask};
use model::Record;
use testkit::fixtures;

#[test]
fn only_changed_fields_are_shown() {
    let before = fixtures::asset(model::Org::DEFAULT, "db1", "10.0.0.5", &[]);
    let mut after = before.clone();
    after.address = "10.0.0.6".into();
    after.meta.revision = 9;
    let (old, new) = diff(Some(&Record::from(before.clone())), Some(&Record::from(after)));
    assert_eq!(old, serde_json::json!({"address": "10.0.0.5"}));
    assert_eq!(new, serde_json::json!({"address": "10.0.0.6"}));
    let (old, new) = diff(None, Some(&Record::from(before)));
    assert_eq!(old, serde_json::json!({}));
    assert_eq!((&new["name"], new.get("meta"), new.get("kind")), (&"db1".into(), None, None));
    assert_eq!(new["protocols"][0], serde_json::json!({"name": "ssh", "port": 22}));
}

#[test]
fn what_has_no_class_is_secret() {
    let mut platform = model::builtin_platforms(fixtures::start()).remove(0);
    platform.protocols[0].setting = serde_json::json!({"password": "planted-secret"});
    let record = Record::from(platform.clone());
    let (_, new) = diff(None, Some(&record));
    assert!(!new.to_string().contains("planted-secret"));
    assert_eq!(new["protocols"][0]["setting"], MASK);
    assert_eq!(new["kind"], platform.kind);

    let user = Record::from(fixtures::user("alice"));
    assert_eq!(mask(&user, FieldClass::Public)["email"], MASK);
    assert_eq!(mask(&user, FieldClass::Sensitive)["email"], "alice@example.org");
}

#[test]
fn every_field_of_every_kind_has_been_classified() {
    let org = model::Org::DEFAULT;
    let user = fixtures::user("alice");
    let asset = fixtures::asset(org, "a", "b", &[]);
    let records: Vec<Record> = vec![
        fixtures::org("o").into(),
        model::builtin_roles(fixtures::start()).remove(0).into(),
        user.clone().into(),
        fixtures::public_key(user.id, "f").into(),
        fixtures::binding(user.id, model::Role::ORG_USER, None).into(),
        fixtures::group(org, "g", &[]).into(),
        fixtures::account(&asset, "root").into(),
        asset.into(),
        fixtures::rule(org, "r").into(),
    ];
    for r in records {
        let shown = mask(&r, FieldClass::Sensitive).to_string();
        assert!(!shown.contains(MASK), "classify the new field of {}: {shown}", r.kind().resource());
    }
}

#[test]
fn a_change_gives_the_entry_and_the_row() {
    let asset = Record::from(fixtures::asset(model::Org::DEFAULT, "db1", "10.0.0.5", &[]));
    let (event, row) = events::object_changed(&By::system(), Some(&asset), None, fixtures::start()).unwrap();
    assert_eq!((event.kind.as_str(), event.target.as_str(), event.org), ("asset.delete", "db1", Some(model::Org::DEFAULT)));
    assert_eq!((row.action.as_str(), row.resource_type.as_str(), &row.before["name"]), ("delete", "asset", &"db1".into()));
    assert!(events::object_changed(&By::system(), None, None, fixtures::start()).is_none());
}
