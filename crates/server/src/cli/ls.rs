//! `rampart ls`.

use chrono::{DateTime, Local, SecondsFormat, TimeDelta};
use http::{Method, StatusCode};
use model::Clock as _;
use serde_json::{Value, json};

use super::{ApiClient, Done, Failure, Listed, LsArgs, Output, client::refusal, out, query, say};

/// Heading and the fields a cell is made of, the first that says something.
type Column = (&'static str, &'static [&'static str]);

const SESSIONS: &[Column] = &[
    ("cli.column_id", &["id"]),
    ("cli.column_user", &["user"]),
    ("cli.column_asset", &["asset"]),
    ("cli.column_account", &["account"]),
    ("cli.column_protocol", &["protocol"]),
    ("cli.column_from", &["remote_addr"]),
    ("cli.column_start", &["date_start"]),
    ("cli.column_end", &["date_end"]),
    ("cli.column_reason", &["end_reason"]),
    ("cli.column_commands", &["command_amount"]),
];
const ASSETS: &[Column] = &[
    ("cli.column_name", &["name"]),
    ("cli.column_address", &["address"]),
    ("cli.column_platform", &["platform"]),
    ("cli.column_folders", &["nodes_display", "nodes"]),
    ("cli.column_organization", &["org_name"]),
    ("cli.column_active", &["is_active"]),
    ("cli.column_comment", &["comment"]),
];
const ACCOUNTS: &[Column] = &[
    ("cli.column_name", &["name"]),
    ("cli.column_username", &["username"]),
    ("cli.column_asset", &["asset"]),
    ("cli.column_secret_type", &["secret_type"]),
    ("cli.column_privileged", &["privileged"]),
    ("cli.column_active", &["is_active"]),
];
const USERS: &[Column] = &[
    ("cli.column_username", &["username"]),
    ("cli.column_name", &["name"]),
    ("cli.column_email", &["email"]),
    ("cli.column_groups", &["groups"]),
    ("cli.column_roles", &["system_roles"]),
    ("cli.column_active", &["is_active"]),
    ("cli.column_last_login", &["last_login"]),
];
const COMMANDS: &[Column] = &[
    ("cli.column_time", &["timestamp_display", "timestamp"]),
    ("cli.column_user", &["user"]),
    ("cli.column_asset", &["asset"]),
    ("cli.column_account", &["account"]),
    ("cli.column_session", &["session"]),
    ("cli.column_input", &["input"]),
];

fn resource(what: Listed) -> (&'static str, &'static [Column]) {
    match what {
        Listed::Sessions => ("/api/v1/terminal/sessions/", SESSIONS),
        Listed::Assets => ("/api/v1/assets/assets/", ASSETS),
        Listed::Accounts => ("/api/v1/accounts/accounts/", ACCOUNTS),
        Listed::Users => ("/api/v1/users/users/", USERS),
        Listed::Commands => ("/api/v1/terminal/commands/", COMMANDS),
    }
}

/// Fetches and prints.
pub async fn run(args: LsArgs) -> Done {
    let (path, columns) = resource(args.what);
    let pairs = pairs(&args)?;
    let client = ApiClient::of(&args.target).await?.in_org(args.org.as_deref());
    let answer = fetch(&client, args.what, path, &pairs).await;
    client.close().await;
    let answer = answer?;
    let rows = answer.get("results").unwrap_or(&answer).as_array().cloned().ok_or_else(|| Failure::failed(say("cli.strange_answer", &[("status", "200")])))?;
    let count = answer.get("count").and_then(Value::as_u64).unwrap_or(rows.len() as u64);
    match args.output {
        Output::Json => out::json(&json!({"count": count, "results": rows})),
        Output::Table => {
            let headings: Vec<String> = columns.iter().map(|(code, _)| say(code, &[])).collect();
            let cells: Vec<Vec<String>> = rows.iter().map(|r| columns.iter().map(|(_, fields)| cell(r, fields)).collect()).collect();
            out::lines(&out::table(&headings, &cells, out::width()));
            let to = args.offset + rows.len() as u64;
            if to < count {
                out::note(&say("cli.more", &[("shown", &rows.len().to_string()), ("count", &count.to_string()), ("next", &to.to_string())]));
            }
            Ok(())
        }
    }
}

/// Whoever may not list everything is shown what is his own.
async fn fetch(client: &ApiClient, what: Listed, path: &str, pairs: &[(&str, String)]) -> Result<Value, Failure> {
    let own = match what {
        Listed::Assets => "/api/v1/perms/users/self/assets/",
        Listed::Sessions => "/api/v1/terminal/my-sessions/",
        _ => return client.get(&query(path, pairs)).await,
    };
    let (status, answer) = client.try_json(Method::GET, &query(path, pairs), None).await?;
    match status {
        StatusCode::FORBIDDEN => client.get(&query(own, pairs)).await,
        s if s.is_success() => Ok(answer),
        s => Err(refusal(s, &answer)),
    }
}

fn pairs(args: &LsArgs) -> Result<Vec<(&'static str, String)>, Failure> {
    let mut pairs = vec![("limit", args.limit.to_string()), ("offset", args.offset.to_string())];
    if let Some(words) = &args.search {
        pairs.push(("search", words.clone()));
    }
    if args.active {
        if args.what != Listed::Sessions {
            return Err(Failure::usage(say("cli.only_sessions", &[("option", "--active")])));
        }
        pairs.push(("is_finished", "false".into()));
    }
    if let Some(session) = &args.session {
        if args.what != Listed::Commands {
            return Err(Failure::usage(say("cli.only_commands", &[("option", "--session")])));
        }
        pairs.push(("session", session.clone()));
    }
    if let Some(since) = args.since {
        if !matches!(args.what, Listed::Sessions | Listed::Commands) {
            return Err(Failure::usage(say("cli.only_logs", &[("option", "--since")])));
        }
        let from = model::SystemClock.now() - TimeDelta::from_std(since.0).unwrap_or_default();
        pairs.push(("date_from", from.to_rfc3339_opts(SecondsFormat::Secs, true)));
    }
    match args.what {
        Listed::Sessions => pairs.push(("order", "-date_start".into())),
        Listed::Commands => pairs.push(("order", "-timestamp".into())),
        _ => pairs.push(("order", if args.what == Listed::Users { "username" } else { "name" }.into())),
    }
    for (field, value) in &args.filters {
        // The set of fields is the server's; the names live as long as the program.
        pairs.push((String::leak(field.clone()), value.clone()));
    }
    Ok(pairs)
}

/// What a field says, in words.
fn cell(row: &Value, fields: &[&str]) -> String {
    let found = fields.iter().find_map(|f| row.get(*f).filter(|v| !v.is_null()));
    found.map(words).unwrap_or_default()
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(b) => say(if *b { "cli.yes" } else { "cli.no" }, &[]),
        Value::Number(n) => n.to_string(),
        Value::String(s) => local_time(s).unwrap_or_else(|| s.replace('\n', " ⏎ ")),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::Object(o) => {
            ["label", "full_value", "name", "username", "value", "display_name", "id"].iter().find_map(|k| o.get(*k)).map(words).unwrap_or_default()
        }
    }
}

/// Times in the zone of the reader.
fn local_time(text: &str) -> Option<String> {
    let looks = text.len() >= 19 && text.as_bytes().get(4) == Some(&b'-') && text.as_bytes().get(10).is_some_and(|b| *b == b'T' || *b == b' ');
    if !looks {
        let slashed = DateTime::parse_from_str(text, "%Y/%m/%d %H:%M:%S %z").ok()?;
        return Some(slashed.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string());
    }
    let parsed = DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1)).ok()?;
    Some(parsed.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_words_whatever_the_field_holds() {
        let row = json!({"asset": {"id": "1", "name": "web1"}, "type": {"value": "x", "label": "X"}, "groups": [{"name": "a"}, {"name": "b"}], "n": 3, "none": null, "input": "a\nb"});

        assert_eq!(cell(&row, &["asset"]), "web1");
        assert_eq!(cell(&row, &["type"]), "X");
        assert_eq!(cell(&row, &["groups"]), "a, b");
        assert_eq!(cell(&row, &["none", "n"]), "3");
        assert_eq!(cell(&row, &["missing"]), "");
        assert_eq!(cell(&row, &["input"]), "a ⏎ b");
    }

    #[test]
    fn only_times_are_taken_for_times() {
        assert!(local_time("2026-11-23T20:00:00Z").is_some());
        assert!(local_time("2026/11/23 20:00:00 +0000").is_some());
        assert!(local_time("web1").is_none());
        assert!(local_time("数据库服务器-数据库服务器").is_none());
    }
}
