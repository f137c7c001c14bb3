/*
 * frame.h - what goes over the socket between the module and the daemon: a
 * row of frames.  What is in them is in record.h.
 *
 *     0         4      5    6       8        12          16    24       28
 *     +---------+------+----+-------+--------+-----------+-----+--------+----
 *     | magic   | ver. |type| zero  | length | payload's | seq | bytes  | pay-
 *     | ff o l f|      |    |       |        | crc32     |     | 0-23's | load
 *     |         |      |    |       |        |           |     | crc32  |
 *     +---------+------+----+-------+--------+-----------+-----+--------+----
 *
 * All numbers are little endian.
 *
 * Two versions.  In version 1 the payload's crc32 is that of the whole
 * payload, in version 2 of its first 32 bytes at most: a body is long, and a
 * unix socket loses nothing.  BODY is sealed as version 2 (what says whose it
 * is and how long is in these bytes), all others as version 1.  Both are read.
 * Who knows only version 1 says so, or nothing, in its HELLO or WELCOME
 * (record.h), and is not sent the other: ollama_frame_downgrade().
 *
 * Using it.  Nothing here allocates, locks, or keeps state.
 *
 *   - A frame is sealed with number 0; ollama_frame_number() puts the number
 *     in afterwards (under the outbox's lock, say) for the price of 24 bytes
 *     of checksum.
 *   - ollama_frame_next() finds the next frame in what has been received.
 *     It trusts nothing: magic, version, length and both checksums are
 *     looked at before a frame is handed out; after a damaged one it goes
 *     on with the next whole one.
 */

#ifndef OLLAMA_FRAME_H_INCLUDED
#define OLLAMA_FRAME_H_INCLUDED

#include <stddef.h>
#include <stdint.h>


#define OLLAMA_FRAME_VERSION     2                    /* and all below it */
#define OLLAMA_FRAME_HEADER      28
#define OLLAMA_FRAME_SUMMED      32                   /* of a payload, v. 2 */
#define OLLAMA_FRAME_MAX         (16 * 1024 * 1024)   /* payload, bytes */


typedef enum {
    OLLAMA_FRAME_HELLO = 1,
    OLLAMA_FRAME_KEY,
    OLLAMA_FRAME_READY,
    OLLAMA_FRAME_WELCOME,
    OLLAMA_FRAME_ACK,
    OLLAMA_FRAME_USAGE,
    OLLAMA_FRAME_REQUEST,
    OLLAMA_FRAME_BODY,
    OLLAMA_FRAME_PENALTY,
    OLLAMA_FRAME_OUTBOX,
    OLLAMA_FRAME_KEYSTATE,
    OLLAMA_FRAME_RUNNING,
    OLLAMA_FRAME_RUNNING_END,
    OLLAMA_FRAME_BALANCE
} ollama_frame_type_e;


typedef struct {
    const unsigned char         *data;
    size_t                       len;
} ollama_text_t;


typedef struct {
    uint8_t                      version;
    uint8_t                      type;          /* ollama_frame_type_e */
    uint64_t                     seq;
    const unsigned char         *payload;
    size_t                       len;
} ollama_frame_t;


/* size is that of the whole frame, header included; its number becomes 0 */

void ollama_frame_seal(unsigned char *frame, ollama_frame_type_e type,
    size_t size);
void ollama_frame_number(unsigned char *frame, uint64_t seq);

/* makes a sealed frame one of version 1; its number stays */

void ollama_frame_downgrade(unsigned char *frame);

/* the whole size of a sealed frame that begins at frame */

size_t ollama_frame_size(const unsigned char *frame);

/* how many of len bytes of sealed frames are whole ones that fit into size */

size_t ollama_frame_fit(const unsigned char *frames, size_t len, size_t size);


/*
 * The next frame in buf, which holds len received bytes.  *used is how many
 * bytes of buf are done with after the call (and, for OLLAMA_FRAME_GOT, after
 * the frame has been looked at: its payload points into buf).
 *
 * A damaged header is skipped byte by byte to the next whole one.  With a
 * good header and a damaged payload its length is believed only if another
 * header stands behind it, so that bytes lost on the way cost one frame.
 */

typedef enum {
    OLLAMA_FRAME_GOT = 0,            /* a frame */
    OLLAMA_FRAME_AGAIN,              /* more bytes are needed */
    OLLAMA_FRAME_DAMAGED,            /* bytes were skipped: call again */
    OLLAMA_FRAME_FOREIGN             /* of a version nobody knows, skipped */
} ollama_frame_result_e;

ollama_frame_result_e ollama_frame_next(const unsigned char *buf, size_t len,
    size_t *used, ollama_frame_t *frame);


#endif /* OLLAMA_FRAME_H_INCLUDED */
