
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_SEAL_H_INCLUDED_
#define _WAFCERT_SEAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Authenticated encryption with AES-256-GCM (NIST SP 800-38D), a random
 * nonce of 96 bits each time: what is sealed is base64 of nonce, ciphertext
 * and tag.  2^32 records may be sealed under one key (section 8.3 there).
 */

#define WAFCERT_SEAL_KEY_LEN    32
#define WAFCERT_SEAL_CHECK_LEN  32

#define WAFCERT_SEAL_LINE                                                     \
    "The lock of nginx's wafcert module. Check value of the seal key: "

/* and as base64 what there is to check, and a newline */
#define WAFCERT_SEAL_LINE_LEN  (sizeof(WAFCERT_SEAL_LINE) - 1 + 44 + 1)


typedef struct wafcert_seal_s  wafcert_seal_t;


/*
 * Reads a key file's text: 64 hex digits, and perhaps a newline.  NGX_ERROR:
 * it is something else.
 */
ngx_int_t wafcert_seal_key(u_char *key, const ngx_str_t *text);

/*
 * Keeps a copy of the key (WAFCERT_SEAL_KEY_LEN bytes) in memory that no core
 * dump holds.  NULL: no memory, or an OpenSSL without AES-256-GCM.
 */
wafcert_seal_t *wafcert_seal_create(const u_char *key);
void wafcert_seal_free(wafcert_seal_t *seal);

ngx_uint_t wafcert_seal_same_key(const wafcert_seal_t *one,
    const wafcert_seal_t *two);

/*
 * WAFCERT_SEAL_CHECK_LEN bytes that tell keys apart, and nothing of the key.
 * NGX_ERROR: no memory.
 */
ngx_int_t wafcert_seal_check(const wafcert_seal_t *seal, u_char *check);

/*
 * The same as a line for the file "changes" of a state directory, of
 * WAFCERT_SEAL_LINE_LEN bytes.  NGX_ERROR: no memory.
 */
ngx_int_t wafcert_seal_line(const wafcert_seal_t *seal, u_char *line);

/*
 * Whose line it is.  NGX_OK: this key's; NGX_DECLINED: another one's; NGX_DONE:
 * it is none; NGX_ERROR: no memory.
 */
ngx_int_t wafcert_seal_line_judge(const wafcert_seal_t *seal,
    const ngx_str_t *line);

/* What "len" bytes take when they are sealed. */
size_t wafcert_sealed_len(size_t len);

/*
 * Seals "plain", bound to "clear", and returns the end, or NULL: no memory.
 * A NUL byte is written behind it.
 */
u_char *wafcert_seal(const wafcert_seal_t *seal, u_char *p,
    const ngx_str_t *clear, const ngx_str_t *plain);

/*
 * Writes to plain->data, which has sealed->len bytes.
 * NGX_OK; NGX_DECLINED: edited, or sealed under another key; NGX_ERROR: no
 * memory.
 */
ngx_int_t wafcert_unseal(const wafcert_seal_t *seal, ngx_str_t *plain,
    const ngx_str_t *clear, const ngx_str_t *sealed);


#endif /* _WAFCERT_SEAL_H_INCLUDED_ */
