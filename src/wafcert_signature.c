
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/objects.h>
#include "wafcert_der.h"
#include "wafcert_x509.h"


/* of the budget, for one signature */
#define WAFCERT_SIGNATURE_DEAR  4


static ngx_uint_t wafcert_public_signs(const wafcert_public_t *public,
    int signer);
static ngx_uint_t wafcert_public_level(wafcert_validator_t *validator,
    wafcert_x509_t *cert);
static ngx_uint_t wafcert_signature_level(wafcert_validator_t *validator,
    wafcert_x509_t *cert);
static ngx_uint_t wafcert_bits_level(int bits);
static int wafcert_x509_pss_digest(const X509_ALGOR *algo);
static wafcert_memo_t *wafcert_x509_memo(wafcert_validator_t *validator,
    const wafcert_x509_t *cert, const wafcert_x509_t *issuer);
static ngx_uint_t wafcert_x509_cost(const wafcert_public_t *public);
static ngx_uint_t wafcert_x509_only_pss(wafcert_validator_t *validator,
    const wafcert_x509_t *cert, wafcert_x509_t *issuer);
static ngx_int_t wafcert_x509_verify(wafcert_validator_t *validator,
    wafcert_x509_t *cert, wafcert_x509_t *issuer);
static ngx_int_t wafcert_x509_verify_plain(const wafcert_x509_t *cert,
    EVP_PKEY *pkey);
static ngx_int_t wafcert_x509_verify_digest(wafcert_validator_t *validator,
    const wafcert_x509_t *cert, wafcert_x509_t *issuer, const EVP_MD *md);
static EVP_PKEY_CTX *wafcert_x509_verifier(wafcert_x509_t *issuer,
    const EVP_MD *md, int digest);
static ngx_int_t wafcert_x509_verify_message(const wafcert_x509_t *cert,
    EVP_PKEY *pkey);


void
wafcert_x509_signature(wafcert_x509_t *cert)
{
    int                 nid;
    const X509_ALGOR   *algo;
    const ASN1_OBJECT  *object;

    X509_get0_signature(NULL, &algo, cert->x509);
    X509_ALGOR_get0(&object, NULL, NULL, algo);

    nid = OBJ_obj2nid(object);

    if (nid == NID_rsassaPss) {
        cert->signer = NID_rsassaPss;
        cert->digest = wafcert_x509_pss_digest(algo);
        return;
    }

    if (!OBJ_find_sigid_algs(nid, &cert->digest, &cert->signer)) {
        cert->digest = NID_undef;
        cert->signer = NID_undef;
    }
}


/*
 * What OpenSSL does not know is sent, for clients may know it: see
 * ngx_http_wafcert_tls_cache.c.
 */

ngx_uint_t
wafcert_x509_level(wafcert_validator_t *validator, wafcert_x509_t *cert)
{
    ngx_uint_t  key, signature;

    key = wafcert_public_level(validator, cert);

    /* nobody verifies the signature of what is trusted by itself */

    if (cert->self_signed && wafcert_public_signs(&cert->public, cert->signer))
    {
        return key;
    }

    signature = wafcert_signature_level(validator, cert);

    return ngx_min(key, signature);
}


/* Whether such a key may have made such a signature. */

static ngx_uint_t
wafcert_public_signs(const wafcert_public_t *public, int signer)
{
    switch (public->algo.algo) {

    case WAFCERT_ALGO_RSA:
        return signer == NID_rsaEncryption || signer == NID_rsassaPss;

    case WAFCERT_ALGO_P256:
    case WAFCERT_ALGO_P384:
    case WAFCERT_ALGO_P521:
        return signer == NID_X9_62_id_ecPublicKey;

    case WAFCERT_ALGO_ED25519:
        return signer == NID_ED25519;

    default:
        return 0;
    }
}


static ngx_uint_t
wafcert_public_level(wafcert_validator_t *validator, wafcert_x509_t *cert)
{
    EVP_PKEY    *pkey;
    ngx_uint_t   i;

    static const ngx_uint_t  rsa[] = { 1024, 2048, 3072, 7680, 15360 };

    switch (cert->public.algo.algo) {

    case WAFCERT_ALGO_RSA:
        for (i = 0;
             i < WAFCERT_LEVEL_MAX && cert->public.bits >= rsa[i];
             i++)
        {
            /* void */
        }

        return i;

    case WAFCERT_ALGO_P256:
    case WAFCERT_ALGO_ED25519:
        return 3;

    case WAFCERT_ALGO_P384:
        return 4;

    case WAFCERT_ALGO_P521:
        return 5;

    default:
        pkey = (wafcert_x509_open(validator, cert) == NGX_OK)
               ? wafcert_x509_pkey(validator, cert) : NULL;

        return pkey ? wafcert_bits_level(EVP_PKEY_get_security_bits(pkey))
                    : WAFCERT_LEVEL_MAX;
    }
}


static ngx_uint_t
wafcert_signature_level(wafcert_validator_t *validator, wafcert_x509_t *cert)
{
    int  bits;

    switch (cert->digest) {

    case NID_md2:
    case NID_md4:
    case NID_md5:
    case NID_md5_sha1:
    case NID_mdc2:
    case NID_ripemd160:
    case NID_sha1:
        return 0;

    case NID_sha256:
    case NID_sha512_256:
    case NID_sha3_256:
        return 3;

    case NID_sha384:
    case NID_sha3_384:
        return 4;

    case NID_sha512:
    case NID_sha3_512:
        return 5;
    }

    if (cert->digest == NID_undef && cert->signer == NID_undef) {
        return WAFCERT_LEVEL_MAX;
    }

    if (wafcert_x509_open(validator, cert) != NGX_OK
        || !X509_get_signature_info(cert->x509, NULL, NULL, &bits, NULL))
    {
        /* ML-DSA, of which OpenSSL 3.5 knows more than this context of it */

        return cert->digest == NID_undef ? WAFCERT_LEVEL_MAX : 0;
    }

    return wafcert_bits_level(bits);
}


/* as SSL_CTX_set_security_level(3) has it */

static ngx_uint_t
wafcert_bits_level(int bits)
{
    ngx_uint_t  i;

    static const int  least[] = { 80, 112, 128, 192, 256 };

    for (i = 0; i < WAFCERT_LEVEL_MAX && bits >= least[i]; i++) {
        /* void */
    }

    return i;
}


ngx_int_t
wafcert_x509_signed_by(wafcert_validator_t *validator, wafcert_x509_t *cert,
    wafcert_x509_t *issuer)
{
    ngx_int_t        rc;
    ngx_uint_t       cost;
    wafcert_memo_t  *memo;

    memo = wafcert_x509_memo(validator, cert, issuer);

    if (memo) {
        return memo->rc;
    }

    cost = wafcert_x509_cost(&issuer->public);

    if (cost == 0) {
        return wafcert_x509_only_pss(validator, cert, issuer) ? NGX_DECLINED
                                                              : NGX_AGAIN;
    }

    if (cost > validator->budget) {
        return validator->patient ? NGX_BUSY : NGX_AGAIN;
    }

    validator->budget -= cost;

    rc = wafcert_x509_verify(validator, cert, issuer);

    /* a leaf is seen once, but for what takes more than one turn */

    if (validator->plain || (!cert->cached && cost < WAFCERT_SIGNATURE_DEAR)) {
        return rc;
    }

    memo = &validator->memos[validator->nmemos++ % WAFCERT_MEMO_SIZE];

    memo->rc = rc;
    ngx_memcpy(memo->cert, cert->sha256, WAFCERT_SHA256_LEN);
    ngx_memcpy(memo->issuer, issuer->sha256, WAFCERT_SHA256_LEN);

    return rc;
}


static wafcert_memo_t *
wafcert_x509_memo(wafcert_validator_t *validator, const wafcert_x509_t *cert,
    const wafcert_x509_t *issuer)
{
    ngx_uint_t       i, n;
    wafcert_memo_t  *memo;

    n = validator->plain ? 0 : ngx_min(validator->nmemos, WAFCERT_MEMO_SIZE);

    for (i = 0; i < n; i++) {
        memo = &validator->memos[i];

        if (ngx_memcmp(memo->cert, cert->sha256, WAFCERT_SHA256_LEN) == 0
            && ngx_memcmp(memo->issuer, issuer->sha256, WAFCERT_SHA256_LEN)
               == 0)
        {
            return memo;
        }
    }

    return NULL;
}


/*
 * RFC 4055, 3.1: the digest is in [0], and SHA-1 if that is absent.  No
 * other one needs to be told apart.
 */

static int
wafcert_x509_pss_digest(const X509_ALGOR *algo)
{
    int             type;
    ngx_str_t       params;
    const void     *value;
    wafcert_der_t   der, sequence, tagged, digest;
    wafcert_tlv_t   oid;

    static const u_char  sha1[] = { 0x2b, 0x0e, 0x03, 0x02, 0x1a };

    X509_ALGOR_get0(NULL, &type, &value, algo);

    if (type != V_ASN1_SEQUENCE) {
        return NID_undef;
    }

    params.data = (u_char *) ASN1_STRING_get0_data(value);
    params.len = ASN1_STRING_length(value);

    wafcert_der_init(&der, &params);

    if (wafcert_der_enter(&der, WAFCERT_DER_SEQUENCE, &sequence) != NGX_OK) {
        return NID_undef;
    }

    if (wafcert_der_enter(&sequence, WAFCERT_DER_CONSTRUCTED(0), &tagged)
        != NGX_OK)
    {
        return NID_sha1;
    }

    if (wafcert_der_enter(&tagged, WAFCERT_DER_SEQUENCE, &digest) == NGX_OK
        && wafcert_der_get(&digest, WAFCERT_DER_OID, &oid) == NGX_OK
        && oid.body.len == sizeof(sha1)
        && ngx_memcmp(oid.body.data, sha1, sizeof(sha1)) == 0)
    {
        return NID_sha1;
    }

    return NID_undef;
}


/*
 * Of the budget, for one signature; 0: nobody knows, or more than 1 ms.
 * P-384 has no fast code in OpenSSL 3.0.
 */

static ngx_uint_t
wafcert_x509_cost(const wafcert_public_t *public)
{
    ngx_uint_t  cost;

    switch (public->algo.algo) {

    case WAFCERT_ALGO_RSA:
        cost = public->bits * public->bits / (4096 * 4096);
        cost = 1 + cost * (1 + public->exponent.len / 4);

        return (public->exponent.len <= 8 && cost <= 10) ? cost : 0;

    case WAFCERT_ALGO_P256:
        return 1;

    case WAFCERT_ALGO_P384:
        return 8;

    case WAFCERT_ALGO_P521:
        return 4;

    case WAFCERT_ALGO_ED25519:
        return 2;

    default:
        return 0;
    }
}


/* RFC 4055, 1.2: a key for RSASSA-PSS alone makes no other signature. */

static ngx_uint_t
wafcert_x509_only_pss(wafcert_validator_t *validator,
    const wafcert_x509_t *cert, wafcert_x509_t *issuer)
{
    EVP_PKEY  *pkey;

    if (cert->signer == NID_undef || cert->signer == NID_rsassaPss) {
        return 0;
    }

    pkey = wafcert_x509_pkey(validator, issuer);

    return pkey && EVP_PKEY_is_a(pkey, "RSA-PSS");
}


EVP_PKEY *
wafcert_x509_pkey(wafcert_validator_t *validator, wafcert_x509_t *cert)
{
    size_t         left;
    const u_char  *p;

    if (cert->pkey) {
        return cert->pkey;
    }

    /* such a curve may be one of which OpenSSL takes 0.1 s to find a point */

    if (cert->public.algo.explicit_curve) {
        return NULL;
    }

    p = cert->spki.data;
    left = cert->spki.len;

    validator->pkey = NULL;

    if (OSSL_DECODER_from_data(validator->decoder, &p, &left)) {
        cert->pkey = validator->pkey;

    } else {
        EVP_PKEY_free(validator->pkey);
    }

    validator->pkey = NULL;

    return cert->pkey;
}


/*
 * A key that cannot have made such a signature has not made it, nor has one
 * that is none.
 */

static ngx_int_t
wafcert_x509_verify(wafcert_validator_t *validator, wafcert_x509_t *cert,
    wafcert_x509_t *issuer)
{
    EVP_MD    *md;
    EVP_PKEY  *pkey;

    if (cert->algorithms_differ) {
        return NGX_DECLINED;
    }

    pkey = wafcert_x509_pkey(validator, issuer);
    if (pkey == NULL) {
        return NGX_DECLINED;
    }

    if (validator->plain || cert->signer == NID_undef
        || cert->signer == NID_rsassaPss || cert->signature.len == 0)
    {
        return wafcert_x509_verify_plain(cert, pkey);
    }

    if (!wafcert_public_signs(&issuer->public, cert->signer)) {
        return NGX_DECLINED;
    }

    switch (cert->digest) {

    case NID_sha256:
        md = validator->sha256;
        break;

    case NID_sha384:
        md = validator->sha384;
        break;

    case NID_sha512:
        md = validator->sha512;
        break;

    default:
        return wafcert_x509_verify_message(cert, pkey);
    }

    return wafcert_x509_verify_digest(validator, cert, issuer, md);
}


/* As any program would, with whatever algorithms OpenSSL has. */

static ngx_int_t
wafcert_x509_verify_plain(const wafcert_x509_t *cert, EVP_PKEY *pkey)
{
    X509          *x509;
    ngx_int_t      rc;
    const u_char  *p;

    if (cert->public.algo.explicit_curve) {
        return NGX_AGAIN;
    }

    p = cert->der.data;

    x509 = d2i_X509(NULL, &p, (long) cert->der.len);
    if (x509 == NULL) {
        return NGX_AGAIN;
    }

    if (X509_verify(x509, pkey) == 1) {
        rc = NGX_OK;

    } else {
        rc = (cert->signer == NID_undef) ? NGX_AGAIN : NGX_DECLINED;
    }

    X509_free(x509);

    return rc;
}


/* As below, without what that looks up and makes each time. */

static ngx_int_t
wafcert_x509_verify_digest(wafcert_validator_t *validator,
    const wafcert_x509_t *cert, wafcert_x509_t *issuer, const EVP_MD *md)
{
    u_char         digest[EVP_MAX_MD_SIZE];
    unsigned int   len;
    EVP_PKEY_CTX  *ctx;

    ctx = wafcert_x509_verifier(issuer, md, cert->digest);

    if (ctx
        && EVP_DigestInit_ex(validator->md, md, NULL)
        && EVP_DigestUpdate(validator->md, cert->tbs.data, cert->tbs.len)
        && EVP_DigestFinal_ex(validator->md, digest, &len)
        && EVP_PKEY_verify(ctx, cert->signature.data, cert->signature.len,
                           digest, len)
           == 1)
    {
        return NGX_OK;
    }

    return NGX_DECLINED;
}


/* A CA signs with one digest, as a rule. */

static EVP_PKEY_CTX *
wafcert_x509_verifier(wafcert_x509_t *issuer, const EVP_MD *md, int digest)
{
    if (issuer->verifier && issuer->verifies == digest) {
        return issuer->verifier;
    }

    EVP_PKEY_CTX_free(issuer->verifier);

    issuer->verifier = EVP_PKEY_CTX_new_from_pkey(NULL, issuer->pkey, NULL);
    issuer->verifies = digest;

    if (issuer->verifier
        && EVP_PKEY_verify_init(issuer->verifier) == 1
        && EVP_PKEY_CTX_set_signature_md(issuer->verifier, md) == 1)
    {
        return issuer->verifier;
    }

    EVP_PKEY_CTX_free(issuer->verifier);
    issuer->verifier = NULL;

    return NULL;
}


static ngx_int_t
wafcert_x509_verify_message(const wafcert_x509_t *cert, EVP_PKEY *pkey)
{
    ngx_int_t    rc;
    const char  *digest;
    EVP_MD_CTX  *md;

    md = EVP_MD_CTX_new();
    if (md == NULL) {
        return NGX_AGAIN;
    }

    digest = (cert->digest == NID_undef) ? NULL : OBJ_nid2sn(cert->digest);

    rc = NGX_DECLINED;

    if (EVP_DigestVerifyInit_ex(md, NULL, digest, NULL, NULL, pkey, NULL)
        && EVP_DigestVerify(md, cert->signature.data, cert->signature.len,
                            cert->tbs.data, cert->tbs.len)
           == 1)
    {
        rc = NGX_OK;
    }

    EVP_MD_CTX_free(md);

    return rc;
}
