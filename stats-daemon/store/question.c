#include "question.h"

enum store_result store_hours(struct store_reader *rd, int64_t from, int64_t to,
                              int limit, store_hour_cb *cb, void *arg) {
    return store_ask(rd,
                     &(struct store_question){.kind = STORE_ASK_HOURS,
                                              .of.hours = {from, to, limit, cb},
                                              .arg = arg});
}

enum store_result store_minutes_of(struct store_reader *rd,
                                   enum store_kind kind, int64_t from,
                                   int64_t to, int step, const int64_t *refs,
                                   int nrefs, store_minute_cb *cb, void *arg) {
    return store_ask(rd,
                     &(struct store_question){
                         .kind = STORE_ASK_MINUTES,
                         .of.minutes = {kind, from, to, step, refs, nrefs, cb},
                         .arg = arg});
}

enum store_result store_minutes(struct store_reader *rd, enum store_kind kind,
                                int64_t from, int64_t to, int step,
                                store_minute_cb *cb, void *arg) {
    return store_minutes_of(rd, kind, from, to, step, NULL, 0, cb, arg);
}

enum store_result store_rows(struct store_reader *rd,
                             const struct store_query *query, store_row_cb *cb,
                             void *arg) {
    return store_ask(rd, &(struct store_question){.kind = STORE_ASK_ROWS,
                                                  .of.rows = {query, cb},
                                                  .arg = arg});
}

enum store_result store_row(struct store_reader *rd, int64_t id,
                            store_row_cb *cb, void *arg) {
    return store_ask(rd, &(struct store_question){.kind = STORE_ASK_ROW,
                                                  .of.row = {id, cb},
                                                  .arg = arg});
}

enum store_result store_changes(struct store_reader *rd,
                                struct ledger_cursor since, int limit,
                                store_row_cb *cb, void *arg) {
    struct store_query q = {
        .after = since, .upto = store_horizon(rd->store), .limit = limit};

    return store_rows(rd, &q, cb, arg);
}

enum store_result store_key_names(struct store_reader *rd, store_key_cb *cb,
                                  void *arg) {
    return store_ask(rd, &(struct store_question){.kind = STORE_ASK_KEYS,
                                                  .of.keys = {cb},
                                                  .arg = arg});
}

enum store_result store_usage(struct store_reader *rd, uint32_t since,
                              store_usage_cb *cb, void *arg) {
    return store_ask(rd, &(struct store_question){.kind = STORE_ASK_USAGE,
                                                  .of.usage = {since, cb},
                                                  .arg = arg});
}

enum store_result store_penalties(struct store_reader *rd, int64_t now,
                                  store_penalty_cb *cb, void *arg) {
    return store_ask(rd, &(struct store_question){.kind = STORE_ASK_PENALTIES,
                                                  .of.penalties = {now, cb},
                                                  .arg = arg});
}

enum store_result store_events(struct store_reader *rd, int limit,
                               store_event_cb *cb, void *arg) {
    return store_ask(rd, &(struct store_question){.kind = STORE_ASK_EVENTS,
                                                  .of.events = {limit, cb},
                                                  .arg = arg});
}

enum store_result store_spreads(struct store_reader *rd, enum store_kind kind,
                                int64_t from, int64_t to, int64_t step,
                                store_spread_cb *cb, void *arg) {
    return store_ask(
        rd, &(struct store_question){.kind = STORE_ASK_SPREADS,
                                     .of.spreads = {kind, from, to, step, cb},
                                     .arg = arg});
}

enum store_result store_turns(struct store_reader *rd, int64_t from, int64_t to,
                              store_turns_cb *cb, void *arg) {
    return store_ask(rd, &(struct store_question){.kind = STORE_ASK_TURNS,
                                                  .of.turns = {from, to, cb},
                                                  .arg = arg});
}

enum store_result store_probe(struct store_reader *rd) {
    return store_ask(rd, &(struct store_question){.kind = STORE_ASK_NOTHING});
}
