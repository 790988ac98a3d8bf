
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <jansson.h>

#include "wafcert_json.h"
#include "wafcert_json_abridge.h"


#define WAFCERT_STORED_SEALED   "\"sealed_key\":\""
#define WAFCERT_STORED_ID_LEN   32
#define WAFCERT_PROJECT_MAX     64


static ngx_int_t wafcert_stored_members(wafcert_stored_t *stored,
    const wafcert_json_abridged_t *abridged, wafcert_verdict_t *verdict);
static ngx_int_t wafcert_stored_version(const json_t *root,
    wafcert_verdict_t *verdict);
static ngx_int_t wafcert_stored_string(ngx_str_t *str, size_t max,
    const wafcert_json_abridged_t *abridged, const json_t *root,
    const char *name);
static ngx_int_t wafcert_stored_integer(int64_t *value, const json_t *root,
    const char *name);
static ngx_int_t wafcert_stored_warnings(uint64_t *warnings,
    const json_t *root);
static ngx_int_t wafcert_stored_since(wafcert_stored_t *stored);
static ngx_int_t wafcert_stored_split(wafcert_stored_t *stored,
    const ngx_str_t *text);
static ngx_int_t wafcert_stored_broken(wafcert_verdict_t *verdict);


ngx_int_t
wafcert_json_stored_read(wafcert_stored_t *stored, const ngx_str_t *text,
    wafcert_verdict_t *verdict)
{
    json_t                   *root;
    ngx_int_t                 rc;
    wafcert_json_abridged_t   abridged;

    ngx_memzero(stored, sizeof(wafcert_stored_t));

    rc = wafcert_json_load(&root, &abridged, text, verdict);

    if (rc == NGX_DECLINED) {
        return wafcert_stored_broken(verdict);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    stored->root = root;
    stored->buf = abridged.buf;

    rc = wafcert_stored_version(root, verdict);

    if (rc == NGX_OK && wafcert_stored_split(stored, text) != NGX_OK) {
        rc = wafcert_stored_broken(verdict);
    }

    if (rc == NGX_OK) {
        rc = wafcert_stored_members(stored, &abridged, verdict);
    }

    if (rc == NGX_OK) {
        rc = wafcert_stored_since(stored);
    }

    if (rc != NGX_OK) {
        wafcert_json_stored_free(stored);
    }

    return rc;
}


void
wafcert_json_stored_free(wafcert_stored_t *stored)
{
    wafcert_json_release(stored->root);
    wafcert_json_free(stored->buf);
    free(stored->since);

    ngx_memzero(stored, sizeof(wafcert_stored_t));
}


static ngx_int_t
wafcert_stored_version(const json_t *root, wafcert_verdict_t *verdict)
{
    int64_t  version;

    if (wafcert_stored_integer(&version, root, "version") != NGX_OK) {
        return wafcert_stored_broken(verdict);
    }

    if (version != WAFCERT_STORED_VERSION) {
        return wafcert_refuse(verdict, WAFCERT_INTERNAL,
                              "it has version %lld, and this module reads %d",
                              (long long) version, WAFCERT_STORED_VERSION);
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_stored_members(wafcert_stored_t *stored,
    const wafcert_json_abridged_t *abridged, wafcert_verdict_t *verdict)
{
    int64_t            sequence, revision, fault, rules;
    const json_t      *root;
    wafcert_record_t  *record;

    root = stored->root;
    record = &stored->record;

    if (wafcert_stored_string(&stored->project, WAFCERT_PROJECT_MAX, abridged,
                              root, "project")
        != NGX_OK
        || wafcert_stored_string(&record->id, WAFCERT_STORED_ID_LEN, abridged,
                                 root, "id")
           != NGX_OK
        || record->id.len != WAFCERT_STORED_ID_LEN
        || wafcert_stored_string(&record->name, WAFCERT_NAME_MAX, abridged,
                                 root, "name")
           != NGX_OK
        || wafcert_stored_string(&stored->content, NGX_MAX_SIZE_T_VALUE,
                                 abridged, root, "content")
           != NGX_OK
        || wafcert_stored_integer(&sequence, root, "sequence") != NGX_OK
        || wafcert_stored_integer(&revision, root, "revision") != NGX_OK
        || revision < 1
        || wafcert_stored_integer(&record->timestamp, root, "timestamp")
           != NGX_OK
        || wafcert_stored_warnings(&stored->warnings, root) != NGX_OK)
    {
        return wafcert_stored_broken(verdict);
    }

    /* of an edge, which could not keep what the WAF has */

    record->stale = json_is_integer(json_object_get(root, "stale"));

    if (wafcert_stored_integer(&fault, root, "fault") == NGX_OK && fault > 0) {
        stored->fault = (ngx_uint_t) fault;
    }

    if (wafcert_stored_integer(&rules, root, "rules") == NGX_OK && rules > 0) {
        stored->rules = (ngx_uint_t) rules;
    }

    stored->sequence = (uint64_t) sequence;
    record->revision = (ngx_uint_t) revision;

    return NGX_OK;
}


static ngx_int_t
wafcert_stored_string(ngx_str_t *str, size_t max,
    const wafcert_json_abridged_t *abridged, const json_t *root,
    const char *name)
{
    const json_t  *value;

    value = json_object_get(root, name);

    if (!json_is_string(value)) {
        return NGX_ERROR;
    }

    wafcert_json_value_str(str, abridged, value);

    return (str->len == 0 || str->len > max) ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
wafcert_stored_integer(int64_t *value, const json_t *root, const char *name)
{
    const json_t  *integer;

    integer = json_object_get(root, name);

    if (!json_is_integer(integer)) {
        return NGX_ERROR;
    }

    *value = json_integer_value(integer);

    return NGX_OK;
}


static ngx_int_t
wafcert_stored_warnings(uint64_t *warnings, const json_t *root)
{
    size_t        i;
    ngx_uint_t    n;
    const char   *slug;
    const json_t *array;

    array = json_object_get(root, "warnings");

    if (!json_is_array(array)) {
        return NGX_ERROR;
    }

    *warnings = 0;

    for (i = 0; i < json_array_size(array); i++) {

        slug = json_string_value(json_array_get(array, i));

        for (n = 0; slug && n < WAFCERT_WARNINGS; n++) {
            if (strcmp(slug, wafcert_warning_slug(n)) == 0) {
                *warnings |= wafcert_warning(n);
            }
        }
    }

    return NGX_OK;
}


/* not in files of older versions.  NGX_ERROR: no memory. */

static ngx_int_t
wafcert_stored_since(wafcert_stored_t *stored)
{
    size_t         i, n;
    const json_t  *array;

    array = json_object_get(stored->root, "since");
    n = json_array_size(array);

    if (n == 0) {
        return NGX_OK;
    }

    stored->since = malloc(n * sizeof(int64_t));
    if (stored->since == NULL) {
        return NGX_ERROR;
    }

    stored->nsince = n;

    for (i = 0; i < n; i++) {
        stored->since[i] = json_integer_value(json_array_get(array, i));
    }

    return NGX_OK;
}


void
wafcert_json_stored_since(wafcert_stored_t *stored, const ngx_str_t *hosts)
{
    size_t         i;
    ngx_uint_t     n, k;
    const char    *host;
    const json_t  *array;

    array = json_object_get(stored->root, "hosts");

    /* in the same order, each where it stood first */

    i = 0;
    k = 0;

    for (n = 0; n < stored->nsince && i < hosts->len; n++) {
        host = json_string_value(json_array_get(array, n));

        if (host && strcmp(host, (char *) hosts->data + i) == 0) {
            stored->since[k++] = stored->since[n];
            i += strlen(host) + 1;
        }
    }

    stored->nsince = (i == hosts->len) ? k : 0;
}


/* No quote can stand in base64, nor, unescaped, in a string before it. */

static ngx_int_t
wafcert_stored_split(wafcert_stored_t *stored, const ngx_str_t *text)
{
    size_t   len;
    u_char  *start, *p, *last;

    len = sizeof(WAFCERT_STORED_SEALED) - 1;

    start = text->data;
    last = start + text->len - ngx_min(text->len,
                                       sizeof(WAFCERT_STORED_END) - 1);

    for (p = last; p > start && p[-1] != '"'; p--) { /* void */ }

    if ((size_t) (p - start) < len
        || memcmp(p - len, WAFCERT_STORED_SEALED, len) != 0
        || memcmp(last, WAFCERT_STORED_END, sizeof(WAFCERT_STORED_END) - 1)
           != 0)
    {
        return NGX_ERROR;
    }

    stored->clear.data = start;
    stored->clear.len = p - start;
    stored->sealed.data = p;
    stored->sealed.len = last - p;

    return NGX_OK;
}


static ngx_int_t
wafcert_stored_broken(wafcert_verdict_t *verdict)
{
    return wafcert_refuse(verdict, WAFCERT_INTERNAL,
                          "it is cut or not a record");
}
