//! Plans that failed once, shrunk, with the commit of that time. Every one is tried in each run of the tests.

use sim::{Plan, Stage};

#[test]
fn what_failed_once_holds_now() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let stage = Stage::new().expect("the policy is right");
    let mut tried = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus is there") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|end| end == "scenario") {
            let text = std::fs::read_to_string(&path).expect("readable");
            let outcome = stage.run(&Plan::parse(&text).expect("a plan"), false);
            assert_eq!(outcome.violation, None, "{}", path.display());
            tried += 1;
        }
    }
    assert!(tried > 0, "the corpus is empty");
}
