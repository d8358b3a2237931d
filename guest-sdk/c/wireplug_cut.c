/* The functions of wireplug_cut.h.
 *
 * A need must never pass over a length of the rest at which the helper would reject the stream.
 * Otherwise the division of the stream would decide whether the stream is rejected.
 */
#include "wireplug_cut.h"

#include <string.h>

static wp_cut packet(size_t length) {
    return (wp_cut){WP_CUT_PACKET, length};
}

static wp_cut need(size_t length) {
    return (wp_cut){WP_CUT_NEED, length};
}

wp_cut wp_cut_reject(wp_buffer *reason, const char *text) {
    wp_put_text(reason, text);
    return (wp_cut){WP_CUT_REJECT, 0};
}

/* Begins a reason about a packet. */
static void put_noun(wp_buffer *reason, wp_limit limit) {
    wp_put_text(reason, "the ");
    wp_put_text(reason, limit.noun == NULL ? "packet" : limit.noun);
}

static wp_cut too_long(wp_limit limit, wp_buffer *reason) {
    put_noun(reason, limit);
    wp_put_text(reason, " has more than ");
    wp_put_number(reason, limit.max);
    return wp_cut_reject(reason, " bytes");
}

static void put_hex(wp_buffer *out, uint8_t byte) {
    const char *digits = "0123456789abcdef";
    wp_put_text(out, "0x");
    wp_put_byte(out, (uint8_t)digits[byte >> 4]);
    wp_put_byte(out, (uint8_t)digits[byte & 15]);
}

/* === Lengths === */

wp_cut wp_cut_fixed(wp_bytes rest, uint64_t length, wp_limit limit, wp_buffer *reason) {
    if (length > limit.max) return too_long(limit, reason);
    if (length == 0) {
        put_noun(reason, limit);
        return wp_cut_reject(reason, " has 0 bytes");
    }
    return rest.len < length ? need((size_t)length) : packet((size_t)length);
}

/* Reads a number of at most 4 bytes. */
static uint32_t number_at(const uint8_t *at, size_t width, bool little_endian) {
    uint32_t number = 0;
    for (size_t i = 0; i < width; i++) number = number << 8 | at[little_endian ? width - 1 - i : i];
    return number;
}

wp_cut wp_cut_length_field(wp_bytes rest, wp_length_field field, wp_limit limit, wp_buffer *reason) {
    size_t end = (size_t)field.offset + field.width;
    if (field.width == 0 || field.width > 4) return wp_cut_reject(reason, "bug: a length field has 1 to 4 bytes");
    if (rest.len < end) return wp_cut_fixed(rest, end, limit, reason);
    uint32_t value = number_at(rest.at + field.offset, field.width, field.little_endian);
    int64_t after = (int64_t)value + field.adjust;
    if (after < 0) {
        wp_put_text(reason, "the length field is ");
        wp_put_number(reason, value);
        wp_put_text(reason, ", and at least ");
        wp_put_number(reason, (uint64_t)-(int64_t)field.adjust);
        return wp_cut_reject(reason, " is needed");
    }
    return wp_cut_fixed(rest, end + (uint64_t)after, limit, reason);
}

wp_cut wp_cut_digits(wp_bytes rest, size_t at, uint8_t delimiter, wp_limit limit, uint64_t *value, wp_buffer *reason) {
    size_t digits_max = 1;
    for (uint64_t left = limit.max; left > 9; left /= 10) digits_max++;
    *value = 0;
    for (size_t i = at; i < rest.len; i++) {
        uint8_t byte = rest.at[i];
        if (byte == delimiter && i > at) return packet(i + 1);
        uint8_t digit = byte - '0';
        bool is_digit = digit < 10 && digit <= limit.max;
        if (!is_digit || i - at == digits_max || *value > (limit.max - digit) / 10) {
            wp_put_text(reason, "the ");
            wp_put_text(reason, limit.noun == NULL ? "length" : limit.noun);
            wp_put_text(reason, " is not a decimal number from 0 to ");
            wp_put_number(reason, limit.max);
            return wp_cut_reject(reason, "");
        }
        *value = *value * 10 + digit;
    }
    return need((rest.len > at ? rest.len : at) + 1);
}

wp_cut wp_cut_ber(wp_bytes rest, wp_limit limit, wp_buffer *reason) {
    enum { TAG_MAX = 5 };
    size_t tag = 1;
    /* If the low bits of the first byte are all ones, the tag continues up to a byte below 0x80. */
    if (rest.len > 0 && (rest.at[0] & 0x1F) == 0x1F) {
        do {
            if (tag == TAG_MAX) return wp_cut_reject(reason, "the tag has more than 5 bytes");
            if (tag == rest.len) return wp_cut_fixed(rest, rest.len + 1, limit, reason);
        } while (rest.at[tag++] >= 0x80);
    }
    if (rest.len <= tag) return wp_cut_fixed(rest, tag + 1, limit, reason);
    uint8_t first = rest.at[tag];
    if (first < 0x80) return wp_cut_fixed(rest, tag + 1 + first, limit, reason);
    size_t width = first & 0x7F;
    if (width == 0) return wp_cut_reject(reason, "the length is indefinite");
    if (width > 4) return wp_cut_reject(reason, "the length has more than 4 bytes");
    size_t end = tag + 1 + width;
    if (rest.len < end) return wp_cut_fixed(rest, end, limit, reason);
    return wp_cut_fixed(rest, end + (uint64_t)number_at(rest.at + tag + 1, width, false), limit, reason);
}

/* === Delimiters === */

/* Returns where to begin to search, and forgets the place. */
static size_t begin_search(wp_bytes rest, size_t *looked) {
    size_t from = looked == NULL || *looked > rest.len ? 0 : *looked;
    if (looked != NULL) *looked = 0;
    return from;
}

/* Returns the answer for a rest without an end: at least `missing` bytes follow. The next search
 * begins at `from`. The rest is rejected only when it has `max` bytes, and no need is above that. */
static wp_cut search_on(wp_bytes rest, size_t missing, size_t from, wp_limit limit, size_t *looked, wp_buffer *reason) {
    if (rest.len >= limit.max) return too_long(limit, reason);
    if (looked != NULL) *looked = from;
    return need(missing > limit.max - rest.len ? (size_t)limit.max : rest.len + missing);
}

static wp_cut found(size_t end, wp_limit limit, wp_buffer *reason) {
    return end > limit.max ? too_long(limit, reason) : packet(end);
}

wp_cut wp_cut_line(wp_bytes rest, wp_bytes delimiter, wp_limit limit, size_t *looked, wp_buffer *reason) {
    if (delimiter.len == 0) return wp_cut_reject(reason, "bug: a delimiter has at least one byte");
    size_t at = begin_search(rest, looked);
    for (; at < rest.len; at++) {
        const uint8_t *first = memchr(rest.at + at, delimiter.at[0], rest.len - at);
        if (first == NULL) {
            at = rest.len;
            break;
        }
        at = (size_t)(first - rest.at);
        size_t same = 1;
        while (same < delimiter.len && at + same < rest.len && first[same] == delimiter.at[same]) same++;
        if (same == delimiter.len) return found(at + same, limit, reason);
        /* The rest ends with the beginning of the delimiter. */
        if (at + same == rest.len) break;
    }
    return search_on(rest, delimiter.len - (rest.len - at), at, limit, looked, reason);
}

wp_cut wp_cut_escaped(
    wp_bytes rest, uint8_t delimiter, uint8_t escape, wp_limit limit, size_t *looked, wp_buffer *reason
) {
    size_t at = begin_search(rest, looked);
    for (; at < rest.len; at++) {
        if (rest.at[at] == delimiter) return found(at + 1, limit, reason);
        if (rest.at[at] != escape) continue;
        /* The escaped byte and the delimiter are missing. */
        if (at + 1 == rest.len) return search_on(rest, 2, at, limit, looked, reason);
        at++;
    }
    return search_on(rest, 1, rest.len, limit, looked, reason);
}

wp_cut wp_cut_enclosed(wp_bytes rest, uint8_t delimiter, wp_limit limit, size_t *looked, wp_buffer *reason) {
    size_t at = begin_search(rest, looked);
    if (rest.len == 0) return search_on(rest, 1, 0, limit, looked, reason);
    if (rest.at[0] != delimiter) {
        put_noun(reason, limit);
        wp_put_text(reason, " begins with ");
        put_hex(reason, rest.at[0]);
        wp_put_text(reason, ", and not with ");
        put_hex(reason, delimiter);
        return wp_cut_reject(reason, "");
    }
    bool has_content = at > 0 && rest.at[at - 1] != delimiter;
    while (!has_content && at < rest.len) {
        if (rest.at[at] == delimiter) at++;
        else has_content = true;
    }
    /* Another byte and the delimiter are missing. */
    if (!has_content) return search_on(rest, 2, at, limit, looked, reason);
    const uint8_t *end = at < rest.len ? memchr(rest.at + at, delimiter, rest.len - at) : NULL;
    if (end == NULL) return search_on(rest, 1, rest.len, limit, looked, reason);
    return found((size_t)(end - rest.at) + 1, limit, reason);
}
