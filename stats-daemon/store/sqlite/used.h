/*
 * What a key had used of its window when a penalty came: a part of the row in
 * penalty, and of that in its history.
 *
 * The window is the one that the penalty's reason names, else the last two
 * hours (cause_window()).  It is added up at the end of the batch, when that
 * batch's own requests are in the tables, from usage_spread: to the minute,
 * and as far back as that goes.
 */

#ifndef STATSD_STORE_USED_H
#define STATSD_STORE_USED_H

#include "sqlite.h"

#define STORE_USED_COLUMNS(table)                           \
    "ALTER TABLE " table " ADD COLUMN used_from INTEGER;"   \
    "ALTER TABLE " table " ADD COLUMN used_tokens INTEGER;" \
    "ALTER TABLE " table " ADD COLUMN used_requests INTEGER;"

#define STORE_USED_SCHEMA \
    STORE_USED_COLUMNS("penalty") STORE_USED_COLUMNS("key_event")

struct store_used;
struct store_used *sqlite_used_new(void);
void sqlite_used_free(struct store_used *u);

/* A penalty of the batch, with the row of its history. */
void sqlite_used_note(struct sqlite *s, const ollama_record_penalty_t *p,
                      int64_t event);
enum store_result sqlite_used_write(struct sqlite *s);
void sqlite_used_clear(struct sqlite *s);

#endif
