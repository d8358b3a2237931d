/* Streams that the codec cuts itself: `codec_cut` and `codec_decode` in turn. */
#include "wireplug_flat.h"

#ifdef WIREPLUG_FRAMER

/* The most packets of a call: the limit of `wit/codec.wit`. */
enum { PACKETS_MAX = 256 };

/* Returns what is wrong with a cut, or NULL. */
static const char *bug_in(wp_cut cut, size_t rest, size_t packets) {
    switch (cut.kind) {
    case WP_CUT_PACKET:
        return cut.length == 0 || cut.length > rest ? "bug: codec_cut gave a packet that is not in the rest" : NULL;
    case WP_CUT_NEED: return cut.length <= rest ? "bug: codec_cut asks for no more than the rest" : NULL;
    case WP_CUT_START_TLS: return packets == 0 ? "bug: codec_cut began TLS before a packet was decoded" : NULL;
    case WP_CUT_REJECT: return NULL;
    }
    return "bug: codec_cut gave no cut";
}

/* Refuses the rest, which is behind all packets of the call. */
static void refuse_rest(wp_stream *stream, wp_bytes reason) {
    wp_begin_events(&stream->events, (uint32_t)wp_u32_len(&stream->ends));
    wp_fatal(&stream->events, reason);
}

void wp_decode_stream(wp_session *session, wp_bytes bytes, wp_instant now, wp_stream *stream) {
    wp_buffer reason = {0};
    wp_bytes rest = bytes;
    stream->next = NEXT_FULL;
    while (!stream->events.over) {
        size_t packets = wp_u32_len(&stream->ends);
        wp_at((uint32_t)(bytes.len - rest.len));
        wp_cut cut = codec_cut(session, rest, &reason);
        const char *bug = bug_in(cut, rest.len, packets);
        if (bug != NULL) {
            refuse_rest(stream, wp_text(bug));
        } else if (cut.kind == WP_CUT_REJECT) {
            refuse_rest(stream, wp_contents(&reason));
        } else if (cut.kind == WP_CUT_NEED) {
            stream->next = NEXT_NEED;
            stream->need = (uint32_t)cut.length;
            break;
        } else if (cut.kind == WP_CUT_START_TLS) {
            stream->next = NEXT_START_TLS;
            break;
        } else if (packets == PACKETS_MAX) {
            /* The cut was needed, because TLS may begin behind the last packet. */
            break;
        } else {
            wp_begin_events(&stream->events, (uint32_t)packets);
            codec_decode(session, (wp_bytes){rest.at, cut.length}, now, &stream->events);
            rest = (wp_bytes){rest.at + cut.length, rest.len - cut.length};
            wp_put_u32(&stream->ends, (uint32_t)(bytes.len - rest.len));
        }
        reason.len = 0;
    }
    wp_at(WP_NOWHERE);
    wp_free(&reason);
}

#endif
