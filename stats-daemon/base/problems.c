#include "problems.h"

#include "log.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock;
    char *dir, *path;
    struct problem list[PROBLEMS_MAX];
    int n;
    int64_t version;
} p = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct problem *find(const char *name) {
    for (int i = 0; i < p.n; i++)
        if (strcmp(p.list[i].name, name) == 0) return &p.list[i];
    return NULL;
}

static void one_line(char *s) {
    for (; *s; s++)
        if ((unsigned char)*s < ' ') *s = ' ';
}

/* All of it under another name first, so that there is never half of it. */
static int save(void) {
    char *tmp = xasprintf("%s.new", p.path);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    int bad = f == NULL;

    for (int i = 0; !bad && i < p.n; i++)
        bad = fprintf(f, "%s %lld %s\n", p.list[i].name,
                      (long long)p.list[i].since, p.list[i].text) < 0;
    if (f && (fflush(f) != 0 || fsync(fd) != 0)) bad = 1;
    if (f && fclose(f) != 0) bad = 1;
    if (f == NULL && fd >= 0) close(fd);
    if (!bad && rename(tmp, p.path) != 0) bad = 1;
    if (!bad) {
        fd = open(p.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bad = fd < 0 || fsync(fd) != 0;
        if (fd >= 0) close(fd);
    }
    int error = errno;
    if (bad) unlink(tmp);
    free(tmp);
    errno = error;
    return bad ? -1 : 0;
}

static void changed(void) {
    p.version++;
    if (p.path && save() != 0)
        log_msg(LOG_ERROR,
                "%s: %s; problems that stand now are not known to "
                "the next start",
                p.path, strerror(errno));
}

static void read_line(const char *line) {
    struct problem q = {0};
    long long since;
    int at = 0;

    if (p.n == PROBLEMS_MAX ||
        sscanf(line, "%63[a-z_] %lld %n", q.name, &since, &at) != 2 || at == 0)
        return;
    q.since = since;
    snprintf(q.text, sizeof(q.text), "%s", line + at);
    q.text[strcspn(q.text, "\n")] = '\0';
    one_line(q.text);
    if (find(q.name) == NULL) p.list[p.n++] = q;
}

void problems_open(const char *dir) {
    char line[PROBLEM_NAME + PROBLEM_TEXT + 32];

    pthread_mutex_lock(&p.lock);
    p.dir = xstrdup(dir);
    p.path = xasprintf("%s/problems", dir);
    FILE *f = fopen(p.path, "re");
    while (f && fgets(line, sizeof(line), f)) read_line(line);
    if (f) fclose(f);
    pthread_mutex_unlock(&p.lock);
}

void problems_close(void) {
    pthread_mutex_lock(&p.lock);
    free(p.dir);
    free(p.path);
    p.dir = p.path = NULL;
    p.n = 0;
    pthread_mutex_unlock(&p.lock);
}

void problem_raise(const char *name, const char *fmt, ...) {
    va_list ap;

    pthread_mutex_lock(&p.lock);
    struct problem *q = find(name);
    if (q == NULL) {
        /* names are the program's own: there are never so many */
        q = &p.list[p.n < PROBLEMS_MAX ? p.n++ : PROBLEMS_MAX - 1];
        snprintf(q->name, sizeof(q->name), "%s", name);
        q->since = now_ms();
    }
    va_start(ap, fmt);
    vsnprintf(q->text, sizeof(q->text), fmt, ap);
    va_end(ap);
    one_line(q->text);
    changed();
    pthread_mutex_unlock(&p.lock);
}

int problem_acknowledge(const char *name) {
    int r = -1;

    pthread_mutex_lock(&p.lock);
    struct problem *q = find(name);
    if (q) {
        p.n--;
        memmove(q, q + 1, (size_t)(&p.list[p.n] - q) * sizeof(*q));
        changed();
        r = 0;
    }
    pthread_mutex_unlock(&p.lock);
    return r;
}

int problems_list(struct problem *list) {
    pthread_mutex_lock(&p.lock);
    int n = p.n;
    memcpy(list, p.list, (size_t)n * sizeof(*list));
    pthread_mutex_unlock(&p.lock);
    return n;
}

int64_t problems_version(void) {
    pthread_mutex_lock(&p.lock);
    int64_t version = p.version;
    pthread_mutex_unlock(&p.lock);
    return version;
}
