/* The session as bytes, for a handoff. Numbers are little-endian.
 *
 * format: 1 byte, 2 | stage: 1 byte | is_negotiating: 1 byte | is_pinged: 1 byte
 * heard_ms, pinged_ms, last_id: 8 bytes each
 * nick, user, realname, password: 2 bytes of length, then the bytes
 * channels: 1 byte of count, then each as above
 * requests: 2 bytes of count, then for each: id, 8 bytes; kind, 1 byte; target, as above
 *
 * The server's name, the channels that exist and the routes come from the options of the new
 * version, and how lines are sent comes from the peer.
 */
#include "irc.h"

enum { FORMAT = 2 };

/* The largest id that a state may have. Ids that follow it do not overflow. */
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
    put(state, session->last_id, 8);
    put_bytes(state, irc_name_of(&session->nick));
    put_bytes(state, irc_name_of(&session->user));
    put_bytes(state, wp_contents(&session->realname));
    put_bytes(state, wp_contents(&session->password));
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

/* The rest of a state, and whether everything before it was valid. */
typedef struct reader {
    wp_bytes rest;
    bool is_valid;
} reader;

static wp_bytes take_bytes(reader *reader, size_t len) {
    if (len > reader->rest.len) reader->is_valid = false;
    if (!reader->is_valid) return (wp_bytes){0};
    wp_bytes taken = {reader->rest.at, len};
    reader->rest = (wp_bytes){reader->rest.at + len, reader->rest.len - len};
    return taken;
}

/* Takes a number of at most `max`. Returns 0 if the state is invalid. */
static uint64_t take(reader *reader, int width, uint64_t max) {
    wp_bytes bytes = take_bytes(reader, (size_t)width);
    uint64_t number = 0;
    for (size_t i = bytes.len; i > 0; i--) number = number << 8 | bytes.at[i - 1];
    if (number > max) reader->is_valid = false;
    return reader->is_valid ? number : 0;
}

static wp_bytes take_text(reader *reader, size_t max) {
    wp_bytes text = take_bytes(reader, take(reader, 2, max));
    if (!wp_is_utf8(text)) reader->is_valid = false;
    return text;
}

static void take_name(reader *reader, irc_name *name, size_t max, bool (*is_name)(wp_bytes)) {
    wp_bytes text = take_text(reader, max);
    if (is_name != NULL && !is_name(text)) reader->is_valid = false;
    irc_set_name(name, reader->is_valid ? text : (wp_bytes){0}, max);
}

/* Returns whether a session could have these values. */
static bool is_consistent(const wp_session *session) {
    bool is_introduced = session->nick.len > 0 && session->user.len > 0;
    if (session->nick.len > 0 && !irc_is_nick(irc_name_of(&session->nick))) return false;
    return session->stage < IRC_PENDING || is_introduced;
}

bool irc_restore(wp_session *session, wp_bytes state, wp_instant now) {
    reader reader = {state, true};
    if (take(&reader, 1, UINT8_MAX) != FORMAT) return false;
    session->stage = (irc_stage)take(&reader, 1, IRC_REGISTERED);
    session->is_negotiating = take(&reader, 1, 1) == 1;
    session->is_pinged = take(&reader, 1, 1) == 1;
    session->heard_ms = take(&reader, 8, now.session_ms);
    session->pinged_ms = take(&reader, 8, now.session_ms);
    session->last_id = take(&reader, 8, ID_MAX);
    take_name(&reader, &session->nick, NICK_LEN, NULL);
    take_name(&reader, &session->user, USER_LEN, NULL);
    wp_put(&session->realname, take_text(&reader, LINE_LEN));
    wp_put(&session->password, take_text(&reader, LINE_LEN));
    uint64_t channels = take(&reader, 1, CHANNELS);
    while (reader.is_valid && session->channels_len < channels) {
        take_name(&reader, &session->channels[session->channels_len++], NAME_LEN, irc_is_channel);
    }
    uint64_t last_id = session->last_id;
    uint64_t requests = take(&reader, 2, REQUESTS);
    while (reader.is_valid && session->requests_len < requests) {
        uint64_t id = take(&reader, 8, last_id);
        if (id == 0) reader.is_valid = false;
        irc_kind kind = (irc_kind)take(&reader, 1, IRC_DIRECT);
        irc_name target;
        take_name(&reader, &target, NAME_LEN, irc_is_target);
        /* The new request gets the id after `last_id`. */
        session->last_id = id - 1;
        if (reader.is_valid) irc_add_request(session, kind, irc_name_of(&target));
    }
    session->last_id = last_id;
    return reader.is_valid && reader.rest.len == 0 && is_consistent(session);
}
