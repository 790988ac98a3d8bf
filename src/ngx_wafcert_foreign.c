
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_store.h"
#include "ngx_wafcert_zone.h"
#include "ngx_wafcert_state.h"
#include "ngx_wafcert_hosts.h"
#include "ngx_wafcert_wait.h"


/*
 * Changes of certificates whose ids somebody else gives: what has been done
 * there is recorded here, in the order in which it was heard of.
 */


/* ms; whoever waits longer has given up, or died */
#define NGX_WAFCERT_TURN_MAX  60000

/* records that one hold of the lock may pass over */
#define NGX_WAFCERT_BEHIND_STEP  256


static ngx_uint_t ngx_wafcert_room_hosts(ngx_wafcert_store_t *store,
    const ngx_str_t *hosts);
static void ngx_wafcert_room_take_locked(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change, ngx_rbtree_key_t key, ngx_uint_t hosts);
static ngx_uint_t ngx_wafcert_room_allowed_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_room_t *room, ngx_wafcert_change_t *change,
    ngx_wafcert_project_t *project, ngx_wafcert_node_t *old);
static ngx_wafcert_room_t *ngx_wafcert_room_locked(ngx_wafcert_sh_t *sh,
    uint64_t number);
static void ngx_wafcert_file_locked(ngx_wafcert_file_t *file,
    ngx_wafcert_node_t *n);


void
ngx_wafcert_store_queue(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change)
{
    uint64_t             birth;
    ngx_uint_t           i;
    ngx_wafcert_sh_t    *sh;
    ngx_wafcert_turn_t  *turn;

    sh = store->sh;
    change->foreign = 1;

    birth = ngx_wafcert_zone_birth();

    ngx_wafcert_zone_lock_write(store);

    change->turn = ++sh->turn;

    for (i = 0; i < NGX_WAFCERT_TURNS; i++) {
        turn = &sh->turns[i];

        if (turn->number == 0
            || ngx_current_msec - turn->time > NGX_WAFCERT_TURN_MAX)
        {
            ngx_memcpy(turn->id, change->id, NGX_WAFCERT_ID_LEN);
            turn->time = ngx_current_msec;
            turn->pid = ngx_pid;
            turn->birth = birth;
            turn->number = change->turn;
            break;
        }
    }

    ngx_wafcert_zone_unlock(store);
}


void
ngx_wafcert_store_leave(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change)
{
    ngx_uint_t         i;
    ngx_wafcert_sh_t  *sh;

    sh = store->sh;

    ngx_wafcert_zone_lock_write(store);

    for (i = 0; i < NGX_WAFCERT_TURNS; i++) {
        if (sh->turns[i].number == change->turn) {
            sh->turns[i].number = 0;
            break;
        }
    }

    ngx_wafcert_room_free_locked(store, change);

    ngx_wafcert_zone_unlock(store);

    ngx_wafcert_wait_wake(change->id);
}


void
ngx_wafcert_store_room(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change)
{
    ngx_uint_t        hosts;
    ngx_rbtree_key_t  key;

    hosts = ngx_wafcert_room_hosts(store, &change->facts->hosts);
    key = ngx_wafcert_index_string_key(&change->project);

    /* it is asked for under the lock later */

    (void) ngx_wafcert_zone_birth();

    ngx_wafcert_zone_lock_write(store);

    ngx_wafcert_room_take_locked(store, change, key, hosts);

    ngx_wafcert_zone_unlock(store);
}


/* of those that the record will be found by */

static ngx_uint_t
ngx_wafcert_room_hosts(ngx_wafcert_store_t *store, const ngx_str_t *hosts)
{
    size_t              i;
    ngx_str_t           text;
    ngx_uint_t          n;
    ngx_wafcert_name_t  name;

    n = 0;

    for (i = 0; i < hosts->len; i += text.len + 1) {
        text.data = hosts->data + i;
        text.len = ngx_strlen(text.data);

        n += ngx_wafcert_hosts_indexed(store->sh, &name, &text);
    }

    return n;
}


static void
ngx_wafcert_room_take_locked(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change, ngx_rbtree_key_t key, ngx_uint_t hosts)
{
    size_t                  name_len;
    ngx_wafcert_sh_t       *sh;
    ngx_wafcert_node_t     *old;
    ngx_wafcert_room_t     *room;
    ngx_wafcert_project_t  *project;

    sh = store->sh;

    project = ngx_wafcert_project_locked(sh, &change->project, key);

    old = (project && change->op == NGX_WAFCERT_MODIFY)
          ? ngx_wafcert_find_id_locked(sh, project, change->id) : NULL;

    /* what is not sent stays, or is the WAF's secret */

    name_len = change->name.len ? change->name.len
               : old ? old->name_len : WAFCERT_NAME_MAX;

    room = ngx_wafcert_room_locked(sh, 0);

    if (room == NULL) {
        return;
    }

    room->blob = ngx_wafcert_node_room_locked(store->shpool, change, name_len,
                                              hosts, &room->size);

    if (room->blob == NULL) {
        return;
    }

    room->project = key;
    room->create = (old == NULL);
    ngx_memcpy(room->id, change->id, NGX_WAFCERT_ID_LEN);
    room->birth = ngx_wafcert_zone_birth();
    room->pid = ngx_pid;
    room->number = ++sh->turn;

    change->room = room->number;

    if (ngx_wafcert_zone_full_locked(store)
        || !ngx_wafcert_room_allowed_locked(sh, room, change, project, old))
    {
        ngx_wafcert_room_free_locked(store, change);
    }
}


/*
 * All that a project has taken counts, of whatever will come of it; but what
 * takes no more than before may stay, however much that is.  That has one room
 * at a time, for the project could take any number of them.
 */

static ngx_uint_t
ngx_wafcert_room_allowed_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_room_t *room, ngx_wafcert_change_t *change,
    ngx_wafcert_project_t *project, ngx_wafcert_node_t *old)
{
    size_t               taken, before;
    ngx_uint_t           i, certificates;
    ngx_wafcert_room_t  *other;

    taken = 0;
    certificates = 0;

    for (i = 0; i < NGX_WAFCERT_ROOMS; i++) {
        other = &sh->rooms[i];

        if (other->number == 0 || other->project != room->project) {
            continue;
        }

        if (old && other != room
            && ngx_memcmp(other->id, room->id, NGX_WAFCERT_ID_LEN) == 0)
        {
            return 0;
        }

        taken += other->size;
        certificates += other->create;
    }

    if (project) {
        taken += project->taken;
        certificates += project->certificates;
    }

    before = old ? ngx_wafcert_node_taken_locked(old) : 0;

    return (old || change->quota == 0 || certificates <= change->quota)
           && (change->quota_size == 0 || room->size <= before
               || taken - before <= change->quota_size);
}


void
ngx_wafcert_store_room_free(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change)
{
    if (change->room) {
        ngx_wafcert_zone_lock_write(store);

        ngx_wafcert_room_free_locked(store, change);

        ngx_wafcert_zone_unlock(store);
    }
}


/* a repair of the zone takes them all */

void
ngx_wafcert_room_free_locked(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change)
{
    ngx_wafcert_room_t  *room;

    if (change->room == 0) {
        return;
    }

    room = ngx_wafcert_room_locked(store->sh, change->room);

    if (room) {
        room->number = 0;
        ngx_wafcert_blob_free_locked(store->shpool, room->blob);
    }

    change->room = 0;
}


static ngx_wafcert_room_t *
ngx_wafcert_room_locked(ngx_wafcert_sh_t *sh, uint64_t number)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_WAFCERT_ROOMS; i++) {
        if (sh->rooms[i].number == number) {
            return &sh->rooms[i];
        }
    }

    return NULL;
}


void
ngx_wafcert_store_unqueue_dead(ngx_wafcert_store_t *store)
{
    uint64_t             number;
    ngx_pid_t            pid;
    ngx_uint_t           i;
    ngx_wafcert_room_t  *room;
    ngx_wafcert_turn_t  *turn;

    for (i = 0; i < NGX_WAFCERT_ROOMS; i++) {
        room = &store->sh->rooms[i];

        pid = room->pid;
        number = room->number;

        if (number == 0 || pid == ngx_pid
            || !ngx_wafcert_zone_gone(pid, room->birth))
        {
            continue;
        }

        ngx_wafcert_zone_lock_write(store);

        if (room->number == number) {
            room->number = 0;
            ngx_wafcert_blob_free_locked(store->shpool, room->blob);
        }

        ngx_wafcert_zone_unlock(store);
    }

    for (i = 0; i < NGX_WAFCERT_TURNS; i++) {
        turn = &store->sh->turns[i];

        pid = turn->pid;
        number = turn->number;

        if (number == 0 || pid == ngx_pid
            || !ngx_wafcert_zone_gone(pid, turn->birth))
        {
            continue;
        }

        ngx_wafcert_zone_lock_write(store);

        if (turn->number == number) {
            turn->number = 0;
        }

        ngx_wafcert_zone_unlock(store);
    }
}


ngx_uint_t
ngx_wafcert_store_unrecorded(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change)
{
    ngx_rbtree_key_t        key;
    ngx_wafcert_sh_t       *sh;
    ngx_wafcert_node_t     *n;
    ngx_wafcert_project_t  *project;

    sh = store->sh;
    n = NULL;
    key = change ? ngx_wafcert_index_string_key(&change->project) : 0;

    ngx_wafcert_zone_lock_write(store);

    sh->unrecorded++;

    project = change ? ngx_wafcert_project_locked(sh, &change->project, key)
                     : NULL;

    if (project) {
        n = ngx_wafcert_find_id_locked(sh, project, change->id);
    }

    if (n && !n->stale) {
        n->stale = 1;
        sh->stale++;

        if (sh->instance) {
            ngx_wafcert_behind_add_locked(sh, n);
        }
    }

    ngx_wafcert_zone_unlock(store);

    return n != NULL;
}


void
ngx_wafcert_store_numbers(ngx_wafcert_store_t *store,
    ngx_wafcert_behind_t *numbers)
{
    ngx_wafcert_sh_t  *sh;

    sh = store->sh;

    ngx_wafcert_zone_lock(store);

    numbers->unrecorded = sh->unrecorded;
    numbers->stale = sh->stale;
    numbers->behind = sh->instance ? sh->nbehind : 0;

    ngx_wafcert_zone_unlock(store);
}


ngx_int_t
ngx_wafcert_store_file(ngx_wafcert_store_t *store, ngx_wafcert_file_t *file)
{
    ngx_wafcert_node_t  *n;

    ngx_wafcert_zone_lock(store);

    n = ngx_wafcert_find_id_locked(store->sh, NULL, file->entry.id);

    if (n) {
        ngx_wafcert_file_locked(file, n);
    }

    ngx_wafcert_zone_unlock(store);

    return n ? NGX_OK : NGX_DECLINED;
}


static void
ngx_wafcert_file_locked(ngx_wafcert_file_t *file, ngx_wafcert_node_t *n)
{
    ngx_wafcert_entry_locked(&file->entry, n);

    file->gone = n->gone;
    file->stale = n->stale;
    file->name.data = file->buf;
    file->name.len = n->name_len;

    ngx_memcpy(file->buf, ngx_wafcert_node_name(n), n->name_len);
}


ngx_int_t
ngx_wafcert_store_behind(ngx_wafcert_store_t *store,
    ngx_wafcert_file_t *file)
{
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_queue_t         *q;
    ngx_wafcert_sh_t    *sh;
    ngx_wafcert_node_t  *n;

    sh = store->sh;

    ngx_wafcert_zone_lock_write(store);

    rc = ngx_queue_empty(&sh->behind) ? NGX_DECLINED : NGX_AGAIN;

    for (q = ngx_queue_last(&sh->behind), i = 0;
         q != ngx_queue_sentinel(&sh->behind) && i < NGX_WAFCERT_BEHIND_STEP;
         q = ngx_queue_prev(q), i++)
    {
        n = ngx_queue_data(q, ngx_wafcert_node_t, behind);

        if (n->round != sh->round) {
            ngx_wafcert_file_locked(file, n);
            n->round = sh->round;
            rc = NGX_OK;
            break;
        }
    }

    ngx_wafcert_zone_unlock(store);

    return rc;
}


/* 0 is what has been in none */

void
ngx_wafcert_store_round(ngx_wafcert_store_t *store)
{
    ngx_wafcert_zone_lock_write(store);

    if (++store->sh->round == 0) {
        store->sh->round = 1;
    }

    ngx_wafcert_zone_unlock(store);
}


void
ngx_wafcert_store_written(ngx_wafcert_store_t *store,
    ngx_wafcert_file_t *file)
{
    ngx_wafcert_sh_t    *sh;
    ngx_wafcert_node_t  *n;

    sh = store->sh;

    ngx_wafcert_zone_lock_write(store);

    n = file->gone ? ngx_wafcert_gone_locked(sh, file->entry.id)
                   : ngx_wafcert_find_id_locked(sh, NULL, file->entry.id);

    if (n == NULL
        || sh->instance != ngx_wafcert_state_instance(store->state))
    {
        goto done;
    }

    if (n->version != file->entry.version || n->stale != file->stale) {
        n->round = 0;

    } else if (n->gone) {
        ngx_wafcert_gone_remove_locked(store, file->entry.id);

    } else {
        ngx_wafcert_behind_remove_locked(sh, n);
    }

done:

    ngx_wafcert_zone_unlock(store);
}


ngx_uint_t
ngx_wafcert_store_newer(ngx_wafcert_store_t *store, const u_char *id)
{
    ngx_uint_t           newer;
    ngx_wafcert_sh_t    *sh;
    ngx_wafcert_node_t  *n;

    sh = store->sh;

    if (sh->nbehind == 0) {
        return 0;
    }

    ngx_wafcert_zone_lock(store);

    n = ngx_wafcert_find_id_locked(sh, NULL, id);

    newer = (n && n->behind.next) || ngx_wafcert_gone_locked(sh, id);

    ngx_wafcert_zone_unlock(store);

    return newer;
}


ngx_uint_t
ngx_wafcert_newer_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_change_t *change)
{
    ngx_wafcert_node_t  *n;

    n = ngx_wafcert_find_id_locked(sh, NULL, change->id);

    if (n) {
        return n->behind.next || change->op == NGX_WAFCERT_CREATE;
    }

    return ngx_wafcert_gone_locked(sh, change->id) != NULL;
}


/* the oldest is the last one */

void
ngx_wafcert_behind_add_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_node_t *n)
{
    if (n->behind.next == NULL) {
        n->round = 0;
        ngx_wafcert_queue_insert(&sh->behind, &n->behind);
        sh->nbehind++;
    }
}


void
ngx_wafcert_behind_remove_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_node_t *n)
{
    if (n->behind.next) {
        ngx_wafcert_queue_remove(&n->behind);
        n->behind.next = NULL;
        sh->nbehind--;
    }
}


/* as small as there is room for, but there is always room */

void
ngx_wafcert_gone_bury_locked(ngx_wafcert_store_t *store,
    ngx_wafcert_node_t *n)
{
    ngx_wafcert_node_t  *copy;

    ngx_wafcert_node_bury_locked(store->shpool, &store->sh->issuers, n);

    copy = ngx_wafcert_node_copy_buried_locked(store->shpool, n);

    if (copy) {
        copy->project = n->project;

        ngx_wafcert_queue_replace(&n->behind, &copy->behind);
        ngx_wafcert_blob_free_locked(store->shpool, n);

        n = copy;
    }

    ngx_wafcert_gone_add_locked(store->sh, n);
}


void
ngx_wafcert_gone_add_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_node_t *n)
{
    n->id_node.key = ngx_wafcert_index_key(n->id);

    ngx_rbtree_insert(&sh->gone, &n->id_node);
}


void
ngx_wafcert_gone_remove_locked(ngx_wafcert_store_t *store, const u_char *id)
{
    ngx_wafcert_sh_t       *sh;
    ngx_wafcert_node_t     *n;
    ngx_wafcert_project_t  *project;

    sh = store->sh;

    n = ngx_wafcert_gone_locked(sh, id);
    if (n == NULL) {
        return;
    }

    project = n->project;

    ngx_wafcert_behind_remove_locked(sh, n);
    ngx_rbtree_delete(&sh->gone, &n->id_node);
    ngx_wafcert_blob_free_locked(store->shpool, n);

    ngx_wafcert_project_release_locked(store, project);
}


/*
 * The id may be that of a certificate that is about to be published or, though
 * it should not, of another project's.
 */

ngx_int_t
ngx_wafcert_foreign_judge_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_node_t *old, ngx_wafcert_change_t *change,
    wafcert_verdict_t *verdict)
{
    ngx_uint_t           i;
    ngx_wafcert_node_t  *n;
    ngx_wafcert_turn_t  *turn;

    for (i = 0; i < NGX_WAFCERT_TURNS; i++) {
        turn = &sh->turns[i];

        if (turn->number && turn->number < change->turn
            && ngx_current_msec - turn->time <= NGX_WAFCERT_TURN_MAX
            && ngx_memcmp(turn->id, change->id, NGX_WAFCERT_ID_LEN) == 0)
        {
            return NGX_BUSY;
        }
    }

    if (old) {
        return NGX_OK;
    }

    for (i = 0; i < NGX_WAFCERT_SLOTS; i++) {
        n = sh->slots[i].new;

        if (sh->slots[i].pid && n
            && ngx_memcmp(n->id, change->id, NGX_WAFCERT_ID_LEN) == 0)
        {
            return NGX_BUSY;
        }
    }

    if (change->op != NGX_WAFCERT_CREATE) {
        return NGX_OK;
    }

    n = ngx_wafcert_find_id_locked(sh, NULL, change->id);

    if (n == NULL) {
        return NGX_OK;
    }

    if (n->project->len == change->project.len
        && ngx_memcmp(n->project->name, change->project.data,
                      change->project.len)
           == 0)
    {
        return NGX_AGAIN;
    }

    return wafcert_refuse(verdict, WAFCERT_ID_ILLEGAL,
                          "a certificate of another project has this id");
}
