#include "accounts.h"

#include "clock.h"
#include "tree.h"

#include <stdlib.h>

#define ASKS_A_MINUTE 10

/* The accounts as one, so that a wrong document leaves the old ones alone. */
struct accounts {
    struct table by_name; /* of struct account */
    struct table by_key;  /* of struct account, which is also in by_name */
    struct table models;  /* of anything */
    bool any_key;
};

static struct accounts all = {.any_key = true};

static const char *const quotas[] = {"", "hourly", "session", "weekly",
                                     "monthly"};

const char *quota_word(enum quota q) {
    return quotas[q];
}

static void unref(void *value) {
    struct account *a = value;

    if (--a->refs > 0) return;
    free(a->name);
    free(a->plan);
    table_free(&a->keys, NULL);
    table_free(&a->denied, NULL);
    free(a);
}

static void drop(struct accounts *s) {
    table_free(&s->by_key, NULL);
    table_free(&s->by_name, unref);
    table_free(&s->models, NULL);
}

static bool load_keys(struct account *a, struct accounts *s, yajl_val v,
                      struct buf *complaint) {
    yajl_val keys = tree_get(v, "keys"), revoked = tree_get(v, "revoked_keys");
    const char *key;
    void **place;
    size_t i;

    for (i = 0; i < tree_count(keys); i++) {
        key = YAJL_GET_STRING(tree_at(keys, i));
        if (key == NULL || *key == '\0') {
            buf_printf(complaint, "a key of \"%s\" is not a string", a->name);
            return false;
        }
        place = table_put(&s->by_key, key, strlen(key));
        if (*place) {
            buf_printf(complaint, "key \"%s\" is there twice", key);
            return false;
        }
        *place = a;
        table_put(&a->keys, key, strlen(key));
    }

    for (i = 0; i < tree_count(revoked); i++) {
        key = YAJL_GET_STRING(tree_at(revoked, i));
        if (key == NULL || table_get(&s->by_key, key, strlen(key)) != a) {
            buf_printf(complaint, "revoked_keys: not a key of \"%s\"", a->name);
            return false;
        }
        *table_put(&a->keys, key, strlen(key)) = a;
    }
    return true;
}

static bool load_denied(struct account *a, yajl_val v, struct buf *complaint) {
    yajl_val denied = tree_get(v, "denied_models");
    const char *model;
    int64_t status;
    size_t i;

    if (denied == NULL || YAJL_IS_NULL(denied)) return true;

    for (i = 0; YAJL_IS_OBJECT(denied) && i < denied->u.object.len; i++) {
        model = denied->u.object.keys[i];
        status = tree_int(denied, model, 0);
        if (status != 402 && status != 403) break;
        *table_put(&a->denied, model, strlen(model)) = (void *)(intptr_t)status;
    }
    if (YAJL_IS_OBJECT(denied) && i == denied->u.object.len) return true;

    buf_lit(complaint, "denied_models: wanted is {\"model\": 402 or 403}");
    return false;
}

static bool load_account(struct accounts *s, yajl_val v,
                         struct buf *complaint) {
    static const char *const names[] = {
        "name",        "keys",
        "plan",        "max_concurrent",
        "queue_limit", "queue_timeout_ms",
        "quota",       "denied_models",
        "suspended",   "revoked_keys",
        "balance",     "windows",
        NULL,
    };
    const char *name = tree_string(v, "name", ""),
               *quota = tree_string(v, "quota", "");
    const char *unknown;
    struct account *a;
    void **place;
    size_t i;

    if (*name == '\0') {
        buf_lit(complaint, "an account is an object with a name");
        return false;
    }
    if ((unknown = tree_unknown(v, names)) != NULL) {
        buf_printf(complaint, "account \"%s\" has an unknown member \"%s\"",
                   name, unknown);
        return false;
    }
    place = table_put(&s->by_name, name, strlen(name));
    if (*place) {
        buf_printf(complaint, "account \"%s\" is there twice", name);
        return false;
    }

    a = *place = must(calloc(1, sizeof(*a)));
    a->refs = 1;
    a->name = must(strdup(name));
    a->plan = must(strdup(tree_string(v, "plan", "free")));
    a->max_concurrent = tree_int(v, "max_concurrent", 0);
    a->queue_limit = tree_int(v, "queue_limit", 0);
    a->queue_timeout_ms = tree_int(v, "queue_timeout_ms", 1800000);
    a->suspended = tree_bool(v, "suspended", false);

    for (i = 0; i <= QUOTA_MONTHLY; i++)
        if (strcmp(quota, quotas[i]) == 0) a->quota = i;
    if (*quota && a->quota == QUOTA_NONE) {
        buf_lit(complaint, "quota: null, hourly, session, weekly or monthly");
        return false;
    }

    if (!purse_load(&a->given, v, complaint)) return false;
    a->purse = a->given;

    return load_keys(a, s, v, complaint) && load_denied(a, v, complaint);
}

bool accounts_load(yajl_val document, struct buf *complaint) {
    yajl_val list = tree_get(document, "accounts"),
             models = tree_get(document, "models");
    struct accounts s = {.any_key = tree_bool(document, "any_key", false)};
    const char *model;
    size_t i;

    for (i = 0; i < tree_count(models); i++) {
        model = YAJL_GET_STRING(tree_at(models, i));
        if (model) *table_put(&s.models, model, strlen(model)) = &all;
    }

    for (i = 0; i < tree_count(list); i++) {
        if (load_account(&s, tree_at(list, i), complaint)) continue;
        drop(&s);
        return false;
    }

    drop(&all);
    all = s;
    return true;
}

void accounts_sample(void) {
    static const char text[] =
        "{\"accounts\":["
        "{\"name\":\"team-a\",\"plan\":\"pro\",\"max_concurrent\":3,\"queue_limit\":15,"
        "\"keys\":[\"00000000000000000000000000000001.sampleSampleSampleSample1\"]},"
        "{\"name\":\"team-b\",\"plan\":\"pro\",\"max_concurrent\":3,\"queue_limit\":15,"
        "\"keys\":[\"00000000000000000000000000000002.sampleSampleSampleSample2\"]},"
        "{\"name\":\"team-c\",\"plan\":\"max\",\"max_concurrent\":10,\"queue_limit\":15,"
        "\"keys\":[\"00000000000000000000000000000003.sampleSampleSampleSample3\"]}]}";
    struct buf complaint = {0};
    yajl_val document = tree_parse(text, sizeof(text) - 1, &complaint);

    accounts_load(document, &complaint);
    yajl_tree_free(document);
    buf_free(&complaint);
}

enum standing accounts_find(const char *key, size_t len,
                            struct account **account) {
    struct account *a = table_get(&all.by_key, key, len);

    *account = a;
    if (a == NULL) return all.any_key && len ? KEY_GOOD : KEY_UNKNOWN;
    if (table_get(&a->keys, key, len)) return KEY_DEAD;
    return a->suspended ? KEY_SUSPENDED : KEY_GOOD;
}

int account_denies(const struct account *a, const char *model, size_t len) {
    return (int)(intptr_t)table_get(&a->denied, model, len);
}

int account_may_ask(struct account *a) {
    int64_t now = clock_now_ms(), gone;

    if (a == NULL) return 0;
    gone = now - a->asked_usage_since;
    if (a->asked_usage == 0 || gone >= 60000 || gone < 0) {
        a->asked_usage_since = now;
        a->asked_usage = 0;
        gone = 0;
    }
    if (a->asked_usage == ASKS_A_MINUTE) return (60000 - gone + 999) / 1000;
    a->asked_usage++;
    return 0;
}

void accounts_enter(struct ticket *t, struct account *a) {
    t->state = TICKET_NONE;
    t->account = a;

    if (a == NULL || a->max_concurrent <= 0 || a->running < a->max_concurrent) {
        t->state = TICKET_RUNS;
        if (a) a->running++;
    } else if (a->queued < a->queue_limit) {
        t->state = TICKET_WAITS;
        t->next = NULL;
        t->prev = a->last;
        *(a->last ? &a->last->next : &a->first) = t;
        a->last = t;
        a->queued++;
    }
    if (a && t->state != TICKET_NONE) a->refs++;
}

static void unqueue(struct ticket *t) {
    struct account *a = t->account;

    *(t->prev ? &t->prev->next : &a->first) = t->next;
    *(t->next ? &t->next->prev : &a->last) = t->prev;
    a->queued--;
}

void accounts_leave(struct ticket *t) {
    struct account *a = t->account;
    struct ticket *next;

    if (a && t->state == TICKET_WAITS) {
        unqueue(t);
    } else if (a && t->state == TICKET_RUNS) {
        a->running--;
        next = a->first;
        if (next) {
            unqueue(next);
            a->running++;
            next->state = TICKET_RUNS;
            next->wake(next);
        }
    }

    if (a && t->state != TICKET_NONE) unref(a);
    t->state = TICKET_NONE;
    t->account = NULL;
}

const struct table *accounts_models(void) {
    return all.models.n ? &all.models : NULL;
}

void accounts_write(struct buf *b) {
    struct account *a;
    size_t i;

    buf_char(b, '{');
    for (i = 0; i < all.by_name.n; i++) {
        a = all.by_name.entries[i].value;
        if (i) buf_char(b, ',');
        buf_json_str(b, a->name);
        buf_char(b, ':');
        a->purse.kind ? purse_write(&a->purse, b) : buf_lit(b, "null");
    }
    buf_char(b, '}');
}

void accounts_reset(void) {
    struct account *a;
    size_t i;

    for (i = 0; i < all.by_name.n; i++) {
        a = all.by_name.entries[i].value;
        a->asked_usage = 0;
        a->purse = a->given;
    }
}

void accounts_free(void) {
    drop(&all);
}
