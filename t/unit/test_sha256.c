
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fingerprint.h"
#include "sha256.h"


static const char *
hex(ollama_sha256_t *ctx)
{
    size_t         i;
    unsigned char  digest[OLLAMA_SHA256_LEN];

    static char  out[2 * OLLAMA_SHA256_LEN + 1];

    ollama_sha256_final(ctx, digest);

    for (i = 0; i < OLLAMA_SHA256_LEN; i++) {
        sprintf(out + 2 * i, "%02x", digest[i]);
    }

    return out;
}


/* vectors of FIPS 180 and NIST's examples */

static void
test_vectors(void **state)
{
    char             *million;
    size_t            i;
    ollama_sha256_t   ctx;

    static const struct {
        const char  *in;
        const char  *out;
    } vectors[] = {
        { "",
          "e3b0c44298fc1c149afbf4c8996fb924"
          "27ae41e4649b934ca495991b7852b855" },
        { "abc",
          "ba7816bf8f01cfea414140de5dae2223"
          "b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "248d6a61d20638b8e5c026930c3e6039"
          "a33ce45964ff2167f6ecedd419db06c1" },
        { "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
          "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
          "cf5b16a778af8380036ce59e7b049237"
          "0b249b11e8f07a51afac45037afee9d1" }
    };

    (void) state;

    for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        ollama_sha256_init(&ctx);
        ollama_sha256_update(&ctx, vectors[i].in, strlen(vectors[i].in));
        assert_string_equal(hex(&ctx), vectors[i].out);
    }

    million = malloc(1000000);
    memset(million, 'a', 1000000);

    ollama_sha256_init(&ctx);
    ollama_sha256_update(&ctx, million, 1000000);
    assert_string_equal(hex(&ctx), "cdc76e5c9914fb9281a1c7e284d73e67"
                                   "f1809a48a497200e046d39ccc7112cd0");

    free(million);
}


/* each length around a block's, whole and by pieces, chained into one digest */

static void
test_lengths(void **state)
{
    size_t           len, i, n;
    unsigned char    data[200];
    ollama_sha256_t  all, pieces, ctx;
    unsigned char    whole[OLLAMA_SHA256_LEN], digest[OLLAMA_SHA256_LEN];

    (void) state;

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (unsigned char) i;
    }

    ollama_sha256_init(&all);

    for (len = 0; len <= sizeof(data); len++) {

        ollama_sha256_init(&ctx);
        ollama_sha256_update(&ctx, data, len);
        ollama_sha256_final(&ctx, whole);
        ollama_sha256_update(&all, whole, sizeof(whole));

        ollama_sha256_init(&pieces);

        for (i = 0; i < len; i += n) {
            n = 1 + (i * 7) % 70;
            n = (n < len - i) ? n : len - i;
            ollama_sha256_update(&pieces, data + i, n);
        }

        ollama_sha256_final(&pieces, digest);

        assert_memory_equal(digest, whole, sizeof(whole));
    }

    /* as another implementation says it */

    assert_string_equal(hex(&all), "64ef7c229fce2408b5336b6a542fea0e"
                                   "078c3a87d2da85cb3fc52e2008b65021");
}


static void
test_fingerprint(void **state)
{
    char  out[OLLAMA_FINGERPRINT_LEN + 1];

    (void) state;

    ollama_fingerprint("abc", 3, out);
    assert_string_equal(out, "ba7816bf");

    ollama_fingerprint("", 0, out);
    assert_string_equal(out, "e3b0c442");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_fingerprint)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
