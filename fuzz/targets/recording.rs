//! A recording file that somebody wrote, damaged or made up.
#![no_main]

use std::{fs, path::PathBuf};

use libfuzzer_sys::fuzz_target;
use recording::{Recording, export};

fn scratch() -> PathBuf {
    let folder = if fs::metadata("/dev/shm").is_ok() { "/dev/shm" } else { "/tmp" };
    PathBuf::from(folder).join(format!("rampart-fuzz-{}", std::process::id()))
}

fuzz_target!(|data: &[u8]| {
    let path = scratch();
    if fs::write(&path, data).is_err() {
        return;
    }
    let _ = recording::verify(&path, None);
    if let Ok(mut opened) = Recording::open(&path) {
        let _ = opened.index();
        let _ = export::text(&mut opened, &mut std::io::sink());
    }
    if let Ok(mut opened) = Recording::open(&path) {
        let _ = export::asciicast(&mut opened, Default::default(), &mut std::io::sink());
    }
    if let Ok(opened) = Recording::open(&path) {
        if let Ok(mut player) = opened.play(1_000_000) {
            while let Ok(Some(_)) = player.next_event() {}
        }
    }
});
