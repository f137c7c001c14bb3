/*
 * What the ledger is asked.  A store answers a question with a switch over its
 * kind; whoever asks uses the functions at the end.  Bounds of time are from
 * (in it) and to (not in it).
 */

#ifndef STATSD_QUESTION_H
#define STATSD_QUESTION_H

#include "store.h"

enum store_question_kind {
    STORE_ASK_HOURS,     /* by (client, key, model), newest first */
    STORE_ASK_MINUTES,   /* or steps of more, of one kind, oldest first */
    STORE_ASK_ROWS,      /* requests, newest first */
    STORE_ASK_ROW,       /* one: STORE_NONE if there is none */
    STORE_ASK_KEYS,      /* names of keys */
    STORE_ASK_USAGE,     /* of keys by minute, from since on */
    STORE_ASK_PENALTIES, /* that stand at a time */
    STORE_ASK_EVENTS,    /* their history, newest first */
    STORE_ASK_SPREADS,   /* of one kind, see struct store_spread */
    STORE_ASK_TURNS,     /* of conversations: a row a model and affinity */
    STORE_ASK_NOTHING    /* does it answer? */
};

struct store_question {
    enum store_question_kind kind;
    union {
        struct {
            int64_t from, to;
            int limit;
            store_hour_cb *cb;
        } hours;
        struct {
            enum store_kind kind;
            int64_t from, to;
            int step; /* minutes */
            const int64_t *refs;
            int nrefs; /* 0: all */
            store_minute_cb *cb;
        } minutes;
        struct {
            const struct store_query *query;
            store_row_cb *cb;
        } rows;
        struct {
            int64_t id;
            store_row_cb *cb;
        } row;
        struct {
            store_key_cb *cb;
        } keys;
        struct {
            uint32_t since; /* minute */
            store_usage_cb *cb;
        } usage;
        struct {
            int64_t now;
            store_penalty_cb *cb;
        } penalties;
        struct {
            int limit;
            store_event_cb *cb;
        } events;
        struct {
            enum store_kind kind;
            int64_t from, to, step;
            store_spread_cb *cb;
        } spreads;
        struct {
            int64_t from, to;
            store_turns_cb *cb;
        } turns;
    } of;
    void *arg; /* the callback's */
};

enum store_result store_hours(struct store_reader *rd, int64_t from, int64_t to,
                              int limit, store_hour_cb *cb, void *arg);
enum store_result store_minutes(struct store_reader *rd, enum store_kind kind,
                                int64_t from, int64_t to, int step,
                                store_minute_cb *cb, void *arg);
/* Those of some names only, by numbers that another answer gave. */
enum store_result store_minutes_of(struct store_reader *rd,
                                   enum store_kind kind, int64_t from,
                                   int64_t to, int step, const int64_t *refs,
                                   int nrefs, store_minute_cb *cb, void *arg);
enum store_result store_rows(struct store_reader *rd,
                             const struct store_query *query, store_row_cb *cb,
                             void *arg);
enum store_result store_row(struct store_reader *rd, int64_t id,
                            store_row_cb *cb, void *arg);
/* Requests after a cursor up to what is certain to be complete (horizon()): at
 * most the newest limit of them. */
enum store_result store_changes(struct store_reader *rd,
                                struct ledger_cursor since, int limit,
                                store_row_cb *cb, void *arg);
enum store_result store_key_names(struct store_reader *rd, store_key_cb *cb,
                                  void *arg);
enum store_result store_usage(struct store_reader *rd, uint32_t since,
                              store_usage_cb *cb, void *arg);
enum store_result store_penalties(struct store_reader *rd, int64_t now,
                                  store_penalty_cb *cb, void *arg);
enum store_result store_events(struct store_reader *rd, int limit,
                               store_event_cb *cb, void *arg);
enum store_result store_spreads(struct store_reader *rd, enum store_kind kind,
                                int64_t from, int64_t to, int64_t step,
                                store_spread_cb *cb, void *arg);
/* Whole hours, one row for each model and affinity, by the models' names. */
enum store_result store_turns(struct store_reader *rd, int64_t from, int64_t to,
                              store_turns_cb *cb, void *arg);
enum store_result store_probe(struct store_reader *rd);

#endif
