//! `rampart apply`: files in, a readable plan out.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use api::state::{FieldChange, Planned, Problem, Source};
use http::Method;
use serde_json::{Value, json};

use super::{ApiClient, ApplyArgs, Done, Failure, Output, env, lang, out, say};

const PATH: &str = "/api/v1/state/apply/";
/// Longest value a plan shows, in columns.
const SHOWN: usize = 100;

/// Reads, sends, prints.
pub async fn run(args: ApplyArgs) -> Done {
    let files = args.file.iter().map(|f| read(f)).collect::<Result<Vec<_>, _>>()?;
    let documents = match api::state::parse(&files, lang(), resolve) {
        Ok(documents) => documents,
        Err(problems) => return Err(refuse(&problems, args.output)),
    };
    let client = ApiClient::of(&args.target).await?;
    // named apart from the documents: a file without any has to let go of what it owned
    let sources: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let body = json!({"documents": documents, "sources": sources, "dry_run": args.dry_run, "prune": args.prune});
    let answer = client.try_json(Method::POST, PATH, Some(&body)).await;
    client.close().await;
    let (status, answer) = answer?;
    if let Some(problems) = problems(&answer) {
        return Err(refuse(&problems, args.output));
    }
    if !status.is_success() {
        return Err(super::client::refusal(status, &answer));
    }
    let plan = plan(&answer).ok_or_else(|| Failure::says("cli.strange_answer", &[("status", status.as_str())]))?;
    match args.output {
        Output::Json => out::json(&json!({"dry_run": args.dry_run, "plan": plan})),
        Output::Table => {
            out::lines(&render(&plan, args.dry_run));
            Ok(())
        }
    }
}

fn read(path: &Path) -> Result<(String, String), Failure> {
    let name = path.display().to_string();
    let limit = api::state::MAX_FILE as u64 + 1;
    let mut text = String::new();
    let read = if name == "-" {
        std::io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|f| f.take(limit).read_to_string(&mut text))
    };
    read.map_err(|e| Failure::failed(format!("{name}: {e}")))?;
    Ok((name, text))
}

/// What `{file: …}` and `{env: …}` stand for. A file is looked for beside the one that names it.
fn resolve(source: Source<'_>) -> Result<String, String> {
    match source {
        Source::Env(name) => env(name).ok_or_else(|| say("cli.no_variable", &[("name", name)])),
        Source::File { named_in, path } => {
            let beside = Path::new(named_in).parent().map(Path::to_path_buf).unwrap_or_else(|| PathBuf::from("."));
            let file = beside.join(path);
            let mut text = String::new();
            std::fs::File::open(&file).and_then(|f| f.take(1 << 20).read_to_string(&mut text)).map_err(|e| format!("{}: {e}", file.display()))?;
            // An editor's line break at the end is not part of a password, and does no harm to a key.
            let kept = if text.trim_end().contains('\n') { text.as_str() } else { text.trim_end_matches(['\r', '\n']) };
            Ok(kept.to_owned())
        }
    }
}

fn problems(answer: &Value) -> Option<Vec<Problem>> {
    let list = answer.get("problems")?;
    serde_json::from_value::<Vec<Problem>>(list.clone()).ok().filter(|l| !l.is_empty())
}

fn plan(answer: &Value) -> Option<Vec<Planned>> {
    let list = answer.get("plan").unwrap_or(answer);
    serde_json::from_value(list.clone()).ok()
}

/// Every problem on its own line; nothing was applied.
fn refuse(problems: &[Problem], output: Output) -> Failure {
    if output == Output::Json {
        let _ = out::json(&json!({"problems": problems}));
    }
    for problem in problems {
        out::note(&terminal::safe(&problem.to_string()));
    }
    Failure::says("cli.nothing_applied", &[("count", &problems.len().to_string())])
}

fn render(plan: &[Planned], dry_run: bool) -> Vec<String> {
    let count = |action: &str| plan.iter().filter(|p| p.action == action).count();
    let (create, update, delete) = (count("create"), count("update"), count("delete"));
    if create + update + delete == 0 {
        return vec![say("cli.no_changes", &[])];
    }
    let mut lines = Vec::new();
    for p in plan.iter().filter(|p| p.action != "unchanged") {
        let sign = match p.action.as_str() {
            "create" => '+',
            "delete" => '-',
            _ => '~',
        };
        let org = if p.org.is_empty() { String::new() } else { format!(" ({})", terminal::safe(&p.org)) };
        lines.push(format!("{sign} {} {}{org}", terminal::safe(&p.kind), terminal::safe(&p.name)));
        if p.action != "delete" {
            lines.extend(p.changes.iter().map(|c| change(c, p.action == "create")));
        }
    }
    let code = if dry_run { "cli.planned" } else { "cli.applied" };
    lines.push(say(code, &[("create", &create.to_string()), ("update", &update.to_string()), ("delete", &delete.to_string())]));
    lines
}

fn change(c: &FieldChange, new: bool) -> String {
    if new || c.before == c.after {
        format!("    {}: {}", terminal::safe(&c.field), show(&c.after))
    } else {
        format!("    {}: {} → {}", terminal::safe(&c.field), show(&c.before), show(&c.after))
    }
}

fn show(value: &Value) -> String {
    let text = match value {
        Value::String(s) => s.clone(),
        Value::Null => "–".to_owned(),
        Value::Array(items) if items.iter().all(|i| !i.is_object() && !i.is_array()) => {
            let shown: Vec<String> = items.iter().map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned)).collect();
            format!("[{}]", shown.join(", "))
        }
        other => other.to_string(),
    };
    terminal::truncate(&terminal::safe(&text), SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(action: &str, kind: &str, name: &str, changes: &[(&str, Value, Value)]) -> Planned {
        let changes = changes.iter().map(|(f, b, a)| FieldChange { field: (*f).into(), before: b.clone(), after: a.clone() }).collect();
        Planned { action: action.into(), kind: kind.into(), org: "Default".into(), name: name.into(), changes }
    }

    #[test]
    fn a_plan_reads_like_a_difference() {
        let plan = [
            planned("create", "Host", "web1", &[("address", Value::Null, json!("10.0.0.5"))]),
            planned("update", "UserGroup", "ops", &[("users", json!(["alice"]), json!(["alice", "bob"]))]),
            planned("delete", "AssetPermission", "old", &[("name", json!("old"), Value::Null)]),
            planned("unchanged", "User", "alice", &[]),
        ];

        let lines = render(&plan, true);

        assert_eq!(
            lines.get(..5).unwrap_or_default(),
            [
                "+ Host web1 (Default)", "    address: 10.0.0.5", "~ UserGroup ops (Default)", "    users: [alice] → [alice, bob]",
                "- AssetPermission old (Default)"
            ]
        );
        assert_eq!(lines.len(), 6);
    }

    #[test]
    fn nothing_to_do_is_one_sentence() {
        assert_eq!(render(&[planned("unchanged", "User", "alice", &[])], false), [say("cli.no_changes", &[])]);
        assert_eq!(render(&[], false).len(), 1);
    }

    #[test]
    fn values_from_outside_cannot_move_the_cursor() {
        let plan = [planned("create", "Host", "a\u{1b}[2J", &[("comment", Value::Null, json!("x\r\n\u{202e}"))])];

        assert!(render(&plan, true).iter().all(|l| l.chars().all(|c| !c.is_control() && c != '\u{202e}')));
    }

    #[test]
    fn answers_are_read_with_and_without_an_envelope() {
        let p = planned("create", "Host", "web1", &[]);
        assert_eq!(plan(&json!([p])), Some(vec![p.clone()]));
        assert_eq!(plan(&json!({"plan": [p]})), Some(vec![p]));
        assert_eq!(plan(&json!("x")), None);
    }
}
