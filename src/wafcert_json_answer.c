
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <jansson.h>

#include "wafcert_json.h"
#include "wafcert_json_abridge.h"
#include "wafcert_json_answer.h"


static void wafcert_answer_word(ngx_str_t *word,
    const wafcert_json_abridged_t *abridged, const json_t *root,
    const char *name);
static ngx_uint_t wafcert_answer_error(const json_t *root);
static int64_t wafcert_answer_time(const json_t *root, const char *name);
static ngx_int_t wafcert_answer_id(u_char *id, const json_t *value);
static ngx_int_t wafcert_answer_digit(u_char ch);
static ngx_int_t wafcert_listing_ids(wafcert_listing_t *listing,
    const json_t *root);
static int wafcert_listing_cmp(const void *one, const void *two);


ngx_int_t
wafcert_json_answer(wafcert_answer_t *answer, const ngx_str_t *text)
{
    json_t                   *root;
    ngx_int_t                 rc;
    wafcert_verdict_t         ignored;
    wafcert_json_abridged_t   abridged;

    ngx_memzero(answer, sizeof(wafcert_answer_t));

    rc = wafcert_json_load(&root, &abridged, text, &ignored);
    if (rc != NGX_OK) {
        return rc;
    }

    answer->root = root;
    answer->buf = abridged.buf;

    if (!json_is_object(root)) {
        wafcert_json_answer_free(answer);
        return NGX_DECLINED;
    }

    if (wafcert_answer_id(answer->binary, json_object_get(root, "id"))
        == NGX_OK)
    {
        answer->id.data = answer->binary;
        answer->id.len = WAFCERT_ANSWER_ID_LEN;
    }

    wafcert_answer_word(&answer->name, &abridged, root, "name");
    wafcert_answer_word(&answer->error_code, &abridged, root, "error_code");

    answer->timestamp = wafcert_answer_time(root, "timestamp");
    answer->error = wafcert_answer_error(root);

    return NGX_OK;
}


void
wafcert_json_answer_free(wafcert_answer_t *answer)
{
    wafcert_json_release(answer->root);
    wafcert_json_free(answer->buf);

    ngx_memzero(answer, sizeof(wafcert_answer_t));
}


ngx_int_t
wafcert_json_listing(wafcert_listing_t *listing, const ngx_str_t *text)
{
    json_t                   *root;
    ngx_int_t                 rc;
    wafcert_verdict_t         ignored;
    wafcert_json_abridged_t   abridged;

    ngx_memzero(listing, sizeof(wafcert_listing_t));

    rc = wafcert_json_load(&root, &abridged, text, &ignored);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = wafcert_listing_ids(listing, root);

    wafcert_json_release(root);
    wafcert_json_free(abridged.buf);

    if (rc != NGX_OK) {
        wafcert_json_listing_free(listing);
    }

    return rc;
}


void
wafcert_json_listing_free(wafcert_listing_t *listing)
{
    free(listing->ids);

    ngx_memzero(listing, sizeof(wafcert_listing_t));
}


ngx_uint_t
wafcert_json_listed(const wafcert_listing_t *listing, const u_char *id)
{
    return listing->nids
           && bsearch(id, listing->ids, listing->nids, WAFCERT_ANSWER_ID_LEN,
                      wafcert_listing_cmp)
              != NULL;
}


/* It is to stand in a log: what has more than printable ASCII is none. */

static void
wafcert_answer_word(ngx_str_t *word, const wafcert_json_abridged_t *abridged,
    const json_t *root, const char *name)
{
    size_t         i;
    ngx_str_t      str;
    const json_t  *value;

    value = json_object_get(root, name);

    if (!json_is_string(value)) {
        return;
    }

    wafcert_json_value_str(&str, abridged, value);

    if (str.len > WAFCERT_NAME_MAX) {
        return;
    }

    for (i = 0; i < str.len; i++) {
        if (str.data[i] <= ' ' || str.data[i] > '~' || str.data[i] == '"') {
            return;
        }
    }

    *word = str;
}


/* one that cannot be used tells of an error, too */

static ngx_uint_t
wafcert_answer_error(const json_t *root)
{
    const json_t  *code;

    code = json_object_get(root, "error_code");

    return code != NULL && !json_is_null(code);
}


static int64_t
wafcert_answer_time(const json_t *root, const char *name)
{
    const json_t  *value;

    value = json_object_get(root, name);

    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return 0;
    }

    return json_integer_value(value);
}


/* 32 characters are too few to be abridged */

static ngx_int_t
wafcert_answer_id(u_char *id, const json_t *value)
{
    ngx_int_t    high, low;
    ngx_uint_t   i;
    const char  *hex;

    if (!json_is_string(value)
        || json_string_length(value) != 2 * WAFCERT_ANSWER_ID_LEN)
    {
        return NGX_ERROR;
    }

    hex = json_string_value(value);

    for (i = 0; i < WAFCERT_ANSWER_ID_LEN; i++) {

        high = wafcert_answer_digit((u_char) hex[2 * i]);
        low = wafcert_answer_digit((u_char) hex[2 * i + 1]);

        if (high < 0 || low < 0) {
            return NGX_ERROR;
        }

        id[i] = (u_char) (high << 4 | low);
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_answer_digit(u_char ch)
{
    if (ch >= '0' && ch <= '9') {
        return ch - '0';
    }

    return (ch >= 'a' && ch <= 'f') ? ch - 'a' + 10 : NGX_ERROR;
}


static ngx_int_t
wafcert_listing_ids(wafcert_listing_t *listing, const json_t *root)
{
    size_t         i, n;
    const json_t  *items, *total;

    items = json_object_get(root, "items");
    total = json_object_get(root, "total");
    n = json_array_size(items);

    if (wafcert_answer_error(root)
        || !json_is_array(items) || !json_is_integer(total)
        || json_integer_value(total) != (json_int_t) n)
    {
        return NGX_DECLINED;
    }

    listing->ids = malloc(ngx_max(n, 1) * WAFCERT_ANSWER_ID_LEN);
    if (listing->ids == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {

        if (wafcert_answer_id(listing->ids + i * WAFCERT_ANSWER_ID_LEN,
                              json_object_get(json_array_get(items, i), "id"))
            != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    qsort(listing->ids, n, WAFCERT_ANSWER_ID_LEN, wafcert_listing_cmp);
    listing->nids = n;

    for (i = 1; i < n; i++) {

        if (wafcert_listing_cmp(listing->ids + (i - 1) * WAFCERT_ANSWER_ID_LEN,
                                listing->ids + i * WAFCERT_ANSWER_ID_LEN)
            == 0)
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static int
wafcert_listing_cmp(const void *one, const void *two)
{
    return memcmp(one, two, WAFCERT_ANSWER_ID_LEN);
}
