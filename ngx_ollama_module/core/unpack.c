#include "unpack.h"

#include <limits.h>
#include <stdlib.h>
#include <strings.h>

#include <zlib.h>

#if defined(__has_include) && !defined(OLLAMA_NO_ZSTD)
#if __has_include(<zstd.h>)

#include <zstd.h>
#define OLLAMA_HAVE_ZSTD  1

#endif
#endif


struct ollama_unpack_s {
    ollama_coding_e    coding;
    int                whole;       /* at the end of a member or frame */
    int                broken;
    z_stream           z;

#ifdef OLLAMA_HAVE_ZSTD
    ZSTD_DStream      *zstd;
    unsigned           head;        /* bytes of the frame's magic number seen */
    unsigned           skippable;   /*   which is that of a skippable one */
#endif
};


static int ollama_unpack_gzip(ollama_unpack_t *u, const unsigned char **p,
    const unsigned char *end, unsigned char **out, unsigned char *out_end);

#ifdef OLLAMA_HAVE_ZSTD
static int ollama_unpack_zstd(ollama_unpack_t *u, const unsigned char **p,
    const unsigned char *end, unsigned char **out, unsigned char *out_end);
static int ollama_unpack_magic(ollama_unpack_t *u, const unsigned char *p,
    const unsigned char *end);
#endif


ollama_coding_e
ollama_unpack_coding(const unsigned char *value, size_t len)
{
    size_t                i;
    const unsigned char  *end;

    static const struct {
        const char       *name;
        size_t            len;
        ollama_coding_e   coding;
    } names[] = {
        { "", 0, OLLAMA_CODING_NONE },
        { "identity", 8, OLLAMA_CODING_NONE },
        { "gzip", 4, OLLAMA_CODING_GZIP },
        { "x-gzip", 6, OLLAMA_CODING_GZIP },
        { "zstd", 4, OLLAMA_CODING_ZSTD },
        { "deflate", 7, OLLAMA_CODING_DEFLATE }
    };

    end = value + len;

    while (value != end && (*value == ' ' || *value == '\t')) {
        value++;
    }

    while (value != end && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }

    len = end - value;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].len == len
            && strncasecmp((const char *) value, names[i].name, len) == 0)
        {
            return names[i].coding;
        }
    }

    return OLLAMA_CODING_OTHER;
}


int
ollama_unpack_known(ollama_coding_e coding)
{
#ifdef OLLAMA_HAVE_ZSTD
    if (coding == OLLAMA_CODING_ZSTD) {
        return 1;
    }
#endif

    return coding == OLLAMA_CODING_GZIP;
}


ollama_unpack_t *
ollama_unpack_create(ollama_coding_e coding)
{
    ollama_unpack_t  *u;

    if (!ollama_unpack_known(coding) && coding != OLLAMA_CODING_DEFLATE) {
        return NULL;
    }

    u = calloc(1, sizeof(ollama_unpack_t));
    if (u == NULL) {
        return NULL;
    }

    u->coding = coding;

#ifdef OLLAMA_HAVE_ZSTD

    if (coding == OLLAMA_CODING_ZSTD) {

        u->zstd = ZSTD_createDStream();

        if (u->zstd == NULL
            || ZSTD_isError(ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax,
                                                   OLLAMA_UNPACK_WINDOW)))
        {
            ollama_unpack_destroy(u);
            return NULL;
        }

        return u;
    }

#endif

    if (inflateInit2(&u->z, coding == OLLAMA_CODING_GZIP ? MAX_WBITS + 16
                                                         : MAX_WBITS) != Z_OK)
    {
        free(u);
        return NULL;
    }

    return u;
}


void
ollama_unpack_destroy(ollama_unpack_t *u)
{
#ifdef OLLAMA_HAVE_ZSTD

    if (u->coding == OLLAMA_CODING_ZSTD) {
        ZSTD_freeDStream(u->zstd);
        free(u);
        return;
    }

#endif

    (void) inflateEnd(&u->z);
    free(u);
}


int
ollama_unpack(ollama_unpack_t *u, const unsigned char **p,
    const unsigned char *end, unsigned char **out, unsigned char *out_end)
{
    int  rc;

    if (u->broken) {
        return OLLAMA_UNPACK_BROKEN;
    }

#ifdef OLLAMA_HAVE_ZSTD

    if (u->coding == OLLAMA_CODING_ZSTD) {
        rc = ollama_unpack_zstd(u, p, end, out, out_end);

    } else

#endif
    {
        rc = ollama_unpack_gzip(u, p, end, out, out_end);
    }

    u->broken = (rc != OLLAMA_UNPACK_OK);

    return rc;
}


static int
ollama_unpack_gzip(ollama_unpack_t *u, const unsigned char **p,
    const unsigned char *end, unsigned char **out, unsigned char *out_end)
{
    int     rc;
    size_t  in, room;

    for ( ;; ) {

        if (u->whole) {

            if (*p == end) {
                return OLLAMA_UNPACK_OK;
            }

            if (inflateReset(&u->z) != Z_OK) {
                return OLLAMA_UNPACK_BROKEN;
            }

            u->whole = 0;
        }

        in = end - *p;
        room = out_end - *out;

        u->z.next_in = (unsigned char *) *p;
        u->z.avail_in = in < UINT_MAX ? (unsigned) in : UINT_MAX;
        u->z.next_out = *out;
        u->z.avail_out = room < UINT_MAX ? (unsigned) room : UINT_MAX;

        if (room == 0) {
            return OLLAMA_UNPACK_OK;
        }

        rc = inflate(&u->z, Z_NO_FLUSH);

        *p = u->z.next_in;
        *out = u->z.next_out;

        if (rc == Z_STREAM_END) {
            u->whole = 1;
            continue;
        }

        if (rc == Z_BUF_ERROR) {

            /* nothing can be done without more input */

            return OLLAMA_UNPACK_OK;
        }

        if (rc != Z_OK) {
            return OLLAMA_UNPACK_BROKEN;
        }

        if (*out == out_end || *p == end) {

            /* with room left zlib holds nothing back */

            return OLLAMA_UNPACK_OK;
        }
    }
}


#ifdef OLLAMA_HAVE_ZSTD

static int
ollama_unpack_zstd(ollama_unpack_t *u, const unsigned char **p,
    const unsigned char *end, unsigned char **out, unsigned char *out_end)
{
    size_t          rc, before;
    ZSTD_inBuffer   in;
    ZSTD_outBuffer  to;

    in.src = *p;
    in.size = end - *p;
    in.pos = 0;

    to.dst = *out;
    to.size = out_end - *out;
    to.pos = 0;

    while (to.pos < to.size && !(u->whole && in.pos == in.size)) {

        before = in.pos + to.pos;

        if (u->head < 4
            && ollama_unpack_magic(u, *p + in.pos, end) != OLLAMA_UNPACK_OK)
        {
            return OLLAMA_UNPACK_BROKEN;
        }

        rc = ZSTD_decompressStream(u->zstd, &to, &in);

        if (ZSTD_isError(rc)) {
            return OLLAMA_UNPACK_BROKEN;
        }

        u->whole = (rc == 0);

        if (u->whole) {
            u->head = 0;
        }

        if (in.pos + to.pos == before) {
            break;
        }
    }

    *p += in.pos;
    *out += to.pos;

    return OLLAMA_UNPACK_OK;
}


/* the library may know what was called zstd before there was a standard */

static int
ollama_unpack_magic(ollama_unpack_t *u, const unsigned char *p,
    const unsigned char *end)
{
    static const unsigned char  frame[] = { 0x28, 0xb5, 0x2f, 0xfd };
    static const unsigned char  skip[] = { 0x50, 0x2a, 0x4d, 0x18 };

    for ( /* void */ ; p != end && u->head < 4; p++, u->head++) {

        if (u->head == 0) {
            u->skippable = ((*p & 0xf0) == skip[0]);

            if (u->skippable) {
                continue;
            }
        }

        if (*p != (u->skippable ? skip[u->head] : frame[u->head])) {
            return OLLAMA_UNPACK_BROKEN;
        }
    }

    return OLLAMA_UNPACK_OK;
}

#endif


int
ollama_unpack_whole(const ollama_unpack_t *u)
{
    return u->whole && !u->broken;
}
