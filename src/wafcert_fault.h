
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_FAULT_H_INCLUDED_
#define _WAFCERT_FAULT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_x509.h"


/*
 * Private to wafcert_*.c: what clients have against a certificate, beside its
 * signature and its dates.  Two are asked, OpenSSL 3.0 and Go's crypto/x509:
 * what neither can use for a server is refused, what only one of them accepts
 * is a warning.
 */


/*
 * Of a leaf.  NGX_DECLINED: "verdict" tells why nobody accepts it.  NGX_OK:
 * "warnings" has what some have against it.
 */
ngx_int_t wafcert_fault_leaf(wafcert_validator_t *validator,
    wafcert_x509_t *cert, ngx_uint_t block, uint64_t *warnings,
    wafcert_verdict_t *verdict);

/* Of an issuer by itself, as warnings. */
uint64_t wafcert_fault_issuer(wafcert_validator_t *validator,
    wafcert_x509_t *cert);

/*
 * Whether the issuer's name constraints forbid the certificate: RFC 5280,
 * 4.2.1.10.  "leaf" tells that its common name may be a host.
 */
ngx_uint_t wafcert_fault_constrained(wafcert_validator_t *validator,
    wafcert_x509_t *cert, wafcert_x509_t *issuer, ngx_uint_t leaf);

/*
 * Says which extension it is that one of the warnings of critical and malformed
 * extensions is about, of a leaf or an issuer.
 */
void wafcert_fault_which(wafcert_x509_t *cert, wafcert_warning_e warning,
    char *buf, size_t size);

/* Whether the certificate names another serial number, or issuer, of it. */
ngx_uint_t wafcert_fault_authority(wafcert_validator_t *validator,
    wafcert_x509_t *cert, wafcert_x509_t *issuer);


#endif /* _WAFCERT_FAULT_H_INCLUDED_ */
