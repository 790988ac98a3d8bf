
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _NGX_WAFCERT_WAIT_H_INCLUDED_
#define _NGX_WAFCERT_WAIT_H_INCLUDED_


/*
 * Changes of this process that wait for others, which are under way.  Of those
 * that wait for the same one only the first looks whether it may go on, in the
 * order in which they came: when that change ends here, and every 10 ms, for
 * it may be another process's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_wafcert_store.h"


/* Nobody's id: whoever waits for it waits for any change to end. */
extern const u_char  ngx_wafcert_wait_any[NGX_WAFCERT_ID_LEN];


/* All zeros at first, and in place until it has left. */

typedef struct {
    ngx_queue_t            queue;
    ngx_event_t           *event;
    ngx_msec_t             deadline;
    u_char                 id[NGX_WAFCERT_ID_LEN];
    unsigned               waiting:1;
    unsigned               first:1;
} ngx_wafcert_wait_t;


/*
 * Joins those that wait for the change of "id", or keeps its place among them;
 * those of an id of zeros do not wait for each other.  "event" is posted each
 * time that it is to look, and at the deadline.
 */
void ngx_wafcert_wait(ngx_wafcert_wait_t *wait, const u_char *id,
    ngx_event_t *event, ngx_msec_t deadline);

/*
 * The next one is the first, and "event", where it was posted, is not any more.
 * Allowed for one that does not wait.
 */
void ngx_wafcert_wait_leave(ngx_wafcert_wait_t *wait);

/* A change of "id" has ended in this process. */
void ngx_wafcert_wait_wake(const u_char *id);


#endif /* _NGX_WAFCERT_WAIT_H_INCLUDED_ */
