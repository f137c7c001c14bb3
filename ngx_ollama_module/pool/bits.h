
/*
 * Maps of the slots of a pool's keys: a bit for each, in words of 64.
 */


#ifndef _NGX_HTTP_OLLAMA_BITS_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_BITS_H_INCLUDED_


#define ngx_http_ollama_bit(slot)  ((uint64_t) 1 << ((slot) % 64))

#define ngx_http_ollama_bit_test(map, slot)                                   \
    ((map)[(slot) / 64] & ngx_http_ollama_bit(slot))

#define ngx_http_ollama_bit_set(map, slot)                                    \
    (map)[(slot) / 64] |= ngx_http_ollama_bit(slot)

#define ngx_http_ollama_bit_clear(map, slot)                                  \
    (map)[(slot) / 64] &= ~ngx_http_ollama_bit(slot)


#endif /* _NGX_HTTP_OLLAMA_BITS_H_INCLUDED_ */
