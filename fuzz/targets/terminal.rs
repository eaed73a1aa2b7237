//! Output of a hostile target and keys of a hostile person, in any order and any pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use terminal::Tracker;

fuzz_target!(|data: &[u8]| {
    let [cols, rows, rest @ ..] = data else { return };
    let mut tracker = Tracker::new(u16::from(*cols), u16::from(*rows));
    let mut at = 0u64;
    // The first byte of a piece says what it is and how long.
    let mut rest = rest;
    while let [head, tail @ ..] = rest {
        let len = usize::from(head >> 2).min(tail.len());
        let (piece, next) = tail.split_at(len);
        at += 10_000 * u64::from(*head);
        match head & 3 {
            0 | 1 => tracker.output(at, piece),
            2 => tracker.input(at, piece),
            _ => {
                if let [c, r, ..] = piece {
                    tracker.resize(u16::from(*c) * 7, u16::from(*r) * 3);
                }
                tracker.tick(at);
            }
        }
        tracker.drain().for_each(drop);
        rest = next;
    }
    tracker.finish(at);
    let frame = tracker.keyframe();
    // A keyframe is output: a screen that takes it in must survive it.
    let (cols, rows) = tracker.size();
    Tracker::new(cols, rows).output(0, &frame);
    let _ = terminal::safe(&tracker.screen_text());
    let _ = terminal::clean(data);
});
