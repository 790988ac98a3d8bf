
/*
 * Copyright (C) The wafcert authors
 */


#include "fuzz.h"


#define FUZZ_NOW    ((int64_t) 1800000000 * 1000)

#define FUZZ_WARNING(name)  wafcert_warning(WAFCERT_WARN_##name)

/* What is not found again in what was mended. */
#define FUZZ_GONE                                                             \
    (FUZZ_WARNING(CHAIN_REPAIRED) | FUZZ_WARNING(DUPLICATE_DROPPED)           \
     | FUZZ_WARNING(NEWLINES_REPAIRED) | FUZZ_WARNING(ROOT_DROPPED))

/*
 * All that are about issuers: a path that ended at a root, which was left out,
 * goes on now to its other certificates, and of paths with as many faults
 * another one may be the first.
 */
#define FUZZ_ISSUERS                                                          \
    (FUZZ_WARNING(LEAF_KEY_USAGE) - FUZZ_WARNING(ISSUER_NOT_CA))


static void fuzz_setup(void);
static void fuzz_work(const ngx_str_t *body);
static void fuzz_judge(const wafcert_upload_t *upload,
    const wafcert_policy_t *policy);
static void fuzz_plain(const wafcert_upload_t *upload,
    const wafcert_policy_t *policy, ngx_int_t rc,
    const wafcert_bundle_t *bundle, const wafcert_verdict_t *verdict);
static void fuzz_again(const wafcert_bundle_t *bundle,
    const wafcert_policy_t *policy);
static json_t *fuzz_render(const wafcert_bundle_t *bundle, ngx_uint_t parts);
static void fuzz_item(const wafcert_record_t *record);
static ngx_str_t fuzz_member(json_t *root, const char *name);
static void fuzz_same_facts(const wafcert_facts_t *one,
    const wafcert_facts_t *two, uint64_t warnings);
static void fuzz_same_chain(const wafcert_facts_t *one,
    const wafcert_facts_t *two);
static ngx_uint_t fuzz_same(const ngx_str_t *one, const ngx_str_t *two);


static const wafcert_policy_t  fuzz_policies[] = {
    { .chain = WAFCERT_CHAIN_REPAIR },
    { .chain = WAFCERT_CHAIN_KEEP },
    { .chain = WAFCERT_CHAIN_STRICT },
    { .chain = WAFCERT_CHAIN_REPAIR, .min_rsa_bits = 2048,
      .reject_expired = 1 }
};

#define FUZZ_POLICIES  (sizeof(fuzz_policies) / sizeof(fuzz_policies[0]))


static wafcert_validator_t  *fuzz_validator;


int
LLVMFuzzerTestOneInput(const u_char *data, size_t size)
{
    ngx_int_t          rc;
    ngx_str_t          body;
    ngx_uint_t         i;
    wafcert_upload_t   upload;
    wafcert_verdict_t  verdict;

    fuzz_setup();

    body.data = (u_char *) data;
    body.len = size;

    fuzz_timed(fuzz_work, &body);

    rc = wafcert_json_upload(&upload, &body, 0, &verdict);

    if (rc != NGX_OK) {
        fuzz_assert(rc == NGX_DECLINED);
        fuzz_refusal(&verdict, &body);
        return 0;
    }

    for (i = 0; i < FUZZ_POLICIES; i++) {
        fuzz_judge(&upload, &fuzz_policies[i]);
    }

    wafcert_json_upload_free(&upload);

    return 0;
}


static void
fuzz_setup(void)
{
    if (fuzz_validator == NULL) {
        fuzz_validator = wafcert_validator_create();
        fuzz_assert(fuzz_validator);
    }
}


/* What a worker does. */

static void
fuzz_work(const ngx_str_t *body)
{
    wafcert_bundle_t   bundle;
    wafcert_upload_t   upload;
    wafcert_verdict_t  verdict;

    if (wafcert_json_upload(&upload, body, 0, &verdict) != NGX_OK) {
        return;
    }

    if (wafcert_validate(fuzz_validator, &bundle, &upload.content,
                         &upload.key, &fuzz_policies[0], FUZZ_NOW, &verdict)
        == NGX_OK)
    {
        wafcert_bundle_free(&bundle);
    }

    wafcert_json_upload_free(&upload);
}


static void
fuzz_judge(const wafcert_upload_t *upload, const wafcert_policy_t *policy)
{
    ngx_int_t          rc;
    wafcert_bundle_t   bundle;
    wafcert_verdict_t  verdict;

    rc = fuzz_validate(fuzz_validator, &bundle, &upload->content,
                       &upload->key, policy, FUZZ_NOW, &verdict);

    fuzz_plain(upload, policy, rc, &bundle, &verdict);

    if (rc != NGX_OK) {
        fuzz_assert(rc == NGX_DECLINED);
        fuzz_refusal(&verdict, &upload->key);
        return;
    }

    fuzz_again(&bundle, policy);
    wafcert_bundle_free(&bundle);
}


/* OpenSSL's own decoders come to the same verdict. */

static void
fuzz_plain(const wafcert_upload_t *upload, const wafcert_policy_t *policy,
    ngx_int_t rc, const wafcert_bundle_t *bundle,
    const wafcert_verdict_t *verdict)
{
    wafcert_bundle_t   other;
    wafcert_verdict_t  words;

    wafcert_validator_plain(fuzz_validator, 1);

    fuzz_assert(wafcert_validate(fuzz_validator, &other, &upload->content,
                                 &upload->key, policy, FUZZ_NOW, &words)
                == rc);

    wafcert_validator_plain(fuzz_validator, 0);

    if (rc == NGX_OK) {
        fuzz_same_facts(&other.facts, &bundle->facts, 0);
        fuzz_same_chain(&other.facts, &bundle->facts);
        fuzz_assert(other.key.type == bundle->key.type);
        fuzz_assert(fuzz_same(&other.key.der, &bundle->key.der));
        wafcert_bundle_free(&other);

    } else if (rc == NGX_DECLINED) {
        fuzz_assert(words.reason == verdict->reason);
    }
}


/* What an answer shows can be sent again, and stays what it is. */

static void
fuzz_again(const wafcert_bundle_t *bundle, const wafcert_policy_t *policy)
{
    json_t            *root;
    uint64_t           gone;
    ngx_str_t          content, key;
    wafcert_bundle_t   again;
    wafcert_verdict_t  verdict;

    root = fuzz_render(bundle, WAFCERT_JSON_DETAILS|WAFCERT_JSON_DRY_RUN);
    json_decref(root);

    root = fuzz_render(bundle, WAFCERT_JSON_CONTENT|WAFCERT_JSON_STATUS
                               |WAFCERT_JSON_DETAILS);

    content = fuzz_member(root, "content");
    key = fuzz_member(root, "key");

    fuzz_assert(fuzz_validate(fuzz_validator, &again, &content, &key, policy,
                              FUZZ_NOW, &verdict)
                == NGX_OK);

    gone = FUZZ_GONE;

    if (bundle->facts.warnings & FUZZ_WARNING(ROOT_DROPPED)) {
        gone |= FUZZ_WARNING(CHAIN_INCOMPLETE) | FUZZ_ISSUERS;
    }

    if (bundle->facts.warnings & FUZZ_WARNING(CHAIN_REPAIRED)) {

        /*
         * What takes long to verify is believed: without the strangers that
         * were left out, there is time to find another one.
         */

        gone |= FUZZ_WARNING(CHAIN_INCOMPLETE) | FUZZ_WARNING(WEAK_KEY)
                | FUZZ_ISSUERS;

    } else {
        fuzz_same_chain(&again.facts, &bundle->facts);
    }

    fuzz_same_facts(&again.facts, &bundle->facts, gone);
    fuzz_assert(again.key.type == bundle->key.type);
    fuzz_assert(fuzz_same(&again.key.der, &bundle->key.der));

    wafcert_bundle_free(&again);
    json_decref(root);
}


static json_t *
fuzz_render(const wafcert_bundle_t *bundle, ngx_uint_t parts)
{
    size_t            len;
    u_char           *text;
    json_t           *root;
    wafcert_record_t  record;

    ngx_memzero(&record, sizeof(wafcert_record_t));
    ngx_str_set(&record.id, "00112233445566778899aabbccddeeff");
    ngx_str_set(&record.name, "name");
    record.revision = 1;
    record.timestamp = FUZZ_NOW;
    record.facts = &bundle->facts;

    fuzz_item(&record);

    len = wafcert_json_certificate(NULL, &record, &bundle->key, parts,
                                   FUZZ_NOW);
    text = malloc(len);
    fuzz_assert(text);
    fuzz_assert(wafcert_json_certificate(text, &record, &bundle->key, parts,
                                         FUZZ_NOW)
                == len);

    root = fuzz_json(text, len);
    free(text);

    return root;
}


static void
fuzz_item(const wafcert_record_t *record)
{
    size_t   len;
    u_char  *text;

    len = wafcert_json_item(NULL, record, WAFCERT_JSON_HOST, FUZZ_NOW);
    text = malloc(len);
    fuzz_assert(text);
    fuzz_assert(wafcert_json_item(text, record, WAFCERT_JSON_HOST, FUZZ_NOW)
                == len);

    json_decref(fuzz_json(text, len));
    free(text);
}


static ngx_str_t
fuzz_member(json_t *root, const char *name)
{
    json_t     *value;
    ngx_str_t   str;

    value = json_object_get(root, name);
    fuzz_assert(value && json_is_string(value));

    str.data = (u_char *) json_string_value(value);
    str.len = json_string_length(value);

    return str;
}


static void
fuzz_same_facts(const wafcert_facts_t *one, const wafcert_facts_t *two,
    uint64_t warnings)
{
    fuzz_assert(fuzz_same(&one->serial_number, &two->serial_number));
    fuzz_assert(fuzz_same(&one->cert_type, &two->cert_type));
    fuzz_assert(fuzz_same(&one->hosts, &two->hosts));
    fuzz_assert(one->not_before == two->not_before);
    fuzz_assert((one->warnings | warnings) == (two->warnings | warnings));
    fuzz_assert(one->nchain > 0 && two->nchain > 0);
    fuzz_assert(fuzz_same(&one->chain[0].der, &two->chain[0].der));
}


static void
fuzz_same_chain(const wafcert_facts_t *one, const wafcert_facts_t *two)
{
    ngx_uint_t             i;
    const wafcert_link_t  *a, *b;

    fuzz_assert(one->nchain == two->nchain);

    for (i = 0; i < one->nchain; i++) {
        a = &one->chain[i];
        b = &two->chain[i];

        fuzz_assert(fuzz_same(&a->der, &b->der));
        fuzz_assert(fuzz_same(&a->subject, &b->subject));
        fuzz_assert(fuzz_same(&a->issuer, &b->issuer));
        fuzz_assert(a->not_after == b->not_after);
        fuzz_assert(memcmp(a->sha256, b->sha256, WAFCERT_SHA256_LEN) == 0);
    }
}


static ngx_uint_t
fuzz_same(const ngx_str_t *one, const ngx_str_t *two)
{
    return one->len == two->len
           && (one->len == 0 || memcmp(one->data, two->data, one->len) == 0);
}
