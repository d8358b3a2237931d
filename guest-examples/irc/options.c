/* The options of the codec, which are read once, before the first session. */
#include "irc.h"

#include "wireplug_json.h"

irc_options irc_opts;

static const uint64_t PING_MAX_S = 86400;
static const size_t ROUTE_LEN = 255;

/* Appends which option is wrong, and what it must be. */
static bool wrong(wp_buffer *error, wp_bytes key, const char *what) {
    wp_put_text(error, "option ");
    wp_put(error, key);
    wp_put_byte(error, ' ');
    wp_put_text(error, what);
    return false;
}

static bool read_server(wp_bytes value, wp_buffer *server) {
    server->len = 0;
    if (!json_read_string(value, server) || server->len == 0 || server->len > 63) return false;
    for (size_t i = 0; i < server->len; i++) {
        uint8_t byte = server->at[i];
        bool is_letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
        if (!is_letter && (byte < '0' || byte > '9') && byte != '-' && byte != '.') return false;
    }
    return true;
}

static bool read_route(wp_bytes value, bool may_be_empty, wp_buffer *route) {
    route->len = 0;
    return json_read_string(value, route) && route->len <= ROUTE_LEN && (route->len > 0 || may_be_empty);
}

static bool read_channels(wp_bytes value) {
    json_cursor cursor = {0};
    wp_bytes element;
    wp_buffer name = {0};
    bool is_valid = *value.at == '[';
    irc_opts.channels_len = 0;
    while (is_valid && json_next_element(value, &cursor, &element)) {
        name.len = 0;
        is_valid = irc_opts.channels_len < CHANNELS && json_read_string(element, &name)
            && irc_is_channel(wp_contents(&name))
            && irc_set_name(&irc_opts.channels[irc_opts.channels_len++], wp_contents(&name), NAME_LEN);
    }
    wp_free(&name);
    return is_valid;
}

static bool read_option(wp_bytes key, wp_bytes value, wp_buffer *error) {
    if (json_is_string(key, "server")) {
        return read_server(value, &irc_opts.server)
            || wrong(error, key, "must be a name of 1 to 63 letters, digits, `-` and `.`");
    }
    if (json_is_string(key, "ping")) {
        uint64_t seconds;
        if (!json_read_number(value, &seconds) || seconds > PING_MAX_S)
            return wrong(error, key, "must be a whole number of seconds up to 86400; 0 means never");
        irc_opts.ping_ms = seconds * 1000;
        return true;
    }
    if (json_is_string(key, "channels")) {
        return read_channels(value)
            || wrong(
                   error, key,
                   "must be a list of at most 16 channels of at most 50 bytes, such as [\"#chat\"]; [] means any"
            );
    }
    static const char *const NEEDED = "must be a route of 1 to 255 bytes";
    static const char *const OPTIONAL = "must be a route of at most 255 bytes; \"\" means none";
    if (json_is_string(key, "join")) return read_route(value, false, &irc_opts.join) || wrong(error, key, NEEDED);
    if (json_is_string(key, "send")) return read_route(value, false, &irc_opts.send) || wrong(error, key, NEEDED);
    if (json_is_string(key, "part")) return read_route(value, true, &irc_opts.part) || wrong(error, key, OPTIONAL);
    if (json_is_string(key, "direct")) return read_route(value, true, &irc_opts.direct) || wrong(error, key, OPTIONAL);
    /* The runtime adds the routes of the application to all options. */
    if (json_is_string(key, "routes")) return true;
    return wrong(error, key, "is unknown; the options are server, ping, channels, join, send, part and direct");
}

bool irc_configure(wp_bytes options, wp_buffer *error) {
    if (!json_is_valid(options) || !json_is_object(options)) {
        wp_put_text(error, "the options must be a JSON object");
        return false;
    }
    irc_opts = (irc_options){.ping_ms = 60000, .channels_len = 1};
    wp_put_text(&irc_opts.server, "wireplug");
    wp_put_text(&irc_opts.join, "chat.chatHandler.join");
    wp_put_text(&irc_opts.send, "chat.chatHandler.send");
    irc_set_name(&irc_opts.channels[0], wp_text("#chat"), NAME_LEN);
    json_cursor cursor = {0};
    wp_bytes key, value;
    while (json_next_member(options, &cursor, &key, &value)) {
        if (!read_option(key, value, error)) return false;
    }
    return true;
}
