/* Tests of the buffers that the next answer uses again. */
#include "check.h"
#include "wireplug_flat.h"

static void the_next_answer_gets_the_same_memory(void) {
    wp_buffer buffer = {0};
    wp_put_text(&buffer, "first");
    const uint8_t *at = buffer.at;
    wp_reuse(&buffer);
    CHECK(buffer.len == 0 && buffer.at == at);
    wp_put_text(&buffer, "second");
    CHECK(buffer.at == at);
    wp_free(&buffer);
}

static void a_large_buffer_is_freed(void) {
    static const uint8_t large[WP_ANSWER_KEPT + 1];
    wp_buffer buffer = {0};
    wp_put(&buffer, (wp_bytes){large, WP_ANSWER_KEPT});
    wp_reuse(&buffer);
    CHECK(buffer.room == WP_ANSWER_KEPT);
    wp_put(&buffer, (wp_bytes){large, sizeof large});
    wp_reuse(&buffer);
    CHECK(buffer.at == NULL && buffer.room == 0 && buffer.len == 0);
}

int main(void) {
    the_next_answer_gets_the_same_memory();
    a_large_buffer_is_freed();
}
