//! A client of shared memory, which is a process of its own: `shm_client NAME` sends each line of
//! its standard input as a message to the server at `shm://NAME`, and prints each message that
//! comes, a line each.
//!
//! ```text
//! cargo run --release --features shm --example shm_client chat
//! ```

#[cfg(target_os = "linux")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(1);
    let name = name.ok_or_else(|| anyhow::anyhow!("which server? shm_client NAME"))?;
    run(&name).await
}

/// Talks until the server says goodbye; the end of the input is the client's own.
#[cfg(target_os = "linux")]
pub async fn run(name: &str) -> anyhow::Result<()> {
    use std::io::BufRead as _;

    use tokio::sync::mpsc;
    use wireplug_connectors::shm::connect;

    let mut client = connect(name).await?;
    // Lines come from a thread, since reading them blocks.
    let (say, mut lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines().map_while(Result::ok);
        for line in lines {
            if say.blocking_send(line).is_err() {
                break;
            }
        }
    });
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(line) => client.send(line).await?,
                None => return Ok(client.close().await?),
            },
            message = client.receive() => match message? {
                Some(message) => println!("{}", String::from_utf8_lossy(&message)),
                None => return Ok(()),
            },
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("shared memory is there on Linux only");
}
