#include "key_list.h"

#include "../base/log.h"
#include "key_names.h"

#include <stdio.h>
#include <string.h>

/* One key in an answer's bytes. */
struct known {
    uint32_t key;
    int index;
    char name[KEY_NAME_SIZE], account[KEY_NAME_SIZE];
};

static void on_key(void *arg, const struct store_key_name *k) {
    struct known known = {.key = k->key, .index = k->index};

    snprintf(known.name, sizeof(known.name), "%s", k->name ? k->name : "");
    snprintf(known.account, sizeof(known.account), "%s",
             k->account ? k->account : "");
    json_raw(arg, (const char *)&known, sizeof(known));
}

static enum store_result read_keys(struct store_reader *rd, const void *params,
                                   struct answer *a) {
    (void)params;
    return store_key_names(rd, on_key, &a->j);
}

static void apply(struct state *s, const struct json *list) {
    struct known known;

    for (int i = 0; i < s->nkeys; i++) s->keys[i].index = -1;
    for (size_t at = 0; at < list->len; at += sizeof(known)) {
        memcpy(&known, list->data + at, sizeof(known));
        key_names_set(known.key, known.name);

        struct state_key *k = state_key(s, known.key);
        if (k == NULL) continue;
        k->index = known.index;
        snprintf(k->name, sizeof(k->name), "%s", known.name);
        snprintf(k->account, sizeof(k->account), "%s", known.account);
    }
}

enum store_result key_list_read(struct state *state, struct store *store) {
    struct json list = {0};
    enum store_result r =
        store_key_names(store_reader(store, 0), on_key, &list);

    if (r == STORE_OK) apply(state, &list);
    json_free(&list);
    return r;
}

static void on_answer(void *arg, const struct answer *a) {
    if (a->result == STORE_OK)
        apply(arg, &a->j);
    else
        log_msg(LOG_WARN, "the list of keys is not at hand: %s", a->error);
}

void key_list_ask(struct state *state, struct ask *k) {
    static const struct question kind = {
        .read = read_keys, .first = 1, .alone = 1};

    ask(k, &kind, NULL, 0, 0, on_answer, state);
}
