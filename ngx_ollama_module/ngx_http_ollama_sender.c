
#include "ngx_http_ollama_sender.h"
#include "ngx_http_ollama_board.h"
#include "ngx_http_ollama_outbox.h"
#include "ngx_http_ollama_report.h"
#include "ngx_http_ollama_running.h"


#define NGX_HTTP_OLLAMA_FLUSH        5          /* ms */
#define NGX_HTTP_OLLAMA_FLUSH_IDLE   50
#define NGX_HTTP_OLLAMA_RETRY        250
#define NGX_HTTP_OLLAMA_ROLE         500
#define NGX_HTTP_OLLAMA_STATE        1000
#define NGX_HTTP_OLLAMA_SILENCE      30000
#define NGX_HTTP_OLLAMA_LAST_WORDS   300

#define NGX_HTTP_OLLAMA_RECV         65536      /* bytes */


typedef struct {
    ngx_http_ollama_main_conf_t     *conf;

    ngx_event_t                      event;     /* the timer */
    ngx_connection_t                 dummy;
    ngx_peer_connection_t            peer;
    ngx_log_t                        quiet;     /* while it connects */
    ngx_connection_t                *connection;

    ngx_http_ollama_report_t         out;       /* frames being written */
    size_t                           pos;

    u_char                          *in;
    size_t                           in_last;

    ngx_msec_t                       state_sent;
    ngx_msec_t                       running_sent;
    ngx_msec_t                       buried;    /* last look at the dead */
    ngx_atomic_uint_t                running_version;   /* that was sent */
    uint32_t                         running;   /* requests in it */
    ngx_msec_t                       answered;  /* the daemon's last word */

    unsigned                         sender:1;
    unsigned                         connected:1;
    unsigned                         ready:1;   /* the daemon said so */
    unsigned                         told:1;    /* in the log */
} ngx_http_ollama_sender_t;


static void ngx_http_ollama_sender_last_words(ngx_http_ollama_sender_t *s);
static ngx_int_t ngx_http_ollama_sender_send_ring(ngx_http_ollama_sender_t *s);
static ngx_int_t ngx_http_ollama_sender_send_all(ngx_http_ollama_sender_t *s,
    ngx_socket_t fd);
static void ngx_http_ollama_sender_timer(ngx_event_t *ev);
static ngx_uint_t ngx_http_ollama_sender_role(ngx_http_ollama_sender_t *s);
static void ngx_http_ollama_sender_give_up(ngx_http_ollama_sender_t *s);
static void ngx_http_ollama_sender_connect(ngx_http_ollama_sender_t *s);
static void ngx_http_ollama_sender_close(ngx_http_ollama_sender_t *s,
    const char *why);
static void ngx_http_ollama_sender_write_handler(ngx_event_t *wev);
static void ngx_http_ollama_sender_read_handler(ngx_event_t *rev);
static ngx_int_t ngx_http_ollama_sender_flush(ngx_http_ollama_sender_t *s);
static ngx_int_t ngx_http_ollama_sender_write(ngx_http_ollama_sender_t *s);
static ngx_int_t ngx_http_ollama_sender_fill(ngx_http_ollama_sender_t *s);
static ngx_uint_t ngx_http_ollama_sender_running_due(
    ngx_http_ollama_sender_t *s);
static void ngx_http_ollama_sender_ready(ngx_http_ollama_sender_t *s);


static ngx_http_ollama_sender_t  ngx_http_ollama_sender;


void
ngx_http_ollama_sender_init_process(ngx_http_ollama_main_conf_t *conf,
    ngx_cycle_t *cycle)
{
    ngx_http_ollama_sender_t  *s;

    s = &ngx_http_ollama_sender;

    ngx_memzero(s, sizeof(ngx_http_ollama_sender_t));

    s->conf = conf;
    s->dummy.fd = (ngx_socket_t) -1;

    s->event.handler = ngx_http_ollama_sender_timer;
    s->event.data = &s->dummy;
    s->event.log = cycle->log;
    s->event.cancelable = 1;

    ngx_add_timer(&s->event, 1);
}


void
ngx_http_ollama_sender_exit_process(void)
{
    ngx_http_ollama_sender_t  *s;

    s = &ngx_http_ollama_sender;

    if (s->conf == NULL) {
        return;
    }

    ngx_http_ollama_sender_give_up(s);
    ngx_http_ollama_sender_last_words(s);

    ngx_http_ollama_report_free(&s->out);

    if (s->in) {
        ngx_free(s->in);
    }

    s->conf = NULL;
}


/*
 * The end of a worker may be that of nginx, and so of the ring.  What is in it
 * is sent once more over a connection of its own, which may take a moment now:
 * there are no more clients.  If nginx goes on, the next sender sends the same
 * again, and the daemon knows the numbers.
 *
 * It takes the role to do so: two that read from the ring would each send a
 * part.  A worker that finds the role taken leaves its records to whoever has
 * it, who therefore looks once more after giving it up.
 */

static void
ngx_http_ollama_sender_last_words(ngx_http_ollama_sender_t *s)
{
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ngx_http_ollama_outbox_t  *outbox;

    outbox = s->conf->outbox;

    if (ngx_http_ollama_outbox_empty(outbox)) {
        return;
    }

    for (i = 0; i < 3; i++) {

        if (!ngx_http_ollama_outbox_take(outbox)) {
            return;
        }

        s->sender = 1;

        rc = ngx_http_ollama_sender_send_ring(s);

        ngx_http_ollama_sender_give_up(s);

        if (rc != NGX_OK || !ngx_http_ollama_outbox_unsent(outbox)) {
            return;
        }
    }
}


static ngx_int_t
ngx_http_ollama_sender_send_ring(ngx_http_ollama_sender_t *s)
{
    u_char          buf[1024];
    ngx_int_t       rc;
    ngx_socket_t    fd;
    struct timeval  tv;

    fd = ngx_socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd == (ngx_socket_t) -1) {
        return NGX_ERROR;
    }

    tv.tv_sec = 0;
    tv.tv_usec = NGX_HTTP_OLLAMA_LAST_WORDS * 1000;

    (void) setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
    (void) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));

    rc = NGX_ERROR;

    s->pos = 0;

    if (connect(fd, s->conf->statsd.sockaddr, s->conf->statsd.socklen) == 0
        && ngx_http_ollama_report_hello(&s->out, s->conf) == NGX_OK)
    {
        ngx_http_ollama_outbox_rewind(s->conf->outbox);

        rc = ngx_http_ollama_sender_send_all(s, fd);

        if (rc == NGX_OK) {

            /* it has been read when the daemon closes its side as well */

            (void) shutdown(fd, SHUT_WR);

            while (recv(fd, buf, sizeof(buf), 0) > 0) { /* void */ }
        }
    }

    (void) ngx_close_socket(fd);

    return rc;
}


static ngx_int_t
ngx_http_ollama_sender_send_all(ngx_http_ollama_sender_t *s, ngx_socket_t fd)
{
    ssize_t  n;

    for ( ;; ) {

        while (s->pos < s->out.len) {

            n = send(fd, s->out.buf + s->pos, s->out.len - s->pos,
                     MSG_NOSIGNAL);

            if (n <= 0) {
                return NGX_ERROR;
            }

            s->pos += n;
        }

        if (ngx_http_ollama_sender_fill(s) != NGX_OK) {
            return NGX_ERROR;
        }

        if (s->out.len == 0) {
            return NGX_OK;
        }
    }
}


static void
ngx_http_ollama_sender_timer(ngx_event_t *ev)
{
    ngx_msec_t                 next;
    ngx_http_ollama_sender_t  *s;

    s = &ngx_http_ollama_sender;

    /* a worker that only finishes its requests leaves the role to another */

    if (ngx_exiting && s->sender && (!s->ready || s->pos == s->out.len)) {
        ngx_http_ollama_sender_give_up(s);
    }

    if (!ngx_http_ollama_sender_role(s)) {
        ngx_add_timer(ev, NGX_HTTP_OLLAMA_ROLE);
        return;
    }

    if (ngx_current_msec - s->buried >= NGX_HTTP_OLLAMA_STATE) {
        s->buried = ngx_current_msec;

        ngx_http_ollama_running_bury(s->conf);
    }

    if (s->connection == NULL) {
        ngx_http_ollama_sender_connect(s);
        next = NGX_HTTP_OLLAMA_RETRY;

    } else if (!s->connected || !s->ready) {
        next = NGX_HTTP_OLLAMA_RETRY;

        if (ngx_current_msec - s->answered > NGX_HTTP_OLLAMA_SILENCE) {
            ngx_http_ollama_sender_close(s, "does not answer");
        }

    } else {
        next = (s->pos < s->out.len
                || ngx_http_ollama_outbox_unsent(s->conf->outbox))
               ? NGX_HTTP_OLLAMA_FLUSH : NGX_HTTP_OLLAMA_FLUSH_IDLE;

        if (ngx_http_ollama_sender_flush(s) != NGX_OK) {
            ngx_http_ollama_sender_close(s, "is gone");
            next = NGX_HTTP_OLLAMA_RETRY;
        }
    }

    ngx_add_timer(ev, next);
}


static ngx_uint_t
ngx_http_ollama_sender_role(ngx_http_ollama_sender_t *s)
{
    if (s->sender) {
        return 1;
    }

    if (ngx_exiting || ngx_terminate) {
        return 0;
    }

    s->sender = ngx_http_ollama_outbox_take(s->conf->outbox);

    return s->sender;
}


static void
ngx_http_ollama_sender_give_up(ngx_http_ollama_sender_t *s)
{
    if (!s->sender) {
        return;
    }

    if (s->connection) {
        ngx_http_ollama_sender_close(s, NULL);
    }

    ngx_http_ollama_outbox_give_up(s->conf->outbox);

    s->sender = 0;
}


static void
ngx_http_ollama_sender_connect(ngx_http_ollama_sender_t *s)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    ngx_memzero(&s->peer, sizeof(ngx_peer_connection_t));

    s->peer.sockaddr = s->conf->statsd.sockaddr;
    s->peer.socklen = s->conf->statsd.socklen;
    s->peer.name = &s->conf->statsd.name;
    s->peer.get = ngx_event_get_peer;

    /*
     * A daemon that is not there is no error of nginx, which would say so four
     * times a second: we say it once.
     */

    s->quiet = *s->event.log;
    s->quiet.log_level = NGX_LOG_EMERG;
    s->quiet.next = NULL;

    s->peer.log = &s->quiet;
    s->peer.log_error = NGX_ERROR_INFO;

    s->answered = ngx_current_msec;

    rc = ngx_event_connect_peer(&s->peer);

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED) {

        if (!s->told) {
            ngx_log_error(NGX_LOG_WARN, s->event.log, 0,
                          "ollama-statsd at \"%V\" cannot be reached, "
                          "records wait for it", s->peer.name);
            s->told = 1;
        }

        if (s->peer.connection) {
            ngx_close_connection(s->peer.connection);
            s->peer.connection = NULL;
        }

        return;
    }

    c = s->peer.connection;

    c->data = s;
    c->log = s->event.log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_http_ollama_sender_read_handler;
    c->write->handler = ngx_http_ollama_sender_write_handler;

    /* not a connection that a worker has to wait for when it exits */

    c->idle = 0;

    s->connection = c;
    s->connected = 0;
    s->ready = 0;
    s->pos = 0;
    s->out.len = 0;
    s->in_last = 0;

    if (rc == NGX_OK) {
        ngx_http_ollama_sender_write_handler(c->write);
    }
}


static void
ngx_http_ollama_sender_close(ngx_http_ollama_sender_t *s, const char *why)
{
    if (why && !s->told) {
        ngx_log_error(NGX_LOG_WARN, s->event.log, 0,
                      "ollama-statsd at \"%V\" %s, records wait for it",
                      s->peer.name, why);
        s->told = 1;
    }

    if (s->connection) {
        ngx_close_connection(s->connection);
    }

    s->connection = NULL;
    s->connected = 0;
    s->ready = 0;
}


static void
ngx_http_ollama_sender_write_handler(ngx_event_t *wev)
{
    ngx_connection_t          *c;
    ngx_http_ollama_sender_t  *s;

    c = wev->data;
    s = c->data;

    if (!s->connected) {
        s->connected = 1;

        s->pos = 0;

        if (ngx_http_ollama_report_hello(&s->out, s->conf) != NGX_OK) {
            ngx_http_ollama_sender_close(s, "is not there");
            return;
        }
    }

    if (ngx_http_ollama_sender_write(s) == NGX_ERROR) {
        ngx_http_ollama_sender_close(s, "is gone");
    }
}


static ngx_int_t
ngx_http_ollama_sender_flush(ngx_http_ollama_sender_t *s)
{
    ngx_uint_t  i;

    /* some batches and no more: other events wait as well */

    for (i = 0; i < 8; i++) {

        switch (ngx_http_ollama_sender_write(s)) {

        case NGX_ERROR:
            return NGX_ERROR;

        case NGX_AGAIN:
            return NGX_OK;

        default: /* NGX_OK: all is written */
            break;
        }

        if (ngx_current_msec - s->state_sent >= NGX_HTTP_OLLAMA_STATE) {
            s->state_sent = ngx_current_msec;

            if (ngx_http_ollama_report_state(&s->out, s->conf) != NGX_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        if (ngx_http_ollama_sender_running_due(s)) {
            s->running_version = ngx_http_ollama_board_version(
                                                          s->conf->running);
            s->running_sent = ngx_current_msec;

            if (ngx_http_ollama_report_running(&s->out, s->conf, &s->running)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            continue;
        }

        if (ngx_http_ollama_sender_fill(s) != NGX_OK) {
            return NGX_ERROR;
        }

        if (s->out.len == 0) {
            return NGX_OK;
        }
    }

    return (ngx_http_ollama_sender_write(s) == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_http_ollama_sender_write(ngx_http_ollama_sender_t *s)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = s->connection;

    while (s->pos < s->out.len) {

        n = c->send(c, s->out.buf + s->pos, s->out.len - s->pos);

        if (n == NGX_AGAIN) {
            return (ngx_handle_write_event(c->write, 0) == NGX_OK)
                   ? NGX_AGAIN : NGX_ERROR;
        }

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        s->pos += n;
    }

    s->pos = 0;
    s->out.len = 0;

    return NGX_OK;
}


/* the next batch of whole frames from the ring */

static ngx_int_t
ngx_http_ollama_sender_fill(ngx_http_ollama_sender_t *s)
{
    size_t  need;

    need = NGX_HTTP_OLLAMA_REPORT_BATCH;

    for ( ;; ) {

        if (ngx_http_ollama_report_reserve(&s->out, need) != NGX_OK) {
            return NGX_ERROR;
        }

        s->pos = 0;
        s->out.len = ngx_http_ollama_outbox_read(s->conf->outbox, s->out.buf,
                                                 s->out.size, &need);
        if (need == 0) {
            return NGX_OK;
        }
    }
}


/* a list that nobody writes anew is looked at again: its worker may be dead */

static ngx_uint_t
ngx_http_ollama_sender_running_due(ngx_http_ollama_sender_t *s)
{
    ngx_msec_t  since;

    since = ngx_current_msec - s->running_sent;

    if (s->running_version
        != ngx_http_ollama_board_version(s->conf->running))
    {
        return since >= NGX_HTTP_OLLAMA_RUNNING;
    }

    return s->running && since >= NGX_HTTP_OLLAMA_STATE;
}


static void
ngx_http_ollama_sender_read_handler(ngx_event_t *rev)
{
    size_t                     pos, used;
    ssize_t                    n;
    ngx_int_t                  rc;
    ollama_frame_t             frame;
    ngx_connection_t          *c;
    ngx_http_ollama_sender_t  *s;

    c = rev->data;
    s = c->data;

    if (s->in == NULL) {
        s->in = ngx_alloc(NGX_HTTP_OLLAMA_RECV, s->event.log);
        if (s->in == NULL) {
            ngx_http_ollama_sender_close(s, NULL);
            return;
        }
    }

    for ( ;; ) {

        n = c->recv(c, s->in + s->in_last, NGX_HTTP_OLLAMA_RECV - s->in_last);

        if (n == NGX_AGAIN) {

            if (ngx_handle_read_event(rev, 0) != NGX_OK) {
                ngx_http_ollama_sender_close(s, NULL);
            }

            return;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_http_ollama_sender_close(s, "is gone");
            return;
        }

        s->in_last += n;
        s->answered = ngx_current_msec;

        for (pos = 0; pos < s->in_last; pos += used) {

            switch (ollama_frame_next(s->in + pos, s->in_last - pos, &used,
                                      &frame))
            {

            case OLLAMA_FRAME_GOT:
                rc = ngx_http_ollama_report_frame(s->conf, &frame);

                if (rc == NGX_ERROR) {
                    ngx_http_ollama_sender_close(s, "speaks another language");
                    return;
                }

                if (rc == NGX_DONE) {
                    ngx_http_ollama_sender_ready(s);
                }

                continue;

            case OLLAMA_FRAME_AGAIN:
                goto again;

            default: /* OLLAMA_FRAME_DAMAGED, OLLAMA_FRAME_FOREIGN */
                continue;
            }
        }

    again:

        if (pos < s->in_last) {
            ngx_memmove(s->in, s->in + pos, s->in_last - pos);
        }

        s->in_last -= pos;

        if (s->in_last == NGX_HTTP_OLLAMA_RECV) {
            ngx_http_ollama_sender_close(s, "speaks another language");
            return;
        }
    }
}


static void
ngx_http_ollama_sender_ready(ngx_http_ollama_sender_t *s)
{
    s->ready = 1;

    ngx_log_error(NGX_LOG_INFO, s->event.log, 0,
                  "ollama-statsd at \"%V\" is there", s->peer.name);
    s->told = 0;

    s->state_sent = ngx_current_msec - NGX_HTTP_OLLAMA_STATE;
    s->running_version = 0;

    ngx_add_timer(&s->event, 1);
}
