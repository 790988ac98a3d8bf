
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _NGX_WAFCERT_BLOB_H_INCLUDED_
#define _NGX_WAFCERT_BLOB_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Bytes in a slab pool, as a chain of chunks.
 *
 * The slab gives a power of two up to half a page, and whole pages above.
 * A certificate of 2.1k would take 4k; as chunks of 2k and 128 bytes it
 * takes what it needs, and since no chunk is larger than a page, a pool
 * whose pages are scattered can still be filled to the last one.
 *
 * The owner's structure starts with a ngx_wafcert_blob_t and lies in the
 * first chunk, where "contiguous" bytes of it are promised in one piece.
 */

typedef struct {
    uintptr_t            link;          /* the next chunk | log2(size) */
} ngx_wafcert_blob_t;


/* A place in a blob, for writing and reading it from front to back. */

typedef struct {
    ngx_wafcert_blob_t  *chunk;
    u_char              *pos;
} ngx_wafcert_cursor_t;


/*
 * The pool's mutex is held in all of these.  "size" counts from the owner's
 * first byte.  Returns NULL, and nothing allocated, where there is no room.
 */
void *ngx_wafcert_blob_alloc_locked(ngx_slab_pool_t *shpool,
    size_t contiguous, size_t size);

/*
 * The same, with another blob, or NULL, behind it: they are freed as one.
 * Where there is no room, that one is freed.
 */
void *ngx_wafcert_blob_join_locked(ngx_slab_pool_t *shpool, void *blob,
    size_t contiguous, size_t size);

/* What it takes of the pool; and what "size" bytes of any kind would. */
size_t ngx_wafcert_blob_size(void *blob);
size_t ngx_wafcert_slab_size(size_t size);

/* Wipes every byte before the pool gets it back. */
void ngx_wafcert_blob_free_locked(ngx_slab_pool_t *shpool, void *blob);

/* Keeps the first "size" bytes, in the first chunk; the rest as above. */
void ngx_wafcert_blob_cut_locked(ngx_slab_pool_t *shpool, void *blob,
    size_t size);

/* Starts "offset" bytes after the owner's first, within the first chunk. */
void ngx_wafcert_cursor(ngx_wafcert_cursor_t *cursor, void *blob,
    size_t offset);
void ngx_wafcert_put(ngx_wafcert_cursor_t *cursor, const void *data,
    size_t len);
u_char *ngx_wafcert_take(ngx_wafcert_cursor_t *cursor, u_char *dst,
    size_t len);
void ngx_wafcert_skip(ngx_wafcert_cursor_t *cursor, size_t len);
ngx_uint_t ngx_wafcert_equal(ngx_wafcert_cursor_t *cursor, const void *data,
    size_t len);


#endif /* _NGX_WAFCERT_BLOB_H_INCLUDED_ */
