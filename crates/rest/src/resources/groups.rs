//! User groups.

use api::{Field, Type};
use model::{Id, Op, Org, User, UserGroup};
use serde_json::{Value, json};

use super::{
    COMMENT, CREATED_BY, DATE_CREATED, DATE_UPDATED, F_COMMENT, F_ID, F_NAME, F_NAME_LIKE, ID, NAME, ORG_ID, ORG_NAME, UPDATED_BY, base, chosen_id, ids,
    name_taken, org_labels, related,
};
use crate::{edit::Edit, fail::Fail, guard::Caller, input::Input, listing::Lists, resource::Resource};

impl Resource for UserGroup {
    const TITLE: &'static str = "user groups";
    const FIELDS: &'static [Field] = &[
        ID,
        Field::new("name", Type::Text(NAME), "unique in the organization").required(),
        Field::new("users", Type::Refs, "members"),
        Field::new("users_amount", Type::Int, "").shown(),
        Field::new("labels", Type::Texts, "").shown(),
        F_COMMENT,
        ORG_ID,
        ORG_NAME,
        CREATED_BY,
        UPDATED_BY,
        DATE_CREATED,
        DATE_UPDATED,
    ];
    const LISTS: Lists = Lists {
        filters: &[F_ID, F_NAME, F_NAME_LIKE, ("user", "user", Op::Eq), ("users", "user", Op::Eq)],
        orders: &[("name", "name"), ("date_created", "date_created"), ("date_updated", "date_updated")],
    };

    async fn show(caller: &Caller, rows: Vec<Self>) -> Result<Vec<Value>, Fail> {
        let mut labels = org_labels(caller, &rows).await?;
        labels.learn::<User>(caller, rows.iter().flat_map(|g| g.users.iter().copied())).await?;
        Ok(rows
            .into_iter()
            .map(|g| {
                let mut m = base(g.id, Some(g.org), &g.comment, &g.meta, &labels);
                m.insert("name".into(), g.name.into());
                m.insert("users".into(), labels.many(&g.users));
                m.insert("users_amount".into(), json!(g.users.len()));
                m.insert("labels".into(), json!([]));
                Value::Object(m)
            })
            .collect())
    }

    async fn write(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>, old: Option<Self>) -> Result<Option<Id<Self>>, Fail> {
        let stored = old.clone();
        let mut g =
            old.unwrap_or_else(|| UserGroup { id: chosen_id(input), org, name: String::new(), users: Vec::new(), comment: String::new(), meta: edit.meta() });
        if let Some(name) = input.name("name", NAME) {
            name_taken::<UserGroup>(edit, org, input, "name", &name, Some(g.id)).await?;
            g.name = name;
        }
        if let Some(comment) = input.text("comment", COMMENT) {
            g.comment = comment;
        }
        if let Some(users) = related::<User>(edit, org, input, "users").await? {
            g.users = ids(&users);
        }
        let id = g.id;
        edit.put(g, stored.as_ref());
        Ok(Some(id))
    }

    async fn erase(edit: &mut Edit, row: Self) -> Result<(), Fail> {
        edit.remove(&row);
        Ok(())
    }
}
