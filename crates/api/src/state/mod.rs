//! Declared state (`rampart apply`): YAML or JSON files, many documents a file, turned into [`Document`]s that know the
//! line of every field. Parsing happens where the files are; the server gets documents, and names lines in its errors.

mod yaml;

use std::collections::BTreeMap;

use messages::Lang;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use yaml::{Kind, Node};

/// Longest text of one file, in bytes.
pub const MAX_FILE: usize = 8 * 1024 * 1024;
/// Most documents in one request.
pub const MAX_DOCUMENTS: usize = 20_000;

/// One declared object.
#[derive(Clone, Serialize, Deserialize)]
pub struct Document {
    /// File it stands in, as named by the client.
    pub file: String,
    /// Line it starts at, from 1.
    pub line: u32,
    /// `User`, `Host`, …
    pub kind: String,
    /// What it is called and where it belongs.
    pub metadata: Metadata,
    /// Fields, as in the API. Secrets are resolved to their text already.
    #[serde(default)]
    pub spec: Map<String, Value>,
    /// Line of each field, by its path (`spec.accounts[0].secret`).
    #[serde(default)]
    pub lines: BTreeMap<String, u32>,
}

// The spec may hold secrets, so it is not printed.
impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document")
            .field("file", &self.file)
            .field("line", &self.line)
            .field("kind", &self.kind)
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}

impl Document {
    /// The line of a field, or of the nearest thing around it.
    pub fn line_of(&self, field: &str) -> u32 {
        let mut path = field;
        loop {
            if let Some(line) = self.lines.get(path) {
                return *line;
            }
            match path.rfind(['.', '[']) {
                Some(cut) => path = path.get(..cut).unwrap_or_default(),
                None => return self.line,
            }
        }
    }
}

/// The heading of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Name of the object (user name of a user, full path of a node).
    pub name: String,
    /// Organization by name; empty means `Default`.
    #[serde(default)]
    pub org: String,
}

/// Something wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Which file.
    pub file: String,
    /// Which line, from 1.
    pub line: u32,
    /// Which field (`spec.accounts[0].secret`); empty for the document as a whole.
    pub field: String,
    /// What is wrong, for people.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// Where a secret in a file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source<'a> {
    /// `{file: PATH}`, relative to the file that names it.
    File {
        /// File that names it.
        named_in: &'a str,
        /// As written.
        path: &'a str,
    },
    /// `{env: NAME}`.
    Env(&'a str),
}

/// The change that was made or would be made to one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// `create`, `update`, `unchanged` or `delete`.
    pub action: String,
    /// `User`, `Host`, …
    pub kind: String,
    /// Organization; empty for objects of the installation.
    pub org: String,
    /// Name of the object.
    pub name: String,
    /// Fields that differ; secrets read `******`.
    pub changes: Vec<FieldChange>,
}

/// One field of a [`Planned`] change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Field name as in the API.
    pub field: String,
    /// Before; null when the object is new.
    pub before: Value,
    /// After; null when the object goes.
    pub after: Value,
}

/// Fields whose `{value|file|env: …}` is replaced by the text it stands for.
const SOURCED: [&str; 4] = ["password", "secret", "passphrase", "public_keys"];

/// Parses files (`(name, text)`) into documents. `resolve` fetches what `{file: …}` and `{env: …}` name.
///
/// # Errors
/// Every problem of every file.
pub fn parse<F>(files: &[(String, String)], lang: Lang, mut resolve: F) -> Result<Vec<Document>, Vec<Problem>>
where
    F: FnMut(Source<'_>) -> Result<String, String>,
{
    let mut documents = Vec::new();
    let mut problems = Vec::new();
    for (file, text) in files {
        let mut report = Report { file, lang, problems: &mut problems };
        if text.len() > MAX_FILE {
            report.say(1, "", "api.state_file_too_long", &[]);
            continue;
        }
        match yaml::documents(text) {
            Ok(nodes) => {
                for node in nodes {
                    documents.extend(document(node, &mut report, &mut resolve));
                }
            }
            Err(e) => report.say(e.line, "", e.code, &[("detail", &e.detail)]),
        }
    }
    if documents.len() > MAX_DOCUMENTS {
        let file = files.first().map(|f| f.0.as_str()).unwrap_or_default();
        Report { file, lang, problems: &mut problems }.say(1, "", "api.state_too_many", &[]);
    }
    if problems.is_empty() { Ok(documents) } else { Err(problems) }
}

struct Report<'a> {
    file: &'a str,
    lang: Lang,
    problems: &'a mut Vec<Problem>,
}

impl Report<'_> {
    fn say(&mut self, line: u32, field: &str, code: &str, args: &[(&str, &str)]) {
        self.problems.push(Problem { file: self.file.to_owned(), line, field: field.to_owned(), message: messages::text(self.lang, code, args) });
    }
}

fn document<F>(node: Node, report: &mut Report<'_>, resolve: &mut F) -> Option<Document>
where
    F: FnMut(Source<'_>) -> Result<String, String>,
{
    let line = node.line;
    let Kind::Map(entries) = node.kind else {
        report.say(line, "", "api.state_not_a_document", &[]);
        return None;
    };
    let before = report.problems.len();
    let (mut kind, mut metadata, mut spec) = (None, None, Map::new());
    let mut lines = BTreeMap::new();
    for (key, key_line, value) in entries {
        lines.insert(key.clone(), key_line);
        match (key.as_str(), value.kind) {
            ("kind", Kind::Scalar { text, .. }) => kind = Some(text),
            ("metadata", Kind::Map(m)) => metadata = Some(read_metadata(m, &mut lines, report)),
            ("spec", Kind::Map(m)) => {
                for (name, line, value) in m {
                    let path = format!("spec.{name}");
                    lines.insert(path.clone(), line);
                    let value = to_json(value, &path, SOURCED.contains(&name.as_str()), &mut lines, report, resolve);
                    spec.insert(name, value);
                }
            }
            ("spec", Kind::Null) | ("apiVersion", Kind::Scalar { .. }) => {}
            ("kind" | "metadata" | "spec" | "apiVersion", _) => report.say(key_line, &key, "api.state_wrong_shape", &[]),
            _ => report.say(key_line, &key, "api.unknown_field", &[("field", &key)]),
        }
    }
    if kind.is_none() {
        report.say(line, "kind", "api.required", &[]);
    }
    if metadata.as_ref().is_none_or(|m: &Metadata| m.name.is_empty()) {
        report.say(lines.get("metadata").copied().unwrap_or(line), "metadata.name", "api.required", &[]);
    }
    (report.problems.len() == before).then(|| Document {
        file: report.file.to_owned(),
        line,
        kind: kind.unwrap_or_default(),
        metadata: metadata.unwrap_or(Metadata { name: String::new(), org: String::new() }),
        spec,
        lines,
    })
}

fn read_metadata(entries: Vec<(String, u32, Node)>, lines: &mut BTreeMap<String, u32>, report: &mut Report<'_>) -> Metadata {
    let mut out = Metadata { name: String::new(), org: String::new() };
    for (key, line, value) in entries {
        let path = format!("metadata.{key}");
        lines.insert(path.clone(), line);
        match (key.as_str(), value.kind) {
            ("name", Kind::Scalar { text, .. }) => out.name = text,
            ("org", Kind::Scalar { text, .. }) => out.org = text,
            ("name" | "org", _) => report.say(line, &path, "api.not_text", &[]),
            _ => report.say(line, &path, "api.unknown_field", &[("field", &key)]),
        }
    }
    out
}

fn to_json<F>(node: Node, path: &str, sourced: bool, lines: &mut BTreeMap<String, u32>, report: &mut Report<'_>, resolve: &mut F) -> Value
where
    F: FnMut(Source<'_>) -> Result<String, String>,
{
    match node.kind {
        Kind::Null => Value::Null,
        // A secret or key is text whatever it looks like: `password: {value: 0123}` keeps its zero.
        Kind::Scalar { text, .. } if sourced => Value::String(text),
        Kind::Scalar { text, plain } => yaml::scalar(text, plain),
        Kind::Seq(items) => {
            let mut out = Vec::with_capacity(items.len());
            for (i, item) in items.into_iter().enumerate() {
                let path = format!("{path}[{i}]");
                lines.insert(path.clone(), item.line);
                out.push(to_json(item, &path, sourced, lines, report, resolve));
            }
            Value::Array(out)
        }
        Kind::Map(entries) if sourced => source(entries, node.line, path, report, resolve),
        Kind::Map(entries) => {
            let mut out = Map::new();
            for (key, line, value) in entries {
                let path = format!("{path}.{key}");
                lines.insert(path.clone(), line);
                let value = to_json(value, &path, SOURCED.contains(&key.as_str()), lines, report, resolve);
                out.insert(key, value);
            }
            Value::Object(out)
        }
    }
}

/// `{value: …}`, `{file: …}` or `{env: …}`.
fn source<F>(entries: Vec<(String, u32, Node)>, line: u32, path: &str, report: &mut Report<'_>, resolve: &mut F) -> Value
where
    F: FnMut(Source<'_>) -> Result<String, String>,
{
    let mut entries = entries.into_iter();
    let (Some((key, line, Node { kind: Kind::Scalar { text, .. }, .. })), None) = (entries.next(), entries.next()) else {
        report.say(line, path, "api.state_source", &[]);
        return Value::Null;
    };
    let found = match key.as_str() {
        "value" => Ok(text),
        "file" => resolve(Source::File { named_in: report.file, path: &text }),
        "env" => resolve(Source::Env(&text)),
        _ => {
            report.say(line, path, "api.state_source", &[]);
            return Value::Null;
        }
    };
    match found {
        Ok(text) => Value::String(text),
        Err(why) => {
            report.say(line, path, "api.state_unresolved", &[("detail", &why)]);
            Value::Null
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
