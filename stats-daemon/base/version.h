/* The daemon's version, as /health, /metrics and WELCOME say it. */

#ifndef STATSD_VERSION_H
#define STATSD_VERSION_H

#define STATSD_VERSION "0.2.0"

#endif
