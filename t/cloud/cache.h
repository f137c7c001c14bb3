/*
 * The prompt cache: which beginnings of prompts were computed before, and how
 * many tokens of a prompt that spares.
 *
 * A beginning is a model, what stands before all messages (system, tools,
 * instructions), and the first messages, each byte by byte as it came. It is known
 * until `prompt_cache_ttl` seconds after it was used last, by the simulator's
 * clock: to the account whose request it was, or to all, by the knob
 * `prompt_cache`.
 */

#ifndef CLOUD_CACHE_H
#define CLOUD_CACHE_H

#include "question.h"

/* Tokens of the longest beginning that is known; then all of them are. account
 * may be NULL. */
int64_t cache_use(const struct question *q, const char *account);

void cache_reset(void);

#endif
