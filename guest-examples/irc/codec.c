/* The codec for IRC clients: its description, and one function for each export. */
#include <stdlib.h>

#include "irc.h"

const wp_description codec_description = {
    .name = "irc",
    .version = "0.1.0",
    .framing = WP_FRAMING_DELIMITER,
    .delimiter = {(const uint8_t *)"\n", 1},
    .messages = WP_MESSAGES_ONE,
    .payload = WP_PAYLOAD_TAGGED,
    .json = true,
    .handshake = true,
};

bool codec_configure(wp_bytes options, wp_buffer *error) {
    return irc_configure(options, error);
}

/* === Sessions === */

/* Chooses the kind of WebSocket messages by the subprotocols of IRCv3. Without a subprotocol the
 * messages are text, which every client can read: all lines of this codec are UTF-8. */
static uint8_t tag_for(const wp_peer *peer) {
    if (peer->carrier != WP_CARRIER_MESSAGES) return 0;
    bool is_binary = wp_is(wp_attribute(peer->attributes, "subprotocol"), "binary.ircv3.net");
    return is_binary ? WP_TAG_BINARY : WP_TAG_TEXT;
}

static wp_session *new_session(const wp_peer *peer) {
    wp_session *session = calloc(1, sizeof *session);
    if (session == NULL) abort();
    session->is_stream = peer->carrier == WP_CARRIER_BYTES;
    session->tag = tag_for(peer);
    return session;
}

wp_session *codec_open(const wp_peer *peer, wp_instant now, wp_buffer *error) {
    (void)error;
    wp_session *session = new_session(peer);
    session->heard_ms = now.session_ms;
    return session;
}

void codec_drop(wp_session *session) {
    wp_free(&session->realname);
    wp_free(&session->password);
    free(session->requests);
    free(session);
}

bool codec_save(const wp_session *session, wp_buffer *state, wp_buffer *error) {
    (void)error;
    irc_save(session, state);
    return true;
}

wp_session *codec_restore(const wp_peer *peer, wp_bytes state, wp_instant now, wp_buffer *error) {
    wp_session *session = new_session(peer);
    if (irc_restore(session, state, now)) return session;
    codec_drop(session);
    wp_put_text(error, "the state is not in format 2");
    return NULL;
}

/* === From the client === */

/* Returns the line of a packet, without a tag and without the CR that ends a line on a stream. A
 * client may send text and binary messages. */
static wp_bytes line_of(const wp_session *session, wp_bytes packet) {
    if (session->tag != 0 && packet.len > 0) packet = (wp_bytes){packet.at + 1, packet.len - 1};
    if (packet.len > 0 && packet.at[packet.len - 1] == '\r') packet.len--;
    return packet;
}

static bool has_line_end(wp_bytes line) {
    for (size_t i = 0; i < line.len; i++) {
        if (line.at[i] == 0 || line.at[i] == '\r' || line.at[i] == '\n') return true;
    }
    return false;
}

void codec_decode(wp_session *session, wp_bytes packet, wp_instant now, wp_events *events) {
    session->heard_ms = now.session_ms;
    session->is_pinged = false;
    packet = line_of(session, packet);
    if (!wp_is_utf8(packet)) {
        wp_reject(events, wp_text("not UTF-8"));
        return;
    }
    if (has_line_end(packet)) {
        wp_reject(events, wp_text("a NUL, CR or LF within a line"));
        return;
    }
    wp_bytes line = irc_skip_message_tags(packet);
    if (line.len > LINE_LEN || packet.len - line.len > TAGS_LEN) {
        irc_reply(session, events, "417", (wp_bytes){0}, "Input line was too long");
        return;
    }
    irc_handle_line(session, line, events);
}

/* === From the application === */

void codec_answer(wp_session *session, uint16_t status, wp_bytes body, wp_instant now, wp_events *events) {
    (void)body, (void)now;
    if (status == 200) irc_accept(session, events);
    else irc_refuse(session, status, events);
}

wp_outcome codec_encode(
    wp_session *session, const wp_message *message, wp_instant now, wp_packets *packets, wp_buffer *reason
) {
    (void)now;
    if (session->stage != IRC_REGISTERED) {
        wp_put_text(reason, "the client is not registered");
        return WP_REJECTED;
    }
    if (message->role == WP_ROLE_RESPONSE) return irc_encode_response(session, message, packets, reason);
    return irc_encode_push(session, message, packets, reason);
}

void codec_farewell(wp_session *session, wp_cause cause, wp_bytes reason, wp_instant now, wp_events *events) {
    (void)cause, (void)now;
    irc_reply_error(session, events, reason, (wp_bytes){0});
}

/* === The clock === */

static void send_ping(wp_session *session, wp_instant now, wp_events *events) {
    wp_buffer *out = wp_begin_reply(events);
    size_t start = irc_begin_line(session, out);
    wp_put_text(out, "PING :");
    wp_put(out, wp_contents(&irc_opts.server));
    irc_end_line(session, out, start);
    wp_end_reply(events);
    session->is_pinged = true;
    session->pinged_ms = now.session_ms;
}

void codec_tick(wp_session *session, wp_instant now, wp_events *events) {
    if (session->stage == IRC_NEW) irc_greet(session, events);
    if (irc_opts.ping_ms == 0) return;
    /* The runtime holds back the packets of the client while the application decides, so the client
     * is not silent. */
    if (session->stage == IRC_PENDING) session->heard_ms = now.session_ms;
    if (!session->is_pinged && now.session_ms - session->heard_ms >= irc_opts.ping_ms) send_ping(session, now, events);
    uint64_t since_ms = now.session_ms - (session->is_pinged ? session->pinged_ms : session->heard_ms);
    if (since_ms >= irc_opts.ping_ms) irc_end_session(session, "ping timeout", (wp_bytes){0}, events);
    else wp_timer(events, (uint32_t)(irc_opts.ping_ms - since_ms));
}
