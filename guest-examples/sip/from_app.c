/* Bodies of the application, as header fields and bodies of SIP. No text of the application can
 * begin a line of its own. */
#include "sip.h"

#include <string.h>

#include "wireplug_json.h"

static const struct {
    const char *name;
    int uses;
} MEMBERS[SIP_BODY_MEMBERS] = {
    [SIP_BODY_ID] = {"id", SIP_USE_PROGRESS},
    [SIP_BODY_STATUS] = {"status", SIP_USE_ANSWER | SIP_USE_PROGRESS},
    [SIP_BODY_PHRASE] = {"phrase", SIP_USE_ANSWER | SIP_USE_PROGRESS},
    [SIP_BODY_URI] = {"uri", SIP_USE_REQUEST},
    [SIP_BODY_FROM] = {"from", SIP_USE_REQUEST},
    [SIP_BODY_TO] = {"to", SIP_USE_REQUEST},
    [SIP_BODY_CALL_ID] = {"call-id", SIP_USE_REQUEST},
    [SIP_BODY_CSEQ] = {"cseq", SIP_USE_REQUEST},
    [SIP_BODY_CONTACTS] = {"contacts", SIP_USE_ANSWER | SIP_USE_PROGRESS | SIP_USE_REQUEST},
    [SIP_BODY_HEADERS] = {"headers", SIP_USE_ANSWER | SIP_USE_PROGRESS | SIP_USE_REQUEST},
    [SIP_BODY_CONTENT_TYPE] = {"content-type", SIP_USE_ANSWER | SIP_USE_PROGRESS | SIP_USE_REQUEST},
    [SIP_BODY_BODY] = {"body", SIP_USE_ANSWER | SIP_USE_PROGRESS | SIP_USE_REQUEST},
};

/* === Reasons === */

static bool wrong(wp_buffer *reason, sip_member member, const char *what) {
    wp_put_byte(reason, '`');
    wp_put_text(reason, MEMBERS[member].name);
    wp_put_text(reason, "` ");
    wp_put_text(reason, what);
    return false;
}

/* === Members === */

static bool read_member(wp_bytes key, wp_bytes value, sip_use use, sip_body *body, wp_buffer *reason) {
    for (size_t i = 0; i < SIP_BODY_MEMBERS; i++) {
        if ((MEMBERS[i].uses & use) == 0 || !json_is_string(key, MEMBERS[i].name)) continue;
        /* An optional member that a program writes as null is not there. */
        if (!wp_is(value, "null")) body->values[i] = value;
        return true;
    }
    wp_put_text(reason, "the body has the unknown member ");
    wp_put(reason, key);
    return false;
}

bool sip_read_body(wp_bytes json, sip_use use, sip_body *body, wp_buffer *reason) {
    json_cursor cursor = {0};
    wp_bytes key, value;
    *body = (sip_body){0};
    if (json.len == 0 || wp_is(json, "null")) return true;
    if (!json_is_valid(json) || !json_is_object(json)) {
        wp_put_text(reason, "the body is not a JSON object");
        return false;
    }
    while (json_next_member(json, &cursor, &key, &value)) {
        if (!read_member(key, value, use, body, reason)) return false;
    }
    return true;
}

bool sip_has(const sip_body *body, sip_member member) {
    return body->values[member].at != NULL;
}

bool sip_body_number(
    const sip_body *body, sip_member member, uint64_t min, uint64_t max, uint64_t *number, wp_buffer *reason
) {
    uint64_t read;
    if (!sip_has(body, member)) return true;
    if (!json_read_number(body->values[member], &read) || read < min || read > max) {
        return wrong(reason, member, "is not a number in its range");
    }
    *number = read;
    return true;
}

/* Appends a text that may be part of a line. */
static bool put_text(wp_bytes value, wp_buffer *out) {
    size_t start = out->len;
    return json_read_string(value, out) && sip_is_line((wp_bytes){out->at + start, out->len - start});
}

bool sip_body_text(const sip_body *body, sip_member member, wp_buffer *out, wp_buffer *reason) {
    if (!sip_has(body, member) || put_text(body->values[member], out)) return true;
    return wrong(reason, member, "is not a text of one line");
}

bool sip_body_content(const sip_body *body, wp_buffer *out, wp_buffer *reason) {
    if (!sip_has(body, SIP_BODY_BODY) || json_read_string(body->values[SIP_BODY_BODY], out)) return true;
    return wrong(reason, SIP_BODY_BODY, "is not a text");
}

/* === Addresses === */

static void put_quoted(wp_bytes text, wp_buffer *out) {
    wp_put_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '"' || text.at[i] == '\\') wp_put_byte(out, '\\');
        wp_put_byte(out, text.at[i]);
    }
    wp_put_byte(out, '"');
}

static bool put_param(wp_bytes key, wp_bytes value, wp_buffer *out) {
    wp_buffer name = {0}, text = {0};
    bool is_right = json_read_string(key, &name) && sip_is_token(wp_contents(&name)) && put_text(value, &text);
    wp_put_byte(out, ';');
    wp_put(out, wp_contents(&name));
    if (text.len > 0) wp_put_byte(out, '=');
    if (text.len > 0 && sip_is_token(wp_contents(&text))) wp_put(out, wp_contents(&text));
    else if (text.len > 0) put_quoted(wp_contents(&text), out);
    wp_free(&name);
    wp_free(&text);
    return is_right;
}

static bool put_params(wp_bytes object, wp_buffer *out) {
    json_cursor cursor = {0};
    wp_bytes key, value;
    while (json_next_member(object, &cursor, &key, &value)) {
        if (!put_param(key, value, out)) return false;
    }
    return json_is_object(object);
}

/* Appends `"NAME" <URI>;PARAMS`. */
static bool put_address(wp_bytes object, wp_buffer *out) {
    wp_bytes uri, name, params;
    wp_buffer text = {0};
    bool is_right = json_is_object(object) && json_member(object, "uri", &uri);
    if (is_right && json_member(object, "name", &name)) {
        is_right = put_text(name, &text);
        put_quoted(wp_contents(&text), out);
        wp_put_byte(out, ' ');
        text.len = 0;
    }
    is_right = is_right && json_read_string(uri, &text) && sip_is_uri(wp_contents(&text));
    wp_put_byte(out, '<');
    wp_put(out, wp_contents(&text));
    wp_put_byte(out, '>');
    wp_free(&text);
    return is_right && (!json_member(object, "params", &params) || put_params(params, out));
}

bool sip_body_address(const sip_body *body, sip_member member, wp_buffer *out, wp_buffer *reason) {
    if (!sip_has(body, member) || put_address(body->values[member], out)) return true;
    return wrong(reason, member, "is not an address: {\"uri\", \"name\", \"params\"}");
}

static bool put_contacts(wp_bytes array, wp_buffer *out) {
    json_cursor cursor = {0};
    wp_bytes element;
    while (json_next_element(array, &cursor, &element)) {
        wp_put_text(out, "Contact: ");
        if (!put_address(element, out)) return false;
        wp_put_text(out, "\r\n");
    }
    return *array.at == '[';
}

/* === Other header fields === */

/* Returns whether a field has a member of its own, or is none of the application's. */
static bool is_reserved(sip_kind kind) {
    switch (kind) {
    case SIP_OTHER:
    case SIP_REQUIRE:
    case SIP_CONTENT_ENCODING: return false;
    default: return true;
    }
}

static bool put_header(wp_bytes key, wp_bytes values, wp_buffer *out) {
    wp_buffer name = {0};
    json_cursor cursor = {0};
    wp_bytes value;
    bool is_right = json_read_string(key, &name) && sip_is_token(wp_contents(&name))
        && !is_reserved(sip_kind_of(wp_contents(&name))) && *values.at == '[';
    while (is_right && json_next_element(values, &cursor, &value)) {
        wp_put(out, wp_contents(&name));
        wp_put_text(out, ": ");
        is_right = put_text(value, out);
        wp_put_text(out, "\r\n");
    }
    wp_free(&name);
    return is_right;
}

static bool put_headers(wp_bytes object, wp_buffer *out) {
    json_cursor cursor = {0};
    wp_bytes key, values;
    while (json_next_member(object, &cursor, &key, &values)) {
        if (!put_header(key, values, out)) return false;
    }
    return json_is_object(object);
}

bool sip_body_lines(const sip_body *body, wp_buffer *out, wp_buffer *reason) {
    if (sip_has(body, SIP_BODY_CONTACTS) && !put_contacts(body->values[SIP_BODY_CONTACTS], out)) {
        return wrong(reason, SIP_BODY_CONTACTS, "is not a list of addresses");
    }
    if (sip_has(body, SIP_BODY_HEADERS) && !put_headers(body->values[SIP_BODY_HEADERS], out)) {
        return wrong(reason, SIP_BODY_HEADERS, "is not an object of lists of lines, or has a field of the codec");
    }
    if (sip_has(body, SIP_BODY_CONTENT_TYPE)) {
        wp_put_text(out, "Content-Type: ");
        if (!sip_body_text(body, SIP_BODY_CONTENT_TYPE, out, reason)) return false;
        wp_put_text(out, "\r\n");
    }
    return true;
}
