/* JSON for codecs in C: enough to read options and bodies, and to write bodies.
 *
 * A value is a view of the text and owns no memory. Every function accepts any text: text that is
 * not JSON ends an iteration early and gives no value. Each call scans the text again, which suits
 * the small bodies of messages.
 */
#ifndef WIREPLUG_JSON_H
#define WIREPLUG_JSON_H

#include "wireplug.h"

/* The deepest nesting of arrays and objects. It bounds the stack; deeper text is not JSON here. */
#define JSON_DEPTH 64

/* Returns whether the whole text is one JSON value, in UTF-8. */
bool json_is_valid(wp_bytes text);

/* Returns whether the text begins as an object does. */
bool json_is_object(wp_bytes text);

/* A position in an array or an object. Zeros are the beginning. */
typedef struct json_cursor {
    size_t at;
} json_cursor;

/* Reads the next element of an array. Returns false if there is none, or if this is no array. */
bool json_next_element(wp_bytes array, json_cursor *cursor, wp_bytes *value);
/* Reads the next member of an object; the key is a JSON string. Returns false if there is none, or
 * if this is no object. */
bool json_next_member(wp_bytes object, json_cursor *cursor, wp_bytes *key, wp_bytes *value);
/* Finds the member with this name: the last one if there are several. */
bool json_member(wp_bytes object, const char *name, wp_bytes *value);

/* Appends the text of a string to `out`. A lone surrogate becomes U+FFFD. Returns false if the
 * value is no string. */
bool json_read_string(wp_bytes value, wp_buffer *out);
/* Returns whether the value is a string with this text. */
bool json_is_string(wp_bytes value, const char *text);
/* Reads a whole number from 0 to 2^53, without fraction and exponent. Returns false if the value is
 * anything else. */
bool json_read_number(wp_bytes value, uint64_t *out);

/* Appends a text as a JSON string. The text must be UTF-8. */
void json_put_string(wp_buffer *out, wp_bytes text);

#endif
