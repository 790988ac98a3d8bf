
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_blob.h"


/*
 * The slab aligns a chunk to its size, so the address of the smallest leaves
 * five bits for the size of this one, which is a power of two.
 */

#define NGX_WAFCERT_CHUNK_MIN    32
#define NGX_WAFCERT_CHUNK_SPARE  32     /* less is not worth a chunk */

#define ngx_wafcert_chunk_next(blob)                                          \
    ((ngx_wafcert_blob_t *) ((blob)->link & ~(uintptr_t) 31))

#define ngx_wafcert_chunk_size(blob)  ((size_t) 1 << ((blob)->link & 31))


static ngx_uint_t ngx_wafcert_chunk_shift(size_t contiguous, size_t need);
static void *ngx_wafcert_cursor_run(ngx_wafcert_cursor_t *cursor,
    size_t *len);


void *
ngx_wafcert_blob_alloc_locked(ngx_slab_pool_t *shpool, size_t contiguous,
    size_t size)
{
    size_t               chunk;
    ngx_uint_t           shift;
    ngx_wafcert_blob_t  *blob, *last, *b;

    blob = NULL;
    last = NULL;

    for ( ;; ) {

        shift = ngx_wafcert_chunk_shift(contiguous, size);
        chunk = (size_t) 1 << shift;

        b = ngx_slab_alloc_locked(shpool, chunk);
        if (b == NULL) {
            ngx_wafcert_blob_free_locked(shpool, blob);
            return NULL;
        }

        b->link = shift;

        if (last) {
            last->link |= (uintptr_t) b;

        } else {
            blob = b;
        }

        if (size <= chunk) {
            return blob;
        }

        last = b;
        size = size - chunk + sizeof(ngx_wafcert_blob_t);
        contiguous = 0;
    }
}


void *
ngx_wafcert_blob_join_locked(ngx_slab_pool_t *shpool, void *blob,
    size_t contiguous, size_t size)
{
    ngx_wafcert_blob_t  *first, *b;

    first = ngx_wafcert_blob_alloc_locked(shpool, contiguous, size);

    if (first == NULL) {
        ngx_wafcert_blob_free_locked(shpool, blob);
        return NULL;
    }

    for (b = first; ngx_wafcert_chunk_next(b); b = ngx_wafcert_chunk_next(b)) {
        /* void */
    }

    b->link |= (uintptr_t) blob;

    return first;
}


static ngx_uint_t
ngx_wafcert_chunk_shift(size_t contiguous, size_t need)
{
    size_t      size;
    ngx_uint_t  shift;

    size = NGX_WAFCERT_CHUNK_MIN;

    while (size < need && size < ngx_pagesize) {
        size *= 2;
    }

    while (size > need + NGX_WAFCERT_CHUNK_SPARE
           && size / 2 >= ngx_max(contiguous, NGX_WAFCERT_CHUNK_MIN))
    {
        size /= 2;
    }

    for (shift = 0; (size_t) 1 << shift < size; shift++) { /* void */ }

    return shift;
}


size_t
ngx_wafcert_blob_size(void *blob)
{
    size_t               size;
    ngx_wafcert_blob_t  *b;

    size = 0;

    for (b = blob; b; b = ngx_wafcert_chunk_next(b)) {
        size += ngx_wafcert_chunk_size(b);
    }

    return size;
}


/* a power of two up to half a page, and whole pages above */

size_t
ngx_wafcert_slab_size(size_t size)
{
    size_t  chunk;

    if (size > ngx_pagesize / 2) {
        return ngx_align(size, ngx_pagesize);
    }

    for (chunk = 8; chunk < size; chunk *= 2) { /* void */ }

    return chunk;
}


void
ngx_wafcert_blob_free_locked(ngx_slab_pool_t *shpool, void *blob)
{
    ngx_wafcert_blob_t  *b, *next;

    for (b = blob; b; b = next) {
        next = ngx_wafcert_chunk_next(b);

        ngx_explicit_memzero(b, ngx_wafcert_chunk_size(b));
        ngx_slab_free_locked(shpool, b);
    }
}


void
ngx_wafcert_blob_cut_locked(ngx_slab_pool_t *shpool, void *blob, size_t size)
{
    ngx_wafcert_blob_t  *b, *next;

    b = blob;
    next = ngx_wafcert_chunk_next(b);

    ngx_explicit_memzero((u_char *) blob + size,
                         ngx_wafcert_chunk_size(b) - size);
    b->link &= 31;

    ngx_wafcert_blob_free_locked(shpool, next);
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


void
ngx_wafcert_skip(ngx_wafcert_cursor_t *cursor, size_t len)
{
    size_t  n;

    for ( /* void */ ; len; len -= n) {
        n = len;
        (void) ngx_wafcert_cursor_run(cursor, &n);
    }
}


ngx_uint_t
ngx_wafcert_equal(ngx_wafcert_cursor_t *cursor, const void *data, size_t len)
{
    size_t         n;
    u_char        *p;
    const u_char  *src;

    for (src = data; len; src += n, len -= n) {
        n = len;
        p = ngx_wafcert_cursor_run(cursor, &n);

        if (ngx_memcmp(p, src, n) != 0) {
            return 0;
        }
    }

    return 1;
}


/* the next bytes that lie in one piece, at most "len" of them */

static void *
ngx_wafcert_cursor_run(ngx_wafcert_cursor_t *cursor, size_t *len)
{
    u_char  *p, *end;

    end = (u_char *) cursor->chunk + ngx_wafcert_chunk_size(cursor->chunk);

    if (cursor->pos == end) {
        cursor->chunk = ngx_wafcert_chunk_next(cursor->chunk);
        cursor->pos = (u_char *) cursor->chunk + sizeof(ngx_wafcert_blob_t);
        end = (u_char *) cursor->chunk + ngx_wafcert_chunk_size(cursor->chunk);
    }

    p = cursor->pos;
    *len = ngx_min(*len, (size_t) (end - p));
    cursor->pos += *len;

    return p;
}
