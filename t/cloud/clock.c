#include "clock.h"

static int64_t moved;

int64_t clock_ms(void) {
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_now_ms(void) {
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + moved;
}

time_t clock_now(void) {
    return clock_now_ms() / 1000;
}

void clock_move(int64_t ms) {
    moved = ms;
}

int64_t clock_moved(void) {
    return moved;
}

const char *clock_http(void) {
    static char text[64];
    static time_t when;
    time_t now = clock_now();
    struct tm tm;

    if (now != when) {
        when = now;
        gmtime_r(&now, &tm);
        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    }
    return text;
}

static const char *date_and_time(time_t at) {
    static char text[64];
    static time_t when;
    struct tm tm;

    if (at != when) {
        when = at;
        gmtime_r(&at, &tm);
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    }
    return text;
}

void clock_rfc3339(struct buf *b, time_t at) {
    buf_str(b, date_and_time(at));
    buf_char(b, 'Z');
}

void clock_rfc3339_nano(struct buf *b, time_t at, long nsec) {
    char digits[9];
    int i;

    buf_str(b, date_and_time(at));
    if (nsec) {
        for (i = 8; i >= 0; i--, nsec /= 10) digits[i] = '0' + nsec % 10;
        for (i = 9; digits[i - 1] == '0'; i--) {
        }
        buf_char(b, '.');
        buf_add(b, digits, i);
    }
    buf_char(b, 'Z');
}
