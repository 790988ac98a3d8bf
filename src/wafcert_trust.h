
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_TRUST_H_INCLUDED_
#define _WAFCERT_TRUST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_chain.h"


/*
 * Reads certificates that are trusted, from PEM with any text around its
 * blocks: wafcert_policy_t.trust.  Those that are not self-signed are no roots,
 * but intermediates that clients have, as for "openssl verify -CAfile".
 *
 * NGX_OK: "trust" must be freed, and by then no validator may be at work with
 * it.  NGX_DECLINED: the verdict's message names the block and what is wrong.
 * NGX_ERROR: no memory.
 */
ngx_int_t wafcert_trust_create(wafcert_trust_t **trust, const ngx_str_t *text,
    wafcert_verdict_t *verdict);
void wafcert_trust_free(wafcert_trust_t *trust);


/*
 * Private to wafcert_*.c: finds, for chain->anchors, which of the certificates
 * were issued by a trusted one.  NGX_AGAIN: as wafcert_chain_verify().
 */
ngx_int_t wafcert_trust_anchors(wafcert_validator_t *validator,
    const wafcert_trust_t *trust, wafcert_chain_t *chain, int64_t now);

/*
 * The same: whether OpenSSL, as a client that trusts nothing else, accepts for
 * a server what is kept, but for the dates of the leaf.  NGX_DECLINED:
 * "verdict" tells why not.  NGX_AGAIN as above, NGX_ERROR: no memory.
 */
ngx_int_t wafcert_trust_judge(wafcert_validator_t *validator,
    const wafcert_trust_t *trust, const wafcert_chain_t *chain, int64_t now,
    wafcert_verdict_t *verdict);


#endif /* _WAFCERT_TRUST_H_INCLUDED_ */
