/* The functions of wireplug_ids.h. */
#include "wireplug_ids.h"

#include <stdlib.h>
#include <string.h>

static const size_t NOT_FOUND = SIZE_MAX;

static uint64_t largest_number(const wp_ids *ids) {
    return ids->largest == 0 ? UINT32_MAX : ids->largest;
}

static size_t find_number(const wp_ids *ids, uint64_t number) {
    for (size_t i = 0; i < ids->len; i++) {
        if (ids->open[i].number == number) return i;
    }
    return NOT_FOUND;
}

static size_t find_id(const wp_ids *ids, wp_bytes id) {
    for (size_t i = 0; i < ids->len; i++) {
        if (wp_same(wp_contents(&ids->open[i].id), id)) return i;
    }
    return NOT_FOUND;
}

static void add(wp_ids *ids, uint64_t number, wp_bytes id) {
    if (ids->open == NULL) ids->open = calloc(ids->limit, sizeof(wp_open_request));
    if (ids->open == NULL) abort();
    wp_open_request *request = &ids->open[ids->len++];
    *request = (wp_open_request){.number = number};
    wp_put(&request->id, id);
}

static void close_request(wp_ids *ids, size_t index) {
    wp_free(&ids->open[index].id);
    ids->len--;
    memmove(&ids->open[index], &ids->open[index + 1], (ids->len - index) * sizeof(wp_open_request));
}

uint64_t wp_ids_insert(wp_ids *ids, wp_bytes id, wp_buffer *reason) {
    if (id.len > WP_ID_MAX) {
        wp_put_text(reason, "the id of a request has more than 255 bytes");
        return 0;
    }
    if (find_id(ids, id) != NOT_FOUND) {
        wp_put_text(reason, "a request with this id is open already");
        return 0;
    }
    bool is_full = ids->len >= ids->limit || ids->len >= largest_number(ids);
    if (is_full && (!ids->drop_oldest || ids->len == 0)) {
        wp_put_number(reason, ids->len);
        wp_put_text(reason, " requests are open, and no more are allowed");
        return 0;
    }
    if (is_full) close_request(ids, 0);
    do ids->last = ids->last == largest_number(ids) ? 1 : ids->last + 1;
    while (find_number(ids, ids->last) != NOT_FOUND);
    add(ids, ids->last, id);
    return ids->last;
}

bool wp_ids_take(wp_ids *ids, uint64_t number, wp_buffer *id) {
    size_t index = find_number(ids, number);
    if (index == NOT_FOUND) return false;
    wp_put(id, wp_contents(&ids->open[index].id));
    close_request(ids, index);
    return true;
}

uint64_t wp_ids_remove(wp_ids *ids, wp_bytes id) {
    size_t index = find_id(ids, id);
    if (index == NOT_FOUND) return 0;
    uint64_t number = ids->open[index].number;
    close_request(ids, index);
    return number;
}

/* === Ids that are numbers: 8 bytes, little-endian === */

enum { NUMBER_LEN = 8 };

static void write_number(uint64_t number, uint8_t at[NUMBER_LEN]) {
    for (int i = 0; i < NUMBER_LEN; i++, number >>= 8) at[i] = (uint8_t)number;
}

static uint64_t read_number(const uint8_t *at) {
    uint64_t number = 0;
    for (int i = NUMBER_LEN; i > 0; i--) number = number << 8 | at[i - 1];
    return number;
}

uint64_t wp_ids_insert_number(wp_ids *ids, uint64_t id, wp_buffer *reason) {
    uint8_t bytes[NUMBER_LEN];
    write_number(id, bytes);
    return wp_ids_insert(ids, (wp_bytes){bytes, NUMBER_LEN}, reason);
}

bool wp_ids_take_number(wp_ids *ids, uint64_t number, uint64_t *id) {
    wp_buffer bytes = {0};
    bool is_open = wp_ids_take(ids, number, &bytes) && bytes.len == NUMBER_LEN;
    if (is_open) *id = read_number(bytes.at);
    wp_free(&bytes);
    return is_open;
}

uint64_t wp_ids_remove_number(wp_ids *ids, uint64_t id) {
    uint8_t bytes[NUMBER_LEN];
    write_number(id, bytes);
    return wp_ids_remove(ids, (wp_bytes){bytes, NUMBER_LEN});
}

/* === The map as bytes ===
 *
 * last: 8 bytes | count: 8 bytes | for each: number, 8 bytes; length of the id, 1 byte; the id */

static void put_number(wp_buffer *state, uint64_t number) {
    uint8_t bytes[NUMBER_LEN];
    write_number(number, bytes);
    wp_put(state, (wp_bytes){bytes, NUMBER_LEN});
}

void wp_ids_save(const wp_ids *ids, wp_buffer *state) {
    put_number(state, ids->last);
    put_number(state, ids->len);
    for (size_t i = 0; i < ids->len; i++) {
        wp_bytes id = wp_contents(&ids->open[i].id);
        put_number(state, ids->open[i].number);
        wp_put_byte(state, (uint8_t)id.len);
        wp_put(state, id);
    }
}

/* Takes bytes from the front of a state. Returns false if there are fewer. */
static bool take_bytes(wp_bytes *state, size_t len, wp_bytes *taken) {
    if (state->len < len) return false;
    *taken = (wp_bytes){state->at, len};
    *state = (wp_bytes){state->at + len, state->len - len};
    return true;
}

static bool take_number(wp_bytes *state, uint64_t max, uint64_t *number) {
    wp_bytes bytes;
    if (!take_bytes(state, NUMBER_LEN, &bytes)) return false;
    *number = read_number(bytes.at);
    return *number <= max;
}

static bool restore_request(wp_ids *ids, wp_bytes *state) {
    uint64_t number;
    wp_bytes len, id;
    if (!take_number(state, largest_number(ids), &number) || number == 0) return false;
    if (!take_bytes(state, 1, &len) || !take_bytes(state, len.at[0], &id)) return false;
    if (find_number(ids, number) != NOT_FOUND || find_id(ids, id) != NOT_FOUND) return false;
    add(ids, number, id);
    return true;
}

bool wp_ids_restore(wp_ids *ids, wp_bytes *state) {
    uint64_t count;
    if (!take_number(state, largest_number(ids), &ids->last) || !take_number(state, ids->limit, &count)) return false;
    while (ids->len < count) {
        if (!restore_request(ids, state)) return false;
    }
    return true;
}

void wp_ids_free(wp_ids *ids) {
    while (ids->len > 0) close_request(ids, ids->len - 1);
    free(ids->open);
    ids->open = NULL;
}
