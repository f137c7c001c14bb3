#include "spans.h"

int64_t span_minutes(enum span s) {
    static const int64_t minutes[SPANS] = {1, 10, 60, 1440};

    return minutes[s];
}

enum span span_of_step(int64_t step) {
    enum span s = SPAN_DAY;

    while (step && s > SPAN_MINUTE && step % span_minutes(s) != 0) s--;
    return s;
}

int span_plan(int64_t from, int64_t to, const int64_t first[SPANS],
              enum span longest, struct span_range list[SPAN_RANGES]) {
    int n = 0;

    while (from < to) {
        enum span s = SPAN_MINUTE;

        while (s < SPAN_DAY && from < first[s]) s++;
        from -= from % span_minutes(s);
        while (s < longest && from % span_minutes(s + 1) == 0 &&
               from >= first[s + 1] && from + span_minutes(s + 1) <= to)
            s++;

        int64_t row = from / span_minutes(s), rows = 1;
        if (s == SPAN_DAY && s == longest && to - from > span_minutes(s))
            rows = (to - from) / span_minutes(s);
        from += rows * span_minutes(s);
        if (n && list[n - 1].span == s) {
            list[n - 1].to = row + rows;
        } else {
            if (n == SPAN_RANGES) break;
            list[n++] = (struct span_range){s, row, row + rows};
        }
    }
    return n;
}
