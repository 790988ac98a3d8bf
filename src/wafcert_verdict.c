
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_verdict.h"


#define WAFCERT_BAD_REQUEST          "WAF.00011001", "bad.request"
#define WAFCERT_URL_PARAM_ILLEGAL    "WAF.00011002", "url.param.illegal"
#define WAFCERT_BODY_ILLEGAL         "WAF.00011003", "request.body.illegal"
#define WAFCERT_ILLEGAL_ID           "WAF.00011004", "id.illegal"
#define WAFCERT_ILLEGAL_NAME         "WAF.00011005", "name.illegal"
#define WAFCERT_ILLEGAL_OFFSET       "WAF.00011010", "offsetOrLimit.illegal"
#define WAFCERT_ILLEGAL_PAGE         "WAF.00011011", "pageOrPageSize.illegal"
#define WAFCERT_STANDARD_VIOLATED    "WAF.00011012", "standard.violated"
#define WAFCERT_HEADER_ILLEGAL       "WAF.00011014", "request.header.illegal"
#define WAFCERT_DUPLICATE_NAME       "WAF.00011016", "name.duplicate"
#define WAFCERT_INTERNAL_ERROR       "WAF.00010001", "internal.error"
#define WAFCERT_SYSTEM_BUSY          "WAF.00010002", "system.busy"
#define WAFCERT_INVALID_TOKEN        "WAF.00012001", "invalid.token"
#define WAFCERT_INVALID_PROJECT      "WAF.00012002", "invalid.project"
#define WAFCERT_PERMISSION_DENIED    "WAF.00012003", "permission.denied"
#define WAFCERT_NO_API               "WAF.00014009", "api.not.found"
#define WAFCERT_CERT_ILLEGAL         "WAF.00021013", "cert.illegal"
#define WAFCERT_NO_RESOURCE          "WAF.00022001", "resource.not.found"
#define WAFCERT_INSUFFICIENT_QUOTA   "WAF.00022005", "insufficient.quota"


typedef struct {
    const char        *slug;
    const char        *text;
} wafcert_warning_t;


static size_t wafcert_whole(const u_char *p, size_t len);


/* The members of a row are in the order of wafcert_reason_t. */

static const wafcert_reason_t  wafcert_reasons[WAFCERT_REASONS] = {

    [WAFCERT_OK] = { "ok", "", "", NULL, 200 },

    [WAFCERT_API_NOT_FOUND] = {
        "api_not_found", WAFCERT_NO_API,
        "the calls are /v1/{project_id}/waf/certificate and"
        " /v1/{project_id}/waf/certificate/{certificate_id}",
        404
    },

    [WAFCERT_PROJECT_ILLEGAL] = {
        "project_illegal", WAFCERT_URL_PARAM_ILLEGAL,
        "a project id has 1 to 64 letters, digits, \"_\" and \"-\"",
        400
    },

    [WAFCERT_ID_ILLEGAL] = {
        "id_illegal", WAFCERT_ILLEGAL_ID,
        "a certificate id has 32 lower-case hex digits;"
        " GET /v1/{project_id}/waf/certificate lists them",
        400
    },

    [WAFCERT_PATH_ENCODED] = {
        "path_encoded", WAFCERT_URL_PARAM_ILLEGAL,
        "send the path as it is documented: no \"%\" in it, no \"//\" and"
        " no \"..\"",
        400
    },

    [WAFCERT_METHOD_NOT_ALLOWED] = {
        "method_not_allowed", WAFCERT_NO_API,
        "the Allow header of this answer has the methods that work here",
        405
    },

    [WAFCERT_TOKEN_MISSING] = {
        "token_missing", WAFCERT_INVALID_TOKEN,
        "log in at the IAM service and send the token in X-Auth-Token",
        401
    },

    [WAFCERT_TOKEN_INVALID] = {
        "token_invalid", WAFCERT_INVALID_TOKEN,
        "log in again and send the new token in X-Auth-Token",
        401
    },

    [WAFCERT_TOKEN_PROJECT] = {
        "token_project", WAFCERT_INVALID_PROJECT,
        "log in with the scope of the project that stands in the URL",
        401
    },

    [WAFCERT_TOKEN_ROLE] = {
        "token_role", WAFCERT_PERMISSION_DENIED,
        "ask the project's administrator for a role that may do this",
        401
    },

    [WAFCERT_IAM_UNAVAILABLE] = {
        "iam_unavailable", WAFCERT_SYSTEM_BUSY,
        "try again in a moment; nothing was changed",
        500
    },

    [WAFCERT_METHOD_OVERRIDE] = {
        "method_override", WAFCERT_HEADER_ILLEGAL,
        "send the request with the method and the path that are meant, and"
        " without it",
        400
    },

    [WAFCERT_CONTENT_TYPE] = {
        "content_type", WAFCERT_HEADER_ILLEGAL,
        "send Content-Type: application/json",
        400
    },

    [WAFCERT_CONTENT_ENCODING] = {
        "content_encoding", WAFCERT_HEADER_ILLEGAL,
        "send the JSON as it is, without Content-Encoding",
        415
    },

    [WAFCERT_OFFSET_ILLEGAL] = {
        "offset_illegal", WAFCERT_ILLEGAL_OFFSET,
        "offset and limit are non-negative integers",
        400
    },

    [WAFCERT_PAGE_ILLEGAL] = {
        "page_illegal", WAFCERT_ILLEGAL_PAGE,
        "pages are counted from 1",
        400
    },

    [WAFCERT_PAGESIZE_ILLEGAL] = {
        "pagesize_illegal", WAFCERT_ILLEGAL_PAGE,
        "pagesize is 1 to 100, or -1 for all certificates",
        400
    },

    [WAFCERT_EXP_STATUS_ILLEGAL] = {
        "exp_status_illegal", WAFCERT_STANDARD_VIOLATED,
        "exp_status is 0 (valid), 1 (expired) or 2 (expires within 30 days)",
        400
    },

    [WAFCERT_HOST_ILLEGAL] = {
        "host_illegal", WAFCERT_STANDARD_VIOLATED,
        "host is true or false",
        400
    },

    [WAFCERT_SERVES_ILLEGAL] = {
        "serves_illegal", WAFCERT_STANDARD_VIOLATED,
        "serves is a host's name or address, such as www.example.com, without"
        " scheme, port or path",
        400
    },

    [WAFCERT_DRY_RUN_ILLEGAL] = {
        "dry_run_illegal", WAFCERT_STANDARD_VIOLATED,
        "dry_run is true or false",
        400
    },

    [WAFCERT_BODY_TOO_LARGE] = {
        "body_too_large", WAFCERT_BODY_ILLEGAL,
        "send the certificate, its intermediates and the key, and nothing"
        " else; no CA bundle",
        413
    },

    [WAFCERT_BODY_EMPTY] = {
        "body_empty", WAFCERT_BODY_ILLEGAL,
        "send a JSON object with name, content and key",
        400
    },

    [WAFCERT_JSON_SYNTAX] = {
        "json_syntax", WAFCERT_BODY_ILLEGAL,
        "let a program write the JSON: jq -n --arg name example"
        " --rawfile content cert.pem --rawfile key key.pem"
        " '{$name, $content, $key}'",
        400
    },

    [WAFCERT_JSON_NOT_OBJECT] = {
        "json_not_object", WAFCERT_BODY_ILLEGAL,
        "send a JSON object with name, content and key",
        400
    },

    [WAFCERT_JSON_DUPLICATE_MEMBER] = {
        "json_duplicate_member", WAFCERT_BODY_ILLEGAL,
        "send each member once; a chain goes into one content,"
        " the server's certificate first",
        400
    },

    [WAFCERT_FIELD_MISSING] = {
        "field_missing", WAFCERT_BODY_ILLEGAL,
        "a create needs name, content and key; a modify one of them at least",
        400
    },

    [WAFCERT_FIELD_TYPE] = {
        "field_type", WAFCERT_BODY_ILLEGAL,
        "name, content and key are JSON strings",
        400
    },

    [WAFCERT_FIELD_EMPTY] = {
        "field_empty", WAFCERT_BODY_ILLEGAL,
        "fill the member in, or in a modify leave it out",
        400
    },

    [WAFCERT_FIELD_NUL] = {
        "field_nul", WAFCERT_BODY_ILLEGAL,
        "send PEM, which is text; DER and UTF-16 files must be converted:"
        " openssl x509 -inform DER -in cert.der -out cert.pem",
        400
    },

    [WAFCERT_NAME_CHARACTER] = {
        "name_character", WAFCERT_ILLEGAL_NAME,
        "a name has letters, digits, \"_\", \"-\" and \".\"",
        400
    },

    [WAFCERT_NAME_TOO_LONG] = {
        "name_too_long", WAFCERT_ILLEGAL_NAME,
        "a name has 256 characters at most",
        400
    },

    [WAFCERT_CONTENT_NO_PEM] = {
        "content_no_pem", WAFCERT_CERT_ILLEGAL,
        "send the text of the PEM file, from the BEGIN CERTIFICATE line to"
        " the END CERTIFICATE line",
        400
    },

    [WAFCERT_CONTENT_IS_DER] = {
        "content_is_der", WAFCERT_CERT_ILLEGAL,
        "openssl x509 -inform DER -in cert.der -out cert.pem",
        400
    },

    [WAFCERT_CONTENT_IS_PKCS12] = {
        "content_is_pkcs12", WAFCERT_CERT_ILLEGAL,
        "openssl pkcs12 -in file.p12 -nokeys -out cert.pem,"
        " and openssl pkcs12 -in file.p12 -nocerts -nodes -out key.pem",
        400
    },

    [WAFCERT_CONTENT_IS_PKCS7] = {
        "content_is_pkcs7", WAFCERT_CERT_ILLEGAL,
        "openssl pkcs7 -in file.p7b -print_certs -out cert.pem"
        " (with -inform DER if the file is binary)",
        400
    },

    [WAFCERT_CONTENT_IS_CSR] = {
        "content_is_csr", WAFCERT_CERT_ILLEGAL,
        "send the request to a CA, and upload the certificate that it"
        " issues",
        400
    },

    [WAFCERT_CONTENT_IS_KEY] = {
        "content_is_key", WAFCERT_CERT_ILLEGAL,
        "content takes the certificate and its chain; the private key goes"
        " into key",
        400
    },

    [WAFCERT_CONTENT_PEM_UNTERMINATED] = {
        "content_pem_unterminated", WAFCERT_CERT_ILLEGAL,
        "copy the whole file: each block ends with an END line that repeats"
        " the words of its BEGIN line",
        400
    },

    [WAFCERT_CONTENT_PEM_BASE64] = {
        "content_pem_base64", WAFCERT_CERT_ILLEGAL,
        "send the file unchanged; this lists what OpenSSL reads of it:"
        " openssl storeutl -noout -certs cert.pem",
        400
    },

    [WAFCERT_CONTENT_DER] = {
        "content_der", WAFCERT_CERT_ILLEGAL,
        "the file is damaged: get it again from where it came, and compare"
        " the two; openssl x509 -in cert.pem overlooks some damage",
        400
    },

    [WAFCERT_CONTENT_TOO_MANY] = {
        "content_too_many", WAFCERT_CERT_ILLEGAL,
        "send the server's certificate and its intermediates, not a bundle"
        " of root certificates",
        400
    },

    [WAFCERT_CERT_KEY_TYPE] = {
        "cert_key_type", WAFCERT_CERT_ILLEGAL,
        "have a certificate issued for an RSA, EC (P-256, P-384, P-521) or"
        " Ed25519 key: openssl genpkey -algorithm EC"
        " -pkeyopt ec_paramgen_curve:P-256 -out key.pem",
        400
    },

    [WAFCERT_CERT_DUPLICATE_EXTENSION] = {
        "cert_duplicate_extension", WAFCERT_CERT_ILLEGAL,
        "have the certificate issued anew; openssl x509 -in cert.pem -noout"
        " -text lists its extensions",
        400
    },

    [WAFCERT_CERT_MALFORMED_EXTENSION] = {
        "cert_malformed_extension", WAFCERT_CERT_ILLEGAL,
        "have the certificate issued anew; openssl x509 -in cert.pem -noout"
        " -text lists its extensions",
        400
    },

    [WAFCERT_CERT_ALGORITHM_MISMATCH] = {
        "cert_algorithm_mismatch", WAFCERT_CERT_ILLEGAL,
        "send the certificate as the CA issued it: no client accepts this"
        " one",
        400
    },

    [WAFCERT_CERT_PURPOSE] = {
        "cert_purpose", WAFCERT_CERT_ILLEGAL,
        "have a certificate for servers issued: extendedKeyUsage=serverAuth",
        400
    },

    [WAFCERT_CERT_CRITICAL_EXTENSION] = {
        "cert_critical_extension", WAFCERT_CERT_ILLEGAL,
        "have the certificate issued without it, or not as critical; openssl"
        " x509 -in cert.pem -noout -text lists its extensions",
        400
    },

    [WAFCERT_KEY_NO_PEM] = {
        "key_no_pem", WAFCERT_CERT_ILLEGAL,
        "send the text of the PEM file, from the BEGIN PRIVATE KEY line to"
        " the END PRIVATE KEY line",
        400
    },

    [WAFCERT_KEY_IS_DER] = {
        "key_is_der", WAFCERT_CERT_ILLEGAL,
        "openssl pkey -inform DER -in key.der -out key.pem",
        400
    },

    [WAFCERT_KEY_IS_CERTIFICATE] = {
        "key_is_certificate", WAFCERT_CERT_ILLEGAL,
        "key takes the private key that the certificate was requested with;"
        " certificates go into content",
        400
    },

    [WAFCERT_KEY_IS_PUBLIC] = {
        "key_is_public", WAFCERT_CERT_ILLEGAL,
        "send the private key; it cannot be computed from the public key",
        400
    },

    [WAFCERT_KEY_IS_PKCS12] = {
        "key_is_pkcs12", WAFCERT_CERT_ILLEGAL,
        "openssl pkcs12 -in file.p12 -nocerts -nodes -out key.pem,"
        " and openssl pkcs12 -in file.p12 -nokeys -out cert.pem",
        400
    },

    [WAFCERT_KEY_ENCRYPTED] = {
        "key_encrypted", WAFCERT_CERT_ILLEGAL,
        "openssl pkey -in key.pem -out plain.pem",
        400
    },

    [WAFCERT_KEY_PEM_UNTERMINATED] = {
        "key_pem_unterminated", WAFCERT_CERT_ILLEGAL,
        "copy the whole file: each block ends with an END line that repeats"
        " the words of its BEGIN line",
        400
    },

    [WAFCERT_KEY_PEM_BASE64] = {
        "key_pem_base64", WAFCERT_CERT_ILLEGAL,
        "send the file unchanged, and see whether this reads it:"
        " openssl pkey -in key.pem -noout",
        400
    },

    [WAFCERT_KEY_DER] = {
        "key_der", WAFCERT_CERT_ILLEGAL,
        "the file is damaged: take it from a backup, and compare the two;"
        " openssl pkey -in key.pem overlooks some damage",
        400
    },

    [WAFCERT_KEY_SEVERAL] = {
        "key_several", WAFCERT_CERT_ILLEGAL,
        "send the one private key that belongs to the certificate",
        400
    },

    [WAFCERT_KEY_TYPE] = {
        "key_type", WAFCERT_CERT_ILLEGAL,
        "send an RSA, EC or Ed25519 private key in PEM; an OpenSSH key is"
        " converted in place by: ssh-keygen -p -m PEM -f key",
        400
    },

    [WAFCERT_KEY_EXPLICIT_CURVE] = {
        "key_explicit_curve", WAFCERT_CERT_ILLEGAL,
        "openssl ec -in key.pem -param_enc named_curve -out named.pem",
        400
    },

    [WAFCERT_KEY_TOO_LARGE] = {
        "key_too_large", WAFCERT_CERT_ILLEGAL,
        "have a certificate issued for a smaller key:"
        " openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072"
        " -out key.pem",
        400
    },

    [WAFCERT_KEY_INCONSISTENT] = {
        "key_inconsistent", WAFCERT_CERT_ILLEGAL,
        "the file is damaged: take it from a backup, and see what this says"
        " of it: openssl pkey -in key.pem -check -noout",
        400
    },

    [WAFCERT_KEY_MISMATCH] = {
        "key_mismatch", WAFCERT_CERT_ILLEGAL,
        "these print the same public key for a pair:"
        " openssl x509 -in cert.pem -noout -pubkey,"
        " and openssl pkey -in key.pem -pubout",
        400
    },

    [WAFCERT_CONTENT_TOO_MANY_HOSTS] = {
        "content_too_many_hosts", WAFCERT_CERT_ILLEGAL,
        "have several certificates issued, each for a part of the hosts, or"
        " the operator raise wafcert_max_hosts",
        400
    },

    [WAFCERT_KEY_TOO_SMALL] = {
        "key_too_small", WAFCERT_CERT_ILLEGAL,
        "have a certificate issued for a larger key:"
        " openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072"
        " -out key.pem",
        400
    },

    [WAFCERT_CERT_EXPIRED] = {
        "cert_expired", WAFCERT_CERT_ILLEGAL,
        "have the certificate renewed; its dates are shown by:"
        " openssl x509 -in cert.pem -noout -dates",
        400
    },

    [WAFCERT_CERT_NOT_YET_VALID] = {
        "cert_not_yet_valid", WAFCERT_CERT_ILLEGAL,
        "upload it when it is valid; its dates are shown by:"
        " openssl x509 -in cert.pem -noout -dates",
        400
    },

    [WAFCERT_CHAIN_SIGNATURE] = {
        "chain_signature", WAFCERT_CERT_ILLEGAL,
        "send the certificates as the CA issued them: no client accepts one"
        " of which a byte was changed",
        400
    },

    [WAFCERT_CHAIN_BROKEN] = {
        "chain_broken", WAFCERT_CERT_ILLEGAL,
        "put the server's certificate first, then the one that issued it,"
        " and so on: cat cert.pem intermediate.pem > chain.pem",
        400
    },

    [WAFCERT_CHAIN_UNTRUSTED] = {
        "chain_untrusted", WAFCERT_CERT_ILLEGAL,
        "append the intermediate certificates that the CA sent along; which"
        " CAs are trusted here, the operator tells",
        400
    },

    [WAFCERT_NOT_FOUND] = {
        "not_found", WAFCERT_NO_RESOURCE,
        "GET /v1/{project_id}/waf/certificate lists the project's"
        " certificates",
        404
    },

    [WAFCERT_REVISION_MISMATCH] = {
        "revision_mismatch", WAFCERT_BAD_REQUEST,
        "get the certificate again, and repeat the call with the ETag of"
        " that answer in If-Match",
        412
    },

    [WAFCERT_NAME_DUPLICATE] = {
        "name_duplicate", WAFCERT_DUPLICATE_NAME,
        "choose another name, or modify the certificate that has this one",
        400
    },

    [WAFCERT_QUOTA] = {
        "quota", WAFCERT_INSUFFICIENT_QUOTA,
        "delete certificates that are no longer used, or ask for a larger"
        " quota",
        403
    },

    [WAFCERT_ZONE_FULL] = {
        "zone_full", WAFCERT_INSUFFICIENT_QUOTA,
        "delete certificates that are no longer used, or have the operator"
        " enlarge wafcert_zone",
        403
    },

    [WAFCERT_COMMIT_FAILED] = {
        "commit_failed", WAFCERT_INTERNAL_ERROR,
        "nothing was changed; the operator finds the cause in the error log",
        500
    },

    [WAFCERT_COMMIT_TIMEOUT] = {
        "commit_timeout", WAFCERT_SYSTEM_BUSY,
        "try again in a moment; a create may be repeated safely",
        500
    },

    [WAFCERT_INTERNAL] = {
        "internal", WAFCERT_INTERNAL_ERROR,
        "the operator finds the cause in the error log",
        500
    },
    [WAFCERT_ANSWER_ILLEGAL] = {
        "answer_illegal", WAFCERT_INTERNAL_ERROR,
        "the operator finds the cause in the error log",
        500
    }
};


static const wafcert_warning_t  wafcert_warnings[WAFCERT_WARNINGS] = {

    [WAFCERT_WARN_CHAIN_REPAIRED] = {
        "chain_repaired",
        "the certificates were not a chain in its order: they were put into"
        " it, and those that do not belong to it were left out"
    },

    [WAFCERT_WARN_CHAIN_INCOMPLETE] = {
        "chain_incomplete",
        "an intermediate certificate is missing, so some clients will not be"
        " able to verify the certificate"
    },

    [WAFCERT_WARN_ROOT_DROPPED] = {
        "root_dropped",
        "the root certificate was left out, for clients have their own"
    },

    [WAFCERT_WARN_DUPLICATE_DROPPED] = {
        "duplicate_dropped",
        "a certificate that was sent more than once is kept once"
    },

    [WAFCERT_WARN_NEWLINES_REPAIRED] = {
        "newlines_repaired",
        "the line ends of the PEM were damaged, and were repaired"
    },

    [WAFCERT_WARN_EXPIRED] = {
        "expired",
        "the certificate has expired, and clients will not accept it"
    },

    [WAFCERT_WARN_NOT_YET_VALID] = {
        "not_yet_valid",
        "the certificate is not valid yet, and clients will not accept it"
        " until it is"
    },

    [WAFCERT_WARN_WEAK_KEY] = {
        "weak_key",
        "a key or a signature is weaker than OpenSSL's security level 2 (or"
        " the servers', where that is another) accepts, so it is not served,"
        " and many clients would refuse it"
    },

    [WAFCERT_WARN_NO_HOSTS] = {
        "no_hosts",
        "the certificate names no host, so no client can match it to a"
        " server's name"
    },

    [WAFCERT_WARN_HOST_TAKEN] = {
        "host_taken",
        "another project had a valid certificate for a host first, so this"
        " one is not served for it"
    },

    [WAFCERT_WARN_UNUSABLE] = {
        "unusable",
        "OpenSSL failed to load it, or to sign with its key, so it is not"
        " served; the operator finds the cause in the error log"
    },

    [WAFCERT_WARN_HOST_NOT_ALLOWED] = {
        "host_not_allowed",
        "no server sends this project's certificates for a host, so this one"
        " is not served for it"
    },

    [WAFCERT_WARN_STATIC_DISPLACED] = {
        "static_displaced",
        "a server has a certificate of its own for a host, and sends this one"
        " in its place"
    },

    [WAFCERT_WARN_ISSUER_NOT_CA] = {
        "issuer_not_ca",
        "an issuer in the chain is no CA by its basicConstraints, so clients"
        " accept nothing that it has signed"
    },

    [WAFCERT_WARN_ISSUER_PATH_LENGTH] = {
        "issuer_path_length",
        "an issuer in the chain has more CAs below it than its"
        " pathLenConstraint allows, and clients will not accept them"
    },

    [WAFCERT_WARN_ISSUER_EXPIRED] = {
        "issuer_expired",
        "an issuer in the chain has expired; ask the CA for its current one"
    },

    [WAFCERT_WARN_ISSUER_NOT_YET_VALID] = {
        "issuer_not_yet_valid",
        "an issuer in the chain is not valid yet, and clients will not accept"
        " it until it is"
    },

    [WAFCERT_WARN_ISSUER_NAME_ENCODING] = {
        "issuer_name_encoding",
        "an issuer's name is written in other bytes than the certificate that"
        " it issued has, and some clients compare bytes"
    },

    [WAFCERT_WARN_ISSUER_NAME_EMPTY] = {
        "issuer_name_empty",
        "an issuer in the chain has no name, and some clients refuse that"
    },

    [WAFCERT_WARN_KEY_ID_MISMATCH] = {
        "key_id_mismatch",
        "a certificate names another key identifier, or serial number, than"
        " its issuer has, or has its name and names none, so OpenSSL does not"
        " find the issuer, though the signature is good"
    },

    [WAFCERT_WARN_ISSUER_KEY_USAGE] = {
        "issuer_key_usage",
        "the keyUsage of an issuer in the chain does not allow it to sign"
        " certificates, so clients accept none of them"
    },

    [WAFCERT_WARN_ISSUER_NAME_CONSTRAINTS] = {
        "issuer_name_constraints",
        "the name constraints of an issuer in the chain do not permit a"
        " name of the certificate, and clients refuse it for all of its"
        " names"
    },

    [WAFCERT_WARN_ISSUER_PURPOSE] = {
        "issuer_purpose",
        "the extendedKeyUsage of an issuer in the chain lacks serverAuth,"
        " so clients accept no server's certificate below it"
    },

    [WAFCERT_WARN_ISSUER_CRITICAL_EXTENSION] = {
        "issuer_critical_extension",
        "an issuer in the chain has a critical extension that some clients"
        " do not know, and they refuse it"
    },

    [WAFCERT_WARN_ISSUER_MALFORMED_EXTENSION] = {
        "issuer_malformed_extension",
        "an issuer in the chain has an extension or a name that cannot be"
        " read, or has one twice, and some clients refuse it"
    },

    [WAFCERT_WARN_ISSUER_KEY_TYPE] = {
        "issuer_key_type",
        "the key of an issuer in the chain is of a kind that some clients"
        " cannot use"
    },

    [WAFCERT_WARN_LEAF_KEY_USAGE] = {
        "leaf_key_usage",
        "the certificate's keyUsage does not allow the signatures of a"
        " handshake, so many clients refuse it, and OpenSSL serves it in TLS"
        " 1.3 only"
    },

    [WAFCERT_WARN_LEAF_ANY_PURPOSE] = {
        "leaf_any_purpose",
        "the certificate's extendedKeyUsage lacks serverAuth, and some"
        " clients do not take anyExtendedKeyUsage, or an empty list, for it"
    },

    [WAFCERT_WARN_LEAF_CRITICAL_EXTENSION] = {
        "leaf_critical_extension",
        "the certificate has a critical extension that some clients do not"
        " know, and they refuse it"
    },

    [WAFCERT_WARN_LEAF_MALFORMED_EXTENSION] = {
        "leaf_malformed_extension",
        "the certificate has an extension or a name that cannot be read, and"
        " some clients refuse it"
    },

    [WAFCERT_WARN_LEAF_IS_CA] = {
        "leaf_is_ca",
        "the certificate is a CA's by its basicConstraints, and some"
        " clients refuse those of servers"
    },

    [WAFCERT_WARN_NO_SAN] = {
        "no_san",
        "the certificate has no host or address among its alternative"
        " names; many clients do not look at the common name"
    },

    [WAFCERT_WARN_SAN_MALFORMED] = {
        "san_malformed",
        "an alternative name of the certificate cannot be one, and some"
        " clients refuse the whole certificate"
    },

    [WAFCERT_WARN_HOST_UNUSABLE] = {
        "host_unusable",
        "a host of the certificate is one that no client asks for: a dot at"
        " its end, an address in words, a star that is not the whole first"
        " label, a label of more than 63 characters, or other characters than"
        " letters, digits, hyphens and underscores"
    },

    [WAFCERT_WARN_SERIAL_NEGATIVE] = {
        "serial_negative",
        "the serial number is negative, and some clients refuse the"
        " certificate"
    },

    [WAFCERT_WARN_MUST_STAPLE] = {
        "must_staple",
        "the certificate asks for a stapled OCSP answer; where a server"
        " staples none, some clients refuse it"
    },

    [WAFCERT_WARN_LEAF_KEY_TYPE] = {
        "leaf_key_type",
        "the certificate's key is of a kind that many browsers, or other"
        " clients, do not take"
    },

    [WAFCERT_WARN_UNTRUSTED] = {
        "untrusted",
        "the chain leads to no root that is trusted here, or not in a way that"
        " a client would accept"
    }
};


const wafcert_reason_t *
wafcert_reason(wafcert_reason_e reason)
{
    if ((ngx_uint_t) reason >= WAFCERT_REASONS) {
        reason = WAFCERT_INTERNAL;
    }

    return &wafcert_reasons[reason];
}


const char *
wafcert_warning_slug(wafcert_warning_e warning)
{
    if ((ngx_uint_t) warning >= WAFCERT_WARNINGS) {
        return "unknown";
    }

    return wafcert_warnings[warning].slug;
}


const char *
wafcert_warning_text(wafcert_warning_e warning)
{
    if ((ngx_uint_t) warning >= WAFCERT_WARNINGS) {
        return "a warning that this version does not know";
    }

    return wafcert_warnings[warning].text;
}


ngx_int_t
wafcert_refuse(wafcert_verdict_t *verdict, wafcert_reason_e reason,
    const char *fmt, ...)
{
    va_list  args;

    verdict->reason = reason;
    verdict->hint[0] = '\0';

    va_start(args, fmt);
    (void) wafcert_vprint(verdict->message, sizeof(verdict->message), fmt,
                          args);
    va_end(args);

    return NGX_DECLINED;
}


void
wafcert_hint(wafcert_verdict_t *verdict, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) wafcert_vprint(verdict->hint, sizeof(verdict->hint), fmt, args);
    va_end(args);
}


int
wafcert_cut(const ngx_str_t *text, size_t max)
{
    return (int) (text->len <= max ? text->len
                                   : wafcert_whole(text->data, max));
}


size_t
wafcert_vprint(char *buf, size_t size, const char *fmt, va_list args)
{
    int     n;
    size_t  len;

    n = vsnprintf(buf, size, fmt, args);

    if (n < 0) {
        buf[0] = '\0';
        return 0;
    }

    len = n;

    if (len >= size) {
        len = wafcert_whole((u_char *) buf, size - 1);
        buf[len] = '\0';
    }

    return len;
}


/*
 * Without the last character, if it is not all there.  What is no UTF-8 stays
 * as it is.
 */

static size_t
wafcert_whole(const u_char *p, size_t len)
{
    u_char  c;
    size_t  n, size;

    for (n = 1; n <= len && n < 4; n++) {
        c = p[len - n];

        if ((c & 0xc0) != 0x80) {
            size = (c < 0xc0) ? 1 : (c < 0xe0) ? 2 : (c < 0xf0) ? 3 : 4;
            return n < size ? len - n : len;
        }
    }

    return len;
}
