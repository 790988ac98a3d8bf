
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _STR_H_INCLUDED_
#define _STR_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* What a C string has, without its NUL. */

static inline ngx_str_t
str(const char *s)
{
    ngx_str_t  v;

    v.data = (u_char *) s;
    v.len = strlen(s);

    return v;
}


#endif /* _STR_H_INCLUDED_ */
