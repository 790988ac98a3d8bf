
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <malloc.h>

#include <openssl/crypto.h>
#include <zlib.h>

#include "wafcert_gunzip.h"


#define WAFCERT_GUNZIP_MIN  4096


static ngx_int_t wafcert_gunzip_inflate(z_stream *z, ngx_str_t *out,
    size_t max);
static ngx_int_t wafcert_gunzip_grow(z_stream *z, ngx_str_t *out, size_t max);
static void *wafcert_gunzip_alloc(void *opaque, unsigned items,
    unsigned size);
static void wafcert_gunzip_release(void *opaque, void *p);


ngx_int_t
wafcert_gunzip(ngx_str_t *out, const ngx_str_t *in, size_t max)
{
    ngx_int_t  rc;
    z_stream   z;

    ngx_str_null(out);
    ngx_memzero(&z, sizeof(z_stream));

    z.zalloc = wafcert_gunzip_alloc;
    z.zfree = wafcert_gunzip_release;
    z.next_in = in->data;
    z.avail_in = (unsigned) in->len;

    /* a window of any size, and the header of gzip */

    if (inflateInit2(&z, MAX_WBITS + 16) != Z_OK) {
        return NGX_ERROR;
    }

    rc = wafcert_gunzip_inflate(&z, out, max);

    (void) inflateEnd(&z);

    if (rc != NGX_OK) {
        wafcert_gunzip_free(out);
    }

    return rc;
}


void
wafcert_gunzip_free(ngx_str_t *out)
{
    wafcert_gunzip_release(NULL, out->data);
    ngx_str_null(out);
}


static ngx_int_t
wafcert_gunzip_inflate(z_stream *z, ngx_str_t *out, size_t max)
{
    int        zrc;
    ngx_int_t  rc;

    do {
        rc = wafcert_gunzip_grow(z, out, max);
        if (rc != NGX_OK) {
            return rc;
        }

        zrc = inflate(z, Z_NO_FLUSH);

        if (zrc == Z_MEM_ERROR) {
            return NGX_ERROR;
        }

    } while (zrc == Z_OK && z->avail_out == 0);

    out->len = z->next_out - out->data;

    return (zrc == Z_STREAM_END && z->avail_in == 0 && out->len <= max)
           ? NGX_OK : NGX_DECLINED;
}


/* a byte more than "max" tells whether it is larger */

static ngx_int_t
wafcert_gunzip_grow(z_stream *z, ngx_str_t *out, size_t max)
{
    size_t   size;
    u_char  *p;

    if (out->len > max) {
        return NGX_DECLINED;
    }

    size = ngx_min(ngx_max(2 * out->len, WAFCERT_GUNZIP_MIN), max + 1);

    p = malloc(size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (out->len) {
        ngx_memcpy(p, out->data, out->len);
        wafcert_gunzip_release(NULL, out->data);
    }

    z->next_out = p + out->len;
    z->avail_out = (unsigned) (size - out->len);

    out->data = p;
    out->len = size;

    return NGX_OK;
}


static void *
wafcert_gunzip_alloc(void *opaque, unsigned items, unsigned size)
{
    return calloc(items, size);
}


static void
wafcert_gunzip_release(void *opaque, void *p)
{
    if (p) {
        OPENSSL_cleanse(p, malloc_usable_size(p));
        free(p);
    }
}
