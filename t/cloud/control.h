/*
 * The pages under /_sim/, by which a test steers the simulator and reads what
 * happened. No key is asked for, nothing here is recorded.
 *
 *   POST /_sim/reset       ledger, bill, requests, prompt cache and rules are
 *                          emptied, usage of the accounts too, balances are as
 *                          they were given; accounts, knobs, prices and the
 *                          clock stay
 *   POST /_sim/accounts    accounts.h
 *   POST /_sim/rules       rules.h
 *   POST /_sim/knobs       knobs.h
 *   POST /_sim/prices      prices.h
 *   POST /_sim/clock       clock.h; GET as well
 *   GET  /_sim/ledger      ledger.h
 *   GET  /_sim/bill        bill.h
 *   GET  /_sim/balances    accounts.h
 *   GET  /_sim/asked       asked.h
 *   GET  /_sim/requests    reqlog.h; ?last=N
 *
 * A document that is wrong changes nothing: 400 and {"error": "why"}. One that
 * is right: {"ok":true}.
 */

#ifndef CLOUD_CONTROL_H
#define CLOUD_CONTROL_H

#include "http.h"

bool control_owns(struct slice path);
void control_answer(struct conn *c); /* fills the reply */

/* A file for --config, as POST /_sim/accounts takes it; false and a complaint
 * on stderr. */
bool control_load_accounts(const char *file);

void control_reset(void);

#endif
