fn f(s: vault::Secret<String>) { println!("{s}"); }
fn main() { let _ = f; }
