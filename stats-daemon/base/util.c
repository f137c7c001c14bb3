#include "util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static int64_t clock_ms(clockid_t id) {
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t now_ms(void) {
    return clock_ms(CLOCK_REALTIME);
}

int64_t mono_ms(void) {
    return clock_ms(CLOCK_MONOTONIC);
}

int64_t mono_us(void) {
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static char *put_digits(char *p, int v, int n) {
    for (int i = n - 1; i >= 0; i--, v /= 10) p[i] = (char)('0' + v % 10);
    return p + n;
}

/* By hand: an answer has ten thousand of them, and strftime() is slow. */
const char *iso_time(char *buf, int64_t ms, int with_ms) {
    if (ms < 0) ms = 0;
    if (ms > INT64_C(253402300799999)) ms = INT64_C(253402300799999);

    int64_t sec = ms / 1000;
    int rest = (int)(sec % 86400);

    /* days since 0000-03-01, in eras of 400 years: leap days come last */
    int64_t day = sec / 86400 + 719468;
    int era = (int)(day / 146097), of_era = (int)(day % 146097);
    int year =
        (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int of_year = of_era - (365 * year + year / 4 - year / 100);
    int month = (5 * of_year + 2) / 153;
    int mday = of_year - (153 * month + 2) / 5 + 1;

    month = month < 10 ? month + 3 : month - 9;
    year += era * 400 + (month <= 2);

    char *p = put_digits(buf, year, 4);
    *p++ = '-';
    p = put_digits(p, month, 2);
    *p++ = '-';
    p = put_digits(p, mday, 2);
    *p++ = 'T';
    p = put_digits(p, rest / 3600, 2);
    *p++ = ':';
    p = put_digits(p, rest / 60 % 60, 2);
    *p++ = ':';
    p = put_digits(p, rest % 60, 2);
    if (with_ms) {
        *p++ = '.';
        p = put_digits(p, (int)(ms % 1000), 3);
    }
    *p++ = 'Z';
    *p = '\0';
    return buf;
}

const char *iso_day(char *buf, int64_t ms) {
    iso_time(buf, ms, 0);
    buf[10] = '\0';
    return buf;
}

int parse_number(const char *s, int64_t min, int64_t max, int64_t *value) {
    const char *p = s;
    char *end;

    if (*p == '-') p++;
    if (*p < '0' || *p > '9') return -1;

    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno || *end || v < min || v > max) return -1;

    *value = v;
    return 0;
}

/* Exactly n digits at *s, which is moved behind them. */
static int digits(const char **s, int n, int *v) {
    *v = 0;
    while (n--) {
        if (**s < '0' || **s > '9') return -1;
        *v = *v * 10 + (*(*s)++ - '0');
    }
    return 0;
}

int parse_time(const char *s, int64_t *ms) {
    int year, month, day, hour = 0, min = 0, sec = 0, frac = 0;
    int off_h = 0, off_m = 0, sign = 0;
    struct tm tm;

    if (strlen(s) <= 11 && parse_number(s, 0, 99999999999LL, ms) == 0) {
        *ms *= 1000;
        return 0;
    }

    if (digits(&s, 4, &year) || *s++ != '-' || digits(&s, 2, &month) ||
        *s++ != '-' || digits(&s, 2, &day))
        return -1;

    if (*s) {
        if (*s != 'T' && *s != 't' && *s != ' ') return -1;
        s++;
        if (digits(&s, 2, &hour) || *s++ != ':' || digits(&s, 2, &min))
            return -1;
        if (*s == ':') {
            s++;
            if (digits(&s, 2, &sec)) return -1;
            if (*s == '.') {
                int scale = 100;
                s++;
                if (*s < '0' || *s > '9') return -1;
                for (; *s >= '0' && *s <= '9'; s++, scale /= 10)
                    frac += (*s - '0') * scale;
            }
        }
        if (*s == 'Z' || *s == 'z') {
            s++;
        } else if (*s == '+' || *s == '-' || *s == ' ') {
            /* a '+' that nobody escaped has become a space */
            sign = *s++ == '-' ? 1 : -1;
            if (digits(&s, 2, &off_h)) return -1;
            if (*s == ':') s++;
            if (digits(&s, 2, &off_m)) return -1;
        }
        if (*s) return -1;
    }

    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 ||
        hour > 23 || min > 59 || sec > 60 || off_h > 23 || off_m > 59)
        return -1;

    memset(&tm, 0, sizeof(tm));
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    tm.tm_mday = day;
    tm.tm_hour = hour;
    tm.tm_min = min;
    tm.tm_sec = sec;

    time_t t = timegm(&tm);
    if (tm.tm_mday != day) return -1; /* the 31st of June */

    *ms = ((int64_t)t + sign * (off_h * 3600 + off_m * 60)) * 1000 + frac;
    return 0;
}

static int parse_unit(const char *s, const char *units, const int64_t *factors,
                      int64_t *value) {
    char *end;

    if (*s < '0' || *s > '9') return -1;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno) return -1;

    int64_t factor = factors[0];
    if (*end) {
        const char *u = strchr(units, *end | 0x20);
        if (u == NULL || end[1]) return -1;
        factor = factors[u - units + 1];
    }
    return __builtin_mul_overflow(v, factor, value) ? -1 : 0;
}

int parse_duration(const char *s, int64_t *ms) {
    static const int64_t f[] = {1000, 1000, 60000, 3600000, 86400000};
    return parse_unit(s, "smhd", f, ms);
}

int parse_size(const char *s, int64_t *bytes) {
    static const int64_t f[] = {1, 1024, 1024 * 1024, 1024 * 1024 * 1024};
    return parse_unit(s, "kmg", f, bytes);
}

static uint64_t seed;

/* Before main(), because two threads hash. */
__attribute__((constructor)) static void make_seed(void) {
    random_bytes(&seed, sizeof(seed));
    seed |= 1;
}

uint64_t hash_bytes(const void *data, size_t len) {
    const unsigned char *p = data;
    uint64_t h, v;

    h = seed ^ (len * 0x9e3779b97f4a7c15ULL);
    while (len >= 8) {
        memcpy(&v, p, 8);
        h = (h ^ v) * 0xff51afd7ed558ccdULL;
        h ^= h >> 32;
        p += 8;
        len -= 8;
    }
    v = 0;
    memcpy(&v, p, len);
    h = (h ^ v) * 0xc4ceb9fe1a85ec53ULL;
    h ^= h >> 29;
    h *= seed;
    return h ^ (h >> 32);
}

static void no_memory(void) {
    static const char text[] = "ollama-statsd: out of memory\n";
    fwrite(text, 1, sizeof(text) - 1, stderr);
    abort();
}

void *xmalloc(size_t size) {
    void *p = malloc(size ? size : 1);
    if (p == NULL) no_memory();
    return p;
}

void *xcalloc(size_t n, size_t size) {
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (p == NULL) no_memory();
    return p;
}

void *xrealloc(void *old, size_t size) {
    void *p = realloc(old, size ? size : 1);
    if (p == NULL) no_memory();
    return p;
}

char *xstrdup(const char *s) {
    size_t n = strlen(s) + 1;
    return memcpy(xmalloc(n), s, n);
}

char *xasprintf(const char *fmt, ...) {
    char *s = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0) no_memory();
    va_end(ap);
    return s;
}

void random_bytes(void *buf, size_t len) {
    unsigned char *p = buf;

    while (len) {
        ssize_t n = getrandom(p, len, 0);
        if (n <= 0) continue;
        p += n;
        len -= (size_t)n;
    }
}
