use axum::http::{StatusCode, header};
use serde_json::json;

use crate::house::{ADMIN_PASSWORD, House};

#[tokio::test]
async fn a_login_gives_a_bearer_token_that_ends_when_it_is_given_back() {
    let house = House::new().await;

    let admin = house.admin().await;
    assert_eq!(admin.get("/api/v1/users/profile/").await.ok()["username"], "admin");
    assert_eq!(admin.delete("/api/v1/authentication/auth/").await.status, StatusCode::NO_CONTENT);
    assert_eq!(admin.get("/api/v1/users/profile/").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn wrong_passwords_are_typed_errors_in_the_language_of_the_client() {
    let house = House::new().await;

    let answer = house.nobody().with("accept-language", "ja").post("/api/v1/authentication/auth/", json!({"username": "admin", "password": "x"})).await;

    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.body["code"], "password_failed");
    assert!(!answer.body["detail"].as_str().unwrap().is_ascii());
}

#[tokio::test]
async fn a_cookie_changes_nothing_without_its_csrf_value() {
    let house = House::new().await;
    let opened = house.nobody().post("/api/v1/authentication/session/", json!({"username": "admin", "password": ADMIN_PASSWORD})).await;
    let cookies: Vec<String> = opened.headers.get_all(header::SET_COOKIE).iter().map(|v| v.to_str().unwrap().to_owned()).collect();
    let session = cookies.iter().find(|c| c.starts_with("jms_sessionid=")).unwrap();
    for wanted in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(session.contains(wanted), "{session}");
    }
    let pair = session.split(';').next().unwrap();
    let csrf = opened.body["csrf_token"].as_str().unwrap();
    let browser = house.nobody().with("cookie", pair);

    assert_eq!(browser.get("/api/v1/users/profile/").await.status, StatusCode::OK);
    assert_eq!(browser.post("/api/v1/users/groups/", json!({"name": "a"})).await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.clone().with("x-csrftoken", "wrong").post("/api/v1/users/groups/", json!({"name": "a"})).await.status, StatusCode::FORBIDDEN);
    let good = browser.with("x-csrftoken", csrf);
    assert_eq!(good.post("/api/v1/users/groups/", json!({"name": "a"})).await.status, StatusCode::CREATED);
    assert_eq!(good.delete("/api/v1/authentication/session/").await.status, StatusCode::NO_CONTENT);
    assert_eq!(good.get("/api/v1/users/profile/").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn only_trusted_proxies_are_believed_about_addresses() {
    let house = House::new().await;
    let liar = house.nobody().with("x-forwarded-for", "203.0.113.9");

    liar.post("/api/v1/authentication/auth/", json!({"username": "ghost", "password": "x"})).await;

    let rows = house.admin().await.get("/api/v1/audits/login-logs/?username=ghost").await.ok();
    assert_eq!(rows[0]["ip"], "192.0.2.7");
}

#[tokio::test]
async fn a_person_who_must_bind_a_factor_can_do_so_while_signing_in() {
    let house = House::new().await;
    house.person("mia", &["SystemUser"], &["OrgUser"]).await;
    house.local().patch("/api/v1/users/users/mia/", json!({"mfa_level": 2})).await.ok();

    let body = json!({"username": "mia", "password": "Some-Person-12345"});
    let first = house.nobody().post("/api/v1/authentication/auth/", body).await;

    assert_eq!(first.status, StatusCode::BAD_REQUEST);
    assert_eq!(first.body["code"], "mfa_unset");
    assert!(first.body.get("token").is_none());
    assert!(first.body["data"]["uri"].as_str().unwrap().starts_with("otpauth://"));
    let wrong = house.nobody().post("/api/v1/authentication/auth/", json!({"login": first.body["login"], "code": "000000"})).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert_eq!(wrong.body["code"], "mfa_failed");
}

#[tokio::test]
async fn secrets_are_not_shown_without_a_second_factor() {
    let house = House::new().await;
    let admin = house.admin().await;
    let host = json!({"name": "h", "address": "10.0.0.1", "platform": "Linux", "accounts": [{"username": "root", "secret": "planted-s3cret"}]});
    let made = admin.post("/api/v1/assets/hosts/", host).await;
    assert!(!made.text.contains("planted-s3cret"));
    made.ok();
    let account = admin.get("/api/v1/accounts/accounts/").await.ok()[0]["id"].as_str().unwrap().to_owned();

    let path = format!("/api/v1/accounts/account-secrets/{account}/");
    assert_eq!(admin.get(&path).await.status, StatusCode::FORBIDDEN);
    let shown = house.local().get(&path).await;
    assert_eq!(shown.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(shown.ok()["secret"], "planted-s3cret");
    let logs = admin.get("/api/v1/audits/operate-logs/?action=view").await;
    assert_eq!(logs.body.as_array().unwrap().len(), 1);
    assert!(!admin.get("/api/v1/audits/operate-logs/").await.text.contains("planted-s3cret"));
    assert!(!admin.get("/api/v1/audits/entries/").await.text.contains("planted-s3cret"));
}

#[tokio::test]
async fn every_answer_keeps_browsers_in_line() {
    let house = House::new().await;

    for path in ["/healthz", "/api/v1/users/users/", "/nowhere", "/api/docs"] {
        let headers = house.nobody().get(path).await.headers;
        assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("default-src 'none'"), "{path}");
        for name in [header::STRICT_TRANSPORT_SECURITY, header::X_CONTENT_TYPE_OPTIONS, header::X_FRAME_OPTIONS, header::CACHE_CONTROL] {
            assert!(headers.contains_key(&name), "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn the_node_says_whether_it_is_ready_and_hides_its_metrics() {
    let house = House::new().await;

    assert_eq!(house.nobody().get("/readyz").await.status, StatusCode::OK);
    assert_eq!(house.nobody().get("/metrics").await.status, StatusCode::UNAUTHORIZED);
    let page = house.nobody().get("/setup?token=nonsense").await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
}
