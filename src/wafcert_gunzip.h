
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_GUNZIP_H_INCLUDED_
#define _WAFCERT_GUNZIP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * One gzip member, of "max" bytes at most when it is uncompressed.
 *
 * NGX_OK: "out" must be freed, which cleanses it, as zlib's own memory has
 * been.  NGX_DECLINED: it is damaged, or too large.  NGX_ERROR: no memory.
 */
ngx_int_t wafcert_gunzip(ngx_str_t *out, const ngx_str_t *in, size_t max);
void wafcert_gunzip_free(ngx_str_t *out);


#endif /* _WAFCERT_GUNZIP_H_INCLUDED_ */
