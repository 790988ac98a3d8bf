
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_JSON_H_INCLUDED_
#define _WAFCERT_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_cert.h"
#include "wafcert_verdict.h"


#define WAFCERT_NAME_MAX     256
#define WAFCERT_HOST_ID_LEN  32


/* The members of an upload; data is NULL where one is absent. */

typedef struct {
    ngx_str_t              name;
    ngx_str_t              content;
    ngx_str_t              key;

    void                  *root;          /* what the strings belong to */
    void                  *buf;
} wafcert_upload_t;


/*
 * Reads the body of a create (all members mandatory) or a modify (one at
 * least), and judges JSON, members and name.  No sentence quotes the body,
 * for it may be key material.  A member that is null is absent.
 *
 * jansson's allocator, which is the process's, is ours during the call: not
 * for a thread beside another one that uses jansson.
 *
 * NGX_OK: "upload" must be freed, which cleanses what the parser held.
 * NGX_DECLINED: "verdict" tells why.  NGX_ERROR: no memory.
 */
ngx_int_t wafcert_json_upload(wafcert_upload_t *upload, const ngx_str_t *body,
    ngx_uint_t modify, wafcert_verdict_t *verdict);
void wafcert_json_upload_free(wafcert_upload_t *upload);

/*
 * Writes the body that has two files for "content" and "key", and no name, as
 * the writers below do: what is not UTF-8 is replaced.  It has the key.
 */
size_t wafcert_json_pair(u_char *buf, const ngx_str_t *content,
    const ngx_str_t *key);


/* Why a certificate is served for a host, or is not; static strings. */

typedef struct {
    const char            *slug;
    const char            *text;
    unsigned               servable:1;
} wafcert_standing_t;


/* What a stored certificate is called and when it came. */

typedef struct {
    ngx_str_t              id;            /* 32 hex digits */
    ngx_str_t              name;
    int64_t                timestamp;     /* ms since 1970 UTC */
    ngx_uint_t             revision;
    const wafcert_facts_t *facts;
    const wafcert_block_t *blocks;        /* as they were sent, or NULL */
    const wafcert_words_t *words;         /* as in wafcert_bundle_t, or NULL */

    /* what servers make of it; all of it may be zero */
    ngx_uint_t             level;         /* their security level */
    ngx_str_t              taken;         /* a host of another project */
    ngx_str_t              not_allowed;   /* a host that it may not have */
    ngx_str_t              displaced;     /* one that a server has itself */
    ngx_str_t              bind_hosts;    /* id, name and NUL byte of each */
    ngx_uint_t             unusable;      /* OpenSSL has failed with it */
    ngx_uint_t             stale;         /* the WAF has another pair */
    const wafcert_standing_t  *standing;
    const wafcert_verdict_t   *refusal;   /* of today's rules, or NULL */
} wafcert_record_t;


/* The parts of an answer (api.md, "Answers"). */

#define WAFCERT_JSON_CONTENT  0x01        /* "content" */
#define WAFCERT_JSON_STATUS   0x02        /* "exp_status", "bind_host" */
#define WAFCERT_JSON_DETAILS  0x04        /* revision ... warnings */
#define WAFCERT_JSON_DRY_RUN  0x08        /* no id, timestamp, revision */
#define WAFCERT_JSON_HOST     0x10        /* list item: "bind_host" */

/* 0 valid, 1 expired, 2 expires within 30 days of "now" (ms since 1970). */
ngx_uint_t wafcert_exp_status(int64_t not_after, int64_t now);

/* What there is to warn of at "now"; of servers, what the record says. */
uint64_t wafcert_json_warnings(const wafcert_record_t *record, int64_t now);

/* What belongs behind wafcert_warning_text(); "between": NULL: nothing. */

typedef struct {
    const char            *between;
    ngx_str_t              value;
    char                   buf[320];
} wafcert_warned_t;

void wafcert_json_warned_of(wafcert_warned_t *warned,
    const wafcert_record_t *record, ngx_uint_t warning);

/*
 * Writers of an answer.  Each returns the number of bytes, and writes them
 * unless "buf" is NULL.  Text that is not UTF-8 is replaced by U+FFFD.
 * "key" may be NULL.  A certificate and an error end with a newline, an item
 * does not.
 */
size_t wafcert_json_certificate(u_char *buf, const wafcert_record_t *record,
    const wafcert_key_t *key, ngx_uint_t parts, int64_t now);
size_t wafcert_json_item(u_char *buf, const wafcert_record_t *record,
    ngx_uint_t parts, int64_t now);
size_t wafcert_json_error(u_char *buf, const wafcert_verdict_t *verdict);

/* An upload again, of what there is: data or pointers may be NULL. */
size_t wafcert_json_normalized(u_char *buf, const ngx_str_t *name,
    const wafcert_facts_t *facts, const wafcert_key_t *key);


/*
 * A certificate as it is kept in a file: JSON, a line for each member, with
 * all of it in clear but for the key.  That comes last, as base64, and what
 * stands before it is its additional data (wafcert_seal.h).
 */

#define WAFCERT_STORED_VERSION  1
#define WAFCERT_STORED_RULES    1         /* of the verdict, as of today */
#define WAFCERT_STORED_END      "\"}\n"   /* after the sealed key */

/* a chain of certificates of the largest size that nginx serves is smaller */
#define WAFCERT_STORED_MAX      (16 * 1024 * 1024)

typedef struct {
    ngx_str_t              project;
    uint64_t               sequence;      /* order of upload */
    wafcert_record_t       record;
    int64_t               *since;         /* of each host, or NULL */
    ngx_uint_t             nsince;

    /* what the reader makes of the facts, which it leaves NULL */
    ngx_str_t              content;       /* PEM */
    uint64_t               warnings;      /* wafcert_warning() */
    ngx_uint_t             fault;         /* as in wafcert_facts_t */
    ngx_uint_t             rules;         /* it was judged by, or 0 */

    ngx_str_t              clear;         /* in the text that was read */
    ngx_str_t              sealed;

    void                  *root;
    void                  *buf;
} wafcert_stored_t;


/* The part in clear; as the other writers. */
size_t wafcert_json_stored(u_char *buf, const wafcert_stored_t *stored);

/*
 * Nothing of it is to be trusted before the key has been unsealed.  Not for
 * a thread, like wafcert_json_upload().
 *
 * NGX_OK: "stored" must be freed, and "text" be kept until then.
 * NGX_DECLINED: "verdict" tells why, as a sentence about "it".
 * NGX_ERROR: no memory.
 */
ngx_int_t wafcert_json_stored_read(wafcert_stored_t *stored,
    const ngx_str_t *text, wafcert_verdict_t *verdict);
void wafcert_json_stored_free(wafcert_stored_t *stored);

/*
 * Leaves one number for each of "hosts" in stored->since, or none if they do
 * not go together: files of older versions have equal hosts more than once.
 */
void wafcert_json_stored_since(wafcert_stored_t *stored,
    const ngx_str_t *hosts);


#endif /* _WAFCERT_JSON_H_INCLUDED_ */
