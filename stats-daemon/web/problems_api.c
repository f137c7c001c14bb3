#include "problems_api.h"

#include "../base/log.h"
#include "../base/problems.h"
#include "fields.h"

#include <stdio.h>
#include <string.h>

int problems_texts(struct json *list) {
    struct problem p[PROBLEMS_MAX];
    int n = problems_list(p);

    for (int i = 0; i < n; i++) json_text(list, p[i].text);
    return n;
}

void problems_health(struct json *j) {
    struct problem p[PROBLEMS_MAX];
    int n = problems_list(p);

    json_member(j, "to_acknowledge");
    json_begin(j, '[');
    for (int i = 0; i < n; i++) {
        json_begin(j, '{');
        field_text(j, "name", p[i].name);
        json_member(j, "since");
        json_time(j, p[i].since, 0);
        field_text(j, "text", p[i].text);
        json_end(j, '}');
    }
    json_end(j, ']');
}

static void gauge(struct json *j, const char *name, int value) {
    char line[PROBLEM_NAME + 64];
    int len = snprintf(line, sizeof(line),
                       "ollama_statsd_problem{name=\"%s\"} %d\n", name, value);

    json_raw(j, line, (size_t)len);
}

void problems_metrics(struct json *j) {
    static const char head[] =
        "# HELP ollama_statsd_problem 1 until somebody has acknowledged it.\n"
        "# TYPE ollama_statsd_problem gauge\n";
    struct problem p[PROBLEMS_MAX];
    int n = problems_list(p), known = 0;

    json_raw(j, head, sizeof(head) - 1);
    for (int i = 0; i < n; i++) {
        gauge(j, p[i].name, 1);
        known |= strcmp(p[i].name, PROBLEM_LEDGER) == 0;
    }
    if (!known) gauge(j, PROBLEM_LEDGER, 0);
}

/* rest: "{name}/acknowledge" */
static void acknowledge(struct http_request *q) {
    char name[PROBLEM_NAME];
    size_t n = strcspn(q->rest, "/");
    struct json j = {0};

    if (n == 0 || strcmp(q->rest + n, "/acknowledge") != 0) {
        http_error(q, 404, "there is no such page");
        return;
    }
    snprintf(name, sizeof(name), "%.*s", (int)(n < 64 ? n : 63), q->rest);
    if (n >= sizeof(name) || problem_acknowledge(name) != 0) {
        http_error(q, 404, "there is no problem of this name");
        return;
    }
    log_msg(LOG_NOTICE, "%s is acknowledged", name);
    json_begin(&j, '{');
    field_text(&j, "acknowledged", name);
    json_end(&j, '}');
    http_json(q, &j);
}

void problems_routes(struct http *h) {
    http_route_post(h, "/stats/problems/", acknowledge);
}
