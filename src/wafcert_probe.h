
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_PROBE_H_INCLUDED_
#define _WAFCERT_PROBE_H_INCLUDED_


/*
 * What a handshake sends, as OpenSSL loads it: for wafcert_*.c and
 * ngx_http_wafcert_tls*.c, which alone know OpenSSL's types.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include "wafcert_cert.h"


/*
 * Whether OpenSSL may decode a certificate that is stored: reading it does not
 * build a curve whose parameters are spelt out, which may take very long.
 * NGX_DECLINED: an earlier version has accepted it, and it is not to be used;
 * why is in OpenSSL's queue of errors.
 */
ngx_int_t wafcert_probe_curve(const ngx_str_t *der);

/*
 * An issuer as it is sent, for the caller to free.  Of one with such a curve,
 * which nobody here has any use for, the public key is not decoded.
 */
X509 *wafcert_probe_issuer(wafcert_validator_t *validator,
    const ngx_str_t *der);

/*
 * The key of a pair that was accepted, for the caller to free.  NULL: OpenSSL
 * refuses it, or has no memory.
 */
EVP_PKEY *wafcert_probe_key(const wafcert_key_t *key, const X509 *leaf);

/*
 * Whether OpenSSL lets a server use the leaf in TLS 1.3 only: the key is for
 * ECDSA, and keyUsage, or an extension that cannot be read, forbids signatures.
 */
ngx_uint_t wafcert_probe_handicap(X509 *leaf, wafcert_type_e type);


#endif /* _WAFCERT_PROBE_H_INCLUDED_ */
