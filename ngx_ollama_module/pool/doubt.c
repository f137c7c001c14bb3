
/*
 * What one has to know of a key and of the others, before it is condemned.
 */

#include "key.h"
#include "core/error.h"


#define NGX_HTTP_OLLAMA_UNPAID_TIME   600
#define NGX_HTTP_OLLAMA_REFUSED_TIME  600       /* then it is forgotten */
#define NGX_HTTP_OLLAMA_SAID_KEY      8         /* bytes that show a key */

#define NGX_HTTP_OLLAMA_HICCUP_TIME   5
#define NGX_HTTP_OLLAMA_SPARED_TIME   2

#define NGX_HTTP_OLLAMA_SEVERAL       0xffffffff


static ngx_uint_t ngx_http_ollama_doubt_counts(
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_key_t *key);
static void ngx_http_ollama_doubt_spare(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *refused);
static void ngx_http_ollama_doubt_said(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, ollama_answer_t *answer);


/* the answer is completed by it */

void
ngx_http_ollama_doubt_know(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ollama_answer_t *answer)
{
    time_t                      now;
    ngx_http_ollama_key_t      *key;
    ngx_http_ollama_node_t     *node;
    ngx_http_ollama_note_t     *note;
    ngx_http_ollama_shared_t   *sh;
    ngx_http_ollama_account_t  *account;

    sh = pool->sh;
    now = ngx_time();

    ngx_http_ollama_pool_lock(pool);

    key = ngx_http_ollama_lease_key(pool, lease, &node);

    if (key == NULL) {
        goto done;
    }

    if (key->refused
        && key->until == 0
        && key->state != NGX_HTTP_OLLAMA_KEY_INVALID
        && now - key->refused_at > NGX_HTTP_OLLAMA_REFUSED_TIME)
    {
        key->refused = 0;
    }

    answer->worked = key->worked;
    answer->refused = key->refused;
    answer->refused_since = key->refused_since;
    answer->other_differs = (key->differs != sh->differs);

    /* others have worked, and are not refused now themselves */

    answer->other_worked = (key->proofs != sh->proofs
                            && (sh->refused == 0
                                || sh->refused == key->number));

    if (key->refused && !ngx_http_ollama_doubt_counts(lease, key)) {
        answer->refused--;
        answer->other_worked = 0;
    }

    account = key->account;

    answer->period_end = account->balance.renews;

    answer->other_unpaid = (account->unpaid_at
                            && account->unpaid != lease->hash
                            && now - account->unpaid_at
                               < NGX_HTTP_OLLAMA_UNPAID_TIME);

    note = ngx_http_ollama_note_find(sh, key, lease->hash);

    if (note) {

        /* met by several at once, or met in spite of it: no second time */

        answer->blocked = ngx_http_ollama_note_stands(sh, note)
                          ? note->level - 1 : note->level;
    }

done:

    ngx_http_ollama_pool_unlock(pool);
}


/* a request from before the last refusal tells nothing new */

static ngx_uint_t
ngx_http_ollama_doubt_counts(ngx_http_ollama_lease_t *lease,
    ngx_http_ollama_key_t *key)
{
    return key->refused == 0 || lease->taken > key->refused_at;
}


/* a 401 */

void
ngx_http_ollama_doubt_refused(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_key_t *key,
    ollama_answer_t *answer)
{
    ngx_http_ollama_shared_t  *sh;

    sh = pool->sh;

    ngx_http_ollama_doubt_said(sh, key, answer);

    if (!ngx_http_ollama_doubt_counts(lease, key)) {
        return;
    }

    if (key->refused == 0) {
        key->refused_since = ngx_time();
        key->proofs = sh->proofs;
        key->differs = sh->differs;

        ngx_http_ollama_doubt_spare(pool, key);
    }

    key->refused_at = ngx_time();

    if (key->refused < 255) {
        key->refused++;
    }

    sh->doubted = 1;
    sh->refused = (sh->refused == 0 || sh->refused == key->number)
                  ? key->number : NGX_HTTP_OLLAMA_SEVERAL;
}


/* it was refused again, while another one had worked */

void
ngx_http_ollama_doubt_condemned(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key)
{
    sh->condemned = key->number;
    sh->condemned_at = ngx_time();
    sh->condemned_proofs = sh->proofs;
}


/*
 * A key that has worked until now is refused, too, and none works any more: the
 * other was condemned in the midst of a hiccup.
 */

static void
ngx_http_ollama_doubt_spare(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *refused)
{
    time_t                     now;
    ngx_http_ollama_key_t     *key;
    ngx_http_ollama_shared_t  *sh;

    sh = pool->sh;
    now = ngx_time();

    if (sh->condemned == 0
        || sh->condemned == refused->number
        || sh->condemned_proofs != sh->proofs
        || now - sh->condemned_at > NGX_HTTP_OLLAMA_HICCUP_TIME
        || !refused->worked)
    {
        return;
    }

    key = ngx_http_ollama_key_by_number(sh, sh->condemned);
    sh->condemned = 0;

    if (key == NULL
        || key->state != NGX_HTTP_OLLAMA_KEY_INVALID
        || key->until == 0)
    {
        return;
    }

    key->until = now + NGX_HTTP_OLLAMA_SPARED_TIME;
    key->state = NGX_HTTP_OLLAMA_KEY_PAUSED;
    key->soft = 1;

    ngx_cpystrn(key->reason, (u_char *) "refused (401), as all are",
                NGX_HTTP_OLLAMA_REASON_LEN);

    ngx_http_ollama_key_deadline(sh, key);
    ngx_http_ollama_key_place(sh, key);

    ngx_http_ollama_tell(pool, key, NULL);
}


/* the cloud's words, for those whom it is not asked for */

static void
ngx_http_ollama_doubt_said(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, ollama_answer_t *answer)
{
    char     text[NGX_HTTP_OLLAMA_REASON_LEN + 1];
    size_t   len;
    u_char  *secret;

    if (answer->body_len == 0) {
        return;
    }

    len = ollama_error_text(answer->body, answer->body_len, text,
                            sizeof(text));

    secret = key->authorization.data + sizeof("Bearer ") - 1;

    if (len == 0
        || len == NGX_HTTP_OLLAMA_REASON_LEN
        || memmem(text, len, secret,
                  ngx_min(key->authorization.len - (sizeof("Bearer ") - 1),
                          NGX_HTTP_OLLAMA_SAID_KEY)))
    {
        /* it was cut, or repeats what it was sent */

        return;
    }

    ngx_memcpy(sh->unauthorized, text, len + 1);
}


/* a key has worked */

void
ngx_http_ollama_doubt_worked(ngx_http_ollama_shared_t *sh)
{
    if (sh->doubted) {
        sh->doubted = 0;
        sh->refused = 0;
        sh->proofs++;
    }
}


/* one has failed, but was not refused: the cloud does tell keys apart */

void
ngx_http_ollama_doubt_differs(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease)
{
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_node_t  *node;

    ngx_http_ollama_pool_lock(pool);

    key = ngx_http_ollama_lease_key(pool, lease, &node);

    if (key && key->refused == 0) {
        pool->sh->differs++;
    }

    ngx_http_ollama_pool_unlock(pool);
}
