/* The transactions of a client: RFC 3261, section 17. A list that has the oldest first. */
#include "sip.h"

#include <stdlib.h>

/* === The list === */

void sip_remove(wp_session *session, sip_transaction *transaction) {
    if (transaction->previous == NULL) session->oldest = transaction->next;
    else transaction->previous->next = transaction->next;
    if (transaction->next == NULL) session->newest = transaction->previous;
    else transaction->next->previous = transaction->previous;
    session->transactions_len--;
    wp_free(&transaction->lines);
    wp_free(&transaction->contact);
    wp_free(&transaction->user);
    wp_free(&transaction->last);
    free(transaction);
}

static size_t kept_by(const sip_transaction *transaction) {
    return transaction->lines.len + transaction->contact.len + transaction->user.len + transaction->last.len;
}

/* What is only remembered to recognise a repetition may give way, and so may a push, for whose
 * answer nobody waits. */
static bool may_give_way(const sip_transaction *transaction) {
    return transaction->state == SIP_DONE || (transaction->state == SIP_ASKED && transaction->id == 0);
}

/* Makes room for more bytes and transactions: the oldest that may give way do so, but for `keeper`.
 * Returns false if that is not enough. */
static bool make_room(wp_session *session, size_t bytes, size_t transactions, const sip_transaction *keeper) {
    size_t kept = bytes;
    for (sip_transaction *each = session->oldest; each != NULL; each = each->next) kept += kept_by(each);
    sip_transaction *next = session->oldest;
    while (kept > KEPT_MAX || session->transactions_len + transactions > TRANSACTIONS_MAX) {
        sip_transaction *each = next;
        if (each == NULL) return false;
        next = each->next;
        if (each == keeper || !may_give_way(each)) continue;
        kept -= kept_by(each);
        sip_remove(session, each);
    }
    return true;
}

sip_transaction *sip_add(wp_session *session, size_t bytes) {
    if (!make_room(session, bytes, 1, NULL)) return NULL;
    sip_transaction *added = calloc(1, sizeof *added);
    if (added == NULL) abort();
    added->previous = session->newest;
    if (session->newest == NULL) session->oldest = added;
    else session->newest->next = added;
    session->newest = added;
    session->transactions_len++;
    added->due_ms = NEVER;
    added->end_ms = NEVER;
    return added;
}

void sip_keep(wp_session *session, sip_transaction *transaction, wp_bytes packet) {
    wp_free(&transaction->last);
    if (make_room(session, packet.len, 0, transaction)) wp_put(&transaction->last, packet);
}

/* === Searches === */

sip_transaction *sip_find_key(const wp_session *session, uint64_t key) {
    sip_transaction *each = session->newest;
    while (each != NULL && each->key != key) each = each->previous;
    return each;
}

sip_transaction *sip_find_request(const wp_session *session, uint64_t id) {
    sip_transaction *each = session->newest;
    while (each != NULL && (each->state == SIP_ASKED || each->id != id)) each = each->previous;
    return each;
}

/* === Keys === */

/* Appends a text and its end, so that two texts are never another two. */
static void put_part(wp_buffer *out, wp_bytes text) {
    wp_put(out, text);
    wp_put_byte(out, 0);
}

static uint64_t sign_and_free(const wp_session *session, wp_buffer *parts) {
    uint64_t signature = sip_sign(session, wp_contents(parts));
    wp_free(parts);
    return signature;
}

/* Section 17.2.3: an ACK belongs to the transaction of its INVITE, and a CANCEL is about it. */
static wp_bytes method_of(const sip_message *message) {
    bool is_invite = wp_is(message->cseq_method, "ACK") || wp_is(message->cseq_method, "CANCEL");
    return is_invite ? wp_text("INVITE") : message->cseq_method;
}

uint64_t sip_key_of(const wp_session *session, const sip_message *message) {
    wp_buffer parts = {0};
    wp_bytes branch = sip_param_value(message->via.params, "branch");
    bool is_unique = branch.len > 7 && sip_same_text((wp_bytes){branch.at, 7}, "z9hG4bK");
    put_part(&parts, wp_text("transaction"));
    put_part(&parts, method_of(message));
    put_part(&parts, message->via.host);
    put_part(&parts, message->via.port);
    put_part(&parts, branch);
    /* A client of RFC 2543 makes no unique branch. */
    if (!is_unique) {
        put_part(&parts, message->uri);
        put_part(&parts, message->call_id);
        put_part(&parts, sip_param_value(message->from.params, "tag"));
        wp_put_number(&parts, message->cseq);
    }
    return sign_and_free(session, &parts);
}

uint64_t sip_tag_of(const wp_session *session, const sip_message *message) {
    wp_buffer parts = {0};
    put_part(&parts, wp_text("tag"));
    put_part(&parts, message->call_id);
    put_part(&parts, sip_param_value(message->from.params, "tag"));
    return sign_and_free(session, &parts);
}
