#include "accounts.h"

#include "../base/map.h"
#include "../base/util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void accounts_start(struct accounts *a) {
    memset(a, 0, sizeof(*a));
    a->map = map_new(sizeof(struct account));
}

void accounts_free(struct accounts *a) {
    for (struct account *x = NULL; (x = map_next(a->map, x));)
        reconcile_free(&x->days);
    map_free(a->map);
    free(a->keys);
}

static struct account *account_of(struct accounts *a,
                                  const struct state_key *k) {
    char id[140];
    int fresh;

    if (*k->account)
        snprintf(id, sizeof(id), "account %s", k->account);
    else
        snprintf(id, sizeof(id), "key %08x", (unsigned)k->key);

    struct account *account = map_put(a->map, id, strlen(id), &fresh);
    if (fresh) {
        snprintf(account->name, sizeof(account->name), "%s", k->account);
        account->first = k->key;
    }
    return account;
}

void accounts_look(struct accounts *a, const struct state *s) {
    if (a->nkeys < s->nkeys) {
        a->keys = xrealloc(a->keys, (size_t)s->nkeys * sizeof(*a->keys));
        memset(a->keys + a->nkeys, 0,
               (size_t)(s->nkeys - a->nkeys) * sizeof(*a->keys));
        a->nkeys = s->nkeys;
    }
    for (struct account *x = NULL; (x = map_next(a->map, x));) x->listed = 0;
    a->listed = 0;

    for (int i = 0; i < s->nkeys; i++) {
        const struct state_key *k = &s->keys[i];
        struct account *x = a->keys[i].account;

        if (k->index < 0) continue;
        if (x == NULL || strcmp(x->name, k->account) != 0 ||
            (*k->account == '\0' && x->first != k->key))
            x = a->keys[i].account = account_of(a, k);
        if (x->listed++ == 0) a->listed++;
        if (x->key_asked < a->keys[i].asked) x->key_asked = a->keys[i].asked;
    }
}

const char *account_name(const struct account *a, const struct state *s) {
    const struct state_key *k;

    if (*a->name) return a->name;
    k = state_find_key(s, a->first);
    return k && *k->name ? k->name : "?";
}
