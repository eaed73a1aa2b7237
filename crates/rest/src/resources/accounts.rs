//! Accounts on assets (jb §1.7). Secrets go in and never come out here.

use api::{Field, Type};
use model::{Account, Asset, Connectivity, Id, MessagePair, Op, Org, SecretType};
use policy::action::Reveal;
use serde_json::{Value, json};
use vault::Secret;

use super::{
    COMMENT, CREATED_BY, DATE_CREATED, DATE_UPDATED, F_COMMENT, F_ID, F_NAME, F_NAME_LIKE, ID, NAME, ORG_ID, ORG_NAME, UPDATED_BY, assets, base, choice,
    chosen_id, from_word, opt_time, org_labels, related_one, word,
};
use crate::{
    edit::Edit,
    fail::Fail,
    guard::Caller,
    input::{Input, Named},
    listing::Lists,
    resource::Resource,
};

pub(crate) const SECRET_TYPES: &[(&str, &str)] =
    &[("password", "Password"), ("ssh_key", "SSH key"), ("access_key", "Access key"), ("token", "Token"), ("api_key", "API key")];
const SOURCES: &[(&str, &str)] = &[("local", "Local"), ("collected", "Collected"), ("template", "Template")];

const F_ACCOUNT_NAME: Field = Field::new("name", Type::Text(NAME), "display name, default: the user name");
const F_USERNAME: Field = Field::new("username", Type::Text(NAME), "login name on the target");
const F_SECRET_TYPE: Field = Field::new("secret_type", Type::Choice(SECRET_TYPES), "");
const F_SECRET: Field = Field::new("secret", Type::Secret(vault::MAX_SECRET), "").taken();
const F_PASSPHRASE: Field = Field::new("passphrase", Type::Secret(1024), "of a private key").taken();
const F_PRIVILEGED: Field = Field::new("privileged", Type::Bool, "automation logs in with it");
const F_ACTIVE: Field = Field::new("is_active", Type::Bool, "");
const F_RESET: Field = Field::new("secret_reset", Type::Bool, "rotation may change it");
const F_SU_FROM: Field = Field::new("su_from", Type::Ref, "log in as that account of the asset first");

/// Fields of an account given with its asset.
pub(crate) const INLINE: &[Field] = &[F_ACCOUNT_NAME, F_USERNAME, F_SECRET_TYPE, F_SECRET, F_PASSPHRASE, F_PRIVILEGED, F_ACTIVE, F_RESET, F_SU_FROM, F_COMMENT];

/// Names of [`INLINE`].
pub(crate) fn declared_fields() -> Vec<&'static str> {
    INLINE.iter().map(|f| f.name).collect()
}

impl Resource for Account {
    const TITLE: &'static str = "accounts";
    const FIELDS: &'static [Field] = &[
        ID,
        Field::new("asset", Type::Ref, "where it logs in; fixed at creation").required(),
        F_ACCOUNT_NAME,
        F_USERNAME,
        F_SECRET_TYPE,
        F_SECRET,
        F_PASSPHRASE,
        Field::new("has_secret", Type::Bool, "").shown(),
        F_PRIVILEGED,
        F_ACTIVE,
        F_RESET,
        F_SU_FROM,
        Field::new("source", Type::Choice(SOURCES), "").shown(),
        Field::new("source_id", Type::Id, "").shown(),
        Field::new("version", Type::Int, "grows with each change of the secret").shown(),
        Field::new("connectivity", Type::Choice(assets::CONNECTIVITY), "").shown(),
        Field::new("date_verified", Type::Time, "").shown(),
        Field::new("date_change_secret", Type::Time, "").shown(),
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
        filters: &[
            F_ID,
            F_NAME,
            F_NAME_LIKE,
            ("username", "username", Op::Eq),
            ("asset", "asset", Op::Eq),
            ("asset_id", "asset", Op::Eq),
            ("asset_name", "asset_name", Op::Eq),
            ("address", "address", Op::Eq),
            ("secret_type", "secret_type", Op::Eq),
            ("has_secret", "has_secret", Op::Eq),
            ("privileged", "privileged", Op::Eq),
            ("is_active", "is_active", Op::Eq),
            ("node_id", "node", Op::Eq),
            ("platform", "platform", Op::Eq),
            ("category", "category", Op::Eq),
            ("connectivity", "connectivity", Op::Eq),
        ],
        orders: &[("name", "name"), ("username", "username"), ("date_created", "date_created"), ("date_updated", "date_updated")],
    };

    async fn show(caller: &Caller, rows: Vec<Self>) -> Result<Vec<Value>, Fail> {
        let mut labels = org_labels(caller, &rows).await?;
        labels.learn::<Account>(caller, rows.iter().filter_map(|a| a.su_from)).await?;
        let wanted: Vec<Id<Asset>> = rows.iter().map(|a| a.asset).collect();
        let mut addresses: std::collections::HashMap<Id<Asset>, (String, String)> = std::collections::HashMap::new();
        for chunk in wanted.chunks(500) {
            for a in caller.reader().list::<Asset>(&model::Query::filter(model::Filter::is_in("id", chunk))).await?.rows {
                addresses.insert(a.id, (a.name, a.address));
            }
        }
        Ok(rows
            .into_iter()
            .map(|a| {
                let mut m = base(a.id, Some(a.org), &a.comment, &a.meta, &labels);
                let (asset, address) = addresses.get(&a.asset).cloned().unwrap_or_default();
                m.insert("asset".into(), json!({"id": a.asset, "name": asset, "address": address}));
                m.insert("name".into(), a.name.into());
                m.insert("username".into(), a.username.into());
                m.insert("secret_type".into(), choice(a.secret_type.as_str(), SECRET_TYPES));
                m.insert("source".into(), choice(&a.source, SOURCES));
                m.insert("source_id".into(), Value::Null);
                m.insert("su_from".into(), a.su_from.map_or(Value::Null, |s| labels.one(s)));
                m.insert("version".into(), json!(a.version));
                m.insert("connectivity".into(), choice(&word(&a.connectivity), assets::CONNECTIVITY));
                m.insert("date_verified".into(), opt_time(a.date_verified));
                m.insert("date_change_secret".into(), opt_time(a.date_change_secret));
                for (name, flag) in [("has_secret", a.has_secret), ("privileged", a.privileged), ("is_active", a.is_active), ("secret_reset", a.secret_reset)] {
                    m.insert(name.into(), json!(flag));
                }
                m.insert("labels".into(), json!([]));
                Value::Object(m)
            })
            .collect())
    }

    async fn write(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>, old: Option<Self>) -> Result<Option<Id<Self>>, Fail> {
        input.require("asset");
        let asset = related_one::<Asset>(edit, org, input, "asset").await?.flatten();
        let asset = match (asset, &old) {
            (Some(a), Some(o)) if a.id != o.asset => {
                input.say("asset", "api.fixed");
                return Ok(None);
            }
            (Some(a), _) => a,
            (None, Some(o)) => edit.get::<Asset>(org, o.asset).await?.ok_or_else(Fail::missing)?,
            (None, None) => return Ok(None),
        };
        write_on(edit, org, input, &asset, old, false).await
    }

    async fn erase(edit: &mut Edit, row: Self) -> Result<(), Fail> {
        edit.remove(&row);
        Ok(())
    }
}

/// Drafts an account of an asset. With `declared` an existing account of the same name, or of the same user name and
/// secret type, is changed instead of refused.
pub(crate) async fn write_on(
    edit: &mut Edit,
    org: Id<Org>,
    input: &mut Input<'_>,
    asset: &Asset,
    old: Option<Account>,
    declared: bool,
) -> Result<Option<Id<Account>>, Fail> {
    let siblings = assets::accounts_of(edit, org, asset.id).await?;
    let username = input.text("username", NAME);
    let name = input.text("name", NAME).filter(|n| !n.is_empty());
    let secret_type: Option<SecretType> = input.choice("secret_type", SECRET_TYPES).and_then(from_word);
    let old = match old {
        None if declared => {
            let same_name = |a: &&Account| name.as_deref().is_some_and(|n| a.name == n);
            let same_login = |a: &&Account| Some(a.username.as_str()) == username.as_deref() && a.secret_type == secret_type.unwrap_or_default();
            siblings.iter().find(same_name).or_else(|| siblings.iter().find(same_login)).cloned()
        }
        old => old,
    };
    let stored = old.clone();
    let mut a = old.unwrap_or_else(|| Account {
        id: chosen_id(input),
        org,
        asset: asset.id,
        name: String::new(),
        username: String::new(),
        secret_type: SecretType::Password,
        has_secret: false,
        privileged: false,
        is_active: true,
        secret_reset: true,
        su_from: None,
        source: "local".into(),
        version: 0,
        connectivity: Connectivity::Unknown,
        date_verified: None,
        date_change_secret: None,
        comment: String::new(),
        meta: edit.meta(),
    });
    if let Some(username) = username {
        if username.starts_with(['@', '!']) || username.contains(char::is_whitespace) && username.contains('\n') {
            input.say("username", "api.bad_account_name");
        }
        a.username = username;
    }
    a.name = name.unwrap_or_else(|| if a.name.is_empty() { free_name(&a, &siblings) } else { a.name.clone() });
    if a.name.is_empty() {
        input.say("username", "api.required");
    }
    let retyped = secret_type.is_some_and(|t| t != a.secret_type);
    a.secret_type = secret_type.unwrap_or(a.secret_type);
    for other in siblings.iter().filter(|s| s.id != a.id) {
        if other.name == a.name {
            input.wrong("name", MessagePair::new("api.taken", "").with("value", a.name.clone()));
        }
        if other.username == a.username && other.secret_type == a.secret_type {
            input.wrong("username", MessagePair::new("api.taken", "").with("value", a.username.clone()));
        }
    }
    a.privileged = input.bool("privileged").unwrap_or(a.privileged);
    a.is_active = input.bool("is_active").unwrap_or(a.is_active);
    a.secret_reset = input.bool("secret_reset").unwrap_or(a.secret_reset);
    a.comment = input.text("comment", COMMENT).unwrap_or(a.comment);
    su_from(input, &mut a, &siblings);
    let secret = input.secret("secret", vault::MAX_SECRET).filter(|s| !s.is_empty());
    let passphrase = input.secret("passphrase", 1024).filter(|s| !s.is_empty());
    let id = a.id;
    if !input.problems.is_empty() {
        return Ok(Some(id));
    }
    let same = match (&stored, &secret) {
        (Some(s), Some(secret)) if !retyped => is_same_secret(edit, s, secret, passphrase.as_ref()).await?,
        _ => false,
    };
    if let Some(secret) = secret.filter(|_| !same) {
        (a.version, a.has_secret) = (a.version + 1, true);
        a.date_change_secret = Some(edit.now);
        (a.connectivity, a.date_verified) = (Connectivity::Unknown, None);
        let by = edit.caller.who.display().to_owned();
        let sealed = edit.caller.app.vault().seal_account(&a, a.version, Some(&secret), passphrase.as_ref(), (&by, edit.now))?;
        edit.put(a, stored.as_ref());
        edit.account_secret(sealed, if passphrase.is_some() { &["secret", "passphrase"] } else { &["secret"] });
    } else {
        edit.put(a, stored.as_ref());
    }
    Ok(Some(id))
}

/// The user name, or with the secret type when that is taken.
fn free_name(a: &Account, siblings: &[Account]) -> String {
    match siblings.iter().any(|s| s.id != a.id && s.name == a.username) {
        true => format!("{}({})", a.username, a.secret_type.as_str()),
        false => a.username.clone(),
    }
}

fn su_from(input: &mut Input<'_>, a: &mut Account, siblings: &[Account]) {
    match input.named("su_from") {
        None => {}
        Some(None) => a.su_from = None,
        Some(Some(named)) => {
            let found = siblings.iter().filter(|s| s.id != a.id).find(|s| match &named {
                Named::Id(id) => s.id.uuid() == *id,
                Named::Name(n) => s.name == *n || s.username == *n,
            });
            match found {
                Some(s) if s.su_from != Some(a.id) => a.su_from = Some(s.id),
                Some(_) => input.say("su_from", "api.su_loop"),
                None => input.wrong("su_from", Edit::unknown(&named)),
            }
        }
    }
}

/// Whether the stored secret is this one already. Compared inside the node with the node's own right; only "changed"
/// or "not changed" leaves this function, to somebody who may set the secret anyway.
async fn is_same_secret(edit: &Edit, account: &Account, secret: &Secret<String>, passphrase: Option<&Secret<String>>) -> Result<bool, Fail> {
    use subtle::ConstantTimeEq as _;
    let app = &edit.caller.app;
    let node = app.authority().local_admin();
    let granted = app.decider().decide::<Reveal>(&node, &policy::Memberships::default(), app.authority().org(account.org), account.clone());
    let Some(granted) = granted else { return Ok(false) };
    match app.vault().open(&granted).await {
        Ok(current) => {
            let same = bool::from(current.secret.expose().as_bytes().ct_eq(secret.expose().as_bytes()));
            let same_phrase = match (&current.passphrase, passphrase) {
                (Some(a), Some(b)) => bool::from(a.expose().as_bytes().ct_eq(b.expose().as_bytes())),
                (None, None) => true,
                _ => false,
            };
            Ok(same && same_phrase)
        }
        Err(vault::VaultError::NoSecret | vault::VaultError::Virtual) => Ok(false),
        Err(e) => Err(e.into()),
    }
}
