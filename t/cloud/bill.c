#include "bill.h"

#include <stdlib.h>

#define HOUR 3600

static struct table accounts; /* of struct table, of struct bill_model */

static const char *name_of(const char *account) {
    return account ? account : "(none)";
}

static void sum(struct bill *to, const struct bill *b) {
    to->requests += b->requests;
    to->prompt += b->prompt;
    to->cached += b->cached;
    to->completion += b->completion;
    to->nano_usd += b->nano_usd;
    to->unpriced += b->unpriced;
}

static struct bill_hour *hour_of(struct bill_model *m, time_t at) {
    time_t from = at - at % HOUR;
    size_t i;

    for (i = m->nhours; i > 0; i--)
        if (m->hours[i - 1].from == from) return &m->hours[i - 1];

    if (m->nhours == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 8;
        m->hours = must(realloc(m->hours, m->cap * sizeof(*m->hours)));
    }
    memset(&m->hours[m->nhours], 0, sizeof(*m->hours));
    m->hours[m->nhours].from = from;
    return &m->hours[m->nhours++];
}

void bill_add(const char *account, struct slice model, time_t at,
              const struct tokens *t, int64_t nano) {
    struct bill b = {1, t->prompt, t->cached, t->completion, 0, 0};
    struct table **models;
    struct bill_model **m;

    if (nano < 0)
        b.unpriced = t->prompt + t->completion;
    else
        b.nano_usd = nano;

    account = name_of(account);
    models = (struct table **)table_put(&accounts, account, strlen(account));
    if (*models == NULL) *models = must(calloc(1, sizeof(**models)));
    m = (struct bill_model **)table_put(*models, model.p, model.len);
    if (*m == NULL) *m = must(calloc(1, sizeof(**m)));

    sum(&(*m)->sum, &b);
    sum(&hour_of(*m, at)->sum, &b);
}

const struct table *bill_models(const char *account) {
    account = name_of(account);
    return table_get(&accounts, account, strlen(account));
}

void bill_between(struct bill *to, const struct bill_model *m, time_t from,
                  time_t until) {
    size_t i;

    for (i = 0; i < m->nhours; i++)
        if (m->hours[i].from >= from && m->hours[i].from < until)
            sum(to, &m->hours[i].sum);
}

static void write_sum(struct buf *b, const struct bill *s) {
    buf_printf(b,
               "\"requests\":%lld,\"prompt\":%lld,\"cached\":%lld,"
               "\"completion\":%lld,\"nano_usd\":%lld,\"unpriced\":%lld",
               (long long)s->requests, (long long)s->prompt,
               (long long)s->cached, (long long)s->completion,
               (long long)s->nano_usd, (long long)s->unpriced);
}

void bill_write(struct buf *b) {
    struct bill total = {0}, account;
    const struct bill_model *m;
    const struct table *models;
    size_t i, j;

    buf_lit(b, "{\"accounts\":{");
    for (i = 0; i < accounts.n; i++) {
        models = accounts.entries[i].value;
        memset(&account, 0, sizeof(account));
        if (i) buf_char(b, ',');
        buf_json(b, accounts.entries[i].key, accounts.entries[i].len);
        buf_lit(b, ":{\"models\":{");
        for (j = 0; j < models->n; j++) {
            m = models->entries[j].value;
            if (j) buf_char(b, ',');
            buf_json(b, models->entries[j].key, models->entries[j].len);
            buf_lit(b, ":{");
            write_sum(b, &m->sum);
            buf_char(b, '}');
            sum(&account, &m->sum);
        }
        buf_lit(b, "},");
        write_sum(b, &account);
        buf_char(b, '}');
        sum(&total, &account);
    }
    buf_lit(b, "},\"total\":{");
    write_sum(b, &total);
    buf_lit(b, "}}");
}

static void drop_model(void *value) {
    struct bill_model *m = value;

    free(m->hours);
    free(m);
}

static void drop_account(void *value) {
    table_free(value, drop_model);
    free(value);
}

void bill_reset(void) {
    table_free(&accounts, drop_account);
}
