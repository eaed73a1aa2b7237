//! `rampart export`: the current state in the form that `apply` reads.

use serde_json::{Map, Value};

use super::{ApiClient, Done, ExportArgs, Failure, StateForm, out, query, say};

/// Fetches and prints.
pub async fn run(args: ExportArgs) -> Done {
    let client = ApiClient::of(&args.target).await?;
    let pairs: Vec<(&str, String)> = args.org.iter().map(|o| ("org", o.clone())).collect();
    let answer = client.get(&query("/api/v1/state/export/", &pairs)).await;
    client.close().await;
    let answer = answer?;
    let documents =
        answer.get("documents").unwrap_or(&answer).as_array().cloned().ok_or_else(|| Failure::failed(say("cli.strange_answer", &[("status", "200")])))?;
    let documents: Vec<Value> = documents.iter().map(only_declared).collect();
    match args.output {
        StateForm::Json => out::json(&Value::Array(documents)),
        StateForm::Yaml => {
            let mut texts = Vec::with_capacity(documents.len());
            for document in &documents {
                texts.push(serde_norway::to_string(document).map_err(|e| Failure::failed(e.to_string()))?);
            }
            out::print(|out| out.write_all(texts.join("---\n").as_bytes()))
        }
    }
}

/// What a person writes: kind, metadata and spec, without where it came from.
fn only_declared(document: &Value) -> Value {
    let mut kept = Map::new();
    for field in ["kind", "metadata", "spec"] {
        if let Some(value) = document.get(field).filter(|v| v.as_object().is_none_or(|o| !o.is_empty())) {
            let mut value = value.clone();
            if let Some(metadata) = value.as_object_mut().filter(|_| field == "metadata") {
                metadata.retain(|_, v| v.as_str() != Some(""));
            }
            kept.insert(field.to_owned(), value);
        }
    }
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_what_a_person_writes() {
        let document = json!({"file": "", "line": 0, "kind": "UserGroup", "metadata": {"name": "ops", "org": ""}, "spec": {}, "lines": {}});

        assert_eq!(only_declared(&document), json!({"kind": "UserGroup", "metadata": {"name": "ops"}}));
    }
}
