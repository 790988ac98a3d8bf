
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include "wafcert_chain.h"
#include "wafcert_fault.h"
#include "wafcert_trust.h"
#include "wafcert_x509.h"


#define WAFCERT_TRUST_BEGIN  "-----BEGIN"

/* alternative names that OpenSSL reads in 100 us, a unit of the budget */
#define WAFCERT_TRUST_NAMES  250


struct wafcert_trust_s {
    X509_STORE             *store;
    ngx_uint_t              n;
    wafcert_x509_t        **certs;        /* whose "x509" are the store's */
};


/* A chain that OpenSSL is asked about. */

typedef struct {
    wafcert_validator_t    *validator;
    const wafcert_trust_t  *trust;
    const wafcert_chain_t  *chain;
    int64_t                 now;
    wafcert_x509_t         *unsure;       /* whose signature is not verified */
    unsigned                again:1;      /* this turn's time is over */
    unsigned                dear:1;       /* it takes more than there is */
} wafcert_trial_t;


static ngx_int_t wafcert_trust_read(wafcert_trust_t *trust,
    const ngx_str_t *text, wafcert_verdict_t *verdict);
static ngx_int_t wafcert_trust_block(wafcert_trust_t *trust,
    wafcert_validator_t *validator, const ngx_str_t *text, ngx_uint_t block,
    wafcert_verdict_t *verdict);
static X509 *wafcert_trust_decode(const ngx_str_t *text, ngx_uint_t block,
    ngx_str_t *der, wafcert_verdict_t *verdict);
static ngx_int_t wafcert_trust_add(wafcert_trust_t *trust,
    wafcert_validator_t *validator, X509 *x509, const ngx_str_t *der,
    ngx_uint_t block, wafcert_verdict_t *verdict);
static ngx_uint_t wafcert_trust_named(wafcert_validator_t *validator,
    wafcert_x509_t *cert, const wafcert_x509_t *issuer);
static ngx_uint_t wafcert_trust_same(const ngx_str_t *one,
    const ngx_str_t *two);
static ngx_int_t wafcert_trust_open(wafcert_trial_t *trial,
    STACK_OF(X509) *issuers);
static ngx_int_t wafcert_trust_decode_whole(wafcert_trial_t *trial,
    wafcert_x509_t *cert);
static ngx_int_t wafcert_trust_ask(wafcert_trial_t *trial,
    STACK_OF(X509) *issuers, wafcert_verdict_t *verdict);
static int wafcert_trust_verify(X509_STORE_CTX *ctx);
static int wafcert_trust_dates(const wafcert_trial_t *trial,
    const wafcert_x509_t *cert);
static int wafcert_trust_signature(wafcert_trial_t *trial,
    wafcert_x509_t *cert, wafcert_x509_t *issuer);
static ngx_uint_t wafcert_trust_sent(const wafcert_chain_t *chain,
    const wafcert_x509_t *cert);
static int wafcert_trust_names(wafcert_trial_t *trial, wafcert_x509_t **certs,
    int n);
static wafcert_x509_t *wafcert_trust_cert(const wafcert_trial_t *trial,
    const X509 *x509, const wafcert_sent_t **sent);
static ngx_int_t wafcert_trust_refuse(const wafcert_trial_t *trial, int error,
    const X509 *x509, wafcert_verdict_t *verdict);
static ngx_int_t wafcert_trust_no_issuer(const wafcert_trial_t *trial,
    const char *who, const wafcert_sent_t *sent, wafcert_x509_t *cert,
    wafcert_verdict_t *verdict);
static ngx_int_t wafcert_trust_unsure(const wafcert_trial_t *trial,
    wafcert_verdict_t *verdict);
static ngx_int_t wafcert_trust_dear(const wafcert_trial_t *trial,
    wafcert_verdict_t *verdict);
static const char *wafcert_trust_words(int error);


ngx_int_t
wafcert_trust_create(wafcert_trust_t **result, const ngx_str_t *text,
    wafcert_verdict_t *verdict)
{
    ngx_int_t         rc;
    wafcert_trust_t  *trust;

    trust = calloc(1, sizeof(wafcert_trust_t));
    if (trust == NULL) {
        return NGX_ERROR;
    }

    (void) ERR_set_mark();

    rc = NGX_ERROR;
    trust->store = X509_STORE_new();

    /* as many CAs as an upload may have, and those that clients have */

    if (trust->store
        && X509_STORE_set_purpose(trust->store, X509_PURPOSE_SSL_SERVER)
        && X509_STORE_set_depth(trust->store, 2 * WAFCERT_CHAIN_MAX))
    {
        rc = wafcert_trust_read(trust, text, verdict);
    }

    (void) ERR_pop_to_mark();

    if (rc != NGX_OK) {
        wafcert_trust_free(trust);
        return rc;
    }

    *result = trust;

    return NGX_OK;
}


void
wafcert_trust_free(wafcert_trust_t *trust)
{
    ngx_uint_t  i;

    if (trust == NULL) {
        return;
    }

    for (i = 0; i < trust->n; i++) {
        wafcert_x509_release(trust->certs[i]);
    }

    X509_STORE_free(trust->store);
    free(trust->certs);
    free(trust);
}


static ngx_int_t
wafcert_trust_read(wafcert_trust_t *trust, const ngx_str_t *text,
    wafcert_verdict_t *verdict)
{
    u_char               *p, *next, *last;
    ngx_int_t             rc;
    ngx_str_t             part;
    ngx_uint_t            block;
    wafcert_validator_t  *validator;

    validator = wafcert_validator_create();
    if (validator == NULL) {
        return NGX_ERROR;
    }

    /* these have none of the limits of uploads */

    validator->stored = 1;

    rc = NGX_OK;
    block = 0;
    last = text->data + text->len;
    p = memmem(text->data, text->len, WAFCERT_TRUST_BEGIN,
               sizeof(WAFCERT_TRUST_BEGIN) - 1);

    while (p && rc == NGX_OK) {
        part.data = p++;

        next = memmem(p, last - p, WAFCERT_TRUST_BEGIN,
                      sizeof(WAFCERT_TRUST_BEGIN) - 1);

        part.len = (next ? next : last) - part.data;
        p = next;

        rc = wafcert_trust_block(trust, validator, &part, ++block, verdict);
    }

    wafcert_validator_free(validator);

    if (block == 0) {
        return wafcert_refuse(verdict, WAFCERT_CONTENT_NO_PEM,
                              "there is no PEM block");
    }

    return rc;
}


static ngx_int_t
wafcert_trust_block(wafcert_trust_t *trust, wafcert_validator_t *validator,
    const ngx_str_t *text, ngx_uint_t block, wafcert_verdict_t *verdict)
{
    X509       *x509;
    ngx_int_t   rc;
    ngx_str_t   der;

    x509 = wafcert_trust_decode(text, block, &der, verdict);
    if (x509 == NULL) {
        return NGX_DECLINED;
    }

    rc = wafcert_trust_add(trust, validator, x509, &der, block, verdict);

    X509_free(x509);
    OPENSSL_free(der.data);

    return rc;
}


/* "der" has what a "TRUSTED CERTIFICATE" says more after the certificate. */

static X509 *
wafcert_trust_decode(const ngx_str_t *text, ngx_uint_t block, ngx_str_t *der,
    wafcert_verdict_t *verdict)
{
    BIO           *bio;
    int            rc;
    char          *name, *header;
    long           len;
    X509          *x509;
    const u_char  *p;

    x509 = NULL;
    name = NULL;
    header = NULL;
    der->data = NULL;
    len = 0;

    bio = BIO_new_mem_buf(text->data, (int) text->len);
    rc = bio ? PEM_read_bio(bio, &name, &header, &der->data, &len) : 0;

    BIO_free(bio);

    der->len = len;
    p = der->data;

    if (!rc) {
        (void) wafcert_refuse(verdict, WAFCERT_CONTENT_PEM_BASE64,
                              "block %lu is no PEM that can be read",
                              (u_long) block);

    } else if (ngx_strcmp(name, PEM_STRING_X509_TRUSTED) == 0) {
        x509 = d2i_X509_AUX(NULL, &p, len);

    } else if (ngx_strcmp(name, PEM_STRING_X509) == 0
               || ngx_strcmp(name, PEM_STRING_X509_OLD) == 0)
    {
        x509 = d2i_X509(NULL, &p, len);

    } else {
        rc = 0;
        (void) wafcert_refuse(verdict, WAFCERT_CONTENT_NO_PEM,
                              "block %lu is a \"%.60s\", not a certificate",
                              (u_long) block, name);
    }

    if (rc && (x509 == NULL || p != der->data + len)) {
        (void) wafcert_refuse(verdict, WAFCERT_CONTENT_DER,
                              "block %lu is no certificate that OpenSSL can "
                              "read", (u_long) block);
        X509_free(x509);
        x509 = NULL;
    }

    OPENSSL_free(name);
    OPENSSL_free(header);

    /* it may have been a private key */

    if (x509 == NULL) {
        OPENSSL_clear_free(der->data, len);
    }

    return x509;
}


/*
 * It is made to be the same for all uploads and workers: what is decoded at
 * the first need otherwise is decoded here, and not in the validator's library
 * context, which it outlives.
 */

static ngx_int_t
wafcert_trust_add(wafcert_trust_t *trust, wafcert_validator_t *validator,
    X509 *x509, const ngx_str_t *der, ngx_uint_t block,
    wafcert_verdict_t *verdict)
{
    int               len;
    ngx_str_t         alone;
    wafcert_x509_t   *cert, **certs;

    /* as it was: OpenSSL keeps what it has decoded */

    alone.data = der->data;
    len = i2d_X509(x509, NULL);

    if (len <= 0 || (size_t) len > der->len) {
        return NGX_ERROR;
    }

    alone.len = len;

    switch (wafcert_x509_read(validator, &cert, &alone, block, 0, verdict)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return wafcert_refuse(verdict, WAFCERT_CONTENT_DER,
                              "block %lu is no certificate that can be "
                              "judged", (u_long) block);

    default:
        return NGX_ERROR;
    }

    X509_free(cert->x509);
    cert->x509 = x509;
    (void) X509_up_ref(x509);

    if (!cert->public.algo.explicit_curve) {
        cert->pkey = X509_get_pubkey(x509);
    }

    (void) wafcert_fault_issuer(validator, cert);

    certs = realloc(trust->certs, (trust->n + 1) * sizeof(wafcert_x509_t *));

    if (certs == NULL) {
        wafcert_x509_release(cert);
        return NGX_ERROR;
    }

    trust->certs = certs;
    trust->certs[trust->n++] = cert;

    return X509_STORE_add_cert(trust->store, x509) ? NGX_OK : NGX_ERROR;
}


ngx_int_t
wafcert_trust_anchors(wafcert_validator_t *validator,
    const wafcert_trust_t *trust, wafcert_chain_t *chain, int64_t now)
{
    ngx_int_t        rc;
    ngx_uint_t       i, n;
    wafcert_sent_t  *sent;
    wafcert_x509_t  *issuer;

    for (i = 0; i < chain->nsent; i++) {
        sent = &chain->sent[i];

        if (sent->state == WAFCERT_SENT_DUPLICATE) {
            continue;
        }

        for (n = 0; n < trust->n; n++) {
            issuer = trust->certs[n];

            if (!wafcert_trust_named(validator, sent->cert, issuer)) {
                continue;
            }

            /* of several, such as renewed ones, one that is good today */

            if (chain->anchors[i]
                && (issuer->not_after < now || issuer->not_before > now))
            {
                continue;
            }

            if (ngx_memcmp(sent->cert->sha256, issuer->sha256,
                           WAFCERT_SHA256_LEN)
                == 0)
            {
                chain->anchors[i] = issuer;
                continue;
            }

            rc = wafcert_x509_signed_by(validator, sent->cert, issuer);

            if (rc == NGX_BUSY) {
                return NGX_AGAIN;
            }

            if (rc == NGX_OK) {
                chain->anchors[i] = issuer;

            } else if (rc == NGX_AGAIN) {
                chain->unsure[i] = issuer;
            }
        }
    }

    return NGX_OK;
}


static ngx_uint_t
wafcert_trust_named(wafcert_validator_t *validator, wafcert_x509_t *cert,
    const wafcert_x509_t *issuer)
{
    if (!(cert->walked && issuer->walked)
        && wafcert_x509_open(validator, cert) != NGX_OK)
    {
        return 0;
    }

    return wafcert_x509_issued(cert, issuer);
}


static ngx_uint_t
wafcert_trust_same(const ngx_str_t *one, const ngx_str_t *two)
{
    return one->len == two->len
           && ngx_memcmp(one->data, two->data, one->len) == 0;
}


ngx_int_t
wafcert_trust_judge(wafcert_validator_t *validator,
    const wafcert_trust_t *trust, const wafcert_chain_t *chain, int64_t now,
    wafcert_verdict_t *verdict)
{
    ngx_int_t         rc;
    wafcert_trial_t   trial;
    STACK_OF(X509)   *issuers;

    ngx_memzero(&trial, sizeof(wafcert_trial_t));

    trial.validator = validator;
    trial.trust = trust;
    trial.chain = chain;
    trial.now = now;

    issuers = sk_X509_new_null();
    if (issuers == NULL) {
        return NGX_ERROR;
    }

    rc = wafcert_trust_open(&trial, issuers);

    if (rc == NGX_OK) {
        rc = wafcert_trust_ask(&trial, issuers, verdict);

    } else if (rc == NGX_DECLINED) {
        rc = wafcert_trust_dear(&trial, verdict);
    }

    sk_X509_free(issuers);

    return rc;
}


/*
 * OpenSSL looks at the public keys of a path, so it has to decode them, which
 * takes OpenSSL 3.0 a unit of the budget for each certificate.
 */

static ngx_int_t
wafcert_trust_open(wafcert_trial_t *trial, STACK_OF(X509) *issuers)
{
    ngx_int_t              rc;
    ngx_uint_t             i, names;
    const wafcert_sent_t  *sent;
    const wafcert_chain_t *chain;

    names = 0;
    chain = trial->chain;

    for (i = 0; i < chain->nkept; i++) {
        sent = chain->kept[i];

        /* whose signatures are not verified, and which may cost much */

        if (sent->cert->public.algo.algo == WAFCERT_ALGO_OTHER) {
            continue;
        }

        names += sent->cert->names;

        if (names > WAFCERT_JUDGED_NAMES) {
            trial->dear = 1;
            return NGX_DECLINED;
        }

        rc = wafcert_trust_decode_whole(trial, sent->cert);
        if (rc != NGX_OK) {
            return rc;
        }

        if (i && !sk_X509_push(issuers, sent->cert->whole)) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_trust_decode_whole(wafcert_trial_t *trial, wafcert_x509_t *cert)
{
    ngx_uint_t            cost;
    const u_char         *p;
    wafcert_validator_t  *validator;

    if (cert->whole) {
        return NGX_OK;
    }

    validator = trial->validator;
    cost = 1 + cert->names / WAFCERT_TRUST_NAMES;

    if (cost > validator->budget) {
        trial->dear = 1;
        return validator->patient ? NGX_AGAIN : NGX_DECLINED;
    }

    validator->budget -= cost;

    p = cert->der.data;
    cert->whole = d2i_X509(NULL, &p, (long) cert->der.len);

    if (cert->whole == NULL) {
        trial->dear = 1;
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_trust_ask(wafcert_trial_t *trial, STACK_OF(X509) *issuers,
    wafcert_verdict_t *verdict)
{
    ngx_int_t        rc;
    X509_STORE_CTX  *ctx;

    ctx = X509_STORE_CTX_new();

    if (ctx == NULL
        || !X509_STORE_CTX_init(ctx, trial->trust->store,
                                trial->chain->kept[0]->cert->whole, issuers)
        || !X509_STORE_CTX_set_app_data(ctx, trial))
    {
        X509_STORE_CTX_free(ctx);
        return NGX_ERROR;
    }

    X509_STORE_CTX_set_time(ctx, 0, (time_t) (trial->now / 1000));
    X509_STORE_CTX_set_verify(ctx, wafcert_trust_verify);

    if (X509_verify_cert(ctx) == 1) {
        rc = NGX_OK;

    } else if (trial->again) {
        rc = NGX_AGAIN;

    } else {
        rc = wafcert_trust_refuse(trial, X509_STORE_CTX_get_error(ctx),
                                  X509_STORE_CTX_get_current_cert(ctx),
                                  verdict);
    }

    X509_STORE_CTX_free(ctx);

    return rc;
}


/*
 * In the place of OpenSSL's own, which would verify again what was verified:
 * called when the path is found, and before the names are judged.
 */

static int
wafcert_trust_verify(X509_STORE_CTX *ctx)
{
    int                    i, n, error;
    wafcert_x509_t        *certs[2 * WAFCERT_CHAIN_MAX + 2];
    STACK_OF(X509)        *path;
    wafcert_trial_t       *trial;
    const wafcert_sent_t  *sent;

    trial = X509_STORE_CTX_get_app_data(ctx);
    path = X509_STORE_CTX_get0_chain(ctx);

    n = sk_X509_num(path);
    error = X509_V_OK;

    if (n > 2 * WAFCERT_CHAIN_MAX + 2) {
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_CERT_CHAIN_TOO_LONG);
        return 0;
    }

    for (i = n - 1; i >= 0 && error == X509_V_OK; i--) {

        certs[i] = wafcert_trust_cert(trial, sk_X509_value(path, i), &sent);

        if (certs[i] == NULL) {
            error = X509_V_ERR_UNSPECIFIED;

        } else {
            error = (i < n - 1) ? wafcert_trust_signature(trial, certs[i],
                                                          certs[i + 1])
                                : X509_V_OK;
        }

        if (error == X509_V_OK && i > 0) {
            error = wafcert_trust_dates(trial, certs[i]);
        }

        X509_STORE_CTX_set_error_depth(ctx, i);
        X509_STORE_CTX_set_current_cert(ctx, sk_X509_value(path, i));
    }

    if (error == X509_V_OK) {
        error = wafcert_trust_names(trial, certs, n);
    }

    X509_STORE_CTX_set_error(ctx, error);

    return error == X509_V_OK;
}


static int
wafcert_trust_signature(wafcert_trial_t *trial, wafcert_x509_t *cert,
    wafcert_x509_t *issuer)
{
    ngx_int_t               rc;
    ngx_uint_t              i, j;
    const wafcert_chain_t  *chain;

    chain = trial->chain;
    i = wafcert_trust_sent(chain, cert);
    j = wafcert_trust_sent(chain, issuer);

    if (i < chain->nsent && j < chain->nsent) {
        trial->dear |= (chain->issued[i][j] == WAFCERT_ISSUED_MAYBE);

        return (chain->issued[i][j] == WAFCERT_ISSUED_PROVED)
               ? X509_V_OK : X509_V_ERR_CERT_SIGNATURE_FAILURE;
    }

    if (i < chain->nsent && chain->anchors[i]
        && wafcert_trust_same(&chain->anchors[i]->spki, &issuer->spki))
    {
        return X509_V_OK;
    }

    rc = wafcert_x509_signed_by(trial->validator, cert, issuer);

    trial->again |= (rc == NGX_BUSY);
    if (rc == NGX_AGAIN) {
        trial->unsure = issuer;
    }

    return (rc == NGX_OK) ? X509_V_OK : X509_V_ERR_CERT_SIGNATURE_FAILURE;
}


/* its index; chain->nsent: it was not */

static ngx_uint_t
wafcert_trust_sent(const wafcert_chain_t *chain, const wafcert_x509_t *cert)
{
    ngx_uint_t  i;

    for (i = 0; i < chain->nsent && chain->sent[i].cert != cert; i++) {
        /* void */
    }

    return i;
}


/* as OpenSSL does, for which the last second is one too many */

static int
wafcert_trust_dates(const wafcert_trial_t *trial, const wafcert_x509_t *cert)
{
    if (cert->not_after <= trial->now - trial->now % 1000) {
        return X509_V_ERR_CERT_HAS_EXPIRED;
    }

    if (cert->not_before > trial->now) {
        return X509_V_ERR_CERT_NOT_YET_VALID;
    }

    return X509_V_OK;
}


/* OpenSSL compares each name with each constraint above it. */

static int
wafcert_trust_names(wafcert_trial_t *trial, wafcert_x509_t **certs, int n)
{
    int                i;
    X509_NAME         *subject;
    ngx_uint_t         names, cost;
    NAME_CONSTRAINTS  *constraints;

    names = 0;
    cost = 0;

    for (i = 0; i < n; i++) {
        constraints = NULL;

        if (i > 0) {
            (void) wafcert_fault_issuer(trial->validator, certs[i]);
            constraints = certs[i]->constraints;
        }

        if (constraints) {

            /* a list that is not there has -1 */

            cost += names
                    * (2 + sk_GENERAL_SUBTREE_num(
                                            constraints->permittedSubtrees)
                       + sk_GENERAL_SUBTREE_num(
                                            constraints->excludedSubtrees));
        }

        subject = X509_get_subject_name(certs[i]->whole ? certs[i]->whole
                                                        : certs[i]->x509);
        names += certs[i]->names + 1 + X509_NAME_entry_count(subject);
    }

    if (cost > trial->validator->compares) {
        trial->dear = 1;
        return X509_V_ERR_UNSPECIFIED;
    }

    trial->validator->compares -= cost;

    return X509_V_OK;
}


/* of a path, "sent": NULL if it is a trusted one */

static wafcert_x509_t *
wafcert_trust_cert(const wafcert_trial_t *trial, const X509 *x509,
    const wafcert_sent_t **sent)
{
    ngx_uint_t  i;

    for (i = 0; i < trial->chain->nkept; i++) {
        *sent = trial->chain->kept[i];

        if ((*sent)->cert->whole == x509) {
            return (*sent)->cert;
        }
    }

    *sent = NULL;

    for (i = 0; i < trial->trust->n; i++) {
        if (trial->trust->certs[i]->x509 == x509) {
            return trial->trust->certs[i];
        }
    }

    return NULL;
}


static ngx_int_t
wafcert_trust_refuse(const wafcert_trial_t *trial, int error,
    const X509 *x509, wafcert_verdict_t *verdict)
{
    char                   who[160], date[32];
    wafcert_x509_t        *cert;
    const wafcert_sent_t  *sent;

    cert = wafcert_trust_cert(trial, x509, &sent);

    if (trial->unsure) {
        return wafcert_trust_unsure(trial, verdict);
    }

    if (trial->dear || cert == NULL) {
        return wafcert_trust_dear(trial, verdict);
    }

    if (sent) {
        (void) snprintf(who, sizeof(who), "block %lu of content, %.*s,",
                        (u_long) sent->block,
                        wafcert_x509_subject(cert));

    } else {
        (void) snprintf(who, sizeof(who), "the trusted certificate %.*s",
                        wafcert_x509_subject(cert));
    }

    switch (error) {

    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return wafcert_trust_no_issuer(trial, who, sent, cert, verdict);

    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        (void) wafcert_refuse(verdict, WAFCERT_CHAIN_UNTRUSTED,
                              "%s is self-signed, and is none of the trusted "
                              "certificates", who);
        wafcert_hint(verdict, "send a certificate of a CA that is trusted "
                     "here; the operator names these CAs in "
                     "wafcert_trusted_certificate");
        return NGX_DECLINED;

    case X509_V_ERR_CERT_HAS_EXPIRED:
        wafcert_x509_date(cert->not_after, date, sizeof(date));
        (void) wafcert_refuse(verdict, WAFCERT_CHAIN_UNTRUSTED,
                              "%s expired on %s", who, date);
        break;

    case X509_V_ERR_CERT_NOT_YET_VALID:
        wafcert_x509_date(cert->not_before, date, sizeof(date));
        (void) wafcert_refuse(verdict, WAFCERT_CHAIN_UNTRUSTED,
                              "%s is not valid before %s", who, date);
        break;

    default:
        (void) wafcert_refuse(verdict, WAFCERT_CHAIN_UNTRUSTED, "%s %s", who,
                              wafcert_trust_words(error));
        return NGX_DECLINED;
    }

    wafcert_hint(verdict, sent ? "ask the CA for its current certificate, and "
                                 "send that instead"
                               : "the operator has to put the CA's current "
                                 "root into wafcert_trusted_certificate");
    return NGX_DECLINED;
}


static ngx_int_t
wafcert_trust_no_issuer(const wafcert_trial_t *trial, const char *who,
    const wafcert_sent_t *sent, wafcert_x509_t *cert,
    wafcert_verdict_t *verdict)
{
    ngx_uint_t   i, n;
    const char  *why;

    why = "was not sent, and is not trusted";

    for (n = 0; n < trial->trust->n; n++) {
        if (wafcert_trust_named(trial->validator, cert,
                                trial->trust->certs[n]))
        {
            why = "is trusted by this name, but with another key or key "
                  "identifier";
        }
    }

    if (sent) {
        i = wafcert_trust_sent(trial->chain, sent->cert);

        for (n = 0; n < trial->chain->nsent; n++) {
            if (trial->chain->issued[i][n] == WAFCERT_ISSUED_MAYBE) {
                why = "has a key whose signatures are not verified here, for "
                      "it is of a rare kind, or takes long";
            }
        }
    }

    return wafcert_refuse(verdict, WAFCERT_CHAIN_UNTRUSTED,
                          "the issuer of %s %.*s, %s", who,
                          wafcert_cut(&cert->issuer, 80), cert->issuer.data,
                          why);
}


static ngx_int_t
wafcert_trust_unsure(const wafcert_trial_t *trial, wafcert_verdict_t *verdict)
{
    char  type[32];

    (void) wafcert_public_type(&trial->unsure->public, type);

    (void) wafcert_refuse(verdict, WAFCERT_CHAIN_UNTRUSTED,
                          "whether block %lu of content is trusted cannot be "
                          "judged here: the trusted certificate %.*s has a "
                          "key, %s, whose signatures are not verified, for it "
                          "is of a rare kind, or takes long",
                          (u_long) trial->chain->kept[0]->block,
                          wafcert_x509_subject(trial->unsure), type);
    wafcert_hint(verdict, "send a certificate of a CA whose key is RSA, P-256, "
                 "P-384, P-521 or Ed25519");

    return NGX_DECLINED;
}


static ngx_int_t
wafcert_trust_dear(const wafcert_trial_t *trial, wafcert_verdict_t *verdict)
{
    (void) wafcert_refuse(verdict, WAFCERT_CHAIN_UNTRUSTED,
                          "whether block %lu of content is trusted takes too "
                          "long to find out: the certificates have too many "
                          "names, or keys that are not verified here",
                          (u_long) trial->chain->kept[0]->block);
    wafcert_hint(verdict, "send the leaf and its issuers alone, up to a "
                 "trusted root, and a certificate with less names");

    return NGX_DECLINED;
}


static const char *
wafcert_trust_words(int error)
{
    switch (error) {

    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return "was not signed by the CA that clients take for its issuer, "
               "by its name and place";

    case X509_V_ERR_INVALID_CA:
        return "is no CA by its basicConstraints, and has issued another one";

    case X509_V_ERR_PATH_LENGTH_EXCEEDED:
        return "has more CAs below it than its pathLenConstraint allows";

    case X509_V_ERR_INVALID_PURPOSE:
        return "is not for servers, by its keyUsage or extendedKeyUsage";

    case X509_V_ERR_KEYUSAGE_NO_CERTSIGN:
        return "has a keyUsage that does not allow it to sign certificates";

    case X509_V_ERR_PERMITTED_VIOLATION:
        return "has a name that the name constraints of an issuer do not "
               "permit";

    case X509_V_ERR_EXCLUDED_VIOLATION:
        return "has a name that the name constraints of an issuer exclude";

    case X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION:
        return "has a critical extension that OpenSSL does not know";

    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_CERT_REJECTED:
        return "is not trusted for servers";

    default:
        return X509_verify_cert_error_string(error);
    }
}
