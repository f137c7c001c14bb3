#include "usage_facts.h"

#include <stdlib.h>
#include <string.h>


#define FACTS_WORD_MAX   64


typedef enum {
    type_other = 0,
    type_error,
    type_message_delta,
    type_message_stop,
    type_response_end
} facts_type_e;


static void facts_commit(ollama_usage_answer_t *a, ollama_usage_facts_t *f,
    ollama_usage_place_e around);
static void facts_commit_anthropic(ollama_usage_answer_t *a,
    ollama_usage_facts_t *f, ollama_usage_place_e around);
static void facts_error(ollama_usage_answer_t *a, const void *text,
    size_t len);
static uint64_t facts_value(const unsigned char *text, size_t len);
static size_t facts_copy(char *dst, size_t max, const void *src, size_t len);


static const ollama_usage_word_t  facts_types[] = {
    ollama_usage_entry("error", type_error),
    ollama_usage_entry("message_stop", type_message_stop),
    ollama_usage_entry("message_delta", type_message_delta),
    ollama_usage_entry("response.failed", type_response_end),
    ollama_usage_entry("response.completed", type_response_end),
    ollama_usage_entry("response.incomplete", type_response_end),
    { NULL, 0, type_other }
};


void
ollama_usage_facts_begin(ollama_usage_facts_t *f)
{
    /* the text needs no clearing: it is as long as text_len says */

    memset(f, 0, offsetof(ollama_usage_facts_t, text));
}


void
ollama_usage_facts_open(ollama_usage_answer_t *a, ollama_usage_facts_t *f,
    ollama_usage_place_e place)
{
    switch (place) {

    case place_usage:
        memset(&f->counts, 0, sizeof(ollama_usage_counts_t));
        break;

    case place_error:
        f->failed = 1;
        a->result.error = 1;
        break;

    case place_choices:
        f->choices = 1;
        break;

    case place_choice:
        f->choices = 2;
        break;

    default:
        break;
    }
}


void
ollama_usage_facts_close(ollama_usage_answer_t *a, ollama_usage_facts_t *f,
    ollama_usage_place_e place, ollama_usage_place_e around)
{
    switch (place) {

    case place_usage:
        facts_commit(a, f, around);
        break;

    case place_choices:
        if (f->choices == 1) {
            f->spoke = 1;
        }

        break;

    default:
        break;
    }
}


void
ollama_usage_facts_string(ollama_usage_answer_t *a, ollama_usage_facts_t *f,
    ollama_usage_place_e place, ollama_usage_key_e key,
    const unsigned char *text, size_t len)
{
    ollama_usage_result_t  *res;

    res = &a->result;

    switch (key) {

    case key_model:
        if (res->model_len == 0
            && (place == place_root || place == place_response
                || place == place_message))
        {
            res->model_len = facts_copy(res->model, OLLAMA_USAGE_MODEL_MAX,
                                        text, len);
        }

        break;

    case key_type:
        if (place == place_root) {
            f->type = ollama_usage_word(facts_types, text, len, type_other);
        }

        break;

    case key_done_reason:
        if (place == place_root && a->family == OLLAMA_USAGE_FAMILY_NATIVE) {
            a->loaded = (len == 4 && memcmp(text, "load", 4) == 0)
                        || (len == 6 && memcmp(text, "unload", 6) == 0);
            f->spoke = 1;
        }

        break;

    case key_finish_reason:
        if (place == place_choice) {
            a->finished = 1;
            f->spoke = 1;
        }

        break;

    case key_error:
        if (place == place_root) {
            f->failed = 1;
            res->error = 1;
            facts_error(a, text, len);
        }

        break;

    case key_input_tokens:

        /* a count that is none, but it was to be one */

        if (place == place_usage) {
            f->counts.has_prompt = 1;
            f->counts.refused = 1;
        }

        break;

    case key_message:
        if (place == place_error) {
            facts_error(a, text, len);

        } else if (place == place_root) {

            /* the error event of /v1/responses; its type may come behind */

            f->text_len = (len < OLLAMA_USAGE_ERROR_MAX)
                          ? len : OLLAMA_USAGE_ERROR_MAX;
            memcpy(f->text, text, f->text_len);
        }

        break;

    default:
        break;
    }
}


void
ollama_usage_facts_number(ollama_usage_answer_t *a, ollama_usage_facts_t *f,
    ollama_usage_place_e place, ollama_usage_key_e key,
    const unsigned char *text, size_t len)
{
    uint64_t                n;
    ollama_usage_counts_t  *counts;

    n = facts_value(text, len);
    counts = &f->counts;

    switch (place) {

    case place_root:

        switch (key) {

        case key_prompt_eval_count:
            counts->prompt = n;
            break;

        case key_eval_count:
            counts->completion = n;
            break;

        case key_prompt_eval_cached_count:
            counts->cached = n;
            break;

        case key_status:
        case key_code:
            goto status;

        default:
            break;
        }

        break;

    case place_usage:

        switch (key) {

        case key_prompt_tokens:
            if (a->family == OLLAMA_USAGE_FAMILY_OPENAI) {
                counts->prompt = n;
            }

            break;

        case key_completion_tokens:
            if (a->family == OLLAMA_USAGE_FAMILY_OPENAI) {
                counts->completion = n;
            }

            break;

        case key_input_tokens:
            if (a->family != OLLAMA_USAGE_FAMILY_OPENAI) {
                counts->prompt = n;
                counts->has_prompt = 1;
                counts->refused = (n == 0 && (len != 1 || text[0] != '0'));
            }

            break;

        case key_output_tokens:
            if (a->family != OLLAMA_USAGE_FAMILY_OPENAI) {
                counts->completion = n;
            }

            break;

        case key_cache_read_input_tokens:
            if (a->family == OLLAMA_USAGE_FAMILY_ANTHROPIC) {
                counts->cached = n;
            }

            break;

        case key_cache_creation_input_tokens:
            counts->creation = n;
            break;

        default:
            break;
        }

        break;

    case place_prompt_details:
        if (key == key_cached_tokens
            && a->family != OLLAMA_USAGE_FAMILY_ANTHROPIC)
        {
            counts->cached = n;
        }

        break;

    case place_completion_details:
        if (key == key_reasoning_tokens) {
            counts->reasoning = n;
        }

        break;

    case place_error:
        if (key == key_status || key == key_code) {
            goto status;
        }

        break;

    default:
        break;
    }

    return;

status:

    if (n >= 100 && n <= 599) {
        f->status = n;
    }
}


int
ollama_usage_facts_of_string(ollama_usage_place_e place,
    ollama_usage_key_e key)
{
    switch (place) {

    case place_root:
    case place_response:
    case place_message:
    case place_error:
    case place_choice:
        return key != key_none;

    case place_usage:
        return key == key_input_tokens;

    default:
        return 0;
    }
}


int
ollama_usage_facts_of_number(ollama_usage_place_e place,
    ollama_usage_key_e key)
{
    switch (place) {

    case place_root:
    case place_usage:
    case place_prompt_details:
    case place_completion_details:
    case place_error:
        return key != key_none;

    default:
        return 0;
    }
}


void
ollama_usage_facts_bool(ollama_usage_facts_t *f, ollama_usage_place_e place,
    ollama_usage_key_e key, int value)
{
    if (place == place_root && key == key_done) {
        f->done = value ? 1 : 2;
    }
}


void
ollama_usage_facts_end(ollama_usage_answer_t *a, ollama_usage_facts_t *f)
{
    ollama_usage_result_t  *res;

    res = &a->result;
    res->documents++;

    switch (a->family) {

    case OLLAMA_USAGE_FAMILY_NATIVE:
        facts_commit(a, f, place_root);

        if (f->done == 1
            || (a->format == OLLAMA_FORMAT_JSON && f->done == 0))
        {
            res->terminal = 1;
            a->final = 1;
        }

        break;

    case OLLAMA_USAGE_FAMILY_OPENAI:

        /* the counts in the extra chunk, or with or behind a finish_reason */

        if (f->counted && (f->choices == 1 || a->finished)) {
            a->final = 1;
        }

        break;

    case OLLAMA_USAGE_FAMILY_RESPONSES:
        if (f->type == type_response_end) {
            res->terminal = 1;
            a->final = 1;
        }

        /* fall through */

    case OLLAMA_USAGE_FAMILY_ANTHROPIC:
        if (f->type == type_error) {
            f->failed = 1;
            res->error = 1;

            if (res->error_len == 0) {
                facts_error(a, f->text, f->text_len);
            }
        }

        if (f->type == type_message_stop) {
            res->terminal = 1;
        }

        break;

    default:
        break;
    }

    if (a->format == OLLAMA_FORMAT_JSON
        && a->family != OLLAMA_USAGE_FAMILY_NATIVE)
    {
        res->terminal = 1;
        a->final = 1;
    }

    if (f->failed) {
        res->error_status = f->status;
        res->told = 1;
    }

    f->spoke |= f->done == 1 || f->failed || f->type != type_other
                || a->format == OLLAMA_FORMAT_JSON;
}


static void
facts_commit(ollama_usage_answer_t *a, ollama_usage_facts_t *f,
    ollama_usage_place_e around)
{
    ollama_usage_counts_t  *counts;
    ollama_usage_result_t  *res;

    res = &a->result;
    counts = &f->counts;

    f->spoke |= counts->prompt || counts->completion || counts->cached
                || counts->creation || counts->reasoning;

    if (a->family == OLLAMA_USAGE_FAMILY_ANTHROPIC) {
        facts_commit_anthropic(a, f, around);
        return;
    }

    if (counts->prompt) {
        res->prompt = counts->prompt;
    }

    if (counts->completion) {
        res->completion = counts->completion;
    }

    if (counts->cached) {
        res->cached = counts->cached;
    }

    if (counts->reasoning) {
        res->reasoning = counts->reasoning;
    }

    if (counts->prompt || counts->completion) {
        res->usage = 1;
        f->counted = 1;
    }
}


static void
facts_commit_anthropic(ollama_usage_answer_t *a, ollama_usage_facts_t *f,
    ollama_usage_place_e around)
{
    ollama_usage_counts_t  *counts;
    ollama_usage_result_t  *res;

    res = &a->result;
    counts = &f->counts;

    if (counts->has_prompt && !counts->refused
        && (counts->prompt || counts->cached || counts->creation))
    {
        a->input = counts->prompt;
        a->read = counts->cached;
        a->creation = counts->creation;
        a->guessed = 0;
        res->start = (around != place_root);

    } else {
        if (counts->cached) {
            a->read = counts->cached;
        }

        if (counts->creation) {
            a->creation = counts->creation;
        }

        if (counts->has_prompt && around == place_root) {
            a->guessed = 1;
        }
    }

    if (counts->completion) {
        res->completion = counts->completion;
    }

    res->prompt = a->input + a->read + a->creation;
    res->cached = a->read;

    if (res->prompt || res->completion) {
        res->usage = 1;
    }

    /* message_start gives an estimate of the prompt, and nothing else */

    if (around == place_root && (counts->prompt || counts->completion)) {
        a->final = 1;
    }
}


static void
facts_error(ollama_usage_answer_t *a, const void *text, size_t len)
{
    a->result.error_len = facts_copy(a->result.error_text,
                                     OLLAMA_USAGE_ERROR_MAX, text, len);
}


/* 0: it is no count.  A whole number may be written as 12.0 or 1.2e1. */

static uint64_t
facts_value(const unsigned char *text, size_t len)
{
    size_t    i;
    double    d;
    uint64_t  n;
    char      buf[FACTS_WORD_MAX + 1];

    n = 0;

    for (i = 0; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
        n = n * 10 + (text[i] - '0');

        if (n > OLLAMA_USAGE_COUNT_MAX) {
            return 0;
        }
    }

    if (i == len) {
        return n;
    }

    if (text[0] == '-' || len >= sizeof(buf)) {
        return 0;
    }

    memcpy(buf, text, len);
    buf[len] = '\0';

    d = strtod(buf, NULL);

    if (!(d >= 1 && d <= OLLAMA_USAGE_COUNT_MAX)) {
        return 0;
    }

    n = (uint64_t) d;

    return ((double) n == d) ? n : 0;
}


/* Cut at a character's start. */

static size_t
facts_copy(char *dst, size_t max, const void *src, size_t len)
{
    const unsigned char  *p = src;

    if (len > max) {
        len = max;

        while (len && (p[len] & 0xc0) == 0x80) {
            len--;
        }
    }

    memcpy(dst, src, len);
    dst[len] = '\0';

    return len;
}
