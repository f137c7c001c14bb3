/*
 * Answers of the model, in the wire formats of contract section 2.
 *
 * An emitter writes the whole body into the reply, one event after the other,
 * and says what became of it: which tokens it put on the wire (`reported_` of
 * tokens) and whether the answer is complete, that is, ends as the family's
 * answers end. Pace and framing are not its business. emit.c holds what the
 * four families share.
 */

#ifndef CLOUD_EMIT_H
#define CLOUD_EMIT_H

#include "error.h"
#include "ledger.h"
#include "question.h"

#include <time.h>

struct answer {
    const struct question *q;
    const struct knobs *k;
    struct reply *r;
    struct tokens tokens;
    bool complete;
    struct timespec now; /* grows a little with each stamp */
};

void emit_chat(struct answer *a); /* emit_native.c */
void emit_generate(struct answer *a);
void emit_embed(struct answer *a);
void emit_embeddings(struct answer *a);
void emit_chat_completions(struct answer *a); /* emit_openai.c */
void emit_completions(struct answer *a);
void emit_v1_embeddings(struct answer *a);
void emit_responses(struct answer *a); /* emit_responses.c */
void emit_messages(struct answer *a);  /* emit_anthropic.c */

/* Sets tokens and status; emitters find complete set. cached: tokens that the
 * prompt cache knew. */
void emit_begin(struct answer *a, const struct question *q, struct reply *r,
                int64_t cached);

/* After an emitter: knobs that concern the body as bytes. */
void emit_finish(struct answer *a);

/* The body packed, flushed where events end: with gzip, or deflate. */
void emit_pack(struct reply *r, bool gzip);

/* How many words of the stream are written before its error, all of them if
 * there is none: thinking first, then the answer's. */
int64_t emit_words_due(const struct answer *a);
bool emit_breaks(const struct answer *a);

/* Words from .. to - 1 as characters of a JSON string. */
void emit_words(struct answer *a, int64_t from, int64_t to);
void emit_thought(struct answer *a, int64_t from, int64_t to);

/* Counts to put on the wire, reported or not. */
struct counts {
    int64_t prompt, completion, cached;
    bool has_cached; /* the field is there */
};

struct counts emit_counts(const struct answer *a);
struct counts emit_report(struct answer *a);

void emit_model(struct answer *a); /* as a JSON string */
void emit_stamp(struct answer *a); /* created_at, as one */
void emit_newline(struct answer *a);
void emit_embedding(struct answer *a, size_t seed); /* [0.01,..] */

/* The arguments of the tool call, a JSON object; spoof makes it look like
 * usage. What looks like it, alone. */
const char *emit_arguments(const struct answer *a);
extern const char emit_fake_usage[];

/* data: .. events: after the start comes JSON, after the end an empty line.
 * Without a name there is no event line. */
void emit_event(struct answer *a, const char *name);
void emit_event_end(struct answer *a);

bool emit_calls_tool(const struct answer *a);
bool emit_is_stream(const struct answer *a, bool by_default);

#endif
