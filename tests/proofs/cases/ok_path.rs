use std::sync::Arc;
async fn f<C: session::Connector>(
    c: Arc<dyn session::ControlPlane>,
    g: policy::Granted<policy::Connect>,
    o: session::Opening,
    to: C,
    r: session::Stream,
    end: session::RelayEnd,
) {
    let Ok(s) = session::Session::open(c, g, &o).await else { return };
    let Ok(s) = s.connect(&to).await else { return };
    let Ok(s) = s.record(r).await else { return };
    let _ = s.run(|_, _| async move { end }).await;
}
fn main() {}
