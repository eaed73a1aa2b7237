//! Roles: named sets of permission codes (jb §1.2).

use api::{Field, Type};
use model::{Id, MessagePair, Op, Org, Role, RoleScope};
use policy::PermissionSet;
use serde_json::{Value, json};

use super::{COMMENT, CREATED_BY, DATE_CREATED, DATE_UPDATED, F_COMMENT, F_ID, F_NAME, F_NAME_LIKE, ID, NAME, UPDATED_BY, base, choice, chosen_id, word};
use crate::{edit::Edit, fail::Fail, guard::Caller, input::Input, labels::Labels, listing::Lists, resource::Resource};

pub(crate) const SCOPES: &[(&str, &str)] = &[("system", "System"), ("org", "Organization")];

/// Codes that no organization role may hold: they reach beyond one organization.
const SYSTEM_ONLY: &[&str] = &[
    "assets.add_platform", "assets.change_platform", "assets.delete_platform", "users.delete_user", "rbac.add_role", "rbac.change_role", "rbac.delete_role",
    "orgs.add_organization", "orgs.change_organization", "orgs.delete_organization", "orgs.view_rootorg", "settings.change_node", "settings.change_setting",
    "terminal.view_metrics",
];

/// Whether a code has the form of one: `*`, `<app>.*`, `<app>.<verb>_*`, `<app>.<verb>_<resource>`.
fn is_code(code: &str) -> bool {
    let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    match code.split_once('.') {
        None => code == "*",
        Some((app, "*")) => word(app),
        Some((app, action)) => word(app) && action.split_once('_').is_some_and(|(verb, resource)| word(verb) && (resource == "*" || word(resource))),
    }
}

impl Resource for Role {
    const TITLE: &'static str = "roles";
    const FIELDS: &'static [Field] = &[
        ID,
        Field::new("name", Type::Text(NAME), "unique together with the scope").required(),
        Field::new("display_name", Type::Text(NAME), "").shown(),
        Field::new("scope", Type::Choice(SCOPES), "where it applies; fixed at creation"),
        Field::new("permissions", Type::Texts, "permission codes, `<app>.<verb>_<resource>`, with `*` as wildcard"),
        Field::new("builtin", Type::Bool, "cannot be changed").shown(),
        F_COMMENT,
        CREATED_BY,
        UPDATED_BY,
        DATE_CREATED,
        DATE_UPDATED,
    ];
    const LISTS: Lists = Lists {
        filters: &[F_ID, F_NAME, F_NAME_LIKE, ("scope", "scope", Op::Eq), ("builtin", "builtin", Op::Eq)],
        orders: &[("name", "name"), ("scope", "scope"), ("date_created", "date_created")],
    };

    async fn show(_: &Caller, rows: Vec<Self>) -> Result<Vec<Value>, Fail> {
        Ok(rows
            .into_iter()
            .map(|r| {
                let mut m = base(r.id, None, &r.comment, &r.meta, &Labels::default());
                m.insert("display_name".into(), r.name.clone().into());
                m.insert("name".into(), r.name.into());
                m.insert("scope".into(), choice(&word(&r.scope), SCOPES));
                m.insert("permissions".into(), json!(r.permissions));
                m.insert("builtin".into(), json!(r.builtin));
                Value::Object(m)
            })
            .collect())
    }

    async fn write(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>, old: Option<Self>) -> Result<Option<Id<Self>>, Fail> {
        let stored = old.clone();
        if stored.as_ref().is_some_and(|r| r.builtin) {
            return Err(Fail::refused("api.builtin"));
        }
        let mut r = old.unwrap_or_else(|| Role {
            id: chosen_id(input),
            name: String::new(),
            scope: RoleScope::Org,
            permissions: Vec::new(),
            builtin: false,
            comment: String::new(),
            meta: edit.meta(),
        });
        if let Some(scope) = input.choice("scope", SCOPES) {
            let scope = if scope == "system" { RoleScope::System } else { RoleScope::Org };
            if stored.as_ref().is_some_and(|s| s.scope != scope) {
                input.say("scope", "api.fixed");
            }
            r.scope = scope;
        }
        if let Some(name) = input.name("name", NAME) {
            let same = |o: &Role| o.name == name && o.scope == r.scope && o.id != r.id;
            if !edit.all::<Role>(org, model::Query::filter(model::Filter::eq("name", &name)), same).await?.is_empty() {
                input.wrong("name", MessagePair::new("api.taken", "").with("value", name.clone()));
            }
            r.name = name;
        }
        if let Some(comment) = input.text("comment", COMMENT) {
            r.comment = comment;
        }
        if let Some(codes) = input.texts("permissions", 128) {
            check_codes(edit, input, &codes, r.scope);
            r.permissions = codes;
        }
        let id = r.id;
        edit.put(r, stored.as_ref());
        Ok(Some(id))
    }

    async fn erase(edit: &mut Edit, row: Self) -> Result<(), Fail> {
        if row.builtin {
            return Err(Fail::refused("api.builtin"));
        }
        edit.remove(&row);
        Ok(())
    }
}

/// Codes must have a form, must not reach beyond the role's scope, and nobody hands out what he does not hold.
fn check_codes(edit: &Edit, input: &mut Input<'_>, codes: &[String], scope: RoleScope) {
    for (i, code) in codes.iter().enumerate() {
        let field = format!("permissions[{i}]");
        let mut alone = PermissionSet::default();
        alone.extend([code]);
        match () {
            () if !is_code(code) => input.say(&field, "api.bad_permission"),
            () if scope == RoleScope::Org && SYSTEM_ONLY.iter().any(|s| alone.allows(s)) => input.say(&field, "api.system_only"),
            () if !edit.caller.may_everywhere(code) => input.say(&field, "api.not_held"),
            () => {}
        }
    }
}
