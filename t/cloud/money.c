#include "money.h"

#include <ctype.h>

bool money_read(yajl_val v, int64_t *nano) {
    const char *s = YAJL_IS_NUMBER(v) ? YAJL_GET_NUMBER(v) : YAJL_GET_STRING(v);
    bool minus;
    int decimals;

    if (s == NULL || *s == '\0') return false;
    minus = *s == '-';
    if (minus) s++;

    for (*nano = 0; isdigit((unsigned char)*s); s++) {
        *nano = *nano * 10 + (*s - '0');
        if (*nano > 1000000) return false;
    }
    if (*s == '.') s++;
    for (decimals = 0; decimals < 9; decimals++) {
        *nano *= 10;
        if (isdigit((unsigned char)*s)) *nano += *s++ - '0';
    }
    if (minus) *nano = -*nano;
    return *s == '\0';
}

void money_write(struct buf *b, int64_t nano) {
    int64_t rest;
    char digits[9];
    int n;

    if (nano < 0) buf_char(b, '-');
    if (nano < 0) nano = -nano;
    buf_int(b, nano / MONEY_DOLLAR);

    rest = nano % MONEY_DOLLAR;
    if (rest == 0) return;
    for (n = 8; n >= 0; n--, rest /= 10) digits[n] = '0' + rest % 10;
    for (n = 9; digits[n - 1] == '0'; n--) {
    }
    buf_char(b, '.');
    buf_add(b, digits, n);
}
