//! Answers clients that cannot connect, so that they do not have to guess why.
//!
//! A client that opens a WebSocket gets an HTTP answer if the reason is known before the upgrade,
//! and otherwise a close frame. Clients of other protocols see their connection end.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::connection::CLOSE_TIMEOUT;
use super::{ListenerContext, ServerState, close_code};
use crate::session::CloseReason;
use wireplug_connectors::{Opened, Socket, TurnAway, TurnedAway};

/// The longest time in which a client that is turned away must send its request and read the
/// answer. Together with `descriptors::most_turned_away`, it bounds what a flood of such clients
/// can hold. Clients above that number are closed at once.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// Ends a connection that is not open yet, and returns the reason. If the client may come back
/// later and its transport has an answer for it, the client gets the answer.
pub(super) async fn refuse(
    server: &ServerState,
    open: BoxFuture<'static, io::Result<Opened>>,
    turn_away: Option<TurnAway>,
    reason: CloseReason,
) -> CloseReason {
    let turned_away = answer_to(&reason);
    let Some(turn_away) = turn_away.filter(|_| turned_away.is_temporary) else { return reason };
    let Ok(_refusal) = server.refusals.try_acquire() else { return reason };
    turn_away.set(move |_| Some(turned_away.clone()));
    // The end of the server does not wait for longer than for its open connections.
    let limit = if reason == CloseReason::Shutdown { CLOSE_TIMEOUT } else { REFUSAL_TIMEOUT };
    match server.time.timeout(limit, open).await {
        // The upgrade was done before.
        Some(Ok(opened)) => close_socket(server, opened.socket, reason).await,
        // The client closed without a byte, or it was a health check, which was answered.
        Some(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => CloseReason::ClientClosed,
        _ => reason,
    }
}

/// Has the clients of a load balancer turned away as soon as their own addresses are known. Returns
/// where the reason will be. The address is counted only when the connection is open.
pub(super) fn turned_away_as(
    listener: &Arc<ListenerContext>,
    turn_away: Option<&TurnAway>,
) -> Arc<OnceLock<CloseReason>> {
    let turned_away = Arc::new(OnceLock::new());
    if let Some(turn_away) = turn_away {
        let (listener, known) = (Arc::clone(listener), Arc::clone(&turned_away));
        turn_away.set(move |client| {
            let ListenerContext { slot, admission, settings, .. } = &*listener;
            let reason = admission.admit_to(slot, &settings.get().access, client).err()?;
            let answer = answer_to(&reason);
            let _ = known.set(reason);
            Some(answer)
        });
    }
    turned_away
}

/// Ends a connection that got no session. A WebSocket client receives the reason.
pub(super) async fn close_socket(
    server: &ServerState,
    mut socket: Socket,
    reason: CloseReason,
) -> CloseReason {
    if let Socket::Messages(socket) = &mut socket {
        let close = poll_fn(|cx| socket.poll_close(close_code::close_code(&reason), reason.cause(), cx));
        // An error or a timeout changes nothing: the client may be gone already, or may not read.
        let _ = server.time.timeout(CLOSE_TIMEOUT, close).await;
    }
    reason
}

fn answer_to(reason: &CloseReason) -> TurnedAway {
    let is_temporary =
        matches!(reason, CloseReason::ServerFull | CloseReason::AddressFull | CloseReason::Shutdown);
    TurnedAway { is_temporary, why: reason.to_string() }
}
