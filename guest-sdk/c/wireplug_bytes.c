/* The functions of wireplug.h on bytes and buffers. */
#include "wireplug.h"

#include <stdlib.h>
#include <string.h>

/* === Bytes === */

wp_bytes wp_text(const char *text) {
    return (wp_bytes){(const uint8_t *)text, strlen(text)};
}

bool wp_same(wp_bytes a, wp_bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool wp_is(wp_bytes bytes, const char *text) {
    return wp_same(bytes, wp_text(text));
}

bool wp_is_utf8(wp_bytes bytes) {
    const uint8_t *at = bytes.at, *end = at + bytes.len;
    while (at < end) {
        uint8_t first = *at++;
        if (first < 0x80) continue;
        size_t more = first < 0xC2 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : first < 0xF5 ? 3 : 0;
        if (more == 0 || (size_t)(end - at) < more) return false;
        /* The bounds of the second byte exclude overlong forms, surrogates, and U+110000 up. */
        uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
        uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
        if (*at < low || *at > high) return false;
        for (at++; --more > 0; at++) {
            if ((*at & 0xC0) != 0x80) return false;
        }
    }
    return true;
}

/* === Buffers === */

static void make_room(wp_buffer *buffer, size_t more) {
    if (buffer->room - buffer->len >= more) return;
    if (more > SIZE_MAX / 2 - buffer->len) abort();
    size_t room = buffer->room < 64 ? 64 : buffer->room;
    while (room - buffer->len < more) room *= 2;
    buffer->at = realloc(buffer->at, room);
    if (buffer->at == NULL) abort();
    buffer->room = room;
}

void wp_put(wp_buffer *buffer, wp_bytes bytes) {
    if (bytes.len == 0) return;
    make_room(buffer, bytes.len);
    memcpy(buffer->at + buffer->len, bytes.at, bytes.len);
    buffer->len += bytes.len;
}

void wp_put_text(wp_buffer *buffer, const char *text) {
    wp_put(buffer, wp_text(text));
}

void wp_put_byte(wp_buffer *buffer, uint8_t byte) {
    wp_put(buffer, (wp_bytes){&byte, 1});
}

void wp_put_number(wp_buffer *buffer, uint64_t number) {
    uint8_t digits[20];
    size_t at = sizeof digits;
    do digits[--at] = '0' + number % 10;
    while ((number /= 10) > 0);
    wp_put(buffer, (wp_bytes){digits + at, sizeof digits - at});
}

wp_bytes wp_contents(const wp_buffer *buffer) {
    return (wp_bytes){buffer->at, buffer->len};
}

void wp_free(wp_buffer *buffer) {
    free(buffer->at);
    *buffer = (wp_buffer){0};
}
