
/*
 * Copyright (C) The wafcert authors
 */


#include "fuzz.h"
#include <openssl/evp.h>


/*
 * Bytes that change at random never get through base64 and the lengths of
 * DER.  Half of the mutations are therefore made in the DER of a PEM block:
 * an element of it is changed, and what is around it is made to fit again.
 */


#define FUZZ_MAX     131072
#define FUZZ_BLOCKS  24
#define FUZZ_GROWTH  64
#define FUZZ_DEPTH   32


typedef struct {
    u_char         *start;        /* of the BEGIN line */
    u_char         *body;
    u_char         *end;          /* the END line */
} fuzz_block_t;


typedef struct {
    unsigned int    random;
    ngx_uint_t      target;       /* elements up to the one to be changed */
    ngx_uint_t      depth;
} fuzz_mutation_t;


static ngx_uint_t fuzz_blocks(fuzz_block_t *blocks, u_char *data,
    size_t size);
static size_t fuzz_block_copy(const fuzz_block_t *block, u_char *to,
    u_char *data, size_t size, size_t max);
static size_t fuzz_block_mutate(fuzz_mutation_t *m, const fuzz_block_t *block,
    u_char *data, size_t size, size_t max);
static size_t fuzz_decode(u_char *dst, const u_char *p, const u_char *end);
static size_t fuzz_encode(u_char *dst, const u_char *der, size_t len,
    const char *eol);
static size_t fuzz_elements(fuzz_mutation_t *m, u_char *dst, const u_char *p,
    size_t len);
static size_t fuzz_element(fuzz_mutation_t *m, u_char *dst, u_char tag,
    const u_char *body, size_t len);
static size_t fuzz_header(u_char *dst, u_char tag, size_t len);
static size_t fuzz_length(const u_char *p, size_t size, size_t *len);


size_t
LLVMFuzzerCustomMutator(u_char *data, size_t size, size_t max,
    unsigned int seed)
{
    size_t            n;
    ngx_uint_t        nblocks;
    fuzz_block_t      blocks[FUZZ_BLOCKS], *block;
    fuzz_mutation_t   m;

    nblocks = (seed & 1 && size <= FUZZ_MAX) ? fuzz_blocks(blocks, data, size)
                                             : 0;
    n = 0;

    if (nblocks) {
        m.random = seed >> 1;
        block = &blocks[m.random % nblocks];

        if (m.random % 16 == 0) {
            n = fuzz_block_copy(block, blocks[m.random / 16 % nblocks].start,
                                data, size, max);

        } else {
            n = fuzz_block_mutate(&m, block, data, size, max);
        }
    }

    return n ? n : LLVMFuzzerMutate(data, size, max);
}


static ngx_uint_t
fuzz_blocks(fuzz_block_t *blocks, u_char *data, size_t size)
{
    u_char      *p, *last;
    ngx_uint_t   n;

    p = data;
    last = data + size;

    for (n = 0; n < FUZZ_BLOCKS; n++) {
        p = memmem(p, last - p, "-----BEGIN ", 11);
        if (p == NULL) {
            break;
        }

        blocks[n].start = p;

        p = memmem(p + 11, last - p - 11, "-----", 5);
        if (p == NULL) {
            break;
        }

        blocks[n].body = p + 5;

        p = memmem(p + 5, last - p - 5, "-----END ", 9);
        if (p == NULL) {
            break;
        }

        blocks[n].end = p;
    }

    return n;
}


/* Returns 0 if there is no room. */

static size_t
fuzz_block_copy(const fuzz_block_t *block, u_char *to, u_char *data,
    size_t size, size_t max)
{
    size_t   n;
    u_char  *p, *last;

    static u_char  copy[FUZZ_MAX];

    last = data + size;

    p = memmem(block->end + 9, last - block->end - 9, "-----", 5);
    if (p == NULL) {
        return 0;
    }

    n = p + 5 - block->start;

    if (size + n > max) {
        return 0;
    }

    memcpy(copy, block->start, n);
    memmove(to + n, to, last - to);
    memcpy(to, copy, n);

    return size + n;
}


static size_t
fuzz_block_mutate(fuzz_mutation_t *m, const fuzz_block_t *block, u_char *data,
    size_t size, size_t max)
{
    size_t       len, n, before, after;
    const char  *eol;

    static u_char  der[FUZZ_MAX], changed[2 * FUZZ_MAX + 16 * FUZZ_GROWTH];
    static u_char  text[4 * FUZZ_MAX];

    len = fuzz_decode(der, block->body, block->end);

    m->depth = 0;
    m->target = FUZZ_MAX;
    (void) fuzz_elements(m, changed, der, len);

    n = FUZZ_MAX - m->target;
    if (n == 0) {
        return 0;
    }

    m->target = m->random / 16 % n + 1;
    len = fuzz_elements(m, changed, der, len);

    eol = memchr(block->body, '\\', block->end - block->body) ? "\\n" : "\n";
    n = fuzz_encode(text, changed, ngx_min(len, FUZZ_MAX), eol);

    before = block->body - data;
    after = data + size - block->end;

    if (before + n + after > max) {
        return 0;
    }

    memmove(block->body + n, block->end, after);
    memcpy(block->body, text, n);

    return before + n + after;
}


static size_t
fuzz_decode(u_char *dst, const u_char *p, const u_char *end)
{
    size_t      n;
    uint32_t    bits;
    ngx_uint_t  digits;
    const char *digit;

    static const char  alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    n = 0;
    bits = 0;
    digits = 0;

    for ( /* void */ ; p < end; p++) {

        if (*p == '\\' && p + 1 < end) {
            p++;
            continue;
        }

        digit = *p ? strchr(alphabet, *p) : NULL;
        if (digit == NULL) {
            continue;
        }

        bits = bits << 6 | (uint32_t) (digit - alphabet);
        digits++;

        if (digits % 4 != 1) {
            dst[n++] = (u_char) (bits >> (6 - 2 * ((digits - 1) % 4)));
        }
    }

    return n;
}


static size_t
fuzz_encode(u_char *dst, const u_char *der, size_t len, const char *eol)
{
    size_t   n, line;
    u_char  *p;

    p = ngx_cpymem(dst, eol, strlen(eol));

    for (n = 0; n < len; n += line) {
        line = ngx_min(len - n, 48);
        p += EVP_EncodeBlock(p, der + n, (int) line);
        p = ngx_cpymem(p, eol, strlen(eol));
    }

    return p - dst;
}


/* Copies what is left of a level; what is no DER as it is. */

static size_t
fuzz_elements(fuzz_mutation_t *m, u_char *dst, const u_char *p, size_t len)
{
    size_t         n, header, body;
    const u_char  *last;

    n = 0;
    last = p + len;

    while (p < last) {
        header = fuzz_length(p, last - p, &body);

        if (header == 0) {
            memcpy(dst + n, p, last - p);
            return n + (last - p);
        }

        n += fuzz_element(m, dst + n, *p, p + header, body);
        p += header + body;
    }

    return n;
}


static size_t
fuzz_element(fuzz_mutation_t *m, u_char *dst, u_char tag, const u_char *body,
    size_t len)
{
    size_t   n, skip;
    u_char  *inner;

    m->target--;
    inner = dst + 6;

    if (m->target == 0) {

        memcpy(inner, body, len);
        n = len;

        switch (m->random % 8) {

        case 0:     /* drop it */
            return 0;

        case 1:     /* double it */
            n = fuzz_header(dst, tag, len);
            memcpy(dst + n, body, len);
            n += len;
            memmove(dst + n, dst, n);
            return 2 * n;

        case 2:
            tag ^= 1 << (m->random / 8 % 8);
            break;

        default:
            n = LLVMFuzzerMutate(inner, len, len + FUZZ_GROWTH);
        }

    } else {

        /* extensions and private keys are DER in strings */

        skip = (tag == 0x03 && len > 1) ? 1 : 0;

        if (m->depth < FUZZ_DEPTH
            && (tag & 0x20
                || ((tag == 0x03 || tag == 0x04) && len > 2
                    && body[skip] == 0x30)))
        {
            m->depth++;
            memcpy(inner, body, skip);
            n = skip + fuzz_elements(m, inner + skip, body + skip,
                                     len - skip);
            m->depth--;

        } else {
            memcpy(inner, body, len);
            n = len;
        }
    }

    skip = fuzz_header(dst, tag, n);
    memmove(dst + skip, inner, n);

    return skip + n;
}


static size_t
fuzz_header(u_char *dst, u_char tag, size_t len)
{
    size_t  n;

    n = 0;
    dst[n++] = tag;

    if (len > 0xffff) {
        dst[n++] = 0x83;
        dst[n++] = (u_char) (len >> 16);
        dst[n++] = (u_char) (len >> 8);

    } else if (len > 0xff) {
        dst[n++] = 0x82;
        dst[n++] = (u_char) (len >> 8);

    } else if (len > 0x7f) {
        dst[n++] = 0x81;
    }

    dst[n++] = (u_char) len;

    return n;
}


/* Returns the length of the header, or 0. */

static size_t
fuzz_length(const u_char *p, size_t size, size_t *len)
{
    size_t  i, n;

    if (size < 2) {
        return 0;
    }

    *len = p[1];
    n = 2;

    if (p[1] > 0x80 && p[1] <= 0x83) {
        n += p[1] & 0x7f;

        if (size < n) {
            return 0;
        }

        for (*len = 0, i = 2; i < n; i++) {
            *len = *len << 8 | p[i];
        }

    } else if (p[1] >= 0x80) {
        return 0;
    }

    return *len <= size - n ? n : 0;
}
