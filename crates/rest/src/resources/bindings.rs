//! Role bindings: who has which role where. Nobody hands out more than he holds (security.md 14).

use api::{Field, Type};
use model::{Id, MessagePair, Op, Org, Role, RoleBinding, RoleScope, User};
use serde_json::{Value, json};

use super::{CREATED_BY, DATE_CREATED, F_ID, ID, NAME, choice, related_one, roles::SCOPES, time, users, word};
use crate::{edit::Edit, fail::Fail, guard::Caller, input::Input, labels::Labels, listing::Lists, resource::Resource};

impl Resource for RoleBinding {
    const TITLE: &'static str = "role bindings";
    const FIELDS: &'static [Field] = &[
        ID,
        Field::new("user", Type::Ref, "who").required(),
        Field::new("role", Type::Ref, "what").required(),
        Field::new("org", Type::Ref, "where; only for organization roles, default: the current organization"),
        Field::new("org_name", Type::Text(NAME), "").shown(),
        Field::new("scope", Type::Choice(SCOPES), "").shown(),
        CREATED_BY,
        DATE_CREATED,
    ];
    const LISTS: Lists = Lists {
        filters: &[F_ID, ("user", "user", Op::Eq), ("role", "role", Op::Eq), ("org", "org", Op::Eq), ("scope", "scope", Op::Eq)],
        orders: &[("date_created", "date_created")],
    };

    async fn show(caller: &Caller, rows: Vec<Self>) -> Result<Vec<Value>, Fail> {
        let mut labels = Labels::default();
        labels.learn::<User>(caller, rows.iter().map(|b| b.user)).await?;
        labels.learn::<Role>(caller, rows.iter().map(|b| b.role)).await?;
        labels.learn::<Org>(caller, rows.iter().filter_map(|b| b.organization)).await?;
        Ok(rows
            .into_iter()
            .map(|b| {
                let scope = if b.organization.is_some() { RoleScope::Org } else { RoleScope::System };
                json!({
                    "id": b.id, "user": labels.one(b.user), "role": labels.one(b.role), "org": b.organization.map(|o| labels.one(o)),
                    "org_name": b.organization.map(|o| labels.name(o)).unwrap_or_default(), "scope": choice(&word(&scope), SCOPES),
                    "created_by": b.meta.created_by, "date_created": time(b.meta.date_created),
                })
            })
            .collect())
    }

    fn edit(caller: &Caller, permission: &str) -> Result<Edit, Fail> {
        Edit::widest(caller, permission)
    }

    async fn write(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>, old: Option<Self>) -> Result<Option<Id<Self>>, Fail> {
        if old.is_some() {
            return Err(Fail::refused("api.binding_fixed"));
        }
        input.require("user");
        input.require("role");
        let user = related_one::<User>(edit, org, input, "user").await?.flatten();
        let role = related_one::<Role>(edit, org, input, "role").await?.flatten();
        let named = related_one::<Org>(edit, org, input, "org").await?.flatten();
        let (Some(user), Some(role)) = (user, role) else { return Ok(None) };
        let place = match role.scope {
            RoleScope::System => None,
            RoleScope::Org => Some(named.map_or(org, |o| o.id)),
        };
        if !may_bind(edit, &role, place) {
            return Err(Fail::refused("api.not_held"));
        }
        let existing = bindings_of(edit, user.id).await?;
        if existing.iter().any(|b| b.role == role.id && b.organization == place) {
            input.wrong("role", MessagePair::new("api.taken", "").with("value", role.name));
            return Ok(None);
        }
        Ok(Some(bind(edit, user.id, role.id, place)))
    }

    async fn erase(edit: &mut Edit, row: Self) -> Result<(), Fail> {
        let org = row.organization.or(edit.caller.org()).unwrap_or(Org::DEFAULT);
        if let Some(user) = edit.get::<User>(org, row.user).await? {
            users::guard(edit, org, &user).await?;
        }
        unbind(edit, &row)
    }
}

/// Whether the caller may hand out a role at a place: he must hold every permission in it, organization roles in his own
/// organization, system roles only through a system-wide role of his own.
pub(crate) fn may_bind(edit: &Edit, role: &Role, place: Option<Id<Org>>) -> bool {
    let caller = &edit.caller;
    match place {
        None => role.id == Role::SYSTEM_USER || (caller.may_everywhere("rbac.add_rolebinding") && role.permissions.iter().all(|p| caller.may_everywhere(p))),
        Some(org) => {
            (edit.is_global() || caller.org() == Some(org))
                && caller.may_in(org, "rbac.add_rolebinding")
                && role.permissions.iter().all(|p| caller.may_in(org, p))
                || (role.id == Role::ORG_USER && caller.may_in(org, "users.add_user"))
        }
    }
}

/// Drafts a binding.
pub(crate) fn bind(edit: &mut Edit, user: Id<User>, role: Id<Role>, place: Option<Id<Org>>) -> Id<RoleBinding> {
    let row = RoleBinding { id: Id::generate(), user, role, organization: place, meta: edit.meta() };
    let id = row.id;
    edit.put(row, None);
    id
}

/// Drafts the end of a binding; the first administrator stays one.
pub(crate) fn unbind(edit: &mut Edit, row: &RoleBinding) -> Result<(), Fail> {
    if row.user == User::ADMIN && row.role == Role::SYSTEM_ADMIN {
        return Err(Fail::refused("api.last_admin"));
    }
    edit.remove(row);
    Ok(())
}

/// Bindings of a person as they will be.
pub(crate) async fn bindings_of(edit: &Edit, user: Id<User>) -> Result<Vec<RoleBinding>, Fail> {
    edit.of_person::<RoleBinding>(user, |b| b.user == user).await
}
