fn f(e: policy::EveryOrg) { let _ = store::UnitOfWork::in_org(e); }
fn main() { let _ = f; }
