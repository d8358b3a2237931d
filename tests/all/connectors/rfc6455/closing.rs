//! How a connection closes: section 7 of the test suite.

use super::frame::{Frame, frame};
use super::{Client, server};
use wireplug_tests::within;

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes()[..], reason].concat())
}

/// Sends frames, and returns all frames until the end of the connection.
async fn heard(said: &[&[u8]]) -> Vec<Frame> {
    let server = server().await;
    let mut client = Client::connect(&server).await;
    client.say(&said.concat()).await;
    let frames = client.hear_all().await;
    assert_eq!(within("the end", server.shutdown()).await.connections_open, 0);
    frames
}

/// 7.1 and 7.7: the server answers with the client's own code, and then ends the connection.
#[tokio::test]
async fn a_goodbye_is_answered() {
    // 7.3.1: a close frame without a code is answered without a code.
    assert_eq!(heard(&[&frame(0x88, b"")]).await, [Frame { first: 0x88, payload: vec![] }]);
    let longest = "*".repeat(123);
    for reason in ["", "Hello World!", "é漢😀", &longest] {
        assert_eq!(heard(&[&close(1000, reason.as_bytes())]).await, [Frame::close(1000, reason)]);
    }
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        assert_eq!(heard(&[&close(code, b"")]).await, [Frame::close(code, "")], "{code}");
    }
}

/// 7.1.2 to 7.1.6: messages before the close frame are answered, and bytes after it are ignored.
#[tokio::test]
async fn what_stands_around_a_goodbye() {
    let (before, goodbye) = (frame(0x81, b"before"), close(1000, b""));
    let wanted = [Frame::text(b"before"), Frame::close(1000, "")];
    assert_eq!(heard(&[&before, &goodbye]).await, wanted);
    for behind in
        [&goodbye[..], &frame(0x89, b"ping"), &frame(0x81, b"after"), &frame(0x83, b"bad"), b"\xff\xff"]
    {
        assert_eq!(heard(&[&before, &goodbye, behind]).await, wanted, "{behind:?}");
    }
    // An incomplete message is dropped.
    assert_eq!(
        heard(&[&frame(0x01, b"frag"), &goodbye, &frame(0x80, b"ment")]).await,
        [Frame::close(1000, "")]
    );
}

/// 7.3.2, 7.5 and 7.9: invalid close frames.
#[tokio::test]
async fn goodbyes_that_are_none() {
    let code = |frames: Vec<Frame>| {
        assert_eq!((frames.len(), frames[0].first), (1, 0x88), "{frames:?}");
        frames[0].code()
    };
    // A code of one byte.
    assert_eq!(code(heard(&[&frame(0x88, &[3])]).await), Some(1002));
    for bad in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        assert_eq!(code(heard(&[&close(bad, b"")]).await), Some(1002), "{bad}");
        assert_eq!(code(heard(&[&close(bad, b"with a reason")]).await), Some(1002), "{bad}");
    }
    // 7.5.1: a reason that is not UTF-8.
    assert_eq!(code(heard(&[&close(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80")]).await), Some(1007));
    // A frame without a mask.
    assert_eq!(code(heard(&[&[0x88, 0x02, 0x03, 0xe8]]).await), Some(1002));
}

/// When the server closes first, it waits for the client's close frame for a limited time, and then
/// ends the connection.
#[tokio::test]
async fn the_servers_own_goodbye() {
    for answers in [true, false] {
        let server = server().await;
        let mut client = Client::connect(&server).await;
        client.say(&frame(0x81, b"before")).await;
        assert_eq!(client.hear().await, Some(Frame::text(b"before")));
        let stopped = tokio::spawn(server.shutdown());
        assert_eq!(client.hear().await, Some(Frame::close(1012, "shutdown")));
        if answers {
            client.say(&close(1012, b"")).await;
        }
        assert_eq!(client.hear().await, None);
        let stats = within("the end", stopped).await.expect("no panic");
        assert_eq!(stats.closes, [("shutdown", 1)].into());
    }
}
