//! What must not compile does not, for the reason it should not; what is meant does.

// Compiled with this test: `trybuild` then only has to check the others, which spares it building every crate once more.
#[allow(dead_code)]
#[path = "../cases/ok_handler.rs"]
mod ok_handler;
#[allow(dead_code)]
#[path = "../cases/ok_path.rs"]
mod ok_path;
#[allow(dead_code)]
#[path = "../cases/ok_reach.rs"]
mod ok_reach;

#[test]
fn a_forgotten_check_does_not_compile() {
    trybuild::TestCases::new().compile_fail("cases/n*.rs");
}
