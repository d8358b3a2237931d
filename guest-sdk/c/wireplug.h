/* What a codec in C is written against: it defines the functions below that its world exports, and nothing else.
 *
 * `wireplug.c` covers them with the exports of `wit/codec.wit`, and frees what the runtime handed over when a call
 * returns. One function decodes a packet and one encodes a message, whether the runtime asks for one or for a batch, so
 * the two can't differ. A codec sees no type of the bindings.
 *
 * What comes in is borrowed until the function returns. Texts are UTF-8, but for packets, bodies and states, which may
 * hold any bytes. Whoever runs out of memory ends here, by a trap, with this one connection.
 */
#ifndef WIREPLUG_H
#define WIREPLUG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* === Bytes: somebody else's, for as long as he keeps them === */

typedef struct wp_bytes {
    const uint8_t *at;
    size_t len;
} wp_bytes;

/* The bytes of a C string, without its end. */
wp_bytes wp_text(const char *text);
bool wp_same(wp_bytes a, wp_bytes b);
/* Whether these are the bytes of a C string. */
bool wp_is(wp_bytes bytes, const char *text);
/* Whether these are UTF-8 as Unicode defines it: no surrogates, nothing longer than need be. */
bool wp_is_utf8(wp_bytes bytes);

/* === Buffers: bytes of one's own, and room for more. All zeros is an empty one === */

typedef struct wp_buffer {
    uint8_t *at;
    size_t len;
    size_t room;
} wp_buffer;

/* Each puts something at the end. The bytes must not be the buffer's own, which may move. */
void wp_put(wp_buffer *buffer, wp_bytes bytes);
void wp_put_text(wp_buffer *buffer, const char *text);
void wp_put_byte(wp_buffer *buffer, uint8_t byte);
/* In decimal digits. */
void wp_put_number(wp_buffer *buffer, uint64_t number);
/* What it holds, until it next grows. */
wp_bytes wp_held(const wp_buffer *buffer);
/* Gives the memory back, and leaves an empty buffer. */
void wp_free(wp_buffer *buffer);

/* === Events: what a packet meant. `event` in wit/codec.wit says what each does === */

typedef struct wp_events wp_events;

void wp_hello(wp_events *events, wp_bytes body);
void wp_established(wp_events *events);
/* A message with an id is a request: a message with this id answers it. */
void wp_request(wp_events *events, uint64_t id, wp_bytes route, wp_bytes body);
void wp_notify(wp_events *events, wp_bytes route, wp_bytes body);
void wp_reply(wp_events *events, wp_bytes packet);
void wp_wake(wp_events *events, uint32_t ms);
/* No packet is decoded after this one. */
void wp_close(wp_events *events, wp_bytes reason);
/* The packet is dropped and counted, and no other event comes of it, whether before or after. Only in `codec_decode`. */
void wp_reject(wp_events *events, wp_bytes reason);
/* The same, and the connection ends. */
void wp_fatal(wp_events *events, wp_bytes reason);

/* Where a reply can be written in place, which spares a copy: put it into this buffer, behind what is there, then call
 * `wp_end_reply`. In between, tell of no other event. */
wp_buffer *wp_begin_reply(wp_events *events);
void wp_end_reply(wp_events *events);

/* === What the codec is === */

typedef struct wp_description {
    const char *name;
    const char *version;
    enum { WP_NO_FRAMING, WP_DELIMITER, WP_LENGTH, WP_VARINT } framing;
    /* Of WP_DELIMITER. */
    wp_bytes delimiter;
    /* Of WP_LENGTH. */
    struct {
        uint8_t offset;
        uint8_t width;
        bool little_endian;
        int32_t adjust;
    } length;
    /* Of WP_VARINT: the bytes in front of it. */
    uint8_t varint;
    enum { WP_MESSAGES_REFUSED, WP_MESSAGE_ONE, WP_MESSAGE_FRAMED, WP_MESSAGE_BYTES } message;
    bool text;
    bool json;
    bool handshake;
    bool merges;
} wp_description;

typedef struct wp_peer {
    wp_bytes transport;
    wp_bytes address;
    wp_bytes entropy;
    /* Look here with `wp_attribute`. */
    const void *attributes;
    size_t attributes_len;
} wp_peer;

/* The value of the first attribute of this name, or none: then `at` is NULL. */
wp_bytes wp_attribute(const wp_peer *peer, const char *name);

/* A message from the application. */
typedef struct wp_message {
    /* Whether it answers the request `id`; otherwise it is a push. */
    bool is_response;
    uint64_t id;
    wp_bytes route;
    wp_bytes body;
    uint16_t status;
} wp_message;

/* What became of a message. */
typedef enum wp_outcome {
    /* It is the packet that was put into `packet`. */
    WP_PACKET,
    /* It has no form on the wire. */
    WP_NOTHING,
    /* It can't be encoded, for the reason that was put into `reason`. */
    WP_REJECTED,
    /* So, and the connection ends. */
    WP_FATAL,
} wp_outcome;

/* One client's state: a struct of the codec's own. */
typedef struct wp_session wp_session;

/* === What every codec in C defines === */

extern const wp_description codec_description;
/* Takes the options, a JSON object. False: they are wrong, and `error` says why. */
bool codec_configure(wp_bytes options, wp_buffer *error);
/* NULL: the client is refused, and `error` says why. */
wp_session *codec_open(const wp_peer *peer, uint64_t now_ms, wp_buffer *error);
void codec_decode(wp_session *session, wp_bytes packet, uint64_t now_ms, wp_events *events);
/* Puts the packet behind what `packet` holds already; what is put there without WP_PACKET is taken out again. */
wp_outcome codec_encode(
    wp_session *session, const wp_message *message, uint64_t now_ms, wp_buffer *packet, wp_buffer *reason
);
/* Frees the session. */
void codec_drop(wp_session *session);

/* === What a codec defines whose world exports it === */

/* handshake */
void codec_answer(wp_session *session, uint16_t status, wp_bytes body, uint64_t now_ms, wp_events *events);
/* clock */
void codec_tick(wp_session *session, uint64_t now_ms, wp_events *events);
/* farewell. False: nothing is said. */
bool codec_farewell(wp_session *session, wp_bytes reason, uint64_t now_ms, wp_buffer *packet);
/* broadcast. False: this session never shares. WP_FATAL is none of the outcomes. */
bool codec_share_class(const wp_session *session, uint32_t *share_class);
wp_outcome codec_encode_shared(uint32_t share_class, const wp_message *message, wp_buffer *packet, wp_buffer *reason);
/* handoff. False and NULL: no, and `error` says why. */
bool codec_save(const wp_session *session, wp_buffer *state, wp_buffer *error);
wp_session *codec_restore(const wp_peer *peer, wp_bytes state, uint64_t now_ms, wp_buffer *error);

#endif
