/* {{name}}: one message in each line. A request is `ID ROUTE BODY`, and its response is
 * `ID STATUS BODY`. A notice is `- ROUTE BODY`, in both directions. */
#include <stdlib.h>
#include <string.h>

#include "wireplug.h"
#include "wireplug_json.h"

/* The state of one connection, which is kept between calls. This protocol needs none. */
struct wp_session {
    char unused;
};

const wp_description codec_description = {
    .name = "{{name}}",
    .version = "0.1.0",
    .framing = WP_FRAMING_DELIMITER,
    .delimiter = {(const uint8_t *)"\n", 1},
    .messages = WP_MESSAGES_ONE,
    .payload = WP_PAYLOAD_TEXT,
    .json = true,
};

bool codec_configure(wp_bytes options, wp_buffer *error) {
    json_cursor cursor = {0};
    wp_bytes name, value;
    while (json_next_member(options, &cursor, &name, &value)) {
        /* The runtime adds the routes of the application to all options. */
        if (json_is_string(name, "routes")) continue;
        wp_put_text(error, "unknown option ");
        wp_put(error, name);
        wp_put_text(error, "; this codec has none");
        return false;
    }
    return true;
}

wp_session *codec_open(const wp_peer *peer, wp_instant now, wp_buffer *error) {
    (void)peer, (void)now, (void)error;
    wp_session *session = calloc(1, sizeof(wp_session));
    if (session == NULL) abort();
    return session;
}

void codec_drop(wp_session *session) {
    free(session);
}

/* Takes the word before the next space, or the whole rest. */
static wp_bytes take_word(wp_bytes *line) {
    const uint8_t *space = line->len ? memchr(line->at, ' ', line->len) : NULL;
    wp_bytes word = {line->at, space ? (size_t)(space - line->at) : line->len};
    size_t taken = word.len + (space != NULL);
    *line = (wp_bytes){line->at + taken, line->len - taken};
    return word;
}

/* Reads a number of at most 64 bits. */
static bool read_number(wp_bytes digits, uint64_t *number) {
    *number = 0;
    for (size_t i = 0; i < digits.len; i++) {
        uint64_t digit = (uint64_t)digits.at[i] - '0';
        if (digit > 9 || *number > (UINT64_MAX - digit) / 10) return false;
        *number = *number * 10 + digit;
    }
    return digits.len > 0;
}

void codec_decode(wp_session *session, wp_bytes packet, wp_instant now, wp_events *events) {
    (void)session, (void)now;
    bool is_text = wp_is_utf8(packet);
    if (packet.len && packet.at[packet.len - 1] == '\r') packet.len--;
    wp_bytes id_word = take_word(&packet);
    wp_bytes route = take_word(&packet);
    uint64_t id;
    if (is_text && route.len && wp_is(id_word, "-")) wp_notice(events, route, packet);
    else if (is_text && route.len && read_number(id_word, &id)) wp_request(events, id, route, packet);
    else wp_reject(events, wp_text("a line is `ID ROUTE BODY`"));
}

wp_outcome codec_encode(
    wp_session *session, const wp_message *message, wp_instant now, wp_packets *packets, wp_buffer *reason
) {
    (void)session, (void)now, (void)reason;
    wp_buffer *packet = wp_begin_packet(packets);
    size_t start = packet->len;
    if (message->role == WP_ROLE_RESPONSE) {
        wp_put_number(packet, message->id);
        wp_put_byte(packet, ' ');
        wp_put_number(packet, message->status);
    } else {
        wp_put_text(packet, "- ");
        wp_put(packet, message->route);
    }
    wp_put_byte(packet, ' ');
    wp_put(packet, message->body);
    /* A line break would end the packet. In JSON it is only space. */
    for (size_t i = start; i < packet->len; i++) {
        if (packet->at[i] == '\n') packet->at[i] = ' ';
    }
    wp_end_packet(packets);
    return WP_ENCODED;
}
