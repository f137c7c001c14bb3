#include "levels.h"

struct plan {
    const struct level_bounds *bounds;
    int64_t step;
    struct level_part *parts;
    int n;
};

static int64_t down(int64_t minute, int64_t unit) {
    int64_t rest = minute % unit;

    return minute - (rest < 0 ? rest + unit : rest);
}

static int64_t up(int64_t minute, int64_t unit) {
    return down(minute + unit - 1, unit);
}

static void add(struct plan *p, int level, int64_t from, int64_t to) {
    struct level_part *last = p->n ? &p->parts[p->n - 1] : 0;

    if (from >= to) return;
    if (last && last->level == level && last->to == from)
        last->to = to;
    else if (p->n < LEVEL_PARTS)
        p->parts[p->n++] = (struct level_part){level, from, to};
}

/* What is before the mark, from this level on downwards: coarser ones were
 * tried already. */
static void cover(struct plan *p, int64_t from, int64_t to, int level) {
    if (from >= to) return;
    if (level == LEVEL_MINUTE) {
        add(p, level, from, to);
        return;
    }

    int64_t unit = level_unit(level), finer = p->bounds->since[level - 1];

    if (p->step && p->step % unit) {
        int64_t end = up(finer < to ? finer : to, unit);

        if (from < finer) {
            add(p, level, down(from, unit), end);
            from = end;
        }
        cover(p, from, to, level - 1);
        return;
    }

    int64_t first = up(from, unit), end = down(to, unit);

    if (from < finer) first = down(from, unit);
    if (end < finer || to == p->bounds->mark) end = up(to, unit);

    cover(p, from, first < to ? first : to, level - 1);
    add(p, level, first, end);
    cover(p, first > end ? first : end, to, level - 1);
}

int level_plan(const struct level_bounds *bounds, int64_t from, int64_t to,
               int64_t step, struct level_part parts[LEVEL_PARTS]) {
    struct plan p = {bounds, step, parts, 0};
    int64_t mark = bounds->mark;

    cover(&p, from, to < mark ? to : mark, LEVEL_DAY);
    add(&p, LEVEL_MINUTE, from > mark ? from : mark, to);
    return p.n;
}
