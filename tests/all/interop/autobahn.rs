//! The whole Autobahn test suite. Its verdicts are compared with those in `docs/autobahn.md`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use wireplug_tests::app;
use wireplug_tests::server::{self, Setup, setup};

use super::{PYTHON, run};
use crate::connectors::rfc6455;

/// If this environment variable is 1, the test writes the page.
const UPDATE: &str = "WIREPLUG_UPDATE";

/// The line of the page where the generated part begins. The part above it is written by hand.
const MARK: &str =
    "<!-- From here on written by the suite: WIREPLUG_UPDATE=1 cargo xtask peers -- interop::autobahn -->\n";

/// The verdicts with which a case passes. `UNIMPLEMENTED` is the verdict on an extension that the
/// server does not offer.
const PASSES: [&str; 4] = ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"];

/// What the script prints of a case.
#[derive(Deserialize)]
struct Case {
    case: String,
    titles: Vec<String>,
    messages: String,
    close: String,
    reasons: [String; 2],
}

/// Text comes back as text, and binary as binary, on one listener.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_suite_has_the_verdicts_of_the_page() {
    /// The suite sends messages of up to 16 MiB.
    const LARGEST: usize = 16 << 20;
    let long = Duration::from_secs(60);
    let mut setup = Setup { url: "ws://127.0.0.1:0", ..setup() };
    setup.codec.max_packet = LARGEST;
    setup.codec.memory = 16 * LARGEST;
    setup.codec.call_cpu = long;
    setup.codec.slow_calls = 1000;
    (setup.codec.session_cpu, setup.codec.total_cpu) = (0, 0);
    (setup.client.high_water, setup.client.max_outbox) = (2 * LARGEST, 2 * LARGEST);
    // The suite opens a connection for each case, one after the other.
    setup.server.max_connections = 4;
    let server = server::serve(app::with_guests(), setup, [rfc6455::echo()]).await;
    let address = server.address(0).to_owned();
    let printed = tokio::task::spawn_blocking(move || run(PYTHON, "autobahn.py", &address, &[]));
    let printed = printed.await.expect("no panic").into_iter();
    let cases: Vec<Case> = printed.map(|case| serde_json::from_value(case).expect("a case")).collect();
    server.shutdown().await;

    let failed = |case: &&Case| [&case.messages, &case.close].iter().any(|it| !PASSES.contains(&it.as_str()));
    let explained =
        |case: &Case| format!("{}: {}, {}: {:?}", case.case, case.messages, case.close, case.reasons);
    let failed: Vec<_> = cases.iter().filter(failed).map(explained).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/autobahn.md");
    let page = std::fs::read_to_string(&path).expect("the page can be read");
    let (by_hand, committed) = page.split_once(MARK).expect("the page has the mark");
    let table = table(&cases);
    if std::env::var(UPDATE).is_ok_and(|update| update == "1") {
        std::fs::write(&path, format!("{by_hand}{MARK}{table}")).expect("the page can be written");
    } else {
        assert_eq!(committed, table, "docs/autobahn.md has other verdicts; {UPDATE}=1 writes these");
    }
}

/// Returns the table of the page. A row has cases of one section that follow each other with the
/// same verdicts.
fn table(cases: &[Case]) -> String {
    let count = |verdict: &str| cases.iter().filter(|case| case.messages == verdict).count();
    let counts = PASSES.map(|verdict| format!("{} {verdict}", count(verdict))).join(", ");
    let mut table = format!(
        "\nOf {} cases: {counts}.\n\n| cases | section | messages | close |\n|---|---|---|---|\n",
        cases.len()
    );
    let like = |one: &Case, other: &Case| {
        (&one.titles, &one.messages, &one.close) == (&other.titles, &other.messages, &other.close)
    };
    for row in cases.chunk_by(like) {
        let (first, last) = (&row[0], &row[row.len() - 1]);
        let numbers = match row.len() {
            1 => first.case.clone(),
            _ => format!("{} to {}", first.case, last.case),
        };
        let titles = first.titles.join(": ");
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {numbers} | {titles} | {} | {} |", first.messages, first.close);
    }
    table
}
