/* The session as bytes, for a handoff. Numbers are little-endian.
 *
 * format: 1 byte, 1 | secret: 16 bytes | empty_lines, is_verified: 1 byte each
 * last_id, last_push, timer_ms: 8 bytes each
 * contact, user: 4 bytes of length, then the bytes
 * transactions: 2 bytes of count, then for each, the oldest first:
 *   state, flags: 1 byte each | id, key, tag: 8 bytes each | cseq: 4 bytes
 *   due_ms, end_ms: 8 bytes each | pause_ms, plain_len: 4 bytes each
 *   lines, contact, user, last: as above
 *
 * The address and the transport come from the peer, the server's address and the methods from the
 * options of the new version.
 */
#include "sip.h"

#include <string.h>

enum { FORMAT = 1, IS_INVITE = 1, IS_REGISTER = 2, IS_TRIED = 4 };

/* The largest id that a state may have. Ids that follow it do not overflow. */
static const uint64_t ID_MAX = 1ull << 53;

/* === Writing === */

static void put(wp_buffer *state, uint64_t number, int width) {
    for (; width > 0; width--, number >>= 8) wp_put_byte(state, (uint8_t)number);
}

static void put_bytes(wp_buffer *state, const wp_buffer *bytes) {
    put(state, bytes->len, 4);
    wp_put(state, wp_contents(bytes));
}

static void put_transaction(wp_buffer *state, const sip_transaction *transaction) {
    int flags = (transaction->is_invite ? IS_INVITE : 0) | (transaction->is_register ? IS_REGISTER : 0)
        | (transaction->is_tried ? IS_TRIED : 0);
    put(state, transaction->state, 1);
    put(state, (uint64_t)flags, 1);
    put(state, transaction->id, 8);
    put(state, transaction->key, 8);
    put(state, transaction->tag, 8);
    put(state, transaction->cseq, 4);
    put(state, transaction->due_ms, 8);
    put(state, transaction->end_ms, 8);
    put(state, transaction->pause_ms, 4);
    put(state, transaction->plain_len, 4);
    put_bytes(state, &transaction->lines);
    put_bytes(state, &transaction->contact);
    put_bytes(state, &transaction->user);
    put_bytes(state, &transaction->last);
}

void sip_save(const wp_session *session, wp_buffer *state) {
    put(state, FORMAT, 1);
    wp_put(state, (wp_bytes){session->secret, sizeof session->secret});
    put(state, session->empty_lines, 1);
    put(state, session->is_verified, 1);
    put(state, session->last_id, 8);
    put(state, session->last_push, 8);
    put(state, session->timer_ms, 8);
    put_bytes(state, &session->contact);
    put_bytes(state, &session->user);
    put(state, session->transactions_len, 2);
    for (const sip_transaction *each = session->oldest; each != NULL; each = each->next) put_transaction(state, each);
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

/* Lines and packets are UTF-8. */
static void take_text(reader *reader, wp_buffer *out) {
    wp_bytes text = take_bytes(reader, (size_t)take(reader, 4, MESSAGE_MAX));
    if (!wp_is_utf8(text)) reader->is_valid = false;
    wp_put(out, text);
}

static void take_transaction(reader *reader, wp_session *session) {
    sip_transaction *transaction = sip_add(session, 0);
    if (transaction == NULL) {
        reader->is_valid = false;
        return;
    }
    transaction->state = (sip_state)take(reader, 1, SIP_ASKED);
    uint64_t flags = take(reader, 1, IS_INVITE | IS_REGISTER | IS_TRIED);
    transaction->is_invite = (flags & IS_INVITE) != 0;
    transaction->is_register = (flags & IS_REGISTER) != 0;
    transaction->is_tried = (flags & IS_TRIED) != 0;
    transaction->id = take(reader, 8, ID_MAX);
    transaction->key = take(reader, 8, UINT64_MAX);
    transaction->tag = take(reader, 8, UINT64_MAX);
    transaction->cseq = (uint32_t)take(reader, 4, INT32_MAX);
    transaction->due_ms = take(reader, 8, NEVER);
    transaction->end_ms = take(reader, 8, NEVER);
    transaction->pause_ms = (uint32_t)take(reader, 4, T2_MS);
    transaction->plain_len = (size_t)take(reader, 4, MESSAGE_MAX);
    take_text(reader, &transaction->lines);
    take_text(reader, &transaction->contact);
    take_text(reader, &transaction->user);
    take_text(reader, &transaction->last);
    if (transaction->plain_len > transaction->lines.len) reader->is_valid = false;
}

bool sip_restore(wp_session *session, wp_bytes state) {
    reader reader = {state, true};
    if (take(&reader, 1, UINT8_MAX) != FORMAT) return false;
    wp_bytes secret = take_bytes(&reader, sizeof session->secret);
    if (reader.is_valid) memcpy(session->secret, secret.at, secret.len);
    session->empty_lines = (uint8_t)take(&reader, 1, 1);
    session->is_verified = take(&reader, 1, 1) == 1;
    session->last_id = take(&reader, 8, ID_MAX);
    session->last_push = take(&reader, 8, ID_MAX);
    session->timer_ms = take(&reader, 8, NEVER);
    take_text(&reader, &session->contact);
    take_text(&reader, &session->user);
    uint64_t transactions = take(&reader, 2, TRANSACTIONS_MAX);
    while (reader.is_valid && transactions-- > 0) take_transaction(&reader, session);
    return reader.is_valid && reader.rest.len == 0;
}
