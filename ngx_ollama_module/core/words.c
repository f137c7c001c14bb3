
#include "words.h"
#include "error.h"

#include <string.h>


#define OLLAMA_TEXT_MAX  1024


static int ollama_words_any(const char *text, const char *const *phrases);
static int ollama_words_plan(const char *text);
static int ollama_words_letter(char c);


static const ollama_quota_t  ollama_quotas[] = {
    { "session", "session usage limit reached", 18000, 0, 18000, 0 },
    { "hourly", "hourly usage limit reached", 3600, 0, 3600, 0 },

    /* 1970-01-05 was the first Monday */

    { "weekly", "weekly usage limit reached", 604800, 345600, 604800, 0 },
    { "monthly", "monthly usage limit reached", 0, 0, 31 * 86400, 1 },
    { "", "usage limit reached", 0, 0, 31 * 86400, 0 }
};


static const char *const  ollama_words_unauthorized[] = {
    "unauthorized", "invalid credentials", "invalid api key", NULL
};


static const char *const  ollama_words_money[] = {
    "balance is empty", "add credits", NULL
};


static const char *const  ollama_words_slow[] = {
    "too many requests", "rate limit", NULL
};


#define ollama_count(a)  (sizeof(a) / sizeof((a)[0]))


void
ollama_words(const unsigned char *body, size_t len, ollama_words_t *words)
{
    char    text[OLLAMA_TEXT_MAX];
    size_t  i, n;

    n = ollama_error_text(body, len, text, OLLAMA_TEXT_MAX);

    for (i = 0; i < n; i++) {
        if (text[i] >= 'A' && text[i] <= 'Z') {
            text[i] |= 0x20;
        }
    }

    words->quota = ollama_words_quota(text);
    words->concurrent = (strstr(text, "concurrent") != NULL);
    words->unauthorized = ollama_words_any(text, ollama_words_unauthorized);
    words->money = ollama_words_any(text, ollama_words_money);
    words->plan = ollama_words_plan(text);
    words->model = (strstr(text, "this model") != NULL);
    words->slow = ollama_words_any(text, ollama_words_slow);
    words->internal = (strstr(text, "internal server error") != NULL);
}


/*
 * The word before "usage limit" tells the window.  It has to stand right there,
 * and the last one counts: the account's name, which may be any words, comes
 * first.
 */

const ollama_quota_t *
ollama_words_quota(const char *text)
{
    size_t                 i, len;
    const char            *p;
    const ollama_quota_t  *quota;

    quota = NULL;

    for (p = strstr(text, "usage limit");
         p != NULL;
         p = strstr(p + 1, "usage limit"))
    {
        for (i = 0; i < ollama_count(ollama_quotas); i++) {

            len = strlen(ollama_quotas[i].word);

            if (len == 0
                || ((size_t) (p - text) > len && p[-1] == ' '
                    && memcmp(p - 1 - len, ollama_quotas[i].word, len) == 0))
            {
                quota = &ollama_quotas[i];
                break;
            }
        }
    }

    return quota;
}


static int
ollama_words_any(const char *text, const char *const *phrases)
{
    for ( /* void */ ; *phrases; phrases++) {
        if (strstr(text, *phrases) != NULL) {
            return 1;
        }
    }

    return 0;
}


static int
ollama_words_plan(const char *text)
{
    const char  *p;

    if (strstr(text, "subscription") != NULL
        || strstr(text, "credits") != NULL
        || strstr(text, "upgrade") != NULL)
    {
        return 1;
    }

    for (p = strstr(text, "plan"); p != NULL; p = strstr(p + 1, "plan")) {

        if ((p == text || !ollama_words_letter(p[-1]))
            && !ollama_words_letter(p[p[4] == 's' ? 5 : 4]))
        {
            return 1;
        }
    }

    for (p = strstr(text, "usage"); p != NULL; p = strstr(p + 1, "usage")) {

        if (strncmp(p, "usage polic", 11) != 0
            && strncmp(p, "usage guideline", 15) != 0)
        {
            return 1;
        }
    }

    return 0;
}


static int
ollama_words_letter(char c)
{
    return c >= 'a' && c <= 'z';
}
