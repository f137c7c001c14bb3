/*
 * One request and its answer, from the checks to the ledger.
 *
 * The order in which a request is looked at (contract 8.2): rules, route and
 * method, body, key, model, whether the account may use the model, its quota,
 * its slots. Then it runs: it holds a slot until its answer has left or the
 * client has.
 */

#ifndef CLOUD_EXCHANGE_H
#define CLOUD_EXCHANGE_H

#include "accounts.h"
#include "emit.h"
#include "prices.h"
#include "rules.h"

struct exchange {
    struct conn *c;
    const struct route *route;
    struct question question;
    struct slice key;        /* of Authorization: Bearer */
    bool many_keys;          /* several Authorization headers */
    struct account *account; /* only good until the loop comes back */
    struct error_about about;
    struct rule *rule;

    struct ticket ticket;
    struct entry entry;
    bool counted, running; /* entry is good; it holds a slot */
    bool hangs;            /* there will be no answer */
    time_t at;             /* when it came in, and the price of then */
    struct price price;
    bool priced;
    struct answer answer;
    uint64_t record; /* in the request log, 0 is none */
};

/* Sends the reply with the headers that the cloud adds. */
void exchange_send(struct exchange *ex);
void exchange_error(struct exchange *ex, int status, const char *text);
void exchange_preset(struct exchange *ex, enum preset preset);

#endif
