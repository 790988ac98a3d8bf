
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_record.h"
#include "ngx_wafcert_hosts.h"
#include <ngx_sha1.h>


static u_char *ngx_wafcert_take_str(ngx_wafcert_cursor_t *cursor,
    ngx_str_t *s, u_char *p, size_t len);
static void ngx_wafcert_put_str(ngx_wafcert_cursor_t *cursor,
    const ngx_str_t *s);
static u_char *ngx_wafcert_take_serial(ngx_wafcert_cursor_t *cursor,
    ngx_str_t *s, u_char *p, ngx_wafcert_node_t *n);
static void ngx_wafcert_put_serial(ngx_wafcert_cursor_t *cursor,
    const ngx_str_t *s, ngx_wafcert_node_t *n);
static size_t ngx_wafcert_node_name_offset(ngx_uint_t nissuers);
static ngx_uint_t ngx_wafcert_node_issued(const wafcert_facts_t *facts);
static size_t ngx_wafcert_node_need(ngx_wafcert_change_t *change,
    size_t name_len, size_t *contiguous);
static size_t ngx_wafcert_issuer_need(const wafcert_link_t *link);
static void ngx_wafcert_node_fill_locked(ngx_wafcert_node_t *n,
    ngx_wafcert_change_t *change);
static ngx_wafcert_issuer_t *ngx_wafcert_issuer_add_locked(
    ngx_slab_pool_t *shpool, ngx_rbtree_t *issuers,
    const wafcert_link_t *link);
static void ngx_wafcert_issuer_release_locked(ngx_slab_pool_t *shpool,
    ngx_rbtree_t *issuers, ngx_wafcert_issuer_t *issuer);


static size_t
ngx_wafcert_node_name_offset(ngx_uint_t nissuers)
{
    return offsetof(ngx_wafcert_node_t, issuers)
           + nissuers * sizeof(ngx_wafcert_issuer_t *);
}


u_char *
ngx_wafcert_node_name(ngx_wafcert_node_t *n)
{
    return (u_char *) n + ngx_wafcert_node_name_offset(n->nissuers);
}


ngx_uint_t
ngx_wafcert_node_same_name(ngx_wafcert_node_t *a, ngx_wafcert_node_t *b)
{
    return a->name_len == b->name_len
           && ngx_memcmp(ngx_wafcert_node_name(a), ngx_wafcert_node_name(b),
                         a->name_len)
              == 0;
}


void
ngx_wafcert_node_hosts(ngx_wafcert_node_t *n, ngx_wafcert_cursor_t *cursor)
{
    ngx_wafcert_cursor(cursor, n, ngx_wafcert_node_name_offset(n->nissuers));

    ngx_wafcert_skip(cursor, n->name_len + n->cert_type_len + n->serial_len
                             + n->subject_len + n->issuer_len);
}


size_t
ngx_wafcert_node_size(ngx_wafcert_node_t *n, ngx_uint_t key)
{
    size_t                 size;
    ngx_uint_t             i;
    ngx_wafcert_issuer_t  *issuer;

    size = n->name_len + n->cert_type_len + 1 + 2 * n->serial_len
           + n->subject_len + n->issuer_len + n->hosts_len + n->der_len
           + (key ? n->key_len : 0);

    for (i = 0; i < n->nissuers; i++) {
        issuer = n->issuers[i];
        size += issuer->subject_len + issuer->issuer_len + issuer->der_len;
    }

    return size;
}


static u_char *
ngx_wafcert_take_str(ngx_wafcert_cursor_t *cursor, ngx_str_t *s, u_char *p,
    size_t len)
{
    s->data = p;
    s->len = len;

    return ngx_wafcert_take(cursor, p, len);
}


/* hex digits, which are made in place of the bytes */

static u_char *
ngx_wafcert_take_serial(ngx_wafcert_cursor_t *cursor, ngx_str_t *s, u_char *p,
    ngx_wafcert_node_t *n)
{
    s->data = p;

    if (n->serial_sign) {
        *p++ = n->serial_sign;
    }

    (void) ngx_wafcert_take(cursor, p + n->serial_len, n->serial_len);
    p = ngx_hex_dump(p, p + n->serial_len, n->serial_len);

    s->len = p - s->data;

    return p;
}


void
ngx_wafcert_node_copy_locked(ngx_wafcert_copy_t *copy, u_char *p,
    ngx_wafcert_node_t *n, ngx_uint_t key)
{
    ngx_uint_t             i;
    wafcert_link_t        *link;
    wafcert_facts_t       *facts;
    ngx_wafcert_cursor_t   cursor;
    ngx_wafcert_issuer_t  *issuer;

    facts = &copy->facts;
    link = facts->chain;

    p = ngx_wafcert_node_copy_item_locked(copy, p, n, &cursor);

    p = ngx_wafcert_take_serial(&cursor, &facts->serial_number, p, n);
    p = ngx_wafcert_take_str(&cursor, &link->subject, p, n->subject_len);
    p = ngx_wafcert_take_str(&cursor, &link->issuer, p, n->issuer_len);
    p = ngx_wafcert_take_str(&cursor, &facts->hosts, p, n->hosts_len);
    p = ngx_wafcert_take_str(&cursor, &link->der, p, n->der_len);

    if (key) {
        copy->key.type = n->key_type;
        p = ngx_wafcert_take_str(&cursor, &copy->key.der, p, n->key_len);
    }

    facts->nchain = 1 + n->nissuers;

    for (i = 0; i < n->nissuers; i++) {
        issuer = n->issuers[i];
        link++;

        ngx_wafcert_cursor(&cursor, issuer, sizeof(ngx_wafcert_issuer_t));

        p = ngx_wafcert_take_str(&cursor, &link->subject, p,
                                 issuer->subject_len);
        p = ngx_wafcert_take_str(&cursor, &link->issuer, p,
                                 issuer->issuer_len);
        p = ngx_wafcert_take_str(&cursor, &link->der, p, issuer->der_len);

        link->not_after = issuer->not_after;
        ngx_memcpy(link->sha256, issuer->sha256, WAFCERT_SHA256_LEN);
    }

    if (n->issued) {
        facts->chain[0].issuer = facts->chain[1].subject;
    }
}


u_char *
ngx_wafcert_node_copy_item_locked(ngx_wafcert_copy_t *copy, u_char *p,
    ngx_wafcert_node_t *n, ngx_wafcert_cursor_t *cursor)
{
    wafcert_link_t    *leaf;
    wafcert_facts_t   *facts;
    wafcert_record_t  *record;

    record = &copy->record;
    facts = &copy->facts;
    leaf = facts->chain;

    copy->version = n->version;
    copy->tried = n->tried;
    ngx_hex_dump(copy->id, n->id, NGX_WAFCERT_ID_LEN);

    record->id.len = sizeof(copy->id);
    record->id.data = copy->id;
    record->timestamp = n->timestamp;
    record->revision = n->revision;
    record->facts = facts;
    record->blocks = NULL;
    record->words = NULL;
    record->level = 0;
    record->unusable = n->unusable;
    record->stale = n->stale;
    record->standing = NULL;
    record->refusal = NULL;
    ngx_str_null(&record->taken);
    ngx_str_null(&record->not_allowed);
    ngx_str_null(&record->displaced);
    ngx_str_null(&record->bind_hosts);

    facts->not_before = n->not_before;
    facts->warnings = n->warnings;
    facts->type = n->type;
    facts->level = n->level;
    facts->many_hosts = 0;
    facts->handicap = n->handicap;
    facts->fault = n->fault;
    facts->unjudged = n->unjudged;
    facts->nchain = 1;

    leaf->not_after = n->not_after;

    ngx_str_null(&copy->key.der);

    ngx_wafcert_cursor(cursor, n, ngx_wafcert_node_name_offset(n->nissuers));

    p = ngx_wafcert_take_str(cursor, &record->name, p, n->name_len);

    return ngx_wafcert_take_str(cursor, &facts->cert_type, p,
                                n->cert_type_len);
}


ngx_uint_t
ngx_wafcert_node_same_chain_locked(ngx_wafcert_node_t *n,
    const wafcert_facts_t *facts)
{
    ngx_uint_t             i;
    ngx_wafcert_cursor_t   cursor;

    if (n->nissuers + 1u != facts->nchain
        || n->der_len != facts->chain[0].der.len)
    {
        return 0;
    }

    for (i = 0; i < n->nissuers; i++) {
        if (ngx_memcmp(n->issuers[i]->sha256, facts->chain[i + 1].sha256,
                       WAFCERT_SHA256_LEN)
            != 0)
        {
            return 0;
        }
    }

    ngx_wafcert_node_hosts(n, &cursor);
    ngx_wafcert_skip(&cursor, n->hosts_len);

    return ngx_wafcert_equal(&cursor, facts->chain[0].der.data, n->der_len);
}


ngx_wafcert_node_t *
ngx_wafcert_node_add_locked(ngx_slab_pool_t *shpool, ngx_rbtree_t *issuers,
    ngx_wafcert_change_t *change, ngx_wafcert_project_t *project,
    ngx_rbtree_key_t name_key)
{
    size_t                  size, contiguous;
    ngx_uint_t              i;
    ngx_wafcert_node_t     *n;
    ngx_wafcert_issuer_t   *issuer;
    const wafcert_facts_t  *facts;

    facts = change->facts;
    size = ngx_wafcert_node_need(change, change->name.len, &contiguous);

    n = ngx_wafcert_blob_alloc_locked(shpool, contiguous, size);
    if (n == NULL) {
        return NULL;
    }

    ngx_memzero((u_char *) n + sizeof(ngx_wafcert_blob_t),
                offsetof(ngx_wafcert_node_t, issuers)
                - sizeof(ngx_wafcert_blob_t));

    for (i = 1; i < facts->nchain; i++) {

        issuer = ngx_wafcert_issuer_add_locked(shpool, issuers,
                                               &facts->chain[i]);
        if (issuer == NULL) {
            ngx_wafcert_node_free_locked(shpool, issuers, n);
            return NULL;
        }

        n->issuers[n->nissuers++] = issuer;
    }

    n->id_node.key = ngx_wafcert_index_key(change->id);
    n->name_node.key = name_key;
    n->project = project;

    ngx_wafcert_node_fill_locked(n, change);

    if (ngx_wafcert_hosts_add_locked(shpool, n, change) != NGX_OK) {
        ngx_wafcert_node_free_locked(shpool, issuers, n);
        return NULL;
    }

    return n;
}


void *
ngx_wafcert_node_room_locked(ngx_slab_pool_t *shpool,
    ngx_wafcert_change_t *change, size_t name_len, ngx_uint_t hosts,
    size_t *taken)
{
    void                   *room;
    size_t                  size, contiguous;
    ngx_uint_t              i;
    const wafcert_facts_t  *facts;

    facts = change->facts;
    size = ngx_wafcert_node_need(change, name_len, &contiguous);

    room = ngx_wafcert_blob_alloc_locked(shpool, contiguous, size);

    for (i = 1; room && i < facts->nchain; i++) {
        room = ngx_wafcert_blob_join_locked(shpool, room,
                                    sizeof(ngx_wafcert_issuer_t),
                                    ngx_wafcert_issuer_need(&facts->chain[i]));
    }

    *taken = ngx_wafcert_blob_size(room) + ngx_wafcert_hosts_need(hosts);

    if (room && hosts) {
        size = hosts * sizeof(ngx_wafcert_host_t);
        room = ngx_wafcert_blob_join_locked(shpool, room,
                                            ngx_min(size, ngx_pagesize), size);
    }

    size = sizeof(ngx_wafcert_claim_t);

    for (i = 0; room && i < hosts; i++) {
        room = ngx_wafcert_blob_join_locked(shpool, room, size, size);
    }

    /* it may be the first of its project */

    if (room) {
        size = offsetof(ngx_wafcert_project_t, name) + change->project.len;
        room = ngx_wafcert_blob_join_locked(shpool, room, size, size);
    }

    return room;
}


static size_t
ngx_wafcert_node_need(ngx_wafcert_change_t *change, size_t name_len,
    size_t *contiguous)
{
    size_t                  size;
    const wafcert_link_t   *leaf;
    const wafcert_facts_t  *facts;

    facts = change->facts;
    leaf = facts->chain;

    *contiguous = ngx_wafcert_node_name_offset(facts->nchain - 1) + name_len;

    size = *contiguous + facts->serial_number.len / 2 + facts->cert_type.len
           + leaf->subject.len + facts->hosts.len + leaf->der.len
           + change->key->der.len;

    if (!ngx_wafcert_node_issued(facts)) {
        size += leaf->issuer.len;
    }

    return size;
}


/* then its issuer's name need not be stored twice */

static ngx_uint_t
ngx_wafcert_node_issued(const wafcert_facts_t *facts)
{
    const ngx_str_t  *issuer, *subject;

    issuer = &facts->chain[0].issuer;
    subject = &facts->chain[1].subject;

    return facts->nchain > 1
           && issuer->len == subject->len
           && ngx_memcmp(issuer->data, subject->data, issuer->len) == 0;
}


static void
ngx_wafcert_node_fill_locked(ngx_wafcert_node_t *n,
    ngx_wafcert_change_t *change)
{
    ngx_str_t               issuer;
    ngx_wafcert_cursor_t    cursor;
    const wafcert_key_t    *key;
    const wafcert_link_t   *leaf;
    const wafcert_facts_t  *facts;

    key = change->key;
    facts = change->facts;
    leaf = facts->chain;
    issuer = leaf->issuer;

    if (ngx_wafcert_node_issued(facts)) {
        n->issued = 1;
        issuer.len = 0;
    }

    ngx_memcpy(n->id, change->id, NGX_WAFCERT_ID_LEN);

    n->timestamp = change->timestamp;
    n->not_before = facts->not_before;
    n->not_after = leaf->not_after;
    n->revision = change->new_revision;
    n->stale = change->stale;
    n->tried = change->tried;
    n->warnings = facts->warnings;
    n->type = facts->type;
    n->level = facts->level;
    n->handicap = facts->handicap;
    n->fault = facts->fault;
    n->unjudged = facts->unjudged;
    n->name_len = change->name.len;
    n->serial_len = facts->serial_number.len / 2;
    n->cert_type_len = facts->cert_type.len;
    n->subject_len = leaf->subject.len;
    n->issuer_len = issuer.len;
    n->hosts_len = facts->hosts.len;
    n->der_len = leaf->der.len;
    n->key_len = key->der.len;
    n->key_type = key->type;

    ngx_wafcert_cursor(&cursor, n, ngx_wafcert_node_name_offset(n->nissuers));

    ngx_wafcert_put_str(&cursor, &change->name);
    ngx_wafcert_put_str(&cursor, &facts->cert_type);
    ngx_wafcert_put_serial(&cursor, &facts->serial_number, n);
    ngx_wafcert_put_str(&cursor, &leaf->subject);
    ngx_wafcert_put_str(&cursor, &issuer);
    ngx_wafcert_put_str(&cursor, &facts->hosts);
    ngx_wafcert_put_str(&cursor, &leaf->der);
    ngx_wafcert_put_str(&cursor, &key->der);
}


static void
ngx_wafcert_put_str(ngx_wafcert_cursor_t *cursor, const ngx_str_t *s)
{
    ngx_wafcert_put(cursor, s->data, s->len);
}


static void
ngx_wafcert_put_serial(ngx_wafcert_cursor_t *cursor, const ngx_str_t *s,
    ngx_wafcert_node_t *n)
{
    u_char  *p, *last, byte;

    p = s->data;
    last = p + s->len;

    if (p < last && *p == '-') {
        n->serial_sign = *p++;
    }

    for ( /* void */ ; last - p >= 2; p += 2) {
        byte = (u_char) ngx_hextoi(p, 2);
        ngx_wafcert_put(cursor, &byte, 1);
    }
}


void
ngx_wafcert_node_free_locked(ngx_slab_pool_t *shpool, ngx_rbtree_t *issuers,
    ngx_wafcert_node_t *n)
{
    ngx_uint_t  i;

    ngx_wafcert_hosts_free_locked(shpool, n);

    for (i = 0; i < n->nissuers; i++) {
        ngx_wafcert_issuer_release_locked(shpool, issuers, n->issuers[i]);
    }

    ngx_wafcert_blob_free_locked(shpool, n);
}


void
ngx_wafcert_node_bury_locked(ngx_slab_pool_t *shpool, ngx_rbtree_t *issuers,
    ngx_wafcert_node_t *n)
{
    ngx_uint_t  i;

    ngx_wafcert_hosts_free_locked(shpool, n);

    for (i = 0; i < n->nissuers; i++) {
        ngx_wafcert_issuer_release_locked(shpool, issuers, n->issuers[i]);
        n->issuers[i] = NULL;
    }

    ngx_wafcert_blob_cut_locked(shpool, n,
                                ngx_wafcert_node_name_offset(n->nissuers)
                                + n->name_len);
}


ngx_wafcert_node_t *
ngx_wafcert_node_copy_buried_locked(ngx_slab_pool_t *shpool,
    ngx_wafcert_node_t *from)
{
    size_t               size;
    ngx_wafcert_node_t  *n;

    size = ngx_wafcert_node_name_offset(0) + from->name_len;

    n = ngx_wafcert_blob_alloc_locked(shpool, size, size);
    if (n == NULL) {
        return NULL;
    }

    ngx_memzero((u_char *) n + sizeof(ngx_wafcert_blob_t),
                offsetof(ngx_wafcert_node_t, issuers)
                - sizeof(ngx_wafcert_blob_t));

    n->gone = 1;
    n->version = from->version;
    n->revision = from->revision;
    n->name_len = from->name_len;

    ngx_memcpy(n->id, from->id, NGX_WAFCERT_ID_LEN);
    ngx_memcpy(ngx_wafcert_node_name(n), ngx_wafcert_node_name(from),
               n->name_len);

    return n;
}


/*
 * Issuers that records share count for each of them: what a record counts for
 * does not depend on what others do.
 */

size_t
ngx_wafcert_node_taken_locked(ngx_wafcert_node_t *n)
{
    size_t      size;
    ngx_uint_t  i;

    size = ngx_wafcert_blob_size(n) + ngx_wafcert_hosts_size(n);

    for (i = 0; i < n->nissuers; i++) {
        size += ngx_wafcert_blob_size(n->issuers[i]);
    }

    return size;
}


static ngx_wafcert_issuer_t *
ngx_wafcert_issuer_add_locked(ngx_slab_pool_t *shpool, ngx_rbtree_t *issuers,
    const wafcert_link_t *link)
{
    ngx_rbtree_key_t       key;
    ngx_rbtree_node_t     *node;
    ngx_wafcert_cursor_t   cursor;
    ngx_wafcert_issuer_t  *issuer;

    key = ngx_wafcert_index_key(link->sha256);

    for (node = ngx_wafcert_index_first_locked(issuers, key);
         node;
         node = ngx_wafcert_index_next_locked(issuers, node))
    {
        issuer = ngx_rbtree_data(node, ngx_wafcert_issuer_t, node);

        if (ngx_memcmp(issuer->sha256, link->sha256, WAFCERT_SHA256_LEN)
            == 0)
        {
            issuer->refs++;
            return issuer;
        }
    }

    issuer = ngx_wafcert_blob_alloc_locked(shpool,
                                           sizeof(ngx_wafcert_issuer_t),
                                           ngx_wafcert_issuer_need(link));
    if (issuer == NULL) {
        return NULL;
    }

    issuer->refs = 1;
    issuer->not_after = link->not_after;
    issuer->der_len = link->der.len;
    issuer->subject_len = link->subject.len;
    issuer->issuer_len = link->issuer.len;
    ngx_memcpy(issuer->sha256, link->sha256, WAFCERT_SHA256_LEN);

    ngx_wafcert_cursor(&cursor, issuer, sizeof(ngx_wafcert_issuer_t));

    ngx_wafcert_put_str(&cursor, &link->subject);
    ngx_wafcert_put_str(&cursor, &link->issuer);
    ngx_wafcert_put_str(&cursor, &link->der);

    issuer->node.key = key;
    ngx_rbtree_insert(issuers, &issuer->node);

    return issuer;
}


static size_t
ngx_wafcert_issuer_need(const wafcert_link_t *link)
{
    return sizeof(ngx_wafcert_issuer_t) + link->subject.len
           + link->issuer.len + link->der.len;
}


static void
ngx_wafcert_issuer_release_locked(ngx_slab_pool_t *shpool,
    ngx_rbtree_t *issuers, ngx_wafcert_issuer_t *issuer)
{
    if (--issuer->refs) {
        return;
    }

    ngx_rbtree_delete(issuers, &issuer->node);
    ngx_wafcert_blob_free_locked(shpool, issuer);
}


ngx_rbtree_node_t *
ngx_wafcert_index_first_locked(ngx_rbtree_t *tree, ngx_rbtree_key_t key)
{
    ngx_rbtree_node_t  *first;

    first = ngx_wafcert_index_from_locked(tree, key);

    return (first && first->key == key) ? first : NULL;
}


ngx_rbtree_node_t *
ngx_wafcert_index_from_locked(ngx_rbtree_t *tree, ngx_rbtree_key_t key)
{
    ngx_rbtree_node_t  *node, *first;

    first = NULL;
    node = tree->root;

    while (node != tree->sentinel) {

        if (node->key < key) {
            node = node->right;
            continue;
        }

        first = node;
        node = node->left;
    }

    return first;
}


ngx_rbtree_node_t *
ngx_wafcert_index_next_locked(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    ngx_rbtree_node_t  *next;

    next = ngx_rbtree_next(tree, node);

    return (next && next->key == node->key) ? next : NULL;
}


ngx_rbtree_key_t
ngx_wafcert_index_key(const u_char *p)
{
    ngx_rbtree_key_t  key;

    ngx_memcpy(&key, p, sizeof(ngx_rbtree_key_t));

    return key;
}


/* names are the clients' choice: a weaker hash would let them collide */

ngx_rbtree_key_t
ngx_wafcert_index_string_key(const ngx_str_t *s)
{
    u_char      digest[20];
    ngx_sha1_t  sha1;

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, s->data, s->len);
    ngx_sha1_final(digest, &sha1);

    return ngx_wafcert_index_key(digest);
}
