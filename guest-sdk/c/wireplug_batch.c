/* The exports of the interfaces `batch` and `framer`: many packets or messages in one call. */
#include "wireplug_guest.h"

#ifdef WIREPLUG_BATCH

void EXPORT(batch_decode_batch)(
    EXPORT(batch_borrow_session_t) session, EXPORT(batch_packets_t) *packets, EXPORT(batch_instant_t) *now,
    EXPORT(batch_events_t) *ret
) {
    wp_events events = {0};
    size_t start = 0;
    for (size_t i = 0; i < packets->ends.len && !events.over; i++) {
        size_t end = packets->ends.ptr[i];
        wp_at((uint32_t)i);
        wp_begin_events(&events, (uint32_t)i);
        wp_bytes packet = {packets->bytes.ptr + start, end - start};
        codec_decode((wp_session *)session, packet, wp_instant_of(now), &events);
        start = end;
    }
    wp_at(WP_NOWHERE);
    EXPORT(batch_packets_free)(packets);
    wp_as_flat_events(&events, ret);
}

bool EXPORT(batch_encode_batch)(
    EXPORT(batch_borrow_session_t) session, EXPORT(batch_messages_t) *messages, EXPORT(batch_instant_t) *now,
    EXPORT(batch_encoded_t) *ret, guest_string_t *err
) {
    wp_packets packets = {0};
    wp_buffer sources = {0}, refused = {0}, reason = {0};
    wp_outcome outcome = WP_ENCODED;
    size_t start = 0;
    for (size_t i = 0; i < messages->heads.len && outcome != WP_FATAL; i++) {
        const wireplug_codec_flat_message_head_t *head = &messages->heads.ptr[i];
        const uint8_t *bytes = messages->bytes.ptr;
        wp_message message = {
            (wp_role)head->role,
            head->id,
            {bytes + start, head->route_end - start},
            {bytes + head->route_end, head->body_end - head->route_end},
            head->status,
        };
        start = head->body_end;
        wp_at((uint32_t)i);
        outcome = wp_encode((wp_session *)session, &message, wp_instant_of(now), &packets, &reason);
        if (outcome == WP_ENCODED) {
            while (sources.len < packets.ends.len) wp_put_u32(&sources, (uint32_t)i);
        } else if (outcome == WP_REJECTED) {
            wireplug_codec_flat_refusal_t refusal = {(uint32_t)i, wp_as_string(&reason)};
            wp_put(&refused, (wp_bytes){(const uint8_t *)&refusal, sizeof refusal});
            reason = (wp_buffer){0};
        }
        if (outcome != WP_FATAL) reason.len = 0;
    }
    wp_at(WP_NOWHERE);
    EXPORT(batch_messages_free)(messages);
    ret->packets.bytes = wp_as_list(&packets.bytes);
    ret->packets.ends.len = wp_packets_len(&packets);
    ret->packets.ends.ptr = (uint32_t *)wp_take_memory(&packets.ends);
    ret->sources.len = wp_u32_len(&sources);
    ret->sources.ptr = (uint32_t *)wp_take_memory(&sources);
    ret->refused.len = refused.len / sizeof(wireplug_codec_flat_refusal_t);
    ret->refused.ptr = (wireplug_codec_flat_refusal_t *)wp_take_memory(&refused);
    if (outcome != WP_FATAL) {
        wp_free(&reason);
        return true;
    }
    EXPORT(batch_encoded_free)(ret);
    *err = wp_as_string(&reason);
    return false;
}

#endif

#ifdef WIREPLUG_FRAMER

void EXPORT(framer_decode_stream)(
    EXPORT(framer_borrow_session_t) session, guest_list_u8_t *bytes, EXPORT(framer_instant_t) *now,
    EXPORT(framer_frames_t) *ret
) {
    wp_stream stream = {0};
    wp_decode_stream((wp_session *)session, wp_view(bytes), wp_instant_of(now), &stream);
    guest_list_u8_free(bytes);
    ret->ends.len = wp_u32_len(&stream.ends);
    ret->ends.ptr = (uint32_t *)wp_take_memory(&stream.ends);
    wp_as_flat_events(&stream.events, &ret->events);
    ret->next.tag = (uint8_t)stream.next;
    ret->next.val.need = stream.need;
}

#endif
