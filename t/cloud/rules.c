#include "rules.h"

#include "emit.h"
#include "tree.h"

#include <stdlib.h>
#include <strings.h>

static struct rule *first, **last = &first;

void rule_unref(struct rule *rule) {
    if (--rule->refs > 0) return;
    free(rule->key);
    free(rule->model);
    free(rule->path);
    free(rule->method);
    free(rule->type);
    free(rule->body);
    free(rule->ends);
    buf_free(&rule->headers);
    buf_free(&rule->trailers);
    buf_free(&rule->interim);
    free(rule);
}

static char *copy(yajl_val object, const char *name) {
    const char *s = tree_string(object, name, NULL);
    return s ? must(strdup(s)) : NULL;
}

static bool load_headers(struct rule *rule, yajl_val headers,
                         struct buf *complaint) {
    const char *name, *value;
    size_t i;

    if (headers == NULL) return true;

    for (i = 0; YAJL_IS_OBJECT(headers) && i < headers->u.object.len; i++) {
        name = headers->u.object.keys[i];
        value = YAJL_GET_STRING(headers->u.object.values[i]);
        if (value == NULL && YAJL_IS_NUMBER(headers->u.object.values[i]))
            value = YAJL_GET_NUMBER(headers->u.object.values[i]);
        if (value == NULL) break;

        if (strcasecmp(name, "content-type") == 0) {
            free(rule->type);
            rule->type = must(strdup(value));
            continue;
        }
        if (strcasecmp(name, "content-length") == 0) rule->has_length = true;
        buf_printf(&rule->headers, "%s: %s\r\n", name, value);
    }
    if (YAJL_IS_OBJECT(headers) && i == headers->u.object.len) return true;

    buf_lit(complaint, "headers: wanted is {\"name\": \"value\"}");
    return false;
}

static bool load_trailers(struct rule *rule, yajl_val trailers,
                          struct buf *complaint) {
    const char *value;
    size_t i;

    if (trailers == NULL) return true;

    for (i = 0; YAJL_IS_OBJECT(trailers) && i < trailers->u.object.len; i++) {
        value = YAJL_GET_STRING(trailers->u.object.values[i]);
        if (value == NULL) break;
        buf_printf(&rule->trailers, "%s: %s\r\n", trailers->u.object.keys[i],
                   value);
    }
    if (YAJL_IS_OBJECT(trailers) && i == trailers->u.object.len) return true;

    buf_lit(complaint, "trailers: wanted is {\"name\": \"value\"}");
    return false;
}

static bool load_chunks(struct rule *rule, yajl_val chunks,
                        struct buf *complaint) {
    struct buf body = {0};
    const char *text;
    size_t i;

    if (chunks == NULL) return true;

    rule->nends = tree_count(chunks);
    rule->ends = must(calloc(rule->nends + 1, sizeof(*rule->ends)));
    for (i = 0; i < rule->nends; i++) {
        text = YAJL_GET_STRING(tree_at(chunks, i));
        if (text == NULL) {
            buf_lit(complaint, "chunks: wanted is [\"..\"]");
            buf_free(&body);
            return false;
        }
        buf_str(&body, text);
        rule->ends[i] = body.len;
    }
    buf_char(&body, '\0');
    free(rule->body);
    rule->body = body.p;
    rule->body_len = body.len - 1;
    rule->framing = FRAMING_CHUNKED;
    return true;
}

static bool load_wire(struct rule *rule, yajl_val v, struct buf *complaint) {
    static const char *const framings[] = {"", "length", "chunked", "close"};
    const char *framing = tree_string(v, "framing", "");
    yajl_val interim = tree_get(v, "interim");
    size_t i;

    if (!load_chunks(rule, tree_get(v, "chunks"), complaint) ||
        !load_trailers(rule, tree_get(v, "trailers"), complaint))
        return false;

    rule->chunk_ms = tree_int(v, "chunk_ms", 0);
    rule->body_ms = tree_int(v, "body_ms", 0);
    rule->gzip = tree_bool(v, "gzip", false);
    rule->deflate = tree_bool(v, "deflate", false);
    if (rule->trailers.len) rule->framing = FRAMING_CHUNKED;

    for (i = 1; i < 4; i++)
        if (strcmp(framing, framings[i]) == 0) rule->framing = i;
    if (*framing && strcmp(framing, framings[rule->framing]) != 0) {
        buf_lit(complaint, "framing: length, chunked or close");
        return false;
    }

    for (i = 0; interim && i < tree_count(interim); i++)
        buf_printf(&rule->interim, "HTTP/1.1 %lld Wait\r\nx-interim: 1\r\n\r\n",
                   YAJL_IS_INTEGER(tree_at(interim, i))
                       ? YAJL_GET_INTEGER(tree_at(interim, i))
                       : 100);
    return true;
}

static bool load_preset(struct rule *rule, yajl_val v, struct buf *complaint) {
    static const char *const closes[] = {"", "before_headers", "after_headers",
                                         "reset_before_headers"};
    const char *preset = tree_string(v, "preset", ""),
               *close = tree_string(v, "close", "");
    size_t i;

    rule->preset = preset_by_name(preset);
    if (*preset && rule->preset == PRESET_NONE) {
        buf_printf(complaint, "there is no preset \"%s\"", preset);
        return false;
    }

    for (i = 0; i < 4; i++)
        if (strcmp(close, closes[i]) == 0) rule->close = i;
    if (*close && rule->close == CLOSE_NOT) {
        buf_lit(complaint,
                "close: before_headers, after_headers or reset_before_headers");
        return false;
    }

    rule->status = tree_int(v, "status", 0);
    if (rule->status && (rule->status < 200 || rule->status > 999)) {
        buf_lit(complaint, "status: 200 to 999");
        return false;
    }
    return true;
}

static bool load_rule(struct rule *rule, yajl_val v, struct buf *complaint) {
    static const char *const names[] = {
        "match",    "times",   "preset",  "status",   "headers",
        "body",     "chunks",  "chunk_ms", "body_ms", "trailers",
        "framing",  "gzip",    "interim", "delay_ms", "close",
        "hold",     "deflate", NULL};
    static const char *const matches[] = {"key", "model", "path", "method",
                                          NULL};
    yajl_val match = tree_get(v, "match");
    const char *unknown;

    if (!YAJL_IS_OBJECT(v) || (match && !YAJL_IS_OBJECT(match))) {
        buf_lit(complaint, "a rule and its match are objects");
        return false;
    }
    if ((unknown = tree_unknown(v, names)) ||
        (match && (unknown = tree_unknown(match, matches)))) {
        buf_printf(complaint, "a rule has no member \"%s\"", unknown);
        return false;
    }

    rule->key = copy(match, "key");
    rule->model = copy(match, "model");
    rule->path = copy(match, "path");
    rule->method = copy(match, "method");
    rule->times = tree_int(v, "times", 1);
    rule->body = copy(v, "body");
    rule->body_len = rule->body ? strlen(rule->body) : 0;
    rule->delay_ms = tree_int(v, "delay_ms", 0);
    rule->hold = tree_bool(v, "hold", false);

    if (!load_preset(rule, v, complaint)) return false;
    if (!load_headers(rule, tree_get(v, "headers"), complaint)) return false;
    if (!load_wire(rule, v, complaint)) return false;

    rule->answers = rule->preset || rule->status || rule->body || rule->close ||
                    rule->hold || rule->headers.len || rule->type ||
                    rule->interim.len;
    return true;
}

bool rules_load(yajl_val document, struct buf *complaint) {
    yajl_val list = tree_get(document, "rules");
    struct rule *added = NULL, **end = &added, *rule;
    size_t i;

    if (!YAJL_IS_ARRAY(list)) {
        buf_lit(complaint, "wanted is {\"rules\": [..]}");
        return false;
    }

    for (i = 0; i < tree_count(list); i++) {
        rule = *end = must(calloc(1, sizeof(*rule)));
        end = &rule->next;
        rule->refs = 1;
        if (load_rule(rule, tree_at(list, i), complaint)) continue;

        while ((rule = added) != NULL) {
            added = rule->next;
            rule_unref(rule);
        }
        return false;
    }

    if (added) {
        *last = added;
        last = end;
    }
    return true;
}

static bool matches(const char *wanted, struct slice s) {
    return wanted == NULL || slice_is(s, wanted);
}

struct rule *rules_take(struct slice key, struct slice model, struct slice path,
                        struct slice method) {
    struct rule **place, *rule;

    for (place = &first; (rule = *place) != NULL; place = &rule->next) {
        if (rule->times == 0 || !matches(rule->key, key) ||
            !matches(rule->model, model) || !matches(rule->path, path) ||
            !matches(rule->method, method))
            continue;

        rule->refs++;
        if (rule->times > 0 && --rule->times == 0) {
            *place = rule->next;
            if (last == &rule->next) last = place;
            rule_unref(rule);
        }
        return rule;
    }
    return NULL;
}

void rule_reply(const struct rule *rule, struct reply *r,
                const struct error_about *about) {
    size_t i;

    if (rule->preset) {
        error_preset(r, about, rule->preset);
    } else {
        r->status = 200;
        r->type = "application/json";
    }
    if (rule->status) r->status = rule->status;
    if (rule->type) r->type = rule->type;
    if (rule->body) {
        r->body.len = 0;
        buf_add(&r->body, rule->body, rule->body_len);
    }
    for (i = 0; i < rule->nends; i++) {
        reply_mark(r);
        r->ends[i] = rule->ends[i];
    }
    r->delay_ms = rule->chunk_ms;
    r->body_ms = rule->body_ms;
    r->framing = rule->framing;
    r->trailers = rule->trailers;
    r->interim = rule->interim;
    if (rule->gzip || rule->deflate) emit_pack(r, rule->gzip);
    buf_add(&r->extra, rule->headers.p, rule->headers.len);
    r->own_length = rule->has_length;
    if (rule->close == CLOSE_AFTER_HEADERS) {
        r->stream = true;
        r->cut = CUT_CLOSE;
        r->cut_at = 0;
    }
}

void rules_reset(void) {
    struct rule *rule;

    while ((rule = first) != NULL) {
        first = rule->next;
        rule_unref(rule);
    }
    last = &first;
}
