/* Ids of open requests: those of the protocol and those of the contract.
 *
 * A map holds pairs. `insert` takes the id of the side that sends the request, and returns a number
 * under which the other side knows the request. `take` takes the number with the response, and
 * gives the first id. A codec has one map for each direction in which ids differ.
 *
 * The client's ids are texts or other bytes, and the contract gets numbers:
 *
 *     wp_ids from_client = {.limit = 64};
 *     uint64_t id = wp_ids_insert(&from_client, own, &reason);   in codec_decode, for a request
 *     wp_ids_take(&from_client, message->id, packet);            in codec_encode, for a response
 *
 * The protocol has serials of 16 bits, and the requests of the application get one:
 *
 *     wp_ids to_client = {.limit = 64, .largest = 65535};
 *     uint64_t serial = wp_ids_insert_number(&to_client, message->id, reason);
 *     wp_ids_take_number(&to_client, serial, &id);               in codec_decode, for a response
 *     wp_ids_remove_number(&to_client, id);                      in codec_abandoned
 *
 * A search looks at each open request, so `limit` also bounds the time of a call.
 */
#ifndef WIREPLUG_IDS_H
#define WIREPLUG_IDS_H

#include "wireplug.h"

/* The longest id of the protocol, in bytes. */
enum { WP_ID_MAX = 255 };

typedef struct wp_open_request {
    uint64_t number;
    wp_buffer id;
} wp_open_request;

/* The codec sets the first three fields. The others begin with zeros. */
typedef struct wp_ids {
    /* The largest number of open requests. */
    size_t limit;
    /* Numbers run from 1 to this one, then again from 1. 0 stands for 2^32 - 1. */
    uint64_t largest;
    /* What happens to another request when the map is full: the oldest leaves the map, or the new
     * request is refused. */
    bool drop_oldest;
    /* The last number that was given, or 0. */
    uint64_t last;
    /* The open requests, the oldest first. */
    wp_open_request *open;
    size_t len;
} wp_ids;

/* Opens a request. Returns its number, which no open request has. Returns 0, and appends to
 * `reason`, if the id is open or too long, or the map is full. */
uint64_t wp_ids_insert(wp_ids *ids, wp_bytes id, wp_buffer *reason);
/* Closes the request with this number, and appends its id to `id`. Returns false if there is none. */
bool wp_ids_take(wp_ids *ids, uint64_t number, wp_buffer *id);
/* Closes the request with this id. Returns its number, or 0 if there is none. */
uint64_t wp_ids_remove(wp_ids *ids, wp_bytes id);

/* The same for ids that are numbers, as those of the contract. */
uint64_t wp_ids_insert_number(wp_ids *ids, uint64_t id, wp_buffer *reason);
bool wp_ids_take_number(wp_ids *ids, uint64_t number, uint64_t *id);
uint64_t wp_ids_remove_number(wp_ids *ids, uint64_t id);

/* Appends the map to the state of a handoff. */
void wp_ids_save(const wp_ids *ids, wp_buffer *state);
/* Reads a map from the front of a state, and moves `state` behind it. `ids` has its limits and no
 * open request. Returns false if this is no map with these limits. */
bool wp_ids_restore(wp_ids *ids, wp_bytes *state);
/* Closes all requests, and frees the memory. */
void wp_ids_free(wp_ids *ids);

#endif
