#include "reconcile.h"

#include "../base/util.h"

#include <stdlib.h>
#include <string.h>

void reconcile_free(struct reconcile *r) {
    free(r->days);
    free(r->told);
}

void reconcile_told(struct reconcile *r, const struct told_day *days, int n) {
    free(r->told);
    r->told = xmalloc((size_t)n * sizeof(*days));
    memcpy(r->told, days, (size_t)n * sizeof(*days));
    r->ntold = n;
}

static int is_foreign(const struct reconciled *d) {
    int64_t more = d->theirs.requests - d->ours.requests;

    return more > RECONCILE_FEW &&
           more * 100 > d->theirs.requests * RECONCILE_PERCENT;
}

/* A day's place, the newest first; NULL: it is too old. */
static struct reconciled *place(struct reconcile *r, int64_t day, int *fresh) {
    int at = 0;

    while (at < r->n && r->days[at].day > day) at++;
    *fresh = at == r->n || r->days[at].day != day;
    if (!*fresh) return &r->days[at];
    if (at == RECONCILE_DAYS) return NULL;
    if (r->n < RECONCILE_DAYS) {
        r->n++;
        r->days = xrealloc(r->days, (size_t)r->n * sizeof(*r->days));
    }
    memmove(&r->days[at + 1], &r->days[at],
            (size_t)(r->n - at - 1) * sizeof(*r->days));
    memset(&r->days[at], 0, sizeof(*r->days));
    r->days[at].day = day;
    return &r->days[at];
}

static int is_whole_day(const struct told_day *t) {
    return !t->partial && t->from % RECONCILE_DAY == 0 &&
           (t->until == 0 || t->until - t->from == RECONCILE_DAY);
}

const struct reconciled *reconcile(struct reconcile *r, int64_t before,
                                   reconcile_ours *ours, void *arg) {
    int64_t newest = 0;

    for (int i = 0; i < r->ntold; i++) {
        const struct told_day *t = &r->told[i];
        struct reconcile_sum eve;
        int fresh, was;

        if (!is_whole_day(t) || t->from >= before) continue;
        struct reconciled *d = place(r, t->from, &fresh);
        if (d == NULL) continue;

        was = d->foreign;
        d->theirs =
            (struct reconcile_sum){t->requests, 0, t->has_usd ? t->usd : -1};
        if (fresh) {
            ours(arg, t->from, &d->ours);
            d->known = ours(arg, t->from - RECONCILE_DAY, &eve);
        }
        d->foreign = d->known && is_foreign(d);
        if (d->foreign && !was && d->day > newest) newest = d->day;
    }
    free(r->told);
    r->told = NULL;
    r->ntold = 0;
    for (int i = 0; newest && i < r->n; i++)
        if (r->days[i].day == newest) return &r->days[i];
    return NULL;
}
