
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _NGX_WAFCERT_REPAIR_H_INCLUDED_
#define _NGX_WAFCERT_REPAIR_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_wafcert_zone.h"


/*
 * Makes the zone again that a process was changing when it died.  Where that
 * cannot be done the mutex is released, and the process ends.
 */
void ngx_wafcert_repair_locked(ngx_wafcert_store_t *store);


#endif /* _NGX_WAFCERT_REPAIR_H_INCLUDED_ */
