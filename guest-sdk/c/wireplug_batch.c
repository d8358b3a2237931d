/* The exports of the interfaces `batch` and `framer`: many packets or messages in one call. */
#include "wireplug_abi.h"

#ifdef WIREPLUG_BATCH

WP_EXPORT("batch@0.2.0#decode-batch")
const wp_flat_events *wp_export_decode_batch(
    wp_session *session, const uint8_t *bytes, size_t bytes_len, const uint32_t *ends, size_t ends_len, WP_NOW_FIELDS
) {
    static wp_flat_events ret;
    (void)bytes_len;
    wp_answer *answer = wp_begin_call();
    wp_events *events = &answer->stream.events;
    size_t start = 0;
    for (size_t i = 0; i < ends_len && !events->over; i++) {
        wp_at((uint32_t)i);
        wp_begin_events(events, (uint32_t)i);
        codec_decode(session, (wp_bytes){bytes + start, ends[i] - start}, WP_NOW, events);
        start = ends[i];
    }
    wp_at(WP_NOWHERE);
    ret = wp_list_flat_events(answer);
    wp_end_call();
    return &ret;
}

/* Adds the refusal of a message. Its reason is set when all reasons are there. */
static void refuse(wp_answer *answer, size_t message) {
    wp_refusal refusal = {(uint32_t)message, {NULL, answer->text.len}};
    wp_put(&answer->refused, (wp_bytes){(const uint8_t *)&refusal, sizeof refusal});
    wp_put(&answer->reasons, wp_contents(&answer->text));
}

static wp_list list_refusals(wp_answer *answer) {
    wp_refusal *refused = (wp_refusal *)answer->refused.at;
    const uint8_t *reason = answer->reasons.at;
    wp_list list = wp_list_of(&answer->refused, sizeof *refused);
    for (size_t i = 0; i < list.len; i++) {
        refused[i].reason.at = reason;
        reason += refused[i].reason.len;
    }
    return list;
}

WP_EXPORT("batch@0.2.0#encode-batch")
const wp_encoded_or_error *wp_export_encode_batch(
    wp_session *session, const uint8_t *bytes, size_t bytes_len, const wp_message_head *heads, size_t heads_len,
    WP_NOW_FIELDS
) {
    static wp_encoded_or_error ret;
    (void)bytes_len;
    wp_answer *answer = wp_begin_call();
    wp_outcome outcome = WP_ENCODED;
    size_t start = 0;
    for (size_t i = 0; i < heads_len && outcome != WP_FATAL; i++) {
        wp_message message = {
            (wp_role)heads[i].role,
            heads[i].id,
            {bytes + start, heads[i].route_end - start},
            {bytes + heads[i].route_end, heads[i].body_end - heads[i].route_end},
            heads[i].status,
        };
        start = heads[i].body_end;
        wp_at((uint32_t)i);
        answer->text.len = 0;
        outcome = wp_encode(session, &message, WP_NOW, &answer->packets, &answer->text);
        if (outcome == WP_ENCODED) {
            while (answer->sources.len < answer->packets.ends.len) wp_put_u32(&answer->sources, (uint32_t)i);
        } else if (outcome == WP_REJECTED) {
            refuse(answer, i);
        }
    }
    wp_at(WP_NOWHERE);
    ret.is_error = outcome == WP_FATAL;
    if (outcome == WP_FATAL) {
        ret.error = wp_contents(&answer->text);
    } else {
        ret.bytes = wp_list_of(&answer->packets.bytes, 1);
        ret.ends = wp_list_of(&answer->packets.ends, sizeof(uint32_t));
        ret.sources = wp_list_of(&answer->sources, sizeof(uint32_t));
        ret.refused = list_refusals(answer);
    }
    wp_end_call();
    return &ret;
}

#endif

#ifdef WIREPLUG_FRAMER

WP_EXPORT("framer@0.2.0#decode-stream")
const wp_frames *wp_export_decode_stream(wp_session *session, const uint8_t *bytes, size_t bytes_len, WP_NOW_FIELDS) {
    static wp_frames ret;
    wp_answer *answer = wp_begin_call();
    wp_stream *stream = &answer->stream;
    wp_decode_stream(session, (wp_bytes){bytes, bytes_len}, WP_NOW, stream);
    ret.ends = wp_list_of(&stream->ends, sizeof(uint32_t));
    ret.events = wp_list_flat_events(answer);
    ret.next.tag = (uint8_t)stream->next;
    ret.next.need = stream->need;
    wp_end_call();
    return &ret;
}

#endif
