#include "spread.h"

/* A packed one at hand: place < 0 when it is at its end. */
struct reading {
    const unsigned char *p, *end;
    int place;
    uint64_t n;
};

static int number(struct reading *r, uint64_t *v) {
    *v = 0;
    for (int shift = 0; r->p < r->end && shift < 63; shift += 7) {
        unsigned char c = *r->p++;

        *v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80) return 0;
    }
    return -1;
}

static void next(struct reading *r) {
    uint64_t gap;

    if (number(r, &gap) != 0 || number(r, &r->n) != 0 || gap == 0 ||
        gap >= (uint64_t)(SPREAD_PLACES - r->place)) {
        r->place = -1;
        r->p = r->end;
    } else {
        r->place += (int)gap;
    }
}

static void begin(struct reading *r, const void *packed, size_t len) {
    r->p = packed;
    r->end = r->p + len;
    r->place = -1;
    next(r);
}

static unsigned char *put(unsigned char *p, uint64_t v) {
    for (; v >= 0x80; v >>= 7) *p++ = (unsigned char)(v | 0x80);
    *p++ = (unsigned char)v;
    return p;
}

static uint64_t sum(uint64_t a, uint64_t b) {
    uint64_t n = a + b; /* both are less than 2^63 */

    return n > INT64_MAX ? INT64_MAX : n;
}

void spread_add(struct spread *to, const void *packed, size_t len) {
    struct reading r;

    for (begin(&r, packed, len); r.place >= 0; next(&r))
        to->n[r.place] = sum(to->n[r.place], r.n);
}

size_t spread_pack(const struct spread *s, unsigned char *buf) {
    unsigned char *p = buf;
    int last = -1;

    for (int i = 0; i < SPREAD_PLACES; i++) {
        if (s->n[i] == 0) continue;
        p = put(p, (uint64_t)(i - last));
        p = put(p, s->n[i]);
        last = i;
    }
    return (size_t)(p - buf);
}

size_t spread_sum(unsigned char *buf, const void *a, size_t alen, const void *b,
                  size_t blen) {
    struct reading x, y;
    unsigned char *p = buf;
    int last = -1;

    begin(&x, a, alen);
    begin(&y, b, blen);
    while (x.place >= 0 || y.place >= 0) {
        int take_x = x.place >= 0 && (y.place < 0 || x.place <= y.place);
        int take_y = y.place >= 0 && (x.place < 0 || y.place <= x.place);
        int place = take_x ? x.place : y.place;
        uint64_t n = sum(take_x ? x.n : 0, take_y ? y.n : 0);

        p = put(p, (uint64_t)(place - last));
        p = put(p, n);
        last = place;
        if (take_x) next(&x);
        if (take_y) next(&y);
    }
    return (size_t)(p - buf);
}

uint64_t spread_count(const struct spread *s, int place) {
    uint64_t n = 0;

    for (int i = 0; i < BUCKETS; i++) n = sum(n, s->n[place + i]);
    return n;
}
