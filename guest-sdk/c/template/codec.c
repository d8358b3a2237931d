/* A protocol of lines, to begin with: `ID ROUTE BODY` asks, `- ROUTE BODY` asks for no answer. What comes back is
 * `ID STATUS BODY`, and `- ROUTE BODY` for a push. */
#include <stdlib.h>

#include "wireplug.h"

const wp_description codec_description = {
    .name = "template",
    .version = "0.1.0",
    .framing = WP_DELIMITER,
    .delimiter = {(const uint8_t *)"\n", 1},
    .message = WP_MESSAGE_ONE,
    .json = true,
};

/* What is to be known of a client from one packet to the next. */
struct wp_session {
    uint64_t packets;
};

bool codec_configure(wp_bytes options, wp_buffer *error) {
    (void)options, (void)error;
    return true;
}

wp_session *codec_open(const wp_peer *peer, uint64_t now_ms, wp_buffer *error) {
    (void)peer, (void)now_ms, (void)error;
    wp_session *session = calloc(1, sizeof *session);
    if (session == NULL) abort();
    return session;
}

void codec_drop(wp_session *session) {
    free(session);
}

/* Takes what stands before the next space. */
static wp_bytes take_word(wp_bytes *rest) {
    size_t len = 0;
    while (len < rest->len && rest->at[len] != ' ') len++;
    wp_bytes word = {rest->at, len};
    size_t taken = len < rest->len ? len + 1 : len;
    *rest = (wp_bytes){rest->at + taken, rest->len - taken};
    return word;
}

static bool read_number(wp_bytes word, uint64_t *number) {
    *number = 0;
    /* 18 digits fit. */
    if (word.len == 0 || word.len > 18) return false;
    for (size_t i = 0; i < word.len; i++) {
        if (word.at[i] < '0' || word.at[i] > '9') return false;
        *number = *number * 10 + (uint64_t)(word.at[i] - '0');
    }
    return true;
}

void codec_decode(wp_session *session, wp_bytes packet, uint64_t now_ms, wp_events *events) {
    (void)now_ms;
    session->packets++;
    uint64_t id;
    wp_bytes first = take_word(&packet), route = take_word(&packet);
    if (route.len == 0 || !wp_is_utf8(route)) wp_reject(events, wp_text("it has no route in UTF-8"));
    else if (wp_is(first, "-")) wp_notify(events, route, packet);
    else if (read_number(first, &id)) wp_request(events, id, route, packet);
    else wp_reject(events, wp_text("it begins with neither a number nor `-`"));
}

wp_outcome codec_encode(
    wp_session *session, const wp_message *message, uint64_t now_ms, wp_buffer *packet, wp_buffer *reason
) {
    (void)session, (void)now_ms, (void)reason;
    size_t start = packet->len;
    if (message->is_response) {
        wp_put_number(packet, message->id);
        wp_put_byte(packet, ' ');
        wp_put_number(packet, message->status);
    } else {
        wp_put_text(packet, "- ");
        wp_put(packet, message->route);
    }
    wp_put_byte(packet, ' ');
    wp_put(packet, message->body);
    /* A packet can't hold its delimiter. In JSON a line's end is nothing but space. */
    for (size_t i = start; i < packet->len; i++) {
        if (packet->at[i] == '\n') packet->at[i] = ' ';
    }
    return WP_PACKET;
}
