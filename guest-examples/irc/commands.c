/* What a client's lines mean: the commands of RFC 2812 that a chat needs. */
#include "irc.h"

#include "wireplug_json.h"

static void reply(wp_session *session, wp_events *events, const char *code, wp_bytes about, const char *text) {
    irc_put_reply(session, wp_begin_reply(events), code, about, text);
    wp_end_reply(events);
}

static void put_member(wp_buffer *body, const char *key, wp_bytes text) {
    wp_put_byte(body, body->len == 0 ? '{' : ',');
    json_put_string(body, wp_text(key));
    wp_put_byte(body, ':');
    json_put_string(body, text);
}

/* === The beginning and the end === */

void irc_end_session(wp_session *session, const char *reason, wp_bytes more, wp_events *events) {
    wp_buffer *out = wp_begin_reply(events);
    size_t start = out->len;
    wp_put_text(out, "ERROR :Closing link: ");
    wp_put_text(out, reason);
    if (more.len > 0) wp_put_text(out, ": ");
    wp_put(out, more);
    irc_end_line(session, out, start);
    wp_end_reply(events);
    wp_close(events, wp_text(reason));
    session->stage = IRC_ENDED;
}

/* Tells the application of the client, once it has said all. */
static void introduce(wp_session *session, wp_events *events) {
    bool is_whole = session->nick.len > 0 && session->user.len > 0 && !session->is_negotiating;
    if (session->stage >= IRC_ASKED || !is_whole) return;
    wp_buffer hello = {0};
    put_member(&hello, "nick", irc_name_of(&session->nick));
    put_member(&hello, "user", irc_name_of(&session->user));
    put_member(&hello, "realname", wp_held(&session->realname));
    if (session->password.len > 0) put_member(&hello, "password", wp_held(&session->password));
    wp_put_byte(&hello, '}');
    wp_hello(events, wp_held(&hello));
    wp_free(&hello);
    session->stage = IRC_ASKED;
}

/* Reads the lines that came while the application was asked. */
static void catch_up(wp_session *session, uint64_t now_ms, wp_events *events) {
    wp_buffer waited = session->waiting;
    session->waiting = (wp_buffer){0};
    wp_bytes rest = wp_held(&waited), line;
    while (session->stage != IRC_ENDED && irc_split(&rest, '\n', &line)) irc_hear(session, line, now_ms, events);
    wp_free(&waited);
}

void irc_let_in(wp_session *session, uint64_t now_ms, wp_events *events) {
    session->stage = IRC_WELCOME;
    wp_free(&session->realname);
    wp_free(&session->password);
    wp_buffer *out = wp_begin_reply(events);
    size_t start = out->len;
    irc_put_numeric(session, out, "001");
    wp_put_text(out, " :Welcome to the Internet Relay Network ");
    irc_put_self(session, out);
    irc_end_line(session, out, start);
    wp_end_reply(events);
    reply(session, events, "002", (wp_bytes){0}, "Your host is a codec of wireplug");
    reply(session, events, "003", (wp_bytes){0}, "This server was created when you connected");
    out = wp_begin_reply(events);
    start = out->len;
    irc_put_numeric(session, out, "004");
    wp_put_byte(out, ' ');
    wp_put(out, wp_held(&irc_opts.server));
    wp_put_byte(out, ' ');
    wp_put_text(out, codec_description.version);
    wp_put_text(out, " o n");
    irc_end_line(session, out, start);
    wp_end_reply(events);
    reply(session, events, "422", (wp_bytes){0}, "MOTD File is missing");
    wp_established(events);
    catch_up(session, now_ms, events);
}

void irc_turn_away(wp_session *session, uint16_t status, uint64_t now_ms, wp_events *events) {
    if (status != 409) {
        if (status < 500) reply(session, events, "464", (wp_bytes){0}, "Password incorrect");
        irc_end_session(
            session, status < 500 ? "the application refused the client" : "the application failed", (wp_bytes){0},
            events
        );
        return;
    }
    session->stage = IRC_REGISTERING;
    irc_name taken = session->nick;
    irc_set_name(&session->nick, (wp_bytes){0}, NICK_LEN);
    reply(session, events, "433", irc_name_of(&taken), "Nickname is already in use");
    catch_up(session, now_ms, events);
}

void irc_send_later(wp_session *session, wp_events *events) {
    wp_bytes rest = wp_held(&session->later), line;
    while (irc_split(&rest, '\n', &line)) wp_reply(events, line);
    wp_free(&session->later);
}

/* === Commands === */

typedef void command(wp_session *session, const irc_line *line, uint64_t now_ms, wp_events *events);

static void pass(wp_session *session, const irc_line *line, uint64_t now_ms, wp_events *events) {
    (void)now_ms;
    if (session->stage == IRC_WELCOME) {
        reply(session, events, "462", (wp_bytes){0}, "Unauthorized command (already registered)");
        return;
    }
    session->password.len = 0;
    wp_put(&session->password, line->params[0]);
}

static void nick(wp_session *session, const irc_line *line, uint64_t now_ms, wp_events *events) {
    (void)now_ms;
    wp_bytes wanted = line->params_len > 0 ? line->params[0] : (wp_bytes){0};
    if (wanted.len == 0) {
        reply(session, events, "431", (wp_bytes){0}, "No nickname given");
    } else if (!irc_is_nick(wanted)) {
        reply(session, events, "432", wanted, "Erroneous nickname");
    } else if (session->stage != IRC_WELCOME) {
        irc_set_name(&session->nick, wanted, NICK_LEN);
        introduce(session, events);
    } else if (!wp_same(wanted, irc_name_of(&session->nick))) {
        /* The application knows the client by its name. */
        reply(
            session, events, "484", (wp_bytes){0}, "Your connection is restricted! Reconnect to take another nickname"
        );
    }
}

static void user(wp_session *session, const irc_line *line, uint64_t now_ms, wp_events *events) {
    (void)now_ms;
    if (session->stage == IRC_WELCOME) {
        reply(session, events, "462", (wp_bytes){0}, "Unauthorized command (already registered)");
        return;
    }
    /* What has no place in front of a host is left out; so is what is too long. */
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
    introduce(session, events);
}

/* `:SERVER CAP NICK ABOUT :TEXT` */
static void cap_reply(wp_session *session, wp_events *events, const char *about, wp_bytes text) {
    wp_buffer *out = wp_begin_reply(events);
    size_t start = out->len;
    irc_put_numeric(session, out, "CAP");
    wp_put_byte(out, ' ');
    wp_put_text(out, about);
    wp_put_text(out, " :");
    wp_put(out, text);
    irc_end_line(session, out, start);
    wp_end_reply(events);
}

static void cap(wp_session *session, const irc_line *line, uint64_t now_ms, wp_events *events) {
    (void)now_ms;
    wp_bytes what = line->params[0];
    bool is_early = session->stage < IRC_ASKED;
    if (wp_is(what, "LS")) {
        session->is_negotiating = is_early;
        cap_reply(session, events, "LS", (wp_bytes){0});
    } else if (wp_is(what, "LIST")) {
        cap_reply(session, events, "LIST", (wp_bytes){0});
    } else if (wp_is(what, "REQ")) {
        session->is_negotiating = is_early;
        cap_reply(session, events, "NAK", line->params_len > 1 ? line->params[1] : (wp_bytes){0});
    } else if (wp_is(what, "END")) {
        session->is_negotiating = false;
        introduce(session, events);
    } else {
        reply(session, events, "410", what, "Invalid CAP command");
    }
}

static void ping(wp_session *session, const irc_line *line, uint64_t now_ms, wp_events *events) {
    (void)now_ms;
    if (line->params_len == 0) {
        reply(session, events, "409", (wp_bytes){0}, "No origin specified");
        return;
    }
    wp_buffer *out = wp_begin_reply(events);
    size_t start = out->len;
    irc_put_source(out, (wp_bytes){0});
    wp_put_text(out, " PONG ");
    wp_put(out, wp_held(&irc_opts.server));
    wp_put_text(out, " :");
    wp_put(out, line->params[0]);
    irc_end_line(session, out, start);
    wp_end_reply(events);
}

static void pong(wp_session *session, const irc_line *line, uint64_t now_ms, wp_events *events) {
    /* That something came is what counts. */
    (void)session, (void)line, (void)now_ms, (void)events;
}

static void quit(wp_session *session, const irc_line *line, uint64_t now_ms, wp_events *events) {
    (void)now_ms;
    irc_end_session(session, "the client quit", line->params_len > 0 ? line->params[0] : (wp_bytes){0}, events);
}

/* Leaves a channel, which needs nobody's leave. */
static void leave(wp_session *session, wp_bytes channel, wp_bytes why, wp_events *events) {
    wp_buffer *out = wp_begin_reply(events);
    size_t start = out->len;
    irc_put_self(session, out);
    wp_put_text(out, " PART ");
    wp_put(out, channel);
    if (why.len > 0) wp_put_text(out, " :");
    wp_put(out, why);
    irc_end_line(session, out, start);
    wp_end_reply(events);
    if (irc_opts.part.len > 0) {
        wp_buffer body = {0};
        put_member(&body, "channel", channel);
        put_member(&body, "reason", why);
        wp_put_byte(&body, '}');
        wp_notify(events, wp_held(&irc_opts.part), wp_held(&body));
        wp_free(&body);
    }
    irc_leave(session, channel);
}

/* The channel as the options spell it, if they do. False: there is none. */
static bool know(wp_bytes *channel) {
    const irc_name *known = irc_find(irc_opts.channels, irc_opts.channels_len, *channel);
    if (known != NULL) *channel = irc_name_of(known);
    return known != NULL || (irc_opts.channels_len == 0 && irc_is_channel(*channel));
}

static void join_one(wp_session *session, wp_bytes channel, uint64_t now_ms, wp_events *events) {
    if (irc_channel(session, channel) != NULL || irc_joining(session, channel) != NULL) return;
    if (!know(&channel)) {
        reply(session, events, "403", channel, "No such channel");
        return;
    }
    if (session->channels_len == CHANNELS) {
        reply(session, events, "405", channel, "You have joined too many channels");
        return;
    }
    uint64_t id = irc_ask(session, IRC_JOIN, channel);
    if (id == 0) {
        reply(session, events, "263", wp_text("JOIN"), "Please wait a while and try again.");
        return;
    }
    wp_buffer body = {0};
    put_member(&body, "name", irc_name_of(&session->nick));
    put_member(&body, "channel", channel);
    wp_put_byte(&body, '}');
    wp_request(events, id, wp_held(&irc_opts.join), wp_held(&body));
    wp_free(&body);
    session->asked_ms = now_ms;
    wp_wake(events, NAMES_SOON_MS);
}

static void join(wp_session *session, const irc_line *line, uint64_t now_ms, wp_events *events) {
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
            reply(session, events, "407", channel, "Too many recipients. No more were joined");
            return;
        }
        join_one(session, channel, now_ms, events);
    }
}

static void part(wp_session *session, const irc_line *line, uint64_t now_ms, wp_events *events) {
    (void)now_ms;
    wp_bytes rest = line->params[0], channel;
    wp_bytes why = line->params_len > 1 ? line->params[1] : (wp_bytes){0};
    for (int i = 0; irc_split(&rest, ',', &channel); i++) {
        if (i == TARGETS) {
            reply(session, events, "407", channel, "Too many recipients. No more were left");
            return;
        }
        const irc_name *entered = irc_channel(session, channel);
        irc_name name;
        if (entered != NULL) name = *entered, leave(session, irc_name_of(&name), why, events);
        else reply(session, events, "442", channel, "You're not on that channel");
    }
}

/* Sends a text to one target. Nothing is ever answered to a NOTICE, so it is no request. */
static void send_one(wp_session *session, wp_bytes to, wp_bytes text, bool is_notice, wp_events *events) {
    bool is_channel = irc_is_channel(to);
    const wp_buffer *route = is_channel ? &irc_opts.send : &irc_opts.direct;
    const irc_name *entered = irc_channel(session, to);
    /* Whether it may join is said before it is asked whether it may send. */
    if (entered == NULL) entered = irc_joining(session, to);
    bool is_there = is_channel ? entered != NULL : route->len > 0 && irc_is_target(to);
    if (!is_there) {
        if (is_notice) return;
        if (is_channel) reply(session, events, "404", to, "Cannot send to channel");
        else reply(session, events, "401", to, "No such nick/channel");
        return;
    }
    if (is_channel) to = irc_name_of(entered);
    uint64_t id = is_notice ? 0 : irc_ask(session, is_channel ? IRC_SEND : IRC_DIRECT, to);
    if (id == 0 && !is_notice) {
        reply(session, events, "263", wp_text("PRIVMSG"), "Please wait a while and try again.");
        return;
    }
    wp_buffer body = {0};
    put_member(&body, "to", to);
    put_member(&body, "text", text);
    if (is_notice) wp_put_text(&body, ",\"notice\":true");
    wp_put_byte(&body, '}');
    if (is_notice) wp_notify(events, wp_held(route), wp_held(&body));
    else wp_request(events, id, wp_held(route), wp_held(&body));
    wp_free(&body);
}

static void send_all(wp_session *session, const irc_line *line, bool is_notice, wp_events *events) {
    wp_bytes rest = line->params[0], to;
    for (int i = 0; irc_split(&rest, ',', &to); i++) {
        if (i == TARGETS) {
            if (!is_notice) reply(session, events, "407", to, "Too many recipients. No more were sent to");
            return;
        }
        send_one(session, to, line->params[1], is_notice, events);
    }
}

static void privmsg(wp_session *session, const irc_line *line, uint64_t now_ms, wp_events *events) {
    (void)now_ms;
    if (line->params_len == 0) reply(session, events, "411", (wp_bytes){0}, "No recipient given (PRIVMSG)");
    else if (line->params_len == 1 || line->params[1].len == 0)
        reply(session, events, "412", (wp_bytes){0}, "No text to send");
    else send_all(session, line, false, events);
}

static void notice(wp_session *session, const irc_line *line, uint64_t now_ms, wp_events *events) {
    (void)now_ms;
    if (line->params_len > 1 && line->params[1].len > 0) send_all(session, line, true, events);
}

/* Channels have no modes but that nobody outside can send to them, and nobody has any. Clients ask all the same. */
static void mode(wp_session *session, const irc_line *line, uint64_t now_ms, wp_events *events) {
    (void)now_ms;
    wp_bytes of = line->params[0];
    bool is_channel = irc_is_channel(of);
    if (!is_channel && !irc_same_name(of, irc_name_of(&session->nick))) {
        reply(session, events, "502", (wp_bytes){0}, "Cannot change mode for other users");
        return;
    }
    if (line->params_len > 1) {
        /* To ask who is banned takes no operator. */
        bool is_list = line->params_len == 2 && (wp_is(line->params[1], "b") || wp_is(line->params[1], "+b"));
        if (is_channel && is_list) reply(session, events, "368", of, "End of channel ban list");
        else if (is_channel) reply(session, events, "482", of, "You're not channel operator");
        else reply(session, events, "501", (wp_bytes){0}, "Unknown MODE flag");
        return;
    }
    wp_buffer *out = wp_begin_reply(events);
    size_t start = out->len;
    irc_put_numeric(session, out, is_channel ? "324" : "221");
    if (is_channel) wp_put_byte(out, ' '), wp_put(out, of), wp_put_text(out, " +n");
    else wp_put_text(out, " +");
    irc_end_line(session, out, start);
    wp_end_reply(events);
}

static void who(wp_session *session, const irc_line *line, uint64_t now_ms, wp_events *events) {
    (void)now_ms;
    reply(session, events, "315", line->params_len > 0 ? line->params[0] : wp_text("*"), "End of WHO list");
}

static const struct {
    const char *name;
    command *run;
    /* How many parameters it needs at least. */
    size_t params;
    /* Whether it may come before the welcome. */
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

static void obey(wp_session *session, const irc_line *line, uint64_t now_ms, wp_events *events) {
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        if (!is_command(line->command, COMMANDS[i].name)) continue;
        if (session->stage != IRC_WELCOME && !COMMANDS[i].is_early) {
            reply(session, events, "451", (wp_bytes){0}, "You have not registered");
        } else if (line->params_len < COMMANDS[i].params) {
            reply(session, events, "461", line->command, "Not enough parameters");
        } else {
            COMMANDS[i].run(session, line, now_ms, events);
        }
        return;
    }
    if (session->stage == IRC_WELCOME) reply(session, events, "421", line->command, "Unknown command");
    else reply(session, events, "451", (wp_bytes){0}, "You have not registered");
}

void irc_hear(wp_session *session, wp_bytes line, uint64_t now_ms, wp_events *events) {
    irc_line parsed;
    if (session->stage == IRC_ASKED) {
        if (session->waiting.len + line.len >= WAITING_LEN) {
            irc_end_session(session, "too much was sent before the welcome", (wp_bytes){0}, events);
            return;
        }
        wp_put(&session->waiting, line);
        wp_put_byte(&session->waiting, '\n');
    } else if (irc_parse(line, &parsed)) {
        obey(session, &parsed, now_ms, events);
    }
}
