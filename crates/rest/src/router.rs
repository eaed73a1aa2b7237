//! Every route, one line each.

use axum::{Json, Router, extract::Request, response::{IntoResponse, Response}};
use model::{Account, Asset, AssetPermission, Node, Org, Platform, Role, RoleBinding, User, UserGroup};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{
    App,
    fail::Fail,
    layers,
    resource::crud,
    route::{Api, GET, Registered, document, op},
    selection,
};

const V1: &str = "/api/v1";

macro_rules! path {
    ($p:literal) => { concat!("/api/v1/", $p) };
}

fn build() -> Api {
    let _ = V1;
    let api = Api::new();
    let api = crud::<User>(api, path!("users/users/"));
    let api = crud::<UserGroup>(api, path!("users/groups/"));
    let api = crud::<Role>(api, path!("rbac/roles/"));
    let api = crud::<RoleBinding>(api, path!("rbac/role-bindings/"));
    let api = crud::<Org>(api, path!("orgs/orgs/"));
    let api = crud::<Node>(api, path!("assets/nodes/"));
    let api = crud::<Platform>(api, path!("assets/platforms/"));
    let api = crud::<Asset>(api, path!("assets/assets/"));
    let api = crud::<Account>(api, path!("accounts/accounts/"));
    let api = crud::<AssetPermission>(api, path!("perms/asset-permissions/"));
    api.post(path!("common/resources/cache/"), selection::keep, op("Name a selection of ids for bulk calls").takes(json!({"type": "object", "properties": {"resources": {"type": "array", "items": {"type": "string"}}}})).status(201))
        .public(GET, "/api/openapi.json", openapi_json, op("This document").answers(json!({"type": "object"})))
}

/// Everything that is registered, with its permission.
pub fn register() -> Vec<Registered> {
    build().finish().1
}

/// The OpenAPI document.
pub fn openapi() -> Value {
    document(&register())
}

async fn openapi_json() -> Json<Value> {
    Json(openapi())
}

async fn nowhere() -> Fail {
    Fail::missing()
}

/// The API as a service. The server inserts [`crate::Peer`] (or `ConnectInfo<SocketAddr>`) into each request's
/// extensions, and [`crate::LocalAdmin`] where the kernel vouches for the peer.
pub fn router(app: App) -> Router {
    let (routes, _) = build().finish();
    let inner = layers::wrap(routes.fallback(nowhere).method_not_allowed_fallback(not_allowed).with_state(app));
    // JumpServer's paths end in a slash; so do ours, and requests without it are helped.
    Router::new().fallback_service(tower::service_fn(move |request: Request| {
        let inner = inner.clone();
        async move { inner.oneshot(with_slash(request)).await }
    }))
}

async fn not_allowed() -> Response {
    Fail::bad("api.method_not_allowed").status(axum::http::StatusCode::METHOD_NOT_ALLOWED).into_response()
}

fn with_slash(mut request: Request) -> Request {
    let path = request.uri().path();
    if path.starts_with("/api/v1/") && !path.ends_with('/') {
        let query = request.uri().query().map(|q| format!("?{q}")).unwrap_or_default();
        if let Ok(uri) = format!("{path}/{query}").parse() {
            *request.uri_mut() = uri;
        }
    }
    request
}
