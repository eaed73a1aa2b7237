//! People.
//!
//! A person can belong to several organizations, so an organization's administrator changes only people who belong to
//! no other one and hold no system role beyond the ordinary one.

use api::{Field, Type};
use model::{Filter, Id, MessagePair, MfaLevel, Op, Org, PublicKey, Query, Role, RoleBinding, RoleScope, User, UserGroup, UserSource};
use serde_json::{Value, json};
use store::Change;
use vault::Secret;

use super::{
    COMMENT, CREATED_BY, DATE_UPDATED, F_COMMENT, F_ID, F_NAME, F_NAME_LIKE, ID, NAME, UPDATED_BY, base, bindings, choice, chosen_id, from_word, keys,
    opt_time, related, time, word,
};
use crate::{edit::Edit, fail::Fail, guard::Caller, input::Input, labels::Labels, listing::Lists, resource::Resource};

pub(crate) const SOURCES: &[(&str, &str)] =
    &[("local", "Local"), ("ldap", "LDAP/AD"), ("openid", "OIDC"), ("saml2", "SAML2"), ("oauth2", "OAuth2"), ("cas", "CAS"), ("radius", "RADIUS")];
pub(crate) const MFA: &[(&str, &str)] = &[("0", "off"), ("1", "on"), ("2", "forced")];
const STRATEGIES: &[(&str, &str)] = &[("email", "Reset link"), ("custom", "Set password")];
const LANGS: &[(&str, &str)] = &[("", "the client's"), ("en", "English"), ("zh-CN", "简体中文"), ("zh-Hant", "繁體中文"), ("ja", "日本語")];
/// Most rows for which a list looks up locks and factors one by one.
const DETAILS: usize = 1_000;

pub(crate) fn mfa_number(level: MfaLevel) -> i64 {
    match level {
        MfaLevel::Off => 0,
        MfaLevel::On => 1,
        MfaLevel::Forced => 2,
    }
}

impl Resource for User {
    const TITLE: &'static str = "users";
    const FIELDS: &'static [Field] = &[
        ID,
        Field::new("username", Type::Text(NAME), "login name").required(),
        Field::new("name", Type::Text(NAME), "display name").required(),
        Field::new("email", Type::Text(128), "unique when not empty"),
        Field::new("phone", Type::Text(32), ""),
        Field::new("wechat", Type::Text(128), "").shown(),
        Field::new("source", Type::Choice(SOURCES), "where the identity comes from"),
        Field::new("is_active", Type::Bool, "inactive people can do nothing; their sessions are cut"),
        Field::new("is_valid", Type::Bool, "active and not expired").shown(),
        Field::new("is_expired", Type::Bool, "").shown(),
        Field::new("date_expired", Type::Time, "the account ends here"),
        Field::new("mfa_level", Type::Choice(MFA), "second factor"),
        Field::new("mfa_enabled", Type::Bool, "").shown(),
        Field::new("mfa_force_enabled", Type::Bool, "").shown(),
        Field::new("is_otp_secret_key_bound", Type::Bool, "").shown(),
        Field::new("login_blocked", Type::Bool, "locked after failures").shown(),
        Field::new("need_update_password", Type::Bool, "the next login must set a new password"),
        Field::new("is_service_account", Type::Bool, "").shown(),
        Field::new("can_public_key_auth", Type::Bool, "").shown(),
        Field::new("lang", Type::Choice(LANGS), "preferred language"),
        Field::new("groups", Type::Refs, "groups of the current organization"),
        Field::new("system_roles", Type::Refs, "default: SystemUser"),
        Field::new("org_roles", Type::Refs, "roles in the current organization, default: OrgUser"),
        Field::new("password", Type::Secret(1024), "").taken(),
        Field::new("password_strategy", Type::Choice(STRATEGIES), "").taken(),
        Field::new("public_keys", Type::Texts, "replaces all public keys").taken(),
        Field::new("public_key", Type::Text(16_384), "adds one public key").taken(),
        Field::new("labels", Type::Texts, "").shown(),
        Field::new("last_login", Type::Time, "").shown(),
        Field::new("date_joined", Type::Time, "").shown(),
        Field::new("date_password_last_updated", Type::Time, "").shown(),
        F_COMMENT,
        CREATED_BY,
        UPDATED_BY,
        DATE_UPDATED,
    ];
    const LISTS: Lists = Lists {
        filters: &[
            F_ID,
            F_NAME,
            F_NAME_LIKE,
            ("username", "username", Op::Eq),
            ("username__icontains", "username", Op::Contains),
            ("email", "email", Op::Eq),
            ("source", "source", Op::Eq),
            ("is_active", "is_active", Op::Eq),
            ("group_id", "group", Op::Eq),
            ("group", "group", Op::Eq),
            ("role", "role", Op::Eq),
        ],
        orders: &[
            ("name", "name"),
            ("username", "username"),
            ("date_joined", "date_created"),
            ("date_created", "date_created"),
            ("date_expired", "date_expired"),
            ("last_login", "last_login"),
        ],
    };

    fn base_filters(_: &Caller) -> Vec<Filter> {
        vec![Filter::eq("is_service_account", false)]
    }

    async fn show(caller: &Caller, rows: Vec<Self>) -> Result<Vec<Value>, Fail> {
        show(caller, rows).await
    }

    fn edit(caller: &Caller, permission: &str) -> Result<Edit, Fail> {
        Edit::widest(caller, permission)
    }

    async fn write(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>, old: Option<Self>) -> Result<Option<Id<Self>>, Fail> {
        write(edit, org, input, old).await
    }

    async fn erase(edit: &mut Edit, row: Self) -> Result<(), Fail> {
        if row.id == User::ADMIN {
            return Err(Fail::refused("api.builtin"));
        }
        if row.id == edit.caller.who.user() {
            return Err(Fail::refused("api.not_oneself"));
        }
        guard(edit, edit.caller.org().unwrap_or(Org::DEFAULT), &row).await?;
        edit.log_out.push(row.id);
        edit.remove(&row);
        Ok(())
    }
}

/// What is shown of people.
pub(crate) async fn show(caller: &Caller, rows: Vec<User>) -> Result<Vec<Value>, Fail> {
    let now = caller.app.now();
    let mut labels = Labels::default();
    let people: Vec<Id<User>> = rows.iter().map(|u| u.id).collect();
    let (mut groups, mut roles) = (Vec::new(), Vec::new());
    for chunk in people.chunks(500) {
        groups.extend(caller.reader().list::<UserGroup>(&Query::filter(Filter::is_in("user", chunk))).await?.rows);
        // system-wide roles of people one may see are shown; their roles in other organizations are not
        let every = caller.app.store().read(caller.app.authority().every_org());
        let bound = every.list::<RoleBinding>(&Query::filter(Filter::is_in("user", chunk))).await?.rows;
        roles.extend(bound.into_iter().filter(|b| caller.org().is_none() || b.organization.is_none() || b.organization == caller.org()));
    }
    labels.learn::<Role>(caller, roles.iter().map(|b| b.role)).await?;
    groups.iter().for_each(|g| labels.know(g));
    let few = rows.len() <= DETAILS;
    let mut out = Vec::with_capacity(rows.len());
    for u in rows {
        let mut m = base(u.id, None, &u.comment, &u.meta, &labels);
        m.remove("date_created");
        let my_groups: Vec<Id<UserGroup>> = groups.iter().filter(|g| g.users.contains(&u.id)).map(|g| g.id).collect();
        let my_roles =
            |system: bool| roles.iter().filter(|b| b.user == u.id && b.organization.is_none() == system).map(|b| labels.one(b.role)).collect::<Vec<_>>();
        let level = mfa_number(u.mfa_level);
        let mut put = |name: &str, value: Value| m.insert(name.to_owned(), value);
        put("is_valid", json!(u.is_valid(now)));
        put("is_expired", json!(u.date_expired.is_some_and(|e| e <= now)));
        put("mfa_level", json!({"value": level, "label": MFA.iter().find(|(v, _)| *v == level.to_string()).map(|(_, l)| *l)}));
        put("mfa_enabled", json!(u.mfa_level != MfaLevel::Off));
        put("mfa_force_enabled", json!(u.mfa_level == MfaLevel::Forced));
        put("source", choice(&word(&u.source), SOURCES));
        put("groups", labels.many(&my_groups));
        put("system_roles", json!(my_roles(true)));
        put("org_roles", json!(my_roles(false)));
        if few {
            let secrets = caller.app.node().user_secrets(u.id).await?;
            put("is_otp_secret_key_bound", json!(secrets.otp.is_some()));
            put("date_password_last_updated", opt_time(secrets.password_set));
            put("login_blocked", json!(caller.app.authn().locked_minutes(&u.username).await?.is_some()));
        }
        put("last_login", opt_time(u.last_login));
        put("date_joined", time(u.meta.date_created));
        put("date_expired", opt_time(u.date_expired));
        for (name, flag) in [("is_active", u.is_active), ("need_update_password", u.need_update_password), ("is_service_account", u.is_service_account)] {
            put(name, json!(flag));
        }
        put("can_public_key_auth", json!(u.source == UserSource::Local));
        put("lang", choice(&u.lang, LANGS));
        for (name, text) in [("username", u.username), ("name", u.name), ("email", u.email), ("phone", u.phone), ("wechat", String::new())] {
            put(name, text.into());
        }
        put("labels", json!([]));
        out.push(Value::Object(m));
    }
    Ok(out)
}

/// Refuses changes of people that are not the caller's to change: an organization's administrator leaves people of other
/// organizations alone, and nobody takes over somebody who may do more than himself.
pub(crate) async fn guard(edit: &Edit, org: Id<Org>, user: &User) -> Result<(), Fail> {
    let caller = &edit.caller;
    if user.id == caller.who.user() {
        return Ok(());
    }
    let everywhere = caller.may_everywhere("users.change_user");
    for (role, place) in caller.app.node().memberships(user.id).await? {
        let ordinary = matches!((role.id, place), (id, None) if id == Role::SYSTEM_USER) || role.id == Role::ORG_USER;
        let mine = everywhere || place == Some(org) || (ordinary && place.is_none());
        let held = |p: &String| place.map_or_else(|| caller.may_everywhere(p), |o| caller.may_in(o, p));
        match () {
            () if !mine => return Err(Fail::refused("api.user_shared")),
            () if !ordinary && !role.permissions.iter().all(held) => return Err(Fail::refused("api.user_stronger")),
            () => {}
        }
    }
    Ok(())
}

fn is_username(name: &str) -> bool {
    !name.chars().any(|c| c.is_whitespace() || matches!(c, '/' | '#' | ':' | '\\' | '"' | '\'' | '<' | '>')) && !name.starts_with(['@', '-', '!'])
}

async fn write(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>, old: Option<User>) -> Result<Option<Id<User>>, Fail> {
    let stored = old.clone();
    let is_new = old.is_none();
    if let Some(user) = &stored {
        guard(edit, org, user).await?;
    }
    let mut u = old.unwrap_or_else(|| User {
        id: chosen_id(input),
        username: String::new(),
        name: String::new(),
        email: String::new(),
        phone: String::new(),
        source: UserSource::Local,
        is_active: true,
        date_expired: None,
        mfa_level: MfaLevel::Off,
        need_update_password: false,
        is_service_account: false,
        lang: String::new(),
        last_login: None,
        comment: String::new(),
        meta: edit.meta(),
    });
    fields(edit, input, &mut u, stored.as_ref()).await?;
    let password = input.secret("password", 1024).filter(|p| !p.is_empty());
    if stored.as_ref().is_some_and(|s| s.is_active && !u.is_active) {
        edit.log_out.push(u.id);
    }
    let id = u.id;
    edit.put(u, stored.as_ref());
    roles(edit, org, input, id, is_new).await?;
    groups(edit, org, input, id).await?;
    if let Some(lines) = input.texts("public_keys", 16_384) {
        keys::set(edit, input, id, "public_keys", &lines, true).await?;
    }
    if let Some(line) = input.text("public_key", 16_384).filter(|l| !l.is_empty()) {
        keys::set(edit, input, id, "public_key", &[line], false).await?;
    }
    if let Some(password) = password.filter(|_| input.problems.is_empty()) {
        set_password(edit, org, input, id, &password).await?;
    }
    Ok(Some(id))
}

async fn fields(edit: &Edit, input: &mut Input<'_>, u: &mut User, stored: Option<&User>) -> Result<(), Fail> {
    if let Some(username) = input.name("username", NAME) {
        if !is_username(&username) {
            input.say("username", "api.bad_username");
        }
        let other = edit.caller.app.node().user_by_username(&User::canonical(&username)).await?;
        let drafted = edit.drafted_name::<User>(&username).is_some_and(|o| o.id != u.id);
        if drafted || other.is_some_and(|o| o.id != u.id) {
            input.wrong("username", MessagePair::new("api.taken", "").with("value", username.clone()));
        }
        if u.id == User::ADMIN && stored.is_some_and(|s| s.username != username) {
            input.say("username", "api.fixed");
        }
        u.username = username;
    }
    if let Some(name) = input.name("name", NAME) {
        u.name = name;
    }
    email(input, u);
    if let Some(phone) = input.text("phone", 32) {
        u.phone = phone;
    }
    if let Some(comment) = input.text("comment", COMMENT) {
        u.comment = comment;
    }
    if let Some(source) = input.choice("source", SOURCES) {
        u.source = from_word(source).unwrap_or_default();
    }
    if let Some(level) = input.choice("mfa_level", MFA) {
        u.mfa_level = match level {
            "0" => MfaLevel::Off,
            "1" => MfaLevel::On,
            _ => MfaLevel::Forced,
        };
    }
    lang(input, u);
    if let Some(b) = input.bool("need_update_password") {
        u.need_update_password = b;
    }
    if input.has("date_expired") {
        u.date_expired = input.time("date_expired");
    }
    if let Some(active) = input.bool("is_active") {
        u.is_active = active;
    }
    let ended = !u.is_valid(edit.now);
    if ended && (u.id == User::ADMIN || u.id == edit.caller.who.user()) && stored.is_some_and(|s| s.is_valid(edit.now)) {
        input.say(if u.is_active { "date_expired" } else { "is_active" }, if u.id == User::ADMIN { "api.last_admin" } else { "api.not_oneself" });
    }
    Ok(())
}

/// Reads an e-mail address.
pub(crate) fn email(input: &mut Input<'_>, u: &mut User) {
    let Some(email) = input.text("email", 128) else { return };
    let plausible = email.is_empty()
        || email.split_once('@').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty() && !b.contains('@') && !email.contains(char::is_whitespace));
    if !plausible {
        input.say("email", "api.bad_email");
    }
    u.email = email;
}

/// Reads a language.
pub(crate) fn lang(input: &mut Input<'_>, u: &mut User) {
    if let Some(lang) = input.choice("lang", LANGS) {
        u.lang = lang.to_owned();
    }
}

async fn roles(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>, user: Id<User>, is_new: bool) -> Result<(), Fail> {
    let current = if is_new { Vec::new() } else { bindings::bindings_of(edit, user).await? };
    for (field, scope, default, place) in
        [("system_roles", RoleScope::System, Role::SYSTEM_USER, None), ("org_roles", RoleScope::Org, Role::ORG_USER, Some(org))]
    {
        // names of roles are unique only together with the scope
        let wanted = match input.named_list(field) {
            None if is_new => vec![default],
            // somebody who is declared in an organization is a member of it
            None if input.is_declared() && place.is_some() && !current.iter().any(|b| b.organization == place) => vec![default],
            None => continue,
            Some(named) => {
                let mut ids = Vec::new();
                for (i, n) in named.iter().enumerate() {
                    let found = edit.all::<Role>(org, Query::all(), |r| {
                        r.scope == scope
                            && match n {
                                crate::input::Named::Id(id) => r.id.uuid() == *id,
                                crate::input::Named::Name(name) => r.name == *name,
                            }
                    });
                    match found.await?.into_iter().next() {
                        None => input.wrong(&format!("{field}[{i}]"), Edit::unknown(n)),
                        Some(role) if current.iter().any(|b| b.role == role.id && b.organization == place) || bindings::may_bind(edit, &role, place) => {
                            ids.push(role.id)
                        }
                        Some(_) => input.say(&format!("{field}[{i}]"), "api.not_held"),
                    }
                }
                ids
            }
        };
        if wanted.is_empty() {
            if input.problems.is_empty() {
                input.say(field, "api.last_role");
            }
            continue;
        }
        for role in &wanted {
            if !current.iter().any(|b| b.role == *role && b.organization == place) {
                bindings::bind(edit, user, *role, place);
            }
        }
        for gone in current.iter().filter(|b| b.organization == place && !wanted.contains(&b.role)) {
            if place.is_none() && !edit.caller.may_everywhere("rbac.delete_rolebinding") {
                return Err(Fail::forbidden());
            }
            bindings::unbind(edit, gone)?;
        }
    }
    Ok(())
}

async fn groups(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>, user: Id<User>) -> Result<(), Fail> {
    let Some(wanted) = related::<UserGroup>(edit, org, input, "groups").await? else { return Ok(()) };
    if !wanted.is_empty() && !edit.caller.may_in(org, "users.change_usergroup") {
        return Err(Fail::forbidden());
    }
    let current = edit.all::<UserGroup>(org, Query::filter(Filter::eq("user", user)), |g| g.users.contains(&user)).await?;
    for group in current.iter().filter(|g| !wanted.iter().any(|w| w.id == g.id)) {
        let mut next = group.clone();
        next.users.retain(|u| *u != user);
        edit.put(next, Some(group));
    }
    for group in wanted.iter().filter(|w| !w.users.contains(&user)) {
        let mut next = group.clone();
        next.users.push(user);
        edit.put(next, Some(group));
    }
    Ok(())
}

/// Drafts a new password; one that is the current one already is no change.
pub(crate) async fn set_password(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>, id: Id<User>, password: &Secret<String>) -> Result<(), Fail> {
    let Some(user) = edit.get::<User>(org, id).await? else { return Ok(()) };
    let authn = edit.caller.app.authn().clone();
    let is_new = edit.stored::<User>(id).is_none();
    let made = match is_new {
        true => authn.first_secrets(&user.username, password).await.map(Some),
        false if authn.password_is(id, password).await? => Ok(None),
        false => match authn.password_change(&edit.caller.who, &user, password, user.need_update_password).await {
            Ok(change) => {
                edit.audit.push(change.audit);
                Ok(change.changes.into_iter().find_map(|c| if let Change::SetUserSecrets(_, s) = c { Some(*s) } else { None }))
            }
            Err(e) => Err(e),
        },
    };
    match made {
        Ok(None) => Ok(()),
        Ok(Some(secrets)) => {
            edit.person_secret(id, secrets, "password");
            edit.password_log(&user);
            edit.log_out.push(id);
            Ok(())
        }
        Err(authn::AuthnError::Weak(broken)) => {
            broken.into_iter().for_each(|v| input.wrong("password", v.message()));
            Ok(())
        }
        Err(e) => Err(e.into()),
    }
}

/// Public keys of a person as they will be.
pub(crate) async fn keys_of(edit: &Edit, user: Id<User>) -> Result<Vec<PublicKey>, Fail> {
    edit.of_person::<PublicKey>(user, |k| k.user == user).await
}
