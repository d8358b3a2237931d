//! Guests that try to pass messages of one session to another.

use wireplug::Session;
use wireplug::session::Message;
use wireplug_tests::app::GUEST;
use wireplug_tests::hostile::Function::EncodeShared;
use wireplug_tests::hostile::{Guest, bodies};
use wireplug_tests::raw::Raw;

use super::trial::Trial;

/// The members of each group, enough to share encodings.
const MEMBERS: usize = 3;

async fn members(trial: &Trial, group: &str) -> Vec<Raw> {
    let mut members = Vec::new();
    for _ in 0..MEMBERS {
        let mut client = Raw::connect(&trial.server.tcp()).await;
        client.send(b"hello\n").await;
        assert_eq!(client.line().await, "hello");
        let address = client.address().to_string();
        let is_its = |session: &Session| session.client().address == address;
        for session in trial.server.sessions().matching(is_its).sessions() {
            session.join(group).expect("it is open");
        }
        members.push(client);
    }
    assert_eq!(trial.server.sessions().group(group).len(), MEMBERS);
    members
}

/// The codec answers each push to many with the content of the previous one. Whatever it keeps, no
/// group receives messages of another group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_to_one_group_never_reach_another() {
    let trial = Trial::begin(&Guest::new("gossip").with(EncodeShared, bodies::LAST_PUSH)).await;
    let mut groups = [("one", members(&trial, "one").await), ("two", members(&trial, "two").await)];
    for round in 0..20 {
        for (name, members) in &mut groups {
            let said = format!("{round}: of group {name} alone");
            let message = Message::push(GUEST, said.clone());
            assert_eq!(trial.server.sessions().group(name).send(&message), MEMBERS);
            for member in members {
                assert_eq!(member.line().await, said);
            }
        }
    }
    let shared = trial.server.slots()[0].status().generations[0].shared;
    assert_eq!(shared, 40, "they did share");
    trial.neighbours_go_on().await;
    drop(groups);
    trial.end().await;
}
