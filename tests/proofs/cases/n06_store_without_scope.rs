async fn f(s: store::Store, id: model::Id<model::Asset>) { let _ = s.read(id).get(id).await; }
fn main() { let _ = f; }
