//! Prints objects as declared state, without secrets. Applying the result changes nothing.

use axum::{
    Json,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use model::{Account, Asset, AssetPermission, Filter, Id, Node, Org, Platform, PublicKey, Role, RoleBinding, RoleScope, User, UserGroup};
use policy::action::Export;
use serde_json::{Map, Value, json};
use store::LogBatch;

use super::{every, kinds::kind_of_category};
use crate::{
    edit::Edit,
    fail::Fail,
    guard::{Caller, Can, Place},
    labels::Labels,
    listing::Listing,
    resources::{users::mfa_number, word},
};

/// `GET /api/v1/state/export/?format=yaml|json`
pub(crate) async fn export(can: Can<Export>, listing: Listing) -> Result<Response, Fail> {
    let caller = &can.caller;
    let mut event = caller.by().event("state.export", caller.app.now());
    event.org = caller.org();
    caller.app.node().log(LogBatch { audit: vec![event], ..Default::default() }).await?;
    let documents = documents(caller).await?;
    if listing.get("format") == Some("yaml") {
        let mut response = yaml(&documents).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/yaml"));
        return Ok(response);
    }
    Ok(Json(json!({"documents": documents, "yaml": yaml(&documents)})).into_response())
}

/// Which organizations: the one the request names, else all that the person may export.
async fn orgs(caller: &Caller) -> Result<Vec<Org>, Fail> {
    let reader = caller.app.store().read(caller.app.authority().every_org());
    let all = reader.list::<Org>(&model::Query::all()).await?.rows;
    let wanted = |o: &Org| match caller.place {
        Place::One(scope) if caller.asked || !caller.may_everywhere("state.export") => o.id == scope.id(),
        _ => caller.may_in(o.id, "state.export") && caller.enter(o.id).is_some(),
    };
    Ok(all.into_iter().filter(wanted).collect())
}

async fn documents(caller: &Caller) -> Result<Vec<Value>, Fail> {
    let edit = Edit::widest(caller, "state.export")?;
    let orgs = orgs(caller).await?;
    let whole = caller.may_everywhere("state.export");
    let mut out = Vec::new();
    if whole {
        for o in orgs.iter().filter(|o| !o.builtin) {
            out.push(document("Organization", &o.name, None, fields([("comment", o.comment.clone().into())])));
        }
        for r in every::<Role>(&edit, Org::DEFAULT, vec![Filter::eq("builtin", false)]).await? {
            out.push(document(
                "Role",
                &r.name,
                None,
                fields([("scope", word(&r.scope).into()), ("permissions", json!(r.permissions)), ("comment", r.comment.into())]),
            ));
        }
        for p in every::<Platform>(&edit, Org::DEFAULT, vec![Filter::eq("builtin", false)]).await? {
            out.push(document("Platform", &p.name, None, platform(&p)));
        }
    }
    let mut people: Vec<Id<User>> = Vec::new();
    for org in &orgs {
        one_org(caller, &edit, org, &mut people, &mut out).await?;
    }
    Ok(out)
}

fn fields<const N: usize>(all: [(&str, Value); N]) -> Map<String, Value> {
    let empty = |v: &Value| v.is_null() || v.as_str() == Some("") || v.as_array().is_some_and(Vec::is_empty);
    all.into_iter().filter(|(_, v)| !empty(v)).map(|(k, v)| (k.to_owned(), v)).collect()
}

fn document(kind: &str, name: &str, org: Option<&Org>, spec: Map<String, Value>) -> Value {
    let mut metadata = json!({"name": name});
    if let (Some(org), Some(m)) = (org.filter(|o| o.id != Org::DEFAULT), metadata.as_object_mut()) {
        m.insert("org".into(), org.name.clone().into());
    }
    let mut out = json!({"kind": kind, "metadata": metadata});
    if let Some(o) = out.as_object_mut().filter(|_| !spec.is_empty()) {
        o.insert("spec".into(), Value::Object(spec));
    }
    out
}

fn platform(p: &Platform) -> Map<String, Value> {
    fields([
        ("category", p.category.as_str().into()),
        ("type", p.kind.clone().into()),
        ("charset", p.charset.clone().into()),
        ("domain_enabled", p.gateway_enabled.into()),
        ("su_enabled", p.su_enabled.into()),
        ("su_method", p.su_method.map_or(Value::Null, |s| word(&s).into())),
        ("protocols", json!(p.protocols)),
        ("comment", p.comment.clone().into()),
    ])
}

async fn one_org(caller: &Caller, edit: &Edit, org: &Org, people: &mut Vec<Id<User>>, out: &mut Vec<Value>) -> Result<(), Fail> {
    let at = Some(org);
    let mut labels = Labels::default();
    let groups = every::<UserGroup>(edit, org.id, vec![Filter::eq("org", org.id)]).await?;
    let users = every::<User>(edit, org.id, vec![Filter::eq("org", org.id), Filter::eq("is_service_account", false)]).await?;
    let nodes = every::<Node>(edit, org.id, vec![Filter::eq("org", org.id)]).await?;
    let assets = every::<Asset>(edit, org.id, vec![Filter::eq("org", org.id)]).await?;
    let mut accounts = every::<Account>(edit, org.id, vec![Filter::eq("org", org.id)]).await?;
    let rules = every::<AssetPermission>(edit, org.id, vec![Filter::eq("org", org.id)]).await?;
    groups.iter().for_each(|g| labels.know(g));
    users.iter().for_each(|u| labels.know(u));
    nodes.iter().for_each(|n| labels.know(n));
    assets.iter().for_each(|a| labels.know(a));
    accounts.iter().for_each(|a| labels.know(a));
    labels.learn::<Platform>(caller, assets.iter().map(|a| a.platform)).await?;
    for g in &groups {
        out.push(document("UserGroup", &g.name, at, fields([("comment", g.comment.clone().into())])));
    }
    for u in &users {
        let first = !people.contains(&u.id);
        if first {
            people.push(u.id);
        }
        out.push(document("User", &u.username, at, person(edit, org, u, &groups, first).await?));
    }
    for n in nodes.iter().filter(|n| n.key.parent().is_some()) {
        out.push(document("Node", &n.full_value, at, Map::new()));
    }
    let names = |ids: Vec<String>| Value::from(ids);
    accounts.sort_by_key(|a| a.su_from.is_some());
    for a in &assets {
        let mine: Vec<Value> = accounts.iter().filter(|x| x.asset == a.id).map(|x| Value::Object(account(x, &labels))).collect();
        let protocols: Vec<String> = a.protocols.iter().map(|p| format!("{}/{}", p.name, p.port)).collect();
        let spec = fields([
            ("address", a.address.clone().into()),
            ("platform", labels.name(a.platform).into()),
            ("nodes", names(a.nodes.iter().map(|n| labels.name(*n)).collect())),
            ("protocols", protocols.into()),
            ("is_active", a.is_active.into()),
            ("comment", a.comment.clone().into()),
            ("accounts", mine.into()),
        ]);
        out.push(document(kind_of_category(a.category), &a.name, at, spec));
    }
    for p in &rules {
        let actions: Vec<&str> = p.actions.iter().map(|a| a.as_str()).collect();
        let spec = fields([
            ("users", names(p.users.iter().map(|u| labels.name(*u)).collect())),
            ("user_groups", names(p.user_groups.iter().map(|g| labels.name(*g)).collect())),
            ("assets", names(p.assets.iter().map(|a| labels.name(*a)).collect())),
            ("nodes", names(p.nodes.iter().map(|n| labels.name(*n)).collect())),
            ("accounts", json!(p.accounts)),
            ("protocols", json!(p.protocols)),
            ("actions", json!(actions)),
            ("date_start", json!(p.date_start)),
            ("date_expired", json!(p.date_expired)),
            ("is_active", p.is_active.into()),
            ("comment", p.comment.clone().into()),
        ]);
        out.push(document("AssetPermission", &p.name, at, spec));
    }
    Ok(())
}

/// A person in one organization; what is the same everywhere stands where he is met first.
async fn person(edit: &Edit, org: &Org, u: &User, groups: &[UserGroup], first: bool) -> Result<Map<String, Value>, Fail> {
    let bindings: Vec<RoleBinding> = edit.of_person(u.id, |b: &RoleBinding| b.user == u.id).await?;
    let all = every::<Role>(edit, org.id, Vec::new()).await?;
    let roles = |scope: RoleScope, place: Option<Id<Org>>| -> Vec<String> {
        let held = bindings.iter().filter(|b| b.organization == place);
        held.filter_map(|b| all.iter().find(|r| r.id == b.role && r.scope == scope)).map(|r| r.name.clone()).collect()
    };
    let mine: Vec<String> = groups.iter().filter(|g| g.users.contains(&u.id)).map(|g| g.name.clone()).collect();
    let mut spec = fields([("groups", mine.into()), ("org_roles", roles(RoleScope::Org, Some(org.id)).into())]);
    if first {
        let keys: Vec<PublicKey> = edit.of_person(u.id, |k: &PublicKey| k.user == u.id && k.is_active).await?;
        let lines: Vec<String> = keys.into_iter().map(|k| k.public_key).collect();
        spec.extend(fields([
            ("name", u.name.clone().into()),
            ("email", u.email.clone().into()),
            ("phone", u.phone.clone().into()),
            ("is_active", u.is_active.into()),
            ("date_expired", u.date_expired.map_or(Value::Null, |t| json!(t))),
            ("mfa_level", mfa_number(u.mfa_level).into()),
            ("need_update_password", u.need_update_password.into()),
            ("lang", u.lang.clone().into()),
            ("system_roles", roles(RoleScope::System, None).into()),
            ("public_keys", lines.into()),
            ("comment", u.comment.clone().into()),
        ]));
    }
    Ok(spec)
}

fn account(a: &Account, labels: &Labels) -> Map<String, Value> {
    fields([
        ("name", a.name.clone().into()),
        ("username", a.username.clone().into()),
        ("secret_type", a.secret_type.as_str().into()),
        ("privileged", a.privileged.into()),
        ("is_active", a.is_active.into()),
        ("secret_reset", a.secret_reset.into()),
        ("su_from", a.su_from.map_or(Value::Null, |s| labels.name(s).into())),
        ("comment", a.comment.clone().into()),
    ])
}

/// Documents as YAML: JSON is YAML, so each value is written in its JSON form, one field a line.
fn yaml(documents: &[Value]) -> String {
    let mut out = String::new();
    for (i, d) in documents.iter().enumerate() {
        if i > 0 {
            out.push_str("---\n");
        }
        let part = |k: &str| d.get(k).map(ToString::to_string).unwrap_or_default();
        out.push_str(&format!("kind: {}\nmetadata: {}\n", d.get("kind").and_then(Value::as_str).unwrap_or_default(), part("metadata")));
        let Some(spec) = d.get("spec").and_then(Value::as_object) else { continue };
        out.push_str("spec:\n");
        for (name, value) in spec {
            match value.as_array().filter(|a| a.iter().any(Value::is_object)) {
                Some(items) => {
                    out.push_str(&format!("  {name}:\n"));
                    items.iter().for_each(|item| out.push_str(&format!("    - {item}\n")));
                }
                None => out.push_str(&format!("  {name}: {value}\n")),
            }
        }
    }
    out
}
