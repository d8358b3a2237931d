//! Bounds the length of log lines, whatever their fields hold.

use serde_json::{Map, Value};

/// The longest log line in bytes, including its end. The system writes this many bytes to a pipe in
/// one piece, even if standard output and standard error are the same pipe.
pub(super) const MAX_LINE: usize = 4096;

/// The lengths, in characters, to which the texts of a JSON line are cut. The first length that
/// makes the line short enough is used.
const CUTS: [usize; 4] = [1024, 256, 64, 16];

/// Cuts a line of text, and keeps its beginning.
pub(super) fn cut_text(line: &str) -> String {
    if line.len() <= MAX_LINE {
        return line.to_owned();
    }
    let note = |left_out| format!(" … {left_out} bytes left out\n");
    let end = line.floor_char_boundary(MAX_LINE - note(line.len()).len());
    format!("{}{}", &line[..end], note(line.len() - end))
}

/// Cuts the long texts of a JSON object, so that the line is still a valid object.
pub(super) fn cut_json(line: &str) -> String {
    if line.len() <= MAX_LINE {
        return line.to_owned();
    }
    let object: Map<String, Value> = serde_json::from_str(line).unwrap_or_default();
    let cut = |length| format!("{}\n", Value::Object(cut_texts(&object, length)));
    let fits = CUTS.into_iter().map(cut).find(|line| line.len() <= MAX_LINE);
    // The line does not fit only if it has more fields than any line that the server logs.
    fits.unwrap_or_else(|| format!("{{\"message\":\"a line of {} bytes is left out\"}}\n", line.len()))
}

fn cut_texts(object: &Map<String, Value>, length: usize) -> Map<String, Value> {
    let cut = |value: &Value| match value {
        Value::String(text) => match text.char_indices().nth(length) {
            Some((end, _)) => {
                Value::String(format!("{} … {} bytes left out", &text[..end], text.len() - end))
            }
            None => Value::String(text.clone()),
        },
        Value::Object(inner) => Value::Object(cut_texts(inner, length)),
        other => other.clone(),
    };
    object.iter().map(|(key, value)| (key.clone(), cut(value))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn short_lines_are_as_they_were() {
        let line = format!("{}\n", "x".repeat(MAX_LINE - 1));
        assert_eq!(cut_text(&line), line);
        let line = json!({ "message": "ä" }).to_string() + "\n";
        assert_eq!(cut_json(&line), line);
    }

    #[test]
    fn long_text_keeps_its_beginning() {
        for letter in ["x", "ä", "😀"] {
            let line = cut_text(&format!("{}\n", letter.repeat(100_000)));
            assert!(line.len() <= MAX_LINE && line.len() > MAX_LINE - 10, "{}", line.len());
            assert!(line.starts_with(&letter.repeat(900)) && line.ends_with(" bytes left out\n"), "{line}");
        }
    }

    #[test]
    fn a_long_object_is_an_object_still() {
        for text in ["x", "ä", "\"", "\u{1}", "\n"] {
            let text = text.repeat(100_000);
            let long = json!({
                "level": "INFO", "message": text, "route": text, "count": 7,
                "span": { "name": "connection", "client": text },
            });
            let line = cut_json(&format!("{long}\n"));
            assert!(line.len() <= MAX_LINE && line.ends_with('\n'), "{}", line.len());
            let object: Value = serde_json::from_str(&line).unwrap();
            assert_eq!((&object["level"], &object["count"]), (&json!("INFO"), &json!(7)));
            let message = object["message"].as_str().unwrap();
            assert!(message.starts_with(&text[..16]) && message.ends_with(" bytes left out"), "{message}");
            assert_eq!(object["span"]["client"], object["route"]);
        }
        let fields: Map<_, _> = (0..9000).map(|number| (format!("field-{number}"), json!(number))).collect();
        let line = cut_json(&format!("{}\n", Value::Object(fields)));
        assert!(serde_json::from_str::<Value>(&line).is_ok() && line.len() <= MAX_LINE, "{line}");
    }
}
