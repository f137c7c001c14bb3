/*
 * What the kernel says of this process, by the names that every Prometheus
 * client gives: memory, descriptors, processor time, when it was started.
 * From /proc/self, which is memory; what cannot be read is left out.
 */

#ifndef STATSD_METRICS_PROCESS_H
#define STATSD_METRICS_PROCESS_H

#include "../base/json.h"

void metrics_process(struct json *j);

#endif
