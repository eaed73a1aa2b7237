//! Managed objects as resources: one implementation of the trait per kind, the verbs are the same for all.

use std::future::Future;

use api::Field;
use axum::{
    Json,
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use model::{Entity, Id, MessagePair, Org};
use policy::action::{Create, Delete, DeleteMany, List, Read, Update, UpdateMany};
use serde_json::{Map, Value, json};

use crate::{
    App,
    edit::Edit,
    fail::{Fail, Problems},
    guard::{Caller, Can, Resolve},
    input::Input,
    listing::{Listing, Lists},
    route::{Api, op},
};

/// Most objects in one bulk call.
const MAX_BULK: usize = 1_000;

/// A kind of managed object on the wire.
pub(crate) trait Resource: Entity + Resolve {
    /// What people call one.
    const TITLE: &'static str;
    /// Fields on the wire.
    const FIELDS: &'static [Field];
    /// How it is listed.
    const LISTS: Lists;

    /// What is shown, for rows of one list.
    fn show(caller: &Caller, rows: Vec<Self>) -> impl Future<Output = Result<Vec<Value>, Fail>> + Send;

    /// Drafts what a client asks for: a new object in `org`, or a change of `old`. Problems with fields go into `input`;
    /// when there are any, the result does not matter.
    fn write(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>, old: Option<Self>) -> impl Future<Output = Result<Option<Id<Self>>, Fail>> + Send;

    /// Drafts the removal, or says why it cannot be.
    fn erase(edit: &mut Edit, row: Self) -> impl Future<Output = Result<(), Fail>> + Send;

    /// Opens the change with the right it needs.
    fn edit(caller: &Caller, permission: &str) -> Result<Edit, Fail> {
        if Self::KIND.is_global() {
            caller.global(permission).map(|scope| Edit::global(caller, scope)).ok_or_else(Fail::forbidden)
        } else {
            Edit::in_org(caller)
        }
    }

    /// Which rows a list starts from.
    fn base_filters(_: &Caller) -> Vec<model::Filter> {
        Vec::new()
    }
}

/// A request's JSON body. Bounded by the router; nothing about it can panic.
pub struct Payload(pub Value);

impl FromRequest<App> for Payload {
    type Rejection = Fail;
    async fn from_request(request: Request, app: &App) -> Result<Self, Fail> {
        // A page of another site can send forms and plain text to us with the visitor's cookie, but not JSON.
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("application/json").to_ascii_lowercase();
        if !kind.starts_with("application/json") {
            return Err(Fail::bad("api.not_json").status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let bytes = axum::body::Bytes::from_request(request, app).await.map_err(|e| {
            let status = e.into_response().status();
            Fail::bad(if status == StatusCode::PAYLOAD_TOO_LARGE { "api.body_too_large" } else { "api.parse_error" }).status(status)
        })?;
        if bytes.is_empty() {
            return Ok(Self(json!({})));
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|_| Fail::bad("api.parse_error"))
    }
}

impl Payload {
    /// The body as an object.
    pub(crate) fn object(self) -> Result<Map<String, Value>, Fail> {
        match self.0 {
            Value::Object(o) => Ok(o),
            _ => Err(Fail::bad("api.not_object")),
        }
    }
}

/// Bodies and headers a write looks at.
pub struct IfMatch(Option<i64>);

impl axum::extract::FromRequestParts<App> for IfMatch {
    type Rejection = Fail;
    async fn from_request_parts(parts: &mut axum::http::request::Parts, _: &App) -> Result<Self, Fail> {
        let Some(value) = parts.headers.get(header::IF_MATCH).and_then(|v| v.to_str().ok()) else { return Ok(Self(None)) };
        if value.trim() == "*" {
            return Ok(Self(None));
        }
        let number = value.trim().trim_start_matches("W/").trim_matches('"').parse();
        number.map(|n| Self(Some(n))).map_err(|_| stale())
    }
}

fn stale() -> Fail {
    Fail::bad("api.precondition_failed").status(StatusCode::PRECONDITION_FAILED)
}

impl IfMatch {
    fn check<E: Entity>(&self, row: &E) -> Result<(), Fail> {
        match self.0 {
            Some(wanted) if wanted != row.meta().revision => Err(stale()),
            _ => Ok(()),
        }
    }
}

fn etag(revision: i64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(v) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        headers.insert(header::ETAG, v);
    }
    headers
}

/// Registers a resource's list, create, bulk, read, change and delete.
pub(crate) fn crud<E: Resource>(api: Api, path: &'static str) -> Api {
    let api = api.get(path, list::<E>, op(format!("List {}", E::TITLE)).pages(E::FIELDS, Some(E::LISTS)));
    writable::<E>(api, path)
}

/// Registers everything but the list.
pub(crate) fn writable<E: Resource>(api: Api, path: &'static str) -> Api {
    let item = format!("{path}{{id}}/");
    api.get(&item, read::<E>, op(format!("Read {}", E::TITLE)).shows(E::FIELDS))
        .post(path, create::<E>, op(format!("Create {}; an array creates several, all or none", E::TITLE)).body(E::FIELDS).shows(E::FIELDS).status(201))
        .put(path, change_many::<E>, op(format!("Change several {}, each with its id", E::TITLE)).body_list(E::FIELDS).lists(E::FIELDS))
        .patch(path, change_many::<E>, op(format!("Change several {}, each with its id", E::TITLE)).body_list(E::FIELDS).lists(E::FIELDS))
        .delete(path, delete_many::<E>, op(format!("Delete several {}, named by ids= or spm=", E::TITLE)).status(204))
        .put(&item, replace::<E>, op(format!("Change {}", E::TITLE)).body(E::FIELDS).shows(E::FIELDS))
        .patch(&item, change::<E>, op(format!("Change some fields of {}", E::TITLE)).partial(E::FIELDS).shows(E::FIELDS))
        .delete(&item, delete::<E>, op(format!("Delete {}", E::TITLE)).status(204))
}

pub(crate) async fn list<E: Resource>(can: Can<List<E>>, listing: Listing) -> Result<Response, Fail> {
    let mut query = listing.query(&E::LISTS)?;
    query.filters.extend(E::base_filters(&can.caller));
    let page = can.caller.reader_of(E::KIND).list::<E>(&query).await?;
    let rows = E::show(&can.caller, page.rows).await?;
    Ok(listing.answer(&query, page.count, rows))
}

pub(crate) async fn read<E: Resource>(can: Can<Read<E>>) -> Result<Response, Fail>
where
    Read<E>: policy::Action<On = E>,
{
    let Can { granted, caller } = can;
    one(&caller, granted.into_on()).await
}

async fn one<E: Resource>(caller: &Caller, row: E) -> Result<Response, Fail> {
    let revision = row.meta().revision;
    let shown = E::show(caller, vec![row]).await?.into_iter().next().unwrap_or_default();
    Ok((etag(revision), Json(shown)).into_response())
}

/// Shows rows as they are after a commit.
async fn written<E: Resource>(caller: &Caller, ids: Vec<Id<E>>, drafted: Vec<E>) -> Result<Vec<E>, Fail> {
    let mut rows = Vec::with_capacity(ids.len());
    for (id, draft) in ids.into_iter().zip(drafted) {
        // a person who was just made without a place here is out of reach; what was drafted is what was written
        rows.push(caller.reader_of(E::KIND).get(id).await?.unwrap_or(draft));
    }
    Ok(rows)
}

pub(crate) async fn create<E: Resource>(can: Can<Create<E>>, Payload(body): Payload) -> Result<Response, Fail> {
    let caller = can.caller;
    let mut edit = E::edit(&caller, &<Create<E> as policy::Action>::permission())?;
    let org = match E::KIND.is_global() {
        true => caller.org().unwrap_or(Org::DEFAULT),
        false => caller.scope()?.id(),
    };
    let (items, many) = match body {
        Value::Array(items) => (items, true),
        other => (vec![other], false),
    };
    if items.len() > MAX_BULK {
        return Err(Fail::new(StatusCode::BAD_REQUEST, MessagePair::new("api.too_many", "").with("max", MAX_BULK.to_string())));
    }
    let mut ids = Vec::new();
    let mut problems = Vec::new();
    for item in items {
        match draft::<E>(&mut edit, org, &item, None, false).await? {
            Ok(id) => {
                ids.push(id);
                problems.push(Problems::default());
            }
            Err(p) => problems.push(p),
        }
    }
    refuse(problems, many)?;
    let rows = commit(&caller, edit, org, ids).await?;
    let revision = rows.first().map_or(1, |r| r.meta().revision);
    let mut shown = E::show(&caller, rows).await?;
    let body = if many { Value::Array(shown) } else { shown.pop().unwrap_or_default() };
    Ok((StatusCode::CREATED, etag(revision), Json(body)).into_response())
}

fn refuse(problems: Vec<Problems>, many: bool) -> Result<(), Fail> {
    if problems.iter().all(Problems::is_empty) {
        return Ok(());
    }
    Err(if many { Fail::many(problems) } else { Fail::fields(problems.into_iter().next().unwrap_or_default()) })
}

async fn draft<E: Resource>(edit: &mut Edit, org: Id<Org>, item: &Value, old: Option<E>, partial: bool) -> Result<Result<Id<E>, Problems>, Fail> {
    let Some(map) = item.as_object() else {
        let mut p = Problems::default();
        p.say("", MessagePair::new("api.not_object", ""));
        return Ok(Err(p));
    };
    let mut input = Input::new(map, partial, "");
    let written = E::write(edit, org, &mut input, old).await;
    match (written, input.problems.is_empty()) {
        (Ok(Some(id)), true) => Ok(Ok(id)),
        (Ok(_), _) => Ok(Err(input.problems)),
        (Err(fail), true) => Err(fail),
        (Err(_), false) => Ok(Err(input.problems)),
    }
}

async fn commit<E: Resource>(caller: &Caller, edit: Edit, org: Id<Org>, ids: Vec<Id<E>>) -> Result<Vec<E>, Fail> {
    let mut drafted = Vec::with_capacity(ids.len());
    for id in &ids {
        drafted.extend(edit.get(org, *id).await?);
    }
    edit.commit().await?;
    written(caller, ids, drafted).await
}

async fn change_one<E: Resource>(caller: Caller, old: E, body: Payload, partial: bool, if_match: &IfMatch) -> Result<Response, Fail>
where
    Update<E>: policy::Action<On = E>,
{
    if_match.check(&old)?;
    let mut edit = E::edit(&caller, &<Update<E> as policy::Action>::permission())?;
    let org = old.org().or(caller.org()).unwrap_or(Org::DEFAULT);
    let body = Value::Object(body.object()?);
    match draft::<E>(&mut edit, org, &body, Some(old), partial).await? {
        Ok(id) => {
            let mut rows = commit(&caller, edit, org, vec![id]).await?;
            one(&caller, rows.pop().ok_or_else(Fail::missing)?).await
        }
        Err(problems) => Err(Fail::fields(problems)),
    }
}

pub(crate) async fn replace<E: Resource>(can: Can<Update<E>>, if_match: IfMatch, body: Payload) -> Result<Response, Fail> {
    let Can { granted, caller } = can;
    change_one(caller, granted.into_on(), body, false, &if_match).await
}

pub(crate) async fn change<E: Resource>(can: Can<Update<E>>, if_match: IfMatch, body: Payload) -> Result<Response, Fail> {
    let Can { granted, caller } = can;
    change_one(caller, granted.into_on(), body, true, &if_match).await
}

/// Bulk change: the permission is the same for every object of a kind in an organization, each object is found and
/// decided on its own all the same.
pub(crate) async fn change_many<E: Resource>(can: Can<UpdateMany<E>>, Payload(body): Payload) -> Result<Response, Fail> {
    let caller = can.caller;
    let Value::Array(items) = body else { return Err(Fail::bad("api.not_list")) };
    if items.len() > MAX_BULK {
        return Err(Fail::new(StatusCode::BAD_REQUEST, MessagePair::new("api.too_many", "").with("max", MAX_BULK.to_string())));
    }
    let mut edit = E::edit(&caller, &<Update<E> as policy::Action>::permission())?;
    let org = caller.org().unwrap_or(Org::DEFAULT);
    let (mut ids, mut problems) = (Vec::new(), Vec::new());
    for item in items {
        let id = item.get("id").or_else(|| item.get("pk")).and_then(Value::as_str).unwrap_or_default();
        let old = decide_each::<Update<E>, E>(&caller, id).await?;
        let org = old.org().unwrap_or(org);
        match draft::<E>(&mut edit, org, &item, Some(old), true).await? {
            Ok(id) => {
                ids.push(id);
                problems.push(Problems::default());
            }
            Err(p) => problems.push(p),
        }
    }
    refuse(problems, true)?;
    let rows = commit(&caller, edit, org, ids).await?;
    Ok(Json(E::show(&caller, rows).await?).into_response())
}

async fn decide_each<A: policy::Action<On = E>, E: Resource>(caller: &Caller, id: &str) -> Result<E, Fail> {
    let row = E::resolve(caller, id).await?.ok_or_else(Fail::missing)?;
    caller.decide::<A>(row).map(policy::Granted::into_on).ok_or_else(Fail::forbidden)
}

pub(crate) async fn delete<E: Resource>(can: Can<Delete<E>>, if_match: IfMatch) -> Result<Response, Fail> {
    let Can { granted, caller } = can;
    if_match.check(granted.on())?;
    let mut edit = E::edit(&caller, &<Delete<E> as policy::Action>::permission())?;
    E::erase(&mut edit, granted.into_on()).await?;
    edit.commit().await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Bulk delete. Without a selection nothing is deleted.
pub(crate) async fn delete_many<E: Resource>(can: Can<DeleteMany<E>>, listing: Listing) -> Result<Response, Fail> {
    let caller = can.caller;
    let ids = match (listing.ids(), listing.get("spm")) {
        (Some(ids), _) => ids,
        (None, Some(spm)) => crate::selection::recall(&caller, spm).ok_or_else(Fail::missing)?,
        (None, None) => return Err(Fail::bad("api.no_selection")),
    };
    let mut edit = E::edit(&caller, &<Delete<E> as policy::Action>::permission())?;
    for id in ids {
        let row = decide_each::<Delete<E>, E>(&caller, &id).await?;
        E::erase(&mut edit, row).await?;
    }
    edit.commit().await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
