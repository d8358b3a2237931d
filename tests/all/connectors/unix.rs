//! Unix domain sockets.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as StdListener;
use std::process::Command;

use serde_json::json;
use tokio::net::UnixStream;
use wireplug::{Listener, Session};
use wireplug_tests::folder::Folder;

use super::{LineClient, app, lines, run, serve, try_serve};

fn listener(folder: &Folder) -> Listener {
    Listener::new(&format!("unix://{}", folder.path("socket").display()), lines())
}

async fn connect(folder: &Folder) -> LineClient<UnixStream> {
    LineClient::over(UnixStream::connect(folder.path("socket")).await.expect("it listens"))
}

#[tokio::test]
async fn a_client_is_known_by_its_user() {
    let folder = Folder::new("unix-user");
    let app = app().route("who", |session: Session| async move {
        let client = session.client();
        let attributes: Vec<_> =
            client.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        bytes::Bytes::from(format!("{} {:?} {}", client.transport, client.address, attributes.join(" ")))
    });
    let server = serve(app, listener(&folder)).await;
    let mut client = connect(&folder).await;
    let own = fs::metadata(folder.path("socket")).expect("it is there");
    let (uid, gid) = (std::os::unix::fs::MetadataExt::uid(&own), std::os::unix::fs::MetadataExt::gid(&own));
    let pid = if cfg!(target_os = "linux") { format!(" pid={}", std::process::id()) } else { String::new() };
    assert_eq!(client.ask("1 who").await, format!("1 200 unix \"\" uid={uid} gid={gid}{pid}"));
    server.shutdown().await;
}

/// A client without any code of this project.
#[tokio::test]
async fn python_over_a_unix_socket() {
    let folder = Folder::new("unix-python");
    let server = serve(app(), listener(&folder)).await;
    let program = "import socket, sys\n\
                   s = socket.socket(socket.AF_UNIX)\n\
                   s.connect(sys.argv[1])\n\
                   s.sendall(b'1 echo hel'); s.sendall(b'lo\\n2 echo world\\n- kick\\n')\n\
                   sys.stdout.write(s.makefile().read())\n";
    let mut client = Command::new("python3");
    client.args(["-c", program]).arg(folder.path("socket"));
    let output = run(client).await;
    let heard = String::from_utf8_lossy(&output.stdout);
    assert_eq!(heard, "1 200 hello\n2 200 world\nbye you asked for it\n", "{output:?}");
    server.shutdown().await;
}

#[tokio::test]
async fn the_mode_says_who_may_connect() {
    for (options, mode) in
        [(json!({}), 0o660), (json!({ "mode": "600" }), 0o600), (json!({ "mode": "0777" }), 0o777)]
    {
        let folder = Folder::new("unix-mode");
        let server = serve(app(), listener(&folder).options(options)).await;
        let metadata = fs::metadata(folder.path("socket")).expect("it is there");
        assert_eq!(metadata.permissions().mode() & 0o7777, mode);
        server.shutdown().await;
        assert!(!folder.path("socket").exists(), "it is removed at the end");
    }
    let folder = Folder::new("unix-mode");
    for mode in ["rw", "1777", "888"] {
        let refused = try_serve(app(), listener(&folder).options(json!({ "mode": mode }))).await.err();
        let refused = format!("{:#}", refused.expect("no mode"));
        assert!(refused.contains("is no mode: three octal digits, as \"660\""), "{refused}");
    }
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let folder = Folder::new("unix-stale");
    // The socket file remains when its listener is dropped.
    drop(StdListener::bind(folder.path("socket")).expect("it is free"));
    assert!(folder.path("socket").exists());
    let server = serve(app(), listener(&folder)).await;

    let refused = try_serve(app(), listener(&folder)).await.err().expect("it is taken");
    let refused = format!("{refused:#}");
    assert!(refused.starts_with("cannot listen on unix:///"), "{refused}");
    assert!(refused.contains("socket: another server listens there, process "), "{refused}");
    assert_eq!(connect(&folder).await.ask("1 echo on").await, "1 200 on", "it goes on");
    server.shutdown().await;

    fs::write(folder.path("socket"), "precious").expect("a file");
    let refused = try_serve(app(), listener(&folder)).await.err().expect("no socket");
    assert!(format!("{refused:#}").contains("a file that is no socket: remove it, or listen elsewhere"));
    assert_eq!(fs::read(folder.path("socket")).expect("it is there"), b"precious");
}

/// The server does not remove a file that another program has put in the socket's place.
#[tokio::test]
async fn a_file_that_took_its_place_stays() {
    let folder = Folder::new("unix-replaced");
    let server = serve(app(), listener(&folder)).await;
    fs::remove_file(folder.path("socket")).expect("it is there");
    fs::write(folder.path("socket"), "another's").expect("a file");
    server.shutdown().await;
    assert!(folder.path("socket").exists());
}

#[tokio::test]
async fn a_relative_path_is_refused() {
    let refused =
        try_serve(app(), Listener::new("unix://run/socket", lines())).await.err().expect("relative");
    let refused = format!("{refused:#}");
    assert_eq!(refused, "unix://run/socket: the path must be absolute: unix:// and then a third slash");
}
