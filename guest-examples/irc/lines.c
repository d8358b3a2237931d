/* Lines and the names in them: RFC 2812. Every line to the client passes `irc_end_line`, so no line
 * is too long or contains a line end. */
#include "irc.h"

#include <string.h>

/* === Names === */

wp_bytes irc_name_of(const irc_name *name) {
    return (wp_bytes){name->at, name->len};
}

bool irc_set_name(irc_name *name, wp_bytes text, size_t max) {
    if (text.len > max) return false;
    memset(name, 0, sizeof *name);
    if (text.len > 0) memcpy(name->at, text.at, text.len);
    name->len = (uint8_t)text.len;
    return true;
}

static uint8_t fold(uint8_t byte) {
    if (byte >= 'A' && byte <= 'Z') return byte + ('a' - 'A');
    switch (byte) {
    case '[': return '{';
    case ']': return '}';
    case '\\': return '|';
    case '~': return '^';
    default: return byte;
    }
}

bool irc_same_name(wp_bytes a, wp_bytes b) {
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++) {
        if (fold(a.at[i]) != fold(b.at[i])) return false;
    }
    return true;
}

static bool is_letter(uint8_t byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z')
        || (byte != 0 && strchr("[]\\`_^{|}", byte) != NULL);
}

bool irc_is_nick(wp_bytes name) {
    if (name.len == 0 || name.len > NICK_LEN || !is_letter(name.at[0])) return false;
    for (size_t i = 1; i < name.len; i++) {
        uint8_t byte = name.at[i];
        if (!is_letter(byte) && byte != '-' && (byte < '0' || byte > '9')) return false;
    }
    return true;
}

bool irc_is_target(wp_bytes name) {
    if (name.len == 0 || name.len > NAME_LEN || name.at[0] == ':') return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.at[i] <= ' ' || name.at[i] == ',' || name.at[i] == 0x7F) return false;
    }
    return wp_is_utf8(name);
}

bool irc_is_channel(wp_bytes name) {
    return irc_is_target(name) && (name.at[0] == '#' || name.at[0] == '&');
}

/* === Lines from the client === */

bool irc_split(wp_bytes *rest, uint8_t at, wp_bytes *piece) {
    if (rest->len == 0) return false;
    const uint8_t *end = memchr(rest->at, at, rest->len);
    size_t len = end == NULL ? rest->len : (size_t)(end - rest->at);
    *piece = (wp_bytes){rest->at, len};
    size_t taken = end == NULL ? len : len + 1;
    *rest = (wp_bytes){rest->at + taken, rest->len - taken};
    return true;
}

static void skip_spaces(wp_bytes *rest) {
    while (rest->len > 0 && *rest->at == ' ') *rest = (wp_bytes){rest->at + 1, rest->len - 1};
}

/* Takes the next word, and the spaces after it. */
static bool take_word(wp_bytes *rest, wp_bytes *word) {
    bool exists = irc_split(rest, ' ', word);
    skip_spaces(rest);
    return exists;
}

wp_bytes irc_skip_message_tags(wp_bytes line) {
    wp_bytes tags;
    if (line.len > 0 && *line.at == '@') take_word(&line, &tags);
    return line;
}

bool irc_parse(wp_bytes line, irc_line *parsed) {
    wp_bytes source;
    *parsed = (irc_line){0};
    skip_spaces(&line);
    /* A client may name itself as the source. The codec knows the source, and ignores the name. */
    if (line.len > 0 && *line.at == ':') take_word(&line, &source);
    if (!take_word(&line, &parsed->command)) return false;
    while (line.len > 0 && parsed->params_len < PARAMS) {
        wp_bytes *param = &parsed->params[parsed->params_len++];
        if (*line.at == ':' || parsed->params_len == PARAMS) {
            size_t colon = *line.at == ':' ? 1 : 0;
            *param = (wp_bytes){line.at + colon, line.len - colon};
            break;
        }
        take_word(&line, param);
    }
    return true;
}

/* === Lines to the client === */

/* Returns the length of a text that is cut to `max` bytes, at the beginning of a character. */
static size_t cut(wp_bytes text, size_t max) {
    if (text.len <= max) return text.len;
    while (max > 0 && (text.at[max] & 0xC0) == 0x80) max--;
    return max;
}

size_t irc_begin_line(const wp_session *session, wp_buffer *out) {
    if (session->tag != 0) wp_put_byte(out, session->tag);
    return out->len;
}

void irc_end_line(const wp_session *session, wp_buffer *out, size_t start) {
    wp_bytes line = {out->at + start, out->len - start};
    out->len = start + cut(line, LINE_LEN);
    for (uint8_t *at = out->at + start; at < out->at + out->len; at++) {
        if (*at == '\r' || *at == '\n' || *at == 0) *at = ' ';
    }
    if (session->is_stream) wp_put_byte(out, '\r');
}

void irc_put_numeric(const wp_session *session, wp_buffer *out, const char *code) {
    irc_put_source(out, (wp_bytes){0});
    wp_put_byte(out, ' ');
    wp_put_text(out, code);
    wp_put_byte(out, ' ');
    if (session->nick.len == 0) wp_put_byte(out, '*');
    wp_put(out, irc_name_of(&session->nick));
}

/* Appends text from the client as one parameter, which has no space and does not begin with a
 * colon. */
static void put_param(wp_buffer *out, wp_bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        bool is_allowed = text.at[i] != ' ' && (i > 0 || text.at[i] != ':');
        wp_put_byte(out, is_allowed ? text.at[i] : '_');
    }
}

void irc_put_reply(const wp_session *session, wp_buffer *out, const char *code, wp_bytes about, const char *text) {
    size_t start = irc_begin_line(session, out);
    irc_put_numeric(session, out, code);
    if (about.len > 0) wp_put_byte(out, ' ');
    put_param(out, about);
    wp_put_text(out, " :");
    wp_put_text(out, text);
    irc_end_line(session, out, start);
}

void irc_put_source(wp_buffer *out, wp_bytes name) {
    wp_put_byte(out, ':');
    name.len = cut(name, NAME_LEN);
    for (int twice = 0; twice < 2 && name.len > 0; twice++) {
        for (size_t i = 0; i < name.len; i++) {
            uint8_t byte = name.at[i];
            bool is_allowed = byte > ' ' && byte != '!' && byte != '@' && byte != ':' && byte != 0x7F;
            wp_put_byte(out, is_allowed ? byte : '_');
        }
        wp_put_byte(out, twice == 0 ? '!' : '@');
    }
    wp_put(out, wp_contents(&irc_opts.server));
}

void irc_put_self(const wp_session *session, wp_buffer *out) {
    wp_put_byte(out, ':');
    wp_put(out, irc_name_of(&session->nick));
    wp_put_byte(out, '!');
    wp_put(out, irc_name_of(&session->user));
    wp_put_byte(out, '@');
    wp_put(out, wp_contents(&irc_opts.server));
}

void irc_reply(const wp_session *session, wp_events *events, const char *code, wp_bytes about, const char *text) {
    irc_put_reply(session, wp_begin_reply(events), code, about, text);
    wp_end_reply(events);
}

void irc_reply_error(const wp_session *session, wp_events *events, wp_bytes reason, wp_bytes detail) {
    wp_buffer *out = wp_begin_reply(events);
    size_t start = irc_begin_line(session, out);
    wp_put_text(out, "ERROR :Closing link: ");
    wp_put(out, reason);
    if (detail.len > 0) wp_put_text(out, ": ");
    wp_put(out, detail);
    irc_end_line(session, out, start);
    wp_end_reply(events);
}
