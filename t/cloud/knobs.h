/*
 * Knobs: how one answer of the simulator differs from the ordinary one.
 *
 * A request turns them in its body, {"_sim":{"words":3,"crlf":true}, ...};
 * POST /_sim/knobs sets those that hold for every request (and puts the ones it
 * does not name back to their defaults). All are whole numbers; true is 1,
 * false is 0. -1 means unset where 0 has a meaning.
 *
 * words              8  words written, one event each; the completion tokens
 * thinking           0  words of thinking before them, completion tokens too
 * tool_call          0  a tool call after them
 * spoof              0  a tool call whose arguments look like usage of 999999
 *                       tokens; /v1/responses also echoes tools and metadata
 *                       that do
 * pad_bytes          0  the first word grows by so many bytes: long lines
 * echo_bytes         0  /v1/responses: size of the instructions that are
 * echoed; /api/generate: size of the context array
 *
 * cached             0  half of the prompt's tokens are reported as cached
 * cached_fields     -1  1: report cached tokens even if 0; 0: never
 * zero_usage         0  report counts of 0 (native: counts are absent); 2: for
 *                       the prompt alone, 3: for the completion
 * no_usage           0  report nothing
 * metrics_on_all     0  native, OpenAI: counts so far on each chunk
 * usage_only_in_start 0 Anthropic: input tokens only in message_start, exact
 * incomplete         0  the answer ends at its length limit
 * failed             0  /v1/responses ends in response.failed, with usage
 *
 * first_delay_ms     0  before the first byte of the headers
 * delay_ms           0  before each event but the first
 * chunk_bytes        0  N: the body in writes of N bytes, a turn of the event
 *                       loop after each; 0: all that is due in one write
 * error_after       -1  after N words the family's error ends a stream; what is
 *                       not streamed becomes a 500
 * reset_after_bytes -1  RST when N bytes of the body are out
 * close_after_bytes -1  the same with FIN
 * no_done            0  no [DONE], message_stop, response.completed, or native
 *                       line with done:true
 * no_final_newline   0  the body's last line end(s) missing
 * crlf               0  lines end in CR LF
 * content_length    -1  1: with Content-Length; 0: chunked; -1: as the cloud,
 *                       chunked if streamed
 * http10_close       0  HTTP/1.0, neither of the two: the body ends at the end
 *                       of the connection
 * gzip               0  Content-Encoding: gzip, flushed after each event
 *
 * type               0  Content-Type: 1 none, 2 text/plain, 3 application/json,
 *                       4 text/event-stream, 5 application/x-ndjson,
 *                       6 application/octet-stream, 7 text/json
 * embeddings         0  /api/embed, /api/embeddings and /v1/embeddings are
 *                       served as by a local daemon (the cloud has none)
 * plain_string_on_v1 0  errors on /v1 are {"error":"text"}
 * usage_api          2  shape of GET /api/usage, 1 or 2
 * group_by           1  GET /api/usage takes group_by=model; 0: 400
 * balance_wrong      0  GET /api/balance 1 hangs, 2 is no JSON, 3 tells less
 *                       than nothing, 4 is of another shape, 5 is gone (404)
 * usage_wrong        0  the same for GET /api/usage
 *
 * prompt_cache       0  1: what an account has sent before is cached, 2: what
 *                       anybody has (cache.h; a global one)
 * prompt_cache_ttl 3600 seconds for which it is
 *
 * log_requests       1  requests are recorded for /_sim/requests (a global one)
 */

#ifndef CLOUD_KNOBS_H
#define CLOUD_KNOBS_H

#include "buf.h"

#include <stdbool.h>
#include <yajl/yajl_tree.h>

struct knobs {
    int64_t words, thinking, tool_call, spoof, pad_bytes, echo_bytes;
    int64_t cached, cached_fields, zero_usage, no_usage, metrics_on_all,
        usage_only_in_start;
    int64_t incomplete, failed;
    int64_t first_delay_ms, delay_ms, chunk_bytes, error_after,
        reset_after_bytes, close_after_bytes, no_done, no_final_newline, crlf,
        content_length, http10_close, gzip, type;
    int64_t embeddings, plain_string_on_v1, usage_api, log_requests;
    int64_t group_by, balance_wrong, usage_wrong, prompt_cache,
        prompt_cache_ttl;
};

/* What holds for requests that say nothing. */
extern struct knobs knobs_global;

/* false: there is no such knob, or the value is out of its bounds. */
bool knobs_set(struct knobs *k, const char *name, size_t len, int64_t value);

/* The document of POST /_sim/knobs. */
bool knobs_load(yajl_val document, struct buf *complaint);

#endif
