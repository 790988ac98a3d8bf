
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include "wafcert_fault.h"
#include "wafcert_words.h"


/* of a certificate, that are compared one by one to name the one at fault */
#define WAFCERT_WORDS_NAMES  64

/* with their subjects, in one sentence */
#define WAFCERT_WORDS_BLOCKS  3


typedef struct {
    wafcert_validator_t   *validator;
    wafcert_chain_t       *chain;
    wafcert_sent_t        *leaf;
    wafcert_sent_t        *issuer;      /* with the fault, or NULL */
    wafcert_sent_t        *below;       /* which it has issued */
    char                  *pos;
    char                  *end;
} wafcert_writer_t;


static void wafcert_words_of(wafcert_writer_t *w, wafcert_warning_e warning);
static void wafcert_words_of_leaf(wafcert_writer_t *w,
    wafcert_warning_e warning);
static void wafcert_words_of_issuer(wafcert_writer_t *w,
    const wafcert_sent_t *issuer, wafcert_warning_e warning);
static void wafcert_words_missing(wafcert_writer_t *w);
static void wafcert_words_dropped(wafcert_writer_t *w, wafcert_sent_e state);
static void wafcert_words_weak(wafcert_writer_t *w);
static ngx_uint_t wafcert_words_weak_key(wafcert_writer_t *w,
    wafcert_x509_t *cert);
static void wafcert_words_name(wafcert_writer_t *w, ngx_uint_t n);
static void wafcert_words_no_ca(wafcert_writer_t *w, X509 *x509);
static void wafcert_words_key_type(wafcert_writer_t *w,
    const wafcert_public_t *public);
static void wafcert_words_encoding(wafcert_writer_t *w);
static void wafcert_words_string(wafcert_writer_t *w,
    const ASN1_STRING *string);
static void wafcert_words_key_id(wafcert_writer_t *w);
static void wafcert_words_constraint(wafcert_writer_t *w);
static int wafcert_words_forbidden(wafcert_writer_t *w,
    NAME_CONSTRAINTS *constraints, wafcert_x509_t *cert);
static int wafcert_words_alone(NAME_CONSTRAINTS *constraints,
    GENERAL_NAME *name, X509_NAME *subject);
static void wafcert_words_general(wafcert_writer_t *w, GENERAL_NAME *name);
static void wafcert_words_date(wafcert_writer_t *w, const char *what,
    int64_t ms);
static void wafcert_words_hex(wafcert_writer_t *w, const ngx_str_t *bytes);
static void wafcert_words_block(wafcert_writer_t *w,
    const wafcert_sent_t *sent);
static void wafcert_words_put(wafcert_writer_t *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


void
wafcert_words_write(wafcert_validator_t *validator, wafcert_chain_t *chain,
    uint64_t warnings, wafcert_words_t *words)
{
    ngx_uint_t        i;
    wafcert_writer_t  w;

    ngx_memzero(&w, sizeof(wafcert_writer_t));

    w.validator = validator;
    w.chain = chain;
    w.leaf = chain->kept[0];

    if (chain->npath) {
        w.issuer = chain->path[chain->npath - 1];
        w.below = chain->path[chain->npath - 2];
    }

    for (i = 0; i < WAFCERT_WARNINGS; i++) {

        if (warnings & wafcert_warning(i)) {
            w.pos = words[i];
            w.end = words[i] + sizeof(wafcert_words_t);

            wafcert_words_of(&w, i);
        }
    }
}


static void
wafcert_words_of(wafcert_writer_t *w, wafcert_warning_e warning)
{
    switch (warning) {

    case WAFCERT_WARN_CHAIN_INCOMPLETE:
        wafcert_words_missing(w);
        return;

    case WAFCERT_WARN_ROOT_DROPPED:
        wafcert_words_dropped(w, WAFCERT_SENT_ROOT);
        return;

    case WAFCERT_WARN_DUPLICATE_DROPPED:
        wafcert_words_dropped(w, WAFCERT_SENT_DUPLICATE);
        return;

    case WAFCERT_WARN_WEAK_KEY:
        wafcert_words_weak(w);
        return;

    case WAFCERT_WARN_LEAF_KEY_USAGE:
    case WAFCERT_WARN_LEAF_ANY_PURPOSE:
    case WAFCERT_WARN_LEAF_CRITICAL_EXTENSION:
    case WAFCERT_WARN_LEAF_MALFORMED_EXTENSION:
    case WAFCERT_WARN_SAN_MALFORMED:
    case WAFCERT_WARN_HOST_UNUSABLE:
    case WAFCERT_WARN_LEAF_KEY_TYPE:
        wafcert_words_of_leaf(w, warning);
        return;

    case WAFCERT_WARN_ISSUER_MALFORMED_EXTENSION:
        wafcert_words_of_issuer(w, w->chain->unreadable, warning);
        return;

    default:
        if (w->issuer && wafcert_warning_is_issuers(warning)) {
            wafcert_words_of_issuer(w, w->issuer, warning);
        }
    }
}


static void
wafcert_words_of_leaf(wafcert_writer_t *w, wafcert_warning_e warning)
{
    char             buf[160];
    wafcert_x509_t  *cert;

    cert = w->leaf->cert;

    if (wafcert_x509_open(w->validator, cert) != NGX_OK) {
        return;
    }

    wafcert_words_block(w, w->leaf);
    wafcert_words_put(w, ": ");

    switch (warning) {

    case WAFCERT_WARN_LEAF_KEY_USAGE:
        wafcert_words_usage(cert->x509, buf, sizeof(buf));
        break;

    case WAFCERT_WARN_LEAF_ANY_PURPOSE:
        wafcert_words_purposes(cert->x509, buf, sizeof(buf));
        break;

    case WAFCERT_WARN_LEAF_KEY_TYPE:
        wafcert_words_key_type(w, &cert->public);
        return;

    case WAFCERT_WARN_SAN_MALFORMED:
        wafcert_words_name(w, cert->bad_san);
        return;

    case WAFCERT_WARN_HOST_UNUSABLE:
        wafcert_words_name(w, cert->odd_host);
        return;

    default:
        wafcert_fault_which(cert, warning, buf, sizeof(buf));
    }

    wafcert_words_put(w, "%s", buf);
}


static void
wafcert_words_of_issuer(wafcert_writer_t *w, const wafcert_sent_t *issuer,
    wafcert_warning_e warning)
{
    char             buf[160];
    wafcert_x509_t  *cert;

    cert = issuer->cert;

    if (wafcert_x509_open(w->validator, cert) != NGX_OK) {
        return;
    }

    wafcert_words_block(w, issuer);
    wafcert_words_put(w, ": ");

    switch (warning) {

    case WAFCERT_WARN_ISSUER_NOT_CA:
        wafcert_words_no_ca(w, cert->x509);
        return;

    case WAFCERT_WARN_ISSUER_PATH_LENGTH:
        wafcert_words_put(w, "pathLenConstraint is %lu, and CAs below it: "
                          "%lu", (u_long) cert->path_length,
                          (u_long) w->chain->npath - 2);
        return;

    case WAFCERT_WARN_ISSUER_EXPIRED:
        wafcert_words_date(w, "expired on", cert->not_after);
        return;

    case WAFCERT_WARN_ISSUER_NOT_YET_VALID:
        wafcert_words_date(w, "not valid before", cert->not_before);
        return;

    case WAFCERT_WARN_ISSUER_NAME_ENCODING:
        wafcert_words_encoding(w);
        return;

    case WAFCERT_WARN_ISSUER_NAME_EMPTY:
        wafcert_words_put(w, "it has issued ");
        wafcert_words_block(w, w->below);
        return;

    case WAFCERT_WARN_KEY_ID_MISMATCH:
        wafcert_words_key_id(w);
        return;

    case WAFCERT_WARN_ISSUER_NAME_CONSTRAINTS:
        wafcert_words_constraint(w);
        return;

    case WAFCERT_WARN_ISSUER_KEY_TYPE:
        wafcert_words_key_type(w, &cert->public);
        return;

    case WAFCERT_WARN_ISSUER_KEY_USAGE:
        wafcert_words_usage(cert->x509, buf, sizeof(buf));
        break;

    case WAFCERT_WARN_ISSUER_PURPOSE:
        wafcert_words_purposes(cert->x509, buf, sizeof(buf));
        break;

    default:
        wafcert_fault_which(cert, warning, buf, sizeof(buf));
    }

    wafcert_words_put(w, "%s", buf);
}


/* a CA that has changed its key has an intermediate for each of the two */

static void
wafcert_words_missing(wafcert_writer_t *w)
{
    ngx_uint_t             i;
    const wafcert_sent_t  *sent;

    wafcert_words_put(w, "%.*s, the issuer of ",
                      wafcert_cut(&w->leaf->cert->issuer, 120),
                      w->leaf->cert->issuer.data);
    wafcert_words_block(w, w->leaf);

    for (i = 0; i < w->chain->nsent; i++) {
        sent = &w->chain->sent[i];

        if (sent != w->leaf && sent->state != WAFCERT_SENT_DUPLICATE
            && wafcert_x509_issued(w->leaf->cert, sent->cert))
        {
            wafcert_words_put(w, "; block %lu has this name, and another key: "
                              "the CA has changed its key, and it is its "
                              "other certificate that belongs here",
                              (u_long) sent->block);
            return;
        }
    }
}


/* of more the numbers are enough */

static void
wafcert_words_dropped(wafcert_writer_t *w, wafcert_sent_e state)
{
    char                  *first;
    ngx_uint_t             i, n;
    const wafcert_sent_t  *sent;

    n = 0;
    first = w->pos;

    for (i = 0; i < w->chain->nsent; i++) {
        sent = &w->chain->sent[i];

        if (sent->state != state) {
            continue;
        }

        if (n++ == WAFCERT_WORDS_BLOCKS) {
            *first = '\0';
            return;
        }

        wafcert_words_put(w, n > 1 ? "; " : "");
        wafcert_words_block(w, sent);
    }
}


static void
wafcert_words_weak(wafcert_writer_t *w)
{
    char             type[32];
    ngx_uint_t       i;
    wafcert_sent_t  *sent;
    wafcert_x509_t  *cert;

    for (i = 0; i < w->chain->nkept; i++) {
        sent = w->chain->kept[i];
        cert = sent->cert;

        if (wafcert_x509_level(w->validator, cert) >= WAFCERT_LEVEL_DEFAULT) {
            continue;
        }

        wafcert_words_block(w, sent);

        if (wafcert_words_weak_key(w, cert)) {
            (void) wafcert_public_type(&cert->public, type);
            wafcert_words_put(w, ": its key is %s", type);

        } else {
            wafcert_words_put(w, ": its signature is with %s",
                              cert->digest == NID_undef
                              ? "a weak digest" : OBJ_nid2ln(cert->digest));
        }

        return;
    }
}


/* for level 2, at which 112 bits are wanted */

static ngx_uint_t
wafcert_words_weak_key(wafcert_writer_t *w, wafcert_x509_t *cert)
{
    EVP_PKEY  *pkey;

    pkey = wafcert_x509_pkey(w->validator, cert);

    return pkey && EVP_PKEY_get_security_bits(pkey) < 112;
}


/* the n-th of the alternative names */

static void
wafcert_words_name(wafcert_writer_t *w, ngx_uint_t n)
{
    ngx_uint_t      i;
    const char     *what;
    wafcert_der_t   der, names;
    wafcert_tlv_t   tlv;

    wafcert_der_init(&der, &w->leaf->cert->exts[WAFCERT_EXT_NAMES]);

    if (wafcert_der_enter(&der, WAFCERT_DER_SEQUENCE, &names) != NGX_OK) {
        return;
    }

    for (i = 0; i < n; i++) {
        if (wafcert_der_next(&names, &tlv) != NGX_OK) {
            return;
        }
    }

    switch (tlv.tag) {

    case WAFCERT_DER_PRIMITIVE(1):
        what = "mail address";
        break;

    case WAFCERT_DER_PRIMITIVE(2):
        what = "DNS name";
        break;

    case WAFCERT_DER_PRIMITIVE(6):
        what = "URI";
        break;

    default:
        wafcert_words_put(w, "an address of %lu bytes", (u_long) tlv.body.len);
        return;
    }

    wafcert_words_put(w, "the %s \"%.*s\"", what,
                      wafcert_cut(&tlv.body, 100), tlv.body.data);
}


static void
wafcert_words_no_ca(wafcert_writer_t *w, X509 *x509)
{
    if (X509_get_version(x509) != 2) {
        wafcert_words_put(w, "it is of version %ld",
                          X509_get_version(x509) + 1);

    } else if (X509_get_ext_by_NID(x509, NID_basic_constraints, -1) < 0) {
        wafcert_words_put(w, "it has no basicConstraints");

    } else {
        wafcert_words_put(w, "basicConstraints are CA:FALSE");
    }
}


static void
wafcert_words_key_type(wafcert_writer_t *w, const wafcert_public_t *public)
{
    char  type[32];

    (void) wafcert_public_type(public, type);
    wafcert_words_put(w, "its key is %s", type);

    if (public->algo.algo == WAFCERT_ALGO_RSA) {
        wafcert_words_put(w, " with an exponent of %lu bits",
                          (u_long) wafcert_number_bits(&public->exponent));

    } else if (wafcert_public_packed(public)) {
        wafcert_words_put(w, " with a point that is not uncompressed");
    }
}


/* the first attribute of the two names that is another one */

static void
wafcert_words_encoding(wafcert_writer_t *w)
{
    int              i;
    X509_NAME       *one, *two;
    ASN1_STRING     *a, *b;
    X509_NAME_ENTRY *entry;

    wafcert_words_put(w, "named in other bytes in ");
    wafcert_words_block(w, w->below);

    if (wafcert_x509_open(w->validator, w->below->cert) != NGX_OK) {
        return;
    }

    one = X509_get_issuer_name(w->below->cert->x509);
    two = X509_get_subject_name(w->issuer->cert->x509);

    for (i = 0; i < X509_NAME_entry_count(one); i++) {

        if (i == X509_NAME_entry_count(two)) {
            return;
        }

        entry = X509_NAME_get_entry(one, i);
        a = X509_NAME_ENTRY_get_data(entry);
        b = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(two, i));

        if (ASN1_STRING_cmp(a, b) != 0) {
            wafcert_words_put(w, ": %s is ",
                              OBJ_nid2sn(OBJ_obj2nid(
                                          X509_NAME_ENTRY_get_object(entry))));
            wafcert_words_string(w, a);
            wafcert_words_put(w, " there, and ");
            wafcert_words_string(w, b);
            wafcert_words_put(w, " here");
            return;
        }
    }
}


/* its type, and its text: that of a BMPSTRING is in UTF-16 */

static void
wafcert_words_string(wafcert_writer_t *w, const ASN1_STRING *string)
{
    int        len;
    ngx_str_t  text;

    wafcert_words_put(w, "%s", ASN1_tag2str(ASN1_STRING_type(string)));

    len = ASN1_STRING_to_UTF8(&text.data, string);

    if (len >= 0) {
        text.len = len;
        wafcert_words_put(w, " \"%.*s\"", wafcert_cut(&text, 60), text.data);
        OPENSSL_free(text.data);
    }
}


static void
wafcert_words_key_id(wafcert_writer_t *w)
{
    const ngx_str_t  *named, *is;

    if (wafcert_chain_seems_root(w->chain, w->below)) {
        wafcert_words_put(w, "it has issued ");
        wafcert_words_block(w, w->below);
        wafcert_words_put(w, ", which has the same name, and no key "
                          "identifier that tells the two apart: OpenSSL "
                          "takes that one for a root");
        return;
    }

    named = &w->below->cert->authority_id;
    is = &w->issuer->cert->key_id;

    if (named->len && is->len
        && (named->len != is->len
            || ngx_memcmp(named->data, is->data, is->len) != 0))
    {
        wafcert_words_put(w, "its key identifier is ");
        wafcert_words_hex(w, is);
        wafcert_words_put(w, ", and ");
        wafcert_words_hex(w, named);

    } else {
        wafcert_words_put(w, "its serial number is ");
        wafcert_words_hex(w, &w->issuer->cert->serial);
        wafcert_words_put(w, ", and that or its issuer is another one");
    }

    wafcert_words_put(w, " in ");
    wafcert_words_block(w, w->below);
}


static void
wafcert_words_constraint(wafcert_writer_t *w)
{
    int                error;
    ngx_uint_t         i;
    wafcert_x509_t    *cert;
    NAME_CONSTRAINTS  *constraints;

    constraints = w->issuer->cert->constraints;

    for (i = 0; constraints && i < w->chain->npath - 1; i++) {
        cert = w->chain->path[i]->cert;

        if (i && wafcert_x509_issued(cert, cert)) {
            continue;
        }

        error = wafcert_words_forbidden(w, constraints, cert);

        if (error != X509_V_OK) {
            wafcert_words_put(w, " of ");
            wafcert_words_block(w, w->chain->path[i]);
            wafcert_words_put(w, error == X509_V_ERR_EXCLUDED_VIOLATION
                                 ? " is excluded"
                                 : error == X509_V_ERR_PERMITTED_VIOLATION
                                 ? " is not permitted"
                                 : " cannot be compared");
            return;
        }
    }

    wafcert_words_put(w, "there are too many names to compare");
}


/* names the first one that is, and returns OpenSSL's error */

static int
wafcert_words_forbidden(wafcert_writer_t *w, NAME_CONSTRAINTS *constraints,
    wafcert_x509_t *cert)
{
    int             i, error;
    X509_NAME      *subject;
    ngx_uint_t      cost;
    GENERAL_NAME   *name;
    GENERAL_NAMES  *names;

    /* a list that is not there has -1 */

    cost = 2 + sk_GENERAL_SUBTREE_num(constraints->permittedSubtrees)
           + sk_GENERAL_SUBTREE_num(constraints->excludedSubtrees);
    cost *= 2 * WAFCERT_WORDS_NAMES;

    if (cost > w->validator->compares || cert->names > WAFCERT_JUDGED_NAMES
        || wafcert_x509_open(w->validator, cert) != NGX_OK)
    {
        return X509_V_OK;
    }

    w->validator->compares -= cost;

    error = X509_V_OK;
    subject = X509_get_subject_name(cert->x509);
    names = X509_get_ext_d2i(cert->x509, NID_subject_alt_name, NULL, NULL);

    for (i = 0; i < sk_GENERAL_NAME_num(names)
                && i < WAFCERT_WORDS_NAMES && error == X509_V_OK; i++)
    {
        name = sk_GENERAL_NAME_value(names, i);
        error = wafcert_words_alone(constraints, name, NULL);

        if (error != X509_V_OK) {
            wafcert_words_general(w, name);
        }
    }

    GENERAL_NAMES_free(names);

    if (error != X509_V_OK) {
        return error;
    }

    error = wafcert_words_alone(constraints, NULL, subject);

    if (error != X509_V_OK) {
        wafcert_words_put(w, "the subject");
        return error;
    }

    error = cert->has_dns ? X509_V_OK
                          : NAME_CONSTRAINTS_check_CN(cert->x509, constraints);

    if (error != X509_V_OK) {
        wafcert_words_put(w, "the common name");
    }

    return error;
}


/* in a certificate that has nothing else */

static int
wafcert_words_alone(NAME_CONSTRAINTS *constraints, GENERAL_NAME *name,
    X509_NAME *subject)
{
    int             error;
    X509           *x509;
    GENERAL_NAMES  *names;

    error = X509_V_OK;
    x509 = X509_new();
    names = sk_GENERAL_NAME_new_null();

    if (x509 && names
        && (subject == NULL || X509_set_subject_name(x509, subject))
        && (name == NULL
            || (sk_GENERAL_NAME_push(names, name)
                && X509_add1_ext_i2d(x509, NID_subject_alt_name, names, 0,
                                     X509V3_ADD_APPEND))))
    {
        /* OpenSSL reads the names here */

        (void) X509_check_purpose(x509, -1, 0);
        error = NAME_CONSTRAINTS_check(x509, constraints);
    }

    sk_GENERAL_NAME_free(names);
    X509_free(x509);

    return error;
}


static void
wafcert_words_general(wafcert_writer_t *w, GENERAL_NAME *name)
{
    BIO        *bio;
    ngx_str_t   text;

    bio = w->validator->bio;

    (void) BIO_reset(bio);

    if (GENERAL_NAME_print(bio, name) != 1) {
        return;
    }

    text.len = BIO_get_mem_data(bio, &text.data);

    wafcert_words_put(w, "the name %.*s", wafcert_cut(&text, 100), text.data);
}


static void
wafcert_words_date(wafcert_writer_t *w, const char *what, int64_t ms)
{
    char  date[32];

    wafcert_x509_date(ms, date, sizeof(date));
    wafcert_words_put(w, "%s %s", what, date);
}


static void
wafcert_words_hex(wafcert_writer_t *w, const ngx_str_t *bytes)
{
    size_t  i;

    for (i = 0; i < bytes->len && i < 20; i++) {
        wafcert_words_put(w, "%02x", bytes->data[i]);
    }
}


static void
wafcert_words_block(wafcert_writer_t *w, const wafcert_sent_t *sent)
{
    wafcert_words_put(w, "block %lu of content", (u_long) sent->block);

    if (sent->cert->subject.len) {
        wafcert_words_put(w, ", %.*s",
                          wafcert_x509_subject(sent->cert));
    }
}


/* what has no room is cut off */

static void
wafcert_words_put(wafcert_writer_t *w, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    w->pos += wafcert_vprint(w->pos, w->end - w->pos, fmt, args);
    va_end(args);
}


void
wafcert_words_usage(X509 *x509, char *buf, size_t size)
{
    size_t      len;
    uint32_t    usage;
    ngx_uint_t  i, n;

    static const struct {
        uint32_t     bit;
        const char  *name;
    } usages[] = {
        { KU_DIGITAL_SIGNATURE, "digitalSignature" },
        { KU_NON_REPUDIATION, "nonRepudiation" },
        { KU_KEY_ENCIPHERMENT, "keyEncipherment" },
        { KU_DATA_ENCIPHERMENT, "dataEncipherment" },
        { KU_KEY_AGREEMENT, "keyAgreement" },
        { KU_KEY_CERT_SIGN, "keyCertSign" },
        { KU_CRL_SIGN, "cRLSign" },
        { KU_ENCIPHER_ONLY, "encipherOnly" },
        { KU_DECIPHER_ONLY, "decipherOnly" }
    };

    n = 0;
    usage = X509_get_key_usage(x509);
    len = snprintf(buf, size, "keyUsage is");

    for (i = 0; i < sizeof(usages) / sizeof(usages[0]) && len < size; i++) {
        if (usage & usages[i].bit) {
            len += snprintf(buf + len, size - len, "%s %s", n++ ? "," : "",
                            usages[i].name);
        }
    }

    if (n == 0) {
        (void) snprintf(buf, size, "keyUsage is empty");
    }
}


void
wafcert_words_purposes(X509 *x509, char *buf, size_t size)
{
    int                  i, nid;
    char                 oid[80];
    size_t               len;
    ASN1_OBJECT         *object;
    EXTENDED_KEY_USAGE  *purposes;

    purposes = X509_get_ext_d2i(x509, NID_ext_key_usage, NULL, NULL);
    len = snprintf(buf, size, "extendedKeyUsage is%s",
                   sk_ASN1_OBJECT_num(purposes) > 0 ? "" : " empty");

    for (i = 0; i < sk_ASN1_OBJECT_num(purposes) && len < size; i++) {
        object = sk_ASN1_OBJECT_value(purposes, i);
        nid = OBJ_obj2nid(object);

        if (nid == NID_undef) {
            (void) OBJ_obj2txt(oid, sizeof(oid), object, 1);
        }

        len += snprintf(buf + len, size - len, "%s %s", i ? "," : "",
                        nid == NID_undef ? oid : OBJ_nid2sn(nid));
    }

    EXTENDED_KEY_USAGE_free(purposes);
}
