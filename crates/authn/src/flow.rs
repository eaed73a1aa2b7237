//! One login in progress: the state machine of `policy`, and the desk that answers its questions.

use std::net::IpAddr;

use model::{AuditEvent, Id, LoginLog, LoginType, MessagePair, PublicKey, Role, Time, User};
use policy::{
    login::{Attempt, Checks, Counted, Counter, Factor, Login, LoginFacts, MfaPolicy, Need, Step, Trouble},
    password::Violation,
};
use store::LogBatch;
use vault::Secret;

use crate::{Authenticator, AuthnError, MAX_USERNAME, clean, keys, limiter::Subject, totp};

/// Keys of one person that are compared; more are not looked at.
const MAX_KEYS: usize = 256;

/// One login. Dropped half-way, nobody is in.
pub struct LoginFlow {
    login: Login,
    desk: Desk,
}

impl LoginFlow {
    pub(crate) fn new(auth: Authenticator, username: &str, client: IpAddr, via: LoginType, user_agent: &str) -> Self {
        let address = client.to_canonical().to_string();
        let desk = Desk {
            auth,
            typed: clean(username.trim(), MAX_USERNAME),
            subject: Subject::new(username, client),
            address: address.clone(),
            via,
            user_agent: clean(user_agent, 256),
            seed: None,
        };
        Self { login: Login::new(&address), desk }
    }

    /// Whether a client's offer of this key is worth asking for a signature: the key is an active one of the person.
    /// It is *not* a factor, proves nothing and leaves no trace.
    pub async fn offers(&self, openssh_key: &str) -> bool {
        let Ok(offered) = keys::parse(openssh_key) else { return false };
        let user = self.desk.auth.backend().user_by_username(&self.desk.subject.username).await;
        let Ok(Some(user)) = user else { return false };
        self.desk.matching_key(&user, &offered).await.is_ok_and(|k| k.is_some())
    }

    /// What is missing now.
    pub fn needs(&self) -> Vec<Need> {
        self.login.needs()
    }

    /// Whether the login is finished, one way or the other.
    pub fn is_over(&self) -> bool {
        self.login.is_over()
    }

    /// Presents a factor. The attempt is on record when this returns.
    pub async fn step(&mut self, factor: Factor) -> Step {
        let guess = !matches!(factor, Factor::ProvedKey(_));
        let _turn = if guess {
            match self.desk.auth.gate(&self.desk.subject.username).await {
                Ok(turn) => Some(turn),
                Err(e) => return Step::Refused(e.message()),
            }
        } else {
            None
        };
        self.login.step(factor, &mut self.desk).await
    }
}

/// Everything about one login that is not the state of the machine.
struct Desk {
    auth: Authenticator,
    /// The login name as typed, for the logs.
    typed: String,
    subject: Subject,
    address: String,
    via: LoginType,
    user_agent: String,
    /// The seed of an enrolment in progress and whose it is.
    seed: Option<(Id<User>, Secret<String>)>,
}

impl Desk {
    async fn matching_key(&self, user: &User, proved: &keys::ParsedKey) -> crate::Result<Option<Id<PublicKey>>> {
        let known = self.auth.backend().public_keys(user.id).await?;
        // INVARIANT: compared by wire form; the stored text is parsed with the same rules again
        let found = known.into_iter().take(MAX_KEYS).filter(|k| k.is_active && k.user == user.id);
        Ok(found.filter(|k| keys::parse(&k.public_key).is_ok_and(|k| k.is_same(proved))).map(|k| k.id).next())
    }

    async fn load(&self) -> crate::Result<Option<LoginFacts>> {
        let backend = self.auth.backend();
        let Some(user) = backend.user_by_username(&self.subject.username).await? else { return Ok(None) };
        let settings = self.auth.settings();
        let secrets = backend.user_secrets(user.id).await?;
        let is_admin = settings.mfa == MfaPolicy::Admins && is_admin(&backend.memberships(user.id).await?);
        Ok(Some(LoginFacts {
            has_password: secrets.password_hash.is_some(),
            password_expired: settings.rules.is_expired(secrets.password_set, self.auth.now()),
            has_otp: secrets.otp.is_some(),
            setup_open: secrets.setup_token_hash.is_some(),
            is_admin,
            user,
        }))
    }

    async fn write(&self, attempt: Attempt) -> crate::Result<()> {
        let (auth, at) = (&self.auth, self.auth.now());
        let user = attempt.user.as_ref();
        let log = LoginLog {
            id: Id::generate(),
            username: self.typed.clone(),
            user_id: user.map(|u| u.id),
            login_type: self.via,
            ip: self.address.clone(),
            user_agent: self.user_agent.clone(),
            mfa: attempt.mfa,
            backend: attempt.backend.to_owned(),
            reason: attempt.reason.to_owned(),
            status: attempt.is_success(),
            datetime: at,
        };
        let event = AuditEvent {
            kind: if attempt.is_success() { "login.success" } else { "login.failed" }.into(),
            org: None,
            actor: user.map_or_else(|| self.typed.clone(), display),
            actor_id: user.map(|u| u.id),
            target: user.map_or_else(|| self.typed.clone(), |u| u.username.clone()),
            target_id: user.map(|u| u.id.to_string()).unwrap_or_default(),
            session: None,
            remote_addr: self.address.clone(),
            at,
            data: serde_json::json!({
                "backend": attempt.backend, "reason": attempt.reason, "mfa": attempt.mfa, "via": self.via,
                "key": attempt.key.map(|k| k.to_string()), "agent": self.user_agent,
            }),
        };
        let batch = LogBatch { audit: vec![event], logins: vec![log], ..Default::default() };
        let Some(user) = user.filter(|_| attempt.is_success()) else {
            auth.backend().log(batch).await?;
            return Ok(());
        };
        // side by side, so that the store's writer makes them one transaction; the evidence is what counts
        let (written, noted) = tokio::join!(auth.backend().log(batch), auth.backend().touch_login(user.id, attempt.key, at));
        if let Err(error) = noted {
            tracing::warn!(%error, user = %user.username, "last login not noted");
        }
        written?;
        Ok(())
    }
}

impl Checks for Desk {
    fn now(&self) -> Time {
        self.auth.now()
    }
    fn mfa_policy(&self) -> MfaPolicy {
        self.auth.settings().mfa
    }
    async fn facts(&mut self) -> Result<Option<LoginFacts>, Trouble> {
        self.load().await.map_err(trouble)
    }
    async fn locked(&mut self, counter: Counter) -> Result<Option<u32>, Trouble> {
        self.auth.lock_left(&self.subject, counter).await.map_err(trouble)
    }
    async fn password(&mut self, user: Option<&User>, password: &str) -> Result<bool, Trouble> {
        let check = async {
            let hash = match user {
                Some(u) => self.auth.backend().user_secrets(u.id).await?.password_hash,
                None => None,
            };
            self.auth.inner.hasher.verify(password, hash.as_deref()).await
        };
        check.await.map_err(trouble)
    }
    async fn key(&mut self, user: &User, openssh: &str) -> Result<Option<Id<PublicKey>>, Trouble> {
        let Ok(proved) = keys::parse(openssh) else { return Ok(None) };
        self.matching_key(user, &proved).await.map_err(trouble)
    }
    async fn otp(&mut self, user: &User, code: &str) -> Result<bool, Trouble> {
        self.auth.check_otp(user.id, code).await.map_err(trouble)
    }
    async fn new_seed(&mut self, user: &User) -> Result<(String, String), Trouble> {
        let fresh = match self.seed.take() {
            Some((id, seed)) if id == user.id => seed,
            _ => totp::new_seed().map_err(trouble)?,
        };
        let uri = totp::uri(&self.auth.settings().issuer, &user.username, &fresh);
        let text = fresh.expose().clone();
        self.seed = Some((user.id, fresh));
        Ok((uri, text))
    }
    async fn enrol(&mut self, user: &User, code: &str) -> Result<bool, Trouble> {
        let Some((id, seed)) = &self.seed else { return Ok(false) };
        if *id != user.id {
            return Ok(false);
        }
        self.auth.bind_otp(user, seed, code, &self.address).await.map_err(trouble)
    }
    async fn set_password(&mut self, user: &User, password: &str) -> Result<Result<(), Vec<Violation>>, Trouble> {
        match self.auth.change_at_login(user, password, &self.address).await {
            Ok(()) => Ok(Ok(())),
            Err(AuthnError::Weak(broken)) => Ok(Err(broken)),
            Err(e) => Err(trouble(e)),
        }
    }
    async fn failed(&mut self, counter: Counter) -> Result<Counted, Trouble> {
        self.auth.count(&self.subject, counter, &self.address).await.map_err(trouble)
    }
    async fn passed(&mut self, counter: Counter) -> Result<(), Trouble> {
        self.auth.forget(&self.subject, counter).await.map_err(trouble)
    }
    async fn record(&mut self, attempt: Attempt) -> Result<(), Trouble> {
        self.write(attempt).await.map_err(|e| {
            tracing::error!(error = %e, "login attempt could not be recorded; refused");
            Trouble(MessagePair::new("system.evidence", e.to_string()))
        })
    }
}

/// `Name(username)`, as logs show people.
pub(crate) fn display(u: &User) -> String {
    format!("{}({})", u.name, u.username)
}

fn trouble(e: AuthnError) -> Trouble {
    tracing::error!(error = %e, "login could not be decided");
    Trouble(e.message())
}

fn is_admin(bindings: &[(Role, Option<Id<model::Org>>)]) -> bool {
    bindings.iter().any(|(role, _)| role.id == Role::SYSTEM_ADMIN || role.id == Role::ORG_ADMIN)
}
