//! Every operation of the OpenAPI document × {nobody, wrong organization, wrong role, right role}.

use std::fmt::Write as _;

use axum::http::StatusCode;
use model::{SystemClock, builtin_roles};
use policy::PermissionSet;
use serde_json::{Value, json};

use crate::house::{Answer, House, Person};

const MISSING: &str = "00000000-0000-0000-0000-0000deadbeef";

struct Operation {
    method: String,
    path: String,
    permission: Option<String>,
    own: bool,
}

fn operations() -> Vec<Operation> {
    let document = rest::openapi();
    let mut out = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, op) in methods.as_object().unwrap() {
            let permission = op.get("x-permission").and_then(Value::as_str).map(str::to_owned);
            out.push(Operation { method: method.to_uppercase(), path: path.clone(), permission, own: op.get("x-own") == Some(&json!(true)) });
        }
    }
    out
}

async fn ask(person: &Person<'_>, op: &Operation) -> Answer {
    let path = op.path.replace("{id}", MISSING).replace("{asset}", MISSING);
    let body = (op.method != "GET" && op.method != "DELETE").then(|| json!({}));
    person.call(&op.method, &path, body).await
}

#[test]
fn public_routes_are_the_listed_ones() {
    let mut public: Vec<String> = operations().into_iter().filter(|o| o.permission.is_none()).map(|o| format!("{} {}", o.method, o.path)).collect();
    public.sort();

    assert_eq!(public.join("\n") + "\n", include_str!("../../public_routes.txt"), "public_routes.txt may only shrink");
}

#[test]
fn every_operation_has_an_id_of_its_own() {
    let document = rest::openapi();
    let mut seen = std::collections::BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, op) in methods.as_object().unwrap() {
            assert!(!op["summary"].as_str().unwrap().is_empty());
            assert!(seen.insert(op["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
        }
    }
}

/// Role × permission, as an auditor reads it.
#[test]
fn the_matrix_of_roles_is_the_reviewed_one() {
    let roles = builtin_roles(model::Clock::now(&SystemClock));
    let mut permissions: Vec<String> = operations().into_iter().filter_map(|o| o.permission).collect();
    permissions.sort();
    permissions.dedup();
    let mut table = String::new();
    let _ = writeln!(table, "{:44}{}", "permission", roles.iter().map(|r| format!("{:16}", r.name)).collect::<String>().trim_end());
    for permission in &permissions {
        let cells: String = roles
            .iter()
            .map(|r| {
                let mut set = PermissionSet::default();
                set.extend(&r.permissions);
                format!("{:16}", if set.allows(permission) { "yes" } else { "-" })
            })
            .collect();
        let _ = writeln!(table, "{permission:44}{}", cells.trim_end());
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/role_matrix.txt");
    if std::fs::read_to_string(file).ok().as_deref() != Some(table.as_str()) {
        std::fs::write(format!("{file}.new"), &table).unwrap();
        panic!("role_matrix.txt differs; review role_matrix.txt.new and put it in its place");
    }
}

#[tokio::test]
async fn nobody_is_told_to_sign_in_everywhere() {
    let house = House::new().await;
    let nobody = house.nobody();
    for op in operations().iter().filter(|o| o.permission.is_some()) {
        let answer = ask(&nobody, op).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{} {}: {}", op.method, op.path, answer.text);
    }
}

#[tokio::test]
async fn the_wrong_organization_does_not_exist() {
    let house = House::new().await;
    house.local().post("/api/v1/orgs/orgs/", json!({"name": "Branch"})).await.ok();
    let stranger = house.person("stranger", &["SystemUser"], &["OrgAdmin"]).await.in_org("Branch");
    for op in operations().iter().filter(|o| o.permission.is_some()) {
        let answer = ask(&stranger, op).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{} {}: {}", op.method, op.path, answer.text);
    }
}

#[tokio::test]
async fn the_wrong_role_is_refused() {
    let house = House::new().await;
    let user = house.person("plain", &["SystemUser"], &["OrgUser"]).await;
    for op in operations().iter().filter(|o| o.permission.is_some() && !o.own) {
        let answer = ask(&user, op).await;
        // with an id: an object that is not there; without: not allowed
        let wanted = if op.path.contains("{id}") && answer.status == StatusCode::NOT_FOUND { StatusCode::NOT_FOUND } else { StatusCode::FORBIDDEN };
        assert_eq!(answer.status, wanted, "{} {}: {}", op.method, op.path, answer.text);
    }
}

#[tokio::test]
async fn what_is_visible_and_not_allowed_is_403_and_what_is_elsewhere_is_404() {
    let house = House::new().await;
    house.local().post("/api/v1/orgs/orgs/", json!({"name": "Branch"})).await.ok();
    let here = house.local().post("/api/v1/users/groups/", json!({"name": "here"})).await.ok();
    let there = house.local().in_org("Branch").post("/api/v1/users/groups/", json!({"name": "there"})).await.ok();
    let auditor = house.person("looker", &["SystemUser"], &["OrgAuditor"]).await;
    let path = |g: &Value| format!("/api/v1/users/groups/{}/", g["id"].as_str().unwrap());

    assert_eq!(auditor.get(&path(&here)).await.status, StatusCode::OK);
    assert_eq!(auditor.patch(&path(&here), json!({"comment": "x"})).await.status, StatusCode::FORBIDDEN);
    assert_eq!(auditor.get(&path(&there)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(auditor.patch(&path(&there), json!({"comment": "x"})).await.status, StatusCode::NOT_FOUND);
    let seen = auditor.get("/api/v1/users/groups/?ids=".to_owned().as_str()).await.ok();
    assert!(seen.as_array().unwrap().iter().all(|g| g["name"] == "here"));
    let everywhere = house.local().in_org("ROOT").get("/api/v1/users/groups/").await.ok();
    assert_eq!(everywhere.as_array().unwrap().len(), 2);
    assert_eq!(house.local().in_org("ROOT").post("/api/v1/users/groups/", json!({"name": "x"})).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(auditor.in_org("ROOT").get("/api/v1/users/groups/").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_right_role_is_never_refused() {
    let house = House::new().await;
    let admin = house.admin().await;
    for op in operations().iter().filter(|o| {
        o.permission.is_some()
            && o.path != "/api/v1/settings/node/rotate-key/"
            && !o.path.ends_with("/authentication/auth/")
            && !o.path.ends_with("/authentication/session/")
    }) {
        let answer = ask(&admin, op).await;
        let fine = answer.status.is_success() || matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST);
        assert!(fine, "{} {}: {} {}", op.method, op.path, answer.status, answer.text);
    }
}

#[tokio::test]
async fn each_built_in_role_lists_what_the_matrix_says() {
    let house = House::new().await;
    let roles = builtin_roles(model::Clock::now(&SystemClock));
    for role in roles.iter().filter(|r| r.name != "SystemComponent") {
        let system = matches!(role.scope, model::RoleScope::System);
        let name = role.name.to_lowercase();
        let person = if system { house.person(&name, &[&role.name], &["OrgUser"]).await } else { house.person(&name, &["SystemUser"], &[&role.name]).await };
        let mut set = PermissionSet::default();
        set.extend(&role.permissions);
        for op in operations().iter().filter(|o| o.method == "GET" && !o.path.contains('{') && !o.own) {
            let Some(permission) = &op.permission else { continue };
            // the chain as a whole is for readers of the whole installation
            if op.path.ends_with("/audits/verify/") {
                continue;
            }
            let answer = ask(&person, op).await;
            assert_eq!(
                answer.status == StatusCode::OK,
                set.allows(permission),
                "{} {} as {}: {} {}",
                op.method,
                op.path,
                role.name,
                answer.status,
                answer.text
            );
        }
    }
}
