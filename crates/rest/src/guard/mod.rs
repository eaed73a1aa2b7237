//! The permission check as a handler's first argument.
//!
//! [`Can<A>`] authenticates, enters the organization, finds `{id}` inside it, and decides. A handler that takes it holds
//! the proof; a route whose handler does not cannot be registered ([`Guarded`]).

mod caller;
mod client;
mod org;
mod resolve;

use axum::{extract::FromRequestParts, extract::RawPathParams, http::request::Parts};
use policy::{Action, Granted};

use crate::{App, fail::Fail};

pub use caller::{Caller, Place};
pub use client::{LocalAdmin, Peer};
pub(crate) use client::{client_of, is_loopback};
pub use resolve::Resolve;

/// Proof that `A` was allowed, and who asked.
pub struct Can<A: Action> {
    /// The decision.
    pub granted: Granted<A>,
    /// Who asked, from where, in which organization.
    pub caller: Caller,
}

impl<A: Action> FromRequestParts<App> for Can<A>
where
    A::On: Resolve,
{
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Fail> {
        let caller = Caller::of(parts, app).await?;
        let params = RawPathParams::from_request_parts(parts, app).await.map_err(|_| Fail::missing())?;
        let id = params.iter().find(|(k, _)| *k == "id").map(|(_, v)| v.to_owned()).unwrap_or_default();
        let on = A::On::resolve(&caller, &id).await?.ok_or_else(Fail::missing)?;
        match caller.decide::<A>(on) {
            Some(granted) => Ok(Self { granted, caller }),
            None => {
                if A::MUTATES {
                    caller.note_refusal::<A>(parts.uri.path()).await?;
                }
                Err(Fail::forbidden())
            }
        }
    }
}

impl Caller {
    /// A refused attempt to change something leaves an audit entry; reading is not worth one.
    async fn note_refusal<A: Action>(&self, path: &str) -> Result<(), Fail> {
        let target: String = path.chars().take(200).collect();
        let event = audit::events::access_denied(&self.by(), self.org(), &A::permission(), &target, self.app.now());
        self.app.node().log(store::LogBatch { audit: vec![event], ..Default::default() }).await?;
        Ok(())
    }
}

/// Argument lists that start with a permission check.
#[diagnostic::on_unimplemented(
    message = "this handler's first argument is not a permission check",
    label = "`{Self}` does not start with `Can<A>`",
    note = "give the handler `Can<SomeAction>` as its first argument, or register it as public (and in public_routes.txt)"
)]
pub trait Guarded {
    /// What the check asks for.
    type Action: Action;
}

macro_rules! guarded {
    ($($t:ident)*) => { impl<M, A: Action, $($t),*> Guarded for (M, Can<A>, $($t,)*) { type Action = A; } };
}
guarded!();
guarded!(T1);
guarded!(T1 T2);
guarded!(T1 T2 T3);
guarded!(T1 T2 T3 T4);
