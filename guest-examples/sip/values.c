/* Values of header fields: RFC 3261, section 25.1. The head has no folds and no line ends here. */
#include "sip.h"

#include <string.h>

/* === Characters === */

static uint8_t lower(uint8_t byte) {
    return byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte;
}

static bool is_space(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static bool is_alphanumeric(uint8_t byte) {
    return (lower(byte) >= 'a' && lower(byte) <= 'z') || (byte >= '0' && byte <= '9');
}

static bool is_one_of(uint8_t byte, const char *bytes) {
    return byte != 0 && strchr(bytes, byte) != NULL;
}

static bool is_token_byte(uint8_t byte) {
    return is_alphanumeric(byte) || is_one_of(byte, "-.!%*_+`'~");
}

static wp_bytes skip(wp_bytes text, size_t len) {
    return (wp_bytes){text.at + len, text.len - len};
}

bool sip_same(wp_bytes a, wp_bytes b) {
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.at[i]) != lower(b.at[i])) return false;
    }
    return true;
}

bool sip_same_text(wp_bytes a, const char *b) {
    return sip_same(a, wp_text(b));
}

void sip_put_lower(wp_buffer *out, wp_bytes text) {
    for (size_t i = 0; i < text.len; i++) wp_put_byte(out, lower(text.at[i]));
}

wp_bytes sip_trim(wp_bytes text) {
    while (text.len > 0 && is_space(text.at[0])) text = skip(text, 1);
    while (text.len > 0 && is_space(text.at[text.len - 1])) text.len--;
    return text;
}

bool sip_is_token(wp_bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        if (!is_token_byte(text.at[i])) return false;
    }
    return text.len > 0;
}

bool sip_is_uri(wp_bytes text) {
    size_t scheme = 0;
    while (scheme < text.len && (is_alphanumeric(text.at[scheme]) || is_one_of(text.at[scheme], "+-."))) scheme++;
    if (scheme == 0 || scheme + 1 >= text.len || text.at[scheme] != ':') return false;
    for (size_t i = scheme; i < text.len; i++) {
        if (text.at[i] <= ' ' || text.at[i] == 0x7F || is_one_of(text.at[i], "\"<>")) return false;
    }
    return true;
}

bool sip_is_line(wp_bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        if ((text.at[i] < ' ' && text.at[i] != '\t') || text.at[i] == 0x7F) return false;
    }
    return true;
}

bool sip_read_number(wp_bytes digits, uint64_t max, uint64_t *number) {
    *number = 0;
    for (size_t i = 0; i < digits.len; i++) {
        uint8_t digit = digits.at[i] - '0';
        if (digit > 9 || *number > (max - digit) / 10) return false;
        *number = *number * 10 + digit;
    }
    return digits.len > 0;
}

/* === Pieces === */

/* Returns the length of the quoted string at the front, or 0 if there is none. */
static size_t quoted_len(wp_bytes text) {
    if (text.len == 0 || text.at[0] != '"') return 0;
    for (size_t i = 1; i < text.len; i++) {
        if (text.at[i] == '\\') i++;
        else if (text.at[i] == '"') return i + 1;
    }
    return 0;
}

/* Takes a token, and the space on both sides. Empty if there is none. */
static wp_bytes take_token(wp_bytes *rest) {
    *rest = sip_trim(*rest);
    wp_bytes token = {rest->at, 0};
    while (token.len < rest->len && is_token_byte(rest->at[token.len])) token.len++;
    *rest = sip_trim(skip(*rest, token.len));
    return token;
}

static bool take_byte(wp_bytes *rest, uint8_t byte) {
    if (rest->len == 0 || rest->at[0] != byte) return false;
    *rest = sip_trim(skip(*rest, 1));
    return true;
}

bool sip_next_value(wp_bytes *rest, wp_bytes *value) {
    if (rest->len == 0) return false;
    size_t at = 0;
    bool is_uri = false;
    while (at < rest->len && (is_uri || rest->at[at] != ',')) {
        size_t quoted = is_uri ? 0 : quoted_len(skip(*rest, at));
        if (rest->at[at] == '<') is_uri = true;
        if (rest->at[at] == '>') is_uri = false;
        at += quoted > 0 ? quoted : 1;
    }
    *value = sip_trim((wp_bytes){rest->at, at});
    *rest = skip(*rest, at < rest->len ? at + 1 : at);
    return true;
}

/* === Parameters === */

bool sip_next_param(wp_bytes *rest, sip_param *param) {
    wp_bytes at = sip_trim(*rest);
    if (!take_byte(&at, ';')) return false;
    *param = (sip_param){.name = take_token(&at)};
    if (param->name.len == 0) return false;
    if (take_byte(&at, '=')) {
        size_t len = quoted_len(at);
        if (len == 0) {
            while (len < at.len && !is_space(at.at[len]) && !is_one_of(at.at[len], ";,\"<>")) len++;
        }
        if (len == 0) return false;
        param->value = (wp_bytes){at.at, len};
        at = sip_trim(skip(at, len));
    }
    *rest = at;
    return true;
}

static bool are_params(wp_bytes text) {
    sip_param param;
    while (sip_next_param(&text, &param)) continue;
    return sip_trim(text).len == 0;
}

wp_bytes sip_param_value(wp_bytes params, const char *name) {
    sip_param param;
    while (sip_next_param(&params, &param)) {
        if (!sip_same_text(param.name, name)) continue;
        /* A parameter without a value has an empty one. */
        return param.value.at == NULL ? (wp_bytes){param.name.at, 0} : param.value;
    }
    return (wp_bytes){0};
}

/* === Addresses and Via === */

bool sip_read_address(wp_bytes value, sip_address *address) {
    value = sip_trim(value);
    size_t quoted = quoted_len(value);
    const uint8_t *opens = quoted < value.len ? memchr(value.at + quoted, '<', value.len - quoted) : NULL;
    *address = (sip_address){0};
    if (opens == NULL) {
        /* Without brackets, the parameters belong to the header field. */
        const uint8_t *params = value.len > 0 ? memchr(value.at, ';', value.len) : NULL;
        size_t len = params == NULL ? value.len : (size_t)(params - value.at);
        address->uri = sip_trim((wp_bytes){value.at, len});
        address->params = skip(value, len);
    } else {
        size_t uri_at = (size_t)(opens - value.at) + 1;
        const uint8_t *closes = memchr(opens, '>', value.len - uri_at + 1);
        if (closes == NULL) return false;
        address->name = sip_trim((wp_bytes){value.at, uri_at - 1});
        address->uri = (wp_bytes){opens + 1, (size_t)(closes - opens) - 1};
        address->params = skip(value, (size_t)(closes - value.at) + 1);
        /* Only space may be between the quotes and the bracket. */
        if (quoted > 0 && address->name.len != quoted) return false;
        if (quoted == 0 && memchr(value.at, '"', uri_at) != NULL) return false;
    }
    return sip_is_uri(address->uri) && are_params(address->params);
}

bool sip_read_via(wp_bytes value, sip_via *via) {
    wp_bytes rest = value;
    if (!sip_same_text(take_token(&rest), "SIP") || !take_byte(&rest, '/')) return false;
    if (!wp_is(take_token(&rest), "2.0") || !take_byte(&rest, '/')) return false;
    if (take_token(&rest).len == 0) return false;
    size_t len = 0;
    bool is_v6 = rest.len > 0 && rest.at[0] == '[';
    while (len < rest.len && !is_space(rest.at[len]) && rest.at[len] != ';') {
        if (rest.at[len] == ':' && !is_v6) break;
        if (rest.at[len++] == ']') break;
    }
    *via = (sip_via){.host = {rest.at, len}};
    rest = sip_trim(skip(rest, len));
    if (take_byte(&rest, ':')) {
        uint64_t port;
        via->port = take_token(&rest);
        if (!sip_read_number(via->port, UINT16_MAX, &port)) return false;
    }
    via->params = rest;
    return via->host.len > 0 && are_params(rest);
}
