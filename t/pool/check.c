
/* everything that has to be true of a pool whenever nobody holds its lock */

#include "harness.h"


static const char *t_check_keys(world_t *w);
static const char *t_check_nodes(world_t *w);
static const char *t_check_waiters(world_t *w);
static const char *t_check_turns(ngx_http_ollama_affinity_t *table);
static ngx_uint_t t_blocked(ngx_http_ollama_shared_t *sh, pkey_t *key,
    uint32_t hash);


static uint32_t  t_in_flight[100000];       /* by slot */
static uint32_t  t_pins[100000];
static ngx_http_ollama_charge_t  t_reserved[100000];
static char      t_text[256];


const char *
t_check(world_t *w)
{
    const char                *wrong;
    ngx_http_ollama_shared_t  *sh;

    sh = w->pool->sh;

    memset(t_in_flight, 0, sh->slots->nslots * sizeof(uint32_t));
    memset(t_pins, 0, sh->slots->nslots * sizeof(uint32_t));
    memset(t_reserved, 0, sh->slots->nslots * sizeof(t_reserved[0]));

    wrong = t_check_nodes(w);

    if (wrong == NULL) {
        wrong = t_check_keys(w);
    }

    if (wrong == NULL) {
        wrong = t_check_waiters(w);
    }

    if (wrong == NULL && sh->affinity) {
        wrong = t_check_turns(sh->affinity);
    }

    return wrong;
}


/* all in order, to and fro, and each at its place */

static const char *
t_check_turns(ngx_http_ollama_affinity_t *table)
{
    uint32_t     i, k, n, newer;

    newer = 0;
    n = 0;

    for (i = table->turns[0].older; i; i = table->turns[i].older) {

        if (n++ == table->size || i > table->n) {
            return "more turns than there are";
        }

        if (table->turns[i].newer != newer) {
            return "the order of turns";
        }

        for (k = table->places[(table->turns[i].session * table->secret)
                               >> table->shift];
             k && k != i;
             k = table->turns[k].next) { /* void */ }

        if (k != i) {
            return "a turn is not at its place";
        }

        newer = i;
    }

    if (table->turns[0].newer != newer || n != table->n) {
        return "the number of turns";
    }

    return NULL;
}


static const char *
t_wrong(const char *what, pkey_t *key)
{
    snprintf(t_text, sizeof(t_text), "%s: %.*s", what, key->name_len,
             key->name);
    return t_text;
}


static void
t_holds(ngx_http_ollama_node_t *node)
{
    t_in_flight[node->key->slot]++;
    t_reserved[node->key->slot].tokens += node->charge.tokens;
    t_reserved[node->key->slot].cost += node->charge.cost;
    t_reserved[node->key->slot].guess += node->charge.guess;
}


/* where it stands in the tree, and in the maps of those who serve last */

static const char *
t_check_place(ngx_http_ollama_shared_t *sh, pkey_t *key)
{
    ngx_uint_t                m, n;
    ngx_rbtree_key_t          load;
    ngx_http_ollama_slots_t  *map;

    map = sh->slots;

    if (key->account->low
        != (ngx_http_ollama_bit_test(map->low, key->slot) != 0))
    {
        return t_wrong("low", key);
    }

    n = 0;

    for (m = 0; m < NGX_HTTP_OLLAMA_TIERS; m++) {
        if (ngx_http_ollama_bit_test(map->tiers + m * map->nwords, key->slot)) {
            n += (m == key->tier) ? 1 : 2;
        }
    }

    if (n != 1) {
        return t_wrong("tier", key);
    }

    if (!key->is_ready) {
        return NULL;
    }

    load = ngx_http_ollama_key_load(sh, key);

    if (key->account->rate == 0) {
        return (load == key->ready_node.key) ? NULL : t_wrong("load", key);
    }

    /* a rate is set right by the sweep */

    return (load >> 55 == key->ready_node.key >> 55) ? NULL
                                                     : t_wrong("rank", key);
}


static const char *
t_check_nodes(world_t *w)
{
    ngx_uint_t                  aside, handed, n, news, waiting;
    ngx_queue_t                *p, *q;
    ngx_http_ollama_node_t     *node;
    ngx_http_ollama_shared_t   *sh;
    ngx_http_ollama_process_t  *process;

    sh = w->pool->sh;
    n = 0;
    waiting = 0;
    handed = 0;

    for (p = ngx_queue_head(&sh->processes);
         p != ngx_queue_sentinel(&sh->processes);
         p = ngx_queue_next(p))
    {
        process = ngx_queue_data(p, ngx_http_ollama_process_t, queue);
        n++;
        news = 0;
        aside = 0;

        for (q = ngx_queue_head(&process->leases);
             q != ngx_queue_sentinel(&process->leases);
             q = ngx_queue_next(q))
        {
            node = ngx_queue_data(q, ngx_http_ollama_node_t, queue);

            if (node->waiting || node->handed || node->process != process) {
                return "a lease is in the wrong list";
            }

            if (node->key && node->pinned) {
                t_pins[node->key->slot]++;

            } else if (node->key) {
                t_holds(node);
            }
        }

        for (q = ngx_queue_head(&process->served);
             q != ngx_queue_sentinel(&process->served);
             q = ngx_queue_next(q))
        {
            node = ngx_queue_data(q, ngx_http_ollama_node_t, queue);
            news++;

            if (!node->handed || node->waiting || node->key == NULL) {
                return "served, but not handed";
            }

            t_holds(node);
        }

        for (q = ngx_queue_head(&process->waiters);
             q != ngx_queue_sentinel(&process->waiters);
             q = ngx_queue_next(q))
        {
            node = ngx_queue_data(q, ngx_http_ollama_node_t, queue);
            waiting++;
            aside += node->aside;

            if (node->key || !node->waiting || node->handed) {
                return "a waiter holds something";
            }
        }

        for (q = ngx_queue_head(&process->aside);
             q != ngx_queue_sentinel(&process->aside);
             q = ngx_queue_next(q))
        {
            aside--;
        }

        if (aside) {
            return "the number of waiters set aside";
        }

        if (news != process->news) {
            return "news that are none";
        }

        handed += news;
    }

    if (n != sh->nprocesses) {
        return "the number of processes";
    }

    if (waiting != sh->nwaiting) {
        return "the number of waiters";
    }

    for (q = ngx_queue_head(&sh->handed);
         q != ngx_queue_sentinel(&sh->handed);
         q = ngx_queue_next(q))
    {
        handed--;
    }

    if (handed) {
        return "the queue of what is handed";
    }

    for (n = 0; n < NGX_HTTP_OLLAMA_QUEUES; n++) {
        waiting -= sh->waiting[n];
    }

    return waiting ? "the sum of the lines of waiters" : NULL;
}


static const char *
t_check_keys(world_t *w)
{
    uint32_t                    sum, slots;
    uint64_t                    cost, total;
    const char                 *wrong;
    ngx_uint_t                  i, free, full, hope, m, n, over, quota, ready,
                                soft;
    ngx_queue_t                *q;
    ngx_rbtree_node_t          *node;
    pkey_t                     *key, *k;
    ngx_http_ollama_note_t     *note;
    ngx_http_ollama_slots_t    *map;
    ngx_http_ollama_shared_t   *sh;
    ngx_http_ollama_account_t  *account;

    sh = w->pool->sh;
    map = sh->slots;
    total = 0;

    for (i = 0; i < map->nslots; i++) {

        key = map->keys[i];

        if (key == NULL) {
            if (ngx_http_ollama_bit_test(map->ready, i)
                || ngx_http_ollama_bit_test(map->free, i)
                || ngx_http_ollama_bit_test(map->soft, i)
                || ngx_http_ollama_bit_test(map->hope, i)
                || ngx_http_ollama_bit_test(map->quota, i)
                || ngx_http_ollama_bit_test(map->low, i))
            {
                return "a bit of no key";
            }

            continue;
        }

        if (key->slot != i) {
            return t_wrong("slot", key);
        }

        if (key->in_flight != t_in_flight[i]) {
            return t_wrong("requests in flight", key);
        }

        if (memcmp(&key->reserved, &t_reserved[i], sizeof(key->reserved))) {
            return t_wrong("tokens reserved", key);
        }

        wrong = t_check_place(sh, key);

        if (wrong) {
            return wrong;
        }

        if (key->pins != t_pins[i]) {
            return t_wrong("pins", key);
        }

        total += key->in_flight;

        account = key->account;
        sum = 0;
        cost = 0;

        for (q = ngx_queue_head(&account->keys);
             q != ngx_queue_sentinel(&account->keys);
             q = ngx_queue_next(q))
        {
            k = ngx_queue_data(q, pkey_t, siblings);
            sum += k->in_flight;
            cost += k->reserved.cost + k->reserved.guess;

            if (k->account != account) {
                return t_wrong("account", key);
            }
        }

        if (cost != account->reserved) {
            return t_wrong("the account's reserved cost", key);
        }

        if (sum != account->in_flight) {
            return t_wrong("the account's requests in flight", key);
        }

        if (account->good > account->ramped
            || (account->ramp && account->proven >= account->ramp))
        {
            return t_wrong("the account's ramp", key);
        }

        slots = ngx_http_ollama_account_slots(account);
        full = (slots && sum >= slots) || ngx_http_ollama_ramp_full(account);

        if (full != account->full) {
            return t_wrong("full", key);
        }

        free = key->generation == sh->generation && key->enabled
               && key->until == 0;
        soft = free || (key->generation == sh->generation && key->enabled
                        && key->soft
                        && key->state != NGX_HTTP_OLLAMA_KEY_INVALID);
        hope = free || (key->generation == sh->generation && key->enabled
                        && key->state == NGX_HTTP_OLLAMA_KEY_SLOTS);
        quota = hope || (key->generation == sh->generation && key->enabled
                         && (key->state == NGX_HTTP_OLLAMA_KEY_PAUSED
                             || key->state == NGX_HTTP_OLLAMA_KEY_EXHAUSTED));
        ready = free && !full && !ngx_http_ollama_closed(key);

        if (ready != key->is_ready
            || ready != (ngx_http_ollama_bit_test(map->ready, i) != 0)
            || free != (ngx_http_ollama_bit_test(map->free, i) != 0)
            || soft != (ngx_http_ollama_bit_test(map->soft, i) != 0)
            || hope != (ngx_http_ollama_bit_test(map->hope, i) != 0)
            || quota != (ngx_http_ollama_bit_test(map->quota, i) != 0))
        {
            return t_wrong("ready", key);
        }

        if (key->is_due != ((key->until || key->behind_until)
                            && key->generation == sh->generation))
        {
            return t_wrong("deadline", key);
        }

        n = 0;
        over = 0;

        for (q = ngx_queue_head(&key->notes);
             q != ngx_queue_sentinel(&key->notes);
             q = ngx_queue_next(q))
        {
            note = ngx_queue_data(q, ngx_http_ollama_note_t, queue);
            n++;

            if (note->slot != i) {
                return t_wrong("a note of another key", key);
            }

            if (!ngx_http_ollama_bit_test(map->blocked + note->model
                                          * map->nwords, i))
            {
                over++;
            }
        }

        if (n != key->nnotes || over != key->nover) {
            return t_wrong("the number of notes", key);
        }

        n -= over;

        for (m = 0; m < NGX_HTTP_OLLAMA_MODELS; m++) {
            if (ngx_http_ollama_bit_test(map->blocked + m * map->nwords, i)) {
                n--;
            }
        }

        if (n) {
            return t_wrong("bit without a note", key);
        }

        if (key->probed && (key->probed->key != key || !key->half_open)) {
            return t_wrong("tried out by one that has another key", key);
        }
    }

    if (total != sh->in_flight) {
        return "all requests in flight";
    }

    /* the tree holds those that are ready, in order, and no others */

    n = 0;
    for (i = 0; i < map->nwords; i++) {
        n += __builtin_popcountll(map->ready[i]);
    }

    if (sh->ready.root != sh->ready.sentinel) {

        for (node = ngx_rbtree_min(sh->ready.root, sh->ready.sentinel);
             node;
             node = ngx_rbtree_next(&sh->ready, node))
        {
            n--;
        }
    }

    if (n) {
        return "the tree of ready keys";
    }

    for (q = ngx_queue_head(&sh->free_notes);
         q != ngx_queue_sentinel(&sh->free_notes);
         q = ngx_queue_next(q))
    {
        n++;
    }

    for (m = 0; m < NGX_HTTP_OLLAMA_MODELS; m++) {
        n += sh->models[m].nnotes;
    }

    return (n != sh->nnotes) ? "notes are lost" : NULL;
}


/* no waiter waits whom a ready key may serve */

static const char *
t_check_waiters(world_t *w)
{
    ngx_uint_t                  i, slot;
    ngx_queue_t                *p, *q;
    pkey_t                     *key;
    ngx_http_ollama_want_t      want;
    ngx_http_ollama_node_t     *node;
    ngx_http_ollama_shared_t   *sh;
    ngx_http_ollama_process_t  *process;

    sh = w->pool->sh;

    if (sh->nwaiting && !ngx_queue_empty(&sh->fresh)) {

        /* too much for one look: somebody has to come again at once */

        return (sh->is_due
                && (ngx_msec_int_t) (ngx_current_msec - sh->due) >= 0)
               ? NULL : "fresh keys, and nobody is called";
    }

    for (p = ngx_queue_head(&sh->processes);
         p != ngx_queue_sentinel(&sh->processes);
         p = ngx_queue_next(p))
    {
        process = ngx_queue_data(p, ngx_http_ollama_process_t, queue);

        for (q = ngx_queue_head(&process->waiters);
             q != ngx_queue_sentinel(&process->waiters);
             q = ngx_queue_next(q))
        {
            node = ngx_queue_data(q, ngx_http_ollama_node_t, queue);

            if (node->aside) {
                continue;
            }

            for (slot = 0; slot < sh->slots->nslots; slot++) {

                key = sh->slots->keys[slot];

                if (key == NULL || !key->is_ready
                    || t_blocked(sh, key, node->hash))
                {
                    continue;
                }

                for (i = 0; i < node->ntried; i++) {
                    if (node->tried[i] == key->number) {
                        break;
                    }
                }

                if (i == node->ntried) {
                    return t_wrong("a waiter could have", key);
                }
            }

            if (node->ntried || node->lease->used
                || process->looked != sh->version)
            {
                continue;
            }

            /* or one against which something soft is held */

            memset(&want, 0, sizeof(want));
            want.blocked = ngx_http_ollama_model_blocked(sh, node->model,
                                                         node->hash);

            if (ngx_http_ollama_hope(sh, &want)) {
                continue;
            }

            key = ngx_http_ollama_select_soft(sh, &want);

            if (key && key->state != NGX_HTTP_OLLAMA_KEY_INVALID) {
                return t_wrong("a waiter could be tried with", key);
            }
        }
    }

    return NULL;
}


static ngx_uint_t
t_blocked(ngx_http_ollama_shared_t *sh, pkey_t *key, uint32_t hash)
{
    ngx_queue_t             *q;
    ngx_http_ollama_note_t  *note;

    for (q = ngx_queue_head(&key->notes);
         q != ngx_queue_sentinel(&key->notes);
         q = ngx_queue_next(q))
    {
        note = ngx_queue_data(q, ngx_http_ollama_note_t, queue);

        if (sh->hashes[note->model] == hash
            && ngx_http_ollama_note_stands(sh, note))
        {
            return 1;
        }
    }

    return 0;
}
