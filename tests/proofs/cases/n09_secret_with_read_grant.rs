async fn f(v: &vault::Vault, g: &policy::Granted<policy::action::Read<model::Account>>) { let _ = v.open(g).await; }
fn main() { let _ = f; }
