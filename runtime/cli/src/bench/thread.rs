//! One thread of the load generator, with its share of the connections.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::sync::Notify;
use tokio::task::{JoinSet, consume_budget};

use super::connection::{self, ConnectionContext};
use super::fan_out;
use super::load::Load;
use super::timer::Timer;

/// How often connections are woken to check the time, before and after the window.
const ROUND: Duration = Duration::from_millis(20);

/// The shortest sleep between pokes. At more than 20,000 requests a second, pokes are sent in
/// groups and come up to this much late, because one sleep for each poke would take longer.
const NAP: Duration = Duration::from_micros(50);

/// The connections of this thread, each with the signal that makes it check the time.
type Pokes = Vec<(u32, Arc<Notify>)>;

/// Runs the thread's connections to their ends.
pub(super) fn run(load: Arc<Load>, thread: u32) -> io::Result<()> {
    // Each thread has a runtime of its own, so its connections do not contend with those of other
    // threads.
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut connections = JoinSet::new();
        let mut pokes = Pokes::new();
        for index in (thread..load.args.connections).step_by(load.args.threads() as usize) {
            let poke = Arc::new(Notify::new());
            pokes.push((index, poke.clone()));
            connections.spawn(connection::run(load.clone(), ConnectionContext { index, thread, poke }));
        }
        let timer = Timer::new()?;
        tokio::select! {
            () = join(connections) => Ok(()),
            result = keep_time(&load, &timer, &pokes) => result,
        }
    })
}

async fn join(mut connections: JoinSet<()>) {
    while let Some(ended) = connections.join_next().await {
        if let Err(error) = ended {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// Pokes each connection when one of its requests is due. After the end, pokes all connections
/// until they end.
async fn keep_time(load: &Load, timer: &Timer, pokes: &Pokes) -> io::Result<()> {
    if load.args.push_fan_out {
        let schedule = loop {
            match load.messages() {
                Some(schedule) => break schedule,
                None => tokio::time::sleep(ROUND).await,
            }
        };
        if let Some((_, poke)) = pokes.iter().find(|(index, _)| *index == fan_out::SPEAKER) {
            for number in 0.. {
                if !poke_at(load, timer, schedule.at(number), poke).await? {
                    break;
                }
            }
        }
    } else if load.args.rate().is_some() {
        let schedules: Vec<_> =
            pokes.iter().filter_map(|(index, poke)| Some((load.schedule(*index)?, poke))).collect();
        'all: for number in 0.. {
            for (schedule, poke) in &schedules {
                if !poke_at(load, timer, schedule.at(number), poke).await? {
                    break 'all;
                }
            }
        }
    }
    loop {
        let end = load.window.get().map(|window| window.end);
        let rest = end.map_or(Duration::ZERO, |end| end.saturating_duration_since(Instant::now()));
        tokio::time::sleep(rest.max(ROUND)).await;
        pokes.iter().filter(|_| end.is_some()).for_each(|(_, poke)| poke.notify_one());
    }
}

/// Pokes a connection at this time. Returns false, without a poke, if this time is after the end.
async fn poke_at(load: &Load, timer: &Timer, time: Instant, poke: &Notify) -> io::Result<bool> {
    if load.is_over(time) {
        return Ok(false);
    }
    let now = Instant::now();
    if time > now {
        timer.sleep_until(time.max(now + NAP)).await?;
    } else {
        // Without this, a loop that is far behind its schedule would never let the connections run.
        consume_budget().await;
    }
    poke.notify_one();
    Ok(true)
}
