/* What a session remembers: channels and open requests. */
#include "irc.h"

#include <stdlib.h>
#include <string.h>

/* === Channels === */

const irc_name *irc_find(const irc_name *names, size_t len, wp_bytes name) {
    for (size_t i = 0; i < len; i++) {
        if (irc_same_name(irc_name_of(&names[i]), name)) return &names[i];
    }
    return NULL;
}

const irc_name *irc_channel(const wp_session *session, wp_bytes channel) {
    return irc_find(session->channels, session->channels_len, channel);
}

bool irc_add_channel(wp_session *session, wp_bytes channel) {
    if (irc_channel(session, channel) != NULL) return true;
    if (session->channels_len == CHANNELS) return false;
    return irc_set_name(&session->channels[session->channels_len++], channel, NAME_LEN);
}

void irc_remove_channel(wp_session *session, wp_bytes channel) {
    const irc_name *found = irc_channel(session, channel);
    if (found == NULL) return;
    size_t index = (size_t)(found - session->channels);
    session->channels_len--;
    memmove(
        &session->channels[index], &session->channels[index + 1], (session->channels_len - index) * sizeof(irc_name)
    );
}

/* === Requests === */

uint64_t irc_add_request(wp_session *session, irc_kind kind, wp_bytes target) {
    if (session->requests_len == REQUESTS) return 0;
    if (session->requests == NULL) {
        /* Allocated once: a client that talks has an open request most of the time. */
        session->requests = calloc(REQUESTS, sizeof(irc_request));
        if (session->requests == NULL) abort();
    }
    irc_request *request = &session->requests[session->requests_len++];
    request->id = ++session->last_id;
    request->kind = kind;
    irc_set_name(&request->target, target, NAME_LEN);
    return request->id;
}

bool irc_take_request(wp_session *session, uint64_t id, irc_request *request) {
    for (size_t i = 0; i < session->requests_len; i++) {
        if (session->requests[i].id != id) continue;
        *request = session->requests[i];
        session->requests_len--;
        memmove(&session->requests[i], &session->requests[i + 1], (session->requests_len - i) * sizeof(irc_request));
        return true;
    }
    return false;
}

const irc_name *irc_joining(const wp_session *session, wp_bytes channel) {
    for (size_t i = 0; i < session->requests_len; i++) {
        const irc_request *request = &session->requests[i];
        if (request->kind == IRC_JOIN && irc_same_name(irc_name_of(&request->target), channel)) return &request->target;
    }
    return NULL;
}
