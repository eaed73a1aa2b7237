//! The proofs. INVARIANT: every constructor in this file is reached only after the check it stands for.

use std::fmt;

use model::{Id, Org, Time, User};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    access::{self, Denial, Explanation, Facts},
    action::{Action, Connect, ConnectTarget},
    rbac::Memberships,
};

/// Proof of authentication: this person, with these factors. Minted by [`crate::login::Login`] and by [`Authority`].
#[derive(Debug, Clone)]
pub struct Identity {
    user: Id<User>,
    username: String,
    display: String,
    client: String,
    mfa: bool,
    local_admin: bool,
    _seal: (),
}

impl Identity {
    pub(crate) fn mint(user: &User, client: &str, mfa: bool) -> Self {
        Self {
            user: user.id,
            username: user.username.clone(),
            display: format!("{}({})", user.name, user.username),
            client: client.to_owned(),
            mfa,
            local_admin: false,
            _seal: (),
        }
    }
    /// Who.
    pub fn user(&self) -> Id<User> {
        self.user
    }
    /// Login name.
    pub fn username(&self) -> &str {
        &self.username
    }
    /// `Name(username)`, as logs show it.
    pub fn display(&self) -> &str {
        &self.display
    }
    /// Client address the proof is bound to.
    pub fn client(&self) -> &str {
        &self.client
    }
    /// Whether a second factor was proved.
    pub fn with_mfa(&self) -> bool {
        self.mfa
    }
    /// The owner of the data directory or root, over the Unix socket.
    pub fn is_local_admin(&self) -> bool {
        self.local_admin
    }
}

/// The right of the running node itself, for start-up, housekeeping and the local administrator.
///
/// Exactly one place makes it: the `server` crate at start. It must never be handed to code that acts for a person.
#[derive(Debug, Clone, Copy)]
pub struct Authority {
    _seal: (),
}

impl Authority {
    /// Called once, by `server` at start (and by tests).
    pub fn of_this_node() -> Self {
        Self { _seal: () }
    }
    /// The installation as a whole.
    pub fn global(self) -> GlobalScope {
        GlobalScope { _seal: () }
    }
    /// One organization.
    pub fn org(self, org: Id<Org>) -> OrgScope {
        OrgScope { org }
    }
    /// Reading across organizations.
    pub fn every_org(self) -> EveryOrg {
        EveryOrg { _seal: () }
    }
    /// The local administrator: a process that proved by its kernel credentials that it is root or owns the data directory.
    pub fn local_admin(self) -> Identity {
        Identity {
            user: User::ADMIN,
            username: "admin".into(),
            display: "Administrator(local)".into(),
            client: "local".into(),
            mfa: true,
            local_admin: true,
            _seal: (),
        }
    }
    /// An identity that a valid API credential stands for. `user` must be the owner of the credential, checked valid.
    pub fn credential_holder(self, user: &User, client: &str, mfa: bool) -> Identity {
        Identity::mint(user, client, mfa)
    }
}

/// Proof that a caller may act inside one organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrgScope {
    org: Id<Org>,
}

impl OrgScope {
    /// Which one.
    pub fn id(&self) -> Id<Org> {
        self.org
    }
}

/// Every organization: system-wide readers only, reads only.
#[derive(Debug, Clone, Copy)]
pub struct EveryOrg {
    _seal: (),
}

/// The installation: may write global objects (users, organizations, roles, platforms).
#[derive(Debug, Clone, Copy)]
pub struct GlobalScope {
    _seal: (),
}

/// What a read spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrgFilter {
    /// One organization.
    One(Id<Org>),
    /// All of them.
    All,
}

/// What a read may span. Sealed.
pub trait Reach: Copy + Send + Sync + sealed::Sealed {
    /// The span as data.
    fn filter(self) -> OrgFilter;
}
mod sealed {
    pub trait Sealed {}
    impl Sealed for super::OrgScope {}
    impl Sealed for super::EveryOrg {}
    impl Sealed for super::GlobalScope {}
}
impl Reach for OrgScope {
    fn filter(self) -> OrgFilter {
        OrgFilter::One(self.org)
    }
}
impl Reach for EveryOrg {
    fn filter(self) -> OrgFilter {
        OrgFilter::All
    }
}
impl Reach for GlobalScope {
    fn filter(self) -> OrgFilter {
        OrgFilter::All
    }
}

/// Why a grant was withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawal {
    /// Rules, user, asset or account changed and the decision would now be "no".
    Changed,
    /// The latest contributing rule expired.
    Expired,
}

/// Proof that `A` was allowed, on this thing, for this person. Not `Clone`: one decision, one use.
#[must_use = "a grant that is not used should not have been asked for"]
pub struct Granted<A: Action> {
    who: Identity,
    scope: OrgScope,
    on: A::On,
    actions: model::Actions,
    expires: Option<Time>,
    decision: Uuid,
    why: Option<Explanation>,
    live: Option<watch::Receiver<Option<Withdrawal>>>,
}

impl<A: Action> Granted<A> {
    /// Who asked.
    pub fn who(&self) -> &Identity {
        &self.who
    }
    /// Where it applies.
    pub fn scope(&self) -> OrgScope {
        self.scope
    }
    /// On what.
    pub fn on(&self) -> &A::On {
        &self.on
    }
    /// Takes the thing out; the proof ends here.
    pub fn into_on(self) -> A::On {
        self.on
    }
    /// What the rules allow on the target (connect grants only; empty otherwise).
    pub fn actions(&self) -> model::Actions {
        self.actions
    }
    /// When the decision ends by itself.
    pub fn expires(&self) -> Option<Time> {
        self.expires
    }
    /// Id of the decision, for the audit.
    pub fn decision(&self) -> Uuid {
        self.decision
    }
    /// Which rules made it (connect grants only).
    pub fn why(&self) -> Option<&Explanation> {
        self.why.as_ref()
    }
    /// A receiver that turns `Some` when the decision is withdrawn; `None` for grants of one instant.
    pub fn watch(&self) -> Option<watch::Receiver<Option<Withdrawal>>> {
        self.live.clone()
    }
}

impl<A: Action> fmt::Debug for Granted<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted")
            .field("permission", &A::permission())
            .field("who", &self.who.display)
            .field("decision", &self.decision)
            .finish_non_exhaustive()
    }
}

/// The other end of a connect grant's revocation watch, kept by whoever re-evaluates decisions.
#[derive(Debug)]
pub struct GrantWatch {
    withdraw: watch::Sender<Option<Withdrawal>>,
}

impl GrantWatch {
    /// Withdraws the grant; the session that took it ends.
    pub fn withdraw(&self, why: Withdrawal) {
        self.withdraw.send_replace(Some(why));
    }
    /// Whether anybody still holds the grant.
    pub fn in_use(&self) -> bool {
        !self.withdraw.is_closed()
    }
}

/// Makes decisions. Stateless: everything it needs comes in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Decider;

impl Decider {
    /// May this identity act in `org`? Members and holders of system-wide roles may; others learn nothing (404).
    pub fn enter(self, who: &Identity, roles: &Memberships, org: Id<Org>) -> Option<OrgScope> {
        (org != Org::GLOBAL && (who.local_admin || roles.may_enter(org))).then_some(OrgScope { org })
    }

    /// May this identity read across organizations?
    pub fn enter_every(self, who: &Identity, roles: &Memberships) -> Option<EveryOrg> {
        (who.local_admin || roles.system().allows("orgs.view_rootorg")).then_some(EveryOrg { _seal: () })
    }

    /// May this identity use `permission` on global objects? Only system-wide roles count.
    pub fn enter_global(self, who: &Identity, roles: &Memberships, permission: &str) -> Option<GlobalScope> {
        (who.local_admin || roles.system().allows(permission)).then_some(GlobalScope { _seal: () })
    }

    /// Role check for an administrative action on something already resolved inside `scope`. `None` = forbidden.
    pub fn decide<A: Action>(self, who: &Identity, roles: &Memberships, scope: OrgScope, on: A::On) -> Option<Granted<A>> {
        let allowed = who.local_admin || A::OWN || roles.in_org(scope.org).allows(&A::permission());
        allowed.then(|| Granted { who: who.clone(), scope, on, actions: model::Actions::NONE, expires: None, decision: Uuid::new_v4(), why: None, live: None })
    }

    /// As [`Self::decide`] in the view over all organizations: only system-wide roles count. The grant's scope is GLOBAL,
    /// which owns no row, so nothing can be written with it.
    pub fn decide_every<A: Action>(self, who: &Identity, roles: &Memberships, _: EveryOrg, on: A::On) -> Option<Granted<A>> {
        let allowed = who.local_admin || A::OWN || roles.system().allows(&A::permission());
        let scope = OrgScope { org: Org::GLOBAL };
        allowed.then(|| Granted { who: who.clone(), scope, on, actions: model::Actions::NONE, expires: None, decision: Uuid::new_v4(), why: None, live: None })
    }

    /// May this person connect as asked? The full evaluation of jb §1.11 over `facts`, for one protocol and account.
    ///
    /// `scope` must be the organization of the asset in `facts`; a mismatch is a denial.
    ///
    /// # Errors
    /// A [`Denial`] that says why, with the rules that were looked at.
    pub fn connect(self, who: &Identity, facts: &Facts<'_>, target: ConnectTarget, now: Time) -> Result<(Granted<Connect>, GrantWatch), Denial> {
        let ok = access::allow(who.user, facts, &target, now)?;
        // INVARIANT: the grant names what was decided about: the asset and the account as the facts have them.
        let target = ConnectTarget { asset: facts.asset.clone(), account: ok.account, ..target };
        let (withdraw, live) = watch::channel(None);
        let scope = OrgScope { org: facts.asset.org };
        let granted = Granted {
            who: who.clone(),
            scope,
            on: target,
            actions: ok.actions,
            expires: ok.expires,
            decision: Uuid::new_v4(),
            why: Some(ok.why),
            live: Some(live),
        };
        Ok((granted, GrantWatch { withdraw }))
    }
}
