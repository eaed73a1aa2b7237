//! `/api/docs/`: the OpenAPI document as one plain page, without script.

use std::fmt::Write as _;

use axum::response::Html;
use serde_json::Value;

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn names(schema: Option<&Value>) -> String {
    let Some(schema) = schema else { return String::new() };
    let object = schema.get("properties").or_else(|| schema.get("items").and_then(|i| i.get("properties")));
    let object = object.or_else(|| schema.get("oneOf").and_then(|o| o.get(1)).and_then(|o| o.get("items")).and_then(|i| i.get("properties")));
    object.and_then(Value::as_object).map(|o| o.keys().map(|k| escape(k)).collect::<Vec<_>>().join(", ")).unwrap_or_default()
}

/// The page.
pub(crate) async fn page() -> Html<String> {
    let document = crate::openapi();
    let mut out = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Rampart API</title></head><body><h1>Rampart API</h1><p>Machine-readable: <a href=\"/api/openapi.json\">/api/openapi.json</a></p>",
    );
    for (path, methods) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
        let _ = write!(out, "<h2><code>{}</code></h2><dl>", escape(path));
        for (method, op) in methods.as_object().into_iter().flatten() {
            let text = |key: &str| escape(op.get(key).and_then(Value::as_str).unwrap_or_default());
            let permission = match op.get("x-permission").and_then(Value::as_str) {
                Some(p) => format!("permission <code>{}</code>", escape(p)),
                None => "public".to_owned(),
            };
            let takes = names(op.pointer("/requestBody/content/application~1json/schema"));
            let answers = op.get("responses").and_then(Value::as_object).and_then(|r| r.iter().find(|(s, _)| s.starts_with('2')));
            let shows = names(answers.and_then(|(_, r)| r.pointer("/content/application~1json/schema")));
            let _ = write!(out, "<dt><b>{}</b> {} ({permission})</dt>", method.to_uppercase(), text("summary"));
            if !takes.is_empty() {
                let _ = write!(out, "<dd>takes: {takes}</dd>");
            }
            if !shows.is_empty() {
                let _ = write!(out, "<dd>shows: {shows}</dd>");
            }
        }
        out.push_str("</dl>");
    }
    out.push_str("</body></html>");
    Html(out)
}
