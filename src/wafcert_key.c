
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/x509.h>
#include "wafcert_der.h"
#include "wafcert_key.h"
#include "wafcert_x509.h"


typedef struct {
    ngx_str_t       oid;
    wafcert_algo_e  algo;
    const char     *name;
} wafcert_oid_t;


static ngx_int_t wafcert_algo_read(wafcert_algo_t *algo,
    wafcert_der_t *der);
static ngx_int_t wafcert_curve_read(wafcert_algo_t *algo,
    wafcert_der_t *der);
static const wafcert_oid_t *wafcert_oid_find(const wafcert_oid_t *oid,
    const ngx_str_t *bytes);
static ngx_int_t wafcert_rsa_public_read(wafcert_public_t *public,
    const ngx_str_t *der);
static ngx_uint_t wafcert_number_bits(const ngx_str_t *number);
static ngx_uint_t wafcert_point_equal(const ngx_str_t *whole,
    const ngx_str_t *point);

static ngx_int_t wafcert_private_choose(wafcert_private_t *private,
    const wafcert_pem_t *pem, wafcert_verdict_t *verdict);
static ngx_uint_t wafcert_private_is(wafcert_pem_type_e type);
static ngx_int_t wafcert_private_none(const wafcert_pem_t *pem,
    wafcert_verdict_t *verdict);
static ngx_int_t wafcert_private_type(const wafcert_private_t *private,
    wafcert_pem_type_e type, wafcert_verdict_t *verdict);
static ngx_int_t wafcert_private_malformed(const wafcert_private_t *private,
    const wafcert_pem_block_t *block, const char *words,
    wafcert_verdict_t *verdict);
static ngx_int_t wafcert_pkcs8_read(wafcert_private_t *private,
    wafcert_pem_block_t *block, wafcert_verdict_t *verdict);
static void wafcert_pkcs8_strip(wafcert_pem_block_t *block, u_char *version,
    u_char *end);
static ngx_int_t wafcert_algo_judge(const wafcert_private_t *private,
    wafcert_verdict_t *verdict);
static ngx_int_t wafcert_pkcs1_read(wafcert_private_t *private,
    const wafcert_pem_block_t *block, const ngx_str_t *der,
    wafcert_verdict_t *verdict);
static ngx_int_t wafcert_pkcs1_judge(const wafcert_private_t *private,
    wafcert_verdict_t *verdict);
static ngx_int_t wafcert_sec1_read(wafcert_private_t *private,
    const wafcert_pem_block_t *block, const ngx_str_t *der,
    wafcert_verdict_t *verdict);
static ngx_int_t wafcert_ed25519_read(wafcert_private_t *private,
    const wafcert_pem_block_t *block, const ngx_str_t *der,
    wafcert_verdict_t *verdict);

static ngx_int_t wafcert_private_inconsistent(
    const wafcert_private_t *private, const char *words,
    wafcert_verdict_t *verdict);
static ngx_int_t wafcert_private_load(wafcert_private_t *private,
    wafcert_verdict_t *verdict);
static ngx_int_t wafcert_rsa_check(wafcert_private_t *private,
    wafcert_verdict_t *verdict);
static ngx_int_t wafcert_rsa_members(const wafcert_private_t *private,
    BIGNUM **bn);
static const char *wafcert_rsa_fault(BIGNUM **bn, BN_CTX *ctx);
static const char *wafcert_rsa_prime_fault(BIGNUM **bn,
    wafcert_rsa_member_e prime, wafcert_rsa_member_e crt, BN_CTX *ctx);
static ngx_int_t wafcert_ec_check(wafcert_validator_t *validator,
    wafcert_private_t *private, wafcert_verdict_t *verdict);
static ngx_int_t wafcert_ec_compute(const EC_GROUP *group,
    wafcert_private_t *private, const char **fault);
static ngx_int_t wafcert_ed25519_check(wafcert_private_t *private,
    wafcert_verdict_t *verdict);
static ngx_int_t wafcert_embedded_check(wafcert_private_t *private,
    wafcert_verdict_t *verdict);


static const wafcert_oid_t  wafcert_algo_oids[] = {

    { ngx_string("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"),
      WAFCERT_ALGO_RSA, "RSA" },

    /* the curve takes the place of this one */
    { ngx_string("\x2a\x86\x48\xce\x3d\x02\x01"), WAFCERT_ALGO_P256, "EC" },

    { ngx_string("\x2b\x65\x70"), WAFCERT_ALGO_ED25519, "Ed25519" },

    { ngx_string("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"),
      WAFCERT_ALGO_OTHER, "RSA-PSS" },
    { ngx_string("\x2a\x86\x48\xce\x38\x04\x01"), WAFCERT_ALGO_OTHER, "DSA" },
    { ngx_string("\x2a\x86\x48\x86\xf7\x0d\x01\x03\x01"),
      WAFCERT_ALGO_OTHER, "Diffie-Hellman" },
    { ngx_string("\x2a\x86\x48\xce\x3e\x02\x01"),
      WAFCERT_ALGO_OTHER, "X9.42 Diffie-Hellman" },
    { ngx_string("\x2b\x65\x6e"), WAFCERT_ALGO_OTHER, "X25519" },
    { ngx_string("\x2b\x65\x6f"), WAFCERT_ALGO_OTHER, "X448" },
    { ngx_string("\x2b\x65\x71"), WAFCERT_ALGO_OTHER, "Ed448" },
    { ngx_string("\x60\x86\x48\x01\x65\x03\x04\x03\x11"),
      WAFCERT_ALGO_OTHER, "ML-DSA-44" },
    { ngx_string("\x60\x86\x48\x01\x65\x03\x04\x03\x12"),
      WAFCERT_ALGO_OTHER, "ML-DSA-65" },
    { ngx_string("\x60\x86\x48\x01\x65\x03\x04\x03\x13"),
      WAFCERT_ALGO_OTHER, "ML-DSA-87" },

    { ngx_null_string, WAFCERT_ALGO_OTHER, "an unknown algorithm" }
};


static const wafcert_oid_t  wafcert_curve_oids[] = {

    { ngx_string("\x2a\x86\x48\xce\x3d\x03\x01\x07"),
      WAFCERT_ALGO_P256, "EC P-256" },
    { ngx_string("\x2b\x81\x04\x00\x22"), WAFCERT_ALGO_P384, "EC P-384" },
    { ngx_string("\x2b\x81\x04\x00\x23"), WAFCERT_ALGO_P521, "EC P-521" },

    { ngx_string("\x2a\x86\x48\xce\x3d\x03\x01\x01"),
      WAFCERT_ALGO_OTHER, "EC P-192" },
    { ngx_string("\x2b\x81\x04\x00\x21"), WAFCERT_ALGO_OTHER, "EC P-224" },
    { ngx_string("\x2b\x81\x04\x00\x0a"),
      WAFCERT_ALGO_OTHER, "EC secp256k1" },
    { ngx_string("\x2b\x24\x03\x03\x02\x08\x01\x01\x07"),
      WAFCERT_ALGO_OTHER, "EC brainpoolP256r1" },
    { ngx_string("\x2b\x24\x03\x03\x02\x08\x01\x01\x0b"),
      WAFCERT_ALGO_OTHER, "EC brainpoolP384r1" },
    { ngx_string("\x2b\x24\x03\x03\x02\x08\x01\x01\x0d"),
      WAFCERT_ALGO_OTHER, "EC brainpoolP512r1" },
    { ngx_string("\x2a\x81\x1c\xcf\x55\x01\x82\x2d"),
      WAFCERT_ALGO_OTHER, "EC SM2" },

    { ngx_null_string, WAFCERT_ALGO_OTHER, "EC with an unknown curve" }
};


static const char  *wafcert_rsa_names[] = {
    "modulus",
    "public exponent",
    "private exponent",
    "first prime",
    "second prime",
    "first CRT exponent",
    "second CRT exponent",
    "CRT coefficient"
};


/* The bytes of a private value, in the order of wafcert_algo_e from P-256. */

static const size_t  wafcert_ec_bytes[] = { 32, 48, 66 };


ngx_int_t
wafcert_public_read(wafcert_public_t *public, const ngx_str_t *spki)
{
    ngx_str_t      bits;
    wafcert_der_t  der, inner, algo;

    ngx_memzero(public, sizeof(wafcert_public_t));

    wafcert_der_init(&der, spki);

    if (wafcert_der_enter(&der, WAFCERT_DER_SEQUENCE, &inner) != NGX_OK
        || wafcert_der_enter(&inner, WAFCERT_DER_SEQUENCE, &algo) != NGX_OK
        || wafcert_algo_read(&public->algo, &algo) != NGX_OK
        || wafcert_der_bits(&inner, WAFCERT_DER_BITS, &bits) != NGX_OK
        || !wafcert_der_end(&inner))
    {
        return NGX_DECLINED;
    }

    switch (public->algo.algo) {

    case WAFCERT_ALGO_OTHER:
        return NGX_OK;

    case WAFCERT_ALGO_RSA:
        return wafcert_rsa_public_read(public, &bits);

    default:
        public->point = bits;
        return NGX_OK;
    }
}


ngx_uint_t
wafcert_public_equal(const wafcert_public_t *one, const wafcert_public_t *two)
{
    if (one->algo.algo != two->algo.algo) {
        return 0;
    }

    switch (one->algo.algo) {

    case WAFCERT_ALGO_OTHER:
        return 0;

    case WAFCERT_ALGO_RSA:
        return one->modulus.len == two->modulus.len
               && one->exponent.len == two->exponent.len
               && ngx_memcmp(one->modulus.data, two->modulus.data,
                             one->modulus.len) == 0
               && ngx_memcmp(one->exponent.data, two->exponent.data,
                             one->exponent.len) == 0;

    case WAFCERT_ALGO_ED25519:
        return one->point.len == two->point.len
               && ngx_memcmp(one->point.data, two->point.data,
                             one->point.len) == 0;

    default:
        return wafcert_point_equal(&one->point, &two->point);
    }
}


size_t
wafcert_public_type(const wafcert_public_t *public, char *buf)
{
    int  n;

    switch (public->algo.algo) {

    case WAFCERT_ALGO_RSA:
        n = snprintf(buf, 32, "RSA-%lu", (u_long) public->bits);
        break;

    case WAFCERT_ALGO_ED25519:
        n = snprintf(buf, 32, "ED25519");
        break;

    case WAFCERT_ALGO_OTHER:
        n = snprintf(buf, 32, "%s", public->algo.name);
        break;

    default:
        n = snprintf(buf, 32, "EC-%s", public->algo.name + sizeof("EC ") - 1);
    }

    return n;
}


/* What is inside of an AlgorithmIdentifier. */

static ngx_int_t
wafcert_algo_read(wafcert_algo_t *algo, wafcert_der_t *der)
{
    wafcert_tlv_t         tlv;
    const wafcert_oid_t  *oid;

    if (wafcert_der_get(der, WAFCERT_DER_OID, &tlv) != NGX_OK) {
        return NGX_DECLINED;
    }

    oid = wafcert_oid_find(wafcert_algo_oids, &tlv.body);

    algo->algo = oid->algo;
    algo->name = oid->name;

    switch (oid->algo) {

    case WAFCERT_ALGO_P256:

        if (wafcert_curve_read(algo, der) != NGX_OK) {
            return NGX_DECLINED;
        }

        break;

    case WAFCERT_ALGO_ED25519:
        break;

    default:
        /* whatever parameters are there say nothing about an RSA key */
        return NGX_OK;
    }

    return wafcert_der_end(der) ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
wafcert_curve_read(wafcert_algo_t *algo, wafcert_der_t *der)
{
    wafcert_tlv_t         tlv;
    const wafcert_oid_t  *oid;

    if (wafcert_der_next(der, &tlv) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (tlv.tag == WAFCERT_DER_SEQUENCE) {
        algo->algo = WAFCERT_ALGO_OTHER;
        algo->name = "EC with explicit parameters";
        algo->explicit_curve = 1;
        return NGX_OK;
    }

    if (tlv.tag != WAFCERT_DER_OID) {
        return NGX_DECLINED;
    }

    oid = wafcert_oid_find(wafcert_curve_oids, &tlv.body);

    algo->algo = oid->algo;
    algo->name = oid->name;

    return NGX_OK;
}


static const wafcert_oid_t *
wafcert_oid_find(const wafcert_oid_t *oid, const ngx_str_t *bytes)
{
    for ( /* void */ ; oid->oid.len; oid++) {
        if (oid->oid.len == bytes->len
            && ngx_memcmp(oid->oid.data, bytes->data, bytes->len) == 0)
        {
            break;
        }
    }

    return oid;
}


static ngx_int_t
wafcert_rsa_public_read(wafcert_public_t *public, const ngx_str_t *bits)
{
    wafcert_der_t  der, inner;

    wafcert_der_init(&der, bits);

    if (wafcert_der_enter(&der, WAFCERT_DER_SEQUENCE, &inner) != NGX_OK
        || !wafcert_der_end(&der)
        || wafcert_der_number(&inner, &public->modulus) != NGX_OK
        || wafcert_der_number(&inner, &public->exponent) != NGX_OK
        || !wafcert_der_end(&inner))
    {
        return NGX_DECLINED;
    }

    public->bits = wafcert_number_bits(&public->modulus);

    return NGX_OK;
}


static ngx_uint_t
wafcert_number_bits(const ngx_str_t *number)
{
    u_char      c;
    ngx_uint_t  bits;

    if (number->len == 0) {
        return 0;
    }

    bits = (number->len - 1) * 8;

    for (c = number->data[0]; c; c >>= 1) {
        bits++;
    }

    return bits;
}


/*
 * "whole" is uncompressed and known to be on the curve, so a point that has
 * its coordinates needs no arithmetic.
 */

static ngx_uint_t
wafcert_point_equal(const ngx_str_t *whole, const ngx_str_t *point)
{
    size_t   n;
    u_char  *w, *p, odd;

    n = (whole->len - 1) / 2;
    w = whole->data;
    p = point->data;

    if (point->len < n + 1 || ngx_memcmp(p + 1, w + 1, n) != 0) {
        return 0;
    }

    odd = w[2 * n] & 1;

    switch (p[0]) {

    case 0x02:
    case 0x03:
        return point->len == n + 1 && (p[0] & 1) == odd;

    case 0x06:
    case 0x07:

        if ((p[0] & 1) != odd) {
            return 0;
        }

        break;

    case 0x04:
        break;

    default:
        return 0;
    }

    return point->len == whole->len
           && ngx_memcmp(p + 1 + n, w + 1 + n, n) == 0;
}


ngx_int_t
wafcert_private_read(wafcert_private_t *private, wafcert_pem_t *pem,
    wafcert_key_t *key, wafcert_verdict_t *verdict)
{
    char                  words[96];
    ngx_int_t             rc;
    wafcert_pem_block_t  *block;

    ngx_memzero(private, sizeof(wafcert_private_t));

    rc = wafcert_private_choose(private, pem, verdict);
    if (rc != NGX_OK) {
        return rc;
    }

    block = &pem->blocks[private->block - 1];

    if (wafcert_der_whole(&block->der, words, sizeof(words)) != NGX_OK) {
        return wafcert_private_malformed(private, block, words, verdict);
    }

    switch (block->type) {

    case WAFCERT_PEM_PKCS8:
        rc = wafcert_pkcs8_read(private, block, verdict);
        break;

    case WAFCERT_PEM_PKCS1:
        private->public.algo.algo = WAFCERT_ALGO_RSA;
        private->public.algo.name = "RSA";

        rc = wafcert_pkcs1_read(private, block, &block->der, verdict);
        break;

    default:  /* WAFCERT_PEM_SEC1 */
        rc = wafcert_sec1_read(private, block, &block->der, verdict);
    }

    key->der = block->der;
    key->type = block->type;

    private->der = block->der;

    return rc;
}


void
wafcert_private_free(wafcert_private_t *private)
{
    EVP_PKEY_free(private->pkey);
    private->pkey = NULL;
}


/*
 * Certificates and parameters beside the one private key are passed over,
 * as OpenSSL and nginx's own ssl_certificate_key do: "key" is often a file
 * that has both.
 */

static ngx_int_t
wafcert_private_choose(wafcert_private_t *private, const wafcert_pem_t *pem,
    wafcert_verdict_t *verdict)
{
    ngx_uint_t          i, second;
    wafcert_pem_type_e  type;

    second = 0;

    for (i = 0; i < pem->nblocks; i++) {

        if (!wafcert_private_is(pem->blocks[i].type)) {
            continue;
        }

        if (private->block == 0) {
            private->block = i + 1;

        } else if (second == 0) {
            second = i + 1;
        }
    }

    if (private->block == 0) {
        return wafcert_private_none(pem, verdict);
    }

    if (second) {
        return wafcert_refuse(verdict, WAFCERT_KEY_SEVERAL,
                              "key holds %s in block %lu and %s in block %lu, "
                              "one private key is wanted",
                              wafcert_pem_type_name(
                                        pem->blocks[private->block - 1].type),
                              (u_long) private->block,
                              wafcert_pem_type_name(
                                        pem->blocks[second - 1].type),
                              (u_long) second);
    }

    type = pem->blocks[private->block - 1].type;

    switch (type) {

    case WAFCERT_PEM_PKCS8:
    case WAFCERT_PEM_PKCS1:
    case WAFCERT_PEM_SEC1:
        return NGX_OK;

    default:
        return wafcert_private_type(private, type, verdict);
    }
}


static ngx_uint_t
wafcert_private_is(wafcert_pem_type_e type)
{
    switch (type) {

    case WAFCERT_PEM_PKCS8:
    case WAFCERT_PEM_PKCS1:
    case WAFCERT_PEM_SEC1:
    case WAFCERT_PEM_ENCRYPTED:
    case WAFCERT_PEM_OPENSSH:
    case WAFCERT_PEM_DSA:
        return 1;

    default:
        return 0;
    }
}


static ngx_int_t
wafcert_private_none(const wafcert_pem_t *pem, wafcert_verdict_t *verdict)
{
    ngx_uint_t                  i;
    const wafcert_pem_block_t  *block;

    /* what was meant to be the key is rather not the parameters */

    for (i = 0; i + 1 < pem->nblocks; i++) {
        if (pem->blocks[i].type != WAFCERT_PEM_EC_PARAMETERS
            && pem->blocks[i].type != WAFCERT_PEM_DH)
        {
            break;
        }
    }

    if (pem->nblocks == 0) {
        return wafcert_refuse(verdict, WAFCERT_KEY_NO_PEM,
                              "key holds no PEM block");
    }

    block = &pem->blocks[i];

    switch (block->type) {

    case WAFCERT_PEM_CERTIFICATE:
        return wafcert_refuse(verdict, WAFCERT_KEY_IS_CERTIFICATE,
                              "key holds %s in block %lu and no private key",
                              wafcert_pem_type_name(block->type),
                              (u_long) i + 1);

    case WAFCERT_PEM_PUBLIC:
        return wafcert_refuse(verdict, WAFCERT_KEY_IS_PUBLIC,
                              "key holds %s in block %lu and no private key",
                              wafcert_pem_type_name(block->type),
                              (u_long) i + 1);

    case WAFCERT_PEM_DH:
        (void) wafcert_refuse(verdict, WAFCERT_KEY_TYPE,
                              "key holds %s in block %lu and no private key",
                              wafcert_pem_type_name(block->type),
                              (u_long) i + 1);
        wafcert_hint(verdict, "Diffie-Hellman parameters are no key; send "
                     "the RSA, EC or Ed25519 private key of the certificate");
        return NGX_DECLINED;

    case WAFCERT_PEM_EC_PARAMETERS:
        (void) wafcert_refuse(verdict, WAFCERT_KEY_NO_PEM,
                              "key holds %s in block %lu and no private key",
                              wafcert_pem_type_name(block->type),
                              (u_long) i + 1);
        wafcert_hint(verdict, "the parameters name a curve only; send the "
                     "EC PRIVATE KEY block that follows them in the file, or "
                     "make one: openssl ecparam -name prime256v1 -genkey "
                     "-noout -out key.pem");
        return NGX_DECLINED;

    default:
        return wafcert_refuse(verdict, WAFCERT_KEY_NO_PEM,
                              "key holds %s in block %lu and no private key",
                              wafcert_pem_type_name(block->type),
                              (u_long) i + 1);
    }
}


static ngx_int_t
wafcert_private_type(const wafcert_private_t *private,
    wafcert_pem_type_e type, wafcert_verdict_t *verdict)
{
    switch (type) {

    case WAFCERT_PEM_ENCRYPTED:
        return wafcert_refuse(verdict, WAFCERT_KEY_ENCRYPTED,
                              "block %lu of key is encrypted with a password",
                              (u_long) private->block);

    case WAFCERT_PEM_OPENSSH:
        (void) wafcert_refuse(verdict, WAFCERT_KEY_TYPE,
                              "block %lu of key is in OpenSSH's own format",
                              (u_long) private->block);
        wafcert_hint(verdict, "on a copy of the file: "
                     "ssh-keygen -p -m pkcs8 -N '' -f key");
        return NGX_DECLINED;

    default:
        (void) wafcert_refuse(verdict, WAFCERT_KEY_TYPE,
                              "block %lu of key is %s, and TLS clients do not "
                              "accept DSA any more",
                              (u_long) private->block,
                              wafcert_pem_type_name(type));
        wafcert_hint(verdict, "have a certificate issued for an RSA, EC or "
                     "Ed25519 key: openssl genpkey -algorithm EC "
                     "-pkeyopt ec_paramgen_curve:P-256 -out key.pem");
        return NGX_DECLINED;
    }
}


/*
 * If the DER is of another kind than the label says, that explains more
 * than the place where the reader stumbled.
 */

static ngx_int_t
wafcert_private_malformed(const wafcert_private_t *private,
    const wafcert_pem_block_t *block, const char *words,
    wafcert_verdict_t *verdict)
{
    const char          *what;
    wafcert_pem_type_e   type;

    what = wafcert_der_what(&block->der, &type);

    if (what == NULL || type == block->type) {
        return wafcert_refuse(verdict, WAFCERT_KEY_DER,
                              "block %lu of key cannot be read: the DER %s",
                              (u_long) private->block, words);
    }

    if (type == WAFCERT_PEM_ENCRYPTED) {
        return wafcert_refuse(verdict, WAFCERT_KEY_ENCRYPTED,
                              "block %lu of key is %s by its label, but it is "
                              "encrypted with a password",
                              (u_long) private->block,
                              wafcert_pem_type_name(block->type));
    }

    (void) wafcert_refuse(verdict, WAFCERT_KEY_DER,
                          "block %lu of key is %s by its label, but holds %s",
                          (u_long) private->block,
                          wafcert_pem_type_name(block->type), what);
    wafcert_hint(verdict, "the BEGIN and END lines do not fit what is between "
                 "them; export the key again from where it came");

    return NGX_DECLINED;
}


static ngx_int_t
wafcert_pkcs8_read(wafcert_private_t *private, wafcert_pem_block_t *block,
    wafcert_verdict_t *verdict)
{
    u_char         *version, *end;
    ngx_int_t       rc;
    ngx_str_t       number;
    wafcert_der_t   der, inner, algo;
    wafcert_tlv_t   tlv, attributes;

    wafcert_der_init(&der, &block->der);
    (void) wafcert_der_enter(&der, WAFCERT_DER_SEQUENCE, &inner);

    version = inner.p + 2;

    if (wafcert_der_number(&inner, &number) != NGX_OK
        || number.len > 1 || (number.len && number.data[0] != 1)
        || wafcert_der_enter(&inner, WAFCERT_DER_SEQUENCE, &algo) != NGX_OK
        || wafcert_algo_read(&private->public.algo, &algo) != NGX_OK
        || wafcert_der_get(&inner, WAFCERT_DER_OCTETS, &tlv) != NGX_OK)
    {
        return wafcert_private_malformed(private, block,
                                         "is not that of a PKCS#8 key",
                                         verdict);
    }

    rc = wafcert_algo_judge(private, verdict);
    if (rc != NGX_OK) {
        return rc;
    }

    (void) wafcert_der_get(&inner, WAFCERT_DER_CONSTRUCTED(0), &attributes);

    end = inner.p;

    if (number.len) {
        (void) wafcert_der_bits(&inner, WAFCERT_DER_PRIMITIVE(1),
                                &private->embedded);
    }

    if (!wafcert_der_end(&inner)) {
        return wafcert_private_malformed(private, block,
                                         "has unknown members after the key",
                                         verdict);
    }

    if (number.len) {
        wafcert_pkcs8_strip(block, version, end);
    }

    switch (private->public.algo.algo) {

    case WAFCERT_ALGO_RSA:
        return wafcert_pkcs1_read(private, block, &tlv.body, verdict);

    case WAFCERT_ALGO_ED25519:
        return wafcert_ed25519_read(private, block, &tlv.body, verdict);

    default:
        return wafcert_sec1_read(private, block, &tlv.body, verdict);
    }
}


/*
 * OpenSSL 3.0 reads no OneAsymmetricKey (RFC 5958, version 1), so what is
 * stored is the same key as PrivateKeyInfo: without its public half, and of
 * version 0.  The members stay where they are; a shorter length may need
 * a shorter header, which then begins later.
 */

static void
wafcert_pkcs8_strip(wafcert_pem_block_t *block, u_char *version, u_char *end)
{
    size_t   len;
    u_char  *p;

    *version = 0;

    p = version - 2;
    len = end - p;

    if (len < 0x80) {
        *--p = (u_char) len;

    } else {
        *--p = (u_char) (len & 0xff);

        if (len > 0xff) {
            *--p = (u_char) (len >> 8 & 0xff);
        }

        if (len > 0xffff) {
            *--p = (u_char) (len >> 16 & 0xff);
        }

        len = version - 2 - p;
        *--p = (u_char) (0x80 | len);
    }

    *--p = WAFCERT_DER_SEQUENCE;

    block->der.data = p;
    block->der.len = end - p;
}


static ngx_int_t
wafcert_algo_judge(const wafcert_private_t *private,
    wafcert_verdict_t *verdict)
{
    if (private->public.algo.explicit_curve) {
        return wafcert_refuse(verdict, WAFCERT_KEY_EXPLICIT_CURVE,
                              "block %lu of key spells the parameters of its "
                              "curve out instead of naming the curve",
                              (u_long) private->block);
    }

    if (private->public.algo.algo == WAFCERT_ALGO_OTHER) {
        (void) wafcert_refuse(verdict, WAFCERT_KEY_TYPE,
                              "block %lu of key is a private key for %s, "
                              "which is not supported",
                              (u_long) private->block,
                              private->public.algo.name);
        wafcert_hint(verdict, "have a certificate issued for an RSA, EC "
                     "(P-256, P-384, P-521) or Ed25519 key: openssl genpkey "
                     "-algorithm EC -pkeyopt ec_paramgen_curve:P-256 "
                     "-out key.pem");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_pkcs1_read(wafcert_private_t *private,
    const wafcert_pem_block_t *block, const ngx_str_t *der,
    wafcert_verdict_t *verdict)
{
    char           words[96];
    ngx_str_t      version;
    ngx_uint_t     i;
    wafcert_der_t  outer, inner;

    wafcert_der_init(&outer, der);

    if (wafcert_der_enter(&outer, WAFCERT_DER_SEQUENCE, &inner) != NGX_OK
        || !wafcert_der_end(&outer)
        || wafcert_der_number(&inner, &version) != NGX_OK
        || version.len > 1)
    {
        return wafcert_private_malformed(private, block,
                                         "is not that of an RSA private key",
                                         verdict);
    }

    if (version.len) {
        return wafcert_refuse(verdict, WAFCERT_KEY_TYPE,
                              "block %lu of key is a multi-prime RSA key, "
                              "which is not supported",
                              (u_long) private->block);
    }

    for (i = 0; i < WAFCERT_RSA_MEMBERS; i++) {

        if (wafcert_der_number(&inner, &private->rsa[i]) == NGX_OK) {
            continue;
        }

        (void) snprintf(words, sizeof(words),
                        wafcert_der_end(&inner) ? "ends before the %s"
                                 : "has a %s that is negative or not minimal",
                        wafcert_rsa_names[i]);

        return wafcert_private_malformed(private, block, words, verdict);
    }

    if (!wafcert_der_end(&inner)) {
        return wafcert_private_malformed(private, block,
                                         "has more members than an RSA key",
                                         verdict);
    }

    private->public.modulus = private->rsa[WAFCERT_RSA_N];
    private->public.exponent = private->rsa[WAFCERT_RSA_E];
    private->public.bits = wafcert_number_bits(&private->public.modulus);

    return wafcert_pkcs1_judge(private, verdict);
}


/* Bounds what the arithmetic may cost. */

static ngx_int_t
wafcert_pkcs1_judge(const wafcert_private_t *private,
    wafcert_verdict_t *verdict)
{
    ngx_uint_t  i, bits;

    if (private->public.bits > WAFCERT_RSA_MAX_BITS) {
        return wafcert_refuse(verdict, WAFCERT_KEY_TOO_LARGE,
                              "block %lu of key is an RSA key of %lu bits, "
                              "the limit is %d",
                              (u_long) private->block,
                              (u_long) private->public.bits,
                              WAFCERT_RSA_MAX_BITS);
    }

    bits = wafcert_number_bits(&private->public.exponent);

    if (bits > WAFCERT_RSA_MAX_EXPONENT) {
        return wafcert_refuse(verdict, WAFCERT_KEY_TOO_LARGE,
                              "block %lu of key is an RSA key whose public "
                              "exponent has %lu bits, the limit is %d",
                              (u_long) private->block, (u_long) bits,
                              WAFCERT_RSA_MAX_EXPONENT);
    }

    for (i = WAFCERT_RSA_D; i < WAFCERT_RSA_MEMBERS; i++) {

        if (private->rsa[i].len > private->public.modulus.len) {
            return wafcert_refuse(verdict, WAFCERT_KEY_INCONSISTENT,
                                  "block %lu of key is an RSA key whose %s is "
                                  "longer than its modulus",
                                  (u_long) private->block,
                                  wafcert_rsa_names[i]);
        }
    }

    return NGX_OK;
}


/*
 * Inside of PKCS#8 the curve stands outside, and may stand here once more;
 * a SEC1 block has it here only.
 */

static ngx_int_t
wafcert_sec1_read(wafcert_private_t *private,
    const wafcert_pem_block_t *block, const ngx_str_t *der,
    wafcert_verdict_t *verdict)
{
    size_t          bytes;
    ngx_int_t       rc;
    ngx_str_t       version;
    ngx_uint_t      outside;
    wafcert_der_t   outer, inner, curve;
    wafcert_tlv_t   tlv;
    wafcert_algo_t  algo;

    ngx_memzero(&algo, sizeof(wafcert_algo_t));

    wafcert_der_init(&outer, der);

    if (wafcert_der_enter(&outer, WAFCERT_DER_SEQUENCE, &inner) != NGX_OK
        || !wafcert_der_end(&outer)
        || wafcert_der_number(&inner, &version) != NGX_OK
        || version.len != 1 || version.data[0] != 1
        || wafcert_der_get(&inner, WAFCERT_DER_OCTETS, &tlv) != NGX_OK)
    {
        return wafcert_private_malformed(private, block,
                                         "is not that of an EC private key",
                                         verdict);
    }

    private->secret = tlv.body;
    outside = (block->type == WAFCERT_PEM_PKCS8);

    if (wafcert_der_enter(&inner, WAFCERT_DER_CONSTRUCTED(0), &curve)
        == NGX_OK)
    {
        if (wafcert_curve_read(&algo, &curve) != NGX_OK
            || !wafcert_der_end(&curve))
        {
            return wafcert_private_malformed(private, block,
                                    "names its curve in an unknown way",
                                    verdict);
        }

        if (outside && !algo.explicit_curve
            && algo.algo != private->public.algo.algo)
        {
            return wafcert_private_inconsistent(private,
                                                "it names two curves",
                                                verdict);
        }

        private->public.algo = algo;

        rc = wafcert_algo_judge(private, verdict);
        if (rc != NGX_OK) {
            return rc;
        }

    } else if (!outside) {
        (void) wafcert_private_malformed(private, block,
                                         "does not name the key's curve",
                                         verdict);
        wafcert_hint(verdict, "export the key as PKCS#8, which always names "
                     "its curve: openssl pkey -in key.pem -out pkcs8.pem");
        return NGX_DECLINED;
    }

    if (wafcert_der_enter(&inner, WAFCERT_DER_CONSTRUCTED(1), &curve)
        == NGX_OK)
    {
        if (wafcert_der_bits(&curve, WAFCERT_DER_BITS, &private->public.point)
            != NGX_OK
            || !wafcert_der_end(&curve)
            || private->public.point.len == 0)
        {
            return wafcert_private_malformed(private, block,
                                    "has a public key that is none",
                                    verdict);
        }
    }

    bytes = wafcert_ec_bytes[private->public.algo.algo - WAFCERT_ALGO_P256];

    if (!wafcert_der_end(&inner)
        || private->secret.len == 0
        || private->secret.len > bytes)
    {
        return wafcert_private_malformed(private, block,
                                  "has a private value of another length "
                                  "than its curve's, or unknown members",
                                  verdict);
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_ed25519_read(wafcert_private_t *private,
    const wafcert_pem_block_t *block, const ngx_str_t *der,
    wafcert_verdict_t *verdict)
{
    wafcert_der_t  outer;
    wafcert_tlv_t  tlv;

    wafcert_der_init(&outer, der);

    if (wafcert_der_get(&outer, WAFCERT_DER_OCTETS, &tlv) != NGX_OK
        || !wafcert_der_end(&outer)
        || tlv.body.len != 32)
    {
        return wafcert_private_malformed(private, block,
                                  "has no private value of 32 bytes",
                                  verdict);
    }

    private->secret = tlv.body;

    return NGX_OK;
}


ngx_int_t
wafcert_private_check(wafcert_validator_t *validator,
    wafcert_private_t *private, wafcert_verdict_t *verdict)
{
    ngx_int_t  rc;

    if (validator->plain) {
        rc = wafcert_private_load(private, verdict);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    switch (private->public.algo.algo) {

    case WAFCERT_ALGO_RSA:
        rc = wafcert_rsa_check(private, verdict);
        break;

    case WAFCERT_ALGO_ED25519:
        rc = wafcert_ed25519_check(private, verdict);
        break;

    default:
        rc = wafcert_ec_check(validator, private, verdict);
    }

    if (rc != NGX_OK || private->embedded.len == 0) {
        return rc;
    }

    return wafcert_embedded_check(private, verdict);
}


static ngx_int_t
wafcert_private_inconsistent(const wafcert_private_t *private,
    const char *words, wafcert_verdict_t *verdict)
{
    return wafcert_refuse(verdict, WAFCERT_KEY_INCONSISTENT,
                          "block %lu of key is no whole key: %s",
                          (u_long) private->block, words);
}


/*
 * The plain path: what OpenSSL makes of the key is judged instead of what
 * stands in the DER.
 */

static ngx_int_t
wafcert_private_load(wafcert_private_t *private, wafcert_verdict_t *verdict)
{
    const u_char  *p;

    p = private->der.data;

    private->pkey = d2i_AutoPrivateKey(NULL, &p, (long) private->der.len);

    if (private->pkey == NULL || p != private->der.data + private->der.len) {
        return wafcert_private_inconsistent(private, "OpenSSL refuses it",
                                            verdict);
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_rsa_check(wafcert_private_t *private, wafcert_verdict_t *verdict)
{
    BIGNUM      *bn[WAFCERT_RSA_MEMBERS];
    BN_CTX      *ctx;
    ngx_int_t    rc;
    ngx_uint_t   i;
    const char  *fault;

    ngx_memzero(bn, sizeof(bn));

    /* not the validator's: it is cleansed when it is freed */

    ctx = BN_CTX_new();
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    rc = wafcert_rsa_members(private, bn);

    if (rc == NGX_OK) {
        fault = wafcert_rsa_fault(bn, ctx);

        if (fault) {
            rc = wafcert_private_inconsistent(private, fault, verdict);
        }
    }

    for (i = 0; i < WAFCERT_RSA_MEMBERS; i++) {
        BN_clear_free(bn[i]);
    }

    BN_CTX_free(ctx);

    return rc;
}


static ngx_int_t
wafcert_rsa_members(const wafcert_private_t *private, BIGNUM **bn)
{
    ngx_uint_t  i;

    static const char  *names[] = {
        OSSL_PKEY_PARAM_RSA_N,
        OSSL_PKEY_PARAM_RSA_E,
        OSSL_PKEY_PARAM_RSA_D,
        OSSL_PKEY_PARAM_RSA_FACTOR1,
        OSSL_PKEY_PARAM_RSA_FACTOR2,
        OSSL_PKEY_PARAM_RSA_EXPONENT1,
        OSSL_PKEY_PARAM_RSA_EXPONENT2,
        OSSL_PKEY_PARAM_RSA_COEFFICIENT1
    };

    for (i = 0; i < WAFCERT_RSA_MEMBERS; i++) {

        if (private->pkey) {
            (void) EVP_PKEY_get_bn_param(private->pkey, names[i], &bn[i]);

            /* OpenSSL has no parameter for a member that is zero */

            if (bn[i] == NULL) {
                bn[i] = BN_new();
            }

        } else {
            bn[i] = BN_bin2bn(private->rsa[i].data,
                              (int) private->rsa[i].len, NULL);
        }

        if (bn[i] == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * The arithmetic that EVP_PKEY_check() would do, without its primality
 * tests, which take 36 to 260 ms.
 */

static const char *
wafcert_rsa_fault(BIGNUM **bn, BN_CTX *ctx)
{
    BIGNUM      *product;
    const char  *fault;

    if (!BN_is_odd(bn[WAFCERT_RSA_E]) || BN_is_one(bn[WAFCERT_RSA_E])) {
        return "its public exponent is even, or one";
    }

    if (!BN_is_odd(bn[WAFCERT_RSA_P]) || BN_is_one(bn[WAFCERT_RSA_P])
        || !BN_is_odd(bn[WAFCERT_RSA_Q]) || BN_is_one(bn[WAFCERT_RSA_Q]))
    {
        return "a prime is even, or one";
    }

    BN_CTX_start(ctx);

    product = BN_CTX_get(ctx);

    if (product == NULL
        || !BN_mul(product, bn[WAFCERT_RSA_P], bn[WAFCERT_RSA_Q], ctx))
    {
        fault = "its primes cannot be multiplied";

    } else if (BN_cmp(product, bn[WAFCERT_RSA_N]) != 0) {
        fault = "the modulus is not the product of the two primes";

    } else {
        fault = wafcert_rsa_prime_fault(bn, WAFCERT_RSA_P, WAFCERT_RSA_DP,
                                        ctx);
    }

    if (fault == NULL) {
        fault = wafcert_rsa_prime_fault(bn, WAFCERT_RSA_Q, WAFCERT_RSA_DQ,
                                        ctx);
    }

    if (fault == NULL) {

        if (!BN_mod_mul(product, bn[WAFCERT_RSA_QI], bn[WAFCERT_RSA_Q],
                        bn[WAFCERT_RSA_P], ctx)
            || !BN_is_one(product))
        {
            fault = "the CRT coefficient does not fit the primes";
        }
    }

    BN_CTX_end(ctx);

    return fault;
}


static const char *
wafcert_rsa_prime_fault(BIGNUM **bn, wafcert_rsa_member_e prime,
    wafcert_rsa_member_e crt, BN_CTX *ctx)
{
    BIGNUM      *less, *reduced;
    const char  *fault;

    BN_CTX_start(ctx);

    less = BN_CTX_get(ctx);
    reduced = BN_CTX_get(ctx);

    if (reduced == NULL
        || !BN_sub(less, bn[prime], BN_value_one())
        || !BN_mod(reduced, bn[WAFCERT_RSA_D], less, ctx)
        || BN_cmp(reduced, bn[crt]) != 0)
    {
        fault = "a CRT exponent does not fit the private exponent";

    } else if (!BN_mod_mul(reduced, reduced, bn[WAFCERT_RSA_E], less, ctx)
               || !BN_is_one(reduced))
    {
        fault = "the private exponent does not belong to the public one";

    } else {
        fault = NULL;
    }

    BN_CTX_end(ctx);

    return fault;
}


static ngx_int_t
wafcert_ec_check(wafcert_validator_t *validator, wafcert_private_t *private,
    wafcert_verdict_t *verdict)
{
    u_char          declared[WAFCERT_PUBLIC_MAX];
    ngx_int_t       rc;
    ngx_str_t       point;
    const char     *fault;
    const EC_GROUP *group;

    group = validator->groups[private->public.algo.algo - WAFCERT_ALGO_P256];

    point = private->public.point;

    if (private->pkey) {
        point.data = declared;

        if (!EVP_PKEY_get_octet_string_param(private->pkey,
                                             OSSL_PKEY_PARAM_PUB_KEY,
                                             declared, sizeof(declared),
                                             &point.len))
        {
            return wafcert_private_inconsistent(private,
                                       "OpenSSL sees no public key in it",
                                       verdict);
        }
    }

    rc = wafcert_ec_compute(group, private, &fault);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_OK && point.len
        && !wafcert_point_equal(&private->public.point, &point))
    {
        rc = NGX_DECLINED;
        fault = "its public point is not that of its private value";
    }

    if (rc == NGX_DECLINED) {
        return wafcert_private_inconsistent(private, fault, verdict);
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_ec_compute(const EC_GROUP *group, wafcert_private_t *private,
    const char **fault)
{
    BIGNUM     *d;
    BN_CTX     *ctx;
    EC_POINT   *point;
    ngx_int_t   rc;
    ngx_str_t  *public;

    d = NULL;
    rc = NGX_ERROR;
    point = EC_POINT_new(group);
    ctx = BN_CTX_new();

    if (point == NULL || ctx == NULL) {
        goto done;
    }

    if (private->pkey) {
        (void) EVP_PKEY_get_bn_param(private->pkey, OSSL_PKEY_PARAM_PRIV_KEY,
                                     &d);
    } else {
        d = BN_bin2bn(private->secret.data, (int) private->secret.len, NULL);
    }

    if (d == NULL) {
        goto done;
    }

    if (BN_is_zero(d) || BN_cmp(d, EC_GROUP_get0_order(group)) >= 0) {
        *fault = "its private value is out of the curve's range";
        rc = NGX_DECLINED;
        goto done;
    }

    public = &private->public.point;

    if (!EC_POINT_mul(group, point, d, NULL, NULL, ctx)) {
        goto done;
    }

    public->data = private->buf;
    public->len = EC_POINT_point2oct(group, point,
                                     POINT_CONVERSION_UNCOMPRESSED,
                                     private->buf, sizeof(private->buf), ctx);

    if (public->len) {
        rc = NGX_OK;
    }

done:

    BN_clear_free(d);
    EC_POINT_clear_free(point);
    BN_CTX_free(ctx);

    return rc;
}


static ngx_int_t
wafcert_ed25519_check(wafcert_private_t *private, wafcert_verdict_t *verdict)
{
    size_t     len;
    EVP_PKEY  *pkey;

    pkey = private->pkey;

    if (pkey == NULL) {
        pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
                                            private->secret.data,
                                            private->secret.len);
        if (pkey == NULL) {
            return NGX_ERROR;
        }

        private->pkey = pkey;
    }

    len = sizeof(private->buf);

    if (!EVP_PKEY_get_raw_public_key(pkey, private->buf, &len)) {
        return NGX_ERROR;
    }

    private->public.point.data = private->buf;
    private->public.point.len = len;

    return NGX_OK;
}


/* By now private->public is proved. */

static ngx_int_t
wafcert_embedded_check(wafcert_private_t *private,
    wafcert_verdict_t *verdict)
{
    wafcert_public_t  embedded;

    embedded = private->public;

    if (private->public.algo.algo != WAFCERT_ALGO_RSA) {
        embedded.point = private->embedded;

    } else if (wafcert_rsa_public_read(&embedded, &private->embedded)
               != NGX_OK)
    {
        embedded.modulus.len = 0;
    }

    if (wafcert_public_equal(&private->public, &embedded)) {
        return NGX_OK;
    }

    return wafcert_private_inconsistent(private,
                          "the public key beside it is not that of its "
                          "private value", verdict);
}
