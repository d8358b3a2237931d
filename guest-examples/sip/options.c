/* The options of the codec, which are read once, before the first session. */
#include "sip.h"

#include <string.h>

#include "wireplug_json.h"

sip_options sip_opts;

/* Appends which option is wrong, and what it must be. */
static bool wrong(wp_buffer *error, wp_bytes key, const char *what) {
    wp_put_text(error, "option ");
    wp_put(error, key);
    wp_put_byte(error, ' ');
    wp_put_text(error, what);
    return false;
}

/* Reads `HOST` or `HOST:PORT`, as a URI and a Via have it. */
static bool read_server(wp_bytes value) {
    sip_via via;
    wp_buffer line = {0};
    sip_opts.server.len = 0;
    bool is_valid = json_read_string(value, &sip_opts.server) && sip_opts.server.len <= SERVER_LEN;
    for (size_t i = 0; is_valid && i < sip_opts.server.len; i++) {
        uint8_t byte = sip_opts.server.at[i];
        bool is_letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
        is_valid = is_letter || (byte >= '0' && byte <= '9') || (byte != 0 && strchr("-.:[]", byte) != NULL);
    }
    wp_put_text(&line, "SIP/2.0/TCP ");
    wp_put(&line, wp_contents(&sip_opts.server));
    is_valid = is_valid && sip_read_via(wp_contents(&line), &via);
    wp_free(&line);
    return is_valid;
}

static bool read_methods(wp_bytes value) {
    json_cursor cursor = {0};
    wp_bytes element;
    wp_buffer method = {0};
    size_t methods = 0;
    bool is_valid = *value.at == '[';
    sip_opts.methods.len = 0;
    while (is_valid && json_next_element(value, &cursor, &element)) {
        method.len = 0;
        is_valid = methods++ < METHODS_MAX && json_read_string(element, &method) && method.len <= METHOD_LEN
            && sip_is_token(wp_contents(&method)) && !wp_is(wp_contents(&method), "ACK")
            && !wp_is(wp_contents(&method), "CANCEL");
        if (sip_opts.methods.len > 0) wp_put_text(&sip_opts.methods, ", ");
        wp_put(&sip_opts.methods, wp_contents(&method));
    }
    wp_free(&method);
    return is_valid && methods > 0;
}

static bool read_option(wp_bytes key, wp_bytes value, wp_buffer *error) {
    if (json_is_string(key, "server")) {
        return read_server(value)
            || wrong(error, key, "must be a host of at most 255 bytes, or a host and a port: \"sip.example.org:5060\"");
    }
    if (json_is_string(key, "methods")) {
        return read_methods(value)
            || wrong(
                   error, key, "must be a list of 1 to 16 methods without ACK and CANCEL, such as [\"INVITE\", \"BYE\"]"
            );
    }
    /* The runtime adds the routes of the application to all options. */
    if (json_is_string(key, "routes")) return true;
    return wrong(error, key, "is unknown; the options are server and methods");
}

bool sip_configure(wp_bytes options, wp_buffer *error) {
    if (!json_is_valid(options) || !json_is_object(options)) {
        wp_put_text(error, "the options must be a JSON object");
        return false;
    }
    sip_opts = (sip_options){0};
    wp_put_text(&sip_opts.server, "localhost");
    wp_put_text(&sip_opts.methods, "INVITE, BYE, REGISTER, OPTIONS, MESSAGE");
    json_cursor cursor = {0};
    wp_bytes key, value;
    while (json_next_member(options, &cursor, &key, &value)) {
        if (!read_option(key, value, error)) return false;
    }
    return true;
}

bool sip_takes(wp_bytes method) {
    wp_bytes rest = wp_contents(&sip_opts.methods), known;
    while (sip_next_value(&rest, &known)) {
        if (wp_same(known, method)) return true;
    }
    return false;
}
