
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_JSON_ABRIDGE_H_INCLUDED_
#define _WAFCERT_JSON_ABRIDGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Nearly all of an upload is base64, which jansson takes byte by byte, 10 ns
 * each.  It reads an abridged body instead, in which the value of a member
 * that is long and plain (printable ASCII, and escapes of one character) is
 * replaced by "\u0000" and a digit.
 *
 * The verdict is the same, since a complete and valid string token is replaced
 * by another one behind its ":".  The abridged body is JSON if and only if the
 * body is, with the same members.  Where jansson refuses it, the whole body is
 * to be parsed, for line and column.  A body in which \u stands anywhere is
 * not abridged, so a string with a NUL in it is a placeholder and nothing else.
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


#endif /* _WAFCERT_JSON_ABRIDGE_H_INCLUDED_ */
