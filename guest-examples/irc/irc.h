/* What the parts of the codec share: its options, a session, and lines. */
#ifndef IRC_H
#define IRC_H

#include "wireplug.h"

enum {
    /* The longest line, CR LF left out, as RFC 2812 has it. */
    LINE_LEN = 510,
    /* A client may put message tags of IRCv3 in front of it, which are passed over. */
    TAGS_LEN = 8191,
    NICK_LEN = 30,
    USER_LEN = 10,
    /* The longest name of a channel, and of whatever else a client sends to. */
    NAME_LEN = 50,
    /* Channels that a client may be on. */
    CHANNELS = 16,
    /* Names between commas that a command may have: each costs an answer. */
    TARGETS = 4,
    /* Parameters that a line has at most, as RFC 2812 has it. */
    PARAMS = 15,
    /* Requests that may be open: a batch has no more packets. */
    REQUESTS = 256,
    /* Bytes of lines that may wait for the application's word on the client. */
    WAITING_LEN = 4096,
    /* Bytes of names that may wait for the next tick. */
    LATER_LEN = 16384,
    /* How soon it is looked whether a JOIN was answered, and how late. */
    NAMES_SOON_MS = 5,
    NAMES_LATE_MS = 1000,
};

/* === Options === */

/* A short name, held in place. */
typedef struct irc_name {
    uint8_t len;
    uint8_t at[NAME_LEN];
} irc_name;

typedef struct irc_options {
    /* The server's name, as it stands in front of lines. */
    wp_buffer server;
    /* Silence after which the client is asked whether it is there, and then given up; 0: never. */
    uint64_t ping_ms;
    /* The channels that there are; none: any. */
    irc_name channels[CHANNELS];
    size_t channels_len;
    /* Routes. Those of `part` and `direct` may be empty: then there is none. */
    wp_buffer join, part, send, direct;
} irc_options;

/* As `codec_configure` left them. */
extern irc_options irc_opts;

bool irc_configure(wp_bytes options, wp_buffer *error);

/* === Sessions === */

typedef enum irc_stage {
    /* Not greeted yet. */
    IRC_NEW,
    /* The client introduces itself. */
    IRC_REGISTERING,
    /* The application was told of it, and has not answered. */
    IRC_ASKED,
    IRC_WELCOME,
    /* The connection ends. */
    IRC_ENDED,
} irc_stage;

typedef enum irc_kind { IRC_JOIN, IRC_SEND, IRC_DIRECT } irc_kind;

/* A request that the application has not answered. */
typedef struct irc_request {
    uint64_t id;
    irc_kind kind;
    /* The channel, or whom else it was for. */
    irc_name target;
} irc_request;

struct wp_session {
    irc_stage stage;
    /* Lines end with CR LF: on a stream, whose framing has the LF. In messages of a WebSocket they have neither. */
    bool is_stream;
    /* Between CAP LS and CAP END registration waits. */
    bool is_negotiating;
    /* A PING is out. */
    bool is_pinged;
    /* When the client was last heard, when the PING went out, and when the client last asked to join a channel. */
    uint64_t heard_ms, pinged_ms, asked_ms;
    /* The id of the request before. */
    uint64_t last_id;
    irc_name nick, user;
    /* Only until the application was told of them. */
    wp_buffer realname, password;
    /* Lines that came while the application was asked, each with an LF behind it. */
    wp_buffer waiting;
    /* Lines that go out with the next tick or packet, as above. */
    wp_buffer later;
    irc_name channels[CHANNELS];
    size_t channels_len;
    irc_request *requests;
    size_t requests_len;
};

/* commands.c: what a client's line means. */
void irc_hear(wp_session *session, wp_bytes line, uint64_t now_ms, wp_events *events);
/* The application lets the client in, or not. */
void irc_let_in(wp_session *session, uint64_t now_ms, wp_events *events);
void irc_turn_away(wp_session *session, uint16_t status, uint64_t now_ms, wp_events *events);
/* Tells the client why the connection ends, and ends it. */
void irc_end_session(wp_session *session, const char *reason, wp_bytes more, wp_events *events);
/* Sends what waited for the next tick. */
void irc_send_later(wp_session *session, wp_events *events);

/* answers.c: what a message from the application becomes. */
wp_outcome irc_answer(wp_session *session, const wp_message *message, wp_buffer *packet, wp_buffer *reason);
wp_outcome irc_push(wp_session *session, const wp_message *message, wp_buffer *packet, wp_buffer *reason);

/* state.c: a session in bytes. */
void irc_save(const wp_session *session, wp_buffer *state);
/* False: it is none. What was read before that is in the session. */
bool irc_restore(wp_session *session, wp_bytes state, uint64_t now_ms);

/* session.c: what a session remembers. */
/* Finds a name among others. NULL: it is not there. */
const irc_name *irc_find(const irc_name *names, size_t len, wp_bytes name);
/* The channel as it was entered. NULL: the client is not on it. */
const irc_name *irc_channel(const wp_session *session, wp_bytes channel);
/* The channel must be a name. False: there are too many. */
bool irc_enter(wp_session *session, wp_bytes channel);
void irc_leave(wp_session *session, wp_bytes channel);
/* Remembers a request, and gives its id. 0: too many are open. */
uint64_t irc_ask(wp_session *session, irc_kind kind, wp_bytes target);
/* Finds a request and forgets it. False: there is none. */
bool irc_answered(wp_session *session, uint64_t id, irc_request *request);
bool irc_is_joining(const wp_session *session);
/* The channel, where the client asked to join it and was not answered. NULL: it did not. */
const irc_name *irc_joining(const wp_session *session, wp_bytes channel);

/* === Names === */

wp_bytes irc_name_of(const irc_name *name);
/* False: it is too long. */
bool irc_set_name(irc_name *name, wp_bytes text, size_t max);
/* Whether these are one name: by RFC 1459, where `{}|^` are the small letters of `[]\~`. */
bool irc_same_name(wp_bytes a, wp_bytes b);
bool irc_is_nick(wp_bytes name);
bool irc_is_channel(wp_bytes name);
/* Whether something can be sent to it, be it there or not. */
bool irc_is_target(wp_bytes name);

/* === Lines === */

/* A client's line, in pieces. */
typedef struct irc_line {
    wp_bytes command;
    wp_bytes params[PARAMS];
    size_t params_len;
} irc_line;

/* The next piece up to one of these bytes, which is passed over. False: nothing is left. */
bool irc_split(wp_bytes *rest, uint8_t at, wp_bytes *piece);
/* Takes message tags from the beginning of a line. */
wp_bytes irc_without_tags(wp_bytes line);
/* False: it has no command. */
bool irc_parse(wp_bytes line, irc_line *parsed);

/* Writes a whole line that began at `start`: cut to its length, in one piece, and ended as the transport wants it. */
void irc_end_line(const wp_session *session, wp_buffer *out, size_t start);
/* Writes `:SERVER CODE NICK`. */
void irc_put_numeric(const wp_session *session, wp_buffer *out, const char *code);
/* Writes `:SERVER CODE NICK ABOUT :TEXT`, without what is empty. */
void irc_put_reply(const wp_session *session, wp_buffer *out, const char *code, wp_bytes about, const char *text);
/* Writes where a line comes from: `:NAME!NAME@SERVER`, or `:SERVER` for nobody. */
void irc_put_source(wp_buffer *out, wp_bytes name);
/* The same of the client itself. */
void irc_put_self(const wp_session *session, wp_buffer *out);

#endif
