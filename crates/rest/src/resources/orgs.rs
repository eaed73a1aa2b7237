//! Organizations. Each has a root folder in the asset tree.

use api::{Field, Type};
use model::{Id, Meta, Node, NodeKey, Org};
use serde_json::{Value, json};

use super::{COMMENT, CREATED_BY, DATE_CREATED, DATE_UPDATED, F_COMMENT, F_ID, F_NAME, F_NAME_LIKE, ID, NAME, UPDATED_BY, base, chosen_id, name_taken};
use crate::{edit::Edit, fail::Fail, guard::Caller, input::Input, labels::Labels, listing::Lists, resource::Resource};

impl Resource for Org {
    const TITLE: &'static str = "organizations";
    const FIELDS: &'static [Field] = &[
        ID,
        Field::new("name", Type::Text(NAME), "unique").required(),
        Field::new("internal", Type::Bool, "built in").shown(),
        Field::new("is_default", Type::Bool, "").shown(),
        Field::new("is_root", Type::Bool, "").shown(),
        F_COMMENT,
        CREATED_BY,
        UPDATED_BY,
        DATE_CREATED,
        DATE_UPDATED,
    ];
    const LISTS: Lists = Lists { filters: &[F_ID, F_NAME, F_NAME_LIKE], orders: &[("name", "name"), ("date_created", "date_created")] };

    async fn show(_: &Caller, rows: Vec<Self>) -> Result<Vec<Value>, Fail> {
        Ok(rows
            .into_iter()
            .map(|o| {
                let mut m = base(o.id, None, &o.comment, &o.meta, &Labels::default());
                m.insert("name".into(), o.name.into());
                m.insert("internal".into(), json!(o.builtin));
                m.insert("is_default".into(), json!(o.id == Org::DEFAULT));
                m.insert("is_root".into(), json!(false));
                Value::Object(m)
            })
            .collect())
    }

    async fn write(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>, old: Option<Self>) -> Result<Option<Id<Self>>, Fail> {
        let stored = old.clone();
        let mut o =
            old.unwrap_or_else(|| Org { id: chosen_id(input), name: String::new(), parent: None, builtin: false, comment: String::new(), meta: edit.meta() });
        if let Some(name) = input.name("name", NAME) {
            if o.builtin && o.name != name {
                input.say("name", "api.builtin");
            }
            let reserved = ["ROOT", "GLOBAL", "DEFAULT", "SYSTEM"].contains(&name.to_ascii_uppercase().as_str()) && !o.builtin;
            if reserved || name.contains('/') || name.parse::<uuid::Uuid>().is_ok() {
                input.say("name", "api.bad_name");
            }
            name_taken::<Org>(edit, org, input, "name", &name, Some(o.id)).await?;
            o.name = name;
        }
        if let Some(comment) = input.text("comment", COMMENT) {
            o.comment = comment;
        }
        let id = o.id;
        if stored.is_none() && input.problems.is_empty() {
            let root = root_folder(edit, &o).await?;
            edit.put(o, None);
            edit.put(root, None);
        } else {
            edit.put(o, stored.as_ref());
        }
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

/// The root folder of a new organization, drafted with it so that the same change can put things into it.
async fn root_folder(edit: &Edit, org: &Org) -> Result<Node, Fail> {
    let drafted = edit.drafts().iter().filter(|d| d.before.is_none() && matches!(&d.after, Some(model::Record::Org(_)))).count();
    let number = edit.caller.app.node().next_root().await? + i64::try_from(drafted).unwrap_or(0);
    let meta = Meta::new(edit.caller.who.display(), edit.now);
    Ok(Node { id: Id::generate(), org: org.id, key: NodeKey::root(number), value: org.name.clone(), full_value: format!("/{}", org.name), child_mark: 0, meta })
}
