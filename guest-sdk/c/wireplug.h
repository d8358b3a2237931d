/* The API for codecs in C. A codec defines the functions of this file that its world exports.
 *
 * `wireplug.c` calls them from the exports of `wit/codec.wit`. The same function serves a single call
 * and a batch, so the two cannot differ.
 *
 * Arguments are valid until the function returns, and the SDK frees them. Texts are UTF-8. Packets, bodies and states may
 * contain any bytes. If the memory of the sandbox runs out, the SDK traps, which ends this one
 * connection.
 */
#ifndef WIREPLUG_H
#define WIREPLUG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* === Traps: a mistake of the codec ends this one connection === */

/* Traps. The runtime shows the file, the line and the message. */
#define wp_panic(message) wp_panic_at(WP_FILE, WP_TEXT(__LINE__), message)
/* Traps if the condition is false. `assert` of the C library needs a system, which no codec has. */
#define wp_assert(condition) ((condition) ? (void)0 : wp_panic("assertion failed: " #condition))

/* Stands behind `wp_panic`. */
_Noreturn void wp_panic_at(const char *file, const char *line, const char *message);
/* The name of this file without its folder, if the compiler knows it. */
#ifdef __FILE_NAME__
#define WP_FILE __FILE_NAME__
#else
#define WP_FILE __FILE__
#endif
#define WP_TEXT(number) WP_TEXT_(number)
#define WP_TEXT_(number) #number

/* === Bytes: a view that owns no memory === */

typedef struct wp_bytes {
    const uint8_t *at;
    size_t len;
} wp_bytes;

/* Returns the bytes of a C string, without its terminator. */
wp_bytes wp_text(const char *text);
bool wp_same(wp_bytes a, wp_bytes b);
/* Returns whether these are the bytes of a C string. */
bool wp_is(wp_bytes bytes, const char *text);
/* Returns whether these are UTF-8 as Unicode defines it: no surrogates, no overlong forms. */
bool wp_is_utf8(wp_bytes bytes);

/* === Buffers: bytes that grow. A buffer of zeros is empty === */

typedef struct wp_buffer {
    uint8_t *at;
    size_t len;
    size_t room;
} wp_buffer;

/* These functions append to a buffer. The bytes must not lie in the same buffer, which may move. */
void wp_put(wp_buffer *buffer, wp_bytes bytes);
void wp_put_text(wp_buffer *buffer, const char *text);
void wp_put_byte(wp_buffer *buffer, uint8_t byte);
/* Appends decimal digits. */
void wp_put_number(wp_buffer *buffer, uint64_t number);
/* Returns a view of the contents, which is valid until the buffer grows. */
wp_bytes wp_contents(const wp_buffer *buffer);
/* Frees the memory, and leaves an empty buffer. */
void wp_free(wp_buffer *buffer);

/* === Types of the contract. `wit/codec.wit` explains each of them === */

typedef struct wp_instant {
    /* Milliseconds since the session opened. */
    uint64_t session_ms;
    /* Wall-clock time in milliseconds since 1970-01-01 UTC. */
    uint64_t unix_ms;
} wp_instant;

typedef enum wp_role { WP_ROLE_NOTICE, WP_ROLE_REQUEST, WP_ROLE_RESPONSE } wp_role;
typedef enum wp_level { WP_LEVEL_DEBUG, WP_LEVEL_INFO, WP_LEVEL_WARN, WP_LEVEL_ERROR } wp_level;
typedef enum wp_carrier { WP_CARRIER_BYTES, WP_CARRIER_MESSAGES, WP_CARRIER_DATAGRAMS } wp_carrier;
typedef enum wp_cause { WP_CAUSE_KICKED, WP_CAUSE_DISPLACED, WP_CAUSE_REPLACED, WP_CAUSE_SHUTDOWN } wp_cause;

/* The first byte of each packet on the carrier `messages` if the payload is `tagged`. */
enum { WP_TAG_TEXT = 1, WP_TAG_BINARY = 2 };

/* A length field of fixed width. */
typedef struct wp_length_field {
    /* The number of bytes before the field. */
    uint8_t offset;
    /* 1 to 4 bytes. */
    uint8_t width;
    bool little_endian;
    /* Added to the value of the field to get the number of bytes after it. */
    int32_t adjust;
} wp_length_field;

typedef struct wp_description {
    const char *name;
    const char *version;
    /* None if the codec exports `framer` or takes no streams. */
    enum { WP_FRAMING_NONE, WP_FRAMING_DELIMITER, WP_FRAMING_LENGTH, WP_FRAMING_VARINT } framing;
    /* Of WP_FRAMING_DELIMITER. */
    wp_bytes delimiter;
    /* Of WP_FRAMING_LENGTH. */
    wp_length_field length;
    /* Of WP_FRAMING_VARINT: the number of bytes before the length. */
    uint8_t varint;
    enum { WP_MESSAGES_NONE, WP_MESSAGES_ONE, WP_MESSAGES_FRAMED, WP_MESSAGES_CONTINUOUS } messages;
    enum { WP_PAYLOAD_BINARY, WP_PAYLOAD_TEXT, WP_PAYLOAD_TAGGED } payload;
    bool json;
    bool handshake;
    /* How many requests of the application the client may have to answer at a time. The runtime
     * holds back the others. 0: the protocol has none. */
    uint16_t client_requests;
    /* In bytes. 0: the listener decides. */
    uint32_t max_packet;
} wp_description;

/* Names and values that the transport or TLS added. `wp_attribute` reads them. */
typedef struct wp_attributes {
    const void *list;
    size_t len;
} wp_attributes;

/* Returns the value of the attribute with this name. `at` is NULL if there is none. */
wp_bytes wp_attribute(wp_attributes attributes, const char *name);

typedef struct wp_peer {
    wp_carrier carrier;
    wp_bytes transport;
    wp_bytes address;
    bool dialed;
    uint32_t max_packet;
    /* 32 bytes. */
    wp_bytes random_seed;
    wp_attributes attributes;
} wp_peer;

/* A message from the application: a notice or a response, or a request if the description says
 * `client_requests`. */
typedef struct wp_message {
    wp_role role;
    /* 0 in a notice. */
    uint64_t id;
    wp_bytes route;
    wp_bytes body;
    /* 200 in a notice and in a request. */
    uint16_t status;
} wp_message;

/* === Events: what a packet means, or what the session wants === */

typedef struct wp_events wp_events;

void wp_notice(wp_events *events, wp_bytes route, wp_bytes body);
void wp_request(wp_events *events, uint64_t id, wp_bytes route, wp_bytes body);
/* Answers a request of the application. Only if `client_requests` is above 0. */
void wp_response(wp_events *events, uint64_t id, uint16_t status, wp_bytes body);
void wp_reply(wp_events *events, wp_bytes packet);
/* Must be the last event of a call. */
void wp_hello(wp_events *events, wp_bytes body);
void wp_established(wp_events *events);
void wp_timer(wp_events *events, uint32_t ms);
void wp_address_verified(wp_events *events);
void wp_log(wp_events *events, wp_level level, wp_bytes text);
/* Ends the connection. The runtime chooses the close code. */
void wp_close(wp_events *events, wp_bytes reason);
/* Ends the connection with this WebSocket close code. */
void wp_close_with(wp_events *events, uint16_t code, wp_bytes reason);

/* Begins a reply that is written in place, without a copy. Append the reply to the returned buffer,
 * then call `wp_end_reply`, with no other event in between. */
wp_buffer *wp_begin_reply(wp_events *events);
void wp_end_reply(wp_events *events);

/* Drops and counts the packet. The packet has no other event, neither before this call nor after
 * it. Only `codec_decode` may call this function and the next one. */
void wp_reject(wp_events *events, wp_bytes reason);
/* Does the same, and ends the connection. */
void wp_fatal(wp_events *events, wp_bytes reason);

/* === Cuts: what is at the front of a stream === */

typedef struct wp_cut {
    enum {
        /* A packet. */
        WP_CUT_PACKET,
        /* The packet is not complete. */
        WP_CUT_NEED,
        /* TLS begins behind the packet that was decoded last. */
        WP_CUT_START_TLS,
        /* The stream can have no other packet. The connection ends, for the reason in `reason`. */
        WP_CUT_REJECT,
    } kind;
    /* Of WP_CUT_PACKET: the length of the packet, framing included. Of WP_CUT_NEED: the least
     * length of the rest with which another look makes sense, which is more than it has. In bytes. */
    size_t length;
} wp_cut;

/* === Packets: what a message becomes. A message may have none, one or several === */

typedef struct wp_packets wp_packets;

void wp_packet(wp_packets *packets, wp_bytes packet);

/* Begins a packet that is written in place, without a copy. Append the packet to the returned
 * buffer, which may contain other packets already, then call `wp_end_packet`. A packet that is not
 * ended is dropped. */
wp_buffer *wp_begin_packet(wp_packets *packets);
void wp_end_packet(wp_packets *packets);

/* The result of encoding a message. */
typedef enum wp_outcome {
    /* The message became the packets that were added, or it has no form in this protocol. */
    WP_ENCODED,
    /* The message cannot be encoded, for the reason in `reason`. Its packets are dropped. */
    WP_REJECTED,
    /* The same, and the connection ends. */
    WP_FATAL,
} wp_outcome;

/* The state of one connection, which the codec defines. */
typedef struct wp_session wp_session;

/* === Every codec defines these === */

extern const wp_description codec_description;
/* Reads the options, a JSON object. Returns false if they are wrong; `error` then says why. */
bool codec_configure(wp_bytes options, wp_buffer *error);
/* Returns NULL to refuse the client; `error` then says why. */
wp_session *codec_open(const wp_peer *peer, wp_instant now, wp_buffer *error);
void codec_decode(wp_session *session, wp_bytes packet, wp_instant now, wp_events *events);
wp_outcome codec_encode(
    wp_session *session, const wp_message *message, wp_instant now, wp_packets *packets, wp_buffer *reason
);
/* Frees the session. */
void codec_drop(wp_session *session);

/* === A codec defines these if its world exports the interface === */

/* framer: cuts the front of the rest of the stream, which begins at the start of a packet and may be
 * empty. `wireplug_cut.h` has helpers. `codec_decode` then gets the packet with its framing. After
 * each packet this function is asked again, so the framing may depend on the session. */
wp_cut codec_cut(const wp_session *session, wp_bytes rest, wp_buffer *reason);
/* tls-upgrade: TLS is up, and has added these attributes. */
void codec_secured(wp_session *session, wp_attributes attributes, wp_instant now, wp_events *events);
/* handshake */
void codec_answer(wp_session *session, uint16_t status, wp_bytes body, wp_instant now, wp_events *events);
/* requests: the application has given up on its request with this id. */
void codec_abandoned(wp_session *session, uint64_t id, wp_instant now, wp_events *events);
/* clock */
void codec_tick(wp_session *session, wp_instant now, wp_events *events);
/* farewell: only replies, log entries and a close. */
void codec_farewell(wp_session *session, wp_cause cause, wp_bytes reason, wp_instant now, wp_events *events);
/* broadcast: returns false if this session never shares. */
bool codec_broadcast_class(const wp_session *session, uint32_t *broadcast_class);
/* broadcast: any outcome but WP_ENCODED drops the push. */
wp_outcome codec_encode_shared(
    uint32_t broadcast_class, const wp_message *message, wp_packets *packets, wp_buffer *reason
);
/* handoff: returns false if this session cannot move; `error` then says why. */
bool codec_save(const wp_session *session, wp_buffer *state, wp_buffer *error);
/* handoff: returns NULL to refuse the state; `error` then says why. */
wp_session *codec_restore(const wp_peer *peer, wp_bytes state, wp_instant now, wp_buffer *error);

#endif
