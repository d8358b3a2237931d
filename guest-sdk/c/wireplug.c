/* The exports of `wit/codec.wit`, which call the functions of wireplug.h. The interfaces `batch` and
 * `framer` are in wireplug_batch.c.
 *
 * The compiler defines a macro for each interface that the world of the codec exports, for example
 * WIREPLUG_TLS_UPGRADE for `tls-upgrade`.
 */
#include "wireplug_abi.h"

/* === codec === */

/* `description` in `wit/codec.wit`. */
typedef struct description {
    wp_bytes name;
    wp_bytes version;
    struct {
        uint8_t is_some;
        struct {
            uint8_t tag;
            union {
                wp_bytes delimiter;
                wp_length_field length;
                uint8_t varint;
            };
        } value;
    } framing;
    uint8_t messages;
    uint8_t payload;
    uint8_t json;
    uint8_t handshake;
    uint16_t client_requests;
    uint8_t coalesces;
    struct {
        uint8_t is_some;
        uint32_t value;
    } max_packet;
} description;

_Static_assert(sizeof(description) == 48, "it is `description`");

WP_EXPORT("codec@0.2.0#describe") const description *wp_export_describe(void) {
    static description ret;
    const wp_description *is = &codec_description;
    ret.name = wp_text(is->name);
    ret.version = wp_text(is->version);
    ret.framing.is_some = is->framing != WP_FRAMING_NONE;
    /* The kinds of the contract begin with the delimiter. */
    ret.framing.value.tag = (uint8_t)(is->framing - WP_FRAMING_DELIMITER);
    switch (is->framing) {
    case WP_FRAMING_NONE: break;
    case WP_FRAMING_DELIMITER: ret.framing.value.delimiter = is->delimiter; break;
    case WP_FRAMING_LENGTH: ret.framing.value.length = is->length; break;
    case WP_FRAMING_VARINT: ret.framing.value.varint = is->varint; break;
    }
    ret.messages = (uint8_t)is->messages;
    ret.payload = (uint8_t)is->payload;
    ret.json = is->json;
    ret.handshake = is->handshake;
    ret.client_requests = is->client_requests;
    ret.max_packet.is_some = is->max_packet != 0;
    ret.max_packet.value = is->max_packet;
    return &ret;
}

WP_EXPORT("codec@0.2.0#configure")
const wp_list_or_error *wp_export_configure(const uint8_t *options, size_t options_len) {
    static wp_list_or_error ret;
    wp_buffer *error = &wp_begin_call()->text;
    ret.is_error = !codec_configure((wp_bytes){options, options_len}, error);
    ret.error = wp_contents(error);
    wp_end_only_call();
    return &ret;
}

__attribute__((import_module("[export]wireplug:codec/codec@0.2.0"), import_name("[resource-new]session"))) uint32_t
wp_new_handle(wp_session *session);

/* Ends the call that opened a session, or that failed. */
static const wp_handle_or_error *opened(wp_session *session, const wp_buffer *error) {
    static wp_handle_or_error ret;
    ret.is_error = session == NULL;
    if (session == NULL) ret.error = wp_contents(error);
    else ret.handle = wp_new_handle(session);
    wp_end_only_call();
    return &ret;
}

WP_EXPORT("codec@0.2.0#[static]session.open")
const wp_handle_or_error *wp_export_open(WP_PEER_FIELDS, WP_NOW_FIELDS) {
    wp_buffer *error = &wp_begin_call()->text;
    wp_peer peer = WP_PEER;
    return opened(codec_open(&peer, WP_NOW, error), error);
}

WP_EXPORT("codec@0.2.0#[dtor]session") void wp_export_drop(wp_session *session) {
    codec_drop(session);
}

static wp_fault fault(bool is_fatal, const wp_buffer *reason) {
    return (wp_fault){is_fatal, wp_contents(reason)};
}

WP_EXPORT("codec@0.2.0#[method]session.decode")
const wp_list_or_fault *wp_export_decode(wp_session *session, const uint8_t *packet, size_t packet_len, WP_NOW_FIELDS) {
    static wp_list_or_fault ret;
    wp_answer *answer = wp_begin_call();
    wp_events *events = &answer->stream.events;
    codec_decode(session, (wp_bytes){packet, packet_len}, WP_NOW, events);
    ret.is_fault = events->refused;
    if (!events->refused) ret.list = wp_list_events(answer);
    else ret.fault = fault(((const wp_head *)events->heads.at)->kind == KIND_FATAL, &events->bytes);
    wp_end_call();
    return &ret;
}

wp_outcome wp_encode(
    wp_session *session, const wp_message *message, wp_instant now, wp_packets *packets, wp_buffer *reason
) {
    size_t before = wp_packets_len(packets);
    wp_outcome outcome = codec_encode(session, message, now, packets, reason);
    wp_keep_packets(packets, outcome == WP_ENCODED ? wp_packets_len(packets) : before);
    return outcome;
}

WP_EXPORT("codec@0.2.0#[method]session.encode")
const wp_list_or_fault *wp_export_encode(wp_session *session, WP_MESSAGE_FIELDS, WP_NOW_FIELDS) {
    static wp_list_or_fault ret;
    wp_answer *answer = wp_begin_call();
    wp_message message = WP_MESSAGE;
    wp_outcome outcome = wp_encode(session, &message, WP_NOW, &answer->packets, &answer->text);
    ret.is_fault = outcome != WP_ENCODED;
    if (outcome == WP_ENCODED) ret.list = wp_list_packets(answer);
    else ret.fault = fault(outcome == WP_FATAL, &answer->text);
    wp_end_call();
    return &ret;
}

/* Ends a call that gives a list of events. */
#if defined(WIREPLUG_TLS_UPGRADE) || defined(WIREPLUG_HANDSHAKE) || defined(WIREPLUG_REQUESTS)                         \
    || defined(WIREPLUG_CLOCK) || defined(WIREPLUG_FAREWELL)
static const wp_list *listed(wp_answer *answer) {
    static wp_list ret;
    ret = wp_list_events(answer);
    wp_end_call();
    return &ret;
}
#endif

/* === tls-upgrade === */

#ifdef WIREPLUG_TLS_UPGRADE

WP_EXPORT("tls-upgrade@0.2.0#secured")
const wp_list *wp_export_secured(
    wp_session *session, const wp_attribute_entry *attributes, size_t attributes_len, WP_NOW_FIELDS
) {
    wp_answer *answer = wp_begin_call();
    codec_secured(session, (wp_attributes){attributes, attributes_len}, WP_NOW, &answer->stream.events);
    return listed(answer);
}

#endif

/* === handshake === */

#ifdef WIREPLUG_HANDSHAKE

WP_EXPORT("handshake@0.2.0#answer")
const wp_list *wp_export_answer(
    wp_session *session, uint32_t status, const uint8_t *body, size_t body_len, WP_NOW_FIELDS
) {
    wp_answer *answer = wp_begin_call();
    codec_answer(session, (uint16_t)status, (wp_bytes){body, body_len}, WP_NOW, &answer->stream.events);
    return listed(answer);
}

#endif

/* === requests === */

#ifdef WIREPLUG_REQUESTS

WP_EXPORT("requests@0.2.0#abandoned")
const wp_list *wp_export_abandoned(wp_session *session, uint64_t id, WP_NOW_FIELDS) {
    wp_answer *answer = wp_begin_call();
    codec_abandoned(session, id, WP_NOW, &answer->stream.events);
    return listed(answer);
}

#endif

/* === clock === */

#ifdef WIREPLUG_CLOCK

WP_EXPORT("clock@0.2.0#tick") const wp_list *wp_export_tick(wp_session *session, WP_NOW_FIELDS) {
    wp_answer *answer = wp_begin_call();
    codec_tick(session, WP_NOW, &answer->stream.events);
    return listed(answer);
}

#endif

/* === farewell === */

#ifdef WIREPLUG_FAREWELL

WP_EXPORT("farewell@0.2.0#farewell")
const wp_list *wp_export_farewell(
    wp_session *session, uint32_t cause, const uint8_t *reason, size_t reason_len, WP_NOW_FIELDS
) {
    wp_answer *answer = wp_begin_call();
    codec_farewell(session, (wp_cause)cause, (wp_bytes){reason, reason_len}, WP_NOW, &answer->stream.events);
    return listed(answer);
}

#endif

/* === broadcast === */

#ifdef WIREPLUG_BROADCAST

/* `option<u32>`. */
typedef struct class_or_none {
    uint8_t is_some;
    uint32_t value;
} class_or_none;

WP_EXPORT("broadcast@0.2.0#broadcast-class")
const class_or_none *wp_export_broadcast_class(const wp_session *session) {
    static class_or_none ret;
    ret.is_some = codec_broadcast_class(session, &ret.value);
    return &ret;
}

WP_EXPORT("broadcast@0.2.0#encode-shared")
const wp_list_or_error *wp_export_encode_shared(uint32_t broadcast_class, WP_MESSAGE_FIELDS) {
    static wp_list_or_error ret;
    wp_answer *answer = wp_begin_call();
    wp_message message = WP_MESSAGE;
    ret.is_error = codec_encode_shared(broadcast_class, &message, &answer->packets, &answer->text) != WP_ENCODED;
    if (ret.is_error) {
        ret.error = wp_contents(&answer->text);
    } else {
        wp_keep_packets(&answer->packets, wp_packets_len(&answer->packets));
        ret.list = wp_list_packets(answer);
    }
    wp_end_call();
    return &ret;
}

#endif

/* === handoff === */

#ifdef WIREPLUG_HANDOFF

WP_EXPORT("handoff@0.2.0#save") const wp_list_or_error *wp_export_save(const wp_session *session) {
    static wp_list_or_error ret;
    wp_answer *answer = wp_begin_call();
    /* One of the two is empty, and the other one is the answer. */
    ret.is_error = !codec_save(session, &answer->text, &answer->reasons);
    ret.error = wp_contents(ret.is_error ? &answer->reasons : &answer->text);
    return &ret;
}

WP_EXPORT("handoff@0.2.0#restore")
const wp_handle_or_error *wp_export_restore(WP_PEER_FIELDS, const uint8_t *state, size_t state_len, WP_NOW_FIELDS) {
    wp_buffer *error = &wp_begin_call()->text;
    wp_peer peer = WP_PEER;
    return opened(codec_restore(&peer, (wp_bytes){state, state_len}, WP_NOW, error), error);
}

#endif
