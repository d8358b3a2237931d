/* Frames: how they are cut, read and written, in both framings. */
#include "digits.h"

#include <string.h>

#include "wireplug_cut.h"

static const wp_limit HEADER = {HEADER_MAX, "header line"}, FRAME = {FRAME_MAX, "frame"};

static const char *const BAD_ARGUMENT = "the argument is not 1 to 200 printable ASCII characters without spaces";

/* The names in text frames, and the letters in binary frames. */
static const struct {
    const char *name;
    char letter;
} KINDS[] = {
    [DIGITS_REQ] = {"REQ", 'R'}, [DIGITS_NTC] = {"NTC", 'N'}, [DIGITS_RES] = {"RES", 'S'}, [DIGITS_BYE] = {"BYE", 'B'},
    [DIGITS_BIN] = {"BIN", 0},   [DIGITS_PSH] = {"PSH", 'P'}, [DIGITS_CAN] = {"CAN", 'C'},
};

const char *digits_name(digits_kind kind) {
    return KINDS[kind].name;
}

bool digits_is_argument(wp_bytes bytes) {
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.at[i] <= ' ' || bytes.at[i] > '~') return false;
    }
    return bytes.len > 0 && bytes.len <= ARGUMENT_MAX;
}

bool digits_read_number(wp_bytes digits, uint32_t max, uint32_t *number) {
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.at[i] < '0' || digits.at[i] > '9') return false;
        value = value * 10 + (digits.at[i] - '0');
        if (value > max) return false;
    }
    *number = (uint32_t)value;
    return digits.len == 1 || (digits.len > 1 && digits.at[0] != '0');
}

/* === Text frames: `KIND ID LENGTH[ ARGUMENT]\n`, then the body === */

/* The fields of a header line. */
typedef struct header {
    wp_bytes kind, id, length, argument;
    bool has_length, has_argument;
} header;

/* Takes the field before the next space, or the whole rest. Returns whether there was a space. */
static bool take_field(wp_bytes *rest, wp_bytes *field) {
    const uint8_t *space = rest->len > 0 ? memchr(rest->at, ' ', rest->len) : NULL;
    *field = (wp_bytes){rest->at, space == NULL ? rest->len : (size_t)(space - rest->at)};
    size_t taken = field->len + (space == NULL ? 0 : 1);
    *rest = (wp_bytes){rest->at + taken, rest->len - taken};
    return space != NULL;
}

/* Splits a line that ends with a line feed. */
static header split(wp_bytes line) {
    header header = {0};
    wp_bytes rest = {line.at, line.len - 1};
    header.has_length = take_field(&rest, &header.kind) && take_field(&rest, &header.id);
    header.has_argument = header.has_length && take_field(&rest, &header.length);
    header.argument = rest;
    return header;
}

static bool is_stls(wp_bytes line) {
    return wp_is(line, "STLS\r\n");
}

static wp_cut cut_text(wp_bytes rest, wp_buffer *reason) {
    wp_cut line = wp_cut_line(rest, wp_text("\n"), HEADER, NULL, reason);
    if (line.kind != WP_CUT_PACKET) return line;
    wp_bytes head = {rest.at, line.length};
    if (is_stls(head)) return line;
    header fields = split(head);
    uint32_t length;
    if (!fields.has_length) return wp_cut_reject(reason, "the header line has no length");
    if (!digits_read_number(fields.length, BODY_MAX, &length)) {
        return wp_cut_reject(reason, "the length is not a decimal number from 0 to 65535");
    }
    return wp_cut_fixed(rest, line.length + length, FRAME, reason);
}

static const char *read_text(wp_bytes packet, digits_frame *frame) {
    const uint8_t *body = (const uint8_t *)memchr(packet.at, '\n', packet.len) + 1;
    wp_bytes line = {packet.at, (size_t)(body - packet.at)};
    *frame = (digits_frame){.body = {body, packet.len - line.len}};
    if (is_stls(line)) {
        frame->kind = DIGITS_STLS;
        return NULL;
    }
    header fields = split(line);
    frame->argument = fields.argument;
    if (!digits_read_number(fields.id, UINT32_MAX, &frame->id)) {
        return "the id is not a decimal number from 0 to 4294967295";
    }
    if (fields.has_argument && !digits_is_argument(fields.argument)) return BAD_ARGUMENT;
    for (frame->kind = DIGITS_REQ; frame->kind <= DIGITS_BIN; frame->kind++) {
        if (wp_is(fields.kind, KINDS[frame->kind].name)) return NULL;
    }
    return "the kind is not REQ, NTC, RES, BYE or BIN";
}

static void put_text(wp_buffer *out, const digits_frame *frame) {
    wp_put_text(out, KINDS[frame->kind].name);
    wp_put_byte(out, ' ');
    wp_put_number(out, frame->id);
    wp_put_byte(out, ' ');
    wp_put_number(out, frame->body.len);
    if (frame->argument.len > 0) wp_put_byte(out, ' ');
    wp_put(out, frame->argument);
    wp_put_byte(out, '\n');
    wp_put(out, frame->body);
}

/* === Binary frames: length, kind, id, length of the argument, argument, body === */

/* The length, and the head that follows it, in bytes. */
enum { LENGTH_LEN = 4, HEAD_LEN = 6 };

static wp_cut cut_binary(wp_bytes rest, wp_buffer *reason) {
    return wp_cut_length_field(rest, (wp_length_field){.width = LENGTH_LEN}, FRAME, reason);
}

static const char *read_binary(wp_bytes packet, digits_frame *frame) {
    const uint8_t *head = packet.at + LENGTH_LEN;
    size_t len = packet.len - LENGTH_LEN;
    if (len < HEAD_LEN) return "the frame is shorter than its head";
    size_t argument_len = head[5];
    if (argument_len > len - HEAD_LEN) return "the argument is longer than the frame";
    frame->id = (uint32_t)head[1] << 24 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 8 | head[4];
    frame->argument = (wp_bytes){head + HEAD_LEN, argument_len};
    frame->body = (wp_bytes){head + HEAD_LEN + argument_len, len - HEAD_LEN - argument_len};
    if (argument_len > 0 && !digits_is_argument(frame->argument)) return BAD_ARGUMENT;
    if (frame->body.len > BODY_MAX) return "the body has more than 65535 bytes";
    for (frame->kind = DIGITS_REQ; frame->kind <= DIGITS_BYE; frame->kind++) {
        if (head[0] == KINDS[frame->kind].letter) return NULL;
    }
    return "the kind is not R, N, S or B";
}

static void put_u32(wp_buffer *out, uint32_t number) {
    for (int shift = 24; shift >= 0; shift -= 8) wp_put_byte(out, (uint8_t)(number >> shift));
}

static void put_binary(wp_buffer *out, const digits_frame *frame) {
    put_u32(out, (uint32_t)(HEAD_LEN + frame->argument.len + frame->body.len));
    wp_put_byte(out, (uint8_t)KINDS[frame->kind].letter);
    put_u32(out, frame->id);
    wp_put_byte(out, (uint8_t)frame->argument.len);
    wp_put(out, frame->argument);
    wp_put(out, frame->body);
}

/* === Both === */

wp_cut digits_cut(digits_framing framing, wp_bytes rest, wp_buffer *reason) {
    return framing == DIGITS_BINARY ? cut_binary(rest, reason) : cut_text(rest, reason);
}

const char *digits_read(digits_framing framing, wp_bytes packet, digits_frame *frame) {
    return framing == DIGITS_BINARY ? read_binary(packet, frame) : read_text(packet, frame);
}

void digits_put(digits_framing framing, wp_buffer *out, const digits_frame *frame) {
    if (framing == DIGITS_BINARY) put_binary(out, frame);
    else put_text(out, frame);
}
