//! Files that somebody applies.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let files = [("fuzz.yaml".to_owned(), text.to_owned())];
    if let Ok(documents) = api::state::parse(&files, messages::Lang::En, |_| Ok("resolved".to_owned())) {
        for document in &documents {
            let _ = document.line_of("spec.accounts[0].secret");
        }
    }
});
