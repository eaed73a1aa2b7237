//! What strangers send to the SSH port before anything is proved: user names and PROXY headers; and exec lines after it.
#![no_main]

use std::net::SocketAddr;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let peer = SocketAddr::from(([192, 0, 2, 1], 1));
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(name) = gw_ssh::username::Username::parse(text)
    {
        assert!(!name.login.is_empty());
    }
    let _ = gw_ssh::exec::file_tool(data);
    let _ = gw_ssh::proxy::parse_v1(data, peer);
    if let [version, family, body @ ..] = data {
        let _ = gw_ssh::proxy::parse_v2(*version, *family, body, peer);
    }
});
