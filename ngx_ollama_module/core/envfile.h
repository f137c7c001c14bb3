/*
 * A .env file: NAME=VALUE lines.
 *
 *     # a comment
 *     PROXY_AUTH_TOKEN=abc             # and another
 *     export NAME="a \"quoted\" value\n"
 *     NAME='taken as it is'
 *
 * Names are letters, digits and "_".  Spaces around the name and the value are
 * dropped; in a bare value " #" begins a comment.  Double quotes know the
 * escapes \n \r \t \" \\ \$ and \`, single quotes none; a value does not go
 * over the end of its line, and "$" is just a letter.  CRLF and a byte order
 * mark are accepted.  Of a name given twice the last one counts.
 *
 * ollama_envfile_parse() returns 0, or -1 and one sentence that starts with
 * "line L: " in err; it never holds a part of the file.  On error env is empty.
 * Strings belong to env; ollama_envfile_free() wipes them.
 */

#ifndef OLLAMA_ENVFILE_H_INCLUDED
#define OLLAMA_ENVFILE_H_INCLUDED

#include <stddef.h>

#define OLLAMA_ENVFILE_BYTES_MAX  (1024 * 1024)


typedef struct {
    char       *name;
    char       *value;              /* no NUL inside */
    unsigned    line;
} ollama_envfile_var_t;


typedef struct {
    ollama_envfile_var_t  *vars;
    size_t                 nvars;
} ollama_envfile_t;


int ollama_envfile_parse(ollama_envfile_t *env, const unsigned char *data,
    size_t len, char *err, size_t err_size);
const char *ollama_envfile_get(const ollama_envfile_t *env, const char *name);
void ollama_envfile_free(ollama_envfile_t *env);


#endif /* OLLAMA_ENVFILE_H_INCLUDED */
