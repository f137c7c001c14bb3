#include "money.h"

#define DIGITS                                                    \
    24 /* that count; a number with more of them is out of bounds \
        */

static int is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* The exponent behind an 'e': 0, or -1. */
static int read_exponent(const char *s, const char *end, int *exponent) {
    int negative = 0, n = 0;

    if (s < end && (*s == '-' || *s == '+')) negative = *s++ == '-';
    if (s == end) return -1;
    for (; s < end; s++) {
        if (!is_digit(*s)) return -1;
        if (n < 1000) n = n * 10 + (*s - '0');
    }
    *exponent = negative ? -n : n;
    return 0;
}

/* digits * 10^shift, rounded */
static int64_t scale(const char *digits, int n, int shift) {
    int64_t v = 0;

    for (int i = 0; i < n + shift; i++) {
        if (v > MONEY_MAX / 10) return MONEY_MAX;
        v = v * 10 + (i < n ? digits[i] - '0' : 0);
    }
    if (shift < 0 && n + shift >= 0 && digits[n + shift] >= '5') v++;
    return v > MONEY_MAX ? MONEY_MAX : v;
}

int money_read(const char *s, size_t len, int64_t *nano) {
    const char *end = s + len;
    char digits[DIGITS];
    int n = 0, point = 0, seen = 0, exponent = 0, negative = 0, behind = 0;

    if (s < end && *s == '-') {
        negative = 1;
        s++;
    }
    for (; s < end && *s != 'e' && *s != 'E'; s++) {
        if (*s == '.' && !point && seen) {
            point = 1;
            continue;
        }
        if (!is_digit(*s)) return -1;
        seen = 1;
        if (n == 0 && *s == '0') {
            behind += point;
        } else if (n < DIGITS) {
            digits[n++] = *s;
            behind += point;
        } else {
            behind -= !point; /* what is left out still has its place */
        }
    }
    if (!seen || !is_digit(s[-1])) return -1;
    if (s < end && read_exponent(s + 1, end, &exponent) != 0) return -1;
    *nano = negative || n == 0 ? 0 : scale(digits, n, 9 - behind + exponent);
    return 0;
}
