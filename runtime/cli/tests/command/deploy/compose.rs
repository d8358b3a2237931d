//! The compose file.

use serde_json::json;

use super::{DOCS, TOKENS, at, configured, end, in_image, list, path, text, text_at, time, words, yaml};

const FILE: &str = "compose/compose.yaml";

#[test]
fn it_goes_with_its_configuration() {
    let compose = yaml(FILE);
    let configured = configured("compose", &text("compose/wireplug/wireplug.toml"));
    let service = at(&compose, "/services/wireplug");
    assert_eq!(text_at(service, "/image"), format!("wireplug:{}", env!("CARGO_PKG_VERSION")));
    let ports = words(at(service, "/ports"));
    let (clients, health) = (configured.clients, configured.health);
    assert_eq!(ports, [format!("{clients}:{clients}"), format!("127.0.0.1:{health}:{health}")]);
    assert_eq!(
        at(service, "/environment"),
        &json!({
            "WIREPLUG_CONTROL": format!("http://127.0.0.1:{}", configured.control),
            "WIREPLUG_TOKEN_FILE": format!("{TOKENS}/tokens"),
        })
    );
    let grace = time(text_at(service, "/stop_grace_period"));
    assert!(grace > end(&configured.config), "{grace:?}");
    let files = at(service, "/ulimits/nofile").as_u64().expect("a number");
    assert!(files >= u64::from(configured.config.server.max_connections) + 200, "{files}");
    // What the process writes to is a volume, since all else is read-only.
    let volumes = words(at(service, "/volumes"));
    assert!(volumes.contains(&format!("./secrets:{TOKENS}:ro")), "{volumes:?}");
    assert!(volumes.contains(&"compiled:/var/cache/wireplug".to_owned()), "{volumes:?}");
    assert!(text("Dockerfile").contains("ENV XDG_CACHE_HOME=/var/cache/wireplug "));
    let file = in_image("CMD").pop().expect("the image has a configuration");
    assert_eq!(file, "/etc/wireplug/wireplug.toml");
    assert!(volumes.contains(&"./wireplug:/etc/wireplug:ro".to_owned()), "{volumes:?}");
    // The server waits for NATS under its name in this file.
    let nats = configured.config.nats.as_ref().expect("it has services");
    assert_eq!(nats.servers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["nats://nats:4222"]);
    assert_eq!(text_at(service, "/depends_on/nats/condition"), "service_healthy");
    at(&compose, "/services/nats/healthcheck/test");
}

#[test]
fn the_paths_of_the_repository_are_there() {
    let compose = yaml(FILE);
    let folder = path("compose");
    let context = folder.join(text_at(&compose, "/services/wireplug/build/context"));
    assert!(context.join(text_at(&compose, "/services/wireplug/build/dockerfile")).is_file());
    let mut seen = 0;
    for service in ["wireplug", "prometheus"] {
        for volume in words(at(&compose, &format!("/services/{service}/volumes"))) {
            let (outside, _) = volume.split_once(':').expect("it has two ends");
            if outside.starts_with("./secrets") {
                continue;
            }
            match outside.starts_with('.') {
                true => assert!(folder.join(outside).exists(), "{outside}"),
                false => assert!(compose["volumes"].get(outside).is_some(), "{outside}"),
            }
            seen += 1;
        }
    }
    assert!(seen > 4, "only {seen} volumes were found");
}

#[test]
fn prometheus_reads_the_metrics() {
    let prometheus = yaml("compose/prometheus.yml");
    let control = configured("compose-prometheus", &text("compose/wireplug/wireplug.toml")).control;
    let [job] = &list(&prometheus, "/scrape_configs")[..] else { panic!("it has one job") };
    // The name that the alerts want.
    assert_eq!(job["job_name"], "wireplug");
    let alerts = std::fs::read_to_string(format!("{DOCS}/prometheus/alerts.yml")).expect("there are alerts");
    assert!(alerts.contains(r#"job="wireplug""#));
    assert_eq!(job["static_configs"][0]["targets"], json!([format!("wireplug:{control}")]));
    let mounted = words(at(&yaml(FILE), "/services/prometheus/volumes")).join("\n");
    for inside in [text_at(job, "/authorization/credentials_file"), text_at(&prometheus, "/rule_files/0")] {
        assert!(mounted.contains(&format!(":{inside}:ro")), "{inside}");
    }
}
