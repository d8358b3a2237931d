/* The canonical ABI of the component model, as far as the contract needs it: how arguments and
 * answers lie in memory. Internal to the SDK.
 *
 * An answer consists of pointers into buffers of the SDK, which the runtime reads before it makes
 * the next call. The next call uses the same buffers again. So nothing is freed after a call, and no
 * component exports `cabi_post_...`.
 */
#ifndef WIREPLUG_ABI_H
#define WIREPLUG_ABI_H

#include "wireplug_flat.h"

/* Exports the function behind it as a function of an interface of the contract. */
#define WP_EXPORT(name) __attribute__((export_name("wireplug:codec/" name)))

/* === Arguments. The runtime passes each field of a record by itself, and a list as an address and a
 * number of elements === */

/* The fields of a peer, as parameters, and the peer that they make. */
#define WP_PEER_FIELDS                                                                                                 \
    uint32_t carrier, const uint8_t *transport, size_t transport_len, const uint8_t *address, size_t address_len,      \
        uint32_t dialed, uint32_t max_packet, const uint8_t *random_seed, size_t random_seed_len,                      \
        const wp_attribute_entry *attributes, size_t attributes_len
#define WP_PEER                                                                                                        \
    ((wp_peer){                                                                                                        \
        .carrier = (wp_carrier)carrier,                                                                                \
        .transport = {transport, transport_len},                                                                       \
        .address = {address, address_len},                                                                             \
        .dialed = dialed != 0,                                                                                         \
        .max_packet = max_packet,                                                                                      \
        .random_seed = {random_seed, random_seed_len},                                                                 \
        .attributes = {attributes, attributes_len},                                                                    \
    })

/* The fields of a message, as parameters, and the message that they make. */
#define WP_MESSAGE_FIELDS                                                                                              \
    uint32_t role, uint64_t id, const uint8_t *route, size_t route_len, const uint8_t *body, size_t body_len,          \
        uint32_t status
#define WP_MESSAGE ((wp_message){(wp_role)role, id, {route, route_len}, {body, body_len}, (uint16_t)status})

/* The fields of an instant, as parameters, and the instant that they make. */
#define WP_NOW_FIELDS uint64_t session_ms, uint64_t unix_ms
#define WP_NOW ((wp_instant){session_ms, unix_ms})

typedef struct wp_attribute_entry {
    wp_bytes name;
    wp_bytes value;
} wp_attribute_entry;

/* `message-head` in `wit/codec.wit`. */
typedef struct wp_message_head {
    uint8_t role;
    uint64_t id;
    uint16_t status;
    uint32_t route_end;
    uint32_t body_end;
} wp_message_head;

/* === Answers. An export returns the address of one of these === */

/* A list, whatever its elements are. */
typedef struct wp_list {
    const void *at;
    size_t len;
} wp_list;

/* `event` in `wit/codec.wit`. */
typedef struct wp_event {
    uint8_t kind;
    union {
        /* Of a hello or a reply. */
        wp_bytes bytes;
        struct {
            uint8_t role;
            uint64_t id;
            wp_bytes route;
            wp_bytes body;
            uint16_t status;
        } message;
        uint32_t timer;
        struct {
            uint8_t level;
            wp_bytes text;
        } log;
        struct {
            uint16_t code;
            wp_bytes reason;
        } close;
    };
} wp_event;

typedef struct wp_fault {
    uint8_t is_fatal;
    wp_bytes reason;
} wp_fault;

typedef struct wp_list_or_fault {
    uint8_t is_fault;
    union {
        wp_list list;
        wp_fault fault;
    };
} wp_list_or_fault;

typedef struct wp_list_or_error {
    uint8_t is_error;
    union {
        wp_list list;
        wp_bytes error;
    };
} wp_list_or_error;

typedef struct wp_handle_or_error {
    uint8_t is_error;
    union {
        uint32_t handle;
        wp_bytes error;
    };
} wp_handle_or_error;

typedef struct wp_flat_events {
    wp_list bytes;
    wp_list heads;
} wp_flat_events;

typedef struct wp_refusal {
    uint32_t message;
    wp_bytes reason;
} wp_refusal;

typedef struct wp_encoded_or_error {
    uint8_t is_error;
    union {
        struct {
            wp_list bytes;
            wp_list ends;
            wp_list sources;
            wp_list refused;
        };
        wp_bytes error;
    };
} wp_encoded_or_error;

typedef struct wp_frames {
    wp_list ends;
    wp_flat_events events;
    struct {
        uint8_t tag;
        uint32_t need;
    } next;
} wp_frames;

/* === Calls === */

/* The buffers of an answer. All answers share them, and each uses those that it needs. */
typedef struct wp_answer {
    /* The packets of a stream, or the events of another call. */
    wp_stream stream;
    wp_packets packets;
    /* A reason, an error, or a state. */
    wp_buffer text;
    /* Elements of `wp_event`, or `wp_bytes` of packets. */
    wp_buffer list;
    /* Elements of `uint32_t`. */
    wp_buffer sources;
    /* Elements of `wp_refusal`, and their reasons. */
    wp_buffer refused;
    wp_buffer reasons;
} wp_answer;

/* Begins a call: returns the buffers for its answer, which are empty. */
wp_answer *wp_begin_call(void);
/* Ends a call: its arguments are free. */
void wp_end_call(void);
/* Ends a call that happens once in a session, or once at all. */
void wp_end_only_call(void);

/* Returns a list of the elements of a buffer. */
static inline wp_list wp_list_of(const wp_buffer *buffer, size_t element) {
    return (wp_list){buffer->at, buffer->len / element};
}

/* Returns a list of the events of the call. */
wp_list wp_list_events(wp_answer *answer);
wp_flat_events wp_list_flat_events(const wp_answer *answer);
/* Returns a list of the packets of the call. */
wp_list wp_list_packets(wp_answer *answer);

/* Encodes one message, and keeps its packets only if the codec did not refuse the message. */
wp_outcome wp_encode(
    wp_session *session, const wp_message *message, wp_instant now, wp_packets *packets, wp_buffer *reason
);

#endif
