
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_CHAIN_H_INCLUDED_
#define _WAFCERT_CHAIN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_cert.h"
#include "wafcert_x509.h"


/*
 * Private to wafcert_*.c: what certificates were sent, and which of them
 * are kept in what order.
 */


typedef enum {
    WAFCERT_SENT_FREE = 0,            /* has no place (yet) */
    WAFCERT_SENT_KEPT,
    WAFCERT_SENT_DUPLICATE,
    WAFCERT_SENT_ROOT
} wafcert_sent_e;


typedef struct {
    wafcert_x509_t      *cert;
    ngx_uint_t           block;       /* from 1 */
    wafcert_sent_e       state;
    ngx_uint_t           twin;        /* the block that a duplicate repeats */
} wafcert_sent_t;


typedef struct {
    ngx_uint_t           nsent;
    wafcert_sent_t       sent[WAFCERT_CHAIN_MAX];

    ngx_uint_t           nkept;
    wafcert_sent_t      *kept[WAFCERT_CHAIN_MAX];   /* leaf first */
    uint32_t             warnings;
} wafcert_chain_t;


/* Keeps all as it was sent. */
void wafcert_chain_keep(wafcert_chain_t *chain);

/* Keeps what leads from the leaf to its root, in this order. */
void wafcert_chain_order(wafcert_validator_t *validator,
    wafcert_chain_t *chain, wafcert_sent_t *leaf, int64_t now);

/*
 * wafcert_probe.c: refuses what OpenSSL would not load for a handshake, and
 * finds facts->handicap.
 */
ngx_int_t wafcert_probe(wafcert_validator_t *validator,
    wafcert_chain_t *chain, const wafcert_private_t *private,
    wafcert_bundle_t *bundle, wafcert_verdict_t *verdict);

/* Refuses what wafcert_chain_order() had to mend or has found missing. */
ngx_int_t wafcert_chain_judge(const wafcert_chain_t *chain,
    wafcert_verdict_t *verdict);


#endif /* _WAFCERT_CHAIN_H_INCLUDED_ */
