/*
 * config.yaml: the keys and the access token.
 *
 *     keys:
 *       - 0123..abc.XYZ              # a plain string
 *       - key: ..                    # or an object
 *         name: team-a               # default key_0, key_1 .. by position
 *         account: alice             # default: an account of its own
 *         max_concurrent: 3          # 1 to 1000, default 0: not known
 *         weight: 5                  # 1 to 1000, default 1
 *         tier: 1                    # 0 to 9, default 0: lower ones first
 *         floor: 10%                 # or 5usd: what is kept of its account
 *         enabled: true
 *     auth_token: ".."               # of who uses the API
 *     admin_token: ".."              # of who looks after it
 *     metrics_token: ".."            # of who reads /metrics alone
 *     allow_unauthenticated_access: false
 *     models: ..                     # see config_models.h
 *     clients: ..                    # see config_clients.h
 *     prices: ..                     # see price.h
 *
 * Read from memory by libyaml's events; nothing but the above is accepted: no
 * anchors, aliases or tags, no second document, no field twice or unknown.
 * A key consists of letters, digits and "-._~+/=" (RFC 6750), a name of
 * letters, digits, "._-@+:/" and inner spaces; so does an account.  No key
 * stands twice, no name either; no name or account holds a key, since they are
 * shown.
 * Two keys of one fingerprint are refused as well: state, records and history
 * go by it.  (By chance that happens to one pool of 10,000 keys in 85.)
 *
 * ollama_config_parse() returns 0, or -1 and one sentence in err that starts
 * with "line L, column C: ".  The sentence is made of constant words and
 * numbers alone (fields and keys are named by position), so no value can slip
 * into a log.  On error conf is empty.
 *
 * Strings end with NUL and belong to conf; ollama_config_free() wipes them.
 */

#ifndef OLLAMA_CONFIG_H_INCLUDED
#define OLLAMA_CONFIG_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

#include "config_clients.h"
#include "config_models.h"
#include "fingerprint.h"
#include "price.h"

#define OLLAMA_CONFIG_KEYS_MAX    100000
#define OLLAMA_CONFIG_KEY_MAX     512
#define OLLAMA_CONFIG_NAME_MAX    64
#define OLLAMA_CONFIG_TOKEN_MAX   1024
#define OLLAMA_CONFIG_BYTES_MAX   (64 * 1024 * 1024)
#define OLLAMA_CONFIG_NUMBER_MAX  1000
#define OLLAMA_CONFIG_ERROR_MAX   256       /* enough for every sentence */


typedef struct {
    char       *key;
    char       *name;               /* never NULL */
    char       *account;            /* NULL: its own */
    size_t      key_len;
    uint32_t    max_concurrent;     /* 0: not known until the cloud tells */
    uint32_t    weight;
    uint32_t    tier;               /* 0 to 9: lower ones first */
    uint32_t    floor_percent;      /* of what the period includes, or */
    uint64_t    floor_cost;         /*   nano-dollars: kept for the last */
    uint32_t    line;
    unsigned    enabled:1;
    char        fingerprint[OLLAMA_FINGERPRINT_LEN + 1];
} ollama_config_key_t;


typedef struct {
    ollama_config_key_t  *keys;
    size_t                nkeys;
    char                 *auth_token;               /* NULL: not given */
    char                 *admin_token;              /* likewise */
    char                 *metrics_token;
    int                   allow_unauthenticated;    /* 0, 1, -1: not given */

    ollama_config_models_t   models;

    ollama_config_client_t  *clients;               /* by their tokens */
    size_t                   nclients;

    ollama_prices_t         *prices;                /* NULL: none are given */
} ollama_config_t;


int ollama_config_parse(ollama_config_t *conf, const unsigned char *data,
    size_t len, char *err, size_t err_size);
void ollama_config_free(ollama_config_t *conf);

/*
 * 1 for true yes on 1, 0 for false no off 0, in any case; -1 for the rest.
 * Meant for the environment's ALLOW_UNAUTHENTICATED_ACCESS too.
 */
int ollama_config_bool(const char *value, size_t len);

/* 1 if value may be the access token: not empty, no spaces or control bytes */
int ollama_config_token(const char *value, size_t len);


#endif /* OLLAMA_CONFIG_H_INCLUDED */
