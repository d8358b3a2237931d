/* Responses to the client: RFC 3261, section 8.2.6. */
#include "sip.h"

/* === Lines that each response repeats === */

/* Appends the sender's own Via, with the address that it has here: section 18.2.1 and RFC 3581. */
static void put_first_via(const wp_session *session, const sip_message *message, wp_bytes value, wp_buffer *out) {
    wp_bytes ip = wp_contents(&session->ip), host = message->via.host, params = message->via.params;
    sip_param param;
    if (host.len > 1 && host.at[0] == '[') host = (wp_bytes){host.at + 1, host.len - 2};
    bool is_elsewhere = ip.len > 0 && !wp_same(host, ip);
    wp_put(out, sip_trim((wp_bytes){value.at, value.len - params.len}));
    while (sip_next_param(&params, &param)) {
        if (ip.len > 0 && sip_same_text(param.name, "received")) continue;
        wp_put_byte(out, ';');
        wp_put(out, param.name);
        if (ip.len > 0 && sip_same_text(param.name, "rport")) {
            param.value = wp_contents(&session->port);
            is_elsewhere = true;
        }
        if (param.value.len > 0) wp_put_byte(out, '=');
        wp_put(out, param.value);
    }
    if (!is_elsewhere) return;
    wp_put_text(out, ";received=");
    wp_put(out, ip);
}

static void put_vias(const wp_session *session, const sip_message *message, wp_buffer *out) {
    bool is_first = true;
    for (size_t i = 0; i < message->fields_len; i++) {
        wp_bytes rest = message->fields[i].value, value;
        if (message->fields[i].kind != SIP_VIA) continue;
        if (is_first && message->via.host.len > 0) {
            wp_put_text(out, "Via: ");
            sip_next_value(&rest, &value);
            put_first_via(session, message, value, out);
            wp_put_text(out, "\r\n");
        }
        if (rest.len > 0) sip_put_line(out, "Via", sip_trim(rest));
        is_first = false;
    }
}

static void put_field(const sip_message *message, sip_kind kind, const char *name, wp_buffer *out) {
    const sip_field *field = sip_find(message, kind);
    if (field != NULL) sip_put_line(out, name, field->value);
}

static void put_to(const wp_session *session, const sip_message *message, wp_buffer *out) {
    const sip_field *to = sip_find(message, SIP_TO);
    if (to == NULL) return;
    wp_put_text(out, "To: ");
    wp_put(out, to->value);
    if (sip_param_value(message->to.params, "tag").at == NULL) {
        wp_put_text(out, ";tag=");
        sip_put_hex(out, sip_tag_of(session, message));
    }
    wp_put_text(out, "\r\n");
}

size_t sip_put_lines(const wp_session *session, const sip_message *message, wp_buffer *out) {
    put_vias(session, message, out);
    put_field(message, SIP_FROM, "From", out);
    put_to(session, message, out);
    put_field(message, SIP_CALL_ID, "Call-ID", out);
    put_field(message, SIP_CSEQ, "CSeq", out);
    put_field(message, SIP_TIMESTAMP, "Timestamp", out);
    size_t plain_len = out->len;
    for (size_t i = 0; i < message->fields_len; i++) {
        if (message->fields[i].kind == SIP_RECORD_ROUTE) sip_put_line(out, "Record-Route", message->fields[i].value);
    }
    return plain_len;
}

/* === Whole responses === */

/* Begins a response, up to the lines that it repeats. */
static void begin_response(
    const wp_session *session, wp_buffer *out, uint64_t status, wp_bytes phrase, wp_bytes lines
) {
    sip_begin(session, out);
    wp_put_text(out, "SIP/2.0 ");
    wp_put_number(out, status);
    wp_put_byte(out, ' ');
    wp_put(out, phrase.len > 0 ? phrase : wp_text(sip_phrase_of(status)));
    wp_put_text(out, "\r\n");
    wp_put(out, lines);
}

void sip_put_response(
    const wp_session *session, wp_buffer *out, wp_bytes lines, uint16_t status, const char *phrase, wp_bytes more
) {
    begin_response(session, out, status, phrase == NULL ? (wp_bytes){0} : wp_text(phrase), lines);
    wp_put(out, more);
    sip_end(out, (wp_bytes){0});
}

void sip_put_allow(wp_buffer *out) {
    wp_put_text(out, "Allow: ");
    wp_put(out, wp_contents(&sip_opts.methods));
    if (sip_takes(wp_text("INVITE"))) wp_put_text(out, ", ACK, CANCEL");
    wp_put_text(out, "\r\n");
}

void sip_send(const wp_session *session, wp_events *events, wp_bytes packet) {
    if (packet.len > session->max_packet) wp_log(events, WP_LEVEL_WARN, wp_text("a packet is too long to be sent"));
    else wp_reply(events, packet);
}

void sip_send_trying(const wp_session *session, sip_transaction *transaction, wp_events *events) {
    wp_bytes lines = {transaction->lines.at, transaction->plain_len};
    wp_buffer packet = {0};
    sip_put_response(session, &packet, lines, 100, "Trying", (wp_bytes){0});
    sip_send(session, events, wp_contents(&packet));
    wp_free(&packet);
    transaction->is_tried = true;
}

/* === What a final response changes === */

/* Takes the address that the client has registered. Requests to the client go there. */
static void move_registration(wp_session *session, sip_transaction *transaction) {
    if (transaction->contact.len == 0) return;
    wp_free(&session->contact);
    wp_free(&session->user);
    session->contact = transaction->contact;
    session->user = transaction->user;
    transaction->contact = transaction->user = (wp_buffer){0};
}

/* Sections 13.3.1.4 and 17.2. May remove the transaction. */
static void settle(
    wp_session *session, sip_transaction *transaction, uint64_t status, wp_bytes packet, wp_instant now
) {
    bool is_success = status < 300, is_datagram = session->carrier == WP_CARRIER_DATAGRAMS;
    if (transaction->is_register && is_success) move_registration(session, transaction);
    if (!transaction->is_invite && !is_datagram) {
        /* Over a stream the client repeats nothing. */
        sip_remove(session, transaction);
        return;
    }
    transaction->state = !transaction->is_invite ? SIP_DONE : is_success ? SIP_ACCEPTED : SIP_REFUSED;
    transaction->end_ms = now.session_ms + TRANSACTION_MS;
    transaction->due_ms = transaction->end_ms;
    /* A proxy may pass a 2xx on over UDP, so it is repeated over every transport. */
    bool is_repeated = transaction->is_invite && (is_success || is_datagram);
    if (is_repeated) transaction->due_ms = now.session_ms + T1_MS;
    transaction->pause_ms = T1_MS;
    if (is_repeated || is_datagram) sip_keep(session, transaction, packet);
}

void sip_finish(wp_session *session, sip_transaction *transaction, uint16_t status, wp_instant now, wp_events *events) {
    wp_bytes lines = {transaction->lines.at, transaction->plain_len};
    wp_buffer packet = {0};
    sip_put_response(session, &packet, lines, status, NULL, (wp_bytes){0});
    sip_send(session, events, wp_contents(&packet));
    settle(session, transaction, status, wp_contents(&packet), now);
    wp_free(&packet);
}

/* === From the application === */

/* Appends the server's address in a call: section 12.1.1. */
static void put_contact(const wp_session *session, wp_buffer *out) {
    wp_put_text(out, "Contact: <sip:");
    wp_put(out, wp_contents(&sip_opts.server));
    wp_put_text(out, ";transport=");
    wp_put_text(out, session->uri_transport);
    wp_put_text(out, ">\r\n");
}

/* Writes a response from the body of the application. `status` is the status unless the body has
 * one. Returns false, and appends to `reason`, if the body is wrong. */
static bool put_from_body(
    const wp_session *session, const sip_transaction *transaction, const sip_body *body, uint64_t status,
    wp_buffer *out, wp_buffer *reason
) {
    wp_bytes lines = {transaction->lines.at, status < 300 ? transaction->lines.len : transaction->plain_len};
    wp_buffer phrase = {0}, content = {0};
    bool is_right = sip_body_text(body, SIP_BODY_PHRASE, &phrase, reason);
    begin_response(session, out, status, wp_contents(&phrase), lines);
    bool is_in_call = transaction->is_invite && status < 300;
    if (is_in_call && !sip_has(body, SIP_BODY_CONTACTS)) put_contact(session, out);
    if (status >= 200 && status < 300) sip_put_allow(out);
    is_right = is_right && sip_body_lines(body, out, reason) && sip_body_content(body, &content, reason);
    sip_end(out, wp_contents(&content));
    wp_free(&phrase);
    wp_free(&content);
    if (is_right && out->len > session->max_packet) {
        wp_put_text(reason, "the response is longer than the largest packet");
        return false;
    }
    return is_right;
}

/* Asks a client for its methods, because its response shows that it receives datagrams. A client
 * that only registers sends nothing else that shows this. */
static void verify_address(wp_session *session, wp_instant now, wp_packets *packets) {
    const wp_message options = {.role = WP_ROLE_NOTICE, .route = wp_text("sip.options")};
    wp_buffer reason = {0};
    bool is_needed = session->carrier == WP_CARRIER_DATAGRAMS && !session->is_verified && session->contact.len > 0;
    if (is_needed) sip_encode_request(session, &options, now, packets, &reason);
    wp_free(&reason);
}

wp_outcome sip_encode_response(
    wp_session *session, const wp_message *message, wp_instant now, wp_packets *packets, wp_buffer *reason
) {
    sip_transaction *transaction = sip_find_request(session, message->id);
    /* The client has cancelled the request, and has its response. */
    if (transaction == NULL) return WP_ENCODED;
    sip_body body;
    wp_buffer packet = {0};
    uint64_t status = message->status;
    bool is_right = sip_read_body(message->body, SIP_USE_ANSWER, &body, reason)
        && sip_body_number(&body, SIP_BODY_STATUS, 200, 699, &status, reason);
    if (is_right && status < 200) {
        wp_put_text(reason, "the status of a response is below 200; push sip.progress for a provisional response");
        is_right = false;
    }
    is_right = is_right && put_from_body(session, transaction, &body, status, &packet, reason);
    if (is_right) {
        bool is_registered = transaction->is_register && status < 300;
        wp_packet(packets, wp_contents(&packet));
        settle(session, transaction, status, wp_contents(&packet), now);
        if (is_registered) verify_address(session, now, packets);
    }
    wp_free(&packet);
    return is_right ? WP_ENCODED : WP_REJECTED;
}

wp_outcome sip_encode_progress(wp_session *session, const wp_message *message, wp_packets *packets, wp_buffer *reason) {
    sip_body body;
    wp_buffer packet = {0};
    uint64_t id = 0, status = 180;
    bool is_right = sip_read_body(message->body, SIP_USE_PROGRESS, &body, reason)
        && sip_body_number(&body, SIP_BODY_ID, 1, UINT64_MAX, &id, reason)
        && sip_body_number(&body, SIP_BODY_STATUS, 101, 199, &status, reason);
    sip_transaction *transaction = is_right && id > 0 ? sip_find_request(session, id) : NULL;
    bool is_open = transaction != NULL && transaction->is_invite && transaction->state == SIP_WAITING;
    if (is_right && !is_open) wp_put_text(reason, "no INVITE with this `id` waits for its response");
    is_right = is_right && is_open && put_from_body(session, transaction, &body, status, &packet, reason);
    if (is_right) {
        wp_packet(packets, wp_contents(&packet));
        sip_keep(session, transaction, wp_contents(&packet));
    }
    wp_free(&packet);
    return is_right ? WP_ENCODED : WP_REJECTED;
}
