//! The manifests for Kubernetes.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Configured, TOKENS, at, configured, end, is_taken, list, text, text_at, time, words, yaml};

fn embedded() -> Configured {
    let config = yaml("kubernetes/config.yaml");
    configured("kubernetes", text_at(&config, "/data/wireplug.toml"))
}

fn container(deployment: &Value) -> &Value {
    at(deployment, "/spec/template/spec/containers/0")
}

/// Returns the port of the container with this name.
fn port(container: &Value, name: &str) -> u64 {
    let found = list(container, "/ports").iter().find(|port| port["name"] == name);
    found.and_then(|port| port["containerPort"].as_u64()).unwrap_or_else(|| panic!("there is no port {name}"))
}

/// Returns the value of a variable of the environment.
fn variable<'a>(container: &'a Value, name: &str) -> &'a str {
    let found = list(container, "/env").iter().find(|variable| variable["name"] == name);
    text_at(found.unwrap_or_else(|| panic!("there is no {name}")), "/value")
}

#[test]
fn ports_and_paths_are_those_of_the_configuration() {
    let (configured, deployment) = (embedded(), yaml("kubernetes/deployment.yaml"));
    let container = container(&deployment);
    for (name, wanted) in
        [("clients", configured.clients), ("control", configured.control), ("health", configured.health)]
    {
        assert_eq!(port(container, name), u64::from(wanted), "{name}");
    }
    for (probe, path) in
        [("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")]
    {
        assert_eq!(at(container, &format!("/{probe}/httpGet")), &json!({ "path": path, "port": "health" }));
    }
    assert_eq!(
        variable(container, "WIREPLUG_CONTROL"),
        format!("http://127.0.0.1:{}", port(container, "control"))
    );
    assert_eq!(variable(container, "WIREPLUG_TOKEN_FILE"), format!("{TOKENS}/tokens"));
    let service = yaml("kubernetes/service.yaml");
    assert_eq!(
        list(&service, "/spec/ports"),
        &[json!({ "name": "clients", "port": configured.clients, "targetPort": "clients" })]
    );
    let monitor = yaml("kubernetes/pod-monitor.yaml");
    assert_eq!(
        list(&monitor, "/spec/podMetricsEndpoints"),
        &[json!({
            "port": "control",
            "path": "/metrics",
            "authorization": { "credentials": { "name": "wireplug", "key": "prometheus.token" } },
        })]
    );
}

#[test]
fn its_commands_are_those_of_the_program() {
    let deployment = yaml("kubernetes/deployment.yaml");
    let container = container(&deployment);
    is_taken(&words(&container["args"]));
    let drain = words(at(container, "/lifecycle/preStop/exec/command"));
    assert_eq!(drain[..3], ["wireplug", "drain", "--wait"]);
    is_taken(&drain[1..]);
    // What is mounted has the configuration, the tokens and the cache.
    let mounts = list(container, "/volumeMounts");
    let mounted = |path: &Path| mounts.iter().any(|mount| mount["mountPath"] == path.to_str().unwrap_or(""));
    let file = container["args"][1].as_str().expect("it has a configuration");
    for path in
        [Path::new(file).parent().expect("a folder"), Path::new(TOKENS), Path::new("/var/cache/wireplug")]
    {
        assert!(mounted(path), "{}", path.display());
    }
    for mount in mounts {
        let volumes = list(&deployment, "/spec/template/spec/volumes");
        assert!(volumes.iter().any(|volume| volume["name"] == mount["name"]), "{mount}");
        assert!(mount.get("subPath").is_none(), "a file of a subPath never changes: {mount}");
    }
}

/// A pod has the time to drain, and another one is ready before.
#[test]
fn a_rolling_update_drains() {
    let (configured, deployment) = (embedded(), yaml("kubernetes/deployment.yaml"));
    let wait = words(at(container(&deployment), "/lifecycle/preStop/exec/command")).pop().expect("a time");
    let grace = at(&deployment, "/spec/template/spec/terminationGracePeriodSeconds").as_u64();
    let grace = Duration::from_secs(grace.expect("a number"));
    assert!(configured.config.server.drain_spread > Duration::ZERO);
    assert!(grace > time(&wait) + end(&configured.config), "{grace:?}");
    assert_eq!(
        at(&deployment, "/spec/strategy"),
        &json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } })
    );
    assert_eq!(at(&yaml("kubernetes/disruption-budget.yaml"), "/spec/maxUnavailable"), 1);
}

#[test]
fn all_select_the_same_pods() {
    let deployment = yaml("kubernetes/deployment.yaml");
    let labels = at(&deployment, "/spec/template/metadata/labels");
    assert_eq!(at(&deployment, "/spec/selector/matchLabels"), labels);
    assert_eq!(at(&yaml("kubernetes/service.yaml"), "/spec/selector"), labels);
    for name in ["disruption-budget", "pod-monitor"] {
        let manifest = yaml(&format!("kubernetes/{name}.yaml"));
        assert_eq!(at(&manifest, "/spec/selector/matchLabels"), labels, "{name}");
    }
    // The alerts select the job by the value of this label.
    let label = yaml("kubernetes/pod-monitor.yaml");
    assert_eq!(labels[text_at(&label, "/spec/jobLabel")], "wireplug");
}

#[test]
fn its_user_is_that_of_the_image() {
    let deployment = yaml("kubernetes/deployment.yaml");
    let security = at(&deployment, "/spec/template/spec/securityContext");
    let user = security["runAsUser"].as_u64().expect("a number");
    assert!(text("Dockerfile").contains(&format!("\nUSER {user}:{user}\n")));
    assert!(text("Dockerfile").matches(&format!("--chown={user}:{user} ")).count() == 2);
    assert_eq!([&security["runAsGroup"], &security["fsGroup"]], [user, user]);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(container(&deployment)["image"], format!("wireplug:{version}"));
}
