/* Tests of the arena for arguments. */
#include <string.h>

#include "check.h"
#include "wireplug_arena.h"

static void *allocate(wp_arena *arena, size_t alignment, size_t size) {
    return wp_arena_reallocate(arena, NULL, 0, alignment, size);
}

static bool is_aligned(const void *block, size_t alignment) {
    return block != NULL && (uintptr_t)block % alignment == 0;
}

static size_t room(const wp_arena *arena) {
    return arena->grown == NULL ? WP_ARENA_ROOM : arena->grown->size;
}

static void blocks_are_aligned_and_follow_each_other(void) {
    wp_arena arena = {0};
    uint8_t *first = allocate(&arena, 1, 3);
    CHECK(allocate(&arena, 1, 2) == first + 3);
    CHECK(allocate(&arena, 8, 8) == first + 8);
    CHECK(allocate(&arena, 2, 1) == first + 16);
    CHECK(allocate(&arena, 4, 4) == first + 20);
    /* Blocks beside the room are aligned too. */
    for (size_t alignment = 1; alignment <= WP_ARENA_ALIGNMENT; alignment *= 2) {
        CHECK(is_aligned(allocate(&arena, alignment, WP_ARENA_ROOM), alignment));
    }
    wp_arena_release(&arena);
}

static void an_empty_block_has_an_aligned_address_and_takes_nothing(void) {
    wp_arena arena = {0};
    void *first = allocate(&arena, 8, 0);
    CHECK(is_aligned(first, 8));
    CHECK(allocate(&arena, 8, WP_ARENA_ROOM) == first);
    CHECK(allocate(&arena, 8, 0) != NULL);
    CHECK(arena.more == NULL);
}

static void the_next_call_gets_the_same_memory(void) {
    wp_arena arena = {0};
    void *first = allocate(&arena, 8, WP_ARENA_ROOM);
    wp_arena_clear(&arena);
    CHECK(allocate(&arena, 8, WP_ARENA_ROOM) == first);
    CHECK(arena.more == NULL);
}

static void the_room_grows_for_a_larger_call(void) {
    wp_arena arena = {0};
    for (int call = 0; call < 2; call++) {
        allocate(&arena, 1, 500);
        memset(allocate(&arena, 8, 3000), 1, 3000);
        CHECK((arena.more == NULL) == (call == 1));
        wp_arena_clear(&arena);
        CHECK(room(&arena) == 4096 && arena.more == NULL);
    }
    wp_arena_release(&arena);
    CHECK(room(&arena) == WP_ARENA_ROOM);
}

static void a_room_above_the_limit_is_not_kept(void) {
    wp_arena arena = {0};
    allocate(&arena, 8, 1);
    allocate(&arena, 8, WP_ARENA_KEPT);
    wp_arena_clear(&arena);
    CHECK(room(&arena) == WP_ARENA_ROOM && arena.more == NULL);
    allocate(&arena, 8, WP_ARENA_KEPT - WP_ARENA_ALIGNMENT);
    wp_arena_clear(&arena);
    CHECK(room(&arena) == WP_ARENA_KEPT);
    allocate(&arena, 8, 1 << 20);
    wp_arena_clear(&arena);
    CHECK(room(&arena) == WP_ARENA_KEPT && arena.more == NULL);
    wp_arena_release(&arena);
}

static void a_call_that_happens_once_leaves_the_first_room(void) {
    wp_arena arena = {0};
    allocate(&arena, 8, 2000);
    wp_arena_release(&arena);
    CHECK(room(&arena) == WP_ARENA_ROOM && arena.more == NULL && arena.used == 0);
}

static void a_block_that_grows_keeps_its_contents(void) {
    wp_arena arena = {0};
    void *old = allocate(&arena, 1, 3);
    memcpy(old, "abc", 3);
    void *beside = allocate(&arena, 1, 3);
    memcpy(beside, "xyz", 3);
    void *new = wp_arena_reallocate(&arena, old, 3, 1, 10);
    void *far = wp_arena_reallocate(&arena, new, 10, 8, 2 * WP_ARENA_ROOM);
    CHECK(memcmp(new, "abc", 3) == 0 && memcmp(far, "abc", 3) == 0 && memcmp(beside, "xyz", 3) == 0);
    wp_arena_release(&arena);
}

static void a_block_that_shrinks_stays_where_it_is(void) {
    wp_arena arena = {0};
    void *old = allocate(&arena, 4, 16);
    CHECK(wp_arena_reallocate(&arena, old, 16, 4, 16) == old);
    CHECK(wp_arena_reallocate(&arena, old, 16, 4, 4) == old);
    CHECK(wp_arena_reallocate(&arena, old, 16, 4, 0) == old);
}

int main(void) {
    blocks_are_aligned_and_follow_each_other();
    an_empty_block_has_an_aligned_address_and_takes_nothing();
    the_next_call_gets_the_same_memory();
    the_room_grows_for_a_larger_call();
    a_room_above_the_limit_is_not_kept();
    a_call_that_happens_once_leaves_the_first_room();
    a_block_that_grows_keeps_its_contents();
    a_block_that_shrinks_stays_where_it_is();
}
