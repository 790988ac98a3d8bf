
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_PEM_H_INCLUDED_
#define _WAFCERT_PEM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_verdict.h"


/*
 * More blocks than any real chain has, and few enough that all of them
 * can be examined without stalling a worker.
 */
#define WAFCERT_PEM_BLOCKS  16

#define WAFCERT_PEM_PUBLIC_HINT                                               \
    "send the certificate that the CA issued for this public key"


/* What the label of a block (RFC 7468, section 4 ff.) says that it is. */

typedef enum {
    WAFCERT_PEM_CERTIFICATE = 0,  /* also X509 and TRUSTED CERTIFICATE */
    WAFCERT_PEM_PKCS8,            /* PRIVATE KEY */
    WAFCERT_PEM_PKCS1,            /* RSA PRIVATE KEY */
    WAFCERT_PEM_SEC1,             /* EC PRIVATE KEY */
    WAFCERT_PEM_EC_PARAMETERS,
    WAFCERT_PEM_ENCRYPTED,        /* ENCRYPTED PRIVATE KEY, or Proc-Type */
    WAFCERT_PEM_OPENSSH,
    WAFCERT_PEM_DSA,
    WAFCERT_PEM_DH,               /* DH PARAMETERS and X9.42 */
    WAFCERT_PEM_PUBLIC,           /* PUBLIC KEY, RSA PUBLIC KEY */
    WAFCERT_PEM_CSR,
    WAFCERT_PEM_PKCS7,
    WAFCERT_PEM_CRL,
    WAFCERT_PEM_PKCS12,
    WAFCERT_PEM_OTHER
} wafcert_pem_type_e;


/* The member of the upload that a text comes from; chooses the reasons. */

typedef enum {
    WAFCERT_MEMBER_CONTENT = 0,
    WAFCERT_MEMBER_KEY
} wafcert_member_e;


typedef struct {
    wafcert_pem_type_e   type;
    ngx_str_t            der;       /* in wafcert_pem_t.buf */
} wafcert_pem_block_t;


typedef struct {
    ngx_uint_t           nblocks;
    wafcert_pem_block_t  blocks[WAFCERT_PEM_BLOCKS];
    unsigned             repaired:1;  /* lines were not ended by LF or CRLF */

    u_char              *buf;         /* malloc()ed, cleansed when freed */
    size_t               size;
} wafcert_pem_t;


/*
 * Reads every block of a text in any of the spellings of RFC 7468 and of
 * api.md, "Request": LF, CRLF, CR, blanks or nothing between base64 groups,
 * a two-character "\n", a UTF-8 BOM, text around the blocks.  Of the blocks
 * that the member is for, DER is checked to be one SEQUENCE of the right
 * length.  The "der" of WAFCERT_PEM_OTHER, and of a key that Proc-Type says
 * is encrypted, is empty: those bodies are skipped.
 *
 * NGX_OK: "pem" must be freed.  NGX_DECLINED: "verdict" has one of the
 * content_ or key_ reasons and nothing is to be freed.  NGX_ERROR: no memory.
 */
ngx_int_t wafcert_pem_decode(wafcert_pem_t *pem, const ngx_str_t *text,
    wafcert_member_e member, wafcert_verdict_t *verdict);

void wafcert_pem_free(wafcert_pem_t *pem);

/* "a PKCS#8 private key", "a certificate request": for a sentence. */
const char *wafcert_pem_type_name(wafcert_pem_type_e type);

/*
 * Writes DER as canonical PEM (64 columns) with "eol" after each line, the
 * last one included, and returns the end.  The label is that of the type:
 * certificate, PKCS#8, PKCS#1 or SEC 1.  wafcert_pem_size() tells how many
 * bytes that takes.
 */
u_char *wafcert_pem_encode(u_char *p, wafcert_pem_type_e type,
    const ngx_str_t *der, const char *eol);
size_t wafcert_pem_size(wafcert_pem_type_e type, size_t len, const char *eol);


#endif /* _WAFCERT_PEM_H_INCLUDED_ */
