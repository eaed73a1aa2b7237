//! Every route, one line each.

use axum::{
    Json, Router,
    extract::Request,
    response::{IntoResponse, Response},
};
use model::{Account, Asset, AssetPermission, Node, Org, Platform, Role, RoleBinding, User, UserGroup};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{
    App, audits, auth, docs,
    fail::Fail,
    health, layers, operate, people, profile,
    resource::{Resource as _, crud, writable},
    route::{Api, GET, POST, Registered, document, op},
    selection, settings, state, targets, terminal,
};

macro_rules! path {
    ($p:literal) => {
        concat!("/api/v1/", $p)
    };
}

fn object(fields: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> = fields.iter().map(|f| ((*f).to_owned(), json!({"type": "string"}))).collect();
    json!({"type": "object", "properties": properties})
}

fn build() -> Api {
    let api = managed(Api::new());
    let api = people(api);
    let api = assets(api);
    let api = evidence(api);
    public(api)
}

/// The kinds whose verbs are all alike.
fn managed(api: Api) -> Api {
    let api = crud::<User>(api, path!("users/users/"));
    let api = crud::<UserGroup>(api, path!("users/groups/"));
    let api = crud::<Role>(api, path!("rbac/roles/"));
    let api = crud::<Role>(api, path!("rbac/system-roles/"));
    let api = crud::<Role>(api, path!("rbac/org-roles/"));
    let api = crud::<RoleBinding>(api, path!("rbac/role-bindings/"));
    let api = crud::<RoleBinding>(api, path!("rbac/system-role-bindings/"));
    let api = crud::<RoleBinding>(api, path!("rbac/org-role-bindings/"));
    let api = crud::<Org>(api, path!("orgs/orgs/"));
    let api = crud::<Node>(api, path!("assets/nodes/"));
    let api = crud::<Platform>(api, path!("assets/platforms/"));
    let api = crud::<Asset>(api, path!("assets/assets/"));
    let api = category::<0>(api, path!("assets/hosts/"));
    let api = category::<1>(api, path!("assets/devices/"));
    let api = category::<2>(api, path!("assets/databases/"));
    let api = category::<3>(api, path!("assets/clouds/"));
    let api = category::<4>(api, path!("assets/webs/"));
    let api = category::<5>(api, path!("assets/directories/"));
    let api = category::<6>(api, path!("assets/customs/"));
    let api = crud::<Account>(api, path!("accounts/accounts/"));
    crud::<AssetPermission>(api, path!("perms/asset-permissions/"))
}

/// A list of one category; the other verbs are those of assets.
fn category<const C: u8>(api: Api, path: &'static str) -> Api {
    let summary = format!("List assets of category {}", targets::category(C).as_str());
    let api = api.get(path, targets::list_category::<C>, op(summary).pages(Asset::FIELDS, Some(Asset::LISTS)));
    writable::<Asset>(api, path)
}

fn people(api: Api) -> Api {
    api.put(path!("users/users/{id}/password/"), people::password, op("Set somebody's password").takes(object(&["password"])).status(204))
        .patch(path!("users/users/{id}/password/"), people::password, op("Set somebody's password").takes(object(&["password"])).status(204))
        .post(path!("users/users/{id}/unblock/"), people::unblock, op("Lift a lock-out").status(204))
        .patch(path!("users/users/{id}/unblock/"), people::unblock, op("Lift a lock-out").status(204))
        .post(path!("users/users/{id}/mfa/reset/"), people::reset_mfa, op("Unbind somebody's authenticator").status(204))
        .post(path!("users/users/{id}/pubkey/reset/"), people::reset_keys, op("Remove somebody's public keys").status(204))
        .post(path!("users/users/{id}/remove/"), people::remove, op("End somebody's membership here").status(204))
        .post(
            path!("users/users/invite/"),
            people::invite,
            op("Make existing people members")
                .takes(json!({"type": "object", "properties": {"users": {"type": "array"}, "org_roles": {"type": "array"}}}))
                .status(201),
        )
        .post(
            path!("users/users-groups-relations/"),
            people::add_to_groups,
            op("Add people to groups").takes(json!({"type": "array", "items": object(&["user", "usergroup"])})).status(201),
        )
        .delete(path!("users/users-groups-relations/"), people::remove_from_group, op("Remove a person from a group").status(204))
        .get(path!("users/profile/"), profile::read, op("Read one's own profile").shows(User::FIELDS))
        .patch(path!("users/profile/"), profile::change, op("Change one's own profile").takes(object(&["name", "email", "phone", "lang"])).shows(User::FIELDS))
        .put(path!("users/profile/password/"), profile::password, op("Change one's own password").takes(object(&["old_password", "new_password"])).status(204))
        .post(
            path!("users/profile/otp/"),
            profile::enrol,
            op("Start binding an authenticator").takes(object(&["password"])).answers(object(&["secret", "uri"])),
        )
        .post(
            path!("users/profile/otp/confirm/"),
            profile::enrol_confirm,
            op("Bind the authenticator with its first code").takes(object(&["secret", "code"])).status(204),
        )
        .get(path!("authentication/ssh-key/"), profile::keys, op("List one's own public keys").answers(json!({"type": "array"})))
        .post(path!("authentication/ssh-key/"), profile::add_key, op("Add a public key").takes(object(&["name", "public_key"])).status(201))
        .get(path!("authentication/ssh-key/{id}/"), profile::key, op("Read one of one's own public keys"))
        .patch(path!("authentication/ssh-key/{id}/"), profile::change_key, op("Rename, switch off a public key").takes(object(&["name", "is_active"])))
        .delete(path!("authentication/ssh-key/{id}/"), profile::delete_key, op("Remove a public key").status(204))
        .post(
            path!("authentication/private-token/"),
            profile::private_token,
            op("Issue a token for programs; shown once").answers(object(&["token", "keyword", "date_expired"])).status(201),
        )
        .get(path!("authentication/session/"), auth::session, op("Who is signed in").answers(json!({"type": "object"})))
        .delete(path!("authentication/session/"), auth::close_session, op("Sign out").status(204))
        .delete(path!("authentication/auth/"), auth::close_session, op("End the token of this request").status(204))
        .post(
            path!("common/resources/cache/"),
            selection::keep,
            op("Name a selection of ids for bulk calls")
                .takes(json!({"type": "object", "properties": {"resources": {"type": "array", "items": {"type": "string"}}}}))
                .status(201),
        )
        .get(path!("settings/client/versions/"), settings::versions, op("Compatible API versions").answers(json!({"type": "array"})))
        .post(
            path!("settings/node/rotate-key/"),
            operate::rotate_key,
            op("Make new keys and seal every stored secret again")
                .takes(json!({"type": "object", "properties": {"master": {"type": "boolean"}, "data_key": {"type": "boolean"}}}))
                .answers(json!({"type": "object"})),
        )
        .post(
            path!("settings/node/unlock/"),
            operate::unlock,
            op("End a lock-out of a name or an address").takes(object(&["username", "address"])).answers(json!({"type": "object"})),
        )
        .get(path!("settings/server-info/"), settings::server_info, op("Name and version").answers(json!({"type": "object"})))
}

fn assets(api: Api) -> Api {
    let ids = || json!({"type": "object", "properties": {"assets": {"type": "array", "items": {"type": "string"}}}});
    api.get(path!("assets/nodes/{id}/children/"), targets::children, op("List the folders below").pages(Node::FIELDS, Some(Node::LISTS)))
        .post(path!("assets/nodes/{id}/children/"), targets::add_child, op("Create a folder below").takes(object(&["value"])).shows(Node::FIELDS).status(201))
        .get(path!("assets/nodes/children/tree/"), targets::tree, op("Folders below `key` as a tree view wants them").answers(json!({"type": "array"})))
        .put(path!("assets/nodes/{id}/assets/add/"), targets::add_assets, op("Put assets into a folder too").takes(ids()).status(204))
        .put(path!("assets/nodes/{id}/assets/remove/"), targets::remove_assets, op("Take assets out of a folder").takes(ids()).status(204))
        .put(path!("assets/nodes/{id}/assets/replace/"), targets::move_assets, op("Move assets into a folder").takes(ids()).status(204))
        .get(path!("assets/assets/{id}/host-keys/"), targets::host_keys, op("List the known host keys of a target").answers(json!({"type": "array"})))
        .delete(path!("assets/assets/{id}/host-keys/"), targets::forget_host_keys, op("Forget the host keys of a target").status(204))
        .get(
            path!("accounts/account-secrets/{id}/"),
            targets::reveal,
            op("Show a stored secret").answers(object(&["id", "name", "username", "secret", "passphrase"])),
        )
        .patch(
            path!("accounts/accounts/clear-secret/"),
            targets::clear_secrets,
            op("Remove stored secrets").takes(json!({"type": "object", "properties": {"account_ids": {"type": "array"}}})).status(204),
        )
        .get(path!("perms/users/self/assets/"), targets::my_assets, op("List the targets one may reach").answers(json!({"type": "array"})))
        .get(path!("perms/users/self/assets/{asset}/"), targets::my_asset, op("One target with the accounts one may use").answers(json!({"type": "object"})))
        .get(path!("perms/users/{id}/assets/"), targets::assets_of, op("List the targets somebody may reach").answers(json!({"type": "array"})))
        .get(path!("perms/users/{id}/assets/{asset}/explain/"), targets::explain, op("Which rules give or withhold what").answers(json!({"type": "object"})))
}

fn evidence(api: Api) -> Api {
    let list = || json!({"type": "array", "items": {"type": "object"}});
    let logs = |summary: &str, lists: crate::listing::Lists| op(summary).pages(&[], Some(lists)).answers(list());
    api.get(path!("terminal/sessions/"), terminal::sessions, logs("List sessions", terminal::SESSIONS))
        .get(path!("terminal/my-sessions/"), terminal::my_sessions, logs("List one's own sessions", terminal::SESSIONS))
        .get(path!("terminal/sessions/{id}/"), terminal::session, op("Read a session").answers(json!({"type": "object"})))
        .get(path!("terminal/sessions/{id}/replay/"), terminal::replay, op("What a player needs to know").answers(json!({"type": "object"})))
        .get(path!("terminal/sessions/{id}/replay/cast/"), terminal::play, op("The recording as asciicast v2, for a player").content("application/x-asciicast"))
        .get(path!("terminal/sessions/{id}/replay/download/"), terminal::download, op("The recording as a file: format=cast|rec|text|jsonl").content("application/octet-stream"))
        .post(path!("terminal/sessions/{id}/lock/"), terminal::lock, op("Ignore the person's input").status(204))
        .post(path!("terminal/sessions/{id}/unlock/"), terminal::unlock, op("Take the person's input again").status(204))
        .post(path!("terminal/tasks/kill-session/"), terminal::kill, op("End live sessions").takes(json!({"type": "array", "items": {"type": "string", "format": "uuid"}})))
        .get(path!("terminal/commands/"), terminal::commands, logs("List commands", terminal::COMMANDS))
        .get(path!("terminal/commands/{id}/"), terminal::command, op("Read a command").answers(json!({"type": "object"})))
        .get(path!("audits/login-logs/"), audits::logins, logs("List sign-in attempts", audits::LOGINS))
        .get(path!("audits/operate-logs/"), audits::operates, logs("List changes, views and exports", audits::OPERATES))
        .get(path!("audits/password-change-logs/"), audits::passwords, logs("List password changes", audits::PASSWORDS))
        .get(path!("audits/entries/"), audits::entries, logs("List the audit chain", audits::ENTRIES))
        .get(path!("audits/verify/"), audits::verify, op("Verify chain, checkpoints and recordings").answers(json!({"type": "object"})))
        .post(path!("audits/verify/"), audits::verify, op("Verify chain, checkpoints and recordings").answers(json!({"type": "object"})))
        .post(path!("state/apply/"), state::apply, op("Bring objects to a declared state").takes(json!({"type": "object", "properties": {
            "documents": {"type": "array", "items": {"type": "object", "required": ["file", "line", "kind", "metadata"], "properties": {
                "file": {"type": "string"}, "line": {"type": "integer"}, "kind": {"type": "string"}, "metadata": object(&["name", "org"]),
                "spec": {"type": "object"}, "lines": {"type": "object", "additionalProperties": {"type": "integer"}}}}},
            "files": {"type": "array", "items": object(&["file", "text"])}, "sources": {"type": "array", "items": {"type": "string"}}, "dry_run": {"type": "boolean"}, "prune": {"type": "boolean"}}})).answers(json!({"type": "object"})))
        .get(path!("state/export/"), state::export, op("Print objects as declared state").answers(json!({"type": "object"})))
        .post(path!("audits/export/"), audits::export, op("Export evidence as a bundle").takes(json!({"type": "object", "properties": {"sessions": {"type": "array"}}})).content("application/x-tar"))
}

/// Routes for people who are not signed in, and for machines. The list in `public_routes.txt` may only shrink.
fn public(api: Api) -> Api {
    let login = || op("Sign in").takes(object(&["username", "password", "otp", "login", "code", "new_password"])).status(201);
    api.public(POST, path!("authentication/auth/"), auth::token, login().answers(object(&["token", "keyword", "date_expired"])))
        .public(POST, path!("authentication/tokens/"), auth::token, login().answers(object(&["token", "keyword", "date_expired"])))
        .public(POST, path!("authentication/session/"), auth::open_session, login().answers(object(&["csrf_token"])))
        .public(POST, path!("authentication/setup/"), auth::setup, op("Set the first administrator's password").takes(object(&["token", "password"])))
        .public(GET, "/setup", auth::setup_page, op("The form of the one-time setup link").content("text/html"))
        .public(GET, "/healthz", health::healthz, op("The process answers").content("text/plain"))
        .public(GET, "/readyz", health::readyz, op("The node takes work").answers(json!({"type": "object"})))
        .public(GET, "/metrics", health::metrics, op("Metrics for Prometheus; from elsewhere than this machine with a credential").content("text/plain"))
        .public(GET, "/api/openapi.json", openapi_json, op("This document").answers(json!({"type": "object"})))
        .public(GET, "/api/docs", docs::page, op("This document as a page").content("text/html"))
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
    if path == "/api/docs/" {
        *request.uri_mut() = axum::http::Uri::from_static("/api/docs");
    } else if path.starts_with("/api/v1/") && !path.ends_with('/') {
        let query = request.uri().query().map(|q| format!("?{q}")).unwrap_or_default();
        if let Ok(uri) = format!("{path}/{query}").parse() {
            *request.uri_mut() = uri;
        }
    }
    request
}
