//! `rampart login` and `rampart logout`.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    ApiClient, Done, Failure, LoginArgs, LogoutArgs,
    client::{Base, Login, Logins, refusal},
    out, prompt, say,
};

const PATH: &str = "/api/v1/authentication/auth/";
/// Codes a person may get wrong.
const TRIES: u8 = 3;

/// Password, code if one is needed, and the token is kept.
pub async fn login(args: LoginArgs) -> Done {
    let mut logins = Logins::load()?;
    let url = args.url.clone().or_else(|| args.server.clone()).or_else(|| logins.of(None).map(|l| l.server.clone()));
    let url = url.ok_or_else(|| Failure::usage(say("cli.which_server", &[])))?;
    let base = Base::parse(&url)?;
    let known = logins.of(Some(&url)).cloned().unwrap_or_default();
    let ca = match &args.ca {
        Some(path) => Some(std::fs::canonicalize(path).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?),
        None => known.ca.clone(),
    };
    let pin = args.pin.or(known.pin.as_deref().and_then(|p| p.parse().ok()));
    let client = ApiClient::remote(&url, ca.as_deref(), pin, None)?;
    let user = match args.user.clone().or_else(|| Some(known.user.clone()).filter(|u| !u.is_empty() && args.stdin)) {
        Some(user) => user,
        None => prompt::line(&say("cli.ask_user", &[]))?,
    };
    let password = if args.stdin { prompt::stdin_line()? } else { prompt::secret(&say("cli.ask_password", &[]))? };
    let answer = authenticate(&client, &user, &password, args.stdin).await?;
    let token = answer.get("token").and_then(Value::as_str).ok_or_else(|| Failure::says("cli.strange_answer", &[("status", "200")]))?;
    let expires = answer.get("date_expired").and_then(Value::as_str).unwrap_or_default();
    logins.keep(Login {
        server: base.to_string(),
        user: user.clone(),
        token: token.to_owned(),
        expires: expires.to_owned(),
        ca,
        pin: pin.map(|p| p.to_string()),
        ssh: args.ssh.or(known.ssh),
    });
    logins.save()?;
    out::note(&say("cli.logged_in", &[("user", &terminal::safe(&user)), ("server", &base.to_string()), ("file", &Logins::place())]));
    Ok(())
}

async fn authenticate(client: &ApiClient, user: &str, password: &str, stdin: bool) -> Result<Value, Failure> {
    let mut code: Option<Zeroizing<String>> = None;
    for _ in 0..=TRIES {
        let mut body = json!({"username": user, "password": password});
        if let (Some(code), Some(body)) = (&code, body.as_object_mut()) {
            body.insert("type".into(), "otp".into());
            body.insert("code".into(), code.as_str().into());
        }
        let (status, answer) = client.try_json(Method::POST, PATH, Some(&body)).await?;
        if status.is_success() {
            return Ok(answer);
        }
        if !wants_code(status, &answer) {
            return Err(refusal(status, &answer));
        }
        if code.is_some() {
            if stdin {
                return Err(refusal(status, &answer));
            }
            out::note(&super::client::refusal_text(&answer).unwrap_or_default());
        }
        code = Some(if stdin { prompt::stdin_line()? } else { prompt::line(&say("cli.ask_code", &[])).map(Zeroizing::new)? });
    }
    Err(Failure::denied(say("cli.given_up", &[])))
}

/// The password was right, a second factor is missing.
fn wants_code(status: StatusCode, answer: &Value) -> bool {
    let word = ["error", "code"].iter().find_map(|k| answer.get(*k)?.as_str()).unwrap_or_default();
    status.is_client_error() && word.contains("mfa")
}

/// Ends the tokens at the servers and forgets them here.
pub async fn logout(args: LogoutArgs) -> Done {
    let mut logins = Logins::load()?;
    let gone = logins.forget(args.url.as_deref());
    if gone.is_empty() {
        return Err(Failure::says("cli.no_login", &[]));
    }
    logins.save()?;
    for login in gone {
        let pin = login.pin.as_deref().and_then(|p| p.parse().ok());
        if let Ok(client) = ApiClient::remote(&login.server, login.ca.as_deref(), pin, Some(login.token.clone())) {
            // The server may be gone; forgetting here is what counts then.
            let _ = client.try_json(Method::POST, "/api/v1/authentication/logout/", Some(&json!({}))).await;
        }
        out::note(&say("cli.logged_out", &[("server", &login.server)]));
    }
    Ok(())
}
