
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <sys/mman.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "wafcert_seal.h"


#define WAFCERT_SEAL_NONCE_LEN  12
#define WAFCERT_SEAL_TAG_LEN    16
#define WAFCERT_SEAL_OVERHEAD   (WAFCERT_SEAL_NONCE_LEN + WAFCERT_SEAL_TAG_LEN)


/* a page of its own, for madvise() */

struct wafcert_seal_s {
    EVP_CIPHER              *cipher;
    u_char                   key[WAFCERT_SEAL_KEY_LEN];
};


static ngx_int_t wafcert_seal_hex(u_char ch);
static ngx_int_t wafcert_encrypt(const wafcert_seal_t *seal, u_char *p,
    const ngx_str_t *clear, const ngx_str_t *plain);
static size_t wafcert_seal_base64(u_char *p, const ngx_str_t *text);
static ngx_int_t wafcert_decrypt(const wafcert_seal_t *seal, u_char *p,
    size_t len, const ngx_str_t *clear);


ngx_int_t
wafcert_seal_key(u_char *key, const ngx_str_t *text)
{
    size_t     i, len;
    ngx_int_t  high, low;

    len = text->len;

    if (len && text->data[len - 1] == LF) {
        len--;
    }

    if (len != 2 * WAFCERT_SEAL_KEY_LEN) {
        return NGX_ERROR;
    }

    for (i = 0; i < WAFCERT_SEAL_KEY_LEN; i++) {
        high = wafcert_seal_hex(text->data[2 * i]);
        low = wafcert_seal_hex(text->data[2 * i + 1]);

        if (high < 0 || low < 0) {
            return NGX_ERROR;
        }

        key[i] = (u_char) (high << 4 | low);
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_seal_hex(u_char ch)
{
    if (ch >= '0' && ch <= '9') {
        return ch - '0';
    }

    ch |= 0x20;

    return (ch >= 'a' && ch <= 'f') ? ch - 'a' + 10 : -1;
}


wafcert_seal_t *
wafcert_seal_create(const u_char *key)
{
    wafcert_seal_t  *seal;

    seal = mmap(NULL, sizeof(wafcert_seal_t), PROT_READ|PROT_WRITE,
                MAP_ANON|MAP_PRIVATE, -1, 0);
    if (seal == MAP_FAILED) {
        return NULL;
    }

#ifdef MADV_DONTDUMP
    if (madvise(seal, sizeof(wafcert_seal_t), MADV_DONTDUMP) == -1) {
        (void) munmap(seal, sizeof(wafcert_seal_t));
        return NULL;
    }
#endif

    ngx_memcpy(seal->key, key, WAFCERT_SEAL_KEY_LEN);

    seal->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);

    if (seal->cipher == NULL) {
        wafcert_seal_free(seal);
        return NULL;
    }

    return seal;
}


void
wafcert_seal_free(wafcert_seal_t *seal)
{
    EVP_CIPHER_free(seal->cipher);
    OPENSSL_cleanse(seal, sizeof(wafcert_seal_t));
    (void) munmap(seal, sizeof(wafcert_seal_t));
}


ngx_uint_t
wafcert_seal_same_key(const wafcert_seal_t *one, const wafcert_seal_t *two)
{
    return CRYPTO_memcmp(one->key, two->key, WAFCERT_SEAL_KEY_LEN) == 0;
}


ngx_int_t
wafcert_seal_check(const wafcert_seal_t *seal, u_char *check)
{
    static const u_char  text[] = "wafcert seal key";

    return HMAC(EVP_sha256(), seal->key, WAFCERT_SEAL_KEY_LEN, text,
                sizeof(text) - 1, check, NULL)
           ? NGX_OK : NGX_ERROR;
}


ngx_int_t
wafcert_seal_line(const wafcert_seal_t *seal, u_char *line)
{
    u_char  *p;
    u_char   check[WAFCERT_SEAL_CHECK_LEN];

    if (wafcert_seal_check(seal, check) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(line, WAFCERT_SEAL_LINE, sizeof(WAFCERT_SEAL_LINE) - 1);
    p += EVP_EncodeBlock(p, check, WAFCERT_SEAL_CHECK_LEN);

    /* in place of its NUL byte */

    *p = LF;

    return NGX_OK;
}


ngx_int_t
wafcert_seal_line_judge(const wafcert_seal_t *seal, const ngx_str_t *line)
{
    u_char  ours[WAFCERT_SEAL_LINE_LEN];

    if (line->len != WAFCERT_SEAL_LINE_LEN
        || ngx_memcmp(line->data, WAFCERT_SEAL_LINE,
                      sizeof(WAFCERT_SEAL_LINE) - 1)
           != 0)
    {
        return NGX_DONE;
    }

    if (wafcert_seal_line(seal, ours) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_memcmp(line->data, ours, WAFCERT_SEAL_LINE_LEN) == 0
           ? NGX_OK : NGX_DECLINED;
}


size_t
wafcert_sealed_len(size_t len)
{
    return (len + WAFCERT_SEAL_OVERHEAD + 2) / 3 * 4;
}


u_char *
wafcert_seal(const wafcert_seal_t *seal, u_char *p, const ngx_str_t *clear,
    const ngx_str_t *plain)
{
    int      n;
    size_t   len;
    u_char  *buf;

    len = plain->len + WAFCERT_SEAL_OVERHEAD;

    buf = malloc(len);
    if (buf == NULL) {
        return NULL;
    }

    n = 0;

    if (wafcert_encrypt(seal, buf, clear, plain) == NGX_OK) {
        n = EVP_EncodeBlock(p, buf, (int) len);
    }

    free(buf);

    return n ? p + n : NULL;
}


static ngx_int_t
wafcert_encrypt(const wafcert_seal_t *seal, u_char *p, const ngx_str_t *clear,
    const ngx_str_t *plain)
{
    int              n;
    u_char          *tag;
    ngx_int_t        rc;
    EVP_CIPHER_CTX  *ctx;

    if (RAND_bytes(p, WAFCERT_SEAL_NONCE_LEN) != 1) {
        return NGX_ERROR;
    }

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    tag = p + WAFCERT_SEAL_NONCE_LEN + plain->len;
    rc = NGX_ERROR;

    if (EVP_EncryptInit_ex(ctx, seal->cipher, NULL, seal->key, p) == 1
        && EVP_EncryptUpdate(ctx, NULL, &n, clear->data, (int) clear->len)
           == 1
        && EVP_EncryptUpdate(ctx, p + WAFCERT_SEAL_NONCE_LEN, &n, plain->data,
                             (int) plain->len)
           == 1
        && EVP_EncryptFinal_ex(ctx, tag, &n) == 1
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG,
                               WAFCERT_SEAL_TAG_LEN, tag)
           == 1)
    {
        rc = NGX_OK;
    }

    EVP_CIPHER_CTX_free(ctx);

    return rc;
}


ngx_int_t
wafcert_unseal(const wafcert_seal_t *seal, ngx_str_t *plain,
    const ngx_str_t *clear, const ngx_str_t *sealed)
{
    u_char     *p;
    size_t      len;
    ngx_int_t   rc;

    p = malloc(sealed->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_DECLINED;
    len = wafcert_seal_base64(p, sealed);

    if (len >= WAFCERT_SEAL_OVERHEAD) {
        rc = wafcert_decrypt(seal, p, len, clear);
    }

    if (rc == NGX_OK) {
        plain->len = len - WAFCERT_SEAL_OVERHEAD;
        ngx_memcpy(plain->data, p + WAFCERT_SEAL_NONCE_LEN, plain->len);
    }

    OPENSSL_cleanse(p, sealed->len);
    free(p);

    return rc;
}


/*
 * EVP_DecodeBlock() is lenient, about blanks and padding: only what would be
 * written again like this is ours.  Returns the number of bytes, or 0.
 */

static size_t
wafcert_seal_base64(u_char *p, const ngx_str_t *text)
{
    int      n, same;
    u_char  *again;

    if (text->len < 4 || text->len > INT_MAX) {
        return 0;
    }

    n = EVP_DecodeBlock(p, text->data, (int) text->len);
    if (n <= 0) {
        return 0;
    }

    n -= (text->data[text->len - 1] == '=')
         + (text->data[text->len - 2] == '=');

    again = malloc((size_t) n / 3 * 4 + 5);
    if (again == NULL) {
        return 0;
    }

    same = EVP_EncodeBlock(again, p, n) == (int) text->len
           && memcmp(again, text->data, text->len) == 0;

    free(again);

    return same ? (size_t) n : 0;
}


/* in place */

static ngx_int_t
wafcert_decrypt(const wafcert_seal_t *seal, u_char *p, size_t len,
    const ngx_str_t *clear)
{
    int              n;
    u_char          *text, *tag;
    ngx_int_t        rc;
    EVP_CIPHER_CTX  *ctx;

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    text = p + WAFCERT_SEAL_NONCE_LEN;
    tag = p + len - WAFCERT_SEAL_TAG_LEN;
    rc = NGX_DECLINED;

    if (EVP_DecryptInit_ex(ctx, seal->cipher, NULL, seal->key, p) == 1
        && EVP_DecryptUpdate(ctx, NULL, &n, clear->data, (int) clear->len)
           == 1
        && EVP_DecryptUpdate(ctx, text, &n, text, (int) (tag - text)) == 1
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG,
                               WAFCERT_SEAL_TAG_LEN, tag)
           == 1
        && EVP_DecryptFinal_ex(ctx, tag, &n) == 1)
    {
        rc = NGX_OK;
    }

    EVP_CIPHER_CTX_free(ctx);

    return rc;
}
