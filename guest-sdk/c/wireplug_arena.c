/* The functions of wireplug_arena.h. */
#include "wireplug_arena.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(wp_block) % WP_ARENA_ALIGNMENT == 0, "the memory of a block is aligned");

static void *memory_of(wp_block *block) {
    return block + 1;
}

static wp_block *new_block(size_t size, wp_block *next) {
    if (size > SIZE_MAX / 2) abort();
    wp_block *block = malloc(sizeof *block + size);
    if (block == NULL) abort();
    *block = (wp_block){next, size};
    return block;
}

static void *allocate(wp_arena *arena, size_t alignment, size_t size) {
    wp_assert(alignment <= WP_ARENA_ALIGNMENT);
    uint8_t *room = arena->grown == NULL ? arena->first : memory_of(arena->grown);
    size_t room_size = arena->grown == NULL ? WP_ARENA_ROOM : arena->grown->size;
    /* The size of the room is a multiple of the alignment, so this is not behind its end. */
    size_t start = (arena->used + alignment - 1) & ~(alignment - 1);
    if (size > room_size - start) {
        arena->more = new_block(size, arena->more);
        return memory_of(arena->more);
    }
    arena->used = start + size;
    return room + start;
}

void *wp_arena_reallocate(wp_arena *arena, void *old, size_t old_size, size_t alignment, size_t size) {
    if (old == NULL) return allocate(arena, alignment, size);
    if (size <= old_size) return old;
    void *new = allocate(arena, alignment, size);
    memcpy(new, old, old_size);
    return new;
}

/* Frees the blocks that did not fit. Returns the room that would have held them, in bytes. */
static size_t free_more(wp_arena *arena) {
    size_t needed = arena->used;
    while (arena->more != NULL) {
        wp_block *block = arena->more;
        arena->more = block->next;
        /* The block may need padding before it. */
        needed += block->size + WP_ARENA_ALIGNMENT;
        free(block);
    }
    return needed;
}

void wp_arena_clear(wp_arena *arena) {
    if (arena->more != NULL) {
        size_t needed = free_more(arena), size = WP_ARENA_ROOM;
        if (needed <= WP_ARENA_KEPT) {
            while (size < needed) size *= 2;
            free(arena->grown);
            arena->grown = new_block(size, NULL);
        }
    }
    arena->used = 0;
}

void wp_arena_release(wp_arena *arena) {
    free_more(arena);
    free(arena->grown);
    arena->grown = NULL;
    arena->used = 0;
}
