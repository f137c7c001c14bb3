/*
 * What keys are called, for whoever writes an answer, on any thread.
 *
 * The loop says it when a proxy or the ledger has told it (key_names_set()); a
 * name stays until there is another, as old requests name keys that are gone.
 */

#ifndef STATSD_KEY_NAMES_H
#define STATSD_KEY_NAMES_H

#include <stdint.h>

#define KEY_NAME_SIZE 129

void key_names_set(uint32_t key, const char *name);

/* Into name; "" if there is none. */
void key_names_get(uint32_t key, char name[KEY_NAME_SIZE]);

void key_names_free(void);

#endif
