/* What the files of the codec share: limits and frames. README.md of the folder above describes the
 * protocol. */
#ifndef DIGITS_H
#define DIGITS_H

#include "wireplug.h"

/* Lengths are in bytes. */
enum {
    /* The header line of a text frame, including the line feed. */
    HEADER_MAX = 256,
    ARGUMENT_MAX = 200,
    BODY_MAX = 65535,
    /* A whole frame. */
    FRAME_MAX = 66000,
};

/* Frames of a client come first. A binary frame has no BIN. */
typedef enum digits_kind {
    DIGITS_REQ,
    DIGITS_NTC,
    DIGITS_RES,
    DIGITS_BYE,
    DIGITS_BIN,
    DIGITS_PSH,
    DIGITS_CAN,
    /* A line of its own, which asks for TLS. */
    DIGITS_STLS,
} digits_kind;

typedef struct digits_frame {
    digits_kind kind;
    uint32_t id;
    /* Empty if there is none. */
    wp_bytes argument;
    wp_bytes body;
} digits_frame;

typedef enum digits_framing { DIGITS_TEXT, DIGITS_BINARY } digits_framing;

/* Returns the name of a kind, as text frames write it. */
const char *digits_name(digits_kind kind);

/* Returns whether these are 1 to 200 printable ASCII characters without spaces. */
bool digits_is_argument(wp_bytes bytes);

/* Reads a decimal number without leading zeros. Returns false if it is none, or above `max`. */
bool digits_read_number(wp_bytes digits, uint32_t max, uint32_t *number);

/* Cuts a frame from the front of a stream. */
wp_cut digits_cut(digits_framing framing, wp_bytes rest, wp_buffer *reason);

/* Reads a whole frame, whose argument and body are views of it. Returns what is wrong, or NULL. */
const char *digits_read(digits_framing framing, wp_bytes packet, digits_frame *frame);

/* Appends a frame. */
void digits_put(digits_framing framing, wp_buffer *out, const digits_frame *frame);

#endif
