/* What tokens cost: lists, times, sums. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config.h"
#include "price.h"


#define HOUR  3600
#define DAY   86400
#define MON   1793577600            /* Monday, 2 November 2026, 00:00 UTC */


static ollama_prices_t *
list_of(const char *text)
{
    char              err[OLLAMA_CONFIG_ERROR_MAX] = "";
    ollama_prices_t  *prices;

    prices = ollama_prices_read((const unsigned char *) text, strlen(text),
                                err, sizeof(err));
    if (prices == NULL) {
        fail_msg("%s", err);
    }

    return prices;
}


/* "input cached output", or "none" */

static const char *
price_of(const ollama_prices_t *own, const ollama_prices_t *list,
    const char *model, int64_t when)
{
    static char     text[80];
    ollama_price_t  p;

    if (!ollama_prices_find(own, list, model, strlen(model), when, &p)) {
        return "none";
    }

    snprintf(text, sizeof(text), "%llu %llu %llu", (unsigned long long) p.input,
             (unsigned long long) p.cached, (unsigned long long) p.output);
    return text;
}


#define is(own, list, model, when, wanted)                                    \
    assert_string_equal(price_of(own, list, model, when), wanted)


static void
models_are_found(void **state)
{
    ollama_prices_t  *p, *own;

    (void) state;

    p = list_of("date: 2026-08-31\n"
                "prices:\n"
                "  gpt-oss:120b: {input: 0.15, cached: 0.014, output: 0.60}\n"
                "  gpt-oss:20b-cloud: {input: 0.07, output: 1}\n"
                "  gpt-*: {input: 3, cached: 0, output: 4.000}\n"
                "  gpt-o*: {input: 5, output: 6}\n"
                "  gemma4: {input: 7, output: 8}\n"
                "  gemma4:2b: {input: 9, output: 1000000}\n");

    assert_string_equal(p->date, "2026-08-31");
    assert_int_equal(p->nmodels, 6);
    assert_int_equal(p->nwhole, 4);

    is(NULL, p, "gpt-oss:120b", 0, "150 14 600");
    is(NULL, p, "gpt-oss:20b", 0, "70 70 1000");
    is(NULL, p, "gpt-oss:7b", 0, "5000 5000 6000");
    is(NULL, p, "gpt-oss", 0, "5000 5000 6000");
    is(NULL, p, "gpt-4", 0, "3000 0 4000");
    is(NULL, p, "gpt", 0, "none");
    is(NULL, p, "gemma4:31b", 0, "7000 7000 8000");
    is(NULL, p, "gemma4:2b", 0, "9000 9000 1000000000");
    is(NULL, p, "gemma4x", 0, "none");
    is(NULL, p, "", 0, "none");
    is(NULL, NULL, "gpt-oss:120b", 0, "none");

    /* one's own goes before it */

    own = list_of("prices: {gpt-oss:120b: {input: 1, output: 2}, 'k*':"
                  " {input: 0, output: 0}}");
    is(own, p, "gpt-oss:120b", 0, "1000 1000 2000");
    is(own, p, "gpt-oss:20b", 0, "70 70 1000");
    is(own, p, "kimi", 0, "0 0 0");
    is(own, NULL, "gpt-oss:20b", 0, "none");

    ollama_prices_free(own);
    ollama_prices_free(p);
    ollama_prices_free(NULL);
}


/* beginnings within beginnings: what is found is the longest that fits */

static void
beginnings_are_found(void **state)
{
    size_t            i;
    ollama_prices_t  *p;

    static const struct {
        const char  *model;
        const char  *price;
    } table[] = {
        { "a", "1000 1000 0" }, { "aa", "1000 1000 0" },
        { "ab", "2000 2000 0" }, { "abb", "2000 2000 0" },
        { "abc", "3000 3000 0" }, { "abcd", "3000 3000 0" },
        { "abcde", "4000 4000 0" }, { "abcdz", "3000 3000 0" },
        { "abd", "2000 2000 0" }, { "abe", "5000 5000 0" },
        { "abf", "2000 2000 0" }, { "ac", "1000 1000 0" },
        { "az", "6000 6000 0" }, { "azz:1b", "6000 6000 0" },
        { "b", "none" }, { "", "none" }, { "A", "none" }, { "c", "none" },
        { "ca", "7000 7000 0" }, { "cab", "7000 7000 0" }, { "cb", "none" },
        { "z", "none" },
    };

    (void) state;

    p = list_of("prices: {'ca*': {input: 7, output: 0},"
                " 'abcde*': {input: 4, output: 0}, 'a*': {input: 1, output: 0},"
                " 'abc*': {input: 3, output: 0}, 'az*': {input: 6, output: 0},"
                " 'abe*': {input: 5, output: 0}, 'ab*': {input: 2, output: 0},"
                " 'm': {input: 9, output: 0}}");

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        is(NULL, p, table[i].model, 0, table[i].price);
    }

    ollama_prices_free(p);

    p = list_of("prices: {'*': {input: 1, output: 0}, 'a*': {input: 2, "
                "output: 0}}");
    is(NULL, p, "", 0, "1000 1000 0");
    is(NULL, p, "b", 0, "1000 1000 0");
    is(NULL, p, "ab", 0, "2000 2000 0");
    ollama_prices_free(p);
}


static void
days_on_which_they_begin(void **state)
{
    ollama_prices_t  *p, *own;

    (void) state;

    p = list_of("prices:\n"
                "  a:\n"
                "  - {input: 1, output: 1}\n"
                "  - {from: 2026-11-02, input: 2, output: 2}\n"
                "  - {from: 2026-11-03, input: 3, output: 3}\n"
                "  b: {from: 2026-11-02, input: 4, output: 4}\n");

    is(NULL, p, "a", 0, "1000 1000 1000");
    is(NULL, p, "a", -5, "1000 1000 1000");
    is(NULL, p, "a", MON - 1, "1000 1000 1000");
    is(NULL, p, "a", MON, "2000 2000 2000");
    is(NULL, p, "a", MON + DAY - 1, "2000 2000 2000");
    is(NULL, p, "a", MON + DAY, "3000 3000 3000");
    is(NULL, p, "a", MON + 1000 * (int64_t) DAY, "3000 3000 3000");
    is(NULL, p, "b", MON - 1, "none");
    is(NULL, p, "b", MON, "4000 4000 4000");

    own = list_of("prices: {a: {from: 2026-11-03, input: 9, output: 9}}");
    is(own, p, "a", MON, "2000 2000 2000");
    is(own, p, "a", MON + DAY, "9000 9000 9000");

    ollama_prices_free(own);
    ollama_prices_free(p);
}


static void
hours_of_a_peak(void **state)
{
    int              i, day, hour, peak;
    char             text[200];
    int64_t          when;
    ollama_prices_t  *p;

    static const struct {
        const char  *peak;
        const char  *days;      /* on which it begins, from Sunday on */
        int          begins;
        int          ends;      /* in half hours */
    } table[] = {
        { "factor: 2, days: mon-fri, hours: 12-18", ".xxxxx.", 24, 36 },
        { "factor: 2, days: 'sat,sun', hours: 0-24", "x.....x", 0, 48 },
        { "factor: 2, days: fri-mon, hours: 9:30-10", "xx...xx", 19, 20 },
        { "factor: 2, days: 'Mon,WED,sat', hours: 22-6", ".x.x..x", 44, 12 },
        { "factor: 2, hours: 23:30-0:30", "xxxxxxx", 47, 1 },
        { "factor: 2, days: thu, hours: 12-0", "....x..", 24, 0 },
    };

    (void) state;

    for (i = 0; i < (int) (sizeof(table) / sizeof(table[0])); i++) {

        snprintf(text, sizeof(text), "prices: {m: {input: 1, cached: 0.5, "
                 "output: 3, peak: {%s}}}", table[i].peak);
        p = list_of(text);

        for (day = 1; day < 15; day++) {
            for (hour = 0; hour < 48; hour++) {

                when = MON + (day - 1) * DAY + hour * HOUR / 2;

                if (table[i].begins < table[i].ends) {
                    peak = table[i].days[day % 7] == 'x'
                           && hour >= table[i].begins && hour < table[i].ends;

                } else {
                    peak = (table[i].days[day % 7] == 'x'
                            && hour >= table[i].begins)
                           || (table[i].days[(day + 6) % 7] == 'x'
                               && hour < table[i].ends);
                }

                is(NULL, p, "m", when, peak ? "2000 1000 6000"
                                            : "1000 500 3000");
                is(NULL, p, "m", when + HOUR / 2 - 1,
                   peak ? "2000 1000 6000" : "1000 500 3000");
            }
        }

        ollama_prices_free(p);
    }

    p = list_of("prices: {m: {input: 0.2, output: 1, peak: "
                "{factor: 1.5, hours: 0-24}}}");
    is(NULL, p, "m", MON, "300 300 1500");
    ollama_prices_free(p);
}


static void
costs_are_whole(void **state)
{
    char            text[OLLAMA_PRICE_TEXT];
    size_t          i, n;
    ollama_price_t  p = { 150, 14, 600 };

    static const struct {
        uint64_t     nano;
        const char  *words;
    } table[] = {
        { 0, "0" }, { 1, "0.000000001" }, { 14000000, "0.014" },
        { 1000000000, "1" }, { 12500000000, "12.5" },
        { 1000000010, "1.00000001" },
        { UINT64_MAX, "18446744073.709551615" },
    };

    (void) state;

    assert_int_equal(ollama_price_cost(&p, 0, 0, 0), 0);
    assert_int_equal(ollama_price_cost(&p, 1000000, 1000000, 0), 14000000);
    assert_int_equal(ollama_price_cost(&p, 0, 0, 100000), 60000000);
    assert_int_equal(ollama_price_cost(&p, 10, 4, 3), 6 * 150 + 4 * 14 + 1800);
    assert_int_equal(ollama_price_cost(&p, 10, 11, 0), 140);
    assert_int_equal(ollama_price_cost(&p, 100000000, 0, 100000000),
                     75000000000);

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        n = ollama_price_text(text, table[i].nano);
        assert_int_equal(n, strlen(table[i].words));
        assert_memory_equal(text, table[i].words, n);
    }
}


static void
usual_ones(void **state)
{
    ollama_price_t    u;
    ollama_prices_t  *p, *own;

    (void) state;

    ollama_prices_usual(NULL, NULL, MON, &u);
    assert_int_equal(u.input + u.cached + u.output, 0);

    p = list_of("prices: {a: {input: 1, cached: 0.1, output: 9},"
                " b: {input: 2, cached: 0.3, output: 7, peak: "
                "{factor: 10, hours: 0-24}},"
                " c: {input: 4, cached: 0.2, output: 8},"
                " d: {from: 2030-01-01, input: 100, output: 100}}");

    ollama_prices_usual(NULL, p, MON, &u);
    assert_int_equal(u.input, 2000);
    assert_int_equal(u.cached, 200);
    assert_int_equal(u.output, 8000);

    own = list_of("prices: {b: {input: 3, cached: 1, output: 3},"
                  " e: {input: 0, output: 0}}");
    ollama_prices_usual(own, p, MON, &u);
    assert_int_equal(u.input, 2000);                    /* 0 1 3 4 */
    assert_int_equal(u.cached, 150);                    /* 0 0.1 0.2 1 */
    assert_int_equal(u.output, 5500);                   /* 0 3 8 9 */

    ollama_prices_free(own);

    /* one's own that is still to begin takes the place of none */

    own = list_of("prices: {'*': {from: 2030-01-01, input: 50, output: 50}}");
    ollama_prices_usual(own, p, MON, &u);
    assert_int_equal(u.input, 2000);
    assert_int_equal(u.cached, 200);
    assert_int_equal(u.output, 8000);

    ollama_prices_free(own);
    ollama_prices_free(p);
}


static const struct {
    const char  *text;
    const char  *err;
} wrong[] = {
    { "", "line 1, column 1: the file must be an object" },
    { "- 1\n", "line 1, column 1: the file must be an object" },
    { "date: 2026-08-31\n", "line 2, column 1: no prices: list at least" },
    { "date: today\nprices: {a: {input: 1, output: 1}}\n",
      "line 1, column 7: \"date\" must be a day" },
    { "colour: red\n", "line 1, column 1: unknown field; known are date, "
                       "prices" },
    { "prices: 3\n", "line 1, column 9: \"prices\" must be an object" },
    { "prices:\n  a b: {input: 1, output: 1}\n",
      "line 2, column 3: a name in \"prices\" must be a model" },
    { "prices:\n  'a*b': {input: 1, output: 1}\n",
      "line 2, column 3: a name in \"prices\" must be a model" },
    { "prices:\n  a: {input: 1, output: 1}\n  a:cloud: {input: 1, output: 1}\n",
      "line 3, column 3: the same model is given twice in \"prices\"" },
    { "prices:\n  a: 3\n", "line 2, column 6: a price must be an object such" },
    { "prices:\n  a: []\n", "line 2, column 7: the list of prices is empty" },
    { "prices:\n  a: [1]\n", "line 2, column 7: a price must be an object" },
    { "prices:\n  a: {input: 1}\n", "line 2, column 6: a price has no field "
                                    "\"output\"" },
    { "prices:\n  a: {output: 1}\n", "line 2, column 6: a price has no field "
                                     "\"input\"" },
    { "prices:\n  a: {input: 1, output: 1, tax: 2}\n",
      "line 2, column 28: unknown field of a price; known are from, input, "
      "cached, output, peak" },
    { "prices:\n  a: {input: -1, output: 1}\n",
      "line 2, column 14: \"input\" of a price must be a number such as 0.15" },
    { "prices:\n  a: {input: 1e3, output: 1}\n",
      "line 2, column 14: \"input\" of a price must be a number" },
    { "prices:\n  a: {input: .5, output: 1}\n",
      "line 2, column 14: \"input\" of a price must be a number" },
    { "prices:\n  a: {input: 1., output: 1}\n",
      "line 2, column 14: \"input\" of a price must be a number" },
    { "prices:\n  a: {input: nan, output: 1}\n",
      "line 2, column 14: \"input\" of a price must be a number" },
    { "prices:\n  a: {input: 1, output: 0.1234}\n",
      "line 2, column 25: \"output\" of a price must be a number" },
    { "prices:\n  a: {input: 1, output: 1000000.001}\n",
      "line 2, column 25: \"output\" of a price must be a number" },
    { "prices:\n  a: {input: 99999999999999999999, output: 1}\n",
      "line 2, column 14: \"input\" of a price must be a number" },
    { "prices:\n  a: {input: , output: 1}\n",
      "line 2, column 14: \"input\" of a price is empty" },
    { "prices:\n  a:\n  - {input: 1, output: 1}\n  - {input: 2, output: 1}\n",
      "line 4, column 5: a price that is not the first one" },
    { "prices:\n  a:\n  - {from: 2026-01-02, input: 1, output: 1}\n"
      "  - {from: 2026-01-02, input: 2, output: 1}\n",
      "line 4, column 5: a price that is not the first one" },
    { "prices:\n  a: {from: 2026-13-01, input: 1, output: 1}\n",
      "line 2, column 13: \"from\" of a price must be a day" },
    { "prices:\n  a: {input: 1, output: 1, peak: 2}\n",
      "line 2, column 34: \"peak\" of a price must be an object" },
    { "prices:\n  a: {input: 1, output: 1, peak: {factor: 2}}\n",
      "line 2, column 34: a peak has no field \"hours\"" },
    { "prices:\n  a: {input: 1, output: 1, peak: {hours: 1-2}}\n",
      "line 2, column 34: a peak has no field \"factor\"" },
    { "prices:\n  a: {input: 1, output: 1, peak: {factor: 0, hours: 1-2}}\n",
      "line 2, column 43: \"factor\" of a peak must be more than 0" },
    { "prices:\n  a: {input: 1, output: 1, peak: {factor: 2, hours: 25-2}}\n",
      "line 2, column 53: \"hours\" of a peak must be two times" },
    { "prices:\n  a: {input: 1, output: 1, peak: {factor: 2, hours: 3-3}}\n",
      "line 2, column 53: \"hours\" of a peak must be two times" },
    { "prices:\n  a: {input: 1, output: 1, peak: {factor: 2, hours: 3}}\n",
      "line 2, column 53: \"hours\" of a peak must be two times" },
    { "prices:\n  a: {input: 1, output: 1, peak: {factor: 2, hours: 1-2, "
      "days: some}}\n", "line 2, column 64: \"days\" of a peak must be days" },
    { "prices:\n  a: {input: 1, output: 1, peak: {factor: 2, hours: 1-2, "
      "days: mon-}}\n", "line 2, column 64: \"days\" of a peak must be days" },
    { "prices:\n  a: {input: 0.015, output: 1, peak: {factor: 1.5, "
      "hours: 1-2}}\n", "line 2, column 6: a price times its factor has more "
      "than three decimals" },
    { "prices:\n  a: {input: 1, output: 1000000, peak: {factor: 1.001, "
      "hours: 1-2}}\n", "line 2, column 6: a price times its factor is more "
      "than 1000000" },
    { "prices: {a: {input: 1, output: 1}}\n---\nx\n",
      "line 2, column 1: a second document begins" },
    { "prices: {a: {input: 1, output: 1}\n", "line 2, column 1: bad YAML" },
};


static void
wrong_ones(void **state)
{
    char    err[OLLAMA_CONFIG_ERROR_MAX];
    size_t  i;

    (void) state;

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {

        assert_null(ollama_prices_read((const unsigned char *) wrong[i].text,
                                       strlen(wrong[i].text), err,
                                       sizeof(err)));

        if (strncmp(err, wrong[i].err, strlen(wrong[i].err)) != 0) {
            fail_msg("%s\nsays  %s\nnot   %s", wrong[i].text, err,
                     wrong[i].err);
        }
    }
}


static void
in_config_yaml(void **state)
{
    char             err[OLLAMA_CONFIG_ERROR_MAX];
    ollama_config_t  conf;

    static const char  good[] = "keys: [a]\nprices: {m: {input: 1, output: 2}}";
    static const char  bad[] = "keys: [a]\nprices: {m: {input: x, output: 2}}";

    (void) state;

    assert_int_equal(ollama_config_parse(&conf, (unsigned char *) good,
                                         sizeof(good) - 1, err, sizeof(err)),
                     0);
    is(conf.prices, NULL, "m", 0, "1000 1000 2000");
    ollama_config_free(&conf);
    assert_null(conf.prices);

    assert_int_equal(ollama_config_parse(&conf, (unsigned char *) bad,
                                         sizeof(bad) - 1, err, sizeof(err)),
                     -1);
    assert_string_equal(err, "line 2, column 21: \"input\" of a price must be "
                        "a number such as 0.15, with at most three decimals "
                        "and not more than 1000000");
    assert_null(conf.prices);
}


static void
the_shipped_list(void **state)
{
    FILE             *f;
    char              text[16384];
    size_t            n;
    ollama_prices_t  *p;

    (void) state;

    f = fopen("conf/prices.yaml", "r");

    if (f == NULL) {
        skip();
    }

    n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';

    p = list_of(text);
    assert_string_equal(p->date, "2026-08-31");
    is(NULL, p, "gpt-oss:120b", MON, "150 14 600");
    is(NULL, p, "gemma4:31b", MON, "140 50 400");
    is(NULL, p, "deepseek-v4-flash", MON + 12 * HOUR, "440 14 1320");
    is(NULL, p, "deepseek-v4-flash", MON + 18 * HOUR, "220 7 660");
    is(NULL, p, "deepseek-v4-pro", MON + 5 * DAY + 12 * HOUR, "660 22 1980");
    is(NULL, p, "nothing", MON, "none");
    ollama_prices_free(p);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(models_are_found),
        cmocka_unit_test(beginnings_are_found),
        cmocka_unit_test(days_on_which_they_begin),
        cmocka_unit_test(hours_of_a_peak),
        cmocka_unit_test(costs_are_whole),
        cmocka_unit_test(usual_ones),
        cmocka_unit_test(wrong_ones),
        cmocka_unit_test(in_config_yaml),
        cmocka_unit_test(the_shipped_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
