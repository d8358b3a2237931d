/* The lines of a head, and the names of header fields: RFC 3261, section 7.3. */
#include "sip.h"

#include <string.h>

/* === Names === */

/* The fields that the codec reads, and those that have a compact form at IANA. */
static const struct {
    const char *name;
    const char *compact;
    sip_kind kind;
} FIELDS[] = {
    {"accept-contact", "a", SIP_OTHER},
    {"allow-events", "u", SIP_OTHER},
    {"call-id", "i", SIP_CALL_ID},
    {"contact", "m", SIP_CONTACT},
    {"content-encoding", "e", SIP_CONTENT_ENCODING},
    {"content-length", "l", SIP_CONTENT_LENGTH},
    {"content-type", "c", SIP_CONTENT_TYPE},
    {"cseq", NULL, SIP_CSEQ},
    {"event", "o", SIP_OTHER},
    {"from", "f", SIP_FROM},
    {"identity", "y", SIP_OTHER},
    {"identity-info", "n", SIP_OTHER},
    {"max-forwards", NULL, SIP_MAX_FORWARDS},
    {"record-route", NULL, SIP_RECORD_ROUTE},
    {"refer-to", "r", SIP_OTHER},
    {"referred-by", "b", SIP_OTHER},
    {"reject-contact", "j", SIP_OTHER},
    {"request-disposition", "d", SIP_OTHER},
    {"require", NULL, SIP_REQUIRE},
    {"session-expires", "x", SIP_OTHER},
    {"subject", "s", SIP_OTHER},
    {"supported", "k", SIP_OTHER},
    {"timestamp", NULL, SIP_TIMESTAMP},
    {"to", "t", SIP_TO},
    {"via", "v", SIP_VIA},
};

static void recognise(sip_field *field) {
    for (size_t i = 0; i < sizeof FIELDS / sizeof FIELDS[0]; i++) {
        bool is_compact = FIELDS[i].compact != NULL && sip_same_text(field->name, FIELDS[i].compact);
        if (!is_compact && !sip_same_text(field->name, FIELDS[i].name)) continue;
        field->kind = FIELDS[i].kind;
        field->name = wp_text(FIELDS[i].name);
        return;
    }
}

sip_kind sip_kind_of(wp_bytes name) {
    sip_field field = {.name = name};
    recognise(&field);
    return field.kind;
}

/* === Lines === */

bool sip_begins_with(wp_bytes text, const char *with) {
    size_t len = strlen(with);
    return text.len >= len && memcmp(text.at, with, len) == 0;
}

bool sip_next_line(wp_bytes *rest, wp_bytes *line) {
    size_t len = 0;
    for (;; len++) {
        if (len + 2 > rest->len) return false;
        if (!sip_begins_with((wp_bytes){rest->at + len, rest->len - len}, "\r\n")) continue;
        if (len + 2 == rest->len || (rest->at[len + 2] != ' ' && rest->at[len + 2] != '\t')) break;
    }
    *line = (wp_bytes){rest->at, len};
    *rest = (wp_bytes){rest->at + len + 2, rest->len - len - 2};
    return true;
}

bool sip_read_field(wp_bytes line, sip_field *field) {
    const uint8_t *colon = line.len > 0 ? memchr(line.at, ':', line.len) : NULL;
    if (colon == NULL) return false;
    size_t len = (size_t)(colon - line.at);
    *field = (sip_field){
        .name = sip_trim((wp_bytes){line.at, len}),
        .value = sip_trim((wp_bytes){colon + 1, line.len - len - 1}),
    };
    if (!sip_is_token(field->name)) return false;
    recognise(field);
    return true;
}
