/* The codec for SIP clients: its description, and one function for each export. */
#include "sip.h"

#include <stdlib.h>

const wp_description codec_description = {
    .name = "sip",
    .version = "0.1.0",
    .messages = WP_MESSAGES_ONE,
    .payload = WP_PAYLOAD_TAGGED,
    .json = true,
    .client_requests = 1000,
    .max_packet = MESSAGE_MAX,
};

bool codec_configure(wp_bytes options, wp_buffer *error) {
    return sip_configure(options, error);
}

/* === Sessions === */

wp_session *codec_open(const wp_peer *peer, wp_instant now, wp_buffer *error) {
    (void)now, (void)error;
    return sip_new_session(peer);
}

void codec_drop(wp_session *session) {
    sip_free_session(session);
}

bool codec_save(const wp_session *session, wp_buffer *state, wp_buffer *error) {
    (void)error;
    sip_save(session, state);
    return true;
}

wp_session *codec_restore(const wp_peer *peer, wp_bytes state, wp_instant now, wp_buffer *error) {
    (void)now;
    wp_session *session = sip_new_session(peer);
    if (sip_restore(session, state)) return session;
    sip_free_session(session);
    wp_put_text(error, "the state is not in format 1");
    return NULL;
}

/* === From the client === */

wp_cut codec_cut(const wp_session *session, wp_bytes rest, wp_buffer *reason) {
    return sip_cut(session, rest, reason);
}

/* Skips the empty lines in front of a message. Two of them are a keep-alive, which gets one as its
 * answer: RFC 5626, section 4.4.1. Over UDP, keep-alives have no answer. */
static wp_bytes skip_empty_lines(wp_session *session, wp_bytes packet, wp_events *events) {
    while (packet.len >= 2 && packet.at[0] == '\r' && packet.at[1] == '\n') {
        packet = (wp_bytes){packet.at + 2, packet.len - 2};
        if (++session->empty_lines < 2) continue;
        session->empty_lines = 0;
        if (session->carrier == WP_CARRIER_DATAGRAMS) continue;
        wp_buffer *pong = wp_begin_reply(events);
        sip_begin(session, pong);
        wp_put_text(pong, "\r\n");
        wp_end_reply(events);
    }
    if (packet.len > 0) session->empty_lines = 0;
    return packet;
}

void codec_decode(wp_session *session, wp_bytes packet, wp_instant now, wp_events *events) {
    if (session->carrier == WP_CARRIER_MESSAGES && packet.len > 0) packet = (wp_bytes){packet.at + 1, packet.len - 1};
    packet = skip_empty_lines(session, packet, events);
    if (packet.len == 0) return;
    sip_message message = {0};
    const char *problem = sip_read(session, packet, &message);
    if (problem == NULL) {
        if (message.status == 0) sip_handle_request(session, &message, now, events);
        else sip_handle_response(session, &message, events);
    } else if (session->carrier == WP_CARRIER_BYTES) {
        wp_fatal(events, wp_text(problem));
    } else {
        wp_reject(events, wp_text(problem));
    }
    sip_free_message(&message);
}

/* === From the application === */

wp_outcome codec_encode(
    wp_session *session, const wp_message *message, wp_instant now, wp_packets *packets, wp_buffer *reason
) {
    if (message->role == WP_ROLE_RESPONSE) return sip_encode_response(session, message, now, packets, reason);
    bool is_progress = message->role == WP_ROLE_NOTICE && wp_is(message->route, "sip.progress");
    if (is_progress) return sip_encode_progress(session, message, packets, reason);
    return sip_encode_request(session, message, now, packets, reason);
}

void codec_abandoned(wp_session *session, uint64_t id, wp_instant now, wp_events *events) {
    (void)now, (void)events;
    sip_abandon(session, id);
}

/* Answers each request that the application has not answered. */
void codec_farewell(wp_session *session, wp_cause cause, wp_bytes reason, wp_instant now, wp_events *events) {
    (void)cause, (void)reason;
    for (;;) {
        sip_transaction *waiting = session->oldest;
        while (waiting != NULL && waiting->state != SIP_WAITING) waiting = waiting->next;
        if (waiting == NULL) return;
        sip_finish(session, waiting, 503, now, events);
    }
}

void codec_tick(wp_session *session, wp_instant now, wp_events *events) {
    sip_tick(session, now, events);
}
