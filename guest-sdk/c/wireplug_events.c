/* Events of wireplug.h, one behind the other. */
#include "wireplug_events.h"

#include <string.h>

/* What is put behind this is no part of any event yet. */
static size_t last_end(const wp_events *events) {
    return events->heads.len == 0 ? 0 : ((const wp_head *)(events->heads.at + events->heads.len) - 1)->body_end;
}

static void end_event(wp_events *events, uint8_t kind, wp_head_id id, size_t route_end) {
    if (events->refused) {
        events->bytes.len = last_end(events);
        return;
    }
    /* Zeros in the gaps too. */
    wp_head ended;
    memset(&ended, 0, sizeof ended);
    ended.kind = kind;
    ended.packet = events->packet;
    ended.id = id;
    ended.route_end = (uint32_t)route_end;
    ended.body_end = (uint32_t)events->bytes.len;
    wp_put(&events->heads, (wp_bytes){(const uint8_t *)&ended, sizeof ended});
}

static void event(wp_events *events, uint8_t kind, wp_head_id id, wp_bytes route, wp_bytes body) {
    wp_put(&events->bytes, route);
    size_t route_end = events->bytes.len;
    wp_put(&events->bytes, body);
    end_event(events, kind, id, route_end);
}

static const wp_head_id NO_ID = {0};
static const wp_bytes NO_BYTES = {0};

void wp_hello(wp_events *events, wp_bytes body) {
    event(events, HELLO, NO_ID, NO_BYTES, body);
}

void wp_established(wp_events *events) {
    event(events, ESTABLISHED, NO_ID, NO_BYTES, NO_BYTES);
}

void wp_request(wp_events *events, uint64_t id, wp_bytes route, wp_bytes body) {
    event(events, MESSAGE, (wp_head_id){true, id}, route, body);
}

void wp_notify(wp_events *events, wp_bytes route, wp_bytes body) {
    event(events, MESSAGE, NO_ID, route, body);
}

void wp_reply(wp_events *events, wp_bytes packet) {
    event(events, REPLY, NO_ID, NO_BYTES, packet);
}

void wp_wake(wp_events *events, uint32_t ms) {
    event(events, WAKE, (wp_head_id){true, ms}, NO_BYTES, NO_BYTES);
}

void wp_close(wp_events *events, wp_bytes reason) {
    if (!events->refused) events->over = true;
    event(events, CLOSE, NO_ID, NO_BYTES, reason);
}

static void refuse(wp_events *events, uint8_t kind, wp_bytes reason) {
    if (events->refused) return;
    events->bytes.len = events->bytes_before;
    events->heads.len = events->heads_before;
    event(events, kind, NO_ID, NO_BYTES, reason);
    events->refused = true;
    events->over = kind == FATAL;
}

void wp_reject(wp_events *events, wp_bytes reason) {
    refuse(events, REJECTED, reason);
}

void wp_fatal(wp_events *events, wp_bytes reason) {
    refuse(events, FATAL, reason);
}

wp_buffer *wp_begin_reply(wp_events *events) {
    return &events->bytes;
}

void wp_end_reply(wp_events *events) {
    end_event(events, REPLY, NO_ID, last_end(events));
}

void wp_free_events(wp_events *events) {
    wp_free(&events->bytes);
    wp_free(&events->heads);
}
