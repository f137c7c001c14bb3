/*
 * What config.yaml says of models: its field "models", a mapping of subjects.
 *
 *     models:
 *       first_token:                 # a subject: each model, and its value
 *         gpt-oss:20b: 120s
 *         kimi-*: 5m                 # all that begin so
 *         "*": off                   # all others: none
 *       allow: [gpt-oss:*, kimi-*]   # what is served to anybody at all
 *       deny: [kimi-k3]              # what is not, whatever is allowed
 *
 * A model is 1 to 256 printable characters without spaces; its cloud suffix
 * counts for nothing, as in a request.  "*" stands at the end only.  No model
 * stands twice under one subject.
 *
 * A time is a whole number and "ms", "s", "m" or "h" (none: seconds), a day at
 * most; "off" and 0 are 0.
 */

#ifndef OLLAMA_CONFIG_MODELS_H_INCLUDED
#define OLLAMA_CONFIG_MODELS_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

#define OLLAMA_CONFIG_MODEL_MAX   256
#define OLLAMA_CONFIG_MODELS_MAX  10000     /* under one subject */


typedef struct {
    char        *name;              /* without the "*" */
    size_t       len;
    uint32_t     ms;
    unsigned     begins:1;          /* with "*": all that begin so */
} ollama_config_model_t;


typedef struct {
    ollama_config_model_t  *first_tokens;
    size_t                  nfirst_tokens;

    ollama_config_model_t  *allow;              /* none: all */
    size_t                  nallow;
    ollama_config_model_t  *deny;
    size_t                  ndeny;
} ollama_config_models_t;


/* the one that says most of a model: itself, or the longest "*"; or NULL */

const ollama_config_model_t *ollama_config_model(
    const ollama_config_model_t *models, size_t n, const char *model,
    size_t len);

/* 1 if anybody may ask for a model; no name is a name that nobody allows */

int ollama_config_served(const ollama_config_models_t *models,
    const char *model, size_t len);


#endif /* OLLAMA_CONFIG_MODELS_H_INCLUDED */
