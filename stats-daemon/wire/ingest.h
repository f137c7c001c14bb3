/*
 * Frames from the module: the unix stream socket, its connections, what is
 * answered to them.  The format is in ngx_ollama_module/core/record.h.
 *
 * A connection begins with HELLO, KEY frames, and READY; it is answered with
 * WELCOME (the last number committed), USAGE of the last 2 h, standing
 * PENALTY frames, and READY.  Numbered frames go to the writer unless their
 * number has been seen; when the writer has committed them, each connection
 * of that instance gets ACK.
 *
 * While the writer's queue is full, nothing is read: the kernel's buffers and
 * then the module's outbox fill up.  A connection that does not take its
 * answers is closed at INGEST_OUT_MAX, one that does not say HELLO after
 * INGEST_HELLO_S.  At most INGEST_CONNECTIONS, others wait (accepting.h); whose
 * they may be is in peers.h.
 *
 * Frames of both versions are read, and answered in version 1, which every
 * module knows.  A damaged frame, one of a later version or of an unknown type
 * is counted, said once in the log, and skipped; those after it are good.
 */

#ifndef STATSD_INGEST_H
#define STATSD_INGEST_H

#include "../ledger/ask.h"
#include "../ledger/writer.h"
#include "../store/question.h"
#include "state.h"

#include <event2/buffer.h>
#include <event2/event.h>

#define INGEST_CONNECTIONS 256
#define INGEST_HELLO_S     60
#define INGEST_OUT_MAX     (64 * 1024 * 1024)

struct ingest;

/* fd listens already; at most max connections. */
struct ingest *ingest_start(struct event_base *base, int fd,
                            struct state *state, struct store *store, int max);
void ingest_set_writer(struct ingest *in, struct writer *writer,
                       struct ask *ask);

/* Frames for every proxy that has said who it is; and for each that comes
 * later, behind READY. */
typedef void ingest_greeting(void *arg, struct evbuffer *out);
void ingest_tell(struct ingest *in, struct evbuffer *frames);
void ingest_greet(struct ingest *in, ingest_greeting *greeting, void *arg);

/* To be called by the writer's on_commit. */
void ingest_committed(struct ingest *in, uint64_t instance, uint64_t seq);

/* Reads nothing any more; then, when the last ACKs are in: closes. */
void ingest_stop(struct ingest *in);
void ingest_free(struct ingest *in);

#endif
