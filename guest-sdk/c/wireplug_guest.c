/* Conversions between the types of wireplug.h and those of the generated bindings. */
#include "wireplug_guest.h"

#include <stdlib.h>
#include <string.h>

/* === Views of arguments === */

wp_peer wp_peer_view(const wireplug_codec_types_peer_t *peer) {
    return (wp_peer){
        .carrier = (wp_carrier)peer->carrier,
        .transport = wp_string_view(&peer->transport),
        .address = wp_string_view(&peer->address),
        .dialed = peer->dialed,
        .max_packet = peer->max_packet,
        .random_seed = wp_view(&peer->random_seed),
        .attributes = {peer->attributes.ptr, peer->attributes.len},
    };
}

wp_bytes wp_attribute(wp_attributes attributes, const char *name) {
    const guest_tuple2_string_string_t *list = attributes.list;
    for (size_t i = 0; i < attributes.len; i++) {
        if (!wp_is(wp_string_view(&list[i].f0), name)) continue;
        wp_bytes value = wp_string_view(&list[i].f1);
        /* An empty value is a value, whatever its pointer is. */
        return value.len == 0 ? wp_text("") : value;
    }
    return (wp_bytes){0};
}

wp_message wp_message_view(const wireplug_codec_types_message_t *message) {
    return (wp_message){
        (wp_role)message->role, message->id, wp_string_view(&message->route), wp_view(&message->body), message->status
    };
}

/* === Values to return === */

uint8_t *wp_take_memory(wp_buffer *buffer) {
    if (buffer->len == 0) wp_free(buffer);
    return buffer->at;
}

guest_list_u8_t wp_as_list(wp_buffer *buffer) {
    size_t len = buffer->len;
    return (guest_list_u8_t){wp_take_memory(buffer), len};
}

guest_string_t wp_as_string(wp_buffer *buffer) {
    guest_list_u8_t list = wp_as_list(buffer);
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
    case KIND_HELLO: event.val.hello = wp_as_list(&copied); break;
    case KIND_MESSAGE: {
        wp_buffer to = copy(route);
        event.val.message.role = head->role;
        event.val.message.id = head->id;
        event.val.message.route = wp_as_string(&to);
        event.val.message.body = wp_as_list(&copied);
        event.val.message.status = head->status;
        break;
    }
    case KIND_REPLY: event.val.reply = wp_as_list(&copied); break;
    case KIND_TIMER: event.val.timer = (uint32_t)head->id; break;
    case KIND_LOG:
        event.val.log.level = (uint8_t)head->id;
        event.val.log.text = wp_as_string(&copied);
        break;
    case KIND_CLOSE:
        event.val.close.code = (uint16_t)head->id;
        event.val.close.reason = wp_as_string(&copied);
        break;
    case KIND_ESTABLISHED:
    case KIND_ADDRESS_VERIFIED: break;
    /* The codec refused what is no packet. */
    default: abort();
    }
    return event;
}

void wp_as_events(wp_events *events, wireplug_codec_types_event_t **ptr, size_t *len) {
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

guest_list_list_u8_t wp_as_packets(wp_packets *packets) {
    size_t len = wp_packets_len(packets), start = 0;
    guest_list_list_u8_t list = {new_list(len, sizeof(guest_list_u8_t)), len};
    const uint32_t *ends = (const uint32_t *)packets->ends.at;
    if (len == 1) {
        list.ptr[0] = wp_as_list(&packets->bytes);
        packets->bytes = (wp_buffer){0};
    }
    for (size_t i = 0; i < len && len > 1; i++) {
        wp_buffer packet = copy((wp_bytes){packets->bytes.at + start, ends[i] - start});
        list.ptr[i] = wp_as_list(&packet);
        start = ends[i];
    }
    wp_free(&packets->bytes);
    wp_free(&packets->ends);
    return list;
}

bool wp_opened(wp_session *session, wp_buffer *error, EXPORT(codec_own_session_t) *ret, guest_string_t *err) {
    if (session == NULL) {
        *err = wp_as_string(error);
        return false;
    }
    wp_free(error);
    *ret = EXPORT(codec_session_new)((EXPORT(codec_session_t) *)session);
    return true;
}

#if defined(WIREPLUG_BATCH) || defined(WIREPLUG_FRAMER)

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

void wp_as_flat_events(wp_events *events, wireplug_codec_flat_events_t *ret) {
    ret->bytes = wp_as_list(&events->bytes);
    ret->heads.len = events->heads.len / sizeof(wp_head);
    ret->heads.ptr = (wireplug_codec_flat_event_head_t *)wp_take_memory(&events->heads);
}

#endif
