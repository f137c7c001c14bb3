
#include "request_edit.h"


void
ollama_request_edits_add(ollama_request_edits_t *edits, uint64_t offset,
    uint64_t remove, const char *insert, size_t insert_len)
{
    ollama_edit_t  *edit;

    edit = &edits->ring[edits->n++ % OLLAMA_REQUEST_DUPLICATES];

    edit->offset = offset;
    edit->remove = remove;
    edit->insert = insert;
    edit->insert_len = insert_len;
}


size_t
ollama_request_edits_put(const ollama_request_edits_t *edits,
    ollama_edit_t *out, size_t n, size_t max)
{
    unsigned  i;

    i = edits->n > OLLAMA_REQUEST_DUPLICATES
        ? edits->n - OLLAMA_REQUEST_DUPLICATES : 0;

    for ( /* void */ ; i < edits->n; i++, n++) {
        if (n < max) {
            out[n] = edits->ring[i % OLLAMA_REQUEST_DUPLICATES];
        }
    }

    return n;
}


void
ollama_request_edits_sort(ollama_edit_t *out, size_t n)
{
    size_t         i, j;
    ollama_edit_t  edit;

    for (i = 1; i < n; i++) {
        edit = out[i];

        for (j = i; j > 0 && out[j - 1].offset > edit.offset; j--) {
            out[j] = out[j - 1];
        }

        out[j] = edit;
    }
}
