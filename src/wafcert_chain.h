
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
    WAFCERT_SENT_REACHED,             /* some path from the leaf has it */
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


/* Whether one was issued by another one. */

typedef enum {
    WAFCERT_ISSUED_UNKNOWN = 0,       /* it has another name, or not yet */
    WAFCERT_ISSUED_NOT,               /* its key did not sign */
    WAFCERT_ISSUED_MAYBE,             /* the signature is dear, or unknown */
    WAFCERT_ISSUED_PROVED
} wafcert_issued_e;


typedef struct {
    ngx_uint_t           nsent;
    wafcert_sent_t       sent[WAFCERT_CHAIN_MAX];
    u_char               issued[WAFCERT_CHAIN_MAX][WAFCERT_CHAIN_MAX];

    /* the trusted one that has issued one, or is the same, or NULL */
    wafcert_x509_t      *anchors[WAFCERT_CHAIN_MAX];

    /* one that may have, if its signatures could be verified here */
    wafcert_x509_t      *unsure[WAFCERT_CHAIN_MAX];

    /* whether name constraints forbid one: 1 + that, or 0: not yet known */
    u_char               constrained[WAFCERT_CHAIN_MAX][WAFCERT_CHAIN_MAX];

    ngx_uint_t           nkept;
    wafcert_sent_t      *kept[WAFCERT_CHAIN_MAX];   /* leaf first */
    uint64_t             warnings;
    ngx_uint_t           fault;       /* what of "kept" they are about, or 0 */

    ngx_uint_t           npath;       /* from the leaf to that, or 0 */
    wafcert_sent_t      *path[WAFCERT_CHAIN_MAX];
    wafcert_sent_t      *unreadable;  /* what is kept and Go cannot read */
} wafcert_chain_t;


/* Keeps all as it was sent, unseen. */
void wafcert_chain_keep(wafcert_chain_t *chain);

/*
 * Finds who has issued whom.  NGX_AGAIN: there is more to verify than one
 * turn of the event loop has time for.
 */
ngx_int_t wafcert_chain_verify(wafcert_validator_t *validator,
    wafcert_chain_t *chain, const wafcert_sent_t *leaf);

/*
 * Keeps, if it is to repair, the leaf, then the path that OpenSSL would take,
 * then what other paths have; a root that was sent is left out.  Of several
 * certificates of an issuer, the first as sent is the first, unless it has a
 * fault of its own that OpenSSL minds.  What is told are the faults of the path
 * with fewest.
 */
void wafcert_chain_order(wafcert_validator_t *validator,
    wafcert_chain_t *chain, wafcert_sent_t *leaf, int64_t now,
    ngx_uint_t repair);

/*
 * Whether OpenSSL takes it for a root, and looks no further, because it is
 * self-issued and names no other key, though another key has signed it.
 */
ngx_uint_t wafcert_chain_seems_root(const wafcert_chain_t *chain,
    const wafcert_sent_t *sent);

/* Refuses what was changed after it was signed: RFC 5280, 6.1.3 (a)(1). */
ngx_int_t wafcert_chain_judge(const wafcert_chain_t *chain,
    wafcert_verdict_t *verdict);

/* Refuses what wafcert_chain_order() had to mend or has found missing. */
ngx_int_t wafcert_chain_strict(const wafcert_chain_t *chain,
    wafcert_verdict_t *verdict);

/*
 * wafcert_probe.c: refuses what OpenSSL would not load for a handshake, and
 * finds facts->handicap.
 */
ngx_int_t wafcert_probe(wafcert_validator_t *validator,
    wafcert_chain_t *chain, const wafcert_private_t *private,
    wafcert_bundle_t *bundle, wafcert_verdict_t *verdict);


#endif /* _WAFCERT_CHAIN_H_INCLUDED_ */
