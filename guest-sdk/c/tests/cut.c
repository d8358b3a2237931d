/* Tests of the helpers in wireplug_cut.h. */
#include <string.h>

#include "check.h"
#include "wireplug_cut.h"

static const wp_limit LIMIT = {40, "frame"};

typedef wp_cut (*cutter)(wp_bytes rest, size_t *looked, wp_buffer *reason);

/* Appends what a stream becomes: the length of each packet, then `+N` for N bytes that wait, or
 * `!REASON`. The bytes come in pieces, and the rest is kept as the runtime keeps it. */
static void cut_in_pieces(cutter cut, wp_bytes stream, size_t piece, size_t *looked, wp_buffer *out) {
    size_t start = 0, end = 0, needed = 1;
    for (;;) {
        if (end - start < needed) {
            if (end == stream.len) break;
            end = stream.len - end < piece ? stream.len : end + piece;
            continue;
        }
        /* The memory ends with the rest, so that a sanitizer sees a helper that reads behind it. */
        size_t len = end - start;
        uint8_t *rest = malloc(len + 1);
        memcpy(rest, stream.at + start, len);
        wp_buffer reason = {0};
        wp_cut is = cut((wp_bytes){rest, len}, looked, &reason);
        free(rest);
        CHECK((is.kind == WP_CUT_REJECT) == (reason.len > 0));
        if (is.kind == WP_CUT_REJECT) {
            wp_put_byte(out, '!');
            wp_put(out, wp_contents(&reason));
            wp_free(&reason);
            return;
        }
        if (is.kind == WP_CUT_PACKET) {
            CHECK(is.length > 0 && is.length <= len);
            wp_put_number(out, is.length);
            wp_put_byte(out, ' ');
            start += is.length;
            needed = 0;
        } else {
            CHECK(is.kind == WP_CUT_NEED && is.length > len);
            needed = is.length;
        }
    }
    wp_put_byte(out, '+');
    wp_put_number(out, end - start);
}

/* Checks what a stream becomes, however it is divided. */
static void check_stream(cutter cut, wp_bytes stream, const char *expected) {
    for (size_t piece = 1; piece <= stream.len; piece++) {
        for (int remembers = 0; remembers < 2; remembers++) {
            size_t looked = 0;
            wp_buffer out = {0};
            cut_in_pieces(cut, stream, piece, remembers ? &looked : NULL, &out);
            if (!wp_is(wp_contents(&out), expected)) {
                fprintf(stderr, "pieces of %zu: %.*s, and not %s\n", piece, (int)out.len, out.at, expected);
                exit(1);
            }
            wp_free(&out);
        }
    }
}

/* Checks what a rest needs. */
static void check_need(cutter cut, wp_bytes rest, size_t expected) {
    wp_buffer reason = {0};
    size_t looked = 0;
    wp_cut is = cut(rest, &looked, &reason);
    CHECK(is.kind == WP_CUT_NEED && is.length == expected);
}

/* === A fixed length === */

static wp_cut fixed(wp_bytes rest, size_t *looked, wp_buffer *reason) {
    (void)looked;
    return wp_cut_fixed(rest, 3, LIMIT, reason);
}

static wp_cut too_large(wp_bytes rest, size_t *looked, wp_buffer *reason) {
    (void)looked;
    return wp_cut_fixed(rest, UINT64_MAX, LIMIT, reason);
}

static wp_cut unnamed(wp_bytes rest, size_t *looked, wp_buffer *reason) {
    (void)looked;
    return wp_cut_fixed(rest, 3, (wp_limit){.max = 2}, reason);
}

static wp_cut empty(wp_bytes rest, size_t *looked, wp_buffer *reason) {
    (void)looked;
    return wp_cut_fixed(rest, 0, LIMIT, reason);
}

static void packets_have_the_fixed_length(void) {
    check_stream(fixed, BYTES("abcdefgh"), "3 3 +2");
    check_need(fixed, BYTES(""), 3);
    check_need(fixed, BYTES("ab"), 3);
    check_stream(too_large, BYTES("a"), "!the frame has more than 40 bytes");
    check_stream(unnamed, BYTES("a"), "!the packet has more than 2 bytes");
    check_stream(empty, BYTES("a"), "!the frame has 0 bytes");
}

/* === A length field === */

static wp_length_field field;

static wp_cut length_field(wp_bytes rest, size_t *looked, wp_buffer *reason) {
    (void)looked;
    return wp_cut_length_field(rest, field, LIMIT, reason);
}

static void a_length_field_says_what_follows_it(void) {
    field = (wp_length_field){.offset = 1, .width = 2};
    check_stream(length_field, BYTES("x\0\2aby\0\0z\0\1"), "5 3 +3");
    check_need(length_field, BYTES(""), 3);
    check_need(length_field, BYTES("x\0"), 3);
    check_need(length_field, BYTES("x\0\7"), 10);
    field = (wp_length_field){.width = 4, .little_endian = true};
    check_stream(length_field, BYTES("\2\0\0\0ab"), "6 +0");
    field = (wp_length_field){.width = 3};
    check_stream(length_field, BYTES("\0\0\1a"), "4 +0");
}

static void a_length_field_is_adjusted(void) {
    field = (wp_length_field){.width = 1, .adjust = -1};
    check_stream(length_field, BYTES("\3ab\1"), "3 1 +0");
    check_stream(length_field, BYTES("\0"), "!the length field is 0, and at least 1 is needed");
    field = (wp_length_field){.width = 1, .adjust = 2};
    check_stream(length_field, BYTES("\1abc"), "4 +0");
}

static void a_length_field_above_the_largest_packet_is_rejected(void) {
    field = (wp_length_field){.width = 4};
    check_stream(length_field, BYTES("\xFF\xFF\xFF\xFF"), "!the frame has more than 40 bytes");
    field.adjust = INT32_MAX;
    check_stream(length_field, BYTES("\xFF\xFF\xFF\xFF"), "!the frame has more than 40 bytes");
    field.adjust = INT32_MIN;
    check_stream(length_field, BYTES("\0\0\0\0"), "!the length field is 0, and at least 2147483648 is needed");
    field = (wp_length_field){.width = 5};
    check_stream(length_field, BYTES("\0"), "!bug: a length field has 1 to 4 bytes");
}

/* === A delimiter === */

static const char *delimiter;

static wp_cut line(wp_bytes rest, size_t *looked, wp_buffer *reason) {
    return wp_cut_line(rest, wp_text(delimiter), LIMIT, looked, reason);
}

static void a_line_ends_with_its_delimiter(void) {
    delimiter = "\n";
    check_stream(line, BYTES("ab\n\ncd"), "3 1 +2");
    check_need(line, BYTES(""), 1);
    check_need(line, BYTES("ab"), 3);
    delimiter = "\r\n";
    check_stream(line, BYTES("a\r\n\r\r\nb\n\r"), "3 3 +3");
    check_need(line, BYTES("ab"), 4);
    check_need(line, BYTES("ab\r"), 4);
    delimiter = "aab";
    check_stream(line, BYTES("aaabaabaabaa"), "4 3 3 +2");
    delimiter = "";
    check_stream(line, BYTES("a"), "!bug: a delimiter has at least one byte");
}

static void a_line_has_at_most_the_largest_length(void) {
    delimiter = "\r\n";
    check_stream(line, BYTES("12345678901234567890123456789012345678\r\n"), "40 +0");
    check_stream(line, BYTES("123456789012345678901234567890123456789\r"), "!the frame has more than 40 bytes");
    check_stream(line, BYTES("123456789012345678901234567890123456789\r\n"), "!the frame has more than 40 bytes");
    check_stream(line, BYTES("123456789012345678901234567890123456789"), "+39");
    check_need(line, BYTES("123456789012345678901234567890123456789"), 40);
}

/* === Digits === */

static uint64_t largest;

static wp_cut digits(wp_bytes rest, size_t *looked, wp_buffer *reason) {
    (void)looked;
    uint64_t value;
    return wp_cut_digits(rest, 0, ':', (wp_limit){.max = largest}, &value, reason);
}

static wp_cut netstring(wp_bytes rest, size_t *looked, wp_buffer *reason) {
    (void)looked;
    uint64_t length;
    wp_cut head = wp_cut_digits(rest, 0, ':', (wp_limit){30, "length"}, &length, reason);
    if (head.kind != WP_CUT_PACKET) return head;
    return wp_cut_fixed(rest, head.length + length + 1, LIMIT, reason);
}

static void digits_say_the_length(void) {
    check_stream(netstring, BYTES("5:hello,0:,03:abc,12:abc"), "8 3 7 +6");
    check_need(netstring, BYTES(""), 1);
    check_need(netstring, BYTES("5"), 2);
    check_need(netstring, BYTES("30:"), 34);
    uint64_t value;
    wp_buffer reason = {0};
    wp_cut is =
        wp_cut_digits(BYTES("*18446744073709551615\r"), 1, '\r', (wp_limit){UINT64_MAX, "length"}, &value, &reason);
    CHECK(is.kind == WP_CUT_PACKET && is.length == 22 && value == UINT64_MAX);
    is = wp_cut_digits(BYTES(""), 3, '\r', (wp_limit){9, "length"}, &value, &reason);
    CHECK(is.kind == WP_CUT_NEED && is.length == 4);
}

static void digits_are_nothing_but_digits(void) {
    largest = 99;
    check_stream(digits, BYTES("+1:"), "!the length is not a decimal number from 0 to 99");
    check_stream(digits, BYTES("-1:"), "!the length is not a decimal number from 0 to 99");
    check_stream(digits, BYTES(" 1:"), "!the length is not a decimal number from 0 to 99");
    check_stream(digits, BYTES("1 :"), "!the length is not a decimal number from 0 to 99");
    check_stream(digits, BYTES(":"), "!the length is not a decimal number from 0 to 99");
    check_stream(digits, BYTES("1x:"), "!the length is not a decimal number from 0 to 99");
}

static void digits_do_not_overflow(void) {
    largest = 99;
    check_stream(digits, BYTES("99:99:"), "3 3 +0");
    check_stream(digits, BYTES("100:"), "!the length is not a decimal number from 0 to 99");
    check_stream(digits, BYTES("000:"), "!the length is not a decimal number from 0 to 99");
    largest = 0;
    check_stream(digits, BYTES("0:"), "2 +0");
    check_stream(digits, BYTES("1:"), "!the length is not a decimal number from 0 to 0");
    largest = UINT64_MAX;
    check_stream(digits, BYTES("18446744073709551615:"), "21 +0");
    check_stream(
        digits, BYTES("18446744073709551616:"), "!the length is not a decimal number from 0 to 18446744073709551615"
    );
    check_stream(
        digits, BYTES("99999999999999999999:"), "!the length is not a decimal number from 0 to 18446744073709551615"
    );
}

/* === BER === */

static wp_cut ber(wp_bytes rest, size_t *looked, wp_buffer *reason) {
    (void)looked;
    return wp_cut_ber(rest, LIMIT, reason);
}

static void an_element_of_ber_is_cut(void) {
    check_stream(ber, BYTES("\x30\0\x30\2ab\x30\x81\2ab\x30\x84\0\0\0\1a\x30\5"), "2 4 5 7 +2");
    check_stream(ber, BYTES("\x1F\x0F\1a\x3F\x81\x82\x83\4\0"), "4 6 +0");
    check_need(ber, BYTES(""), 2);
    check_need(ber, BYTES("\x30"), 2);
    check_need(ber, BYTES("\x30\7"), 9);
    check_need(ber, BYTES("\x30\x82"), 4);
    check_need(ber, BYTES("\x1F"), 2);
    check_need(ber, BYTES("\x1F\x81"), 3);
    check_need(ber, BYTES("\x1F\x01"), 3);
}

static void what_is_no_element_of_ber_is_rejected(void) {
    check_stream(ber, BYTES("\x30\x80"), "!the length is indefinite");
    check_stream(ber, BYTES("\x30\x85"), "!the length has more than 4 bytes");
    check_stream(ber, BYTES("\x30\xFF"), "!the length has more than 4 bytes");
    check_stream(ber, BYTES("\x30\x84\xFF\xFF\xFF\xFF"), "!the frame has more than 40 bytes");
    check_stream(ber, BYTES("\x30\x27"), "!the frame has more than 40 bytes");
    check_stream(ber, BYTES("\x1F\x81\x81\x81\x81"), "!the tag has more than 5 bytes");
}

/* === Escapes, and delimiters at both ends === */

static wp_cut escaped(wp_bytes rest, size_t *looked, wp_buffer *reason) {
    return wp_cut_escaped(rest, ';', '\\', LIMIT, looked, reason);
}

static wp_cut enclosed(wp_bytes rest, size_t *looked, wp_buffer *reason) {
    return wp_cut_enclosed(rest, 0x7E, LIMIT, looked, reason);
}

static void an_escaped_delimiter_does_not_end_a_packet(void) {
    check_stream(escaped, BYTES("a;;a\\;b;\\\\;\\\\\\;;a\\"), "2 1 5 3 5 +2");
    check_need(escaped, BYTES(""), 1);
    check_need(escaped, BYTES("a"), 2);
    check_need(escaped, BYTES("a\\"), 4);
    check_need(escaped, BYTES("a\\;"), 4);
    check_stream(escaped, BYTES("123456789012345678901234567890123456789;"), "40 +0");
    check_stream(escaped, BYTES("12345678901234567890123456789012345678\\;;"), "!the frame has more than 40 bytes");
    check_stream(escaped, BYTES("123456789012345678901234567890123456789\\"), "!the frame has more than 40 bytes");
    check_stream(escaped, BYTES("12345678901234567890123456789012345678\\"), "+39");
}

static void a_packet_begins_and_ends_with_its_delimiter(void) {
    check_stream(enclosed, BYTES("~a~~bc~~~~d~~~"), "3 4 5 +2");
    check_need(enclosed, BYTES(""), 1);
    check_need(enclosed, BYTES("~"), 3);
    check_need(enclosed, BYTES("~~"), 4);
    check_need(enclosed, BYTES("~ab"), 4);
    check_stream(enclosed, BYTES("~a~b~"), "3 !the frame begins with 0x62, and not with 0x7e");
    check_stream(enclosed, BYTES("~12345678901234567890123456789012345678~"), "40 +0");
    check_stream(enclosed, BYTES("~123456789012345678901234567890123456789"), "!the frame has more than 40 bytes");
    check_stream(enclosed, BYTES("~123456789012345678901234567890123456789~"), "!the frame has more than 40 bytes");
}

/* === Any bytes === */

/* The constants are those of the linear congruential generator MMIX. */
static uint32_t random_below(uint64_t *state, uint32_t bound) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % bound;
}

static void answers_do_not_depend_on_the_division(void) {
    static const cutter cutters[] = {length_field, line, digits, netstring, ber, escaped, enclosed};
    static const char alphabet[] = "\0\1\2\x1F\x7E\x80\x81\x84\xFF:;\\\r\n019a";
    uint64_t state = 1;
    field = (wp_length_field){.offset = 1, .width = 2, .adjust = -1};
    delimiter = "\r\n";
    largest = 1019;
    for (int run = 0; run < 20000; run++) {
        uint8_t stream[60];
        size_t len = random_below(&state, sizeof stream) + 1;
        /* A small alphabet makes runs of the same byte likely. */
        uint32_t letters = 1 + random_below(&state, sizeof alphabet - 1);
        for (size_t i = 0; i < len; i++)
            stream[i] = (uint8_t)alphabet[sizeof alphabet - 2 - random_below(&state, letters)];
        cutter cut = cutters[random_below(&state, sizeof cutters / sizeof *cutters)];
        wp_buffer whole = {0};
        cut_in_pieces(cut, (wp_bytes){stream, len}, len, NULL, &whole);
        wp_put_byte(&whole, 0);
        check_stream(cut, (wp_bytes){stream, len}, (const char *)whole.at);
        wp_free(&whole);
    }
}

int main(void) {
    packets_have_the_fixed_length();
    a_length_field_says_what_follows_it();
    a_length_field_is_adjusted();
    a_length_field_above_the_largest_packet_is_rejected();
    a_line_ends_with_its_delimiter();
    a_line_has_at_most_the_largest_length();
    digits_say_the_length();
    digits_are_nothing_but_digits();
    digits_do_not_overflow();
    an_element_of_ber_is_cut();
    what_is_no_element_of_ber_is_rejected();
    an_escaped_delimiter_does_not_end_a_packet();
    a_packet_begins_and_ends_with_its_delimiter();
    answers_do_not_depend_on_the_division();
}
