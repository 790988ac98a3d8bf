
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_KEY_H_INCLUDED_
#define _WAFCERT_KEY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include "wafcert_cert.h"
#include "wafcert_der.h"


/*
 * Private to wafcert_*.c: keys as they stand in DER.  Nothing here needs an
 * OpenSSL decoder, which is what makes plain OpenSSL slow.
 */


/* OpenSSL itself refuses longer ones beside a modulus over 3072 bits. */
#define WAFCERT_RSA_MAX_EXPONENT   64

/* An uncompressed point of P-521. */
#define WAFCERT_PUBLIC_MAX         133


typedef enum {
    WAFCERT_ALGO_OTHER = 0,
    WAFCERT_ALGO_RSA,
    WAFCERT_ALGO_P256,
    WAFCERT_ALGO_P384,
    WAFCERT_ALGO_P521,
    WAFCERT_ALGO_ED25519
} wafcert_algo_e;


#define wafcert_algo_is_ec(algo)                                             \
    ((algo) >= WAFCERT_ALGO_P256 && (algo) <= WAFCERT_ALGO_P521)


typedef struct {
    wafcert_algo_e       algo;
    const char          *name;        /* "DSA", "EC P-256"; static */
    unsigned             explicit_curve:1;
} wafcert_algo_t;


/* A public key, of a certificate or of a private key. */

typedef struct {
    wafcert_algo_t       algo;
    ngx_uint_t           bits;        /* RSA */
    ngx_str_t            modulus;
    ngx_str_t            exponent;
    ngx_str_t            point;       /* EC, in any of its forms; Ed25519 */
} wafcert_public_t;


typedef enum {
    WAFCERT_RSA_N = 0,
    WAFCERT_RSA_E,
    WAFCERT_RSA_D,
    WAFCERT_RSA_P,
    WAFCERT_RSA_Q,
    WAFCERT_RSA_DP,
    WAFCERT_RSA_DQ,
    WAFCERT_RSA_QI,

    WAFCERT_RSA_MEMBERS
} wafcert_rsa_member_e;


/*
 * A private key; the strings point into the block.  "public" is what the
 * key says of itself until wafcert_private_check() has proved it.
 */

typedef struct {
    wafcert_public_t     public;
    ngx_uint_t           block;       /* from 1 */

    ngx_str_t            rsa[WAFCERT_RSA_MEMBERS];
    ngx_str_t            secret;      /* EC, Ed25519 */
    ngx_str_t            embedded;    /* the public key of a PKCS#8 v2 */
    unsigned             attributes:1;

    u_char               buf[WAFCERT_PUBLIC_MAX];

    ngx_str_t            der;
    EVP_PKEY            *pkey;        /* the plain path's, or Ed25519 */
} wafcert_private_t;


/* SubjectPublicKeyInfo.  NGX_DECLINED: this is none. */
ngx_int_t wafcert_public_read(wafcert_public_t *public,
    const ngx_str_t *spki);
ngx_uint_t wafcert_public_equal(const wafcert_public_t *one,
    const wafcert_public_t *two);

/* An AlgorithmIdentifier, and the ECParameters in it, from their inside. */
ngx_int_t wafcert_algo_read(wafcert_algo_t *algo, wafcert_der_t *der);
ngx_int_t wafcert_curve_read(wafcert_algo_t *algo, wafcert_der_t *der);
ngx_int_t wafcert_rsa_public_read(wafcert_public_t *public,
    const ngx_str_t *der);
ngx_uint_t wafcert_number_bits(const ngx_str_t *number);

/*
 * "whole" is uncompressed and known to be on the curve, so a point that has
 * its coordinates needs no arithmetic.
 */
ngx_uint_t wafcert_point_equal(const ngx_str_t *whole,
    const ngx_str_t *point);

/* Whether it is a point of a curve that is compressed, or hybrid. */
ngx_uint_t wafcert_public_packed(const wafcert_public_t *public);

/* "RSA-2048": what cert_type says of it; at most 32 bytes. */
size_t wafcert_public_type(const wafcert_public_t *public, char *buf);

/*
 * Reads the one private key of a member.  NGX_OK: wafcert_private_free()
 * must be called.
 */
ngx_int_t wafcert_private_read(wafcert_private_t *private,
    wafcert_pem_t *pem, wafcert_key_t *key, wafcert_verdict_t *verdict);

/*
 * The same for a key that was read before, of which it has the DER.  An EC
 * key that does not say its public point has none then.
 */
ngx_int_t wafcert_private_reread(wafcert_private_t *private,
    const wafcert_key_t *key);

/* Whether the private half belongs to the public half. */
ngx_int_t wafcert_private_check(wafcert_validator_t *validator,
    wafcert_private_t *private, wafcert_verdict_t *verdict);

ngx_int_t wafcert_private_inconsistent(const wafcert_private_t *private,
    const char *words, wafcert_verdict_t *verdict);

/*
 * As OpenSSL uses it, for the caller to free; NULL: OpenSSL refuses it, or has
 * no memory.  Of an EC key the public point must be known.
 */
EVP_PKEY *wafcert_private_pkey(const wafcert_private_t *private);

void wafcert_private_free(wafcert_private_t *private);


#endif /* _WAFCERT_KEY_H_INCLUDED_ */
