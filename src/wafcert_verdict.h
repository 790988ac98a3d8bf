
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_VERDICT_H_INCLUDED_
#define _WAFCERT_VERDICT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Every way in which a request can be refused, in the order in which
 * a request is judged.  A row of the table in wafcert_verdict.c belongs
 * to each.
 */

typedef enum {
    WAFCERT_OK = 0,

    /* route and method */
    WAFCERT_API_NOT_FOUND,
    WAFCERT_PROJECT_ILLEGAL,
    WAFCERT_ID_ILLEGAL,
    WAFCERT_PATH_ENCODED,
    WAFCERT_METHOD_NOT_ALLOWED,

    /* token */
    WAFCERT_TOKEN_MISSING,
    WAFCERT_TOKEN_INVALID,
    WAFCERT_TOKEN_PROJECT,
    WAFCERT_TOKEN_ROLE,
    WAFCERT_IAM_UNAVAILABLE,

    /* headers, parameters, size */
    WAFCERT_METHOD_OVERRIDE,
    WAFCERT_CONTENT_TYPE,
    WAFCERT_CONTENT_ENCODING,
    WAFCERT_OFFSET_ILLEGAL,
    WAFCERT_PAGE_ILLEGAL,
    WAFCERT_PAGESIZE_ILLEGAL,
    WAFCERT_EXP_STATUS_ILLEGAL,
    WAFCERT_HOST_ILLEGAL,
    WAFCERT_SERVES_ILLEGAL,
    WAFCERT_DRY_RUN_ILLEGAL,
    WAFCERT_BODY_TOO_LARGE,

    /* JSON and members */
    WAFCERT_BODY_EMPTY,
    WAFCERT_JSON_SYNTAX,
    WAFCERT_JSON_NOT_OBJECT,
    WAFCERT_JSON_DUPLICATE_MEMBER,
    WAFCERT_FIELD_MISSING,
    WAFCERT_FIELD_TYPE,
    WAFCERT_FIELD_EMPTY,
    WAFCERT_FIELD_NUL,

    /* name */
    WAFCERT_NAME_CHARACTER,
    WAFCERT_NAME_TOO_LONG,

    /* certificate */
    WAFCERT_CONTENT_NO_PEM,
    WAFCERT_CONTENT_IS_DER,
    WAFCERT_CONTENT_IS_PKCS12,
    WAFCERT_CONTENT_IS_PKCS7,
    WAFCERT_CONTENT_IS_CSR,
    WAFCERT_CONTENT_IS_KEY,
    WAFCERT_CONTENT_PEM_UNTERMINATED,
    WAFCERT_CONTENT_PEM_BASE64,
    WAFCERT_CONTENT_DER,
    WAFCERT_CONTENT_TOO_MANY,
    WAFCERT_CERT_KEY_TYPE,
    WAFCERT_CERT_DUPLICATE_EXTENSION,
    WAFCERT_CERT_MALFORMED_EXTENSION,
    WAFCERT_CERT_ALGORITHM_MISMATCH,
    WAFCERT_CERT_PURPOSE,
    WAFCERT_CERT_CRITICAL_EXTENSION,

    /* key */
    WAFCERT_KEY_NO_PEM,
    WAFCERT_KEY_IS_DER,
    WAFCERT_KEY_IS_CERTIFICATE,
    WAFCERT_KEY_IS_PUBLIC,
    WAFCERT_KEY_IS_PKCS12,
    WAFCERT_KEY_ENCRYPTED,
    WAFCERT_KEY_PEM_UNTERMINATED,
    WAFCERT_KEY_PEM_BASE64,
    WAFCERT_KEY_DER,
    WAFCERT_KEY_SEVERAL,
    WAFCERT_KEY_TYPE,
    WAFCERT_KEY_EXPLICIT_CURVE,
    WAFCERT_KEY_TOO_LARGE,
    WAFCERT_KEY_INCONSISTENT,

    /* pairing and policy */
    WAFCERT_KEY_MISMATCH,
    WAFCERT_CONTENT_TOO_MANY_HOSTS,
    WAFCERT_KEY_TOO_SMALL,
    WAFCERT_CERT_EXPIRED,
    WAFCERT_CERT_NOT_YET_VALID,
    WAFCERT_CHAIN_SIGNATURE,
    WAFCERT_CHAIN_BROKEN,
    WAFCERT_CHAIN_UNTRUSTED,

    /* store */
    WAFCERT_NOT_FOUND,
    WAFCERT_REVISION_MISMATCH,
    WAFCERT_NAME_DUPLICATE,
    WAFCERT_QUOTA,
    WAFCERT_ZONE_FULL,
    WAFCERT_COMMIT_FAILED,
    WAFCERT_COMMIT_TIMEOUT,
    WAFCERT_INTERNAL,

    /* never answered: why an edge has not recorded what the WAF accepted */
    WAFCERT_ANSWER_ILLEGAL,

    WAFCERT_REASONS
} wafcert_reason_e;


/* Faults that are accepted and told; kept as bits (1 << n) with a record. */

typedef enum {
    WAFCERT_WARN_CHAIN_REPAIRED = 0,
    WAFCERT_WARN_CHAIN_INCOMPLETE,
    WAFCERT_WARN_ROOT_DROPPED,
    WAFCERT_WARN_DUPLICATE_DROPPED,
    WAFCERT_WARN_NEWLINES_REPAIRED,
    WAFCERT_WARN_EXPIRED,
    WAFCERT_WARN_NOT_YET_VALID,
    WAFCERT_WARN_WEAK_KEY,
    WAFCERT_WARN_NO_HOSTS,
    WAFCERT_WARN_HOST_TAKEN,
    WAFCERT_WARN_UNUSABLE,
    WAFCERT_WARN_HOST_NOT_ALLOWED,
    WAFCERT_WARN_STATIC_DISPLACED,
    WAFCERT_WARN_ISSUER_NOT_CA,
    WAFCERT_WARN_ISSUER_PATH_LENGTH,
    WAFCERT_WARN_ISSUER_EXPIRED,
    WAFCERT_WARN_ISSUER_NOT_YET_VALID,
    WAFCERT_WARN_ISSUER_NAME_ENCODING,
    WAFCERT_WARN_ISSUER_NAME_EMPTY,
    WAFCERT_WARN_KEY_ID_MISMATCH,
    WAFCERT_WARN_ISSUER_KEY_USAGE,
    WAFCERT_WARN_ISSUER_NAME_CONSTRAINTS,
    WAFCERT_WARN_ISSUER_PURPOSE,
    WAFCERT_WARN_ISSUER_CRITICAL_EXTENSION,
    WAFCERT_WARN_ISSUER_MALFORMED_EXTENSION,
    WAFCERT_WARN_ISSUER_KEY_TYPE,
    WAFCERT_WARN_LEAF_KEY_USAGE,
    WAFCERT_WARN_LEAF_ANY_PURPOSE,
    WAFCERT_WARN_LEAF_CRITICAL_EXTENSION,
    WAFCERT_WARN_LEAF_MALFORMED_EXTENSION,
    WAFCERT_WARN_LEAF_IS_CA,
    WAFCERT_WARN_NO_SAN,
    WAFCERT_WARN_SAN_MALFORMED,
    WAFCERT_WARN_HOST_UNUSABLE,
    WAFCERT_WARN_SERIAL_NEGATIVE,
    WAFCERT_WARN_MUST_STAPLE,
    WAFCERT_WARN_LEAF_KEY_TYPE,
    WAFCERT_WARN_UNTRUSTED,

    WAFCERT_WARNINGS
} wafcert_warning_e;


#define wafcert_warning(warning)  ((uint64_t) 1 << (warning))

/* whether it is about one of the leaf's issuers: wafcert_facts_t.fault */
#define wafcert_warning_is_issuers(warning)                                   \
    ((warning) >= WAFCERT_WARN_ISSUER_NOT_CA                                  \
     && (warning) <= WAFCERT_WARN_ISSUER_KEY_TYPE)

#define WAFCERT_WARNINGS_OF_ISSUERS                                           \
    (wafcert_warning(WAFCERT_WARN_ISSUER_KEY_TYPE + 1)                        \
     - wafcert_warning(WAFCERT_WARN_ISSUER_NOT_CA))


typedef struct {
    const char        *slug;         /* "json_syntax" */
    const char        *error_code;   /* "WAF.00011003" */
    const char        *error_msg;    /* "request.body.illegal" */
    const char        *hint;         /* how to mend it, or NULL */
    ngx_uint_t         status;       /* HTTP status */
} wafcert_reason_t;


typedef struct {
    wafcert_reason_e   reason;
    char               message[320]; /* one sentence, NUL-terminated */
    char               hint[320];    /* "": the reason's own */
} wafcert_verdict_t;


/* The row of a reason; never NULL, and its strings are static. */
const wafcert_reason_t *wafcert_reason(wafcert_reason_e reason);

/* The slug and the sentence of a warning; static strings. */
const char *wafcert_warning_slug(wafcert_warning_e warning);
const char *wafcert_warning_text(wafcert_warning_e warning);

/*
 * Writes the reason and its sentence (printf format, cut between characters
 * at the buffer's size) and clears the hint.  Always returns NGX_DECLINED, so
 * that a check can end in "return wafcert_refuse(...)".  The arguments must
 * never be key material, a token, or text taken from a PEM body.
 */
ngx_int_t wafcert_refuse(wafcert_verdict_t *verdict, wafcert_reason_e reason,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Replaces the reason's own hint; it is cut likewise. */
void wafcert_hint(wafcert_verdict_t *verdict, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * How many bytes of the text are told, for "%.*s": at most "max", and no part
 * of a character of UTF-8.
 */
int wafcert_cut(const ngx_str_t *text, size_t max);

/* vsnprintf() that cuts so, too, and returns how much it has written. */
size_t wafcert_vprint(char *buf, size_t size, const char *fmt, va_list args)
    __attribute__((format(printf, 3, 0)));


#endif /* _WAFCERT_VERDICT_H_INCLUDED_ */
