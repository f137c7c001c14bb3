/*
 * What the files that read config.yaml know of each other; nobody else includes
 * this.  config.h says what is accepted and what is promised.
 *
 *     config.c         the document: its top, and the list of keys
 *     config_key.c     one entry of that list, its fields
 *     config_value.c   libyaml's events, values and objects read from them,
 *                      sentences for what is wrong
 *     config_models.c  what is said of models
 *     config_prices.c  and what they cost; a file of prices, too
 *     config_price.c   one price, and its peak
 *     config_clients.c the list of clients, its entries
 *     config_clients_check.c   what can be said of them when all are there
 *     config_check.c   what can be said of the keys only when all are there:
 *                      names by position, what stands twice
 *
 * All functions return 0, or -1 when the sentence has been written and reading
 * ends (or what is said beside them).  Those that read a value find its first
 * event in ctx->event, and leave the value's last one there: next() frees it
 * and takes another.
 *
 * "where" is " of keys[N]" while an entry is read, " of clients[N]" likewise, and
 * empty elsewhere, so that one sentence does for all.  Constant words, names of fields, positions and
 * numbers are all that goes into a sentence: no value of the file ever does.
 */

#ifndef OLLAMA_CONFIG_INTERNAL_H_INCLUDED
#define OLLAMA_CONFIG_INTERNAL_H_INCLUDED

#include "config.h"

#include <yaml.h>


typedef struct {
    size_t                   line;      /* from 1; 0: not in the file */
    size_t                   column;
} ollama_config_mark_t;


typedef struct {
    ollama_config_mark_t     key;
    ollama_config_mark_t     name;
    ollama_config_mark_t     account;
} ollama_config_marks_t;


typedef struct {
    yaml_parser_t            parser;
    yaml_event_t             event;
    ollama_config_mark_t     mark;      /* of the event */

    ollama_config_t         *conf;
    ollama_config_marks_t   *marks;     /* one for each key */
    size_t                   nalloc;

    const unsigned char     *data;
    size_t                   len;

    char                    *err;
    size_t                   err_size;

    void                    *item;      /* what is read, for its fields */
    char                     where[32];
    unsigned                 have_event:1;
} ollama_config_ctx_t;


typedef struct {
    const char  *name;
    int        (*read)(ollama_config_ctx_t *ctx);
} ollama_config_field_t;


/* an object of fields that are all known and stand once; ends with no name */

int ollama_config_fields(ollama_config_ctx_t *ctx,
    const ollama_config_field_t *fields);

/* the value of "models"; a list of names of models, or their beginnings */

int ollama_config_models(ollama_config_ctx_t *ctx);
int ollama_config_patterns(ollama_config_ctx_t *ctx, const char *field,
    ollama_config_model_t **models, size_t *n);
void ollama_config_models_free(ollama_config_model_t *models, size_t n);

/* the value of "prices"; one price in it, an object */

int ollama_config_prices(ollama_config_ctx_t *ctx);
int ollama_config_price(ollama_config_ctx_t *ctx,
    ollama_price_model_t *model);

/* the value of "clients", and what can be said of them when all is there */

int ollama_config_clients(ollama_config_ctx_t *ctx);
int ollama_config_clients_check(ollama_config_ctx_t *ctx);

/* the next key of the list, as a string or an object */

int ollama_config_entry(ollama_config_ctx_t *ctx);

int ollama_config_check(ollama_config_ctx_t *ctx);

/* a name that people see, so that a key must not slip into it */

int ollama_config_label(ollama_config_ctx_t *ctx, const char *field,
    char **label);

/* the next event; no anchors, aliases and tags */

int ollama_config_next(ollama_config_ctx_t *ctx);

/* the event is one value that is not empty */

int ollama_config_scalar(ollama_config_ctx_t *ctx, const char *field);

/* 1: the event is "", "~" or "null", unquoted; 0: it is not */

int ollama_config_null(ollama_config_ctx_t *ctx);

/* the value of the event as a string of its own */

int ollama_config_copy(ollama_config_ctx_t *ctx, char **to);

/* 1 to OLLAMA_CONFIG_NUMBER_MAX */

int ollama_config_number(ollama_config_ctx_t *ctx, const char *field,
    uint32_t *n);

/* a number of at most three decimals, in 1/1000; bytes of it, 0: it is none */

size_t ollama_config_thousandths(const char *value, size_t len, uint64_t *n);

/* "2026-11-27": seconds since 1970 at its beginning (UTC); -1: it is no day */

int ollama_config_date(const char *value, size_t len, int64_t *when);

/* 1, 0; -1 as elsewhere */

int ollama_config_flag(ollama_config_ctx_t *ctx, const char *field);

/* the sentence, about the event or about another place; always -1 */

int ollama_config_here(ollama_config_ctx_t *ctx, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
int ollama_config_fail(ollama_config_ctx_t *ctx,
    const ollama_config_mark_t *mark, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int ollama_config_memory(ollama_config_ctx_t *ctx);


#endif /* OLLAMA_CONFIG_INTERNAL_H_INCLUDED */
