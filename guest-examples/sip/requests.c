/* What requests from the client mean: RFC 3261, sections 8.2, 9.2, 13.3 and 17.2. */
#include "sip.h"

/* === Refusals by the codec === */

/* Answers without a transaction: if the client repeats the request, it gets the same response. */
static void answer(
    const wp_session *session, const sip_message *message, uint16_t status, const char *phrase, wp_bytes more,
    wp_events *events
) {
    wp_buffer lines = {0}, packet = {0};
    size_t plain_len = sip_put_lines(session, message, &lines);
    sip_put_response(session, &packet, (wp_bytes){lines.at, plain_len}, status, phrase, more);
    sip_send(session, events, wp_contents(&packet));
    wp_free(&lines);
    wp_free(&packet);
}

static void answer_with_line(
    const wp_session *session, const sip_message *message, uint16_t status, const char *name, wp_bytes value,
    wp_events *events
) {
    wp_buffer line = {0};
    sip_put_line(&line, name, value);
    answer(session, message, status, NULL, wp_contents(&line), events);
    wp_free(&line);
}

static void answer_with_methods(
    const wp_session *session, const sip_message *message, uint16_t status, wp_events *events
) {
    wp_buffer line = {0};
    sip_put_allow(&line);
    answer(session, message, status, NULL, wp_contents(&line), events);
    wp_free(&line);
}

/* The methods that IANA has registered. Any other method is unknown. */
static bool is_known_method(wp_bytes method) {
    static const char *const METHODS[] = {"BYE",   "INFO",    "INVITE", "MESSAGE",  "NOTIFY",    "OPTIONS",
                                          "PRACK", "PUBLISH", "REFER",  "REGISTER", "SUBSCRIBE", "UPDATE"};
    for (size_t i = 0; i < sizeof METHODS / sizeof METHODS[0]; i++) {
        if (wp_is(method, METHODS[i])) return true;
    }
    return false;
}

static bool has_scheme(wp_bytes uri, const char *scheme) {
    size_t len = wp_text(scheme).len;
    return uri.len > len && sip_same_text((wp_bytes){uri.at, len}, scheme);
}

/* Refuses what the application need not see: section 8.2. Returns whether it did. */
static bool refuse(const wp_session *session, const sip_message *message, wp_events *events) {
    const sip_field *require = sip_find(message, SIP_REQUIRE), *encoding = sip_find(message, SIP_CONTENT_ENCODING);
    wp_bytes uri = message->uri;
    if (!sip_takes(message->method)) {
        answer_with_methods(session, message, is_known_method(message->method) ? 405 : 501, events);
    } else if (!has_scheme(uri, "sip:") && !has_scheme(uri, "sips:") && !has_scheme(uri, "tel:")) {
        answer(session, message, 416, "Unsupported URI Scheme", (wp_bytes){0}, events);
    } else if (require != NULL && require->value.len > 0) {
        answer_with_line(session, message, 420, "Unsupported", require->value, events);
    } else if (encoding != NULL && !sip_same_text(encoding->value, "identity")) {
        answer_with_line(session, message, 415, "Accept-Encoding", wp_text("identity"), events);
    } else if (!wp_is_utf8(message->body)) {
        answer(session, message, 415, "Body Is Not UTF-8", (wp_bytes){0}, events);
    } else {
        return false;
    }
    return true;
}

/* === What belongs to another request === */

/* Returns whether the client knows the tag of this server, which only its address has received. */
static bool has_our_tag(const wp_session *session, const sip_message *message) {
    wp_buffer tag = {0};
    sip_put_hex(&tag, sip_tag_of(session, message));
    bool is_ours = wp_same(sip_param_value(message->to.params, "tag"), wp_contents(&tag));
    wp_free(&tag);
    return is_ours;
}

static void notify(
    const wp_session *session, const char *route, const sip_message *message, uint64_t id, wp_events *events
) {
    wp_buffer body = {0};
    sip_put_request(session, &body, message, id);
    wp_notice(events, wp_text(route), wp_contents(&body));
    wp_free(&body);
}

/* Finds the call that an ACK confirms: it has a branch of its own. */
static sip_transaction *find_accepted(const wp_session *session, const sip_message *message) {
    uint64_t tag = sip_tag_of(session, message);
    sip_transaction *each = session->newest;
    while (each != NULL && (each->state != SIP_ACCEPTED || each->tag != tag || each->cseq != message->cseq)) {
        each = each->previous;
    }
    return each;
}

/* The client has the final response of its INVITE, which is not sent again. */
static void confirm(wp_session *session, sip_transaction *invite) {
    if (session->carrier != WP_CARRIER_DATAGRAMS) {
        sip_remove(session, invite);
        return;
    }
    /* An INVITE that the network has delayed is still recognised. */
    invite->state = SIP_DONE;
    invite->due_ms = invite->end_ms;
    invite->plain_len = 0;
    wp_free(&invite->lines);
    wp_free(&invite->last);
}

/* Nothing answers an ACK, also if it belongs to no request. */
static void handle_ack(wp_session *session, const sip_message *message, wp_instant now, wp_events *events) {
    sip_transaction *invite = sip_find_key(session, sip_key_of(session, message));
    if (invite == NULL || invite->state == SIP_DONE) invite = find_accepted(session, message);
    if (invite == NULL || (invite->state != SIP_ACCEPTED && invite->state != SIP_REFUSED)) return;
    if (invite->state == SIP_ACCEPTED) notify(session, "sip.ack", message, invite->id, events);
    else invite->end_ms = now.session_ms + T4_MS;
    confirm(session, invite);
}

/* A client that hangs up has the response to its INVITE, even if its ACK was lost. */
static void handle_bye(wp_session *session, const sip_message *message) {
    uint64_t tag = sip_tag_of(session, message);
    sip_transaction *each = session->oldest;
    while (each != NULL) {
        sip_transaction *next = each->next;
        if (each->state == SIP_ACCEPTED && each->tag == tag) confirm(session, each);
        each = next;
    }
}

static void handle_cancel(wp_session *session, const sip_message *message, wp_instant now, wp_events *events) {
    sip_transaction *invite = sip_find_key(session, sip_key_of(session, message));
    if (invite == NULL) {
        answer(session, message, 481, NULL, (wp_bytes){0}, events);
        return;
    }
    answer(session, message, 200, NULL, (wp_bytes){0}, events);
    if (invite->state != SIP_WAITING) return;
    notify(session, "sip.cancel", message, invite->id, events);
    /* The response of the application comes too late. */
    invite->id = 0;
    sip_finish(session, invite, 487, now, events);
}

static void handle_repetition(const wp_session *session, sip_transaction *transaction, wp_events *events) {
    if (transaction->last.len > 0) sip_send(session, events, wp_contents(&transaction->last));
    else if (transaction->is_invite && transaction->state == SIP_WAITING) sip_send_trying(session, transaction, events);
}

/* === Requests for the application === */

/* Section 8.2.2.2: the same request has come over two ways. */
static bool is_merged(const wp_session *session, const sip_message *message) {
    uint64_t tag = sip_tag_of(session, message);
    if (sip_param_value(message->to.params, "tag").at != NULL) return false;
    for (const sip_transaction *each = session->oldest; each != NULL; each = each->next) {
        bool is_same = each->state == SIP_WAITING && each->tag == tag && each->cseq == message->cseq;
        if (is_same && each->is_invite == wp_is(message->method, "INVITE")) return true;
    }
    return false;
}

/* Remembers where the client wants to be reached, until the application has accepted it. */
static void note_registration(sip_transaction *transaction, const sip_message *message) {
    const sip_field *contact = sip_find(message, SIP_CONTACT);
    wp_bytes values, value;
    sip_address address;
    if (contact == NULL) return;
    values = contact->value;
    if (!sip_next_value(&values, &value) || !sip_read_address(value, &address)) return;
    wp_put(&transaction->contact, address.uri);
    wp_put(&transaction->user, message->to.uri);
}

static void ask_application(wp_session *session, const sip_message *message, wp_instant now, wp_events *events) {
    wp_buffer lines = {0}, route = {0}, body = {0};
    size_t plain_len = sip_put_lines(session, message, &lines);
    sip_transaction *transaction = sip_add(session, lines.len + message->uri.len + message->to.uri.len);
    if (transaction == NULL) {
        answer_with_line(session, message, 503, "Retry-After", wp_text("1"), events);
        wp_free(&lines);
        return;
    }
    transaction->state = SIP_WAITING;
    transaction->is_invite = wp_is(message->method, "INVITE");
    transaction->is_register = wp_is(message->method, "REGISTER");
    transaction->id = ++session->last_id;
    transaction->key = sip_key_of(session, message);
    transaction->tag = sip_tag_of(session, message);
    transaction->cseq = message->cseq;
    transaction->lines = lines;
    transaction->plain_len = plain_len;
    if (transaction->is_register) note_registration(transaction, message);
    if (transaction->is_invite) {
        transaction->due_ms = now.session_ms + TRYING_MS;
        sip_arm(session, transaction, now, events);
    }
    wp_put_text(&route, "sip.");
    sip_put_lower(&route, message->method);
    sip_put_request(session, &body, message, transaction->id);
    wp_request(events, transaction->id, wp_contents(&route), wp_contents(&body));
    wp_free(&route);
    wp_free(&body);
}

/* === All of them === */

/* Answers a request that cannot be read. */
static void answer_fault(const wp_session *session, const sip_message *message, wp_events *events) {
    wp_bytes phrase = wp_text(message->fault.phrase);
    bool is_ack = wp_is(message->method, "ACK");
    if (is_ack && message->is_last) wp_fatal(events, phrase);
    else if (is_ack) wp_reject(events, phrase);
    else answer(session, message, message->fault.status, message->fault.phrase, (wp_bytes){0}, events);
    if (message->is_last && !is_ack) wp_close(events, phrase);
}

void sip_handle_request(wp_session *session, const sip_message *message, wp_instant now, wp_events *events) {
    if (message->fault.status != 0) {
        answer_fault(session, message, events);
        return;
    }
    if (session->carrier == WP_CARRIER_DATAGRAMS && !session->is_verified && has_our_tag(session, message)) {
        session->is_verified = true;
        wp_address_verified(events);
    }
    if (wp_is(message->method, "ACK")) {
        handle_ack(session, message, now, events);
        return;
    }
    if (wp_is(message->method, "CANCEL")) {
        handle_cancel(session, message, now, events);
        return;
    }
    sip_transaction *transaction = sip_find_key(session, sip_key_of(session, message));
    if (transaction != NULL) handle_repetition(session, transaction, events);
    else if (refuse(session, message, events)) return;
    else if (is_merged(session, message)) answer(session, message, 482, NULL, (wp_bytes){0}, events);
    else ask_application(session, message, now, events);
    if (wp_is(message->method, "BYE")) handle_bye(session, message);
}
