/* What a line from the client means: the commands of RFC 2812 that a chat needs. */
#include "irc.h"

#include "wireplug_json.h"

void irc_put_member(wp_buffer *body, const char *key, wp_bytes text) {
    wp_put_byte(body, body->len == 0 ? '{' : ',');
    json_put_string(body, wp_text(key));
    wp_put_byte(body, ':');
    json_put_string(body, text);
}

typedef void command(wp_session *session, const irc_line *line, wp_events *events);

static void pass(wp_session *session, const irc_line *line, wp_events *events) {
    if (session->stage == IRC_REGISTERED) {
        irc_reply(session, events, "462", (wp_bytes){0}, "Unauthorized command (already registered)");
        return;
    }
    session->password.len = 0;
    wp_put(&session->password, line->params[0]);
}

static void nick(wp_session *session, const irc_line *line, wp_events *events) {
    wp_bytes wanted = line->params_len > 0 ? line->params[0] : (wp_bytes){0};
    if (wanted.len == 0) {
        irc_reply(session, events, "431", (wp_bytes){0}, "No nickname given");
    } else if (!irc_is_nick(wanted)) {
        irc_reply(session, events, "432", wanted, "Erroneous nickname");
    } else if (session->stage != IRC_REGISTERED) {
        irc_set_name(&session->nick, wanted, NICK_LEN);
        irc_introduce(session, events);
    } else if (!wp_same(wanted, irc_name_of(&session->nick))) {
        /* The application knows the client by this nick. */
        irc_reply(
            session, events, "484", (wp_bytes){0}, "Your connection is restricted! Reconnect to take another nickname"
        );
    }
}

static void user(wp_session *session, const irc_line *line, wp_events *events) {
    if (session->stage == IRC_REGISTERED) {
        irc_reply(session, events, "462", (wp_bytes){0}, "Unauthorized command (already registered)");
        return;
    }
    /* Keeps the characters that may stand before the host in a source, up to USER_LEN. */
    wp_bytes given = line->params[0];
    session->user.len = 0;
    for (size_t i = 0; i < given.len && session->user.len < USER_LEN; i++) {
        uint8_t byte = given.at[i];
        if (byte > ' ' && byte < 0x7F && byte != '!' && byte != '@' && byte != ':')
            session->user.at[session->user.len++] = byte;
    }
    if (session->user.len == 0) session->user.at[session->user.len++] = '_';
    session->realname.len = 0;
    wp_put(&session->realname, line->params[3]);
    irc_introduce(session, events);
}

/* Sends `:SERVER CAP NICK SUBCOMMAND :TEXT`. */
static void cap_reply(wp_session *session, wp_events *events, const char *subcommand, wp_bytes text) {
    wp_buffer *out = wp_begin_reply(events);
    size_t start = irc_begin_line(session, out);
    irc_put_numeric(session, out, "CAP");
    wp_put_byte(out, ' ');
    wp_put_text(out, subcommand);
    wp_put_text(out, " :");
    wp_put(out, text);
    irc_end_line(session, out, start);
    wp_end_reply(events);
}

static void cap(wp_session *session, const irc_line *line, wp_events *events) {
    wp_bytes subcommand = line->params[0];
    bool is_early = session->stage != IRC_REGISTERED;
    if (wp_is(subcommand, "LS")) {
        session->is_negotiating = is_early;
        cap_reply(session, events, "LS", (wp_bytes){0});
    } else if (wp_is(subcommand, "LIST")) {
        cap_reply(session, events, "LIST", (wp_bytes){0});
    } else if (wp_is(subcommand, "REQ")) {
        session->is_negotiating = is_early;
        cap_reply(session, events, "NAK", line->params_len > 1 ? line->params[1] : (wp_bytes){0});
    } else if (wp_is(subcommand, "END")) {
        session->is_negotiating = false;
        irc_introduce(session, events);
    } else {
        irc_reply(session, events, "410", subcommand, "Invalid CAP command");
    }
}

static void ping(wp_session *session, const irc_line *line, wp_events *events) {
    if (line->params_len == 0) {
        irc_reply(session, events, "409", (wp_bytes){0}, "No origin specified");
        return;
    }
    wp_buffer *out = wp_begin_reply(events);
    size_t start = irc_begin_line(session, out);
    irc_put_source(out, (wp_bytes){0});
    wp_put_text(out, " PONG ");
    wp_put(out, wp_contents(&irc_opts.server));
    wp_put_text(out, " :");
    wp_put(out, line->params[0]);
    irc_end_line(session, out, start);
    wp_end_reply(events);
}

static void pong(wp_session *session, const irc_line *line, wp_events *events) {
    /* Any packet from the client answers the PING. */
    (void)session, (void)line, (void)events;
}

static void quit(wp_session *session, const irc_line *line, wp_events *events) {
    irc_end_session(session, "the client quit", line->params_len > 0 ? line->params[0] : (wp_bytes){0}, events);
}

/* Leaves a channel. The application cannot refuse this. */
static void leave(wp_session *session, wp_bytes channel, wp_bytes why, wp_events *events) {
    wp_buffer *out = wp_begin_reply(events);
    size_t start = irc_begin_line(session, out);
    irc_put_self(session, out);
    wp_put_text(out, " PART ");
    wp_put(out, channel);
    if (why.len > 0) wp_put_text(out, " :");
    wp_put(out, why);
    irc_end_line(session, out, start);
    wp_end_reply(events);
    if (irc_opts.part.len > 0) {
        wp_buffer body = {0};
        irc_put_member(&body, "channel", channel);
        irc_put_member(&body, "reason", why);
        wp_put_byte(&body, '}');
        wp_notice(events, wp_contents(&irc_opts.part), wp_contents(&body));
        wp_free(&body);
    }
    irc_remove_channel(session, channel);
}

/* Replaces a channel's name by its spelling in the options. Returns false if there is no such
 * channel. */
static bool find_channel(wp_bytes *channel) {
    const irc_name *known = irc_find(irc_opts.channels, irc_opts.channels_len, *channel);
    if (known != NULL) *channel = irc_name_of(known);
    return known != NULL || (irc_opts.channels_len == 0 && irc_is_channel(*channel));
}

static void join_one(wp_session *session, wp_bytes channel, wp_events *events) {
    if (irc_channel(session, channel) != NULL || irc_joining(session, channel) != NULL) return;
    if (!find_channel(&channel)) {
        irc_reply(session, events, "403", channel, "No such channel");
        return;
    }
    if (session->channels_len == CHANNELS) {
        irc_reply(session, events, "405", channel, "You have joined too many channels");
        return;
    }
    uint64_t id = irc_add_request(session, IRC_JOIN, channel);
    if (id == 0) {
        irc_reply(session, events, "263", wp_text("JOIN"), "Please wait a while and try again.");
        return;
    }
    wp_buffer body = {0};
    irc_put_member(&body, "name", irc_name_of(&session->nick));
    irc_put_member(&body, "channel", channel);
    wp_put_byte(&body, '}');
    wp_request(events, id, wp_contents(&irc_opts.join), wp_contents(&body));
    wp_free(&body);
}

static void join(wp_session *session, const irc_line *line, wp_events *events) {
    wp_bytes rest = line->params[0], channel;
    if (wp_is(rest, "0")) {
        while (session->channels_len > 0) {
            irc_name last = session->channels[session->channels_len - 1];
            leave(session, irc_name_of(&last), (wp_bytes){0}, events);
        }
        return;
    }
    for (int i = 0; irc_split(&rest, ',', &channel); i++) {
        if (i == TARGETS) {
            irc_reply(session, events, "407", channel, "Too many recipients. No more were joined");
            return;
        }
        join_one(session, channel, events);
    }
}

static void part(wp_session *session, const irc_line *line, wp_events *events) {
    wp_bytes rest = line->params[0], channel;
    wp_bytes why = line->params_len > 1 ? line->params[1] : (wp_bytes){0};
    for (int i = 0; irc_split(&rest, ',', &channel); i++) {
        if (i == TARGETS) {
            irc_reply(session, events, "407", channel, "Too many recipients. No more were left");
            return;
        }
        const irc_name *joined = irc_channel(session, channel);
        if (joined == NULL) {
            irc_reply(session, events, "442", channel, "You're not on that channel");
        } else {
            irc_name name = *joined;
            leave(session, irc_name_of(&name), why, events);
        }
    }
}

/* Sends a text to one target. A NOTICE has no answer in IRC, so it is no request. */
static void send_one(wp_session *session, wp_bytes to, wp_bytes text, bool is_notice, wp_events *events) {
    bool is_channel = irc_is_channel(to);
    const wp_buffer *route = is_channel ? &irc_opts.send : &irc_opts.direct;
    const irc_name *channel = irc_channel(session, to);
    /* The application answers requests in order: it answers the JOIN before this text. */
    if (channel == NULL) channel = irc_joining(session, to);
    bool exists = is_channel ? channel != NULL : route->len > 0 && irc_is_target(to);
    if (!exists) {
        if (is_notice) return;
        if (is_channel) irc_reply(session, events, "404", to, "Cannot send to channel");
        else irc_reply(session, events, "401", to, "No such nick/channel");
        return;
    }
    if (is_channel) to = irc_name_of(channel);
    uint64_t id = is_notice ? 0 : irc_add_request(session, is_channel ? IRC_SEND : IRC_DIRECT, to);
    if (id == 0 && !is_notice) {
        irc_reply(session, events, "263", wp_text("PRIVMSG"), "Please wait a while and try again.");
        return;
    }
    wp_buffer body = {0};
    irc_put_member(&body, "to", to);
    irc_put_member(&body, "text", text);
    if (is_notice) wp_put_text(&body, ",\"notice\":true");
    wp_put_byte(&body, '}');
    if (is_notice) wp_notice(events, wp_contents(route), wp_contents(&body));
    else wp_request(events, id, wp_contents(route), wp_contents(&body));
    wp_free(&body);
}

static void send_all(wp_session *session, const irc_line *line, bool is_notice, wp_events *events) {
    wp_bytes rest = line->params[0], to;
    for (int i = 0; irc_split(&rest, ',', &to); i++) {
        if (i == TARGETS) {
            if (!is_notice) irc_reply(session, events, "407", to, "Too many recipients. No more were sent to");
            return;
        }
        send_one(session, to, line->params[1], is_notice, events);
    }
}

static void privmsg(wp_session *session, const irc_line *line, wp_events *events) {
    if (line->params_len == 0) irc_reply(session, events, "411", (wp_bytes){0}, "No recipient given (PRIVMSG)");
    else if (line->params_len == 1 || line->params[1].len == 0)
        irc_reply(session, events, "412", (wp_bytes){0}, "No text to send");
    else send_all(session, line, false, events);
}

static void notice(wp_session *session, const irc_line *line, wp_events *events) {
    if (line->params_len > 1 && line->params[1].len > 0) send_all(session, line, true, events);
}

/* Answers questions about modes. Every channel has the mode `n`: only its members can send to it.
 * Clients have no modes. */
static void mode(wp_session *session, const irc_line *line, wp_events *events) {
    wp_bytes target = line->params[0];
    bool is_channel = irc_is_channel(target);
    if (!is_channel && !irc_same_name(target, irc_name_of(&session->nick))) {
        irc_reply(session, events, "502", (wp_bytes){0}, "Cannot change mode for other users");
        return;
    }
    if (line->params_len > 1) {
        /* Anyone may ask who is banned. */
        bool is_list = line->params_len == 2 && (wp_is(line->params[1], "b") || wp_is(line->params[1], "+b"));
        if (is_channel && is_list) irc_reply(session, events, "368", target, "End of channel ban list");
        else if (is_channel) irc_reply(session, events, "482", target, "You're not channel operator");
        else irc_reply(session, events, "501", (wp_bytes){0}, "Unknown MODE flag");
        return;
    }
    wp_buffer *out = wp_begin_reply(events);
    size_t start = irc_begin_line(session, out);
    irc_put_numeric(session, out, is_channel ? "324" : "221");
    if (is_channel) wp_put_byte(out, ' '), wp_put(out, target), wp_put_text(out, " +n");
    else wp_put_text(out, " +");
    irc_end_line(session, out, start);
    wp_end_reply(events);
}

static void who(wp_session *session, const irc_line *line, wp_events *events) {
    irc_reply(session, events, "315", line->params_len > 0 ? line->params[0] : wp_text("*"), "End of WHO list");
}

static const struct {
    const char *name;
    command *run;
    /* The least number of parameters. */
    size_t params;
    /* The client may send the command before it is registered. */
    bool is_early;
} COMMANDS[] = {
    // clang-format off
    {"PASS", pass, 1, true},
    {"NICK", nick, 0, true},
    {"USER", user, 4, true},
    {"CAP", cap, 1, true},
    {"PING", ping, 0, true},
    {"PONG", pong, 0, true},
    {"QUIT", quit, 0, true},
    {"JOIN", join, 1, false},
    {"PART", part, 1, false},
    {"PRIVMSG", privmsg, 0, false},
    {"NOTICE", notice, 0, false},
    {"MODE", mode, 1, false},
    {"WHO", who, 0, false},
    // clang-format on
};

static bool is_command(wp_bytes word, const char *name) {
    for (size_t i = 0; i < word.len; i++, name++) {
        uint8_t byte = word.at[i] >= 'a' && word.at[i] <= 'z' ? word.at[i] - ('a' - 'A') : word.at[i];
        if (*name == 0 || byte != (uint8_t)*name) return false;
    }
    return *name == 0;
}

static void run(wp_session *session, const irc_line *line, wp_events *events) {
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        if (!is_command(line->command, COMMANDS[i].name)) continue;
        if (session->stage != IRC_REGISTERED && !COMMANDS[i].is_early) {
            irc_reply(session, events, "451", (wp_bytes){0}, "You have not registered");
        } else if (line->params_len < COMMANDS[i].params) {
            irc_reply(session, events, "461", line->command, "Not enough parameters");
        } else {
            COMMANDS[i].run(session, line, events);
        }
        return;
    }
    if (session->stage == IRC_REGISTERED) irc_reply(session, events, "421", line->command, "Unknown command");
    else irc_reply(session, events, "451", (wp_bytes){0}, "You have not registered");
}

void irc_handle_line(wp_session *session, wp_bytes line, wp_events *events) {
    irc_line parsed;
    if (irc_parse(line, &parsed)) run(session, &parsed, events);
}
