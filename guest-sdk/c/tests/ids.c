/* Tests of the maps in wireplug_ids.h. */
#include "check.h"
#include "wireplug_ids.h"

/* Inserts an id that the map accepts. */
static uint64_t insert(wp_ids *ids, wp_bytes id) {
    wp_buffer reason = {0};
    uint64_t number = wp_ids_insert(ids, id, &reason);
    CHECK(number > 0 && reason.len == 0);
    return number;
}

static void check_refused(wp_ids *ids, wp_bytes id, const char *expected) {
    wp_buffer reason = {0};
    CHECK(wp_ids_insert(ids, id, &reason) == 0 && wp_is(wp_contents(&reason), expected));
    wp_free(&reason);
}

static void check_taken(wp_ids *ids, uint64_t number, wp_bytes expected) {
    wp_buffer id = {0};
    CHECK(wp_ids_take(ids, number, &id) && wp_same(wp_contents(&id), expected));
    CHECK(!wp_ids_take(ids, number, &id));
    wp_free(&id);
}

static void an_id_is_taken_once(void) {
    wp_ids ids = {.limit = 8};
    CHECK(insert(&ids, BYTES("a")) == 1);
    CHECK(insert(&ids, BYTES("")) == 2);
    CHECK(insert(&ids, BYTES("\0\xFF")) == 3);
    check_taken(&ids, 2, BYTES(""));
    check_taken(&ids, 3, BYTES("\0\xFF"));
    check_taken(&ids, 1, BYTES("a"));
    CHECK(ids.len == 0);
    CHECK(insert(&ids, BYTES("a")) == 4);
    wp_ids_free(&ids);
}

static void numbers_are_ids_too(void) {
    wp_ids ids = {.limit = 8, .largest = 65535};
    wp_buffer reason = {0};
    uint64_t id = 0;
    CHECK(wp_ids_insert_number(&ids, UINT64_MAX, &reason) == 1);
    CHECK(wp_ids_insert_number(&ids, 0x0102030405060708, &reason) == 2);
    CHECK(wp_ids_take_number(&ids, 2, &id) && id == 0x0102030405060708);
    CHECK(wp_ids_take_number(&ids, 1, &id) && id == UINT64_MAX);
    CHECK(!wp_ids_take_number(&ids, 1, &id) && !wp_ids_take_number(&ids, 0, &id));
    wp_ids_free(&ids);
}

static void an_abandoned_request_leaves_the_map(void) {
    wp_ids ids = {.limit = 8};
    wp_buffer reason = {0};
    uint64_t id;
    CHECK(wp_ids_insert_number(&ids, 70, &reason) == 1);
    CHECK(wp_ids_insert_number(&ids, 71, &reason) == 2);
    CHECK(wp_ids_remove_number(&ids, 70) == 1);
    CHECK(wp_ids_remove_number(&ids, 70) == 0);
    CHECK(!wp_ids_take_number(&ids, 1, &id) && wp_ids_take_number(&ids, 2, &id) && id == 71);
    wp_ids_free(&ids);
}

static void open_requests_are_bounded(void) {
    wp_ids ids = {.limit = 2};
    uint8_t long_id[WP_ID_MAX + 1] = {0};
    check_refused(&ids, (wp_bytes){long_id, WP_ID_MAX + 1}, "the id of a request has more than 255 bytes");
    insert(&ids, (wp_bytes){long_id, WP_ID_MAX});
    check_refused(&ids, (wp_bytes){long_id, WP_ID_MAX}, "a request with this id is open already");
    insert(&ids, BYTES("b"));
    check_refused(&ids, BYTES("c"), "2 requests are open, and no more are allowed");
    CHECK(wp_ids_remove(&ids, BYTES("b")) == 2);
    CHECK(insert(&ids, BYTES("c")) == 3);
    wp_ids_free(&ids);
    wp_ids none = {.drop_oldest = true};
    check_refused(&none, BYTES("a"), "0 requests are open, and no more are allowed");
}

static void the_oldest_request_makes_room(void) {
    wp_ids ids = {.limit = 2, .drop_oldest = true};
    wp_buffer id = {0};
    insert(&ids, BYTES("a"));
    insert(&ids, BYTES("b"));
    insert(&ids, BYTES("c"));
    CHECK(!wp_ids_take(&ids, 1, &id));
    check_taken(&ids, 2, BYTES("b"));
    check_taken(&ids, 3, BYTES("c"));
    wp_ids_free(&ids);
}

static void numbers_begin_again_and_skip_open_ones(void) {
    wp_ids ids = {.limit = 9, .largest = 3};
    CHECK(insert(&ids, BYTES("a")) == 1);
    CHECK(insert(&ids, BYTES("b")) == 2);
    CHECK(insert(&ids, BYTES("c")) == 3);
    check_refused(&ids, BYTES("d"), "3 requests are open, and no more are allowed");
    check_taken(&ids, 2, BYTES("b"));
    CHECK(insert(&ids, BYTES("d")) == 2);
    check_taken(&ids, 1, BYTES("a"));
    check_taken(&ids, 3, BYTES("c"));
    CHECK(insert(&ids, BYTES("e")) == 3);
    CHECK(insert(&ids, BYTES("f")) == 1);
    wp_ids_free(&ids);
}

static void a_saved_map_is_restored(void) {
    wp_ids ids = {.limit = 4, .largest = 9}, moved = {.limit = 4, .largest = 9};
    wp_buffer state = {0}, again = {0};
    insert(&ids, BYTES("a"));
    insert(&ids, BYTES("gone"));
    insert(&ids, BYTES("\0"));
    CHECK(wp_ids_remove(&ids, BYTES("gone")) == 2);
    wp_ids_save(&ids, &state);
    wp_put_text(&state, "more");
    wp_bytes rest = wp_contents(&state);
    CHECK(wp_ids_restore(&moved, &rest) && wp_is(rest, "more"));
    wp_ids_save(&moved, &again);
    CHECK(wp_same(wp_contents(&again), (wp_bytes){state.at, state.len - 4}));
    CHECK(insert(&moved, BYTES("b")) == 4);
    check_taken(&moved, 3, BYTES("\0"));
    check_taken(&moved, 1, BYTES("a"));
    wp_ids_free(&ids);
    wp_ids_free(&moved);
    wp_free(&again);

    /* A state that ends early, or has a wrong byte, gives no map or one that keeps its limits. */
    for (size_t len = 0; len < state.len - 4; len++) {
        wp_ids partial = {.limit = 4, .largest = 9};
        wp_bytes cut = {state.at, len};
        CHECK(!wp_ids_restore(&partial, &cut));
        wp_ids_free(&partial);
    }
    for (size_t at = 0; at < state.len - 4; at++) {
        for (int byte = 0; byte < 256; byte++) {
            uint8_t before = state.at[at];
            state.at[at] = (uint8_t)byte;
            wp_ids wrong = {.limit = 4, .largest = 9};
            rest = wp_contents(&state);
            if (wp_ids_restore(&wrong, &rest)) CHECK(wrong.len <= 4 && wrong.last <= 9);
            wp_ids_free(&wrong);
            state.at[at] = before;
        }
    }
    wp_ids smaller = {.limit = 1};
    rest = wp_contents(&state);
    CHECK(!wp_ids_restore(&smaller, &rest));
    wp_ids_free(&smaller);
    wp_free(&state);
}

int main(void) {
    an_id_is_taken_once();
    numbers_are_ids_too();
    an_abandoned_request_leaves_the_map();
    open_requests_are_bounded();
    the_oldest_request_makes_room();
    numbers_begin_again_and_skip_open_ones();
    a_saved_map_is_restored();
}
