//! Joins the login backends to the control plane.

use async_trait::async_trait;
use authn::{Authenticator, LoginFlow};
use policy::login::{Factor, Step};
use session::{Login, LoginStart, local::LoginDoor};

/// Logins by [`Authenticator`].
pub struct Doors(pub Authenticator);

struct Flow(LoginFlow);

#[async_trait]
impl Login for Flow {
    async fn offers_key(&mut self, openssh: &str) -> bool {
        self.0.offers(openssh).await
    }
    async fn step(&mut self, factor: Factor) -> Step {
        self.0.step(factor).await
    }
}

#[async_trait]
impl LoginDoor for Doors {
    async fn begin(&self, start: LoginStart) -> Box<dyn Login> {
        Box::new(Flow(self.0.begin(&start.username, start.client, start.via, &start.user_agent)))
    }
}
