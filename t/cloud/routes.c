#include "routes.h"

#include "catalogue.h"

static const struct route routes[] = {
    {"/api/chat", "POST", ROUTE_MODEL, emit_chat, NULL, false},
    {"/v1/chat/completions", "POST", ROUTE_MODEL, emit_chat_completions, NULL,
     false},
    {"/v1/messages", "POST", ROUTE_MODEL, emit_messages, NULL, false},
    {"/v1/responses", "POST", ROUTE_MODEL, emit_responses, NULL, false},
    {"/api/generate", "POST", ROUTE_MODEL, emit_generate, NULL, false},
    {"/v1/completions", "POST", ROUTE_MODEL, emit_completions, NULL, false},
    {"/api/embed", "POST", ROUTE_MODEL, emit_embed, NULL, true},
    {"/api/embeddings", "POST", ROUTE_MODEL, emit_embeddings, NULL, true},
    {"/v1/embeddings", "POST", ROUTE_MODEL, emit_v1_embeddings, NULL, true},
    {"/api/tags", "GET", ROUTE_PUBLIC, NULL, page_tags, false},
    {"/api/show", "POST", ROUTE_PUBLIC, NULL, page_show, false},
    {"/api/version", "GET", ROUTE_PUBLIC, NULL, page_version, false},
    {"/v1/models", "GET", ROUTE_PUBLIC, NULL, page_models, false},
    {"/v1/models/", "GET", ROUTE_PUBLIC, NULL, page_model, false},
    {"/api/experimental/model-recommendations", "GET", ROUTE_PUBLIC, NULL,
     page_recommendations, false},
    {"/api/me", "POST", ROUTE_KEYED, NULL, page_me, false},
    {"/api/usage", "GET", ROUTE_KEYED, NULL, page_usage, false},
    {"/api/balance", "GET", ROUTE_KEYED, NULL, page_balance, false},
    {"/api/web_search", "POST", ROUTE_KEYED, NULL, page_web_search, false},
    {"/api/web_fetch", "POST", ROUTE_KEYED, NULL, page_web_fetch, false},
    {"/api/ps", "GET", ROUTE_PUBLIC, NULL, page_not_served, false},
    {"/", "GET", ROUTE_PUBLIC, NULL, page_home, false},
};

static bool is_at(const struct route *r, struct slice path) {
    size_t len = strlen(r->path);

    if (len > 1 && r->path[len - 1] == '/')
        return path.len > len && memcmp(path.p, r->path, len) == 0;
    return slice_is(path, r->path);
}

static bool takes(const struct route *r, struct slice method) {
    return slice_is(method, r->method) ||
           (slice_is(method, "HEAD") && *r->method == 'G');
}

const struct route *route_find(struct slice path, struct slice method,
                               int *status) {
    size_t i;

    *status = 404;
    for (i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (!is_at(&routes[i], path)) continue;
        if (takes(&routes[i], method)) return &routes[i];
        *status = 405;
    }
    return NULL;
}
