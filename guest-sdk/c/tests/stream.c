/* Tests of wp_decode_stream, with a small codec. A packet is a line, and its first letter says what
 * the packet means: h a hello, c a close, r a rejected packet, f a fatal one, t the begin of TLS,
 * 2 that packets have two bytes from then on, any other letter a notice. */
#include "check.h"
#include "wireplug_cut.h"
#include "wireplug_flat.h"

struct wp_session {
    bool is_fixed, begins_tls;
    /* Returned in place of a cut, if it is not all zeros. */
    wp_cut wrong;
};

wp_cut codec_cut(const wp_session *session, wp_bytes rest, wp_buffer *reason) {
    if (session->wrong.length > 0) return session->wrong;
    if (session->begins_tls) return (wp_cut){.kind = WP_CUT_START_TLS};
    if (session->is_fixed) return wp_cut_fixed(rest, 2, (wp_limit){2, "packet"}, reason);
    return wp_cut_line(rest, wp_text("\n"), (wp_limit){8, "line"}, NULL, reason);
}

void codec_decode(wp_session *session, wp_bytes packet, wp_instant now, wp_events *events) {
    (void)now;
    switch (packet.at[0]) {
    case 'h': wp_hello(events, packet); break;
    case 'c': wp_close(events, packet); break;
    case 'r': wp_reject(events, packet); break;
    case 'f': wp_fatal(events, packet); break;
    case 't': session->begins_tls = true; break;
    case '2': session->is_fixed = true; break;
    default: wp_notice(events, wp_text("n"), packet);
    }
}

static wp_session session;

/* Checks the kind, the packet and the body of each event of a stream, where it was cut, and what
 * comes next. */
static void check_stream(wp_bytes bytes, const char *expected) {
    static const char *const KINDS = "hEnpTAlcrf", *const NEXTS = "NFT";
    wp_stream stream = {0};
    wp_buffer out = {0};
    wp_decode_stream(&session, bytes, (wp_instant){0}, &stream);
    for (size_t i = 0; i < wp_u32_len(&stream.ends); i++) {
        wp_put_number(&out, ((const uint32_t *)stream.ends.at)[i]);
        wp_put_byte(&out, ' ');
    }
    const wp_head *heads = (const wp_head *)stream.events.heads.at;
    for (size_t i = 0; i < stream.events.heads.len / sizeof(wp_head); i++) {
        wp_put_byte(&out, (uint8_t)KINDS[heads[i].kind]);
        wp_put_number(&out, heads[i].packet);
        wp_put(&out, (wp_bytes){stream.events.bytes.at + heads[i].route_end, heads[i].body_end - heads[i].route_end});
        wp_put_byte(&out, ' ');
    }
    wp_put_byte(&out, (uint8_t)NEXTS[stream.next]);
    wp_put_number(&out, stream.need);
    if (!wp_is(wp_contents(&out), expected)) {
        fprintf(stderr, "%.*s, and not %s\n", (int)out.len, out.at, expected);
        exit(1);
    }
    wp_free(&out);
    wp_free(&stream.ends);
    wp_free(&stream.events.bytes);
    wp_free(&stream.events.heads);
    session = (wp_session){0};
}

static void packets_are_cut_until_one_is_partial(void) {
    check_stream(BYTES(""), "N1");
    check_stream(BYTES("a"), "N2");
    check_stream(BYTES("a\n"), "2 n0a\n N1");
    check_stream(BYTES("a\nbb\nccc"), "2 5 n0a\n n1bb\n N4");
}

static void framing_may_change_after_a_packet(void) {
    check_stream(BYTES("a\n2\nxyzz."), "2 4 6 8 n0a\n n2xy n3zz N2");
}

static void a_rejected_packet_is_followed_by_the_next(void) {
    check_stream(BYTES("r\na\n"), "2 4 r0r\n n1a\n N1");
}

static void no_packet_follows_a_hello_or_the_end(void) {
    check_stream(BYTES("a\nh\nb\n"), "2 4 n0a\n h1h\n F0");
    check_stream(BYTES("c\nb\n"), "2 c0c\n F0");
    check_stream(BYTES("f\nb\n"), "2 f0f\n F0");
}

static void an_error_of_the_cut_is_about_the_rest(void) {
    check_stream(BYTES("123456789"), "f0the line has more than 8 bytes F0");
    check_stream(BYTES("a\n23456789"), "2 n0a\n f1the line has more than 8 bytes F0");
}

static void tls_begins_behind_a_packet(void) {
    check_stream(BYTES("t\n"), "2 T0");
    check_stream(BYTES("a\nt\n\x16"), "2 4 n0a\n T0");
    session.begins_tls = true;
    check_stream(BYTES("\x16"), "f0bug: codec_cut began TLS before a packet was decoded F0");
}

static void a_wrong_cut_is_a_bug(void) {
    session.wrong = (wp_cut){WP_CUT_PACKET, 3};
    check_stream(BYTES("a\n"), "f0bug: codec_cut gave a packet that is not in the rest F0");
    session.wrong = (wp_cut){WP_CUT_NEED, 2};
    check_stream(BYTES("a\n"), "f0bug: codec_cut asks for no more than the rest F0");
}

static void a_call_has_at_most_256_packets(void) {
    for (int begins_tls = 0; begins_tls < 2; begins_tls++) {
        wp_buffer bytes = {0};
        for (int i = 0; i < 255; i++) wp_put_text(&bytes, "a\n");
        wp_put_text(&bytes, begins_tls ? "t\n" : "a\n");
        wp_put_text(&bytes, "b\nc\n");
        wp_stream stream = {0};
        wp_decode_stream(&session, wp_contents(&bytes), (wp_instant){0}, &stream);
        CHECK(wp_u32_len(&stream.ends) == 256);
        CHECK(stream.events.heads.len / sizeof(wp_head) == (begins_tls ? 255 : 256));
        CHECK(stream.next == (begins_tls ? NEXT_START_TLS : NEXT_FULL));
        wp_free(&bytes);
        wp_free(&stream.ends);
        wp_free(&stream.events.bytes);
        wp_free(&stream.events.heads);
        session = (wp_session){0};
    }
}

int main(void) {
    packets_are_cut_until_one_is_partial();
    framing_may_change_after_a_packet();
    a_rejected_packet_is_followed_by_the_next();
    no_packet_follows_a_hello_or_the_end();
    an_error_of_the_cut_is_about_the_rest();
    tls_begins_behind_a_packet();
    a_wrong_cut_is_a_bug();
    a_call_has_at_most_256_packets();
}
