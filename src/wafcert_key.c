
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_der.h"
#include "wafcert_key.h"


static void wafcert_private_types(wafcert_pem_t *pem);
static ngx_int_t wafcert_private_choose(wafcert_private_t *private,
    const wafcert_pem_t *pem, wafcert_verdict_t *verdict);
static ngx_uint_t wafcert_private_is(wafcert_pem_type_e type);
static ngx_int_t wafcert_private_members(wafcert_private_t *private,
    wafcert_pem_block_t *block, wafcert_verdict_t *verdict);
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
static ngx_int_t wafcert_pkcs1_lacks(const wafcert_private_t *private,
    ngx_uint_t member, wafcert_reason_e reason, wafcert_verdict_t *verdict);
static ngx_int_t wafcert_pkcs1_judge(const wafcert_private_t *private,
    wafcert_verdict_t *verdict);
static ngx_int_t wafcert_sec1_read(wafcert_private_t *private,
    const wafcert_pem_block_t *block, const ngx_str_t *der,
    wafcert_verdict_t *verdict);
static ngx_int_t wafcert_ed25519_read(wafcert_private_t *private,
    const wafcert_pem_block_t *block, const ngx_str_t *der,
    wafcert_verdict_t *verdict);


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
wafcert_private_read(wafcert_private_t *private, wafcert_pem_t *pem,
    wafcert_key_t *key, wafcert_verdict_t *verdict)
{
    ngx_int_t             rc;
    wafcert_pem_block_t  *block;

    ngx_memzero(private, sizeof(wafcert_private_t));

    wafcert_private_types(pem);

    rc = wafcert_private_choose(private, pem, verdict);
    if (rc != NGX_OK) {
        return rc;
    }

    block = &pem->blocks[private->block - 1];

    rc = wafcert_private_members(private, block, verdict);

    key->der = block->der;
    key->type = block->type;

    private->der = block->der;

    return rc;
}


ngx_int_t
wafcert_private_reread(wafcert_private_t *private, const wafcert_key_t *key)
{
    wafcert_verdict_t    verdict;
    wafcert_pem_block_t  block;

    ngx_memzero(private, sizeof(wafcert_private_t));
    ngx_memzero(&block, sizeof(wafcert_pem_block_t));

    private->block = 1;
    private->der = key->der;

    block.der = key->der;
    block.type = key->type;

    return wafcert_private_members(private, &block, &verdict);
}


static ngx_int_t
wafcert_private_members(wafcert_private_t *private,
    wafcert_pem_block_t *block, wafcert_verdict_t *verdict)
{
    char  words[96];

    if (wafcert_der_whole(&block->der, words, sizeof(words)) != NGX_OK) {
        return wafcert_private_malformed(private, block, words, verdict);
    }

    switch (block->type) {

    case WAFCERT_PEM_PKCS8:
        return wafcert_pkcs8_read(private, block, verdict);

    case WAFCERT_PEM_PKCS1:
        private->public.algo.algo = WAFCERT_ALGO_RSA;
        private->public.algo.name = "RSA";

        return wafcert_pkcs1_read(private, block, &block->der, verdict);

    default:  /* WAFCERT_PEM_SEC1 */
        return wafcert_sec1_read(private, block, &block->der, verdict);
    }
}


void
wafcert_private_free(wafcert_private_t *private)
{
    EVP_PKEY_free(private->pkey);
    private->pkey = NULL;
}


/*
 * A key is what it holds, as for OpenSSL: labels are changed by hand.  Of those
 * that Proc-Type says are encrypted there is no DER.
 */

static void
wafcert_private_types(wafcert_pem_t *pem)
{
    ngx_uint_t            i;
    wafcert_pem_type_e    type;
    wafcert_pem_block_t  *block;

    for (i = 0; i < pem->nblocks; i++) {
        block = &pem->blocks[i];

        if (wafcert_private_is(block->type)
            && wafcert_der_what(&block->der, &type)
            && (type == WAFCERT_PEM_PKCS8 || type == WAFCERT_PEM_PKCS1
                || type == WAFCERT_PEM_SEC1))
        {
            block->type = type;
        }
    }
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
    case WAFCERT_PEM_CSR:
    case WAFCERT_PEM_PKCS7:
        return wafcert_refuse(verdict, WAFCERT_KEY_IS_CERTIFICATE,
                              "key holds %s in block %lu and no private key",
                              wafcert_pem_type_name(block->type),
                              (u_long) i + 1);

    case WAFCERT_PEM_PUBLIC:
        return wafcert_refuse(verdict, WAFCERT_KEY_IS_PUBLIC,
                              "key holds %s in block %lu and no private key",
                              wafcert_pem_type_name(block->type),
                              (u_long) i + 1);

    case WAFCERT_PEM_PKCS12:
        return wafcert_refuse(verdict, WAFCERT_KEY_IS_PKCS12,
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
                     "ssh-keygen -p -m pkcs8 -N '' -f key, which converts "
                     "RSA and ECDSA keys; for an Ed25519 key that it leaves "
                     "as it is, have a certificate issued for a new one");
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
    wafcert_der_t   der, inner, algo, tagged;
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

    private->attributes = wafcert_der_get(&inner, WAFCERT_DER_CONSTRUCTED(0),
                                          &attributes)
                          == NGX_OK;

    end = inner.p;

    /* older ring and rcgen tagged the public half explicitly */

    if (number.len
        && wafcert_der_bits(&inner, WAFCERT_DER_PRIMITIVE(1),
                            &private->embedded) != NGX_OK
        && wafcert_der_enter(&inner, WAFCERT_DER_CONSTRUCTED(1), &tagged)
           == NGX_OK
        && (wafcert_der_bits(&tagged, WAFCERT_DER_BITS, &private->embedded)
            != NGX_OK
            || !wafcert_der_end(&tagged)))
    {
        return wafcert_private_malformed(private, block,
                                         "has a public key that is none",
                                         verdict);
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
    char                words[96];
    ngx_str_t           version;
    ngx_uint_t          i;
    wafcert_der_t       outer, inner;
    wafcert_pem_type_e  type;

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

        if (wafcert_der_end(&inner) || *inner.p != WAFCERT_DER_INTEGER) {
            return wafcert_private_malformed(private, block,
                                         "is not that of an RSA private key",
                                         verdict);
        }

        (void) wafcert_refuse(verdict, WAFCERT_KEY_TYPE,
                              "block %lu of key is a multi-prime RSA key, "
                              "which is not supported",
                              (u_long) private->block);
        wafcert_hint(verdict, "have a certificate issued for a key of two "
                     "primes: openssl genpkey -algorithm RSA "
                     "-pkeyopt rsa_keygen_bits:3072 -out key.pem");
        return NGX_DECLINED;
    }

    for (i = 0; i < WAFCERT_RSA_MEMBERS; i++) {

        if (wafcert_der_number(&inner, &private->rsa[i]) == NGX_OK) {
            continue;
        }

        if (i > WAFCERT_RSA_D && wafcert_der_end(&inner)
            && wafcert_der_what(der, &type) == NULL)
        {
            return wafcert_pkcs1_lacks(private, i, WAFCERT_KEY_DER, verdict);
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

    for (i = WAFCERT_RSA_D; i < WAFCERT_RSA_MEMBERS; i++) {
        if (private->rsa[i].len == 0) {
            return wafcert_pkcs1_lacks(private, i, WAFCERT_KEY_INCONSISTENT,
                                       verdict);
        }
    }

    private->public.modulus = private->rsa[WAFCERT_RSA_N];
    private->public.exponent = private->rsa[WAFCERT_RSA_E];
    private->public.bits = wafcert_number_bits(&private->public.modulus);

    return wafcert_pkcs1_judge(private, verdict);
}


/* Some programs write the modulus and the exponents alone, or zeros. */

static ngx_int_t
wafcert_pkcs1_lacks(const wafcert_private_t *private, ngx_uint_t member,
    wafcert_reason_e reason, wafcert_verdict_t *verdict)
{
    (void) wafcert_refuse(verdict, reason,
                          "block %lu of key is an RSA key that lacks its %s",
                          (u_long) private->block, wafcert_rsa_names[member]);
    wafcert_hint(verdict, "export the key again with its primes and CRT "
                 "values, which can be computed from the others");

    return NGX_DECLINED;
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
        wafcert_hint(verdict, "export the key again from where it came, as "
                     "PKCS#8, which always names the curve");
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

    /* some have written it as an INTEGER, with a byte for its sign */

    while (private->secret.len > bytes && private->secret.data[0] == 0) {
        private->secret.data++;
        private->secret.len--;
    }

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

    if (der->len == 32 || der->len == 64
        || (der->len == 66 && der->data[0] == WAFCERT_DER_OCTETS
            && der->data[1] == 64))
    {
        (void) wafcert_refuse(verdict, WAFCERT_KEY_DER,
                              "block %lu of key is an Ed25519 key that some "
                              "library wrote in a way of its own: %s",
                              (u_long) private->block,
                              der->len == 32 ? "without the OCTET STRING "
                              "around its 32 bytes"
                              : "with its public half behind its 32 bytes");
        wafcert_hint(verdict, "export the key again as PKCS#8 (RFC 8410), so "
                     "that OpenSSL reads it: openssl pkey -in key.pem -noout");
        return NGX_DECLINED;
    }

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
wafcert_private_inconsistent(const wafcert_private_t *private,
    const char *words, wafcert_verdict_t *verdict)
{
    return wafcert_refuse(verdict, WAFCERT_KEY_INCONSISTENT,
                          "block %lu of key is no whole key: %s",
                          (u_long) private->block, words);
}
