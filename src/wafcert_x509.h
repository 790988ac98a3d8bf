
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
#include <openssl/x509v3.h>
#include "wafcert_cert.h"
#include "wafcert_key.h"
#include "wafcert_siphash.h"


/*
 * Private to wafcert_*.c: one certificate, read, and what a worker keeps
 * for the next one.
 */


#define WAFCERT_CACHE_SIZE     64
#define WAFCERT_CACHE_MAX_DER  4096
#define WAFCERT_MEMO_SIZE      256


typedef enum {
    WAFCERT_EXT_KEY_ID = 0,
    WAFCERT_EXT_AUTHORITY_ID,
    WAFCERT_EXT_CONSTRAINTS,
    WAFCERT_EXT_NAMES,

    WAFCERT_EXTS
} wafcert_ext_e;


/*
 * Everything in it follows from the DER alone, so that it may be shared by
 * all uploads that send the same issuer.
 */

typedef struct {
    ngx_str_t               der;            /* a copy */
    u_char                  sha256[WAFCERT_SHA256_LEN];

    X509                   *x509;           /* see wafcert_x509_open() */
    X509                   *whole;          /* with its key: for a trust */
    EVP_PKEY               *pkey;           /* made at the first need */
    EVP_PKEY_CTX           *verifier;       /* of what it has signed, with */
    int                     verifies;       /* this digest, a NID */
    ngx_uint_t              parts;          /* WAFCERT_X509_PARTS */
    ngx_uint_t              names;          /* alternative, of any kind */
    wafcert_public_t        public;

    ngx_str_t               tbs;
    ngx_str_t               signature;      /* empty: it cannot be read */
    ngx_str_t               spki;
    ngx_str_t               subject_der;
    ngx_str_t               issuer_der;
    ngx_str_t               serial;         /* without its sign */
    ngx_str_t               exts[WAFCERT_EXTS];     /* empty: not there */
    ngx_str_t               key_id;         /* empty: it has none */
    ngx_str_t               authority_id;
    ngx_str_t               subject;        /* RFC 2253 */
    ngx_str_t               issuer;
    ngx_str_t               hosts;          /* as in wafcert_facts_t, */
    ngx_uint_t              nhosts;         /* and so is this */
    ngx_str_t               common_name;    /* the last one, if walked */
    int64_t                 not_before;
    int64_t                 not_after;

    int                     digest;         /* of its signature, NIDs */
    int                     signer;
    unsigned                strict:1;       /* it is DER all the way down */
    unsigned                self_signed:1;
    unsigned                is_ca:1;        /* basicConstraints say so */
    unsigned                authority_named:1;      /* by more than that */
    unsigned                algorithms_differ:1;    /* of its signature */
    unsigned                ordinary:1;     /* walked, and has no extension */
                                            /* that somebody might refuse */
    unsigned                forms:16;       /* of extensions, the walker's */
    unsigned                has_san:1;      /* with a DNS name or address, */
    unsigned                has_dns:1;      /* with a DNS name, */
    unsigned                usable:1;       /* some client asks for a host */
    unsigned                judged:1;       /* "faults" are known */
    unsigned                negative:1;     /* the serial number is */
    unsigned                odd_name:1;     /* subject or issuer: Go cannot */
                                            /* read it, and OpenSSL can */
    unsigned                odd_dates:1;    /* such as no client accepts */
    unsigned                walked:1;       /* read without OpenSSL */
    unsigned                cached:1;

    ngx_uint_t              path_length;    /* of a CA */
    ngx_uint_t              bad_san;        /* the first alternative name, */
                                            /* from 1, that cannot be one, */
    ngx_uint_t              odd_host;       /* that no client asks for */
    const char             *names_fault;    /* of the alternative names, */
    wafcert_reason_e        names_reason;   /* or NULL: they are read */
    uint64_t                faults;         /* of an issuer, as warnings */
    NAME_CONSTRAINTS       *constraints;    /* the same, or NULL */

    u_char                 *plain;          /* that path's copy of the key */
} wafcert_x509_t;


/* What became of a signature: "issuer" is the certificate whose key it was. */

typedef struct {
    u_char                  cert[WAFCERT_SHA256_LEN];
    u_char                  issuer[WAFCERT_SHA256_LEN];
    ngx_int_t               rc;
} wafcert_memo_t;


struct wafcert_validator_s {
    OSSL_LIB_CTX           *shallow;        /* decodes no public key */
    OSSL_PROVIDER          *null;
    EVP_MD                 *sha256;
    EVP_MD                 *sha384;
    EVP_MD                 *sha512;
    EVP_MD_CTX             *md;
    EVP_MAC_CTX            *hmac;           /* with SHA-256 */
    BIO                    *bio;

    /* in the order of wafcert_algo_e, from WAFCERT_ALGO_P256 */
    EC_GROUP               *groups[3];

    OSSL_DECODER_CTX       *decoder;        /* of public keys, into "pkey" */
    EVP_PKEY               *pkey;

    wafcert_memo_t          memos[WAFCERT_MEMO_SIZE];
    ngx_uint_t              nmemos;         /* so far, the oldest go */

    ngx_uint_t              budget;         /* of this upload, in 100 us */
    ngx_uint_t              patient;        /* it may come again */
    ngx_uint_t              compares;       /* of names with constraints */
    ngx_uint_t              max_hosts;      /* the same; 0: any number */
    u_char                  hosts_key[WAFCERT_SIPHASH_KEY_LEN];
    ngx_uint_t              parts;          /* it has had so far */
    ngx_uint_t              clock;
    ngx_uint_t              used[WAFCERT_CACHE_SIZE];
    wafcert_x509_t         *cache[WAFCERT_CACHE_SIZE];

    unsigned                plain:1;
    unsigned                stored:1;       /* this upload was judged before */
};


/*
 * What all certificates of an upload may have: elements, 0.5 us each where
 * OpenSSL has to read them; eight bytes of a name are as one, and so are four
 * addresses.  Other names of hosts count only where OpenSSL has to read them.
 */
#define WAFCERT_X509_PARTS     3000

/* alternative names of those that OpenSSL has to judge, 0.4 us each, twice */
#define WAFCERT_JUDGED_NAMES   2000


/*
 * "issuer" tells that it stands where issuers do and may be kept for the
 * next upload.  NGX_OK: wafcert_x509_release() must be called.
 */
ngx_int_t wafcert_x509_read(wafcert_validator_t *validator,
    wafcert_x509_t **result, const ngx_str_t *der, ngx_uint_t block,
    ngx_uint_t issuer, wafcert_verdict_t *verdict);
void wafcert_x509_release(wafcert_x509_t *cert);

/* for "%.*s" in a sentence */
#define wafcert_x509_subject(cert)                                           \
    wafcert_cut(&(cert)->subject, 100), (cert)->subject.data

/* Refuses a leaf of which the names of hosts cannot be read. */
ngx_int_t wafcert_x509_named(const wafcert_x509_t *cert, ngx_uint_t block,
    wafcert_verdict_t *verdict);
void wafcert_x509_cache_free(wafcert_validator_t *validator);

/* Makes "x509" if it is not there.  NGX_DECLINED: OpenSSL refuses it. */
ngx_int_t wafcert_x509_open(wafcert_validator_t *validator,
    wafcert_x509_t *cert);

/* Whether the bytes are what a PrintableString may have, or Go lets it. */
ngx_uint_t wafcert_x509_printable(const u_char *p, size_t len);

/* By the names alone.  Both were walked, or both have "x509". */
ngx_uint_t wafcert_x509_issued(const wafcert_x509_t *cert,
    const wafcert_x509_t *issuer);

/* In ms since 1970 UTC; INT64_MIN: it is none. */
int64_t wafcert_x509_time(const ASN1_TIME *time);

/* As it is told: "2027-06-30T12:00:00Z". */
void wafcert_x509_date(int64_t ms, char *buf, size_t size);

/* Reads the algorithm of its signature. */
void wafcert_x509_signature(wafcert_x509_t *cert);

/* Decodes its public key, which remains its own.  NULL: it cannot. */
EVP_PKEY *wafcert_x509_pkey(wafcert_validator_t *validator,
    wafcert_x509_t *cert);

/*
 * Whether the issuer's key has made its signature.  NGX_OK, NGX_DECLINED, or
 * NGX_AGAIN: it cannot be told, or costs much.  NGX_BUSY: this turn's time is
 * over, come again.
 */
ngx_int_t wafcert_x509_signed_by(wafcert_validator_t *validator,
    wafcert_x509_t *cert, wafcert_x509_t *issuer);

/* NULL: no memory, or an OpenSSL without HMAC. */
EVP_MAC_CTX *wafcert_hmac_create(void);

/* The highest security level at which OpenSSL lets a server send it. */
ngx_uint_t wafcert_x509_level(wafcert_validator_t *validator,
    wafcert_x509_t *cert);

/*
 * Reads the names of hosts, each once, and no more than validator->max_hosts.
 * NGX_DECLINED: they cannot be read, and there are none.
 */
ngx_int_t wafcert_x509_hosts(wafcert_validator_t *validator,
    wafcert_x509_t *cert);


#endif /* _WAFCERT_X509_H_INCLUDED_ */
