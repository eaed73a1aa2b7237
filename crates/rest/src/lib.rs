//! The HTTP API: guards, resources, OpenAPI.
//!
//! * A route is registered in `router.rs`, with its handler and its description, in one line.
//! * A handler's first argument is [`Can<A>`]: the caller is authenticated, has entered an organization, the object was
//!   found inside it, and the action was allowed, before the handler runs.
//! * A change is an `Edit`: rows, operate log and audit entries in one unit of work.
//! * Answers that are not a success are [`fail::Fail`]; they get their words, in the client's language, at the edge.

mod app;
mod audits;
mod auth;
mod credential;
mod docs;
mod edit;
pub mod fail;
mod guard;
mod health;
mod input;
mod labels;
mod layers;
mod listing;
mod operate;
mod people;
mod profile;
mod resource;
mod resources;
mod route;
mod router;
mod selection;
mod settings;
mod state;
mod targets;
mod terminal;

pub use app::{App, Parts};
pub use guard::{Caller, Can, Guarded, LocalAdmin, Peer, Place, Resolve};
pub use route::{Registered, guarded_get};
pub use router::{openapi, register, router};
