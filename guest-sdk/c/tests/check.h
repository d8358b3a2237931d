/* What the tests share. A test is a function whose name says what must be true. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

#include "wireplug.h"

/* Ends the program with the place in the test if the condition is false. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, __func__, #condition);                              \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* The bytes of a string literal, which may contain zeros. */
#define BYTES(text) ((wp_bytes){(const uint8_t *)(text), sizeof(text) - 1})

#endif
