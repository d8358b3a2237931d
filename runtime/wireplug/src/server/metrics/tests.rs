//! The metrics against what is written about them: the documentation, the dashboard and the alerts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::families::Family;
use super::{Families, MetricsFormat, families};
use crate::codec::NativePomelo;
use crate::config::ServerConfig;
use crate::{App, CodecSource, Server};

/// If this environment variable is 1, the test writes the table of the page.
const UPDATE: &str = "WIREPLUG_UPDATE";

/// The lines of the page around the table.
const BEGIN: &str = "<!-- Written from the metrics: WIREPLUG_UPDATE=1 cargo test -p wireplug metrics -->\n\n";
const END: &str = "\n<!-- The end of the table that is written from the metrics -->\n";

fn docs(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(docs(file)).unwrap_or_else(|error| panic!("docs/{file}: {error}"))
}

/// Returns all metrics, of a server that has just started.
async fn all() -> Families {
    let codec = NativePomelo::new("{}").expect("the options are good");
    let server = Server::new(App::new()).listen("tcp://127.0.0.1:0", CodecSource::native(Arc::new(codec)));
    // The default reserves addresses for many sandboxes, for each of the tests that run at a time.
    let server = server.config(ServerConfig { max_connections: 8, ..ServerConfig::default() });
    let server = server.start().await.expect("it starts");
    let families = families(&server.0);
    server.shutdown().await;
    families
}

#[tokio::test]
async fn the_page_has_all_metrics() {
    let page = read("observability.md");
    let (before, rest) = page.split_once(BEGIN).expect("the page has the beginning of the table");
    let (committed, after) = rest.split_once(END).expect("the page has the end of the table");
    let rows: String = all().await.all().iter().map(Family::row).collect();
    let table = format!("| metric | type | labels | unit | what it is |\n|---|---|---|---|---|\n{rows}");
    if std::env::var(UPDATE).is_ok_and(|update| update == "1") {
        let page = format!("{before}{BEGIN}{table}{END}{after}");
        std::fs::write(docs("observability.md"), page).expect("the page can be written");
    } else {
        assert!(committed == table, "docs/observability.md is not up to date: {UPDATE}=1 writes it");
    }
}

#[tokio::test]
async fn the_dashboard_and_the_alerts_use_metrics_that_there_are() {
    let known: BTreeSet<_> = all().await.all().iter().map(Family::full_name).collect();
    for file in ["grafana/wireplug.json", "prometheus/alerts.yml"] {
        let text = read(file);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: BTreeSet<_> =
            words.filter(|word| word.starts_with("wireplug_") || word.starts_with("process_")).collect();
        assert!(names.len() > 10, "docs/{file} has hardly any metrics: {names:?}");
        for name in names {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|ending| name.strip_suffix(ending));
            let is_known = known.contains(name) || family.is_some_and(|family| known.contains(family));
            assert!(is_known, "docs/{file} uses {name}, which is no metric");
        }
    }
}

/// A name twice would make the whole text invalid.
#[tokio::test]
async fn names_are_unique_and_follow_the_conventions() {
    let families = all().await;
    let mut names = BTreeSet::new();
    for family in families.all() {
        let name = family.full_name();
        assert!(name.starts_with("wireplug_") || name.starts_with("process_"), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert!(names.insert(name.clone()), "there are two metrics {name}");
    }
}

#[tokio::test]
async fn both_formats_have_the_same_values() {
    let plain = all().await.text(MetricsFormat::Prometheus);
    let open = all().await.text(MetricsFormat::OpenMetrics);
    assert!(plain.contains("# TYPE wireplug_connections_accepted_total counter\n"), "{plain}");
    assert!(open.contains("# TYPE wireplug_connections_accepted counter\n"), "{open}");
    assert!(open.contains("# UNIT process_cpu_seconds seconds\n") && open.ends_with("# EOF\n"), "{open}");
    for text in [plain, open] {
        assert!(text.contains("\nwireplug_sessions 0\n"), "{text}");
        assert!(text.contains("wireplug_connections_accepted_total{listener=\"tcp://127.0.0.1:"), "{text}");
        assert!(text.contains(concat!(
            "wireplug_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1\n"
        )));
        let times =
            "wireplug_codec_time_seconds_count{codec=\"pomelo\",generation=\"1\",step=\"decode\"} 0\n";
        assert!(text.contains(times), "{text}");
    }
}
