//! The little of the settings that exists: what clients ask before they do anything else.

use axum::Json;
use policy::action::Myself;
use serde_json::{Value, json};

use crate::guard::Can;

/// `GET /api/v1/settings/client/versions/`: JumpServer API versions this API is compatible with.
pub(crate) async fn versions(_: Can<Myself>) -> Json<Value> {
    Json(json!(["4.0"]))
}

/// `GET /api/v1/settings/server-info/`
pub(crate) async fn server_info(can: Can<Myself>) -> Json<Value> {
    Json(json!({"name": "Rampart", "version": env!("CARGO_PKG_VERSION"), "node": can.caller.app.node_id(), "now": can.caller.app.now()}))
}
