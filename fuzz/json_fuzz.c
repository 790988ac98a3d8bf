
/*
 * Copyright (C) The wafcert authors
 */


#include "fuzz.h"
#include "wafcert_json_token.h"


static void fuzz_work(const ngx_str_t *body);
static ngx_int_t fuzz_upload(const ngx_str_t *body, ngx_uint_t modify);
static void fuzz_reference(const wafcert_upload_t *upload,
    const ngx_str_t *body);
static json_t *fuzz_parse(const ngx_str_t *body);
static void fuzz_same_member(json_t *root, const char *name,
    const ngx_str_t *str);
static void fuzz_again(const wafcert_upload_t *upload, ngx_uint_t modify);
static void fuzz_member(json_t *root, const char *name, const ngx_str_t *str);
static ngx_uint_t fuzz_same(const ngx_str_t *one, const ngx_str_t *two);
static void fuzz_stored(const ngx_str_t *text);
static void fuzz_token(const ngx_str_t *answer);


int
LLVMFuzzerTestOneInput(const u_char *data, size_t size)
{
    ngx_str_t  body;

    body.data = (u_char *) data;
    body.len = size;

    fuzz_timed(fuzz_work, &body);

    /* what makes a certificate could also change one */

    fuzz_assert(fuzz_upload(&body, 0) != NGX_OK
                || fuzz_upload(&body, 1) == NGX_OK);

    fuzz_token(&body);

    return 0;
}


static void
fuzz_work(const ngx_str_t *body)
{
    (void) fuzz_upload(body, 1);
    fuzz_stored(body);
}


static ngx_int_t
fuzz_upload(const ngx_str_t *body, ngx_uint_t modify)
{
    ngx_int_t          rc;
    wafcert_upload_t   upload;
    wafcert_verdict_t  verdict;

    rc = wafcert_json_upload(&upload, body, modify, &verdict);

    if (rc == NGX_OK) {
        fuzz_assert(modify || upload.name.data);
        fuzz_assert(modify || upload.content.data);
        fuzz_assert(modify || upload.key.data);
        fuzz_assert(upload.name.data || upload.content.data
                    || upload.key.data);

        fuzz_reference(&upload, body);
        fuzz_again(&upload, modify);
        wafcert_json_upload_free(&upload);

    } else {
        fuzz_assert(rc == NGX_DECLINED);

        /* JSON that would take long is refused as if it were none */

        fuzz_assert(verdict.reason != WAFCERT_JSON_SYNTAX
                    || strstr(verdict.message, "than an upload can need")
                    || strstr(verdict.message, "a number is too large")
                    || fuzz_parse(body) == NULL);
        fuzz_refusal(&verdict, body);
    }

    return rc;
}


/* jansson alone reads the same. */

static void
fuzz_reference(const wafcert_upload_t *upload, const ngx_str_t *body)
{
    json_t  *root;

    root = fuzz_parse(body);
    fuzz_assert(json_is_object(root));

    fuzz_same_member(root, "name", &upload->name);
    fuzz_same_member(root, "content", &upload->content);
    fuzz_same_member(root, "key", &upload->key);

    json_decref(root);
}


static json_t *
fuzz_parse(const ngx_str_t *body)
{
    size_t  bom;

    bom = (body->len >= 3 && memcmp(body->data, "\xef\xbb\xbf", 3) == 0)
          ? 3 : 0;

    return json_loadb((char *) body->data + bom, body->len - bom,
                      JSON_REJECT_DUPLICATES|JSON_DECODE_ANY|JSON_ALLOW_NUL,
                      NULL);
}


static void
fuzz_same_member(json_t *root, const char *name, const ngx_str_t *str)
{
    json_t     *value;
    ngx_str_t   other;

    ngx_str_null(&other);

    value = json_object_get(root, name);

    if (json_is_string(value)) {
        other.data = (u_char *) json_string_value(value);
        other.len = json_string_length(value);
    }

    fuzz_assert(fuzz_same(&other, str));
}


/* What was understood, said in other words, is understood the same. */

static void
fuzz_again(const wafcert_upload_t *upload, ngx_uint_t modify)
{
    char              *text;
    json_t            *root;
    ngx_str_t          body;
    wafcert_upload_t   again;
    wafcert_verdict_t  verdict;

    root = json_object();
    fuzz_assert(root);

    fuzz_member(root, "key", &upload->key);
    fuzz_member(root, "content", &upload->content);
    fuzz_member(root, "name", &upload->name);

    text = json_dumps(root, JSON_ENSURE_ASCII|JSON_INDENT(1));
    fuzz_assert(text);

    body.data = (u_char *) text;
    body.len = ngx_strlen(text);

    fuzz_assert(wafcert_json_upload(&again, &body, modify, &verdict)
                == NGX_OK);

    fuzz_assert(fuzz_same(&again.name, &upload->name));
    fuzz_assert(fuzz_same(&again.content, &upload->content));
    fuzz_assert(fuzz_same(&again.key, &upload->key));

    wafcert_json_upload_free(&again);
    json_decref(root);
    free(text);
}


static void
fuzz_member(json_t *root, const char *name, const ngx_str_t *str)
{
    if (str->data) {
        fuzz_assert(json_object_set_new(root, name,
                                        json_stringn((char *) str->data,
                                                     str->len))
                    == 0);
    }
}


static ngx_uint_t
fuzz_same(const ngx_str_t *one, const ngx_str_t *two)
{
    if (one->data == NULL || two->data == NULL) {
        return one->data == two->data;
    }

    return one->len == two->len
           && memcmp(one->data, two->data, one->len) == 0;
}


/* The other document: what is read is in there, and divides it in three. */

static void
fuzz_stored(const ngx_str_t *text)
{
    size_t             end;
    json_t            *root;
    ngx_int_t          rc;
    ngx_str_t          sealed;
    wafcert_stored_t   stored;
    wafcert_verdict_t  verdict;

    rc = wafcert_json_stored_read(&stored, text, &verdict);

    if (rc != NGX_OK) {
        fuzz_assert(rc == NGX_DECLINED);
        fuzz_refusal(&verdict, text);
        return;
    }

    end = sizeof(WAFCERT_STORED_END) - 1;

    fuzz_assert(stored.clear.data == text->data);
    fuzz_assert(stored.sealed.data == text->data + stored.clear.len);
    fuzz_assert(stored.clear.len + stored.sealed.len + end == text->len);

    root = fuzz_parse(text);
    fuzz_assert(json_is_object(root));

    fuzz_same_member(root, "project", &stored.project);
    fuzz_same_member(root, "id", &stored.record.id);
    fuzz_same_member(root, "name", &stored.record.name);
    fuzz_same_member(root, "content", &stored.content);

    /* as it stands there, so without an escape */

    sealed = stored.sealed;

    if (memchr(sealed.data, '\\', sealed.len) == NULL) {
        fuzz_same_member(root, "sealed_key", &sealed);
    }

    json_decref(root);
    wafcert_json_stored_free(&stored);
}


/* The same text, as the answer of an IAM service. */

static void
fuzz_token(const ngx_str_t *answer)
{
    json_t            *root, *token, *roles;
    ngx_int_t          rc;
    ngx_str_t          name, id;
    wafcert_token_t    read;
    wafcert_verdict_t  verdict;

    rc = wafcert_json_token(&read, answer, &verdict);

    if (rc != NGX_OK) {
        fuzz_assert(rc == NGX_DECLINED && read.root == NULL);
        fuzz_refusal(&verdict, answer);
        return;
    }

    root = json_loadb((char *) answer->data, answer->len,
                      JSON_REJECT_DUPLICATES|JSON_ALLOW_NUL, NULL);
    token = json_object_get(root, "token");
    roles = json_object_get(token, "roles");

    fuzz_assert(json_is_object(token));
    fuzz_assert(read.expires >= 0 && read.expires < INT64_C(253402300800));

    id.data = (u_char *) json_string_value(
                  json_object_get(json_object_get(token, "project"), "id"));
    id.len = json_string_length(
                  json_object_get(json_object_get(token, "project"), "id"));

    fuzz_assert(fuzz_same(&read.project, &id));

    fuzz_assert(wafcert_json_token_role(&read, NULL)
                == (json_array_size(roles) != 0));

    if (json_array_size(roles)) {
        token = json_object_get(json_array_get(roles, 0), "name");
        name.data = (u_char *) json_string_value(token);
        name.len = json_string_length(token);
        fuzz_assert(wafcert_json_token_role(&read, &name));

        name.len--;
        fuzz_assert(name.len == 0 || json_array_size(roles) > 1
                    || !wafcert_json_token_role(&read, &name));
    }

    json_decref(root);
    wafcert_json_token_free(&read);
}
