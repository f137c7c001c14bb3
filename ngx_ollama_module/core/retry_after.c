
#include "retry_after.h"

#include <string.h>


#define OLLAMA_HOUR        3600
#define OLLAMA_DAY         86400

#define OLLAMA_EPOCH_MIN   1000000000           /* 2001, as seconds */
#define OLLAMA_EPOCH_MAX   100000000000         /* 5138; as ms 1973 */
#define OLLAMA_DIGITS_MAX  900000000000000000   /* one more is too much */


typedef struct {
    const char  *p;
    const char  *end;
} ollama_date_t;


static int64_t ollama_retry_number(int64_t n, int64_t now);
static int64_t ollama_retry_clamp(int64_t n);
static int64_t ollama_date_parse(const char *value, size_t len, int64_t now);
static int ollama_date_number(ollama_date_t *d, unsigned digits, int64_t *n);
static int ollama_date_month(ollama_date_t *d, int64_t *month);
static int ollama_date_clock(ollama_date_t *d, int64_t *seconds);
static int ollama_date_byte(ollama_date_t *d, char c);
static int64_t ollama_date_days(int64_t year, int64_t month, int64_t day);


int64_t
ollama_retry_after(const char *value, size_t len, int64_t now)
{
    size_t   i;
    int64_t  n;

    while (len > 0 && (*value == ' ' || *value == '\t')) {
        value++;
        len--;
    }

    while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t')) {
        len--;
    }

    if (len == 0) {
        return -1;
    }

    n = 0;

    for (i = 0; i < len && value[i] >= '0' && value[i] <= '9'; i++) {
        n = (n < OLLAMA_DIGITS_MAX) ? n * 10 + (value[i] - '0') : INT64_MAX;
    }

    if (i == len) {
        return ollama_retry_number(n, now);
    }

    n = ollama_date_parse(value, len, now);

    return (n == -1) ? -1 : ollama_retry_clamp(n - now);
}


/*
 * No cloud lets anybody wait for 30 years: such a number is a time since 1970,
 * in seconds, or in thousandths, millionths or billionths of one.
 */

static int64_t
ollama_retry_number(int64_t n, int64_t now)
{
    if (n >= OLLAMA_EPOCH_MIN && n < INT64_MAX) {

        while (n > OLLAMA_EPOCH_MAX) {
            n /= 1000;
        }

        n -= now;
    }

    return ollama_retry_clamp(n);
}


static int64_t
ollama_retry_clamp(int64_t n)
{
    return (n < 0) ? 0 : (n > OLLAMA_RETRY_AFTER_MAX) ? OLLAMA_RETRY_AFTER_MAX
                                                      : n;
}


/*
 *     Sun, 06 Nov 1994 08:49:37 GMT
 *     Sunday, 06-Nov-94 08:49:37 GMT
 *     Sun Nov  6 08:49:37 1994
 *
 * What day of the week it was is not looked at.
 */

static int64_t
ollama_date_parse(const char *value, size_t len, int64_t now)
{
    int            ok;
    int64_t        day, month, year, clock, t;
    ollama_date_t  d;

    day = 0;
    month = 0;
    year = 0;
    clock = 0;

    d.p = value;
    d.end = value + len;

    while (d.p < d.end && *d.p != ',' && *d.p != ' ') {
        d.p++;
    }

    if (ollama_date_byte(&d, ',')) {

        ok = ollama_date_byte(&d, ' ') && ollama_date_number(&d, 2, &day);

        if (ok && ollama_date_byte(&d, '-')) {
            ok = ollama_date_month(&d, &month) && ollama_date_byte(&d, '-')
                 && ollama_date_number(&d, 2, &year);

            /* a year that seems to be more than 50 ahead is a past one */

            if (ok) {
                t = 1970 + now / (365 * OLLAMA_DAY + OLLAMA_DAY / 4);
                year += t / 100 * 100;
                year -= (year > t + 50) ? 100 : 0;
            }

        } else {
            ok = ok && ollama_date_byte(&d, ' ')
                 && ollama_date_month(&d, &month) && ollama_date_byte(&d, ' ')
                 && ollama_date_number(&d, 4, &year);
        }

        ok = ok && ollama_date_byte(&d, ' ') && ollama_date_clock(&d, &clock)
             && d.end - d.p == 4 && memcmp(d.p, " GMT", 4) == 0;

    } else {
        ok = ollama_date_byte(&d, ' ') && ollama_date_month(&d, &month)
             && ollama_date_byte(&d, ' ')
             && (ollama_date_byte(&d, ' ')
                 ? ollama_date_number(&d, 1, &day)
                 : ollama_date_number(&d, 2, &day))
             && ollama_date_byte(&d, ' ') && ollama_date_clock(&d, &clock)
             && ollama_date_byte(&d, ' ') && ollama_date_number(&d, 4, &year)
             && d.p == d.end;
    }

    if (!ok || day < 1 || day > 31 || year < 1970) {
        return -1;
    }

    return ollama_date_days(year, month, day) * OLLAMA_DAY + clock;
}


static int
ollama_date_number(ollama_date_t *d, unsigned digits, int64_t *n)
{
    *n = 0;

    while (digits-- > 0) {

        if (d->p == d->end || *d->p < '0' || *d->p > '9') {
            return 0;
        }

        *n = *n * 10 + (*d->p++ - '0');
    }

    return 1;
}


static int
ollama_date_month(ollama_date_t *d, int64_t *month)
{
    int64_t  i;

    static const char  names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    if (d->end - d->p < 3) {
        return 0;
    }

    for (i = 0; i < 12; i++) {

        if (memcmp(d->p, names + 3 * i, 3) == 0) {
            d->p += 3;
            *month = i + 1;
            return 1;
        }
    }

    return 0;
}


static int
ollama_date_clock(ollama_date_t *d, int64_t *seconds)
{
    int64_t  h, m, s;

    if (!ollama_date_number(d, 2, &h) || !ollama_date_byte(d, ':')
        || !ollama_date_number(d, 2, &m) || !ollama_date_byte(d, ':')
        || !ollama_date_number(d, 2, &s) || h > 23 || m > 59 || s > 60)
    {
        return 0;
    }

    *seconds = h * OLLAMA_HOUR + m * 60 + s;

    return 1;
}


static int
ollama_date_byte(ollama_date_t *d, char c)
{
    if (d->p == d->end || *d->p != c) {
        return 0;
    }

    d->p++;

    return 1;
}


/* from 1970-01-01; a year begins in March, so that the leap day is its last */

static int64_t
ollama_date_days(int64_t year, int64_t month, int64_t day)
{
    if (month <= 2) {
        month += 12;
        year--;
    }

    return 365 * year + year / 4 - year / 100 + year / 400
           + (153 * (month - 3) + 2) / 5 + day - 1 - 719468;
}
