/* Helpers for `codec_cut`, which recognise common framings at the front of the rest of a stream:
 *
 *     wp_cut codec_cut(const wp_session *session, wp_bytes rest, wp_buffer *reason) {
 *         (void)session;
 *         return wp_cut_line(rest, wp_text("\n"), (wp_limit){512, "line"}, NULL, reason);
 *     }
 *
 * A helper returns a packet within the limit, or how many bytes the rest must have at least. If the
 * rest can never become such a packet, the helper appends to `reason` and rejects the stream. The
 * answers of a helper do not depend on how the stream was divided into reads.
 *
 * `looked` is for helpers that search. It points to the number of bytes of the rest that were
 * searched before, which is 0 for a new session, so that the helper does not search them again.
 * NULL: the helper searches the whole rest each time. `codec_cut` must not change the session. This
 * number is the only exception, and the codec casts the const away for it:
 *
 *     wp_cut_line(rest, wp_text("\n"), (wp_limit){512, "line"}, (size_t *)&session->looked, reason)
 *
 * A handoff does not save the number. A restored session begins with 0.
 */
#ifndef WIREPLUG_CUT_H
#define WIREPLUG_CUT_H

#include "wireplug.h"

/* What a helper accepts at most. */
typedef struct wp_limit {
    /* The length of the packet in bytes, framing included. Of a number: its value. */
    uint64_t max;
    /* What a reason calls the packet or the number, for example `header line`. NULL: `packet`, and
     * `length` for digits. */
    const char *noun;
} wp_limit;

/* Rejects the stream. */
wp_cut wp_cut_reject(wp_buffer *reason, const char *text);

/* A packet of this many bytes, at least 1. Also the last step for a codec that has read the length
 * itself. */
wp_cut wp_cut_fixed(wp_bytes rest, uint64_t length, wp_limit limit, wp_buffer *reason);

/* A packet with a length field. */
wp_cut wp_cut_length_field(wp_bytes rest, wp_length_field field, wp_limit limit, wp_buffer *reason);

/* A packet that ends with a delimiter of at least one byte, which is part of the packet. */
wp_cut wp_cut_line(wp_bytes rest, wp_bytes delimiter, wp_limit limit, size_t *looked, wp_buffer *reason);

/* A decimal number that begins at the place `at` and ends before a delimiter. It is only a part of
 * a packet: the length in the returned WP_CUT_PACKET is where the delimiter ends, and `value` is
 * then the number. The number has no more digits than the limit, and no sign and no space.
 *
 *     uint64_t length;
 *     wp_cut head = wp_cut_digits(rest, 0, ':', (wp_limit){.max = 65535}, &length, reason);
 *     if (head.kind != WP_CUT_PACKET) return head;
 *     return wp_cut_fixed(rest, head.length + length, (wp_limit){65541, "frame"}, reason);
 */
wp_cut wp_cut_digits(wp_bytes rest, size_t at, uint8_t delimiter, wp_limit limit, uint64_t *value, wp_buffer *reason);

/* An element of BER: a tag of at most 5 bytes, a length, and a value. The length is definite, and
 * its long form has at most 4 bytes. */
wp_cut wp_cut_ber(wp_bytes rest, wp_limit limit, wp_buffer *reason);

/* A packet that ends with a delimiter byte. The byte after an escape byte does not end the packet.
 * The delimiter and the escape byte differ. */
wp_cut wp_cut_escaped(
    wp_bytes rest, uint8_t delimiter, uint8_t escape, wp_limit limit, size_t *looked, wp_buffer *reason
);

/* A packet that begins and ends with the same delimiter byte, as in 7e … 7e. The delimiter does not
 * occur between them, not even after an escape byte. Further delimiters at the beginning belong to
 * the packet too. */
wp_cut wp_cut_enclosed(wp_bytes rest, uint8_t delimiter, wp_limit limit, size_t *looked, wp_buffer *reason);

#endif
