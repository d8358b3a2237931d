//! The tools of others take the files of `docs/deploy`, and systemd runs the service.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use wireplug_tests::folder::Folder;
use wireplug_tests::running::{Finished, PATIENCE, Signal, finish, send, wait_until};
use wireplug_tests::served::Served;

use super::{path, text};
use crate::program::PROGRAM;

/// Returns the folder with the packages of npm and PyPI.
fn peers() -> PathBuf {
    let folder = std::env::var_os("WIREPLUG_PEERS_DIR").expect("`cargo xtask peers` sets it");
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder)
}

/// Checks that a tool finds nothing to say about correct files.
#[track_caller]
fn is_silent(command: &mut Command) {
    let Finished { code, output, errors } = finish(command);
    assert_eq!((code, &*output, &*errors), (Some(0), "", ""));
}

#[test]
fn systemd_analyze_takes_the_units() {
    let folder = Folder::new("deploy-units");
    for unit in ["wireplug.service", "wireplug.socket"] {
        // The program must be there.
        let text = text(&format!("systemd/{unit}")).replace("/usr/local/bin/wireplug", PROGRAM);
        folder.write(unit, text);
    }
    let analyze = |arguments: &[&str], unit: &str| {
        let mut command = Command::new("systemd-analyze");
        command.args(arguments).arg(folder.path(unit));
        command
    };
    for unit in ["wireplug.service", "wireplug.socket"] {
        is_silent(&mut analyze(&["verify", "--man=no"], unit));
    }
    // 10 is a service without any hardening.
    let exposed = finish(&mut analyze(&["security", "--offline=true", "--threshold=25"], "wireplug.service"));
    exposed.result().expect("the service is hardened");
}

/// systemd starts the service with its socket, reloads it, replaces it when it hangs, and stops it,
/// with all of the hardening.
#[test]
fn systemd_runs_the_service() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        listener.local_addr().expect("it is bound").port().to_string()
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/command/deploy/service.sh");
    let mut command = match rustix::process::geteuid().is_root() {
        true => Command::new("env"),
        false => Command::new("sudo"),
    };
    command.args(["sh", script, PROGRAM]);
    let printed = finish(command.arg(path("systemd")).arg(port)).printed();
    assert_eq!(
        printed.lines().collect::<Vec<_>>(),
        [
            r#"{"hello":"wörld"}"#,
            "status: 0 sessions, 1 listener",
            "CapEff:\t0000000000000000",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
            "reloaded: active",
            "a wrong reload fails: active",
            "upgraded: active, process that was said",
            r#"{"hello":"again"}"#,
            "restarts: 1",
            "stopped: success",
        ]
    );
}

/// Returns the processes that a process has started and not waited for.
fn children(process: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let children = children.expect("it runs");
    children.split_whitespace().map(|child| child.parse().expect("a number")).collect()
}

/// As the first process of a container, it handles its signals and leaves no zombies.
#[test]
fn it_can_be_the_first_process_of_a_container() {
    let folder = Folder::new("deploy-first");
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    // Nothing is compiled yet, so the start compiles.
    command
        .args([PROGRAM, "serve", "--listen", "tcp://127.0.0.1:0"])
        .env("XDG_CACHE_HOME", folder.path("cache"));
    let mut server = Served::start(&mut command);
    let [first] = children(server.pid())[..] else { panic!("it has started the server") };
    let status = fs::read_to_string(format!("/proc/{first}/status")).expect("it runs");
    let inside = status.lines().find(|line| line.starts_with("NSpid:")).expect("it has a number inside");
    assert!(inside.ends_with("\t1"), "{inside}");
    wait_until("all that compiled is gone", PATIENCE, || children(first).is_empty());
    send(first, Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn the_schemas_of_kubernetes_take_the_manifests() {
    for name in ["config", "deployment", "service", "disruption-budget"] {
        let mut command = Command::new(peers().join("venv/bin/kubernetes-validate"));
        command.args(["--strict", "--quiet"]).arg(path(&format!("kubernetes/{name}.yaml")));
        let Finished { code, output, errors } = finish(&mut command);
        assert_eq!(code, Some(0), "{name}: {output}{errors}");
    }
}

#[test]
fn dockerfile_utils_takes_the_dockerfile() {
    let mut node = Command::new("node");
    node.args([
        "-e",
        "const { validate } = require('dockerfile-utils'); \
        const found = validate(require('fs').readFileSync(process.argv[1], 'utf8')); \
        if (found.length > 0) console.log(JSON.stringify(found))",
    ]);
    is_silent(node.arg(path("Dockerfile")));
}

#[test]
fn promtool_takes_the_configuration_of_prometheus() {
    let folder = Folder::new("deploy-prometheus");
    folder.write_secret("prometheus.token", "0123456789abcdef");
    fs::copy(path("../prometheus/alerts.yml"), folder.path("alerts.yml")).expect("there are alerts");
    let config =
        text("compose/prometheus.yml").replace("/etc/prometheus", &folder.root().display().to_string());
    let file = folder.write("prometheus.yml", config);
    finish(Command::new("promtool").args(["check", "config"]).arg(file)).result().expect("it is right");
}
