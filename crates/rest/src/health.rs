//! Whether the node lives, takes work, and what it measures.

use axum::{
    extract::{FromRequestParts, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use policy::{
    Memberships,
    action::{Action as _, ReadMetrics},
};
use serde_json::json;

use crate::{
    App, credential,
    fail::Fail,
    guard::{client_of, is_loopback},
};

/// `GET /healthz`: the process answers.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the database answers, evidence can be written, and the node is not draining.
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    let database = tokio::time::timeout(std::time::Duration::from_secs(2), app.node().ping()).await.is_ok_and(|r| r.is_ok());
    // Failures are counted since the start; what matters is whether a file can be made there now.
    let recordings = app.spool().dir().to_owned();
    let probe = recordings.join(format!(".probe-{}", uuid::Uuid::new_v4()));
    let evidence = tokio::task::spawn_blocking(move || {
        let written = std::fs::write(&probe, b"ok");
        let _ = std::fs::remove_file(&probe);
        written.is_ok()
    });
    let evidence = evidence.await.unwrap_or(false);
    let draining = app.registry().is_draining();
    let ready = database && evidence && !draining;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(json!({"ready": ready, "database": database, "evidence": evidence, "draining": draining, "node": app.node_id()}))).into_response()
}

/// Whoever may read the metrics: this machine, or a credential with the permission.
pub(crate) struct MayMeasure;

impl FromRequestParts<App> for MayMeasure {
    type Rejection = Fail;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Fail> {
        if is_loopback(parts) {
            return Ok(Self);
        }
        let client = client_of(parts, app);
        let who = credential::identify(parts, app, client).await?;
        let roles = Memberships::new(app.node().memberships(who.user()).await?);
        if roles.system().allows(&ReadMetrics::permission()) { Ok(Self) } else { Err(Fail::forbidden()) }
    }
}

/// `GET /metrics`, in Prometheus' text form.
pub(crate) async fn metrics(_: MayMeasure, State(app): State<App>) -> Response {
    match app.metrics() {
        Some(handle) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], handle.render()).into_response(),
        None => Fail::missing().into_response(),
    }
}
