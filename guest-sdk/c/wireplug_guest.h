/* Conversions between the types of wireplug.h and those of the generated bindings, `guest.h`.
 * Internal to the SDK.
 *
 * What an export returns is memory from malloc, which the bindings free after the call. A list
 * without elements has no memory.
 */
#ifndef WIREPLUG_GUEST_H
#define WIREPLUG_GUEST_H

#include "guest.h"
#include "wireplug_flat.h"

#define EXPORT(name) exports_wireplug_codec_##name

/* === Views of arguments === */

static inline wp_bytes wp_view(const guest_list_u8_t *list) {
    return (wp_bytes){list->ptr, list->len};
}

static inline wp_bytes wp_string_view(const guest_string_t *string) {
    return (wp_bytes){string->ptr, string->len};
}

static inline wp_instant wp_instant_of(const wireplug_codec_types_instant_t *now) {
    return (wp_instant){now->session_ms, now->unix_ms};
}

wp_peer wp_peer_view(const wireplug_codec_types_peer_t *peer);
wp_message wp_message_view(const wireplug_codec_types_message_t *message);

/* === Values to return === */

/* Returns the memory of a buffer, which becomes a list. */
uint8_t *wp_take_memory(wp_buffer *buffer);
guest_list_u8_t wp_as_list(wp_buffer *buffer);
guest_string_t wp_as_string(wp_buffer *buffer);
/* Converts the events to a list of elements. Each interface has its own type for this list. */
void wp_as_events(wp_events *events, wireplug_codec_types_event_t **ptr, size_t *len);
/* Converts the packets to a list of lists. A single packet is not copied. */
guest_list_list_u8_t wp_as_packets(wp_packets *packets);
/* Returns the session, or the error if there is none. */
bool wp_opened(wp_session *session, wp_buffer *error, EXPORT(codec_own_session_t) *ret, guest_string_t *err);

#if defined(WIREPLUG_BATCH) || defined(WIREPLUG_FRAMER)
/* Converts the events to a flat list, without a copy. */
void wp_as_flat_events(wp_events *events, wireplug_codec_flat_events_t *ret);
#endif

/* Encodes one message, and keeps its packets only if the codec did not refuse the message. */
wp_outcome wp_encode(
    wp_session *session, const wp_message *message, wp_instant now, wp_packets *packets, wp_buffer *reason
);

#endif
