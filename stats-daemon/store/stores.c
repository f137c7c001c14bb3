#include "stores.h"

#include "sqlite/type.h"

#include <stdio.h>
#include <string.h>

static const struct store_type *const types[] = {&store_sqlite};

#define TYPES (sizeof(types) / sizeof(*types))

/* What is behind the colon is *where. */
static const struct store_type *type_of(const char *url, const char **where,
                                        char *err, size_t errlen) {
    char known[128] = "";

    for (size_t i = 0; i < TYPES; i++) {
        size_t len = strlen(types[i]->scheme);
        size_t used = strlen(known);

        if (strncmp(url, types[i]->scheme, len) == 0 && url[len] == ':' &&
            url[len + 1]) {
            *where = url + len + 1;
            return types[i];
        }
        snprintf(known + used, sizeof(known) - used, "%s%s:..",
                 used ? " or " : "", types[i]->scheme);
    }
    /* it may hold a password */
    snprintf(err, errlen, "--store: \"%.*s\" is no store; expected %s",
             (int)strcspn(url, ":"), url, known);
    return NULL;
}

struct store *stores_open(const char *url, char *err, size_t errlen) {
    const char *where;
    const struct store_type *type = type_of(url, &where, err, errlen);

    return type ? type->open(where, err, errlen) : NULL;
}

int stores_backup(const char *url, const char *file, char *err, size_t errlen) {
    const char *where;
    const struct store_type *type = type_of(url, &where, err, errlen);

    if (type == NULL) return -1;
    if (type->backup) return type->backup(where, file, err, errlen);
    snprintf(err, errlen, "a %s store has tools of its own for that",
             type->scheme);
    return -1;
}
