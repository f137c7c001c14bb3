/*
 * What every page may need: the context of http.
 */

#ifndef STATSD_CONTEXT_H
#define STATSD_CONTEXT_H

#include "../balance/asker.h"
#include "../bodies/segments.h"

#include "../ledger/ask.h"
#include "../ledger/retention.h"
#include "../ledger/writer.h"
#include "../store/question.h"
#include "../wire/state.h"

struct api {
    struct state *state;
    struct store *store;
    struct ask *ask;
    struct writer *writer;
    const struct segments *bodies;
    const char *dir; /* the data folder */
    const struct retention *keep;
    const struct asker *asker;
};

#endif
