
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include "wafcert_key.h"
#include "wafcert_x509.h"


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
static ngx_uint_t wafcert_ec_cost(wafcert_algo_e algo);
static ngx_int_t wafcert_ec_compute(const EC_GROUP *group,
    wafcert_private_t *private, const char **fault);
static ngx_int_t wafcert_ec_compare(const EC_GROUP *group,
    const EC_POINT *point, const ngx_str_t *declared, BN_CTX *ctx);
static ngx_int_t wafcert_ed25519_check(wafcert_private_t *private,
    wafcert_verdict_t *verdict);
static ngx_int_t wafcert_embedded_check(wafcert_private_t *private,
    wafcert_verdict_t *verdict);
static EVP_PKEY *wafcert_rsa_pkey(const wafcert_private_t *private);
static EVP_PKEY *wafcert_ec_pkey(const wafcert_private_t *private);
static EVP_PKEY *wafcert_pkey_build(const char *type, OSSL_PARAM_BLD *bld);
static BIGNUM *wafcert_secret_number(const ngx_str_t *number);


/* in the order of wafcert_rsa_member_e */

static const char  *wafcert_rsa_params[] = {
    OSSL_PKEY_PARAM_RSA_N,
    OSSL_PKEY_PARAM_RSA_E,
    OSSL_PKEY_PARAM_RSA_D,
    OSSL_PKEY_PARAM_RSA_FACTOR1,
    OSSL_PKEY_PARAM_RSA_FACTOR2,
    OSSL_PKEY_PARAM_RSA_EXPONENT1,
    OSSL_PKEY_PARAM_RSA_EXPONENT2,
    OSSL_PKEY_PARAM_RSA_COEFFICIENT1
};


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

    for (i = 0; i < WAFCERT_RSA_MEMBERS; i++) {

        if (private->pkey) {
            (void) EVP_PKEY_get_bn_param(private->pkey, wafcert_rsa_params[i],
                                         &bn[i]);

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

    validator->budget -= wafcert_ec_cost(private->public.algo.algo);

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


/* Of the budget.  OpenSSL 3.0 has fast code for P-256 and P-521 only. */

static ngx_uint_t
wafcert_ec_cost(wafcert_algo_e algo)
{
    switch (algo) {

    case WAFCERT_ALGO_P384:
        return 6;

    case WAFCERT_ALGO_P521:
        return 1;

    default:
        return 0;
    }
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

    if (private->pkey == NULL && public->len
        && public->data[0] == POINT_CONVERSION_UNCOMPRESSED)
    {
        rc = wafcert_ec_compare(group, point, public, ctx);

        if (rc == NGX_DECLINED) {
            *fault = "its public point is not that of its private value";
        }

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


/* As coordinates the computed point would cost an inversion. */

static ngx_int_t
wafcert_ec_compare(const EC_GROUP *group, const EC_POINT *point,
    const ngx_str_t *declared, BN_CTX *ctx)
{
    ngx_int_t   rc;
    EC_POINT   *other;

    other = EC_POINT_new(group);
    if (other == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_DECLINED;

    if (EC_POINT_oct2point(group, other, declared->data, declared->len, ctx)
        && EC_POINT_cmp(group, point, other, ctx) == 0)
    {
        rc = NGX_OK;
    }

    EC_POINT_free(other);

    return rc;
}


static ngx_int_t
wafcert_ed25519_check(wafcert_private_t *private, wafcert_verdict_t *verdict)
{
    size_t     len;
    EVP_PKEY  *pkey;

    pkey = private->pkey;

    if (pkey == NULL) {
        pkey = wafcert_private_pkey(private);
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


/*
 * Not by OpenSSL's decoders, which leave the DER of a private key in memory
 * that they have freed.
 */

EVP_PKEY *
wafcert_private_pkey(const wafcert_private_t *private)
{
    switch (private->public.algo.algo) {

    case WAFCERT_ALGO_RSA:
        return wafcert_rsa_pkey(private);

    case WAFCERT_ALGO_ED25519:
        return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
                                            private->secret.data,
                                            private->secret.len);

    default:
        return wafcert_ec_pkey(private);
    }
}


static EVP_PKEY *
wafcert_rsa_pkey(const wafcert_private_t *private)
{
    BIGNUM          *bn[WAFCERT_RSA_MEMBERS];
    EVP_PKEY        *pkey;
    ngx_uint_t       i, ok;
    OSSL_PARAM_BLD  *bld;

    bld = OSSL_PARAM_BLD_new();
    ok = (bld != NULL);

    for (i = 0; i < WAFCERT_RSA_MEMBERS; i++) {

        bn[i] = wafcert_secret_number(&private->rsa[i]);

        ok = ok && bn[i]
             && OSSL_PARAM_BLD_push_BN(bld, wafcert_rsa_params[i], bn[i]);
    }

    pkey = ok ? wafcert_pkey_build("RSA", bld) : NULL;

    OSSL_PARAM_BLD_free(bld);

    for (i = 0; i < WAFCERT_RSA_MEMBERS; i++) {
        BN_clear_free(bn[i]);
    }

    return pkey;
}


static EVP_PKEY *
wafcert_ec_pkey(const wafcert_private_t *private)
{
    BIGNUM           *d;
    EVP_PKEY         *pkey;
    const ngx_str_t  *point;
    OSSL_PARAM_BLD   *bld;

    static const char  *curves[] = { "P-256", "P-384", "P-521" };

    pkey = NULL;
    point = &private->public.point;

    d = wafcert_secret_number(&private->secret);
    bld = OSSL_PARAM_BLD_new();

    if (bld && d
        && OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
                  curves[private->public.algo.algo - WAFCERT_ALGO_P256], 0)
        && OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY,
                                            point->data, point->len)
        && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, d))
    {
        pkey = wafcert_pkey_build("EC", bld);
    }

    OSSL_PARAM_BLD_free(bld);
    BN_clear_free(d);

    return pkey;
}


static EVP_PKEY *
wafcert_pkey_build(const char *type, OSSL_PARAM_BLD *bld)
{
    EVP_PKEY      *pkey;
    OSSL_PARAM    *params;
    EVP_PKEY_CTX  *ctx;

    pkey = NULL;
    ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    params = OSSL_PARAM_BLD_to_param(bld);

    if (ctx && params && EVP_PKEY_fromdata_init(ctx) == 1) {
        (void) EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params);
    }

    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(ctx);

    return pkey;
}


/* What is made of a secure number is cleansed, too, when it is freed. */

static BIGNUM *
wafcert_secret_number(const ngx_str_t *number)
{
    BIGNUM  *bn;

    bn = BN_secure_new();

    return bn ? BN_bin2bn(number->data, (int) number->len, bn) : NULL;
}
