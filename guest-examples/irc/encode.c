/* What messages from the application become: lines to the client. */
#include "irc.h"

#include "wireplug_json.h"

static wp_outcome rejected(wp_buffer *reason, const char *why) {
    wp_put_text(reason, why);
    return WP_REJECTED;
}

static wp_outcome numeric(
    const wp_session *session, wp_packets *packets, const char *code, wp_bytes about, const char *text
) {
    irc_put_reply(session, wp_begin_packet(packets), code, about, text);
    wp_end_packet(packets);
    return WP_ENCODED;
}

static void end_packet(const wp_session *session, wp_packets *packets, wp_buffer *out, size_t start) {
    irc_end_line(session, out, start);
    wp_end_packet(packets);
}

/* === Responses === */

/* Begins a line of names. Returns where the line begins. */
static size_t begin_names(const wp_session *session, wp_buffer *out, wp_bytes channel) {
    size_t start = irc_begin_line(session, out);
    irc_put_numeric(session, out, "353");
    wp_put_text(out, " = ");
    wp_put(out, channel);
    wp_put_text(out, " :");
    return start;
}

/* Lists the `members` of the body in as many lines as they need. Without `members`, lists only the
 * client. */
static void put_names(const wp_session *session, wp_packets *packets, wp_bytes channel, wp_bytes body) {
    wp_buffer *out = wp_begin_packet(packets);
    wp_buffer name = {0};
    wp_bytes members, member;
    json_cursor cursor = {0};
    size_t start = begin_names(session, out, channel);
    size_t empty = out->len - start, names_len = 0;
    bool is_list = json_is_valid(body) && json_member(body, "members", &members) && *members.at == '[';
    if (!is_list) wp_put(out, irc_name_of(&session->nick));
    while (is_list && names_len < NAMES_LEN && json_next_element(members, &cursor, &member)) {
        name.len = 0;
        if (!json_read_string(member, &name) || !irc_is_target(wp_contents(&name))) continue;
        if (out->len - start + 1 + name.len > LINE_LEN) {
            end_packet(session, packets, out, start);
            out = wp_begin_packet(packets);
            start = begin_names(session, out, channel);
        }
        if (out->len - start > empty) wp_put_byte(out, ' ');
        wp_put(out, wp_contents(&name));
        names_len += name.len + 1;
    }
    wp_free(&name);
    end_packet(session, packets, out, start);
    numeric(session, packets, "366", channel, "End of NAMES list");
}

static wp_outcome joined(wp_session *session, wp_bytes channel, const wp_message *message, wp_packets *packets) {
    if (!irc_add_channel(session, channel)) {
        return numeric(session, packets, "405", channel, "You have joined too many channels");
    }
    wp_buffer *out = wp_begin_packet(packets);
    size_t start = irc_begin_line(session, out);
    irc_put_self(session, out);
    wp_put_text(out, " JOIN ");
    wp_put(out, channel);
    end_packet(session, packets, out, start);
    put_names(session, packets, channel, message->body);
    return WP_ENCODED;
}

static wp_outcome refused_join(const wp_session *session, wp_bytes channel, uint16_t status, wp_packets *packets) {
    switch (status) {
    case 401:
    case 403: return numeric(session, packets, "473", channel, "Cannot join channel (+i)");
    case 404: return numeric(session, packets, "403", channel, "No such channel");
    default: return numeric(session, packets, "437", channel, "Nick/channel is temporarily unavailable");
    }
}

wp_outcome irc_encode_response(wp_session *session, const wp_message *message, wp_packets *packets, wp_buffer *reason) {
    irc_request request;
    if (!irc_take_request(session, message->id, &request)) return rejected(reason, "there is no such request");
    wp_bytes target = irc_name_of(&request.target);
    bool is_success = message->status == 200;
    switch (request.kind) {
    case IRC_JOIN:
        if (is_success) return joined(session, target, message, packets);
        return refused_join(session, target, message->status, packets);
    case IRC_SEND:
        /* IRC does not confirm a text that was sent. */
        if (is_success) return WP_ENCODED;
        return numeric(session, packets, "404", target, "Cannot send to channel");
    default:
        if (is_success) return WP_ENCODED;
        return numeric(session, packets, "401", target, "No such nick/channel");
    }
}

/* === Pushes === */

/* The texts of a push. A text that the body does not have is empty. */
typedef struct push {
    wp_buffer text, from, to, joined, left;
    bool has_text;
    bool is_notice;
} push;

static bool read_text(wp_bytes body, const char *name, wp_buffer *out) {
    wp_bytes value;
    return json_member(body, name, &value) && json_read_string(value, out);
}

static void read_push(wp_bytes body, push *push) {
    wp_bytes notice;
    push->has_text = read_text(body, "text", &push->text);
    read_text(body, "from", &push->from);
    read_text(body, "to", &push->to);
    read_text(body, "joined", &push->joined);
    read_text(body, "left", &push->left);
    push->is_notice = json_member(body, "notice", &notice) && wp_is(notice, "true");
}

static void free_push(push *push) {
    wp_free(&push->text);
    wp_free(&push->from);
    wp_free(&push->to);
    wp_free(&push->joined);
    wp_free(&push->left);
}

/* Returns the target of a push. A push without a target goes to the first configured channel. */
static wp_bytes push_target(const wp_session *session, const push *push) {
    if (push->to.len > 0) return wp_contents(&push->to);
    if (irc_opts.channels_len > 0) return irc_name_of(&irc_opts.channels[0]);
    return irc_name_of(&session->nick);
}

static wp_outcome encode_chat(const wp_session *session, const push *push, wp_packets *packets, wp_buffer *reason) {
    wp_bytes nick = irc_name_of(&session->nick), to = push_target(session, push);
    const wp_buffer *source = push->has_text ? &push->from : push->joined.len > 0 ? &push->joined : &push->left;
    bool is_channel = irc_is_channel(to);
    const irc_name *channel = irc_channel(session, to);
    if (!is_channel && !irc_same_name(to, nick)) return rejected(reason, "`to` is neither a channel nor the client");
    if (!is_channel && !push->has_text) return rejected(reason, "`to` is not a channel");
    /* A client receives nothing from a channel that it is not on, and not what it did itself. */
    if (is_channel && (channel == NULL || irc_same_name(wp_contents(source), nick))) return WP_ENCODED;
    wp_buffer *out = wp_begin_packet(packets);
    size_t start = irc_begin_line(session, out);
    irc_put_source(out, wp_contents(source));
    if (push->has_text) wp_put_text(out, push->is_notice ? " NOTICE " : " PRIVMSG ");
    else wp_put_text(out, push->joined.len > 0 ? " JOIN " : " PART ");
    wp_put(out, is_channel ? irc_name_of(channel) : nick);
    if (push->has_text) wp_put_text(out, " :");
    wp_put(out, wp_contents(&push->text));
    end_packet(session, packets, out, start);
    return WP_ENCODED;
}

/* Shows the route and the body of any other push. */
static wp_outcome encode_other(const wp_session *session, const wp_message *message, wp_packets *packets) {
    wp_buffer *out = wp_begin_packet(packets);
    size_t start = irc_begin_line(session, out);
    irc_put_source(out, (wp_bytes){0});
    wp_put_text(out, " NOTICE ");
    wp_put(out, irc_name_of(&session->nick));
    wp_put_text(out, " :");
    wp_put(out, message->route);
    wp_put_byte(out, ' ');
    wp_put(out, message->body);
    end_packet(session, packets, out, start);
    return WP_ENCODED;
}

wp_outcome irc_encode_push(
    const wp_session *session, const wp_message *message, wp_packets *packets, wp_buffer *reason
) {
    if (message->body.len > 0 && !json_is_valid(message->body)) return rejected(reason, "the body is not JSON");
    push push = {0};
    read_push(message->body, &push);
    bool is_chat = push.has_text || push.joined.len > 0 || push.left.len > 0;
    wp_outcome outcome =
        is_chat ? encode_chat(session, &push, packets, reason) : encode_other(session, message, packets);
    free_push(&push);
    return outcome;
}
