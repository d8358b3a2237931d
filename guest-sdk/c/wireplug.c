/* The exports of `wit/codec.wit`, which call the functions of wireplug.h.
 *
 * `guest.h` is generated from the world of the codec. The compiler defines a macro for each
 * optional interface that the world exports: WIREPLUG_BATCH, WIREPLUG_HANDSHAKE, WIREPLUG_CLOCK,
 * WIREPLUG_FAREWELL, WIREPLUG_BROADCAST, WIREPLUG_HANDOFF.
 *
 * Events and packets are always gathered in flat lists. What an export returns is memory from
 * malloc, which the bindings free after the call. A list without elements has no memory.
 */
#include "wireplug.h"

#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "wireplug_flat.h"

#define EXPORT(name) exports_wireplug_codec_##name

/* === Values to return === */

/* Returns the memory of a buffer, which becomes a list. */
static uint8_t *take_memory(wp_buffer *buffer) {
    if (buffer->len == 0) wp_free(buffer);
    return buffer->at;
}

static guest_list_u8_t as_list(wp_buffer *buffer) {
    size_t len = buffer->len;
    return (guest_list_u8_t){take_memory(buffer), len};
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

/* Returns memory for this many elements, and NULL for none. */
static void *new_list(size_t len, size_t size) {
    if (len == 0) return NULL;
    void *list = calloc(len, size);
    if (list == NULL) abort();
    return list;
}

static wireplug_codec_types_event_t as_event(const wp_head *head, wp_bytes route, wp_bytes body) {
    wireplug_codec_types_event_t event;
    memset(&event, 0, sizeof event);
    event.tag = head->kind;
    wp_buffer copied = copy(body);
    switch (head->kind) {
    case KIND_HELLO: event.val.hello = as_list(&copied); break;
    case KIND_MESSAGE: {
        wp_buffer to = copy(route);
        event.val.message.role = head->role;
        event.val.message.id = head->id;
        event.val.message.route = as_string(&to);
        event.val.message.body = as_list(&copied);
        event.val.message.status = head->status;
        break;
    }
    case KIND_REPLY: event.val.reply = as_list(&copied); break;
    case KIND_TIMER: event.val.timer = (uint32_t)head->id; break;
    case KIND_LOG:
        event.val.log.level = (uint8_t)head->id;
        event.val.log.text = as_string(&copied);
        break;
    case KIND_CLOSE:
        event.val.close.code = (uint16_t)head->id;
        event.val.close.reason = as_string(&copied);
        break;
    case KIND_ESTABLISHED:
    case KIND_ADDRESS_VERIFIED: break;
    /* The codec refused what is no packet. */
    default: abort();
    }
    return event;
}

/* Converts the events to a list of elements. Each interface has its own type for this list. */
static void as_events(wp_events *events, wireplug_codec_types_event_t **ptr, size_t *len) {
    const wp_head *heads = (const wp_head *)events->heads.at;
    size_t start = 0;
    *len = events->heads.len / sizeof(wp_head);
    *ptr = new_list(*len, sizeof **ptr);
    for (size_t i = 0; i < *len; i++) {
        const uint8_t *bytes = events->bytes.at;
        wp_bytes route = {bytes + start, heads[i].route_end - start};
        wp_bytes body = {bytes + heads[i].route_end, heads[i].body_end - heads[i].route_end};
        (*ptr)[i] = as_event(&heads[i], route, body);
        start = heads[i].body_end;
    }
    wp_free_events(events);
}

/* Converts the packets to a list of lists. A single packet is not copied. */
static guest_list_list_u8_t as_packets(wp_packets *packets) {
    size_t len = wp_packets_len(packets), start = 0;
    guest_list_list_u8_t list = {new_list(len, sizeof(guest_list_u8_t)), len};
    const uint32_t *ends = (const uint32_t *)packets->ends.at;
    if (len == 1) {
        list.ptr[0] = as_list(&packets->bytes);
        packets->bytes = (wp_buffer){0};
    }
    for (size_t i = 0; i < len && len > 1; i++) {
        wp_buffer packet = copy((wp_bytes){packets->bytes.at + start, ends[i] - start});
        list.ptr[i] = as_list(&packet);
        start = ends[i];
    }
    wp_free(&packets->bytes);
    wp_free(&packets->ends);
    return list;
}

/* === Views of arguments === */

static wp_bytes view(const guest_list_u8_t *list) {
    return (wp_bytes){list->ptr, list->len};
}

static wp_bytes string_view(const guest_string_t *string) {
    return (wp_bytes){string->ptr, string->len};
}

static wp_instant instant(const wireplug_codec_types_instant_t *now) {
    return (wp_instant){now->session_ms, now->unix_ms};
}

static wp_peer peer_view(const wireplug_codec_types_peer_t *peer) {
    return (wp_peer){
        .carrier = (wp_carrier)peer->carrier,
        .transport = string_view(&peer->transport),
        .address = string_view(&peer->address),
        .dialed = peer->dialed,
        .max_packet = peer->max_packet,
        .random_seed = view(&peer->random_seed),
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

static wp_message message_view(const wireplug_codec_types_message_t *message) {
    return (wp_message){
        (wp_role)message->role, message->id, string_view(&message->route), view(&message->body), message->status
    };
}

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
        wp_buffer delimiter = copy(is->delimiter);
        ret->framing.val.tag = EXPORTS_WIREPLUG_CODEC_CODEC_FRAMING_DELIMITER;
        ret->framing.val.val.delimiter = as_list(&delimiter);
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
    bool accepted = codec_configure(string_view(options), &error);
    guest_string_free(options);
    if (accepted) wp_free(&error);
    else *err = as_string(&error);
    return accepted;
}

/* Returns the session, or the error if there is none. */
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
    EXPORT(codec_peer_t) *peer, EXPORT(codec_instant_t) *now, EXPORT(codec_own_session_t) *ret, guest_string_t *err
) {
    wp_buffer error = {0};
    wp_peer seen = peer_view(peer);
    wp_session *session = codec_open(&seen, instant(now), &error);
    EXPORT(codec_peer_free)(peer);
    return opened(session, &error, ret, err);
}

void EXPORT(codec_session_destructor)(EXPORT(codec_session_t) *session) {
    codec_drop((wp_session *)session);
}

static bool fault(EXPORT(codec_fault_t) *err, bool is_fatal, wp_buffer *reason) {
    err->tag = is_fatal ? WIREPLUG_CODEC_TYPES_FAULT_FATAL : WIREPLUG_CODEC_TYPES_FAULT_REJECTED;
    err->val.rejected = as_string(reason);
    return false;
}

bool EXPORT(codec_method_session_decode)(
    EXPORT(codec_borrow_session_t) session, guest_list_u8_t *packet, EXPORT(codec_instant_t) *now,
    EXPORT(codec_list_event_t) *ret, EXPORT(codec_fault_t) *err
) {
    wp_events events = {0};
    codec_decode((wp_session *)session, view(packet), instant(now), &events);
    guest_list_u8_free(packet);
    if (!events.refused) {
        as_events(&events, &ret->ptr, &ret->len);
        return true;
    }
    bool is_fatal = ((const wp_head *)events.heads.at)->kind == KIND_FATAL;
    wp_free(&events.heads);
    return fault(err, is_fatal, &events.bytes);
}

/* Encodes one message, and keeps its packets only if the codec did not refuse the message. */
static wp_outcome encode(
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
    wp_message seen = message_view(message);
    wp_outcome outcome = encode((wp_session *)session, &seen, instant(now), &packets, &reason);
    EXPORT(codec_message_free)(message);
    *ret = as_packets(&packets);
    if (outcome != WP_ENCODED) return fault(err, outcome == WP_FATAL, &reason);
    wp_free(&reason);
    return true;
}

/* === batch === */

#ifdef WIREPLUG_BATCH

#define IS_SAME(field)                                                                                                 \
    _Static_assert(                                                                                                    \
        offsetof(wp_head, field) == offsetof(wireplug_codec_flat_event_head_t, field), "wp_head is `event-head`"       \
    )
IS_SAME(kind);
IS_SAME(packet);
IS_SAME(role);
IS_SAME(id);
IS_SAME(status);
IS_SAME(route_end);
IS_SAME(body_end);
_Static_assert(sizeof(wp_head) == sizeof(wireplug_codec_flat_event_head_t), "wp_head is `event-head`");

void EXPORT(batch_decode_batch)(
    EXPORT(batch_borrow_session_t) session, EXPORT(batch_packets_t) *packets, EXPORT(batch_instant_t) *now,
    EXPORT(batch_events_t) *ret
) {
    wp_events events = {0};
    size_t start = 0;
    for (size_t i = 0; i < packets->ends.len && !events.over; i++) {
        size_t end = packets->ends.ptr[i];
        wp_begin_events(&events, (uint32_t)i);
        wp_bytes packet = {packets->bytes.ptr + start, end - start};
        codec_decode((wp_session *)session, packet, instant(now), &events);
        start = end;
    }
    EXPORT(batch_packets_free)(packets);
    ret->bytes = as_list(&events.bytes);
    ret->heads.len = events.heads.len / sizeof(wp_head);
    ret->heads.ptr = (wireplug_codec_flat_event_head_t *)take_memory(&events.heads);
}

bool EXPORT(batch_encode_batch)(
    EXPORT(batch_borrow_session_t) session, EXPORT(batch_messages_t) *messages, EXPORT(batch_instant_t) *now,
    EXPORT(batch_encoded_t) *ret, guest_string_t *err
) {
    wp_packets packets = {0};
    wp_buffer sources = {0}, refused = {0}, reason = {0};
    wp_outcome outcome = WP_ENCODED;
    size_t start = 0;
    for (size_t i = 0; i < messages->heads.len && outcome != WP_FATAL; i++) {
        const wireplug_codec_flat_message_head_t *head = &messages->heads.ptr[i];
        const uint8_t *bytes = messages->bytes.ptr;
        wp_message message = {
            (wp_role)head->role,
            head->id,
            {bytes + start, head->route_end - start},
            {bytes + head->route_end, head->body_end - head->route_end},
            head->status,
        };
        start = head->body_end;
        outcome = encode((wp_session *)session, &message, instant(now), &packets, &reason);
        if (outcome == WP_ENCODED) {
            while (sources.len < packets.ends.len) wp_put_u32(&sources, (uint32_t)i);
        } else if (outcome == WP_REJECTED) {
            wireplug_codec_flat_refusal_t refusal = {(uint32_t)i, as_string(&reason)};
            wp_put(&refused, (wp_bytes){(const uint8_t *)&refusal, sizeof refusal});
            reason = (wp_buffer){0};
        }
        if (outcome != WP_FATAL) reason.len = 0;
    }
    EXPORT(batch_messages_free)(messages);
    ret->packets.bytes = as_list(&packets.bytes);
    ret->packets.ends.len = wp_packets_len(&packets);
    ret->packets.ends.ptr = (uint32_t *)take_memory(&packets.ends);
    ret->sources.len = sources.len / sizeof(uint32_t);
    ret->sources.ptr = (uint32_t *)take_memory(&sources);
    ret->refused.len = refused.len / sizeof(wireplug_codec_flat_refusal_t);
    ret->refused.ptr = (wireplug_codec_flat_refusal_t *)take_memory(&refused);
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
    EXPORT(handshake_borrow_session_t) session, uint16_t status, guest_list_u8_t *body,
    EXPORT(handshake_instant_t) *now, EXPORT(handshake_list_event_t) *ret
) {
    wp_events events = {0};
    codec_answer((wp_session *)session, status, view(body), instant(now), &events);
    guest_list_u8_free(body);
    as_events(&events, &ret->ptr, &ret->len);
}

#endif

/* === clock === */

#ifdef WIREPLUG_CLOCK

void EXPORT(clock_tick)(
    EXPORT(clock_borrow_session_t) session, EXPORT(clock_instant_t) *now, EXPORT(clock_list_event_t) *ret
) {
    wp_events events = {0};
    codec_tick((wp_session *)session, instant(now), &events);
    as_events(&events, &ret->ptr, &ret->len);
}

#endif

/* === farewell === */

#ifdef WIREPLUG_FAREWELL

void EXPORT(farewell_farewell)(
    EXPORT(farewell_borrow_session_t) session, EXPORT(farewell_cause_t) cause, guest_string_t *reason,
    EXPORT(farewell_instant_t) *now, EXPORT(farewell_list_event_t) *ret
) {
    wp_events events = {0};
    codec_farewell((wp_session *)session, (wp_cause)cause, string_view(reason), instant(now), &events);
    guest_string_free(reason);
    as_events(&events, &ret->ptr, &ret->len);
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
    wp_message seen = message_view(message);
    wp_outcome outcome = codec_encode_shared(broadcast_class, &seen, &packets, &reason);
    EXPORT(broadcast_message_free)(message);
    wp_keep_packets(&packets, outcome == WP_ENCODED ? wp_packets_len(&packets) : 0);
    *ret = as_packets(&packets);
    if (outcome == WP_ENCODED) wp_free(&reason);
    else *err = as_string(&reason);
    return outcome == WP_ENCODED;
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
    EXPORT(handoff_peer_t) *peer, guest_list_u8_t *state, EXPORT(handoff_instant_t) *now,
    EXPORT(handoff_own_session_t) *ret, guest_string_t *err
) {
    wp_buffer error = {0};
    wp_peer seen = peer_view(peer);
    wp_session *session = codec_restore(&seen, view(state), instant(now), &error);
    EXPORT(handoff_peer_free)(peer);
    guest_list_u8_free(state);
    return opened(session, &error, ret, err);
}

#endif
