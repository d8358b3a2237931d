//! Finds lines of prose that are too wide.

use super::{Finding, Format, WIDEST};

/// Finds the lines of prose that have more than [`WIDEST`] columns.
///
/// Markdown is prose except for code blocks, tables, and lines without a place to break, such as a
/// long link. In Rust, the same rules apply to comments on lines of their own; the width counts
/// from the beginning of the line. rustfmt bounds all other lines of Rust.
pub(super) fn find(format: Format, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fence = None;
    for (index, line) in text.lines().enumerate() {
        let prose = match format {
            Format::Markdown => Some(line),
            Format::Rust => comment(line),
        };
        let Some(prose) = prose else {
            fence = None;
            continue;
        };
        if is_in_block(&mut fence, prose.trim_start()) {
            continue;
        }
        let columns = line.chars().count();
        if columns > WIDEST && !is_table(prose) && can_break(prose) {
            let what = format!("{columns} columns; wrap prose at {WIDEST}");
            findings.push(Finding { line: index + 1, what });
        }
    }
    findings
}

/// Returns the text of a comment on a line of its own.
fn comment(line: &str) -> Option<&str> {
    let text = line.trim_start().strip_prefix("//")?;
    Some(text.strip_prefix(['/', '!']).unwrap_or(text))
}

/// Reports whether a line belongs to a code block. `fence` is the line that opened the current
/// block.
fn is_in_block<'a>(fence: &mut Option<&'a str>, line: &'a str) -> bool {
    let marks = ["```", "~~~"].into_iter().find(|marks| line.starts_with(marks));
    match (*fence, marks) {
        (None, None) => false,
        (None, Some(_)) => {
            *fence = Some(line);
            true
        }
        (Some(opened), _) => {
            if closes(opened, line) {
                *fence = None;
            }
            true
        }
    }
}

/// Reports whether a line ends the block that `opened` begins: it has at least as many of the same
/// marks, and no more.
fn closes(opened: &str, line: &str) -> bool {
    let mark = opened.chars().next();
    let marks = opened.chars().take_while(|&next| Some(next) == mark).count();
    let line = line.trim_end();
    line.chars().count() >= marks && line.chars().all(|next| Some(next) == mark)
}

fn is_table(prose: &str) -> bool {
    prose.trim_start().starts_with('|')
}

/// Reports whether there is a space at which the line can be broken, after the mark of a list or a
/// quotation.
fn can_break(prose: &str) -> bool {
    let mut words = prose.split_whitespace();
    let first = words.next().unwrap_or_default();
    let is_mark = matches!(first, "-" | "*" | "+" | ">" | "#")
        || first.strip_suffix('.').is_some_and(|number| number.parse::<u32>().is_ok())
        // The label of a link's address: `[label]: address`.
        || (first.starts_with('[') && first.ends_with("]:"));
    let rest = words.count();
    if is_mark { rest > 1 } else { rest > 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(format: Format, text: &str) -> Vec<usize> {
        find(format, text).into_iter().map(|finding| finding.line).collect()
    }

    fn wide() -> String {
        "word ".repeat(21).trim_end().to_owned()
    }

    #[test]
    fn the_widest_line_has_a_hundred_columns() {
        let fits = format!("{} {}", "ä".repeat(50), "ö".repeat(49));
        assert_eq!(lines(Format::Markdown, &fits), []);
        let found = find(Format::Markdown, &format!("short\n{fits}x\n"));
        assert_eq!(found, [Finding { line: 2, what: "101 columns; wrap prose at 100".to_owned() }]);
    }

    #[test]
    fn code_blocks_are_no_prose() {
        let wide = wide();
        let text = format!("```sh\n{wide}\n```\n{wide}\n~~~\n```\n{wide}\n~~~\n{wide}\n");
        assert_eq!(lines(Format::Markdown, &text), [4, 9]);
        let longer = format!("````\n```\n{wide}\n```\n````\n");
        assert_eq!(lines(Format::Markdown, &longer), []);
    }

    #[test]
    fn tables_are_no_prose() {
        assert_eq!(lines(Format::Markdown, &format!("| {} |\n", wide())), []);
    }

    #[test]
    fn a_line_without_a_place_to_break_may_be_wide() {
        let link = format!("<https://example.org/{}>", "x".repeat(100));
        for text in [link.clone(), format!("- {link}"), format!("12. {link}"), format!("[page]: {link}")] {
            assert_eq!(lines(Format::Markdown, &text), [], "{text}");
        }
        assert_eq!(lines(Format::Markdown, &format!("See {link}")), [1]);
        assert_eq!(lines(Format::Markdown, &format!("- See {link}")), [1]);
    }

    #[test]
    fn in_rust_comments_are_prose() {
        let wide = wide();
        let text = format!(
            "//! {wide}\n/// {wide}\n    // {wide}\nlet x = \"{wide}\";\n/// | {wide} |\n/// ```\n/// {wide}\n/// ```\n/// {wide}\n"
        );
        assert_eq!(lines(Format::Rust, &text), [1, 2, 3, 9]);
    }

    #[test]
    fn a_code_block_ends_with_its_comment() {
        let wide = wide();
        assert_eq!(lines(Format::Rust, &format!("/// ```\nfn next() {{}}\n/// {wide}\n")), [3]);
    }
}
