//! `rampart play`: recordings in the terminal, as asciicast, as text.

mod convert;
mod playback;
mod source;
mod stage;

use std::io::IsTerminal as _;

use super::{Done, PlayArgs, out};
use playback::Playback;

/// Finds the recording and shows it.
pub async fn run(args: PlayArgs) -> Done {
    let source = source::find(&args).await?;
    let from = args.from.map_or(0, |s| u64::try_from(s.0.as_micros()).unwrap_or(u64::MAX));
    if args.cast {
        let recording = source.open()?;
        return out::print(|out| convert::cast(recording, from, args.idle_limit, out));
    }
    if args.text || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        let recording = source.open()?;
        return out::print(|out| convert::text(recording, from, out));
    }
    let playback = Playback::new(source, from, args.speed, args.idle_limit)?;
    stage::perform(playback)
}
