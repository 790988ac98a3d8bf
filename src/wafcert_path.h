
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_PATH_H_INCLUDED_
#define _WAFCERT_PATH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Whether some server might read ".../waf/certificate..." in the path: one
 * that decodes it more than once, takes "\" for "/", overlong or full-width
 * letters for plain ones, ignores case, ";..." or invisible characters, or
 * resolves "." and "..".  "buf" has room for the path.
 */
ngx_uint_t wafcert_path_names_certificate(u_char *buf, const ngx_str_t *path);


#endif /* _WAFCERT_PATH_H_INCLUDED_ */
