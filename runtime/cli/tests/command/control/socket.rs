//! The control API on a Unix socket, on which the kernel names the client's user.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use wireplug_tests::folder::Folder;
use wireplug_tests::running::{Signal, finish};
use wireplug_tests::served::Served;

use super::{file, noted, text_of};
use crate::program::{PROGRAM, wireplug};

/// Returns a command whose default socket is in this folder.
fn command(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = wireplug(arguments);
    command.env("XDG_RUNTIME_DIR", folder.root());
    command
}

/// Runs a command. Returns its standard output if it succeeds, and its standard error otherwise.
fn run(folder: &Folder, arguments: &[&str]) -> Result<String, String> {
    finish(&mut command(folder, arguments)).result()
}

fn serve(folder: &Folder, arguments: &[&str]) -> Served {
    Served::start(command(folder, &["serve"]).args(arguments))
}

const SERVE: [&str; 3] = ["--listen", "tcp://127.0.0.1:0", "--control"];

#[test]
fn it_is_the_default_of_the_server_and_of_the_commands() {
    let folder = Folder::new("socket-default");
    let why = run(&folder, &["codec", "list"]).expect_err("there is no server");
    assert!(why.contains("start the server with `wireplug serve --control`"), "{why}");
    let mut server = serve(&folder, &SERVE);
    let socket = folder.path("wireplug/control.sock");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o777;
    assert_eq!((mode(&socket), mode(&folder.path("wireplug"))), (0o600, 0o700));
    for arguments in [
        &["codec", "list"][..],
        &["status"],
        &["codec", "list", "--control", &format!("unix://{}", socket.display())],
    ] {
        let said = run(&folder, arguments).expect("the server answers");
        assert!(said.contains("pomelo"), "{said}");
    }
    let next = file("socket-next.wasm", noted("socket"));
    run(&folder, &["codec", "swap", "pomelo", text_of(&next)]).expect("it is taken");
    let line = server.logged("a codec was changed");
    let own = fs::metadata(&socket).expect("it is there").uid();
    assert!(line.contains(&format!("who=\"uid:{own}\" roles=\"admin\"")), "{line}");

    // A second server refuses to start, and names the process that has the socket and what to do.
    let why = run(&folder, &[&["serve"], &SERVE[..]].concat()).expect_err("the socket is taken");
    assert!(why.contains(&format!("process {}", server.pid())), "{why}");
    assert!(why.contains("--control unix:///PATH"), "{why}");
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    assert!(!socket.exists(), "its socket is gone with it");
}

#[test]
fn the_socket_of_a_dead_server_is_replaced() {
    let folder = Folder::new("socket-dead");
    let url = format!("unix://{}", folder.path("own.sock").display());
    let arguments = [&SERVE[..], &[&url]].concat();
    let mut dead = serve(&folder, &arguments);
    dead.kill();
    assert!(folder.path("own.sock").exists());
    let _server = serve(&folder, &arguments);
    run(&folder, &["codec", "list", "--control", &url]).expect("the new server answers");
}

#[test]
fn a_folder_that_others_can_enter_is_not_trusted() {
    let folder = Folder::new("socket-open");
    fs::DirBuilder::new().mode(0o755).create(folder.path("wireplug")).expect("it can be made");
    for arguments in [&[&["serve"], &SERVE[..]].concat()[..], &["codec", "list"]] {
        let why = run(&folder, arguments).expect_err("the folder is open");
        assert!(why.contains("other users can enter it (mode 755)"), "{why}");
    }
}

/// Only root can run a command as another user. `cargo xtask test` skips this test where that is
/// not possible, and reports that. The tests of `admin::access` check only the decision.
#[test]
fn other_users_have_the_role_that_is_configured_or_none() {
    assert!(rustix::process::geteuid().is_root(), "only root can run a command as another user");
    let folder = Folder::new("socket-users");
    // Other users may not be able to enter the folder of the tests.
    let program = folder.path("wireplug-copy");
    fs::copy(PROGRAM, &program).expect("it can be copied");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let socket = format!("unix://{}", folder.path("control.sock").display());
    let config = format!(
        "app = 'demo'
        [codecs.pomelo]
        builtin = 'pomelo'
        [[listeners]]
        url = 'tcp://127.0.0.1:0'
        codec = 'pomelo'
        [control]
        listen = '{socket}'
        allow = [{{ uid = 64001, roles = ['read'] }}, {{ uid = 64002, roles = ['push', 'swap'] }}]"
    );
    let server = serve(&folder, &[text_of(&file("socket-users.toml", config))]);
    let run_as = |uid: u32, arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(["codec"]).args(arguments).args(["--control", &socket]);
        finish(command.uid(uid).gid(uid).current_dir(folder.root())).result()
    };
    assert!(run_as(64001, &["list"]).expect("it may read").contains("pomelo"));
    let why = run_as(64001, &["rollback", "pomelo"]).expect_err("it may only read");
    assert!(why.contains("needs the role `swap`"), "{why}");
    assert!(server.logged("a change of a codec was refused").contains("who=\"uid:64001\""));
    // This user may roll back, but there is no previous generation.
    let why = run_as(64002, &["rollback", "pomelo"]).expect_err("there is one generation");
    assert!(why.contains("no generation to go back to"), "{why}");
    let why = run_as(64003, &["list"]).expect_err("nobody has named this user");
    assert!(why.contains("the user 64003 may not use this control API"), "{why}");
    assert!(server.logged("the control API refuses a request").contains("uid=64003"));
}
