
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include "wafcert_cert.h"
#include "wafcert_chain.h"
#include "wafcert_fault.h"
#include "wafcert_key.h"
#include "wafcert_trust.h"
#include "wafcert_words.h"
#include "wafcert_x509.h"


/* In units of 100 us: a key of P-384, and a signature by another one. */
#define WAFCERT_BUDGET  14

/* of names with constraints, which takes 1 ms; more are not judged */
#define WAFCERT_COMPARES  40000

/* beside wafcert_max_hosts: repeated ones, mail addresses, those of issuers */
#define WAFCERT_OTHER_NAMES  8000


/* One upload on its way through the checks. */

typedef struct {
    wafcert_validator_t     *validator;
    wafcert_bundle_t        *bundle;
    const ngx_str_t         *content;
    const ngx_str_t         *key;
    const wafcert_policy_t  *policy;
    int64_t                  now;
    wafcert_verdict_t       *verdict;

    wafcert_chain_t          chain;
    wafcert_sent_t          *leaf;
    wafcert_private_t        private;
    wafcert_verdict_t        untrusted;   /* why, if it is */
} wafcert_job_t;


static void wafcert_validator_warm_up(wafcert_validator_t *validator);
static ngx_int_t wafcert_job_run(wafcert_job_t *job);
static ngx_int_t wafcert_job_content(wafcert_job_t *job);
static ngx_int_t wafcert_content_blocks(wafcert_job_t *job);
static ngx_int_t wafcert_content_block(wafcert_job_t *job, ngx_uint_t n);
static ngx_int_t wafcert_content_is_key(wafcert_job_t *job, ngx_uint_t n);
static ngx_int_t wafcert_content_open(wafcert_job_t *job);
static ngx_int_t wafcert_content_leaf(wafcert_job_t *job);
static ngx_int_t wafcert_job_key(wafcert_job_t *job);
static ngx_int_t wafcert_job_pair(wafcert_job_t *job);
static ngx_uint_t wafcert_job_matches(wafcert_job_t *job,
    const wafcert_x509_t *cert);
static void wafcert_job_guess_leaf(wafcert_job_t *job);
static void wafcert_job_renewed_leaf(wafcert_job_t *job);
static ngx_uint_t wafcert_job_leaf_grade(const wafcert_job_t *job,
    const wafcert_x509_t *cert);
static ngx_int_t wafcert_job_mismatch(wafcert_job_t *job,
    const wafcert_sent_t *match);
static ngx_int_t wafcert_job_policy(wafcert_job_t *job);
static ngx_int_t wafcert_job_hosts(wafcert_job_t *job);
static ngx_int_t wafcert_job_rsa(wafcert_job_t *job);
static ngx_int_t wafcert_job_dates(wafcert_job_t *job);
static ngx_int_t wafcert_job_names(wafcert_job_t *job);
static ngx_int_t wafcert_job_order(wafcert_job_t *job);
static ngx_int_t wafcert_job_trust(wafcert_job_t *job);
static ngx_int_t wafcert_job_chain(wafcert_job_t *job);
static ngx_int_t wafcert_job_words(wafcert_job_t *job);
static ngx_int_t wafcert_job_facts(wafcert_job_t *job);
static void wafcert_job_blocks(wafcert_job_t *job);
static ngx_int_t wafcert_job_probe(wafcert_job_t *job);
static wafcert_type_e wafcert_facts_type(const wafcert_x509_t *leaf);
static u_char *wafcert_facts_serial(ngx_str_t *serial,
    const wafcert_x509_t *cert, u_char *p);
static u_char *wafcert_facts_string(ngx_str_t *dst, const ngx_str_t *src,
    u_char *p);
static void wafcert_job_warn(wafcert_job_t *job, wafcert_warning_e warning);


wafcert_validator_t *
wafcert_validator_create(void)
{
    ngx_uint_t            i;
    wafcert_validator_t  *v;

    static const int  curves[] = {
        NID_X9_62_prime256v1, NID_secp384r1, NID_secp521r1
    };

    v = calloc(1, sizeof(wafcert_validator_t));
    if (v == NULL) {
        return NULL;
    }

    v->shallow = OSSL_LIB_CTX_new();
    if (v->shallow) {
        v->null = OSSL_PROVIDER_load(v->shallow, "null");
    }

    v->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    v->sha384 = EVP_MD_fetch(NULL, "SHA384", NULL);
    v->sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
    v->md = EVP_MD_CTX_new();
    v->hmac = wafcert_hmac_create();
    v->bio = BIO_new(BIO_s_mem());

    v->decoder = OSSL_DECODER_CTX_new_for_pkey(&v->pkey, "DER",
                                               "SubjectPublicKeyInfo", NULL,
                                               EVP_PKEY_PUBLIC_KEY, NULL,
                                               NULL);

    if (v->null == NULL || v->sha256 == NULL || v->sha384 == NULL
        || v->sha512 == NULL || v->md == NULL || v->hmac == NULL
        || v->bio == NULL || v->decoder == NULL
        || wafcert_siphash_key(v->hosts_key) != NGX_OK)
    {
        goto failed;
    }

    for (i = 0; i < sizeof(curves) / sizeof(curves[0]); i++) {

        v->groups[i] = EC_GROUP_new_by_curve_name(curves[i]);
        if (v->groups[i] == NULL) {
            goto failed;
        }
    }

    wafcert_validator_warm_up(v);

    return v;

failed:

    wafcert_validator_free(v);
    ERR_clear_error();

    return NULL;
}


/*
 * The first public key that a library context sees costs it 0.5 ms; better
 * when a worker starts than when it has requests.  The key is P-256's own
 * generator.
 */

static void
wafcert_validator_warm_up(wafcert_validator_t *validator)
{
    X509_PUBKEY     *pubkey;
    const u_char    *p;
    const EC_GROUP  *group;

    u_char  spki[] =
        "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08"
        "\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00"
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef*";

    p = spki;
    group = validator->groups[0];

    (void) EC_POINT_point2oct(group, EC_GROUP_get0_generator(group),
                              POINT_CONVERSION_UNCOMPRESSED,
                              spki + sizeof(spki) - 66, 65, NULL);

    (void) ERR_set_mark();

    pubkey = X509_PUBKEY_new_ex(validator->shallow, NULL);

    if (pubkey) {
        (void) d2i_X509_PUBKEY(&pubkey, &p, sizeof(spki) - 1);
        X509_PUBKEY_free(pubkey);
    }

    (void) ERR_pop_to_mark();
}


void
wafcert_validator_free(wafcert_validator_t *validator)
{
    ngx_uint_t  i;

    if (validator == NULL) {
        return;
    }

    wafcert_x509_cache_free(validator);

    for (i = 0; i < 3; i++) {
        EC_GROUP_free(validator->groups[i]);
    }

    OSSL_DECODER_CTX_free(validator->decoder);
    BIO_free(validator->bio);
    EVP_MAC_CTX_free(validator->hmac);
    EVP_MD_CTX_free(validator->md);
    EVP_MD_free(validator->sha256);
    EVP_MD_free(validator->sha384);
    EVP_MD_free(validator->sha512);

    if (validator->null) {
        (void) OSSL_PROVIDER_unload(validator->null);
    }

    OSSL_LIB_CTX_free(validator->shallow);

    free(validator);
}


void
wafcert_validator_plain(wafcert_validator_t *validator, ngx_uint_t on)
{
    validator->plain = on ? 1 : 0;
}


ngx_int_t
wafcert_validate(wafcert_validator_t *validator, wafcert_bundle_t *bundle,
    const ngx_str_t *content, const ngx_str_t *key,
    const wafcert_policy_t *policy, int64_t now, wafcert_verdict_t *verdict)
{
    ngx_int_t      rc;
    ngx_uint_t     i;
    wafcert_job_t  job;

    ngx_memzero(bundle, sizeof(wafcert_bundle_t));
    ngx_memzero(&job, sizeof(wafcert_job_t));

    job.validator = validator;
    job.bundle = bundle;
    job.content = content;
    job.key = key;
    job.policy = policy;
    job.now = now;
    job.verdict = verdict;

    validator->budget = validator->plain ? (ngx_uint_t) -1 : WAFCERT_BUDGET;
    validator->max_hosts = policy->max_hosts;
    validator->parts = 0;
    validator->stored = policy->stored;
    validator->patient = policy->patient;
    validator->compares = WAFCERT_COMPARES;

    /* what the caller has in the queue stays, what we leave does not */

    (void) ERR_set_mark();

    rc = wafcert_job_run(&job);

    (void) ERR_pop_to_mark();

    for (i = 0; i < job.chain.nsent; i++) {
        wafcert_x509_release(job.chain.sent[i].cert);
    }

    wafcert_private_free(&job.private);

    if (rc != NGX_OK) {
        wafcert_bundle_free(bundle);
    }

    return rc;
}


void
wafcert_bundle_free(wafcert_bundle_t *bundle)
{
    wafcert_pem_free(&bundle->content_pem);
    wafcert_pem_free(&bundle->key_pem);
    free(bundle->text);
    free(bundle->words);

    ngx_memzero(bundle, sizeof(wafcert_bundle_t));
}


static ngx_int_t
wafcert_job_run(wafcert_job_t *job)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    static ngx_int_t  (*steps[])(wafcert_job_t *job) = {
        wafcert_job_content,
        wafcert_job_key,
        wafcert_job_pair,
        wafcert_job_policy,
        wafcert_job_chain,
        wafcert_job_words,
        wafcert_job_facts,
        wafcert_job_probe
    };

    if (job->content == NULL) {
        return wafcert_job_key(job);
    }

    for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {

        rc = steps[i](job);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_job_content(wafcert_job_t *job)
{
    ngx_int_t        rc;
    ngx_uint_t       i;
    wafcert_pem_t   *pem;
    wafcert_sent_t  *sent;

    pem = &job->bundle->content_pem;

    rc = wafcert_pem_decode(pem, job->content, WAFCERT_MEMBER_CONTENT,
                            job->verdict);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = wafcert_content_blocks(job);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < pem->nblocks; i++) {

        if (pem->blocks[i].type != WAFCERT_PEM_CERTIFICATE) {
            continue;
        }

        sent = &job->chain.sent[job->chain.nsent];

        rc = wafcert_x509_read(job->validator, &sent->cert,
                               &pem->blocks[i].der, i + 1, job->chain.nsent,
                               job->verdict);
        if (rc != NGX_OK) {
            return rc;
        }

        sent->block = i + 1;
        job->chain.nsent++;
    }

    rc = wafcert_content_open(job);
    if (rc != NGX_OK) {
        return rc;
    }

    return wafcert_content_leaf(job);
}


static ngx_int_t
wafcert_content_blocks(wafcert_job_t *job)
{
    ngx_int_t       rc;
    ngx_uint_t      i, n;
    wafcert_pem_t  *pem;

    pem = &job->bundle->content_pem;

    n = 0;

    for (i = 0; i < pem->nblocks; i++) {

        rc = wafcert_content_block(job, i);

        if (rc == NGX_DECLINED) {
            return rc;
        }

        if (rc == NGX_OK) {
            n++;
        }
    }

    if (n == 0) {
        return wafcert_refuse(job->verdict, WAFCERT_CONTENT_NO_PEM,
                              "content holds %s in block 1 and no certificate",
                              wafcert_pem_type_name(pem->blocks[0].type));
    }

    if (n > WAFCERT_CHAIN_MAX) {
        return wafcert_refuse(job->verdict, WAFCERT_CONTENT_TOO_MANY,
                              "content holds %lu certificates, the limit is "
                              "%d", (u_long) n, WAFCERT_CHAIN_MAX);
    }

    return NGX_OK;
}


/*
 * NGX_DONE: it may stand there and is passed over.  Servers of old read the
 * parameters for their key exchange from the certificate's file.
 */

static ngx_int_t
wafcert_content_block(wafcert_job_t *job, ngx_uint_t n)
{
    wafcert_reason_e     reason;
    wafcert_pem_type_e   type;

    type = job->bundle->content_pem.blocks[n].type;

    switch (type) {

    case WAFCERT_PEM_CERTIFICATE:
        return NGX_OK;

    case WAFCERT_PEM_EC_PARAMETERS:
    case WAFCERT_PEM_DH:
        return NGX_DONE;

    case WAFCERT_PEM_PKCS8:
    case WAFCERT_PEM_PKCS1:
    case WAFCERT_PEM_SEC1:
    case WAFCERT_PEM_ENCRYPTED:
    case WAFCERT_PEM_OPENSSH:
    case WAFCERT_PEM_DSA:
        return wafcert_content_is_key(job, n);

    case WAFCERT_PEM_PUBLIC:
        (void) wafcert_refuse(job->verdict, WAFCERT_CONTENT_IS_KEY,
                              "block %lu of content is %s, not a certificate",
                              (u_long) n + 1, wafcert_pem_type_name(type));
        wafcert_hint(job->verdict, WAFCERT_PEM_PUBLIC_HINT);
        return NGX_DECLINED;

    case WAFCERT_PEM_PKCS12:
        reason = WAFCERT_CONTENT_IS_PKCS12;
        break;

    case WAFCERT_PEM_CSR:
        reason = WAFCERT_CONTENT_IS_CSR;
        break;

    case WAFCERT_PEM_PKCS7:
        reason = WAFCERT_CONTENT_IS_PKCS7;
        break;

    default:
        reason = WAFCERT_CONTENT_NO_PEM;
    }

    return wafcert_refuse(job->verdict, reason,
                          "block %lu of content is %s, not a certificate",
                          (u_long) n + 1, wafcert_pem_type_name(type));
}


static ngx_int_t
wafcert_content_is_key(wafcert_job_t *job, ngx_uint_t n)
{
    ngx_uint_t          i;
    const char         *name;
    wafcert_pem_t       pem;
    wafcert_verdict_t   ignored;

    name = wafcert_pem_type_name(job->bundle->content_pem.blocks[n].type);

    (void) wafcert_refuse(job->verdict, WAFCERT_CONTENT_IS_KEY,
                          "block %lu of content is %s, not a certificate",
                          (u_long) n + 1, name);

    if (job->key == NULL
        || wafcert_pem_decode(&pem, job->key, WAFCERT_MEMBER_KEY, &ignored)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    for (i = 0; i < pem.nblocks; i++) {

        if (pem.blocks[i].type == WAFCERT_PEM_CERTIFICATE) {
            (void) wafcert_refuse(job->verdict, WAFCERT_CONTENT_IS_KEY,
                                  "block %lu of content is %s and block %lu "
                                  "of key is a certificate: the two seem to "
                                  "be exchanged",
                                  (u_long) n + 1, name, (u_long) i + 1);
            wafcert_hint(job->verdict, "send the certificate in content and "
                         "the private key in key");
            break;
        }
    }

    wafcert_pem_free(&pem);

    return NGX_DECLINED;
}


/* Names can be compared only if all were walked, or all are open. */

static ngx_int_t
wafcert_content_open(wafcert_job_t *job)
{
    ngx_uint_t        i, walked;
    wafcert_chain_t  *chain;

    chain = &job->chain;
    walked = 0;

    for (i = 0; i < chain->nsent; i++) {
        walked += chain->sent[i].cert->walked;
    }

    if (walked == chain->nsent) {
        return NGX_OK;
    }

    for (i = 0; i < chain->nsent; i++) {
        if (wafcert_x509_open(job->validator, chain->sent[i].cert) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * Under "repair" it is up to the key which block is the leaf: the first one
 * is not if it has issued another one.
 */

static ngx_int_t
wafcert_content_leaf(wafcert_job_t *job)
{
    ngx_uint_t             i;
    const wafcert_sent_t  *first, *other;

    first = &job->chain.sent[0];

    if (job->chain.nsent == 1 && !job->policy->stored
        && wafcert_x509_named(first->cert, first->block, job->verdict)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (first->cert->public.algo.algo != WAFCERT_ALGO_OTHER) {
        return NGX_OK;
    }

    for (i = 1; i < job->chain.nsent; i++) {
        other = &job->chain.sent[i];

        if (job->policy->chain == WAFCERT_CHAIN_REPAIR
            && other->cert->public.algo.algo != WAFCERT_ALGO_OTHER
            && wafcert_x509_issued(other->cert, first->cert))
        {
            return NGX_OK;
        }
    }

    return wafcert_refuse(job->verdict, WAFCERT_CERT_KEY_TYPE,
                          "block %lu of content, %.*s, is a certificate for "
                          "%s, which is not supported", (u_long) first->block,
                          wafcert_x509_subject(first->cert),
                          first->cert->public.algo.name);
}


static ngx_int_t
wafcert_job_key(wafcert_job_t *job)
{
    ngx_int_t          rc;
    wafcert_bundle_t  *bundle;

    bundle = job->bundle;

    if (job->key == NULL) {
        return NGX_OK;
    }

    rc = wafcert_pem_decode(&bundle->key_pem, job->key, WAFCERT_MEMBER_KEY,
                            job->verdict);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = wafcert_private_read(&job->private, &bundle->key_pem, &bundle->key,
                              job->verdict);
    if (rc != NGX_OK) {
        return rc;
    }

    if (job->policy->stored) {
        return NGX_OK;
    }

    return wafcert_private_check(job->validator, &job->private, job->verdict);
}


static ngx_int_t
wafcert_job_pair(wafcert_job_t *job)
{
    ngx_uint_t       i;
    wafcert_sent_t  *sent;

    if (job->policy->stored) {
        job->leaf = &job->chain.sent[0];
        return NGX_OK;
    }

    if (job->key == NULL) {
        wafcert_job_guess_leaf(job);
        wafcert_job_renewed_leaf(job);
        return NGX_OK;
    }

    for (i = 0; i < job->chain.nsent; i++) {
        sent = &job->chain.sent[i];

        if (!wafcert_job_matches(job, sent->cert)) {
            continue;
        }

        if (i && job->policy->chain != WAFCERT_CHAIN_REPAIR) {
            return wafcert_job_mismatch(job, sent);
        }

        job->leaf = sent;
        wafcert_job_renewed_leaf(job);

        return NGX_OK;
    }

    return wafcert_job_mismatch(job, NULL);
}


static ngx_uint_t
wafcert_job_matches(wafcert_job_t *job, const wafcert_x509_t *cert)
{
    if (job->validator->plain) {
        return X509_check_private_key(cert->x509, job->private.pkey) == 1;
    }

    return wafcert_public_equal(&job->private.public, &cert->public);
}


/* With no key to tell, it is the first one that has not issued another. */

static void
wafcert_job_guess_leaf(wafcert_job_t *job)
{
    ngx_uint_t       i, n;
    wafcert_sent_t  *sent;

    sent = job->chain.sent;
    job->leaf = &sent[0];

    if (job->policy->chain != WAFCERT_CHAIN_REPAIR) {
        return;
    }

    for (n = 0; n < job->chain.nsent; n++) {

        for (i = 0; i < job->chain.nsent; i++) {
            if (i != n && wafcert_x509_issued(sent[i].cert, sent[n].cert)) {
                break;
            }
        }

        if (i == job->chain.nsent) {
            job->leaf = &sent[n];
            return;
        }
    }
}


/* Where a certificate was renewed with its key, a file may have both. */

static void
wafcert_job_renewed_leaf(wafcert_job_t *job)
{
    ngx_uint_t             i, grade, was;
    const wafcert_x509_t  *leaf, *cert;

    if (job->policy->chain != WAFCERT_CHAIN_REPAIR) {
        return;
    }

    for (i = 0; i < job->chain.nsent; i++) {
        leaf = job->leaf->cert;
        cert = job->chain.sent[i].cert;

        if (!wafcert_public_equal(&leaf->public, &cert->public)) {
            continue;
        }

        grade = wafcert_job_leaf_grade(job, cert);
        was = wafcert_job_leaf_grade(job, leaf);

        if (grade > was
            || (grade == was && cert->not_before > leaf->not_before))
        {
            job->leaf = &job->chain.sent[i];
        }
    }
}


/*
 * A self-signed certificate is no renewal, valid or not, for no client trusts
 * it; and a CA with the key of its server stays an issuer.
 */

static ngx_uint_t
wafcert_job_leaf_grade(const wafcert_job_t *job, const wafcert_x509_t *cert)
{
    return (cert->self_signed ? 0 : 4) + (cert->is_ca ? 0 : 2)
           + (cert->not_before <= job->now && job->now <= cert->not_after);
}


static ngx_int_t
wafcert_job_mismatch(wafcert_job_t *job, const wafcert_sent_t *match)
{
    char                   key[32], cert[32];
    const wafcert_sent_t  *first;

    first = &job->chain.sent[0];

    if (match) {
        (void) wafcert_refuse(job->verdict, WAFCERT_KEY_MISMATCH,
                              "the key belongs to block %lu of content, but "
                              "block %lu stands first",
                              (u_long) match->block, (u_long) first->block);
        wafcert_hint(job->verdict, "put block %lu of content first, and its "
                     "issuers after it", (u_long) match->block);
        return NGX_DECLINED;
    }

    (void) wafcert_public_type(&job->private.public, key);
    (void) wafcert_public_type(&first->cert->public, cert);

    if (ngx_strcmp(key, cert) != 0) {
        return wafcert_refuse(job->verdict, WAFCERT_KEY_MISMATCH,
                              "the key is %s, the certificate in block %lu of "
                              "content is for %s%s",
                              key, (u_long) first->block, cert,
                              job->chain.nsent > 1
                                  ? ", and no other block fits either" : "");
    }

    return wafcert_refuse(job->verdict, WAFCERT_KEY_MISMATCH,
                          "the key and the certificate in block %lu of "
                          "content are both %s, but not of one pair%s",
                          (u_long) first->block, key,
                          job->chain.nsent > 1
                              ? ", and no other block fits either" : "");
}


static ngx_int_t
wafcert_job_policy(wafcert_job_t *job)
{
    if (!job->policy->stored
        && wafcert_x509_named(job->leaf->cert, job->leaf->block, job->verdict)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (wafcert_job_hosts(job) != NGX_OK || wafcert_job_rsa(job) != NGX_OK) {
        return NGX_DECLINED;
    }

    return wafcert_job_dates(job);
}


static ngx_int_t
wafcert_job_rsa(wafcert_job_t *job)
{
    ngx_uint_t               min, max, prime;
    const wafcert_public_t  *public;

    min = job->policy->min_rsa_bits;
    max = job->policy->max_rsa_bits;
    public = &job->leaf->cert->public;

    if (public->algo.algo != WAFCERT_ALGO_RSA) {
        return NGX_OK;
    }

    if (public->bits < min) {
        return wafcert_refuse(job->verdict, WAFCERT_KEY_TOO_SMALL,
                              "the key is an RSA key of %lu bits, at least "
                              "%lu are wanted: block %lu of content, %.*s",
                              (u_long) public->bits, (u_long) min,
                              (u_long) job->leaf->block,
                              wafcert_x509_subject(job->leaf->cert));
    }

    if (max && public->bits > max) {
        return wafcert_refuse(job->verdict, WAFCERT_KEY_TOO_LARGE,
                              "the key is an RSA key of %lu bits, at most "
                              "%lu are allowed: block %lu of content, %.*s",
                              (u_long) public->bits, (u_long) max,
                              (u_long) job->leaf->block,
                              wafcert_x509_subject(job->leaf->cert));
    }

    if (job->key == NULL || job->policy->stored) {
        return NGX_OK;
    }

    /* of primes as long as each other a signature costs a third as much */

    prime = ngx_min(wafcert_number_bits(&job->private.rsa[WAFCERT_RSA_P]),
                    wafcert_number_bits(&job->private.rsa[WAFCERT_RSA_Q]));

    if (prime < public->bits / 3) {
        return wafcert_refuse(job->verdict, WAFCERT_KEY_TOO_SMALL,
                              "the key is an RSA key whose shorter prime has "
                              "%lu bits, at least %lu are wanted",
                              (u_long) prime, (u_long) public->bits / 3);
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_job_hosts(wafcert_job_t *job)
{
    ngx_uint_t  max;

    max = job->policy->max_hosts;

    if (max == 0 || job->leaf->cert->nhosts <= max) {
        return NGX_OK;
    }

    if (job->policy->many_hosts) {
        job->bundle->facts.many_hosts = 1;
        return NGX_OK;
    }

    return wafcert_refuse(job->verdict, WAFCERT_CONTENT_TOO_MANY_HOSTS,
                          "the certificate in block %lu of content, %.*s, "
                          "has more than %lu hosts",
                          (u_long) job->leaf->block,
                          wafcert_x509_subject(job->leaf->cert),
                          (u_long) max);
}


static ngx_int_t
wafcert_job_dates(wafcert_job_t *job)
{
    char             date[32];
    wafcert_x509_t  *cert;

    cert = job->leaf->cert;

    if (job->now > cert->not_after) {

        if (job->policy->reject_expired) {
            wafcert_x509_date(cert->not_after, date, sizeof(date));

            return wafcert_refuse(job->verdict, WAFCERT_CERT_EXPIRED,
                                  "the certificate in block %lu of content, "
                                  "%.*s, expired on %s",
                                  (u_long) job->leaf->block,
                                  wafcert_x509_subject(job->leaf->cert), date);
        }

        wafcert_job_warn(job, WAFCERT_WARN_EXPIRED);
    }

    if (job->now < cert->not_before) {

        if (job->policy->reject_expired) {
            wafcert_x509_date(cert->not_before, date, sizeof(date));

            return wafcert_refuse(job->verdict, WAFCERT_CERT_NOT_YET_VALID,
                                  "the certificate in block %lu of content, "
                                  "%.*s, is not valid before %s",
                                  (u_long) job->leaf->block,
                                  wafcert_x509_subject(job->leaf->cert), date);
        }

        wafcert_job_warn(job, WAFCERT_WARN_NOT_YET_VALID);
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_job_names(wafcert_job_t *job)
{
    ngx_uint_t       i, names;
    wafcert_sent_t  *sent;

    names = 0;

    for (i = 0; i < job->chain.nsent; i++) {
        sent = &job->chain.sent[i];

        if (sent != job->leaf || !sent->cert->ordinary) {
            names += sent->cert->names;
        }
    }

    if (names <= WAFCERT_JUDGED_NAMES) {
        return NGX_OK;
    }

    return wafcert_refuse(job->verdict, WAFCERT_CONTENT_TOO_MANY,
                          "the certificates of content have %lu alternative "
                          "names that OpenSSL has to judge, the limit is %d",
                          (u_long) names, WAFCERT_JUDGED_NAMES);
}


static ngx_int_t
wafcert_job_order(wafcert_job_t *job)
{
    ngx_int_t         rc;
    wafcert_chain_t  *chain;

    chain = &job->chain;

    rc = wafcert_job_names(job);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = wafcert_chain_verify(job->validator, chain, job->leaf);
    if (rc == NGX_OK && job->policy->trust) {
        rc = wafcert_trust_anchors(job->validator, job->policy->trust, chain,
                                   job->now);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    wafcert_chain_order(job->validator, chain, job->leaf, job->now,
                        job->policy->chain != WAFCERT_CHAIN_KEEP);

    rc = wafcert_chain_judge(chain, job->verdict);

    if (rc == NGX_OK) {
        rc = wafcert_fault_leaf(job->validator, job->leaf->cert,
                                job->leaf->block, &chain->warnings,
                                job->verdict);
    }

    if (rc == NGX_OK && job->policy->chain == WAFCERT_CHAIN_STRICT) {
        rc = wafcert_chain_strict(chain, job->verdict);
    }

    return (rc == NGX_OK && job->policy->trust) ? wafcert_job_trust(job) : rc;
}


/* The leaf's dates are another policy's. */

static ngx_int_t
wafcert_job_trust(wafcert_job_t *job)
{
    ngx_int_t  rc;

    rc = wafcert_trust_judge(job->validator, job->policy->trust, &job->chain,
                             job->now, &job->untrusted);

    if (rc == NGX_DECLINED && job->policy->reject_untrusted) {
        *job->verdict = job->untrusted;
        return NGX_DECLINED;
    }

    if (rc == NGX_DECLINED) {
        wafcert_job_warn(job, WAFCERT_WARN_UNTRUSTED);
        return NGX_OK;
    }

    return rc;
}


static ngx_int_t
wafcert_job_chain(wafcert_job_t *job)
{
    ngx_int_t         rc;
    ngx_uint_t        i, level;
    wafcert_chain_t  *chain;
    wafcert_facts_t  *facts;

    chain = &job->chain;

    if (job->policy->stored) {
        wafcert_chain_keep(chain);

    } else {
        rc = wafcert_job_order(job);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    job->bundle->facts.warnings |= chain->warnings;
    job->bundle->facts.fault = chain->fault;

    facts = &job->bundle->facts;
    facts->level = WAFCERT_LEVEL_MAX;

    for (i = 0; i < chain->nkept; i++) {
        level = wafcert_x509_level(job->validator, chain->kept[i]->cert);
        facts->level = ngx_min(facts->level, level);
    }

    if (facts->level < WAFCERT_LEVEL_DEFAULT) {
        wafcert_job_warn(job, WAFCERT_WARN_WEAK_KEY);
    }

    if (!job->leaf->cert->usable) {
        wafcert_job_warn(job, WAFCERT_WARN_NO_HOSTS);
    }

    if (job->bundle->content_pem.repaired || job->bundle->key_pem.repaired) {
        wafcert_job_warn(job, WAFCERT_WARN_NEWLINES_REPAIRED);
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_job_words(wafcert_job_t *job)
{
    size_t             len;
    const char        *why;
    wafcert_words_t   *words;
    wafcert_bundle_t  *bundle;

    bundle = job->bundle;

    if (bundle->facts.warnings == 0 || job->policy->stored) {
        return NGX_OK;
    }

    words = calloc(WAFCERT_WARNINGS, sizeof(wafcert_words_t));
    if (words == NULL) {
        return NGX_ERROR;
    }

    bundle->words = words;

    wafcert_words_write(job->validator, &job->chain, bundle->facts.warnings,
                        words);

    if (bundle->content_pem.repaired || bundle->key_pem.repaired) {
        (void) snprintf(words[WAFCERT_WARN_NEWLINES_REPAIRED],
                        sizeof(wafcert_words_t), "in %s%s%s",
                        bundle->content_pem.repaired ? "content" : "",
                        bundle->content_pem.repaired
                        && bundle->key_pem.repaired ? " and " : "",
                        bundle->key_pem.repaired ? "key" : "");
    }

    if (bundle->facts.warnings & wafcert_warning(WAFCERT_WARN_UNTRUSTED)) {
        why = job->untrusted.message;
        len = ngx_min(ngx_strlen(why), sizeof(wafcert_words_t) - 1);
        ngx_memcpy(words[WAFCERT_WARN_UNTRUSTED], why, len);
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_job_facts(wafcert_job_t *job)
{
    char                 type[32];
    size_t               size;
    u_char              *p;
    ngx_str_t            str;
    ngx_uint_t           i;
    wafcert_link_t      *link;
    wafcert_sent_t      *sent;
    wafcert_facts_t     *facts;
    wafcert_x509_t      *leaf;

    facts = &job->bundle->facts;
    leaf = job->leaf->cert;

    str.data = (u_char *) type;
    str.len = wafcert_public_type(&leaf->public, type);

    size = str.len + leaf->hosts.len + sizeof("-00")
           + 2 * leaf->serial.len;

    for (i = 0; i < job->chain.nkept; i++) {
        sent = job->chain.kept[i];
        size += sent->cert->subject.len + sent->cert->issuer.len;
    }

    p = malloc(size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    job->bundle->text = p;

    p = wafcert_facts_string(&facts->cert_type, &str, p);
    p = wafcert_facts_string(&facts->hosts, &leaf->hosts, p);
    p = wafcert_facts_serial(&facts->serial_number, leaf, p);


    facts->type = wafcert_facts_type(leaf);
    facts->not_before = leaf->not_before;
    facts->nchain = job->chain.nkept;

    for (i = 0; i < job->chain.nkept; i++) {
        sent = job->chain.kept[i];
        link = &facts->chain[i];

        link->der = job->bundle->content_pem.blocks[sent->block - 1].der;
        link->not_after = sent->cert->not_after;

        p = wafcert_facts_string(&link->subject, &sent->cert->subject, p);
        p = wafcert_facts_string(&link->issuer, &sent->cert->issuer, p);

        ngx_memcpy(link->sha256, sent->cert->sha256, WAFCERT_SHA256_LEN);
    }

    wafcert_job_blocks(job);

    return NGX_OK;
}


static void
wafcert_job_blocks(wafcert_job_t *job)
{
    ngx_uint_t             i;
    wafcert_block_t       *blocks, *block;
    const wafcert_sent_t  *sent;

    blocks = job->bundle->blocks;

    for (i = 0; i < job->chain.nsent; i++) {
        sent = &job->chain.sent[i];
        block = &blocks[sent->block - 1];

        switch (sent->state) {

        case WAFCERT_SENT_DUPLICATE:
            block->became = WAFCERT_BLOCK_DUPLICATE;
            block->other = sent->twin;
            break;

        case WAFCERT_SENT_ROOT:
            block->became = WAFCERT_BLOCK_ROOT;
            break;

        default:
            block->became = WAFCERT_BLOCK_STRANGER;
        }
    }

    for (i = 0; i < job->chain.nkept; i++) {
        block = &blocks[job->chain.kept[i]->block - 1];
        block->became = WAFCERT_BLOCK_KEPT;
        block->other = i + 1;
    }
}


/* OpenSSL reads all names where it loads what is served, 0.4 us each. */

static ngx_int_t
wafcert_job_probe(wafcert_job_t *job)
{
    ngx_uint_t  i, names, max;

    if (!job->policy->served || job->key == NULL
        || job->bundle->facts.many_hosts)
    {
        return NGX_OK;
    }

    max = job->policy->max_hosts;
    names = 0;

    for (i = 0; i < job->chain.nkept; i++) {
        names += job->chain.kept[i]->cert->names;
    }

    if (max && names > max + WAFCERT_OTHER_NAMES) {
        return wafcert_refuse(job->verdict, WAFCERT_CONTENT_TOO_MANY,
                              "the certificates of content have %lu "
                              "alternative names, the limit is %lu",
                              (u_long) names,
                              (u_long) (max + WAFCERT_OTHER_NAMES));
    }

    return wafcert_probe(job->validator, &job->chain, &job->private,
                         job->bundle, job->verdict);
}


static wafcert_type_e
wafcert_facts_type(const wafcert_x509_t *leaf)
{
    switch (leaf->public.algo.algo) {

    case WAFCERT_ALGO_RSA:
        return WAFCERT_TYPE_RSA;

    case WAFCERT_ALGO_ED25519:
        return WAFCERT_TYPE_ED25519;

    default:
        return WAFCERT_TYPE_EC;
    }
}


static u_char *
wafcert_facts_serial(ngx_str_t *serial, const wafcert_x509_t *cert, u_char *p)
{
    size_t         i, len;
    const u_char  *data;

    static const u_char  hex[] = "0123456789abcdef";

    data = cert->serial.data;
    len = cert->serial.len;

    serial->data = p;

    if (cert->negative) {
        *p++ = '-';
    }

    for (i = 0; i < len; i++) {
        *p++ = hex[data[i] >> 4];
        *p++ = hex[data[i] & 0xf];
    }

    if (len == 0) {
        *p++ = '0';
        *p++ = '0';
    }

    serial->len = p - serial->data;

    return p;
}


static u_char *
wafcert_facts_string(ngx_str_t *dst, const ngx_str_t *src, u_char *p)
{
    dst->data = p;
    dst->len = src->len;

    if (src->len == 0) {
        return p;
    }

    return ngx_cpymem(p, src->data, src->len);
}


static void
wafcert_job_warn(wafcert_job_t *job, wafcert_warning_e warning)
{
    job->bundle->facts.warnings |= wafcert_warning(warning);
}
