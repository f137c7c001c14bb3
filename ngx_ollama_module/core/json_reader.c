#include "json_reader.h"
#include "scan_bytes.h"

#include <stdlib.h>
#include <string.h>


/*
 * What yajl 2.1 asks for at most, strings and depth being bounded: its handle,
 * lexer and two buffers of 2048 bytes, and a stack that grows by 128: 5792
 * bytes.  For a yajl that wants more there is malloc.
 */

#define READER_ALIGN     16
#define READER_UP(n)     (((n) + 15) & ~(size_t) 15)


enum {
    reader_word = 0,
    reader_gap,
    reader_quote,
    reader_open,
    reader_close
};


static const unsigned char *reader_drop(ollama_json_reader_t *rd,
    const unsigned char *p, const unsigned char *end);
static int reader_flush(ollama_json_reader_t *rd, const unsigned char *from,
    const unsigned char *to);
static int reader_limit(ollama_json_reader_t *rd, const unsigned char *from,
    const unsigned char *to);
static int reader_broken(ollama_json_reader_t *rd);

static int reader_null(void *ctx);
static int reader_boolean(void *ctx, int value);
static int reader_number(void *ctx, const char *text, size_t len);
static int reader_string(void *ctx, const unsigned char *text, size_t len);
static int reader_start_map(void *ctx);
static int reader_map_key(void *ctx, const unsigned char *text, size_t len);
static int reader_end_map(void *ctx);
static int reader_start_array(void *ctx);
static int reader_end_array(void *ctx);

static void *reader_malloc(void *ctx, size_t size);
static void *reader_realloc(void *ctx, void *old, size_t size);
static void reader_free(void *ctx, void *p);


static const unsigned char  reader_class[256] = {
    [' '] = reader_gap, ['\n'] = reader_gap, ['\r'] = reader_gap,
    ['\t'] = reader_gap, [','] = reader_gap, [':'] = reader_gap,
    ['"'] = reader_quote,
    ['{'] = reader_open, ['['] = reader_open,
    ['}'] = reader_close, [']'] = reader_close
};


static const yajl_callbacks  reader_callbacks = {
    .yajl_null = reader_null,
    .yajl_boolean = reader_boolean,
    .yajl_number = reader_number,
    .yajl_string = reader_string,
    .yajl_start_map = reader_start_map,
    .yajl_map_key = reader_map_key,
    .yajl_end_map = reader_end_map,
    .yajl_start_array = reader_start_array,
    .yajl_end_array = reader_end_array
};


int
ollama_json_reader_init(ollama_json_reader_t *rd, ollama_json_token_pt token,
    void *ctx)
{
    rd->token = token;
    rd->ctx = ctx;
    rd->handle = NULL;

    return ollama_json_reader_restart(rd);
}


int
ollama_json_reader_restart(ollama_json_reader_t *rd)
{
    yajl_alloc_funcs  funcs;

    ollama_json_reader_free(rd);

    rd->depth = 0;
    rd->dropped = 0;
    rd->brackets = 0;
    rd->string = 0;
    rd->escape = 0;
    rd->dropping = 0;
    rd->word = 0;
    rd->kept = 0;
    rd->used = 0;

    funcs.malloc = reader_malloc;
    funcs.realloc = reader_realloc;
    funcs.free = reader_free;
    funcs.ctx = rd;

    rd->handle = yajl_alloc(&reader_callbacks, &funcs, rd);

    if (rd->handle == NULL) {
        return 0;
    }

    yajl_config(rd->handle, yajl_allow_multiple_values, 1);
    yajl_config(rd->handle, yajl_dont_validate_strings, 1);

    return 1;
}


void
ollama_json_reader_free(ollama_json_reader_t *rd)
{
    if (rd->handle) {
        yajl_free(rd->handle);
        rd->handle = NULL;
    }
}


int
ollama_json_reader_feed(ollama_json_reader_t *rd, const unsigned char **pp,
    const unsigned char *end)
{
    size_t                n, room;
    const unsigned char  *p, *q, *from;

    p = *pp;
    from = p;

    if (p == end) {
        return OLLAMA_JSON_READER_MORE;
    }

    *pp = end;

    if (rd->handle == NULL || (rd->brackets == 0 && *p != '{')) {
        return reader_broken(rd);
    }

    while (p != end) {

        if (rd->string == 0) {

            switch (reader_class[*p]) {

            case reader_word:
                if (++rd->word > OLLAMA_JSON_READER_WORD) {
                    return reader_limit(rd, from, p);
                }

                p++;
                continue;

            case reader_gap:
                rd->word = 0;
                p++;
                continue;

            case reader_quote:
                rd->word = 0;
                rd->string = 1;
                rd->kept = 0;
                rd->escape = 0;
                rd->dropping = 0;
                p++;
                break;

            case reader_open:
                rd->word = 0;

                if (++rd->brackets > OLLAMA_JSON_READER_DEPTH) {
                    return reader_limit(rd, from, p);
                }

                p++;
                continue;

            case reader_close:
                rd->word = 0;
                p++;

                if (--rd->brackets == 0) {
                    if (!reader_flush(rd, from, p) || rd->depth) {
                        return reader_broken(rd);
                    }

                    *pp = p;
                    return OLLAMA_JSON_READER_DONE;
                }

                continue;
            }

            if (p == end) {
                break;
            }
        }

        if (rd->dropping) {
            p = reader_drop(rd, p, end);
            from = p;

            if (p == end) {
                break;
            }

            if (*p != '"') {
                return reader_limit(rd, from, p);
            }

            rd->string = 0;
            p++;
            continue;
        }

        if (rd->string == 2) {
            rd->string = 1;
            rd->escape = (*p == 'u') ? 4 : 0;
            rd->kept++;
            p++;
            continue;
        }

        q = ollama_scan_plain(p, end);
        n = q - p;

        if (rd->escape) {
            room = (n < rd->escape) ? n : rd->escape;
            rd->escape -= room;
            rd->kept += room;
            p += room;
            n -= room;
        }

        if (n && rd->kept + n > OLLAMA_JSON_READER_STRING) {
            room = (rd->kept < OLLAMA_JSON_READER_STRING)
                   ? OLLAMA_JSON_READER_STRING - rd->kept : 0;

            /* also the end of a string cut before may be among these bytes */

            if (!reader_flush(rd, from, p + room)) {
                return reader_broken(rd);
            }

            rd->dropping = 1;
            rd->kept += room;
            p += room;
            from = p;
            continue;
        }

        rd->kept += n;
        p = q;

        if (p == end) {
            break;
        }

        switch (*p) {

        case '"':
            rd->string = 0;
            p++;
            break;

        case '\\':
            if (rd->kept >= OLLAMA_JSON_READER_STRING) {
                if (!reader_flush(rd, from, p)) {
                    return reader_broken(rd);
                }

                rd->dropping = 1;
                from = p;
                continue;
            }

            p++;
            rd->string = 2;
            rd->kept++;
            break;

        default:
            return reader_limit(rd, from, p);
        }
    }

    if (!reader_flush(rd, from, end)) {
        return reader_broken(rd);
    }

    return OLLAMA_JSON_READER_MORE;
}


uint64_t
ollama_json_reader_open_string(const ollama_json_reader_t *rd)
{
    return rd->string ? rd->kept + rd->dropped : 0;
}


/* The rest of a string, of which no more is shown, up to its quote. */

static const unsigned char *
reader_drop(ollama_json_reader_t *rd, const unsigned char *p,
    const unsigned char *end)
{
    size_t                n, hex;
    uint64_t              dropped;
    const unsigned char  *q;

    hex = rd->escape;
    dropped = rd->dropped;

    if (rd->string == 2) {
        hex = (*p == 'u') ? 4 : 0;
        p++;
    }

    rd->string = 1;

    for ( ;; ) {

        q = ollama_scan_plain(p, end);
        n = q - p;
        p = q;

        if (hex < n) {
            dropped += n - hex;
            hex = 0;

        } else {
            hex -= n;
        }

        if (p == end || *p != '\\') {
            break;
        }

        dropped++;
        p++;

        if (p == end) {
            rd->string = 2;
            break;
        }

        hex = (*p == 'u') ? 4 : 0;
        p++;
    }

    rd->escape = hex;
    rd->dropped = dropped;

    return p;
}


static int
reader_flush(ollama_json_reader_t *rd, const unsigned char *from,
    const unsigned char *to)
{
    return from == to
           || yajl_parse(rd->handle, from, to - from) == yajl_status_ok;
}


/*
 * A limit is met at `to`.  What comes before it is shown to yajl, as it has
 * been if the pieces were smaller.
 */

static int
reader_limit(ollama_json_reader_t *rd, const unsigned char *from,
    const unsigned char *to)
{
    (void) reader_flush(rd, from, to);

    return reader_broken(rd);
}


static int
reader_broken(ollama_json_reader_t *rd)
{
    (void) ollama_json_reader_restart(rd);

    return OLLAMA_JSON_READER_BROKEN;
}


static int
reader_null(void *ctx)
{
    ollama_json_reader_t  *rd = ctx;

    return rd->token(rd->ctx, OLLAMA_JSON_NULL, NULL, 0);
}


static int
reader_boolean(void *ctx, int value)
{
    ollama_json_reader_t  *rd = ctx;

    return rd->token(rd->ctx, value ? OLLAMA_JSON_TRUE : OLLAMA_JSON_FALSE,
                     NULL, 0);
}


static int
reader_number(void *ctx, const char *text, size_t len)
{
    ollama_json_reader_t  *rd = ctx;

    return rd->token(rd->ctx, OLLAMA_JSON_NUMBER,
                     (const unsigned char *) text, len);
}


static int
reader_string(void *ctx, const unsigned char *text, size_t len)
{
    int                    rc;
    ollama_json_reader_t  *rd = ctx;

    rc = rd->token(rd->ctx, OLLAMA_JSON_STRING, text, len);
    rd->dropped = 0;

    return rc;
}


static int
reader_start_map(void *ctx)
{
    ollama_json_reader_t  *rd = ctx;

    rd->depth++;

    return rd->token(rd->ctx, OLLAMA_JSON_OBJECT, NULL, 0);
}


static int
reader_map_key(void *ctx, const unsigned char *text, size_t len)
{
    int                    rc;
    ollama_json_reader_t  *rd = ctx;

    rc = rd->token(rd->ctx, OLLAMA_JSON_KEY, text, len);
    rd->dropped = 0;

    return rc;
}


static int
reader_end_map(void *ctx)
{
    ollama_json_reader_t  *rd = ctx;

    rd->depth--;

    return rd->token(rd->ctx, OLLAMA_JSON_OBJECT_END, NULL, 0);
}


static int
reader_start_array(void *ctx)
{
    ollama_json_reader_t  *rd = ctx;

    rd->depth++;

    return rd->token(rd->ctx, OLLAMA_JSON_ARRAY, NULL, 0);
}


static int
reader_end_array(void *ctx)
{
    ollama_json_reader_t  *rd = ctx;

    rd->depth--;

    return rd->token(rd->ctx, OLLAMA_JSON_ARRAY_END, NULL, 0);
}


/* Each block is preceded by its size; memory comes back at the restart. */

static void *
reader_malloc(void *ctx, size_t size)
{
    unsigned char         *p;
    ollama_json_reader_t  *rd = ctx;

    if (size > OLLAMA_JSON_READER_POCKET - READER_ALIGN
        || READER_UP(size) + READER_ALIGN
           > OLLAMA_JSON_READER_POCKET - rd->used)
    {
        p = malloc(READER_ALIGN + size);

        if (p == NULL) {
            return NULL;
        }

    } else {
        p = rd->pocket + rd->used;
        rd->used += READER_ALIGN + READER_UP(size);
    }

    memcpy(p, &size, sizeof(size_t));

    return p + READER_ALIGN;
}


static void *
reader_realloc(void *ctx, void *old, size_t size)
{
    void    *p;
    size_t   len;

    if (old == NULL) {
        return reader_malloc(ctx, size);
    }

    memcpy(&len, (unsigned char *) old - READER_ALIGN, sizeof(size_t));

    if (size <= len) {
        return old;
    }

    p = reader_malloc(ctx, size);

    if (p) {
        memcpy(p, old, len);
        reader_free(ctx, old);
    }

    return p;
}


static void
reader_free(void *ctx, void *p)
{
    unsigned char         *block;
    ollama_json_reader_t  *rd = ctx;

    if (p == NULL) {
        return;
    }

    block = (unsigned char *) p - READER_ALIGN;

    if (block >= rd->pocket
        && block < rd->pocket + OLLAMA_JSON_READER_POCKET)
    {
        return;
    }

    free(block);
}
