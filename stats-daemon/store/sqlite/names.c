#include "names.h"

#include "../counted.h"

#include "../../base/util.h"

#include <arpa/inet.h>
#include <string.h>

#define PROFILES_MAX 50000
#define ALLOWED_MAX  50000
#define DAY          86400000

static const ollama_text_t rest = {(const unsigned char *)"(other)", 7};
static const ollama_text_t none = {(const unsigned char *)"", 0};

/* Names that found no room yesterday may find some today. */
void sqlite_names_begin(struct sqlite *s) {
    if (map_count(s->profiles) > PROFILES_MAX) map_clear(s->profiles);
    if (map_count(s->allowed) > ALLOWED_MAX) map_clear(s->allowed);
    if (s->today == s->now / DAY) return;
    s->today = s->now / DAY;
    map_clear(s->allowed);
    for (struct profile *p = NULL; (p = map_next(s->profiles, p));)
        if (p->client_other || p->model_other) p->combo = 0;
}

/* Who adds names: whoever has one address of a network of IPv6 has all. */
static struct allowance *allowance_of(struct sqlite *s,
                                      const ollama_text_t *client) {
    char address[INET6_ADDRSTRLEN];
    unsigned char network[16];
    int fresh;

    if (client->len < sizeof(address) &&
        memchr(client->data, ':', client->len)) {
        memcpy(address, client->data, client->len);
        address[client->len] = '\0';
        if (inet_pton(AF_INET6, address, network) == 1) {
            static const unsigned char v4[12] = {[10] = 0xff, [11] = 0xff};

            return memcmp(network, v4, 12) == 0
                       ? map_put(s->allowed, network + 12, 4, &fresh)
                       : map_put(s->allowed, network, 8, &fresh);
        }
    }
    return map_put(s->allowed, client->len ? client->data : none.data,
                   client->len, &fresh);
}

enum store_result sqlite_find_or_add(struct sqlite *s, int find, int add,
                                     int64_t *id, int *added) {
    sqlite3_stmt *st = s->write[find];
    int code = sqlite3_step(st);
    enum store_result r = STORE_OK;

    *added = 0;
    if (code == SQLITE_ROW) {
        *id = sqlite3_column_int64(st, 0);
    } else if (code == SQLITE_DONE) {
        *id = 0;
        if (add >= 0) {
            r = sqlite_run(s, s->write[add]);
            *id = sqlite3_last_insert_rowid(s->db);
            *added = 1;
        }
    } else {
        r = sqlite_failed(s, code);
    }
    sqlite3_reset(st);
    return r;
}

enum store_result sqlite_name_other(struct sqlite *s, enum store_kind kind,
                                    int64_t *id) {
    int find = kind == STORE_MODEL ? FIND_MODEL : FIND_CLIENT;
    int add = kind == STORE_MODEL ? ADD_MODEL : ADD_CLIENT, added;

    for (int st = find; st <= add; st++) {
        bind_text(s->write[st], 1, &rest);
        if (kind == STORE_CLIENT) bind_text(s->write[st], 2, &none);
    }
    enum store_result r = sqlite_find_or_add(s, find, add, id, &added);
    *(kind == STORE_MODEL ? &s->names.models : &s->names.clients) += added;
    return r;
}

/* Is there no room for one more of a kind (times: how many as many as models)?
 */
static int is_full(int64_t count, int times, int fine, unsigned today,
                   unsigned a_day) {
    return count >= STORE_NAMES_MAX * times ||
           (count >= STORE_NAMES_FREE * times && !fine) || today >= a_day;
}

static enum store_result model_id(struct sqlite *s, const ollama_text_t *name,
                                  int fine, struct allowance *a, int64_t *id,
                                  int *other) {
    /* that a model is there the cloud has said */
    int added, full = is_full(s->names.models, 1, fine, a->models[fine],
                              fine ? STORE_NAMES_FINE : STORE_NAMES_DAY);

    bind_text(s->write[FIND_MODEL], 1, name);
    bind_text(s->write[ADD_MODEL], 1, name);
    enum store_result r =
        sqlite_find_or_add(s, FIND_MODEL, full ? -1 : ADD_MODEL, id, &added);
    a->models[fine] += (uint16_t)added;
    if (r == STORE_OK && *id == 0) {
        *other = 1;
        return sqlite_name_other(s, STORE_MODEL, id);
    }
    s->names.models += added;
    return r;
}

static enum store_result client_id(struct sqlite *s, const ollama_text_t *addr,
                                   const ollama_text_t *name, int fine,
                                   struct allowance *a, int64_t *id,
                                   int *other) {
    int added, full = is_full(s->names.clients, 10, fine, a->clients[fine],
                              STORE_NAMES_DAY * 10);

    for (int st = FIND_CLIENT; st <= ADD_CLIENT; st++) {
        bind_text(s->write[st], 1, addr);
        bind_text(s->write[st], 2, name);
    }
    enum store_result r =
        sqlite_find_or_add(s, FIND_CLIENT, full ? -1 : ADD_CLIENT, id, &added);
    a->clients[fine] += (uint16_t)added;
    if (r == STORE_OK && *id == 0) {
        *other = 1;
        return sqlite_name_other(s, STORE_CLIENT, id);
    }
    s->names.clients += added;
    return r;
}

/* A combo's status: the request's, and in thousands of which kind it is. */
static int combo_status(const ollama_record_request_t *q) {
    return counted_kind(q) * 1000 + (q->status < 1000 ? q->status : 999);
}

static enum store_result fill_profile(struct sqlite *s, struct profile *p,
                                      const ollama_record_request_t *q) {
    struct allowance *a = allowance_of(s, &q->client);
    int added, fine = q->status < 400;

    memset(p, 0, sizeof(*p));
    enum store_result r =
        model_id(s, &q->model, fine, a, &p->model, &p->model_other);
    if (r == STORE_OK)
        r = client_id(s, &q->client, &q->client_name, fine, a, &p->client,
                      &p->client_other);
    if (r == STORE_OK && q->key) {
        sqlite3_bind_int64(s->write[FIND_KEY], 1, q->key);
        sqlite3_bind_int64(s->write[ADD_KEY], 1, q->key);
        r = sqlite_find_or_add(s, FIND_KEY, ADD_KEY, &p->key, &added);
    }
    if (r == STORE_OK) {
        for (int st = FIND_SERIES; st <= ADD_SERIES; st++) {
            sqlite3_bind_int64(s->write[st], 1, p->client);
            sqlite3_bind_int64(s->write[st], 2, p->key);
            sqlite3_bind_int64(s->write[st], 3, p->model);
        }
        r = sqlite_find_or_add(s, FIND_SERIES, ADD_SERIES, &p->series, &added);
    }
    if (r == STORE_OK) {
        for (int st = FIND_COMBO; st <= ADD_COMBO; st++) {
            sqlite3_bind_int64(s->write[st], 1, p->series);
            sqlite3_bind_int64(s->write[st], 2, combo_status(q));
        }
        r = sqlite_find_or_add(s, FIND_COMBO, ADD_COMBO, &p->combo, &added);
    }
    return r;
}

enum store_result sqlite_profile_of(struct sqlite *s, struct profile **profile,
                                    const ollama_record_request_t *q) {
    unsigned char key[512], *k = key;
    const ollama_text_t *texts[] = {&q->client, &q->client_name, &q->model};
    int fresh, status = combo_status(q);

    memcpy(k, &q->key, 4);
    memcpy(k + 4, &status, 4);
    k += 8;
    for (int i = 0; i < 3; i++) {
        /* the lengths make the three unmistakable; 64 + 128 + 256 fit */
        *k++ = (unsigned char)texts[i]->len;
        *k++ = (unsigned char)(texts[i]->len >> 8);
        if (texts[i]->len) memcpy(k, texts[i]->data, texts[i]->len);
        k += texts[i]->len;
    }

    struct profile *p = map_put(s->profiles, key, (size_t)(k - key), &fresh);
    *profile = p;
    return fresh || p->combo == 0 ? fill_profile(s, p, q) : STORE_OK;
}

enum store_result sqlite_write_days(struct sqlite *s) {
    sqlite3_stmt *st = s->write[WRITE_DAY];
    enum store_result r = STORE_OK;
    size_t len;

    for (struct store_counts *n = NULL;
         r == STORE_OK && (n = map_next(s->cells, n));) {
        const struct cell_key *key = map_key(n, &len);
        int64_t day = key->minute / 1440;

        if (day <= key->profile->day) continue;
        key->profile->day = day;
        sqlite3_bind_int64(st, 1, key->profile->series);
        sqlite3_bind_int64(st, 2, day);
        r = sqlite_run(s, st);
    }
    return r;
}
