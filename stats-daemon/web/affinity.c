#include "affinity.h"

#include "../base/map.h"
#include "../base/util.h"
#include "fields.h"
#include "http_ask.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR    3600000LL
#define WEEK    (7 * 24 * HOUR)
#define CERTAIN 1.96
#define WHOLE   10000.0 /* of a share */

struct params {
    int64_t from, to;
};

/* A model's turns, by what became of them. */
struct model {
    char *name;
    struct store_turns of[OLLAMA_AFFINITY_MOVED + 1];
};

struct models {
    struct model *list;
    size_t n, size;
};

static void on_turns(void *arg, const struct store_turns *row) {
    struct models *all = arg;
    struct model *m = all->n ? &all->list[all->n - 1] : NULL;

    if (row->affinity < OLLAMA_AFFINITY_NEW ||
        row->affinity > OLLAMA_AFFINITY_MOVED)
        return;
    /* they come by their names */
    if (m == NULL || strcmp(m->name, row->model) != 0) {
        if (all->n == all->size) {
            all->size = all->size ? all->size * 2 : 16;
            all->list = xrealloc(all->list, all->size * sizeof(*all->list));
        }
        m = &all->list[all->n++];
        memset(m, 0, sizeof(*m));
        m->name = xstrdup(row->model);
    }
    m->of[row->affinity] = *row;
}

static double mean(const struct store_turns *t) {
    return (double)t->shares / (double)t->turns;
}

/* Of the mean, the square of its error. */
static double error(const struct store_turns *t) {
    double n = (double)t->turns, m = mean(t);
    double variance = ((double)t->squares - n * m * m) / (n - 1);

    return variance > 0 ? variance / n : 0;
}

static int is_significant(const struct model *m) {
    const struct store_turns *kept = &m->of[OLLAMA_AFFINITY_KEPT];
    const struct store_turns *moved = &m->of[OLLAMA_AFFINITY_MOVED];

    if (kept->turns < AFFINITY_TURNS || moved->turns < AFFINITY_TURNS) return 0;
    double off = fabs(mean(kept) - mean(moved));
    return off > 0 && off > CERTAIN * sqrt(error(kept) + error(moved));
}

/* Dollars.  The share is that of all tokens, as costs are: long prompts, of
 * which more is cached, weigh by their length. */
static double saved(const struct model *m) {
    const struct store_turns *kept = &m->of[OLLAMA_AFFINITY_KEPT];
    const struct store_turns *moved = &m->of[OLLAMA_AFFINITY_MOVED];
    double share = (double)moved->cached / (double)moved->prompt;

    return ((double)kept->saved - share * (double)kept->could) / 1e9;
}

static void put_turns(struct json *j, const char *name,
                      const struct store_turns *t) {
    json_member(j, name);
    json_begin(j, '{');
    field_number(j, "turns", t->turns);
    field_number(j, "prompt_tokens", t->prompt);
    field_number(j, "cached_tokens", t->cached);
    json_member(j, "cached_share");
    if (t->turns)
        json_double(j, mean(t) / WHOLE);
    else
        json_null(j);
    json_end(j, '}');
}

static void put_verdict(struct json *j, int significant, int priced,
                        double dollars) {
    json_member(j, "saved_usd");
    if (significant && priced)
        json_double(j, dollars);
    else
        json_null(j);
    json_member(j, "significant");
    json_bool(j, significant);
}

static void put_models(struct json *j, const struct models *all) {
    int significant = 0, priced = 0;
    double sum = 0;

    json_member(j, "models");
    json_begin(j, '[');
    for (size_t i = 0; i < all->n; i++) {
        const struct model *m = &all->list[i];
        int is = is_significant(m), has = m->of[OLLAMA_AFFINITY_KEPT].could > 0;
        double dollars = is && has ? saved(m) : 0;

        significant |= is;
        priced |= is && has;
        sum += dollars;
        json_begin(j, '{');
        json_member(j, "model");
        json_text(j, m->name);
        for (int a = OLLAMA_AFFINITY_NEW; a <= OLLAMA_AFFINITY_MOVED; a++)
            put_turns(j, field_affinity(a), &m->of[a]);
        put_verdict(j, is, has, dollars);
        json_end(j, '}');
    }
    json_end(j, ']');
    put_verdict(j, significant, priced, sum);
}

static enum store_result read_affinity(struct store_reader *rd,
                                       const void *params, struct answer *a) {
    const struct params *p = params;
    struct models all = {NULL, 0, 0};
    enum store_result r = store_turns(rd, p->from, p->to, on_turns, &all);

    json_begin(&a->j, '{');
    json_member(&a->j, "from");
    json_time(&a->j, p->from, 0);
    json_member(&a->j, "to");
    json_time(&a->j, p->to, 0);
    put_models(&a->j, &all);
    json_end(&a->j, '}');
    for (size_t i = 0; i < all.n; i++) free(all.list[i].name);
    free(all.list);
    return r;
}

static void stats_affinity(struct http_request *q) {
    static const struct question kind = {.read = read_affinity, .is_json = 1};
    int64_t now = (now_ms() / HOUR + 1) * HOUR; /* this hour as well */
    struct params p;

    memset(&p, 0, sizeof(p));
    if (http_time(q, "to", now, &p.to) != 0 ||
        http_time(q, "from", p.to - WEEK, &p.from) != 0)
        return;
    if (p.from > p.to) {
        http_error(q, 400, "from must not be later than to");
        return;
    }
    http_ask(q, ((const struct api *)q->ctx)->ask, &kind, &p, sizeof(p),
             http_answer);
}

void affinity_routes(struct http *h) {
    http_route(h, "/stats/affinity", stats_affinity);
}
