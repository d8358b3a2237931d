//! The control API on a Unix socket, where the kernel tells the client's user.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::{Running, command, file, finish, noted, text_of};

/// A folder of a test with a short path, as sockets want it. Gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wp-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::DirBuilder::new().mode(0o755).create(&path).expect("a folder can be made");
        Self(path)
    }

    /// A command whose default socket is in this folder.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.env("XDG_RUNTIME_DIR", &self.0);
        command
    }

    fn serve(&self, arguments: &[&str]) -> Running {
        let running = Running::spawn(&mut self.command(&[&["serve"], arguments].concat()));
        while !running.line().trim().starts_with("process ") {}
        running
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const SERVE: [&str; 3] = ["--listen", "tcp://127.0.0.1:0", "--control"];

#[test]
fn it_is_the_default_of_the_server_and_of_the_commands() {
    let folder = Folder::new("default");
    let why = finish(&mut folder.command(&["codec", "list"])).expect_err("there is no server");
    assert!(why.contains("start the server with `wireplug serve --control`"), "{why}");
    let mut server = folder.serve(&SERVE);
    let socket = folder.0.join("wireplug/control.sock");
    let mode = |path: &PathBuf| fs::metadata(path).expect("it is there").mode() & 0o777;
    assert_eq!((mode(&socket), mode(&folder.0.join("wireplug"))), (0o600, 0o700));
    for arguments in [
        &["codec", "list"][..],
        &["status"],
        &["codec", "list", "--control", &format!("unix://{}", socket.display())],
    ] {
        let said = finish(&mut folder.command(arguments)).expect("the server answers");
        assert!(said.contains("pomelo"), "{said}");
    }
    let next = file("socket-next.wasm", noted("socket"));
    finish(&mut folder.command(&["codec", "swap", "pomelo", text_of(&next)])).expect("it is taken");
    let line = server.logged("a codec was changed");
    let own = fs::metadata(&socket).expect("it is there").uid();
    assert!(line.contains(&format!("who=\"uid:{own}\" role=\"change\"")), "{line}");

    // A second server, which says whose the socket is and what to do.
    let why =
        finish(&mut folder.command(&[&["serve"], &SERVE[..]].concat())).expect_err("the socket is taken");
    assert!(why.contains(&format!("process {}", server.child.id())), "{why}");
    assert!(why.contains("--control unix:///PATH"), "{why}");
    server.signal("TERM");
    server.child.wait().expect("it ends");
    assert!(!socket.exists(), "its socket is gone with it");
}

#[test]
fn the_socket_of_a_dead_server_is_replaced() {
    let folder = Folder::new("dead");
    let url = format!("unix://{}", folder.0.join("own.sock").display());
    let serve = [&SERVE[..], &[&url]].concat();
    let mut dead = folder.serve(&serve);
    dead.child.kill().expect("it runs");
    dead.child.wait().expect("it ends");
    assert!(folder.0.join("own.sock").exists());
    let _server = folder.serve(&serve);
    finish(&mut folder.command(&["codec", "list", "--control", &url])).expect("the new server answers");
}

#[test]
fn a_folder_that_others_can_enter_is_not_trusted() {
    let folder = Folder::new("open");
    fs::DirBuilder::new().mode(0o755).create(folder.0.join("wireplug")).expect("it can be made");
    for arguments in [&[&["serve"], &SERVE[..]].concat()[..], &["codec", "list"]] {
        let why = finish(&mut folder.command(arguments)).expect_err("the folder is open");
        assert!(why.contains("other users can enter it (mode 755)"), "{why}");
    }
}

/// Other users need root to be played; without it only the decision is tested, in `admin::access`.
#[test]
fn other_users_have_the_role_that_is_configured_or_none() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root can run a command as another user");
        return;
    }
    let folder = Folder::new("users");
    // The tests' own folder may be closed to other users.
    let program = folder.0.join("wireplug-copy");
    fs::copy(env!("CARGO_BIN_EXE_wireplug"), &program).expect("it can be copied");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let socket = format!("unix://{}", folder.0.join("control.sock").display());
    let config = format!(
        "app = 'demo'
        [codecs.pomelo]
        builtin = 'pomelo'
        [[listeners]]
        url = 'tcp://127.0.0.1:0'
        codec = 'pomelo'
        [control]
        listen = '{socket}'
        allow = [{{ uid = 64001, role = 'read' }}, {{ uid = 64002, role = 'change' }}]"
    );
    let server = folder.serve(&[text_of(&file("socket-users.toml", config))]);
    let run = |uid: u32, arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(["codec"]).args(arguments).args(["--control", &socket]);
        finish(command.uid(uid).gid(uid).current_dir(&folder.0).env("NO_COLOR", "1"))
    };
    assert!(run(64001, &["list"]).expect("it may read").contains("pomelo"));
    let why = run(64001, &["rollback", "pomelo"]).expect_err("it may only read");
    assert!(why.contains("needs the role `change`"), "{why}");
    assert!(server.logged("a change of a codec was refused").contains("who=\"uid:64001\""));
    // It may, and there is nothing to go back to.
    let why = run(64002, &["rollback", "pomelo"]).expect_err("there is one generation");
    assert!(why.contains("no generation to go back to"), "{why}");
    let why = run(64003, &["list"]).expect_err("nobody has named this user");
    assert!(why.contains("the user 64003 may not use this control API"), "{why}");
    assert!(server.logged("the control API refuses a request").contains("uid=64003"));
}
