/*
 * Bodies in segments: what was flushed is found, what was torn is cut off.
 */

#include "../../stats-daemon/bodies/segments.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>


#define HOUR  3600000
#define NOON  (INT64_C(1795694400) / 86400 * 86400000 + 12 * HOUR)


static char  dir[64];


static int
setup(void **state)
{
    (void) state;

    strcpy(dir, "/tmp/segments.XXXXXX");
    return mkdtemp(dir) == NULL;
}


static int
teardown(void **state)
{
    char  command[128];

    (void) state;

    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}


static struct segments *
segments(void)
{
    char  err[256];

    struct segments  *s = segments_open(dir, err, sizeof(err));
    assert_non_null(s);
    return s;
}


static struct body_ref
put(struct segments *s, int64_t now, const char *text)
{
    struct body_ref  ref;

    assert_int_equal(segments_put(s, now, text, strlen(text), &ref), 0);
    return ref;
}


static void
assert_body(struct segments *s, struct body_ref ref, const char *text)
{
    char      out[256];
    void     *data = segments_read(s, &ref);
    z_stream  z;

    assert_non_null(data);
    memset(&z, 0, sizeof(z));
    assert_int_equal(inflateInit2(&z, 31), Z_OK);
    z.next_in = data;
    z.avail_in = (unsigned) ref.len;
    z.next_out = (unsigned char *) out;
    z.avail_out = sizeof(out);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    assert_int_equal(z.total_out, strlen(text));
    assert_memory_equal(out, text, strlen(text));
    inflateEnd(&z);
    free(data);
}


static const char *
path(int64_t segment)
{
    static char  buf[192];
    char         name[SEGMENT_NAME];

    snprintf(buf, sizeof(buf), "%s/requests/%s", dir,
             segment_name(name, segment));
    return buf;
}


static off_t
size(int64_t segment)
{
    struct stat  st;

    return stat(path(segment), &st) == 0 ? st.st_size : -1;
}


static void
test_names(void **state)
{
    char  name[SEGMENT_NAME];

    (void) state;

    int64_t  first = NOON / HOUR * SEGMENT_PER_HOUR + 1;

    assert_string_equal(segment_name(name, first), "2026-11-26/12.gz");
    assert_string_equal(segment_name(name, first + 1), "2026-11-26/12.2.gz");
    assert_int_equal(segment_number("2026-11-26", "12.gz"), first);
    assert_int_equal(segment_number("2026-11-26", "12.2.gz"), first + 1);
    assert_int_equal(segment_number("2026-11-26", "12.1.gz"), -1);
    assert_int_equal(segment_number("2026-11-26", "24.gz"), -1);
    assert_int_equal(segment_number("2026-11-26", "12.gz.old"), -1);
    assert_int_equal(segment_number("2026-11-31", "12.gz"), -1);
    assert_int_equal(segment_number("2026-11-26", "0a-1.json.gz"), -1);
}


static void
test_batches(void **state)
{
    struct segments  *s = segments();
    struct body_ref   a, b, c, d;

    (void) state;

    a = put(s, NOON, "one");
    b = put(s, NOON, "two");
    assert_int_equal(segments_flush(s), 0);
    c = put(s, NOON + HOUR - 1, "three");
    assert_int_equal(segments_flush(s), 0);
    d = put(s, NOON + HOUR, "four");
    assert_int_equal(segments_flush(s), 0);

    assert_int_equal(a.segment, c.segment);
    assert_int_equal(b.offset, a.len);
    assert_int_equal(c.offset, a.len + b.len);
    assert_int_equal(d.segment, c.segment + SEGMENT_PER_HOUR);
    assert_body(s, a, "one");
    assert_body(s, b, "two");
    assert_body(s, c, "three");
    assert_body(s, d, "four");

    segments_drop(s, a.segment);
    assert_null(segments_read(s, &a));
    assert_body(s, d, "four");
    segments_close(s);
}


static void
test_undo(void **state)
{
    struct segments  *s = segments();
    struct body_ref   a, b;

    (void) state;

    a = put(s, NOON, "kept");
    assert_int_equal(segments_flush(s), 0);
    put(s, NOON, "not committed");
    assert_int_equal(segments_flush(s), 0);
    segments_undo(s);
    segments_undo(s);
    assert_int_equal(size(a.segment), a.len);
    put(s, NOON, "not flushed");
    segments_undo(s);
    b = put(s, NOON, "again");
    assert_int_equal(segments_flush(s), 0);
    assert_int_equal(b.offset, a.len);
    assert_body(s, b, "again");
    segments_close(s);
}


static void
test_torn(void **state)
{
    struct segments  *s = segments();
    struct body_ref   a, b, c;
    int               known;

    (void) state;

    /* the ledger knows the first, or nothing; half of the third is there */

    for (known = 0; known < 2; known++) {
        int64_t  now = NOON + known * HOUR;

        a = put(s, now, "first");
        b = put(s, now, "second");
        c = put(s, now, "third");
        assert_int_equal(segments_flush(s), 0);
        segments_close(s);
        assert_int_equal(truncate(path(a.segment), c.offset + c.len / 2), 0);

        s = segments();
        if (known) {
            segments_end(s, a.segment, a.len);
        }

        struct body_ref  d = put(s, now, "after");
        assert_int_equal(segments_flush(s), 0);
        assert_int_equal(d.segment, a.segment);
        assert_int_equal(d.offset, known ? a.len : a.len + b.len);
        assert_body(s, a, "first");
        assert_body(s, d, "after");
        assert_int_equal(size(a.segment), d.offset + d.len);
    }

    /* less is there than the ledger knows: nothing is put into a hole */

    segments_end(s, NOON / HOUR * SEGMENT_PER_HOUR + 1, 1000000);
    a = put(s, NOON, "elsewhere");
    assert_int_equal(segments_flush(s), 0);
    assert_int_equal(a.segment, NOON / HOUR * SEGMENT_PER_HOUR + 2);
    assert_body(s, a, "elsewhere");
    segments_close(s);
}


static void
test_folder_gone(void **state)
{
    char              command[128];
    struct segments  *s = segments();
    struct body_ref   a, b;

    (void) state;

    a = put(s, NOON, "gone");
    assert_int_equal(segments_flush(s), 0);
    snprintf(command, sizeof(command), "rm -rf '%s/requests'", dir);
    assert_int_equal(system(command), 0);
    assert_null(segments_read(s, &a));

    b = put(s, NOON, "here");
    assert_int_equal(segments_flush(s), 0);
    assert_body(s, b, "here");
    segments_close(s);
}


static void
test_sweep(void **state)
{
    struct segments  *s = segments();
    struct body_ref   ref[4];
    int               i;

    (void) state;

    for (i = 0; i < 4; i++) {
        ref[i] = put(s, NOON + i * HOUR, "old");
        assert_int_equal(segments_flush(s), 0);
    }

    assert_int_equal(segments_sweep(s, NOON + 2 * HOUR, 1), 1);
    assert_int_equal(segments_sweep(s, NOON + 2 * HOUR + HOUR / 2, 10), 1);
    assert_null(segments_read(s, &ref[0]));
    assert_null(segments_read(s, &ref[1]));
    assert_body(s, ref[2], "old");
    assert_body(s, ref[3], "old");
    assert_int_equal(segments_sweep(s, NOON + 9 * HOUR, 10), 2);
    assert_int_equal(segments_sweep(s, NOON + 9 * HOUR, 10), 0);
    segments_close(s);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test_setup_teardown(test_batches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_undo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
