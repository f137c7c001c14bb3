/*
 * The request scanner.  Of any body:
 *
 *  - fed in pieces it says what it says of the whole;
 *  - it is valid if yajl, too, reads it as one object;
 *  - its edits are in order, and the edited body is, read by yajl, the same
 *    tree but for the changes that are wanted, made here to the tree of the
 *    original; the facts are those of that tree;
 *  - it is of a conversation if its tree says so: fuzz_turns();
 *  - it carries as many pictures, files and sounds as stand in that tree.
 *
 * First byte: route flags and wanted edits; second: how to split.
 */

#include "fuzz.h"
#include "request_media.h"

#include <ctype.h>
#include <strings.h>


#define FUZZ_DUPLICATES  OLLAMA_REQUEST_DUPLICATES


static ollama_request_t  *whole, *split;
static int                fuzz_nested;      /* a source within a source */


static size_t fuzz_object(const uint8_t *data, size_t n);
static int fuzz_is(const fuzz_node_t *node, const char *name);
static size_t fuzz_strip(const char *text, size_t n);
static int fuzz_model(fuzz_node_t *root, unsigned flags, unsigned want);
static int fuzz_usage(fuzz_node_t *root, unsigned flags, unsigned want);
static fuzz_node_t *fuzz_option(void);
static int fuzz_turns(const fuzz_node_t *root, unsigned flags);
static int fuzz_speaks(const fuzz_node_t *message);
static unsigned fuzz_media(const fuzz_node_t *root);
static unsigned fuzz_part(const fuzz_node_t *node, unsigned depth);
static unsigned fuzz_source(const fuzz_node_t *node, unsigned depth);
static unsigned fuzz_member(const fuzz_node_t *node, const char *name);
static int fuzz_named(const fuzz_node_t *node, const char *name);
static size_t fuzz_head(const fuzz_node_t *node, char *head);
static int fuzz_carries(const fuzz_node_t *node);
static void fuzz_feed(void *ctx, const unsigned char *p, size_t n);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                          *out;
    size_t                         n, count, i, len;
    uint64_t                       from;
    unsigned                       flags, want, media;
    fuzz_node_t                   *tree, *edited;
    ollama_edit_t                  edits[OLLAMA_REQUEST_MAX_EDITS];
    ollama_edit_t                  again[OLLAMA_REQUEST_MAX_EDITS];
    const ollama_request_facts_t  *facts, *other;

    if (size < 2) {
        return 0;
    }

    if (whole == NULL) {
        whole = ollama_request_create();
        split = ollama_request_create();
        fuzz_check(whole != NULL && split != NULL);
    }

    flags = data[0] & 15;
    want = data[0] >> 4 & 3;

    ollama_request_reset(whole, flags);
    fuzz_pieces(data + 2, size - 2, 0, fuzz_feed, whole);
    ollama_request_finish(whole);

    ollama_request_reset(split, flags);
    fuzz_pieces(data + 2, size - 2, data[1], fuzz_feed, split);
    ollama_request_finish(split);

    data += 2;
    n = size - 2;

    facts = ollama_request_facts(whole);
    other = ollama_request_facts(split);

    fuzz_check(facts->bytes == n && other->bytes == n);
    fuzz_check(facts->media_bytes == other->media_bytes);
    fuzz_check(facts->session == other->session);
    fuzz_check(facts->named == other->named);
    fuzz_check(facts->begins == other->begins);
    fuzz_check(facts->pictures == other->pictures);
    fuzz_check(facts->documents == other->documents);
    fuzz_check(facts->audio == other->audio);
    fuzz_check(facts->valid == other->valid);
    fuzz_check(facts->stream_present == other->stream_present);
    fuzz_check(facts->stream_true == other->stream_true);
    fuzz_check(facts->streaming == other->streaming);
    fuzz_check(facts->stream_options == other->stream_options);
    fuzz_check(facts->include_usage == other->include_usage);
    fuzz_check(facts->prompt_empty == other->prompt_empty);
    fuzz_check(facts->messages_empty == other->messages_empty);
    fuzz_check(facts->keep_alive_zero == other->keep_alive_zero);
    fuzz_check(facts->model_stripped == other->model_stripped);
    fuzz_check(facts->model_cut == other->model_cut);
    fuzz_check(facts->model_len == other->model_len);
    fuzz_check(facts->model_sent_len == other->model_sent_len);
    fuzz_check(memcmp(facts->model, other->model, facts->model_len + 1) == 0);
    fuzz_check(memcmp(facts->model_sent, other->model_sent,
                      facts->model_sent_len + 1) == 0);

    count = ollama_request_edits(whole, want, edits, OLLAMA_REQUEST_MAX_EDITS);
    fuzz_check(count <= OLLAMA_REQUEST_MAX_EDITS);
    fuzz_check(ollama_request_edits(split, want, again,
                                    OLLAMA_REQUEST_MAX_EDITS) == count);

    for (i = 0; i < count; i++) {
        fuzz_check(edits[i].offset == again[i].offset);
        fuzz_check(edits[i].remove == again[i].remove);
        fuzz_check(edits[i].insert == again[i].insert);
        fuzz_check(edits[i].insert_len == again[i].insert_len);
    }

    /* what follows the object is not read */

    n = fuzz_object(data, n);

    tree = fuzz_parse(data, n);

    /* yajl takes these two for white space, JSON does not */

    if (memchr(data, '\v', n) == NULL && memchr(data, '\f', n) == NULL) {
        fuzz_check(facts->valid == (tree && tree->type == node_object));
    }

    if (facts->valid) {
        fuzz_nested = 0;
        media = fuzz_media(tree);

        fuzz_check(facts->media_bytes <= n);
        fuzz_check(fuzz_nested
                   || facts->pictures + facts->documents + facts->audio
                      == media);
    }

    if (facts->valid) {
        fuzz_check((facts->session != 0) == fuzz_turns(tree, flags));
    }

    if (!facts->valid) {
        fuzz_check(count == 0);
        fuzz_check(facts->session == 0);
        fuzz_check(facts->media_bytes + facts->pictures + facts->documents
                   + facts->audio == 0);
        fuzz_free(tree);
        return 0;
    }

    out = malloc(n + count * 64 + 1);
    fuzz_check(out != NULL);

    from = 0;
    len = 0;

    for (i = 0; i < count; i++) {
        fuzz_check(edits[i].offset >= from);
        fuzz_check(edits[i].offset + edits[i].remove <= n);
        fuzz_check(edits[i].remove <= 36);
        fuzz_check(edits[i].insert_len < 64);
        fuzz_check(edits[i].remove || edits[i].insert_len);

        memcpy(out + len, data + from, edits[i].offset - from);
        len += edits[i].offset - from;

        if (edits[i].insert_len) {
            memcpy(out + len, edits[i].insert, edits[i].insert_len);
            len += edits[i].insert_len;
        }

        from = edits[i].offset + edits[i].remove;
    }

    memcpy(out + len, data + from, n - from);
    len += n - from;

    edited = fuzz_parse(out, len);
    fuzz_check(edited != NULL);

    if (fuzz_model(tree, flags, want) && fuzz_usage(tree, flags, want)) {
        fuzz_check(fuzz_same(tree, edited));
    }

    fuzz_free(edited);
    fuzz_free(tree);
    free(out);

    return 0;
}


/* How long the first value in brackets is, with what stands before it. */

static size_t
fuzz_object(const uint8_t *data, size_t n)
{
    int     string;
    size_t  i, depth;

    depth = 0;
    string = 0;

    for (i = 0; i < n; i++) {

        if (string) {
            if (data[i] == '\\') {
                i++;

            } else if (data[i] == '"') {
                string = 0;
            }

        } else if (data[i] == '"') {
            string = 1;

        } else if (data[i] == '{' || data[i] == '[') {
            depth++;

        } else if ((data[i] == '}' || data[i] == ']') && depth && --depth == 0)
        {
            return i + 1;
        }
    }

    return n;
}


/* Makes the change to every model; 0: this body is too odd to tell. */

static int
fuzz_model(fuzz_node_t *root, unsigned flags, unsigned want)
{
    size_t                         len, edits;
    fuzz_node_t                   *node;
    const fuzz_node_t             *model;
    const ollama_request_facts_t  *facts;

    edits = 0;
    model = NULL;
    facts = ollama_request_facts(whole);

    for (node = root->first; node; node = node->next) {

        if (node->type != node_string
            || !(fuzz_is(node, "model")
                 || ((flags & OLLAMA_REQUEST_NAME) && fuzz_is(node, "name"))))
        {
            continue;
        }

        /* for half a pair yajl has a ? or three bytes, we have U+FFFD */

        if (node->len > OLLAMA_MODEL_MAX || memchr(node->text, '?', node->len)
            || memchr(node->text, 0xed, node->len))
        {
            return 0;
        }

        if (!(flags & OLLAMA_REQUEST_NAME)) {
            model = node;
        }
    }

    if (model) {
        fuzz_check(facts->model_sent_len == model->len);
        fuzz_check(memcmp(facts->model_sent, model->text, model->len) == 0);
        fuzz_check(facts->model_len == fuzz_strip(model->text, model->len));
        fuzz_check(memcmp(facts->model, model->text, facts->model_len) == 0);

    } else if (!(flags & OLLAMA_REQUEST_NAME)) {
        fuzz_check(facts->model_sent_len == 0);
    }

    for (node = root->first; node; node = node->next) {

        if (node->type == node_string
            && (fuzz_is(node, "model")
                || ((flags & OLLAMA_REQUEST_NAME) && fuzz_is(node, "name"))))
        {
            len = fuzz_strip(node->text, node->len);
            edits += (len != node->len);

            if (want & OLLAMA_EDIT_MODEL) {
                node->len = len;
            }
        }
    }

    return edits <= FUZZ_DUPLICATES;
}


static int
fuzz_usage(fuzz_node_t *root, unsigned flags, unsigned want)
{
    int                            stream, stream_set, include, object, seen;
    size_t                         edits;
    fuzz_node_t                   *node, *option, *added;
    const ollama_request_facts_t  *facts;

    stream = 0;
    stream_set = 0;
    include = 0;
    object = 0;
    seen = 0;

    for (node = root->first; node; node = node->next) {

        if (fuzz_is(node, "stream")) {
            if (node->type == node_bool) {
                stream = node->text[0] == '1';
                stream_set = 1;

            } else if (node->type == node_null
                       && (flags & OLLAMA_REQUEST_NATIVE))
            {
                stream = 0;
                stream_set = 0;
            }

            continue;
        }

        if (!fuzz_is(node, "stream_options")) {
            continue;
        }

        seen = 1;

        if (node->type == node_null) {
            include = 0;
            object = 0;
        }

        if (node->type == node_object) {
            object = 1;

            for (option = node->first; option; option = option->next) {
                if (fuzz_is(option, "include_usage")
                    && option->type == node_bool)
                {
                    include = option->text[0] == '1';
                }
            }
        }
    }

    facts = ollama_request_facts(whole);

    fuzz_check(facts->stream_present == (unsigned) stream_set);
    fuzz_check(facts->stream_true == (unsigned) stream);
    fuzz_check(facts->stream_options == (unsigned) object);
    fuzz_check(facts->include_usage == (unsigned) include);

    if (!(want & OLLAMA_EDIT_INCLUDE_USAGE) || !stream || include) {
        return 1;
    }

    if (!seen) {
        node = fuzz_new(node_object, NULL, 0);
        node->key = fuzz_copy("stream_options", 14);
        node->key_len = 14;
        fuzz_append(node, fuzz_option());

        node->next = root->first;
        root->first = node;

        return 1;
    }

    edits = 0;

    for (node = root->first; node; node = node->next) {

        if (!fuzz_is(node, "stream_options")) {
            continue;
        }

        if (node->type == node_null) {
            node->type = node_object;
            fuzz_append(node, fuzz_option());
            edits++;
            continue;
        }

        if (node->type != node_object) {
            continue;
        }

        seen = 0;

        for (option = node->first; option; option = option->next) {

            if (!fuzz_is(option, "include_usage")) {
                continue;
            }

            seen = 1;

            if (option->type == node_null
                || (option->type == node_bool && option->text[0] == '0'))
            {
                free(option->text);
                option->text = fuzz_copy("1", 1);
                option->len = 1;
                option->type = node_bool;
                edits++;
            }
        }

        if (!seen) {
            added = fuzz_option();
            added->next = node->first;
            node->first = added;
            edits++;
        }
    }

    return edits <= FUZZ_DUPLICATES;
}


static fuzz_node_t *
fuzz_option(void)
{
    fuzz_node_t  *node;

    node = fuzz_new(node_bool, "1", 1);
    node->key = fuzz_copy("include_usage", 13);
    node->key_len = 13;

    return node;
}


/* Names as Go matches them; written another way than in request.c. */

static int
fuzz_is(const fuzz_node_t *node, const char *name)
{
    size_t       n;
    const char  *p;

    p = node->key;
    n = node->key_len;

    for ( /* void */ ; *name; name++) {

        if (n && tolower((unsigned char) *p) == *name) {
            p++;
            n--;

        } else if (*name == 's' && n > 1 && memcmp(p, "\xc5\xbf", 2) == 0) {
            p += 2;
            n -= 2;

        } else if (*name == 'k' && n > 2 && memcmp(p, "\xe2\x84\xaa", 3) == 0)
        {
            p += 3;
            n -= 3;

        } else {
            return 0;
        }
    }

    return n == 0;
}


static size_t
fuzz_strip(const char *text, size_t n)
{
    const char  *colon;

    colon = memrchr(text, ':', n);

    if (colon == NULL || n < 7) {
        return n;
    }

    if (colon == text + n - 6 && strncasecmp(colon, ":cloud", 6) == 0) {
        return n - 6;
    }

    if (strncasecmp(text + n - 6, "-cloud", 6) == 0
        && colon < text + n - 7 && memchr(colon, '/', text + n - colon) == NULL)
    {
        return n - 6;
    }

    return n;
}


/* Is there a conversation?  Told from the whole tree. */

static int
fuzz_turns(const fuzz_node_t *root, unsigned flags)
{
    int                 began, key, later, user;
    const fuzz_node_t  *node, *message, *role;

    if (!(flags & OLLAMA_REQUEST_TURNS)) {
        return 0;
    }

    began = 0;
    key = 0;
    later = 0;
    user = 0;

    for (node = root->first; node; node = node->next) {

        if (fuzz_is(node, "prompt_cache_key") && node->type == node_string) {
            key = (node->len != 0);
        }

        if (fuzz_is(node, "previous_response_id")
            && node->type == node_string)
        {
            later = (node->len != 0);
        }

        if (fuzz_is(node, "metadata") && node->type == node_object
            && (flags & OLLAMA_REQUEST_USER))
        {
            for (role = node->first; role; role = role->next) {
                if (fuzz_named(role, "user_id") && role->type == node_string) {
                    user = (role->len != 0);
                }
            }
        }

        if (fuzz_is(node, "input") || fuzz_is(node, "messages")) {
            began = fuzz_is(node, "input") && node->type == node_string;

            if (node->type != node_array) {
                continue;
            }

            for (message = node->first; message; message = message->next) {
                if (message->type == node_object && fuzz_speaks(message)) {
                    began = 1;
                    break;
                }
            }
        }
    }

    return key || user || (began && !later);
}


/* of several roles the first string holds */

static int
fuzz_speaks(const fuzz_node_t *message)
{
    char                head[OLLAMA_REQUEST_HEAD];
    const fuzz_node_t  *node;

    for (node = message->first; node; node = node->next) {
        if (fuzz_named(node, "role") && node->type == node_string) {
            return fuzz_head(node, head) == 4 && memcmp(head, "user", 4) == 0;
        }
    }

    return 0;
}


/* What is no text, told from the whole tree. */

static unsigned
fuzz_media(const fuzz_node_t *root)
{
    unsigned            n;
    const fuzz_node_t  *node, *image;

    n = 0;

    for (node = root->first; node; node = node->next) {

        if (fuzz_is(node, "messages") || fuzz_is(node, "input")) {
            n += fuzz_part(node, 2);

        } else if (fuzz_is(node, "images") && node->type == node_array) {
            for (image = node->first; image; image = image->next) {
                n += fuzz_carries(image);
            }
        }
    }

    return n;
}


static unsigned
fuzz_part(const fuzz_node_t *part, unsigned depth)
{
    unsigned            n;
    const fuzz_node_t  *node, *image;

    n = 0;

    if (depth >= OLLAMA_REQUEST_DEEP) {
        return 0;
    }

    if (part->type == node_array) {
        for (node = part->first; node; node = node->next) {
            n += fuzz_part(node, depth + 1);
        }

        return n;
    }

    if (part->type != node_object) {
        return 0;
    }

    for (node = part->first; node; node = node->next) {

        if (fuzz_named(node, "content") || fuzz_named(node, "output")) {
            n += fuzz_part(node, depth + 1);
            continue;
        }

        if (fuzz_named(node, "image_url") || fuzz_named(node, "video_url")
            || fuzz_named(node, "file_data") || fuzz_named(node, "file_url"))
        {
            n += fuzz_carries(node);
        }

        if (depth + 1 >= OLLAMA_REQUEST_DEEP) {
            continue;
        }

        if (fuzz_named(node, "image_url") || fuzz_named(node, "video_url")) {
            n += fuzz_member(node, "url");

        } else if (fuzz_named(node, "audio")
                   || fuzz_named(node, "input_audio"))
        {
            n += fuzz_member(node, "data");

        } else if (fuzz_named(node, "file")) {
            n += fuzz_member(node, "file_data");

        } else if (fuzz_named(node, "source")) {
            n += fuzz_source(node, depth + 1);

        } else if (fuzz_named(node, "images") && node->type == node_array) {
            for (image = node->first; image; image = image->next) {
                n += fuzz_carries(image);
            }
        }
    }

    return n;
}


static unsigned
fuzz_source(const fuzz_node_t *source, unsigned depth)
{
    int                 text, seen;
    char                head[OLLAMA_REQUEST_HEAD];
    size_t              len;
    unsigned            n;
    const fuzz_node_t  *node;
    static int          inside;

    n = 0;
    text = 0;
    seen = 0;

    if (source->type != node_object) {
        return 0;
    }

    fuzz_nested |= inside;
    inside++;

    for (node = source->first; node; node = node->next) {

        if (fuzz_named(node, "content")) {
            n += fuzz_part(node, depth + 1);
        }

        if (node->type != node_string) {
            continue;
        }

        len = fuzz_head(node, head);

        if (fuzz_named(node, "data") || fuzz_named(node, "url")) {
            seen |= fuzz_carries(node);

        } else if (fuzz_named(node, "type")) {
            text = (text & 2) | (len == 4 && strncasecmp(head, "text", 4) == 0);

        } else if (fuzz_named(node, "media_type")) {
            text = (text & 1)
                   | (len >= 5 && strncasecmp(head, "text/", 5) == 0) << 1
                   | (len >= 10 && strncasecmp(head, "data:text/", 10) == 0)
                     << 1;
        }
    }

    inside--;

    return n + (seen && !text);
}


static unsigned
fuzz_member(const fuzz_node_t *object, const char *name)
{
    unsigned            n;
    const fuzz_node_t  *node;

    n = 0;

    if (object->type == node_object) {
        for (node = object->first; node; node = node->next) {
            n += fuzz_named(node, name) && fuzz_carries(node);
        }
    }

    return n;
}


static int
fuzz_named(const fuzz_node_t *node, const char *name)
{
    return node->key_len == strlen(name)
           && strncasecmp(node->key, name, node->key_len) == 0;
}


static size_t
fuzz_head(const fuzz_node_t *node, char *head)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < node->len && n < OLLAMA_REQUEST_HEAD; i++) {
        if (node->text[i] != '\n' && node->text[i] != '\r') {
            head[n++] = node->text[i];
        }
    }

    return n;
}


static int
fuzz_carries(const fuzz_node_t *node)
{
    char    head[OLLAMA_REQUEST_HEAD];
    size_t  i, n;

    if (node->type != node_string) {
        return 0;
    }

    n = fuzz_head(node, head);

    if (n >= 5 && strncasecmp(head, "data:", 5) == 0) {
        return n < 10 || strncasecmp(head + 5, "text/", 5) != 0;
    }

    if ((n >= 5 && strncasecmp(head, "http:", 5) == 0)
        || (n >= 6 && strncasecmp(head, "https:", 6) == 0))
    {
        return 1;
    }

    for (i = 0; i < n; i++) {
        if (head[i] == '\0'
            || strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                      "0123456789+/=-_", head[i]) == NULL)
        {
            return 0;
        }
    }

    return n != 0;
}


static void
fuzz_feed(void *ctx, const unsigned char *p, size_t n)
{
    ollama_request_feed(ctx, p, n);
}
