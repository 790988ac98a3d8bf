
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_X509_H_INCLUDED_
#define _WAFCERT_X509_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/decoder.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/x509.h>
#include "wafcert_cert.h"
#include "wafcert_key.h"


/*
 * Private to wafcert_*.c: one certificate, read, and what a worker keeps
 * for the next one.
 */


#define WAFCERT_CACHE_SIZE     64
#define WAFCERT_CACHE_MAX_DER  4096


/*
 * Everything in it follows from the DER alone, so that it may be shared by
 * all uploads that send the same issuer.
 */

typedef struct {
    ngx_str_t               der;            /* a copy */
    u_char                  sha256[WAFCERT_SHA256_LEN];

    X509                   *x509;
    EVP_PKEY               *pkey;           /* made at the first need */
    wafcert_public_t        public;

    ngx_str_t               tbs;
    ngx_str_t               key_id;         /* empty: it has none */
    ngx_str_t               authority_id;
    ngx_str_t               subject;        /* RFC 2253 */
    ngx_str_t               issuer;
    ngx_str_t               hosts;          /* as in wafcert_facts_t */
    int64_t                 not_before;
    int64_t                 not_after;

    int                     digest;         /* of its signature, NIDs */
    int                     signer;
    unsigned                self_signed:1;
    unsigned                not_ca:1;       /* basicConstraints say so */
    unsigned                cached:1;

    u_char                 *spki;           /* the plain path's copy */
} wafcert_x509_t;


struct wafcert_validator_s {
    OSSL_LIB_CTX           *shallow;        /* decodes no public key */
    OSSL_PROVIDER          *null;
    EVP_MD                 *sha256;
    EVP_MD_CTX             *md;
    BIO                    *bio;

    /* in the order of wafcert_algo_e, from WAFCERT_ALGO_P256 */
    EC_GROUP               *groups[3];

    OSSL_DECODER_CTX       *decoder;        /* of public keys, into "pkey" */
    EVP_PKEY               *pkey;

    ngx_uint_t              budget;         /* for signatures, this upload */
    ngx_uint_t              clock;
    ngx_uint_t              used[WAFCERT_CACHE_SIZE];
    wafcert_x509_t         *cache[WAFCERT_CACHE_SIZE];

    unsigned                plain:1;
};


/*
 * "issuer" tells that it stands where issuers do and may be kept for the
 * next upload.  NGX_OK: wafcert_x509_release() must be called.
 */
ngx_int_t wafcert_x509_read(wafcert_validator_t *validator,
    wafcert_x509_t **result, const ngx_str_t *der, ngx_uint_t block,
    ngx_uint_t issuer, wafcert_verdict_t *verdict);
void wafcert_x509_release(wafcert_x509_t *cert);
void wafcert_x509_cache_free(wafcert_validator_t *validator);

/* Reads the algorithm of its signature. */
void wafcert_x509_signature(wafcert_x509_t *cert);

/* NGX_OK, NGX_DECLINED, or NGX_AGAIN: it cannot be told, or costs much. */
ngx_int_t wafcert_x509_signed_by(wafcert_validator_t *validator,
    wafcert_x509_t *cert, wafcert_x509_t *issuer);

/* Whether OpenSSL's security level 2 refuses a server to send it. */
ngx_uint_t wafcert_x509_weak(const wafcert_x509_t *cert);

/*
 * The value of the extension, an empty string if it is not there.
 * NGX_DECLINED: it is there twice.
 */
ngx_int_t wafcert_x509_extension(const wafcert_x509_t *cert, int nid,
    ngx_str_t *value);

/* Reads the names of hosts.  NGX_DECLINED: they cannot be read. */
ngx_int_t wafcert_x509_hosts(wafcert_validator_t *validator,
    wafcert_x509_t *cert);


#endif /* _WAFCERT_X509_H_INCLUDED_ */
