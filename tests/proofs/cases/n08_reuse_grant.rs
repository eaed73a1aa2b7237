use std::sync::Arc;
async fn f(c: Arc<dyn session::ControlPlane>, g: policy::Granted<policy::Connect>, o: session::Opening) {
    let _a = session::Session::open(c.clone(), g, &o).await;
    let _b = session::Session::open(c, g, &o).await;
}
fn main() { let _ = f; }
