/* {{name}}: a message a line. A request is `ID ROUTE BODY`, its response `ID STATUS BODY`; what is no request, and a push, has `-` in the
 * place of the id. */
#include <stdlib.h>
#include <string.h>

#include "wireplug.h"
#include "wireplug_json.h"

/* What the codec knows of one client: nothing, so far. What is put here stays from packet to packet. */
struct wp_session {
    char nothing;
};

const wp_description codec_description = {
    .name = "{{name}}",
    .version = "0.1.0",
    .framing = WP_DELIMITER,
    .delimiter = {(const uint8_t *)"\n", 1},
    .message = WP_MESSAGE_ONE,
    .text = true,
    .json = true,
};

bool codec_configure(wp_bytes options, wp_buffer *error) {
    json_walk walk = {0};
    wp_bytes name, value;
    while (json_next_member(options, &walk, &name, &value)) {
        /* The runtime always tells the application's routes. */
        if (json_is_string(name, "routes")) continue;
        wp_put_text(error, "unknown option ");
        wp_put(error, name);
        wp_put_text(error, "; this codec has none");
        return false;
    }
    return true;
}

wp_session *codec_open(const wp_peer *peer, uint64_t now_ms, wp_buffer *error) {
    (void)peer, (void)now_ms, (void)error;
    wp_session *session = calloc(1, sizeof(wp_session));
    if (session == NULL) abort();
    return session;
}

void codec_drop(wp_session *session) {
    free(session);
}

/* Takes what stands before the next space, or all. */
static wp_bytes word(wp_bytes *line) {
    const uint8_t *space = line->len ? memchr(line->at, ' ', line->len) : NULL;
    wp_bytes word = {line->at, space ? (size_t)(space - line->at) : line->len};
    size_t taken = word.len + (space != NULL);
    *line = (wp_bytes){line->at + taken, line->len - taken};
    return word;
}

/* A number of at most 64 bits. */
static bool number(wp_bytes digits, uint64_t *number) {
    *number = 0;
    for (size_t i = 0; i < digits.len; i++) {
        uint64_t digit = (uint64_t)digits.at[i] - '0';
        if (digit > 9 || *number > (UINT64_MAX - digit) / 10) return false;
        *number = *number * 10 + digit;
    }
    return digits.len > 0;
}

void codec_decode(wp_session *session, wp_bytes packet, uint64_t now_ms, wp_events *events) {
    (void)session, (void)now_ms;
    bool is_text = wp_is_utf8(packet);
    if (packet.len && packet.at[packet.len - 1] == '\r') packet.len--;
    wp_bytes id_word = word(&packet);
    wp_bytes route = word(&packet);
    uint64_t id;
    if (is_text && route.len && wp_is(id_word, "-")) wp_notify(events, route, packet);
    else if (is_text && route.len && number(id_word, &id)) wp_request(events, id, route, packet);
    else wp_reject(events, wp_text("a line is `ID ROUTE BODY`"));
}

wp_outcome codec_encode(wp_session *session, const wp_message *message, uint64_t now_ms, wp_buffer *packet, wp_buffer *reason) {
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
    /* In JSON a line break is nothing but space, and it would end the packet. */
    for (size_t i = start; i < packet->len; i++) {
        if (packet->at[i] == '\n') packet->at[i] = ' ';
    }
    return WP_PACKET;
}
