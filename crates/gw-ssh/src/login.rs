//! A login over SSH: the methods of RFC 4252 and RFC 4256 as the steps of Rampart's login machine.
//!
//! The machine decides; this file only asks. A key is a factor after its signature was verified by the transport, an
//! offered key never is.

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Duration};

use messages::{Lang, text};
use model::{LoginType, MessagePair};
use policy::{
    Identity,
    login::{Factor, Need, Step},
};
use russh::{
    MethodKind, MethodSet,
    server::{Auth, Response},
};
use session::{ControlPlane, Login, LoginStart};
use tokio::time::Instant;

use crate::{
    qr,
    socket::Ident,
    username::{Destination, Username},
};

/// Rounds of questions in one connection, whatever the outcome.
const MAX_ROUNDS: u8 = 12;
/// Wrong answers in one run of questions before the client has to begin anew.
const MAX_WRONG: u8 = 3;
/// A refused password or code is not answered earlier than this, whatever the reason.
const SLOWEST: Duration = Duration::from_millis(400);

/// Somebody who got in, and where he wants to go.
pub struct LoggedIn {
    /// Who.
    pub who: Identity,
    /// Where to.
    pub destination: Destination,
}

struct Current {
    raw: String,
    destination: Destination,
    machine: Box<dyn Login>,
    /// What the machine asked for last; a first factor before any step.
    needs: Vec<Need>,
    /// A factor was accepted already.
    proved: bool,
}

enum Asked {
    Need(Need),
    Farewell,
}

/// The login of one connection.
pub struct Logins {
    control: Arc<dyn ControlPlane>,
    client: IpAddr,
    ident: Ident,
    current: Option<Current>,
    asked: Option<Asked>,
    /// The sentence of a refusal; from then on the connection only says it.
    refused: Option<MessagePair>,
    rounds: u8,
    wrong: u8,
    done: Option<LoggedIn>,
}

enum Outcome {
    In,
    Next(Option<MessagePair>),
    Refused,
}

fn only(methods: &[MethodKind]) -> Option<MethodSet> {
    Some(MethodSet::from(methods))
}

impl Logins {
    /// For a connection from `client`.
    pub fn new(control: Arc<dyn ControlPlane>, client: IpAddr, ident: Ident) -> Self {
        Self { control, client, ident, current: None, asked: None, refused: None, rounds: 0, wrong: 0, done: None }
    }

    /// The result, once, after a method said [`Auth::Accept`].
    pub fn take(&mut self) -> Option<LoggedIn> {
        self.done.take()
    }

    /// The sentence to say when disconnecting a refused client.
    pub fn farewell(&self) -> Option<String> {
        self.refused.as_ref().map(|m| messages::render(Lang::default(), m))
    }

    /// The machine for this user name; a changed name begins anew.
    async fn machine(&mut self, raw: &str) -> Option<&mut Current> {
        if self.refused.is_some() {
            return None;
        }
        if self.current.as_ref().is_none_or(|c| c.raw != raw) {
            let parsed = match Username::parse(raw) {
                Ok(Username { destination: Destination::Token, .. }) => {
                    self.refused = Some(MessagePair::new("login.token_later", "connection tokens over SSH are not available"));
                    return None;
                }
                Ok(parsed) => parsed,
                Err(e) => {
                    self.refused = Some(MessagePair::new("login.bad_username", e.to_string()));
                    return None;
                }
            };
            let start = LoginStart {
                username: parsed.login,
                client: self.client,
                via: LoginType::Terminal,
                user_agent: self.ident.get().map(|i| i.chars().take(256).collect()).unwrap_or_default(),
            };
            let machine = self.control.login(start).await;
            self.asked = None;
            self.current = Some(Current { raw: raw.to_owned(), destination: parsed.destination, machine, needs: vec![Need::Password], proved: false });
        }
        self.current.as_mut()
    }

    /// "Would this key be worth a signature?"
    pub async fn offered(&mut self, raw: &str, openssh: &str) -> bool {
        match self.machine(raw).await {
            Some(current) => current.machine.offers_key(openssh).await,
            None => false,
        }
    }

    /// The transport verified a signature of this key.
    pub async fn key(&mut self, raw: &str, openssh: String) -> Auth {
        match self.step(raw, Factor::ProvedKey(openssh)).await {
            Outcome::In => Auth::Accept,
            Outcome::Next(retry) => self.go_on(retry.is_none()),
            Outcome::Refused => self.say_refusal(),
        }
    }

    /// The password method.
    pub async fn password(&mut self, raw: &str, password: &str) -> Auth {
        let began = Instant::now();
        let outcome = match self.machine(raw).await {
            Some(current) if current.needs.contains(&Need::Password) => self.step(raw, Factor::Password(password.to_owned())).await,
            Some(_) => return self.go_on(false),
            None => Outcome::Refused,
        };
        match outcome {
            Outcome::In => Auth::Accept,
            Outcome::Next(retry) => {
                if retry.is_some() {
                    tokio::time::sleep_until(began + SLOWEST).await;
                }
                self.go_on(retry.is_none())
            }
            Outcome::Refused => {
                tokio::time::sleep_until(began + SLOWEST).await;
                self.say_refusal()
            }
        }
    }

    /// The keyboard-interactive method: `None` begins it.
    pub async fn interactive(&mut self, raw: &str, response: Option<Response<'_>>) -> Auth {
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds > MAX_ROUNDS {
            return Auth::reject();
        }
        let Some(response) = response else {
            self.wrong = 0;
            return self.ask(raw, None).await;
        };
        // At most three short answers are ever asked for; anything else is not an answer.
        let answers: Vec<String> = response.take(3).map(|b| String::from_utf8_lossy(b.get(..b.len().min(1024)).unwrap_or_default()).into_owned()).collect();
        let Some(Asked::Need(need)) = self.asked.take() else {
            return Auth::reject();
        };
        let began = Instant::now();
        let Some(factor) = factor_of(&need, answers) else {
            return self.ask(raw, Some(MessagePair::new("login.new_password_differs", "the passwords differ"))).await;
        };
        match self.step(raw, factor).await {
            Outcome::In => Auth::Accept,
            Outcome::Next(None) => self.ask(raw, None).await,
            Outcome::Next(Some(retry)) => {
                tokio::time::sleep_until(began + SLOWEST).await;
                self.wrong += 1;
                if self.wrong >= MAX_WRONG {
                    return Auth::Reject { proceed_with_methods: self.methods(), partial_success: false };
                }
                self.ask(raw, Some(retry)).await
            }
            Outcome::Refused => {
                tokio::time::sleep_until(began + SLOWEST).await;
                self.ask(raw, None).await
            }
        }
    }

    /// Puts the next question, led by what was wrong with the last answer.
    async fn ask(&mut self, raw: &str, retry: Option<MessagePair>) -> Auth {
        let lang = Lang::default();
        let need = match self.machine(raw).await {
            Some(current) => current.needs.iter().find(|n| !matches!(n, Need::PublicKey)).cloned(),
            None => {
                let Some(sentence) = self.farewell() else { return Auth::reject() };
                self.asked = Some(Asked::Farewell);
                return questions(sentence, &[]);
            }
        };
        let Some(need) = need else { return self.go_on(false) };
        let mut lead = retry.map(|m| format!("{}\n", messages::render(lang, &m))).unwrap_or_default();
        let t = |code: &str| text(lang, code, &[]);
        let auth = match &need {
            Need::Password => questions(lead, &[(t("login.password_prompt"), false)]),
            Need::Otp => questions(lead, &[(t("login.otp_prompt"), false)]),
            Need::EnrolOtp { uri, secret } => {
                // OpenSSH cuts instructions at 1,024 bytes and escapes what is not ASCII in them; prompts it shows whole.
                let code = qr::draw(uri).unwrap_or_default();
                let words = text(lang, "login.enrol", &[("secret", secret)]);
                questions(lead, &[(format!("\n{code}{words}\n{}", t("login.otp_prompt")), true)])
            }
            Need::NewPassword { reason } => {
                lead.push_str(&t(reason));
                questions(lead, &[(t("login.new_password"), false), (t("login.new_password_again"), false)])
            }
            Need::PublicKey => return self.go_on(false),
        };
        self.asked = Some(Asked::Need(need));
        auth
    }

    async fn step(&mut self, raw: &str, factor: Factor) -> Outcome {
        let Some(current) = self.machine(raw).await else { return Outcome::Refused };
        match current.machine.step(factor).await {
            Step::Done(who) => {
                let destination = current.destination.clone();
                metrics::counter!("rampart_ssh_logins_total", "result" => "success").increment(1);
                self.done = Some(LoggedIn { who, destination });
                Outcome::In
            }
            Step::Need { any_of, retry } => {
                current.needs = any_of;
                current.proved |= retry.is_none();
                if retry.is_some() {
                    metrics::counter!("rampart_ssh_logins_total", "result" => "wrong").increment(1);
                }
                Outcome::Next(retry)
            }
            Step::Refused(message) => {
                metrics::counter!("rampart_ssh_logins_total", "result" => "refused").increment(1);
                self.refused = Some(message);
                self.current = None;
                Outcome::Refused
            }
        }
    }

    /// The methods that can bring what is needed.
    fn methods(&self) -> Option<MethodSet> {
        let Some(current) = &self.current else { return only(&[MethodKind::KeyboardInteractive]) };
        let mut methods = Vec::new();
        if current.needs.contains(&Need::PublicKey) {
            methods.push(MethodKind::PublicKey);
        }
        if current.needs.iter().any(|n| !matches!(n, Need::PublicKey)) {
            methods.push(MethodKind::KeyboardInteractive);
        }
        if current.needs.contains(&Need::Password) {
            methods.push(MethodKind::Password);
            // Before the first factor a key is as good.
            if !methods.contains(&MethodKind::PublicKey) && !current.proved {
                methods.insert(0, MethodKind::PublicKey);
            }
        }
        only(&methods)
    }

    fn go_on(&self, partial: bool) -> Auth {
        Auth::Reject { proceed_with_methods: self.methods(), partial_success: partial }
    }

    /// A refusal can only be read in an interactive round, so that is all that is left.
    fn say_refusal(&self) -> Auth {
        Auth::Reject { proceed_with_methods: only(&[MethodKind::KeyboardInteractive]), partial_success: false }
    }
}

fn factor_of(need: &Need, answers: Vec<String>) -> Option<Factor> {
    let mut answers = answers.into_iter();
    let first = answers.next()?;
    Some(match need {
        Need::Password | Need::PublicKey => Factor::Password(first),
        Need::Otp => Factor::Otp(first.trim().to_owned()),
        Need::EnrolOtp { .. } => Factor::EnrolOtp(first.trim().to_owned()),
        Need::NewPassword { .. } => {
            if answers.next()? != first {
                return None;
            }
            Factor::NewPassword(first)
        }
    })
}

fn questions(instructions: String, prompts: &[(String, bool)]) -> Auth {
    Auth::Partial {
        name: Cow::Borrowed(""),
        instructions: Cow::Owned(instructions),
        prompts: Cow::Owned(prompts.iter().map(|(p, echo)| (Cow::Owned(p.clone()), *echo)).collect()),
    }
}
