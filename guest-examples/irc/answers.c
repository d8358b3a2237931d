/* What messages from the application become. Each is one line, as each message is one packet: the names that follow a
 * JOIN go out with the next tick. */
#include "irc.h"

#include "wireplug_json.h"

static wp_outcome rejected(wp_buffer *reason, const char *why) {
    wp_put_text(reason, why);
    return WP_REJECTED;
}

/* === Responses === */

/* Writes ` = CHANNEL :` behind the numeric: the list of those on it may follow. */
static size_t begin_names(const wp_session *session, wp_buffer *out, wp_bytes channel) {
    size_t start = out->len;
    irc_put_numeric(session, out, "353");
    wp_put_text(out, " = ");
    wp_put(out, channel);
    wp_put_text(out, " :");
    return start;
}

static void end_later(wp_session *session, size_t start) {
    irc_end_line(session, &session->later, start);
    wp_put_byte(&session->later, '\n');
}

/* Keeps lines for the next tick that name those on the channel: the `members` of the body, or else the client alone. */
static void name_members(wp_session *session, wp_bytes channel, wp_bytes body) {
    wp_buffer *later = &session->later;
    wp_buffer name = {0};
    wp_bytes members, member;
    json_walk walk = {0};
    size_t start = begin_names(session, later, channel);
    size_t empty = later->len - start;
    bool is_list = json_is_valid(body) && json_member(body, "members", &members) && *members.at == '[';
    if (!is_list) wp_put(later, irc_name_of(&session->nick));
    while (is_list && later->len < LATER_LEN && json_next_element(members, &walk, &member)) {
        name.len = 0;
        if (!json_read_string(member, &name) || !irc_is_target(wp_held(&name))) continue;
        if (later->len - start + 1 + name.len > LINE_LEN) {
            end_later(session, start);
            start = begin_names(session, later, channel);
        }
        if (later->len - start > empty) wp_put_byte(later, ' ');
        wp_put(later, wp_held(&name));
    }
    wp_free(&name);
    end_later(session, start);
    irc_put_reply(session, later, "366", channel, "End of NAMES list");
    wp_put_byte(later, '\n');
}

static wp_outcome joined(wp_session *session, wp_bytes channel, const wp_message *message, wp_buffer *packet) {
    size_t start = packet->len;
    if (!irc_enter(session, channel)) {
        irc_put_reply(session, packet, "405", channel, "You have joined too many channels");
        return WP_PACKET;
    }
    irc_put_self(session, packet);
    wp_put_text(packet, " JOIN ");
    wp_put(packet, channel);
    irc_end_line(session, packet, start);
    name_members(session, channel, message->body);
    return WP_PACKET;
}

static void refused_join(const wp_session *session, wp_bytes channel, uint16_t status, wp_buffer *packet) {
    switch (status) {
    case 401:
    case 403: irc_put_reply(session, packet, "473", channel, "Cannot join channel (+i)"); break;
    case 404: irc_put_reply(session, packet, "403", channel, "No such channel"); break;
    default: irc_put_reply(session, packet, "437", channel, "Nick/channel is temporarily unavailable"); break;
    }
}

wp_outcome irc_answer(wp_session *session, const wp_message *message, wp_buffer *packet, wp_buffer *reason) {
    irc_request request;
    if (!irc_answered(session, message->id, &request)) return rejected(reason, "there is no such request");
    wp_bytes target = irc_name_of(&request.target);
    if (message->status == 200) {
        return request.kind == IRC_JOIN ? joined(session, target, message, packet) : WP_NOTHING;
    }
    switch (request.kind) {
    case IRC_JOIN: refused_join(session, target, message->status, packet); break;
    case IRC_SEND: irc_put_reply(session, packet, "404", target, "Cannot send to channel"); break;
    case IRC_DIRECT: irc_put_reply(session, packet, "401", target, "No such nick/channel"); break;
    }
    return WP_PACKET;
}

/* === Pushes === */

/* The texts of a push. Each is empty where the body has none. */
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

/* Where a push goes that does not say it: the first channel there is. */
static wp_bytes push_target(const wp_session *session, const push *push) {
    if (push->to.len > 0) return wp_held(&push->to);
    if (irc_opts.channels_len > 0) return irc_name_of(&irc_opts.channels[0]);
    return irc_name_of(&session->nick);
}

static wp_outcome put_push(wp_session *session, const push *push, wp_buffer *packet, wp_buffer *reason) {
    size_t start = packet->len;
    wp_bytes nick = irc_name_of(&session->nick), to = push_target(session, push);
    const wp_buffer *who = push->has_text ? &push->from : push->joined.len > 0 ? &push->joined : &push->left;
    bool is_channel = irc_is_channel(to);
    const irc_name *entered = irc_channel(session, to);
    if (!is_channel && !irc_same_name(to, nick)) return rejected(reason, "`to` is neither a channel nor the client");
    if (!is_channel && !push->has_text) return rejected(reason, "`to` is no channel");
    /* Of channels that it is not on a client hears nothing, and of what it does itself only the answer. */
    if (is_channel && (entered == NULL || irc_same_name(wp_held(who), nick))) return WP_NOTHING;
    irc_put_source(packet, wp_held(who));
    if (push->has_text) wp_put_text(packet, push->is_notice ? " NOTICE " : " PRIVMSG ");
    else wp_put_text(packet, push->joined.len > 0 ? " JOIN " : " PART ");
    wp_put(packet, is_channel ? irc_name_of(entered) : nick);
    if (push->has_text) wp_put_text(packet, " :");
    wp_put(packet, wp_held(&push->text));
    irc_end_line(session, packet, start);
    return WP_PACKET;
}

/* Any other push: its route and body, for the client to see. */
static wp_outcome put_notice(const wp_session *session, const wp_message *message, wp_buffer *packet) {
    size_t start = packet->len;
    irc_put_source(packet, (wp_bytes){0});
    wp_put_text(packet, " NOTICE ");
    wp_put(packet, irc_name_of(&session->nick));
    wp_put_text(packet, " :");
    wp_put(packet, message->route);
    wp_put_byte(packet, ' ');
    wp_put(packet, message->body);
    irc_end_line(session, packet, start);
    return WP_PACKET;
}

wp_outcome irc_push(wp_session *session, const wp_message *message, wp_buffer *packet, wp_buffer *reason) {
    if (message->body.len > 0 && !json_is_valid(message->body)) return rejected(reason, "the body is no JSON");
    push push = {0};
    read_push(message->body, &push);
    bool is_chat = push.has_text || push.joined.len > 0 || push.left.len > 0;
    wp_outcome outcome = is_chat ? put_push(session, &push, packet, reason) : put_notice(session, message, packet);
    free_push(&push);
    return outcome;
}
