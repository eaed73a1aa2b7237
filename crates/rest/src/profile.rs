//! A person and his own things: profile, password, keys, second factor.

use std::net::IpAddr;

use authn::keys;
use axum::{
    Json,
    extract::{FromRequestParts, Path},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use model::{Entity as _, Filter, Id, MessagePair, MfaLevel, Org, PublicKey, Query, TokenKind, User};
use policy::{
    action::{ChangeMyself, Myself},
    login::Factor,
};
use serde_json::{Value, json};

use crate::{
    App,
    edit::Edit,
    fail::Fail,
    guard::{Caller, Can, client_of},
    input::Input,
    listing::Listing,
    resource::Payload,
    resources::{keys as key_rows, time, users},
};

/// The socket's client, for counting attempts.
pub(crate) struct From(IpAddr);

impl FromRequestParts<App> for From {
    type Rejection = Fail;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Fail> {
        Ok(Self(client_of(parts, app)))
    }
}

async fn me(caller: &Caller) -> Result<User, Fail> {
    caller.app.store().mine(&caller.who).user().await?.ok_or_else(Fail::unauthenticated)
}

async fn shown(caller: &Caller, user: User) -> Result<Value, Fail> {
    let mut shown = users::show(caller, vec![user]).await?.into_iter().next().unwrap_or_default();
    let every = caller.app.store().read(caller.app.authority().every_org());
    let all = every.list::<Org>(&Query::all()).await?.rows;
    let orgs = |permission: &str| -> Value {
        let mine = all.iter().filter(|o| caller.enter(o.id).is_some() && caller.may_in(o.id, permission));
        mine.map(|o| json!({"id": o.id, "name": o.name, "is_default": o.id == Org::DEFAULT, "is_root": false})).collect()
    };
    let perms = caller.org().map(|o| caller.roles.in_org(o)).unwrap_or_else(|| caller.roles.system().clone());
    if let Some(m) = shown.as_object_mut() {
        m.insert("perms".into(), if caller.who.is_local_admin() { json!(["*"]) } else { perms.iter().collect::<Vec<_>>().into() });
        m.insert("workbench_orgs".into(), orgs("rbac.view_workbench"));
        m.insert("console_orgs".into(), orgs("rbac.view_console"));
        m.insert("audit_orgs".into(), orgs("rbac.view_audit"));
        m.insert("is_superuser".into(), caller.may_everywhere("*").into());
        m.insert("mfa_proved".into(), caller.who.with_mfa().into());
    }
    Ok(shown)
}

/// `GET /api/v1/users/profile/`
pub(crate) async fn read(can: Can<Myself>) -> Result<Json<Value>, Fail> {
    let user = me(&can.caller).await?;
    Ok(Json(shown(&can.caller, user).await?))
}

/// The right to change one's own row, whatever the roles say: made from the proof that the caller is himself.
fn own_edit(can: &Can<ChangeMyself>) -> Edit {
    Edit::global(&can.caller, can.caller.app.authority().global())
}

/// `PATCH /api/v1/users/profile/`: name, phone, e-mail, language. Other fields are not one's own to change.
pub(crate) async fn change(can: Can<ChangeMyself>, body: Payload) -> Result<Json<Value>, Fail> {
    let body = body.object()?;
    let mut edit = own_edit(&can);
    let stored = me(&can.caller).await?;
    let mut user = stored.clone();
    let mut input = Input::new(&body, true, "");
    user.name = input.name("name", 128).unwrap_or(user.name);
    user.phone = input.text("phone", 32).unwrap_or(user.phone);
    users::email(&mut input, &mut user);
    users::lang(&mut input, &mut user);
    if !input.problems.is_empty() {
        return Err(Fail::fields(input.problems));
    }
    edit.put(user, Some(&stored));
    edit.commit().await?;
    let user = me(&can.caller).await?;
    Ok(Json(shown(&can.caller, user).await?))
}

/// `PUT /api/v1/users/profile/password/`
pub(crate) async fn password(can: Can<ChangeMyself>, from: From, body: Payload) -> Result<StatusCode, Fail> {
    let body = body.object()?;
    let mut input = Input::new(&body, false, "");
    input.require("old_password");
    input.require("new_password");
    let (old, new) = (input.secret("old_password", 1024), input.secret("new_password", 1024));
    let (Some(old), Some(new)) = (old, new) else { return Err(Fail::fields(input.problems)) };
    can.caller.app.authn().change_own_password(&can.caller.who, old, &new, from.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/users/profile/otp/`: starts binding an authenticator; the password is asked again.
pub(crate) async fn enrol(can: Can<ChangeMyself>, from: From, body: Payload) -> Result<Json<Value>, Fail> {
    let body = body.object()?;
    let mut input = Input::new(&body, false, "");
    input.require("password");
    let Some(password) = input.secret("password", 1024) else { return Err(Fail::fields(input.problems)) };
    let authn = can.caller.app.authn();
    authn.confirm(&can.caller.who, Factor::Password(password.expose().clone()), from.0).await?;
    let enrolment = authn.enrolment(&can.caller.who)?;
    Ok(Json(json!({"secret": enrolment.secret().expose(), "uri": enrolment.uri.expose()})))
}

/// `POST /api/v1/users/profile/otp/confirm/`: binds it with its first code.
pub(crate) async fn enrol_confirm(can: Can<ChangeMyself>, body: Payload) -> Result<StatusCode, Fail> {
    let body = body.object()?;
    let mut input = Input::new(&body, false, "");
    input.require("secret");
    input.require("code");
    let (secret, code) = (input.secret("secret", 256), input.text("code", 16));
    let (Some(secret), Some(code)) = (secret, code) else { return Err(Fail::fields(input.problems)) };
    let authn = can.caller.app.authn();
    let enrolment = authn.enrolment_of(&can.caller.who, secret);
    if !authn.enrol(&can.caller.who, &enrolment, &code).await? {
        return Err(Fail::field("code", MessagePair::new("login.otp_wrong", "")));
    }
    let stored = me(&can.caller).await?;
    if stored.mfa_level == MfaLevel::Off {
        let mut edit = own_edit(&can);
        let mut user = stored.clone();
        user.mfa_level = MfaLevel::On;
        edit.put(user, Some(&stored));
        edit.commit().await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn own_keys(caller: &Caller) -> Result<Vec<PublicKey>, Fail> {
    let every = caller.app.store().read(caller.app.authority().every_org());
    Ok(every.list::<PublicKey>(&Query::filter(Filter::eq("user", caller.who.user()))).await?.rows)
}

/// `GET /api/v1/authentication/ssh-key/`
pub(crate) async fn keys(can: Can<Myself>, listing: Listing) -> Result<Response, Fail> {
    let rows: Vec<Value> = own_keys(&can.caller).await?.iter().map(key_rows::show).collect();
    let query = listing.query(&crate::listing::Lists { filters: &[], orders: &[] })?;
    let count = rows.len() as u64;
    Ok(listing.answer(&query, count, rows))
}

/// `POST /api/v1/authentication/ssh-key/`
pub(crate) async fn add_key(can: Can<ChangeMyself>, body: Payload) -> Result<Response, Fail> {
    let body = body.object()?;
    let mut input = Input::new(&body, false, "");
    input.require("public_key");
    let name = input.text("name", 128);
    let Some(line) = input.text("public_key", 16_384) else { return Err(Fail::fields(input.problems)) };
    let mut edit = own_edit(&can);
    let before = own_keys(&can.caller).await?;
    let parsed = keys::parse(&line).ok();
    if let Some(taken) = parsed.as_ref().and_then(|p| before.iter().find(|k| k.fingerprint == p.fingerprint())) {
        input.wrong("public_key", MessagePair::new("api.taken", "").with("value", taken.fingerprint.clone()));
    } else {
        key_rows::set(&mut edit, &mut input, can.caller.who.user(), "public_key", &[line], false).await?;
    }
    if !input.problems.is_empty() {
        return Err(Fail::fields(input.problems));
    }
    if let Some(name) = name.filter(|n| !n.is_empty()) {
        let added = users::keys_of(&edit, can.caller.who.user())
            .await?
            .into_iter()
            .find(|k| Some(&k.fingerprint) == parsed.as_ref().map(keys::ParsedKey::fingerprint).as_ref());
        if let Some(mut key) = added {
            key.name = name;
            edit.put(key, None);
        }
    }
    edit.commit().await?;
    let row = own_keys(&can.caller).await?.into_iter().find(|k| Some(&k.fingerprint) == parsed.as_ref().map(keys::ParsedKey::fingerprint).as_ref());
    Ok((StatusCode::CREATED, Json(row.map(|k| key_rows::show(&k)))).into_response())
}

async fn own_key(caller: &Caller, id: &str) -> Result<PublicKey, Fail> {
    let id: Id<PublicKey> = id.parse().map_err(|_| Fail::missing())?;
    own_keys(caller).await?.into_iter().find(|k| k.id() == id).ok_or_else(Fail::missing)
}

/// `GET /api/v1/authentication/ssh-key/{id}/`
pub(crate) async fn key(can: Can<Myself>, Path(id): Path<String>) -> Result<Json<Value>, Fail> {
    Ok(Json(key_rows::show(&own_key(&can.caller, &id).await?)))
}

/// `PATCH /api/v1/authentication/ssh-key/{id}/`: name and active.
pub(crate) async fn change_key(can: Can<ChangeMyself>, Path(id): Path<String>, body: Payload) -> Result<Json<Value>, Fail> {
    let body = body.object()?;
    let stored = own_key(&can.caller, &id).await?;
    let mut key = stored.clone();
    let mut input = Input::new(&body, true, "");
    key.name = input.name("name", 128).unwrap_or(key.name);
    key.is_active = input.bool("is_active").unwrap_or(key.is_active);
    if !input.problems.is_empty() {
        return Err(Fail::fields(input.problems));
    }
    let mut edit = own_edit(&can);
    edit.put(key.clone(), Some(&stored));
    edit.commit().await?;
    Ok(Json(key_rows::show(&key)))
}

/// `DELETE /api/v1/authentication/ssh-key/{id}/`
pub(crate) async fn delete_key(can: Can<ChangeMyself>, Path(id): Path<String>) -> Result<StatusCode, Fail> {
    let key = own_key(&can.caller, &id).await?;
    let mut edit = own_edit(&can);
    edit.remove(&key);
    edit.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/authentication/private-token/`: a token for programs, valid until it is revoked; earlier credentials
/// of the person go on. Shown once.
pub(crate) async fn private_token(can: Can<ChangeMyself>) -> Result<Response, Fail> {
    let caller = &can.caller;
    if caller.who.is_local_admin() {
        return Err(Fail::refused("api.not_for_local"));
    }
    let mut event = caller.by().event("token.create", caller.app.now());
    event.target = caller.who.username().to_owned();
    event.target_id = caller.who.user().to_string();
    caller.app.node().log(store::LogBatch { audit: vec![event], ..Default::default() }).await?;
    let life = authn::Authenticator::default_life(TokenKind::Private);
    let (token, issued) = caller.app.authn().issue_token(&caller.who, TokenKind::Private, &caller.addr, life).await?;
    let body = json!({"token": issued.token.expose(), "keyword": "Token", "date_expired": time(token.date_expired), "id": token.id});
    Ok((StatusCode::CREATED, Json(body)).into_response())
}
