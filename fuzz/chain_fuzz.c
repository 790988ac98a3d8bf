
/*
 * Copyright (C) The wafcert authors
 */


#include "fuzz.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>


/*
 * Each byte of the input chooses something of a chain: who issued whom, with
 * which extensions, in which order it is sent, what was changed afterwards.
 * The judge is OpenSSL's verify, with one of the issuers trusted at a time:
 * what it accepts as sent it accepts as stored, what is refused it refuses,
 * and what nothing is told of it accepts.
 *
 * Keys are of Ed25519, of which the same seed makes the same signature: the
 * same input is always the same chain.
 */


#define FUZZ_NOW      ((int64_t) 1800000000)
#define FUZZ_YEAR     (365 * 86400)

#define FUZZ_KEYS     4
#define FUZZ_ISSUERS  6
#define FUZZ_BLOCKS   8
#define FUZZ_DER      4096
#define FUZZ_KEY_ID   0x10    /* of the first one */
#define FUZZ_PEM      (FUZZ_BLOCKS * 2 * FUZZ_DER)

#define FUZZ_WARNING(name)  wafcert_warning(WAFCERT_WARN_##name)

/* What OpenSSL has nothing against. */
#define FUZZ_SILENT                                                           \
    (FUZZ_WARNING(CHAIN_REPAIRED) | FUZZ_WARNING(ROOT_DROPPED)                \
     | FUZZ_WARNING(DUPLICATE_DROPPED) | FUZZ_WARNING(NEWLINES_REPAIRED)      \
     | FUZZ_WARNING(LEAF_KEY_TYPE) | FUZZ_WARNING(LEAF_IS_CA)                 \
     | FUZZ_WARNING(NO_SAN) | FUZZ_WARNING(NO_HOSTS))


typedef struct {
    const u_char    *p;
    const u_char    *end;
} fuzz_choices_t;


typedef struct {
    int              nid;
    const char      *value;
} fuzz_extension_t;


typedef struct {
    X509            *x509;        /* as it was sent */
    ngx_uint_t       subject;
    ngx_uint_t       key;
} fuzz_cert_t;


static void fuzz_setup(void);
static ngx_uint_t fuzz_take(fuzz_choices_t *choices, ngx_uint_t n);
static ngx_uint_t fuzz_rarely(fuzz_choices_t *choices, ngx_uint_t n);
static void fuzz_issuers(fuzz_choices_t *choices);
static void fuzz_make(fuzz_choices_t *choices, fuzz_cert_t *cert,
    const fuzz_cert_t *issuer, ngx_uint_t leaf);
static void fuzz_dates(fuzz_choices_t *choices, X509 *x509);
static void fuzz_extensions(fuzz_choices_t *choices, X509 *x509,
    const fuzz_cert_t *issuer, ngx_uint_t key, ngx_uint_t leaf);
static void fuzz_extend(fuzz_choices_t *choices, X509 *x509,
    const fuzz_extension_t *extensions, ngx_uint_t n);
static void fuzz_key_id(X509 *x509, ngx_uint_t n);
static void fuzz_raw(X509 *x509, int nid, const u_char *data, size_t len);
static void fuzz_flip(fuzz_choices_t *choices, fuzz_cert_t *cert);
static void fuzz_name(X509_NAME *name, ngx_uint_t n);
static void fuzz_send(fuzz_choices_t *choices);
static void fuzz_append(X509 *x509);
static void fuzz_judge(ngx_uint_t right, const char *found);
static void fuzz_accepted(const wafcert_bundle_t *bundle);
static void fuzz_refused(const wafcert_verdict_t *verdict);
static ngx_uint_t fuzz_some_signed_nothing(void);
static ngx_uint_t fuzz_changed(X509 *x509);
static void fuzz_reach(X509 *x509);
static ngx_uint_t fuzz_is_circle(void);
static ngx_uint_t fuzz_is_top(X509 *x509);
static X509 *fuzz_root(X509 *x509);
static ngx_uint_t fuzz_signed_by(X509 *x509, X509 *issuer);
static ngx_uint_t fuzz_verifies(X509 *leaf, X509 *const *chain, ngx_uint_t n,
    X509 *trusted);


static const fuzz_extension_t  fuzz_constraints[] = {
    { NID_basic_constraints, "critical,CA:TRUE" },
    { NID_basic_constraints, "critical,CA:TRUE,pathlen:0" },
    { NID_basic_constraints, "CA:TRUE,pathlen:1" },
    { NID_undef, NULL },
    { NID_basic_constraints, "CA:FALSE" }
};

static const fuzz_extension_t  fuzz_usages[] = {
    { NID_key_usage, "critical,keyCertSign,cRLSign" },
    { NID_undef, NULL },
    { NID_key_usage, "cRLSign" },
    { NID_key_usage, "digitalSignature,keyCertSign" }
};

static const fuzz_extension_t  fuzz_purposes[] = {
    { NID_undef, NULL },
    { NID_ext_key_usage, "serverAuth" },
    { NID_ext_key_usage, "clientAuth,serverAuth" },
    { NID_ext_key_usage, "emailProtection" },
    { NID_ext_key_usage, "critical,anyExtendedKeyUsage" }
};

static const fuzz_extension_t  fuzz_names[] = {
    { NID_undef, NULL },
    { NID_name_constraints, "critical,permitted;DNS:a.test" },
    { NID_name_constraints, "permitted;DNS:b.test" },
    { NID_name_constraints, "excluded;DNS:www.a.test" },
    { NID_name_constraints, "critical,excluded;DNS:b.test" },
    { NID_name_constraints, "permitted;IP:192.0.2.0/255.255.255.0" },
    { NID_name_constraints, "excluded;IP:192.0.2.0/255.255.255.128" },
    { NID_name_constraints, "permitted;email:a.test" },
    { NID_name_constraints, "permitted;URI:.a.test" }
};

static const fuzz_extension_t  fuzz_leaf_constraints[] = {
    { NID_basic_constraints, "critical,CA:FALSE" },
    { NID_undef, NULL },
    { NID_basic_constraints, "critical,CA:TRUE" }
};

static const fuzz_extension_t  fuzz_leaf_usages[] = {
    { NID_key_usage, "critical,digitalSignature" },
    { NID_undef, NULL },
    { NID_key_usage, "keyCertSign" },
    { NID_key_usage, "keyAgreement" }
};

static const fuzz_extension_t  fuzz_hosts[] = {
    { NID_subject_alt_name, "DNS:www.a.test" },
    { NID_subject_alt_name, "DNS:a.test,DNS:b.test" },
    { NID_subject_alt_name, "DNS:*.a.test,IP:192.0.2.1" },
    { NID_subject_alt_name, "IP:192.0.2.200" },
    { NID_undef, NULL },
    { NID_subject_alt_name, "critical,DNS:A.TEST,email:x@b.test" },
    { NID_subject_alt_name, "DNS:a.test,URI:http://www.b.test/" }
};


static const wafcert_policy_t  fuzz_policy = { .chain = WAFCERT_CHAIN_REPAIR };

static wafcert_validator_t  *fuzz_validator;
static EVP_PKEY             *fuzz_keys[FUZZ_KEYS];
static ngx_str_t             fuzz_leaf_key;

static ngx_uint_t            fuzz_nissuers;
static fuzz_cert_t           fuzz_issued[FUZZ_ISSUERS];
static fuzz_cert_t           fuzz_leaf;

/* what was sent, and what of it beside the leaf, in this order */
static ngx_str_t             fuzz_content;
static ngx_uint_t            fuzz_nsent;
static X509                 *fuzz_sent[FUZZ_BLOCKS];
static ngx_uint_t            fuzz_reached[FUZZ_BLOCKS];

/* some key identifier is another key's: OpenSSL believes it, and we do not */
static ngx_uint_t            fuzz_misnamed;


int
LLVMFuzzerTestOneInput(const u_char *data, size_t size)
{
    u_char             text[FUZZ_PEM];
    ngx_int_t          rc;
    ngx_uint_t         i;
    fuzz_choices_t     choices;
    wafcert_bundle_t   bundle;
    wafcert_verdict_t  verdict;

    fuzz_setup();

    choices.p = data;
    choices.end = data + size;

    fuzz_issuers(&choices);

    fuzz_content.data = text;
    fuzz_content.len = 0;
    fuzz_send(&choices);

    rc = fuzz_validate(fuzz_validator, &bundle, &fuzz_content, &fuzz_leaf_key,
                       &fuzz_policy, FUZZ_NOW * 1000, &verdict);

    if (rc == NGX_OK) {
        fuzz_accepted(&bundle);
        wafcert_bundle_free(&bundle);

    } else {
        fuzz_assert(rc == NGX_DECLINED);
        fuzz_refused(&verdict);
    }

    for (i = 0; i < fuzz_nissuers; i++) {
        X509_free(fuzz_issued[i].x509);
    }

    X509_free(fuzz_leaf.x509);
    ERR_clear_error();

    return 0;
}


static void
fuzz_setup(void)
{
    u_char       seed[32];
    ngx_uint_t   i;
    static BIO  *bio;

    if (fuzz_validator) {
        return;
    }

    fuzz_validator = wafcert_validator_create();
    fuzz_assert(fuzz_validator);

    for (i = 0; i < FUZZ_KEYS; i++) {
        ngx_memset(seed, i + 1, sizeof(seed));
        fuzz_keys[i] = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
                                                    seed, sizeof(seed));
        fuzz_assert(fuzz_keys[i]);
    }

    bio = BIO_new(BIO_s_mem());
    fuzz_assert(bio && PEM_write_bio_PKCS8PrivateKey(bio, fuzz_keys[0], NULL,
                                                     NULL, 0, NULL, NULL));
    fuzz_leaf_key.len = BIO_get_mem_data(bio, &fuzz_leaf_key.data);
}


/* of n; 0 once the input is used up */

static ngx_uint_t
fuzz_take(fuzz_choices_t *choices, ngx_uint_t n)
{
    return choices->p == choices->end ? 0 : *choices->p++ % n;
}


/* The first one is the usual one: a chain of faults alone is of no use. */

static ngx_uint_t
fuzz_rarely(fuzz_choices_t *choices, ngx_uint_t n)
{
    ngx_uint_t  choice;

    choice = fuzz_take(choices, 256);

    return choice < 192 ? 0 : choice % n;
}


/* Each is issued by one before it, or by itself. */

static void
fuzz_issuers(fuzz_choices_t *choices)
{
    ngx_uint_t    i, n;
    fuzz_cert_t  *cert;

    fuzz_misnamed = 0;
    n = 1 + fuzz_take(choices, FUZZ_ISSUERS);

    for (i = 0; i < n; i++) {
        fuzz_issued[i].subject = 1 + fuzz_take(choices, FUZZ_KEYS);
        fuzz_issued[i].key = fuzz_take(choices, FUZZ_KEYS);
    }

    for (i = 0; i < n; i++) {
        cert = &fuzz_issued[i];
        fuzz_make(choices, cert, &fuzz_issued[fuzz_take(choices, n)], 0);
    }

    fuzz_nissuers = n;

    fuzz_leaf.subject = 0;
    fuzz_leaf.key = 0;
    fuzz_make(choices, &fuzz_leaf, &fuzz_issued[fuzz_take(choices, n)], 1);
}


static void
fuzz_make(fuzz_choices_t *choices, fuzz_cert_t *cert,
    const fuzz_cert_t *issuer, ngx_uint_t leaf)
{
    X509  *x509;

    x509 = X509_new();
    fuzz_assert(x509);

    cert->x509 = x509;

    fuzz_assert(X509_set_version(x509, X509_VERSION_3));
    fuzz_assert(ASN1_INTEGER_set(X509_get_serialNumber(x509),
                                 leaf ? 99 : (long) (cert - fuzz_issued)));
    fuzz_assert(X509_set_pubkey(x509, fuzz_keys[cert->key]));

    fuzz_name(X509_get_subject_name(x509), cert->subject);
    fuzz_name(X509_get_issuer_name(x509), issuer->subject);

    fuzz_dates(choices, x509);
    fuzz_extensions(choices, x509, issuer, cert->key, leaf);

    fuzz_assert(X509_sign(x509, fuzz_keys[issuer->key], NULL) > 0);

    fuzz_flip(choices, cert);
}


static void
fuzz_name(X509_NAME *name, ngx_uint_t n)
{
    u_char  text[] = "CA 0";

    text[3] += n;

    fuzz_assert(X509_NAME_add_entry_by_NID(name,
                                           n ? NID_organizationName
                                             : NID_commonName,
                                           MBSTRING_ASC, text,
                                           sizeof(text) - 1, -1, 0));
}


static void
fuzz_dates(fuzz_choices_t *choices, X509 *x509)
{
    int64_t     from, until;
    ngx_uint_t  choice;

    choice = fuzz_rarely(choices, 4);

    from = FUZZ_NOW + (choice == 1 ? FUZZ_YEAR : -FUZZ_YEAR);
    until = FUZZ_NOW + (choice == 2 ? -1 : 2 * FUZZ_YEAR);

    fuzz_assert(ASN1_TIME_set(X509_getm_notBefore(x509), from));
    fuzz_assert(ASN1_TIME_set(X509_getm_notAfter(x509), until));
}


static void
fuzz_extensions(fuzz_choices_t *choices, X509 *x509,
    const fuzz_cert_t *issuer, ngx_uint_t key, ngx_uint_t leaf)
{
    u_char      authority[] = { 0x30, 0x06, 0x80, 0x04, 0, 0, 0, 0 };
    u_char      odd[] = { 0x03, 0x01, 0x78 };
    ngx_uint_t  choice;

#define fuzz_extend_by(table)                                                 \
    fuzz_extend(choices, x509, table, sizeof(table) / sizeof(table[0]))

    if (leaf) {
        fuzz_extend_by(fuzz_leaf_constraints);
        fuzz_extend_by(fuzz_leaf_usages);
        fuzz_extend_by(fuzz_purposes);
        fuzz_extend_by(fuzz_hosts);

    } else {
        fuzz_extend_by(fuzz_constraints);
        fuzz_extend_by(fuzz_usages);
        fuzz_extend_by(fuzz_purposes);
        fuzz_extend_by(fuzz_names);
    }

    choice = fuzz_rarely(choices, 4);
    fuzz_misnamed |= (choice == 2);

    if (choice != 1) {
        fuzz_key_id(x509, choice == 2 ? choice : FUZZ_KEY_ID + key);
    }

    choice = fuzz_rarely(choices, 4);
    fuzz_misnamed |= (choice == 2);
    authority[4] = (choice == 2 ? choice : FUZZ_KEY_ID + issuer->key);

    if (choice != 1) {
        fuzz_raw(x509, NID_authority_key_identifier, authority,
                 sizeof(authority));
    }

    switch (fuzz_rarely(choices, 8)) {

    case 1:
        fuzz_raw(x509, NID_crl_distribution_points, odd, sizeof(odd));
        break;

    case 2:
        fuzz_key_id(x509, FUZZ_KEY_ID + key);
        break;

    case 3:
        fuzz_raw(x509, NID_info_access, odd, sizeof(odd));
        break;

    case 4:
        fuzz_raw(x509, NID_ms_code_com, odd, sizeof(odd));
        break;
    }
}


static void
fuzz_extend(fuzz_choices_t *choices, X509 *x509,
    const fuzz_extension_t *extensions, ngx_uint_t n)
{
    X509_EXTENSION          *ext;
    const fuzz_extension_t  *extension;

    extension = &extensions[fuzz_rarely(choices, n)];

    if (extension->value == NULL) {
        return;
    }

    ext = X509V3_EXT_conf_nid(NULL, NULL, extension->nid, extension->value);
    fuzz_assert(ext && X509_add_ext(x509, ext, -1));
    X509_EXTENSION_free(ext);
}


static void
fuzz_key_id(X509 *x509, ngx_uint_t n)
{
    u_char  id[] = { 0x04, 0x04, (u_char) n, 0, 0, 0 };

    fuzz_raw(x509, NID_subject_key_identifier, id, sizeof(id));
}


/* critical where an application is asked for it */

static void
fuzz_raw(X509 *x509, int nid, const u_char *data, size_t len)
{
    X509_EXTENSION     *ext;
    ASN1_OCTET_STRING  *value;

    value = ASN1_OCTET_STRING_new();
    fuzz_assert(value && ASN1_OCTET_STRING_set(value, data, len));

    ext = X509_EXTENSION_create_by_NID(NULL, nid, nid == NID_ms_code_com,
                                       value);
    fuzz_assert(ext && X509_add_ext(x509, ext, -1));

    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(value);
}


/* What changed on its way and can still be read is sent as it is then. */

static void
fuzz_flip(fuzz_choices_t *choices, fuzz_cert_t *cert)
{
    int            len;
    X509          *changed;
    u_char         der[FUZZ_DER], *p;
    ngx_uint_t     choice;
    const u_char  *q;

    p = der;
    len = i2d_X509(cert->x509, NULL);
    fuzz_assert(len > 0 && len < FUZZ_DER);
    fuzz_assert(i2d_X509(cert->x509, &p) == len);

    choice = fuzz_rarely(choices, 3);

    if (choice == 1) {
        der[len - 1 - fuzz_take(choices, 60)] ^= 1;

    } else if (choice == 2) {
        p = &der[(fuzz_take(choices, 256) * 256 + fuzz_take(choices, 256))
                 % len];
        *p ^= (u_char) (1 << fuzz_take(choices, 8));
    }

    /* read again at any rate: what was made has caches of its own */

    q = der;
    changed = d2i_X509(NULL, &q, len);

    if (changed == NULL || q != der + len) {
        X509_free(changed);
        changed = X509_dup(cert->x509);
        fuzz_assert(changed);
    }

    X509_free(cert->x509);
    cert->x509 = changed;
}


static void
fuzz_send(fuzz_choices_t *choices)
{
    ngx_uint_t  i, n;

    fuzz_append(fuzz_leaf.x509);

    n = fuzz_take(choices, 2 + fuzz_nissuers);
    n = ngx_min(fuzz_nissuers + 1 - n, FUZZ_BLOCKS);

    for (i = 0; i < n; i++) {
        fuzz_sent[i] = fuzz_issued[(i + fuzz_take(choices, fuzz_nissuers))
                                   % fuzz_nissuers].x509;
        fuzz_append(fuzz_sent[i]);
    }

    fuzz_nsent = n;
    ngx_memzero(fuzz_reached, sizeof(fuzz_reached));
}


static void
fuzz_append(X509 *x509)
{
    BIO     *bio;
    char    *text;
    size_t   len;

    bio = BIO_new(BIO_s_mem());
    fuzz_assert(bio && PEM_write_bio_X509(bio, x509));

    len = BIO_get_mem_data(bio, &text);
    fuzz_assert(fuzz_content.len + len < FUZZ_PEM);

    ngx_memcpy(fuzz_content.data + fuzz_content.len, text, len);
    fuzz_content.len += len;

    BIO_free(bio);
}


/* A finding is told with what was sent. */

static void
fuzz_judge(ngx_uint_t right, const char *found)
{
    if (right) {
        return;
    }

    (void) fprintf(stderr, "%.*s", (int) fuzz_content.len, fuzz_content.data);
    fuzz_fail(__FILE__, __LINE__, found);
}


static void
fuzz_accepted(const wafcert_bundle_t *bundle)
{
    X509          *chain[FUZZ_BLOCKS + 1], *root;
    ngx_uint_t     i, n, tops, good;
    const u_char  *p;

    n = bundle->facts.nchain;
    fuzz_assert(n > 0 && n <= FUZZ_BLOCKS + 1);

    for (i = 0; i < n; i++) {
        p = bundle->facts.chain[i].der.data;
        chain[i] = d2i_X509(NULL, &p, bundle->facts.chain[i].der.len);
        fuzz_assert(chain[i]);
    }

    tops = 0;
    good = (bundle->facts.warnings & ~FUZZ_SILENT) || fuzz_misnamed
           || fuzz_is_circle() ? 1 : 0;

    fuzz_reach(fuzz_leaf.x509);

    for (i = 0; i < fuzz_nsent; i++) {

        if (!fuzz_misnamed
            && fuzz_verifies(fuzz_leaf.x509, fuzz_sent, fuzz_nsent,
                             fuzz_sent[i]))
        {
            fuzz_judge(fuzz_verifies(chain[0], &chain[1], n - 1, fuzz_sent[i]),
                       "accepted as sent and refused as stored");
        }

        if (good || !fuzz_reached[i] || !fuzz_is_top(fuzz_sent[i])) {
            continue;
        }

        tops++;
        root = fuzz_root(fuzz_sent[i]);
        good = root == NULL || fuzz_verifies(chain[0], &chain[1], n - 1, root);
        X509_free(root);
    }

    fuzz_judge(good || tops == 0,
               "accepted in silence here and refused there");

    for (i = 0; i < n; i++) {
        X509_free(chain[i]);
    }
}


static void
fuzz_refused(const wafcert_verdict_t *verdict)
{
    ngx_uint_t  i;

    switch (verdict->reason) {

    case WAFCERT_CONTENT_DER:
    case WAFCERT_CERT_ALGORITHM_MISMATCH:

        /* of any block, even if no path has it */

        return;

    case WAFCERT_CHAIN_SIGNATURE:
        fuzz_judge(fuzz_some_signed_nothing(), "no signature is wrong");
        return;

    default:
        break;
    }

    for (i = 0; i < fuzz_nsent; i++) {
        fuzz_judge(!fuzz_verifies(fuzz_leaf.x509, fuzz_sent, fuzz_nsent,
                                  fuzz_sent[i]),
                   "refused here and accepted there");
    }
}


static ngx_uint_t
fuzz_some_signed_nothing(void)
{
    ngx_uint_t  i;

    for (i = 0; i < fuzz_nsent; i++) {
        if (fuzz_changed(fuzz_sent[i])) {
            return 1;
        }
    }

    return fuzz_changed(fuzz_leaf.x509);
}


/* Whether blocks have its issuer's name, and none of them has signed it. */

static ngx_uint_t
fuzz_changed(X509 *x509)
{
    ngx_uint_t  i, named;

    named = 0;

    for (i = 0; i < fuzz_nsent; i++) {

        if (X509_NAME_cmp(X509_get_issuer_name(x509),
                          X509_get_subject_name(fuzz_sent[i]))
            != 0)
        {
            continue;
        }

        if (fuzz_signed_by(x509, fuzz_sent[i])) {
            return 0;
        }

        named++;
    }

    return named;
}


/* Marks what some path from there comes by. */

static void
fuzz_reach(X509 *x509)
{
    ngx_uint_t  i;

    for (i = 0; i < fuzz_nsent; i++) {
        if (!fuzz_reached[i] && fuzz_signed_by(x509, fuzz_sent[i])) {
            fuzz_reached[i] = 1;
            fuzz_reach(fuzz_sent[i]);
        }
    }
}


/*
 * Whether some have issued each other: there a path ends without a top.  So it
 * does for OpenSSL at what it takes for self-signed, by its names and without
 * the signature.
 */

static ngx_uint_t
fuzz_is_circle(void)
{
    ngx_uint_t  i, circle;

    circle = 0;

    for (i = 0; i < fuzz_nsent && !circle; i++) {
        fuzz_reach(fuzz_sent[i]);

        circle = (fuzz_reached[i]
                  || (X509_get_extension_flags(fuzz_sent[i]) & EXFLAG_SS))
                 && !fuzz_signed_by(fuzz_sent[i], fuzz_sent[i]);
        ngx_memzero(fuzz_reached, sizeof(fuzz_reached));
    }

    return circle;
}


/* Whether it is a root, or nothing that was sent has its issuer's name. */

static ngx_uint_t
fuzz_is_top(X509 *x509)
{
    ngx_uint_t  i;

    if (fuzz_signed_by(x509, x509)) {
        return 1;
    }

    for (i = 0; i < fuzz_nsent; i++) {
        if (X509_NAME_cmp(X509_get_issuer_name(x509),
                          X509_get_subject_name(fuzz_sent[i]))
            == 0)
        {
            return 0;
        }
    }

    return 1;
}


/*
 * A client has its own certificate of a root that was sent: without what the
 * one that was sent may say of its dates, constraints and key.  NULL: OpenSSL
 * may take it for another one of its name, and does not come back.
 */

static X509 *
fuzz_root(X509 *x509)
{
    X509            *root;
    EVP_PKEY        *key;
    ngx_uint_t       i, n;
    X509_EXTENSION  *ext;

    if (!fuzz_signed_by(x509, x509)) {
        fuzz_assert(X509_up_ref(x509));
        return x509;
    }

    key = X509_get0_pubkey(x509);

    for (i = 0; EVP_PKEY_eq(key, fuzz_keys[i]) != 1; i++) {
        fuzz_assert(i < FUZZ_KEYS - 1);
    }

    for (n = 0; n < fuzz_nsent; n++) {

        if (X509_NAME_cmp(X509_get_subject_name(fuzz_sent[n]),
                          X509_get_subject_name(x509))
            == 0
            && EVP_PKEY_eq(X509_get0_pubkey(fuzz_sent[n]), key) != 1)
        {
            return NULL;
        }
    }

    root = X509_new();
    ext = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "CA:TRUE");

    fuzz_assert(root && ext
                && X509_set_version(root, X509_VERSION_3)
                && X509_set_subject_name(root, X509_get_subject_name(x509))
                && X509_set_issuer_name(root, X509_get_subject_name(x509))
                && X509_set_pubkey(root, fuzz_keys[i])
                && ASN1_TIME_set(X509_getm_notBefore(root), FUZZ_NOW - 1)
                && ASN1_TIME_set(X509_getm_notAfter(root), FUZZ_NOW + 1)
                && X509_add_ext(root, ext, -1)
                && X509_sign(root, fuzz_keys[i], NULL) > 0);

    X509_EXTENSION_free(ext);

    return root;
}


static ngx_uint_t
fuzz_signed_by(X509 *x509, X509 *issuer)
{
    return X509_NAME_cmp(X509_get_issuer_name(x509),
                         X509_get_subject_name(issuer))
           == 0
           && X509_verify(x509, X509_get0_pubkey(issuer)) == 1;
}


/* as a client does that has the one and no other */

static ngx_uint_t
fuzz_verifies(X509 *leaf, X509 *const *chain, ngx_uint_t n, X509 *trusted)
{
    int                 rc;
    ngx_uint_t          i;
    X509_STORE         *store;
    X509_STORE_CTX     *ctx;
    STACK_OF(X509)     *untrusted;
    X509_VERIFY_PARAM  *param;

    store = X509_STORE_new();
    ctx = X509_STORE_CTX_new();
    untrusted = sk_X509_new_null();
    fuzz_assert(store && ctx && untrusted && X509_STORE_add_cert(store, trusted));

    for (i = 0; i < n; i++) {
        fuzz_assert(sk_X509_push(untrusted, chain[i]) > 0);
    }

    fuzz_assert(X509_STORE_CTX_init(ctx, store, leaf, untrusted));

    param = X509_STORE_CTX_get0_param(ctx);
    fuzz_assert(X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER));
    fuzz_assert(X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN));
    X509_VERIFY_PARAM_set_time(param, FUZZ_NOW);

    rc = X509_verify_cert(ctx);

    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    sk_X509_free(untrusted);

    return rc == 1;
}
