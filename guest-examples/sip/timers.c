/* Time: what is sent again, and which transactions are over: RFC 3261, section 17, and RFC 6026.
 *
 * Only an event can set the timer of a session, and `codec_encode` has none. So the timer is set
 * before the application answers: while an INVITE waits for its answer, it fires every 500 ms, in
 * time for the first repetition of the answer. Over UDP it always fires every 4 s, for requests of
 * the application to the client.
 */
#include "sip.h"

static void set_timer(wp_session *session, uint64_t at_ms, wp_instant now, wp_events *events) {
    if (at_ms >= session->timer_ms) return;
    session->timer_ms = at_ms;
    wp_timer(events, (uint32_t)(at_ms - now.session_ms));
}

void sip_arm(wp_session *session, const sip_transaction *transaction, wp_instant now, wp_events *events) {
    set_timer(session, transaction->due_ms, now, events);
}

static void send_again(wp_session *session, sip_transaction *transaction, wp_instant now, wp_events *events) {
    if (transaction->last.len > 0) sip_send(session, events, wp_contents(&transaction->last));
    transaction->pause_ms = transaction->pause_ms * 2 < T2_MS ? transaction->pause_ms * 2 : T2_MS;
    transaction->due_ms = now.session_ms + transaction->pause_ms;
    if (transaction->due_ms > transaction->end_ms) transaction->due_ms = transaction->end_ms;
}

/* Tells the application that a call has no ACK. It should hang up: RFC 3261, section 13.3.1.4. */
static void report_no_ack(const sip_transaction *transaction, wp_events *events) {
    wp_buffer body = {0};
    wp_put_text(&body, "{\"id\":");
    wp_put_number(&body, transaction->id);
    wp_put_byte(&body, '}');
    wp_notice(events, wp_text("sip.noack"), wp_contents(&body));
    wp_free(&body);
}

/* Does what is due. May remove the transaction. */
static void follow(wp_session *session, sip_transaction *transaction, wp_instant now, wp_events *events) {
    bool is_over = now.session_ms >= transaction->end_ms;
    switch (transaction->state) {
    case SIP_WAITING:
        if (!transaction->is_tried && transaction->last.len == 0) sip_send_trying(session, transaction, events);
        transaction->due_ms = now.session_ms + T1_MS;
        break;
    case SIP_ACCEPTED:
    case SIP_REFUSED:
        if (is_over && transaction->state == SIP_ACCEPTED) report_no_ack(transaction, events);
        if (is_over) sip_remove(session, transaction);
        else send_again(session, transaction, now, events);
        break;
    case SIP_DONE: sip_remove(session, transaction); break;
    case SIP_ASKED:
        if (!is_over) {
            send_again(session, transaction, now, events);
        } else if (transaction->id == 0) {
            sip_remove(session, transaction);
        } else {
            /* Timer F. The application still waits, and a response may be on its way. */
            transaction->due_ms = NEVER;
        }
        break;
    }
}

void sip_tick(wp_session *session, wp_instant now, wp_events *events) {
    uint64_t next_ms = session->carrier == WP_CARRIER_DATAGRAMS ? now.session_ms + T2_MS : NEVER;
    sip_transaction *each = session->oldest;
    while (each != NULL) {
        /* `follow` may remove this transaction, and no other. */
        sip_transaction *next = each->next;
        if (now.session_ms >= each->due_ms) follow(session, each, now, events);
        each = next;
    }
    for (each = session->oldest; each != NULL; each = each->next) {
        if (each->due_ms < next_ms) next_ms = each->due_ms;
    }
    session->timer_ms = NEVER;
    set_timer(session, next_ms, now, events);
}
