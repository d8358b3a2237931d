/* The cover of a codec in C: the exports of wit/codec.wit over the functions of wireplug.h.
 *
 * `guest.h` are the bindings of the codec's world, generated with `guest` for its name. Of the optional interfaces those
 * are covered that the compiler is told of, which must be those that the world exports: -DWIREPLUG_BATCH,
 * -DWIREPLUG_HANDSHAKE, -DWIREPLUG_CLOCK, -DWIREPLUG_FAREWELL, -DWIREPLUG_BROADCAST, -DWIREPLUG_HANDOFF.
 *
 * Events are always gathered flat, as `decode-batch` hands them over. What is handed over was made by malloc, and is
 * freed by the bindings after the call; a list without elements owns no memory.
 */
#include "wireplug.h"

#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "wireplug_events.h"

/* === What is handed over === */

/* The memory of a buffer that is handed over as a list. */
static uint8_t *hand_over(wp_buffer *buffer) {
    if (buffer->len == 0) wp_free(buffer);
    return buffer->at;
}

static guest_list_u8_t as_list(wp_buffer *buffer) {
    size_t len = buffer->len;
    return (guest_list_u8_t){hand_over(buffer), len};
}

static guest_string_t as_string(wp_buffer *buffer) {
    guest_list_u8_t list = as_list(buffer);
    return (guest_string_t){list.ptr, list.len};
}

static wp_buffer copy(wp_bytes bytes) {
    wp_buffer buffer = {0};
    wp_put(&buffer, bytes);
    return buffer;
}

/* The one event of a head, in memory of its own. */
static wireplug_codec_types_event_t one_event(const wp_head *head, wp_bytes route, wp_bytes body) {
    wireplug_codec_types_event_t event;
    memset(&event, 0, sizeof event);
    event.tag = head->kind;
    wp_buffer copied = copy(body);
    switch (head->kind) {
    case HELLO: event.val.hello = as_list(&copied); break;
    case MESSAGE: {
        wp_buffer to = copy(route);
        event.val.message.id = (guest_option_u64_t){head->id.is_some, head->id.val};
        event.val.message.route = as_string(&to);
        event.val.message.body = as_list(&copied);
        event.val.message.status = 200;
        break;
    }
    case REPLY: event.val.reply = as_list(&copied); break;
    case WAKE: event.val.wake = (uint32_t)head->id.val; break;
    case CLOSE: event.val.close = as_string(&copied); break;
    default: break;
    }
    return event;
}

static void *must(void *memory) {
    if (memory == NULL) abort();
    return memory;
}

/* The events one by one. Each interface has a list of its own, of the same events. */
static void one_by_one(wp_events *events, wireplug_codec_types_event_t **ptr, size_t *len) {
    const wp_head *heads = (const wp_head *)events->heads.at;
    size_t start = 0;
    *len = events->heads.len / sizeof(wp_head);
    *ptr = NULL;
    if (*len > 0) *ptr = must(malloc(*len * sizeof(wireplug_codec_types_event_t)));
    for (size_t i = 0; i < *len; i++) {
        const uint8_t *bytes = events->bytes.at;
        wp_bytes route = {bytes + start, heads[i].route_end - start};
        wp_bytes body = {bytes + heads[i].route_end, heads[i].body_end - heads[i].route_end};
        (*ptr)[i] = one_event(&heads[i], route, body);
        start = heads[i].body_end;
    }
    wp_free_events(events);
}

static wp_bytes view(const guest_list_u8_t *list) {
    return (wp_bytes){list->ptr, list->len};
}

static wp_bytes string_view(const guest_string_t *string) {
    return (wp_bytes){string->ptr, string->len};
}

static wp_peer peer_view(const wireplug_codec_types_peer_t *peer) {
    return (wp_peer){
        .transport = string_view(&peer->transport),
        .address = string_view(&peer->address),
        .entropy = view(&peer->entropy),
        .attributes = peer->attributes.ptr,
        .attributes_len = peer->attributes.len,
    };
}

wp_bytes wp_attribute(const wp_peer *peer, const char *name) {
    const guest_tuple2_string_string_t *attributes = peer->attributes;
    for (size_t i = 0; i < peer->attributes_len; i++) {
        if (wp_is(string_view(&attributes[i].f0), name)) return string_view(&attributes[i].f1);
    }
    return (wp_bytes){0};
}

/* === codec === */

#define EXPORT(name) exports_wireplug_codec_##name

void EXPORT(codec_describe)(EXPORT(codec_description_t) *ret) {
    const wp_description *is = &codec_description;
    memset(ret, 0, sizeof *ret);
    guest_string_dup(&ret->name, is->name);
    guest_string_dup(&ret->version, is->version);
    ret->framing.is_some = is->framing != WP_NO_FRAMING;
    switch (is->framing) {
    case WP_NO_FRAMING: break;
    case WP_DELIMITER: {
        wp_buffer delimiter = copy(is->delimiter);
        ret->framing.val.tag = EXPORTS_WIREPLUG_CODEC_CODEC_FRAMING_DELIMITER;
        ret->framing.val.val.delimiter = as_list(&delimiter);
        break;
    }
    case WP_LENGTH:
        ret->framing.val.tag = EXPORTS_WIREPLUG_CODEC_CODEC_FRAMING_LENGTH;
        ret->framing.val.val.length.offset = is->length.offset;
        ret->framing.val.val.length.width = is->length.width;
        ret->framing.val.val.length.little_endian = is->length.little_endian;
        ret->framing.val.val.length.adjust = is->length.adjust;
        break;
    case WP_VARINT:
        ret->framing.val.tag = EXPORTS_WIREPLUG_CODEC_CODEC_FRAMING_VARINT;
        ret->framing.val.val.varint = is->varint;
        break;
    }
    ret->message = (uint8_t)is->message;
    ret->text = is->text;
    ret->json = is->json;
    ret->handshake = is->handshake;
    ret->merges = is->merges;
}

bool EXPORT(codec_configure)(guest_string_t *options, guest_string_t *err) {
    wp_buffer error = {0};
    bool right = codec_configure(string_view(options), &error);
    guest_string_free(options);
    if (right) wp_free(&error);
    else *err = as_string(&error);
    return right;
}

/* Hands over the session, or why there is none. */
static bool opened(wp_session *session, wp_buffer *error, EXPORT(codec_own_session_t) *ret, guest_string_t *err) {
    if (session == NULL) {
        *err = as_string(error);
        return false;
    }
    wp_free(error);
    *ret = EXPORT(codec_session_new)((EXPORT(codec_session_t) *)session);
    return true;
}

bool EXPORT(codec_static_session_open)(
    EXPORT(codec_peer_t) *peer, uint64_t now_ms, EXPORT(codec_own_session_t) *ret, guest_string_t *err
) {
    wp_buffer error = {0};
    wp_peer seen = peer_view(peer);
    wp_session *session = codec_open(&seen, now_ms, &error);
    EXPORT(codec_peer_free)(peer);
    return opened(session, &error, ret, err);
}

void EXPORT(codec_session_destructor)(EXPORT(codec_session_t) *session) {
    codec_drop((wp_session *)session);
}

bool EXPORT(codec_method_session_decode)(
    EXPORT(codec_borrow_session_t) session, guest_list_u8_t *packet, uint64_t now_ms, EXPORT(codec_list_event_t) *ret,
    EXPORT(codec_fault_t) *err
) {
    wp_events events = {0};
    codec_decode((wp_session *)session, view(packet), now_ms, &events);
    guest_list_u8_free(packet);
    const wp_head *first = (const wp_head *)events.heads.at;
    if (events.heads.len == 0 || first->kind < REJECTED) {
        one_by_one(&events, &ret->ptr, &ret->len);
        return true;
    }
    err->tag = first->kind == FATAL ? WIREPLUG_CODEC_TYPES_FAULT_FATAL : WIREPLUG_CODEC_TYPES_FAULT_REJECTED;
    err->val.rejected = as_string(&events.bytes);
    wp_free(&events.heads);
    return false;
}

/* Encodes one message behind what `packet` holds. */
static wp_outcome encode(
    wp_session *session, const wp_message *message, uint64_t now_ms, wp_buffer *packet, wp_buffer *reason
) {
    size_t before = packet->len;
    wp_outcome outcome = codec_encode(session, message, now_ms, packet, reason);
    if (outcome != WP_PACKET) packet->len = before;
    return outcome;
}

static wp_message message_view(const wireplug_codec_types_message_t *message) {
    return (wp_message){
        message->id.is_some, message->id.val, string_view(&message->route), view(&message->body), message->status
    };
}

bool EXPORT(codec_method_session_encode)(
    EXPORT(codec_borrow_session_t) session, EXPORT(codec_message_t) *message, uint64_t now_ms,
    guest_option_list_u8_t *ret, EXPORT(codec_fault_t) *err
) {
    wp_buffer packet = {0}, reason = {0};
    wp_message seen = message_view(message);
    wp_outcome outcome = encode((wp_session *)session, &seen, now_ms, &packet, &reason);
    EXPORT(codec_message_free)(message);
    ret->is_some = outcome == WP_PACKET;
    if (outcome == WP_PACKET || outcome == WP_NOTHING) {
        wp_free(&reason);
        ret->val = as_list(&packet);
        return true;
    }
    wp_free(&packet);
    err->tag = outcome == WP_FATAL ? WIREPLUG_CODEC_TYPES_FAULT_FATAL : WIREPLUG_CODEC_TYPES_FAULT_REJECTED;
    err->val.rejected = as_string(&reason);
    return false;
}

/* === batch === */

#ifdef WIREPLUG_BATCH

_Static_assert(sizeof(wp_head) == sizeof(EXPORT(batch_event_head_t)), "a head is one of the bindings");
_Static_assert(offsetof(wp_head, id) == offsetof(EXPORT(batch_event_head_t), id), "a head is one of the bindings");
_Static_assert(
    offsetof(wp_head, body_end) == offsetof(EXPORT(batch_event_head_t), body_end), "a head is one of the bindings"
);

void EXPORT(batch_decode_batch)(
    EXPORT(batch_borrow_session_t) session, EXPORT(batch_packets_t) *packets, uint64_t now_ms,
    EXPORT(batch_events_t) *ret
) {
    wp_events events = {0};
    size_t start = 0;
    for (size_t i = 0; i < packets->ends.len && !events.over; i++) {
        size_t end = packets->ends.ptr[i];
        events.packet = (uint32_t)i;
        events.refused = false;
        events.bytes_before = events.bytes.len;
        events.heads_before = events.heads.len;
        codec_decode((wp_session *)session, (wp_bytes){packets->bytes.ptr + start, end - start}, now_ms, &events);
        start = end;
    }
    EXPORT(batch_packets_free)(packets);
    ret->bytes = as_list(&events.bytes);
    ret->heads.len = events.heads.len / sizeof(wp_head);
    ret->heads.ptr = (EXPORT(batch_event_head_t) *)hand_over(&events.heads);
}

bool EXPORT(batch_encode_batch)(
    EXPORT(batch_borrow_session_t) session, EXPORT(batch_messages_t) *messages, uint64_t now_ms,
    EXPORT(batch_encoded_t) *ret, guest_string_t *err
) {
    wp_buffer packets = {0}, ends = {0}, refused = {0}, reason = {0};
    wp_outcome outcome = WP_NOTHING;
    size_t start = 0;
    for (size_t i = 0; i < messages->heads.len && outcome != WP_FATAL; i++) {
        const EXPORT(batch_message_head_t) *head = &messages->heads.ptr[i];
        const uint8_t *bytes = messages->bytes.ptr;
        wp_message message = {
            head->id.is_some,
            head->id.val,
            {bytes + start, head->route_end - start},
            {bytes + head->route_end, head->body_end - head->route_end},
            head->status,
        };
        start = head->body_end;
        outcome = encode((wp_session *)session, &message, now_ms, &packets, &reason);
        if (outcome == WP_PACKET) {
            uint32_t end = (uint32_t)packets.len;
            wp_put(&ends, (wp_bytes){(const uint8_t *)&end, sizeof end});
        } else if (outcome == WP_REJECTED) {
            EXPORT(batch_refusal_t) refusal = {(uint32_t)i, as_string(&reason)};
            wp_put(&refused, (wp_bytes){(const uint8_t *)&refusal, sizeof refusal});
            reason = (wp_buffer){0};
        }
        if (outcome != WP_FATAL) reason.len = 0;
    }
    EXPORT(batch_messages_free)(messages);
    ret->packets.bytes = as_list(&packets);
    ret->packets.ends.len = ends.len / sizeof(uint32_t);
    ret->packets.ends.ptr = (uint32_t *)hand_over(&ends);
    ret->refused.len = refused.len / sizeof(EXPORT(batch_refusal_t));
    ret->refused.ptr = (EXPORT(batch_refusal_t) *)hand_over(&refused);
    if (outcome != WP_FATAL) {
        wp_free(&reason);
        return true;
    }
    EXPORT(batch_encoded_free)(ret);
    *err = as_string(&reason);
    return false;
}

#endif

/* === handshake === */

#ifdef WIREPLUG_HANDSHAKE

void EXPORT(handshake_answer)(
    EXPORT(handshake_borrow_session_t) session, uint16_t status, guest_list_u8_t *body, uint64_t now_ms,
    EXPORT(handshake_list_event_t) *ret
) {
    wp_events events = {0};
    codec_answer((wp_session *)session, status, view(body), now_ms, &events);
    guest_list_u8_free(body);
    one_by_one(&events, &ret->ptr, &ret->len);
}

#endif

/* === clock === */

#ifdef WIREPLUG_CLOCK

void EXPORT(clock_tick)(EXPORT(clock_borrow_session_t) session, uint64_t now_ms, EXPORT(clock_list_event_t) *ret) {
    wp_events events = {0};
    codec_tick((wp_session *)session, now_ms, &events);
    one_by_one(&events, &ret->ptr, &ret->len);
}

#endif

/* === farewell === */

#ifdef WIREPLUG_FAREWELL

bool EXPORT(farewell_farewell)(
    EXPORT(farewell_borrow_session_t) session, guest_string_t *reason, uint64_t now_ms, guest_list_u8_t *ret
) {
    wp_buffer packet = {0};
    bool said = codec_farewell((wp_session *)session, string_view(reason), now_ms, &packet);
    guest_string_free(reason);
    if (said) *ret = as_list(&packet);
    else wp_free(&packet);
    return said;
}

#endif

/* === broadcast === */

#ifdef WIREPLUG_BROADCAST

bool EXPORT(broadcast_share_class)(EXPORT(broadcast_borrow_session_t) session, uint32_t *ret) {
    return codec_share_class((const wp_session *)session, ret);
}

bool EXPORT(broadcast_encode_shared)(
    uint32_t share_class, EXPORT(broadcast_message_t) *message, guest_option_list_u8_t *ret, guest_string_t *err
) {
    wp_buffer packet = {0}, reason = {0};
    wp_message seen = message_view(message);
    wp_outcome outcome = codec_encode_shared(share_class, &seen, &packet, &reason);
    EXPORT(broadcast_message_free)(message);
    ret->is_some = outcome == WP_PACKET;
    if (outcome == WP_PACKET) ret->val = as_list(&packet);
    else wp_free(&packet);
    if (outcome == WP_PACKET || outcome == WP_NOTHING) {
        wp_free(&reason);
        return true;
    }
    *err = as_string(&reason);
    return false;
}

#endif

/* === handoff === */

#ifdef WIREPLUG_HANDOFF

bool EXPORT(handoff_save)(EXPORT(handoff_borrow_session_t) session, guest_list_u8_t *ret, guest_string_t *err) {
    wp_buffer state = {0}, error = {0};
    bool saved = codec_save((const wp_session *)session, &state, &error);
    if (saved) *ret = as_list(&state);
    else *err = as_string(&error);
    wp_free(saved ? &error : &state);
    return saved;
}

bool EXPORT(handoff_restore)(
    EXPORT(handoff_peer_t) *peer, guest_list_u8_t *state, uint64_t now_ms, EXPORT(handoff_own_session_t) *ret,
    guest_string_t *err
) {
    wp_buffer error = {0};
    wp_peer seen = peer_view(peer);
    wp_session *session = codec_restore(&seen, view(state), now_ms, &error);
    EXPORT(handoff_peer_free)(peer);
    guest_list_u8_free(state);
    return opened(session, &error, ret, err);
}

#endif
