//! The errors that stand for the status of a failed request, if the application gave no error
//! of its own.

use crate::write;

/// Writes the error for a status, in the words of Redis where it has some.
pub(crate) fn write(out: &mut Vec<u8>, status: u16, command: &str) {
    let text = match (status, command) {
        (400, _) => format!("ERR wrong number of arguments for '{command}' command"),
        (401, "auth") => "WRONGPASS invalid username-password pair or user is disabled.".to_owned(),
        (401, _) => "NOAUTH Authentication required.".to_owned(),
        (403, _) => format!("NOPERM this user has no permissions to run the '{command}' command"),
        // Libraries know this text.
        (404, "auth") => "ERR AUTH <password> called without any password configured for the default user. \
                          Are you sure your configuration is correct?"
            .to_owned(),
        (404, _) => format!("ERR unknown command '{command}'"),
        (429 | 503, _) => "ERR the server is busy, try again later".to_owned(),
        (504, _) => "ERR the application did not answer in time".to_owned(),
        _ => format!("ERR the application answered with status {status}"),
    };
    write::error(out, text.as_bytes());
}
