
/*
 * The first event: the same in one piece and in many, final once it is known,
 * and never unknown at the end.
 */

#include "fuzz.h"
#include "first.h"


static void feed(void *ctx, const unsigned char *p, size_t n);
static void check(const ollama_first_t *f);
static void same(const ollama_first_t *a, const ollama_first_t *b);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ollama_first_t  whole, parts, bytes;

    if (size == 0) {
        return 0;
    }

    memset(&whole, 0x55, sizeof(whole));
    memset(&parts, 0xaa, sizeof(parts));
    memset(&bytes, 0xff, sizeof(bytes));

    ollama_first_init(&whole);
    ollama_first_init(&parts);
    ollama_first_init(&bytes);

    fuzz_pieces(data + 1, size - 1, 0, feed, &whole);
    fuzz_pieces(data + 1, size - 1, data[0], feed, &parts);

    for (size_t i = 1; i < size; i++) {
        feed(&bytes, data + i, 1);
    }

    same(&whole, &parts);
    same(&whole, &bytes);

    ollama_first_finish(&whole);
    ollama_first_finish(&parts);
    ollama_first_finish(&bytes);

    same(&whole, &parts);
    same(&whole, &bytes);

    fuzz_check(whole.what != OLLAMA_FIRST_UNKNOWN);
    fuzz_check(whole.form.known);

    return 0;
}


static void
feed(void *ctx, const unsigned char *p, size_t n)
{
    ollama_first_e   before, what;
    ollama_first_t  *f = ctx;

    before = f->what;
    what = ollama_first_feed(f, p, n);

    fuzz_check(what == f->what);
    fuzz_check(before == OLLAMA_FIRST_UNKNOWN || what == before);

    check(f);
}


static void
check(const ollama_first_t *f)
{
    if (f->what == OLLAMA_FIRST_UNKNOWN) {
        return;
    }

    fuzz_check(f->form.known);
    fuzz_check(f->len <= OLLAMA_FIRST_TEXT);
    fuzz_check(strlen(f->text) == f->len);
    fuzz_check(strlen(f->type) <= OLLAMA_FIRST_WORD);
    fuzz_check(f->status == 0 || (f->status >= 400 && f->status <= 599));

    if (f->what == OLLAMA_FIRST_ANSWER) {
        fuzz_check(f->len == 0 && f->status == 0 && f->type[0] == '\0');
    }
}


static void
same(const ollama_first_t *a, const ollama_first_t *b)
{
    check(a);
    check(b);

    fuzz_check(a->what == b->what);
    fuzz_check(a->form.known == b->form.known);
    fuzz_check(a->form.format == b->form.format);

    if (a->what != OLLAMA_FIRST_UNKNOWN) {
        fuzz_check(a->len == b->len);
        fuzz_check(memcmp(a->text, b->text, a->len) == 0);
        fuzz_check(strcmp(a->type, b->type) == 0);
        fuzz_check(a->status == b->status);
    }
}
