use axum::http::{StatusCode, header};
use serde_json::{Value, json};

use crate::house::House;

#[tokio::test]
async fn objects_are_made_changed_and_removed_with_evidence_for_each_step() {
    let house = House::new().await;
    let admin = house.admin().await;
    let cases: [(&str, Value, Value); 8] = [
        ("/api/v1/users/groups/", json!({"name": "ops"}), json!({"comment": "x"})),
        ("/api/v1/users/users/", json!({"username": "crud", "name": "Crud", "email": "c@example.org"}), json!({"comment": "x"})),
        ("/api/v1/rbac/roles/", json!({"name": "helpers", "scope": "org", "permissions": ["assets.view_asset"]}), json!({"comment": "x"})),
        ("/api/v1/orgs/orgs/", json!({"name": "Branch"}), json!({"comment": "x"})),
        ("/api/v1/assets/nodes/", json!({"value": "Web"}), json!({"value": "Webs"})),
        (
            "/api/v1/assets/platforms/",
            json!({"name": "Mine", "category": "host", "type": "linux", "protocols": [{"name": "ssh", "port": 22}]}),
            json!({"comment": "x"}),
        ),
        ("/api/v1/assets/hosts/", json!({"name": "h", "address": "10.0.0.1", "platform": "Linux", "protocols": ["ssh/22"]}), json!({"address": "10.0.0.2"})),
        ("/api/v1/perms/asset-permissions/", json!({"name": "p", "accounts": ["@ALL"], "actions": ["connect"]}), json!({"is_active": false})),
    ];
    for (path, body, patch) in cases {
        let before = house.audit_seq().await;
        let made = admin.post(path, body.clone()).await.ok();
        let item = format!("{path}{}/", made["id"].as_str().unwrap());
        assert_eq!(admin.get(&item).await.ok()["id"], made["id"], "{path}");
        assert!(house.audit_seq().await > before, "{path}: no entry for create");

        let before = house.audit_seq().await;
        let changed = admin.patch(&item, patch.clone()).await.ok();
        for (field, value) in patch.as_object().unwrap() {
            assert_eq!(&changed[field], value, "{path}");
        }
        assert!(house.audit_seq().await > before, "{path}: no entry for change");

        let before = house.audit_seq().await;
        let gone = admin.delete(&item).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT, "{path}: {}", gone.text);
        assert_eq!(admin.get(&item).await.status, StatusCode::NOT_FOUND);
        assert!(house.audit_seq().await > before, "{path}: no entry for delete");
    }
    let verified = admin.get("/api/v1/audits/verify/").await.ok();
    assert_eq!(verified["sound"], true, "{verified}");
}

#[tokio::test]
async fn pages_have_links_and_plain_lists_are_arrays() {
    let house = House::new().await;
    let admin = house.admin().await;
    let groups: Vec<Value> = (0..5).map(|i| json!({"name": format!("g{i}")})).collect();
    assert_eq!(admin.post("/api/v1/users/groups/", Value::Array(groups)).await.ok().as_array().unwrap().len(), 5);

    let page = admin.get("/api/v1/users/groups/?limit=2&offset=2&order=name").await.ok();
    assert_eq!(page["count"], 5);
    assert_eq!(page["results"][0]["name"], "g2");
    let next = page["next"].as_str().unwrap();
    assert_eq!(admin.get(next).await.ok()["results"][0]["name"], "g4");
    assert!(page["previous"].as_str().unwrap().contains("offset=0"));
    assert!(admin.get("/api/v1/users/groups/").await.ok().is_array());
    assert_eq!(admin.get("/api/v1/users/groups/?search=g3").await.ok().as_array().unwrap().len(), 1);
    assert_eq!(admin.get("/api/v1/users/groups/?name=g3&nonsense=1").await.ok().as_array().unwrap().len(), 1);
    assert_eq!(admin.get("/api/v1/users/groups/?order=password").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn wrong_input_names_every_field_and_changes_nothing() {
    let house = House::new().await;
    let admin = house.admin().await;

    let answer =
        admin.post("/api/v1/assets/hosts/", json!({"name": "h", "address": "", "platform": "Linuks", "protocols": ["ssh/99999"], "nodes": ["/Other/x"]})).await;

    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    for field in ["address", "platform", "protocols", "nodes"] {
        assert!(answer.body[field].is_array(), "{field}: {}", answer.text);
    }
    let bulk = admin.post("/api/v1/users/groups/", json!([{"name": "fine"}, {}])).await;
    assert_eq!(bulk.status, StatusCode::BAD_REQUEST);
    assert_eq!(bulk.body[0], json!({}));
    assert!(bulk.body[1]["name"].is_array());
    assert!(admin.get("/api/v1/users/groups/").await.ok().as_array().unwrap().is_empty());
}

#[tokio::test]
async fn two_editors_do_not_lose_an_update() {
    let house = House::new().await;
    let admin = house.admin().await;
    let made = admin.post("/api/v1/users/groups/", json!({"name": "g"})).await.ok();
    let path = format!("/api/v1/users/groups/{}/", made["id"].as_str().unwrap());
    let tag = admin.get(&path).await.headers[header::ETAG].to_str().unwrap().to_owned();

    let first = admin.clone().with("if-match", &tag).patch(&path, json!({"comment": "one"})).await;
    let second = admin.clone().with("if-match", &tag).patch(&path, json!({"comment": "two"})).await;

    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(second.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(admin.get(&path).await.ok()["comment"], "one");
}

#[tokio::test]
async fn a_bare_delete_of_a_list_is_refused_and_a_selection_is_not() {
    let house = House::new().await;
    let admin = house.admin().await;
    let made = admin.post("/api/v1/users/groups/", json!([{"name": "a"}, {"name": "b"}, {"name": "c"}])).await.ok();
    let id = |i: usize| made[i]["id"].as_str().unwrap().to_owned();

    assert_eq!(admin.delete("/api/v1/users/groups/").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(admin.delete(&format!("/api/v1/users/groups/?ids={}", id(0))).await.status, StatusCode::NO_CONTENT);
    let spm = admin.post("/api/v1/common/resources/cache/", json!({"resources": [id(1)]})).await.ok();
    assert_eq!(admin.delete(&format!("/api/v1/users/groups/?spm={}", spm["spm"].as_str().unwrap())).await.status, StatusCode::NO_CONTENT);
    let left = admin.get("/api/v1/users/groups/").await.ok();
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(left[0]["name"], "c");
}

#[tokio::test]
async fn nobody_raises_himself_and_the_last_administrator_stays() {
    let house = House::new().await;
    let admin = house.admin().await;
    let bob = house.person("bob", &["SystemUser"], &["OrgAdmin"]).await;
    let me = bob.get("/api/v1/users/profile/").await.ok()["id"].clone();
    let root = admin.get("/api/v1/users/users/admin/").await.ok()["id"].as_str().unwrap().to_owned();

    let bind = bob.post("/api/v1/rbac/role-bindings/", json!({"user": me, "role": "00000000-0000-0000-0000-000000000001"})).await;
    assert!(bind.status.is_client_error(), "{}", bind.text);
    let raise = bob.patch(&format!("/api/v1/users/users/{}/", me.as_str().unwrap()), json!({"system_roles": ["SystemAdmin"]})).await;
    assert!(raise.status.is_client_error(), "{}", raise.text);
    let role = bob.post("/api/v1/rbac/roles/", json!({"name": "all", "scope": "org", "permissions": ["*"]})).await;
    assert_eq!(role.status, StatusCode::FORBIDDEN);
    for body in [json!({"password": "Stolen-Crown-12345"}), json!({"is_active": false})] {
        let taken = bob.patch(&format!("/api/v1/users/users/{root}/"), body).await;
        assert!(matches!(taken.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND), "{}", taken.text);
    }
    for answer in [
        admin.delete(&format!("/api/v1/users/users/{root}/")).await,
        admin.patch(&format!("/api/v1/users/users/{root}/"), json!({"is_active": false})).await,
        admin.patch(&format!("/api/v1/users/users/{root}/"), json!({"system_roles": ["SystemUser"]})).await,
    ] {
        assert!(answer.status.is_client_error(), "{}", answer.text);
    }
    house.admin().await;
}

#[tokio::test]
async fn passwords_follow_the_rules_and_end_old_credentials() {
    let house = House::new().await;
    let admin = house.admin().await;
    let weak = admin.post("/api/v1/users/users/", json!({"username": "w", "name": "W", "password": "short"})).await;
    assert_eq!(weak.status, StatusCode::BAD_REQUEST);
    assert!(weak.body["password"].is_array());

    let carol = house.person("carol", &["SystemUser"], &["OrgUser"]).await;
    let changed =
        carol.call("PUT", "/api/v1/users/profile/password/", Some(json!({"old_password": "Some-Person-12345", "new_password": "Other-Person-54321"}))).await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT, "{}", changed.text);
    assert_eq!(carol.get("/api/v1/users/profile/").await.status, StatusCode::UNAUTHORIZED);
    house.login("carol", "Other-Person-54321").await;
    admin.call("PUT", "/api/v1/users/users/carol/password/", Some(json!({"password": "Third-Person-98765"}))).await;
    house.login("carol", "Third-Person-98765").await;
    let log = admin.get("/api/v1/audits/password-change-logs/?user=carol").await.ok();
    assert!(log.as_array().unwrap().len() >= 3, "{log}");
}

#[tokio::test]
async fn people_keep_their_own_keys() {
    let house = House::new().await;
    let dave = house.person("dave", &["SystemUser"], &["OrgUser"]).await;
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUDxUOlUlvSjfVqKgGPPkU3N7wEHdW8zmTn3XQZo1Ln dave@laptop";

    let made = dave.post("/api/v1/authentication/ssh-key/", json!({"public_key": key})).await.ok();
    assert_eq!(made["name"], "dave@laptop");
    assert_eq!(dave.get("/api/v1/authentication/ssh-key/").await.ok().as_array().unwrap().len(), 1);
    assert_eq!(dave.post("/api/v1/authentication/ssh-key/", json!({"public_key": "nonsense"})).await.status, StatusCode::BAD_REQUEST);
    let path = format!("/api/v1/authentication/ssh-key/{}/", made["id"].as_str().unwrap());
    assert_eq!(house.person("eve", &["SystemUser"], &["OrgUser"]).await.delete(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(dave.delete(&path).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn broken_requests_are_answered() {
    let house = House::new().await;
    let admin = house.admin().await;
    for (body, kind) in [("{", "application/json"), ("a=b", "application/x-www-form-urlencoded"), ("[[[[", "application/json")] {
        let mut request = axum::http::Request::post("/api/v1/users/groups/").header("content-type", kind);
        let token = house.nobody().post("/api/v1/authentication/auth/", json!({"username": "admin", "password": crate::house::ADMIN_PASSWORD})).await.ok();
        request = request.header("authorization", format!("Bearer {}", token["token"].as_str().unwrap()));
        let answer = admin.send(request.body(axum::body::Body::from(body)).unwrap()).await;
        assert!(answer.status.is_client_error(), "{body}: {}", answer.status);
    }
    assert_eq!(admin.get("/api/v1/no/such/thing/").await.status, StatusCode::NOT_FOUND);
    assert_eq!(admin.call("PUT", "/healthz", None).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(admin.get("/api/v1/users/groups").await.status.is_success(), "a missing slash is helped");
}

#[tokio::test]
async fn a_help_desk_cannot_take_over_an_administrator() {
    let house = House::new().await;
    let role =
        json!({"name": "HelpDesk", "scope": "system", "permissions": ["users.view_user", "users.change_user", "users.delete_user", "orgs.view_rootorg"]});
    house.local().post("/api/v1/rbac/roles/", role).await.ok();
    let desk = house.person("desk", &["SystemUser", "HelpDesk"], &["OrgUser"]).await;
    house.person("plain", &["SystemUser"], &["OrgUser"]).await;

    for answer in [
        desk.patch("/api/v1/users/users/admin/", json!({"password": "Stolen-Crown-12345"})).await,
        desk.call("PUT", "/api/v1/users/users/admin/password/", Some(json!({"password": "Stolen-Crown-12345"}))).await,
        desk.post("/api/v1/users/users/admin/mfa/reset/", json!({})).await,
        desk.post("/api/v1/users/users/admin/pubkey/reset/", json!({})).await,
        desk.patch("/api/v1/users/users/desk/", json!({"system_roles": ["SystemAdmin"]})).await,
    ] {
        assert!(answer.status.is_client_error(), "{}", answer.text);
    }
    house.admin().await;
    let reset = desk.call("PUT", "/api/v1/users/users/plain/password/", Some(json!({"password": "Fresh-Person-12345"}))).await;
    assert_eq!(reset.status, StatusCode::NO_CONTENT, "{}", reset.text);
}
