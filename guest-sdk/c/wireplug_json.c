/* The functions of wireplug_json.h. All of them use one scanner, which checks the text against
 * RFC 8259. */
#include "wireplug_json.h"

/* The rest of a text. */
typedef struct scan {
    const uint8_t *at;
    const uint8_t *end;
} scan;

static void skip_space(scan *scan) {
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\n' || *scan->at == '\r'))
        scan->at++;
}

static bool take(scan *scan, uint8_t byte) {
    if (scan->at == scan->end || *scan->at != byte) return false;
    scan->at++;
    return true;
}

static bool take_word(scan *scan, const char *word) {
    for (; *word != 0; word++) {
        if (!take(scan, (uint8_t)*word)) return false;
    }
    return true;
}

static int hex_digit(uint8_t byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return -1;
}

/* Takes the four digits after \u. */
static bool take_unit(scan *scan, uint32_t *unit) {
    if (scan->end - scan->at < 4) return false;
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(*scan->at++);
        if (digit < 0) return false;
        *unit = *unit << 4 | (uint32_t)digit;
    }
    return true;
}

static void put_character(wp_buffer *out, uint32_t character) {
    if (character < 0x80) {
        wp_put_byte(out, (uint8_t)character);
        return;
    }
    int more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
    static const uint8_t first[] = {0, 0xC0, 0xE0, 0xF0};
    wp_put_byte(out, (uint8_t)(first[more] | character >> 6 * more));
    while (more-- > 0) wp_put_byte(out, (uint8_t)(0x80 | (character >> 6 * more & 0x3F)));
}

/* Takes what follows a backslash. Appends the character to `out` unless that is NULL. */
static bool take_escape(scan *scan, wp_buffer *out) {
    if (scan->at == scan->end) return false;
    uint32_t character;
    switch (*scan->at++) {
    case '"': character = '"'; break;
    case '\\': character = '\\'; break;
    case '/': character = '/'; break;
    case 'b': character = '\b'; break;
    case 'f': character = '\f'; break;
    case 'n': character = '\n'; break;
    case 'r': character = '\r'; break;
    case 't': character = '\t'; break;
    case 'u': {
        if (!take_unit(scan, &character)) return false;
        if (character < 0xD800 || character > 0xDFFF) break;
        /* A high and a low surrogate are one character. Any other surrogate is none. */
        uint32_t second;
        struct scan ahead = *scan;
        bool paired = character < 0xDC00 && take_word(&ahead, "\\u") && take_unit(&ahead, &second) && second >= 0xDC00
            && second <= 0xDFFF;
        if (paired) *scan = ahead;
        character = paired ? 0x10000 + ((character - 0xD800) << 10) + (second - 0xDC00) : 0xFFFD;
        break;
    }
    default: return false;
    }
    if (out != NULL) put_character(out, character);
    return true;
}

/* Takes a string. Appends its text to `out` unless that is NULL. */
static bool take_string(scan *scan, wp_buffer *out) {
    if (!take(scan, '"')) return false;
    while (scan->at < scan->end) {
        const uint8_t *plain = scan->at;
        while (scan->at < scan->end && *scan->at != '"' && *scan->at != '\\' && *scan->at >= 0x20) scan->at++;
        if (out != NULL) wp_put(out, (wp_bytes){plain, (size_t)(scan->at - plain)});
        if (take(scan, '"')) return true;
        if (!take(scan, '\\') || !take_escape(scan, out)) return false;
    }
    return false;
}

static bool take_digits(scan *scan) {
    const uint8_t *start = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9') scan->at++;
    return scan->at > start;
}

static bool take_number(scan *scan) {
    take(scan, '-');
    if (!take(scan, '0') && !take_digits(scan)) return false;
    if (take(scan, '.') && !take_digits(scan)) return false;
    if (take(scan, 'e') || take(scan, 'E')) {
        if (!take(scan, '+')) take(scan, '-');
        return take_digits(scan);
    }
    return true;
}

static bool take_value(scan *scan, int depth);

static bool take_elements(scan *scan, int depth) {
    skip_space(scan);
    if (take(scan, ']')) return true;
    do {
        if (!take_value(scan, depth)) return false;
        skip_space(scan);
    } while (take(scan, ','));
    return take(scan, ']');
}

static bool take_members(scan *scan, int depth) {
    skip_space(scan);
    if (take(scan, '}')) return true;
    do {
        skip_space(scan);
        if (!take_string(scan, NULL)) return false;
        skip_space(scan);
        if (!take(scan, ':') || !take_value(scan, depth)) return false;
        skip_space(scan);
    } while (take(scan, ','));
    return take(scan, '}');
}

/* Takes one value, and the space before it. */
static bool take_value(scan *scan, int depth) {
    skip_space(scan);
    if (scan->at == scan->end) return false;
    switch (*scan->at) {
    case '"': return take_string(scan, NULL);
    case '[': return scan->at++, depth > 0 && take_elements(scan, depth - 1);
    case '{': return scan->at++, depth > 0 && take_members(scan, depth - 1);
    case 't': return take_word(scan, "true");
    case 'f': return take_word(scan, "false");
    case 'n': return take_word(scan, "null");
    default: return take_number(scan);
    }
}

static scan scan_of(wp_bytes text, size_t from) {
    return (scan){text.at + from, text.at + text.len};
}

static wp_bytes between(const uint8_t *start, const uint8_t *end) {
    return (wp_bytes){start, (size_t)(end - start)};
}

bool json_is_valid(wp_bytes text) {
    scan scan = scan_of(text, 0);
    if (!wp_is_utf8(text) || !take_value(&scan, JSON_DEPTH)) return false;
    skip_space(&scan);
    return scan.at == scan.end;
}

bool json_is_object(wp_bytes text) {
    scan scan = scan_of(text, 0);
    skip_space(&scan);
    return take(&scan, '{');
}

/* Moves to the next item: the first one follows the opening bracket, any other a comma. */
static bool next_item(wp_bytes container, const json_cursor *cursor, uint8_t opens, scan *scan) {
    *scan = scan_of(container, cursor->at);
    skip_space(scan);
    return take(scan, cursor->at == 0 ? opens : ',');
}

bool json_next_element(wp_bytes array, json_cursor *cursor, wp_bytes *value) {
    scan scan;
    if (!next_item(array, cursor, '[', &scan)) return false;
    skip_space(&scan);
    const uint8_t *start = scan.at;
    if (!take_value(&scan, JSON_DEPTH)) return false;
    *value = between(start, scan.at);
    cursor->at = (size_t)(scan.at - array.at);
    return true;
}

bool json_next_member(wp_bytes object, json_cursor *cursor, wp_bytes *key, wp_bytes *value) {
    scan scan;
    if (!next_item(object, cursor, '{', &scan)) return false;
    skip_space(&scan);
    const uint8_t *start = scan.at;
    if (!take_string(&scan, NULL)) return false;
    *key = between(start, scan.at);
    skip_space(&scan);
    if (!take(&scan, ':')) return false;
    skip_space(&scan);
    start = scan.at;
    if (!take_value(&scan, JSON_DEPTH)) return false;
    *value = between(start, scan.at);
    cursor->at = (size_t)(scan.at - object.at);
    return true;
}

bool json_member(wp_bytes object, const char *name, wp_bytes *value) {
    json_cursor cursor = {0};
    wp_bytes key, found;
    bool exists = false;
    while (json_next_member(object, &cursor, &key, &found)) {
        if (!json_is_string(key, name)) continue;
        *value = found;
        exists = true;
    }
    return exists;
}

bool json_read_string(wp_bytes value, wp_buffer *out) {
    scan scan = scan_of(value, 0);
    return take_string(&scan, out);
}

bool json_is_string(wp_bytes value, const char *text) {
    wp_buffer read = {0};
    bool is_equal = json_read_string(value, &read) && wp_is(wp_contents(&read), text);
    wp_free(&read);
    return is_equal;
}

bool json_read_number(wp_bytes value, uint64_t *out) {
    if (value.len == 0 || value.len > 16) return false;
    uint64_t number = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9') return false;
        number = number * 10 + (uint64_t)(value.at[i] - '0');
    }
    if (number > 1ull << 53) return false;
    *out = number;
    return true;
}

void json_put_string(wp_buffer *out, wp_bytes text) {
    static const char digits[] = "0123456789abcdef";
    wp_put_byte(out, '"');
    size_t plain = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.at[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
        wp_put(out, (wp_bytes){text.at + plain, i - plain});
        plain = i + 1;
        wp_put_byte(out, '\\');
        if (byte == '"' || byte == '\\') {
            wp_put_byte(out, byte);
        } else {
            wp_put_text(out, "u00");
            wp_put_byte(out, (uint8_t)digits[byte >> 4]);
            wp_put_byte(out, (uint8_t)digits[byte & 15]);
        }
    }
    wp_put(out, (wp_bytes){text.at + plain, text.len - plain});
    wp_put_byte(out, '"');
}
