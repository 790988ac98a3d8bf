
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_JSON_ABRIDGE_H_INCLUDED_
#define _WAFCERT_JSON_ABRIDGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_verdict.h"


/*
 * Nearly all of an upload is base64, which jansson takes byte by byte, 10 ns
 * each.  It reads an abridged body instead, in which the value of a member
 * that is long and plain (printable ASCII, and escapes of one character) is
 * replaced by "\u0000" and a digit.
 *
 * The verdict is the same, since a complete and valid string token is replaced
 * by another one behind its ":".  The abridged body is JSON if and only if the
 * body is, with the same members.  Where jansson refuses it, the whole body is
 * to be parsed, for line and column: what would still be long is not abridged.
 * Nor is a body in which \u stands anywhere, so a string with a NUL in it is a
 * placeholder and nothing else.
 */

#define WAFCERT_JSON_VALUES  8


typedef struct {
    u_char                *buf;           /* malloc()ed, may hold a key */
    u_char                *last;          /* of what has been written */
    ngx_str_t              text;          /* for jansson */
    ngx_str_t              values[WAFCERT_JSON_VALUES];
    ngx_uint_t             nvalues;
} wafcert_json_abridged_t;


/*
 * NGX_DECLINED: there is nothing to gain, something is not plain, or there is
 * no memory.  "buf" is to be cleansed and freed in any case; values end with
 * a NUL byte, as jansson's do.
 */
ngx_int_t wafcert_json_abridge(wafcert_json_abridged_t *abridged,
    const ngx_str_t *body);


/* wafcert_json.c: what its readers share */

struct json_t;

/*
 * Parses the text, abridged if that can be.  NGX_OK: "root" and abridged->buf
 * must be freed.  NGX_DECLINED: "verdict" tells where it is wrong.
 * NGX_ERROR: no memory.
 */
ngx_int_t wafcert_json_load(struct json_t **root,
    wafcert_json_abridged_t *abridged, const ngx_str_t *text,
    wafcert_verdict_t *verdict);

/* The same for text that is not to be abridged. */
ngx_int_t wafcert_json_parse(struct json_t **root, const ngx_str_t *text,
    wafcert_verdict_t *verdict);

/* The value of a string, wherever it is. */
void wafcert_json_value_str(ngx_str_t *str,
    const wafcert_json_abridged_t *abridged, const struct json_t *value);

/* Both cleanse; NULL is allowed. */
void wafcert_json_release(struct json_t *root);
void wafcert_json_free(void *p);


#endif /* _WAFCERT_JSON_ABRIDGE_H_INCLUDED_ */
