async fn f(s: &store::Store, e: policy::EveryOrg, o: policy::OrgScope, v: &vault::Vault, g: &policy::Granted<policy::Connect>, id: model::Id<model::Asset>) {
    let _ = s.read(e).get(id).await;
    let _ = s.read(o).get(id).await;
    let _ = store::UnitOfWork::in_org(o);
    let _ = v.open(g).await;
}
fn main() {
    let _ = f;
}
