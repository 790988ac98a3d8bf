
/*
 * Copyright (C) The wafcert authors
 */


/*
 * How long an upload takes in layer 0, beside the calls of jansson and
 * OpenSSL that one would make instead.  All ways are timed in turns, in
 * short rounds, and what is told are medians: a machine is never idle.
 *
 *     validate <name>=<file.json>...
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <jansson.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "wafcert_cert.h"
#include "wafcert_json.h"
#include "wafcert_key.h"
#include "wafcert_pem.h"
#include "wafcert_x509.h"


#define BENCH_ROUNDS    31
#define BENCH_ROUND_NS  10000000    /* of one way, in one round */
#define BENCH_BODY_MAX  (128 * 1024)


/* An upload, and what the parts of the work begin with. */

typedef struct {
    const char           *name;
    ngx_str_t             body;
    int64_t               now;

    wafcert_validator_t  *validator;
    wafcert_upload_t      upload;
    wafcert_pem_t         content;
    wafcert_pem_t         key;

    /* the members again, for those who want strings that end with a NUL */
    json_t               *root;
} bench_case_t;


typedef void (*bench_run_pt)(bench_case_t *c);


typedef enum {
    BENCH_OURS = 0,
    BENCH_NEW_ISSUERS,
    BENCH_JSON,
    BENCH_VALIDATE,
    BENCH_PEM,
    BENCH_LEAF,
    BENCH_KEY,
    BENCH_PLAIN,
    BENCH_PLAIN_JSON,
    BENCH_PLAIN_CHAIN,
    BENCH_PLAIN_KEY,

    BENCH_WAYS
} bench_way_e;


static void bench_case(bench_case_t *c);
static void bench_case_init(bench_case_t *c);
static void bench_case_free(bench_case_t *c);
static void bench_print(const bench_case_t *c, const double *us);
static double bench_round(bench_case_t *c, bench_run_pt run);
static int bench_compare(const void *one, const void *two);
static double bench_clock(void);
static void bench_read(ngx_str_t *text, const char *name);
static void bench_die(const char *what);

static void bench_ours(bench_case_t *c);
static void bench_forget(wafcert_validator_t *validator,
    const wafcert_bundle_t *bundle);
static void bench_ours_new_issuers(bench_case_t *c);
static void bench_ours_json(bench_case_t *c);
static void bench_ours_validate(bench_case_t *c);
static void bench_ours_pem(bench_case_t *c);
static void bench_ours_leaf(bench_case_t *c);
static void bench_ours_key(bench_case_t *c);

static void bench_plain(bench_case_t *c);
static void bench_plain_json(bench_case_t *c);
static void bench_plain_chain(bench_case_t *c);
static void bench_plain_key(bench_case_t *c);
static json_t *bench_plain_load(const ngx_str_t *body);
static BIO *bench_plain_member(const json_t *root, const char *name);
static X509 *bench_plain_certificates(const json_t *root);
static EVP_PKEY *bench_plain_private(const json_t *root);


static const bench_run_pt  bench_ways[BENCH_WAYS] = {
    bench_ours,
    bench_ours_new_issuers,
    bench_ours_json,
    bench_ours_validate,
    bench_ours_pem,
    bench_ours_leaf,
    bench_ours_key,
    bench_plain,
    bench_plain_json,
    bench_plain_chain,
    bench_plain_key
};


static const wafcert_policy_t  bench_policy;


int
main(int argc, char **argv)
{
    char          *file;
    int            i;
    bench_case_t   c;

    printf("Microseconds of one upload, %s, jansson %s\n",
           OpenSSL_version(OPENSSL_VERSION_STRING), JANSSON_VERSION);

    for (i = 1; i < argc; i++) {

        file = strchr(argv[i], '=');
        if (file == NULL) {
            bench_die("usage: validate <name>=<file.json>...");
        }

        *file++ = '\0';

        memset(&c, 0, sizeof(bench_case_t));

        c.name = argv[i];
        bench_read(&c.body, file);

        bench_case_init(&c);
        bench_case(&c);
        bench_case_free(&c);
    }

    return 0;
}


static void
bench_case(bench_case_t *c)
{
    int            i, way;
    double         us[BENCH_WAYS];
    static double  ns[BENCH_WAYS][BENCH_ROUNDS];

    for (way = 0; way < BENCH_WAYS; way++) {
        (void) bench_round(c, bench_ways[way]);
    }

    for (i = 0; i < BENCH_ROUNDS; i++) {
        for (way = 0; way < BENCH_WAYS; way++) {
            ns[way][i] = bench_round(c, bench_ways[way]);
        }
    }

    for (way = 0; way < BENCH_WAYS; way++) {
        qsort(ns[way], BENCH_ROUNDS, sizeof(double), bench_compare);
        us[way] = ns[way][BENCH_ROUNDS / 2] / 1000;
    }

    bench_print(c, us);
}


static void
bench_case_init(bench_case_t *c)
{
    wafcert_verdict_t  verdict;

    c->now = (int64_t) time(NULL) * 1000;

    c->validator = wafcert_validator_create();
    if (c->validator == NULL) {
        bench_die("wafcert_validator_create() failed");
    }

    if (wafcert_json_upload(&c->upload, &c->body, 0, &verdict) != NGX_OK
        || wafcert_pem_decode(&c->content, &c->upload.content,
                              WAFCERT_MEMBER_CONTENT, &verdict) != NGX_OK
        || wafcert_pem_decode(&c->key, &c->upload.key,
                              WAFCERT_MEMBER_KEY, &verdict) != NGX_OK)
    {
        bench_die(verdict.message);
    }

    c->root = bench_plain_load(&c->body);
}


static void
bench_case_free(bench_case_t *c)
{
    json_decref(c->root);
    wafcert_pem_free(&c->key);
    wafcert_pem_free(&c->content);
    wafcert_json_upload_free(&c->upload);
    wafcert_validator_free(c->validator);
    free(c->body.data);
}


static void
bench_print(const bench_case_t *c, const double *us)
{
    printf("\n%s, %d certificate(s), %d bytes\n"
           "  plain  %7.1f = JSON %.1f + certificates %.1f"
           " + key and pair %.1f\n"
           "  ours   %7.1f = JSON %.1f + PEM %.1f + leaf %.1f + key %.1f"
           " + rest %.1f\n"
           "         %7.1f with issuers that are not known yet\n"
           "  ratio  %7.2f, %.2f with issuers that are not known yet\n",
           c->name, (int) c->content.nblocks, (int) c->body.len,
           us[BENCH_PLAIN], us[BENCH_PLAIN_JSON], us[BENCH_PLAIN_CHAIN],
           us[BENCH_PLAIN_KEY],
           us[BENCH_OURS], us[BENCH_JSON], us[BENCH_PEM], us[BENCH_LEAF],
           us[BENCH_KEY],
           us[BENCH_VALIDATE] - us[BENCH_PEM] - us[BENCH_LEAF]
           - us[BENCH_KEY],
           us[BENCH_NEW_ISSUERS],
           us[BENCH_PLAIN] / us[BENCH_OURS],
           us[BENCH_PLAIN] / us[BENCH_NEW_ISSUERS]);
}


/* nanoseconds a call */

static double
bench_round(bench_case_t *c, bench_run_pt run)
{
    int     n;
    double  start, end;

    n = 0;
    start = bench_clock();

    do {
        run(c);
        n++;
        end = bench_clock();
    } while (end - start < BENCH_ROUND_NS);

    return (end - start) / n;
}


static int
bench_compare(const void *one, const void *two)
{
    double  a, b;

    a = *(const double *) one;
    b = *(const double *) two;

    return (a > b) - (a < b);
}


/* The processor's time, so that others on the machine count less. */

static double
bench_clock(void)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) != 0) {
        bench_die("clock_gettime() failed");
    }

    return (double) ts.tv_sec * 1e9 + (double) ts.tv_nsec;
}


static void
bench_read(ngx_str_t *text, const char *name)
{
    FILE  *file;

    file = fopen(name, "rb");
    text->data = malloc(BENCH_BODY_MAX);

    if (file == NULL || text->data == NULL) {
        bench_die(name);
    }

    text->len = fread(text->data, 1, BENCH_BODY_MAX, file);

    (void) fclose(file);
}


static void
bench_die(const char *what)
{
    fprintf(stderr, "validate: %s\n", what);
    exit(1);
}


static void
bench_ours(bench_case_t *c)
{
    wafcert_upload_t   upload;
    wafcert_bundle_t   bundle;
    wafcert_verdict_t  verdict;

    if (wafcert_json_upload(&upload, &c->body, 0, &verdict) != NGX_OK
        || wafcert_validate(c->validator, &bundle, &upload.content,
                            &upload.key, &bench_policy, c->now, &verdict)
           != NGX_OK)
    {
        bench_die(verdict.message);
    }

    bench_forget(c->validator, &bundle);
    wafcert_bundle_free(&bundle);
    wafcert_json_upload_free(&upload);
}


/* Another upload has another leaf, which it has to verify. */

static void
bench_forget(wafcert_validator_t *validator, const wafcert_bundle_t *bundle)
{
    ngx_uint_t  i;

    for (i = 0; i < WAFCERT_MEMO_SIZE; i++) {
        if (ngx_memcmp(validator->memos[i].cert, bundle->facts.chain[0].sha256,
                       WAFCERT_SHA256_LEN)
            == 0)
        {
            ngx_memzero(&validator->memos[i], sizeof(wafcert_memo_t));
        }
    }
}


static void
bench_ours_new_issuers(bench_case_t *c)
{
    wafcert_x509_cache_free(c->validator);
    bench_ours(c);
}


static void
bench_ours_json(bench_case_t *c)
{
    wafcert_upload_t   upload;
    wafcert_verdict_t  verdict;

    if (wafcert_json_upload(&upload, &c->body, 0, &verdict) != NGX_OK) {
        bench_die(verdict.message);
    }

    wafcert_json_upload_free(&upload);
}


static void
bench_ours_validate(bench_case_t *c)
{
    wafcert_bundle_t   bundle;
    wafcert_verdict_t  verdict;

    if (wafcert_validate(c->validator, &bundle, &c->upload.content,
                         &c->upload.key, &bench_policy, c->now, &verdict)
        != NGX_OK)
    {
        bench_die(verdict.message);
    }

    bench_forget(c->validator, &bundle);
    wafcert_bundle_free(&bundle);
}


static void
bench_ours_pem(bench_case_t *c)
{
    wafcert_pem_t      content, key;
    wafcert_verdict_t  verdict;

    if (wafcert_pem_decode(&content, &c->upload.content,
                           WAFCERT_MEMBER_CONTENT, &verdict) != NGX_OK
        || wafcert_pem_decode(&key, &c->upload.key, WAFCERT_MEMBER_KEY,
                              &verdict) != NGX_OK)
    {
        bench_die(verdict.message);
    }

    wafcert_pem_free(&key);
    wafcert_pem_free(&content);
}


static void
bench_ours_leaf(bench_case_t *c)
{
    wafcert_x509_t     *cert;
    wafcert_verdict_t   verdict;

    c->validator->parts = 0;

    if (wafcert_x509_read(c->validator, &cert, &c->content.blocks[0].der, 1,
                          0, &verdict) != NGX_OK)
    {
        bench_die(verdict.message);
    }

    wafcert_x509_release(cert);
}


static void
bench_ours_key(bench_case_t *c)
{
    wafcert_key_t      key;
    wafcert_private_t  private;
    wafcert_verdict_t  verdict;

    if (wafcert_private_read(&private, &c->key, &key, &verdict) != NGX_OK
        || wafcert_private_check(c->validator, &private, &verdict) != NGX_OK)
    {
        bench_die(verdict.message);
    }

    wafcert_private_free(&private);
}


static void
bench_plain(bench_case_t *c)
{
    X509      *leaf;
    json_t    *root;
    EVP_PKEY  *pkey;

    root = bench_plain_load(&c->body);
    leaf = bench_plain_certificates(root);
    pkey = bench_plain_private(root);

    if (X509_check_private_key(leaf, pkey) != 1) {
        bench_die("X509_check_private_key() failed");
    }

    EVP_PKEY_free(pkey);
    X509_free(leaf);
    json_decref(root);
}


static void
bench_plain_json(bench_case_t *c)
{
    json_decref(bench_plain_load(&c->body));
}


static void
bench_plain_chain(bench_case_t *c)
{
    X509_free(bench_plain_certificates(c->root));
}


/* The leaf is read once: it is not what is timed here. */

static void
bench_plain_key(bench_case_t *c)
{
    EVP_PKEY           *pkey;
    static X509        *leaf;
    static const void  *of;

    if (of != c->root) {
        X509_free(leaf);
        leaf = bench_plain_certificates(c->root);
        of = c->root;
    }

    pkey = bench_plain_private(c->root);

    if (X509_check_private_key(leaf, pkey) != 1) {
        bench_die("X509_check_private_key() failed");
    }

    EVP_PKEY_free(pkey);
}


static json_t *
bench_plain_load(const ngx_str_t *body)
{
    json_t  *root;

    root = json_loadb((const char *) body->data, body->len,
                      JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_string(json_object_get(root, "name"))
        || !json_is_string(json_object_get(root, "content"))
        || !json_is_string(json_object_get(root, "key")))
    {
        bench_die("the body is not an upload");
    }

    return root;
}


static BIO *
bench_plain_member(const json_t *root, const char *name)
{
    BIO           *bio;
    const json_t  *value;

    value = json_object_get(root, name);

    bio = BIO_new_mem_buf(json_string_value(value),
                          (int) json_string_length(value));
    if (bio == NULL) {
        bench_die("BIO_new_mem_buf() failed");
    }

    return bio;
}


/* Reads the chain and gives its leaf. */

static X509 *
bench_plain_certificates(const json_t *root)
{
    BIO   *bio;
    X509  *leaf, *cert;

    bio = bench_plain_member(root, "content");

    leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    if (leaf == NULL) {
        bench_die("PEM_read_bio_X509() failed");
    }

    while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        X509_free(cert);
    }

    ERR_clear_error();
    BIO_free(bio);

    return leaf;
}


static EVP_PKEY *
bench_plain_private(const json_t *root)
{
    BIO       *bio;
    EVP_PKEY  *pkey;

    bio = bench_plain_member(root, "key");

    pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    if (pkey == NULL) {
        bench_die("PEM_read_bio_PrivateKey() failed");
    }

    BIO_free(bio);

    return pkey;
}
