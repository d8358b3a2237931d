/* Streams: how messages are cut: RFC 3261, sections 7.5 and 18.3. */
#include "sip.h"

#include "wireplug_cut.h"

sip_fault sip_read_length(wp_bytes head, size_t room, size_t *length) {
    static const sip_fault BAD = {400, "Bad Content-Length Header Field"};
    wp_bytes line;
    sip_field field;
    bool is_known = false;
    uint64_t number = 0;
    sip_next_line(&head, &line);
    while (sip_next_line(&head, &line)) {
        if (!sip_read_field(line, &field) || field.kind != SIP_CONTENT_LENGTH) continue;
        if (is_known || !sip_read_number(field.value, UINT64_MAX, &number)) return BAD;
        is_known = true;
    }
    if (!is_known) return (sip_fault){400, "Missing Content-Length Header Field"};
    *length = (size_t)number;
    return number > room ? (sip_fault){413, "Request Entity Too Large"} : (sip_fault){0};
}

wp_cut sip_cut(const wp_session *session, wp_bytes rest, wp_buffer *reason) {
    /* The first byte says whether this is an empty line. */
    if (rest.len == 0) return wp_cut_fixed(rest, 1, (wp_limit){1, NULL}, reason);
    if (rest.at[0] == '\r') {
        return wp_cut_line(rest, wp_text("\r\n"), (wp_limit){2, "empty line"}, NULL, reason);
    }
    size_t head_max = session->max_packet < HEAD_MAX ? session->max_packet : HEAD_MAX;
    wp_limit limit = {head_max, "head of the message"};
    wp_cut head = wp_cut_line(rest, wp_text("\r\n\r\n"), limit, (size_t *)&session->looked, reason);
    if (head.kind != WP_CUT_PACKET) return head;
    size_t length;
    sip_fault fault = sip_read_length((wp_bytes){rest.at, head.length}, session->max_packet - head.length, &length);
    /* `codec_decode` answers the head alone, and ends the connection. */
    if (fault.status != 0) return head;
    return wp_cut_fixed(rest, head.length + length, (wp_limit){session->max_packet, "message"}, reason);
}
