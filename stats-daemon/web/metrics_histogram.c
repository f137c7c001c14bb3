#include "metrics_histogram.h"

#include "metrics_text.h"

#include <inttypes.h>

const struct buckets buckets_request = {
    15,
    {0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800}};
const struct buckets buckets_tokens = {
    8, {16, 64, 256, 1024, 4096, 16384, 65536, 262144}};
const struct buckets buckets_ledger = {
    13,
    {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}};

void histogram_add(struct histogram *h, const struct buckets *b, double value) {
    int i = 0;

    while (i < b->n && value > b->le[i]) i++;
    h->n[i]++;
    h->sum += value;
}

/* The beginning of a line, up to where "le" goes. */
static void begin(struct json *j, const char *name, const char *part,
                  const char *label, const char *value) {
    metrics_out(j, "%s_%s", name, part);
    if (label) {
        metrics_out(j, "{");
        metrics_label(j, label, value);
    }
}

void histogram_text(struct json *j, const char *name, const char *label,
                    const char *value, const struct histogram *h,
                    const struct buckets *b) {
    const char *end = label ? "}" : "";
    uint64_t sum = 0;

    for (int i = 0; i <= b->n; i++) {
        sum += h->n[i];
        begin(j, name, "bucket", label, value);
        metrics_out(j, label ? "," : "{");
        if (i < b->n)
            metrics_out(j, "le=\"%g\"} %" PRIu64 "\n", b->le[i], sum);
        else
            metrics_out(j, "le=\"+Inf\"} %" PRIu64 "\n", sum);
    }
    begin(j, name, "sum", label, value);
    metrics_out(j, "%s %.17g\n", end, h->sum);
    begin(j, name, "count", label, value);
    metrics_out(j, "%s %" PRIu64 "\n", end, sum);
}
