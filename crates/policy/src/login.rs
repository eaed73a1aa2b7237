//! The login state machine as a type. Steps cannot be skipped or replayed; the only way out is an [`Identity`].

use model::MessagePair;

use crate::Identity;

/// What somebody presents to get in.
pub enum Factor {
    /// A public key in OpenSSH form whose signature over this very connection was verified by the transport.
    /// An *offer* of a key is never a factor.
    ProvedKey(String),
    /// A password, in clear; wiped by the holder.
    Password(String),
    /// A one-time code.
    Otp(String),
    /// The first code of a new authenticator, closing an enrolment that [`Need::EnrolOtp`] opened.
    EnrolOtp(String),
    /// A new password, where [`Need::NewPassword`] asks for one.
    NewPassword(String),
}

/// What is still missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// A first factor: password.
    Password,
    /// A first factor: public key.
    PublicKey,
    /// A one-time code.
    Otp,
    /// Bind an authenticator: show `uri` as a QR code (and `secret` as text), ask for its first code.
    EnrolOtp {
        /// `otpauth://totp/…`
        uri: String,
        /// Base32, for typing.
        secret: String,
    },
    /// Set a new password; the text names the rules.
    NewPassword {
        /// Stable code of the reason: `login.password_expired`, `login.password_must_change`, ….
        reason: &'static str,
    },
}

/// Where a login stands after a step.
#[derive(Debug)]
pub enum Step {
    /// In.
    Done(Identity),
    /// One of these is needed next. `retry` says why the last factor was not accepted, if it was not.
    Need {
        /// Alternatives.
        any_of: Vec<Need>,
        /// Message about the last factor.
        retry: Option<MessagePair>,
    },
    /// Over; the connection should close.
    Refused(MessagePair),
}
