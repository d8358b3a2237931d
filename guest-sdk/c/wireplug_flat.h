/* The flat lists of events and packets that a call fills. Internal to the SDK.
 *
 * The layout is that of the interface `flat` in `wit/codec.wit`, so that a batch is returned
 * without a copy.
 */
#ifndef WIREPLUG_FLAT_H
#define WIREPLUG_FLAT_H

#include "wireplug.h"

/* `kind` in `wit/codec.wit`. The kinds before KIND_REJECTED are the cases of `event`, in the same
 * order. */
enum {
    KIND_HELLO,
    KIND_ESTABLISHED,
    KIND_MESSAGE,
    KIND_REPLY,
    KIND_TIMER,
    KIND_ADDRESS_VERIFIED,
    KIND_LOG,
    KIND_CLOSE,
    KIND_REJECTED,
    KIND_FATAL,
};

/* `event-head` in `wit/codec.wit`. */
typedef struct wp_head {
    uint8_t kind;
    uint32_t packet;
    uint8_t role;
    uint64_t id;
    uint16_t status;
    uint32_t route_end;
    uint32_t body_end;
} wp_head;

struct wp_events {
    wp_buffer bytes;
    /* Elements of `wp_head`. */
    wp_buffer heads;
    /* The index of the packet that is being decoded, and the lengths before it. */
    uint32_t packet;
    size_t bytes_before;
    size_t heads_before;
    /* The packet was refused, so it has no other event. */
    bool refused;
    /* A hello or the end of the connection: the call decodes no other packet. */
    bool over;
};

struct wp_packets {
    wp_buffer bytes;
    /* Elements of `uint32_t`. */
    wp_buffer ends;
};

/* `next` in `wit/codec.wit`, in the same order. */
typedef enum wp_next { NEXT_NEED, NEXT_FULL, NEXT_START_TLS } wp_next;

/* The packets that are cut from a stream. */
typedef struct wp_stream {
    /* Where each packet ends. Elements of `uint32_t`. */
    wp_buffer ends;
    wp_events events;
    wp_next next;
    /* Of NEXT_NEED, in bytes. */
    uint32_t need;
} wp_stream;

/* Cuts packets from the front of a stream, and decodes each. `stream` is empty. */
void wp_decode_stream(wp_session *session, wp_bytes bytes, wp_instant now, wp_stream *stream);

/* Begins the events of the packet with this index. */
void wp_begin_events(wp_events *events, uint32_t packet);

/* The largest buffer that is kept for the next answer, in bytes. It holds a usual batch. A larger one
 * is freed, so that one large answer does not take memory from the session's limit for the rest of
 * the connection. */
#define WP_ANSWER_KEPT (16 << 10)

/* Empties a buffer for the next answer, and frees its memory if that may not be kept. */
void wp_reuse(wp_buffer *buffer);

/* Drops the packets after the first `len`, and what was written of a packet that was not ended. */
void wp_keep_packets(wp_packets *packets, size_t len);
size_t wp_packets_len(const wp_packets *packets);

/* Notes the position in the input of the call: the index of the packet or message in a batch, or
 * the offset of the packet in a stream. After the last one it is WP_NOWHERE. The runtime shows that
 * packet or message if the codec traps. */
void wp_at(uint32_t position);
#define WP_NOWHERE UINT32_MAX

/* A list of `uint32_t`. */
void wp_put_u32(wp_buffer *list, uint32_t number);
size_t wp_u32_len(const wp_buffer *list);

#endif
