
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_chain.h"


static void wafcert_chain_duplicates(wafcert_chain_t *chain);
static wafcert_sent_t *wafcert_chain_issuer(wafcert_validator_t *validator,
    wafcert_chain_t *chain, const wafcert_sent_t *sent, int64_t now);
static ngx_uint_t wafcert_chain_link(wafcert_validator_t *validator,
    wafcert_x509_t *cert, wafcert_x509_t *issuer);
static void wafcert_chain_roots(wafcert_chain_t *chain);
static void wafcert_chain_warn(wafcert_chain_t *chain);
static ngx_uint_t wafcert_chain_incomplete(const wafcert_chain_t *chain);


#define wafcert_chain_warning(warning)  ((uint32_t) 1 << (warning))


void
wafcert_chain_keep(wafcert_chain_t *chain)
{
    ngx_uint_t  i;

    for (i = 0; i < chain->nsent; i++) {
        chain->sent[i].state = WAFCERT_SENT_KEPT;
        chain->kept[i] = &chain->sent[i];
    }

    chain->nkept = chain->nsent;

    if (wafcert_chain_incomplete(chain)) {
        chain->warnings |=
                       wafcert_chain_warning(WAFCERT_WARN_CHAIN_INCOMPLETE);
    }
}


void
wafcert_chain_order(wafcert_validator_t *validator, wafcert_chain_t *chain,
    wafcert_sent_t *leaf, int64_t now)
{
    wafcert_sent_t  *last;

    wafcert_chain_duplicates(chain);

    last = leaf;

    for ( ;; ) {
        last->state = WAFCERT_SENT_KEPT;
        chain->kept[chain->nkept++] = last;

        if (last->cert->self_signed) {
            break;
        }

        last = wafcert_chain_issuer(validator, chain, last, now);

        if (last == NULL) {
            break;
        }

        if (last->cert->self_signed) {
            last->state = WAFCERT_SENT_ROOT;
            break;
        }
    }

    wafcert_chain_roots(chain);
    wafcert_chain_warn(chain);
}


ngx_int_t
wafcert_chain_judge(const wafcert_chain_t *chain, wafcert_verdict_t *verdict)
{
    ngx_uint_t             i;
    const wafcert_sent_t  *sent;

    if (wafcert_chain_incomplete(chain)) {
        (void) wafcert_refuse(verdict, WAFCERT_CHAIN_BROKEN,
                              "content lacks the certificate that issued "
                              "block %lu: %.*s",
                              (u_long) chain->kept[0]->block,
                              (int) ngx_min(chain->kept[0]->cert->issuer.len,
                                            200),
                              chain->kept[0]->cert->issuer.data);
        wafcert_hint(verdict, "append the intermediate certificate that the "
                     "CA sent along or offers for download: "
                     "cat cert.pem intermediate.pem > chain.pem");
        return NGX_DECLINED;
    }

    for (i = 0; i < chain->nsent; i++) {
        sent = &chain->sent[i];

        switch (sent->state) {

        case WAFCERT_SENT_KEPT:
            break;

        case WAFCERT_SENT_DUPLICATE:
            return wafcert_refuse(verdict, WAFCERT_CHAIN_BROKEN,
                                  "block %lu of content repeats block %lu",
                                  (u_long) sent->block, (u_long) sent->twin);

        case WAFCERT_SENT_ROOT:
            return wafcert_refuse(verdict, WAFCERT_CHAIN_BROKEN,
                                  "block %lu of content is a self-signed "
                                  "root, which clients have themselves",
                                  (u_long) sent->block);

        default:
            return wafcert_refuse(verdict, WAFCERT_CHAIN_BROKEN,
                                  "block %lu of content is not in the chain "
                                  "of the certificate in block %lu",
                                  (u_long) sent->block,
                                  (u_long) chain->kept[0]->block);
        }
    }

    for (i = 1; i < chain->nkept; i++) {

        if (chain->kept[i] < chain->kept[i - 1]) {
            return wafcert_refuse(verdict, WAFCERT_CHAIN_BROKEN,
                                  "block %lu of content was issued by block "
                                  "%lu, which must follow it",
                                  (u_long) chain->kept[i - 1]->block,
                                  (u_long) chain->kept[i]->block);
        }
    }

    return NGX_OK;
}


static void
wafcert_chain_duplicates(wafcert_chain_t *chain)
{
    ngx_uint_t       i, j;
    wafcert_sent_t  *one, *two;

    for (i = 1; i < chain->nsent; i++) {
        two = &chain->sent[i];

        for (j = 0; j < i; j++) {
            one = &chain->sent[j];

            if (ngx_memcmp(one->cert->sha256, two->cert->sha256,
                           WAFCERT_SHA256_LEN) == 0)
            {
                two->state = WAFCERT_SENT_DUPLICATE;
                two->twin = one->block;
                break;
            }
        }
    }
}


/*
 * Of several (cross-signed) issuers: one that is proved before one that is
 * likely, a valid one before an expired one, and one that reaches further
 * before a root, which would end the chain; then as sent.
 */

static wafcert_sent_t *
wafcert_chain_issuer(wafcert_validator_t *validator, wafcert_chain_t *chain,
    const wafcert_sent_t *sent, int64_t now)
{
    ngx_uint_t       i, score, best;
    wafcert_x509_t  *cert;
    wafcert_sent_t  *issuer;

    best = 0;
    issuer = NULL;

    for (i = 0; i < chain->nsent; i++) {

        if (chain->sent[i].state != WAFCERT_SENT_FREE) {
            continue;
        }

        cert = chain->sent[i].cert;

        score = wafcert_chain_link(validator, sent->cert, cert);
        if (score == 0) {
            continue;
        }

        score *= 4;

        if (cert->not_before <= now && now <= cert->not_after) {
            score += 2;
        }

        if (!cert->self_signed) {
            score += 1;
        }

        if (score > best) {
            best = score;
            issuer = &chain->sent[i];
        }
    }

    return issuer;
}


/*
 * 2: it is the issuer, 1: it may be, 0: it is not.
 *
 * Key identifiers that are there and equal are believed: CAs derive them
 * from the key, so two keys have the same one only if somebody wants it,
 * and who does that to his own chain gets one that clients refuse, and harms
 * nobody else.  A signature, 20 to 800 us, is verified only where the
 * identifiers decide nothing, or speak against a name that fits: if it holds,
 * some clients can use the chain, and to leave the issuer out would break it
 * for all.
 */

static ngx_uint_t
wafcert_chain_link(wafcert_validator_t *validator, wafcert_x509_t *cert,
    wafcert_x509_t *issuer)
{
    ngx_uint_t  identified;

    if (issuer->not_ca || !wafcert_x509_issued(cert, issuer)) {
        return 0;
    }

    identified = cert->authority_id.len && issuer->key_id.len;

    if (identified
        && cert->authority_id.len == issuer->key_id.len
        && ngx_memcmp(cert->authority_id.data, issuer->key_id.data,
                      issuer->key_id.len) == 0)
    {
        return 2;
    }

    switch (wafcert_x509_signed_by(validator, cert, issuer)) {

    case NGX_OK:
        return 2;

    case NGX_AGAIN:
        return identified ? 0 : 1;

    default:
        return 0;
    }
}


/*
 * Where a cross-signed certificate was preferred, the root of the same name
 * is left over; it is no stranger to the chain.
 */

static void
wafcert_chain_roots(wafcert_chain_t *chain)
{
    ngx_uint_t       i, n;
    wafcert_sent_t  *sent;

    for (i = 0; i < chain->nsent; i++) {
        sent = &chain->sent[i];

        if (sent->state != WAFCERT_SENT_FREE || !sent->cert->self_signed) {
            continue;
        }

        for (n = 0; n < chain->nkept; n++) {
            if (wafcert_x509_issued(chain->kept[n]->cert, sent->cert)) {
                sent->state = WAFCERT_SENT_ROOT;
                break;
            }
        }
    }
}


static void
wafcert_chain_warn(wafcert_chain_t *chain)
{
    ngx_uint_t  i, warning;

    for (i = 0; i < chain->nsent; i++) {

        switch (chain->sent[i].state) {

        case WAFCERT_SENT_KEPT:
            continue;

        case WAFCERT_SENT_DUPLICATE:
            warning = WAFCERT_WARN_DUPLICATE_DROPPED;
            break;

        case WAFCERT_SENT_ROOT:
            warning = WAFCERT_WARN_ROOT_DROPPED;
            break;

        default:
            warning = WAFCERT_WARN_CHAIN_REPAIRED;
        }

        chain->warnings |= wafcert_chain_warning(warning);
    }

    for (i = 0; i < chain->nkept; i++) {

        if (i == 0 ? chain->kept[0] != &chain->sent[0]
                   : chain->kept[i] < chain->kept[i - 1])
        {
            chain->warnings |=
                         wafcert_chain_warning(WAFCERT_WARN_CHAIN_REPAIRED);
        }
    }

    if (wafcert_chain_incomplete(chain)) {
        chain->warnings |=
                       wafcert_chain_warning(WAFCERT_WARN_CHAIN_INCOMPLETE);
    }
}


/*
 * An intermediate whose issuer was not sent is normally issued by a root, and
 * which roots clients have is not known here.  So it is only a certificate
 * alone that is found to lack its issuer.
 */

static ngx_uint_t
wafcert_chain_incomplete(const wafcert_chain_t *chain)
{
    ngx_uint_t  i;

    if (chain->kept[0]->cert->self_signed) {
        return 0;
    }

    for (i = 0; i < chain->nsent; i++) {
        if (chain->sent[i].state == WAFCERT_SENT_ROOT) {
            return 0;
        }
    }

    /* under "keep", what follows the leaf may be anything */

    for (i = 1; i < chain->nkept; i++) {
        if (wafcert_x509_issued(chain->kept[0]->cert, chain->kept[i]->cert)) {
            return 0;
        }
    }

    return 1;
}
