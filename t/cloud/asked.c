#include "asked.h"

#include "clock.h"
#include "table.h"

#include <stdlib.h>

#define TIMES_MAX 1000

struct times {
    int64_t count;
    int64_t at[TIMES_MAX];
};

static struct table accounts; /* of struct table, of struct times */

void asked(const char *account, struct slice path) {
    struct table **paths;
    struct times **t;

    if (account == NULL) account = "(none)";
    paths = (struct table **)table_put(&accounts, account, strlen(account));
    if (*paths == NULL) *paths = must(calloc(1, sizeof(**paths)));
    t = (struct times **)table_put(*paths, path.p, path.len);
    if (*t == NULL) *t = must(calloc(1, sizeof(**t)));

    (*t)->at[(*t)->count++ % TIMES_MAX] = clock_now_ms();
}

static void write_times(struct buf *b, const struct times *t) {
    int64_t i = t->count > TIMES_MAX ? t->count - TIMES_MAX : 0;

    buf_printf(b, "{\"count\":%lld,\"at\":[", (long long)t->count);
    for (; i < t->count; i++) {
        buf_int(b, t->at[i % TIMES_MAX]);
        if (i + 1 < t->count) buf_char(b, ',');
    }
    buf_lit(b, "]}");
}

void asked_write(struct buf *b) {
    const struct table *paths;
    size_t i, j;

    buf_char(b, '{');
    for (i = 0; i < accounts.n; i++) {
        paths = accounts.entries[i].value;
        if (i) buf_char(b, ',');
        buf_json(b, accounts.entries[i].key, accounts.entries[i].len);
        buf_lit(b, ":{");
        for (j = 0; j < paths->n; j++) {
            if (j) buf_char(b, ',');
            buf_json(b, paths->entries[j].key, paths->entries[j].len);
            buf_char(b, ':');
            write_times(b, paths->entries[j].value);
        }
        buf_char(b, '}');
    }
    buf_char(b, '}');
}

static void drop_account(void *value) {
    table_free(value, free);
    free(value);
}

void asked_reset(void) {
    table_free(&accounts, drop_account);
}
