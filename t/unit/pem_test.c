
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "wafcert_pem.h"


#define CONTENT  WAFCERT_MEMBER_CONTENT
#define KEY      WAFCERT_MEMBER_KEY

#define LARGE    131072


/* Test keys, made for these tests and for nothing else. */

#define CERT_B64(s)                                                           \
    "MIIBfDCCASOgAwIBAgIUJ5406ymslT6q7qStjTMnDPvWYGIwCgYIKoZIzj0EAwIw" s      \
    "FDESMBAGA1UEAwwJYS5leGFtcGxlMB4XDTI2MTEyNDAzMTMyNloXDTM2MTEyMTAz" s      \
    "MTMyNlowFDESMBAGA1UEAwwJYS5leGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0D" s      \
    "AQcDQgAEkispupoJAY7fyT9f8JMWDHrqAgu3fTitjT4IShfkCIaNl+j+stMWDTZ8" s      \
    "RpZEOjx4YplUAkbLKdvBN+yCK5zB4KNTMFEwHQYDVR0OBBYEFEM2gN4lgB/glSJ/" s      \
    "W/7qwD+dDpmlMB8GA1UdIwQYMBaAFEM2gN4lgB/glSJ/W/7qwD+dDpmlMA8GA1Ud" s      \
    "EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgas2Pa3EQOIrlg6I15s5T2Hyt" s      \
    "m/AOJRe2nC7uqVs7vlUCIADjj0o2bJ5/CxkaXF6jb8SLRrwcvuW17s6hnCcUueKv" s


#define V1_B64(s)                                                             \
    "MIIBIjCByQIUW+b3Xl92/PNu9wCLQABvw3/vdOkwCgYIKoZIzj0EAwIwFDESMBAG" s      \
    "A1UEAwwJYS5leGFtcGxlMB4XDTI2MTEyNDAzMTMyNloXDTI2MTIwNDAzMTMyNlow" s      \
    "FDESMBAGA1UEAwwJYS5leGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE" s      \
    "kispupoJAY7fyT9f8JMWDHrqAgu3fTitjT4IShfkCIaNl+j+stMWDTZ8RpZEOjx4" s      \
    "YplUAkbLKdvBN+yCK5zB4DAKBggqhkjOPQQDAgNIADBFAiBv4P1JeLGYLNb7jMam" s      \
    "ynQaryPFNrnyfjOhBHznPu+NDAIhAJxagR8Gku6uQ7nC9lh3nt3pD+ObPc4z9Vps" s      \
    "ZDGOQSOH" s


#define TRUSTED_B64(s)                                                        \
    "MIIBfDCCASOgAwIBAgIUJ5406ymslT6q7qStjTMnDPvWYGIwCgYIKoZIzj0EAwIw" s      \
    "FDESMBAGA1UEAwwJYS5leGFtcGxlMB4XDTI2MTEyNDAzMTMyNloXDTM2MTEyMTAz" s      \
    "MTMyNlowFDESMBAGA1UEAwwJYS5leGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0D" s      \
    "AQcDQgAEkispupoJAY7fyT9f8JMWDHrqAgu3fTitjT4IShfkCIaNl+j+stMWDTZ8" s      \
    "RpZEOjx4YplUAkbLKdvBN+yCK5zB4KNTMFEwHQYDVR0OBBYEFEM2gN4lgB/glSJ/" s      \
    "W/7qwD+dDpmlMB8GA1UdIwQYMBaAFEM2gN4lgB/glSJ/W/7qwD+dDpmlMA8GA1Ud" s      \
    "EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgas2Pa3EQOIrlg6I15s5T2Hyt" s      \
    "m/AOJRe2nC7uqVs7vlUCIADjj0o2bJ5/CxkaXF6jb8SLRrwcvuW17s6hnCcUueKv" s      \
    "MAwwCgYIKwYBBQUHAwE=" s


#define PKCS8_B64(s)                                                          \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgX7ociJxk6VZtbriJ" s      \
    "f6lIILtabk+pm84yXc3BW37CAlGhRANCAASSKym6mgkBjt/JP1/wkxYMeuoCC7d9" s      \
    "OK2NPghKF+QIho2X6P6y0xYNNnxGlkQ6PHhimVQCRssp28E37IIrnMHg" s


#define SEC1_B64(s)                                                           \
    "MHcCAQEEIF+6HIicZOlWbW64iX+pSCC7Wm5PqZvOMl3NwVt+wgJRoAoGCCqGSM49" s      \
    "AwEHoUQDQgAEkispupoJAY7fyT9f8JMWDHrqAgu3fTitjT4IShfkCIaNl+j+stMW" s      \
    "DTZ8RpZEOjx4YplUAkbLKdvBN+yCK5zB4A==" s


#define RSA_B64(s)                                                            \
    "MIIBOQIBAAJBAOakUkwk3PZiwvitDri7+St/njdZjDd7zhYXxHXxv1NBWmO3s317" s      \
    "ApS8rwlUNlSnUR1MUlxdfTS9iMNCZhxEnCECAwEAAQJAMcpfidibawU/GfgiKXdK" s      \
    "/zz5pvFJ9+BeSR6wZtXde9dC6WcvQbjG5GS5v2Q//HHVw+o4+ez0G8AIqE1BPQ5q" s      \
    "wQIhAP5+kHMQKE7kTxFHBrOS0Wt46XTgtCDks0dPHiZb+QRFAiEA6AGh2Pud9rCU" s      \
    "ccBP+52KlY+KqCNTaVPyJYKCmglnLC0CIFlRYC8R96Ogm2Nr8x0pJRi8Cet8RZvZ" s      \
    "yFX5nZJG60GlAiAkXu0ieP+ghroewwlG5sGtBJ22EiOnZXOWkckroMG92QIganY9" s      \
    "pv9mEz/5wi9JdH8cCEM8h9QFqFX83lucjOgp8yQ=" s


#define CSR_B64(s)                                                            \
    "MIHPMHYCAQAwFDESMBAGA1UEAwwJYS5leGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZI" s      \
    "zj0DAQcDQgAEkispupoJAY7fyT9f8JMWDHrqAgu3fTitjT4IShfkCIaNl+j+stMW" s      \
    "DTZ8RpZEOjx4YplUAkbLKdvBN+yCK5zB4KAAMAoGCCqGSM49BAMCA0kAMEYCIQCE" s      \
    "4smKU3yjr1g4cKWzhX7UKrIGKfaKhzkGSzBtzqUcDwIhAO095I23qYkWa+Y0Ip1n" s      \
    "Kue8HYsR9gRKlI3bCQw7gnAV" s


#define PUBLIC_B64(s)                                                         \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEkispupoJAY7fyT9f8JMWDHrqAgu3" s      \
    "fTitjT4IShfkCIaNl+j+stMWDTZ8RpZEOjx4YplUAkbLKdvBN+yCK5zB4A==" s


#define RSAPUB_B64(s)                                                         \
    "MEgCQQDmpFJMJNz2YsL4rQ64u/krf543WYw3e84WF8R18b9TQVpjt7N9ewKUvK8J" s      \
    "VDZUp1EdTFJcXX00vYjDQmYcRJwhAgMBAAE=" s


#define PKCS7_B64(s)                                                          \
    "MIIBqwYJKoZIhvcNAQcCoIIBnDCCAZgCAQExADALBgkqhkiG9w0BBwGgggGAMIIB" s      \
    "fDCCASOgAwIBAgIUJ5406ymslT6q7qStjTMnDPvWYGIwCgYIKoZIzj0EAwIwFDES" s      \
    "MBAGA1UEAwwJYS5leGFtcGxlMB4XDTI2MTEyNDAzMTMyNloXDTM2MTEyMTAzMTMy" s      \
    "NlowFDESMBAGA1UEAwwJYS5leGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD" s      \
    "QgAEkispupoJAY7fyT9f8JMWDHrqAgu3fTitjT4IShfkCIaNl+j+stMWDTZ8RpZE" s      \
    "Ojx4YplUAkbLKdvBN+yCK5zB4KNTMFEwHQYDVR0OBBYEFEM2gN4lgB/glSJ/W/7q" s      \
    "wD+dDpmlMB8GA1UdIwQYMBaAFEM2gN4lgB/glSJ/W/7qwD+dDpmlMA8GA1UdEwEB" s      \
    "/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgas2Pa3EQOIrlg6I15s5T2Hytm/AO" s      \
    "JRe2nC7uqVs7vlUCIADjj0o2bJ5/CxkaXF6jb8SLRrwcvuW17s6hnCcUueKvMQA=" s


#define ENC_B64(s)                                                            \
    "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAg2T5tuKqfKeQICCAAw" s      \
    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEFswT3bdzV+u06sa139RNYUEgZB2" s      \
    "SMqpgKIWR8UHiWWg3eq/VbkrAqu1Q5WpyV8Rb3NUxRb6Aa+kOZKUaHn7q4Fd42vo" s      \
    "WtiNb/gMMu6ERHl2UsHJoU3A1DjaOvRWXUkZu+914FsYSYow1KGjcs5kEYidmXT9" s      \
    "TxM2RW/JvdOKy2sTPK1m9ACcdM9urHnEHKB0GH0Pydr9hI9m1XPVLrS/RNdpMr4=" s


#define RSAENC_B64(s)                                                         \
    "X7D3sAfBaLuWljKtdbN597PlKn/Pra13pJtdf1S3myW0Y8mcTO5DEO9rmXg1sCwf" s      \
    "hybwp0sVxwRg2HzcN3urrZvAPgL8XpKu2bHMCgqMN+aahZt8Qpj2UmdD9QpeKxUe" s      \
    "YqLAFhm6AZseia87TYa1xhCyqLwCEL2/JlU1vjMGZxX6wBOc5H6sJ1YDrH54nNDw" s      \
    "sEWXU5DgRly3/U5x33WCCSpEVHE/7imotCCm7lWAzY+06nl8ZnkhL/cpexoriJr5" s      \
    "ozK8Czuf9snEr+vje19eJGqYb0RLlUU4nQ38Bz1cjzcwYlQP2Kh2xgMDxBuzOK0w" s      \
    "9QMqVYGQkVNhCyr8GW+prRBCkz0Lahfx+sW9fTX2sChhVk8z55a4IwDfhRKnECWT" s      \
    "0x6/ZF/kB5tVvclWnH3HEKS6+YWqnO07MZ2PTNT+6xg=" s


#define CRL_B64(s)                                                            \
    "MIGXMEAwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJYS5leGFtcGxlFw0yNjExMjQw" s      \
    "MzEzMjZaFw0yNjEyMDQwMzEzMjZaMAoGCCqGSM49BAMCA0cAMEQCIEqURmkWaZSP" s      \
    "DzB1Sq/DMD6wS1w8o75/6dToAy/afDtwAiB5c9iJuDenGziOaWr0aW53P/NiZpIe" s      \
    "hXPgzrPK8x+WiQ==" s


#define SSH_B64(s)                                                            \
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW" s\
    "QyNTUxOQAAACCFIPqaG25onGYxSUr5/+/jg9JMT6CCemPgwtE/ugq+awAAAIj4JqHW+Cah" s\
    "1gAAAAtzc2gtZWQyNTUxOQAAACCFIPqaG25onGYxSUr5/+/jg9JMT6CCemPgwtE/ugq+aw" s\
    "AAAECBLx2So03fhz9LirfB8o70MVfNgGU/TB7FsQJi52p8CoUg+pobbmicZjFJSvn/7+OD" s\
    "0kxPoIJ6Y+DC0T+6Cr5rAAAAAXgBAgME" s


#define PKCS12_B64(s)                                                         \
    "MIIEDAIBAzCCA8IGCSqGSIb3DQEHAaCCA7MEggOvMIIDqzCCAmIGCSqGSIb3DQEH" s      \
    "BqCCAlMwggJPAgEAMIICSAYJKoZIhvcNAQcBMFcGCSqGSIb3DQEFDTBKMCkGCSqG" s      \
    "SIb3DQEFDDAcBAizVcSTJz6yxwICCAAwDAYIKoZIhvcNAgkFADAdBglghkgBZQME" s      \
    "ASoEEGFbjCUbsu5UjnXUqRgNd42AggHgUV50k+B12Jr/wmgVi0MPVNw78Zuy1Vl1" s      \
    "7nZzWrwhHxd2FO+L4GMN0WZjN51YkQg5ERkAl3EGd496tUW6z/C4HhayQGgBnvfA" s      \
    "UTw6MRAGaJb3GSTty0NxLrMigsEoVIeWu82a7uAkYjfc7AjSmjVcYsySAShvve5b" s      \
    "z+HAGu3UiAZBQ8E2BI0IiOnzPuooJeNbU3zkHBz9lPlMgtrKwoKbyGJnFWvHECiV" s      \
    "HcTVcwhqow2JjwNrAwpaJJP2bGzCTlLxvoF8vV1AE5KjrcMoHG1NDpTgD3YjYgyT" s      \
    "5lGkFUj4vf5waT9dpB5gb+6hcdYt+YZ/maA5R47PWPB0nP0do5Bl0im0Ng79oPGQ" s      \
    "ZfUwZic2QTDY2E8ihJZfouV3UCqe1XEvef+DHDGuLP5Nxc9e3lY50AeVwNe3Ply2" s      \
    "LO5F0wA6hHthMohPe35IEbS54bI06LxF76qgHy0+fFYu+OUWKK8WAz3vWWxsOVcg" s      \
    "Lq7BiHPhqBkWys4OMM1gc9TMKlzC/5D6au/1A3EXRm6oNbwBE0TH3dXyPn6JSw3D" s      \
    "fMeQ5AwjwqCeTHeMMaqyE+KjM0uPiKaH5xOromdRGr7s5A4zy6y5GSU4vm2K9wKq" s      \
    "amEZkH7UWEGrkmXD7pMTBOVqj44fD+d/MIIBQQYJKoZIhvcNAQcBoIIBMgSCAS4w" s      \
    "ggEqMIIBJgYLKoZIhvcNAQwKAQKgge8wgewwVwYJKoZIhvcNAQUNMEowKQYJKoZI" s      \
    "hvcNAQUMMBwECD5EggwkkNW7AgIIADAMBggqhkiG9w0CCQUAMB0GCWCGSAFlAwQB" s      \
    "KgQQjeaLu9Ls6mT4pjOWAkYMCwSBkA5FyiuGE7MiEHjF+DpvhmGaMIYHOqX1CieI" s      \
    "PM4uuxgkEgCfSqu3H5FWJCHBQQnchtX/6n/xKc4D5zXKr+zt4fr0yfXgrQ5znV6a" s      \
    "vPETC7fIlXn9DjglVxXs+0C7fiolhPaoB+CGnrw1u7SwJwwRxUSkQulYqL4zafxS" s      \
    "ZKHOJfV29y7t7tyRtp4G4oABN/BesTElMCMGCSqGSIb3DQEJFTEWBBSM7WrjgO5z" s      \
    "hNy3B4h4qhjQ7UvwHzBBMDEwDQYJYIZIAWUDBAIBBQAEIN1jiERG6KbNrD02DrUw" s      \
    "7/1Ocj9deGjZMbD+Ta53DeeqBAg2MDc4f5noWgICCAA=" s


#define BEGIN(label)  "-----BEGIN " label "-----"
#define END(label)    "-----END " label "-----"

#define PEM(label, body, s)  BEGIN(label) s body(s) END(label) s

#define CERT(s)       PEM("CERTIFICATE", CERT_B64, s)
#define PKCS8(s)      PEM("PRIVATE KEY", PKCS8_B64, s)
#define SEC1(s)       PEM("EC PRIVATE KEY", SEC1_B64, s)
#define RSA(s)        PEM("RSA PRIVATE KEY", RSA_B64, s)
#define CSR(s)        PEM("CERTIFICATE REQUEST", CSR_B64, s)
#define ECPARAM(s)    BEGIN("EC PARAMETERS") s "BggqhkjOPQMBBw==" s           \
                      END("EC PARAMETERS") s

#define DEK           "Proc-Type: 4,ENCRYPTED\n"                              \
                      "DEK-Info: AES-128-CBC,207EA89D2B20EED0A4613697B8176391\n"

/* The first lines of the certificate, and the rest of it. */

#define HEAD          "MIIBfDCCASOgAwIBAgIUJ5406ymslT6q7qStjTMnDPvWYGIwCgYI"  \
                      "KoZIzj0EAwIw\n"                                        \
                      "FDESMBAGA1UEAwwJYS5leGFtcGxlMB4XDTI2MTEyNDAzMTMyNloX"  \
                      "DTM2MTEyMTAz\n"

#define BROKEN(s)     BEGIN("CERTIFICATE") "\n" HEAD s "\n" END("CERTIFICATE")
#define KEYBROKEN(s)  BEGIN("PRIVATE KEY") "\n" s "\n" END("PRIVATE KEY")

#define FOUR(s)       s s s s
#define SIXTEEN(s)    FOUR(FOUR(s))


typedef struct {
    const char          *text;
    wafcert_member_e     member;
    ngx_uint_t           nblocks;
    wafcert_pem_type_e   types[4];
    ngx_uint_t           repaired;
} good_case_t;


typedef struct {
    wafcert_member_e     member;
    const char          *text;
    wafcert_reason_e     reason;
    const char          *sentence;      /* a part of it */
} broken_case_t;


static const good_case_t  good_cases[] = {

    /* as it should be */

    { CERT("\n"), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 0 },
    { CERT("\r\n"), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 0 },
    { PKCS8("\n"), KEY, 1, { WAFCERT_PEM_PKCS8 }, 0 },
    { RSA("\n"), KEY, 1, { WAFCERT_PEM_PKCS1 }, 0 },
    { SEC1("\n"), KEY, 1, { WAFCERT_PEM_SEC1 }, 0 },
    { ECPARAM("\n") SEC1("\n"), KEY, 2,
      { WAFCERT_PEM_EC_PARAMETERS, WAFCERT_PEM_SEC1 }, 0 },
    { CERT("\n") CERT("\n") CERT("\n"), CONTENT, 3,
      { WAFCERT_PEM_CERTIFICATE, WAFCERT_PEM_CERTIFICATE,
        WAFCERT_PEM_CERTIFICATE }, 0 },

    /* other line ends */

    { CERT("\r"), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 1 },
    { CERT(" "), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 1 },
    { CERT("  \t"), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 1 },
    { CERT(""), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 1 },
    { CERT("\\n"), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 1 },
    { CERT("\\r\\n"), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 1 },
    { CERT("\\\\n"), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 1 },
    { CERT("\\n\n"), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 1 },
    { CERT("\\\n"), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 1 },
    { CERT("\\t"), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 1 },
    { CERT("\n\n"), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 0 },
    { CERT(" \n"), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 0 },
    { CERT("\n    "), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 0 },
    { CERT("\n\t\r\n "), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 0 },
    { CERT("\v\f"), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 1 },
    { PKCS8(""), KEY, 1, { WAFCERT_PEM_PKCS8 }, 1 },
    { RSA(" "), KEY, 1, { WAFCERT_PEM_PKCS1 }, 1 },
    { ECPARAM(" ") SEC1(" "), KEY, 2,
      { WAFCERT_PEM_EC_PARAMETERS, WAFCERT_PEM_SEC1 }, 1 },

    /* the examples of the reference: a newline at each label only */

    { BEGIN("CERTIFICATE") "\n" CERT_B64(" ") "\n" END("CERTIFICATE"),
      CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 1 },
    { BEGIN("CERTIFICATE") "\n" CERT_B64("") "\n" END("CERTIFICATE"),
      CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 1 },
    { BEGIN("RSA PRIVATE KEY") "\n" RSA_B64("") "\n" END("RSA PRIVATE KEY"),
      KEY, 1, { WAFCERT_PEM_PKCS1 }, 1 },

    /* around the blocks */

    { "\xef\xbb\xbf" CERT("\n"), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 0 },
    { CERT("\n") "\xef\xbb\xbf" CERT("\n"), CONTENT, 2,
      { WAFCERT_PEM_CERTIFICATE, WAFCERT_PEM_CERTIFICATE }, 0 },
    { BEGIN("CERTIFICATE") "\n" CERT_B64("\n") END("CERTIFICATE"), CONTENT, 1,
      { WAFCERT_PEM_CERTIFICATE }, 0 },
    { " \n\t" CERT("\n") "\n  \n", CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 0 },
    { "\"" CERT("\\n") "\"", CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 1 },
    { "Bag Attributes\n    localKeyID: 01 \nsubject=CN = a\n\nissuer=CN = a\n"
      CERT("\n") "Bag Attributes: <Empty Attributes>\n" CERT("\n") "# end\n",
      CONTENT, 2, { WAFCERT_PEM_CERTIFICATE, WAFCERT_PEM_CERTIFICATE }, 0 },
    { "This chain will BEGIN with -- BEGIN of the -BEGIN the leaf:\n"
      CERT("\n"), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 0 },
    { "### BEGIN CERTIFICATE ###\n" CERT("\n") "### END CERTIFICATE ###",
      CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 0 },

    /* cat of files whose last newline is missing */

    { BEGIN("CERTIFICATE") "\n" CERT_B64("\n") END("CERTIFICATE") CERT("\n"),
      CONTENT, 2, { WAFCERT_PEM_CERTIFICATE, WAFCERT_PEM_CERTIFICATE }, 1 },

    /* labels */

    { PEM("X509 CERTIFICATE", CERT_B64, "\n"), CONTENT, 1,
      { WAFCERT_PEM_CERTIFICATE }, 0 },
    { "-" CERT("\n"), CONTENT, 1, { WAFCERT_PEM_CERTIFICATE }, 0 },

    /* types that others judge */

    { CERT("\n") PKCS8("\n"), CONTENT, 2,
      { WAFCERT_PEM_CERTIFICATE, WAFCERT_PEM_PKCS8 }, 0 },
    { CSR("\n"), CONTENT, 1, { WAFCERT_PEM_CSR }, 0 },
    { PEM("NEW CERTIFICATE REQUEST", CSR_B64, "\n"), CONTENT, 1,
      { WAFCERT_PEM_CSR }, 0 },
    { PEM("PKCS7", PKCS7_B64, "\n"), CONTENT, 1, { WAFCERT_PEM_PKCS7 }, 0 },
    { PEM("X509 CRL", CRL_B64, "\n"), CONTENT, 1, { WAFCERT_PEM_CRL }, 0 },
    { PEM("PUBLIC KEY", PUBLIC_B64, "\n"), KEY, 1, { WAFCERT_PEM_PUBLIC }, 0 },
    { PEM("RSA PUBLIC KEY", RSAPUB_B64, "\n"), KEY, 1,
      { WAFCERT_PEM_PUBLIC }, 0 },
    { PEM("ENCRYPTED PRIVATE KEY", ENC_B64, "\n"), KEY, 1,
      { WAFCERT_PEM_ENCRYPTED }, 0 },
    { PEM("OPENSSH PRIVATE KEY", SSH_B64, "\n"), KEY, 1,
      { WAFCERT_PEM_OPENSSH }, 0 },
    { PEM("RSA PRIVATE KEY", SSH_B64, "\n"), KEY, 1,
      { WAFCERT_PEM_OPENSSH }, 0 },
    { BEGIN("DSA PRIVATE KEY") "\nAAAA\n" END("DSA PRIVATE KEY"), KEY, 1,
      { WAFCERT_PEM_DSA }, 0 },
    { BEGIN("DH PARAMETERS") "\nAAAA\n" END("DH PARAMETERS") "\n" CERT("\n"),
      CONTENT, 2, { WAFCERT_PEM_DH, WAFCERT_PEM_CERTIFICATE }, 0 },
    { BEGIN("PGP PRIVATE KEY BLOCK") "\nVersion: x\n\nAAAA\n=abcd\n"
      END("PGP PRIVATE KEY BLOCK"), KEY, 1, { WAFCERT_PEM_OTHER }, 0 },
    { BEGIN("CERTIFCATE") "\nAAAA\n" END("CERTIFCATE"), CONTENT, 1,
      { WAFCERT_PEM_OTHER }, 0 },
    { BEGIN("") "\nAAAA\n" END(""), CONTENT, 1, { WAFCERT_PEM_OTHER }, 0 },

    /* RFC 1421 headers */

    { BEGIN("RSA PRIVATE KEY") "\n" DEK "\n" RSAENC_B64("\n")
      END("RSA PRIVATE KEY"), KEY, 1, { WAFCERT_PEM_ENCRYPTED }, 0 },
    { BEGIN("RSA PRIVATE KEY") " Proc-Type: 4,ENCRYPTED DEK-Info:"
      " AES-128-CBC,207EA89D2B20EED0A4613697B8176391 " RSAENC_B64(" ")
      END("RSA PRIVATE KEY"), KEY, 1, { WAFCERT_PEM_ENCRYPTED }, 1 },

    /* columns: 76 is MIME's, and no multiple of four is harmless */

    { BEGIN("PRIVATE KEY") "\nMBACAQEC\nAQICAQM\nCAQQEAgA\nA\n"
      END("PRIVATE KEY"), KEY, 1, { WAFCERT_PEM_PKCS8 }, 0 },
    { BEGIN("PRIVATE KEY") "\nM\nB\nA\nC\nA\nQECAQICAQMCAQQEAgAA\n"
      END("PRIVATE KEY"), KEY, 1, { WAFCERT_PEM_PKCS8 }, 0 },

    /* non-zero bits behind the last byte; "\/" */

    { BEGIN("PRIVATE KEY") "\nMAIFAP==\n" END("PRIVATE KEY"), KEY, 1,
      { WAFCERT_PEM_PKCS8 }, 0 },
    { BEGIN("PRIVATE KEY") "\nMAME\\/\\/8=\n" END("PRIVATE KEY"), KEY, 1,
      { WAFCERT_PEM_PKCS8 }, 1 },
    { BEGIN("PRIVATE KEY") "\nMAIFAP=\n=\n" END("PRIVATE KEY"), KEY, 1,
      { WAFCERT_PEM_PKCS8 }, 0 }
};


static const broken_case_t  broken_cases[] = {

    /* nothing */

    { CONTENT, "", WAFCERT_CONTENT_NO_PEM, "nothing but blanks" },
    { KEY, " \r\n\t ", WAFCERT_KEY_NO_PEM, "key: nothing but blanks" },
    { CONTENT, "\\n\\n", WAFCERT_CONTENT_NO_PEM, "nothing but blanks" },
    { CONTENT, "\xef\xbb\xbf", WAFCERT_CONTENT_NO_PEM, "nothing but blanks" },
    { CONTENT, "my certificate", WAFCERT_CONTENT_NO_PEM,
      "content: no BEGIN CERTIFICATE line" },
    { KEY, "changeme", WAFCERT_KEY_NO_PEM, "key: no BEGIN PRIVATE KEY line" },
    { KEY, "x", WAFCERT_KEY_NO_PEM, "no BEGIN PRIVATE KEY line" },

    /* something else */

    { CONTENT, "/etc/ssl/certs/site.pem", WAFCERT_CONTENT_NO_PEM, "path" },
    { KEY, "./key", WAFCERT_KEY_NO_PEM, "path" },
    { KEY, "~/key", WAFCERT_KEY_NO_PEM, "path" },
    { KEY, "C:\\certs\\site", WAFCERT_KEY_NO_PEM, "path" },
    { CONTENT, "server.CRT\n", WAFCERT_CONTENT_NO_PEM, "path" },
    { CONTENT, "https://ca.example/cert.pem", WAFCERT_CONTENT_NO_PEM,
      "content is a URL" },
    { KEY, "file:///etc/key", WAFCERT_KEY_NO_PEM, "key is the URL of a file" },
    { KEY, "@key.pem", WAFCERT_KEY_NO_PEM, "reference to a file" },
    { KEY, "${file(\"key.pem\")}", WAFCERT_KEY_NO_PEM, "template" },
    { KEY, "$(cat key.pem)", WAFCERT_KEY_NO_PEM, "shell command" },
    { KEY, "******", WAFCERT_KEY_NO_PEM, "masked" },
    { CONTENT, "<html><body>", WAFCERT_CONTENT_NO_PEM, "HTML" },
    { KEY, "{\"kty\": \"EC\"}", WAFCERT_KEY_NO_PEM, "JSON" },
    { CONTENT, "Certificate:\n    Data:\n        Version: 3 (0x2)\n",
      WAFCERT_CONTENT_NO_PEM, "openssl x509 -text" },
    { KEY, "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n",
      WAFCERT_KEY_TYPE, "key is a PuTTY key file" },
    { CONTENT, "PuTTY-User-Key-File-2: ssh-rsa\n", WAFCERT_CONTENT_IS_KEY,
      "content is a PuTTY key file" },
    { KEY, "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAB user@host",
      WAFCERT_KEY_IS_PUBLIC, "an SSH public key" },
    { KEY, "ecdsa-sha2-nistp256 AAAA", WAFCERT_KEY_IS_PUBLIC, "SSH" },
    { KEY, "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n", WAFCERT_KEY_IS_PUBLIC,
      "SSH" },
    { KEY, SSH_B64("\n"), WAFCERT_KEY_TYPE, "OpenSSH" },
    { CONTENT, SSH_B64(""), WAFCERT_CONTENT_IS_KEY, "OpenSSH" },
    { CONTENT, "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJmRENDQVNPZ0F3SUJB",
      WAFCERT_CONTENT_NO_PEM, "base64-encoded once more" },
    { KEY, "/u3+7QAAAAIAAAABAAAAAQ", WAFCERT_KEY_NO_PEM, "keystore" },

    /* DER without armour */

    { CONTENT, CERT_B64("\n"), WAFCERT_CONTENT_IS_DER,
      "content is a certificate, sent as base64 of its DER without BEGIN" },
    { CONTENT, CERT_B64(""), WAFCERT_CONTENT_IS_DER, "a certificate" },
    { CONTENT, CERT_B64("\\n"), WAFCERT_CONTENT_IS_DER, "a certificate" },
    { CONTENT, V1_B64("\n"), WAFCERT_CONTENT_IS_DER, "a certificate" },
    { CONTENT, HEAD, WAFCERT_CONTENT_IS_DER, "content is something, sent" },
    { KEY, HEAD, WAFCERT_KEY_IS_DER, "key is something, sent" },
    { KEY, "M", WAFCERT_KEY_NO_PEM, "no BEGIN PRIVATE KEY line" },
    { CONTENT, CRL_B64("\n"), WAFCERT_CONTENT_NO_PEM, "revocation list" },
    { CONTENT, PKCS12_B64("\n"), WAFCERT_CONTENT_IS_PKCS12,
      "content is a PKCS#12 file, sent as base64" },
    { KEY, PKCS12_B64(""), WAFCERT_KEY_IS_PKCS12, "key is a PKCS#12 file" },
    { KEY, "MIACAQMwgAYJKoZIhvcNAQcBoIAkgASCA+gwgDCABgkq",
      WAFCERT_KEY_IS_PKCS12, "PKCS#12" },
    { CONTENT, PKCS7_B64("\n"), WAFCERT_CONTENT_IS_PKCS7, "PKCS#7" },
    { KEY, PKCS7_B64("\n"), WAFCERT_KEY_IS_CERTIFICATE, "PKCS#7" },
    { CONTENT, CSR_B64("\r\n"), WAFCERT_CONTENT_IS_CSR, "request" },
    { KEY, CSR_B64("\r\n"), WAFCERT_KEY_IS_CERTIFICATE, "request" },
    { CONTENT, PKCS8_B64("\n"), WAFCERT_CONTENT_IS_KEY, "PKCS#8" },
    { CONTENT, RSA_B64("\n"), WAFCERT_CONTENT_IS_KEY, "RSA private" },
    { CONTENT, PUBLIC_B64("\n"), WAFCERT_CONTENT_IS_KEY, "public" },
    { KEY, CERT_B64("\n"), WAFCERT_KEY_IS_CERTIFICATE, "a certificate" },
    { KEY, PKCS8_B64("\n"), WAFCERT_KEY_IS_DER, "a PKCS#8 private key" },
    { KEY, SEC1_B64(" "), WAFCERT_KEY_IS_DER, "EC private key" },
    { KEY, RSA_B64(""), WAFCERT_KEY_IS_DER, "RSA private key" },
    { KEY, PUBLIC_B64("\n"), WAFCERT_KEY_IS_PUBLIC, "a public key" },
    { KEY, RSAPUB_B64("\n"), WAFCERT_KEY_IS_PUBLIC, "RSA public key" },
    { KEY, ENC_B64("\n"), WAFCERT_KEY_ENCRYPTED, "an encrypted" },
    { CONTENT, "0\xc2\x82\x01\x7c" "0\xc2\x82\x01#", WAFCERT_CONTENT_IS_DER,
      "binary file" },
    { KEY, "0\xef\xbf\xbd\x01\x7c" "0", WAFCERT_KEY_IS_DER, "binary file" },

    /* BEGIN lines */

    { CONTENT, "----BEGIN CERTIFICATE-----\n" CERT_B64("\n")
      END("CERTIFICATE"), WAFCERT_CONTENT_NO_PEM, "starts with 4 dashes" },
    { KEY, "-BEGIN PRIVATE KEY-----\n" PKCS8_B64("\n") END("PRIVATE KEY"),
      WAFCERT_KEY_NO_PEM, "starts with 1 dash," },
    { CONTENT, CERT("\n") "---BEGIN CERTIFICATE-----\n" CERT_B64("\n")
      END("CERTIFICATE"), WAFCERT_CONTENT_PEM_UNTERMINATED,
      "content, block 2 (CERTIFICATE): the BEGIN line starts with 3" },
    { CONTENT, "-----BEGIN CERTIFICATE---\n" CERT_B64("\n")
      END("CERTIFICATE"), WAFCERT_CONTENT_PEM_UNTERMINATED,
      "BEGIN line ends with 3 dashes" },
    { CONTENT, "-----BEGIN CERTIFICATE " CERT_B64(" ") END("CERTIFICATE"),
      WAFCERT_CONTENT_NO_PEM, "the BEGIN line does not start and end with" },
    { CONTENT, "-----BEGIN CERTIFICATE", WAFCERT_CONTENT_PEM_UNTERMINATED,
      "ends with 0 dashes" },
    { CONTENT, "BEGIN CERTIFICATE\n" CERT_B64("\n") "END CERTIFICATE\n",
      WAFCERT_CONTENT_NO_PEM, "the BEGIN line does not start and end with" },
    { CONTENT, "-----begin certificate-----\n" CERT_B64("\n")
      "-----end certificate-----\n", WAFCERT_CONTENT_NO_PEM, "capitals" },
    { CONTENT, "\xe2\x80\x94\xe2\x80\x94-BEGIN CERTIFICATE-----\n"
      CERT_B64("\n"), WAFCERT_CONTENT_NO_PEM, "starts with 1 dash" },
    { CONTENT, "\xe2\x80\x94\xe2\x80\x94\xe2\x80\x93" "BEGIN CERTIFICATE"
      "\xe2\x80\x94\n" CERT_B64("\n"), WAFCERT_CONTENT_NO_PEM,
      "word processor" },
    { CONTENT, "-----BEGIN\xc2\xa0" "CERTIFICATE-----\n" CERT_B64("\n")
      END("CERTIFICATE"), WAFCERT_CONTENT_NO_PEM, "word processor" },
    { CONTENT, "-----BEGIN%20CERTIFICATE-----%0AMIIB", WAFCERT_CONTENT_NO_PEM,
      "URL-encoded" },
    { CONTENT, "-----BEGIN+CERTIFICATE-----\nMIIB", WAFCERT_CONTENT_NO_PEM,
      "URL-encoded" },
    { CONTENT, CERT_B64("\n") END("CERTIFICATE"), WAFCERT_CONTENT_NO_PEM,
      "an END line is in it, but no BEGIN" },
    { CONTENT, CERT("\n") CERT_B64("\n") END("CERTIFICATE"),
      WAFCERT_CONTENT_PEM_UNTERMINATED,
      "block 2: an END line that no BEGIN line stands before" },
    { CONTENT, CERT_B64("\n") END("CERTIFICATE") "\n" CERT("\n"),
      WAFCERT_CONTENT_PEM_UNTERMINATED, "block 1: an END line" },

    /* END lines */

    { CONTENT, BEGIN("CERTIFICATE") "\n" CERT_B64("\n"),
      WAFCERT_CONTENT_PEM_UNTERMINATED,
      "content, block 1 (CERTIFICATE): the text ends without an END line" },
    { KEY, BEGIN("PRIVATE KEY"), WAFCERT_KEY_PEM_UNTERMINATED,
      "key, block 1 (PRIVATE KEY): the text ends" },
    { CONTENT, CERT("\n") BEGIN("CERTIFICATE") "\n" HEAD,
      WAFCERT_CONTENT_PEM_UNTERMINATED, "block 2 (CERTIFICATE): the text" },
    { CONTENT, BEGIN("CERTIFICATE") "\n" HEAD CERT("\n"),
      WAFCERT_CONTENT_PEM_UNTERMINATED, "before the next BEGIN" },
    { CONTENT, BEGIN("CERTIFICATE") "\n" HEAD "-----EN",
      WAFCERT_CONTENT_PEM_UNTERMINATED, "within the END line" },
    { CONTENT, BEGIN("CERTIFICATE") "\n" HEAD "---",
      WAFCERT_CONTENT_PEM_UNTERMINATED, "within the END line" },
    { CONTENT, BEGIN("CERTIFICATE") "\n" CERT_B64("\n")
      "-----END CERTIFICATE---", WAFCERT_CONTENT_PEM_UNTERMINATED,
      "the END line ends with 3 dashes" },
    { CONTENT, BEGIN("CERTIFICATE") "\n" CERT_B64("\n")
      "-----END CERTIFICATE", WAFCERT_CONTENT_PEM_UNTERMINATED,
      "the END line ends with 0 dashes" },
    { CONTENT, BEGIN("CERTIFICATE") "\n" CERT_B64("\n")
      "----END CERTIFICATE-----", WAFCERT_CONTENT_PEM_UNTERMINATED,
      "the END line starts with 4 dashes" },
    { CONTENT, BEGIN("CERTIFICATE") "\n" CERT_B64("\n") "-----END-----",
      WAFCERT_CONTENT_PEM_UNTERMINATED, "another label" },
    { KEY, BEGIN("RSA PRIVATE KEY") "\n" RSA_B64("\n") END("PRIVATE KEY"),
      WAFCERT_KEY_PEM_UNTERMINATED, "key, block 1 (RSA PRIVATE KEY): BEGIN"
      " says RSA PRIVATE KEY and END says PRIVATE KEY" },
    { KEY, BEGIN("PRIVATE KEY") "\n" PKCS8_B64("\n") END("PRIVATE KEYS"),
      WAFCERT_KEY_PEM_UNTERMINATED, "another label" },
    { CONTENT, BEGIN("FOO") "\nAAAA\n" END("CERTIFICATE"),
      WAFCERT_CONTENT_PEM_UNTERMINATED, "content, block 1: the END line has"
      " another label" },
    { CONTENT, BEGIN("FOO") "\nAAAA\n", WAFCERT_CONTENT_PEM_UNTERMINATED,
      "content, block 1: the text ends" },
    { KEY, BEGIN("RSA PRIVATE KEY") "\n" DEK "\n" RSAENC_B64("\n"),
      WAFCERT_KEY_PEM_UNTERMINATED, "the text ends without" },
    { CONTENT, BEGIN("CERTIFICATE") "\n" HEAD "and so on",
      WAFCERT_CONTENT_PEM_UNTERMINATED, "the text ends without" },
    { CONTENT, BEGIN("CERTIFICATE") "\n" HEAD "and, so on",
      WAFCERT_CONTENT_PEM_UNTERMINATED, "no END line follows, and ',' at line"
      " 4, column 4 is not base64" },

    /* base64 */

    { CONTENT, BROKEN("MII$"), WAFCERT_CONTENT_PEM_BASE64,
      "content, block 1 (CERTIFICATE): '$' at line 4, column 4 is not base64"
      " (character 132 of the block)" },
    { CONTENT, CERT("\n") BROKEN("$"), WAFCERT_CONTENT_PEM_BASE64,
      "content, block 2 (CERTIFICATE): '$' at line 14, column 1 is not" },
    { CONTENT, "# comment\r\n\r\n" BROKEN("MII$"), WAFCERT_CONTENT_PEM_BASE64,
      "at line 6, column 4" },
    { KEY, KEYBROKEN("MIG\x01"), WAFCERT_KEY_PEM_BASE64,
      "key, block 1 (PRIVATE KEY): byte 0x01 at line 2, column 4 " },
    { KEY, KEYBROKEN("MIG\x7f"), WAFCERT_KEY_PEM_BASE64, "byte 0x7F" },
    { KEY, KEYBROKEN("MIG\xff"), WAFCERT_KEY_PEM_BASE64, "byte 0xFF" },
    { KEY, KEYBROKEN("MIG\xe2\x80"), WAFCERT_KEY_PEM_BASE64, "byte 0xE2" },
    { KEY, KEYBROKEN("MIG\xc3\xa4"), WAFCERT_KEY_PEM_BASE64, "U+00E4 at" },
    { KEY, KEYBROKEN("MIG\xf0\x9f\x98\x80"), WAFCERT_KEY_PEM_BASE64,
      "U+1F600 at" },
    { CONTENT, BROKEN("MII\xc2\xa0"), WAFCERT_CONTENT_PEM_BASE64,
      "U+00A0 (a no-break blank) at line 4, column 4 " },
    { CONTENT, BROKEN("\xe2\x80\x8bMII"), WAFCERT_CONTENT_PEM_BASE64,
      "U+200B (a zero-width character)" },
    { CONTENT, BROKEN("\xe2\x80\x9cMII"), WAFCERT_CONTENT_PEM_BASE64,
      "word processor" },
    { CONTENT, BROKEN("\xe2\x80\xa8MII"), WAFCERT_CONTENT_PEM_BASE64,
      "Unicode line end" },
    { CONTENT, BROKEN("\xef\xbb\xbfMII"), WAFCERT_CONTENT_PEM_BASE64,
      "byte order mark" },
    { CONTENT, BROKEN("\xc2\xadMII"), WAFCERT_CONTENT_PEM_BASE64,
      "soft hyphen" },
    { CONTENT, BEGIN("CERTIFICATE") "\n" HEAD "\xe2\x80\x94" "END CERTIFICATE"
      "\xe2\x80\x94", WAFCERT_CONTENT_PEM_UNTERMINATED, "word processor" },
    { CONTENT, BROKEN("..."), WAFCERT_CONTENT_PEM_BASE64, "shortened" },
    { CONTENT, BROKEN("\xe2\x80\xa6"), WAFCERT_CONTENT_PEM_BASE64,
      "shortened" },
    { KEY, KEYBROKEN("****"), WAFCERT_KEY_PEM_BASE64, "masked" },
    { KEY, KEYBROKEN("MIG_-"), WAFCERT_KEY_PEM_BASE64, "URL-safe" },
    { KEY, KEYBROKEN("MIG-A"), WAFCERT_KEY_PEM_BASE64, "'-' at line 2" },
    { KEY, KEYBROKEN("%0AMII"), WAFCERT_KEY_PEM_BASE64, "URL-encoded" },
    { KEY, KEYBROKEN("MII<br>"), WAFCERT_KEY_PEM_BASE64, "HTML" },
    { KEY, KEYBROKEN("> MII"), WAFCERT_KEY_PEM_BASE64, "quoted" },
    { KEY, KEYBROKEN("\"MII\""), WAFCERT_KEY_PEM_BASE64, "program source" },
    { KEY, KEYBROKEN("MII\\x"), WAFCERT_KEY_PEM_BASE64, "'\\' at line 2" },
    { KEY, BEGIN("PRIVATE KEY") "\\nMIG$\\n" END("PRIVATE KEY"),
      WAFCERT_KEY_PEM_BASE64, "at line 2, column 4" },
    { KEY, BEGIN("PRIVATE KEY") "\\r\\nMIGH\\r\\nMIG$\\r\\n"
      END("PRIVATE KEY"), WAFCERT_KEY_PEM_BASE64, "at line 3, column 4" },
    { KEY, BEGIN("PRIVATE KEY") "\rMIG$\r" END("PRIVATE KEY"),
      WAFCERT_KEY_PEM_BASE64, "at line 2, column 4" },

    { CONTENT, BEGIN("CERTIFICATE") "\n" END("CERTIFICATE"),
      WAFCERT_CONTENT_PEM_BASE64, "empty" },
    { CONTENT, BEGIN("CERTIFICATE") END("CERTIFICATE"),
      WAFCERT_CONTENT_PEM_BASE64, "empty" },
    { KEY, KEYBROKEN("MAIFAA="), WAFCERT_KEY_PEM_BASE64, "characters were lost" },
    { KEY, KEYBROKEN("MAIFAA"), WAFCERT_KEY_PEM_BASE64,
      "6 characters and 0 \"=\"" },
    { KEY, KEYBROKEN("MAIFA"), WAFCERT_KEY_PEM_BASE64,
      "5 characters and 0 \"=\"" },
    { KEY, KEYBROKEN("M"), WAFCERT_KEY_PEM_BASE64, "1 characters" },
    { KEY, KEYBROKEN("MAIFAA==="), WAFCERT_KEY_PEM_BASE64,
      "characters were lost" },
    { KEY, KEYBROKEN("M==="), WAFCERT_KEY_PEM_BASE64, "1 characters and 3" },
    { KEY, KEYBROKEN("===="), WAFCERT_KEY_PEM_BASE64, "0 characters and 4" },
    { KEY, KEYBROKEN("MAIF="), WAFCERT_KEY_PEM_BASE64, "4 characters and 1" },
    { KEY, KEYBROKEN("MAIFAA==MAIFAA=="), WAFCERT_KEY_PEM_BASE64,
      "goes on after its padding \"=\" at line 2, column 9" },
    { KEY, KEYBROKEN("MAIFAA=A"), WAFCERT_KEY_PEM_BASE64, "goes on after" },
    { KEY, KEYBROKEN("MIGHAgEA EwYHKoZI j0C"), WAFCERT_KEY_PEM_BASE64,
      "each \"+\"" },
    { CONTENT, "-----BEGIN CERTIFICATE-----n" CERT_B64("n")
      "-----END CERTIFICATE-----n", WAFCERT_CONTENT_PEM_BASE64, "backslashes" },
    { KEY, "-----BEGIN PRIVATE KEY-----nMAIFAA==n-----END PRIVATE KEY-----n",
      WAFCERT_KEY_PEM_BASE64, "backslashes" },
    { KEY, "-----BEGIN PRIVATE KEY-----rnMAIFArn-----END PRIVATE KEY-----",
      WAFCERT_KEY_PEM_BASE64, "backslashes" },

    /* DER */

    { CONTENT, BROKEN(""), WAFCERT_CONTENT_DER,
      "content, block 1 (CERTIFICATE): the DER ends early, 96 bytes of 384" },
    { CONTENT, BEGIN("CERTIFICATE") "\n" CERT_B64("\n") "AAAA\n"
      END("CERTIFICATE"), WAFCERT_CONTENT_DER,
      "the DER ends at byte 384 and 3 more follow" },
    { CONTENT, PEM("TRUSTED CERTIFICATE", TRUSTED_B64, "\n"),
      WAFCERT_CONTENT_DER, "ends at byte 384" },
    { CONTENT, CERT("\n") BEGIN("CERTIFICATE") "\nAAAA\n" END("CERTIFICATE"),
      WAFCERT_CONTENT_DER, "block 2 (CERTIFICATE): the DER does not begin" },
    { KEY, KEYBROKEN("MA=="), WAFCERT_KEY_DER, "ends after its first" },
    { KEY, KEYBROKEN("MIIB"), WAFCERT_KEY_DER, "a length that is" },
    { KEY, KEYBROKEN("MIUAAAAAAA=="), WAFCERT_KEY_DER, "out of range" },
    { KEY, KEYBROKEN("MIT/////AAAA"), WAFCERT_KEY_DER, "of 4294967301 are" },
    { KEY, KEYBROKEN("MAMFAA=="), WAFCERT_KEY_DER, "4 bytes of 5" },
    { KEY, KEYBROKEN("MAIFAAAA"), WAFCERT_KEY_DER, "2 more follow" },
    { KEY, KEYBROKEN("MIACAQAAAA=="), WAFCERT_KEY_DER, "BER" },
    { KEY, BEGIN("PRIVATE KEY") "\nMBACAQEC AQIC AQMC\n" END("PRIVATE KEY"),
      WAFCERT_KEY_DER, "each \"+\"" },

    /* too many */

    { CONTENT, SIXTEEN(CERT("\n")) CERT("\n"), WAFCERT_CONTENT_TOO_MANY,
      "content: more than 16 PEM blocks" },
    { KEY, SIXTEEN(SEC1("\n")) SEC1("\n"), WAFCERT_KEY_SEVERAL,
      "key: more than 16 PEM blocks" }
};


/* 128 kB of each must be read in next to no time. */

static const char  *hostile_cases[] = {
    "-----BEGIN", "-----BEGIN ", "-----BEGIN CERTIFICATE-----",
    "-----BEGIN A", "-----BEGIN A\n", "-BEGIN ", "--BEGIN EC PRIVATE KE",
    "BEGIN ", "begin", "-", "-----", "-----END CERTIFICATE-----", "-----END ",
    "\\", "\\n", "\\\\n", " ", "\n", "\r", "\r\n", "=", "A", "M", "MIIB",
    "A \n", "3", "30", "0\xc2\x82", "/", "***", "\xe2\x80\x94", "\xff",
    "X:", "X:\n", "X:\n\nX: ", "-----BEGIN A-----\n-----END A-----\n",
    "EBEGINBEGI", "\xe2\x80\x94" "BEGIN "
};


static const char  *hostile_starts[] = {
    "", "-----BEGIN CERTIFICATE-----\n", "-----BEGIN A-----",
    "-----BEGIN PRIVATE KEY-----\nA", "-----BEGIN PRIVATE KEY-----\nA: b"
};


static ngx_int_t
decode(wafcert_pem_t *pem, const char *text, size_t len,
    wafcert_member_e member, wafcert_verdict_t *verdict)
{
    u_char     *copy;
    ngx_int_t   rc;
    ngx_str_t   str;

    /* an exact copy, so that a byte too far is noticed */

    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);

    str.data = len ? copy : NULL;
    str.len = len;

    memset(pem, 0xa5, sizeof(wafcert_pem_t));
    memset(verdict, 0xa5, sizeof(wafcert_verdict_t));

    rc = wafcert_pem_decode(pem, &str, member, verdict);

    free(copy);

    return rc;
}


static void
assert_no_quote(const char *sentence, const char *text, size_t len)
{
    size_t  i, n;

    n = strlen(sentence);

    for (i = 0; i + 24 <= n; i++) {
        assert_null(memmem(text, len, sentence + i, 24));
    }
}


static void
assert_good(const good_case_t *good)
{
    ngx_int_t          rc;
    ngx_uint_t         i;
    wafcert_pem_t      pem;
    wafcert_verdict_t  verdict;

    rc = decode(&pem, good->text, strlen(good->text), good->member, &verdict);

    if (rc != NGX_OK) {
        fail_msg("\"%s\": rc %d, \"%s\"", good->text, (int) rc,
                 rc == NGX_DECLINED ? verdict.message : "");
    }

    if (pem.nblocks != good->nblocks || pem.repaired != good->repaired) {
        fail_msg("\"%s\": %d blocks, repaired %d", good->text,
                 (int) pem.nblocks, pem.repaired);
    }

    for (i = 0; i < good->nblocks; i++) {
        assert_int_equal(pem.blocks[i].type, good->types[i]);
    }

    wafcert_pem_free(&pem);

    assert_null(pem.buf);
    assert_int_equal(pem.nblocks, 0);
}


static void
test_good(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < sizeof(good_cases) / sizeof(good_cases[0]); i++) {
        assert_good(&good_cases[i]);
    }
}


static void
assert_broken(const broken_case_t *broken)
{
    size_t             len;
    ngx_int_t          rc;
    wafcert_pem_t      pem;
    wafcert_verdict_t  verdict;

    len = strlen(broken->text);

    rc = decode(&pem, broken->text, len, broken->member, &verdict);

    if (rc != NGX_DECLINED || verdict.reason != broken->reason
        || strstr(verdict.message, broken->sentence) == NULL)
    {
        fail_msg("\"%s\": rc %d, reason %s, \"%s\", not \"%s\"",
                 broken->text, (int) rc,
                 rc == NGX_DECLINED ? wafcert_reason(verdict.reason)->slug
                                    : "none",
                 rc == NGX_DECLINED ? verdict.message : "",
                 broken->sentence);
    }

    if (strncmp(verdict.message, broken->member == KEY ? "key" : "content",
                broken->member == KEY ? 3 : 7) != 0)
    {
        fail_msg("\"%s\" does not name the member", verdict.message);
    }

    assert_true(strlen(verdict.message) < sizeof(verdict.message) - 1);
    assert_true(strlen(verdict.hint) < sizeof(verdict.hint) - 1);
    assert_no_quote(verdict.message, broken->text, len);
    assert_no_quote(verdict.hint, broken->text, len);
    assert_null(pem.buf);
}


static void
test_broken(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < sizeof(broken_cases) / sizeof(broken_cases[0]); i++) {
        assert_broken(&broken_cases[i]);
    }
}


/* Every spelling of a certificate is the same certificate. */

static void
test_same_der(void **state)
{
    ngx_uint_t          i, j;
    wafcert_pem_t       one, pem;
    wafcert_verdict_t   verdict;
    const good_case_t  *good;

    assert_int_equal(decode(&one, CERT("\n"), strlen(CERT("\n")), CONTENT,
                            &verdict),
                     NGX_OK);
    assert_int_equal(one.blocks[0].der.len, 384);
    assert_int_equal(one.blocks[0].der.data[0], 0x30);
    assert_int_equal(one.blocks[0].der.data[383], 0xaf);

    for (i = 0; i < sizeof(good_cases) / sizeof(good_cases[0]); i++) {
        good = &good_cases[i];

        assert_int_equal(decode(&pem, good->text, strlen(good->text),
                                good->member, &verdict),
                         NGX_OK);

        for (j = 0; j < pem.nblocks; j++) {

            if (pem.blocks[j].type == WAFCERT_PEM_CERTIFICATE) {
                assert_int_equal(pem.blocks[j].der.len, 384);
                assert_memory_equal(pem.blocks[j].der.data,
                                    one.blocks[0].der.data, 384);
            }
        }

        wafcert_pem_free(&pem);
    }

    wafcert_pem_free(&one);
}


/* Cut anywhere, or with a byte changed, a text must be survived. */

static void
test_cut(void **state)
{
    size_t              len;
    ngx_int_t           rc;
    ngx_uint_t          i;
    wafcert_pem_t       pem;
    wafcert_verdict_t   verdict;
    const good_case_t  *good;

    for (i = 0; i < sizeof(good_cases) / sizeof(good_cases[0]); i++) {
        good = &good_cases[i];

        for (len = 0; len < strlen(good->text); len++) {
            rc = decode(&pem, good->text, len, good->member, &verdict);

            if (rc == NGX_OK) {
                wafcert_pem_free(&pem);
                continue;
            }

            assert_int_equal(rc, NGX_DECLINED);
            assert_no_quote(verdict.message, good->text, len);
        }
    }
}


static void
test_changed(void **state)
{
    char                saved;
    char               *text;
    size_t              i, len;
    ngx_int_t           rc;
    ngx_uint_t          c;
    wafcert_pem_t       pem;
    wafcert_verdict_t   verdict;
    static const char   bytes[] = "\0-=\\\n\r :A\x80\xe2\xff";

    text = strdup("# x\n" ECPARAM("\r\n") SEC1("\n"));
    assert_non_null(text);

    len = strlen(text);

    for (i = 0; i < len; i++) {

        saved = text[i];

        for (c = 0; c < sizeof(bytes) - 1; c++) {
            text[i] = bytes[c];

            rc = decode(&pem, text, len, KEY, &verdict);

            if (rc == NGX_OK) {
                wafcert_pem_free(&pem);

            } else {
                assert_int_equal(rc, NGX_DECLINED);
                assert_no_quote(verdict.message, text, len);
            }
        }

        text[i] = saved;
    }

    free(text);
}


static void
test_hostile(void **state)
{
    char               *text;
    size_t              n, len;
    clock_t             start, spent;
    ngx_int_t           rc;
    ngx_uint_t          i, j;
    wafcert_pem_t       pem;
    wafcert_verdict_t   verdict;

    text = malloc(LARGE);
    assert_non_null(text);

    for (i = 0; i < sizeof(hostile_cases) / sizeof(char *); i++) {
        for (j = 0; j < sizeof(hostile_starts) / sizeof(char *); j++) {

            len = strlen(hostile_starts[j]);
            memcpy(text, hostile_starts[j], len);

            n = strlen(hostile_cases[i]);

            for ( /* void */ ; len + n <= LARGE; len += n) {
                memcpy(text + len, hostile_cases[i], n);
            }

            start = clock();
            rc = decode(&pem, text, len, CONTENT, &verdict);
            spent = clock() - start;

            /* a quadratic search takes seconds under the sanitizers */

            if (spent > CLOCKS_PER_SEC / 10) {
                fail_msg("\"%s\" repeated after \"%s\": %ld us",
                         hostile_cases[i], hostile_starts[j],
                         (long) (spent * 1000000 / CLOCKS_PER_SEC));
            }

            if (rc == NGX_OK) {
                wafcert_pem_free(&pem);
            }

            assert_true(rc == NGX_OK || rc == NGX_DECLINED);
        }
    }

    free(text);
}


static void
test_nul(void **state)
{
    wafcert_pem_t       pem;
    wafcert_verdict_t   verdict;
    static const char   text[] = BEGIN("PRIVATE KEY") "\nMII\0\n"
                                 END("PRIVATE KEY");

    assert_int_equal(decode(&pem, text, sizeof(text) - 1, KEY, &verdict),
                     NGX_DECLINED);
    assert_int_equal(verdict.reason, WAFCERT_KEY_PEM_BASE64);
    assert_non_null(strstr(verdict.message, "byte 0x00 at line 2, column 4"));
}


static void
assert_round_trip(wafcert_pem_type_e type, size_t len, const char *eol,
    ngx_uint_t repaired)
{
    size_t              i, n, size;
    u_char             *der, *text;
    ngx_str_t           str;
    wafcert_pem_t       pem;
    wafcert_verdict_t   verdict;

    der = malloc(len + 4);
    assert_non_null(der);

    for (i = 0; i < len + 4; i++) {
        der[i] = (u_char) (i * 37 + len);
    }

    n = 0;
    der[n++] = 0x30;

    if (len > 0xff) {
        der[n++] = 0x82;
        der[n++] = (u_char) (len >> 8);

    } else if (len > 0x7f) {
        der[n++] = 0x81;
    }

    der[n++] = (u_char) len;
    len += n;

    str.data = der;
    str.len = len;

    size = wafcert_pem_size(type, len, eol);
    text = malloc(size);
    assert_non_null(text);

    assert_ptr_equal(wafcert_pem_encode(text, type, &str, eol), text + size);

    assert_int_equal(decode(&pem, (char *) text, size, KEY, &verdict), NGX_OK);
    assert_int_equal(pem.nblocks, 1);
    assert_int_equal(pem.repaired, repaired);
    assert_int_equal(pem.blocks[0].type, type);
    assert_int_equal(pem.blocks[0].der.len, len);
    assert_memory_equal(pem.blocks[0].der.data, der, len);

    wafcert_pem_free(&pem);
    free(text);
    free(der);
}


static void
test_round_trip(void **state)
{
    size_t  len;

    for (len = 0; len < 300; len++) {
        assert_round_trip(WAFCERT_PEM_CERTIFICATE, len, "\n", 0);
        assert_round_trip(WAFCERT_PEM_PKCS8, len, "\r\n", 0);
        assert_round_trip(WAFCERT_PEM_PKCS1, len, "\\n", 1);
        assert_round_trip(WAFCERT_PEM_SEC1, len, "\n", 0);
    }

    assert_round_trip(WAFCERT_PEM_PKCS8, 65000, "\n", 0);
}


/* Byte for byte what OpenSSL writes. */

static void
test_encode(void **state)
{
    u_char              text[1024];
    u_char             *end;
    wafcert_pem_t       pem;
    wafcert_verdict_t   verdict;

    assert_int_equal(decode(&pem, CERT(" "), strlen(CERT(" ")), CONTENT,
                            &verdict),
                     NGX_OK);

    end = wafcert_pem_encode(text, WAFCERT_PEM_CERTIFICATE,
                             &pem.blocks[0].der, "\n");

    assert_int_equal(end - text, strlen(CERT("\n")));
    assert_memory_equal(text, CERT("\n"), end - text);

    wafcert_pem_free(&pem);
}


static void
test_type_name(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i <= WAFCERT_PEM_OTHER; i++) {
        assert_non_null(wafcert_pem_type_name(i));
    }

    assert_string_equal(wafcert_pem_type_name(WAFCERT_PEM_PKCS8),
                        "a PKCS#8 private key");
    assert_string_equal(wafcert_pem_type_name(WAFCERT_PEM_CSR),
                        "a certificate request");
    assert_string_equal(wafcert_pem_type_name(WAFCERT_PEM_OTHER),
                        "a block of an unknown type");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_same_der),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_changed),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_type_name)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
