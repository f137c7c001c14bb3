#include "cache.h"

#include "clock.h"
#include "table.h"

/* By hash, the second of its last use. What has run out is dropped with all
 * else, since a table forgets nothing. */
static struct table seen;

#define SEEN_MAX 2000000

int64_t cache_use(const struct question *q, const char *account) {
    intptr_t now = clock_now(), then;
    uint64_t h = question_hash(q->head, q->model.p, q->model.len);
    int64_t tokens = 0;
    void **place;
    size_t i;

    if (seen.n > SEEN_MAX) cache_reset();
    if (q->knobs.prompt_cache == 1 && account)
        h = question_hash(h, account, strlen(account) + 1);

    for (i = 0; i < q->nmessages; i++) {
        h = question_hash(h, &q->messages[i].hash, sizeof(uint64_t));
        place = table_put(&seen, (const char *)&h, sizeof(h));
        then = (intptr_t)*place;
        if (then && now - then <= q->knobs.prompt_cache_ttl)
            tokens = q->messages[i].end / 4;
        *place = (void *)now;
    }
    return tokens;
}

void cache_reset(void) {
    table_free(&seen, NULL);
}
