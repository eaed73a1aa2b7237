//! What a change changed, fit to be seen.

use model::{Kind, Record};
use serde_json::{Map, Value};

use crate::fields::{FieldClass, class};

/// What is shown instead of a secret.
pub const MASK: &str = "******";

/// The changed fields before and after. Secret fields show [`MASK`] on both sides; bookkeeping (`meta`) is left out.
/// For a new object `before` is empty, for a deleted one `after`.
pub fn diff(before: Option<&Record>, after: Option<&Record>) -> (Value, Value) {
    let Some(kind) = after.or(before).map(Record::kind) else { return (Value::Object(Map::new()), Value::Object(Map::new())) };
    let (old, new) = (fields_of(before), fields_of(after));
    let keep = |mine: &Map<String, Value>, other: &Map<String, Value>| {
        let changed = mine.iter().filter(|(name, value)| other.get(*name) != Some(*value));
        Value::Object(changed.map(|(name, value)| (name.clone(), mask_field(kind, name, value, FieldClass::Sensitive))).collect())
    };
    (keep(&old, &new), keep(&new, &old))
}

/// The object with everything above `up_to` masked.
pub fn mask(record: &Record, up_to: FieldClass) -> Value {
    let kind = record.kind();
    Value::Object(fields_of(Some(record)).iter().map(|(name, value)| (name.clone(), mask_field(kind, name, value, up_to))).collect())
}

fn fields_of(record: Option<&Record>) -> Map<String, Value> {
    let Some(Value::Object(mut map)) = record.map(store::as_json) else { return Map::new() };
    map.remove("meta");
    // The tag of the enum; a platform's own `kind` field is what remains under that name in its own JSON.
    match record {
        Some(Record::Platform(p)) => map.insert("kind".into(), Value::String(p.kind.clone())),
        _ => map.remove("kind"),
    };
    map
}

fn mask_field(kind: Kind, path: &str, value: &Value, up_to: FieldClass) -> Value {
    if class(kind, path) > up_to {
        return match value {
            // Absence is not a secret, and showing it as one would hide that a secret was set.
            Value::Null => Value::Null,
            _ => Value::String(MASK.into()),
        };
    }
    match value {
        Value::Object(map) => Value::Object(map.iter().map(|(name, v)| (name.clone(), mask_field(kind, &format!("{path}.{name}"), v, up_to))).collect()),
        Value::Array(list) => Value::Array(
            list.iter()
                .map(|item| match item {
                    Value::Object(_) => mask_field(kind, path, item, up_to),
                    other => other.clone(),
                })
                .collect(),
        ),
        other => other.clone(),
    }
}
