//! A person behind a request, where he is, and what he may do there.

use std::sync::Arc;

use axum::http::request::Parts;
use messages::Lang;
use model::{Id, Kind, Org};
use policy::{Action, EveryOrg, GlobalScope, Granted, Identity, Memberships, OrgScope};
use store::Reader;

use super::{client::LocalAdmin, client_of, org};
use crate::{
    App, credential,
    fail::{Fail, language},
};

/// Where a request acts.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// In one organization.
    One(OrgScope),
    /// In the view over all of them.
    Every(EveryOrg),
}

/// Who asked, from where, in which organization.
#[derive(Clone)]
pub struct Caller {
    pub(crate) app: App,
    pub(crate) who: Identity,
    pub(crate) roles: Arc<Memberships>,
    pub(crate) place: Place,
    /// The request named its organization.
    pub(crate) asked: bool,
    /// Address of the client.
    pub(crate) addr: String,
    pub(crate) lang: Lang,
}

impl Caller {
    /// Authenticates a request and enters its organization.
    pub(super) async fn of(parts: &mut Parts, app: &App) -> Result<Self, Fail> {
        let lang = language(&parts.headers);
        let client = client_of(parts, app);
        let who = if parts.extensions.get::<LocalAdmin>().is_some() { app.authority().local_admin() } else { credential::identify(parts, app, client).await? };
        let roles = Arc::new(Memberships::new(app.node().memberships(who.user()).await?));
        let (place, asked) = org::enter(parts, app, &who, &roles).await?;
        let addr = if who.is_local_admin() { "local".to_owned() } else { client.to_string() };
        Ok(Self { app: app.clone(), who, roles, place, asked, addr, lang })
    }

    /// Who it is, for the logs.
    pub(crate) fn by(&self) -> audit::By {
        audit::By { actor: self.who.display().to_owned(), actor_id: Some(self.who.user()), remote_addr: self.addr.clone() }
    }
    /// Reads where the request acts.
    pub(crate) fn reader(&self) -> Reader<'_> {
        match self.place {
            Place::One(scope) => self.app.store().read(scope),
            Place::Every(every) => self.app.store().read(every),
        }
    }
    /// Reads logs: rows of the installation as a whole belong to no organization, so readers of every organization who
    /// did not name one see all rows.
    pub(crate) fn log_reader(&self) -> Reader<'_> {
        let every = if self.asked { None } else { self.app.decider().enter_every(&self.who, &self.roles) };
        every.map_or_else(|| self.reader(), |every| self.app.store().read(every))
    }
    /// Reads objects of a kind: organizations are listed to whoever may see all of them, wherever he acts.
    pub(crate) fn reader_of(&self, kind: Kind) -> Reader<'_> {
        if kind == Kind::Org && self.may_everywhere("orgs.view_organization") {
            return self.app.store().read(self.app.authority().every_org());
        }
        self.reader()
    }
    /// The organization, if the request acts in one.
    pub(crate) fn org(&self) -> Option<Id<Org>> {
        match self.place {
            Place::One(scope) => Some(scope.id()),
            Place::Every(_) => None,
        }
    }
    /// The scope, or a refusal to write in the view over all organizations.
    pub(crate) fn scope(&self) -> Result<OrgScope, Fail> {
        match self.place {
            Place::One(scope) => Ok(scope),
            Place::Every(_) => Err(Fail::bad("api.choose_org")),
        }
    }
    /// Another organization the person may act in.
    pub(crate) fn enter(&self, org: Id<Org>) -> Option<OrgScope> {
        self.app.decider().enter(&self.who, &self.roles, org)
    }
    /// Whether a permission is held in an organization.
    pub(crate) fn may_in(&self, org: Id<Org>, permission: &str) -> bool {
        self.who.is_local_admin() || self.roles.in_org(org).allows(permission)
    }
    /// Whether a permission is held through a system-wide role.
    pub(crate) fn may_everywhere(&self, permission: &str) -> bool {
        self.who.is_local_admin() || self.roles.system().allows(permission)
    }
    /// The right to write global objects.
    pub(crate) fn global(&self, permission: &str) -> Option<GlobalScope> {
        self.app.decider().enter_global(&self.who, &self.roles, permission)
    }

    /// Decides an action on something found by [`Self::reader`].
    pub(crate) fn decide<A: Action>(&self, on: A::On) -> Option<Granted<A>> {
        match self.place {
            Place::One(scope) => self.app.decider().decide(&self.who, &self.roles, scope, on),
            Place::Every(every) => self.app.decider().decide_every(&self.who, &self.roles, every, on),
        }
    }
}
