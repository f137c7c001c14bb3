/*
 * What the simulator wants to know of a request's body, read in one pass
 * without building a tree, so that a body of 64 MB costs its text only.
 *
 * As Go's decoder does: names are matched without regard to case, the last of
 * duplicate members wins, what follows the first value is ignored.
 *
 * Prompt text, from which the prompt's tokens are computed, is the sum of the
 * decoded bytes of these strings: `prompt`, `input` and their elements if they
 * are arrays, and below `prompt`, `input` and `messages` every value of a
 * member named `content` or `text`. Nothing else counts (images, tools,
 * system).
 *
 * Where each message ends, and what it is, is noted for the prompt cache: each
 * element of `messages`, `input` and `prompt`, or the latter two as a whole.
 */

#ifndef CLOUD_QUESTION_H
#define CLOUD_QUESTION_H

#include "buf.h"
#include "knobs.h"

struct message {
    uint64_t hash;
    size_t end; /* bytes of prompt text up to here */
};

struct question {
    struct buf model;        /* `model`, else `name`, decoded */
    struct buf instructions; /* decoded */
    struct slice tools;      /* as they stand in the body, brackets included */
    struct slice metadata;   /* as it stands, braces included */
    size_t prompt_bytes;
    uint64_t head;            /* of what stands before all messages */
    struct message *messages; /* only with a prompt cache */
    size_t nmessages, messages_cap;
    size_t inputs;      /* strings of `input` or `prompt`, for embeddings */
    int64_t max_tokens; /* INT64_MIN if absent */
    int64_t max_output_tokens; /* the same */
    int stream;                /* -1 if absent */
    bool include_usage;
    bool valid;           /* the body is one JSON object */
    struct knobs knobs;   /* the global ones with those of `_sim` */
    struct buf complaint; /* why not valid, or which knob is wrong */
};

/* The struct is used again and again; slices point into the body. */
void question_read(struct question *q, const char *body, size_t len);
void question_free(struct question *q);

/* A hash of more. */
uint64_t question_hash(uint64_t h, const void *data, size_t len);

/* max(1, prompt_bytes / 4) + 3 */
int64_t question_prompt_tokens(const struct question *q);

#endif
