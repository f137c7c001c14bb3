
#include "harness.h"

#include <sys/prctl.h>
#include <sys/wait.h>


static ngx_int_t t_init_module(ngx_cycle_t *cycle);
static void t_handle(world_t *w, pool_t **pool, ngx_pool_t **memory);


rules_t     t_rules;
ngx_uint_t  t_failed;
uint64_t    t_commit_ns;

static ngx_uint_t   t_number;
static ngx_time_t   t_now;
static ngx_log_t   *t_log;


static ngx_core_module_t  t_module_ctx = {
    ngx_string("pool_test"),
    NULL,
    NULL
};


ngx_module_t  pool_test_module = {
    NGX_MODULE_V1,
    &t_module_ctx,
    NULL,
    NGX_CORE_MODULE,
    NULL,
    t_init_module,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NGX_MODULE_V1_PADDING
};


ngx_module_t  *ngx_modules[] = { &pool_test_module, NULL };
char          *ngx_module_names[] = { "pool_test_module", NULL };
char          *ngx_module_order[] = { NULL };


static ngx_int_t
t_init_module(ngx_cycle_t *cycle)
{
    char                *what;
    volatile ngx_time_t *time;

    t_log = cycle->log;

    time = ngx_cached_time;

    t_now.sec = 1763822000;
    t_now.msec = 0;
    ngx_cached_time = &t_now;
    ngx_current_msec = 1000000;

    what = getenv("POOL_TEST");

    if (what && strcmp(what, "random") == 0) {
        t_random();

    } else if (what && strcmp(what, "crowd") == 0) {
        t_crowd();

    } else if (what && strcmp(what, "bench") == 0) {
        t_bench();

    } else if (what && strcmp(what, "zone") == 0) {
        t_zone();

    } else {
        t_cases();
    }

    if (t_number) {
        printf("1..%lu\n", (unsigned long) t_number);
    }

    fflush(stdout);

    ngx_cached_time = time;

    _exit(t_failed ? 1 : 0);
}


void
t_ok(ngx_uint_t ok, const char *name, ...)
{
    va_list  args;

    printf("%sok %lu - ", ok ? "" : "not ", (unsigned long) ++t_number);

    va_start(args, name);
    vprintf(name, args);
    va_end(args);

    printf("\n");
    fflush(stdout);

    t_failed += !ok;
}


void
t_note(const char *text, ...)
{
    va_list  args;

    printf("# ");

    va_start(args, text);
    vprintf(text, args);
    va_end(args);

    printf("\n");
    fflush(stdout);
}


void
t_time(time_t seconds, ngx_msec_t ms)
{
    ngx_current_msec += seconds * 1000 + ms;

    ms += t_now.msec;

    t_now.sec += seconds + ms / 1000;
    t_now.msec = ms % 1000;
}


void
t_clock(time_t seconds)
{
    t_now.sec += seconds;
}


void
t_config(ollama_config_t *config, const char *text, ngx_uint_t n)
{
    char                 *copy, *line, *word, *save, *next;
    ngx_uint_t            i;
    ollama_config_key_t  *key;

    memset(config, 0, sizeof(ollama_config_t));

    if (text) {
        for (n = 1, line = (char *) text; *line; line++) {
            n += (*line == ';');
        }
    }

    config->keys = calloc(n, sizeof(ollama_config_key_t));
    config->nkeys = n;

    for (i = 0; i < n; i++) {
        key = &config->keys[i];
        key->name = malloc(64);
        key->key = malloc(80);
        key->weight = 1;
        key->enabled = 1;

        if (text == NULL) {
            sprintf(key->name, "key_%lu", (unsigned long) i);
        }
    }

    if (text) {
        copy = strdup(text);

        for (i = 0, line = copy; i < n; i++, line = next) {
            next = strchr(line, ';');

            if (next) {
                *next++ = '\0';
            }

            key = &config->keys[i];
            word = strtok_r(line, " ", &save);
            strcpy(key->name, word);

            while ((word = strtok_r(NULL, " ", &save)) != NULL) {

                if (strncmp(word, "account=", 8) == 0) {
                    key->account = strdup(word + 8);

                } else if (strncmp(word, "slots=", 6) == 0) {
                    key->max_concurrent = atoi(word + 6);

                } else if (strncmp(word, "weight=", 7) == 0) {
                    key->weight = atoi(word + 7);

                } else if (strncmp(word, "tier=", 5) == 0) {
                    key->tier = atoi(word + 5);

                } else if (strncmp(word, "floor=", 6) == 0) {

                    if (strchr(word, '%')) {
                        key->floor_percent = atoi(word + 6);

                    } else {
                        key->floor_cost = atoi(word + 6) * 1000000000ull;
                    }

                } else if (strcmp(word, "off") == 0) {
                    key->enabled = 0;
                }
            }
        }

        free(copy);
    }

    for (i = 0; i < n; i++) {

        /* as long as those of the cloud */

        key = &config->keys[i];
        sprintf(key->key, "%032x.abcdefghijklmnopqrst", 0);
        memcpy(key->key, key->name, strlen(key->name));
        key->key[strlen(key->name)] = '-';
        key->key_len = strlen(key->key);
    }
}


/* what a process that reads a configuration does */

static void
t_handle(world_t *w, pool_t **pool, ngx_pool_t **memory)
{
    ngx_conf_t         cf;
    ngx_cycle_t       *cycle;

    static ngx_str_t   name = ngx_string("pool");

    *memory = ngx_create_pool(16384, t_log);

    cycle = ngx_pcalloc(*memory, sizeof(ngx_cycle_t));
    cycle->log = t_log;
    cycle->pool = *memory;
    ngx_list_init(&cycle->shared_memory, *memory, 1, sizeof(ngx_shm_zone_t));

    memset(&cf, 0, sizeof(ngx_conf_t));
    cf.pool = *memory;
    cf.cycle = cycle;
    cf.log = t_log;

    *pool = ngx_http_ollama_pool_create(&cf, &name, w->size);
    ngx_http_ollama_pool_set_list(*pool, &w->config);
    ngx_http_ollama_pool_set_usual(*pool, t_rules.usual);
    ngx_http_ollama_pool_set_tokens(*pool, t_rules.tokens
                                           || t_rules.usual == 0);
    ngx_http_ollama_pool_set_expiring(*pool, t_rules.expiring);
    ngx_http_ollama_pool_set_interval(*pool, t_rules.interval);
    ngx_http_ollama_pool_set_sessions(*pool, t_rules.sessions, t_rules.said);

    (*pool)->shm_zone->shm.addr = w->addr;
    (*pool)->shm_zone->shm.size = w->size;
}


void
t_world(world_t *w, const char *text, ngx_uint_t n, size_t size)
{
    ngx_slab_pool_t  *sp;

    memset(w, 0, sizeof(world_t));

    w->size = size;
    w->addr = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_ANON|MAP_SHARED, -1,
                   0);

    /* as ngx_init_zone_pool() does */

    sp = (ngx_slab_pool_t *) w->addr;
    sp->end = w->addr + size;
    sp->min_shift = 3;
    sp->addr = w->addr;

    ngx_shmtx_create(&sp->mutex, &sp->lock, NULL);
    ngx_slab_init(sp);

    t_config(&w->config, text, n);
    t_handle(w, &w->pool, &w->memory);

    w->zone = w->pool->shm_zone;

    if (w->zone->init(w->zone, NULL) != NGX_OK) {
        w->pool = NULL;
        return;
    }

    ngx_http_ollama_pool_commit(w->pool);
}


/* commit 0: a later step of the reload fails */

ngx_int_t
t_reload(world_t *w, const char *text, ngx_uint_t n, ngx_uint_t commit)
{
    ngx_int_t         rc;
    pool_t           *pool;
    ngx_pool_t       *memory;
    ollama_config_t   old;

    old = w->config;

    t_config(&w->config, text, n);
    t_handle(w, &pool, &memory);

    rc = pool->shm_zone->init(pool->shm_zone, w->zone->data);

    if (rc == NGX_OK && commit) {
        t_commit_ns = t_ns();
        ngx_http_ollama_pool_commit(pool);
        t_commit_ns = t_ns() - t_commit_ns;

        ngx_destroy_pool(w->memory);

        w->memory = memory;
        w->pool = pool;
        w->zone = pool->shm_zone;

        return NGX_OK;
    }

    ngx_destroy_pool(memory);
    w->config = old;

    return rc;
}


void
t_end(world_t *w)
{
    ngx_uint_t  i;

    for (i = 0; i < w->nworkers; i++) {
        if (w->pids[i]) {
            t_kill(w, i);
        }
    }

    ngx_destroy_pool(w->memory);
    munmap(w->addr, w->size);
}


pool_t *
t_worker(world_t *w)
{
    pid_t    pid, parent;
    pool_t  *worker;

    parent = getpid();
    pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);

        if (getppid() != parent) {
            _exit(0);
        }

        for ( ;; ) {
            pause();
        }
    }

    worker = &w->workers[w->nworkers];
    w->pids[w->nworkers++] = pid;

    *worker = *w->pool;

    ngx_pid = pid;
    ngx_http_ollama_pool_init_process(worker, t_log);

    return worker;
}


void
t_kill(world_t *w, ngx_uint_t i)
{
    kill(w->pids[i], SIGKILL);
    waitpid(w->pids[i], NULL, 0);
    w->pids[i] = 0;
}


void
t_as(world_t *w, pool_t *worker)
{
    ngx_pid = w->pids[worker - w->workers];
}


void
t_lease(lease_t *lease, const char *model, uint64_t tokens)
{
    ngx_str_t  name;

    memset(lease, 0, sizeof(lease_t));

    name.data = (u_char *) model;
    name.len = strlen(model);

    ngx_http_ollama_lease_want(lease, &name);
    lease->charge.tokens = tokens;
    lease->charge.cost = tokens;
}


ngx_int_t
t_take(pool_t *pool, lease_t *lease)
{
    return ngx_http_ollama_lease_take(pool, lease);
}


ngx_int_t
t_wait(pool_t *pool, lease_t *lease)
{
    return ngx_http_ollama_lease_wait(pool, lease, 0, 100000);
}


void
t_settle(pool_t *pool, lease_t *lease, uint64_t tokens)
{
    ngx_http_ollama_charge_t  charge = { tokens, tokens, 0 };

    ngx_http_ollama_lease_settle(pool, lease, &charge, 0);
}


void
t_spend(pool_t *pool, lease_t *lease, uint64_t tokens, uint64_t cost,
    uint64_t guess)
{
    ngx_http_ollama_charge_t  charge = { tokens, cost, guess };

    ngx_http_ollama_lease_settle(pool, lease, &charge, 0);
}


void
t_book(pool_t *pool, uint32_t key, uint64_t tokens)
{
    ngx_http_ollama_charge_t  charge = { tokens, tokens, 0 };

    ngx_http_ollama_pool_book(pool, key, &charge);
}


/* as a worker's timer does: no lock without news */

lease_t *
t_served(pool_t *pool, ngx_int_t *rc)
{
    if (!ngx_http_ollama_pool_news(pool)) {
        return NULL;
    }

    return ngx_http_ollama_pool_served(pool, rc);
}


void
t_answer(pool_t *pool, lease_t *lease, ngx_uint_t status, const char *body,
    ngx_int_t retry_after, ollama_verdict_t *verdict)
{
    ollama_answer_t  answer;

    memset(&answer, 0, sizeof(answer));

    if (status == 0) {
        answer.failure = OLLAMA_FAIL_ABORTED_EARLY;
    }

    answer.status = status;
    answer.body = (const unsigned char *) body;
    answer.body_len = strlen(body);
    answer.retry_after = retry_after;
    answer.max_concurrent = -1;
    answer.now = ngx_time();
    answer.judges = 1;
    answer.has_model = lease->model.len ? 1 : 0;

    ngx_http_ollama_lease_judge(pool, lease, &answer, verdict);
}


ngx_uint_t
t_named(lease_t *lease, const char *name)
{
    return lease->key
           && lease->name.len == strlen(name)
           && memcmp(lease->name.data, name, lease->name.len) == 0;
}


pkey_t *
t_key(world_t *w, ngx_uint_t i)
{
    return w->pool->sh->keys[i];
}
