//! `rampart audit`: is the evidence what was written, and taking it elsewhere.

use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use audit::{Verification, bundle};
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::{
    ApiClient, AuditExportArgs, Done, Failure, Output, VerifyArgs, client,
    local::{self, Local, bytes, count},
    out, say,
};

/// Findings that are printed; more would not be read.
const SHOWN: usize = 100;

/// What was found, wherever the evidence lies.
struct Verdict {
    broken: Vec<String>,
    facts: Vec<String>,
    data: Value,
}

/// Verifies and says so.
pub async fn verify(args: VerifyArgs) -> Done {
    let keys = args.pubkey.iter().map(|k| keys_of(k)).collect::<Result<Vec<_>, _>>()?.concat();
    let verdict = match (&args.bundle, args.target.server()) {
        (Some(file), _) => of_bundle(file, &keys)?,
        (None, None) => match client::data_dir(args.target.data.as_deref()) {
            Some(data) => of_directory(&data, &keys).await?,
            None => of_server(&args, &keys).await?,
        },
        (None, Some(_)) => of_server(&args, &keys).await?,
    };
    let intact = verdict.broken.is_empty();
    if args.output == Output::Json {
        out::json(&json!({"intact": intact, "broken": verdict.broken, "details": verdict.data}))?;
    } else {
        out::lines(&verdict.facts);
        if intact {
            out::line(&say("cli.intact", &[]));
        } else {
            let lines: Vec<String> = verdict.broken.iter().take(SHOWN).map(|b| format!("{}: {}", say("cli.broken", &[]), terminal::safe(b))).collect();
            out::lines(&lines);
            if verdict.broken.len() > SHOWN {
                out::line(&count("cli.more_broken", verdict.broken.len() - SHOWN));
            }
        }
    }
    match verdict.broken.first() {
        None => Ok(()),
        Some(first) => Err(Failure::says("cli.first_broken", &[("what", &terminal::safe(first))])),
    }
}

/// A key as hex, or a file that holds some.
fn keys_of(text: &str) -> Result<Vec<String>, Failure> {
    if local::is_key(text) {
        return Ok(vec![text.to_ascii_lowercase()]);
    }
    let content = std::fs::read_to_string(text).map_err(|e| Failure::usage(format!("{text}: {e}")))?;
    let keys: Vec<String> = content.split_whitespace().filter(|w| local::is_key(w)).map(str::to_ascii_lowercase).collect();
    if keys.is_empty() { Err(Failure::usage(say("cli.no_key", &[("file", text)]))) } else { Ok(keys) }
}

async fn of_directory(data: &Path, keys: &[String]) -> Result<Verdict, Failure> {
    if !data.is_dir() {
        return Err(Failure::says("cli.no_data_dir", &[("dir", &data.display().to_string())]));
    }
    client::may_administrate(data)?;
    let local = Local::open(data).await?;
    let keys = if keys.is_empty() { local.trusted().await? } else { keys.to_vec() };
    let checkpoints = data.join("audit/checkpoints.jsonl");
    let done = audit::verify_store(&local.store, local.authority, &data.join("recordings"), &checkpoints, &keys, &mut |_| ()).await;
    let verdict = done.map(|v| verdict(&v)).map_err(|e| Failure::failed(e.to_string()));
    local.close().await;
    verdict
}

fn verdict(v: &Verification) -> Verdict {
    let s = &v.summary;
    let mut facts: Vec<String> = s
        .chains
        .iter()
        .map(|c| {
            let (node, count) = (terminal::safe(&c.node), c.entries.to_string());
            match c.keys.is_empty() {
                true => say("cli.chain_unsigned", &[("node", &node), ("count", &count)]),
                false => say("cli.chain", &[("node", &node), ("count", &count), ("signed", &c.signed_to.to_string()), ("keys", &c.keys.join(", "))]),
            }
        })
        .collect();
    facts.push(say(
        "cli.recordings",
        &[("count", &s.recordings.to_string()), ("size", &bytes(s.bytes)), ("removed", &s.removed.to_string()), ("sessions", &s.sessions.to_string())],
    ));
    facts.extend(s.unsealed.iter().map(|id| say("cli.unsealed", &[("id", &terminal::safe(id))])));
    let chains: Vec<Value> = s
        .chains
        .iter()
        .map(|c| json!({"node": c.node, "entries": c.entries, "seq": c.seq, "hash": c.hash, "signed_to": c.signed_to, "keys": c.keys}))
        .collect();
    let data = json!({"chains": chains, "entries": s.entries, "recordings": s.recordings, "bytes": s.bytes, "removed": s.removed, "unsealed": s.unsealed, "sessions": s.sessions});
    Verdict { broken: v.broken.iter().map(ToString::to_string).collect(), facts, data }
}

fn of_bundle(file: &Path, keys: &[String]) -> Result<Verdict, Failure> {
    let report = bundle::verify(file, keys).map_err(|e| Failure::says("cli.first_broken", &[("what", &format!("{}: {e}", file.display()))]))?;
    let mut verdict = verdict(&report.result);
    verdict.broken.extend(report.wrong_files.iter().map(|f| say("cli.wrong_file", &[("file", &terminal::safe(f))])));
    verdict.facts.push(say("cli.bundle_made", &[("time", &report.manifest.created.to_rfc3339())]));
    if keys.is_empty() {
        verdict.facts.push(say("cli.signed_by", &[("keys", &report.signed_by.join(", "))]));
    }
    if let Some(data) = verdict.data.as_object_mut() {
        data.insert("signed_by".into(), json!(report.signed_by));
        data.insert("created".into(), json!(report.manifest.created));
    }
    Ok(verdict)
}

async fn of_server(args: &VerifyArgs, keys: &[String]) -> Result<Verdict, Failure> {
    if !keys.is_empty() {
        // Whose signature counts is for the person to judge, not for the server: that is what a bundle is for.
        return Err(Failure::usage(say("cli.pubkey_needs_bundle", &[])));
    }
    let client = ApiClient::of(&args.target).await?;
    let answer = client.get("/api/v1/audits/verify/").await;
    client.close().await;
    let answer = answer?;
    let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
    let mut broken: Vec<String> =
        answer.get("broken").and_then(Value::as_array).into_iter().flatten().filter_map(|b| b.get("text").and_then(Value::as_str)).map(str::to_owned).collect();
    if broken.is_empty() && answer.get("sound").and_then(Value::as_bool) != Some(true) {
        broken.push(say("cli.strange_answer", &[("status", "200")]));
    }
    let facts = vec![
        say("cli.entries", &[("count", &number("entries").to_string()), ("chains", &number("chains").to_string())]),
        say(
            "cli.recordings",
            &[
                ("count", &number("recordings").to_string()),
                ("size", &bytes(number("bytes"))),
                ("removed", &number("removed").to_string()),
                ("sessions", &number("sessions").to_string()),
            ],
        ),
    ];
    Ok(Verdict { broken, facts, data: answer })
}

/// Fetches a bundle into a new file.
pub async fn export(args: AuditExportArgs) -> Done {
    let shown = args.out.display().to_string();
    let client = ApiClient::of(&args.target).await?;
    let body = if args.session.is_empty() { json!({}) } else { json!({"sessions": args.session}) };
    let mut answer = client.stream(Method::POST, "/api/v1/audits/export/", Some(&body)).await?;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.out).map_err(|e| Failure::failed(format!("{shown}: {e}")))?;
    let written = save(&mut answer, file).await;
    client.close().await;
    match written {
        Ok(size) => {
            out::note(&say("cli.exported", &[("file", &shown), ("size", &bytes(size))]));
            let data = if args.target.server().is_none() { client::data_dir(args.target.data.as_deref()) } else { None };
            if let Some(key) = data.map(|d| local::own_keys(&d)).unwrap_or_default().first() {
                out::note(&say("cli.keep_key", &[("key", key)]));
            }
            Ok(())
        }
        Err(failure) => {
            let _ = std::fs::remove_file(&args.out);
            Err(failure)
        }
    }
}

async fn save(body: &mut axum::body::Body, mut file: std::fs::File) -> Result<u64, Failure> {
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Failure::unreachable(say("cli.cut_off", &[("detail", &e.to_string())])))?;
        if let Some(data) = frame.data_ref() {
            file.write_all(data)?;
            size += data.len() as u64;
        }
    }
    file.sync_all()?;
    Ok(size)
}
