
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_DER_H_INCLUDED_
#define _WAFCERT_DER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_pem.h"


#define WAFCERT_DER_BOOLEAN     0x01
#define WAFCERT_DER_INTEGER     0x02
#define WAFCERT_DER_BITS        0x03
#define WAFCERT_DER_OCTETS      0x04
#define WAFCERT_DER_NULL        0x05
#define WAFCERT_DER_OID         0x06
#define WAFCERT_DER_SEQUENCE    0x30
#define WAFCERT_DER_SET         0x31

/* Context-specific tags: [n] IMPLICIT of a primitive type, and [n]. */
#define WAFCERT_DER_PRIMITIVE(n)    (0x80 | (n))
#define WAFCERT_DER_CONSTRUCTED(n)  (0xa0 | (n))


/* What is left to read of one level. */

typedef struct {
    u_char      *p;
    u_char      *end;
} wafcert_der_t;


typedef struct {
    ngx_uint_t   tag;
    u_char      *start;           /* of the header */
    ngx_str_t    body;
} wafcert_tlv_t;


#define wafcert_der_init(der, str)                                           \
    (der)->p = (str)->data; (der)->end = (str)->data + (str)->len

#define wafcert_der_end(der)  ((der)->p == (der)->end)


/*
 * A strict reader: definite minimal lengths and tags of one byte only, and
 * nothing outside of its level.  It copies nothing.
 *
 * NGX_DECLINED: this is not DER, or another tag than the wanted one.
 */
ngx_int_t wafcert_der_next(wafcert_der_t *der, wafcert_tlv_t *tlv);
ngx_int_t wafcert_der_get(wafcert_der_t *der, ngx_uint_t tag,
    wafcert_tlv_t *tlv);

/* As above, and enters it. */
ngx_int_t wafcert_der_enter(wafcert_der_t *der, ngx_uint_t tag,
    wafcert_der_t *inner);

/* An INTEGER that is not negative, without its leading zero byte. */
ngx_int_t wafcert_der_number(wafcert_der_t *der, ngx_str_t *number);

/* A BIT STRING of whole bytes. */
ngx_int_t wafcert_der_bits(wafcert_der_t *der, ngx_uint_t tag,
    ngx_str_t *bits);

/* Whether the object identifier has a number of 2^31 or more. */
ngx_uint_t wafcert_der_large(const ngx_str_t *oid);

/*
 * Whether the bytes are DER all the way down, not counting what is wrapped in
 * a string, and nested no deeper than any certificate.  Adds the number of
 * elements to "n".
 */
ngx_int_t wafcert_der_strict(const ngx_str_t *bytes, ngx_uint_t *n);

/*
 * Whether the bytes are exactly one SEQUENCE.  If not, the words say why:
 * "... the DER <words>".
 */
ngx_int_t wafcert_der_whole(const ngx_str_t *bytes, char *words, size_t size);

/*
 * How many elements there are, at all depths, with those of extensions.  Of
 * bytes that are no DER it is the most that there could be.
 */
ngx_uint_t wafcert_der_count(const ngx_str_t *bytes);

/*
 * What the bytes are by their structure, for a sentence; NULL: unknown.
 * WAFCERT_PEM_OTHER stands for what has no label of its own.
 */
const char *wafcert_der_what(const ngx_str_t *bytes,
    wafcert_pem_type_e *type);


#endif /* _WAFCERT_DER_H_INCLUDED_ */
