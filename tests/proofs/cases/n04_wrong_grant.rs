use std::sync::Arc;
async fn f(control: Arc<dyn session::ControlPlane>, g: policy::Granted<policy::action::Read<model::Asset>>, o: session::Opening) { let _ = session::Session::open(control, g, &o).await; }
fn main() { let _ = f; }
