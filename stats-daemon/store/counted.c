#include "counted.h"

#include "cause.h"

#include "../base/clock.h"
#include "../base/util.h"

#include <stdlib.h>

int64_t counted_bounded(uint64_t v) {
    return v > 1000000000000LL ? 1000000000000LL : (int64_t)v;
}

int64_t counted_money(uint64_t v) {
    return v > 1000000000000000LL ? 1000000000000000LL : (int64_t)v;
}

static int64_t counted_product(int64_t tokens, int64_t price) {
    return price && tokens > 1000000000000000LL / price ? 1000000000000000LL
                                                        : tokens * price;
}

static int is_estimate(int certainty) {
    return certainty == OLLAMA_RECORD_ESTIMATED ||
           certainty == OLLAMA_RECORD_PARTIAL;
}

struct store_counts counted(const ollama_record_request_t *q) {
    struct store_counts n = {
        .requests = 1,
        .errors = cause_is_error(cause_of(q)),
        .prompt = counted_bounded(q->prompt),
        .completion = counted_bounded(q->completion),
        .cached = counted_bounded(q->cached),
    };

    if (is_estimate(q->prompt_certainty)) n.estimated += n.prompt;
    if (is_estimate(q->completion_certainty)) n.estimated += n.completion;
    if (q->priced) {
        n.cost = counted_money(q->cost);
        n.priced = n.prompt + n.completion;
    }
    return n;
}

int counted_turn(const ollama_record_request_t *q, struct store_turns *t) {
    int64_t prompt = counted_bounded(q->prompt);
    int64_t cached = counted_bounded(q->cached);

    if (q->affinity == OLLAMA_AFFINITY_NONE ||
        q->affinity > OLLAMA_AFFINITY_MOVED || prompt == 0 ||
        q->prompt_certainty != OLLAMA_RECORD_EXACT || cause_of(q) != CAUSE_NONE)
        return 0;
    if (cached > prompt) cached = prompt;
    int64_t share = (cached * 10000 + prompt / 2) / prompt;
    /* more than a dollar a token is nobody's price */
    int64_t saves =
        q->cached_saves > 1000000000 ? 1000000000 : (int64_t)q->cached_saves;

    *t = (struct store_turns){.affinity = q->affinity,
                              .turns = 1,
                              .prompt = prompt,
                              .cached = cached,
                              .shares = share,
                              .squares = share * share,
                              .could = counted_product(prompt, saves),
                              .saved = counted_product(cached, saves)};
    return 1;
}

int counted_kind(const ollama_record_request_t *q) {
    return (cause_is_broken(q) ? STORE_KIND_BROKEN : 0) |
           (q->end == OLLAMA_RECORD_CLIENT_GONE ? STORE_KIND_GONE : 0) |
           (q->nattempts > 1 ? STORE_KIND_RETRIED : 0);
}

int counted_attempts(char buf[COUNTED_ATTEMPTS],
                     const ollama_record_request_t *q) {
    static const char hex[] = "0123456789abcdef";
    char *p = buf;

    for (int i = 0; i < q->nattempts; i++) {
        const ollama_record_attempt_t *a = &q->attempts[i];
        uint32_t numbers[3] = {a->status, a->ms, a->cause};

        if (i) *p++ = ' ';
        for (int shift = 28; shift >= 0; shift -= 4)
            *p++ = hex[a->key >> shift & 15];
        for (int n = 0; n < 3; n++) {
            char digits[10];
            int len = 0;
            uint32_t v = numbers[n];

            do digits[len++] = (char)('0' + v % 10);
            while (v /= 10);
            *p++ = ':';
            while (len) *p++ = digits[--len];
        }
    }
    return (int)(p - buf);
}

int64_t counted_behind(int64_t now, int64_t wall) {
    return now - wall > CLOCK_JUMP ? now - wall : 0;
}

int64_t counted_time(uint64_t told, int64_t behind) {
    int64_t time = (int64_t)told, now = now_ms();

    if (time < 0) return now + behind;
    /* what is behind would be deleted at once */
    if (behind && llabs(time - now) < CLOCK_JUMP) return time + behind;
    return time > now + behind + 60000 ? now + behind : time;
}
