
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_blob.h"


#define NGX_WAFCERT_CHUNK_MIN    64
#define NGX_WAFCERT_CHUNK_SPARE  48     /* less is not worth a chunk */


static size_t ngx_wafcert_chunk_size(size_t contiguous, size_t need);
static void *ngx_wafcert_cursor_run(ngx_wafcert_cursor_t *cursor,
    size_t *len);


void *
ngx_wafcert_blob_alloc_locked(ngx_slab_pool_t *shpool, size_t contiguous,
    size_t size)
{
    size_t                chunk;
    ngx_wafcert_blob_t   *blob, *b, **last;

    blob = NULL;
    last = &blob;

    for ( ;; ) {

        chunk = ngx_wafcert_chunk_size(contiguous, size);

        b = ngx_slab_alloc_locked(shpool, chunk);
        if (b == NULL) {
            ngx_wafcert_blob_free_locked(shpool, blob);
            return NULL;
        }

        b->next = NULL;
        b->size = chunk;

        *last = b;
        last = &b->next;

        if (size <= chunk) {
            return blob;
        }

        size = size - chunk + sizeof(ngx_wafcert_blob_t);
        contiguous = 0;
    }
}


static size_t
ngx_wafcert_chunk_size(size_t contiguous, size_t need)
{
    size_t  size;

    size = NGX_WAFCERT_CHUNK_MIN;

    while (size < need && size < ngx_pagesize) {
        size *= 2;
    }

    while (size - ngx_min(size, need) > NGX_WAFCERT_CHUNK_SPARE
           && size / 2 >= ngx_max(contiguous, NGX_WAFCERT_CHUNK_MIN))
    {
        size /= 2;
    }

    return size;
}


void
ngx_wafcert_blob_free_locked(ngx_slab_pool_t *shpool, void *blob)
{
    ngx_wafcert_blob_t  *b, *next;

    for (b = blob; b; b = next) {
        next = b->next;

        ngx_explicit_memzero(b, b->size);
        ngx_slab_free_locked(shpool, b);
    }
}


void
ngx_wafcert_cursor(ngx_wafcert_cursor_t *cursor, void *blob, size_t offset)
{
    cursor->chunk = blob;
    cursor->pos = (u_char *) blob + offset;
}


void
ngx_wafcert_put(ngx_wafcert_cursor_t *cursor, const void *data, size_t len)
{
    size_t         n;
    void          *dst;
    const u_char  *src;

    for (src = data; len; src += n, len -= n) {
        n = len;
        dst = ngx_wafcert_cursor_run(cursor, &n);
        ngx_memcpy(dst, src, n);
    }
}


u_char *
ngx_wafcert_take(ngx_wafcert_cursor_t *cursor, u_char *dst, size_t len)
{
    size_t   n;
    u_char  *src;

    for ( /* void */ ; len; dst += n, len -= n) {
        n = len;
        src = ngx_wafcert_cursor_run(cursor, &n);
        ngx_memcpy(dst, src, n);
    }

    return dst;
}


/* the next bytes that lie in one piece, at most "len" of them */

static void *
ngx_wafcert_cursor_run(ngx_wafcert_cursor_t *cursor, size_t *len)
{
    u_char  *p, *end;

    end = (u_char *) cursor->chunk + cursor->chunk->size;

    if (cursor->pos == end) {
        cursor->chunk = cursor->chunk->next;
        cursor->pos = (u_char *) cursor->chunk + sizeof(ngx_wafcert_blob_t);
        end = (u_char *) cursor->chunk + cursor->chunk->size;
    }

    p = cursor->pos;
    *len = ngx_min(*len, (size_t) (end - p));
    cursor->pos += *len;

    return p;
}
