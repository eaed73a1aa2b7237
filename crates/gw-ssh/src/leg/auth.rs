//! Logging in to a target as the granted account.

use std::{sync::Arc, time::Duration};

use messages::text;
use model::Fault;
use policy::{Connect, Granted};
use russh::{
    MethodKind,
    client::{AuthResult, KeyboardInteractiveAuthResponse as Answer},
    keys::{HashAlg, PrivateKeyWithHashAlg, decode_secret_key},
};
use session::Secret;
use session::{ConnectError, ControlPlane, TargetSecret};
use zeroize::Zeroizing;

use super::{Dialing, Transport, failed};
use crate::console::{Console, ConsoleClosed, ConsoleEvent};

/// A target that is slow to judge a password (some wait seconds on purpose) is not given up at once.
const PATIENCE: Duration = Duration::from_secs(30);
/// Rounds of questions a target may ask.
const MAX_ROUNDS: usize = 8;
/// Tries a person has to type a secret.
const TRIES: usize = 3;
/// Longest typed line.
const MAX_TYPED: usize = 1024;

/// Logs in, asking the person where nothing is stored.
pub async fn log_in(
    transport: &mut Transport,
    control: &dyn ControlPlane,
    granted: &Granted<Connect>,
    secret: TargetSecret,
    console: Option<&mut Console>,
) -> Result<(), ConnectError> {
    let on = granted.on();
    let user = on.account.username();
    let accepted = match secret {
        TargetSecret::Password(password) => with_password(transport, user, &password).await,
        TargetSecret::Key { key, passphrase } => with_key(transport, user, key, passphrase).await,
        TargetSecret::Typed => {
            let Some(console) = console else {
                return Err(ConnectError { message: failed("target.needs_terminal", on, "no terminal to type a secret").message, fault: Fault::Client });
            };
            return typed(transport, control, granted, console).await;
        }
    };
    match accepted {
        Ok(true) => Ok(()),
        Ok(false) => Err(failed("target.auth_failed", on, "the target refused the stored credentials")),
        Err(Broken::Connection(e)) => Err(failed("target.closed", on, e)),
        Err(Broken::Algorithms) => Err(failed("target.algorithms", on, "the target accepts only SHA-1 signatures")),
        Err(Broken::Key(e)) => Err(ConnectError { message: failed("target.bad_key", on, e).message, fault: Fault::Rampart }),
    }
}

enum Broken {
    Connection(String),
    Algorithms,
    Key(String),
}

impl From<russh::Error> for Broken {
    fn from(e: russh::Error) -> Self {
        Broken::Connection(e.to_string())
    }
}

async fn patiently<T>(step: impl Future<Output = Result<T, russh::Error>>) -> Result<T, Broken> {
    match tokio::time::timeout(PATIENCE, step).await {
        Ok(r) => Ok(r?),
        Err(_) => Err(Broken::Connection("no answer to the login".into())),
    }
}

async fn with_password(transport: &mut Transport, user: &str, password: &Secret<String>) -> Result<bool, Broken> {
    let handle = &mut transport.handle;
    match patiently(handle.authenticate_password(user, password.expose().clone())).await? {
        AuthResult::Success => Ok(true),
        AuthResult::Failure { remaining_methods, partial_success } => {
            if remaining_methods.is_empty() && handle.is_closed() {
                return Err(Broken::Connection("closed during the login".into()));
            }
            // Where the method itself is open, asking again in the other way would only count as a second failure.
            let other_way = remaining_methods.contains(&MethodKind::KeyboardInteractive);
            if other_way && (partial_success || !remaining_methods.contains(&MethodKind::Password)) {
                return answer_questions(transport, user, password).await;
            }
            Ok(false)
        }
    }
}

/// RFC 4256: the first hidden question gets the password, everything else an empty line.
async fn answer_questions(transport: &mut Transport, user: &str, password: &Secret<String>) -> Result<bool, Broken> {
    let handle = &mut transport.handle;
    let mut answer = patiently(handle.authenticate_keyboard_interactive_start(user, None::<String>)).await?;
    let mut given = false;
    for _ in 0..MAX_ROUNDS {
        match answer {
            Answer::Success => return Ok(true),
            Answer::Failure { .. } => return Ok(false),
            Answer::InfoRequest { prompts, .. } => {
                let mut replies = Vec::with_capacity(prompts.len().min(16));
                for prompt in prompts.iter().take(16) {
                    if !prompt.echo && !given {
                        given = true;
                        replies.push(password.expose().clone());
                    } else {
                        replies.push(String::new());
                    }
                }
                answer = patiently(handle.authenticate_keyboard_interactive_respond(replies)).await?;
            }
        }
    }
    Ok(false)
}

async fn with_key(transport: &mut Transport, user: &str, key: Secret<String>, passphrase: Option<Secret<String>>) -> Result<bool, Broken> {
    // A passphrase is stretched on purpose; that is not for the tasks that move bytes.
    let decode = move || decode_secret_key(key.expose(), passphrase.as_ref().map(|p| p.expose().as_str())).map_err(|e| Broken::Key(e.to_string()));
    let key = match tokio::task::spawn_blocking(decode).await {
        Ok(r) => Arc::new(r?),
        Err(e) => return Err(Broken::Key(e.to_string())),
    };
    let handle = &mut transport.handle;
    let hash = if key.algorithm().is_rsa() {
        match patiently(handle.best_supported_rsa_hash()).await? {
            Some(Some(hash)) => Some(hash),
            Some(None) => return Err(Broken::Algorithms),
            None => Some(HashAlg::Sha512),
        }
    } else {
        None
    };
    match patiently(handle.authenticate_publickey(user, PrivateKeyWithHashAlg::new(key, hash))).await? {
        AuthResult::Success => Ok(true),
        AuthResult::Failure { remaining_methods, .. } if remaining_methods.is_empty() && handle.is_closed() => {
            Err(Broken::Connection("closed during the login".into()))
        }
        AuthResult::Failure { .. } => Ok(false),
    }
}

/// Asks the person, three times at most.
async fn typed(transport: &mut Transport, control: &dyn ControlPlane, granted: &Granted<Connect>, console: &mut Console) -> Result<(), ConnectError> {
    let on = granted.on();
    let gone = |_: ConsoleClosed| ConnectError { message: failed("target.needs_terminal", on, "the person left").message, fault: Fault::Client };
    for attempt in 0..TRIES {
        let mut user = on.account.username().to_owned();
        let lang = console.lang();
        if user.is_empty() {
            let prompt = text(lang, "target.username_prompt", &[("asset", &on.asset.name)]);
            user = read_line(console, &prompt, true).await.map_err(gone)?.to_string();
            if user.is_empty() {
                continue;
            }
        }
        let prompt = text(lang, "target.password_prompt", &[("account", &user), ("asset", &on.asset.name)]);
        let password = Secret::new(read_line(console, &prompt, false).await.map_err(gone)?.to_string());
        if attempt > 0 && transport.handle.is_closed() {
            *transport = Dialing::start(on)?.finish(control, granted).await?;
        }
        match with_password(transport, &user, &password).await {
            Ok(true) => return Ok(()),
            Ok(false) | Err(Broken::Connection(_)) if attempt + 1 < TRIES => {
                let line = messages::render(lang, &failed("target.auth_failed_input", on, "").message);
                console.write(format!("{line}\r\n").as_bytes()).await.map_err(gone)?;
                if transport.handle.is_closed() {
                    *transport = Dialing::start(on)?.finish(control, granted).await?;
                }
            }
            Err(Broken::Connection(e)) => return Err(failed("target.closed", on, e)),
            _ => break,
        }
    }
    Err(failed("target.auth_failed_input", on, "the target refused what was typed"))
}

/// Reads a line with the most necessary editing. Ctrl-C and Ctrl-D on an empty line mean leaving.
async fn read_line(console: &mut Console, prompt: &str, echo: bool) -> Result<Zeroizing<String>, ConsoleClosed> {
    console.write(prompt.as_bytes()).await?;
    let mut line = Zeroizing::new(Vec::<u8>::new());
    loop {
        let bytes = match console.read().await {
            ConsoleEvent::Bytes(b) => b,
            ConsoleEvent::Resize(..) => continue,
            ConsoleEvent::Eof => return Err(ConsoleClosed),
        };
        for (i, b) in bytes.iter().copied().enumerate() {
            match b {
                b'\r' | b'\n' => {
                    // What was typed ahead belongs to the next prompt or to the session.
                    console.unread(bytes.get(i + 1..).unwrap_or_default().to_vec());
                    console.write(b"\r\n").await?;
                    return Ok(Zeroizing::new(String::from_utf8_lossy(&line).into_owned()));
                }
                3 => return Err(ConsoleClosed),
                4 if line.is_empty() => return Err(ConsoleClosed),
                8 | 127 => {
                    let erased = erase_char(&mut line);
                    if erased && echo {
                        console.write(b"\x08 \x08").await?;
                    }
                }
                21 => {
                    while erase_char(&mut line) {
                        if echo {
                            console.write(b"\x08 \x08").await?;
                        }
                    }
                }
                b if b >= 32 && line.len() < MAX_TYPED => {
                    line.push(b);
                    if echo {
                        console.write(&[b]).await?;
                    }
                }
                _ => {}
            }
        }
    }
}

/// Takes the last character off; `false` if there was none.
fn erase_char(line: &mut Vec<u8>) -> bool {
    let mut erased = false;
    while let Some(b) = line.pop() {
        erased = true;
        // UTF-8 continuation bytes belong to the character before them.
        if b & 0xc0 != 0x80 {
            break;
        }
    }
    erased
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use async_trait::async_trait;
    use bytes::Bytes;
    use messages::Lang;

    use super::*;
    use crate::console::ConsoleIo;

    struct Script(Vec<Bytes>, Arc<parking_lot::Mutex<Vec<u8>>>);
    #[async_trait]
    impl ConsoleIo for Script {
        async fn read(&mut self) -> ConsoleEvent {
            if self.0.is_empty() { ConsoleEvent::Eof } else { ConsoleEvent::Bytes(self.0.remove(0)) }
        }
        async fn write(&mut self, bytes: &[u8]) -> Result<(), ConsoleClosed> {
            self.1.lock().extend_from_slice(bytes);
            Ok(())
        }
    }

    async fn line(parts: &[&str], echo: bool) -> (Option<String>, String) {
        let shown = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let script = Script(parts.iter().map(|p| Bytes::copy_from_slice(p.as_bytes())).collect(), shown.clone());
        let mut console = Console::new(Box::new(script), (80, 24), "xterm".into(), Lang::En);
        let line = read_line(&mut console, "? ", echo).await.ok().map(|l| l.to_string());
        let shown = String::from_utf8_lossy(&shown.lock()).into_owned();
        (line, shown)
    }

    #[tokio::test]
    async fn a_typed_secret_is_edited_and_never_shown() {
        let (typed, shown) = line(&["se\u{7f}", "é\u{8}cret", "x\u{15}öffne\r"], false).await;

        assert_eq!(typed.unwrap(), "öffne");
        assert_eq!(shown, "? \r\n");
    }

    #[tokio::test]
    async fn leaving_is_possible() {
        assert_eq!(line(&["abc\u{3}"], true).await.0, None);
        assert_eq!(line(&["\u{4}"], true).await.0, None);
        assert_eq!(line(&["abc"], true).await.0, None);
        assert_eq!(line(&["root\n"], true).await.1, "? root\r\n");
    }
}
