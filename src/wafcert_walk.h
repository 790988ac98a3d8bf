
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_WALK_H_INCLUDED_
#define _WAFCERT_WALK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_x509.h"


/*
 * Private to wafcert_*.c: reads a certificate whose fields and public key
 * have been found without OpenSSL, which takes 15 us for it.  OpenSSL accepts
 * all that is accepted here, and sees the same in it.
 *
 * NGX_DECLINED: this one is to be left to OpenSSL, whatever is wrong with it.
 */
ngx_int_t wafcert_walk(wafcert_x509_t *cert);


#endif /* _WAFCERT_WALK_H_INCLUDED_ */
