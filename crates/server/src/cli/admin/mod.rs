//! `rampart admin`: looking after a node as its local administrator.

mod backup;
mod doctor;
mod restore;

use http::Method;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    AdminCommand, ApiClient, Done, Failure, ResetPasswordArgs, RotateKeyArgs, UnlockArgs,
    client::{encode, refusal},
    local, out, prompt, say,
};

/// Does it.
pub async fn run(command: AdminCommand) -> Done {
    match command {
        AdminCommand::ResetPassword(args) => reset_password(args).await,
        AdminCommand::Unlock(args) => unlock(args).await,
        AdminCommand::RotateKey(args) => rotate_key(args).await,
        AdminCommand::Backup(args) => backup::run(args).await,
        AdminCommand::Restore(args) => restore::run(&args),
        AdminCommand::Doctor(args) => doctor::run(args).await,
    }
}

async fn reset_password(args: ResetPasswordArgs) -> Done {
    let client = ApiClient::admin(&args.data).await?;
    let password = new_password(args.stdin)?;
    let path = format!("/api/v1/users/users/{}/password/", encode(&args.user));
    let body = json!({"password": password.as_str(), "need_update_password": false});
    let answer = client.try_json(Method::PUT, &path, Some(&body)).await;
    // Whoever forgot a password has usually locked himself out with it.
    let unlocked = client.post("/api/v1/settings/node/unlock/", &json!({"username": args.user})).await;
    client.close().await;
    let (status, answer) = answer?;
    match status {
        s if s.is_success() => {
            unlocked?;
            out::note(&say("cli.password_set", &[("user", &terminal::safe(&args.user))]));
            Ok(())
        }
        http::StatusCode::NOT_FOUND => Err(Failure::says("cli.no_user", &[("user", &terminal::safe(&args.user))])),
        s => Err(refusal(s, &answer)),
    }
}

fn new_password(stdin: bool) -> Result<Zeroizing<String>, Failure> {
    if stdin {
        return prompt::stdin_line();
    }
    let first = prompt::secret(&say("cli.ask_new_password", &[]))?;
    let second = prompt::secret(&say("cli.ask_again", &[]))?;
    if *first == *second { Ok(first) } else { Err(Failure::says("cli.not_the_same", &[])) }
}

async fn unlock(args: UnlockArgs) -> Done {
    let client = ApiClient::admin(&args.data).await?;
    let mut wanted: Vec<(String, Value)> = Vec::new();
    if let Some(user) = &args.user {
        wanted.push((user.clone(), json!({"username": user})));
    }
    if let Some(address) = args.address {
        wanted.push((address.to_string(), json!({"address": address})));
    }
    let mut result = Ok(());
    for (name, body) in wanted {
        match client.post("/api/v1/settings/node/unlock/", &body).await {
            Ok(answer) => {
                let was_locked = answer.get("was_locked").and_then(Value::as_bool).unwrap_or(false);
                out::note(&say(if was_locked { "cli.unlocked" } else { "cli.was_not_locked" }, &[("name", &terminal::safe(&name))]));
            }
            Err(failure) => result = Err(failure),
        }
    }
    client.close().await;
    result
}

async fn rotate_key(args: RotateKeyArgs) -> Done {
    let client = ApiClient::admin(&args.data).await?;
    // Neither means both, as far as the master key can be kept here.
    let both = !args.master && !args.data_key;
    let mut result = Ok(());
    let mut parts = Vec::new();
    if args.master || both {
        parts.push(("master", say("cli.new_master", &[])));
    }
    if args.data_key || both {
        parts.push(("data_key", say("cli.new_data_key", &[])));
    }
    for (what, said) in parts {
        match client.post("/api/v1/settings/node/rotate-key/", &json!({what: true})).await {
            Ok(answer) => {
                let id = answer.get(what).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).unwrap_or_default();
                out::note(&format!("{said}: {}", terminal::safe(&id)));
                if what == "data_key" {
                    out::note(&local::count("cli.resealed", answer.get("resealed").and_then(Value::as_u64).unwrap_or(0)));
                }
                let damaged: Vec<&str> = answer.get("damaged").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
                if !damaged.is_empty() {
                    result = Err(Failure::says("cli.damaged_secrets", &[("list", &terminal::safe(&damaged.join("; ")))]));
                }
            }
            Err(failure) if both && what == "master" && super::env("RAMPART_MASTER_KEY").is_some() => out::note(failure.text()),
            Err(failure) => result = Err(failure),
        }
    }
    client.close().await;
    result
}
