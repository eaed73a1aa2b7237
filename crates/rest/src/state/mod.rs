//! Declared state: bring objects to what files say, all of it or nothing, and print objects in the same form.
//!
//! Every document is drafted into one `Edit` through the same code that the resources use, so names, rules and rights
//! are the same as everywhere. A problem in any document means that nothing is written, and all problems are told.

mod export;
mod kinds;
mod owned;

use std::collections::BTreeSet;

use api::state::{Document, MAX_DOCUMENTS, Planned, Problem};
use axum::{Json, http::StatusCode};
use messages::Lang;
use model::{Entity, Filter, Id, Kind, MessagePair, Org, Query, Record};
use policy::action::Apply;
use serde_json::{Value, json};

use crate::{
    edit::{Draft, Edit},
    fail::{Fail, Problems},
    guard::{Caller, Can},
    labels::Labels,
    resource::Payload,
};

pub(crate) use export::export;
use kinds::{KINDS, Written};

/// `POST /api/v1/state/apply/`
pub(crate) async fn apply(can: Can<Apply>, Payload(body): Payload) -> Result<Json<Value>, Fail> {
    let caller = can.caller;
    let flag = |name: &str| body.get(name).and_then(Value::as_bool).unwrap_or(false);
    let (dry_run, prune) = (flag("dry_run"), flag("prune"));
    let documents = documents(&caller, &body)?;
    // a file without documents owns nothing any more; only the client knows that it was there
    let empty = body.get("sources").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).take(1_000).map(str::to_owned);
    let files: BTreeSet<String> = documents.iter().map(|d| d.file.clone()).chain(empty).collect();

    let mut edit = Edit::widest(&caller, "state.apply")?;
    let mut problems = Vec::new();
    let mut written: Vec<(usize, Written)> = Vec::new();
    for (at, early) in order(&documents) {
        let Some(document) = documents.get(at) else { continue };
        match one(&mut edit, document, early).await? {
            Ok(_) if early => {}
            Ok(done) => written.push((at, done)),
            Err(found) => problems.extend(worded(document, found, caller.lang)),
        }
    }
    problems.extend(twice(&documents, caller.lang));
    if !problems.is_empty() {
        problems.sort_by(|a: &Problem, b| (&a.file, a.line, &a.field).cmp(&(&b.file, b.line, &b.field)));
        problems.dedup();
        let detail = messages::text(caller.lang, "api.state_problems", &[("count", &problems.len().to_string())]);
        return Err(Fail::raw(StatusCode::BAD_REQUEST, json!({"code": "state_invalid", "detail": detail, "problems": problems})));
    }
    let mut owned = owned::read(&caller).await?;
    if prune {
        owned::prune(&mut edit, &owned, &files, &documents, &written).await?;
    }
    let plan = plan(&caller, &edit, &documents, &written).await?;
    let changes = edit.drafts().iter().any(Draft::changes);
    if !dry_run {
        owned::note(&mut owned, &files, &documents, &written, prune);
        if changes {
            let mut event = edit.by().event("state.apply", edit.now);
            event.org = if edit.is_global() { None } else { caller.org() };
            event.target = files.iter().map(String::as_str).collect::<Vec<_>>().join(", ").chars().take(256).collect();
            event.data = json!({"documents": documents.len(), "prune": prune});
            edit.audit.push(event);
        }
        edit.commit().await?;
        owned::write(&caller, &owned).await?;
    }
    Ok(Json(json!({"plan": plan, "changed": changes, "applied": changes && !dry_run, "dry_run": dry_run})))
}

/// The documents of a request: as the client parsed them, or raw text per file without references to files and
/// environment, which only the client can resolve.
fn documents(caller: &Caller, body: &Value) -> Result<Vec<Document>, Fail> {
    let parsed = match (body.get("documents"), body.get("files").and_then(Value::as_array)) {
        (Some(list), _) => serde_json::from_value::<Vec<Document>>(list.clone()).map_err(|e| {
            let detail: String = e.to_string().chars().take(200).collect();
            Fail::field("documents", MessagePair::new("api.state_documents", "").with("detail", detail))
        })?,
        (None, Some(files)) => {
            let text = |f: &Value, k: &str| f.get(k).and_then(Value::as_str).unwrap_or_default().to_owned();
            let files: Vec<(String, String)> = files.iter().map(|f| (text(f, "file"), text(f, "text"))).collect();
            let unresolved = messages::text(caller.lang, "api.state_client_only", &[]);
            api::state::parse(&files, caller.lang, |_| Err(unresolved.clone()))
                .map_err(|problems| Fail::raw(StatusCode::BAD_REQUEST, json!({"code": "state_invalid", "detail": "", "problems": problems})))?
        }
        (None, None) => return Err(Fail::field("documents", MessagePair::new("api.required", ""))),
    };
    if parsed.len() > MAX_DOCUMENTS {
        return Err(Fail::field("documents", MessagePair::new("api.state_too_many", "")));
    }
    Ok(parsed)
}

/// Places of the documents, referred-to kinds first, whatever order the files have. Groups come twice: early without
/// their members, because people name their groups, and after the people.
fn order(documents: &[Document]) -> Vec<(usize, bool)> {
    let rank = |kind: &str| KINDS.iter().position(|k| *k == kind).unwrap_or(usize::MAX);
    let mut places: Vec<(usize, usize, bool)> = Vec::with_capacity(documents.len());
    for (i, d) in documents.iter().enumerate() {
        if d.kind == "UserGroup" {
            places.push((rank("UserGroup"), i, true));
            places.push((rank("RoleBinding"), i, false));
        } else {
            places.push((rank(&d.kind), i, false));
        }
    }
    places.sort_unstable();
    places.into_iter().map(|(_, i, early)| (i, early)).collect()
}

async fn one(edit: &mut Edit, document: &Document, early: bool) -> Result<Result<Written, Problems>, Fail> {
    let mut problems = Problems::default();
    let Some(org) = org_of(edit, document, &mut problems).await? else { return Ok(Err(problems)) };
    match kinds::write(edit, org, document, early).await {
        Ok(Ok(written)) => Ok(Ok(written)),
        Ok(Err(found)) => Ok(Err(found)),
        // what a resource refuses with a sentence is a problem of the document; a failing store is not
        Err(fail) => fail.into_problems().map(Err),
    }
}

/// The organization a document belongs to, which the caller must be able to enter.
async fn org_of(edit: &Edit, document: &Document, problems: &mut Problems) -> Result<Option<Id<Org>>, Fail> {
    let caller = &edit.caller;
    let name = document.metadata.org.trim_matches('/');
    let org = match name {
        "" if !edit.is_global() => return Ok(caller.org()),
        "" => return Ok(Some(Org::DEFAULT)),
        name => edit.find::<Org>(Org::DEFAULT, name).await?,
    };
    let unknown = || MessagePair::new("api.unknown_reference", "").with("name", name.chars().take(128).collect::<String>());
    match org {
        Some(o) if edit.is_global() || caller.org() == Some(o.id) => Ok(Some(o.id)),
        _ => {
            problems.say("metadata.org", unknown());
            Ok(None)
        }
    }
}

fn worded(document: &Document, found: Problems, lang: Lang) -> Vec<Problem> {
    let word = |p: crate::fail::Problem| Problem {
        file: document.file.clone(),
        line: document.line_of(&p.field),
        message: messages::render(lang, &p.message),
        field: p.field,
    };
    found.0.into_iter().map(word).collect()
}

/// The same object declared more than once.
fn twice(documents: &[Document], lang: Lang) -> Vec<Problem> {
    let mut seen = std::collections::HashMap::new();
    let mut out = Vec::new();
    for d in documents {
        let key = (d.kind.as_str(), d.metadata.org.as_str(), d.metadata.name.as_str(), d.spec.get("asset").and_then(Value::as_str).unwrap_or_default());
        if let Some((file, line)) = seen.insert(key, (&d.file, d.line)) {
            let at = format!("{file}:{line}");
            out.push(Problem {
                file: d.file.clone(),
                line: d.line_of("metadata.name"),
                field: "metadata.name".into(),
                message: messages::text(lang, "api.state_declared_twice", &[("at", &at)]),
            });
        }
    }
    out
}

/// What would happen or happened, object by object: the declared ones in the order of the files, then what follows from
/// them (folders on the way, members of groups), then what goes.
async fn plan(caller: &Caller, edit: &Edit, documents: &[Document], written: &[(usize, Written)]) -> Result<Vec<Planned>, Fail> {
    let mut labels = Labels::default();
    let mut sides: Vec<Value> = Vec::new();
    for draft in edit.drafts() {
        for record in [&draft.before, &draft.after].into_iter().flatten() {
            sides.push(audit::mask(record, audit::FieldClass::Sensitive));
            know(&mut labels, record);
        }
    }
    labels.learn_json(caller, &sides.iter().collect::<Vec<_>>()).await?;
    labels.learn::<Org>(caller, edit.drafts().iter().filter_map(Draft::record).filter_map(Record::org)).await?;

    let mut by_place: Vec<&(usize, Written)> = written.iter().collect();
    by_place.sort_by_key(|w| w.0);
    let mut out = Vec::new();
    let mut shown = BTreeSet::new();
    for (at, w) in by_place {
        let Some(document) = documents.get(*at) else { continue };
        shown.insert((w.kind, w.id));
        let draft = edit.draft_of(w.kind, w.id);
        let org = document.metadata.org.clone();
        let org = if w.kind.is_global() {
            String::new()
        } else if org.is_empty() {
            "Default".to_owned()
        } else {
            org
        };
        let mut planned = Planned { action: "unchanged".into(), kind: document.kind.clone(), org, name: document.metadata.name.clone(), changes: Vec::new() };
        if let Some(draft) = draft.filter(|d| d.changes()) {
            planned.action = action(draft).into();
            planned.changes = Edit::differences(draft, &labels);
        }
        out.push(planned);
    }
    for draft in edit.drafts().iter().filter(|d| d.changes()) {
        let Some(record) = draft.record().filter(|r| !shown.contains(&(r.kind(), r.uuid()))) else { continue };
        let changes = Edit::differences(draft, &labels);
        // the counter of a folder that got a child is no news
        if changes.is_empty() && draft.before.is_some() && draft.after.is_some() {
            continue;
        }
        let org = record.org().map(|o| labels.name(o)).unwrap_or_default();
        out.push(Planned { action: action(draft).into(), kind: kind_name(record).into(), org, name: name_of(record, &labels), changes });
    }
    Ok(out)
}

fn action(draft: &Draft) -> &'static str {
    match (&draft.before, &draft.after) {
        (None, _) => "create",
        (Some(_), Some(_)) => "update",
        (Some(_), None) => "delete",
    }
}

fn know(labels: &mut Labels, record: &Record) {
    match record {
        Record::Org(e) => labels.know(e),
        Record::Role(e) => labels.know(e),
        Record::Platform(e) => labels.know(e),
        Record::User(e) => labels.know(e),
        Record::UserGroup(e) => labels.know(e),
        Record::Node(e) => labels.know(e),
        Record::Asset(e) => labels.know(e),
        Record::Account(e) => labels.know(e),
        Record::PublicKey(_) | Record::RoleBinding(_) | Record::AssetPermission(_) => {}
    }
}

/// The kind as files call it.
fn kind_name(record: &Record) -> &'static str {
    match record {
        Record::Org(_) => "Organization",
        Record::Role(_) => "Role",
        Record::Platform(_) => "Platform",
        Record::User(_) => "User",
        Record::PublicKey(_) => "PublicKey",
        Record::RoleBinding(_) => "RoleBinding",
        Record::UserGroup(_) => "UserGroup",
        Record::Node(_) => "Node",
        Record::Asset(a) => kinds::kind_of_category(a.category),
        Record::Account(_) => "Account",
        Record::AssetPermission(_) => "AssetPermission",
    }
}

fn name_of(record: &Record, labels: &Labels) -> String {
    match record {
        Record::RoleBinding(b) => format!("{}: {}", labels.name(b.user), labels.name(b.role)),
        Record::Account(a) => format!("{}@{}", a.name, labels.name(a.asset)),
        Record::PublicKey(k) => format!("{}: {}", labels.name(k.user), k.fingerprint),
        other => other.name().to_owned(),
    }
}

/// All stored objects of a kind in an organization.
async fn every<E: Entity>(edit: &Edit, org: Id<Org>, filters: Vec<Filter>) -> Result<Vec<E>, Fail> {
    let mut out = Vec::new();
    loop {
        let mut query = Query::all().page(out.len() as u64, 1_000);
        query.filters.clone_from(&filters);
        let rows = edit.read::<E>(org, query).await?;
        let last = rows.len() < 1_000;
        out.extend(rows);
        if last {
            return Ok(out);
        }
    }
}

/// Whether the kind is one that files own.
fn is_owned_kind(kind: Kind) -> bool {
    !matches!(kind, Kind::PublicKey)
}
