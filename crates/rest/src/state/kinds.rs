//! One document becomes drafts: what each kind of file entry means.

use api::state::Document;
use model::{Account, Asset, AssetPermission, Category, Id, Kind, MessagePair, Node, Org, Platform, Role, RoleBinding, RoleScope, User, UserGroup};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    edit::Edit,
    fail::{Fail, Problems},
    input::Input,
    resource::Resource,
    resources::{accounts, assets, bindings, nodes, related_one},
};

/// Kinds of documents, referred-to kinds first.
pub(super) const KINDS: [&str; 18] = [
    "Organization", "Role", "Platform", "UserGroup", "User", "RoleBinding", "Node", "Host", "Device", "Database", "Cloud", "Web", "Directory", "Custom",
    "Asset", "Account", "AssetPermission", "Setting",
];

/// Kinds that are announced for later.
const LATER: [&str; 10] =
    ["AccountTemplate", "Zone", "LoginACL", "LoginAssetACL", "CommandGroup", "CommandFilter", "ConnectMethodACL", "Label", "Endpoint", "EndpointRule"];

/// The object that a document became.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) kind: Kind,
    pub(super) id: Uuid,
    pub(super) org: Option<Id<Org>>,
}

/// The category of assets that a kind of document stands for.
fn category_of(kind: &str) -> Option<Category> {
    Some(match kind {
        "Host" => Category::Host,
        "Device" => Category::Device,
        "Database" => Category::Database,
        "Cloud" => Category::Cloud,
        "Web" => Category::Web,
        "Directory" => Category::Ds,
        "Custom" => Category::Custom,
        _ => return None,
    })
}

/// The kind of document that stands for a category of assets.
pub(super) fn kind_of_category(category: Category) -> &'static str {
    match category {
        Category::Host => "Host",
        Category::Device => "Device",
        Category::Database => "Database",
        Category::Cloud => "Cloud",
        Category::Web => "Web",
        Category::Ds => "Directory",
        Category::Custom => "Custom",
    }
}

/// Drafts a document. Problems carry the path of the field in the document.
/// With `early`, groups leave their members for a second round: people are drafted in between.
pub(super) async fn write(edit: &mut Edit, org: Id<Org>, document: &Document, early: bool) -> Result<Result<Written, Problems>, Fail> {
    match document.kind.as_str() {
        "Organization" => named::<Org>(edit, org, document, "name").await,
        "Role" => named::<Role>(edit, org, document, "name").await,
        "Platform" => named::<Platform>(edit, org, document, "name").await,
        "UserGroup" if early => {
            let mut document = document.clone();
            document.spec.remove("users");
            named::<UserGroup>(edit, org, &document, "name").await
        }
        "UserGroup" => named::<UserGroup>(edit, org, document, "name").await,
        "User" => user(edit, org, document).await,
        "RoleBinding" => binding(edit, org, document).await,
        "Node" => node(edit, org, document).await,
        "Account" => account(edit, org, document).await,
        "AssetPermission" => named::<AssetPermission>(edit, org, document, "name").await,
        kind => match category_of(kind) {
            Some(category) => asset(edit, org, document, category).await,
            None => {
                let code = if LATER.contains(&kind) || kind == "Setting" { "api.state_later" } else { "api.state_unknown_kind" };
                let mut p = Problems::default();
                p.say("kind", MessagePair::new(code, "").with("kind", kind.chars().take(64).collect::<String>()));
                Ok(Err(p))
            }
        },
    }
}

/// Whether the caller may add or change objects of a kind in an organization.
fn may(edit: &Edit, org: Id<Org>, kind: Kind, verb: &str) -> bool {
    let permission = format!("{}.{verb}_{}", kind.app(), kind.resource());
    if matches!(kind, Kind::Org | Kind::Role | Kind::Platform) { edit.caller.may_everywhere(&permission) } else { edit.caller.may_in(org, &permission) }
}

fn denied() -> Problems {
    let mut p = Problems::default();
    p.say("kind", MessagePair::new("api.permission_denied", ""));
    p
}

/// The spec with the object's name in the field that names it.
fn spec_with(document: &Document, field: &str) -> Map<String, Value> {
    let mut spec = document.spec.clone();
    spec.insert(field.to_owned(), Value::String(document.metadata.name.clone()));
    spec
}

/// Names of the fields a kind takes.
fn taken<E: Resource>() -> Vec<&'static str> {
    E::FIELDS.iter().filter(|f| f.write).map(|f| f.name).collect()
}

/// A problem with the name is a problem of `metadata.name`.
fn to_document(problems: Problems, field: &str) -> Problems {
    let spec_name = format!("spec.{field}");
    let rename = |mut p: crate::fail::Problem| {
        if p.field == spec_name || p.field.is_empty() {
            p.field = "metadata.name".into();
        }
        p
    };
    Problems(problems.0.into_iter().map(rename).collect())
}

fn done<E: Resource>(row: Result<Option<Id<E>>, Fail>, input: Input<'_>, field: &str, org: Id<Org>) -> Result<Result<Written, Problems>, Fail> {
    let problems = input.problems;
    match row {
        Ok(Some(id)) if problems.is_empty() => Ok(Ok(Written { kind: E::KIND, id: id.uuid(), org: (!E::KIND.is_global()).then_some(org) })),
        Ok(_) => Ok(Err(to_document(problems, field))),
        Err(fail) => match fail.into_problems() {
            Ok(mut more) => {
                more.0.extend(problems.0);
                Ok(Err(to_document(more, field)))
            }
            Err(fail) => Err(fail),
        },
    }
}

/// A kind whose name is a field of its own and whose resource does the rest.
async fn named<E: Resource>(edit: &mut Edit, org: Id<Org>, document: &Document, field: &'static str) -> Result<Result<Written, Problems>, Fail> {
    let old = match E::KIND {
        // roles are named together with their scope; the organization's is the default
        Kind::Role => find_role(edit, org, document).await?.and_then(|r| E::try_from(r.into()).ok()),
        _ => edit.find::<E>(org, &document.metadata.name).await?,
    };
    if !may(edit, org, E::KIND, if old.is_some() { "change" } else { "add" }) {
        return Ok(Err(denied()));
    }
    let mut spec = spec_with(document, field);
    if E::KIND == Kind::User && !spec.contains_key("name") && old.is_none() {
        spec.insert("name".into(), document.metadata.name.clone().into());
    }
    let mut input = Input::new(&spec, old.is_some(), "spec.");
    input.refuse_unknown(&taken::<E>());
    // built-in objects may be named to say that they are as they are
    let builtin = old.clone().map(Into::into).is_some_and(|r: model::Record| match r {
        model::Record::Role(r) => r.builtin,
        model::Record::Platform(p) => p.builtin,
        _ => false,
    });
    if builtin && document.spec.is_empty() {
        return done(Ok(old.map(|o| o.id())), input, field, org);
    }
    let row = E::write(edit, org, &mut input, old).await;
    done(row, input, field, org)
}

async fn find_role(edit: &Edit, org: Id<Org>, document: &Document) -> Result<Option<Role>, Fail> {
    let scope = if document.spec.get("scope").and_then(Value::as_str) == Some("system") { RoleScope::System } else { RoleScope::Org };
    let named = |r: &Role| r.name == document.metadata.name && r.scope == scope;
    let query = model::Query::filter(model::Filter::eq("name", &document.metadata.name));
    Ok(edit.all::<Role>(org, query, named).await?.into_iter().next())
}

/// People are named by their login name wherever they belong.
async fn user(edit: &mut Edit, org: Id<Org>, document: &Document) -> Result<Result<Written, Problems>, Fail> {
    named::<User>(edit, org, document, "username").await
}

/// `spec: {user, role, org}`; the name is the file's own.
async fn binding(edit: &mut Edit, org: Id<Org>, document: &Document) -> Result<Result<Written, Problems>, Fail> {
    if !may(edit, org, Kind::RoleBinding, "add") {
        return Ok(Err(denied()));
    }
    let mut input = Input::new(&document.spec, false, "spec.");
    input.refuse_unknown(&["user", "role", "org", "organization", "comment"]);
    input.require("user");
    input.require("role");
    let field = if input.raw("organization").is_some() { "organization" } else { "org" };
    let place = related_one::<Org>(edit, org, &mut input, field).await?.flatten().map_or(org, |o| o.id);
    let user = related_one::<User>(edit, org, &mut input, "user").await?.flatten();
    let role = related_one::<Role>(edit, org, &mut input, "role").await?.flatten();
    if !input.problems.is_empty() {
        return Ok(Err(input.problems));
    }
    let (Some(user), Some(role)) = (user, role) else { return Ok(Err(input.problems)) };
    let place = (role.scope == RoleScope::Org).then_some(place);
    let held = bindings::bindings_of(edit, user.id).await?;
    let id = match held.iter().find(|b| b.role == role.id && b.organization == place) {
        Some(b) => b.id,
        None if bindings::may_bind(edit, &role, place) => bindings::bind(edit, user.id, role.id, place),
        None => {
            input.say("role", "api.not_held");
            return Ok(Err(input.problems));
        }
    };
    done::<RoleBinding>(Ok(Some(id)), input, "user", org)
}

/// The name is the full path.
async fn node(edit: &mut Edit, org: Id<Org>, document: &Document) -> Result<Result<Written, Problems>, Fail> {
    let mut input = Input::new(&document.spec, true, "spec.");
    input.refuse_unknown(&["comment"]);
    match nodes::ensure(edit, org, &document.metadata.name).await? {
        Ok(node) => done::<Node>(Ok(Some(node.id)), input, "full_value", org),
        Err(message) => {
            let mut problems = input.problems;
            problems.say("metadata.name", message);
            Ok(Err(problems))
        }
    }
}

async fn asset(edit: &mut Edit, org: Id<Org>, document: &Document, category: Category) -> Result<Result<Written, Problems>, Fail> {
    let old = edit.find::<Asset>(org, &document.metadata.name).await?;
    if !may(edit, org, Kind::Asset, if old.is_some() { "change" } else { "add" }) {
        return Ok(Err(denied()));
    }
    let spec = spec_with(document, "name");
    let mut input = Input::new(&spec, old.is_some(), "spec.");
    input.refuse_unknown(&taken::<Asset>());
    let row = assets::draft(edit, org, &mut input, old).await?;
    if input.problems.is_empty() && row.category != category {
        let message = MessagePair::new("api.state_category", "").with("kind", kind_of_category(row.category));
        input.wrong("platform", message);
    }
    if let Some(items) = input.items("accounts") {
        if !edit.caller.may_in(org, "accounts.add_account") || !edit.caller.may_in(org, "accounts.change_account") {
            input.say("accounts", "api.permission_denied");
        } else {
            assets::inline_accounts(edit, org, &mut input, &row, items, true).await?;
        }
    }
    done::<Asset>(Ok(Some(row.id)), input, "name", org)
}

/// `spec: {asset, username, …}`; the name is the account's.
async fn account(edit: &mut Edit, org: Id<Org>, document: &Document) -> Result<Result<Written, Problems>, Fail> {
    if !may(edit, org, Kind::Account, "add") || !may(edit, org, Kind::Account, "change") {
        return Ok(Err(denied()));
    }
    let spec = spec_with(document, "name");
    let mut input = Input::new(&spec, false, "spec.");
    let mut known = accounts::declared_fields();
    known.push("asset");
    input.refuse_unknown(&known);
    input.require("asset");
    let asset = related_one::<Asset>(edit, org, &mut input, "asset").await?.flatten();
    let Some(asset) = asset else { return Ok(Err(to_document(input.problems, "name"))) };
    let row = accounts::write_on(edit, org, &mut input, &asset, None, true).await;
    done::<Account>(row, input, "name", org)
}
