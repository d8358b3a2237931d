//! Names that the application gives: of users and of groups.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest name, in bytes: it goes into headers, subjects and log lines.
const MAX: usize = 200;

/// What cannot be a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name of a user or a group has 1 to 200 bytes, no control characters and no space at its ends")]
pub struct NameError;

macro_rules! name {
    ($(#[$doc:meta])* $Name:ident) => {
        $(#[$doc])*
        ///
        /// 1 to 200 bytes of text without control characters, and without space at its ends: where
        /// one is deserialized, anything else is an error. Cheap to clone.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $Name(Arc<str>);

        impl $Name {
            /// This name.
            ///
            /// # Errors
            /// Where the text cannot be one.
            pub fn new(text: &str) -> Result<Self, NameError> {
                // Headers lose spaces at their ends: two users would be one.
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
    /// The user that a session is bound to, by the name that the application has for them. As an
    /// argument of a handler: the user of the request's session, and 401 if there is none.
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
    /// Sessions that get the same pushes, by the name that the application gave them.
    Group
);
