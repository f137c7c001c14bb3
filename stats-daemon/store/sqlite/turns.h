/*
 * Turns of conversations by hour, model and what became of them (affinity): of
 * them /stats/affinity tells what it gives to keep an account.  Few rows, which
 * go with the sums by hour.
 */

#ifndef STATSD_STORE_TURNS_H
#define STATSD_STORE_TURNS_H

#include "sqlite.h"

#define STORE_TURNS_SCHEMA        \
    "CREATE TABLE turn("          \
    " hour INTEGER NOT NULL,"     \
    " model INTEGER NOT NULL,"    \
    " affinity INTEGER NOT NULL," \
    " turns INTEGER NOT NULL,"    \
    " prompt INTEGER NOT NULL,"   \
    " cached INTEGER NOT NULL,"   \
    " shares INTEGER NOT NULL,"   \
    " squares INTEGER NOT NULL,"  \
    " could INTEGER NOT NULL,"    \
    " saved INTEGER NOT NULL,"    \
    " PRIMARY KEY(hour, model, affinity)) WITHOUT ROWID;"

#define STORE_TURNS_WRITE                                      \
    "INSERT INTO turn VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)"  \
    " ON CONFLICT(hour, model, affinity) DO UPDATE SET"        \
    " turns = turns + excluded.turns, prompt = prompt + "      \
    "excluded.prompt, cached = cached + excluded.cached,"      \
    " shares = shares + excluded.shares, squares = squares + " \
    "excluded.squares, could = could + excluded.could,"        \
    " saved = saved + excluded.saved"

#define STORE_TURNS_ROWS                                      \
    "SELECT m.name, t.affinity, t.turns, t.prompt, t.cached," \
    " t.shares, t.squares, t.could, t.saved FROM turn t"      \
    " LEFT JOIN model m ON m.id = t.model"                    \
    " WHERE t.hour >= ?1 AND t.hour < ?2"

#define STORE_TURNS_TRIM                                              \
    "DELETE FROM turn WHERE (hour, model, affinity) IN (SELECT hour," \
    " model, affinity FROM turn WHERE hour < ?1 LIMIT ?2)"

/* A request of the batch; what it adds. */
void sqlite_turns_note(struct sqlite *s, const struct profile *p,
                       int64_t minute, const ollama_record_request_t *q);
enum store_result sqlite_turns_write(struct sqlite *s);

enum store_result sqlite_turns(struct sqlite_reader *rd, int64_t from,
                               int64_t to, store_turns_cb *cb, void *arg);

#endif
