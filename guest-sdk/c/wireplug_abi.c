/* The functions of wireplug_abi.h, and the memory for arguments. */
#include "wireplug_abi.h"

#include <stdlib.h>
#include <string.h>

#include "wireplug_arena.h"

/* The sizes of the canonical ABI. */
#ifdef __wasm32__
_Static_assert(sizeof(wp_head) == 40, "wp_head is `event-head`");
_Static_assert(sizeof(wp_message_head) == 32, "wp_message_head is `message-head`");
_Static_assert(sizeof(wp_event) == 48, "wp_event is `event`");
_Static_assert(sizeof(wp_list_or_fault) == 16, "wp_list_or_fault is a result");
_Static_assert(sizeof(wp_list_or_error) == 12, "wp_list_or_error is a result");
_Static_assert(sizeof(wp_handle_or_error) == 12, "wp_handle_or_error is a result");
_Static_assert(sizeof(wp_refusal) == 12, "wp_refusal is `refusal`");
_Static_assert(sizeof(wp_encoded_or_error) == 36, "wp_encoded_or_error is a result");
_Static_assert(sizeof(wp_frames) == 32, "wp_frames is `frames`");
#endif

/* === Arguments === */

static wp_arena arena;

/* The function through which the runtime asks for memory. It serves arguments only. */
__attribute__((export_name("cabi_realloc"))) void *wp_reallocate(
    void *old, size_t old_size, size_t alignment, size_t size
) {
    return wp_arena_reallocate(&arena, old, old_size, alignment, size);
}

wp_bytes wp_attribute(wp_attributes attributes, const char *name) {
    const wp_attribute_entry *list = attributes.list;
    for (size_t i = 0; i < attributes.len; i++) {
        if (!wp_is(list[i].name, name)) continue;
        /* An empty value is a value, whatever its pointer is. */
        return list[i].value.len == 0 ? wp_text("") : list[i].value;
    }
    return (wp_bytes){0};
}

/* === Answers === */

static wp_answer answer;

wp_answer *wp_begin_call(void) {
    wp_reuse(&answer.stream.ends);
    wp_reuse(&answer.stream.events.bytes);
    wp_reuse(&answer.stream.events.heads);
    answer.stream.events = (wp_events){.bytes = answer.stream.events.bytes, .heads = answer.stream.events.heads};
    wp_reuse(&answer.packets.bytes);
    wp_reuse(&answer.packets.ends);
    wp_reuse(&answer.text);
    wp_reuse(&answer.list);
    wp_reuse(&answer.sources);
    wp_reuse(&answer.refused);
    wp_reuse(&answer.reasons);
    return &answer;
}

void wp_end_call(void) {
    wp_arena_clear(&arena);
}

void wp_end_only_call(void) {
    wp_arena_release(&arena);
}

static wp_event event_of(const wp_head *head, wp_bytes route, wp_bytes body) {
    wp_event event;
    memset(&event, 0, sizeof event);
    event.kind = head->kind;
    switch (head->kind) {
    case KIND_HELLO:
    case KIND_REPLY: event.bytes = body; break;
    case KIND_MESSAGE:
        event.message.role = head->role;
        event.message.id = head->id;
        event.message.route = route;
        event.message.body = body;
        event.message.status = head->status;
        break;
    case KIND_TIMER: event.timer = (uint32_t)head->id; break;
    case KIND_LOG:
        event.log.level = (uint8_t)head->id;
        event.log.text = body;
        break;
    case KIND_CLOSE:
        event.close.code = (uint16_t)head->id;
        event.close.reason = body;
        break;
    case KIND_ESTABLISHED:
    case KIND_ADDRESS_VERIFIED: break;
    /* The codec refused what is no packet. */
    default: abort();
    }
    return event;
}

wp_list wp_list_events(wp_answer *answer) {
    const wp_events *events = &answer->stream.events;
    const wp_head *heads = (const wp_head *)events->heads.at;
    size_t start = 0;
    for (size_t i = 0; i < events->heads.len / sizeof *heads; i++) {
        wp_bytes route = {events->bytes.at + start, heads[i].route_end - start};
        wp_bytes body = {events->bytes.at + heads[i].route_end, heads[i].body_end - heads[i].route_end};
        wp_event event = event_of(&heads[i], route, body);
        wp_put(&answer->list, (wp_bytes){(const uint8_t *)&event, sizeof event});
        start = heads[i].body_end;
    }
    return wp_list_of(&answer->list, sizeof(wp_event));
}

wp_flat_events wp_list_flat_events(const wp_answer *answer) {
    const wp_events *events = &answer->stream.events;
    return (wp_flat_events){wp_list_of(&events->bytes, 1), wp_list_of(&events->heads, sizeof(wp_head))};
}

wp_list wp_list_packets(wp_answer *answer) {
    const uint32_t *ends = (const uint32_t *)answer->packets.ends.at;
    size_t start = 0;
    for (size_t i = 0; i < wp_packets_len(&answer->packets); i++) {
        wp_bytes packet = {answer->packets.bytes.at + start, ends[i] - start};
        wp_put(&answer->list, (wp_bytes){(const uint8_t *)&packet, sizeof packet});
        start = ends[i];
    }
    return wp_list_of(&answer->list, sizeof(wp_bytes));
}
