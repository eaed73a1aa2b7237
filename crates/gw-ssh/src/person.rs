//! The person's end of one channel: what is shown to him and how the channel ends.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use messages::Lang;
use model::MessagePair;
use russh::{ChannelWriteHalf, Sig, server};

use crate::{
    console::{Console, ConsoleClosed, ConsoleEvent, ConsoleIo},
    environ::Environ,
    inbox::{Event, Inbox, PtyRequest},
};

/// Exit status of a connection that never became a session, as `ssh` itself uses it.
pub const NO_SESSION: u32 = 255;
/// How long a farewell may take on a client that does not read.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
pub struct Person {
    /// What comes in.
    pub inbox: Arc<Inbox>,
    /// Where output goes.
    pub out: Arc<ChannelWriteHalf<server::Msg>>,
    /// For requests the write half does not know.
    pub handle: server::Handle,
    /// The terminal, if there is one.
    pub pty: Option<PtyRequest>,
    /// Variables for the target.
    pub environ: Environ,
    /// Language of sentences.
    pub lang: Lang,
    /// Side channels that were asked for and refused, to be named once.
    pub refused: Vec<&'static str>,
}

impl Person {
    /// A console on this person's terminal.
    pub fn console(&self) -> Option<Console> {
        let pty = self.pty.as_ref()?;
        let io = ChannelIo { inbox: self.inbox.clone(), out: self.out.clone() };
        Some(Console::new(Box::new(io), pty.size.screen(), pty.term.clone(), self.lang))
    }

    /// Shows a sentence: a line on a terminal, on standard error otherwise.
    pub async fn say(&self, message: &MessagePair) {
        self.line(&messages::render(self.lang, message)).await;
    }

    /// As [`Self::say`] with a sentence that is already in words.
    pub async fn line(&self, sentence: &str) {
        let text = visible(sentence);
        let shown = async {
            if self.pty.is_some() {
                self.out.data_bytes(Bytes::from(format!("\r\n[Rampart] {text}\r\n"))).await
            } else {
                self.out.extended_data_bytes(1, Bytes::from(format!("[Rampart] {text}\n"))).await
            }
        };
        // A client that reads nothing loses the sentence, not the session's end.
        let _ = tokio::time::timeout(PATIENCE, shown).await;
    }

    /// Ends the channel with an exit status.
    pub async fn finish(&self, status: u32) {
        let ending = async {
            let _ = self.out.exit_status(status).await;
            let _ = self.out.eof().await;
            let _ = self.out.close().await;
        };
        let _ = tokio::time::timeout(PATIENCE, ending).await;
    }

    /// Says why nothing came of it, and ends the channel.
    pub async fn refuse(&self, message: &MessagePair) {
        self.say(message).await;
        self.finish(NO_SESSION).await;
    }

    /// Ends the channel because the program was ended by a signal.
    pub async fn signalled(&self, signal: Sig, core_dumped: bool, message: String) {
        let _ = self.handle.exit_signal_request(self.out.id(), signal, core_dumped, message, String::new()).await;
    }
}

/// A sentence without anything that moves a cursor.
pub fn visible(sentence: &str) -> String {
    sentence.chars().filter(|c| !c.is_control() && !matches!(*c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')).take(2000).collect()
}

struct ChannelIo {
    inbox: Arc<Inbox>,
    out: Arc<ChannelWriteHalf<server::Msg>>,
}

#[async_trait]
impl ConsoleIo for ChannelIo {
    async fn read(&mut self) -> ConsoleEvent {
        loop {
            match self.inbox.next().await {
                Some(Event::Data(bytes)) => return ConsoleEvent::Bytes(bytes),
                Some(Event::Resize(size)) => {
                    let (cols, rows) = size.screen();
                    return ConsoleEvent::Resize(cols, rows);
                }
                Some(Event::Eof) | None => return ConsoleEvent::Eof,
                Some(_) => {}
            }
        }
    }
    async fn write(&mut self, bytes: &[u8]) -> Result<(), ConsoleClosed> {
        tokio::select! {
            r = self.out.data_bytes(Bytes::copy_from_slice(bytes)) => r.map_err(|_| ConsoleClosed),
            () = self.inbox.gone() => Err(ConsoleClosed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn sentences_cannot_move_the_cursor() {
        assert_eq!(visible("a\u{1b}[2Jb\u{202e}c\u{9b}d\n"), "a[2Jbcd");
    }
}
