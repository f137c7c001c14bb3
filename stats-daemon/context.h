/*
 * What every page may need: the context of http.
 */

#ifndef STATSD_CONTEXT_H
#define STATSD_CONTEXT_H

#include "bodies/segments.h"

#include "ask.h"
#include "retention.h"
#include "state.h"
#include "store.h"
#include "writer.h"

struct api {
    struct state *state;
    struct store *store;
    struct ask *ask;
    struct writer *writer;
    const struct segments *bodies;
    const char *dir; /* the data folder */
    const struct retention *keep;
};

#endif
