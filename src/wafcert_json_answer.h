
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_JSON_ANSWER_H_INCLUDED_
#define _WAFCERT_JSON_ANSWER_H_INCLUDED_


/*
 * What the WAF behind an edge has answered.  It is read by what the edge wants
 * to know, and nothing else of it matters.
 */


#include <ngx_config.h>
#include <ngx_core.h>


#define WAFCERT_ANSWER_ID_LEN  16         /* bytes; twice as many hex digits */


/*
 * The answer to create, modify or show, or an error.  What it does not have,
 * or not in a form that can be used, is empty or 0.
 */

typedef struct {
    ngx_str_t              id;            /* WAFCERT_ANSWER_ID_LEN bytes */
    ngx_str_t              name;
    ngx_str_t              error_code;
    int64_t                timestamp;     /* ms since 1970 UTC */
    unsigned               error:1;       /* there is some error_code */

    u_char                 binary[WAFCERT_ANSWER_ID_LEN];
    void                  *root;          /* what the strings belong to */
    void                  *buf;
} wafcert_answer_t;


/* The ids that a whole list has, in their order. */

typedef struct {
    ngx_uint_t             nids;
    u_char                *ids;           /* WAFCERT_ANSWER_ID_LEN each */
} wafcert_listing_t;


/*
 * Neither is for a thread, like wafcert_json_upload().
 *
 * NGX_OK: "answer" must be freed, which cleanses, for it may have a key.
 * NGX_DECLINED: it is no JSON object.  NGX_ERROR: no memory.
 */
ngx_int_t wafcert_json_answer(wafcert_answer_t *answer,
    const ngx_str_t *text);
void wafcert_json_answer_free(wafcert_answer_t *answer);

/*
 * NGX_OK: "listing" must be freed.  NGX_DECLINED: it is no list, or a part of
 * one: "total" is not the number of items, or one of them is there twice.
 * NGX_ERROR: no memory.
 */
ngx_int_t wafcert_json_listing(wafcert_listing_t *listing,
    const ngx_str_t *text);
void wafcert_json_listing_free(wafcert_listing_t *listing);

ngx_uint_t wafcert_json_listed(const wafcert_listing_t *listing,
    const u_char *id);


#endif /* _WAFCERT_JSON_ANSWER_H_INCLUDED_ */
