/*
 * The token scanner.  Of any answer: fed in pieces it says what it says of the
 * whole, and byte by byte too; nothing leaves its bounds; nothing is counted
 * that does not stand there.
 *
 * Byte by byte yajl reads all of it, while of the whole it reads only what has
 * no shape that is known: so the answer is fed once to be learned, and then
 * altered a little (a byte changed, some taken out or put in, at places that
 * the input says) to be known again, or not.
 *
 * First byte: format and family; second: how to split; third: how many of
 * three bytes each, at the end, say how to alter.
 */

#include "fuzz.h"
#include "sse_cut.h"
#include "usage.h"
#include "usage_shape.h"


#define FUZZ_64   "sixty-four bytes, which is more than is kept of a value in shape"
#define FUZZ_256  FUZZ_64 FUZZ_64 FUZZ_64 FUZZ_64
#define FUZZ_512  FUZZ_256 FUZZ_256

#define FUZZ_ALTERED  (sizeof(FUZZ_512) + 16)


static ollama_usage_t    *whole, *split;
static ollama_sse_cut_t  *cut;


static void fuzz_one(const uint8_t *data, size_t size, unsigned how,
    unsigned seed);
static void fuzz_uncut(const uint8_t *data, size_t size);
static size_t fuzz_alter(uint8_t *to, const uint8_t *data, size_t n,
    const uint8_t *how);
static void fuzz_check_result(const ollama_usage_result_t *res,
    const uint8_t *data, size_t size);
static void fuzz_read(ollama_usage_t *u, const uint8_t *data, size_t n,
    unsigned how, unsigned seed);
static void fuzz_equal(const ollama_usage_result_t *a,
    const ollama_usage_result_t *b);
static void fuzz_feed(void *ctx, const unsigned char *p, size_t n);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t         n, changes;
    uint8_t       *altered;
    unsigned       how, seed;
    const uint8_t *change;

    if (size < 3) {
        return 0;
    }

    if (whole == NULL) {
        whole = ollama_usage_create();
        split = ollama_usage_create();
        cut = ollama_sse_cut_create();
        fuzz_check(whole != NULL && split != NULL && cut != NULL);
    }

    how = data[0];
    seed = data[1];
    changes = data[2] % 16;
    data += 3;
    size -= 3;

    if (changes * 3 > size) {
        changes = 0;
    }

    size -= changes * 3;
    change = data + size;

    ollama_usage_shape_forget();
    fuzz_one(data, size, how, seed);

    altered = malloc(size + FUZZ_ALTERED);
    fuzz_check(altered != NULL);

    for ( /* void */ ; changes; changes--) {
        n = fuzz_alter(altered, data, size, change);
        fuzz_one(altered, n, how, seed);
        change += 3;
    }

    free(altered);

    return 0;
}


static void
fuzz_one(const uint8_t *data, size_t size, unsigned how, unsigned seed)
{
    fuzz_read(split, data, size, how, 1);

    fuzz_read(whole, data, size, how, 0);
    fuzz_equal(ollama_usage_result(whole), ollama_usage_result(split));

    fuzz_read(whole, data, size, how, seed);
    fuzz_equal(ollama_usage_result(whole), ollama_usage_result(split));

    fuzz_read(whole, data, size, how, 0);
    fuzz_equal(ollama_usage_result(whole), ollama_usage_result(split));

    fuzz_check_result(ollama_usage_result(whole), data, size);

    if (size && (how >> 2 & 7) % 5 == OLLAMA_USAGE_FAMILY_OPENAI
        && ollama_usage_only_text(whole))
    {
        fuzz_uncut(data, size);
    }
}


/* Of text the cutter takes nothing, and has not to be shown it. */

static void
fuzz_uncut(const uint8_t *data, size_t size)
{
    ollama_sse_run_t      run;
    const unsigned char  *p;

    p = data;
    ollama_sse_cut_reset(cut);

    while (ollama_sse_cut_next(cut, &p, data + size, &run)) { /* void */ }

    fuzz_check(ollama_sse_cut_dropped(cut) == 0);
    fuzz_check(ollama_sse_cut_between(cut));
}


/* Where, and what: a byte as it is, or out of what JSON is made of. */

static size_t
fuzz_alter(uint8_t *to, const uint8_t *data, size_t n, const uint8_t *how)
{
    size_t  at, cut, put;

    static const char  *pieces[] = {
        "", "", "0", "12", "-1", "1.5", "\"", "\\\"", "\\n", "\\u00e9",
        "\\u20ac", "\\ud83d\\ude00", "\\ud800", "\\u12", "\\x", "a", "\n",
        FUZZ_64, FUZZ_512 "\\u00e9", "\xf0\x9f\x98\x80", "{",
        "}", "[", "]", ",", " ", "\r\n", "null", "true", "\x01", "error",
        "stop"
    };

    at = n ? (how[0] | (how[1] & 0x0f) << 8) % n : 0;
    cut = (how[1] >> 4) % 8;

    if (cut > n - at) {
        cut = n - at;
    }

    memcpy(to, data, at);
    put = strlen(pieces[how[2] % 32]);
    memcpy(to + at, pieces[how[2] % 32], put);
    memcpy(to + at + put, data + at + cut, n - at - cut);

    return n - cut + put;
}


static void
fuzz_check_result(const ollama_usage_result_t *res, const uint8_t *data,
    size_t size)
{
    uint64_t  prompt, completion;

    fuzz_check(res->bytes == size);
    fuzz_check(res->content_bytes <= size);
    fuzz_check(res->model_len <= OLLAMA_USAGE_MODEL_MAX);
    fuzz_check(res->error_len <= OLLAMA_USAGE_ERROR_MAX);
    fuzz_check(res->model[res->model_len] == '\0');
    fuzz_check(res->error_text[res->error_len] == '\0');
    fuzz_check(res->error_status == 0
               || (res->error_status >= 100 && res->error_status <= 599));
    fuzz_check(res->usage == (res->prompt || res->completion));
    fuzz_check(res->certainty != OLLAMA_CERTAINTY_EXACT || res->usage);
    fuzz_check(res->documents <= size / 2);
    fuzz_check(res->prompt <= 3ULL * OLLAMA_USAGE_COUNT_MAX);
    fuzz_check(res->completion <= OLLAMA_USAGE_COUNT_MAX);
    fuzz_check(res->certainty == (res->prompt_certainty
                                  < res->completion_certainty
                                  ? res->prompt_certainty
                                  : res->completion_certainty));

    if (memmem(data, size, "count", 5) == NULL
        && memmem(data, size, "tokens", 6) == NULL
        && memchr(data, '\\', size) == NULL)
    {
        fuzz_check(!res->usage);
    }

    ollama_usage_tokens(res, 1000, &prompt, &completion);

    if (res->prompt_certainty == OLLAMA_CERTAINTY_EXACT) {
        fuzz_check(prompt == res->prompt && prompt);
        fuzz_check(res->cached <= prompt);
    }

    if (res->completion_certainty == OLLAMA_CERTAINTY_EXACT) {
        fuzz_check(completion == res->completion);
    }
}


static void
fuzz_read(ollama_usage_t *u, const uint8_t *data, size_t n, unsigned how,
    unsigned seed)
{
    ollama_usage_reset(u, (ollama_usage_format_e) (how & 3),
                       (ollama_usage_family_e) ((how >> 2 & 7) % 5));
    fuzz_pieces(data, n, seed, fuzz_feed, u);
    ollama_usage_finish(u);
}


static void
fuzz_equal(const ollama_usage_result_t *a, const ollama_usage_result_t *b)
{
    fuzz_check(a->prompt == b->prompt);
    fuzz_check(a->completion == b->completion);
    fuzz_check(a->cached == b->cached);
    fuzz_check(a->reasoning == b->reasoning);
    fuzz_check(a->bytes == b->bytes);
    fuzz_check(a->content_bytes == b->content_bytes);
    fuzz_check(a->documents == b->documents);
    fuzz_check(a->certainty == b->certainty);
    fuzz_check(a->prompt_certainty == b->prompt_certainty);
    fuzz_check(a->completion_certainty == b->completion_certainty);
    fuzz_check(a->start == b->start);
    fuzz_check(a->usage == b->usage);
    fuzz_check(a->terminal == b->terminal);
    fuzz_check(a->error == b->error);
    fuzz_check(a->unreadable == b->unreadable);
    fuzz_check(a->error_status == b->error_status);
    fuzz_check(a->model_len == b->model_len);
    fuzz_check(a->error_len == b->error_len);
    fuzz_check(memcmp(a->model, b->model, a->model_len) == 0);
    fuzz_check(memcmp(a->error_text, b->error_text, a->error_len) == 0);
}


static void
fuzz_feed(void *ctx, const unsigned char *p, size_t n)
{
    ollama_usage_feed(ctx, p, n);
}
