/* The functions of wireplug.h that add events and packets. */
#include "wireplug_flat.h"

#include <string.h>

static const wp_bytes NO_BYTES = {0};
static const uint16_t OK = 200;

/* === Events === */

/* Returns where the last event ends. The bytes after it belong to no event yet. */
static size_t last_event_end(const wp_events *events) {
    return events->heads.len == 0 ? 0 : ((const wp_head *)(events->heads.at + events->heads.len) - 1)->body_end;
}

/* Adds the head of an event whose bytes are in place. */
static void end_event(wp_events *events, uint8_t kind, wp_role role, uint64_t id, uint16_t status, size_t route_end) {
    if (events->refused) {
        events->bytes.len = last_event_end(events);
        return;
    }
    /* Clears the padding too, so that the same events are the same bytes. */
    wp_head head;
    memset(&head, 0, sizeof head);
    head.kind = kind;
    head.packet = events->packet;
    head.role = (uint8_t)role;
    head.id = id;
    head.status = status;
    head.route_end = (uint32_t)route_end;
    head.body_end = (uint32_t)events->bytes.len;
    wp_put(&events->heads, (wp_bytes){(const uint8_t *)&head, sizeof head});
}

static void put_message(wp_events *events, wp_role role, uint64_t id, uint16_t status, wp_bytes route, wp_bytes body) {
    wp_put(&events->bytes, route);
    size_t route_end = events->bytes.len;
    wp_put(&events->bytes, body);
    end_event(events, KIND_MESSAGE, role, id, status, route_end);
}

/* Adds an event that is no message. */
static void put_event(wp_events *events, uint8_t kind, uint64_t id, wp_bytes body) {
    size_t route_end = events->bytes.len;
    wp_put(&events->bytes, body);
    end_event(events, kind, WP_ROLE_NOTICE, id, OK, route_end);
}

static void end_call(wp_events *events) {
    if (!events->refused) events->over = true;
}

void wp_notice(wp_events *events, wp_bytes route, wp_bytes body) {
    put_message(events, WP_ROLE_NOTICE, 0, OK, route, body);
}

void wp_request(wp_events *events, uint64_t id, wp_bytes route, wp_bytes body) {
    put_message(events, WP_ROLE_REQUEST, id, OK, route, body);
}

void wp_response(wp_events *events, uint64_t id, uint16_t status, wp_bytes body) {
    put_message(events, WP_ROLE_RESPONSE, id, status, NO_BYTES, body);
}

void wp_reply(wp_events *events, wp_bytes packet) {
    put_event(events, KIND_REPLY, 0, packet);
}

wp_buffer *wp_begin_reply(wp_events *events) {
    return &events->bytes;
}

void wp_end_reply(wp_events *events) {
    end_event(events, KIND_REPLY, WP_ROLE_NOTICE, 0, OK, last_event_end(events));
}

void wp_hello(wp_events *events, wp_bytes body) {
    end_call(events);
    put_event(events, KIND_HELLO, 0, body);
}

void wp_established(wp_events *events) {
    put_event(events, KIND_ESTABLISHED, 0, NO_BYTES);
}

void wp_timer(wp_events *events, uint32_t ms) {
    put_event(events, KIND_TIMER, ms, NO_BYTES);
}

void wp_address_verified(wp_events *events) {
    put_event(events, KIND_ADDRESS_VERIFIED, 0, NO_BYTES);
}

void wp_log(wp_events *events, wp_level level, wp_bytes text) {
    put_event(events, KIND_LOG, level, text);
}

void wp_close(wp_events *events, wp_bytes reason) {
    wp_close_with(events, 0, reason);
}

void wp_close_with(wp_events *events, uint16_t code, wp_bytes reason) {
    end_call(events);
    put_event(events, KIND_CLOSE, code, reason);
}

static void refuse(wp_events *events, uint8_t kind, wp_bytes reason) {
    if (events->refused) return;
    events->bytes.len = events->bytes_before;
    events->heads.len = events->heads_before;
    put_event(events, kind, 0, reason);
    events->refused = true;
    events->over = kind == KIND_FATAL;
}

void wp_reject(wp_events *events, wp_bytes reason) {
    refuse(events, KIND_REJECTED, reason);
}

void wp_fatal(wp_events *events, wp_bytes reason) {
    refuse(events, KIND_FATAL, reason);
}

void wp_begin_events(wp_events *events, uint32_t packet) {
    events->packet = packet;
    events->refused = false;
    events->bytes_before = events->bytes.len;
    events->heads_before = events->heads.len;
}

void wp_reuse(wp_buffer *buffer) {
    if (buffer->room > WP_ANSWER_KEPT) wp_free(buffer);
    buffer->len = 0;
}

/* === Packets === */

void wp_put_u32(wp_buffer *list, uint32_t number) {
    wp_put(list, (wp_bytes){(const uint8_t *)&number, sizeof number});
}

size_t wp_u32_len(const wp_buffer *list) {
    return list->len / sizeof(uint32_t);
}

size_t wp_packets_len(const wp_packets *packets) {
    return wp_u32_len(&packets->ends);
}

void wp_packet(wp_packets *packets, wp_bytes packet) {
    wp_put(wp_begin_packet(packets), packet);
    wp_end_packet(packets);
}

wp_buffer *wp_begin_packet(wp_packets *packets) {
    return &packets->bytes;
}

void wp_end_packet(wp_packets *packets) {
    wp_put_u32(&packets->ends, (uint32_t)packets->bytes.len);
}

void wp_keep_packets(wp_packets *packets, size_t len) {
    packets->ends.len = len * sizeof(uint32_t);
    packets->bytes.len = len == 0 ? 0 : ((const uint32_t *)packets->ends.at)[len - 1];
}
