
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_wait.h"


#define NGX_WAFCERT_LOOK  10            /* ms */


static ngx_wafcert_wait_t *ngx_wafcert_wait_find(ngx_queue_t *q,
    const u_char *id);
static void ngx_wafcert_wait_post(ngx_wafcert_wait_t *wait);
static void ngx_wafcert_wait_look(ngx_event_t *ev);


const u_char  ngx_wafcert_wait_any[NGX_WAFCERT_ID_LEN] = { 1 };

/* in the order in which they came */
static ngx_queue_t  ngx_wafcert_waits = { &ngx_wafcert_waits,
                                          &ngx_wafcert_waits };

static ngx_event_t  ngx_wafcert_look;


void
ngx_wafcert_wait(ngx_wafcert_wait_t *wait, const u_char *id,
    ngx_event_t *event, ngx_msec_t deadline)
{
    static const u_char  nobody[NGX_WAFCERT_ID_LEN];

    if (wait->waiting
        && ngx_memcmp(wait->id, id, NGX_WAFCERT_ID_LEN) != 0)
    {
        ngx_wafcert_wait_leave(wait);
    }

    if (!wait->waiting) {
        ngx_memcpy(wait->id, id, NGX_WAFCERT_ID_LEN);

        wait->event = event;
        wait->deadline = deadline;
        wait->first = ngx_memcmp(id, nobody, NGX_WAFCERT_ID_LEN) == 0
                      || ngx_wafcert_wait_find(&ngx_wafcert_waits, id) == NULL;
        wait->waiting = 1;

        ngx_queue_insert_tail(&ngx_wafcert_waits, &wait->queue);
    }

    if (!ngx_wafcert_look.timer_set) {
        ngx_wafcert_look.handler = ngx_wafcert_wait_look;
        ngx_wafcert_look.log = ngx_cycle->log;

        ngx_add_timer(&ngx_wafcert_look, NGX_WAFCERT_LOOK);
    }
}


void
ngx_wafcert_wait_leave(ngx_wafcert_wait_t *wait)
{
    ngx_wafcert_wait_t  *next;

    if (!wait->waiting) {
        return;
    }

    if (wait->first) {
        next = ngx_wafcert_wait_find(&wait->queue, wait->id);

        if (next && !next->first) {
            next->first = 1;
            ngx_wafcert_wait_post(next);
        }
    }

    ngx_queue_remove(&wait->queue);
    wait->waiting = 0;

    /* the change that has just ended may have been its own */

    if (wait->event->posted) {
        ngx_delete_posted_event(wait->event);
    }

    if (ngx_queue_empty(&ngx_wafcert_waits) && ngx_wafcert_look.timer_set) {
        ngx_del_timer(&ngx_wafcert_look);
    }
}


void
ngx_wafcert_wait_wake(const u_char *id)
{
    ngx_wafcert_wait_t  *wait;

    wait = ngx_wafcert_wait_find(&ngx_wafcert_waits, id);

    if (wait) {
        ngx_wafcert_wait_post(wait);
    }

    wait = ngx_wafcert_wait_find(&ngx_wafcert_waits, ngx_wafcert_wait_any);

    if (wait) {
        ngx_wafcert_wait_post(wait);
    }
}


/* The first one behind "q". */

static ngx_wafcert_wait_t *
ngx_wafcert_wait_find(ngx_queue_t *q, const u_char *id)
{
    ngx_wafcert_wait_t  *wait;

    for (q = ngx_queue_next(q);
         q != ngx_queue_sentinel(&ngx_wafcert_waits);
         q = ngx_queue_next(q))
    {
        wait = ngx_queue_data(q, ngx_wafcert_wait_t, queue);

        if (ngx_memcmp(wait->id, id, NGX_WAFCERT_ID_LEN) == 0) {
            return wait;
        }
    }

    return NULL;
}


/* One may wake the next: other events come in between. */

static void
ngx_wafcert_wait_post(ngx_wafcert_wait_t *wait)
{
    ngx_post_event(wait->event, &ngx_posted_next_events);
}


static void
ngx_wafcert_wait_look(ngx_event_t *ev)
{
    ngx_queue_t         *q;
    ngx_wafcert_wait_t  *wait;

    for (q = ngx_queue_head(&ngx_wafcert_waits);
         q != ngx_queue_sentinel(&ngx_wafcert_waits);
         q = ngx_queue_next(q))
    {
        wait = ngx_queue_data(q, ngx_wafcert_wait_t, queue);

        if (wait->first
            || (ngx_msec_int_t) (wait->deadline - ngx_current_msec) <= 0)
        {
            ngx_wafcert_wait_post(wait);
        }
    }

    ngx_add_timer(ev, NGX_WAFCERT_LOOK);
}
