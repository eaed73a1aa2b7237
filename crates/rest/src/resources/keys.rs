//! SSH public keys of people.

use authn::keys;
use model::{Id, MessagePair, PublicKey, User};
use serde_json::{Value, json};

use super::{opt_time, time, users::keys_of};
use crate::{edit::Edit, fail::Fail, input::Input};

/// Most keys of one person.
const MAX_KEYS: usize = 10;

/// Adds keys; with `only` the others are removed.
pub(crate) async fn set(edit: &mut Edit, input: &mut Input<'_>, user: Id<User>, field: &str, lines: &[String], only: bool) -> Result<(), Fail> {
    let current = keys_of(edit, user).await?;
    let mut wanted = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        match keys::parse(line) {
            Ok(key) => wanted.push(key),
            Err(e) => {
                let at = if only { format!("{field}[{i}]") } else { field.to_owned() };
                let mut message = MessagePair::new(e.code(), "");
                if let keys::KeyError::Short(bits) = e {
                    message = message.with("bits", bits.to_string());
                }
                input.wrong(&at, message);
            }
        }
    }
    let kept = if only { 0 } else { current.len() };
    if wanted.len() + kept > MAX_KEYS {
        input.wrong(field, MessagePair::new("api.too_many", "").with("max", MAX_KEYS.to_string()));
        return Ok(());
    }
    for key in &wanted {
        match current.iter().find(|k| k.fingerprint == key.fingerprint()) {
            None => drop(add(edit, user, key, None)),
            Some(old) if !old.is_active => {
                let mut next = old.clone();
                next.is_active = true;
                edit.put(next, Some(old));
            }
            Some(_) => {}
        }
    }
    if only {
        for gone in current.iter().filter(|k| !wanted.iter().any(|w| w.fingerprint() == k.fingerprint)) {
            edit.remove(gone);
        }
    }
    Ok(())
}

/// Drafts one key.
pub(crate) fn add(edit: &mut Edit, user: Id<User>, key: &keys::ParsedKey, name: Option<String>) -> Id<PublicKey> {
    let fingerprint = key.fingerprint();
    let name = name.filter(|n| !n.is_empty()).unwrap_or_else(|| if key.comment.is_empty() { fingerprint.clone() } else { key.comment.clone() });
    let row = PublicKey { id: Id::generate(), user, name, public_key: key.line(), fingerprint, is_active: true, date_last_used: None, meta: edit.meta() };
    let id = row.id;
    edit.put(row, None);
    id
}

/// A key on the wire.
pub(crate) fn show(k: &PublicKey) -> Value {
    json!({
        "id": k.id, "name": k.name, "public_key": k.public_key, "fingerprint": k.fingerprint, "public_key_comment": k.name, "is_active": k.is_active,
        "date_last_used": opt_time(k.date_last_used), "date_created": time(k.meta.date_created),
    })
}
