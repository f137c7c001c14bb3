#include "catalogue.h"

#include "clock.h"

static const struct model {
    const char *name, *family;
    int64_t size, parameters, context;
} catalogue[] = {
    {"gpt-oss:20b", "gptoss", 13780173839, 20914757184, 131072},
    {"gpt-oss:120b", "gptoss", 65290180000, 116829156672, 131072},
    {"deepseek-v3.1:671b", "deepseek2", 688586727753, 671026404352, 163840},
    {"deepseek-v3.2", "deepseek2", 688586727753, 671026404352, 163840},
    {"qwen3-coder:480b", "qwen3moe", 510489266640, 480154875392, 262144},
    {"qwen3-vl:235b", "qwen3vlmoe", 470000000000, 235093634560, 262144},
    {"qwen3-next:80b", "qwen3next", 163000000000, 80000000000, 262144},
    {"kimi-k2:1t", "deepseek2", 1090000000000, 1026470731776, 262144},
    {"kimi-k2-thinking", "deepseek2", 595000000000, 1026470731776, 262144},
    {"glm-4.6", "glm4moe", 696000000000, 355000000000, 202752},
    {"glm-4.7", "glm4moe", 696000000000, 357000000000, 202752},
    {"minimax-m2", "minimax", 230000000000, 229000000000, 204800},
    {"minimax-m3", "minimax", 240000000000, 231000000000, 204800},
    {"mistral-large-3:675b", "mistral3", 682000000000, 675000000000, 262144},
    {"ministral-3:14b", "mistral3", 15700000000, 13945000000, 262144},
    {"gemma3:27b", "gemma3", 55000000000, 27432406640, 131072},
    {"gemma4:31b", "gemma4", 62000000000, 31000000000, 262144},
    {"cogito-2.1:671b", "deepseek2", 688586727753, 671026419200, 163840},
    {"devstral-2:123b", "mistral3", 128000000000, 123000000000, 262144},
};

#define NCATALOGUE (sizeof(catalogue) / sizeof(catalogue[0]))
#define MODIFIED   "2025-08-05T00:00:00Z"
#define CREATED    1754352000

/* A model of a test's own list is like the second of ours. */
static const struct model *look_up(struct slice name) {
    size_t i;

    for (i = 0; i < NCATALOGUE; i++)
        if (slice_is(name, catalogue[i].name)) return &catalogue[i];
    return &catalogue[1];
}

static size_t count(void) {
    const struct table *own = accounts_models();
    return own ? own->n : NCATALOGUE;
}

static struct slice name_of(size_t i) {
    const struct table *own = accounts_models();

    if (own) return (struct slice){own->entries[i].key, own->entries[i].len};
    return (struct slice){catalogue[i].name, strlen(catalogue[i].name)};
}

static bool ends_with(struct slice s, const char *with) {
    size_t len = strlen(with);
    return s.len >= len && memcmp(s.p + s.len - len, with, len) == 0;
}

bool catalogue_has(struct slice model, enum family family) {
    const struct table *own = accounts_models();

    if (model.len == 0) return false;
    if (own) return table_get(own, model.p, model.len) != NULL;
    return family == FAMILY_NATIVE ||
           !(ends_with(model, "-cloud") || ends_with(model, ":cloud"));
}

void page_home(struct exchange *ex) {
    ex->c->reply.type = "text/html; charset=utf-8";
    buf_lit(&ex->c->reply.body,
            "<!doctype html><title>Ollama</title><h1>The web site</h1>\n");
}

void page_version(struct exchange *ex) {
    buf_lit(&ex->c->reply.body, "{\"version\":\"0.0.0\"}");
}

void page_not_served(struct exchange *ex) {
    error_preset(&ex->c->reply, &ex->about, PRESET_UNAUTHORIZED);
}

void page_tags(struct exchange *ex) {
    struct buf *b = &ex->c->reply.body;
    const struct model *m;
    struct slice name;
    size_t i;

    ex->c->reply.type = "application/json; charset=utf-8";
    buf_lit(b, "{\"models\":[");
    for (i = 0; i < count(); i++) {
        name = name_of(i);
        m = look_up(name);
        buf_str(b, i ? ",{\"name\":" : "{\"name\":");
        buf_json(b, name.p, name.len);
        buf_lit(b, ",\"model\":");
        buf_json(b, name.p, name.len);
        buf_printf(b,
                   ",\"modified_at\":\"" MODIFIED
                   "\",\"size\":%lld,\"digest\":\"%064zx\"",
                   (long long)m->size, i + 1);
        buf_lit(
            b,
            ",\"details\":{\"parent_model\":\"\",\"format\":\"\",\"family\":\"\","
            "\"families\":null,\"parameter_size\":\"\",\"quantization_level\":\"\"}}");
    }
    buf_lit(b, "]}");
}

void page_show(struct exchange *ex) {
    struct buf *b = &ex->c->reply.body;
    const struct model *m;

    if (ex->question.complaint.len || ex->about.model.len == 0) {
        error_reply(&ex->c->reply, &ex->about, 400, "model is required");
        return;
    }
    if (!catalogue_has(ex->about.model, ex->about.family)) {
        error_preset(&ex->c->reply, &ex->about, PRESET_NOT_FOUND_404);
        return;
    }

    m = look_up(ex->about.model);
    ex->c->reply.type = "application/json; charset=utf-8";
    buf_printf(
        b,
        "{\"details\":{\"parent_model\":\"\",\"format\":\"\",\"family\":\"%s\","
        "\"families\":[\"%s\"],\"parameter_size\":\"%lld\",\"quantization_level\":\"MXFP4\"},"
        "\"model_info\":{\"general.architecture\":\"%s\",\"%s.context_length\":%lld,"
        "\"%s.embedding_length\":2880},"
        "\"capabilities\":[\"completion\",\"tools\",\"thinking\"],"
        "\"modified_at\":\"" MODIFIED "\"}",
        m->family, m->family, (long long)m->parameters, m->family, m->family,
        (long long)m->context, m->family);
}

static void write_model(struct buf *b, struct slice name) {
    buf_lit(b, "{\"id\":");
    buf_json(b, name.p, name.len);
    buf_printf(b,
               ",\"object\":\"model\",\"created\":%d,\"owned_by\":\"ollama\"}",
               CREATED);
}

void page_models(struct exchange *ex) {
    struct buf *b = &ex->c->reply.body;
    size_t i;

    buf_lit(b, "{\"object\":\"list\",\"data\":[");
    for (i = 0; i < count(); i++) {
        if (i) buf_char(b, ',');
        write_model(b, name_of(i));
    }
    buf_lit(b, "]}");
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') return (c | 0x20) - 'a' + 10;
    return -1;
}

/* The id in /v1/models/{id} comes escaped from some clients. */
void page_model(struct exchange *ex) {
    static const size_t prefix = sizeof("/v1/models/") - 1;
    struct slice path = ex->c->request.path;
    struct buf name = {0};
    size_t i;

    for (i = prefix; i < path.len; i++) {
        if (path.p[i] == '%' && i + 2 < path.len &&
            hex_value(path.p[i + 1]) >= 0 && hex_value(path.p[i + 2]) >= 0) {
            buf_char(&name, (char)(hex_value(path.p[i + 1]) * 16 +
                                   hex_value(path.p[i + 2])));
            i += 2;
        } else {
            buf_char(&name, path.p[i]);
        }
    }

    ex->about.model = (struct slice){name.p, name.len};
    if (catalogue_has(ex->about.model, ex->about.family)) {
        write_model(&ex->c->reply.body, ex->about.model);
    } else {
        error_preset(&ex->c->reply, &ex->about, PRESET_NOT_FOUND_404);
    }
    ex->about.model = (struct slice){"", 0};
    buf_free(&name);
}

/* The same for an account at each call: a UUID of its name. */
static void write_account_id(struct buf *b, const char *name) {
    uint64_t h = 14695981039346656037u;

    for (; *name; name++) h = (h ^ (unsigned char)*name) * 1099511628211u;
    buf_printf(
        b, "%08llx-%04llx-4%03llx-a%03llx-%012llx",
        (unsigned long long)(h >> 32), (unsigned long long)(h >> 16 & 0xffff),
        (unsigned long long)(h & 0xfff), (unsigned long long)(h >> 12 & 0xfff),
        (unsigned long long)(h & 0xffffffffffff));
}

void page_me(struct exchange *ex) {
    const struct account *a = ex->account;
    const char *name = a ? a->name : "user";
    struct buf *b = &ex->c->reply.body;
    unsigned nlength, ncoding;

    request_header(&ex->c->request, "content-length", &nlength);
    request_header(&ex->c->request, "transfer-encoding", &ncoding);
    if (nlength + ncoding == 0) {
        ex->c->reply.status = 411;
        ex->c->reply.type = "text/html; charset=UTF-8";
        buf_lit(b, "<html><title>Error 411 (Length Required)</title></html>\n");
        return;
    }

    buf_lit(b, "{\"ID\":\"");
    write_account_id(b, name);
    buf_lit(b, "\",\"Email\":");
    buf_char(b, '"');
    buf_json_chars(b, name, strlen(name));
    buf_lit(b, "@example.com\",\"Name\":");
    buf_json_str(b, name);
    buf_lit(b, ",\"Plan\":");
    buf_json_str(b, a ? a->plan : "free");
    buf_lit(
        b,
        ",\"CreatedAt\":\"2025-08-05T00:00:00Z\","
        "\"SubscriptionPeriodStart\":{\"Time\":\"0001-01-01T00:00:00Z\",\"Valid\":false},"
        "\"SubscriptionPeriodEnd\":{\"Time\":\"0001-01-01T00:00:00Z\",\"Valid\":false},"
        "\"SuspendedAt\":{\"Time\":\"0001-01-01T00:00:00Z\",\"Valid\":false}}");
}

void page_web_search(struct exchange *ex) {
    if (ex->c->request.body.len && !ex->question.valid) {
        error_reply(&ex->c->reply, &ex->about, 400, "invalid request body");
        return;
    }
    buf_lit(
        &ex->c->reply.body,
        "{\"results\":[{\"title\":\"Ollama\",\"url\":\"https://ollama.com/\","
        "\"content\":\"Cloud models are now available.\"}]}");
}

void page_web_fetch(struct exchange *ex) {
    if (ex->c->request.body.len && !ex->question.valid) {
        error_reply(&ex->c->reply, &ex->about, 400, "invalid request body");
        return;
    }
    buf_lit(&ex->c->reply.body,
            "{\"title\":\"Ollama\",\"content\":\"Cloud models\","
            "\"links\":[\"https://ollama.com/models\"]}");
}

void page_recommendations(struct exchange *ex) {
    struct buf *b = &ex->c->reply.body;
    size_t i;

    buf_lit(b, "{\"recommendations\":[");
    for (i = 0; i < 2 && i < count(); i++) {
        buf_str(b, i ? ",{\"model\":" : "{\"model\":");
        buf_json(b, name_of(i).p, name_of(i).len);
        buf_lit(b, ",\"description\":\"\"}");
    }
    buf_lit(b, "]}");
}
