#define PCRE2_CODE_UNIT_WIDTH 8

#include "redact.h"

#include "../base/util.h"

#include <pcre2.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRIDE                                                          \
    (64 * 1024)      /* places that are tried between two looks at time \
                      */
#define MEMORY 16384 /* KiB that an expression may take */
#define STACK  (1024 * 1024)

struct redact {
    atomic_int refs;
    size_t n;
    pcre2_code **codes;
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

struct text {
    char *data;
    size_t len, size;
};

static void *need(void *p) {
    if (p == NULL) abort();
    return p;
}

static struct redact *create(void) {
    struct redact *r = xcalloc(1, sizeof(*r));

    atomic_init(&r->refs, 1);
    r->match = need(pcre2_match_data_create(1, NULL));
    r->context = need(pcre2_match_context_create(NULL));
    r->stack = pcre2_jit_stack_create(32 * 1024, STACK, NULL);
    pcre2_set_match_limit(r->context, REDACT_STEPS);
    pcre2_set_heap_limit(r->context, MEMORY);
    if (r->stack) pcre2_jit_stack_assign(r->context, NULL, r->stack);
    return r;
}

static pcre2_code *compile(const char *expression, char *err, size_t errlen) {
    int code;
    PCRE2_SIZE at;
    uint32_t least;
    unsigned char words[160];
    pcre2_code *c = pcre2_compile((PCRE2_SPTR)expression, PCRE2_ZERO_TERMINATED,
                                  PCRE2_UTF | PCRE2_MATCH_INVALID_UTF |
                                      PCRE2_USE_OFFSET_LIMIT,
                                  &code, &at, NULL);

    if (c == NULL) {
        pcre2_get_error_message(code, words, sizeof(words));
        snprintf(err, errlen, "the expression, at its byte %zu: %s",
                 (size_t)at + 1, (char *)words);
        return NULL;
    }
    pcre2_pattern_info(c, PCRE2_INFO_MATCHEMPTY, &least);
    if (least) {
        snprintf(err, errlen,
                 "the expression matches what is empty, which is "
                 "everywhere");
        pcre2_code_free(c);
        return NULL;
    }
    /* without it, it is slower */
    pcre2_jit_compile(c, PCRE2_JIT_COMPLETE);
    return c;
}

struct redact *redact_add(struct redact *r, const char *expression, char *err,
                          size_t errlen) {
    pcre2_code *c = compile(expression, err, errlen);

    if (c == NULL) return NULL;
    if (r == NULL) r = create();
    r->codes = xrealloc(r->codes, (r->n + 1) * sizeof(*r->codes));
    r->codes[r->n++] = c;
    return r;
}

struct redact *redact_ref(struct redact *r) {
    if (r) atomic_fetch_add(&r->refs, 1);
    return r;
}

void redact_unref(struct redact *r) {
    if (r == NULL || atomic_fetch_sub(&r->refs, 1) > 1) return;
    for (size_t i = 0; i < r->n; i++) pcre2_code_free(r->codes[i]);
    pcre2_match_data_free(r->match);
    pcre2_match_context_free(r->context);
    pcre2_jit_stack_free(r->stack);
    free(r->codes);
    free(r);
}

static void put(struct text *t, const void *data, size_t len) {
    if (t->size - t->len < len) {
        t->size = 2 * t->size > t->len + len ? 2 * t->size : t->len + len;
        t->data = xrealloc(t->data, t->size);
    }
    memcpy(t->data + t->len, data, len);
    t->len += len;
}

/* One expression over all of it; what is behind the last match is put, too. */
static enum redact_result pass(struct redact *r, const pcre2_code *code,
                               const char *data, size_t len, int64_t end,
                               struct text *out) {
    size_t at = 0, kept = 0; /* where to look; what has been put */

    while (at < len) {
        size_t limit = len - at > STRIDE ? at + STRIDE : len;

        pcre2_set_offset_limit(r->context, limit);
        int found = pcre2_match(code, (PCRE2_SPTR)data, len, at, 0, r->match,
                                r->context);
        if (found < 0 && found != PCRE2_ERROR_NOMATCH) return REDACT_TOO_HARD;
        if (mono_ms() > end) return REDACT_TOO_HARD;
        if (found < 0) {
            at = limit;
            continue;
        }
        PCRE2_SIZE *place = pcre2_get_ovector_pointer(r->match);

        if (out->data == NULL) {
            out->size = len + sizeof(REDACT_WORD);
            out->data = xmalloc(out->size);
        }
        /* \K may have moved its beginning anywhere */
        size_t from = place[0] < kept ? kept : place[0];
        size_t to = place[1] < from ? from : place[1];
        put(out, data + kept, from - kept);
        if (to > from) put(out, REDACT_WORD, sizeof(REDACT_WORD) - 1);
        kept = to;
        at = to > at ? to : at + 1;
    }
    if (out->data == NULL) return REDACT_NOTHING;
    put(out, data + kept, len - kept);
    return REDACT_DONE;
}

enum redact_result redact_body(struct redact *r, const void *data, size_t len,
                               void **out, size_t *outlen) {
    struct text now = {NULL, 0, 0};
    int64_t end = mono_ms() + REDACT_MS + (int64_t)(len >> 20) * REDACT_MS_MB;

    for (size_t i = 0; r && i < r->n; i++) {
        struct text next = {NULL, 0, 0};
        const char *from = now.data ? now.data : data;
        enum redact_result got =
            pass(r, r->codes[i], from, now.data ? now.len : len, end, &next);

        if (got == REDACT_TOO_HARD) {
            free(next.data);
            free(now.data);
            return got;
        }
        if (got == REDACT_NOTHING) continue;
        free(now.data);
        now = next;
    }
    if (now.data == NULL) return REDACT_NOTHING;
    *out = now.data;
    *outlen = now.len;
    return REDACT_DONE;
}
