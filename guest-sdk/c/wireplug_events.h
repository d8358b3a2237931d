/* Events while they are gathered, for the files of the SDK alone: flat, as `decode-batch` hands them over. */
#ifndef WIREPLUG_EVENTS_H
#define WIREPLUG_EVENTS_H

#include "wireplug.h"

/* As `event-head` in wit/codec.wit, `kind` included. */
enum { HELLO, ESTABLISHED, MESSAGE, REPLY, WAKE, CLOSE, REJECTED, FATAL };

typedef struct wp_head_id {
    bool is_some;
    uint64_t val;
} wp_head_id;

typedef struct wp_head {
    uint8_t kind;
    uint32_t packet;
    wp_head_id id;
    uint32_t route_end;
    uint32_t body_end;
} wp_head;

struct wp_events {
    wp_buffer bytes;
    /* Heads. */
    wp_buffer heads;
    /* The packet that is being decoded, and what there was before it. */
    uint32_t packet;
    size_t bytes_before;
    size_t heads_before;
    /* It was refused: no other event comes of it. */
    bool refused;
    /* The connection ends: no other packet is decoded. */
    bool over;
};

void wp_free_events(wp_events *events);

#endif
