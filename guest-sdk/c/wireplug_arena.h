/* The memory that the runtime writes arguments into. Internal to the SDK.
 *
 * The runtime asks for a block for each list of a call, and the call borrows the lists from there.
 * When the call ends, all blocks are free at once. The room for them is kept, so that an ordinary
 * call takes nothing from malloc, and gives nothing back. */
#ifndef WIREPLUG_ARENA_H
#define WIREPLUG_ARENA_H

#include <stdint.h>

#include "wireplug.h"

/* The size of the room that each instance begins with, in bytes: enough for a small call. The room
 * lies in a static, beside others that each call writes, and is no larger, because each page that a
 * session writes costs memory of its own. */
#define WP_ARENA_ROOM 512

/* The largest room that is kept from one call to the next, in bytes. It holds a usual batch. Blocks
 * that do not fit are freed when the call ends, so that one large packet does not take memory from
 * the session's limit for the rest of the connection. */
#define WP_ARENA_KEPT (16 << 10)

/* The largest alignment of the canonical ABI. */
#define WP_ARENA_ALIGNMENT 8

/* The head of a block from malloc. The memory of the block follows it. */
typedef struct wp_block {
    struct wp_block *next;
    size_t size;
} wp_block;

/* An arena of zeros is empty. */
typedef struct wp_arena {
    _Alignas(WP_ARENA_ALIGNMENT) uint8_t first[WP_ARENA_ROOM];
    /* The room in the place of the first one, which was too small, or NULL. */
    wp_block *grown;
    /* How much of the room the current call has taken, in bytes. */
    size_t used;
    /* Blocks that do not fit into the room. */
    wp_block *more;
} wp_arena;

/* Returns memory of the new size that begins with the contents of the old block. Without an old
 * block, `old` is NULL. The old block is free when the call ends. Traps if there is no memory. */
void *wp_arena_reallocate(wp_arena *arena, void *old, size_t old_size, size_t alignment, size_t size);
/* Frees the arguments of a call, and keeps the room for the next one. */
void wp_arena_clear(wp_arena *arena);
/* Frees the arguments of a call that happens once. They say nothing about the room that later calls
 * need. */
void wp_arena_release(wp_arena *arena);

#endif
