#include "cause.h"

#include "../../ngx_ollama_module/core/words.h"

#include <string.h>

#define TWO_HOURS 7200

const char *const cause_names[CAUSES] = {
    "none",    "quota",   "slots",       "4xx",         "5xx",
    "network", "cut_off", "client_gone", "refused_here"};

int cause_is_broken(const ollama_record_request_t *q) {
    return q->end == OLLAMA_RECORD_UPSTREAM_GONE ||
           q->end == OLLAMA_RECORD_STREAM_ERROR ||
           q->end == OLLAMA_RECORD_PROXY_STOPPED ||
           q->end == OLLAMA_RECORD_WORKER_GONE;
}

int cause_is_refused(const ollama_record_request_t *q) {
    return q->end == OLLAMA_RECORD_LOCAL ||
           (q->nattempts == 0 && q->attempts_all == 0 &&
            (q->status == 0 || q->status >= 400));
}

static int says(const ollama_text_t *t, const char *words) {
    return t->len && memmem(t->data, t->len, words, strlen(words)) != NULL;
}

/* The cloud's answer, by its words where the status does not say it. */
static enum cause answered(const ollama_record_request_t *q, unsigned status) {
    ollama_words_t words;

    if (status >= 500) return CAUSE_5XX;
    ollama_words(q->reason.data, q->reason.len, &words);
    if (status == 429 || status == 402 || status == 403) {
        if (words.quota && !(words.model && status != 429)) return CAUSE_QUOTA;
        if (words.concurrent || says(&q->reason, "slots are taken"))
            return CAUSE_SLOTS;
        if (words.money && !words.model) return CAUSE_QUOTA;
    }
    return CAUSE_4XX;
}

/* An error inside of an answer has no status. */
static enum cause inside(const ollama_record_request_t *q) {
    ollama_words_t words;

    ollama_words(q->reason.data, q->reason.len, &words);
    return words.quota        ? CAUSE_QUOTA
           : words.concurrent ? CAUSE_SLOTS
                              : CAUSE_CUT_OFF;
}

/* No status: it never came to an answer. */
static int no_answer(const ollama_record_attempt_t *a) {
    return a->status == 0 && a->cause != OLLAMA_ATTEMPT_ANSWERED &&
           a->cause != OLLAMA_ATTEMPT_ABORTED;
}

enum cause cause_of(const ollama_record_request_t *q) {
    const ollama_record_attempt_t *last =
        q->nattempts ? &q->attempts[q->nattempts - 1] : NULL;

    if (q->end == OLLAMA_RECORD_CLIENT_GONE) return CAUSE_GONE;
    if (q->end == OLLAMA_RECORD_STREAM_ERROR) return inside(q);
    if (q->status < 400) {
        if (!cause_is_broken(q)) return CAUSE_NONE;
        return q->status == 0 && q->end == OLLAMA_RECORD_UPSTREAM_GONE
                   ? CAUSE_NETWORK
                   : CAUSE_CUT_OFF;
    }

    if (last && no_answer(last)) return CAUSE_NETWORK;
    if (last && last->status >= 400) return answered(q, last->status);
    if (q->end == OLLAMA_RECORD_LOCAL) return CAUSE_REFUSED;
    if (q->end == OLLAMA_RECORD_UPSTREAM_GONE) return CAUSE_NETWORK;
    if (cause_is_broken(q)) return CAUSE_CUT_OFF;
    /* passed on, by a key or with words, and no word of tries */
    if (q->attempts_all || q->nattempts || q->key || q->reason.len ||
        q->status >= 500)
        return answered(q, q->status);
    return CAUSE_REFUSED;
}

int64_t cause_window(const ollama_text_t *reason, int64_t time) {
    char text[257];
    size_t len = reason->len < sizeof(text) ? reason->len : sizeof(text) - 1;
    int64_t now = time / 1000;

    for (size_t i = 0; i < len; i++) {
        char c = (char)reason->data[i];

        text[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c ? c : ' ';
    }
    text[len] = '\0';

    const ollama_quota_t *quota = ollama_words_quota(text);
    if (quota && quota->period)
        now -=
            now < quota->offset ? now : (now - quota->offset) % quota->period;
    else if (quota && *quota->word)
        now -= quota->longest;
    else
        now -= TWO_HOURS;
    return now > 0 ? now * 1000 : 0;
}
