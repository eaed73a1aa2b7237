//! A node in a temporary directory, and people who call its API.

use std::{net::SocketAddr, sync::Arc};

use audit::{Checkpointer, NodeKey};
use authn::Authenticator;
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use http_body_util::BodyExt as _;
use model::{Clock, SystemClock};
use policy::Authority;
use recording::{Spool, SpoolOptions};
use serde_json::{Value, json};
use session::{Bus, Committer, LocalBus, Registry};
use store::Store;
use tower::ServiceExt as _;
use vault::{MasterKey, Secret, Vault};

pub const ADMIN_PASSWORD: &str = "Correct-Horse-7-Battery";

pub struct House {
    pub router: Router,
    pub store: Store,
    pub authority: Authority,
    _checkpointer: Arc<Checkpointer>,
    _dir: tempfile::TempDir,
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: axum::http::HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Answer {
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.text);
        self.body
    }
}

/// Somebody with a credential.
#[derive(Clone)]
pub struct Person<'a> {
    house: &'a House,
    headers: Vec<(String, String)>,
    local: bool,
}

impl House {
    pub async fn new() -> House {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().to_path_buf();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let authority = Authority::of_this_node();
        let url = format!("sqlite://{}", data.join("rampart.db").display());
        let store = store_sql::open(&url, store_sql::Options { node_id: "node-test".into(), ..Default::default() }).await.unwrap();
        let vault = Arc::new(Vault::open_store(store.clone(), authority, MasterKey::generate().unwrap()).await.unwrap());
        let key = NodeKey::load_or_create(data.join("keys/audit.key")).unwrap();
        std::fs::create_dir_all(data.join("audit")).unwrap();
        let spool = Spool::start(data.join("recordings"), SpoolOptions::new(Arc::new(key.clone()))).unwrap();
        let checkpointer =
            Checkpointer::start(store.clone(), authority, "node-test", key.clone(), data.join("audit/checkpoints.jsonl"), clock.clone()).await.unwrap();
        let checkpointer = Arc::new(checkpointer);
        let bus: Arc<dyn Bus> = Arc::new(LocalBus::default());
        let authn = Authenticator::new(store.clone(), vault.clone(), clock.clone(), authn::Settings::default(), authority);
        authn.reset_password("admin", &Secret::new(ADMIN_PASSWORD.to_owned()), false).await.unwrap();
        let app = rest::App::new(rest::Parts {
            store: store.clone(),
            committer: Committer::new(store.clone(), bus.clone()),
            vault,
            authn: Arc::new(authn),
            registry: Registry::default(),
            bus,
            clock,
            authority,
            spool,
            data_dir: data,
            node_id: "node-test".into(),
            node_key: Arc::new(key),
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            checkpointer: Arc::downgrade(&checkpointer),
            metrics: None,
            secure_cookies: true,
        });
        House { router: rest::router(app), store, authority, _checkpointer: checkpointer, _dir: dir }
    }

    pub fn nobody(&self) -> Person<'_> {
        Person { house: self, headers: Vec::new(), local: false }
    }
    /// The local administrator.
    pub fn local(&self) -> Person<'_> {
        Person { house: self, headers: Vec::new(), local: true }
    }
    pub async fn login(&self, username: &str, password: &str) -> Person<'_> {
        let body = self.nobody().post("/api/v1/authentication/auth/", json!({"username": username, "password": password})).await.ok();
        self.nobody().with("authorization", &format!("Bearer {}", body["token"].as_str().unwrap()))
    }
    pub async fn admin(&self) -> Person<'_> {
        self.login("admin", ADMIN_PASSWORD).await
    }
    /// Makes a person with these roles and signs in.
    pub async fn person(&self, username: &str, system: &[&str], org: &[&str]) -> Person<'_> {
        let body = json!({"username": username, "name": username, "password": "Some-Person-12345", "system_roles": system, "org_roles": org});
        self.local().post("/api/v1/users/users/", body).await.ok();
        self.login(username, "Some-Person-12345").await
    }
    pub async fn audit_seq(&self) -> i64 {
        self.store.node(self.authority).chain_head("node-test").await.unwrap().seq
    }
}

impl Person<'_> {
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
    pub fn in_org(self, org: &str) -> Self {
        self.with("x-jms-org", org)
    }
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).extension(rest::Peer(SocketAddr::from(([192, 0, 2, 7], 4321))));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if self.local {
            request = request.extension(rest::LocalAdmin);
        }
        let request = match body {
            Some(b) => request.header(header::CONTENT_TYPE, "application/json").body(Body::from(b.to_string())),
            None => request.body(Body::empty()),
        };
        self.send(request.unwrap()).await
    }
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.house.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Answer { status, headers, text, body }
    }
    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call("PATCH", path, Some(body)).await
    }
    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None).await
    }
    pub async fn apply(&self, text: &str, dry_run: bool, prune: bool) -> Answer {
        self.post("/api/v1/state/apply/", json!({"files": [{"file": "a.yaml", "text": text}], "dry_run": dry_run, "prune": prune})).await
    }
}
