/* The record of a trap, in which the codec says what it is doing.
 *
 * A trapped component cannot be called again. So the runtime reads this record from the memory of
 * the component: it finds the address in the exported global `wireplug_trap`. */
#include "wireplug_flat.h"

/* The runtime knows this layout. */
struct wp_trap_record {
    /* The index of the packet or message in a batch, or the offset of the packet in a stream. */
    uint32_t position;
    /* The length of the text. */
    uint32_t length;
    /* Where the codec panicked, and its message. */
    char text[512];
};

struct wp_trap_record wireplug_trap = {.position = WP_NOWHERE};

void wp_at(uint32_t position) {
    wireplug_trap.position = position;
}

static void put(const char *text) {
    while (*text != 0 && wireplug_trap.length < sizeof wireplug_trap.text) {
        wireplug_trap.text[wireplug_trap.length++] = *text++;
    }
}

void wp_panic_at(const char *file, const char *line, const char *message) {
    put(file);
    put(":");
    put(line);
    put(": ");
    put(message);
    __builtin_trap();
}
