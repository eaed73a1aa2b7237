//! Reading what a client sends, field by field, collecting every problem instead of stopping at the first.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use model::{MessagePair, Time};
use serde_json::{Map, Value};
use uuid::Uuid;
use vault::Secret;

use crate::fail::Problems;

/// Longest list in an input.
const MAX_LIST: usize = 10_000;

/// How a client names a related object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    /// By id.
    Id(Uuid),
    /// By name.
    Name(String),
}

impl Named {
    /// From an id, a name, `{id}`, `{pk}` or `{name}`.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(s) => {
                let s = s.trim();
                (!s.is_empty()).then(|| s.parse().map_or_else(|_| Named::Name(s.to_owned()), Named::Id))
            }
            Value::Object(o) => ["id", "pk", "name", "username", "value"].iter().find_map(|k| o.get(*k)).filter(|v| v.is_string()).and_then(Named::read),
            _ => None,
        }
    }
    /// As text, for messages.
    pub(crate) fn shown(&self) -> String {
        match self {
            Named::Id(id) => id.to_string(),
            Named::Name(n) => n.chars().take(128).collect(),
        }
    }
}

/// Reads RFC 3339 and the forms JumpServer uses.
pub(crate) fn read_time(text: &str) -> Option<Time> {
    let text = text.trim();
    if let Ok(t) = DateTime::parse_from_rfc3339(text) {
        return Some(t.with_timezone(&Utc));
    }
    if let Ok(t) = DateTime::parse_from_str(text, "%Y/%m/%d %H:%M:%S %z") {
        return Some(t.with_timezone(&Utc));
    }
    let naive = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f", "%Y/%m/%d %H:%M:%S"];
    if let Some(t) = naive.iter().find_map(|f| NaiveDateTime::parse_from_str(text, f).ok()) {
        return Some(t.and_utc());
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|d| d.and_hms_opt(0, 0, 0)).map(|t| t.and_utc())
}

/// One object from a client.
pub(crate) struct Input<'a> {
    map: &'a Map<String, Value>,
    /// A partial change: nothing is required.
    partial: bool,
    base: String,
    /// What is wrong so far.
    pub(crate) problems: Problems,
}

impl<'a> Input<'a> {
    /// Over an object. `base` goes before every field in messages (`spec.` in declared state).
    pub(crate) fn new(map: &'a Map<String, Value>, partial: bool, base: &str) -> Self {
        Self { map, partial, base: base.to_owned(), problems: Problems::default() }
    }
    /// Whether it is the spec of a document of declared state.
    pub(crate) fn is_declared(&self) -> bool {
        self.base == "spec."
    }
    /// A problem with a field.
    pub(crate) fn say(&mut self, field: &str, code: &'static str) {
        self.wrong(field, MessagePair::new(code, ""));
    }
    /// A problem with a field, with its message.
    pub(crate) fn wrong(&mut self, field: &str, message: MessagePair) {
        let field = format!("{}{field}", self.base);
        self.problems.say(field, message);
    }
    /// Problems of a part of it.
    pub(crate) fn absorb(&mut self, problems: Problems) {
        self.problems.0.extend(problems.0);
    }
    /// The path of a field in messages.
    pub(crate) fn path(&self, field: &str) -> String {
        format!("{}{field}", self.base)
    }
    /// Whether a field was given at all.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.map.contains_key(field)
    }
    /// The raw value; null counts as not given.
    pub(crate) fn raw(&self, field: &str) -> Option<&'a Value> {
        self.map.get(field).filter(|v| !v.is_null())
    }
    /// Fields outside the closed set are problems (declared state only).
    pub(crate) fn refuse_unknown(&mut self, known: &[&str]) {
        let unknown: Vec<&String> = self.map.keys().filter(|k| !known.contains(&k.as_str())).collect();
        for field in unknown {
            let shown: String = field.chars().take(64).collect();
            self.wrong(&shown.clone(), MessagePair::new("api.unknown_field", "").with("field", shown));
        }
    }
    /// At creation the field must be there.
    pub(crate) fn require(&mut self, field: &str) {
        if !self.partial && self.raw(field).is_none() {
            self.say(field, "api.required");
        }
    }

    /// A text of at most `max` characters without control characters (line breaks pass in comments).
    pub(crate) fn text(&mut self, field: &str, max: usize) -> Option<String> {
        let value = self.raw(field)?;
        let text = match value {
            Value::String(s) => s.trim().to_owned(),
            Value::Number(n) => n.to_string(),
            _ => {
                self.say(field, "api.not_text");
                return None;
            }
        };
        if text.chars().count() > max {
            self.wrong(field, MessagePair::new("api.too_long", "").with("max", max.to_string()));
            return None;
        }
        if text.chars().any(|c| is_unshowable(c) && !(field == "comment" && matches!(c, '\n' | '\r' | '\t'))) {
            self.say(field, "api.control_characters");
            return None;
        }
        Some(text)
    }
    /// A text that must be there at creation and never be empty.
    pub(crate) fn name(&mut self, field: &str, max: usize) -> Option<String> {
        self.require(field);
        let text = self.text(field, max)?;
        if text.is_empty() {
            self.say(field, "api.blank");
            return None;
        }
        Some(text)
    }
    /// A secret, as it is: spaces and line breaks count.
    pub(crate) fn secret(&mut self, field: &str, max: usize) -> Option<Secret<String>> {
        match self.raw(field)? {
            Value::String(s) if s.len() <= max => Some(Secret::new(s.clone())),
            Value::String(_) => {
                self.wrong(field, MessagePair::new("api.too_long", "").with("max", max.to_string()));
                None
            }
            _ => {
                self.say(field, "api.not_text");
                None
            }
        }
    }
    /// True or false.
    pub(crate) fn bool(&mut self, field: &str) -> Option<bool> {
        match self.raw(field)? {
            Value::Bool(b) => Some(*b),
            Value::String(s) if s.eq_ignore_ascii_case("true") => Some(true),
            Value::String(s) if s.eq_ignore_ascii_case("false") => Some(false),
            _ => {
                self.say(field, "api.not_bool");
                None
            }
        }
    }
    /// A time.
    pub(crate) fn time(&mut self, field: &str) -> Option<Time> {
        let time = self.raw(field)?.as_str().and_then(read_time);
        if time.is_none() {
            self.say(field, "api.not_time");
        }
        time
    }
    /// One of a closed set; also as `{value}` or as a number.
    pub(crate) fn choice(&mut self, field: &str, all: &'static [(&'static str, &'static str)]) -> Option<&'static str> {
        let value = self.raw(field)?;
        let value = value.get("value").unwrap_or(value);
        let text = value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|n| n.to_string()));
        let found = text.as_deref().and_then(|t| all.iter().find(|(v, label)| *v == t || *label == t)).map(|(v, _)| *v);
        if found.is_none() {
            let choices = all.iter().map(|(v, _)| *v).collect::<Vec<_>>().join(", ");
            self.wrong(field, MessagePair::new("api.bad_choice", "").with("choices", choices));
        }
        found
    }
    /// The items of a list.
    pub(crate) fn items(&mut self, field: &str) -> Option<&'a [Value]> {
        match self.raw(field)? {
            Value::Array(a) if a.len() <= MAX_LIST => Some(a),
            Value::Array(_) => {
                self.wrong(field, MessagePair::new("api.too_many", "").with("max", MAX_LIST.to_string()));
                None
            }
            _ => {
                self.say(field, "api.not_list");
                None
            }
        }
    }
    /// A list of texts, each at most `max` characters.
    pub(crate) fn texts(&mut self, field: &str, max: usize) -> Option<Vec<String>> {
        let items = self.items(field)?;
        let mut out = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            let item = item.get("value").or_else(|| item.get("name")).unwrap_or(item);
            match item.as_str().map(str::trim) {
                Some(s) if !s.is_empty() && s.chars().count() <= max && !s.chars().any(is_unshowable) => {
                    if !out.iter().any(|o| o == s) {
                        out.push(s.to_owned());
                    }
                }
                _ => self.say(&format!("{field}[{i}]"), "api.not_text"),
            }
        }
        Some(out)
    }
    /// A list of related objects.
    pub(crate) fn named_list(&mut self, field: &str) -> Option<Vec<Named>> {
        let items = self.items(field)?;
        let mut out = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            match Named::read(item) {
                Some(n) => out.push(n),
                None => self.say(&format!("{field}[{i}]"), "api.not_reference"),
            }
        }
        Some(out)
    }
    /// A related object; `Some(None)` = explicitly none.
    pub(crate) fn named(&mut self, field: &str) -> Option<Option<Named>> {
        match self.map.get(field)? {
            Value::Null => Some(None),
            Value::String(s) if s.trim().is_empty() => Some(None),
            value => match Named::read(value) {
                Some(n) => Some(Some(n)),
                None => {
                    self.say(field, "api.not_reference");
                    None
                }
            },
        }
    }
}

/// Control and direction characters that could dress up a name (CVE-2021-42574 and kin).
pub(crate) fn is_unshowable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_in_every_form_clients_use() {
        for text in ["2027-12-31T00:00:00Z", "2027-12-31 00:00:00", "2027/12/31 08:00:00 +0800", "2027-12-31", "2027-12-31T01:00:00+01:00"] {
            assert_eq!(read_time(text).unwrap().to_rfc3339(), "2027-12-31T00:00:00+00:00", "{text}");
        }
        assert!(read_time("tomorrow").is_none());
    }

    #[test]
    fn related_objects_are_named_in_every_form_clients_use() {
        let id = Uuid::from_u128(7);
        for v in [json!(id.to_string()), json!({"id": id.to_string()}), json!({"pk": id.to_string()})] {
            assert_eq!(Named::read(&v), Some(Named::Id(id)));
        }
        assert_eq!(Named::read(&json!({"name": "ops"})), Some(Named::Name("ops".into())));
        assert_eq!(Named::read(&json!(5)), None);
    }

    #[test]
    fn all_problems_are_collected() {
        let v = json!({"name": "a\u{202e}b", "is_active": "maybe", "date": "x", "list": [5]});
        let mut input = Input::new(v.as_object().unwrap(), false, "spec.");
        input.name("name", 10);
        input.name("address", 10);
        input.bool("is_active");
        input.time("date");
        input.named_list("list");
        let fields: Vec<&str> = input.problems.0.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(fields, ["spec.name", "spec.address", "spec.is_active", "spec.date", "spec.list[0]"]);
    }
}
