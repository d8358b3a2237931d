/* Requests of the application to the client, and what the client answers: RFC 3261, sections 8.1
 * and 17.1.2. */
#include "sip.h"

#include <string.h>

/* === Names that nobody can guess === */

/* Returns a signature of a purpose and the number of a request. */
static uint64_t sign(const wp_session *session, const char *purpose, bool is_push, uint64_t number) {
    wp_buffer parts = {0};
    wp_put_text(&parts, purpose);
    wp_put_text(&parts, is_push ? " of push " : " of request ");
    wp_put_number(&parts, number);
    uint64_t signature = sip_sign(session, wp_contents(&parts));
    wp_free(&parts);
    return signature;
}

/* A response has the branch and the method of its request: section 17.1.3. */
static uint64_t key_of(const wp_session *session, wp_bytes branch, wp_bytes method) {
    wp_buffer parts = {0};
    wp_put_text(&parts, "response ");
    wp_put(&parts, branch);
    wp_put_byte(&parts, ' ');
    wp_put(&parts, method);
    uint64_t key = sip_sign(session, wp_contents(&parts));
    wp_free(&parts);
    return key;
}

/* === Requests === */

/* What a request is made of. */
typedef struct outgoing {
    const wp_session *session;
    bool is_push;
    uint64_t number;
    wp_buffer method, uri, branch, from, to, call_id, content;
    uint64_t cseq;
} outgoing;

static void free_outgoing(outgoing *request) {
    wp_free(&request->method);
    wp_free(&request->uri);
    wp_free(&request->branch);
    wp_free(&request->from);
    wp_free(&request->to);
    wp_free(&request->call_id);
    wp_free(&request->content);
}

/* Reads the method behind `sip.` in the route. */
static bool read_method(wp_bytes route, wp_buffer *method, wp_buffer *reason) {
    bool is_route = route.len > 4 && route.len <= 4 + METHOD_LEN && memcmp(route.at, "sip.", 4) == 0;
    for (size_t i = 4; is_route && i < route.len; i++) {
        bool is_lower = route.at[i] >= 'a' && route.at[i] <= 'z';
        wp_put_byte(method, is_lower ? route.at[i] - ('a' - 'A') : route.at[i]);
    }
    wp_bytes name = wp_contents(method);
    bool is_method = sip_is_token(name) && !wp_is(name, "INVITE") && !wp_is(name, "ACK") && !wp_is(name, "CANCEL");
    if (!is_method) wp_put_text(reason, "the route is not `sip.` and a method, or the method is INVITE, ACK or CANCEL");
    return is_method;
}

/* The client's registered contact is the default. */
static bool read_uri(const sip_body *body, outgoing *request, wp_buffer *reason) {
    if (!sip_body_text(body, SIP_BODY_URI, &request->uri, reason)) return false;
    if (!sip_has(body, SIP_BODY_URI)) wp_put(&request->uri, wp_contents(&request->session->contact));
    if (sip_is_uri(wp_contents(&request->uri))) return true;
    wp_put_text(
        reason, request->uri.len == 0 ? "there is no `uri`, and the client is not registered" : "`uri` is no URI"
    );
    return false;
}

static void put_bracketed(wp_buffer *out, wp_bytes uri) {
    wp_put_byte(out, '<');
    wp_put(out, uri);
    wp_put_byte(out, '>');
}

static bool read_addresses(const sip_body *body, outgoing *request, wp_buffer *reason) {
    wp_bytes user = wp_contents(&request->session->user);
    sip_address from;
    if (!sip_body_address(body, SIP_BODY_FROM, &request->from, reason)) return false;
    if (!sip_body_address(body, SIP_BODY_TO, &request->to, reason)) return false;
    if (!sip_has(body, SIP_BODY_FROM)) {
        wp_put_text(&request->from, "<sip:");
        wp_put(&request->from, wp_contents(&sip_opts.server));
        wp_put_byte(&request->from, '>');
    }
    if (!sip_has(body, SIP_BODY_TO)) {
        bool is_registered = user.len > 0 && !sip_has(body, SIP_BODY_URI);
        put_bracketed(&request->to, is_registered ? user : wp_contents(&request->uri));
    }
    if (!sip_read_address(wp_contents(&request->from), &from)) return false;
    if (sip_param_value(from.params, "tag").at == NULL) {
        wp_put_text(&request->from, ";tag=");
        sip_put_hex(&request->from, sign(request->session, "tag", request->is_push, request->number));
    }
    return true;
}

static bool read_request(const sip_body *body, outgoing *request, wp_buffer *reason) {
    request->cseq = 1;
    wp_put_text(&request->branch, "z9hG4bK");
    sip_put_hex(&request->branch, sign(request->session, "branch", request->is_push, request->number));
    if (!sip_has(body, SIP_BODY_CALL_ID)) {
        sip_put_hex(&request->call_id, sign(request->session, "call", request->is_push, request->number));
    }
    return read_uri(body, request, reason) && read_addresses(body, request, reason)
        && sip_body_text(body, SIP_BODY_CALL_ID, &request->call_id, reason)
        && sip_body_number(body, SIP_BODY_CSEQ, 1, INT32_MAX, &request->cseq, reason)
        && sip_body_content(body, &request->content, reason);
}

static bool put_request(const outgoing *request, const sip_body *body, wp_buffer *out, wp_buffer *reason) {
    sip_begin(request->session, out);
    wp_put(out, wp_contents(&request->method));
    wp_put_byte(out, ' ');
    wp_put(out, wp_contents(&request->uri));
    wp_put_text(out, " SIP/2.0\r\nVia: SIP/2.0/");
    wp_put_text(out, request->session->via_transport);
    wp_put_byte(out, ' ');
    wp_put(out, wp_contents(&sip_opts.server));
    wp_put_text(out, ";branch=");
    wp_put(out, wp_contents(&request->branch));
    wp_put_text(out, ";rport\r\nMax-Forwards: 70\r\n");
    sip_put_line(out, "From", wp_contents(&request->from));
    sip_put_line(out, "To", wp_contents(&request->to));
    sip_put_line(out, "Call-ID", wp_contents(&request->call_id));
    wp_put_text(out, "CSeq: ");
    wp_put_number(out, request->cseq);
    wp_put_byte(out, ' ');
    wp_put(out, wp_contents(&request->method));
    wp_put_text(out, "\r\n");
    bool is_right = sip_body_lines(body, out, reason);
    sip_end(out, wp_contents(&request->content));
    if (is_right && out->len > request->session->max_packet) {
        wp_put_text(reason, "the request is longer than the largest packet");
        return false;
    }
    return is_right;
}

/* Waits for the response. Over UDP the request is sent again until it comes. */
static bool wait_for_response(
    wp_session *session, const outgoing *request, wp_bytes packet, wp_instant now, wp_buffer *reason
) {
    sip_transaction *transaction = sip_add(session, packet.len);
    if (transaction == NULL) {
        wp_put_text(reason, "too many requests are open");
        return false;
    }
    transaction->state = SIP_ASKED;
    transaction->id = request->is_push ? 0 : request->number;
    transaction->key = key_of(session, wp_contents(&request->branch), wp_contents(&request->method));
    if (session->carrier != WP_CARRIER_DATAGRAMS) return true;
    transaction->pause_ms = T1_MS;
    transaction->due_ms = now.session_ms + T1_MS;
    transaction->end_ms = now.session_ms + TRANSACTION_MS;
    sip_keep(session, transaction, packet);
    return true;
}

wp_outcome sip_encode_request(
    wp_session *session, const wp_message *message, wp_instant now, wp_packets *packets, wp_buffer *reason
) {
    bool is_push = message->role == WP_ROLE_NOTICE;
    outgoing request = {
        .session = session,
        .is_push = is_push,
        .number = is_push ? session->last_push + 1 : message->id,
    };
    sip_body body;
    wp_buffer packet = {0};
    bool is_right = read_method(message->route, &request.method, reason)
        && sip_read_body(message->body, SIP_USE_REQUEST, &body, reason) && read_request(&body, &request, reason)
        && put_request(&request, &body, &packet, reason)
        && wait_for_response(session, &request, wp_contents(&packet), now, reason);
    if (is_right) wp_packet(packets, wp_contents(&packet));
    if (is_right && is_push) session->last_push++;
    free_outgoing(&request);
    wp_free(&packet);
    return is_right ? WP_ENCODED : WP_REJECTED;
}

/* === Responses === */

static sip_transaction *find_asked(const wp_session *session, const sip_message *response) {
    wp_bytes branch = sip_param_value(response->via.params, "branch");
    sip_transaction *found = sip_find_key(session, key_of(session, branch, response->cseq_method));
    return found != NULL && found->state == SIP_ASKED ? found : NULL;
}

void sip_handle_response(wp_session *session, const sip_message *message, wp_events *events) {
    sip_transaction *asked = find_asked(session, message);
    if (message->is_last) {
        wp_fatal(events, wp_text(message->fault.phrase));
        return;
    }
    if (message->fault.status != 0 || asked == NULL) {
        wp_reject(events, wp_text(asked == NULL ? "the response is to no request" : message->fault.phrase));
        return;
    }
    /* Only the address that received the request knows its branch. */
    if (session->carrier == WP_CARRIER_DATAGRAMS && !session->is_verified) {
        session->is_verified = true;
        wp_address_verified(events);
    }
    if (message->status < 200) {
        asked->pause_ms = T2_MS;
        return;
    }
    if (asked->id != 0) {
        wp_buffer body = {0};
        sip_put_answer(&body, message);
        /* A status of the contract is below 600. The body has the exact one. */
        wp_response(events, asked->id, message->status < 600 ? message->status : 599, wp_contents(&body));
        wp_free(&body);
    }
    sip_remove(session, asked);
}

void sip_abandon(wp_session *session, uint64_t id) {
    sip_transaction *each = session->oldest;
    while (each != NULL && (each->state != SIP_ASKED || each->id != id)) each = each->next;
    if (each != NULL) sip_remove(session, each);
}
