
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_store.h"
#include "ngx_wafcert_zone.h"
#include "ngx_wafcert_wait.h"


/*
 * Changes of certificates whose ids somebody else gives: what has been done
 * there is recorded here, in the order in which it was heard of.
 */


/* ms; whoever waits longer has given up, or died */
#define NGX_WAFCERT_TURN_MAX  60000


void
ngx_wafcert_store_queue(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change)
{
    ngx_uint_t           i;
    ngx_wafcert_sh_t    *sh;
    ngx_wafcert_turn_t  *turn;

    sh = store->sh;
    change->foreign = 1;

    ngx_wafcert_zone_lock_write(store);

    change->turn = ++sh->turn;

    for (i = 0; i < NGX_WAFCERT_TURNS; i++) {
        turn = &sh->turns[i];

        if (turn->number == 0
            || ngx_current_msec - turn->time > NGX_WAFCERT_TURN_MAX)
        {
            ngx_memcpy(turn->id, change->id, NGX_WAFCERT_ID_LEN);
            turn->time = ngx_current_msec;
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

    ngx_wafcert_zone_unlock(store);

    ngx_wafcert_wait_wake(change->id);
}


ngx_uint_t
ngx_wafcert_store_unrecorded(ngx_wafcert_store_t *store)
{
    return ngx_atomic_fetch_add(&store->sh->unrecorded, 1) + 1;
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
