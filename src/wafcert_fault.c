
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include "wafcert_fault.h"
#include "wafcert_words.h"


/* a precertificate's: RFC 6962, 3.1 */
#define WAFCERT_FAULT_POISON  "1.3.6.1.4.1.11129.2.4.3"


/* Extensions of which clients know what they mean. */

typedef struct {
    int                  nid;
    unsigned             openssl:1;   /* 3.0, if it is critical */
    unsigned             go:1;
    unsigned             both:1;      /* both refuse what they cannot read */
} wafcert_known_t;


static const wafcert_known_t  wafcert_known[] = {
    { NID_key_usage, 1, 1, 1 },
    { NID_basic_constraints, 1, 1, 1 },
    { NID_ext_key_usage, 1, 1, 1 },
    { NID_subject_alt_name, 1, 1, 1 },
    { NID_subject_key_identifier, 0, 1, 1 },
    { NID_authority_key_identifier, 0, 1, 1 },
    { NID_crl_distribution_points, 1, 1, 1 },
    { NID_name_constraints, 1, 1, 0 },
    { NID_certificate_policies, 1, 1, 0 },
    { NID_info_access, 0, 1, 0 },
    { NID_policy_constraints, 1, 0, 0 },
    { NID_policy_mappings, 1, 0, 0 },
    { NID_inhibit_any_policy, 1, 0, 0 },
    { NID_netscape_cert_type, 1, 0, 0 },
    { NID_id_pkix_OCSP_noCheck, 1, 0, 0 },
    { NID_proxyCertInfo, 1, 0, 0 },
    { NID_sbgp_ipAddrBlock, 1, 0, 0 },
    { NID_sbgp_autonomousSysNum, 1, 0, 0 },
    { NID_undef, 0, 0, 0 }
};


static ngx_int_t wafcert_fault_extension(const wafcert_x509_t *cert,
    ngx_uint_t block, int n, uint64_t *warnings, wafcert_verdict_t *verdict);
static ngx_int_t wafcert_fault_critical(const wafcert_x509_t *cert,
    X509_EXTENSION *ext, const wafcert_known_t *known, ngx_uint_t block,
    uint64_t *warnings, wafcert_verdict_t *verdict);
static const wafcert_known_t *wafcert_fault_known(X509_EXTENSION *ext);
static ngx_uint_t wafcert_fault_reads(X509_EXTENSION *ext);
static ngx_uint_t wafcert_fault_large(X509_EXTENSION *ext,
    const wafcert_known_t *known);
static const char *wafcert_fault_name(X509_EXTENSION *ext, char *buf,
    int size);
static ngx_uint_t wafcert_fault_no_purposes(X509 *x509);
static ngx_int_t wafcert_fault_purpose(wafcert_x509_t *cert,
    ngx_uint_t block, uint64_t *warnings, wafcert_verdict_t *verdict);
static uint64_t wafcert_fault_usage(const wafcert_x509_t *cert);
static uint64_t wafcert_fault_names(const wafcert_x509_t *cert);
static uint64_t wafcert_fault_issuer_purpose(X509 *x509);
static uint64_t wafcert_fault_issuer_extensions(wafcert_x509_t *cert);
static uint64_t wafcert_fault_issuer_extension(wafcert_x509_t *cert, int n);
static ngx_uint_t wafcert_fault_odd_constraints(
    const NAME_CONSTRAINTS *constraints);
static ngx_uint_t wafcert_fault_other_names(
    const NAME_CONSTRAINTS *constraints);
static ngx_uint_t wafcert_fault_other_trees(
    STACK_OF(GENERAL_SUBTREE) *trees);
static ngx_uint_t wafcert_fault_odd_trees(STACK_OF(GENERAL_SUBTREE) *trees);
static ngx_uint_t wafcert_fault_odd_network(const u_char *data, size_t len);
static ngx_uint_t wafcert_fault_odd_domain(const u_char *data, size_t len);
static ngx_uint_t wafcert_fault_key_type(wafcert_validator_t *validator,
    wafcert_x509_t *cert);


ngx_int_t
wafcert_fault_leaf(wafcert_validator_t *validator, wafcert_x509_t *cert,
    ngx_uint_t block, uint64_t *warnings, wafcert_verdict_t *verdict)
{
    int        i, n;
    ngx_int_t  rc;

    *warnings |= wafcert_fault_names(cert);

    if (cert->odd_name) {
        *warnings |= wafcert_warning(WAFCERT_WARN_LEAF_MALFORMED_EXTENSION);
    }

    if (cert->negative) {
        *warnings |= wafcert_warning(WAFCERT_WARN_SERIAL_NEGATIVE);
    }

    if (cert->public.algo.algo == WAFCERT_ALGO_ED25519
        || cert->public.algo.algo == WAFCERT_ALGO_P521
        || wafcert_public_packed(&cert->public))
    {
        *warnings |= wafcert_warning(WAFCERT_WARN_LEAF_KEY_TYPE);
    }

    /* as most are, it needs no judge */

    if (cert->ordinary) {
        return NGX_OK;
    }

    if (wafcert_x509_open(validator, cert) != NGX_OK) {
        return NGX_ERROR;
    }

    /* OpenSSL reads the extensions here, the good and the bad ones */

    (void) X509_check_purpose(cert->x509, -1, 0);

    n = X509_get_ext_count(cert->x509);

    for (i = 0; i < n; i++) {
        rc = wafcert_fault_extension(cert, block, i, warnings, verdict);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (X509_get_extension_flags(cert->x509) & EXFLAG_INVALID) {
        return wafcert_refuse(verdict, WAFCERT_CERT_MALFORMED_EXTENSION,
                              "OpenSSL takes the extensions of block %lu of "
                              "content, %.*s, for invalid",
                              (u_long) block, wafcert_x509_subject(cert));
    }

    rc = wafcert_fault_purpose(cert, block, warnings, verdict);
    if (rc != NGX_OK) {
        return rc;
    }

    *warnings |= wafcert_fault_usage(cert);

    if (cert->is_ca && !cert->self_signed) {
        *warnings |= wafcert_warning(WAFCERT_WARN_LEAF_IS_CA);
    }

    if (X509_get_ext_by_NID(cert->x509, NID_tlsfeature, -1) >= 0) {
        *warnings |= wafcert_warning(WAFCERT_WARN_MUST_STAPLE);
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_fault_extension(const wafcert_x509_t *cert, ngx_uint_t block, int n,
    uint64_t *warnings, wafcert_verdict_t *verdict)
{
    char                    buf[80];
    X509_EXTENSION         *ext;
    const wafcert_known_t  *known;

    ext = X509_get_ext(cert->x509, n);

    if (X509_get_ext_by_OBJ(cert->x509, X509_EXTENSION_get_object(ext), n)
        >= 0)
    {
        return wafcert_refuse(verdict, WAFCERT_CERT_DUPLICATE_EXTENSION,
                              "block %lu of content, %.*s, has the extension "
                              "\"%s\" twice",
                              (u_long) block, wafcert_x509_subject(cert),
                              wafcert_fault_name(ext, buf, sizeof(buf)));
    }

    known = wafcert_fault_known(ext);

    if (!wafcert_fault_reads(ext)) {

        if (known->both) {
            return wafcert_refuse(verdict, WAFCERT_CERT_MALFORMED_EXTENSION,
                                  "OpenSSL cannot read the extension \"%s\" "
                                  "of block %lu of content, %.*s",
                                  wafcert_fault_name(ext, buf, sizeof(buf)),
                                  (u_long) block,
                                  wafcert_x509_subject(cert));
        }

        *warnings |= wafcert_warning(WAFCERT_WARN_LEAF_MALFORMED_EXTENSION);
    }

    if (wafcert_fault_large(ext, known)) {
        *warnings |= wafcert_warning(WAFCERT_WARN_LEAF_MALFORMED_EXTENSION);
    }

    return X509_EXTENSION_get_critical(ext)
           ? wafcert_fault_critical(cert, ext, known, block, warnings,
                                    verdict)
           : NGX_OK;
}


static ngx_int_t
wafcert_fault_critical(const wafcert_x509_t *cert, X509_EXTENSION *ext,
    const wafcert_known_t *known, ngx_uint_t block, uint64_t *warnings,
    wafcert_verdict_t *verdict)
{
    char  oid[80], name[80];

    if (known->openssl && known->go) {
        return NGX_OK;
    }

    if (known->openssl || known->go) {
        *warnings |= wafcert_warning(WAFCERT_WARN_LEAF_CRITICAL_EXTENSION);
        return NGX_OK;
    }

    (void) OBJ_obj2txt(oid, sizeof(oid), X509_EXTENSION_get_object(ext), 1);

    if (ngx_strcmp(oid, WAFCERT_FAULT_POISON) == 0) {
        (void) wafcert_refuse(verdict, WAFCERT_CERT_CRITICAL_EXTENSION,
                              "block %lu of content, %.*s, is a "
                              "precertificate, which was made for the logs "
                              "of certificate transparency and for no server",
                              (u_long) block, wafcert_x509_subject(cert));
        wafcert_hint(verdict, "send the certificate that the CA issued after "
                     "it, with the same serial number");
        return NGX_DECLINED;
    }

    return wafcert_refuse(verdict, WAFCERT_CERT_CRITICAL_EXTENSION,
                          "block %lu of content, %.*s, has the extension "
                          "\"%s\", which is critical and unknown to clients",
                          (u_long) block, wafcert_x509_subject(cert),
                          wafcert_fault_name(ext, name, sizeof(name)));
}


/* never NULL: what nobody knows is the last row */

static const wafcert_known_t *
wafcert_fault_known(X509_EXTENSION *ext)
{
    int                     nid;
    const wafcert_known_t  *known;

    nid = OBJ_obj2nid(X509_EXTENSION_get_object(ext));

    for (known = wafcert_known; known->nid != NID_undef; known++) {
        if (known->nid == nid) {
            break;
        }
    }

    return known;
}


/* whether OpenSSL does; what it does not know, it passes over */

static ngx_uint_t
wafcert_fault_reads(X509_EXTENSION *ext)
{
    void                     *value;
    const X509V3_EXT_METHOD  *method;

    method = X509V3_EXT_get(ext);

    if (method == NULL) {
        return 1;
    }

    value = X509V3_EXT_d2i(ext);

    if (value == NULL) {
        return 0;
    }

    if (method->it) {
        ASN1_item_free(value, ASN1_ITEM_ptr(method->it));

    } else {
        method->ext_free(value);
    }

    return 1;
}


/*
 * Whether one of the object identifiers that Go reads in it has a number that
 * is too large for Go: its own, those of purposes, policies and methods.
 */

static ngx_uint_t
wafcert_fault_large(X509_EXTENSION *ext, const wafcert_known_t *known)
{
    ngx_str_t           str;
    wafcert_der_t       der, list, inner;
    wafcert_tlv_t       tlv;
    const ASN1_OBJECT  *object;
    const ASN1_STRING  *value;

    object = X509_EXTENSION_get_object(ext);

    str.data = (u_char *) OBJ_get0_data(object);
    str.len = OBJ_length(object);

    if (wafcert_der_large(&str)) {
        return 1;
    }

    if (known->nid != NID_ext_key_usage
        && known->nid != NID_certificate_policies
        && known->nid != NID_info_access)
    {
        return 0;
    }

    value = X509_EXTENSION_get_data(ext);

    str.data = (u_char *) ASN1_STRING_get0_data(value);
    str.len = ASN1_STRING_length(value);

    wafcert_der_init(&der, &str);

    if (wafcert_der_enter(&der, WAFCERT_DER_SEQUENCE, &list) != NGX_OK) {
        return 0;
    }

    while (wafcert_der_next(&list, &tlv) == NGX_OK) {

        if (tlv.tag == WAFCERT_DER_SEQUENCE) {
            wafcert_der_init(&inner, &tlv.body);

            if (wafcert_der_next(&inner, &tlv) != NGX_OK) {
                continue;
            }
        }

        if (tlv.tag == WAFCERT_DER_OID && wafcert_der_large(&tlv.body)) {
            return 1;
        }
    }

    return 0;
}


/* its long name, or its numbers */

static const char *
wafcert_fault_name(X509_EXTENSION *ext, char *buf, int size)
{
    (void) OBJ_obj2txt(buf, size, X509_EXTENSION_get_object(ext), 0);

    return buf;
}


static ngx_int_t
wafcert_fault_purpose(wafcert_x509_t *cert, ngx_uint_t block,
    uint64_t *warnings, wafcert_verdict_t *verdict)
{
    char      buf[120];
    uint32_t  purposes;

    if (X509_get_ext_by_NID(cert->x509, NID_ext_key_usage, -1) < 0) {
        return NGX_OK;
    }

    purposes = X509_get_extended_key_usage(cert->x509);

    if (purposes & XKU_SSL_SERVER) {
        return NGX_OK;
    }

    if ((purposes & XKU_ANYEKU) || wafcert_fault_no_purposes(cert->x509)) {
        *warnings |= wafcert_warning(WAFCERT_WARN_LEAF_ANY_PURPOSE);
        return NGX_OK;
    }

    wafcert_words_purposes(cert->x509, buf, sizeof(buf));

    return wafcert_refuse(verdict, WAFCERT_CERT_PURPOSE,
                          "block %lu of content, %.*s, may be used for other "
                          "purposes than a server's: its %s, and lacks "
                          "serverAuth",
                          (u_long) block, wafcert_x509_subject(cert), buf);
}


static ngx_uint_t
wafcert_fault_no_purposes(X509 *x509)
{
    ngx_uint_t           none;
    EXTENDED_KEY_USAGE  *purposes;

    purposes = X509_get_ext_d2i(x509, NID_ext_key_usage, NULL, NULL);
    none = (purposes != NULL && sk_ASN1_OBJECT_num(purposes) == 0);

    EXTENDED_KEY_USAGE_free(purposes);

    return none;
}


static uint64_t
wafcert_fault_usage(const wafcert_x509_t *cert)
{
    uint32_t  usage;

    usage = X509_get_key_usage(cert->x509);

    if (usage & KU_DIGITAL_SIGNATURE) {
        return 0;
    }

    if (cert->public.algo.algo == WAFCERT_ALGO_RSA
        && usage & (KU_KEY_ENCIPHERMENT|KU_KEY_AGREEMENT))
    {
        return 0;
    }

    return wafcert_warning(WAFCERT_WARN_LEAF_KEY_USAGE);
}


static uint64_t
wafcert_fault_names(const wafcert_x509_t *cert)
{
    uint64_t  warnings;

    warnings = 0;

    if (!cert->has_san) {
        warnings |= wafcert_warning(WAFCERT_WARN_NO_SAN);
    }

    if (cert->bad_san) {
        warnings |= wafcert_warning(WAFCERT_WARN_SAN_MALFORMED);
    }

    if (cert->odd_host) {
        warnings |= wafcert_warning(WAFCERT_WARN_HOST_UNUSABLE);
    }

    return warnings;
}


/* kept with the certificate, for it is cached */

uint64_t
wafcert_fault_issuer(wafcert_validator_t *validator, wafcert_x509_t *cert)
{
    uint64_t  faults;

    if (cert->judged) {
        return cert->faults;
    }

    faults = 0;

    if (cert->names_fault || cert->odd_name) {
        faults |= wafcert_warning(WAFCERT_WARN_ISSUER_MALFORMED_EXTENSION);
    }

    if (!cert->is_ca) {
        faults |= wafcert_warning(WAFCERT_WARN_ISSUER_NOT_CA);
    }

    if (cert->subject_der.len <= 2) {
        faults |= wafcert_warning(WAFCERT_WARN_ISSUER_NAME_EMPTY);
    }

    if (wafcert_fault_key_type(validator, cert)) {
        faults |= wafcert_warning(WAFCERT_WARN_ISSUER_KEY_TYPE);
    }

    if (wafcert_x509_open(validator, cert) == NGX_OK) {

        (void) X509_check_purpose(cert->x509, -1, 0);

        faults |= wafcert_fault_issuer_purpose(cert->x509);
        faults |= wafcert_fault_issuer_extensions(cert);
    }

    cert->faults = faults;
    cert->judged = 1;

    return faults;
}


/* what OpenSSL cannot read allows nothing, and is not what is told then */

static uint64_t
wafcert_fault_issuer_purpose(X509 *x509)
{
    uint64_t  faults;

    if (X509_get_extension_flags(x509) & EXFLAG_INVALID) {
        return wafcert_warning(WAFCERT_WARN_ISSUER_MALFORMED_EXTENSION);
    }

    faults = 0;

    if (X509_get_version(x509) != 2) {
        faults |= wafcert_warning(WAFCERT_WARN_ISSUER_NOT_CA);
    }

    if (!(X509_get_key_usage(x509) & KU_KEY_CERT_SIGN)) {
        faults |= wafcert_warning(WAFCERT_WARN_ISSUER_KEY_USAGE);
    }

    if (!(X509_get_extended_key_usage(x509) & XKU_SSL_SERVER)) {
        faults |= wafcert_warning(WAFCERT_WARN_ISSUER_PURPOSE);
    }

    return faults;
}


static uint64_t
wafcert_fault_issuer_extensions(wafcert_x509_t *cert)
{
    int       i, n;
    uint64_t  faults;

    faults = 0;
    n = X509_get_ext_count(cert->x509);

    cert->constraints = X509_get_ext_d2i(cert->x509, NID_name_constraints,
                                         NULL, NULL);

    for (i = 0; i < n; i++) {
        faults |= wafcert_fault_issuer_extension(cert, i);
    }

    return faults;
}


static uint64_t
wafcert_fault_issuer_extension(wafcert_x509_t *cert, int n)
{
    X509                   *x509;
    uint64_t                faults;
    ngx_uint_t              names;
    X509_EXTENSION         *ext;
    const wafcert_known_t  *known;

    faults = 0;
    x509 = cert->x509;
    ext = X509_get_ext(x509, n);
    known = wafcert_fault_known(ext);
    names = (known->nid == NID_name_constraints && cert->constraints);

    if (X509_get_ext_by_OBJ(x509, X509_EXTENSION_get_object(ext), n) >= 0
        || !wafcert_fault_reads(ext)
        || wafcert_fault_large(ext, known)
        || (names && wafcert_fault_odd_constraints(cert->constraints)))
    {
        faults |= wafcert_warning(WAFCERT_WARN_ISSUER_MALFORMED_EXTENSION);
    }

    if (X509_EXTENSION_get_critical(ext)
        && (!(known->openssl && known->go)
            || (names && wafcert_fault_other_names(cert->constraints))))
    {
        faults |= wafcert_warning(WAFCERT_WARN_ISSUER_CRITICAL_EXTENSION);
    }

    return faults;
}


void
wafcert_fault_which(wafcert_x509_t *cert, wafcert_warning_e warning,
    char *buf, size_t size)
{
    int                 i, n;
    char                name[80];
    uint64_t            faults;
    const char         *what;
    X509_EXTENSION     *ext;
    wafcert_verdict_t   ignored;

    n = X509_get_ext_count(cert->x509);

    for (i = 0; i < n; i++) {
        faults = 0;

        if (wafcert_warning_is_issuers(warning)) {
            faults = wafcert_fault_issuer_extension(cert, i);

        } else if (wafcert_fault_extension(cert, 1, i, &faults, &ignored)
                   != NGX_OK)
        {
            continue;
        }

        if (!(faults & wafcert_warning(warning))) {
            continue;
        }

        ext = X509_get_ext(cert->x509, i);

        if (warning == WAFCERT_WARN_ISSUER_CRITICAL_EXTENSION
            || warning == WAFCERT_WARN_LEAF_CRITICAL_EXTENSION)
        {
            what = "is critical";

        } else if (X509_get_ext_by_OBJ(cert->x509,
                                       X509_EXTENSION_get_object(ext), i)
                   >= 0)
        {
            what = "is there twice";

        } else if (!wafcert_fault_reads(ext)) {
            what = "cannot be read";

        } else if (wafcert_fault_large(ext, wafcert_fault_known(ext))) {
            what = "has an object identifier with a number of 2^31 or more";

        } else {
            what = "has no tree, or one that is no name or network";
        }

        (void) snprintf(buf, size, "its extension \"%s\" %s",
                        wafcert_fault_name(ext, name, sizeof(name)), what);
        return;
    }

    (void) snprintf(buf, size, "%s",
                    cert->names_fault ? cert->names_fault
                    : cert->odd_name
                          ? "its subject or issuer has a string with"
                            " characters that its type has not, or a number"
                            " of 2^31 or more"
                          : "OpenSSL takes its extensions for invalid");
}


/* a list that is not there has -1 */

static ngx_uint_t
wafcert_fault_odd_constraints(const NAME_CONSTRAINTS *constraints)
{
    return (sk_GENERAL_SUBTREE_num(constraints->permittedSubtrees) <= 0
            && sk_GENERAL_SUBTREE_num(constraints->excludedSubtrees) <= 0)
           || wafcert_fault_odd_trees(constraints->permittedSubtrees)
           || wafcert_fault_odd_trees(constraints->excludedSubtrees);
}


/* Whether it constrains names of a kind that Go does not know. */

static ngx_uint_t
wafcert_fault_other_names(const NAME_CONSTRAINTS *constraints)
{
    return wafcert_fault_other_trees(constraints->permittedSubtrees)
           + wafcert_fault_other_trees(constraints->excludedSubtrees);
}


static ngx_uint_t
wafcert_fault_other_trees(STACK_OF(GENERAL_SUBTREE) *trees)
{
    int         i;
    ngx_uint_t  others;

    others = 0;

    /* a list that is not there has -1 */

    for (i = 0; i < sk_GENERAL_SUBTREE_num(trees); i++) {

        switch (sk_GENERAL_SUBTREE_value(trees, i)->base->type) {

        case GEN_EMAIL:
        case GEN_DNS:
        case GEN_URI:
        case GEN_IPADD:
            break;

        default:
            others++;
        }
    }

    return others;
}


/* Whether Go cannot read one of them, and with it the certificate. */

static ngx_uint_t
wafcert_fault_odd_trees(STACK_OF(GENERAL_SUBTREE) *trees)
{
    int                 i;
    size_t              len;
    ngx_uint_t          odd;
    GENERAL_NAME       *base;
    const u_char       *data;
    const ASN1_STRING  *string;

    odd = 0;

    for (i = 0; i < sk_GENERAL_SUBTREE_num(trees); i++) {
        base = sk_GENERAL_SUBTREE_value(trees, i)->base;

        switch (base->type) {

        case GEN_EMAIL:
        case GEN_DNS:
        case GEN_URI:
        case GEN_IPADD:
            string = base->d.ia5;
            data = ASN1_STRING_get0_data(string);
            len = ASN1_STRING_length(string);

            odd |= (base->type == GEN_IPADD)
                   ? wafcert_fault_odd_network(data, len)
                   : wafcert_fault_odd_domain(data, len);
        }
    }

    return odd;
}


/* an address and its mask, of which the first bits are set */

static ngx_uint_t
wafcert_fault_odd_network(const u_char *data, size_t len)
{
    size_t      i;
    ngx_uint_t  ended;

    if (len != 8 && len != 32) {
        return 1;
    }

    ended = 0;

    for (i = 8 * len / 2; i < 8 * len; i++) {

        if ((data[i / 8] & (0x80 >> i % 8)) == 0) {
            ended = 1;

        } else if (ended) {
            return 1;
        }
    }

    return 0;
}


/* labels, with or without a dot before them; of a mailbox what is behind "@" */

static ngx_uint_t
wafcert_fault_odd_domain(const u_char *data, size_t len)
{
    u_char  last;
    size_t  i;

    last = 'a';

    for (i = 0; i < len; i++) {

        if (data[i] <= 0x20 || data[i] >= 0x7f
            || (data[i] == '.' && last == '.'))
        {
            return 1;
        }

        last = data[i];
    }

    return len > 1 && last == '.';
}


/*
 * P-224 is the one that we do not know and both of them do.  Go reads no point
 * but a plain one, and no exponent of RSA of more than 31 bits.
 */

static ngx_uint_t
wafcert_fault_key_type(wafcert_validator_t *validator, wafcert_x509_t *cert)
{
    char       name[32];
    EVP_PKEY  *pkey;

    switch (cert->public.algo.algo) {

    case WAFCERT_ALGO_RSA:
        return wafcert_number_bits(&cert->public.exponent) > 31;

    case WAFCERT_ALGO_ED25519:
        return 0;

    case WAFCERT_ALGO_P256:
    case WAFCERT_ALGO_P384:
    case WAFCERT_ALGO_P521:
        return wafcert_public_packed(&cert->public);

    default:
        break;
    }

    pkey = wafcert_x509_pkey(validator, cert);

    return pkey == NULL || !EVP_PKEY_is_a(pkey, "EC")
           || EVP_PKEY_get_group_name(pkey, name, sizeof(name), NULL) != 1
           || ngx_strcmp(name, "secp224r1") != 0;
}


ngx_uint_t
wafcert_fault_constrained(wafcert_validator_t *validator,
    wafcert_x509_t *cert, wafcert_x509_t *issuer, ngx_uint_t leaf)
{
    ngx_uint_t         cost;
    NAME_CONSTRAINTS  *constraints;

    (void) wafcert_fault_issuer(validator, issuer);

    constraints = issuer->constraints;

    if (constraints == NULL) {
        return 0;
    }

    if (cert->names > WAFCERT_JUDGED_NAMES) {
        return 1;
    }

    if (wafcert_x509_open(validator, cert) != NGX_OK) {
        return 0;
    }

    /* a list that is not there has -1 */

    cost = 2 + sk_GENERAL_SUBTREE_num(constraints->permittedSubtrees)
           + sk_GENERAL_SUBTREE_num(constraints->excludedSubtrees);
    cost *= cert->names + 1
            + X509_NAME_entry_count(X509_get_subject_name(cert->x509));

    if (cost > validator->compares) {
        return 1;
    }

    validator->compares -= cost;

    /* OpenSSL reads the names here */

    (void) X509_check_purpose(cert->x509, -1, 0);

    return NAME_CONSTRAINTS_check(cert->x509, constraints) != X509_V_OK
           || (leaf && !cert->has_dns
               && NAME_CONSTRAINTS_check_CN(cert->x509, constraints)
                  != X509_V_OK);
}


ngx_uint_t
wafcert_fault_authority(wafcert_validator_t *validator, wafcert_x509_t *cert,
    wafcert_x509_t *issuer)
{
    if (wafcert_x509_open(validator, cert) != NGX_OK
        || wafcert_x509_open(validator, issuer) != NGX_OK)
    {
        return 0;
    }

    return X509_check_issued(issuer->x509, cert->x509)
           == X509_V_ERR_AKID_ISSUER_SERIAL_MISMATCH;
}
