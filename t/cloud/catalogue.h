/*
 * Pages that are no answers of a model: lists of models, the account, web
 * search; its usage and balance are in usage.c. Each fills the reply; exchange.c has checked the key
 * where one is needed.
 */

#ifndef CLOUD_CATALOGUE_H
#define CLOUD_CATALOGUE_H

#include "exchange.h"

void page_home(struct exchange *ex);
void page_tags(struct exchange *ex);
void page_show(struct exchange *ex);
void page_version(struct exchange *ex);
void page_models(struct exchange *ex);
void page_model(struct exchange *ex);
void page_me(struct exchange *ex);
void page_usage(struct exchange *ex);
void page_balance(struct exchange *ex);
void page_web_search(struct exchange *ex);
void page_web_fetch(struct exchange *ex);
void page_recommendations(struct exchange *ex);
void page_not_served(struct exchange *ex);

/* With a list of models those exist; else any does, but on /v1 none under the
 * names that a local Ollama gives to those of the cloud. */
bool catalogue_has(struct slice model, enum family family);

#endif
