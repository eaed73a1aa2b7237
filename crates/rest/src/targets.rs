//! Around assets: folders' children and trees, lists by category, secrets shown to people, who may reach what and why.

use axum::{
    Json,
    extract::Path,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use model::{Account, Asset, Category, Filter, HostKey, Id, Node, NodeKey, Op, Query, User};
use policy::action::{Create, Explain, ForgetHostKey, List, MyAssets, Read, Reveal, Update};
use serde_json::{Value, json};
use store::{Change, GrantedAsset, LogBatch};

use crate::{
    edit::Edit,
    fail::Fail,
    guard::{Caller, Can, Resolve},
    input::{Input, Named},
    listing::{Listing, Lists},
    resource::{Payload, Resource},
    resources::{accounts::SECRET_TYPES, choice, nodes, permissions::ACTIONS, platforms::CATEGORIES, time},
};

/// Lists assets of one category: `assets/hosts/`, `assets/devices/`, ….
pub(crate) async fn list_category<const C: u8>(can: Can<List<Asset>>, listing: Listing) -> Result<Response, Fail> {
    let mut query = listing.query(&Asset::LISTS)?;
    query.filters.push(Filter::eq("category", category(C).as_str()));
    let page = can.caller.reader().list::<Asset>(&query).await?;
    let rows = Asset::show(&can.caller, page.rows).await?;
    Ok(listing.answer(&query, page.count, rows))
}

/// The categories by number, for paths.
pub(crate) const fn category(n: u8) -> Category {
    match n {
        0 => Category::Host,
        1 => Category::Device,
        2 => Category::Database,
        3 => Category::Cloud,
        4 => Category::Web,
        5 => Category::Ds,
        _ => Category::Custom,
    }
}

/// `GET /api/v1/assets/nodes/{id}/children/`
pub(crate) async fn children(can: Can<Read<Node>>, listing: Listing) -> Result<Response, Fail> {
    let node = can.granted.on();
    let mut query = listing.query(&Node::LISTS)?;
    query.filters.push(Filter::eq("parent", node.id));
    let page = can.caller.reader().list::<Node>(&query).await?;
    let rows = Node::show(&can.caller, page.rows).await?;
    Ok(listing.answer(&query, page.count, rows))
}

/// `POST /api/v1/assets/nodes/{id}/children/`
pub(crate) async fn add_child(can: Can<Create<Node>>, Path(id): Path<String>, body: Payload) -> Result<Response, Fail> {
    let caller = &can.caller;
    let parent = Node::resolve(caller, &id).await?.ok_or_else(Fail::missing)?;
    let body = body.object()?;
    let mut edit = Edit::in_org(caller)?;
    let mut input = Input::new(&body, false, "");
    let made = nodes::create_below(&mut edit, &mut input, parent).await?;
    let Some(made) = made.filter(|_| input.problems.is_empty()) else { return Err(Fail::fields(input.problems)) };
    edit.commit().await?;
    let row = caller.reader().get(made).await?.ok_or_else(Fail::missing)?;
    Ok((StatusCode::CREATED, Json(Node::show(caller, vec![row]).await?.into_iter().next())).into_response())
}

/// `GET /api/v1/assets/nodes/children/tree/?key=`: the folders below one, or the roots.
pub(crate) async fn tree(can: Can<List<Node>>, listing: Listing) -> Result<Json<Vec<Value>>, Fail> {
    let parent = listing.get("key").and_then(NodeKey::parse).map(|k| k.as_str().to_owned()).unwrap_or_default();
    let reader = can.caller.reader();
    let rows = reader.list::<Node>(&Query::filter(Filter::eq("parent_key", &parent))).await?.rows;
    let keys: Vec<&str> = rows.iter().map(|n| n.key.as_str()).collect();
    let below = if keys.is_empty() { Vec::new() } else { reader.list::<Node>(&Query::filter(Filter::is_in("parent_key", &keys))).await?.rows };
    Ok(Json(rows.iter().map(|n| nodes::tree_entry(n, below.iter().any(|b| b.key.parent().as_ref() == Some(&n.key)))).collect()))
}

async fn folder_assets(can: Can<Update<Node>>, body: Payload, change: fn(&mut Vec<Id<Node>>, Id<Node>)) -> Result<StatusCode, Fail> {
    let caller = &can.caller;
    let node = can.granted.on();
    if !caller.may_in(node.org, "assets.change_asset") {
        return Err(Fail::forbidden());
    }
    let body = body.object()?;
    let mut input = Input::new(&body, false, "");
    input.require("assets");
    let mut edit = Edit::in_org(caller)?;
    let root = nodes::root(&edit, node.org).await?.id;
    let assets = crate::resources::related::<Asset>(&edit, node.org, &mut input, "assets").await?.unwrap_or_default();
    if !input.problems.is_empty() {
        return Err(Fail::fields(input.problems));
    }
    for asset in assets {
        let mut next = asset.clone();
        change(&mut next.nodes, node.id);
        if next.nodes.is_empty() {
            next.nodes.push(root);
        }
        edit.put(next, Some(&asset));
    }
    edit.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /api/v1/assets/nodes/{id}/assets/add/`
pub(crate) async fn add_assets(can: Can<Update<Node>>, body: Payload) -> Result<StatusCode, Fail> {
    folder_assets(can, body, |all, id| {
        if !all.contains(&id) {
            all.push(id)
        }
    })
    .await
}

/// `PUT /api/v1/assets/nodes/{id}/assets/remove/`
pub(crate) async fn remove_assets(can: Can<Update<Node>>, body: Payload) -> Result<StatusCode, Fail> {
    folder_assets(can, body, |all, id| all.retain(|n| *n != id)).await
}

/// `PUT /api/v1/assets/nodes/{id}/assets/replace/`
pub(crate) async fn move_assets(can: Can<Update<Node>>, body: Payload) -> Result<StatusCode, Fail> {
    folder_assets(can, body, |all, id| *all = vec![id]).await
}

fn show_host_key(k: &HostKey) -> Value {
    json!({"address": k.address, "algorithm": k.algorithm, "public_key": k.public_key, "fingerprint": k.fingerprint, "first_seen": time(k.first_seen), "pinned": k.pinned})
}

/// `GET /api/v1/assets/assets/{id}/host-keys/`
pub(crate) async fn host_keys(can: Can<Read<Asset>>) -> Result<Json<Vec<Value>>, Fail> {
    let keys = can.caller.reader().host_keys(can.granted.on().id).await?;
    Ok(Json(keys.iter().map(show_host_key).collect()))
}

/// `DELETE /api/v1/assets/assets/{id}/host-keys/`: the next connection records the target's key anew.
pub(crate) async fn forget_host_keys(can: Can<ForgetHostKey>) -> Result<StatusCode, Fail> {
    let caller = &can.caller;
    let asset = can.granted.on();
    let scope = caller.enter(asset.org).ok_or_else(Fail::missing)?;
    let mut work = store::UnitOfWork::in_org(scope);
    work.changes.push(Change::ForgetHostKeys(asset.id));
    let mut event = caller.by().event("asset.forget_host_keys", caller.app.now());
    event.org = Some(asset.org);
    event.target.clone_from(&asset.name);
    event.target_id = asset.id.to_string();
    work.audit(event);
    caller.app.committer().commit(work).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/v1/accounts/account-secrets/{id}/`: shows a stored secret to a person who proved a second factor. The log
/// row and the audit entry are safe before the secret is opened.
pub(crate) async fn reveal(can: Can<Reveal>) -> Result<Json<Value>, Fail> {
    let caller = &can.caller;
    let account = can.granted.on().clone();
    if !caller.who.with_mfa() {
        return Err(Fail::refused("api.reveal_needs_mfa"));
    }
    let scope = caller.enter(account.org).ok_or_else(Fail::missing)?;
    let now = caller.app.now();
    let (_, row) = audit::events::object_seen(&caller.by(), "view", &account.clone().into(), now);
    let event = audit::events::secret_revealed(&caller.by(), &account, account.version, now);
    caller.app.node().log(LogBatch { audit: vec![event], operate: vec![row], ..Default::default() }).await?;
    let granted = caller.app.decider().decide::<Reveal>(&caller.who, &caller.roles, scope, account.clone()).ok_or_else(Fail::forbidden)?;
    let opened = caller.app.vault().open(&granted).await?;
    Ok(Json(json!({
        "id": account.id, "name": account.name, "username": account.username, "secret_type": choice(account.secret_type.as_str(), SECRET_TYPES),
        "secret": opened.secret.expose(), "passphrase": opened.passphrase.as_ref().map(|p| p.expose().clone()), "version": opened.version,
    })))
}

/// `PATCH /api/v1/accounts/accounts/clear-secret/`: `{account_ids}`.
pub(crate) async fn clear_secrets(can: Can<policy::action::UpdateMany<Account>>, body: Payload) -> Result<StatusCode, Fail> {
    let caller = &can.caller;
    let body = body.object()?;
    let ids = body
        .get("account_ids")
        .and_then(Value::as_array)
        .filter(|a| a.len() <= 1000)
        .ok_or_else(|| Fail::field("account_ids", model::MessagePair::new("api.not_list", "")))?;
    let mut edit = Edit::in_org(caller)?;
    for id in ids {
        let id = id.as_str().unwrap_or_default();
        let account = Account::resolve(caller, id).await?.ok_or_else(Fail::missing)?;
        let account = caller.decide::<Update<Account>>(account).ok_or_else(Fail::forbidden)?.into_on();
        if !account.has_secret {
            continue;
        }
        let mut next = account.clone();
        (next.has_secret, next.version, next.date_change_secret) = (false, account.version + 1, Some(edit.now));
        let sealed = caller.app.vault().seal_account(&next, next.version, None, None, (caller.who.display(), edit.now))?;
        edit.put(next, Some(&account));
        edit.account_secret(sealed, &["secret"]);
    }
    edit.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

const MINE: Lists = Lists {
    filters: &[
        ("name", "name", Op::Eq),
        ("address", "address", Op::Eq),
        ("category", "category", Op::Eq),
        ("platform", "platform", Op::Eq),
        ("node", "node", Op::Eq),
        ("id", "id", Op::Eq),
    ],
    orders: &[("name", "name"), ("address", "address")],
};

fn show_granted(g: &GrantedAsset) -> Value {
    json!({
        "id": g.asset.id, "name": g.asset.name, "address": g.asset.address, "platform": {"id": g.asset.platform, "name": g.platform},
        "category": choice(g.asset.category.as_str(), CATEGORIES), "protocols": g.asset.protocols, "nodes_display": g.nodes, "org_id": g.asset.org,
        "org_name": g.org, "comment": g.asset.comment, "is_active": g.asset.is_active, "connectivity": g.asset.connectivity, "labels": [],
    })
}

/// `GET /api/v1/perms/users/self/assets/`
pub(crate) async fn my_assets(can: Can<MyAssets>, listing: Listing) -> Result<Response, Fail> {
    let caller = &can.caller;
    let mut query = listing.query(&MINE)?;
    if let Some(org) = caller.org().filter(|_| caller.asked) {
        query.filters.push(Filter::eq("org", org));
    }
    let page = caller.app.store().mine(&caller.who).assets(caller.app.now(), &query).await?;
    Ok(listing.answer(&query, page.count, page.rows.iter().map(show_granted).collect()))
}

async fn person(caller: &Caller, id: &str) -> Result<User, Fail> {
    User::resolve(caller, id).await?.ok_or_else(Fail::missing)
}

/// `GET /api/v1/perms/users/{id}/assets/`
pub(crate) async fn assets_of(can: Can<Explain>, Path(id): Path<String>, listing: Listing) -> Result<Response, Fail> {
    let caller = &can.caller;
    let user = person(caller, &id).await?;
    let mut query = listing.query(&MINE)?;
    if let Some(org) = caller.org() {
        query.filters.push(Filter::eq("org", org));
    }
    let page = caller.app.node().granted_assets(user.id, caller.app.now(), &query).await?;
    Ok(listing.answer(&query, page.count, page.rows.iter().map(show_granted).collect()))
}

fn permitted(access: &policy::Access) -> Value {
    let accounts = access.accounts.iter().map(|a| {
        let stored = a.account.stored();
        json!({
            "id": stored.map(|s| s.id), "alias": a.account.alias(), "name": stored.map_or_else(|| a.account.alias(), |s| s.name.clone()),
            "username": a.account.username(), "has_secret": stored.is_some_and(|s| s.has_secret),
            "secret_type": stored.map(|s| choice(s.secret_type.as_str(), SECRET_TYPES)),
            "actions": a.actions.iter().map(|x| choice(x.as_str(), ACTIONS)).collect::<Vec<_>>(), "date_expired": time(a.expires),
        })
    });
    accounts.collect()
}

fn protocols(asset: &Asset, access: &policy::Access) -> Value {
    asset.protocols.iter().filter(|p| access.protocols.has(&p.name)).map(|p| json!({"name": p.name, "port": p.port, "public": true})).collect()
}

/// `GET /api/v1/perms/users/self/assets/{asset}/`: one target with the accounts one may use.
pub(crate) async fn my_asset(can: Can<MyAssets>, Path(asset): Path<String>) -> Result<Json<Value>, Fail> {
    let caller = &can.caller;
    let mine = caller.app.store().mine(&caller.who);
    let id = match Named::read(&Value::String(asset)) {
        Some(Named::Id(id)) => Id::<Asset>::new(id),
        Some(Named::Name(name)) => {
            let found = mine.assets(caller.app.now(), &Query::filter(Filter::eq("name", &name)).page(0, 2)).await?.rows;
            found.first().map(|g| g.asset.id).ok_or_else(Fail::missing)?
        }
        None => return Err(Fail::missing()),
    };
    let facts = mine.connect_facts(id).await?.ok_or_else(Fail::missing)?;
    let access = policy::access::evaluate(&facts.facts(), caller.app.now());
    if access.accounts.is_empty() || !facts.asset.is_active {
        return Err(Fail::missing());
    }
    Ok(Json(json!({
        "id": facts.asset.id, "name": facts.asset.name, "address": facts.asset.address, "platform": {"id": facts.platform.id, "name": facts.platform.name},
        "permed_protocols": protocols(&facts.asset, &access), "permed_accounts": permitted(&access), "org_id": facts.asset.org,
    })))
}

/// `GET /api/v1/perms/users/{id}/assets/{asset}/explain/`: the evaluation, with the rules that gave and withheld named.
pub(crate) async fn explain(can: Can<Explain>, Path((user, asset)): Path<(String, String)>) -> Result<Json<Value>, Fail> {
    let caller = &can.caller;
    let user = person(caller, &user).await?;
    let asset = Asset::resolve(caller, &asset).await?.ok_or_else(Fail::missing)?;
    let facts = caller.reader().connect_facts(user.id, asset.id).await?.ok_or_else(Fail::missing)?;
    let now = caller.app.now();
    let access = policy::access::evaluate(&facts.facts(), now);
    let why = serde_json::to_value(&access.why).map_err(|e| Fail::internal(e.to_string()))?;
    Ok(Json(json!({
        "user": {"id": user.id, "name": user.name, "username": user.username, "is_valid": user.is_valid(now)},
        "asset": {"id": asset.id, "name": asset.name, "address": asset.address, "is_active": asset.is_active},
        "protocols": protocols(&asset, &access), "accounts": permitted(&access), "rules": why.get("rules"), "account_rules": why.get("accounts"),
        "allowed": user.is_valid(now) && asset.is_active && access.accounts.iter().any(|a| a.actions.has(model::Action::Connect)),
    })))
}
