//! Named pipes, with tools of the shell as clients.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use serde_json::json;
use wireplug::Listener;
use wireplug_tests::folder::Folder;
use wireplug_tests::within;

use super::{app, app_and_ends, lines, run, serve, try_serve};

fn listener(folder: &Folder) -> Listener {
    Listener::new(&format!("pipe://{}", folder.path("chat").display()), lines())
}

/// Runs a script in the folder, and returns what it prints.
async fn shell(folder: &Folder, script: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(folder.path("."));
    let output = run(command).await;
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Clients connect one after the other. Each opens both pipes, and each gets a session.
#[tokio::test]
async fn clients_come_one_after_the_other() {
    let folder = Folder::new("pipe-clients");
    let (app, mut ends) = app_and_ends();
    let server = serve(app, listener(&folder)).await;
    for n in 0..3 {
        // The last line arrives in two parts.
        let script = format!(
            "cat chat.out & {{ printf '1 echo {n}\\n2 ec'; sleep 0.05; printf 'ho there\\n'; }} > chat.in; wait"
        );
        assert_eq!(shell(&folder, &script).await, format!("1 200 {n}\n2 200 there\n"));
        let end = within("its end", ends.recv()).await.expect("one");
        assert_eq!(end.cause(), "client-closed");
    }
    // The client may open the pipe for reading after it has written.
    assert_eq!(shell(&folder, "printf '1 echo a\\n' > chat.in; cat chat.out").await, "1 200 a\n");
    // A client that opens the pipe and writes nothing is not counted.
    assert_eq!(shell(&folder, ": > chat.in").await, "");
    let kicked = shell(&folder, "cat chat.out & printf -- '- kick\\n' > chat.in; wait").await;
    assert_eq!(kicked, "bye you asked for it\n");
    assert_eq!(within("a stop", server.shutdown()).await.connections_accepted, 5);
}

#[tokio::test]
async fn a_second_client_waits_for_its_turn() {
    let folder = Folder::new("pipe-turn");
    let server = serve(app(), listener(&folder)).await;
    // While the first server has a session, the other one waits at the same pipes.
    let other = serve(app(), listener(&folder)).await;
    let script = "cat chat.out & { printf '1 echo a\\n'; sleep 0.2; printf '2 echo b\\n'; } > chat.in; wait";
    assert_eq!(shell(&folder, script).await, "1 200 a\n2 200 b\n");
    let counts = [server.shutdown().await.connections_accepted, other.shutdown().await.connections_accepted];
    assert_eq!(counts.iter().sum::<u64>(), 1, "{counts:?}");
}

#[tokio::test]
async fn missing_pipes_are_made_and_others_taken_as_they_are() {
    let folder = Folder::new("pipe-made");
    assert_eq!(shell(&folder, "mkfifo -m 602 chat.in").await, "");
    let server = serve(app(), listener(&folder).options(json!({ "mode": "606" }))).await;
    let mode = |name| fs::metadata(folder.path(name)).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!((mode("chat.in"), mode("chat.out")), (0o602, 0o606));
    server.shutdown().await;
    let is_pipe = fs::metadata(folder.path("chat.out")).expect("it stays").file_type().is_fifo();
    assert!(is_pipe);

    fs::remove_file(folder.path("chat.out")).expect("it is there");
    fs::write(folder.path("chat.out"), "precious").expect("a file");
    let listener = listener(&folder).options(json!({ "mode": "606" }));
    let refused = try_serve(app(), listener).await.err().expect("it is no pipe");
    let refused = format!("{refused:#}");
    assert!(refused.starts_with("cannot listen on pipe:///"), "{refused}");
    assert!(
        refused.ends_with("chat.out: there is a file that is no named pipe: remove it, or listen elsewhere")
    );
}

/// Any user who can write to a pipe is a client, and any user who can replace a pipe can act as the
/// server.
#[tokio::test]
async fn pipes_of_others_are_refused() {
    let folder = Folder::new("pipe-others");
    fs::create_dir(folder.path("home")).expect("a directory");
    let set_mode = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is this user's");
    };
    let (home, pipe) = (folder.path("home"), folder.path("home/chat.in"));
    set_mode(&home, 0o755);
    assert_eq!(shell(&folder, "mkfifo home/chat.in home/chat.out").await, "");
    let listener = || Listener::new(&format!("pipe://{}", folder.path("home/chat").display()), lines());
    let refused = async |what: &str| {
        let error = format!("{:#}", try_serve(app(), listener()).await.err().expect("it is refused"));
        assert!(error.starts_with("cannot listen on pipe:///") && error.contains(what), "{error}");
    };
    for mode in [0o666, 0o602] {
        set_mode(&pipe, mode);
        refused("by which more users can write to it than the listener's `mode`, 660, lets in").await;
    }
    // They are accepted if the listener allows it.
    try_serve(app(), listener().options(json!({ "mode": "662" })))
        .await
        .expect("it is so wanted")
        .shutdown()
        .await;
    set_mode(&pipe, 0o660);
    set_mode(&home, 0o777);
    refused("whoever can replace the pipe gets what clients say").await;
    set_mode(&home, 0o1777);
    let server = serve(app(), listener()).await;
    // A pipe that is replaced while the server runs is checked when it is opened.
    let script = "rm home/chat.out && mkfifo -m 666 home/chat.out && { cat home/chat.out & printf '1 echo a\n' > home/chat.in; wait; }";
    assert_eq!(shell(&folder, script).await, "");
    let stats = within("a stop", server.shutdown()).await;
    assert_eq!((stats.connections_accepted, stats.messages_in), (1, 0), "{stats}");

    // Only root can give a pipe to another user. The unit tests of `ownership` test the rule as any
    // user.
    if fs::metadata("/proc/self").expect("/proc is there").uid() == 0 {
        set_mode(&home, 0o755);
        chown(&pipe, Some(1000), None).expect("root may do that");
        refused("the named pipe belongs to the user 1000, and not to 0, who runs this").await;
    }
}
