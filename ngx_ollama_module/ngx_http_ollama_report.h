
/*
 * What the daemon is told besides the records, and what it tells us: which keys
 * there are, how they and the outbox are, which requests run; usage and
 * penalties from before this nginx was started.
 *
 * Each report is a batch of whole frames in a buffer, which takes the place of
 * what was in it.
 */


#ifndef _NGX_HTTP_OLLAMA_REPORT_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_REPORT_H_INCLUDED_


#include "ngx_http_ollama.h"


#define NGX_HTTP_OLLAMA_REPORT_BATCH  262144    /* bytes */


typedef struct {
    u_char                          *buf;
    size_t                           size;
    size_t                           len;       /* bytes of frames */
} ngx_http_ollama_report_t;


/* what is in it stays */

ngx_int_t ngx_http_ollama_report_reserve(ngx_http_ollama_report_t *report,
    size_t size);
void ngx_http_ollama_report_free(ngx_http_ollama_report_t *report);

/* HELLO, a KEY for each, READY: the daemon answers with what it knows */

ngx_int_t ngx_http_ollama_report_hello(ngx_http_ollama_report_t *report,
    ngx_http_ollama_main_conf_t *conf);

/* the outbox, and the keys that have changed since they were told */

ngx_int_t ngx_http_ollama_report_state(ngx_http_ollama_report_t *report,
    ngx_http_ollama_main_conf_t *conf);

ngx_int_t ngx_http_ollama_report_running(ngx_http_ollama_report_t *report,
    ngx_http_ollama_main_conf_t *conf, uint32_t *running);

/* a frame of the daemon; NGX_DONE: it is ready, NGX_ERROR: no such frame */

ngx_int_t ngx_http_ollama_report_frame(ngx_http_ollama_main_conf_t *conf,
    ollama_frame_t *frame);


#endif /* _NGX_HTTP_OLLAMA_REPORT_H_INCLUDED_ */
