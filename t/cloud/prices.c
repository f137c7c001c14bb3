#include "prices.h"

#include "money.h"
#include "table.h"
#include "tree.h"

#include <stdlib.h>

#define PER_MILLION 1000000
#define HOUR 3600
#define DAY 86400

struct listed {
    struct price price;
    int64_t peak; /* the factor, 1: there is none */
    int64_t from, until;
};

/* Thousandths of a dollar for a million tokens are nano-dollars for one. */
static const struct {
    const char *model;
    struct listed listed;
} public_list[] = {
#define PRICE(name, input, cached, output, peak)                               \
    {                                                                          \
        name, {                                                                \
            {input, cached, output}, peak, 12, 18                              \
        }                                                                      \
    }
    PRICE("deepseek-v4-flash", 220, 7, 660, 2),
    PRICE("deepseek-v4-pro", 660, 22, 1980, 2),
    PRICE("gemma4", 140, 50, 400, 1),
    PRICE("glm-5.3", 1400, 260, 4400, 1),
    PRICE("glm-5.3-flash", 150, 30, 500, 1),
    PRICE("glm-5.2", 1400, 260, 4400, 1),
    PRICE("glm-5.1", 1000, 200, 3200, 1),
    PRICE("gpt-oss:120b", 150, 14, 600, 1),
    PRICE("gpt-oss:20b", 70, 35, 300, 1),
    PRICE("kimi-k3", 3000, 300, 15000, 1),
    PRICE("kimi-k2.7-code", 950, 190, 4000, 1),
    PRICE("kimi-k2.6", 950, 160, 4000, 1),
    PRICE("minimax-m3", 600, 120, 2400, 1),
    PRICE("minimax-m2.7", 300, 60, 1200, 1),
    PRICE("mistral-large-3", 500, 500, 1500, 1),
    PRICE("nemotron-3-nano", 60, 60, 240, 1),
    PRICE("nemotron-3-super", 15, 15, 600, 1),
    PRICE("nemotron-3-ultra", 100, 100, 3000, 1),
    PRICE("qwen3.5:397b", 600, 600, 3600, 1),
#undef PRICE
};

static struct table own; /* of struct listed */

static bool load_rate(yajl_val v, const char *name, int64_t *rate) {
    if (!money_read(tree_get(v, name), rate) || *rate < 0) return false;
    if (*rate % PER_MILLION) return false;
    *rate /= PER_MILLION;
    return true;
}

static bool load_price(struct listed *l, yajl_val v) {
    static const char *const names[] = {"input", "cached", "output",
                                        "peak",  "hours",  NULL};
    yajl_val hours = tree_get(v, "hours");

    if (!YAJL_IS_OBJECT(v) || tree_unknown(v, names)) return false;
    if (!load_rate(v, "input", &l->price.input)) return false;
    if (!load_rate(v, "output", &l->price.output)) return false;
    l->price.cached = l->price.input;
    if (tree_get(v, "cached") && !load_rate(v, "cached", &l->price.cached))
        return false;

    l->peak = tree_int(v, "peak", 1);
    l->from = 12;
    l->until = 18;
    if (hours &&
        (tree_count(hours) != 2 || !YAJL_IS_INTEGER(tree_at(hours, 0)) ||
         !YAJL_IS_INTEGER(tree_at(hours, 1))))
        return false;
    if (hours) {
        l->from = YAJL_GET_INTEGER(tree_at(hours, 0));
        l->until = YAJL_GET_INTEGER(tree_at(hours, 1));
    }
    return l->peak >= 1;
}

bool prices_load(yajl_val document, struct buf *complaint) {
    yajl_val list = tree_get(document, "prices");
    struct table loaded = {0};
    struct listed *l;
    const char *model;
    size_t i;

    for (i = 0; YAJL_IS_OBJECT(list) && i < list->u.object.len; i++) {
        model = list->u.object.keys[i];
        l = must(calloc(1, sizeof(*l)));
        *table_put(&loaded, model, strlen(model)) = l;
        if (load_price(l, list->u.object.values[i])) continue;

        buf_printf(complaint, "the price of \"%s\" is not one", model);
        table_free(&loaded, free);
        return false;
    }
    prices_free();
    own = loaded;
    return true;
}

static const struct listed *find(const char *model, size_t len) {
    size_t i;

    if (own.n) return table_get(&own, model, len);
    for (i = 0; i < sizeof(public_list) / sizeof(public_list[0]); i++)
        if (strlen(public_list[i].model) == len &&
            memcmp(public_list[i].model, model, len) == 0)
            return &public_list[i].listed;
    return NULL;
}

/* 1970-01-01 was a Thursday. */
static bool in_peak(const struct listed *l, time_t at) {
    int64_t weekday = (at / DAY + 4) % 7, hour = at % DAY / HOUR;

    return weekday >= 1 && weekday <= 5 && hour >= l->from && hour < l->until;
}

bool prices_find(struct slice model, time_t at, struct price *price) {
    const struct listed *l = find(model.p, model.len);
    const char *colon = memchr(model.p, ':', model.len);
    int64_t factor;

    memset(price, 0, sizeof(*price));
    if (l == NULL && colon) l = find(model.p, colon - model.p);
    if (l == NULL) return false;

    factor = in_peak(l, at) ? l->peak : 1;
    price->input = l->price.input * factor;
    price->cached = l->price.cached * factor;
    price->output = l->price.output * factor;
    return true;
}

int64_t price_of(const struct price *price, const struct tokens *t) {
    return (t->prompt - t->cached) * price->input + t->cached * price->cached +
           t->completion * price->output;
}

void prices_free(void) {
    table_free(&own, free);
}
