/*
 * Members that answers of several files have, written into a JSON object.
 */

#ifndef STATSD_FIELDS_H
#define STATSD_FIELDS_H

#include "../base/json.h"
#include "../store/question.h"

#include <stdint.h>

/* NULL and "" give null. */
void field_text(struct json *j, const char *name, const char *value);
void field_number(struct json *j, const char *name, int64_t value);

/* A negative one gives null. */
void field_maybe(struct json *j, const char *name, int64_t value);

/* Nano-dollars as dollars, exactly; negative ones give null. */
void field_money(struct json *j, const char *name, int64_t nano);

/* "key" and "key_fingerprint": a key without a name is called by its
 * fingerprint, 0 is none. */
void field_key(struct json *j, uint32_t key, const char *name);

/* One object: which key, its status (0: none came), and why that was not the
 * answer that the client got. */
void field_attempt(struct json *j, uint32_t key, unsigned status, unsigned ms,
                   unsigned cause);
const char *field_cause(unsigned cause);

void field_counts(struct json *j, const struct store_counts *n);

/* What became of a conversation: a word, NULL for none. */
const char *field_affinity(int affinity);

/* How a request ended, in a word. */
const char *field_end(unsigned end);

#endif
