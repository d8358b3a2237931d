/* JSON for codecs in C: enough to read options and the bodies of messages, and to write bodies.
 *
 * A value is a piece of its text and owns nothing. Nothing is assumed of a text: what is no JSON ends a walk early and
 * gives no value. A text is gone through once for each question, which suits the small bodies of messages.
 */
#ifndef WIREPLUG_JSON_H
#define WIREPLUG_JSON_H

#include "wireplug.h"

/* How deep arrays and objects may stand in each other; anything deeper is taken for no JSON. */
#define JSON_DEPTH 64

/* Whether the whole text is one JSON value, in UTF-8. */
bool json_is_valid(wp_bytes text);

/* Whether the text begins as an object does. */
bool json_is_object(wp_bytes text);

/* Where a walk through an array or an object is. All zeros is its beginning. */
typedef struct json_walk {
    size_t at;
} json_walk;

/* The next element of an array. False: there is none, or this is no array. */
bool json_next_element(wp_bytes array, json_walk *walk, wp_bytes *value);
/* The next member of an object. Its key is a JSON string. False: there is none, or this is no object. */
bool json_next_member(wp_bytes object, json_walk *walk, wp_bytes *key, wp_bytes *value);
/* The member of this name; the last, where there are several. */
bool json_member(wp_bytes object, const char *name, wp_bytes *value);

/* Whether the value is a string; if so, puts its text into `out`. Half of a surrogate pair becomes U+FFFD. */
bool json_read_string(wp_bytes value, wp_buffer *out);
/* Whether the value is a string of this text. */
bool json_is_string(wp_bytes value, const char *text);
/* Whether the value is a whole number from 0 to 2^53, without fraction and exponent; if so, reads it. */
bool json_read_number(wp_bytes value, uint64_t *out);

/* Writes a text as a JSON string. It must be UTF-8. */
void json_put_string(wp_buffer *out, wp_bytes text);

#endif
