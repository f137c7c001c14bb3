#include "key_names.h"

#include "../base/map.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct {
    pthread_rwlock_t lock;
    struct map *names; /* fingerprint -> KEY_NAME_SIZE bytes */
} kn = {.lock = PTHREAD_RWLOCK_INITIALIZER};

void key_names_set(uint32_t key, const char *name) {
    int fresh;

    pthread_rwlock_wrlock(&kn.lock);
    if (kn.names == NULL) kn.names = map_new(KEY_NAME_SIZE);
    snprintf(map_put(kn.names, &key, sizeof(key), &fresh), KEY_NAME_SIZE, "%s",
             name);
    pthread_rwlock_unlock(&kn.lock);
}

void key_names_get(uint32_t key, char name[KEY_NAME_SIZE]) {
    name[0] = '\0';
    pthread_rwlock_rdlock(&kn.lock);
    const char *found = kn.names ? map_get(kn.names, &key, sizeof(key)) : NULL;
    if (found) memcpy(name, found, KEY_NAME_SIZE);
    pthread_rwlock_unlock(&kn.lock);
}

void key_names_free(void) {
    if (kn.names) map_free(kn.names);
    kn.names = NULL;
}
