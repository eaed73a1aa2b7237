//! Public keys as people paste them: OpenSSH lines, RFC 4716 blocks, noise.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = authn::keys::parse(text);
    }
});
