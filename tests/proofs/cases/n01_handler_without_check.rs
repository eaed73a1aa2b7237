async fn open() -> &'static str { "x" }
fn main() { let _ = rest::guarded_get(open); }
