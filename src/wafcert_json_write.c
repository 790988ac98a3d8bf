
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "wafcert_json.h"
#include "wafcert_x509.h"


#define WAFCERT_EXP_SOON  ((int64_t) 30 * 24 * 60 * 60 * 1000)


/*
 * Everything is put through one of these, so what is counted cannot differ
 * from what is written.
 */

typedef struct {
    u_char                *pos;           /* NULL: count only */
    size_t                 len;
    unsigned               first:1;       /* the next value needs no comma */
    unsigned               lines:1;       /* a line for each member */
    ngx_uint_t             depth;
} wafcert_json_out_t;


static void wafcert_json_put_documented(wafcert_json_out_t *out,
    const wafcert_record_t *record, const wafcert_key_t *key,
    ngx_uint_t parts);
static void wafcert_json_put_details(wafcert_json_out_t *out,
    const wafcert_record_t *record, ngx_uint_t parts, int64_t now);
static void wafcert_json_put_status(wafcert_json_out_t *out,
    const wafcert_facts_t *facts, int64_t now);
static void wafcert_json_put_content(wafcert_json_out_t *out,
    const wafcert_facts_t *facts);
static void wafcert_json_put_key(wafcert_json_out_t *out,
    const wafcert_key_t *key);
static void wafcert_json_put_hosts(wafcert_json_out_t *out,
    const ngx_str_t *hosts);
static void wafcert_json_put_since(wafcert_json_out_t *out,
    const wafcert_stored_t *stored);
static void wafcert_json_put_chain(wafcert_json_out_t *out,
    const wafcert_facts_t *facts);
static void wafcert_json_put_warnings(wafcert_json_out_t *out,
    const wafcert_record_t *record, int64_t now);
static void wafcert_json_blocks(wafcert_warned_t *warned,
    const wafcert_record_t *record, wafcert_block_e became,
    const char *several, const char *one);
static void wafcert_json_strangers(wafcert_warned_t *warned,
    const wafcert_record_t *record);
static size_t wafcert_json_numbers(char *buf, size_t size,
    const wafcert_record_t *record, wafcert_block_e became,
    ngx_uint_t *numbers);
static void wafcert_json_date(wafcert_warned_t *warned,
    const wafcert_record_t *record, const char *what, int64_t ms);
static void wafcert_json_leaf(wafcert_warned_t *warned,
    const wafcert_record_t *record, const char *what,
    const ngx_str_t *value);
static const ngx_str_t *wafcert_json_warned_host(
    const wafcert_record_t *record, ngx_uint_t warning);
static void wafcert_json_put_bind_host(wafcert_json_out_t *out,
    const ngx_str_t *hosts);
static void wafcert_json_put_standing(wafcert_json_out_t *out,
    const wafcert_standing_t *standing);
static void wafcert_json_put_slugs(wafcert_json_out_t *out,
    uint64_t warnings);

static void wafcert_json_open(wafcert_json_out_t *out, const char *bracket);
static void wafcert_json_close(wafcert_json_out_t *out, const char *bracket);
static void wafcert_json_member(wafcert_json_out_t *out, const char *name);
static void wafcert_json_comma(wafcert_json_out_t *out);
static void wafcert_json_string(wafcert_json_out_t *out, const char *name,
    const ngx_str_t *value);
static void wafcert_json_cstring(wafcert_json_out_t *out, const char *name,
    const char *value);
static void wafcert_json_integer(wafcert_json_out_t *out, const char *name,
    int64_t value);
static void wafcert_json_hex(wafcert_json_out_t *out, const char *name,
    const u_char *data, size_t len);
static void wafcert_json_pem(wafcert_json_out_t *out, wafcert_pem_type_e type,
    const ngx_str_t *der);
static void wafcert_json_text(wafcert_json_out_t *out, const u_char *p,
    size_t len);
static void wafcert_json_escape(wafcert_json_out_t *out, u_char ch);
static void wafcert_json_control(wafcert_json_out_t *out, u_char ch);
static size_t wafcert_json_utf8(const u_char *p, const u_char *last);
static void wafcert_json_put(wafcert_json_out_t *out, const void *data,
    size_t len);
static void wafcert_json_puts(wafcert_json_out_t *out, const char *s);


static const u_char  wafcert_json_digits[] = "0123456789abcdef";


ngx_uint_t
wafcert_exp_status(int64_t not_after, int64_t now)
{
    if (not_after < now) {
        return 1;
    }

    return (not_after <= now + WAFCERT_EXP_SOON) ? 2 : 0;
}


size_t
wafcert_json_certificate(u_char *buf, const wafcert_record_t *record,
    const wafcert_key_t *key, ngx_uint_t parts, int64_t now)
{
    wafcert_json_out_t  out;

    ngx_memzero(&out, sizeof(wafcert_json_out_t));
    out.pos = buf;

    wafcert_json_open(&out, "{");

    wafcert_json_put_documented(&out, record, key, parts);

    if (parts & WAFCERT_JSON_STATUS) {
        wafcert_json_put_status(&out, record->facts, now);
        wafcert_json_put_bind_host(&out, &record->bind_hosts);
    }

    if (parts & WAFCERT_JSON_DETAILS) {
        wafcert_json_put_details(&out, record, parts, now);
    }

    wafcert_json_close(&out, "}\n");

    return out.len;
}


size_t
wafcert_json_item(u_char *buf, const wafcert_record_t *record,
    ngx_uint_t parts, int64_t now)
{
    wafcert_json_out_t      out;
    const wafcert_facts_t  *facts;

    ngx_memzero(&out, sizeof(wafcert_json_out_t));
    out.pos = buf;

    facts = record->facts;

    wafcert_json_open(&out, "{");

    wafcert_json_string(&out, "id", &record->id);
    wafcert_json_string(&out, "name", &record->name);
    wafcert_json_string(&out, "certificateid", &record->id);
    wafcert_json_string(&out, "certificatename", &record->name);
    wafcert_json_integer(&out, "timestamp", record->timestamp);
    wafcert_json_integer(&out, "expire_time", facts->chain[0].not_after);
    wafcert_json_put_status(&out, facts, now);
    wafcert_json_string(&out, "cert_type", &facts->cert_type);

    if (parts & WAFCERT_JSON_HOST) {
        wafcert_json_put_bind_host(&out, &record->bind_hosts);
    }

    if (record->standing) {
        wafcert_json_put_standing(&out, record->standing);
    }

    wafcert_json_close(&out, "}");

    return out.len;
}


size_t
wafcert_json_stored(u_char *buf, const wafcert_stored_t *stored)
{
    const wafcert_link_t    *leaf;
    wafcert_json_out_t       out;
    const wafcert_facts_t   *facts;
    const wafcert_record_t  *record;

    ngx_memzero(&out, sizeof(wafcert_json_out_t));
    out.pos = buf;
    out.lines = 1;

    record = &stored->record;
    facts = record->facts;
    leaf = &facts->chain[0];

    wafcert_json_open(&out, "{");

    wafcert_json_integer(&out, "version", WAFCERT_STORED_VERSION);
    wafcert_json_string(&out, "project", &stored->project);
    wafcert_json_integer(&out, "sequence", (int64_t) stored->sequence);
    wafcert_json_integer(&out, "revision", (int64_t) record->revision);

    wafcert_json_put_documented(&out, record, NULL, WAFCERT_JSON_CONTENT);

    wafcert_json_hex(&out, "fingerprint", leaf->sha256, WAFCERT_SHA256_LEN);
    wafcert_json_string(&out, "serial_number", &facts->serial_number);
    wafcert_json_string(&out, "subject", &leaf->subject);
    wafcert_json_string(&out, "issuer", &leaf->issuer);
    wafcert_json_integer(&out, "not_before", facts->not_before);
    wafcert_json_put_hosts(&out, &facts->hosts);
    wafcert_json_put_since(&out, stored);
    wafcert_json_put_slugs(&out, facts->warnings);

    if (facts->fault) {
        wafcert_json_integer(&out, "fault", (int64_t) facts->fault);
    }

    if (!facts->unjudged) {
        wafcert_json_integer(&out, "rules", WAFCERT_STORED_RULES);
    }

    if (record->stale) {
        wafcert_json_integer(&out, "stale", 1);
    }

    wafcert_json_member(&out, "sealed_key");
    wafcert_json_puts(&out, "\"");

    return out.len;
}


size_t
wafcert_json_error(u_char *buf, const wafcert_verdict_t *verdict)
{
    const char              *hint;
    wafcert_json_out_t       out;
    const wafcert_reason_t  *reason;

    ngx_memzero(&out, sizeof(wafcert_json_out_t));
    out.pos = buf;

    reason = wafcert_reason(verdict->reason);
    hint = verdict->hint[0] ? verdict->hint : reason->hint;

    wafcert_json_open(&out, "{");

    wafcert_json_cstring(&out, "error_code", reason->error_code);

    wafcert_json_member(&out, "error_msg");
    wafcert_json_puts(&out, "\"");
    wafcert_json_puts(&out, reason->error_msg);

    if (verdict->message[0]) {
        wafcert_json_puts(&out, ": ");
        wafcert_json_text(&out, (const u_char *) verdict->message,
                          strlen(verdict->message));
    }

    wafcert_json_puts(&out, "\"");

    wafcert_json_cstring(&out, "reason", reason->slug);

    if (hint) {
        wafcert_json_cstring(&out, "hint", hint);
    }

    wafcert_json_close(&out, "}\n");

    return out.len;
}


size_t
wafcert_json_pair(u_char *buf, const ngx_str_t *content, const ngx_str_t *key)
{
    wafcert_json_out_t  out;

    ngx_memzero(&out, sizeof(wafcert_json_out_t));
    out.pos = buf;

    wafcert_json_open(&out, "{");
    wafcert_json_string(&out, "content", content);
    wafcert_json_string(&out, "key", key);
    wafcert_json_close(&out, "}");

    return out.len;
}


size_t
wafcert_json_normalized(u_char *buf, const ngx_str_t *name,
    const wafcert_facts_t *facts, const wafcert_key_t *key)
{
    wafcert_json_out_t  out;

    ngx_memzero(&out, sizeof(wafcert_json_out_t));
    out.pos = buf;

    wafcert_json_open(&out, "{");

    if (name->data) {
        wafcert_json_string(&out, "name", name);
    }

    if (facts) {
        wafcert_json_put_content(&out, facts);
    }

    if (key) {
        wafcert_json_put_key(&out, key);
    }

    wafcert_json_close(&out, "}");

    return out.len;
}


static void
wafcert_json_put_documented(wafcert_json_out_t *out,
    const wafcert_record_t *record, const wafcert_key_t *key,
    ngx_uint_t parts)
{
    const wafcert_facts_t  *facts;

    facts = record->facts;

    if (!(parts & WAFCERT_JSON_DRY_RUN)) {
        wafcert_json_string(out, "id", &record->id);
    }

    /* a dry run may know none */

    if (record->name.len) {
        wafcert_json_string(out, "name", &record->name);
    }

    if (parts & WAFCERT_JSON_CONTENT) {
        wafcert_json_put_content(out, facts);
    }

    if (key) {
        wafcert_json_put_key(out, key);
    }

    if (!(parts & WAFCERT_JSON_DRY_RUN)) {
        wafcert_json_integer(out, "timestamp", record->timestamp);
    }

    wafcert_json_integer(out, "expire_time", facts->chain[0].not_after);
    wafcert_json_string(out, "cert_type", &facts->cert_type);

    /* the spelling of an older client */
    wafcert_json_integer(out, "expireTime", facts->chain[0].not_after);
}


static void
wafcert_json_put_details(wafcert_json_out_t *out,
    const wafcert_record_t *record, ngx_uint_t parts, int64_t now)
{
    const wafcert_link_t   *leaf;
    const wafcert_facts_t  *facts;

    facts = record->facts;
    leaf = &facts->chain[0];

    if (!(parts & WAFCERT_JSON_DRY_RUN)) {
        wafcert_json_integer(out, "revision", (int64_t) record->revision);
    }

    wafcert_json_hex(out, "fingerprint", leaf->sha256, WAFCERT_SHA256_LEN);
    wafcert_json_string(out, "serial_number", &facts->serial_number);
    wafcert_json_string(out, "subject", &leaf->subject);
    wafcert_json_string(out, "issuer", &leaf->issuer);
    wafcert_json_integer(out, "not_before", facts->not_before);

    wafcert_json_put_hosts(out, &facts->hosts);
    wafcert_json_put_chain(out, facts);
    wafcert_json_put_warnings(out, record, now);
}


static void
wafcert_json_put_status(wafcert_json_out_t *out, const wafcert_facts_t *facts,
    int64_t now)
{
    ngx_uint_t  status;

    status = wafcert_exp_status(facts->chain[0].not_after, now);

    wafcert_json_integer(out, "exp_status", status);
}


static void
wafcert_json_put_content(wafcert_json_out_t *out,
    const wafcert_facts_t *facts)
{
    ngx_uint_t  i;

    wafcert_json_member(out, "content");
    wafcert_json_puts(out, "\"");

    for (i = 0; i < facts->nchain; i++) {
        wafcert_json_pem(out, WAFCERT_PEM_CERTIFICATE, &facts->chain[i].der);
    }

    wafcert_json_puts(out, "\"");
}


static void
wafcert_json_put_key(wafcert_json_out_t *out, const wafcert_key_t *key)
{
    wafcert_json_member(out, "key");
    wafcert_json_puts(out, "\"");
    wafcert_json_pem(out, key->type, &key->der);
    wafcert_json_puts(out, "\"");
}


static void
wafcert_json_put_hosts(wafcert_json_out_t *out, const ngx_str_t *hosts)
{
    size_t     i;
    ngx_str_t  host;

    wafcert_json_member(out, "hosts");
    wafcert_json_open(out, "[");

    for (i = 0; i < hosts->len; i += host.len + 1) {

        host.data = hosts->data + i;
        host.len = strnlen((const char *) host.data, hosts->len - i);

        wafcert_json_string(out, NULL, &host);
    }

    wafcert_json_close(out, "]");
}


static void
wafcert_json_put_since(wafcert_json_out_t *out,
    const wafcert_stored_t *stored)
{
    ngx_uint_t  i;

    if (stored->since == NULL) {
        return;
    }

    wafcert_json_member(out, "since");
    wafcert_json_open(out, "[");

    for (i = 0; i < stored->nsince; i++) {
        wafcert_json_integer(out, NULL, stored->since[i]);
    }

    wafcert_json_close(out, "]");
}


static void
wafcert_json_put_chain(wafcert_json_out_t *out, const wafcert_facts_t *facts)
{
    ngx_uint_t             i;
    const wafcert_link_t  *link;

    wafcert_json_member(out, "chain");
    wafcert_json_open(out, "[");

    for (i = 0; i < facts->nchain; i++) {
        link = &facts->chain[i];

        wafcert_json_comma(out);
        wafcert_json_open(out, "{");
        wafcert_json_string(out, "subject", &link->subject);
        wafcert_json_string(out, "issuer", &link->issuer);
        wafcert_json_integer(out, "expire_time", link->not_after);
        wafcert_json_close(out, "}");
    }

    wafcert_json_close(out, "]");
}


static void
wafcert_json_put_warnings(wafcert_json_out_t *out,
    const wafcert_record_t *record, int64_t now)
{
    uint64_t          warnings;
    ngx_uint_t        i;
    const char       *message;
    wafcert_warned_t  warned;

    warnings = wafcert_json_warnings(record, now);

    if (warnings == 0 && record->refusal == NULL) {
        return;
    }

    wafcert_json_member(out, "warnings");
    wafcert_json_open(out, "[");

    for (i = 0; i < WAFCERT_WARNINGS; i++) {

        if (!(warnings & wafcert_warning(i))) {
            continue;
        }

        wafcert_json_comma(out);
        wafcert_json_open(out, "{");
        wafcert_json_cstring(out, "reason", wafcert_warning_slug(i));

        wafcert_json_member(out, "message");
        wafcert_json_puts(out, "\"");
        wafcert_json_puts(out, wafcert_warning_text(i));

        wafcert_json_warned_of(&warned, record, i);

        if (warned.between) {
            wafcert_json_puts(out, warned.between);
            wafcert_json_text(out, warned.value.data, warned.value.len);
        }

        wafcert_json_puts(out, "\"");
        wafcert_json_close(out, "}");
    }

    if (record->refusal) {
        wafcert_json_comma(out);
        wafcert_json_open(out, "{");
        wafcert_json_cstring(out, "reason",
                         wafcert_reason(record->refusal->reason)->slug);

        message = record->refusal->message;

        wafcert_json_member(out, "message");
        wafcert_json_puts(out, "\"");
        wafcert_json_text(out, (u_char *) message, strlen(message));
        wafcert_json_puts(out, "\"");
        wafcert_json_close(out, "}");
    }

    wafcert_json_close(out, "]");
}


void
wafcert_json_warned_of(wafcert_warned_t *warned,
    const wafcert_record_t *record, ngx_uint_t warning)
{
    const char             *words;
    const ngx_str_t        *host;
    const wafcert_facts_t  *facts;

    facts = record->facts;
    words = record->words ? record->words[warning] : "";

    warned->between = (warning == WAFCERT_WARN_CHAIN_INCOMPLETE)
                      ? "; missing: " : ": ";

    if (words[0]) {
        warned->value.data = (u_char *) words;
        warned->value.len = strlen(words);
        return;
    }

    switch (warning) {

    case WAFCERT_WARN_CHAIN_REPAIRED:
        wafcert_json_blocks(warned, record, WAFCERT_BLOCK_KEPT,
                            "; kept, in this order: blocks ",
                            "; kept: block ");
        wafcert_json_strangers(warned, record);
        return;

    case WAFCERT_WARN_ROOT_DROPPED:
        wafcert_json_blocks(warned, record, WAFCERT_BLOCK_ROOT,
                            ": blocks ", ": block ");
        return;

    case WAFCERT_WARN_DUPLICATE_DROPPED:
        wafcert_json_blocks(warned, record, WAFCERT_BLOCK_DUPLICATE,
                            ": blocks ", ": block ");
        return;

    case WAFCERT_WARN_CHAIN_INCOMPLETE:
        warned->value = facts->chain[0].issuer;
        return;

    case WAFCERT_WARN_UNTRUSTED:
        warned->between = "; it ends with what was issued by ";
        warned->value = facts->chain[facts->nchain - 1].issuer;
        return;

    case WAFCERT_WARN_EXPIRED:
        wafcert_json_date(warned, record, ", expired on ",
                          facts->chain[0].not_after);
        return;

    case WAFCERT_WARN_NOT_YET_VALID:
        wafcert_json_date(warned, record, ", is not valid before ",
                          facts->not_before);
        return;

    case WAFCERT_WARN_SERIAL_NEGATIVE:
        wafcert_json_leaf(warned, record, ", has ", &facts->serial_number);
        return;

    case WAFCERT_WARN_LEAF_KEY_TYPE:
        wafcert_json_leaf(warned, record, ", has ", &facts->cert_type);
        return;

    case WAFCERT_WARN_NO_HOSTS:
    case WAFCERT_WARN_NO_SAN:
    case WAFCERT_WARN_LEAF_IS_CA:
    case WAFCERT_WARN_MUST_STAPLE:
        wafcert_json_leaf(warned, record, NULL, NULL);
        return;
    }

    if (wafcert_warning_is_issuers(warning) && facts->fault) {
        warned->value = facts->chain[facts->fault].subject;
        return;
    }

    host = wafcert_json_warned_host(record, warning);

    if (host && host->len) {
        warned->value = *host;

    } else {
        warned->between = NULL;
    }
}


/* "2, 1": those that became this, and what is kept in its order */

static void
wafcert_json_blocks(wafcert_warned_t *warned, const wafcert_record_t *record,
    wafcert_block_e became, const char *several, const char *one)
{
    ngx_uint_t  n;

    warned->value.data = (u_char *) warned->buf;
    warned->value.len = wafcert_json_numbers(warned->buf, sizeof(warned->buf),
                                             record, became, &n);

    warned->between = (n > 1) ? several : (n == 1) ? one : NULL;
}


/* what else was sent */

static void
wafcert_json_strangers(wafcert_warned_t *warned,
    const wafcert_record_t *record)
{
    char        numbers[80];
    ngx_uint_t  n;

    if (warned->between == NULL
        || wafcert_json_numbers(numbers, sizeof(numbers), record,
                                WAFCERT_BLOCK_STRANGER, &n)
           == 0)
    {
        return;
    }

    warned->value.len += snprintf(warned->buf + warned->value.len,
                                  sizeof(warned->buf) - warned->value.len,
                                  "; left out: block%s %s", n > 1 ? "s" : "",
                                  numbers);
}


static size_t
wafcert_json_numbers(char *buf, size_t size, const wafcert_record_t *record,
    wafcert_block_e became, ngx_uint_t *numbers)
{
    size_t                  len;
    ngx_uint_t              i, n, place;
    const wafcert_block_t  *block;

    len = 0;
    n = 0;

    for (place = 1; record->blocks && place <= WAFCERT_PEM_BLOCKS; place++) {

        for (i = 0; i < WAFCERT_PEM_BLOCKS; i++) {
            block = &record->blocks[i];

            if (block->became != became
                || place != (became == WAFCERT_BLOCK_KEPT ? block->other
                                                          : i + 1))
            {
                continue;
            }

            len += snprintf(buf + len, size - len, "%s%lu", n++ ? ", " : "",
                            (u_long) i + 1);
        }
    }

    *numbers = n;

    return len;
}


static void
wafcert_json_date(wafcert_warned_t *warned, const wafcert_record_t *record,
    const char *what, int64_t ms)
{
    char       text[32];
    ngx_str_t  date;

    wafcert_x509_date(ms, text, sizeof(text));

    date.data = (u_char *) text;
    date.len = strlen(text);

    wafcert_json_leaf(warned, record, what, &date);
}


/* where it was sent, or else where it is shown */

static void
wafcert_json_leaf(wafcert_warned_t *warned, const wafcert_record_t *record,
    const char *what, const ngx_str_t *value)
{
    size_t            len;
    ngx_uint_t        i, block;
    const ngx_str_t  *subject;

    block = 1;

    for (i = 0; record->blocks && i < WAFCERT_PEM_BLOCKS; i++) {
        if (record->blocks[i].became == WAFCERT_BLOCK_KEPT
            && record->blocks[i].other == 1)
        {
            block = i + 1;
        }
    }

    subject = &record->facts->chain[0].subject;

    len = snprintf(warned->buf, sizeof(warned->buf),
                   "block %lu of content, %.*s%s%.*s", (u_long) block,
                   wafcert_cut(subject, 100), subject->data,
                   what ? what : "",
                   value ? wafcert_cut(value, 100) : 0,
                   value ? (char *) value->data : "");

    warned->value.data = (u_char *) warned->buf;
    warned->value.len = len;
}


/* The one that a warning is about; NULL: that is about none. */

static const ngx_str_t *
wafcert_json_warned_host(const wafcert_record_t *record, ngx_uint_t warning)
{
    switch (warning) {

    case WAFCERT_WARN_HOST_TAKEN:
        return &record->taken;

    case WAFCERT_WARN_HOST_NOT_ALLOWED:
        return &record->not_allowed;

    case WAFCERT_WARN_STATIC_DISPLACED:
        return &record->displaced;

    default:
        return NULL;
    }
}


/* What depends on time and servers may have changed since the upload. */

uint64_t
wafcert_json_warnings(const wafcert_record_t *record, int64_t now)
{
    uint64_t                warnings;
    ngx_uint_t              i;
    const ngx_str_t        *host;
    const wafcert_facts_t  *facts;

    facts = record->facts;

    warnings = facts->warnings & (wafcert_warning(WAFCERT_WARNINGS) - 1);

    warnings &= ~wafcert_warning(WAFCERT_WARN_EXPIRED);
    warnings &= ~wafcert_warning(WAFCERT_WARN_NOT_YET_VALID);

    if (facts->chain[0].not_after < now) {
        warnings |= wafcert_warning(WAFCERT_WARN_EXPIRED);
    }

    if (facts->not_before > now) {
        warnings |= wafcert_warning(WAFCERT_WARN_NOT_YET_VALID);
    }

    if (facts->level < record->level) {
        warnings |= wafcert_warning(WAFCERT_WARN_WEAK_KEY);
    }

    for (i = 0; i < WAFCERT_WARNINGS; i++) {
        host = wafcert_json_warned_host(record, i);

        if (host && host->len) {
            warnings |= wafcert_warning(i);
        }
    }

    if (record->unusable) {
        warnings |= wafcert_warning(WAFCERT_WARN_UNUSABLE);
    }

    return warnings;
}


static void
wafcert_json_put_bind_host(wafcert_json_out_t *out, const ngx_str_t *hosts)
{
    size_t     i;
    ngx_str_t  id, name;

    wafcert_json_member(out, "bind_host");
    wafcert_json_open(out, "[");

    for (i = 0; i < hosts->len; i += id.len + name.len + 1) {

        id.data = hosts->data + i;
        id.len = WAFCERT_HOST_ID_LEN;

        name.data = id.data + id.len;
        name.len = strnlen((const char *) name.data, hosts->len - i - id.len);

        wafcert_json_comma(out);
        wafcert_json_open(out, "{");
        wafcert_json_string(out, "id", &id);
        wafcert_json_string(out, "hostname", &name);
        wafcert_json_cstring(out, "waf_type", "premium");
        wafcert_json_close(out, "}");
    }

    wafcert_json_close(out, "]");
}


static void
wafcert_json_put_standing(wafcert_json_out_t *out,
    const wafcert_standing_t *standing)
{
    wafcert_json_member(out, "servable");
    wafcert_json_puts(out, standing->servable ? "true" : "false");
    wafcert_json_cstring(out, "reason", standing->slug);
    wafcert_json_cstring(out, "message", standing->text);
}


static void
wafcert_json_put_slugs(wafcert_json_out_t *out, uint64_t warnings)
{
    ngx_uint_t  i;

    wafcert_json_member(out, "warnings");
    wafcert_json_open(out, "[");

    for (i = 0; i < WAFCERT_WARNINGS; i++) {
        if (warnings & wafcert_warning(i)) {
            wafcert_json_cstring(out, NULL, wafcert_warning_slug(i));
        }
    }

    wafcert_json_close(out, "]");
}


static void
wafcert_json_open(wafcert_json_out_t *out, const char *bracket)
{
    wafcert_json_puts(out, bracket);
    out->first = 1;
    out->depth++;
}


static void
wafcert_json_close(wafcert_json_out_t *out, const char *bracket)
{
    wafcert_json_puts(out, bracket);
    out->first = 0;
    out->depth--;
}


/* Begins a member of an object; without a name, an element of an array. */

static void
wafcert_json_member(wafcert_json_out_t *out, const char *name)
{
    wafcert_json_comma(out);

    if (name) {
        wafcert_json_puts(out, "\"");
        wafcert_json_puts(out, name);
        wafcert_json_puts(out, "\":");
    }
}


static void
wafcert_json_comma(wafcert_json_out_t *out)
{
    if (!out->first) {
        wafcert_json_puts(out, (out->lines && out->depth == 1) ? ",\n" : ",");
    }

    out->first = 0;
}


static void
wafcert_json_string(wafcert_json_out_t *out, const char *name,
    const ngx_str_t *value)
{
    wafcert_json_member(out, name);
    wafcert_json_puts(out, "\"");
    wafcert_json_text(out, value->data, value->len);
    wafcert_json_puts(out, "\"");
}


static void
wafcert_json_cstring(wafcert_json_out_t *out, const char *name,
    const char *value)
{
    ngx_str_t  str;

    str.data = (u_char *) value;
    str.len = strlen(value);

    wafcert_json_string(out, name, &str);
}


static void
wafcert_json_integer(wafcert_json_out_t *out, const char *name, int64_t value)
{
    u_char    buf[NGX_INT64_LEN], *p, *last;
    uint64_t  n;

    last = buf + sizeof(buf);
    p = last;

    n = (value < 0) ? - (uint64_t) value : (uint64_t) value;

    do {
        *--p = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n);

    if (value < 0) {
        *--p = '-';
    }

    wafcert_json_member(out, name);
    wafcert_json_put(out, p, last - p);
}


static void
wafcert_json_hex(wafcert_json_out_t *out, const char *name,
    const u_char *data, size_t len)
{
    size_t  i;
    u_char  pair[2];

    wafcert_json_member(out, name);
    wafcert_json_puts(out, "\"");

    for (i = 0; i < len; i++) {
        pair[0] = wafcert_json_digits[data[i] >> 4];
        pair[1] = wafcert_json_digits[data[i] & 0xf];

        wafcert_json_put(out, pair, 2);
    }

    wafcert_json_puts(out, "\"");
}


/* The line ends are escaped already, and the rest of a PEM needs no escape. */

static void
wafcert_json_pem(wafcert_json_out_t *out, wafcert_pem_type_e type,
    const ngx_str_t *der)
{
    out->len += wafcert_pem_size(type, der->len, "\\n");

    if (out->pos) {
        out->pos = wafcert_pem_encode(out->pos, type, der, "\\n");
    }
}


static void
wafcert_json_text(wafcert_json_out_t *out, const u_char *p, size_t len)
{
    size_t         n;
    const u_char  *last, *run;

    if (len == 0) {
        return;
    }

    last = p + len;
    run = p;

    while (p < last) {

        if (*p >= 0x20 && *p < 0x7f && *p != '"' && *p != '\\') {
            p++;
            continue;
        }

        n = (*p < 0x80) ? 0 : wafcert_json_utf8(p, last);

        if (n && (p[0] != 0xc2 || p[1] >= 0xa0)) {
            p += n;
            continue;
        }

        wafcert_json_put(out, run, p - run);

        if (n) {
            wafcert_json_control(out, p[1]);
            p += n;

        } else {
            wafcert_json_escape(out, *p++);
        }

        run = p;
    }

    wafcert_json_put(out, run, p - run);
}


/* A control character, a quote, a backslash, or a byte that is not UTF-8. */

static void
wafcert_json_escape(wafcert_json_out_t *out, u_char ch)
{
    u_char  buf[2];

    if (ch >= 0x80) {
        wafcert_json_puts(out, "\xEF\xBF\xBD");
        return;
    }

    buf[0] = '\\';

    switch (ch) {

    case '\b':
        buf[1] = 'b';
        break;

    case '\t':
        buf[1] = 't';
        break;

    case LF:
        buf[1] = 'n';
        break;

    case '\f':
        buf[1] = 'f';
        break;

    case CR:
        buf[1] = 'r';
        break;

    case '"':
    case '\\':
        buf[1] = ch;
        break;

    default:
        wafcert_json_control(out, ch);
        return;
    }

    wafcert_json_put(out, buf, 2);
}


/* Those up to U+009F: on a terminal they move the cursor, or worse. */

static void
wafcert_json_control(wafcert_json_out_t *out, u_char ch)
{
    u_char  buf[6];

    ngx_memcpy(buf, "\\u0000", 6);

    buf[4] = wafcert_json_digits[ch >> 4];
    buf[5] = wafcert_json_digits[ch & 0xf];

    wafcert_json_put(out, buf, 6);
}


/*
 * The length of a sequence as in Unicode's table of well-formed ones
 * (RFC 3629, section 4), or 0.
 */

static size_t
wafcert_json_utf8(const u_char *p, const u_char *last)
{
    u_char  low, high;
    size_t  i, n;

    low = 0x80;
    high = 0xbf;

    if (*p >= 0xc2 && *p <= 0xdf) {
        n = 2;

    } else if ((*p & 0xf0) == 0xe0) {
        n = 3;

        if (*p == 0xe0) {
            low = 0xa0;     /* below: overlong */

        } else if (*p == 0xed) {
            high = 0x9f;    /* above: surrogates */
        }

    } else if (*p >= 0xf0 && *p <= 0xf4) {
        n = 4;

        if (*p == 0xf0) {
            low = 0x90;     /* below: overlong */

        } else if (*p == 0xf4) {
            high = 0x8f;    /* above: beyond U+10FFFF */
        }

    } else {
        return 0;
    }

    if ((size_t) (last - p) < n || p[1] < low || p[1] > high) {
        return 0;
    }

    for (i = 2; i < n; i++) {

        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return n;
}


static void
wafcert_json_put(wafcert_json_out_t *out, const void *data, size_t len)
{
    out->len += len;

    if (out->pos) {
        out->pos = ngx_cpymem(out->pos, data, len);
    }
}


static void
wafcert_json_puts(wafcert_json_out_t *out, const char *s)
{
    wafcert_json_put(out, s, strlen(s));
}
