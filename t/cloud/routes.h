/*
 * What is at which path (contract, section 1).
 */

#ifndef CLOUD_ROUTES_H
#define CLOUD_ROUTES_H

#include "exchange.h"

enum route_kind {
    ROUTE_PUBLIC, /* any key will do, and none */
    ROUTE_KEYED,
    ROUTE_MODEL /* keyed, in the ledger, takes a slot */
};

struct route {
    const char *path;   /* one that ends in / stands for all below */
    const char *method; /* GET includes HEAD */
    enum route_kind kind;
    void (*emit)(struct answer *a);    /* ROUTE_MODEL */
    void (*page)(struct exchange *ex); /* the others: fills the reply */
    bool embeds;                       /* only there if the knob says so */
};

/* NULL and 404 or 405 if there is none. */
const struct route *route_find(struct slice path, struct slice method,
                               int *status);

#endif
