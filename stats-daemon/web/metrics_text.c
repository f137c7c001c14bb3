#include "metrics_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

size_t metrics_clean(char *to, const void *name, size_t len) {
    const unsigned char *p = name, *end = p + len;
    char *start = to;

    while (p < end) {
        size_t n = *p ? json_utf8(p, (size_t)(end - p)) : 0;

        if (n) {
            memcpy(to, p, n);
            to += n;
            p += n;
        } else {
            memcpy(to, REPLACEMENT, 3);
            to += 3;
            p++;
        }
    }
    *to = '\0';
    return (size_t)(to - start);
}

void metrics_out(struct json *j, const char *fmt, ...) {
    char buf[1024];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(buf, sizeof(buf), fmt, ap);
    va_end(ap);
    if (n > 0)
        json_raw(j, buf, n < (int)sizeof(buf) ? (size_t)n : sizeof(buf) - 1);
}

void metrics_head(struct json *j, const char *name, const char *type,
                  const char *help) {
    metrics_out(j, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_label(struct json *j, const char *name, const char *value) {
    size_t left = strlen(value);

    metrics_out(j, "%s=\"", name);
    while (left) {
        size_t n = json_utf8((const unsigned char *)value, left);

        if (n == 0) {
            json_raw(j, REPLACEMENT, 3);
            n = 1;
        } else if (*value == '\n') {
            json_raw(j, "\\n", 2);
        } else {
            if (*value == '\\' || *value == '"') json_raw(j, "\\", 1);
            json_raw(j, value, n);
        }
        value += n;
        left -= n;
    }
    json_raw(j, "\"", 1);
}

void metrics_one(struct json *j, const char *name, const char *type,
                 const char *help, double value) {
    metrics_head(j, name, type, help);
    metrics_out(j, "%s %.17g\n", name, value);
}
