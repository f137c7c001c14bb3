/*
 * What config.yaml says of clients: its field "clients", a list.
 *
 *     clients:
 *       - name: anna                 # in every number, beats X-Ollama-Client
 *         token: "something long"    # or token_sha256: its SHA-256, 64 hex digits
 *         models: [gpt-oss:*, kimi-k3]   # no others; all, if it is not given
 *         keys: [team-a, team-b]     # names; never another one
 *         max_concurrent: 4          # more wait
 *         requests_per_minute: 60
 *         tokens_per_day: 2000000    # or 2m; k, m, g
 *         usd_per_month: 20
 *         weight: 2                  # of its turns in the queue, 1 to 1000
 *         bodies: off                # its requests are not kept
 *         fallback: false            # never another model than it asked for
 *         expires: 2027-01-31        # the last day (UTC) of its token
 *
 * A name is what a key's is, and stands once; so does a token, which is not one
 * of the others of the file either.  Only the SHA-256 of a token is kept.  A limit
 * that is not given is none, and is 0 here.
 *
 * Looking a token up takes as long for a wrong one as for a right one, but for
 * a search among hashes, which tells nobody anything.
 */

#ifndef OLLAMA_CONFIG_CLIENTS_H_INCLUDED
#define OLLAMA_CONFIG_CLIENTS_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

#include "config_models.h"
#include "sha256.h"

#define OLLAMA_CONFIG_CLIENTS_MAX  100000


/* a key that a client may use */

typedef struct {
    char                   *name;
    size_t                  at;             /* its place in the file's list */
} ollama_config_use_t;


typedef struct {
    char                   *name;
    unsigned char           token[OLLAMA_SHA256_LEN];
    ollama_config_model_t  *models;
    size_t                  nmodels;        /* 0: all */
    ollama_config_use_t    *keys;
    size_t                  nkeys;          /* 0: all */
    uint32_t                max_concurrent;
    uint32_t                per_minute;
    uint64_t                tokens_per_day;
    uint64_t                per_month;      /* nano-dollars */
    uint32_t                weight;
    uint32_t                line;
    int64_t                 expires;        /* it is over then, 0: never */
    unsigned                no_bodies:1;
    unsigned                no_fallback:1;
    unsigned                has_token:1;
} ollama_config_client_t;


/* clients are sorted by the token's hash; NULL: it is nobody's */

const ollama_config_client_t *ollama_config_client(
    const ollama_config_client_t *clients, size_t n, const void *token,
    size_t len);

/* 1 if the client may use a model */

int ollama_config_client_may(const ollama_config_client_t *client,
    const char *model, size_t len);

void ollama_config_clients_free(ollama_config_client_t *clients, size_t n);


#endif /* OLLAMA_CONFIG_CLIENTS_H_INCLUDED */
