/*
 * The ledger's list of keys, in the state: what keys are called, and which of
 * them some proxy has (state_key.index).  It is read at the start, and again
 * whenever a proxy has told its keys and they are in the ledger.
 */

#ifndef STATSD_KEY_LIST_H
#define STATSD_KEY_LIST_H

#include "../ledger/ask.h"
#include "state.h"

/* At the start, when nobody else reads. */
enum store_result key_list_read(struct state *state, struct store *store);

/* Later; the state must last as long as the threads. */
void key_list_ask(struct state *state, struct ask *k);

#endif
