//! What must not compile does not, for the reason it should not.

#[test]
fn a_forgotten_check_does_not_compile() {
    let t = trybuild::TestCases::new();
    t.compile_fail("tests/proofs/n*.rs");
    t.pass("tests/proofs/ok_*.rs");
}
