/* The codec for `digits`: its description, and one function for each export. */
#include <stdlib.h>

#include "digits.h"
#include "wireplug_json.h"

const wp_description codec_description = {
    .name = "digits",
    .version = "0.1.0",
    .messages = WP_MESSAGES_CONTINUOUS,
    .payload = WP_PAYLOAD_BINARY,
    .client_requests = 1000,
    .max_packet = FRAME_MAX,
};

/* The class of sessions with binary frames. The framing of other sessions may still change, so they
 * share nothing. */
static const uint32_t BINARY_CLASS = 1;

struct wp_session {
    digits_framing framing;
    /* A frame has come from the client. */
    bool has_frame;
};

bool codec_configure(wp_bytes options, wp_buffer *error) {
    json_cursor cursor = {0};
    wp_bytes name, value;
    while (json_next_member(options, &cursor, &name, &value)) {
        /* The runtime adds the routes of the application to all options. */
        if (json_is_string(name, "routes")) continue;
        wp_put_text(error, "unknown option ");
        wp_put(error, name);
        wp_put_text(error, "; this codec has none");
        return false;
    }
    return true;
}

wp_session *codec_open(const wp_peer *peer, wp_instant now, wp_buffer *error) {
    (void)peer, (void)now, (void)error;
    wp_session *session = calloc(1, sizeof *session);
    if (session == NULL) abort();
    return session;
}

void codec_drop(wp_session *session) {
    free(session);
}

/* Called once: the session sets no timer. */
void codec_tick(wp_session *session, wp_instant now, wp_events *events) {
    (void)session, (void)now;
    wp_reply(events, wp_text("+OK digits\r\n"));
}

/* === From the client === */

wp_cut codec_cut(const wp_session *session, wp_bytes rest, wp_buffer *reason) {
    return digits_cut(session->framing, rest, reason);
}

/* Adds `fatal` with the name of the kind and what is wrong with the frame. */
static void refuse(wp_events *events, digits_kind kind, const char *problem) {
    wp_buffer reason = {0};
    wp_put_text(&reason, digits_name(kind));
    wp_put_text(&reason, problem);
    wp_fatal(events, wp_contents(&reason));
    wp_free(&reason);
}

static void reply(const wp_session *session, wp_events *events, digits_frame frame) {
    digits_put(session->framing, wp_begin_reply(events), &frame);
    wp_end_reply(events);
}

static void handle(wp_session *session, const digits_frame *frame, wp_events *events) {
    uint32_t status;
    bool is_bare = frame->id == 0 && frame->argument.len == 0 && frame->body.len == 0;
    switch (frame->kind) {
    case DIGITS_REQ:
        if (frame->argument.len == 0) refuse(events, frame->kind, " has no route");
        else wp_request(events, frame->id, frame->argument, frame->body);
        break;
    case DIGITS_NTC:
        if (frame->argument.len == 0) refuse(events, frame->kind, " has no route");
        else if (frame->id != 0) refuse(events, frame->kind, " has an id");
        else wp_notice(events, frame->argument, frame->body);
        break;
    case DIGITS_RES:
        if (digits_read_number(frame->argument, 599, &status) && status >= 100) {
            wp_response(events, frame->id, (uint16_t)status, frame->body);
        } else {
            wp_fatal(events, wp_text("the status is not a decimal number from 100 to 599"));
        }
        break;
    case DIGITS_STLS: wp_reply(events, wp_text("-ERR no TLS\r\n")); break;
    case DIGITS_BYE:
        if (!is_bare) {
            refuse(events, frame->kind, " has an id, an argument or a body");
            break;
        }
        reply(session, events, (digits_frame){.kind = DIGITS_BYE});
        wp_close_with(events, 1000, wp_text("bye"));
        break;
    case DIGITS_BIN:
        if (!is_bare) {
            refuse(events, frame->kind, " has an id, an argument or a body");
        } else if (!session->has_frame) {
            refuse(events, frame->kind, " is the first frame");
        } else {
            reply(session, events, (digits_frame){.kind = DIGITS_BIN});
            session->framing = DIGITS_BINARY;
        }
        break;
    /* A client does not send these, and digits_read refuses them. */
    case DIGITS_PSH:
    case DIGITS_CAN: abort();
    }
}

void codec_decode(wp_session *session, wp_bytes packet, wp_instant now, wp_events *events) {
    (void)now;
    digits_frame frame;
    const char *problem = digits_read(session->framing, packet, &frame);
    if (problem == NULL) handle(session, &frame, events);
    else wp_fatal(events, wp_text(problem));
    session->has_frame = true;
}

/* === From the application === */

static wp_outcome encode(digits_framing framing, const wp_message *message, wp_packets *packets, wp_buffer *reason) {
    digits_frame frame = {.id = (uint32_t)message->id, .argument = message->route, .body = message->body};
    wp_buffer status = {0};
    switch (message->role) {
    case WP_ROLE_NOTICE: frame.kind = DIGITS_PSH; break;
    case WP_ROLE_REQUEST: frame.kind = DIGITS_REQ; break;
    case WP_ROLE_RESPONSE:
        frame.kind = DIGITS_RES;
        wp_put_number(&status, message->status);
        frame.argument = wp_contents(&status);
        break;
    }
    const char *problem = NULL;
    if (!digits_is_argument(frame.argument)) {
        problem = "the route is not 1 to 200 printable ASCII characters without spaces";
    } else if (message->body.len > BODY_MAX) {
        problem = "the body has more than 65535 bytes";
    } else if (message->id > UINT32_MAX) {
        problem = "the id is above 4294967295";
    }
    if (problem == NULL) {
        digits_put(framing, wp_begin_packet(packets), &frame);
        wp_end_packet(packets);
    } else {
        wp_put_text(reason, problem);
    }
    wp_free(&status);
    return problem == NULL ? WP_ENCODED : WP_REJECTED;
}

wp_outcome codec_encode(
    wp_session *session, const wp_message *message, wp_instant now, wp_packets *packets, wp_buffer *reason
) {
    (void)now;
    return encode(session->framing, message, packets, reason);
}

void codec_abandoned(wp_session *session, uint64_t id, wp_instant now, wp_events *events) {
    (void)now;
    reply(session, events, (digits_frame){.kind = DIGITS_CAN, .id = (uint32_t)id});
}

bool codec_broadcast_class(const wp_session *session, uint32_t *broadcast_class) {
    *broadcast_class = BINARY_CLASS;
    return session->framing == DIGITS_BINARY;
}

wp_outcome codec_encode_shared(
    uint32_t broadcast_class, const wp_message *message, wp_packets *packets, wp_buffer *reason
) {
    (void)broadcast_class;
    return encode(DIGITS_BINARY, message, packets, reason);
}

/* === Handoff: the format, the framing and `has_frame`, 1 byte each === */

enum { FORMAT = 1, STATE_LEN = 3 };

bool codec_save(const wp_session *session, wp_buffer *state, wp_buffer *error) {
    (void)error;
    wp_put_byte(state, FORMAT);
    wp_put_byte(state, (uint8_t)session->framing);
    wp_put_byte(state, session->has_frame);
    return true;
}

wp_session *codec_restore(const wp_peer *peer, wp_bytes state, wp_instant now, wp_buffer *error) {
    bool is_valid = state.len == STATE_LEN && state.at[0] == FORMAT && state.at[1] <= DIGITS_BINARY && state.at[2] <= 1;
    if (!is_valid) {
        wp_put_text(error, "the saved state is not of format 1");
        return NULL;
    }
    wp_session *session = codec_open(peer, now, error);
    session->framing = (digits_framing)state.at[1];
    session->has_frame = state.at[2] == 1;
    return session;
}
