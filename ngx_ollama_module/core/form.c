#include "form.h"


#define FORM_MARK  "\xef\xbb\xbf"


static int form_known(ollama_form_t *f, ollama_usage_format_e format);


void
ollama_form_init(ollama_form_t *f)
{
    f->format = OLLAMA_FORMAT_OTHER;
    f->name = NULL;
    f->held = 0;
    f->mark = 0;
    f->known = 0;
}


int
ollama_form_next(ollama_form_t *f, const unsigned char **p,
    const unsigned char *end)
{
    unsigned char  c;

    for ( /* void */ ; !f->known && *p != end; (*p)++) {

        c = **p;

        if (f->name) {

            if (f->name[f->held] == '\0') {
                return form_known(f, (c == ':' || c == '\n' || c == '\r')
                                     ? OLLAMA_FORMAT_SSE : OLLAMA_FORMAT_OTHER);
            }

            if (c != (unsigned char) f->name[f->held]) {
                return form_known(f, OLLAMA_FORMAT_OTHER);
            }

            f->held++;
            continue;
        }

        if (f->mark < 3 && c == (unsigned char) FORM_MARK[f->mark]) {
            f->mark++;
            continue;
        }

        if (f->mark == 1 || f->mark == 2) {
            return form_known(f, OLLAMA_FORMAT_OTHER);
        }

        f->mark = 3;

        switch (c) {

        case ' ':
        case '\t':
        case '\n':
        case '\r':
            break;

        case '{':
            return form_known(f, OLLAMA_FORMAT_JSON);

        case ':':
            return form_known(f, OLLAMA_FORMAT_SSE);

        case 'd':
            f->name = "data";
            f->held = 1;
            break;

        case 'e':
            f->name = "event";
            f->held = 1;
            break;

        case 'i':
            f->name = "id";
            f->held = 1;
            break;

        case 'r':
            f->name = "retry";
            f->held = 1;
            break;

        default:
            return form_known(f, OLLAMA_FORMAT_OTHER);
        }
    }

    return f->known;
}


static int
form_known(ollama_form_t *f, ollama_usage_format_e format)
{
    f->format = format;
    f->known = 1;

    return 1;
}
