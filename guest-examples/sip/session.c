/* Sessions: the client, the secret, and the frame of each packet. */
#include "sip.h"

#include <stdlib.h>
#include <string.h>

/* === The client === */

static const struct {
    const char *scheme;
    const char *via;
    const char *uri;
} TRANSPORTS[] = {
    {"tcp", "TCP", "tcp"}, {"tls", "TLS", "tls"}, {"udp", "UDP", "udp"}, {"ws", "WS", "ws"}, {"wss", "WSS", "ws"},
};

/* Any other transport looks like the usual one of its carrier. */
static void name_transport(wp_session *session, wp_bytes scheme) {
    size_t usual = session->carrier == WP_CARRIER_DATAGRAMS ? 2 : session->carrier == WP_CARRIER_MESSAGES ? 3 : 0;
    size_t at = 0;
    while (at < sizeof TRANSPORTS / sizeof TRANSPORTS[0] && !wp_is(scheme, TRANSPORTS[at].scheme)) at++;
    if (at == sizeof TRANSPORTS / sizeof TRANSPORTS[0]) at = usual;
    session->via_transport = TRANSPORTS[at].via;
    session->uri_transport = TRANSPORTS[at].uri;
}

/* Reads `IP:PORT` or `[IP]:PORT`. */
static void read_address(wp_session *session, wp_bytes address) {
    size_t colon = address.len;
    while (colon > 0 && address.at[colon - 1] != ':') colon--;
    if (colon == 0) return;
    wp_bytes ip = {address.at, colon - 1};
    if (ip.len >= 2 && ip.at[0] == '[') ip = (wp_bytes){ip.at + 1, ip.len - 2};
    wp_put(&session->ip, ip);
    wp_put(&session->port, (wp_bytes){address.at + colon, address.len - colon});
}

wp_session *sip_new_session(const wp_peer *peer) {
    wp_session *session = calloc(1, sizeof *session);
    if (session == NULL) abort();
    session->carrier = peer->carrier;
    session->max_packet = peer->max_packet < MESSAGE_MAX ? peer->max_packet : MESSAGE_MAX;
    session->timer_ms = NEVER;
    memcpy(session->secret, peer->random_seed.at, sizeof session->secret);
    name_transport(session, peer->transport);
    read_address(session, peer->address);
    return session;
}

void sip_free_session(wp_session *session) {
    while (session->oldest != NULL) sip_remove(session, session->oldest);
    wp_free(&session->ip);
    wp_free(&session->port);
    wp_free(&session->contact);
    wp_free(&session->user);
    free(session);
}

/* === Signatures: SipHash-2-4 of Aumasson and Bernstein === */

typedef struct sip_hash {
    uint64_t a, b, c, d;
} sip_hash;

static uint64_t rotate(uint64_t number, int bits) {
    return number << bits | number >> (64 - bits);
}

static void mix(sip_hash *hash, int rounds) {
    while (rounds-- > 0) {
        hash->a += hash->b;
        hash->b = rotate(hash->b, 13) ^ hash->a;
        hash->a = rotate(hash->a, 32);
        hash->c += hash->d;
        hash->d = rotate(hash->d, 16) ^ hash->c;
        hash->a += hash->d;
        hash->d = rotate(hash->d, 21) ^ hash->a;
        hash->c += hash->b;
        hash->b = rotate(hash->b, 17) ^ hash->c;
        hash->c = rotate(hash->c, 32);
    }
}

static uint64_t word_at(const uint8_t *at, size_t len) {
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++) word |= (uint64_t)at[i] << 8 * i;
    return word;
}

static void absorb(sip_hash *hash, uint64_t word) {
    hash->d ^= word;
    mix(hash, 2);
    hash->a ^= word;
}

static uint64_t sip_hash_of(const uint8_t key[16], wp_bytes bytes) {
    uint64_t first = word_at(key, 8), second = word_at(key + 8, 8);
    sip_hash hash = {
        first ^ 0x736f6d6570736575,
        second ^ 0x646f72616e646f6d,
        first ^ 0x6c7967656e657261,
        second ^ 0x7465646279746573,
    };
    size_t at = 0;
    for (; at + 8 <= bytes.len; at += 8) absorb(&hash, word_at(bytes.at + at, 8));
    absorb(&hash, (uint64_t)bytes.len << 56 | word_at(bytes.at + at, bytes.len - at));
    hash.c ^= 0xFF;
    mix(&hash, 4);
    return hash.a ^ hash.b ^ hash.c ^ hash.d;
}

uint64_t sip_sign(const wp_session *session, wp_bytes bytes) {
    return sip_hash_of(session->secret, bytes);
}

/* === Packets === */

void sip_put_hex(wp_buffer *out, uint64_t number) {
    static const char digits[] = "0123456789abcdef";
    for (int shift = 60; shift >= 0; shift -= 4) wp_put_byte(out, (uint8_t)digits[number >> shift & 15]);
}

void sip_begin(const wp_session *session, wp_buffer *out) {
    if (session->carrier == WP_CARRIER_MESSAGES) wp_put_byte(out, WP_TAG_TEXT);
}

void sip_put_line(wp_buffer *out, const char *name, wp_bytes value) {
    wp_put_text(out, name);
    wp_put_text(out, ": ");
    wp_put(out, value);
    wp_put_text(out, "\r\n");
}

void sip_end(wp_buffer *out, wp_bytes body) {
    wp_put_text(out, "Content-Length: ");
    wp_put_number(out, body.len);
    wp_put_text(out, "\r\n\r\n");
    wp_put(out, body);
}
