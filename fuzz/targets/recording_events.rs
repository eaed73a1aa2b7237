//! A recording whose frames and hashes are right and whose contents are not: what a hostile node could write.
#![no_main]

use std::{fs, path::PathBuf};

use libfuzzer_sys::fuzz_target;
use recording::{Recording, export};

/// Wraps pieces of the input into frames with right lengths and hashes.
fn container(data: &[u8]) -> Vec<u8> {
    let mut file = b"RMPTREC1".to_vec();
    let mut before = [0u8; 32];
    let mut rest = data;
    let mut number = 0u64;
    while let [shape, flags, tail @ ..] = rest {
        let len = (usize::from(*shape) * 4).min(tail.len());
        let (payload, next) = tail.split_at(len);
        let kind = if number == 0 { 1 } else { 2 + u8::from(*flags & 0x40 != 0) };
        let start = number * 500_000;
        let mut head = b"RSEG".to_vec();
        head.extend([1, kind]);
        head.extend(u16::from(flags & 3).to_le_bytes());
        head.extend(number.to_le_bytes());
        head.extend(start.to_le_bytes());
        head.extend((start + 400_000).to_le_bytes());
        head.extend((payload.len() as u32).to_le_bytes());
        // With compression the true length is not known here; without, it is the payload's.
        head.extend((if flags & 1 == 0 { payload.len() as u32 } else { u32::from(*shape) * 16 }).to_le_bytes());
        head.extend(u32::from(flags >> 2).to_le_bytes());
        head.resize(48, 0);
        let mut hasher = blake3::Hasher::new_derive_key("rampart recording segment v1");
        hasher.update(&before).update(&head).update(payload);
        before = *hasher.finalize().as_bytes();
        file.extend(&head);
        file.extend(payload);
        file.extend(before);
        number += 1;
        rest = next;
    }
    file
}

fuzz_target!(|data: &[u8]| {
    let folder = if fs::metadata("/dev/shm").is_ok() { "/dev/shm" } else { "/tmp" };
    let path = PathBuf::from(folder).join(format!("rampart-fuzz-events-{}", std::process::id()));
    if fs::write(&path, container(data)).is_err() {
        return;
    }
    let _ = recording::verify(&path, None);
    if let Ok(mut opened) = Recording::open(&path) {
        let _ = opened.index();
        let _ = opened.seek(700_000);
        let _ = export::jsonl(&mut opened, &mut std::io::sink());
    }
    if let Ok(mut opened) = Recording::open(&path) {
        let _ = export::asciicast(&mut opened, Default::default(), &mut std::io::sink());
    }
});
