/* IRC for clients, by RFC 1459 and 2812: what the codec is, and what comes in by each of its exports. */
#include <stdlib.h>

#include "irc.h"

const wp_description codec_description = {
    .name = "irc",
    .version = "0.1.0",
    .framing = WP_DELIMITER,
    .delimiter = {(const uint8_t *)"\n", 1},
    .message = WP_MESSAGE_ONE,
    .json = true,
    .handshake = true,
};

bool codec_configure(wp_bytes options, wp_buffer *error) {
    return irc_configure(options, error);
}

/* === Sessions === */

static wp_session *new_session(const wp_peer *peer) {
    wp_session *session = calloc(1, sizeof *session);
    if (session == NULL) abort();
    session->is_stream = !wp_is(peer->transport, "ws");
    return session;
}

wp_session *codec_open(const wp_peer *peer, uint64_t now_ms, wp_buffer *error) {
    (void)error;
    wp_session *session = new_session(peer);
    session->heard_ms = now_ms;
    return session;
}

void codec_drop(wp_session *session) {
    wp_free(&session->realname);
    wp_free(&session->password);
    wp_free(&session->waiting);
    wp_free(&session->later);
    free(session->requests);
    free(session);
}

bool codec_save(const wp_session *session, wp_buffer *state, wp_buffer *error) {
    (void)error;
    irc_save(session, state);
    return true;
}

wp_session *codec_restore(const wp_peer *peer, wp_bytes state, uint64_t now_ms, wp_buffer *error) {
    wp_session *session = new_session(peer);
    if (irc_restore(session, state, now_ms)) return session;
    codec_drop(session);
    wp_put_text(error, "this is no state of version 1");
    return NULL;
}

/* === From the client === */

static bool holds_line_end(wp_bytes line) {
    for (size_t i = 0; i < line.len; i++) {
        if (line.at[i] == 0 || line.at[i] == '\r' || line.at[i] == '\n') return true;
    }
    return false;
}

void codec_decode(wp_session *session, wp_bytes packet, uint64_t now_ms, wp_events *events) {
    if (session->stage == IRC_ENDED) return;
    session->heard_ms = now_ms;
    session->is_pinged = false;
    if (packet.len > 0 && packet.at[packet.len - 1] == '\r') packet.len--;
    if (!wp_is_utf8(packet)) {
        wp_reject(events, wp_text("not UTF-8"));
        return;
    }
    if (holds_line_end(packet)) {
        wp_reject(events, wp_text("a NUL, CR or LF within a line"));
        return;
    }
    irc_send_later(session, events);
    wp_bytes line = irc_without_tags(packet);
    if (line.len > LINE_LEN || packet.len - line.len > TAGS_LEN) {
        irc_put_reply(session, wp_begin_reply(events), "417", (wp_bytes){0}, "Input line was too long");
        wp_end_reply(events);
        return;
    }
    irc_hear(session, line, now_ms, events);
}

/* === From the application === */

void codec_answer(wp_session *session, uint16_t status, wp_bytes body, uint64_t now_ms, wp_events *events) {
    (void)body;
    if (session->stage != IRC_ASKED) return;
    if (status == 200) irc_let_in(session, now_ms, events);
    else irc_turn_away(session, status, now_ms, events);
}

wp_outcome codec_encode(
    wp_session *session, const wp_message *message, uint64_t now_ms, wp_buffer *packet, wp_buffer *reason
) {
    (void)now_ms;
    if (session->stage != IRC_WELCOME) {
        wp_put_text(reason, "the client is not welcome yet, or no more");
        return WP_REJECTED;
    }
    if (message->is_response) return irc_answer(session, message, packet, reason);
    return irc_push(session, message, packet, reason);
}

bool codec_farewell(wp_session *session, wp_bytes reason, uint64_t now_ms, wp_buffer *packet) {
    (void)now_ms;
    size_t start = packet->len;
    wp_put_text(packet, "ERROR :Closing link: ");
    wp_put(packet, reason);
    irc_end_line(session, packet, start);
    return true;
}

/* === The clock === */

static void greet(wp_session *session, wp_events *events) {
    wp_buffer *out = wp_begin_reply(events);
    size_t start = out->len;
    irc_put_source(out, (wp_bytes){0});
    wp_put_text(out, " NOTICE * :*** Welcome! Send NICK and USER to come in");
    irc_end_line(session, out, start);
    wp_end_reply(events);
    session->stage = IRC_REGISTERING;
}

static void ask_whether_there(wp_session *session, uint64_t now_ms, wp_events *events) {
    wp_buffer *out = wp_begin_reply(events);
    size_t start = out->len;
    wp_put_text(out, "PING :");
    wp_put(out, wp_held(&irc_opts.server));
    irc_end_line(session, out, start);
    wp_end_reply(events);
    session->is_pinged = true;
    session->pinged_ms = now_ms;
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

void codec_tick(wp_session *session, uint64_t now_ms, wp_events *events) {
    if (session->stage == IRC_NEW) greet(session, events);
    if (session->stage == IRC_ENDED) return;
    irc_send_later(session, events);
    uint64_t wake_ms = UINT32_MAX;
    if (irc_opts.ping_ms > 0) {
        if (!session->is_pinged && now_ms - session->heard_ms >= irc_opts.ping_ms)
            ask_whether_there(session, now_ms, events);
        uint64_t since = now_ms - (session->is_pinged ? session->pinged_ms : session->heard_ms);
        if (since >= irc_opts.ping_ms) {
            irc_end_session(session, "ping timeout", (wp_bytes){0}, events);
            return;
        }
        wake_ms = irc_opts.ping_ms - since;
    }
    if (irc_is_joining(session)) {
        /* As long as it has been waited for already: soon at first, then ever more rarely. */
        uint64_t waited_ms = now_ms - session->asked_ms;
        uint64_t again_ms = waited_ms < NAMES_SOON_MS ? NAMES_SOON_MS : least(waited_ms, NAMES_LATE_MS);
        wake_ms = least(wake_ms, again_ms);
    }
    if (wake_ms < UINT32_MAX) wp_wake(events, (uint32_t)wake_ms);
}
