/*
 * usage.h - the tokens of an answer.
 *
 * A scanner that is fed the answer's body as it passes, in pieces split
 * anywhere, and finds what the cloud says about tokens.  It never delays nor
 * changes a byte.  Lines, strings and answers of any length are read in
 * constant memory: one object of 0.7 KB, and 8 KB more as long as a document
 * has begun and not ended, of which a process keeps a few (usage_document.h).
 *
 * yajl reads every document of a shape that it has not read before; the next
 * ones like it are only compared with it (usage_shape.h).  A line or event of
 * text of 130 to 250 bytes, whole in its buffer, costs 500 to 650 instructions,
 * a plain answer or a last line 1000 to 2000; what yajl has to see, and what is
 * split over buffers, some 60 for each byte that is not in a long string.
 *
 *     u = ollama_usage_create();                   once, NULL: out of memory
 *     ollama_usage_reset(u, format, family);       before every answer
 *     ollama_usage_feed(u, p, n);  ...
 *     ollama_usage_finish(u);                      the end, orderly or not
 *     result = ollama_usage_result(u);             valid until reset, destroy
 *     ollama_usage_destroy(u);
 *
 * Nothing here can fail: an answer that cannot be read (gzip, HTML, broken
 * JSON, no memory) is one about which less is known, and the result says so.
 * result() may be asked at any time; `certainty` is settled by finish().
 *
 * Where tokens count
 *
 * Only these places, whatever the same names mean elsewhere (tool arguments,
 * echoed tools, schemas and metadata hold users' data):
 *
 *     native     depth-1 prompt_eval_count, eval_count,
 *                prompt_eval_cached_count
 *     openai     depth-1 usage: prompt_tokens, completion_tokens,
 *                prompt_tokens_details.cached_tokens,
 *                completion_tokens_details.reasoning_tokens
 *     responses  response.usage of a stream, depth-1 usage of a plain answer:
 *                input_tokens, output_tokens, input_tokens_details
 *                .cached_tokens, output_tokens_details.reasoning_tokens
 *     anthropic  depth-1 usage and, in a stream, message.usage: input_tokens +
 *                cache_read_input_tokens + cache_creation_input_tokens make
 *                the prompt, output_tokens the completion
 *
 * `prompt` always includes the cached tokens: they are a part of it in three
 * families, and are added to it for Anthropic.  The last value that is not
 * zero holds; nothing is ever summed up over the chunks of an answer.
 * Anthropic's message_start only estimates the prompt: a later usage object
 * which counts input tokens replaces all three numbers at once.  Without one,
 * the smaller of its estimate and ours is taken: pictures are text to some.
 *
 * A count is a whole number from 1 to OLLAMA_USAGE_COUNT_MAX.  Anything else
 * (0, below 0, a fraction, 1e30, a string) says nothing, as if the member were
 * not there.
 *
 * The form of an answer is what its first bytes say (form.h); what its
 * Content-Type says holds where these say nothing.  A line that is followed by
 * another document makes NDJSON of JSON, and a first line in which the document
 * does not end makes JSON of NDJSON.
 *
 * Certainty
 *
 *     EXACT      the cloud gave the final count
 *     PARTIAL    the stream broke off (client gone, upstream dead, error line)
 *                before the final count: what came is in the result
 *     ESTIMATED  the answer is complete but says nothing of tokens, or could
 *                not be read
 *     NONE       no tokens are due: no inference, an error, a preload
 *
 * Of each half apart: where the final count is there for one half and not for
 * the other, the other one is ESTIMATED.  A prompt always has tokens (a model
 * of the cloud says 0 each time), a completion has some if there was text.
 * `certainty` is the weaker of both.
 *
 * The model's name and the text of an error are unescaped, any bytes.
 *
 * For PARTIAL and ESTIMATED ollama_usage_tokens() makes an estimate, of the
 * prompt from the request, of the completion from the bytes of text that were
 * streamed; the record marks it as one.
 *
 * Bytes that are no text
 *
 * A picture of 1.5 MB is not half a million tokens.  What a request carries
 * beside text (request_media.h says where) counts by the piece, whatever its
 * size: about what the cloud's models make of a picture that they have scaled
 * down, of a few pages, of a minute of speech.
 */

#ifndef OLLAMA_USAGE_H_INCLUDED
#define OLLAMA_USAGE_H_INCLUDED

#include <stddef.h>
#include <stdint.h>


#define OLLAMA_USAGE_BYTES_PER_TOKEN  4
#define OLLAMA_USAGE_PICTURE          1600    /* tokens each */
#define OLLAMA_USAGE_DOCUMENT         8000    /* a PDF, and any other file */
#define OLLAMA_USAGE_AUDIO            1600
#define OLLAMA_USAGE_COUNT_MAX        100000000
#define OLLAMA_USAGE_MODEL_MAX        255
#define OLLAMA_USAGE_ERROR_MAX        200


/* The form of the answer, as its Content-Type has it. */

typedef enum {
    OLLAMA_FORMAT_OTHER = 0,        /* not read */
    OLLAMA_FORMAT_JSON,             /* application/json: one object */
    OLLAMA_FORMAT_NDJSON,           /* application/x-ndjson: one a line */
    OLLAMA_FORMAT_SSE               /* text/event-stream */
} ollama_usage_format_e;


/* The API, from the request's path. */

typedef enum {
    OLLAMA_USAGE_FAMILY_NONE = 0,   /* tags, show, web_search, ... */
    OLLAMA_USAGE_FAMILY_NATIVE,     /* /api/chat, generate, embed */
    OLLAMA_USAGE_FAMILY_OPENAI,     /* /v1/chat/completions, completions,
                                       embeddings */
    OLLAMA_USAGE_FAMILY_RESPONSES,  /* /v1/responses */
    OLLAMA_USAGE_FAMILY_ANTHROPIC   /* /v1/messages */
} ollama_usage_family_e;


typedef enum {
    OLLAMA_CERTAINTY_NONE = 0,
    OLLAMA_CERTAINTY_ESTIMATED,
    OLLAMA_CERTAINTY_PARTIAL,
    OLLAMA_CERTAINTY_EXACT
} ollama_certainty_e;


typedef struct {
    uint64_t            prompt;         /* with cached, as counted so far */
    uint64_t            completion;     /* with reasoning */
    uint64_t            cached;         /* part of prompt */
    uint64_t            reasoning;      /* part of completion */

    uint64_t            bytes;          /* fed */
    uint64_t            content_bytes;  /* text of content, thinking and tool
                                           arguments, unescaped */
    uint64_t            documents;      /* complete JSON objects read */

    ollama_certainty_e  certainty;      /* the weaker of the two: */
    ollama_certainty_e  prompt_certainty;
    ollama_certainty_e  completion_certainty;

    unsigned            usage:1;        /* a count that is not zero was seen */
    unsigned            start:1;        /* anthropic: of the prompt only what
                                           message_start has was seen */
    unsigned            terminal:1;     /* the answer came to its end */
    unsigned            error:1;        /* an error object or line was seen */
    unsigned            told:1;         /*   to its end */
    unsigned            unreadable:1;   /* bytes that are not the format */

    unsigned            error_status;   /* named in the error line; 0: none */

    size_t              model_len;      /* as the answer echoes it; 0: none */
    size_t              error_len;
    char                model[OLLAMA_USAGE_MODEL_MAX + 1];
    char                error_text[OLLAMA_USAGE_ERROR_MAX + 1];
} ollama_usage_result_t;


/*
 * A stream that ends here.  Whole is one whose end mark has come: a native line
 * with done:true, [DONE], response.completed, incomplete or failed,
 * message_stop; or an error of the cloud, which says itself that it is not.
 */

typedef enum {
    OLLAMA_STREAM_NONE = 0,         /* no stream, or what came last could not
                                       be read: it may have been the mark */
    OLLAMA_STREAM_WHOLE,
    OLLAMA_STREAM_CUT
} ollama_stream_e;


typedef struct ollama_usage_s  ollama_usage_t;


ollama_usage_t *ollama_usage_create(void);
void ollama_usage_destroy(ollama_usage_t *u);
void ollama_usage_reset(ollama_usage_t *u, ollama_usage_format_e format,
    ollama_usage_family_e family);

void ollama_usage_feed(ollama_usage_t *u, const unsigned char *p, size_t n);
void ollama_usage_finish(ollama_usage_t *u);

/* At any time, also behind finish(). */
ollama_stream_e ollama_usage_stream(const ollama_usage_t *u);

/*
 * Line feeds that end the line or event which was begun, 0 between them.  An
 * event that has a name but no data yet needs no blank line: whoever goes on
 * gives it another name.
 */
unsigned ollama_usage_broken(const ollama_usage_t *u);

/*
 * Whether the last feed was whole lines or events of text, of a shape that is
 * known, and nothing else; in an OpenAI stream nothing that sse_cut.h would
 * take out, either.
 */
int ollama_usage_only_text(const ollama_usage_t *u);

const ollama_usage_result_t *ollama_usage_result(const ollama_usage_t *u);

/*
 * The numbers to book, estimates where the answer gives none: what the request
 * is likely to be (asked, in tokens) stands for the prompt, content_bytes for
 * the completion.
 */
void ollama_usage_tokens(const ollama_usage_result_t *res, uint64_t asked,
    uint64_t *prompt, uint64_t *completion);

/* The same while the answer is still coming. */
void ollama_usage_so_far(const ollama_usage_result_t *res, uint64_t asked,
    uint64_t *prompt, uint64_t *completion);

/* Tokens that so many bytes of text are likely to be. */
uint64_t ollama_usage_estimate(uint64_t bytes);

/* The format that a Content-Type (with or without parameters) names. */
ollama_usage_format_e ollama_usage_format(const char *content_type, size_t n);

/* The family that a normalised path names, by /api/, /v1/messages, ... */
ollama_usage_family_e ollama_usage_family(const unsigned char *path, size_t n);

const char *ollama_certainty_name(ollama_certainty_e certainty);


#endif /* OLLAMA_USAGE_H_INCLUDED */
