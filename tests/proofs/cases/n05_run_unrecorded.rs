async fn f(s: session::Session<session::Connected<()>>) { let _ = s.run(|_, _| async { unimplemented!() }).await; }
fn main() { let _ = f; }
