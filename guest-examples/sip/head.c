/* Messages: how their heads are read: RFC 3261, sections 7 and 8.1.1. */
#include "sip.h"

#include <string.h>

/* Copies the lines of the head. Spaces take the place of the line ends in folds. */
static void copy_unfolded(wp_bytes head, wp_buffer *out) {
    wp_put(out, head);
    for (size_t i = 0; i + 2 < out->len; i++) {
        bool is_fold =
            out->at[i] == '\r' && out->at[i + 1] == '\n' && (out->at[i + 2] == ' ' || out->at[i + 2] == '\t');
        if (is_fold) out->at[i] = out->at[i + 1] = ' ';
    }
}

static void set_fault(sip_message *message, uint16_t status, const char *phrase) {
    if (message->fault.status == 0) message->fault = (sip_fault){status, phrase};
}

/* Reads `SIP/2.0 STATUS PHRASE`. */
static bool read_status_line(wp_bytes line, sip_message *message) {
    uint64_t status;
    bool is_valid = line.len >= 12 && line.at[11] == ' ' && sip_read_number((wp_bytes){line.at + 8, 3}, 699, &status)
        && status >= 100;
    if (!is_valid) return false;
    message->status = (uint16_t)status;
    message->phrase = (wp_bytes){line.at + 12, line.len - 12};
    return true;
}

/* Reads `METHOD URI VERSION`. */
static bool read_request_line(wp_bytes line, sip_message *message) {
    const uint8_t *space = line.len > 0 ? memchr(line.at, ' ', line.len) : NULL;
    if (space == NULL) return false;
    size_t version = line.len;
    while (line.at[version - 1] != ' ') version--;
    wp_bytes uri = {space + 1, (size_t)(line.at + version - space) - 1};
    message->method = (wp_bytes){line.at, (size_t)(space - line.at)};
    message->uri = (wp_bytes){uri.at, uri.len > 0 ? uri.len - 1 : 0};
    wp_bytes name = {line.at + version, line.len - version};
    if (!sip_is_token(message->method) || name.len < 4 || !sip_same_text((wp_bytes){name.at, 4}, "SIP/")) return false;
    if (!sip_same_text(name, "SIP/2.0")) set_fault(message, 505, "Version Not Supported");
    else if (!sip_is_uri(message->uri)) set_fault(message, 400, "Bad Request-URI");
    return true;
}

static bool read_start_line(wp_bytes line, sip_message *message) {
    bool is_response = line.len >= 8 && sip_same_text((wp_bytes){line.at, 8}, "SIP/2.0 ");
    return is_response ? read_status_line(line, message) : read_request_line(line, message);
}

const sip_field *sip_find(const sip_message *message, sip_kind kind) {
    for (size_t i = 0; i < message->fields_len; i++) {
        if (message->fields[i].kind == kind) return &message->fields[i];
    }
    return NULL;
}

static void read_fields(wp_bytes lines, sip_message *message) {
    wp_bytes line;
    while (sip_next_line(&lines, &line) && line.len > 0) {
        sip_field *field = &message->fields[message->fields_len];
        if (message->fields_len == FIELDS_MAX) {
            set_fault(message, 400, "More Than 100 Header Fields");
            return;
        }
        if (!sip_read_field(line, field)) {
            set_fault(message, 400, "Bad Header Field");
            continue;
        }
        bool is_single = field->kind == SIP_FROM || field->kind == SIP_TO || field->kind == SIP_CALL_ID
            || field->kind == SIP_CSEQ || field->kind == SIP_CONTENT_TYPE || field->kind == SIP_CONTENT_LENGTH;
        if (is_single && sip_find(message, field->kind) != NULL) set_fault(message, 400, "Repeated Header Field");
        else message->fields_len++;
    }
}

/* Reads `NUMBER METHOD`. */
static bool read_cseq(wp_bytes value, sip_message *message) {
    size_t digits = 0;
    uint64_t number;
    while (digits < value.len && value.at[digits] != ' ' && value.at[digits] != '\t') digits++;
    if (!sip_read_number((wp_bytes){value.at, digits}, INT32_MAX, &number)) return false;
    message->cseq = (uint32_t)number;
    message->cseq_method = sip_trim((wp_bytes){value.at + digits, value.len - digits});
    return sip_is_token(message->cseq_method);
}

static bool are_contacts(const sip_message *message) {
    for (size_t i = 0; i < message->fields_len; i++) {
        wp_bytes values = message->fields[i].value, value;
        sip_address address;
        if (message->fields[i].kind != SIP_CONTACT) continue;
        while (sip_next_value(&values, &value)) {
            if (!wp_is(value, "*") && !sip_read_address(value, &address)) return false;
        }
    }
    return true;
}

/* Reads the fields that every message has: RFC 3261, section 8.1.1. */
static void read_values(sip_message *message) {
    const sip_field *via = sip_find(message, SIP_VIA), *from = sip_find(message, SIP_FROM);
    const sip_field *to = sip_find(message, SIP_TO), *call_id = sip_find(message, SIP_CALL_ID);
    const sip_field *cseq = sip_find(message, SIP_CSEQ);
    wp_bytes values = via->value, first;
    if (!sip_next_value(&values, &first) || !sip_read_via(first, &message->via)) {
        set_fault(message, 400, "Bad Via Header Field");
    }
    if (from == NULL) set_fault(message, 400, "Missing From Header Field");
    else if (!sip_read_address(from->value, &message->from)) set_fault(message, 400, "Bad From Header Field");
    if (to == NULL) set_fault(message, 400, "Missing To Header Field");
    else if (!sip_read_address(to->value, &message->to)) set_fault(message, 400, "Bad To Header Field");
    if (call_id == NULL || call_id->value.len == 0) set_fault(message, 400, "Missing Call-ID Header Field");
    else message->call_id = call_id->value;
    if (cseq == NULL) set_fault(message, 400, "Missing CSeq Header Field");
    else if (!read_cseq(cseq->value, message)) set_fault(message, 400, "Bad CSeq Header Field");
    else if (message->status == 0 && !wp_same(message->cseq_method, message->method)) {
        set_fault(message, 400, "CSeq Has Another Method");
    }
    if (!are_contacts(message)) set_fault(message, 400, "Bad Contact Header Field");
}

/* Reads the body of a message that is alone in its packet. The length may be missing there. */
static void read_body(wp_bytes body, sip_message *message) {
    const sip_field *field = sip_find(message, SIP_CONTENT_LENGTH);
    uint64_t length;
    message->body = body;
    if (field == NULL) return;
    if (!sip_read_number(field->value, UINT64_MAX, &length)) {
        set_fault(message, 400, "Bad Content-Length Header Field");
    } else if (length > body.len) {
        set_fault(message, 400, "Body Shorter Than Content-Length");
    } else {
        message->body.len = (size_t)length;
    }
}

const char *sip_read(const wp_session *session, wp_bytes packet, sip_message *message) {
    size_t head_len = 0;
    while (head_len < packet.len
           && !sip_begins_with((wp_bytes){packet.at + head_len, packet.len - head_len}, "\r\n\r\n")) {
        head_len++;
    }
    head_len += 4;
    if (head_len > packet.len) return "the head of the message does not end";
    if (head_len > HEAD_MAX) return "the head of the message has more than 16384 bytes";
    copy_unfolded((wp_bytes){packet.at, head_len}, &message->head);
    wp_bytes lines = wp_contents(&message->head), line;
    if (!wp_is_utf8(lines)) return "the head of the message is not UTF-8";
    while (sip_next_line(&lines, &line)) {
        if (!sip_is_line(line)) return "the head of the message has a control character";
    }
    lines = wp_contents(&message->head);
    if (!sip_next_line(&lines, &line) || !read_start_line(line, message)) {
        return "the first line is neither a request nor a response of SIP";
    }
    read_fields(lines, message);
    if (sip_find(message, SIP_VIA) == NULL) return "the message has no Via";
    read_values(message);
    wp_bytes body = {packet.at + head_len, packet.len - head_len};
    if (session->carrier == WP_CARRIER_BYTES) {
        size_t length;
        sip_fault fault = sip_read_length((wp_bytes){packet.at, head_len}, session->max_packet - head_len, &length);
        message->body = body;
        message->is_last = fault.status != 0;
        if (message->is_last) message->fault = fault;
    } else {
        read_body(body, message);
    }
    return NULL;
}

void sip_free_message(sip_message *message) {
    wp_free(&message->head);
}
