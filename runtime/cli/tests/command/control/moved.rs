//! The addresses of the control API and of health checks move to another server, as they do when
//! another process takes the place of this one.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use wireplug::admin::{ControlApi, HealthListener};
use wireplug::config::{ControlAddress, ControlConfig, HealthConfig, ServerConfig};
use wireplug::{App, CodecSource, Health, InheritedSockets, RunningServer, Server};
use wireplug_tests::folder::Folder;
use wireplug_tests::running::PATIENCE;

async fn server(codec: &str) -> Arc<RunningServer> {
    let source = CodecSource::pomelo(json!({})).named(codec);
    // A small number, so that several servers have room in this process.
    let config = ServerConfig { max_connections: 4, ..ServerConfig::default() };
    let server = Server::new(App::new()).config(config).listen(&format!("memory://moved-{codec}"), source);
    Arc::new(server.start().await.expect("it starts"))
}

fn spawn(api: ControlApi, server: &Arc<RunningServer>) {
    let server = Arc::clone(server);
    tokio::spawn(async move { api.serve(&server).await });
}

/// Asks which codecs there are.
async fn ask(address: ControlAddress, token: String) -> String {
    let asked = move || {
        let mut answer = String::new();
        let request = format!("GET /codecs HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {token}\r\n\r\n");
        match address {
            ControlAddress::Http(address) => {
                let mut socket = TcpStream::connect(address).expect("it listens");
                socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
                socket.write_all(request.as_bytes()).expect("it reads");
                socket.read_to_string(&mut answer).expect("it answers");
            }
            ControlAddress::Unix(path) => {
                let mut socket = UnixStream::connect(path).expect("it listens");
                socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
                socket.write_all(request.as_bytes()).expect("it reads");
                socket.read_to_string(&mut answer).expect("it answers");
            }
            other => panic!("{other} is not tested"),
        }
        answer
    };
    tokio::task::spawn_blocking(asked).await.expect("it is asked")
}

/// Moves the control API of one server to another one.
async fn moves(name: &str, config: ControlConfig, two_names: [&str; 2]) {
    let old = ControlApi::bind(&config, Path::new("")).await.expect("it can be bound");
    let (address, file) = (old.address(), old.generated_token().map(Path::to_owned));
    let token = file.as_ref().map_or_else(String::new, |file| fs::read_to_string(file).expect("it is there"));
    let token = token.trim().to_owned();
    let handle = old.handle();
    let [first, second] = [server(two_names[0]).await, server(two_names[1]).await];
    spawn(old, &first);
    assert!(ask(address.clone(), token.clone()).await.contains(two_names[0]), "{name}");

    let mut sockets: InheritedSockets = [handle.socket().await.expect("it listens")].into_iter().collect();
    let new = ControlApi::bind_with(&config, Path::new(""), &mut sockets).await.expect("it is taken over");
    assert_eq!((new.address().to_string(), new.generated_token()), (address.to_string(), file.as_deref()));
    handle.leave().await;
    spawn(new, &second);
    let answer = ask(address, token).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(two_names[1]), "{name}: {answer}");
    assert!(handle.socket().await.is_err(), "{name}: it has left");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_with_its_generated_token() {
    let address = ControlAddress::Http(([127, 0, 0, 1], 0).into());
    moves("tcp", ControlConfig::at(address), ["tcp-old", "tcp-new"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_unix_socket_whose_file_stays() {
    let folder = Folder::new("moved");
    let address = ControlAddress::Unix(folder.path("control.sock"));
    moves("unix", ControlConfig::at(address), ["unix-old", "unix-new"]).await;
    assert!(folder.path("control.sock").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_has_changed_is_bound() {
    let at = |port: u8| ControlConfig::at(ControlAddress::Http(([127, 0, 0, port], 0).into()));
    let old = ControlApi::bind(&at(1), Path::new("")).await.expect("it can be bound");
    let (address, handle) = (old.address().to_string(), old.handle());
    spawn(old, &server("changed").await);
    let mut sockets: InheritedSockets = [handle.socket().await.expect("it listens")].into_iter().collect();
    let new = ControlApi::bind_with(&at(2), Path::new(""), &mut sockets).await.expect("it is bound");
    assert_ne!(new.address().to_string(), address);
}

#[tokio::test]
async fn health_checks_move_too() {
    let config = HealthConfig { listen: ([127, 0, 0, 1], 0).into() };
    let old = HealthListener::bind(&config).expect("it can be bound");
    let mut sockets: InheritedSockets = [old.socket().expect("there are descriptors")].into_iter().collect();
    let new = HealthListener::bind_with(&config, &mut sockets).expect("it is taken over");
    assert_eq!(new.address(), old.address());
    drop(old);
    tokio::spawn(new.serve(Health::default()));
}
