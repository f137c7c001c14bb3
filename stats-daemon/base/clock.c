#include "clock.h"

#include <stdlib.h>

void clock_start(struct clock *c, int64_t wall, int64_t steady, int64_t last) {
    c->offset = (last ? last : wall) - steady;
    c->jump = 0;
    clock_now(c, wall, steady);
    c->asleep = c->jump > 0;
}

int64_t clock_now(struct clock *c, int64_t wall, int64_t steady) {
    int64_t jump = wall - (c->offset + steady);

    if (llabs(jump) > CLOCK_JUMP) {
        /* one jump behind another begins anew, and so does one back */
        if (c->jump == 0 || llabs(jump - c->jump) > CLOCK_JUMP) {
            c->since = steady;
            c->jump = jump;
            c->asleep = 0;
        }
        if (steady - c->since < CLOCK_LAST) return c->offset + steady;
    }
    c->offset = wall - steady;
    c->jump = 0;
    c->asleep = 0;
    return wall;
}
