/*
 * The token scanner.  Of any answer: fed in pieces it says what it says of the
 * whole, and byte by byte too; nothing leaves its bounds; nothing is counted
 * that does not stand there.
 *
 * First byte: format and family; second: how to split.
 */

#include "fuzz.h"
#include "usage.h"


static ollama_usage_t  *whole, *split;


static void fuzz_read(ollama_usage_t *u, const uint8_t *data, size_t n,
    unsigned how, unsigned seed);
static void fuzz_equal(const ollama_usage_result_t *a,
    const ollama_usage_result_t *b);
static void fuzz_feed(void *ctx, const unsigned char *p, size_t n);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t                      prompt, completion;
    unsigned                      how, seed;
    const ollama_usage_result_t  *res;

    if (size < 2) {
        return 0;
    }

    if (whole == NULL) {
        whole = ollama_usage_create();
        split = ollama_usage_create();
        fuzz_check(whole != NULL && split != NULL);
    }

    how = data[0];
    seed = data[1];
    data += 2;
    size -= 2;

    fuzz_read(whole, data, size, how, 0);
    fuzz_read(split, data, size, how, seed);
    fuzz_equal(ollama_usage_result(whole), ollama_usage_result(split));

    fuzz_read(split, data, size, how, 1);
    fuzz_equal(ollama_usage_result(whole), ollama_usage_result(split));

    res = ollama_usage_result(whole);

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

    if (memmem(data, size, "count", 5) == NULL
        && memmem(data, size, "tokens", 6) == NULL
        && memchr(data, '\\', size) == NULL)
    {
        fuzz_check(!res->usage);
    }

    ollama_usage_tokens(res, 1000, &prompt, &completion);

    if (res->certainty == OLLAMA_CERTAINTY_EXACT) {
        fuzz_check(prompt == res->prompt && completion == res->completion);
    }

    return 0;
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
