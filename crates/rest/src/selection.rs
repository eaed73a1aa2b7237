//! Selections: a posted list of ids gets a short-lived name (`spm`) that bulk calls take. A selection belongs to the
//! person who made it.

use std::{collections::HashMap, sync::LazyLock};

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::TimeDelta;
use model::{Id, Time, User};
use parking_lot::Mutex;
use policy::action::Myself;
use serde_json::{Value, json};

use crate::{
    fail::Fail,
    guard::{Caller, Can},
    resource::Payload,
};

/// Most selections that are kept.
const MAX: usize = 1_000;
/// How long one is kept.
const LIFE: TimeDelta = TimeDelta::minutes(10);

struct Selection {
    owner: Id<User>,
    until: Time,
    ids: Vec<String>,
}

static KEPT: LazyLock<Mutex<HashMap<String, Selection>>> = LazyLock::new(Mutex::default);

/// `POST /api/v1/common/resources/cache/`
pub(crate) async fn keep(can: Can<Myself>, body: Payload) -> Result<Response, Fail> {
    let ids: Vec<String> = match body.0.get("resources").and_then(Value::as_array) {
        Some(ids) if ids.len() <= 10_000 => ids.iter().filter_map(|v| v.as_str()).map(|s| s.chars().take(64).collect()).collect(),
        _ => return Err(Fail::bad("api.not_list")),
    };
    let now = can.caller.app.now();
    let spm = uuid::Uuid::new_v4().to_string();
    let mut kept = KEPT.lock();
    kept.retain(|_, s| now < s.until);
    if kept.len() >= MAX {
        return Err(Fail::bad("api.too_busy").status(StatusCode::TOO_MANY_REQUESTS));
    }
    kept.insert(spm.clone(), Selection { owner: can.caller.who.user(), until: now + LIFE, ids });
    Ok((StatusCode::CREATED, Json(json!({"spm": spm}))).into_response())
}

/// The ids of a selection that the caller made.
pub(crate) fn recall(caller: &Caller, spm: &str) -> Option<Vec<String>> {
    let now = caller.app.now();
    KEPT.lock().get(spm).filter(|s| s.owner == caller.who.user() && now < s.until).map(|s| s.ids.clone())
}
