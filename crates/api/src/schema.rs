//! Tables of fields: what a resource shows and takes. The OpenAPI document is made from the same tables that the
//! handlers read input by, so the two cannot differ.

use serde_json::{Map, Value, json};

/// The type of a field on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Text of at most so many characters.
    Text(usize),
    /// A secret: taken, never shown.
    Secret(usize),
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// RFC 3339; `YYYY-MM-DD HH:MM:SS` and `YYYY/MM/DD HH:MM:SS ±ZZZZ` are taken too.
    Time,
    /// A UUID.
    Id,
    /// One of the values; shown as `{value, label}`, taken as the value or `{value}`.
    Choice(&'static [(&'static str, &'static str)]),
    /// A related object: shown as `{id, name}`, taken as id, name, `{id}`, `{pk}` or `{name}`.
    Ref,
    /// A list of related objects.
    Refs,
    /// A list of texts.
    Texts,
    /// A list of choices.
    Choices(&'static [(&'static str, &'static str)]),
    /// A list of objects with these fields.
    List(&'static [Field]),
    /// An object of any shape.
    Object,
}

/// One field of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Name on the wire.
    pub name: &'static str,
    /// Type on the wire.
    pub ty: Type,
    /// Shown.
    pub read: bool,
    /// Taken.
    pub write: bool,
    /// Must be given at creation.
    pub required: bool,
    /// What it means.
    pub help: &'static str,
}

impl Field {
    /// Shown and taken.
    pub const fn new(name: &'static str, ty: Type, help: &'static str) -> Self {
        Self { name, ty, read: true, write: true, required: false, help }
    }
    /// Must be given at creation.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }
    /// Only shown.
    #[must_use]
    pub const fn shown(mut self) -> Self {
        self.write = false;
        self
    }
    /// Only taken.
    #[must_use]
    pub const fn taken(mut self) -> Self {
        self.read = false;
        self
    }
}

/// Which side of a resource a schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What is shown.
    Shown,
    /// What creation takes.
    Create,
    /// What a change takes: nothing is required.
    Change,
}

fn choice_values(all: &[(&str, &str)]) -> Vec<Value> {
    all.iter().map(|(v, _)| json!(v)).collect()
}

fn type_schema(ty: Type, side: Side) -> Value {
    let shown = side == Side::Shown;
    let related = json!({"type": "object", "properties": {"id": {"type": "string", "format": "uuid"}, "name": {"type": "string"}}, "required": ["id", "name"]});
    let named = json!({"oneOf": [{"type": "string", "description": "id or name"}, {"type": "object"}]});
    let choice = |all: &[(&str, &str)]| {
        // an open set, such as the types of customers' own platforms, has no enum
        let word = if all.is_empty() { json!({"type": "string"}) } else { json!({"type": "string", "enum": choice_values(all)}) };
        if shown { json!({"type": "object", "properties": {"value": word, "label": {"type": "string"}}, "required": ["value", "label"]}) } else { word }
    };
    match ty {
        Type::Text(max) if shown || max == usize::MAX => json!({"type": "string"}),
        Type::Text(max) => json!({"type": "string", "maxLength": max}),
        Type::Secret(max) => json!({"type": "string", "maxLength": max, "format": "password", "writeOnly": true}),
        Type::Bool => json!({"type": "boolean"}),
        Type::Int => json!({"type": "integer"}),
        Type::Time => json!({"type": "string", "format": "date-time"}),
        Type::Id => json!({"type": "string", "format": "uuid"}),
        Type::Choice(all) => choice(all),
        Type::Ref if shown => related,
        Type::Ref => named,
        Type::Refs if shown => json!({"type": "array", "items": related}),
        Type::Refs => json!({"type": "array", "items": named}),
        Type::Texts => json!({"type": "array", "items": {"type": "string"}}),
        Type::Choices(all) => json!({"type": "array", "items": choice(all)}),
        Type::List(fields) => json!({"type": "array", "items": object_schema(fields, side)}),
        Type::Object => json!({"type": "object"}),
    }
}

/// The JSON schema of an object with these fields.
pub fn object_schema(fields: &[Field], side: Side) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields.iter().filter(|f| if side == Side::Shown { f.read } else { f.write }) {
        let mut schema = type_schema(field.ty, side);
        if let Some(o) = schema.as_object_mut().filter(|_| !field.help.is_empty()) {
            o.insert("description".into(), field.help.into());
        }
        properties.insert(field.name.into(), schema);
        if side == Side::Create && field.required {
            required.push(json!(field.name));
        }
    }
    if required.is_empty() {
        return json!({"type": "object", "properties": properties});
    }
    json!({"type": "object", "properties": properties, "required": required})
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_and_never_shown() {
        let fields = [Field::new("name", Type::Text(10), "").required(), Field::new("secret", Type::Secret(10), "").taken()];

        let shown = object_schema(&fields, Side::Shown);
        let create = object_schema(&fields, Side::Create);

        assert!(shown["properties"].get("secret").is_none());
        assert_eq!(create["properties"]["secret"]["writeOnly"], true);
        assert_eq!(create["required"], json!(["name"]));
    }
}
