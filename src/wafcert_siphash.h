
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_SIPHASH_H_INCLUDED_
#define _WAFCERT_SIPHASH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * SipHash-2-4, for tables in which clients choose the place: who does not know
 * the key, finds no two names that have one.
 */


#define WAFCERT_SIPHASH_KEY_LEN  16


/* A key that nobody knows.  NGX_ERROR: OpenSSL has no randomness. */
ngx_int_t wafcert_siphash_key(u_char *key);

uint64_t wafcert_siphash(const u_char *key, const u_char *data, size_t len);


#endif /* _WAFCERT_SIPHASH_H_INCLUDED_ */
