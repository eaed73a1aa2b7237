//! Events in the order a player shows them.

use crate::{Event, Header, RecordError, Recording};

/// Plays a recording from a moment on.
///
/// The first items bring the screen to a known state: the window size and a keyframe, when the recording has one
/// before the moment. Events before the moment still come, to be shown without waiting. Later keyframes are left
/// out, because they would only redraw what is there.
pub struct Player {
    recording: Recording,
    begun: bool,
}

impl Player {
    pub(crate) fn new(recording: Recording) -> Self {
        Self { recording, begun: false }
    }
    /// Whose session it is.
    pub fn header(&self) -> &Header {
        self.recording.header()
    }
    /// The recording, for its index and its end.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }
    /// Goes to another moment, in either direction.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn seek(&mut self, at_us: u64) -> Result<(), RecordError> {
        self.begun = false;
        self.recording.seek(at_us)
    }
    /// The next event. `None`: the end, or (if [`Recording::end`] is not there yet) all there is so far; ask again.
    ///
    /// # Errors
    /// [`RecordError::Damaged`].
    pub fn next_event(&mut self) -> Result<Option<(u64, Event)>, RecordError> {
        loop {
            let item = self.recording.next_event()?;
            match &item {
                Some((_, Event::Keyframe(_))) if self.begun => {}
                Some((_, Event::Resize { .. })) | None => return Ok(item),
                Some(_) => {
                    self.begun = true;
                    return Ok(item);
                }
            }
        }
    }
}

impl Iterator for Player {
    type Item = Result<(u64, Event), RecordError>;
    fn next(&mut self) -> Option<Self::Item> {
        self.next_event().transpose()
    }
}
