/* Messages from the client as JSON for the application. The texts are views of a head that is
 * UTF-8. */
#include "sip.h"

#include "wireplug_json.h"

/* === Texts === */

static void put_key(wp_buffer *out, const char *key) {
    wp_put_text(out, ",\"");
    wp_put_text(out, key);
    wp_put_text(out, "\":");
}

static void put_member(wp_buffer *out, const char *key, wp_bytes text) {
    put_key(out, key);
    json_put_string(out, text);
}

/* Appends a text that may be a quoted string, without its quotes. */
static void put_unquoted(wp_buffer *out, wp_bytes text) {
    wp_buffer plain = {0};
    bool is_quoted = text.len >= 2 && text.at[0] == '"';
    for (size_t i = is_quoted ? 1 : 0; i < text.len - (is_quoted ? 1 : 0); i++) {
        if (is_quoted && text.at[i] == '\\') i++;
        wp_put_byte(&plain, text.at[i]);
    }
    json_put_string(out, wp_contents(&plain));
    wp_free(&plain);
}

/* === Addresses === */

static void put_address(wp_buffer *out, const sip_address *address) {
    wp_bytes params = address->params;
    sip_param param;
    wp_put_text(out, "{\"uri\":");
    json_put_string(out, address->uri);
    if (address->name.len > 0) {
        put_key(out, "name");
        put_unquoted(out, address->name);
    }
    bool is_first = true;
    while (sip_next_param(&params, &param)) {
        wp_put_text(out, is_first ? ",\"params\":{\"" : ",\"");
        sip_put_lower(out, param.name);
        wp_put_text(out, "\":");
        put_unquoted(out, param.value);
        is_first = false;
    }
    wp_put_text(out, is_first ? "}" : "}}");
}

static void put_contacts(wp_buffer *out, const sip_message *message) {
    bool is_first = true;
    put_key(out, "contacts");
    wp_put_byte(out, '[');
    for (size_t i = 0; i < message->fields_len; i++) {
        wp_bytes values = message->fields[i].value, value;
        if (message->fields[i].kind != SIP_CONTACT) continue;
        while (sip_next_value(&values, &value)) {
            sip_address address = {.uri = value};
            if (!wp_is(value, "*")) sip_read_address(value, &address);
            if (!is_first) wp_put_byte(out, ',');
            put_address(out, &address);
            is_first = false;
        }
    }
    wp_put_byte(out, ']');
}

/* === Other header fields === */

/* Returns whether a field has no member of its own. */
static bool is_other(const sip_field *field) {
    switch (field->kind) {
    case SIP_VIA:
    case SIP_FROM:
    case SIP_TO:
    case SIP_CALL_ID:
    case SIP_CSEQ:
    case SIP_CONTACT:
    case SIP_CONTENT_LENGTH:
    case SIP_CONTENT_TYPE: return false;
    default: return true;
    }
}

static bool is_first_of_name(const sip_message *message, size_t at) {
    for (size_t i = 0; i < at; i++) {
        if (sip_same(message->fields[i].name, message->fields[at].name)) return false;
    }
    return true;
}

/* Appends each name once, with the values of all its lines. */
static void put_headers(wp_buffer *out, const sip_message *message) {
    bool is_first = true;
    put_key(out, "headers");
    wp_put_byte(out, '{');
    for (size_t i = 0; i < message->fields_len; i++) {
        if (!is_other(&message->fields[i]) || !is_first_of_name(message, i)) continue;
        wp_put_text(out, is_first ? "\"" : ",\"");
        sip_put_lower(out, message->fields[i].name);
        wp_put_text(out, "\":[");
        json_put_string(out, message->fields[i].value);
        for (size_t more = i + 1; more < message->fields_len; more++) {
            if (!sip_same(message->fields[more].name, message->fields[i].name)) continue;
            wp_put_byte(out, ',');
            json_put_string(out, message->fields[more].value);
        }
        wp_put_byte(out, ']');
        is_first = false;
    }
    wp_put_byte(out, '}');
}

/* === Messages === */

/* Appends what requests and responses have, and ends the object. */
static void put_rest(wp_buffer *out, const sip_message *message) {
    const sip_field *type = sip_find(message, SIP_CONTENT_TYPE);
    put_key(out, "from");
    put_address(out, &message->from);
    put_key(out, "to");
    put_address(out, &message->to);
    put_member(out, "call-id", message->call_id);
    put_key(out, "cseq");
    wp_put_number(out, message->cseq);
    put_contacts(out, message);
    put_headers(out, message);
    if (type != NULL) put_member(out, "content-type", type->value);
    if (message->body.len > 0 && wp_is_utf8(message->body)) put_member(out, "body", message->body);
    wp_put_byte(out, '}');
}

void sip_put_request(const wp_session *session, wp_buffer *out, const sip_message *message, uint64_t id) {
    wp_put_text(out, "{\"id\":");
    wp_put_number(out, id);
    put_key(out, "tag");
    wp_put_byte(out, '"');
    sip_put_hex(out, sip_tag_of(session, message));
    wp_put_byte(out, '"');
    put_member(out, "uri", message->uri);
    put_rest(out, message);
}

void sip_put_answer(wp_buffer *out, const sip_message *message) {
    wp_put_text(out, "{\"status\":");
    wp_put_number(out, message->status);
    put_member(out, "phrase", message->phrase);
    put_rest(out, message);
}
