//! Names that the application gives to users and groups.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest name, in bytes. Names are used in headers, subjects and log lines.
const MAX: usize = 200;

/// The error for a text that is not a valid name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name of a user or a group has 1 to 200 bytes, no control characters and no space at its ends")]
pub struct NameError;

macro_rules! name {
    ($(#[$doc:meta])* $Name:ident) => {
        $(#[$doc])*
        ///
        /// A name has 1 to 200 bytes of text, no control characters, and no space at its ends.
        /// Deserializing any other text is an error. A name is cheap to clone.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $Name(Arc<str>);

        impl $Name {
            /// Creates a name from a text.
            ///
            /// # Errors
            /// Returns an error if the text is not a valid name.
            pub fn new(text: &str) -> Result<Self, NameError> {
                // Headers lose spaces at their ends, so two users could become one.
                let is_plain = !text.chars().any(char::is_control) && text.trim() == text;
                let fits = (1..=MAX).contains(&text.len()) && is_plain;
                if fits { Ok(Self(text.into())) } else { Err(NameError) }
            }
        }

        impl TryFrom<String> for $Name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }

        impl From<$Name> for String {
            fn from(name: $Name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl Deref for $Name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $Name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

name!(
    /// The name of a user to whom sessions are bound. The application chooses the name.
    ///
    /// As an argument of a handler, this is the user of the request's session. If there is none,
    /// the request is answered with status 401.
    ///
    /// ```
    /// use wireplug::User;
    ///
    /// let ann = User::new("ann").expect("it is a name");
    /// assert_eq!(&*ann, "ann");
    /// assert!(User::new(" ann").is_err());
    /// ```
    User
);
name!(
    /// The name of a group, whose sessions get the same pushes. The application chooses the name.
    Group
);
