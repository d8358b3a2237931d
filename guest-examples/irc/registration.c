/* Registration: the greeting, the question to the application, and the welcome or the refusal. */
#include "irc.h"

void irc_greet(wp_session *session, wp_events *events) {
    wp_buffer *out = wp_begin_reply(events);
    size_t start = irc_begin_line(session, out);
    irc_put_source(out, (wp_bytes){0});
    wp_put_text(out, " NOTICE * :*** Welcome! Send NICK and USER to come in");
    irc_end_line(session, out, start);
    wp_end_reply(events);
    session->stage = IRC_REGISTERING;
}

void irc_introduce(wp_session *session, wp_events *events) {
    bool is_complete = session->nick.len > 0 && session->user.len > 0 && !session->is_negotiating;
    if (session->stage == IRC_REGISTERED || !is_complete) return;
    wp_buffer hello = {0};
    irc_put_member(&hello, "nick", irc_name_of(&session->nick));
    irc_put_member(&hello, "user", irc_name_of(&session->user));
    irc_put_member(&hello, "realname", wp_contents(&session->realname));
    if (session->password.len > 0) irc_put_member(&hello, "password", wp_contents(&session->password));
    wp_put_byte(&hello, '}');
    wp_hello(events, wp_contents(&hello));
    wp_free(&hello);
    session->stage = IRC_PENDING;
}

/* === The welcome === */

static void put_limit(wp_buffer *out, const char *token, uint64_t limit) {
    wp_put_text(out, token);
    wp_put_number(out, limit);
}

/* Tells the client in which ways this server differs from others (005). The tokens are those of the
 * ISUPPORT drafts, and UTF8ONLY of IRCv3. */
static void reply_features(const wp_session *session, wp_events *events) {
    wp_buffer *out = wp_begin_reply(events);
    size_t start = irc_begin_line(session, out);
    irc_put_numeric(session, out, "005");
    wp_put_text(out, " CASEMAPPING=rfc1459");
    put_limit(out, " CHANLIMIT=#&:", CHANNELS);
    /* `b` is a list, which is always empty; `n` has no parameter. */
    wp_put_text(out, " CHANMODES=b,,,n");
    put_limit(out, " CHANNELLEN=", NAME_LEN);
    wp_put_text(out, " CHANTYPES=#&");
    put_limit(out, " NICKLEN=", NICK_LEN);
    /* No member of a channel has a rank. */
    wp_put_text(out, " PREFIX=");
    put_limit(out, " TARGMAX=JOIN:", TARGETS);
    put_limit(out, ",NOTICE:", TARGETS);
    put_limit(out, ",PART:", TARGETS);
    put_limit(out, ",PRIVMSG:", TARGETS);
    put_limit(out, " USERLEN=", USER_LEN);
    wp_put_text(out, " UTF8ONLY :are supported by this server");
    irc_end_line(session, out, start);
    wp_end_reply(events);
}

void irc_accept(wp_session *session, wp_events *events) {
    session->stage = IRC_REGISTERED;
    wp_free(&session->realname);
    wp_free(&session->password);
    wp_buffer *out = wp_begin_reply(events);
    size_t start = irc_begin_line(session, out);
    irc_put_numeric(session, out, "001");
    wp_put_text(out, " :Welcome to the Internet Relay Network ");
    irc_put_self(session, out);
    irc_end_line(session, out, start);
    wp_end_reply(events);
    irc_reply(session, events, "002", (wp_bytes){0}, "Your host is a codec of wireplug");
    irc_reply(session, events, "003", (wp_bytes){0}, "This server was created when you connected");
    out = wp_begin_reply(events);
    start = irc_begin_line(session, out);
    irc_put_numeric(session, out, "004");
    wp_put_byte(out, ' ');
    wp_put(out, wp_contents(&irc_opts.server));
    wp_put_byte(out, ' ');
    wp_put_text(out, codec_description.version);
    wp_put_text(out, " o n");
    irc_end_line(session, out, start);
    wp_end_reply(events);
    reply_features(session, events);
    irc_reply(session, events, "422", (wp_bytes){0}, "MOTD File is missing");
    wp_established(events);
}

/* === The refusal === */

void irc_refuse(wp_session *session, uint16_t status, wp_events *events) {
    if (status == 409) {
        session->stage = IRC_REGISTERING;
        irc_name taken = session->nick;
        irc_set_name(&session->nick, (wp_bytes){0}, NICK_LEN);
        irc_reply(session, events, "433", irc_name_of(&taken), "Nickname is already in use");
    } else if (status < 500) {
        irc_reply(session, events, "464", (wp_bytes){0}, "Password incorrect");
        irc_end_session(session, "the application refused the client", (wp_bytes){0}, events);
    } else {
        irc_end_session(session, "the application failed", (wp_bytes){0}, events);
    }
}

void irc_end_session(wp_session *session, const char *reason, wp_bytes detail, wp_events *events) {
    irc_reply_error(session, events, wp_text(reason), detail);
    wp_close(events, wp_text(reason));
    session->stage = IRC_ENDED;
}
