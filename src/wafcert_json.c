
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <malloc.h>

#include <jansson.h>
#include <openssl/crypto.h>

#include "wafcert_json.h"
#include "wafcert_json_abridge.h"


/*
 * A member takes jansson 1 us, an object or an element 0.2 us, and a body
 * of 128 kB has room for 60,000; a number that is long is copied twice.
 */
#define WAFCERT_JSON_MANY   4096
#define WAFCERT_JSON_COMMAS 2000
#define WAFCERT_JSON_DIGITS 1024

#define WAFCERT_JSON_FLAGS                                                   \
    (JSON_REJECT_DUPLICATES|JSON_DECODE_ANY|JSON_ALLOW_NUL)


typedef struct {
    ngx_str_t              name;
    size_t                 offset;        /* in wafcert_upload_t */
} wafcert_json_member_t;


typedef struct {
    json_malloc_t          malloc;
    json_free_t            free;
} wafcert_json_alloc_t;


static void wafcert_json_skip_bom(ngx_str_t *text);
static ngx_uint_t wafcert_json_blank(const ngx_str_t *text);
static json_t *wafcert_json_parse_abridged(
    wafcert_json_abridged_t *abridged, const ngx_str_t *text);
static ngx_int_t wafcert_json_crowded(const ngx_str_t *text,
    wafcert_verdict_t *verdict);
static u_char *wafcert_json_string_end(u_char *p, u_char *last);
static ngx_int_t wafcert_json_fault(const ngx_str_t *text,
    const json_error_t *error, wafcert_verdict_t *verdict);
static ngx_int_t wafcert_json_fault_at(wafcert_verdict_t *verdict,
    const char *what, int line, int column);
static ngx_int_t wafcert_json_fault_in_string(const ngx_str_t *text,
    size_t pos, int line, int column, wafcert_verdict_t *verdict);
static ngx_uint_t wafcert_json_in_string(const ngx_str_t *text, size_t pos);
static const char *wafcert_json_fault_text(enum json_error_code code);
static ngx_int_t wafcert_json_duplicate(const ngx_str_t *text, size_t pos,
    int line, int column, wafcert_verdict_t *verdict);
static ngx_uint_t wafcert_json_ends_with(const ngx_str_t *text, size_t pos,
    const ngx_str_t *name);

static ngx_int_t wafcert_json_object(const json_t *root,
    wafcert_verdict_t *verdict);
static ngx_int_t wafcert_json_alike(json_t *root, wafcert_verdict_t *verdict);
static ngx_uint_t wafcert_json_folds_to(const ngx_str_t *name,
    const ngx_str_t *known);
static void wafcert_json_show_name(char *buf, size_t size,
    const ngx_str_t *name);
static ngx_int_t wafcert_json_present(const json_t *root, ngx_uint_t modify,
    wafcert_verdict_t *verdict);
static ngx_int_t wafcert_json_fields(wafcert_upload_t *upload,
    const wafcert_json_abridged_t *abridged, wafcert_verdict_t *verdict);
static json_t *wafcert_json_get(const json_t *root,
    const wafcert_json_member_t *member);
static const char *wafcert_json_type_name(const json_t *value);

static ngx_int_t wafcert_json_name(const ngx_str_t *name,
    wafcert_verdict_t *verdict);
static ngx_uint_t wafcert_json_name_char(u_char ch);
static void wafcert_json_show_char(char *buf, size_t size, const u_char *p);

static void wafcert_json_alloc_set(wafcert_json_alloc_t *saved);
static void wafcert_json_alloc_restore(const wafcert_json_alloc_t *saved);
static void *wafcert_json_malloc(size_t size);


static const wafcert_json_member_t  wafcert_json_members[] = {
    { ngx_string("name"), offsetof(wafcert_upload_t, name) },
    { ngx_string("content"), offsetof(wafcert_upload_t, content) },
    { ngx_string("key"), offsetof(wafcert_upload_t, key) }
};

#define WAFCERT_JSON_MEMBERS                                                 \
    (sizeof(wafcert_json_members) / sizeof(wafcert_json_members[0]))


/*
 * Where an allocation fails, jansson may report a syntax error or, worse,
 * drop a character and go on.
 */
static ngx_uint_t  wafcert_json_no_memory;


ngx_int_t
wafcert_json_upload(wafcert_upload_t *upload, const ngx_str_t *body,
    ngx_uint_t modify, wafcert_verdict_t *verdict)
{
    json_t                   *root;
    ngx_int_t                 rc;
    ngx_str_t                 text;
    wafcert_json_abridged_t   abridged;

    ngx_memzero(upload, sizeof(wafcert_upload_t));

    text = *body;
    wafcert_json_skip_bom(&text);

    if (wafcert_json_blank(&text)) {
        return wafcert_refuse(verdict, WAFCERT_BODY_EMPTY,
                              "the request has no body, or only blanks in it");
    }

    if (wafcert_json_crowded(&text, verdict) != NGX_OK) {
        return NGX_DECLINED;
    }

    rc = wafcert_json_load(&root, &abridged, &text, verdict);
    if (rc != NGX_OK) {
        return rc;
    }

    upload->root = root;
    upload->buf = abridged.buf;

    rc = wafcert_json_object(root, verdict);

    if (rc == NGX_OK) {
        rc = wafcert_json_alike(root, verdict);
    }

    if (rc == NGX_OK) {
        rc = wafcert_json_present(root, modify, verdict);
    }

    if (rc == NGX_OK) {
        rc = wafcert_json_fields(upload, &abridged, verdict);
    }

    if (rc == NGX_OK && upload->name.data) {
        rc = wafcert_json_name(&upload->name, verdict);
    }

    if (rc != NGX_OK) {
        wafcert_json_upload_free(upload);
    }

    return rc;
}


void
wafcert_json_upload_free(wafcert_upload_t *upload)
{
    wafcert_json_release(upload->root);
    wafcert_json_free(upload->buf);

    ngx_memzero(upload, sizeof(wafcert_upload_t));
}


static void
wafcert_json_skip_bom(ngx_str_t *text)
{
    if (text->len >= 3 && memcmp(text->data, "\xEF\xBB\xBF", 3) == 0) {
        text->data += 3;
        text->len -= 3;
    }
}


static ngx_uint_t
wafcert_json_blank(const ngx_str_t *text)
{
    size_t  i;

    for (i = 0; i < text->len; i++) {

        switch (text->data[i]) {
        case ' ':
        case '\t':
        case CR:
        case LF:
            continue;
        }

        return 0;
    }

    return 1;
}


static ngx_int_t
wafcert_json_crowded(const ngx_str_t *text, wafcert_verdict_t *verdict)
{
    int         lines;
    u_char     *p, *last, *line;
    ngx_uint_t  n, commas, digits;

    last = text->data + text->len;
    line = text->data;
    lines = 1;
    n = 0;
    commas = 0;
    digits = 0;

    for (p = text->data; p < last; p++) {

        digits = (*p >= '0' && *p <= '9') ? digits + 1 : 0;

        if (digits > WAFCERT_JSON_DIGITS) {
            return wafcert_json_fault_at(verdict, "a number is too large",
                                         lines, (int) (p - line) + 1);
        }

        switch (*p) {

        case '"':
            p = wafcert_json_string_end(p + 1, last);
            break;

        case ',':

            if (++commas > WAFCERT_JSON_COMMAS) {
                return wafcert_json_fault_at(verdict, "there are more members "
                                   "and elements than an upload can need",
                                   lines, (int) (p - line) + 1);
            }

            break;

        case LF:
            line = p + 1;
            lines++;
            break;

        case '{':
        case '[':

            if (++n > WAFCERT_JSON_MANY) {
                return wafcert_json_fault_at(verdict, "there are more arrays "
                                   "and objects than an upload can need",
                                   lines, (int) (p - line) + 1);
            }

        }
    }

    return NGX_OK;
}


static u_char *
wafcert_json_string_end(u_char *p, u_char *last)
{
    size_t  escapes;

    for ( /* void */ ; p < last; p++) {

        p = memchr(p, '"', last - p);
        if (p == NULL) {
            break;
        }

        /* the quote before the string ends this, too */

        for (escapes = 0; p[-1 - (ssize_t) escapes] == '\\'; escapes++) {
            /* void */
        }

        if (escapes % 2 == 0) {
            return p;
        }
    }

    return last;
}


ngx_int_t
wafcert_json_load(json_t **root, wafcert_json_abridged_t *abridged,
    const ngx_str_t *text, wafcert_verdict_t *verdict)
{
    *root = wafcert_json_parse_abridged(abridged, text);

    return *root ? NGX_OK : wafcert_json_parse(root, text, verdict);
}


/* NULL: the whole text has to be parsed, which tells why */

static json_t *
wafcert_json_parse_abridged(wafcert_json_abridged_t *abridged,
    const ngx_str_t *text)
{
    json_t                *root;
    wafcert_json_alloc_t   saved;

    root = NULL;

    if (wafcert_json_abridge(abridged, text) == NGX_OK) {

        wafcert_json_alloc_set(&saved);

        root = json_loadb((const char *) abridged->text.data,
                          abridged->text.len, WAFCERT_JSON_FLAGS, NULL);

        wafcert_json_alloc_restore(&saved);

        if (wafcert_json_no_memory) {
            wafcert_json_release(root);
            root = NULL;
        }
    }

    if (root == NULL) {
        wafcert_json_free(abridged->buf);
        abridged->buf = NULL;
    }

    return root;
}


ngx_int_t
wafcert_json_parse(json_t **root, const ngx_str_t *text,
    wafcert_verdict_t *verdict)
{
    ngx_int_t             rc;
    json_error_t          error;
    wafcert_json_alloc_t  saved;

    /* jansson leaves the code's byte as it was when it reports nothing */
    ngx_memzero(&error, sizeof(json_error_t));

    wafcert_json_alloc_set(&saved);

    *root = json_loadb((const char *) text->data, text->len,
                       WAFCERT_JSON_FLAGS, &error);

    wafcert_json_alloc_restore(&saved);

    if (wafcert_json_no_memory) {
        wafcert_json_release(*root);
        rc = NGX_ERROR;

    } else if (*root == NULL) {
        rc = wafcert_json_fault(text, &error, verdict);

    } else {
        rc = NGX_OK;
    }

    /* its text quotes the input */
    OPENSSL_cleanse(&error, sizeof(json_error_t));

    return rc;
}


void
wafcert_json_release(json_t *root)
{
    wafcert_json_alloc_t  saved;

    wafcert_json_alloc_set(&saved);
    json_decref(root);
    wafcert_json_alloc_restore(&saved);
}


/*
 * jansson's line and column are those of the last character that it took,
 * its position is the number of bytes up to there.
 */

static ngx_int_t
wafcert_json_fault(const ngx_str_t *text, const json_error_t *error,
    wafcert_verdict_t *verdict)
{
    int                    line, column;
    size_t                 pos;
    enum json_error_code   code;

    code = json_error_code(error);
    line = error->line;
    column = error->column;
    pos = ngx_min((size_t) error->position, text->len);

    if (code == json_error_duplicate_key) {
        return wafcert_json_duplicate(text, pos, line, column, verdict);
    }

    if (code == json_error_invalid_utf8) {
        wafcert_json_fault_at(verdict, "a byte that is not UTF-8", line,
                              column + 1);
        wafcert_hint(verdict, "send the body in UTF-8; an editor or a shell "
                     "may have saved it as UTF-16 or ISO 8859-1");
        return NGX_DECLINED;
    }

    /* to jansson, a NUL outside a string looks like the end */

    if (pos > 0 && text->data[pos - 1] == '\0') {
        return wafcert_json_fault_at(verdict, "a NUL byte", line, column);
    }

    if (code == json_error_invalid_syntax
        && wafcert_json_in_string(text, pos))
    {
        return wafcert_json_fault_in_string(text, pos, line, column, verdict);
    }

    return wafcert_json_fault_at(verdict, wafcert_json_fault_text(code), line,
                                 column);
}


static ngx_int_t
wafcert_json_fault_at(wafcert_verdict_t *verdict, const char *what, int line,
    int column)
{
    return wafcert_refuse(verdict, WAFCERT_JSON_SYNTAX,
                          "the body is not valid JSON, line %d, column %d: %s",
                          ngx_max(line, 1), ngx_max(column, 1), what);
}


static ngx_int_t
wafcert_json_fault_in_string(const ngx_str_t *text, size_t pos, int line,
    int column, wafcert_verdict_t *verdict)
{
    if (pos == text->len) {
        return wafcert_json_fault_at(verdict, wafcert_json_fault_text(
                                         json_error_premature_end_of_input),
                                     line, column);
    }

    if (text->data[pos] >= 0x20) {
        return wafcert_json_fault_at(verdict, "an escape that JSON does not "
                                     "have", line, column);
    }

    if (text->data[pos] == '\0') {
        return wafcert_json_fault_at(verdict, "a NUL byte", line, column + 1);
    }

    if (text->data[pos] != CR && text->data[pos] != LF) {
        return wafcert_json_fault_at(verdict, "a control character inside "
                                     "a string", line, column + 1);
    }

    return wafcert_json_fault_at(verdict, "a line break inside a string, "
                                 "where it must be written as \\n",
                                 line, column + 1);
}


/* What stands before "pos" is known to be a sequence of tokens. */

static ngx_uint_t
wafcert_json_in_string(const ngx_str_t *text, size_t pos)
{
    size_t      i;
    ngx_uint_t  inside;

    inside = 0;

    for (i = 0; i < pos; i++) {

        if (text->data[i] == '"') {
            inside = !inside;

        } else if (text->data[i] == '\\' && inside) {
            i++;
        }
    }

    return inside;
}


static const char *
wafcert_json_fault_text(enum json_error_code code)
{
    switch (code) {

    case json_error_premature_end_of_input:
        return "it ends before it is complete";

    case json_error_end_of_input_expected:
        return "there is something after its end";

    case json_error_stack_overflow:
        return "arrays or objects are nested too deep";

    case json_error_numeric_overflow:
        return "a number is too large";

    case json_error_null_byte_in_key:
        return "the name of a member contains \\u0000";

    default:
        return "what stands there was not expected";
    }
}


static ngx_int_t
wafcert_json_duplicate(const ngx_str_t *text, size_t pos, int line,
    int column, wafcert_verdict_t *verdict)
{
    ngx_uint_t  i;

    for (i = 0; i < WAFCERT_JSON_MEMBERS; i++) {

        if (wafcert_json_ends_with(text, pos, &wafcert_json_members[i].name)) {
            return wafcert_refuse(verdict, WAFCERT_JSON_DUPLICATE_MEMBER,
                              "\"%s\" appears twice in the body, the second "
                              "time at line %d, column %d",
                              (char *) wafcert_json_members[i].name.data,
                              line, column);
        }
    }

    return wafcert_refuse(verdict, WAFCERT_JSON_DUPLICATE_MEMBER,
                          "a member of the body appears twice, the second "
                          "time at line %d, column %d", line, column);
}


/* Whether a string that is spelled like "name" ends before "pos". */

static ngx_uint_t
wafcert_json_ends_with(const ngx_str_t *text, size_t pos,
    const ngx_str_t *name)
{
    u_char  *p;

    /* a member's name is never the first character of a text */

    if (pos < name->len + 3) {
        return 0;
    }

    p = text->data + pos - name->len - 3;

    /* a quote behind a backslash is in the middle of a longer name */

    return p[0] != '\\'
           && p[1] == '"'
           && memcmp(p + 2, name->data, name->len) == 0
           && p[2 + name->len] == '"';
}


static ngx_int_t
wafcert_json_object(const json_t *root, wafcert_verdict_t *verdict)
{
    if (json_is_object(root)) {
        return NGX_OK;
    }

    wafcert_refuse(verdict, WAFCERT_JSON_NOT_OBJECT,
                   "the body is %s, not an object",
                   wafcert_json_type_name(root));

    if (json_is_string(root)) {
        wafcert_hint(verdict, "the body seems to be encoded twice; send the "
                     "object itself, not a string that contains it");
    }

    return NGX_DECLINED;
}


/*
 * A decoder that folds case takes "Content" for "content", and of both the
 * last: what is judged here must not be another than what is used there.
 */

static ngx_int_t
wafcert_json_alike(json_t *root, wafcert_verdict_t *verdict)
{
    char         shown[64];
    void        *iter;
    ngx_str_t    name;
    ngx_uint_t   i;
    const char  *known;

    for (iter = json_object_iter(root);
         iter;
         iter = json_object_iter_next(root, iter))
    {
        name.data = (u_char *) json_object_iter_key(iter);
        name.len = json_object_iter_key_len(iter);

        for (i = 0; i < WAFCERT_JSON_MEMBERS; i++) {
            known = (const char *) wafcert_json_members[i].name.data;

            if (!wafcert_json_folds_to(&name, &wafcert_json_members[i].name)
                || ngx_strcmp(name.data, known) == 0)
            {
                continue;
            }

            wafcert_json_show_name(shown, sizeof(shown), &name);

            (void) wafcert_refuse(verdict, WAFCERT_JSON_DUPLICATE_MEMBER,
                                  "the body has a member \"%s\", which some "
                                  "decoders take for \"%s\"", shown, known);
            wafcert_hint(verdict, "spell the member \"%s\", and send it once",
                         known);

            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/*
 * The folding of Go's encoding/json: ASCII, and the two characters beyond it
 * that fold into ASCII, the long s and the Kelvin sign.
 */

static ngx_uint_t
wafcert_json_folds_to(const ngx_str_t *name, const ngx_str_t *known)
{
    u_char  *p, *last, ch;
    size_t   i;

    p = name->data;
    last = p + name->len;

    for (i = 0; i < known->len && p < last; i++) {

        if (last - p >= 3 && memcmp(p, "\xE2\x84\xAA", 3) == 0) {
            ch = 'k';
            p += 3;

        } else if (last - p >= 2 && memcmp(p, "\xC5\xBF", 2) == 0) {
            ch = 's';
            p += 2;

        } else {
            ch = ngx_tolower(*p);
            p++;
        }

        if (ch != known->data[i]) {
            return 0;
        }
    }

    return i == known->len && p == last;
}


/* A name that folds to a known one; what is not ASCII shows as an escape. */

static void
wafcert_json_show_name(char *buf, size_t size, const ngx_str_t *name)
{
    size_t  i, n;

    for (i = 0, n = 0; i < name->len && n + 1 < size; i++) {

        if (name->data[i] < 0x80) {
            n += snprintf(buf + n, size - n, "%c", name->data[i]);

        } else if (name->data[i] == 0xE2) {
            n += snprintf(buf + n, size - n, "\\u212a");

        } else if (name->data[i] == 0xC5) {
            n += snprintf(buf + n, size - n, "\\u017f");
        }
    }
}


static ngx_int_t
wafcert_json_present(const json_t *root, ngx_uint_t modify,
    wafcert_verdict_t *verdict)
{
    char        list[64];
    size_t      len;
    ngx_uint_t  i, missing;

    len = 0;
    missing = 0;

    for (i = 0; i < WAFCERT_JSON_MEMBERS; i++) {

        if (wafcert_json_get(root, &wafcert_json_members[i])) {
            continue;
        }

        len += snprintf(list + len, sizeof(list) - len, "%s\"%s\"",
                        missing ? ", " : "",
                        (char *) wafcert_json_members[i].name.data);
        missing++;
    }

    if (missing == 0 || (modify && missing < WAFCERT_JSON_MEMBERS)) {
        return NGX_OK;
    }

    if (modify) {
        return wafcert_refuse(verdict, WAFCERT_FIELD_MISSING,
                              "the body has nothing to modify, at least one "
                              "of %s is needed", list);
    }

    return wafcert_refuse(verdict, WAFCERT_FIELD_MISSING,
                          "the body lacks %s", list);
}


static ngx_int_t
wafcert_json_fields(wafcert_upload_t *upload,
    const wafcert_json_abridged_t *abridged, wafcert_verdict_t *verdict)
{
    json_t                       *value;
    ngx_str_t                    *str;
    ngx_uint_t                    i;
    const char                   *name;
    const wafcert_json_member_t  *member;

    for (i = 0; i < WAFCERT_JSON_MEMBERS; i++) {

        member = &wafcert_json_members[i];
        name = (const char *) member->name.data;

        value = wafcert_json_get(upload->root, member);
        if (value == NULL) {
            continue;
        }

        if (!json_is_string(value)) {
            (void) wafcert_refuse(verdict, WAFCERT_FIELD_TYPE,
                                  "\"%s\" is %s, not a string", name,
                                  wafcert_json_type_name(value));

            if (json_is_array(value)
                && member->offset != offsetof(wafcert_upload_t, name))
            {
                wafcert_hint(verdict, "join its lines to one string: jq "
                             "'.%s |= join(\"\\n\")' upload.json", name);
            }

            return NGX_DECLINED;
        }

        str = (ngx_str_t *) ((u_char *) upload + member->offset);

        wafcert_json_value_str(str, abridged, value);

        if (str->len == 0) {
            return wafcert_refuse(verdict, WAFCERT_FIELD_EMPTY,
                                  "\"%s\" is an empty string", name);
        }

        if (memchr(str->data, '\0', str->len)) {
            (void) wafcert_refuse(verdict, WAFCERT_FIELD_NUL,
                                  "\"%s\" contains a NUL character (\\u0000)",
                                  name);

            if (member->offset == offsetof(wafcert_upload_t, key)) {
                wafcert_hint(verdict, "send PEM, which is text; DER and UTF-16"
                             " files must be converted: openssl pkey -inform"
                             " DER -in key.der -out key.pem");
            }

            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


void
wafcert_json_value_str(ngx_str_t *str,
    const wafcert_json_abridged_t *abridged, const json_t *value)
{
    str->data = (u_char *) json_string_value(value);
    str->len = json_string_length(value);

    if (abridged->buf && str->len && str->data[0] == '\0') {
        *str = abridged->values[str->data[1] - '0'];
    }
}


/* Clients that serialize a structure send null for what they leave unset. */

static json_t *
wafcert_json_get(const json_t *root, const wafcert_json_member_t *member)
{
    json_t  *value;

    value = json_object_get(root, (const char *) member->name.data);

    return json_is_null(value) ? NULL : value;
}


static const char *
wafcert_json_type_name(const json_t *value)
{
    switch (json_typeof(value)) {

    case JSON_OBJECT:
        return "an object";

    case JSON_ARRAY:
        return "an array";

    case JSON_STRING:
        return "a string";

    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";

    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";

    default: /* JSON_NULL */
        return "null";
    }
}


static ngx_int_t
wafcert_json_name(const ngx_str_t *name, wafcert_verdict_t *verdict)
{
    char    shown[sizeof("U+10FFFF")];
    size_t  i;

    for (i = 0; i < name->len; i++) {

        if (wafcert_json_name_char(name->data[i])) {
            continue;
        }

        /* all before it is ASCII, so the byte's number is the character's */

        wafcert_json_show_char(shown, sizeof(shown), &name->data[i]);

        return wafcert_refuse(verdict, WAFCERT_NAME_CHARACTER,
                              "character %zu of \"name\" is %s, which is "
                              "not allowed", i + 1, shown);
    }

    if (name->len > WAFCERT_NAME_MAX) {
        return wafcert_refuse(verdict, WAFCERT_NAME_TOO_LONG,
                              "\"name\" has %zu characters, at most %d are "
                              "allowed", name->len, WAFCERT_NAME_MAX);
    }

    return NGX_OK;
}


static ngx_uint_t
wafcert_json_name_char(u_char ch)
{
    u_char  c;

    c = (u_char) (ch | 0x20);

    return (c >= 'a' && c <= 'z')
           || (ch >= '0' && ch <= '9')
           || ch == '_' || ch == '.' || ch == '-';
}


/* The parser has proven that the text is UTF-8. */

static void
wafcert_json_show_char(char *buf, size_t size, const u_char *p)
{
    unsigned  code;

    if (*p == ' ') {
        (void) snprintf(buf, size, "a blank");
        return;
    }

    if (*p > 0x20 && *p < 0x7f) {
        (void) snprintf(buf, size, "'%c'", *p);
        return;
    }

    if (*p < 0x80) {
        code = *p;

    } else if (*p < 0xe0) {
        code = (*p & 0x1fu) << 6 | (p[1] & 0x3fu);

    } else if (*p < 0xf0) {
        code = (*p & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);

    } else {
        code = (*p & 0x07u) << 18 | (p[1] & 0x3fu) << 12
               | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
    }

    (void) snprintf(buf, size, "U+%04X", code);
}


/*
 * The functions belong to the whole process, and another module may have
 * set its own: ours are in place only while jansson works for us.
 */

static void
wafcert_json_alloc_set(wafcert_json_alloc_t *saved)
{
    wafcert_json_no_memory = 0;

    json_get_alloc_funcs(&saved->malloc, &saved->free);
    json_set_alloc_funcs(wafcert_json_malloc, wafcert_json_free);
}


static void
wafcert_json_alloc_restore(const wafcert_json_alloc_t *saved)
{
    json_set_alloc_funcs(saved->malloc, saved->free);
}


static void *
wafcert_json_malloc(size_t size)
{
    void  *p;

    p = malloc(size);
    if (p == NULL) {
        wafcert_json_no_memory = 1;
    }

    return p;
}


/* Every buffer of jansson's may hold a part of the key, outgrown ones too. */

void
wafcert_json_free(void *p)
{
    if (p) {
        OPENSSL_cleanse(p, malloc_usable_size(p));
        free(p);
    }
}
