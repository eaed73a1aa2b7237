async fn f(s: store::Store, o: policy::OrgScope, u: model::Id<model::User>) { let _ = s.read(o).get::<model::Asset>(u).await; }
fn main() { let _ = f; }
