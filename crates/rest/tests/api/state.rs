use axum::http::StatusCode;
use serde_json::Value;

use crate::house::House;

const STATE: &str = "kind: UserGroup
metadata: {name: ops}
---
kind: User
metadata: {name: alice}
spec:
  name: Alice
  email: alice@example.org
  groups: [ops]
  password: {value: Alice-Password-2026}
  public_keys: [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUDxUOlUlvSjfVqKgGPPkU3N7wEHdW8zmTn3XQZo1Ln alice@laptop\"]
---
kind: Host
metadata: {name: web1}
spec:
  address: 10.0.0.5
  platform: Linux
  nodes: [/Default/Web/Front]
  protocols: [ssh/22]
  accounts:
    - {username: root, privileged: true, secret_type: password, secret: {value: planted-root}}
    - {username: app, secret: {value: planted-app}, su_from: root}
---
kind: AssetPermission
metadata: {name: ops-web}
spec: {user_groups: [ops], nodes: [/Default/Web], accounts: ['@ALL'], protocols: [all], actions: [connect, upload], date_expired: 2030-12-31T00:00:00Z}
";

fn actions(body: &Value) -> Vec<(String, String)> {
    body["plan"].as_array().unwrap().iter().map(|p| (p["action"].as_str().unwrap().to_owned(), p["name"].as_str().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn a_file_brings_a_person_to_a_machine_and_the_second_time_changes_nothing() {
    let house = House::new().await;
    let local = house.local();

    let first = local.apply(STATE, false, false).await.ok();
    assert_eq!(first["changed"], true);
    assert!(!first.to_string().contains("planted"), "{first}");
    let head = house.audit_seq().await;
    let second = local.apply(STATE, false, false).await.ok();

    assert_eq!(second["changed"], false, "{second}");
    assert!(actions(&second).iter().all(|(a, _)| a == "unchanged"), "{second}");
    assert_eq!(house.audit_seq().await, head);
    let alice = house.login("alice", "Alice-Password-2026").await;
    let mine = alice.get("/api/v1/perms/users/self/assets/").await.ok();
    assert_eq!(mine[0]["name"], "web1");
    let one = alice.get("/api/v1/perms/users/self/assets/web1/").await.ok();
    assert_eq!(one["permed_accounts"].as_array().unwrap().len(), 2);
    let why = local.get("/api/v1/perms/users/alice/assets/web1/explain/").await.ok();
    assert_eq!(why["allowed"], true);
    assert_eq!(why["rules"][0]["name"], "ops-web");
}

#[tokio::test]
async fn a_dry_run_tells_the_difference_and_changes_nothing() {
    let house = House::new().await;
    let local = house.local();
    local.apply(STATE, false, false).await.ok();
    let head = house.audit_seq().await;

    let plan = local.apply(&STATE.replace("10.0.0.5", "10.0.0.9").replace("planted-app", "other-secret"), true, false).await.ok();

    let text = plan.to_string();
    assert!(text.contains("10.0.0.5") && text.contains("10.0.0.9"), "{text}");
    assert!(text.contains("******") && !text.contains("other-secret"), "{text}");
    assert_eq!(house.audit_seq().await, head);
    assert_eq!(local.get("/api/v1/assets/hosts/web1/").await.ok()["address"], "10.0.0.5");
}

#[tokio::test]
async fn every_problem_is_told_with_its_line_and_nothing_is_applied() {
    let house = House::new().await;
    let wrong = "kind: UserGroup
metadata: {name: fine}
---
kind: User
metadata: {name: carol}
spec:
  name: Carol
  emial: carol@example.org
---
kind: Host
metadata: {name: h}
spec:
  address: 10.0.0.1
  platform: Linuks
  protocols: [ssh/99999]
---
kind: AssetPermission
metadata: {name: p}
spec:
  user_groups: [nobody-knows]
  actions: [fly]
---
kind: Hots
metadata: {name: i}
---
kind: Zone
metadata: {name: z}
";

    let answer = house.local().apply(wrong, false, false).await;

    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let found: Vec<(i64, String)> =
        answer.body["problems"].as_array().unwrap().iter().map(|p| (p["line"].as_i64().unwrap(), p["field"].as_str().unwrap().to_owned())).collect();
    let wanted =
        [(8, "spec.emial"), (14, "spec.platform"), (15, "spec.protocols[0]"), (20, "spec.user_groups[0]"), (21, "spec.actions[0]"), (23, "kind"), (26, "kind")];
    assert_eq!(found, wanted.map(|(l, f)| (l, f.to_owned())), "{}", answer.text);
    assert!(house.local().get("/api/v1/users/groups/").await.ok().as_array().unwrap().is_empty());
}

#[tokio::test]
async fn an_export_holds_no_secret_and_applies_without_change() {
    let house = House::new().await;
    let local = house.local();
    local.apply(&format!("{STATE}---\nkind: Organization\nmetadata: {{name: Branch}}\n---\nkind: Host\nmetadata: {{name: far, org: Branch}}\nspec: {{address: 10.8.8.8, platform: Linux}}\n---\nkind: RoleBinding\nmetadata: {{name: alice-branch}}\nspec: {{user: alice, role: OrgAdmin, org: Branch}}\n"), false, false).await.ok();

    let exported = local.get("/api/v1/state/export/?format=yaml").await;
    assert!(!exported.text.contains("planted") && !exported.text.contains("argon2"), "{}", exported.text);
    let again = local.post("/api/v1/state/apply/", serde_json::json!({"files": [{"file": "exported.yaml", "text": exported.text}]})).await.ok();

    assert_eq!(again["changed"], false, "{again:#}\n{}", exported.text);
}

#[tokio::test]
async fn prune_removes_what_the_file_owns_and_no_longer_declares() {
    let house = House::new().await;
    let local = house.local();
    local.apply("kind: UserGroup\nmetadata: {name: temporary}\n---\nkind: UserGroup\nmetadata: {name: kept}\n", false, false).await.ok();
    local.post("/api/v1/users/groups/", serde_json::json!({"name": "by-hand"})).await.ok();

    local.apply("kind: UserGroup\nmetadata: {name: kept}\n", false, true).await.ok();

    let groups = local.get("/api/v1/users/groups/?order=name").await.ok();
    let names: Vec<&str> = groups.as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["by-hand", "kept"]);
}

#[tokio::test]
async fn an_organization_administrator_declares_only_inside_his_organization() {
    let house = House::new().await;
    let boss = house.person("boss", &["SystemUser"], &["OrgAdmin"]).await;

    boss.apply("kind: Host\nmetadata: {name: mine}\nspec: {address: 10.1.1.1, platform: Linux}\n", false, false).await.ok();
    let far = boss.apply("kind: Host\nmetadata: {name: far, org: System}\nspec: {address: 10.1.1.1, platform: Linux}\n", false, false).await;
    assert_eq!(far.status, StatusCode::BAD_REQUEST);
    for text in [
        "kind: Organization\nmetadata: {name: New}\n",
        "kind: Role\nmetadata: {name: r}\nspec: {permissions: ['*']}\n",
        "kind: RoleBinding\nmetadata: {name: up}\nspec: {user: boss, role: SystemAdmin}\n",
        "kind: User\nmetadata: {name: admin}\nspec: {password: {value: Stolen-Crown-12345}}\n",
    ] {
        let answer = boss.apply(text, false, false).await;
        assert!(answer.status.is_client_error(), "{text}: {}", answer.text);
    }
    house.admin().await;
}

#[tokio::test]
async fn groups_and_people_may_name_each_other() {
    let house = House::new().await;
    let text = "kind: UserGroup\nmetadata: {name: a}\nspec: {users: [zoe]}\n---\nkind: User\nmetadata: {name: zoe}\nspec: {name: Zoe, groups: [a]}\n";

    house.local().apply(text, false, false).await.ok();

    assert_eq!(house.local().apply(text, false, false).await.ok()["changed"], false);
    assert_eq!(house.local().get("/api/v1/users/groups/a/").await.ok()["users"][0]["name"], "zoe");
}

#[tokio::test]
async fn an_emptied_file_owns_nothing_any_more() {
    let house = House::new().await;
    let local = house.local();
    local.apply("kind: UserGroup\nmetadata: {name: temporary}\n", false, false).await.ok();

    local.post("/api/v1/state/apply/", serde_json::json!({"documents": [], "sources": ["a.yaml"], "prune": true})).await.ok();

    assert!(local.get("/api/v1/users/groups/").await.ok().as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_thousand_hosts_are_declared_in_one_go() {
    let house = House::new().await;
    let text: String = (0..1_000).map(|i| format!("kind: Host\nmetadata: {{name: h{i}}}\nspec: {{address: 10.0.{}.{}, platform: Linux, nodes: [/Default/N{}], accounts: [{{username: root, secret: {{value: s{i}}}}}]}}\n---\n", i / 250, i % 250, i % 20)).collect();
    let started = std::time::Instant::now();

    house.local().apply(&text, false, false).await.ok();
    let again = house.local().apply(&text, false, false).await.ok();

    assert_eq!(again["changed"], false);
    eprintln!("two applies of 1,000 hosts took {:?}", started.elapsed());
    assert!(started.elapsed().as_secs() < 60);
}
