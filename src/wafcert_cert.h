
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_CERT_H_INCLUDED_
#define _WAFCERT_CERT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_pem.h"
#include "wafcert_verdict.h"


#define WAFCERT_CHAIN_MAX   10      /* certificates in a stored chain */
#define WAFCERT_SHA256_LEN  32

/*
 * The largest RSA key, whatever the policy: to check one of 8192 bits takes
 * 50 us, one of 16384 bits 200.
 */
#define WAFCERT_RSA_MAX_BITS  8192

/* OpenSSL's security levels */
#define WAFCERT_LEVEL_DEFAULT  2
#define WAFCERT_LEVEL_MAX      5


/*
 * One certificate of a chain.  The strings belong to whoever made the
 * structure: the bundle below, or a copy of a record.
 */

typedef struct {
    ngx_str_t              der;
    ngx_str_t              subject;       /* RFC 2253, UTF-8 */
    ngx_str_t              issuer;
    int64_t                not_after;     /* ms since 1970 UTC */
    u_char                 sha256[WAFCERT_SHA256_LEN];
} wafcert_link_t;


/* A server has one certificate of each; in the order that OpenSSL prefers. */

typedef enum {
    WAFCERT_TYPE_EC = 0,
    WAFCERT_TYPE_ED25519,
    WAFCERT_TYPE_RSA,

    WAFCERT_TYPES
} wafcert_type_e;


/*
 * All that an answer tells of a certificate.  There is no key in it, so
 * nothing that renders from it can leak one.
 */

typedef struct {
    ngx_str_t              serial_number; /* hex, lower case */
    ngx_str_t              cert_type;     /* "RSA-2048", "EC-P-256" */
    ngx_str_t              hosts;         /* each ends with a NUL byte */
    ngx_uint_t             many_hosts;    /* there are more than allowed */
    ngx_uint_t             unjudged;      /* by the rules of today */
    int64_t                not_before;    /* ms since 1970 UTC */
    uint64_t               warnings;      /* wafcert_warning() */
    ngx_uint_t             fault;         /* the issuer in "chain" that they */
                                          /* are about; 0: about none */
    wafcert_type_e         type;
    ngx_uint_t             level;         /* highest that accepts the chain */
    ngx_uint_t             handicap;      /* wafcert_probe_handicap(), or 0 */

    ngx_uint_t             nchain;
    wafcert_link_t         chain[WAFCERT_CHAIN_MAX];  /* leaf first */
} wafcert_facts_t;


typedef struct {
    ngx_str_t              der;
    wafcert_pem_type_e     type;          /* PKCS8, PKCS1 or SEC1 */
} wafcert_key_t;


typedef enum {
    WAFCERT_CHAIN_REPAIR = 0,
    WAFCERT_CHAIN_KEEP,
    WAFCERT_CHAIN_STRICT
} wafcert_chain_e;


/* Certificates that are trusted: wafcert_trust.h. */

typedef struct wafcert_trust_s  wafcert_trust_t;


typedef struct {
    wafcert_chain_e        chain;
    const wafcert_trust_t *trust;         /* NULL: who is, is not known */
    ngx_uint_t             min_rsa_bits;  /* 0: any */
    ngx_uint_t             max_rsa_bits;  /* the same */
    ngx_uint_t             max_hosts;     /* 0: any number */
    unsigned               reject_expired:1;
    unsigned               reject_untrusted:1;    /* if there is a "trust" */
    unsigned               many_hosts:1;  /* more are accepted, and told */
    unsigned               stored:1;      /* judged before: as it is */
    unsigned               served:1;      /* OpenSSL is to load it, too */
    unsigned               patient:1;     /* the caller may come again */
} wafcert_policy_t;


/* What becomes of a block of content. */

typedef enum {
    WAFCERT_BLOCK_OTHER = 0,          /* it is no certificate */
    WAFCERT_BLOCK_KEPT,               /* "other" is its place, from 1 */
    WAFCERT_BLOCK_DUPLICATE,          /* of block "other" */
    WAFCERT_BLOCK_ROOT,
    WAFCERT_BLOCK_STRANGER            /* no path from the leaf has it */
} wafcert_block_e;


typedef struct {
    wafcert_block_e        became;
    ngx_uint_t             other;
} wafcert_block_t;


/* What a warning is about, in words; empty: its sentence tells all. */

#define WAFCERT_WORDS_MAX  400

typedef char  wafcert_words_t[WAFCERT_WORDS_MAX];

/* the warnings of which a record alone does not tell them */
#define WAFCERT_WORDS_WANTED                                                 \
    (wafcert_warning(WAFCERT_WARN_WEAK_KEY)                                  \
     |wafcert_warning(WAFCERT_WARN_LEAF_KEY_USAGE)                           \
     |wafcert_warning(WAFCERT_WARN_LEAF_ANY_PURPOSE)                         \
     |wafcert_warning(WAFCERT_WARN_LEAF_CRITICAL_EXTENSION)                  \
     |wafcert_warning(WAFCERT_WARN_LEAF_MALFORMED_EXTENSION)                 \
     |wafcert_warning(WAFCERT_WARN_SAN_MALFORMED)                            \
     |wafcert_warning(WAFCERT_WARN_HOST_UNUSABLE)                            \
     |wafcert_warning(WAFCERT_WARN_LEAF_KEY_TYPE)                            \
     |wafcert_warning(WAFCERT_WARN_UNTRUSTED)                                \
     |WAFCERT_WARNINGS_OF_ISSUERS)


/* A validated upload. */

typedef struct {
    wafcert_facts_t        facts;
    wafcert_key_t          key;

    wafcert_block_t        blocks[WAFCERT_PEM_BLOCKS];
    wafcert_words_t       *words;         /* by wafcert_warning_e, or NULL */

    wafcert_pem_t          content_pem;   /* what the DER above points to */
    wafcert_pem_t          key_pem;
    u_char                *text;          /* what the other strings do */
} wafcert_bundle_t;


/* OpenSSL contexts that are costly to make: one of these for each worker. */

typedef struct wafcert_validator_s  wafcert_validator_t;

/* NULL: no memory, or an OpenSSL that lacks what is needed. */
wafcert_validator_t *wafcert_validator_create(void);
void wafcert_validator_free(wafcert_validator_t *validator);

/*
 * For tests: takes no short cut, but lets OpenSSL decode everything as any
 * program would.  The verdicts must be the same.
 */
void wafcert_validator_plain(wafcert_validator_t *validator, ngx_uint_t on);

/* SHA-256 into WAFCERT_SHA256_LEN bytes.  NGX_ERROR: no memory. */
ngx_int_t wafcert_sha256(wafcert_validator_t *validator,
    const ngx_str_t *data, u_char *digest);

/* The same, with HMAC (RFC 2104), of "n" parts one after another. */
ngx_int_t wafcert_hmac_sha256(wafcert_validator_t *validator,
    const ngx_str_t *key, const ngx_str_t *parts, ngx_uint_t n,
    u_char *digest);

/*
 * Judges certificate, key, pairing and policy, in that order.  "content" and
 * "key" are PEM texts; "now" is in ms since 1970 UTC.  What was stored is
 * known to be a pair, which can take most of the time to find out.  Where one
 * of the two is NULL, the other is judged as far as it goes by itself; a key
 * alone makes no facts.
 *
 * NGX_OK: "bundle" must be freed, which cleanses the key.  NGX_DECLINED:
 * "verdict" tells why, nothing is to be freed.  NGX_ERROR: no memory.
 *
 * NGX_AGAIN: there are signatures that one turn of the event loop has no time
 * for.  Called again in another turn it is further, for it remembers what it
 * has verified; nothing is to be freed.  Who is not "patient" gets a chain of
 * which such signatures are not verified.
 */
ngx_int_t wafcert_validate(wafcert_validator_t *validator,
    wafcert_bundle_t *bundle, const ngx_str_t *content, const ngx_str_t *key,
    const wafcert_policy_t *policy, int64_t now, wafcert_verdict_t *verdict);

void wafcert_bundle_free(wafcert_bundle_t *bundle);


#endif /* _WAFCERT_CERT_H_INCLUDED_ */
