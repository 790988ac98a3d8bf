
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_WORDS_H_INCLUDED_
#define _WAFCERT_WORDS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_chain.h"


/*
 * Private to wafcert_*.c: the block, the subject and the value that a warning
 * is about, as they stand behind its sentence.
 */


/* Writes those of the warnings that have some; the others are left alone. */
void wafcert_words_write(wafcert_validator_t *validator,
    wafcert_chain_t *chain, uint64_t warnings, wafcert_words_t *words);

/* "keyUsage is cRLSign", "extendedKeyUsage is empty" */
void wafcert_words_usage(X509 *x509, char *buf, size_t size);
void wafcert_words_purposes(X509 *x509, char *buf, size_t size);


#endif /* _WAFCERT_WORDS_H_INCLUDED_ */
