//! Signing in over HTTP: tokens for programs, cookies for browsers, the one-time setup link.
//!
//! A login that needs another step answers with the id of the login; the next request carries it and the missing
//! factor. Logins wait a few minutes, bound to the address they came from.

use std::{collections::HashMap, net::IpAddr, sync::LazyLock};

use authn::{Authenticator, LoginFlow};
use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Response},
};
use chrono::TimeDelta;
use model::{LoginType, MessagePair, Time, Token, TokenKind};
use parking_lot::Mutex;
use policy::{
    Identity,
    action::{ChangeMyself, Myself},
    login::{Factor, Need, Step},
};
use serde_json::{Map, Value, json};
use vault::Secret;

use crate::{
    App,
    credential::{CSRF_COOKIE, PresentedToken, SESSION_COOKIE},
    fail::{Fail, language},
    guard::{Can, client_of},
    resource::Payload,
    resources::time,
};

/// Most logins that wait for a step.
const MAX_PENDING: usize = 1_000;
/// How long one waits.
const PATIENCE: TimeDelta = TimeDelta::minutes(5);

struct Pending {
    flow: LoginFlow,
    client: IpAddr,
    until: Time,
}

static PENDING: LazyLock<Mutex<HashMap<String, Pending>>> = LazyLock::new(Mutex::default);

/// Where a request without an identity comes from.
pub(crate) struct Stranger {
    client: IpAddr,
    user_agent: String,
    headers: HeaderMap,
}

impl FromRequestParts<App> for Stranger {
    type Rejection = Fail;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Fail> {
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        Ok(Self { client: client_of(parts, app), user_agent: user_agent.chars().take(256).collect(), headers: parts.headers.clone() })
    }
}

fn text(body: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|n| body.get(*n)).and_then(Value::as_str).filter(|s| !s.is_empty() && s.len() <= 1024).map(str::to_owned)
}

/// An error as JumpServer words it, plus our own form.
fn typed(error: &'static str, message: MessagePair) -> Fail {
    Fail::new(StatusCode::BAD_REQUEST, message).with("error", error.into()).with("code", error.into())
}

fn refusal(message: MessagePair) -> Fail {
    let error = match message.code {
        "login.locked" => "block_login",
        "login.user_inactive" => "user_invalid",
        "login.user_expired" => "user_expired",
        "login.otp_wrong" => "mfa_failed",
        "login.failed" | "login.failed_last" => "password_failed",
        _ => "login_failed",
    };
    typed(error, message)
}

/// Runs a login as far as the given factors carry it.
async fn log_in(app: &App, from: &Stranger, body: &Map<String, Value>) -> Result<Identity, Fail> {
    let (mut flow, mut step) = match text(body, &["login"]) {
        Some(id) => {
            let waiting = PENDING.lock().remove(&id).filter(|p| p.client == from.client && app.now() < p.until);
            let mut flow = waiting.ok_or_else(|| typed("login_gone", MessagePair::new("api.login_gone", "")))?.flow;
            let step = advance(&mut flow, body).await.ok_or_else(|| Fail::field("code", MessagePair::new("api.required", "")))?;
            (flow, step)
        }
        None => {
            let username = text(body, &["username"]).ok_or_else(|| Fail::field("username", MessagePair::new("api.required", "")))?;
            let password = text(body, &["password"]).ok_or_else(|| Fail::field("password", MessagePair::new("api.required", "")))?;
            let mut flow = app.authn().begin(&username, from.client, LoginType::Web, &from.user_agent);
            let step = flow.step(Factor::Password(password)).await;
            (flow, step)
        }
    };
    // a factor that came along is used for the step it fits; each at most once
    for _ in 0..2 {
        match &step {
            Step::Need { retry: None, .. } => match advance(&mut flow, body).await {
                Some(next) => step = next,
                None => break,
            },
            _ => break,
        }
    }
    match step {
        Step::Done(who) => Ok(who),
        Step::Refused(message) => Err(refusal(message)),
        Step::Need { any_of, retry } => Err(missing_step(app, from.client, flow, &any_of, retry)),
    }
}

/// The factor in the body that the flow waits for.
async fn advance(flow: &mut LoginFlow, body: &Map<String, Value>) -> Option<Step> {
    let needs = flow.needs();
    let code = || text(body, &["otp", "otp_code", "code", "mfa_code"]);
    let factor = match () {
        () if needs.contains(&Need::Otp) => Factor::Otp(code()?),
        () if needs.iter().any(|n| matches!(n, Need::EnrolOtp { .. })) => Factor::EnrolOtp(code()?),
        () if needs.iter().any(|n| matches!(n, Need::NewPassword { .. })) => Factor::NewPassword(text(body, &["new_password"])?),
        () => return None,
    };
    Some(flow.step(factor).await)
}

/// What is missing, with the id under which the login goes on.
fn missing_step(app: &App, client: IpAddr, flow: LoginFlow, needs: &[Need], retry: Option<MessagePair>) -> Fail {
    let mut fail = match needs.first() {
        Some(Need::Otp) => {
            let error = if retry.is_some() { "mfa_failed" } else { "mfa_required" };
            typed(error, retry.unwrap_or_else(|| MessagePair::new("api.mfa_required", ""))).with("data", json!({"choices": ["otp"]}))
        }
        Some(Need::EnrolOtp { uri, secret }) => {
            let error = if retry.is_some() { "mfa_failed" } else { "mfa_unset" };
            typed(error, retry.unwrap_or_else(|| MessagePair::new("api.mfa_unset", ""))).with("data", json!({"uri": uri, "secret": secret}))
        }
        Some(Need::NewPassword { reason }) => {
            let error = if *reason == "login.password_expired" { "password_expired" } else { "passwd_need_update" };
            typed(error, retry.unwrap_or_else(|| MessagePair::new(reason, "")))
        }
        _ => return refusal(retry.unwrap_or_else(|| MessagePair::new("login.failed", "another factor is needed"))),
    };
    let now = app.now();
    let mut pending = PENDING.lock();
    pending.retain(|_, p| now < p.until);
    if pending.len() < MAX_PENDING {
        let id = uuid::Uuid::new_v4().to_string();
        fail = fail.with("login", id.clone().into());
        pending.insert(id, Pending { flow, client, until: now + PATIENCE });
    }
    fail
}

async fn shown(app: &App, who: &Identity) -> Result<Value, Fail> {
    let user = app.store().mine(who).user().await?.ok_or_else(Fail::unauthenticated)?;
    Ok(json!({"id": user.id, "username": user.username, "name": user.name, "email": user.email, "is_valid": user.is_valid(app.now()), "lang": user.lang}))
}

/// `POST /api/v1/authentication/auth/`
pub(crate) async fn token(State(app): State<App>, from: Stranger, body: Payload) -> Result<Response, Fail> {
    let who = log_in(&app, &from, &body.object()?).await?;
    let (token, issued) = app.authn().issue_token(&who, TokenKind::Bearer, &from.client.to_string(), Authenticator::default_life(TokenKind::Bearer)).await?;
    let answer = json!({"token": issued.token.expose(), "keyword": "Bearer", "date_expired": time(token.date_expired), "user": shown(&app, &who).await?});
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

fn cookie(app: &App, name: &str, value: &str, http_only: bool, seconds: i64) -> Result<HeaderValue, Fail> {
    let secure = if app.secure_cookies() { "; Secure" } else { "" };
    let http_only = if http_only { "; HttpOnly" } else { "" };
    HeaderValue::from_str(&format!("{name}={value}; Path=/; SameSite=Lax; Max-Age={seconds}{secure}{http_only}")).map_err(|e| Fail::internal(e.to_string()))
}

/// `POST /api/v1/authentication/session/`: a browser signs in. The session is always a new one.
pub(crate) async fn open_session(State(app): State<App>, from: Stranger, body: Payload) -> Result<Response, Fail> {
    // without the header the body would pass as JSON, and a page of another site may send one without
    if !from.headers.contains_key(header::CONTENT_TYPE) {
        return Err(Fail::bad("api.not_json").status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let who = log_in(&app, &from, &body.object()?).await?;
    let client = from.client.to_string();
    if let Some(old) = crate::credential::cookie(&from.headers, SESSION_COOKIE)
        && let Some((_, token)) = app.authn().identify(TokenKind::Session, &old, &client).await?
    {
        app.authn().revoke(token.id).await?;
    }
    let life = Authenticator::default_life(TokenKind::Session);
    let (token, issued): (Token, _) = app.authn().issue_token(&who, TokenKind::Session, &client, life).await?;
    let csrf = issued.csrf.as_ref().map(|c| c.expose().clone()).unwrap_or_default();
    let answer = json!({"user": shown(&app, &who).await?, "csrf_token": csrf, "date_expired": time(token.date_expired)});
    let mut response = (StatusCode::CREATED, Json(answer)).into_response();
    response.headers_mut().append(header::SET_COOKIE, cookie(&app, SESSION_COOKIE, issued.token.expose(), true, life.num_seconds())?);
    response.headers_mut().append(header::SET_COOKIE, cookie(&app, CSRF_COOKIE, &csrf, false, life.num_seconds())?);
    Ok(response)
}

/// `GET /api/v1/authentication/session/`: who is signed in.
pub(crate) async fn session(can: Can<Myself>) -> Result<Json<Value>, Fail> {
    Ok(Json(json!({"user": shown(&can.caller.app, &can.caller.who).await?})))
}

/// The token of a request, for ending it.
pub(crate) struct Mine(Option<PresentedToken>);

impl FromRequestParts<App> for Mine {
    type Rejection = Fail;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Fail> {
        Ok(Self(parts.extensions.get::<PresentedToken>().copied()))
    }
}

/// `DELETE /api/v1/authentication/session/` and `…/auth/`: the credential of this very request ends.
pub(crate) async fn close_session(can: Can<ChangeMyself>, mine: Mine) -> Result<Response, Fail> {
    let caller = can.caller;
    let mut event = caller.by().event(audit::events::kind::LOGOUT, caller.app.now());
    event.target = caller.who.username().to_owned();
    event.target_id = caller.who.user().to_string();
    caller.app.node().log(store::LogBatch { audit: vec![event], ..Default::default() }).await?;
    if let Some(PresentedToken(id)) = mine.0 {
        caller.app.authn().revoke(id).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().append(header::SET_COOKIE, cookie(&caller.app, SESSION_COOKIE, "", true, 0)?);
    response.headers_mut().append(header::SET_COOKIE, cookie(&caller.app, CSRF_COOKIE, "", false, 0)?);
    Ok(response)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

fn page(lang: messages::Lang, inner: &str) -> Html<String> {
    let title = messages::text(lang, "api.setup_title", &[]);
    Html(format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title></head><body><main><h1>{title}</h1>{inner}</main></body></html>",
        lang.tag()
    ))
}

fn form(lang: messages::Lang, token: &str, problems: &[String]) -> Html<String> {
    let word = |code: &str| messages::text(lang, code, &[]);
    let list: String = problems.iter().map(|p| format!("<li>{}</li>", escape(p))).collect();
    let list = if list.is_empty() { list } else { format!("<ul role=\"alert\">{list}</ul>") };
    page(
        lang,
        &format!(
            "<p>{}</p>{list}<form method=\"post\" action=\"/api/v1/authentication/setup/\"><input type=\"hidden\" name=\"token\" value=\"{}\"><p><label>{} <input type=\"password\" name=\"password\" autocomplete=\"new-password\" required autofocus></label></p><p><button>{}</button></p></form>",
            word("api.setup_text"),
            escape(token),
            word("api.setup_password"),
            word("api.setup_button"),
        ),
    )
}

/// `GET /setup?token=…`: the form. The token moves into the form's body, so later requests do not carry it in their
/// address; `no-referrer` keeps it out of others' logs.
pub(crate) async fn setup_page(State(app): State<App>, from: Stranger, listing: crate::listing::Listing) -> Result<Response, Fail> {
    let lang = language(&from.headers);
    let token = listing.get("token").unwrap_or_default();
    if !app.authn().setup_is_open(token).await? {
        return Ok((StatusCode::NOT_FOUND, page(lang, &format!("<p>{}</p>", messages::text(lang, "api.setup_void", &[])))).into_response());
    }
    Ok(form(lang, token, &[]).into_response())
}

/// `POST /api/v1/authentication/setup/`: sets the first administrator's password, from a form or as JSON.
pub(crate) async fn setup(State(app): State<App>, from: Stranger, body: axum::body::Bytes) -> Result<Response, Fail> {
    let lang = language(&from.headers);
    let kind = from.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let is_form = kind.starts_with("application/x-www-form-urlencoded");
    let fields: Map<String, Value> = if is_form {
        let body = String::from_utf8_lossy(&body).into_owned();
        body.split('&').filter_map(|p| p.split_once('=')).map(|(k, v)| (crate::listing::unescape(k), Value::String(crate::listing::unescape(v)))).collect()
    } else {
        serde_json::from_slice(&body).map_err(|_| Fail::bad("api.parse_error"))?
    };
    let token = text(&fields, &["token"]).ok_or_else(|| Fail::field("token", MessagePair::new("api.required", "")))?;
    let password = text(&fields, &["password"]).ok_or_else(|| Fail::field("password", MessagePair::new("api.required", "")))?;
    let done = app.authn().redeem_setup(&Secret::new(token.clone()), &Secret::new(password), from.client).await;
    match done {
        Ok(()) if is_form => Ok(page(lang, &format!("<p>{}</p>", messages::text(lang, "api.setup_done", &[]))).into_response()),
        Ok(()) => Ok(Json(json!({"detail": messages::text(lang, "api.setup_done", &[])})).into_response()),
        Err(authn::AuthnError::Weak(broken)) if is_form => {
            let problems: Vec<String> = broken.iter().map(|v| messages::render(lang, &v.message())).collect();
            Ok((StatusCode::BAD_REQUEST, form(lang, &token, &problems)).into_response())
        }
        Err(authn::AuthnError::Refused(m)) if is_form => {
            Ok((StatusCode::BAD_REQUEST, page(lang, &format!("<p>{}</p>", escape(&messages::render(lang, &m))))).into_response())
        }
        Err(e) => Err(e.into()),
    }
}
