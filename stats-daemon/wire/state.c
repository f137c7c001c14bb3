#include "state.h"

#include "../base/util.h"

#include <stdlib.h>
#include <string.h>

void state_init(struct state *s) {
    memset(s, 0, sizeof(*s));
    s->started = now_ms();
    s->begun = mono_ms();
}

void state_free(struct state *s) {
    while (s->proxies) {
        struct state_proxy *next = s->proxies->next;
        run_list_free(&s->proxies->running);
        free(s->proxies);
        s->proxies = next;
    }
    free(s->keys);
}

struct state_proxy *state_proxy(struct state *s, uint64_t instance) {
    struct state_proxy *p;

    for (p = s->proxies; p; p = p->next)
        if (p->instance == instance) return p;
    if (s->nproxies++ >= STATE_PROXIES_MAX) return NULL;
    /* those that have gone leave no more than their numbers behind */
    for (p = s->proxies; p; p = p->next)
        if (p->connections == 0) run_list_free(&p->running);
    p = xcalloc(1, sizeof(*p));
    p->instance = instance;
    p->next = s->proxies;
    s->proxies = p;
    return p;
}

/* Keys are few, or asked for in order: look where the last one was found. */
static struct state_key *find(const struct state *s, uint32_t key) {
    static int last;

    for (int i = 0; i < s->nkeys; i++) {
        int at = last + i;
        if (at >= s->nkeys) at %= s->nkeys;
        if (s->keys[at].key == key) {
            last = at;
            return &s->keys[at];
        }
    }
    return NULL;
}

const struct state_key *state_find_key(const struct state *s, uint32_t key) {
    return find(s, key);
}

struct state_key *state_key(struct state *s, uint32_t key) {
    struct state_key *k = find(s, key);

    if (k || s->nkeys >= STATE_KEYS_MAX) return k;
    if ((s->nkeys & (s->nkeys - 1)) == 0)
        s->keys = xrealloc(s->keys, (size_t)(s->nkeys ? s->nkeys * 2 : 1) *
                                        sizeof(*s->keys));
    k = &s->keys[s->nkeys++];
    memset(k, 0, sizeof(*k));
    k->key = key;
    k->index = -1;
    k->enabled = 1;
    return k;
}

static const struct state_proxy *teller(const struct state *s,
                                        const struct state_key *k) {
    for (const struct state_proxy *p = s->proxies; p; p = p->next)
        if (p->instance == k->teller) return p;
    return NULL;
}

int state_key_listed(const struct state_key *k) {
    return k->index >= 0 || *k->name == '\0';
}

int state_key_shown(const struct state *s, const struct state_key *k,
                    int64_t now) {
    int64_t old = now - STATE_SHOWN_MS;

    if (k->seen == 0 || !state_key_listed(k)) return 0;
    if (k->seen >= old) return 1;

    const struct state_proxy *p = teller(s, k);
    return p && p->seen >= old;
}

void state_copy(char *to, size_t size, const ollama_text_t *t) {
    size_t n = t->len < size ? t->len : size - 1;

    if (n) memcpy(to, t->data, n);
    to[n] = '\0';
}
