/* The exports of `wit/codec.wit`, which call the functions of wireplug.h. The interfaces `batch` and
 * `framer` are in wireplug_batch.c.
 *
 * `guest.h` is generated from the world of the codec. The compiler defines a macro for each
 * interface that the world exports, for example WIREPLUG_TLS_UPGRADE for `tls-upgrade`.
 */
#include <string.h>

#include "wireplug_guest.h"

/* === codec === */

void EXPORT(codec_describe)(EXPORT(codec_description_t) *ret) {
    const wp_description *is = &codec_description;
    memset(ret, 0, sizeof *ret);
    guest_string_dup(&ret->name, is->name);
    guest_string_dup(&ret->version, is->version);
    ret->framing.is_some = is->framing != WP_FRAMING_NONE;
    switch (is->framing) {
    case WP_FRAMING_NONE: break;
    case WP_FRAMING_DELIMITER: {
        wp_buffer delimiter = {0};
        wp_put(&delimiter, is->delimiter);
        ret->framing.val.tag = EXPORTS_WIREPLUG_CODEC_CODEC_FRAMING_DELIMITER;
        ret->framing.val.val.delimiter = wp_as_list(&delimiter);
        break;
    }
    case WP_FRAMING_LENGTH:
        ret->framing.val.tag = EXPORTS_WIREPLUG_CODEC_CODEC_FRAMING_LENGTH;
        ret->framing.val.val.length.offset = is->length.offset;
        ret->framing.val.val.length.width = is->length.width;
        ret->framing.val.val.length.little_endian = is->length.little_endian;
        ret->framing.val.val.length.adjust = is->length.adjust;
        break;
    case WP_FRAMING_VARINT:
        ret->framing.val.tag = EXPORTS_WIREPLUG_CODEC_CODEC_FRAMING_VARINT;
        ret->framing.val.val.varint = is->varint;
        break;
    }
    ret->messages = (uint8_t)is->messages;
    ret->payload = (uint8_t)is->payload;
    ret->json = is->json;
    ret->handshake = is->handshake;
    ret->client_requests = is->client_requests;
    ret->max_packet.is_some = is->max_packet != 0;
    ret->max_packet.val = is->max_packet;
}

bool EXPORT(codec_configure)(guest_string_t *options, guest_string_t *err) {
    wp_buffer error = {0};
    bool accepted = codec_configure(wp_string_view(options), &error);
    guest_string_free(options);
    if (accepted) wp_free(&error);
    else *err = wp_as_string(&error);
    return accepted;
}

bool EXPORT(codec_static_session_open)(
    EXPORT(codec_peer_t) *peer, EXPORT(codec_instant_t) *now, EXPORT(codec_own_session_t) *ret, guest_string_t *err
) {
    wp_buffer error = {0};
    wp_peer seen = wp_peer_view(peer);
    wp_session *session = codec_open(&seen, wp_instant_of(now), &error);
    EXPORT(codec_peer_free)(peer);
    return wp_opened(session, &error, ret, err);
}

void EXPORT(codec_session_destructor)(EXPORT(codec_session_t) *session) {
    codec_drop((wp_session *)session);
}

static bool fault(EXPORT(codec_fault_t) *err, bool is_fatal, wp_buffer *reason) {
    err->tag = is_fatal ? WIREPLUG_CODEC_TYPES_FAULT_FATAL : WIREPLUG_CODEC_TYPES_FAULT_REJECTED;
    err->val.rejected = wp_as_string(reason);
    return false;
}

bool EXPORT(codec_method_session_decode)(
    EXPORT(codec_borrow_session_t) session, guest_list_u8_t *packet, EXPORT(codec_instant_t) *now,
    EXPORT(codec_list_event_t) *ret, EXPORT(codec_fault_t) *err
) {
    wp_events events = {0};
    codec_decode((wp_session *)session, wp_view(packet), wp_instant_of(now), &events);
    guest_list_u8_free(packet);
    if (!events.refused) {
        wp_as_events(&events, &ret->ptr, &ret->len);
        return true;
    }
    bool is_fatal = ((const wp_head *)events.heads.at)->kind == KIND_FATAL;
    wp_free(&events.heads);
    return fault(err, is_fatal, &events.bytes);
}

wp_outcome wp_encode(
    wp_session *session, const wp_message *message, wp_instant now, wp_packets *packets, wp_buffer *reason
) {
    size_t before = wp_packets_len(packets);
    wp_outcome outcome = codec_encode(session, message, now, packets, reason);
    wp_keep_packets(packets, outcome == WP_ENCODED ? wp_packets_len(packets) : before);
    return outcome;
}

bool EXPORT(codec_method_session_encode)(
    EXPORT(codec_borrow_session_t) session, EXPORT(codec_message_t) *message, EXPORT(codec_instant_t) *now,
    guest_list_list_u8_t *ret, EXPORT(codec_fault_t) *err
) {
    wp_packets packets = {0};
    wp_buffer reason = {0};
    wp_message seen = wp_message_view(message);
    wp_outcome outcome = wp_encode((wp_session *)session, &seen, wp_instant_of(now), &packets, &reason);
    EXPORT(codec_message_free)(message);
    *ret = wp_as_packets(&packets);
    if (outcome != WP_ENCODED) return fault(err, outcome == WP_FATAL, &reason);
    wp_free(&reason);
    return true;
}

/* === tls-upgrade === */

#ifdef WIREPLUG_TLS_UPGRADE

void EXPORT(tls_upgrade_secured)(
    EXPORT(tls_upgrade_borrow_session_t) session, guest_list_tuple2_string_string_t *attributes,
    EXPORT(tls_upgrade_instant_t) *now, EXPORT(tls_upgrade_list_event_t) *ret
) {
    wp_events events = {0};
    wp_attributes added = {attributes->ptr, attributes->len};
    codec_secured((wp_session *)session, added, wp_instant_of(now), &events);
    guest_list_tuple2_string_string_free(attributes);
    wp_as_events(&events, &ret->ptr, &ret->len);
}

#endif

/* === handshake === */

#ifdef WIREPLUG_HANDSHAKE

void EXPORT(handshake_answer)(
    EXPORT(handshake_borrow_session_t) session, uint16_t status, guest_list_u8_t *body,
    EXPORT(handshake_instant_t) *now, EXPORT(handshake_list_event_t) *ret
) {
    wp_events events = {0};
    codec_answer((wp_session *)session, status, wp_view(body), wp_instant_of(now), &events);
    guest_list_u8_free(body);
    wp_as_events(&events, &ret->ptr, &ret->len);
}

#endif

/* === requests === */

#ifdef WIREPLUG_REQUESTS

void EXPORT(requests_abandoned)(
    EXPORT(requests_borrow_session_t) session, uint64_t id, EXPORT(requests_instant_t) *now,
    EXPORT(requests_list_event_t) *ret
) {
    wp_events events = {0};
    codec_abandoned((wp_session *)session, id, wp_instant_of(now), &events);
    wp_as_events(&events, &ret->ptr, &ret->len);
}

#endif

/* === clock === */

#ifdef WIREPLUG_CLOCK

void EXPORT(clock_tick)(
    EXPORT(clock_borrow_session_t) session, EXPORT(clock_instant_t) *now, EXPORT(clock_list_event_t) *ret
) {
    wp_events events = {0};
    codec_tick((wp_session *)session, wp_instant_of(now), &events);
    wp_as_events(&events, &ret->ptr, &ret->len);
}

#endif

/* === farewell === */

#ifdef WIREPLUG_FAREWELL

void EXPORT(farewell_farewell)(
    EXPORT(farewell_borrow_session_t) session, EXPORT(farewell_cause_t) cause, guest_string_t *reason,
    EXPORT(farewell_instant_t) *now, EXPORT(farewell_list_event_t) *ret
) {
    wp_events events = {0};
    codec_farewell((wp_session *)session, (wp_cause)cause, wp_string_view(reason), wp_instant_of(now), &events);
    guest_string_free(reason);
    wp_as_events(&events, &ret->ptr, &ret->len);
}

#endif

/* === broadcast === */

#ifdef WIREPLUG_BROADCAST

bool EXPORT(broadcast_broadcast_class)(EXPORT(broadcast_borrow_session_t) session, uint32_t *ret) {
    return codec_broadcast_class((const wp_session *)session, ret);
}

bool EXPORT(broadcast_encode_shared)(
    uint32_t broadcast_class, EXPORT(broadcast_message_t) *message, guest_list_list_u8_t *ret, guest_string_t *err
) {
    wp_packets packets = {0};
    wp_buffer reason = {0};
    wp_message seen = wp_message_view(message);
    wp_outcome outcome = codec_encode_shared(broadcast_class, &seen, &packets, &reason);
    EXPORT(broadcast_message_free)(message);
    wp_keep_packets(&packets, outcome == WP_ENCODED ? wp_packets_len(&packets) : 0);
    *ret = wp_as_packets(&packets);
    if (outcome == WP_ENCODED) wp_free(&reason);
    else *err = wp_as_string(&reason);
    return outcome == WP_ENCODED;
}

#endif

/* === handoff === */

#ifdef WIREPLUG_HANDOFF

bool EXPORT(handoff_save)(EXPORT(handoff_borrow_session_t) session, guest_list_u8_t *ret, guest_string_t *err) {
    wp_buffer state = {0}, error = {0};
    bool saved = codec_save((const wp_session *)session, &state, &error);
    if (saved) *ret = wp_as_list(&state);
    else *err = wp_as_string(&error);
    wp_free(saved ? &error : &state);
    return saved;
}

bool EXPORT(handoff_restore)(
    EXPORT(handoff_peer_t) *peer, guest_list_u8_t *state, EXPORT(handoff_instant_t) *now,
    EXPORT(handoff_own_session_t) *ret, guest_string_t *err
) {
    wp_buffer error = {0};
    wp_peer seen = wp_peer_view(peer);
    wp_session *session = codec_restore(&seen, wp_view(state), wp_instant_of(now), &error);
    EXPORT(handoff_peer_free)(peer);
    guest_list_u8_free(state);
    return wp_opened(session, &error, ret, err);
}

#endif
