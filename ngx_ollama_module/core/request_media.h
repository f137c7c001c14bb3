/*
 * request_media.h - what a request body carries that is no text: pictures,
 * sound, files, as base64 or as an address.  For request.c.
 *
 * Their bytes say nothing of tokens: they are counted by the piece (usage.h),
 * and their strings are taken out of the bytes of text.  Where they are, in the
 * four APIs:
 *
 *     native     images: ["<base64>"], of a message or (generate) the body
 *     openai     content[]: image_url {url}, input_audio {data},
 *                file {file_data}; video_url {url}, as some servers have it
 *     responses  input[].content[] and output[] of a tool: image_url,
 *                file_data, file_url; input_audio {data}
 *     anthropic  content[].source {type, media_type, data | url}, in the
 *                content of a tool_result or of a source as well
 *
 * All of them are known in every API: none has another meaning elsewhere.  Only
 * these places count.  A text that begins with "data:image/png;base64," is a
 * text, and so are tools, arguments of calls, schemas and metadata.
 *
 * In these places a string is no text if it is an address (http:, https:), a
 * data: URL but that of a text/.. type, or begins as base64 does; the source of
 * type "text" or media_type text/.. is one, in whatever order its members come.
 * What it is says the media type, if it is given, and else the place.
 *
 * Names match as request.h has it, except for U+017F and U+212A.  Deeper than
 * OLLAMA_REQUEST_DEEP brackets all is text.  The first bytes of a string are
 * all that is kept of it.
 */

#ifndef OLLAMA_REQUEST_MEDIA_H_INCLUDED
#define OLLAMA_REQUEST_MEDIA_H_INCLUDED

#include "request_session.h"
#include "request_text.h"
#include "scan.h"


#define OLLAMA_REQUEST_DEEP  24
#define OLLAMA_REQUEST_HEAD  64


/* for the scanner: what the names begin with, those of boxes alone apart */

#define ollama_request_media_bit(c)  (1u << ((c) & 31))
#define OLLAMA_REQUEST_MEDIA_OPENERS                                          \
    (ollama_request_media_bit('a') | ollama_request_media_bit('c')            \
     | ollama_request_media_bit('o') | ollama_request_media_bit('s'))
#define OLLAMA_REQUEST_MEDIA_LETTERS                                          \
    (OLLAMA_REQUEST_MEDIA_OPENERS                                             \
     | ollama_request_media_bit('d') | ollama_request_media_bit('f')          \
     | ollama_request_media_bit('i') | ollama_request_media_bit('m')          \
     | ollama_request_media_bit('t') | ollama_request_media_bit('u')          \
     | ollama_request_media_bit('v'))


/* what is open */

typedef enum {
    deep_other = 0,
    deep_part,                      /* a message, or a piece of one */
    deep_images,
    deep_picture,                   /* {"url": ..} */
    deep_video,
    deep_audio,                     /* {"data": ..} */
    deep_file,                      /* {"file_data": ..} */
    deep_source,
    deep_system,                    /* Anthropic's, for request_session.h */
    deep_metadata
} ollama_request_deep_e;


/* what a string is */

typedef enum {
    media_none = 0,                 /* text, or not looked at */
    media_picture,
    media_document,
    media_audio,
    media_source,                   /* its neighbours say what */
    media_source_type,
    media_source_media_type,
    media_role                      /* of a message: request_session.h */
} ollama_request_media_e;


typedef struct {
    ollama_request_media_e  kind;   /* of the string that comes */
    ollama_request_deep_e   child;  /* of what opens instead */

    size_t                  head_len;

    unsigned                source; /* its depth, 0: none is open */
    ollama_request_media_e  source_kind;
    ollama_request_media_e  source_said;
    unsigned                source_text;
    uint64_t                source_bytes;

    ollama_request_session_t  *session;     /* or NULL: nobody listens */

    unsigned char           deep[OLLAMA_REQUEST_DEEP];      /* by depth */
    unsigned char           array[OLLAMA_REQUEST_DEEP];
    char                    head[OLLAMA_REQUEST_HEAD];
} ollama_request_media_t;


#define ollama_request_media_begin(m)                                         \
    ((m)->kind = media_none, (m)->child = deep_other, (m)->head_len = 0,      \
     (m)->source = 0, (m)->session = NULL)

/*
 * A token of which the depth is more than 1, or the end of a piece there.
 * `root` (deep_..) is what the value of the open member is, `text` holds what has been
 * read of a name.  Returns 0 if it is for others, too.
 */
int ollama_request_media_token(ollama_request_media_t *m, ollama_scan_t *scan,
    ollama_scan_token_e token, unsigned root,
    ollama_request_text_t *text, ollama_request_facts_t *facts);

/*
 * In a list of messages that begins now: what session wants to know of them.
 * Then, with what follows, at the bracket of each object in there; and at the
 * latest before the next member, nothing any more.
 */
void ollama_request_media_look(ollama_request_media_t *m, ollama_scan_t *scan,
    ollama_request_session_t *session);
void ollama_request_media_message(ollama_request_media_t *m,
    ollama_scan_t *scan, const ollama_request_facts_t *facts,
    const unsigned char *p, const unsigned char *end);
void ollama_request_media_deafen(ollama_request_media_t *m,
    ollama_scan_t *scan, const ollama_request_facts_t *facts);


#endif /* OLLAMA_REQUEST_MEDIA_H_INCLUDED */
