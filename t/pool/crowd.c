
/* processes at once, as many workers are: the lock and the queues are real */

#include "harness.h"

#include <sys/wait.h>


#define PROCESSES  6
#define EACH       40
#define ROUNDS     3000


static ngx_uint_t t_process(pool_t *pool);


void
t_crowd(void)
{
    int          status;
    pid_t        pids[PROCESSES];
    world_t     *w;
    pool_t       worker;
    const char  *wrong;
    ngx_uint_t   i, failed;

    w = calloc(1, sizeof(world_t));
    t_rules.sessions = 150;
    t_rules.said = 1;
    t_world(w, "a slots=1;b slots=2;c slots=3 account=x;d account=x;e slots=1;"
            "f slots=5 weight=3", 0, 4 * 1024 * 1024);

    for (i = 0; i < PROCESSES; i++) {
        pids[i] = fork();

        if (pids[i] == 0) {
            ngx_pid = getpid();
            worker = *w->pool;

            ngx_http_ollama_pool_init_process(&worker, w->zone->shm.log);

            failed = t_process(&worker);

            if (i != 0) {
                ngx_http_ollama_pool_exit_process(&worker);
            }

            /* the first one dies with all that it holds */

            _exit(failed ? 1 : 0);
        }
    }

    failed = 0;

    for (i = 0; i < PROCESSES; i++) {
        waitpid(pids[i], &status, 0);
        failed += (status != 0);
    }

    t_ok(failed == 0, "%u processes with %u requests each, %u times, are all "
         "served", PROCESSES, EACH, ROUNDS);

    wrong = t_check(w);
    t_ok(wrong == NULL, "all is counted%s%s", wrong ? ", but " : "",
         wrong ? wrong : "");

    worker = *w->pool;
    t_time(10, 0);
    ngx_http_ollama_pool_init_process(&worker, w->zone->shm.log);

    t_ok(w->pool->sh->in_flight == 0 && w->pool->sh->nwaiting == 0
         && w->pool->sh->nprocesses == 1, "and nothing is left");

    t_end(w);
}


static ngx_uint_t
t_process(pool_t *pool)
{
    lease_t     *l, *served;
    uint64_t     begun, ms, now;
    ngx_int_t    rc;
    ngx_uint_t   i, n, left;

    l = calloc(EACH, sizeof(lease_t));
    left = ROUNDS;
    begun = t_ns();
    ms = 0;

    for (n = 0; n < EACH; n++) {
        t_lease(&l[n], (n % 3) ? "m" : "", 10);
        (void) t_wait(pool, &l[n]);
    }

    while (left) {

        now = (t_ns() - begun) / 1000000;

        if (now > 60000) {
            return 1;
        }

        t_time(0, now - ms);
        ms = now;

        i = (ngx_uint_t) (t_ns() % EACH);

        /* its answer has come: the next request */

        if (l[i].key) {
            t_settle(pool, &l[i], 5);
            t_lease(&l[i], (i % 3) ? "m" : "", 10);
            t_stays(&l[i], t_ns() / 1000 % 300);

            rc = t_wait(pool, &l[i]);

            if (rc != NGX_OK && rc != NGX_AGAIN) {
                return 1;
            }

            left--;
        }

        while ((served = t_served(pool, &rc)) != NULL) {
            if (rc != NGX_OK || served->key == 0) {
                return 1;
            }
        }
    }

    return 0;
}
