//! What administrators do to people beyond their rows: passwords, locks, factors, keys, membership.

use axum::{Json, http::StatusCode};
use model::{AssetPermission, Filter, Id, MessagePair, Org, Query, Role, RoleBinding, RoleScope, User, UserGroup};
use policy::action::{Invite, ResetCredentials, Unlock};
use serde_json::{Value, json};
use store::Change;

use crate::{
    edit::Edit,
    fail::Fail,
    guard::Can,
    input::Input,
    resource::Payload,
    resources::{bindings, related, users},
};

/// Opens the change of one person; people who belong to other organizations too are not this organization's to change.
async fn open(caller: &crate::guard::Caller, user: &User) -> Result<(Edit, Id<Org>), Fail> {
    let edit = Edit::widest(caller, "users.change_user")?;
    let org = caller.org().unwrap_or(Org::DEFAULT);
    users::guard(&edit, org, user).await?;
    Ok((edit, org))
}

/// `PUT|PATCH /api/v1/users/users/{id}/password/`
pub(crate) async fn password(can: Can<ResetCredentials>, body: Payload) -> Result<StatusCode, Fail> {
    let body = body.object()?;
    let user = can.granted.into_on();
    let (mut edit, org) = open(&can.caller, &user).await?;
    let mut input = Input::new(&body, false, "");
    input.require("password");
    let must = input.bool("need_update_password");
    let Some(password) = input.secret("password", 1024).filter(|p| !p.is_empty()) else { return Err(Fail::fields(input.problems)) };
    let mut next = user.clone();
    next.need_update_password = must.unwrap_or(user.need_update_password);
    let id = user.id;
    edit.put(next, Some(&user));
    users::set_password(&mut edit, org, &mut input, id, &password).await?;
    if !input.problems.is_empty() {
        return Err(Fail::fields(input.problems));
    }
    edit.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST|PATCH /api/v1/users/users/{id}/unblock/`
pub(crate) async fn unblock(can: Can<Unlock>) -> Result<StatusCode, Fail> {
    let user = can.granted.on();
    let (mut edit, _) = open(&can.caller, user).await?;
    let mut event = edit.by().event("user.unblock", edit.now);
    event.org = can.caller.org();
    event.target.clone_from(&user.username);
    event.target_id = user.id.to_string();
    edit.audit.push(event);
    edit.commit().await?;
    can.caller.app.authn().unlock(&user.username).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST|GET /api/v1/users/users/{id}/mfa/reset/`
pub(crate) async fn reset_mfa(can: Can<ResetCredentials>) -> Result<StatusCode, Fail> {
    let user = can.granted.on();
    if user.id == can.caller.who.user() && !can.caller.who.is_local_admin() {
        return Err(Fail::refused("api.not_oneself"));
    }
    let (mut edit, _) = open(&can.caller, user).await?;
    for change in can.caller.app.authn().otp_reset(user).await? {
        match change {
            Change::SetUserSecrets(id, secrets) => edit.person_secret(id, *secrets, "mfa"),
            Change::Update(row) => {
                if let model::Record::User(next) = *row {
                    edit.put(next, Some(user));
                }
            }
            _ => {}
        }
    }
    let mut event = edit.by().event("user.mfa_reset", edit.now);
    event.target.clone_from(&user.username);
    event.target_id = user.id.to_string();
    edit.audit.push(event);
    edit.log_out.push(user.id);
    edit.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/users/users/{id}/pubkey/reset/`: removes all public keys.
pub(crate) async fn reset_keys(can: Can<ResetCredentials>) -> Result<StatusCode, Fail> {
    let user = can.granted.on();
    let (mut edit, _) = open(&can.caller, user).await?;
    for key in users::keys_of(&edit, user.id).await? {
        edit.remove(&key);
    }
    let mut event = edit.by().event("user.keys_reset", edit.now);
    event.target.clone_from(&user.username);
    event.target_id = user.id.to_string();
    edit.audit.push(event);
    edit.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/users/users/invite/`: existing people become members. Their rows are not touched.
pub(crate) async fn invite(can: Can<Invite>, body: Payload) -> Result<(StatusCode, Json<Value>), Fail> {
    let caller = &can.caller;
    let org = caller.scope()?.id();
    let body = body.object()?;
    let mut edit = Edit::in_org(caller)?;
    let mut input = Input::new(&body, false, "");
    input.require("users");
    let roles = related::<Role>(&edit, org, &mut input, "org_roles").await?.unwrap_or_default();
    let named = input.named_list("users").unwrap_or_default();
    let every = caller.app.store().read(caller.app.authority().every_org());
    let mut people: Vec<User> = Vec::new();
    for (i, n) in named.iter().enumerate() {
        let found = match n {
            crate::input::Named::Id(id) => every.get::<User>(Id::new(*id)).await?,
            crate::input::Named::Name(name) => every.find::<User>(Query::filter(Filter::eq("username", User::canonical(name)))).await?,
        };
        match found.filter(|u| !u.is_service_account) {
            Some(u) => people.push(u),
            None => input.wrong(&format!("users[{i}]"), Edit::unknown(n)),
        }
    }
    for (i, role) in roles.iter().enumerate() {
        if role.scope != RoleScope::Org || !bindings::may_bind(&edit, role, Some(org)) {
            input.say(&format!("org_roles[{i}]"), "api.not_held");
        }
    }
    if !input.problems.is_empty() {
        return Err(Fail::fields(input.problems));
    }
    let roles = if roles.is_empty() { vec![Role::ORG_USER] } else { crate::resources::ids(&roles) };
    for user in &people {
        let held = bindings::bindings_of(&edit, user.id).await?;
        for role in &roles {
            if !held.iter().any(|b| b.role == *role && b.organization == Some(org)) {
                bindings::bind(&mut edit, user.id, *role, Some(org));
            }
        }
    }
    edit.commit().await?;
    Ok((StatusCode::CREATED, Json(json!({"users": people.iter().map(|u| u.id).collect::<Vec<_>>()}))))
}

/// `POST /api/v1/users/users/{id}/remove/`: ends the person's membership here: roles, groups, rules. The row stays.
pub(crate) async fn remove(can: Can<ResetCredentials>) -> Result<StatusCode, Fail> {
    let caller = &can.caller;
    let user = can.granted.on();
    if user.id == caller.who.user() || user.id == User::ADMIN {
        return Err(Fail::refused("api.not_oneself"));
    }
    let org = caller.scope()?.id();
    if !caller.may_in(org, "users.remove_user") {
        return Err(Fail::forbidden());
    }
    let mut edit = Edit::in_org(caller)?;
    let bound: Vec<RoleBinding> = bindings::bindings_of(&edit, user.id).await?.into_iter().filter(|b| b.organization == Some(org)).collect();
    let groups = edit.all::<UserGroup>(org, Query::filter(Filter::eq("user", user.id)), |g| g.users.contains(&user.id)).await?;
    let rules = edit.all::<AssetPermission>(org, Query::filter(Filter::eq("user", user.id)), |p| p.users.contains(&user.id)).await?;
    for group in groups {
        let mut next = group.clone();
        next.users.retain(|u| *u != user.id);
        edit.put(next, Some(&group));
    }
    for rule in rules {
        let mut next = rule.clone();
        next.users.retain(|u| *u != user.id);
        edit.put(next, Some(&rule));
    }
    for b in bound {
        bindings::unbind(&mut edit, &b)?;
    }
    edit.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/users/users-groups-relations/`: `[{user, usergroup}]`.
pub(crate) async fn add_to_groups(can: Can<policy::action::UpdateMany<UserGroup>>, body: Payload) -> Result<(StatusCode, Json<Value>), Fail> {
    let caller = &can.caller;
    let org = caller.scope()?.id();
    let mut edit = Edit::in_org(caller)?;
    let items = match body.0 {
        Value::Array(a) => a,
        other => vec![other],
    };
    for item in items.iter().take(1000) {
        let map = item.as_object().ok_or_else(|| Fail::bad("api.not_object"))?;
        let mut input = Input::new(map, false, "");
        input.require("user");
        input.require("usergroup");
        let user = crate::resources::related_one::<User>(&edit, org, &mut input, "user").await?.flatten();
        let group = crate::resources::related_one::<UserGroup>(&edit, org, &mut input, "usergroup").await?.flatten();
        let (Some(user), Some(group)) = (user, group) else { return Err(Fail::fields(input.problems)) };
        if !group.users.contains(&user.id) {
            let mut next = group.clone();
            next.users.push(user.id);
            edit.put(next, Some(&group));
        }
    }
    edit.commit().await?;
    Ok((StatusCode::CREATED, Json(Value::Array(items))))
}

/// `DELETE /api/v1/users/users-groups-relations/?user=&usergroup=`
pub(crate) async fn remove_from_group(can: Can<policy::action::UpdateMany<UserGroup>>, listing: crate::listing::Listing) -> Result<StatusCode, Fail> {
    let caller = &can.caller;
    let org = caller.scope()?.id();
    let mut edit = Edit::in_org(caller)?;
    let named = |field: &str| {
        listing
            .get(field)
            .map(|v| crate::input::Named::read(&Value::String(v.to_owned())))
            .ok_or_else(|| Fail::field(field, MessagePair::new("api.required", "")))
    };
    let (Some(user), Some(group)) = (named("user")?, named("usergroup")?) else { return Err(Fail::bad("api.no_selection")) };
    let user = edit.resolve::<User>(org, &user).await?.ok_or_else(Fail::missing)?;
    let group = edit.resolve::<UserGroup>(org, &group).await?.ok_or_else(Fail::missing)?;
    let mut next = group.clone();
    next.users.retain(|u| *u != user.id);
    edit.put(next, Some(&group));
    edit.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
