
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_store.h"
#include "ngx_wafcert_zone.h"
#include "ngx_wafcert_state.h"
#include "ngx_wafcert_hosts.h"
#include "ngx_wafcert_wait.h"


static void ngx_wafcert_copy_wipe(void *data);

static ngx_wafcert_project_t *ngx_wafcert_project_add_locked(
    ngx_wafcert_store_t *store, const ngx_str_t *name, ngx_rbtree_key_t key);
static ngx_wafcert_node_t *ngx_wafcert_find_next_locked(
    ngx_wafcert_sh_t *sh, const u_char *id);
static ngx_wafcert_node_t *ngx_wafcert_find_in_locked(ngx_rbtree_t *tree,
    ngx_wafcert_project_t *project, const u_char *id);
static ngx_wafcert_node_t *ngx_wafcert_find_name_locked(
    ngx_wafcert_project_t *project, const ngx_str_t *name,
    ngx_rbtree_key_t key);

static ngx_int_t ngx_wafcert_reserve_locked(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change, ngx_rbtree_key_t project_key,
    ngx_rbtree_key_t name_key, wafcert_verdict_t *verdict);
static ngx_int_t ngx_wafcert_judge_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_project_t *project, ngx_wafcert_change_t *change,
    ngx_rbtree_key_t name_key, ngx_wafcert_node_t **oldp,
    wafcert_verdict_t *verdict);
static ngx_int_t ngx_wafcert_judge_name_locked(ngx_wafcert_node_t *named,
    ngx_wafcert_change_t *change, wafcert_verdict_t *verdict);
static ngx_wafcert_slot_t *ngx_wafcert_slot_locked(ngx_wafcert_sh_t *sh);
static ngx_int_t ngx_wafcert_fill_slot_locked(ngx_wafcert_store_t *store,
    ngx_wafcert_slot_t *slot, ngx_wafcert_change_t *change,
    ngx_rbtree_key_t name_key, wafcert_verdict_t *verdict);
static ngx_int_t ngx_wafcert_judge_size_locked(ngx_wafcert_slot_t *slot,
    ngx_wafcert_change_t *change, wafcert_verdict_t *verdict);
static void ngx_wafcert_publish_locked(ngx_wafcert_store_t *store,
    ngx_wafcert_slot_t *slot, ngx_uint_t behind);
static void ngx_wafcert_insert_locked(ngx_wafcert_project_t *project,
    ngx_wafcert_node_t *n);
static ngx_int_t ngx_wafcert_store_worse(ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry, ngx_uint_t level, ngx_uint_t handicap,
    ngx_uint_t unusable);
static void ngx_wafcert_choose_again_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_node_t *n);
static void ngx_wafcert_cancel_locked(ngx_wafcert_store_t *store,
    ngx_wafcert_slot_t *slot);


ngx_int_t
ngx_wafcert_store_get(ngx_wafcert_store_t *store, ngx_str_t *project,
    u_char *id, ngx_uint_t key, ngx_pool_t *pool, ngx_wafcert_copy_t *copy)
{
    size_t                 size, need;
    ngx_str_t             *buf;
    ngx_rbtree_key_t       hash;
    ngx_pool_cleanup_t    *cln;
    ngx_wafcert_node_t    *n;
    ngx_wafcert_project_t *p;

    hash = ngx_wafcert_index_string_key(project);

    cln = ngx_pool_cleanup_add(pool, sizeof(ngx_str_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    buf = cln->data;
    ngx_str_null(buf);
    cln->handler = ngx_wafcert_copy_wipe;

    /* enough for a chain of three; whoever needs more comes twice */

    for (size = 8192; /* void */ ; size = need) {

        buf->len = 0;
        buf->data = ngx_pnalloc(pool, size);
        if (buf->data == NULL) {
            return NGX_ERROR;
        }

        ngx_wafcert_zone_lock(store);

        p = ngx_wafcert_project_locked(store->sh, project, hash);
        n = p ? ngx_wafcert_find_id_locked(store->sh, p, id) : NULL;

        if (n == NULL) {
            ngx_wafcert_zone_unlock(store);
            return NGX_DECLINED;
        }

        need = ngx_wafcert_node_size(n, key);

        if (need <= size) {
            buf->len = key ? need : 0;
            ngx_wafcert_node_copy_locked(copy, buf->data, n, key);
            ngx_wafcert_zone_unlock(store);
            return NGX_OK;
        }

        ngx_wafcert_zone_unlock(store);
    }
}


static void
ngx_wafcert_copy_wipe(void *data)
{
    ngx_str_t  *buf = data;

    ngx_explicit_memzero(buf->data, buf->len);
}


ngx_int_t
ngx_wafcert_store_reserve(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change, wafcert_verdict_t *verdict)
{
    ngx_int_t         rc;
    ngx_rbtree_key_t  project_key, name_key;

    project_key = ngx_wafcert_index_string_key(&change->project);
    name_key = ngx_wafcert_index_string_key(&change->name);

    ngx_wafcert_zone_lock_write(store);

    rc = ngx_wafcert_reserve_locked(store, change, project_key, name_key,
                                    verdict);
    ngx_wafcert_zone_unlock(store);

    change->dating = 0;

    return rc;
}


static ngx_int_t
ngx_wafcert_reserve_locked(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change, ngx_rbtree_key_t project_key,
    ngx_rbtree_key_t name_key, wafcert_verdict_t *verdict)
{
    ngx_int_t               rc;
    ngx_wafcert_sh_t       *sh;
    ngx_wafcert_node_t     *old;
    ngx_wafcert_slot_t     *slot;
    ngx_wafcert_project_t  *project;

    sh = store->sh;

    /* what was made elsewhere is not refused */

    if (!change->foreign
        && sh->instance != ngx_wafcert_state_instance(store->state))
    {
        return wafcert_refuse(verdict, WAFCERT_COMMIT_FAILED,
                              "the server's configuration has changed while "
                              "the request was processed");
    }

    change->seen = sh->seen;
    ngx_memcpy(change->blocked, change->id, NGX_WAFCERT_ID_LEN);

    project = ngx_wafcert_project_locked(sh, &change->project, project_key);

    rc = ngx_wafcert_judge_locked(sh, project, change, name_key, &old,
                                  verdict);
    if (rc != NGX_OK) {
        return rc;
    }

    slot = ngx_wafcert_slot_locked(sh);
    if (slot == NULL) {
        ngx_memcpy(change->blocked, ngx_wafcert_wait_any, NGX_WAFCERT_ID_LEN);
        return NGX_BUSY;
    }

    if (change->op != NGX_WAFCERT_DELETE) {
        ngx_wafcert_room_free_locked(store, change);
    }

    if (project == NULL) {
        project = ngx_wafcert_project_add_locked(store, &change->project,
                                                 project_key);
    }

    if (project) {
        project->refs++;

        slot->new = NULL;
        slot->old = old;
        slot->project = project;
        slot->birth = ngx_wafcert_zone_birth();
        ngx_memory_barrier();
        slot->pid = ngx_pid;

        rc = ngx_wafcert_fill_slot_locked(store, slot, change, name_key,
                                          verdict);
        if (rc == NGX_OK) {
            change->slot = slot - sh->slots;
            return NGX_OK;
        }

        ngx_wafcert_cancel_locked(store, slot);

        if (rc == NGX_DECLINED) {
            return rc;
        }
    }

    return wafcert_refuse(verdict, WAFCERT_ZONE_FULL,
                          "the memory for certificates is full");
}


/* NGX_DECLINED: beyond the quota.  NGX_ERROR: there is no room. */

static ngx_int_t
ngx_wafcert_fill_slot_locked(ngx_wafcert_store_t *store,
    ngx_wafcert_slot_t *slot, ngx_wafcert_change_t *change,
    ngx_rbtree_key_t name_key, wafcert_verdict_t *verdict)
{
    uint16_t             busy;
    ngx_wafcert_node_t  *n, *old;

    old = slot->old;
    busy = slot - store->sh->slots + 1;

    if (change->op != NGX_WAFCERT_DELETE) {

        n = ngx_wafcert_node_add_locked(store->shpool, &store->sh->issuers,
                                        change, slot->project, name_key);
        if (n == NULL) {
            return NGX_ERROR;
        }

        n->version = ++store->sh->version;

        slot->new = n;

        if (old) {
            n->sequence = old->sequence;
            n->tried |= old->tried
                        && ngx_wafcert_node_same_chain_locked(old,
                                                              change->facts);

        } else {
            slot->project->certificates++;
            n->sequence = ++store->sh->sequence;
        }

        change->sequence = n->sequence;
        slot->project->taken += ngx_wafcert_node_taken_locked(n);

        if (ngx_wafcert_judge_size_locked(slot, change, verdict) != NGX_OK) {
            return NGX_DECLINED;
        }

        if (ngx_wafcert_zone_full_locked(store)) {
            return NGX_ERROR;
        }

        if (old == NULL || !ngx_wafcert_node_same_name(n, old)) {
            ngx_rbtree_insert(&slot->project->names, &n->name_node);
            n->busy = busy;
        }
    }

    if (old) {
        old->busy = busy;
    }

    return NGX_OK;
}


/* what takes no more than before may stay, however much that is */

static ngx_int_t
ngx_wafcert_judge_size_locked(ngx_wafcert_slot_t *slot,
    ngx_wafcert_change_t *change, wafcert_verdict_t *verdict)
{
    size_t  new, old, taken;

    if (change->quota_size == 0) {
        return NGX_OK;
    }

    new = ngx_wafcert_node_taken_locked(slot->new);
    old = slot->old ? ngx_wafcert_node_taken_locked(slot->old) : 0;
    taken = slot->project->taken - old;

    if (new <= old || taken <= change->quota_size) {
        return NGX_OK;
    }

    return wafcert_refuse(verdict, WAFCERT_QUOTA,
                          "the project's certificates would take %lu bytes of "
                          "memory, and no more than %lu are allowed",
                          (unsigned long) taken,
                          (unsigned long) change->quota_size);
}


/* finds the record to change, and whether the change may be made */

static ngx_int_t
ngx_wafcert_judge_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_project_t *project, ngx_wafcert_change_t *change,
    ngx_rbtree_key_t name_key, ngx_wafcert_node_t **oldp,
    wafcert_verdict_t *verdict)
{
    ngx_int_t            rc;
    ngx_wafcert_node_t  *old, *named;

    old = NULL;
    *oldp = NULL;

    if (change->op != NGX_WAFCERT_CREATE) {

        old = project ? ngx_wafcert_find_id_locked(sh, project, change->id)
                      : NULL;
    }

    if (change->foreign) {
        rc = ngx_wafcert_foreign_judge_locked(sh, old, change, verdict);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (change->op != NGX_WAFCERT_CREATE) {

        if (old == NULL) {
            return wafcert_refuse(verdict, WAFCERT_NOT_FOUND,
                                  "there is no certificate with this id in "
                                  "the project");
        }

        if (old->busy) {
            return NGX_BUSY;
        }

        if (old->version != change->version) {
            return NGX_AGAIN;
        }

        *oldp = old;

    } else if (change->version && change->version != sh->version) {
        return NGX_AGAIN;
    }

    if (change->op == NGX_WAFCERT_DELETE) {
        return NGX_OK;
    }

    named = project ? ngx_wafcert_find_name_locked(project, &change->name,
                                                   name_key)
                    : NULL;

    if (named && named != old) {
        rc = ngx_wafcert_judge_name_locked(named, change, verdict);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (change->op == NGX_WAFCERT_CREATE && change->quota && project
        && project->certificates >= change->quota)
    {
        return wafcert_refuse(verdict, WAFCERT_QUOTA,
                              "the project has its %lu certificates, and no "
                              "more are allowed",
                              (unsigned long) change->quota);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_wafcert_judge_name_locked(ngx_wafcert_node_t *named,
    ngx_wafcert_change_t *change, wafcert_verdict_t *verdict)
{
    u_char  id[2 * NGX_WAFCERT_ID_LEN];

    /* its own change may give the name up, or never come to be */

    if (named->busy) {
        ngx_memcpy(change->blocked, named->id, NGX_WAFCERT_ID_LEN);
        return NGX_BUSY;
    }

    ngx_memcpy(change->named, named->id, NGX_WAFCERT_ID_LEN);

    if (change->op == NGX_WAFCERT_CREATE
        && ngx_wafcert_node_same_chain_locked(named, change->facts))
    {
        if (!change->foreign) {
            ngx_memcpy(change->id, named->id, NGX_WAFCERT_ID_LEN);
        }

        return NGX_DONE;
    }

    ngx_hex_dump(id, named->id, NGX_WAFCERT_ID_LEN);

    (void) wafcert_refuse(verdict, WAFCERT_NAME_DUPLICATE,
                          "another certificate of the project has the name "
                          "\"%.*s\"", (int) change->name.len,
                          change->name.data);

    wafcert_hint(verdict, "certificate %.*s has this name: modify that one, "
                 "delete it, or choose another name",
                 (int) sizeof(id), id);

    return NGX_DECLINED;
}


static ngx_wafcert_slot_t *
ngx_wafcert_slot_locked(ngx_wafcert_sh_t *sh)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_WAFCERT_SLOTS; i++) {
        if (sh->slots[i].pid == 0) {
            return &sh->slots[i];
        }
    }

    return NULL;
}


ngx_wafcert_project_t *
ngx_wafcert_project_locked(ngx_wafcert_sh_t *sh, const ngx_str_t *name,
    ngx_rbtree_key_t key)
{
    ngx_rbtree_node_t      *node;
    ngx_wafcert_project_t  *project;

    for (node = ngx_wafcert_index_first_locked(&sh->projects, key);
         node;
         node = ngx_wafcert_index_next_locked(&sh->projects, node))
    {
        project = ngx_rbtree_data(node, ngx_wafcert_project_t, node);

        if (project->len == name->len
            && ngx_memcmp(project->name, name->data, name->len) == 0)
        {
            return project;
        }
    }

    return NULL;
}


static ngx_wafcert_project_t *
ngx_wafcert_project_add_locked(ngx_wafcert_store_t *store,
    const ngx_str_t *name, ngx_rbtree_key_t key)
{
    ngx_wafcert_project_t  *project;

    project = ngx_slab_calloc_locked(store->shpool,
                                     offsetof(ngx_wafcert_project_t, name)
                                     + name->len);
    if (project == NULL) {
        return NULL;
    }

    project->len = name->len;
    ngx_memcpy(project->name, name->data, name->len);

    ngx_rbtree_init(&project->names, &project->sentinel,
                    ngx_rbtree_insert_value);
    ngx_queue_init(&project->records);

    project->node.key = key;
    ngx_rbtree_insert(&store->sh->projects, &project->node);
    ngx_wafcert_queue_insert(&store->sh->queue, &project->queue);

    return project;
}


void
ngx_wafcert_project_release_locked(ngx_wafcert_store_t *store,
    ngx_wafcert_project_t *project)
{
    if (--project->refs) {
        return;
    }

    ngx_wafcert_queue_remove(&project->queue);
    ngx_rbtree_delete(&store->sh->projects, &project->node);
    ngx_slab_free_locked(store->shpool, project);
}


ngx_wafcert_node_t *
ngx_wafcert_find_id_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_project_t *project, const u_char *id)
{
    return ngx_wafcert_find_in_locked(&sh->ids, project, id);
}


ngx_wafcert_node_t *
ngx_wafcert_gone_locked(ngx_wafcert_sh_t *sh, const u_char *id)
{
    return ngx_wafcert_find_in_locked(&sh->gone, NULL, id);
}


static ngx_wafcert_node_t *
ngx_wafcert_find_in_locked(ngx_rbtree_t *tree, ngx_wafcert_project_t *project,
    const u_char *id)
{
    ngx_rbtree_node_t   *node;
    ngx_wafcert_node_t  *n;

    for (node = ngx_wafcert_index_first_locked(tree,
                                               ngx_wafcert_index_key(id));
         node;
         node = ngx_wafcert_index_next_locked(tree, node))
    {
        n = ngx_rbtree_data(node, ngx_wafcert_node_t, id_node);

        if ((project == NULL || n->project == project)
            && ngx_memcmp(n->id, id, NGX_WAFCERT_ID_LEN) == 0)
        {
            return n;
        }
    }

    return NULL;
}


static ngx_wafcert_node_t *
ngx_wafcert_find_name_locked(ngx_wafcert_project_t *project,
    const ngx_str_t *name, ngx_rbtree_key_t key)
{
    ngx_rbtree_node_t   *node;
    ngx_wafcert_node_t  *n;

    for (node = ngx_wafcert_index_first_locked(&project->names, key);
         node;
         node = ngx_wafcert_index_next_locked(&project->names, node))
    {
        n = ngx_rbtree_data(node, ngx_wafcert_node_t, name_node);

        if (n->name_len == name->len
            && ngx_memcmp(ngx_wafcert_node_name(n), name->data, name->len)
               == 0)
        {
            return n;
        }
    }

    return NULL;
}


ngx_int_t
ngx_wafcert_store_publish(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change)
{
    ngx_int_t            rc;
    ngx_wafcert_slot_t  *slot;

    slot = &store->sh->slots[change->slot];

    ngx_wafcert_zone_lock_write(store);

    if (slot->pid != ngx_pid) {
        rc = NGX_ERROR;

    } else if (store->sh->instance
               != ngx_wafcert_state_instance(store->state))
    {
        ngx_wafcert_cancel_locked(store, slot);
        rc = NGX_ABORT;

    } else {
        ngx_wafcert_publish_locked(store, slot, 0);
        rc = NGX_OK;
    }

    ngx_wafcert_zone_unlock(store);

    ngx_wafcert_hosts_extend_rest(store);

    ngx_wafcert_wait_wake(change->id);

    return rc;
}


ngx_int_t
ngx_wafcert_store_put(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change, wafcert_verdict_t *verdict)
{
    uint64_t             sequence;
    ngx_int_t            rc;
    ngx_rbtree_key_t     project_key, name_key;
    ngx_wafcert_sh_t    *sh;
    ngx_wafcert_node_t  *n;
    ngx_wafcert_slot_t  *slot;

    sh = store->sh;
    sequence = change->sequence;
    project_key = ngx_wafcert_index_string_key(&change->project);
    name_key = ngx_wafcert_index_string_key(&change->name);

    ngx_wafcert_zone_lock_write(store);

    if (!change->foreign && ngx_wafcert_newer_locked(sh, change)) {
        rc = NGX_BUSY;

    } else {
        rc = ngx_wafcert_reserve_locked(store, change, project_key, name_key,
                                        verdict);
    }

    if (rc == NGX_OK) {
        slot = &sh->slots[change->slot];
        n = slot->new;

        if (change->op == NGX_WAFCERT_CREATE && !change->foreign
            && sequence > n->sequence)
        {
            n->sequence = sequence;
            sh->sequence = sequence;
        }

        ngx_wafcert_publish_locked(store, slot,
                                   change->foreign && sh->instance);
    }

    ngx_wafcert_zone_unlock(store);

    ngx_wafcert_hosts_extend_rest(store);

    change->dating = 0;

    return rc;
}


void
ngx_wafcert_store_renew(ngx_wafcert_store_t *store, u_char *id,
    uint64_t sequence)
{
    ngx_wafcert_node_t  *n;

    ngx_wafcert_zone_lock_write(store);

    n = ngx_wafcert_find_id_locked(store->sh, NULL, id);

    if (n) {
        n->sequence = sequence;
        store->sh->sequence = ngx_max(store->sh->sequence, sequence);

        ngx_wafcert_queue_remove(&n->queue);
        ngx_wafcert_queue_insert(&n->project->records, &n->queue);
    }

    ngx_wafcert_zone_unlock(store);
}


ngx_int_t
ngx_wafcert_store_entry(ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry, ngx_uint_t next)
{
    ngx_wafcert_node_t  *n;

    ngx_wafcert_zone_lock(store);

    n = next ? ngx_wafcert_find_next_locked(store->sh, entry->id)
             : ngx_wafcert_find_id_locked(store->sh, NULL, entry->id);

    if (n) {
        ngx_wafcert_entry_locked(entry, n);

    } else {
        entry->version = store->sh->version;
    }

    ngx_wafcert_zone_unlock(store);

    return n ? NGX_OK : NGX_DECLINED;
}


void
ngx_wafcert_entry_locked(ngx_wafcert_entry_t *entry, ngx_wafcert_node_t *n)
{
    entry->version = n->version;
    entry->revision = n->revision;
    entry->timestamp = n->timestamp;
    entry->sequence = n->sequence;
    entry->project.data = entry->name;
    entry->project.len = n->project->len;

    ngx_memcpy(entry->id, n->id, NGX_WAFCERT_ID_LEN);
    ngx_memcpy(entry->name, n->project->name, n->project->len);
}


ngx_atomic_uint_t
ngx_wafcert_store_generation(ngx_wafcert_store_t *store)
{
    return store->sh->generation;
}


ngx_int_t
ngx_wafcert_store_is(ngx_wafcert_store_t *store, const u_char *id,
    uint64_t version)
{
    ngx_int_t            rc;
    ngx_wafcert_node_t  *n;

    if (ngx_wafcert_zone_trylock(store) != NGX_OK) {
        return NGX_BUSY;
    }

    n = ngx_wafcert_find_id_locked(store->sh, NULL, id);
    rc = (n && n->version == version) ? NGX_OK : NGX_DECLINED;

    ngx_wafcert_zone_unlock(store);

    return rc;
}


ngx_int_t
ngx_wafcert_store_trying(ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry, int64_t until)
{
    ngx_int_t            rc;
    ngx_wafcert_node_t  *n;

    rc = NGX_DECLINED;

    ngx_wafcert_zone_lock_write(store);

    n = ngx_wafcert_find_id_locked(store->sh, NULL, entry->id);

    if (n && n->version == entry->version && !n->tried) {
        n->trying = until;
        ngx_wafcert_choose_again_locked(store->sh, n);

        rc = NGX_OK;
    }

    ngx_wafcert_zone_unlock(store);

    return rc;
}


void
ngx_wafcert_store_tried(ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry)
{
    ngx_wafcert_node_t  *n;

    ngx_wafcert_zone_lock_write(store);

    n = ngx_wafcert_find_id_locked(store->sh, NULL, entry->id);

    if (n && n->version == entry->version) {
        n->tried = 1;

        if (n->trying) {
            n->trying = 0;
            ngx_wafcert_choose_again_locked(store->sh, n);
        }
    }

    ngx_wafcert_zone_unlock(store);
}


ngx_int_t
ngx_wafcert_store_unusable(ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry)
{
    return ngx_wafcert_store_worse(store, entry, WAFCERT_LEVEL_MAX, 0, 1);
}


ngx_int_t
ngx_wafcert_store_limited(ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry, ngx_uint_t level, ngx_uint_t handicap)
{
    return ngx_wafcert_store_worse(store, entry, level, handicap, 0);
}


/* NGX_OK: it is worse than was known */

static ngx_int_t
ngx_wafcert_store_worse(ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry, ngx_uint_t level, ngx_uint_t handicap,
    ngx_uint_t unusable)
{
    ngx_int_t            rc;
    ngx_wafcert_node_t  *n;

    rc = NGX_DECLINED;

    ngx_wafcert_zone_lock_write(store);

    n = ngx_wafcert_find_id_locked(store->sh, NULL, entry->id);

    if (n && n->version == entry->version
        && (level < n->level || handicap > n->handicap
            || unusable > n->unusable))
    {
        n->level = ngx_min(n->level, level);
        n->handicap = ngx_max(n->handicap, handicap);
        n->unusable = ngx_max(n->unusable, unusable);

        ngx_wafcert_choose_again_locked(store->sh, n);

        rc = NGX_OK;
    }

    ngx_wafcert_zone_unlock(store);

    return rc;
}


/* what is known of it has changed */

static void
ngx_wafcert_choose_again_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_node_t *n)
{
    sh->generation++;
    ngx_wafcert_hosts_show_locked(sh, n);
}


void
ngx_wafcert_store_since(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change, const u_char *id, const ngx_str_t *hosts,
    int64_t *since)
{
    ngx_wafcert_node_t  *n;
    ngx_wafcert_slot_t  *slot;

    ngx_wafcert_zone_lock(store);

    if (change) {
        slot = &store->sh->slots[change->slot];
        n = (slot->pid == ngx_pid) ? slot->new : NULL;

    } else {
        n = ngx_wafcert_find_id_locked(store->sh, NULL, id);
    }

    if (n && n->hosts_len == hosts->len) {
        ngx_wafcert_hosts_since_locked(n, hosts, since);
    }

    ngx_wafcert_zone_unlock(store);
}


/* The order is that of keys, and of ids where keys are equal. */

static ngx_wafcert_node_t *
ngx_wafcert_find_next_locked(ngx_wafcert_sh_t *sh, const u_char *id)
{
    ngx_rbtree_key_t     key;
    ngx_rbtree_node_t   *node;
    ngx_wafcert_node_t  *n, *next;

    next = NULL;
    key = ngx_wafcert_index_key(id);

    for (node = ngx_wafcert_index_from_locked(&sh->ids, key);
         node && (next == NULL || node->key == next->id_node.key);
         node = ngx_rbtree_next(&sh->ids, node))
    {
        n = ngx_rbtree_data(node, ngx_wafcert_node_t, id_node);

        if (node->key == key
            && ngx_memcmp(n->id, id, NGX_WAFCERT_ID_LEN) <= 0)
        {
            continue;
        }

        if (next == NULL
            || ngx_memcmp(n->id, next->id, NGX_WAFCERT_ID_LEN) < 0)
        {
            next = n;
        }
    }

    return next;
}


ngx_int_t
ngx_wafcert_store_dead(ngx_wafcert_store_t *store, ngx_wafcert_dead_t *dead)
{
    ngx_pid_t            pid;
    ngx_uint_t           i;
    ngx_wafcert_node_t  *n;
    ngx_wafcert_slot_t  *slot;

    for (i = dead->slot; i < NGX_WAFCERT_SLOTS; i++) {
        slot = &store->sh->slots[i];

        pid = slot->pid;

        if (pid == 0 || pid == ngx_pid
            || !ngx_wafcert_zone_gone(pid, slot->birth))
        {
            continue;
        }

        ngx_wafcert_zone_lock(store);

        if (slot->pid != pid) {
            ngx_wafcert_zone_unlock(store);
            continue;
        }

        n = slot->new ? slot->new : slot->old;

        dead->slot = i;
        dead->pid = pid;
        dead->op = (slot->new == NULL && n) ? NGX_WAFCERT_DELETE
                                            : NGX_WAFCERT_CREATE;
        dead->new_revision = 0;
        ngx_memzero(dead->id, NGX_WAFCERT_ID_LEN);

        if (n) {
            dead->new_revision = n->revision;
            ngx_memcpy(dead->id, n->id, NGX_WAFCERT_ID_LEN);
        }

        ngx_wafcert_zone_unlock(store);

        return NGX_OK;
    }

    return NGX_DECLINED;
}


void
ngx_wafcert_store_settle(ngx_wafcert_store_t *store,
    ngx_wafcert_dead_t *dead, ngx_uint_t made)
{
    ngx_wafcert_slot_t  *slot;

    slot = &store->sh->slots[dead->slot];

    ngx_wafcert_zone_lock_write(store);

    if (slot->pid == dead->pid) {

        if (made) {
            ngx_wafcert_publish_locked(store, slot, 0);

        } else {
            ngx_wafcert_cancel_locked(store, slot);
        }
    }

    ngx_wafcert_zone_unlock(store);

    ngx_wafcert_hosts_extend_rest(store);
}


/*
 * What is behind is in that list first.  A process that dies after that has
 * left a record that is behind needlessly, or what is in no other list: that
 * was to be seen never, or is gone.
 */

static void
ngx_wafcert_publish_locked(ngx_wafcert_store_t *store,
    ngx_wafcert_slot_t *slot, ngx_uint_t behind)
{
    ngx_wafcert_sh_t       *sh;
    ngx_wafcert_node_t     *n, *old;
    ngx_wafcert_project_t  *project;

    sh = store->sh;
    n = slot->new;
    old = slot->old;
    project = slot->project;

    sh->generation++;

    if (behind) {
        ngx_wafcert_behind_add_locked(sh, n ? n : old);
    }

    if (n == NULL) {
        old->gone = behind;
        ngx_memory_barrier();

        ngx_wafcert_queue_remove(&old->queue);
        project->certificates--;

        if (!behind) {
            project->refs--;
        }

    } else if (old) {
        n->published = old->published;
        ngx_wafcert_queue_replace(&old->queue, &n->queue);

    } else {
        n->published = sh->generation;
        ngx_wafcert_insert_locked(project, n);
        project->refs++;
    }

    if (old) {
        project->taken -= ngx_wafcert_node_taken_locked(old);

        ngx_rbtree_delete(&sh->ids, &old->id_node);
        ngx_rbtree_delete(&project->names, &old->name_node);
        ngx_wafcert_hosts_change_locked(sh, old);
        ngx_wafcert_hosts_free_locked(store->shpool, old);
    }

    if (n) {
        ngx_rbtree_insert(&sh->ids, &n->id_node);
        ngx_wafcert_hosts_show_locked(sh, n);
        ngx_wafcert_hosts_extend_locked(sh, n);

        /* a new name stands in the index since it was reserved */

        if (n->busy == 0) {
            ngx_rbtree_insert(&project->names, &n->name_node);
        }

        n->busy = 0;
        sh->stale += n->stale;
    }

    if (old) {
        sh->stale -= old->stale;
    }

    slot->pid = 0;

    if (old && old->gone) {
        ngx_wafcert_gone_bury_locked(store, old);

    } else if (old) {
        ngx_wafcert_behind_remove_locked(sh, old);
        ngx_wafcert_node_free_locked(store->shpool, &sh->issuers, old);

    } else {
        ngx_wafcert_gone_remove_locked(store, n->id);
    }

    ngx_wafcert_project_release_locked(store, project);
}


/* Those that were reserved later may have been published before. */

static void
ngx_wafcert_insert_locked(ngx_wafcert_project_t *project,
    ngx_wafcert_node_t *n)
{
    ngx_queue_t         *q;
    ngx_wafcert_node_t  *next;

    for (q = ngx_queue_head(&project->records);
         q != ngx_queue_sentinel(&project->records);
         q = ngx_queue_next(q))
    {
        next = ngx_queue_data(q, ngx_wafcert_node_t, queue);

        if (next->sequence < n->sequence) {
            break;
        }
    }

    ngx_wafcert_queue_insert(ngx_queue_prev(q), &n->queue);
}


void
ngx_wafcert_store_cancel(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change)
{
    ngx_wafcert_slot_t  *slot;

    slot = &store->sh->slots[change->slot];

    ngx_wafcert_zone_lock_write(store);

    if (slot->pid == ngx_pid) {
        ngx_wafcert_cancel_locked(store, slot);
    }

    ngx_wafcert_zone_unlock(store);

    ngx_wafcert_wait_wake(change->id);
}


static void
ngx_wafcert_cancel_locked(ngx_wafcert_store_t *store,
    ngx_wafcert_slot_t *slot)
{
    ngx_wafcert_node_t     *n;
    ngx_wafcert_project_t  *project;

    n = slot->new;
    project = slot->project;

    if (slot->old) {
        slot->old->busy = 0;
    }

    if (n && slot->old == NULL) {
        project->certificates--;
    }

    if (n && n->busy) {
        ngx_rbtree_delete(&project->names, &n->name_node);
    }

    slot->pid = 0;

    if (n) {
        project->taken -= ngx_wafcert_node_taken_locked(n);
        ngx_wafcert_node_free_locked(store->shpool, &store->sh->issuers, n);
    }

    ngx_wafcert_project_release_locked(store, project);
}
