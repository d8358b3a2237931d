/* A session in bytes, for another version of the codec. Numbers are little-endian.
 *
 * format: 1 byte, 1 | stage: 1 byte | is_negotiating: 1 byte | is_pinged: 1 byte
 * heard_ms, pinged_ms, asked_ms, last_id: 8 bytes each
 * nick, user, realname, password, waiting, later: each 2 bytes of length and its bytes
 * channels: 1 byte of how many | each as above
 * requests: 2 bytes of how many | each 8 bytes of id, 1 byte of kind, and its target as above
 *
 * The server's name, channels and routes are those of the new options.
 */
#include "irc.h"

enum { FORMAT = 1 };

/* Far from where ids would begin anew. */
static const uint64_t ID_MAX = 1ull << 53;

/* === Writing === */

static void put(wp_buffer *state, uint64_t number, int width) {
    for (; width > 0; width--, number >>= 8) wp_put_byte(state, (uint8_t)number);
}

static void put_bytes(wp_buffer *state, wp_bytes bytes) {
    put(state, bytes.len, 2);
    wp_put(state, bytes);
}

void irc_save(const wp_session *session, wp_buffer *state) {
    put(state, FORMAT, 1);
    put(state, session->stage, 1);
    put(state, session->is_negotiating, 1);
    put(state, session->is_pinged, 1);
    put(state, session->heard_ms, 8);
    put(state, session->pinged_ms, 8);
    put(state, session->asked_ms, 8);
    put(state, session->last_id, 8);
    put_bytes(state, irc_name_of(&session->nick));
    put_bytes(state, irc_name_of(&session->user));
    put_bytes(state, wp_held(&session->realname));
    put_bytes(state, wp_held(&session->password));
    put_bytes(state, wp_held(&session->waiting));
    put_bytes(state, wp_held(&session->later));
    put(state, session->channels_len, 1);
    for (size_t i = 0; i < session->channels_len; i++) put_bytes(state, irc_name_of(&session->channels[i]));
    put(state, session->requests_len, 2);
    for (size_t i = 0; i < session->requests_len; i++) {
        const irc_request *request = &session->requests[i];
        put(state, request->id, 8);
        put(state, request->kind, 1);
        put_bytes(state, irc_name_of(&request->target));
    }
}

/* === Reading === */

/* What is left of a state, and whether all was right so far. */
typedef struct reader {
    wp_bytes rest;
    bool is_right;
} reader;

static wp_bytes take_bytes(reader *reader, size_t len) {
    if (len > reader->rest.len) reader->is_right = false;
    if (!reader->is_right) return (wp_bytes){0};
    wp_bytes taken = {reader->rest.at, len};
    reader->rest = (wp_bytes){reader->rest.at + len, reader->rest.len - len};
    return taken;
}

/* A number up to this one; 0 where something is wrong. */
static uint64_t take(reader *reader, int width, uint64_t max) {
    wp_bytes bytes = take_bytes(reader, (size_t)width);
    uint64_t number = 0;
    for (size_t i = bytes.len; i > 0; i--) number = number << 8 | bytes.at[i - 1];
    if (number > max) reader->is_right = false;
    return reader->is_right ? number : 0;
}

static wp_bytes take_text(reader *reader, size_t max) {
    wp_bytes text = take_bytes(reader, take(reader, 2, max));
    if (!wp_is_utf8(text)) reader->is_right = false;
    return text;
}

static void take_name(reader *reader, irc_name *name, size_t max, bool (*is_name)(wp_bytes)) {
    wp_bytes text = take_text(reader, max);
    if (is_name != NULL && !is_name(text)) reader->is_right = false;
    irc_set_name(name, reader->is_right ? text : (wp_bytes){0}, max);
}

/* What is neither longer nor other than a session would have it. */
static bool is_whole(const wp_session *session) {
    bool is_introduced = session->nick.len > 0 && session->user.len > 0;
    if (session->nick.len > 0 && !irc_is_nick(irc_name_of(&session->nick))) return false;
    return session->stage < IRC_ASKED || session->stage == IRC_ENDED || is_introduced;
}

bool irc_restore(wp_session *session, wp_bytes state, uint64_t now_ms) {
    reader reader = {state, true};
    if (take(&reader, 1, UINT8_MAX) != FORMAT) return false;
    session->stage = (irc_stage)take(&reader, 1, IRC_ENDED);
    session->is_negotiating = take(&reader, 1, 1) == 1;
    session->is_pinged = take(&reader, 1, 1) == 1;
    session->heard_ms = take(&reader, 8, now_ms);
    session->pinged_ms = take(&reader, 8, now_ms);
    session->asked_ms = take(&reader, 8, now_ms);
    session->last_id = take(&reader, 8, ID_MAX);
    take_name(&reader, &session->nick, NICK_LEN, NULL);
    take_name(&reader, &session->user, USER_LEN, NULL);
    wp_put(&session->realname, take_text(&reader, LINE_LEN));
    wp_put(&session->password, take_text(&reader, LINE_LEN));
    wp_put(&session->waiting, take_text(&reader, WAITING_LEN));
    wp_put(&session->later, take_text(&reader, UINT16_MAX));
    uint64_t channels = take(&reader, 1, CHANNELS);
    while (reader.is_right && session->channels_len < channels) {
        take_name(&reader, &session->channels[session->channels_len++], NAME_LEN, irc_is_channel);
    }
    uint64_t last_id = session->last_id;
    uint64_t requests = take(&reader, 2, REQUESTS);
    while (reader.is_right && session->requests_len < requests) {
        uint64_t id = take(&reader, 8, last_id);
        if (id == 0) reader.is_right = false;
        irc_kind kind = (irc_kind)take(&reader, 1, IRC_DIRECT);
        irc_name target;
        take_name(&reader, &target, NAME_LEN, irc_is_target);
        /* Put in as it was asked, under the id that it has. */
        session->last_id = id - 1;
        if (reader.is_right) irc_ask(session, kind, irc_name_of(&target));
    }
    session->last_id = last_id;
    return reader.is_right && reader.rest.len == 0 && is_whole(session);
}
