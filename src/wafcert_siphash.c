
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/rand.h>
#include "wafcert_siphash.h"


#define wafcert_rotate(x, n)  (((x) << (n)) | ((x) >> (64 - (n))))


static void wafcert_siphash_rounds(uint64_t *v, ngx_uint_t n);
static uint64_t wafcert_siphash_word(const u_char *p, size_t len);


ngx_int_t
wafcert_siphash_key(u_char *key)
{
    return RAND_bytes(key, WAFCERT_SIPHASH_KEY_LEN) == 1 ? NGX_OK : NGX_ERROR;
}


uint64_t
wafcert_siphash(const u_char *key, const u_char *data, size_t len)
{
    size_t    rest;
    uint64_t  k0, k1, word, v[4];

    k0 = wafcert_siphash_word(key, 8);
    k1 = wafcert_siphash_word(key + 8, 8);

    v[0] = k0 ^ 0x736f6d6570736575;
    v[1] = k1 ^ 0x646f72616e646f6d;
    v[2] = k0 ^ 0x6c7967656e657261;
    v[3] = k1 ^ 0x7465646279746573;

    for (rest = len; rest >= 8; rest -= 8, data += 8) {
        word = wafcert_siphash_word(data, 8);

        v[3] ^= word;
        wafcert_siphash_rounds(v, 2);
        v[0] ^= word;
    }

    word = wafcert_siphash_word(data, rest) | (uint64_t) len << 56;

    v[3] ^= word;
    wafcert_siphash_rounds(v, 2);
    v[0] ^= word;

    v[2] ^= 0xff;
    wafcert_siphash_rounds(v, 4);

    return v[0] ^ v[1] ^ v[2] ^ v[3];
}


static void
wafcert_siphash_rounds(uint64_t *v, ngx_uint_t n)
{
    while (n--) {
        v[0] += v[1];
        v[1] = wafcert_rotate(v[1], 13) ^ v[0];
        v[0] = wafcert_rotate(v[0], 32);

        v[2] += v[3];
        v[3] = wafcert_rotate(v[3], 16) ^ v[2];

        v[0] += v[3];
        v[3] = wafcert_rotate(v[3], 21) ^ v[0];

        v[2] += v[1];
        v[1] = wafcert_rotate(v[1], 17) ^ v[2];
        v[2] = wafcert_rotate(v[2], 32);
    }
}


/* little-endian */

static uint64_t
wafcert_siphash_word(const u_char *p, size_t len)
{
    size_t    i;
    uint64_t  word;

    word = 0;

    for (i = 0; i < len; i++) {
        word |= (uint64_t) p[i] << (8 * i);
    }

    return word;
}
