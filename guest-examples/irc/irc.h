/* What the files of the codec share: limits, options, sessions and lines. */
#ifndef IRC_H
#define IRC_H

#include "wireplug.h"

/* Lengths are in bytes. */
enum {
    /* The longest line without CR LF: RFC 2812, section 2.3. */
    LINE_LEN = 510,
    /* The longest message tags of IRCv3, which a client may put before the line. The codec skips
     * them. */
    TAGS_LEN = 8191,
    NICK_LEN = 30,
    USER_LEN = 10,
    /* The longest name of a channel, or of any other target. */
    NAME_LEN = 50,
    /* The channels that a client may be on. */
    CHANNELS = 16,
    /* The names between commas that a command may have. Each name costs an answer. */
    TARGETS = 4,
    /* The parameters of a line: RFC 2812, section 2.3. */
    PARAMS = 15,
    /* The requests that may be open: as many as a batch has packets. */
    REQUESTS = 256,
    /* The names in the answer to a JOIN, together. Bounds what one message costs. */
    NAMES_LEN = 16384,
};

/* === Options === */

/* A short name, stored in place. */
typedef struct irc_name {
    uint8_t len;
    uint8_t at[NAME_LEN];
} irc_name;

typedef struct irc_options {
    /* The name of the server, as lines show it. */
    wp_buffer server;
    /* The silence in milliseconds after which the codec sends a PING, and then gives up the
     * client. 0: never. */
    uint64_t ping_ms;
    /* The channels that exist. None: any channel exists. */
    irc_name channels[CHANNELS];
    size_t channels_len;
    /* Routes. `part` and `direct` are empty if the application has none. */
    wp_buffer join, part, send, direct;
} irc_options;

/* The options that `codec_configure` has read. */
extern irc_options irc_opts;

bool irc_configure(wp_bytes options, wp_buffer *error);

/* === Sessions === */

typedef enum irc_stage {
    /* The server has not greeted the client. */
    IRC_NEW,
    /* The client introduces itself. */
    IRC_REGISTERING,
    /* The application decides about the client. */
    IRC_PENDING,
    /* The client is welcome. */
    IRC_REGISTERED,
    /* The connection ends. */
    IRC_ENDED,
} irc_stage;

typedef enum irc_kind { IRC_JOIN, IRC_SEND, IRC_DIRECT } irc_kind;

/* A request that the application has not answered. */
typedef struct irc_request {
    uint64_t id;
    irc_kind kind;
    /* The channel, or the receiver. */
    irc_name target;
} irc_request;

struct wp_session {
    irc_stage stage;
    /* Lines to the client end with CR LF. The framing adds the LF. A message or a datagram is one
     * line without its end. */
    bool is_stream;
    /* The first byte of each packet to the client: WP_TAG_TEXT or WP_TAG_BINARY on the carrier
     * `messages`, 0 for none on other carriers. */
    uint8_t tag;
    /* Registration waits for CAP END. */
    bool is_negotiating;
    /* The codec has sent a PING that the client has not answered. */
    bool is_pinged;
    /* The session time of the last packet from the client, and of the PING. */
    uint64_t heard_ms, pinged_ms;
    /* The id of the last request. */
    uint64_t last_id;
    irc_name nick, user;
    /* Kept only until the client is registered. */
    wp_buffer realname, password;
    irc_name channels[CHANNELS];
    size_t channels_len;
    irc_request *requests;
    size_t requests_len;
};

/* registration.c: from the greeting to the welcome, and the end of a session. */
void irc_greet(wp_session *session, wp_events *events);
/* Asks the application about the client, if the client has sent everything that is needed. */
void irc_introduce(wp_session *session, wp_events *events);
/* Welcomes the client. */
void irc_accept(wp_session *session, wp_events *events);
/* Refuses the client, or only its nick if the status is 409. */
void irc_refuse(wp_session *session, uint16_t status, wp_events *events);
/* Sends `ERROR :Closing link: REASON`, and `: DETAIL` if it is not empty, and ends the session. */
void irc_end_session(wp_session *session, const char *reason, wp_bytes detail, wp_events *events);

/* commands.c: what a line from the client means. */
void irc_handle_line(wp_session *session, wp_bytes line, wp_events *events);
/* Appends a member to a JSON object, whose end is not written yet. Begins the object if `body` is
 * empty. */
void irc_put_member(wp_buffer *body, const char *key, wp_bytes text);

/* encode.c: what a message from the application becomes. */
wp_outcome irc_encode_response(wp_session *session, const wp_message *message, wp_packets *packets, wp_buffer *reason);
wp_outcome irc_encode_push(
    const wp_session *session, const wp_message *message, wp_packets *packets, wp_buffer *reason
);

/* state.c: the session as bytes. */
void irc_save(const wp_session *session, wp_buffer *state);
/* Returns false if the state is invalid. The session may then be partly filled. */
bool irc_restore(wp_session *session, wp_bytes state, wp_instant now);

/* session.c: what a session remembers. */
/* Finds a name. Returns NULL if it is not in the list. */
const irc_name *irc_find(const irc_name *names, size_t len, wp_bytes name);
/* Returns the name of the channel as it was joined, or NULL if the client is not on it. */
const irc_name *irc_channel(const wp_session *session, wp_bytes channel);
/* Returns false if the client is on too many channels. */
bool irc_add_channel(wp_session *session, wp_bytes channel);
void irc_remove_channel(wp_session *session, wp_bytes channel);
/* Returns the id of a new request, or 0 if too many are open. */
uint64_t irc_add_request(wp_session *session, irc_kind kind, wp_bytes target);
/* Removes the request with this id. Returns false if there is none. */
bool irc_take_request(wp_session *session, uint64_t id, irc_request *request);
/* Returns the name of a channel that an open request asks to join, or NULL if there is none. */
const irc_name *irc_joining(const wp_session *session, wp_bytes channel);

/* === Names (lines.c) === */

wp_bytes irc_name_of(const irc_name *name);
/* Returns false if the text is longer than `max` bytes. */
bool irc_set_name(irc_name *name, wp_bytes text, size_t max);
/* Compares as RFC 1459 does: `{}|^` are the lower-case letters of `[]\~`. */
bool irc_same_name(wp_bytes a, wp_bytes b);
bool irc_is_nick(wp_bytes name);
bool irc_is_channel(wp_bytes name);
/* Returns whether a text can be sent to this name, whether or not it exists. */
bool irc_is_target(wp_bytes name);

/* === Lines from the client (lines.c) === */

typedef struct irc_line {
    wp_bytes command;
    wp_bytes params[PARAMS];
    size_t params_len;
} irc_line;

/* Takes the next piece before this byte, and skips the byte. Returns false if nothing is left. */
bool irc_split(wp_bytes *rest, uint8_t at, wp_bytes *piece);
wp_bytes irc_skip_message_tags(wp_bytes line);
/* Returns false if the line has no command. */
bool irc_parse(wp_bytes line, irc_line *parsed);

/* === Lines to the client (lines.c) === */

/* Begins a line. Returns where it begins in `out`. */
size_t irc_begin_line(const wp_session *session, wp_buffer *out);
/* Ends the line that began at `start`: cuts it to LINE_LEN and replaces line ends within it. */
void irc_end_line(const wp_session *session, wp_buffer *out, size_t start);
/* Appends `:SERVER CODE NICK`. */
void irc_put_numeric(const wp_session *session, wp_buffer *out, const char *code);
/* Appends a whole line `:SERVER CODE NICK ABOUT :TEXT`, without ABOUT if it is empty. */
void irc_put_reply(const wp_session *session, wp_buffer *out, const char *code, wp_bytes about, const char *text);
/* Appends the source of a line: `:NAME!NAME@SERVER`, or `:SERVER` for no name. */
void irc_put_source(wp_buffer *out, wp_bytes name);
/* Appends the client itself as the source of a line. */
void irc_put_self(const wp_session *session, wp_buffer *out);
/* Adds a whole line as a reply. */
void irc_reply(const wp_session *session, wp_events *events, const char *code, wp_bytes about, const char *text);
/* Adds the reply `ERROR :Closing link: REASON`, and `: DETAIL` if it is not empty. */
void irc_reply_error(const wp_session *session, wp_events *events, wp_bytes reason, wp_bytes detail);
#endif
