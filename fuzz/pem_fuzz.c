
/*
 * Copyright (C) The wafcert authors
 */


#include "fuzz.h"


static void fuzz_work(const ngx_str_t *text);
static void fuzz_decode(const ngx_str_t *text, wafcert_member_e member);
static void fuzz_again(const wafcert_pem_block_t *block, const char *eol,
    ngx_uint_t repaired);


int
LLVMFuzzerTestOneInput(const u_char *data, size_t size)
{
    ngx_str_t  text;

    text.data = (u_char *) data;
    text.len = size;

    fuzz_timed(fuzz_work, &text);

    fuzz_decode(&text, WAFCERT_MEMBER_CONTENT);
    fuzz_decode(&text, WAFCERT_MEMBER_KEY);

    return 0;
}


static void
fuzz_work(const ngx_str_t *text)
{
    wafcert_pem_t      pem;
    wafcert_verdict_t  verdict;

    if (wafcert_pem_decode(&pem, text, WAFCERT_MEMBER_CONTENT, &verdict)
        == NGX_OK)
    {
        wafcert_pem_free(&pem);
    }
}


static void
fuzz_decode(const ngx_str_t *text, wafcert_member_e member)
{
    ngx_int_t             rc;
    ngx_uint_t            i;
    wafcert_pem_t         pem;
    wafcert_verdict_t     verdict;
    wafcert_pem_block_t  *block;

    rc = wafcert_pem_decode(&pem, text, member, &verdict);

    if (rc != NGX_OK) {
        fuzz_assert(rc == NGX_DECLINED);
        fuzz_refusal(&verdict, text);
        return;
    }

    fuzz_assert(pem.nblocks > 0 && pem.nblocks <= WAFCERT_PEM_BLOCKS);

    for (i = 0; i < pem.nblocks; i++) {
        block = &pem.blocks[i];

        fuzz_assert(block->type <= WAFCERT_PEM_OTHER);
        fuzz_assert(block->der.data >= pem.buf
                    && block->der.data + block->der.len
                       <= pem.buf + pem.size);

        if (block->type == WAFCERT_PEM_CERTIFICATE
            || block->type == WAFCERT_PEM_PKCS8
            || block->type == WAFCERT_PEM_PKCS1
            || block->type == WAFCERT_PEM_SEC1)
        {
            fuzz_again(block, "\n", 0);
            fuzz_again(block, "\\n", 1);
        }
    }

    wafcert_pem_free(&pem);
}


/*
 * Judged as what it is not for, for the DER of the other member was not
 * looked at.
 */

static void
fuzz_again(const wafcert_pem_block_t *block, const char *eol,
    ngx_uint_t repaired)
{
    size_t             size;
    ngx_str_t          text;
    wafcert_pem_t      pem;
    wafcert_member_e   member;
    wafcert_verdict_t  verdict;

    size = wafcert_pem_size(block->type, block->der.len, eol);
    text.len = size;
    text.data = malloc(size);
    fuzz_assert(text.data);

    fuzz_assert(wafcert_pem_encode(text.data, block->type, &block->der, eol)
                == text.data + size);

    member = (block->type == WAFCERT_PEM_CERTIFICATE) ? WAFCERT_MEMBER_KEY
                                                      : WAFCERT_MEMBER_CONTENT;

    fuzz_assert(wafcert_pem_decode(&pem, &text, member, &verdict) == NGX_OK);
    fuzz_assert(pem.nblocks == 1 && pem.repaired == repaired);
    fuzz_assert(pem.blocks[0].type == block->type);
    fuzz_assert(pem.blocks[0].der.len == block->der.len);
    fuzz_assert(memcmp(pem.blocks[0].der.data, block->der.data,
                       block->der.len)
                == 0);

    wafcert_pem_free(&pem);
    free(text.data);
}
