
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <jansson.h>

#include "wafcert_json_abridge.h"
#include "wafcert_json_token.h"


static ngx_int_t wafcert_json_token_members(wafcert_token_t *token,
    const json_t *root, wafcert_verdict_t *verdict);
static ngx_uint_t wafcert_json_token_roles(const json_t *object);
static ngx_int_t wafcert_json_token_string(ngx_str_t *str,
    const json_t *object, const char *name);
static int64_t wafcert_json_token_time(const ngx_str_t *str);
static int64_t wafcert_json_token_number(const u_char *p, ngx_uint_t digits);
static ngx_int_t wafcert_json_token_fault(wafcert_verdict_t *verdict,
    const char *what);


ngx_int_t
wafcert_json_token(wafcert_token_t *token, const ngx_str_t *answer,
    wafcert_verdict_t *verdict)
{
    json_t     *root;
    ngx_int_t   rc;

    ngx_memzero(token, sizeof(wafcert_token_t));

    rc = wafcert_json_parse(&root, answer, verdict);

    if (rc == NGX_DECLINED) {
        verdict->reason = WAFCERT_IAM_UNAVAILABLE;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    token->root = root;

    rc = wafcert_json_token_members(token, root, verdict);

    if (rc != NGX_OK) {
        wafcert_json_token_free(token);
    }

    return rc;
}


void
wafcert_json_token_free(wafcert_token_t *token)
{
    wafcert_json_release(token->root);

    ngx_memzero(token, sizeof(wafcert_token_t));
}


/*
 * A token without "project" is not scoped, or scoped to a domain or to the
 * system.  What decides about access must be well-formed, the name of a user
 * need not even be there.
 */

static ngx_int_t
wafcert_json_token_members(wafcert_token_t *token, const json_t *root,
    wafcert_verdict_t *verdict)
{
    json_t     *object, *project;
    ngx_str_t   expires;

    object = json_object_get(root, "token");

    if (!json_is_object(object)) {
        return wafcert_json_token_fault(verdict, "token");
    }

    project = json_object_get(object, "project");

    if (project && !json_is_null(project)
        && wafcert_json_token_string(&token->project, project, "id")
           != NGX_OK)
    {
        return wafcert_json_token_fault(verdict, "token.project.id");
    }

    if (!wafcert_json_token_roles(json_object_get(object, "roles"))) {
        return wafcert_json_token_fault(verdict, "token.roles[].name");
    }

    if (wafcert_json_token_string(&expires, object, "expires_at") != NGX_OK) {
        return wafcert_json_token_fault(verdict, "token.expires_at");
    }

    token->expires = wafcert_json_token_time(&expires);

    if (token->expires < 0) {
        return wafcert_json_token_fault(verdict, "token.expires_at");
    }

    (void) wafcert_json_token_string(&token->user,
                                     json_object_get(object, "user"), "name");

    return NGX_OK;
}


static ngx_uint_t
wafcert_json_token_roles(const json_t *roles)
{
    size_t     i;
    ngx_str_t  name;

    if (roles == NULL || json_is_null(roles)) {
        return 1;
    }

    if (!json_is_array(roles)) {
        return 0;
    }

    for (i = 0; i < json_array_size(roles); i++) {
        if (wafcert_json_token_string(&name, json_array_get(roles, i), "name")
            != NGX_OK)
        {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
wafcert_json_token_role(const wafcert_token_t *token, const ngx_str_t *role)
{
    size_t         i;
    ngx_str_t      name;
    const json_t  *roles;

    roles = json_object_get(json_object_get(token->root, "token"), "roles");

    if (role == NULL) {
        return json_array_size(roles) != 0;
    }

    for (i = 0; i < json_array_size(roles); i++) {

        if (wafcert_json_token_string(&name, json_array_get(roles, i), "name")
            == NGX_OK
            && name.len == role->len
            && memcmp(name.data, role->data, role->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
wafcert_json_token_string(ngx_str_t *str, const json_t *object,
    const char *name)
{
    json_t  *value;

    value = json_object_get(object, name);

    if (!json_is_string(value) || json_string_length(value) == 0) {
        ngx_str_null(str);
        return NGX_ERROR;
    }

    str->data = (u_char *) json_string_value(value);
    str->len = json_string_length(value);

    return NGX_OK;
}


/* "2026-11-24T09:05:59[.123456]Z"; -1: it is something else */

static int64_t
wafcert_json_token_time(const ngx_str_t *str)
{
    size_t         i;
    int64_t        year, month, day, hour, min, sec, leap, days;
    const u_char  *p;

    static const u_char   form[] = "dddd-dd-ddTdd:dd:dd.d";
    static const int64_t  mdays[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };

    p = str->data;

    if (str->len < sizeof("1970-01-01T00:00:00Z") - 1
        || str->len == sizeof("1970-01-01T00:00:00.Z") - 1
        || p[str->len - 1] != 'Z')
    {
        return -1;
    }

    for (i = 0; i < str->len - 1; i++) {

        if (i >= sizeof(form) - 1 || form[i] == 'd') {
            if (p[i] < '0' || p[i] > '9') {
                return -1;
            }

        } else if (p[i] != form[i]) {
            return -1;
        }
    }

    year = wafcert_json_token_number(p, 4);
    month = wafcert_json_token_number(p + 5, 2);
    day = wafcert_json_token_number(p + 8, 2);
    hour = wafcert_json_token_number(p + 11, 2);
    min = wafcert_json_token_number(p + 14, 2);
    sec = wafcert_json_token_number(p + 17, 2);

    if (year < 1970 || month < 1 || month > 12 || day < 1
        || hour > 23 || min > 59 || sec > 59)
    {
        return -1;
    }

    leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    if (day > mdays[month - 1] + (month == 2 && leap)) {
        return -1;
    }

    /* the year begins in March, so that the leap day is its last one */

    month = (month + 9) % 12;
    year -= (month >= 10);

    days = 365 * year + year / 4 - year / 100 + year / 400
           + (153 * month + 2) / 5 + day - 1 - 719468;

    return ((days * 24 + hour) * 60 + min) * 60 + sec;
}


static int64_t
wafcert_json_token_number(const u_char *p, ngx_uint_t digits)
{
    int64_t  n;

    for (n = 0; digits; digits--, p++) {
        n = n * 10 + (*p - '0');
    }

    return n;
}


static ngx_int_t
wafcert_json_token_fault(wafcert_verdict_t *verdict, const char *what)
{
    return wafcert_refuse(verdict, WAFCERT_IAM_UNAVAILABLE,
                          "it has no %s, or one that is not as it should be",
                          what);
}
