/* What the files of the codec share: limits, options, messages, transactions and sessions. */
#ifndef SIP_H
#define SIP_H

#include "wireplug.h"

enum {
    /* Lengths are in bytes. The start line and the header fields, with the empty line behind them. */
    HEAD_MAX = 16384,
    /* A whole message. No datagram is longer: RFC 3261, section 18.1.1. */
    MESSAGE_MAX = 65535,
    /* The header fields of a message. */
    FIELDS_MAX = 100,
    /* The open transactions of a client. A trunk with many calls needs most of them. */
    TRANSACTIONS_MAX = 1024,
    /* What the transactions of a client keep together: header fields that a response repeats, and
     * packets that may have to be sent again. */
    KEPT_MAX = 1 << 20,
    /* The methods that the application may take, and the length of each. */
    METHODS_MAX = 16,
    METHOD_LEN = 32,
    SERVER_LEN = 255,
};

/* In milliseconds: RFC 3261, appendix A. */
enum {
    /* The first pause before a packet is sent again. */
    T1_MS = 500,
    /* The longest such pause. */
    T2_MS = 4000,
    /* How long the network may hold a packet. */
    T4_MS = 5000,
    /* The time that a transaction takes at most: timers B, F, H, J and L. */
    TRANSACTION_MS = 64 * T1_MS,
    /* An INVITE that is not answered in this time gets a 100: section 17.2.1. */
    TRYING_MS = 200,
};

/* A time that never comes. */
#define NEVER UINT64_MAX

/* === Options (options.c) === */

typedef struct sip_options {
    /* The address of the server in its own header fields: a host, or a host and a port. */
    wp_buffer server;
    /* The methods that the application takes, as Allow lists them: `INVITE, BYE`. */
    wp_buffer methods;
} sip_options;

/* The options that `codec_configure` has read. */
extern sip_options sip_opts;

bool sip_configure(wp_bytes options, wp_buffer *error);
/* Returns whether the application takes requests with this method. */
bool sip_takes(wp_bytes method);

/* === Values of header fields (values.c). Views of the message === */

/* These two compare without regard to case. */
bool sip_same(wp_bytes a, wp_bytes b);
bool sip_same_text(wp_bytes a, const char *b);
/* Appends a text in lower case. */
void sip_put_lower(wp_buffer *out, wp_bytes text);
wp_bytes sip_trim(wp_bytes text);
bool sip_is_token(wp_bytes text);
/* Returns whether this is a URI: a scheme, a colon, and no space, quote, `<` or `>`. */
bool sip_is_uri(wp_bytes text);
/* Returns whether a text may be part of a line: it has no control character but the tab. */
bool sip_is_line(wp_bytes text);
bool sip_read_number(wp_bytes digits, uint64_t max, uint64_t *number);

/* Takes the next value of a list between commas. Returns false if there is none. */
bool sip_next_value(wp_bytes *rest, wp_bytes *value);

typedef struct sip_param {
    wp_bytes name;
    /* As it is in the message, with the quotes. Empty if there is none. */
    wp_bytes value;
} sip_param;

/* Takes the next `;name=value`. Returns false if the rest does not begin with one. */
bool sip_next_param(wp_bytes *rest, sip_param *param);
/* Returns the value of a parameter. `at` is NULL if there is none. */
wp_bytes sip_param_value(wp_bytes params, const char *name);

typedef struct sip_address {
    /* The display name, with its quotes. */
    wp_bytes name;
    wp_bytes uri;
    wp_bytes params;
} sip_address;

/* Returns false if this is no address. */
bool sip_read_address(wp_bytes value, sip_address *address);

typedef struct sip_via {
    wp_bytes host, port;
    /* Where the parameters begin. */
    wp_bytes params;
} sip_via;

bool sip_read_via(wp_bytes value, sip_via *via);

/* === Messages from the client (head.c) === */

/* The header fields that the codec itself reads. */
typedef enum sip_kind {
    SIP_OTHER,
    SIP_VIA,
    SIP_FROM,
    SIP_TO,
    SIP_CALL_ID,
    SIP_CSEQ,
    SIP_CONTACT,
    SIP_CONTENT_LENGTH,
    SIP_CONTENT_TYPE,
    SIP_CONTENT_ENCODING,
    SIP_RECORD_ROUTE,
    SIP_REQUIRE,
    SIP_TIMESTAMP,
    SIP_MAX_FORWARDS,
} sip_kind;

typedef struct sip_field {
    sip_kind kind;
    /* In its long form, in lower case if the codec knows the name. */
    wp_bytes name;
    wp_bytes value;
} sip_field;

/* What is wrong with a request, as a status line. */
typedef struct sip_fault {
    /* 0: nothing is wrong. */
    uint16_t status;
    const char *phrase;
} sip_fault;

typedef struct sip_message {
    /* The head without folds. The other fields are views of it and of the packet. */
    wp_buffer head;
    /* Empty in a response. */
    wp_bytes method, uri;
    /* 0 in a request. */
    uint16_t status;
    wp_bytes phrase;
    sip_field fields[FIELDS_MAX];
    size_t fields_len;
    sip_via via;
    sip_address from, to;
    wp_bytes call_id, cseq_method;
    uint32_t cseq;
    wp_bytes body;
    sip_fault fault;
    /* The stream behind the message cannot be cut. */
    bool is_last;
} sip_message;

/* Reads a message, which `sip_free_message` frees in any case. Returns NULL, or why the packet is
 * no message that could be answered. */
const char *sip_read(const wp_session *session, wp_bytes packet, sip_message *message);
void sip_free_message(sip_message *message);
/* Returns the first field of a kind, or NULL. */
const sip_field *sip_find(const sip_message *message, sip_kind kind);

/* lines.c */
bool sip_begins_with(wp_bytes text, const char *with);
/* Takes the next line without its end. A line that begins with a space or a tab is a fold: it
 * belongs to the line before. */
bool sip_next_line(wp_bytes *rest, wp_bytes *line);
/* Reads a header field. Returns false if the line is none. */
bool sip_read_field(wp_bytes line, sip_field *field);
/* Returns what kind of field has this name. */
sip_kind sip_kind_of(wp_bytes name);

/* stream.c */
/* Cuts a message, or an empty line, from the front of a stream. */
wp_cut sip_cut(const wp_session *session, wp_bytes rest, wp_buffer *reason);
/* Reads the length of the body, which has room for so many bytes. Without a valid length, nobody
 * knows where the next message of a stream begins. */
sip_fault sip_read_length(wp_bytes head, size_t room, size_t *length);

/* === Sessions and transactions === */

typedef enum sip_state {
    /* From the client. The application has not answered. */
    SIP_WAITING,
    /* An INVITE with a final response from 200 to 299. The ACK is missing. */
    SIP_ACCEPTED,
    /* An INVITE with any other final response. The ACK is missing. */
    SIP_REFUSED,
    /* Is over, and only recognises what the client repeats. */
    SIP_DONE,
    /* From the application. The client has not answered. */
    SIP_ASKED,
} sip_state;

typedef struct sip_transaction {
    /* The neighbours in the list, which has the oldest first. */
    struct sip_transaction *previous, *next;
    sip_state state;
    bool is_invite, is_register;
    /* An INVITE that got a 100. */
    bool is_tried;
    /* The id of the request in the contract. 0: nobody waits for an answer. */
    uint64_t id;
    /* Stands for the branch, the sender and the method of the request. */
    uint64_t key;
    /* Stands for the Call-ID and the tag of the client: also the tag of the server. */
    uint64_t tag;
    uint32_t cseq;
    /* Of the session time: when something is to be done, and when the transaction is over. */
    uint64_t due_ms, end_ms;
    /* The pause before `last` is sent again. */
    uint32_t pause_ms;
    /* While the application has not answered: the lines that each response repeats, and how many
     * bytes of them come before Record-Route. */
    wp_buffer lines;
    size_t plain_len;
    /* While a REGISTER waits: the address of the client, and its user's. */
    wp_buffer contact, user;
    /* The packet that was sent last. */
    wp_buffer last;
} sip_transaction;

struct wp_session {
    wp_carrier carrier;
    uint32_t max_packet;
    /* The name of the transport in Via, and in the parameter of a URI. */
    const char *via_transport, *uri_transport;
    /* The address of the client. Empty if the transport has none. */
    wp_buffer ip, port;
    /* Makes tags and branches that nobody can guess. */
    uint8_t secret[16];
    /* How far `codec_cut` has looked at the rest. */
    size_t looked;
    /* The empty lines since the last message. Two of them are a keep-alive. */
    uint8_t empty_lines;
    /* The client has shown that it receives datagrams. */
    bool is_verified;
    /* The ids of the last request from the client, and of the last push. */
    uint64_t last_id, last_push;
    /* The session time at which the timer fires. */
    uint64_t timer_ms;
    /* The first contact and the user of the last REGISTER that the application has accepted. */
    wp_buffer contact, user;
    sip_transaction *oldest, *newest;
    size_t transactions_len;
};

/* session.c */
wp_session *sip_new_session(const wp_peer *peer);
void sip_free_session(wp_session *session);
/* Returns a number that stands for these bytes, and that only this session can make. */
uint64_t sip_sign(const wp_session *session, wp_bytes bytes);
void sip_put_hex(wp_buffer *out, uint64_t number);
/* Begins a packet: on the carrier `messages`, with the tag of a text. */
void sip_begin(const wp_session *session, wp_buffer *out);
/* Appends `NAME: VALUE`. */
void sip_put_line(wp_buffer *out, const char *name, wp_bytes value);
/* Ends a message: with its length, and the body. */
void sip_end(wp_buffer *out, wp_bytes body);

/* transactions.c: the list. */
/* Adds a transaction. Returns NULL if the list is full: this many bytes do not fit, or there are
 * too many. */
sip_transaction *sip_add(wp_session *session, size_t bytes);
void sip_remove(wp_session *session, sip_transaction *transaction);
/* Keeps a packet that may have to be sent again, if there is room. */
void sip_keep(wp_session *session, sip_transaction *transaction, wp_bytes packet);
sip_transaction *sip_find_key(const wp_session *session, uint64_t key);
/* Finds a request of the client that the application may answer. */
sip_transaction *sip_find_request(const wp_session *session, uint64_t id);
/* Returns the key and the tag of a message from the client. */
uint64_t sip_key_of(const wp_session *session, const sip_message *message);
uint64_t sip_tag_of(const wp_session *session, const sip_message *message);

/* timers.c: what is sent again, and what is over. */
/* Sets the timer of the session if this transaction is due before. */
void sip_arm(wp_session *session, const sip_transaction *transaction, wp_instant now, wp_events *events);
void sip_tick(wp_session *session, wp_instant now, wp_events *events);

/* requests.c: what a request from the client means. */
void sip_handle_request(wp_session *session, const sip_message *message, wp_instant now, wp_events *events);

/* responses.c: responses to the client. */
/* Appends the lines that each response repeats. Returns how many bytes come before Record-Route. */
size_t sip_put_lines(const wp_session *session, const sip_message *message, wp_buffer *out);
/* Appends a response without a body. `more` are more lines, or empty. */
void sip_put_response(
    const wp_session *session, wp_buffer *out, wp_bytes lines, uint16_t status, const char *phrase, wp_bytes more
);
/* Returns the usual phrase of a status (phrases.c). */
const char *sip_phrase_of(uint64_t status);
/* Appends the line Allow. */
void sip_put_allow(wp_buffer *out);
/* Sends a packet at once, unless it is longer than the largest packet. */
void sip_send(const wp_session *session, wp_events *events, wp_bytes packet);
/* Sends a 100, so that the client does not repeat its INVITE. */
void sip_send_trying(const wp_session *session, sip_transaction *transaction, wp_events *events);
/* Answers a request of the client with a status alone. */
void sip_finish(wp_session *session, sip_transaction *transaction, uint16_t status, wp_instant now, wp_events *events);
wp_outcome sip_encode_response(
    wp_session *session, const wp_message *message, wp_instant now, wp_packets *packets, wp_buffer *reason
);
/* Encodes a provisional response. */
wp_outcome sip_encode_progress(wp_session *session, const wp_message *message, wp_packets *packets, wp_buffer *reason);

/* outgoing.c: requests to the client, and its responses. */
wp_outcome sip_encode_request(
    wp_session *session, const wp_message *message, wp_instant now, wp_packets *packets, wp_buffer *reason
);
void sip_handle_response(wp_session *session, const sip_message *message, wp_events *events);
void sip_abandon(wp_session *session, uint64_t id);

/* state.c: the session as bytes. */
void sip_save(const wp_session *session, wp_buffer *state);
/* Returns false if the state is invalid. The session may then be partly filled. */
bool sip_restore(wp_session *session, wp_bytes state);

/* === Bodies for the application (to_app.c) === */

/* Appends a request as JSON. `id` is the number of the request that it is, or is about. */
void sip_put_request(const wp_session *session, wp_buffer *out, const sip_message *message, uint64_t id);
/* Appends a response as JSON. */
void sip_put_answer(wp_buffer *out, const sip_message *message);

/* === Bodies from the application (from_app.c) === */

/* Which members a body may have. */
typedef enum sip_use { SIP_USE_ANSWER = 1, SIP_USE_PROGRESS = 2, SIP_USE_REQUEST = 4 } sip_use;

typedef enum sip_member {
    SIP_BODY_ID,
    SIP_BODY_STATUS,
    SIP_BODY_PHRASE,
    SIP_BODY_URI,
    SIP_BODY_FROM,
    SIP_BODY_TO,
    SIP_BODY_CALL_ID,
    SIP_BODY_CSEQ,
    SIP_BODY_CONTACTS,
    SIP_BODY_HEADERS,
    SIP_BODY_CONTENT_TYPE,
    SIP_BODY_BODY,
    SIP_BODY_MEMBERS,
} sip_member;

/* The JSON value of each member. `at` is NULL if the body does not have it. */
typedef struct sip_body {
    wp_bytes values[SIP_BODY_MEMBERS];
} sip_body;

/* Reads a body. An empty body has no members. Returns false, and appends to `reason`, if it is
 * wrong. */
bool sip_read_body(wp_bytes json, sip_use use, sip_body *body, wp_buffer *reason);
bool sip_has(const sip_body *body, sip_member member);
/* The following functions return false, and append to `reason`, if the member is wrong. */
/* Reads a number, if the body has it. */
bool sip_body_number(
    const sip_body *body, sip_member member, uint64_t min, uint64_t max, uint64_t *number, wp_buffer *reason
);
/* Reads a text that may be part of a line. */
bool sip_body_text(const sip_body *body, sip_member member, wp_buffer *out, wp_buffer *reason);
/* Reads an address as a header field has it. */
bool sip_body_address(const sip_body *body, sip_member member, wp_buffer *out, wp_buffer *reason);
/* Appends the lines of `contacts`, `headers` and `content-type`. */
bool sip_body_lines(const sip_body *body, wp_buffer *out, wp_buffer *reason);
/* Reads the body of the SIP message. */
bool sip_body_content(const sip_body *body, wp_buffer *out, wp_buffer *reason);

#endif
